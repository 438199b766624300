"""An upstream that misbehaves: what the client gets is always well-formed, clear and in time, and
nothing is left behind."""

import json
import threading
import time

import openai
import pytest

from harness import raw
from harness.server import EMAIL, chat_body, eventually, fault, free_port

pytestmark = pytest.mark.short

CHAT = "/v1/chat/completions"


def ask(http, order, stream=False, model="fault", **more):
    return http.post(CHAT, json=chat_body(order, model, stream=stream, **more))


def events(http, order, **more):
    """The data of each event, as text, and whether the body came to its proper end."""
    found = []
    with http.stream("POST", CHAT, json=chat_body(order, stream=True, **more)) as answer:
        status = answer.status_code
        if status != 200:
            answer.read()
            return status, [answer.text]
        assert answer.headers["content-type"].startswith("text/event-stream")
        buffer = b""
        for piece in answer.iter_raw():
            buffer += piece
        for event in buffer.split(b"\n\n"):
            for line in event.split(b"\n"):
                if line.startswith(b"data: "):
                    found.append(line[6:].decode())  # UTF-8, or the test fails
    return status, found


def is_error_event(text):
    try:
        return "error" in json.loads(text)
    except ValueError:
        return False


def test_passes_through(http):
    status, found = events(http, fault(words=4))
    assert status == 200 and found[-1] == "[DONE]"
    texts = [json.loads(e)["choices"][0]["delta"].get("content", "") for e in found[:-1]]
    assert "".join(texts) == "w0 w1 w2 w3 "
    assert all(json.loads(e)["model"] == "fault" for e in found[:-1])


def test_usage_only_when_asked(http, upstream):
    _, found = events(http, fault(words=2))
    assert all(json.loads(e)["choices"] for e in found[:-1])
    assert upstream.requests[-1]["stream_options"]["include_usage"] is True
    _, found = events(http, fault(words=2), stream_options={"include_usage": True})
    assert json.loads(found[-2])["usage"]["completion_tokens"] == 2


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("status, expected", [
    (400, (400,)), (401, (502,)), (403, (502,)), (404, (404, 502)), (429, (429,)), (500, (502,)), (502, (502,)),
    (503, (502, 503)), (418, (400, 502)), (302, (502,)),
])
def test_errors_of_the_upstream(http, status, expected, stream):
    headers = {"Retry-After": "7"} if status in (429, 503) else {}
    if status == 302:
        headers["Location"] = "http://127.0.0.1:1/"
    answer = ask(http, fault(do="error", status=status, headers=headers), stream)
    assert answer.status_code in expected
    error = answer.json()["error"]
    assert error["message"] and set(error) >= {"type", "param", "code"}
    assert "upstream-secret" not in answer.text
    if status == 429:
        assert answer.headers["retry-after"] == "7"


@pytest.mark.parametrize("name", ["param", "code", "message"])
def test_long_words_of_the_upstream(http, name):
    """Cut between characters: what comes is valid, and still says something."""
    for pad in range(3):
        error = {"message": "no", "type": "x", "param": None, "code": None, name: "a" * pad + "é€" * 2000}
        answer = ask(http, fault(do="body", status=400, body=json.dumps({"error": error})))
        assert answer.status_code == 400
        assert json.loads(answer.content.decode())["error"][name].startswith("a" * pad + "é€é")


def test_no_addresses_in_errors(start, upstream):
    """The log has the whole reason; a customer or a member learns nothing of our machines."""
    gone = free_port()
    weir = start(config=f"[upstream gone]\nurl = http://127.0.0.1:{gone}/v1\n[model gone]\nupstream = gone\n"
                        f"[upstream fault]\nurl = {upstream.url}\n[model fault]\nupstream = fault\n")
    weir.member("mona@example.com")
    with weir.http(headers={"Authorization": f"Bearer {weir.key()}"}) as http:
        for _ in range(7):
            answer = ask(http, "hi", model="gone")
            assert answer.status_code == 503
            assert "127.0.0.1" not in answer.text, answer.text
        for order in (dict(cut_at=10), dict(do="close")):
            answer = ask(http, fault(**order))
            assert answer.status_code == 502 and "127.0.0.1" not in answer.text, answer.text
        _, found = events(http, fault(words=5, cut_at=300))
        assert any(map(is_error_event, found)) and "127.0.0.1" not in "".join(found)
        assert str(gone) not in http.get("/readyz").text
    assert f"127.0.0.1:{gone}" in weir.stderr()
    for email, sees in ((EMAIL, True), ("mona@example.com", False)):
        with weir.signed_in(email) as browser:
            model = next(m for m in browser.get("/api/models").json()["data"] if m["id"] == "gone")
            assert model["state"]["phase"] == "failed"
            assert (str(gone) in (model["state"]["reason"] or "")) == sees
            thread = browser.post("/api/threads", json={}).json()["id"]
            run = browser.post(f"/api/threads/{thread}/runs", json={"parent_id": None, "model": "gone", "content": "hi"})
            assert str(gone) not in run.text + browser.get(f"/api/threads/{thread}").text


def test_errors_are_typed_for_the_sdk(client):
    for status, kind in ((429, openai.RateLimitError), (500, openai.InternalServerError), (400, openai.BadRequestError)):
        with pytest.raises(kind):
            client.chat.completions.create(
                model="fault", messages=[{"role": "user", "content": fault(do="error", status=status)}])


def test_error_body_that_is_html(http):
    answer = ask(http, fault(do="body", status=500, body="<h1>oops</h1>", content_type="text/html"))
    assert answer.status_code == 502 and answer.json()["error"]["message"]
    assert "<h1>" not in answer.json()["error"]["message"]


@pytest.mark.parametrize("order", [
    dict(do="close"), dict(do="close", reset=True),
    dict(do="raw", body="nonsense\r\n\r\n"), dict(do="raw", body="HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef"),
    dict(do="raw", body="HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
    dict(do="raw", body="HTTP/1.1 200 OK\r\nX: " + "a" * 200_000), dict(do="raw", body="HTTP/1.1 200 OK\r\nContent-Le"),
    dict(do="body", body="not json"), dict(do="body", body=""), dict(do="body", body="[1]"),
    dict(do="body", body='{"object":"chat.completion"}'), dict(do="body", body='{"choices":"x"}'),
    dict(cut_at=10), dict(cut_at=10, reset=True), dict(cut_at=10, framing="length"),
], ids=repr)
def test_broken_answers(http, order):
    """Not streaming: nothing but a whole, good answer gets through."""
    start = time.monotonic()
    answer = ask(http, fault(**order))
    assert answer.status_code in (502, 504), answer.text
    assert answer.json()["error"]["message"]
    assert time.monotonic() - start < 10


@pytest.mark.parametrize("cut_at", [0, 1, 5, 50, 150, 151, 200, 333, 500, 600])
@pytest.mark.parametrize("reset", [False, True])
@pytest.mark.parametrize("framing", ["chunked", "close"])
def test_streams_that_are_cut(http, cut_at, reset, framing):
    """A stream that breaks after its first event ends with an error event and is well-formed."""
    status, found = events(http, fault(words=5, cut_at=cut_at, reset=reset, framing=framing))
    if status != 200:
        assert status == 502 and json.loads(found[0])["error"]["message"]
        return
    assert is_error_event(found[-1]) or is_error_event(found[-2]), found
    for event in found[:-1]:
        if event != "[DONE]":
            json.loads(event)


@pytest.mark.parametrize("body", [
    "data: {not json}\n\n", "data: \n\n", "nonsense without a colon\n\n", "event: x\nid: 1\n\n", ": only a comment\n\n",
    "data: [1,2]\n\n", 'data: {"error":{"message":"broke"}}\n\n', 'data: {"choices":5}\n\n',
    'data: {"choices":[{"index":0,"delta":{"content":"a\xc3"}}]}\n\n', "\xff\xfe\n\n", "data: \xe4\xb8\n\n",
    "data: " + "x" * 4_000_000 + "\n\n", "data: " + "x" * 100_000, "x" * 3_000_000, "\n" * 100_000,
    'data: {"usage":{"prompt_tokens":-5,"completion_tokens":1e30}}\n\n', "\x00\n\n",
], ids=lambda b: repr(b)[:40])
@pytest.mark.parametrize("good_first", [False, True])
def test_malformed_streams(http, body, good_first):
    good = 'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"content":"ok"}}]}\n\n'
    order = fault(do="body", body=(good if good_first else "") + body, content_type="text/event-stream")
    status, found = events(http, order)
    if status != 200:
        assert status == 502 and not good_first
        assert json.loads(found[0])["error"]["message"]
        return
    assert any(map(is_error_event, found[-2:])), found[-3:]
    for event in found:
        assert event == "[DONE]" or json.loads(event)


def test_two_ends(http):
    chunk = 'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"content":"a"},"finish_reason":"stop"}]}\n\n'
    body = chunk + "data: [DONE]\n\n" + chunk + "data: [DONE]\n\n"
    _, found = events(http, fault(do="body", body=body, content_type="text/event-stream"))
    assert found.count("[DONE]") == 1 and found[-1] == "[DONE]" and len(found) == 2


@pytest.mark.parametrize("end", ["\r\n\r\n", "\r\r", "\n\n"], ids=repr)
def test_other_line_ends(http, end):
    chunk = 'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"content":"a"},"finish_reason":"stop"}]}'
    _, found = events(http, fault(do="body", body=chunk + end + "data: [DONE]" + end, content_type="text/event-stream"))
    assert found[-1] == "[DONE]" and len(found) == 2


@pytest.mark.parametrize("stream", [False, True])
def test_dripped_answers(http, stream):
    """Byte by byte: pieces of lines, of characters and of chunks."""
    if stream:
        _, found = events(http, fault(words=3, drip_ms=0.2))
        assert "".join(json.loads(e)["choices"][0]["delta"].get("content", "") for e in found[:-1]) == "w0 w1 w2 "
    else:
        assert ask(http, fault(words=3, drip_ms=0.2)).json()["choices"][0]["message"]["content"] == "w0 w1 w2 "


def test_events_come_as_they_are_made(http):
    """Not glued together: each within a moment of being sent."""
    times = []
    with http.stream("POST", CHAT, json=chat_body(fault(words=10, interval_ms=50), stream=True)) as answer:
        for _ in answer.iter_raw():
            times.append(time.monotonic())
    assert len(times) >= 10
    assert times[-1] - times[0] > 0.4


def test_retried_before_the_first_byte(http, upstream):
    before = len(upstream.requests)
    answer = ask(http, fault(do="close", times=2, words=1))
    assert answer.status_code == 200
    assert len(upstream.requests) == before + 3
    before = len(upstream.requests)
    answer = ask(http, fault(do="close", times=99, words=2))
    assert answer.status_code == 502
    assert len(upstream.requests) == before + 3


def test_never_retried_after_it(http, upstream):
    before = len(upstream.requests)
    events(http, fault(words=7, cut_at=300))
    assert len(upstream.requests) == before + 1


@pytest.mark.parametrize("order", [dict(do="hang"), dict(words=50, hang_at=400), dict(words=1000, interval_ms=20)], ids=repr)
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("how", ["close", "reset"])
def test_the_upstream_learns_that_the_client_left(weir, key, upstream, order, stream, how):
    eventually(lambda: upstream.answering == 0)
    body = json.dumps(chat_body(fault(**order), stream=stream)).encode()
    left = upstream.left
    with raw.Connection(weir.address) as c:
        c.send(b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " + key.encode() +
               b"\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        eventually(lambda: upstream.answering == 1)
        time.sleep(0.1)
        c.reset() if how == "reset" else c.socket.close()
    eventually(lambda: upstream.left == left + 1, 5)


def test_a_client_that_stops_reading_slows_the_upstream(weir, key, upstream):
    """Back-pressure: the process does not store what nobody reads."""
    eventually(lambda: upstream.answering == 0)
    before = weir.resident_kib()
    body = json.dumps(chat_body(fault(words=2_000_000), stream=True)).encode()
    with raw.Connection(weir.address) as c:
        c.send(b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " + key.encode() +
               b"\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        assert c.head()[0] == 200
        time.sleep(3)
        assert upstream.answering == 1
        assert weir.resident_kib() - before < 32_768
    eventually(lambda: upstream.answering == 0)


def test_many_streams_at_once(weir, key, upstream):
    """50 streams side by side, each whole and in order."""
    results = []

    def one(i):
        with weir.http(headers={"Authorization": f"Bearer {key}"}) as http:
            _, found = events(http, fault(words=20 + i % 5, interval_ms=5))
            results.append("".join(json.loads(e)["choices"][0]["delta"].get("content", "") for e in found[:-1])
                           == "".join(f"w{k} " for k in range(20 + i % 5)) and found[-1] == "[DONE]")
    threads = [threading.Thread(target=one, args=(i,)) for i in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [True] * 50


def test_an_upstream_that_is_not_there(start):
    config = "[upstream gone]\nurl = http://127.0.0.1:1/v1\n[model gone]\nupstream = gone\n"
    server = start(config=config)
    with server.http(headers={"Authorization": f"Bearer {server.key()}"}) as http:
        for stream in (False, True):
            answer = http.post(CHAT, json=chat_body("hi", "gone", stream=stream))
            assert answer.status_code in (502, 503) and answer.json()["error"]["message"]
        assert http.get("/healthz").status_code == 200


def test_upstreams_by_the_platform(browser, upstream, http):
    """Added, asked, used, refused to be removed while in use, removed."""
    made = browser.post("/api/upstreams", json={"name": "second", "base_url": upstream.url, "api_key": "second-secret"})
    assert made.status_code == 201 and made.json()["has_key"] is True and "second-secret" not in made.text
    id_ = made.json()["id"]
    offered = browser.get(f"/api/upstreams/{id_}/models")
    assert offered.status_code == 200 and offered.json()["data"] == [{"id": "fault"}]
    model = browser.post("/api/models", json={"id": "second", "name": "Second", "kind": "upstream", "upstream_id": id_, "upstream_model": "the-model"})
    assert model.status_code == 201
    answer = ask(http, "hi", model="second")
    assert answer.status_code == 200 and answer.json()["model"] == "second"
    assert upstream.requests[-1]["model"] == "the-model"
    assert upstream.heads[-1][1]["authorization"] == "Bearer second-secret"
    assert browser.delete(f"/api/upstreams/{id_}").status_code == 409
    assert browser.patch("/api/models/second", json={"enabled": False}).status_code == 200
    eventually(lambda: ask(http, "hi", model="second").status_code != 200, 6)
    assert browser.delete("/api/models/second").status_code == 204
    assert browser.delete(f"/api/upstreams/{id_}").status_code == 204


def test_a_half_closed_connection_is_a_client_that_is_gone(weir, key, upstream):
    """docs/api.md says so: its FIN is all that is seen of a client that went away."""
    eventually(lambda: upstream.answering == 0)
    left = upstream.left
    body = json.dumps(chat_body(fault(words=2000, interval_ms=10))).encode()
    with raw.Connection(weir.address) as c:
        c.send(f"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\n"
               f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
        eventually(lambda: upstream.answering)
        c.socket.shutdown(raw.socket.SHUT_WR)
        assert c.ends() and c.buffer == b""
    eventually(lambda: upstream.left == left + 1)
