"""Bad bodies: each gets a clear error in the dialect of its path, and the process stays well."""

import json

import pytest

from harness import raw
from harness.server import chat_body

pytestmark = pytest.mark.short

CHAT = "/v1/chat/completions"
JSON = {"Content-Type": "application/json"}


def openai_error(answer, status=400):
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"].startswith("application/json")
    error = answer.json()["error"]
    assert set(error) >= {"message", "type", "param", "code"}
    assert error["message"] and error["type"]
    return error


@pytest.mark.parametrize("body", [
    b"", b" ", b"{", b"nonsense", b'{"model":"fault",}', b"{'model':'fault'}", b'{"model":"fault"} x',
    b'{"model":"fa\x01ult"}', b'{"model":01}', b'{"model":1.}', b'{"model":NaN}', b'{"a":"\\x"}',
    b'{"a":"\\ud800"}', b"\xef\xbb\xbf{}", b'{"a":tru}',
], ids=repr)
def test_malformed_json(http, body):
    error = openai_error(http.post(CHAT, content=body, headers=JSON))
    assert error["type"] == "invalid_request_error"


def test_malformed_json_names_the_place(http):
    error = openai_error(http.post(CHAT, content=b'{\n  "model": "fault",\n  "messages": [}\n}', headers=JSON))
    assert "line 3" in error["message"] or "3:" in error["message"], error


@pytest.mark.parametrize("body", [b'{"model":"fa\xffult"}', b'{"a":"\xc0\xaf"}', b'{"a":"\xed\xa0\x80"}', b'{"a":"\xe4\xb8"}'], ids=repr)
def test_invalid_utf8(http, body):
    assert "UTF-8" in openai_error(http.post(CHAT, content=body, headers=JSON))["message"]


@pytest.mark.parametrize("body", [
    b"[" * 1_000_000, b"[" * 1_000_000 + b"]" * 1_000_000, b'{"a":' * 200_000,
    b'{"model":"fault","messages":' + b"[" * 1_000_000 + b"]" * 1_000_000 + b"}",
], ids=["open", "closed", "objects", "within"])
def test_a_million_brackets(http, body):
    openai_error(http.post(CHAT, content=body, headers=JSON))


def test_body_over_the_limit(http):
    body = json.dumps(chat_body("x" * (9 << 20))).encode()
    error = openai_error(http.post(CHAT, content=body, headers=JSON), 413)
    assert "8" in error["message"]


@pytest.mark.parametrize("model", ["fault", "smol"])
@pytest.mark.parametrize("change, field", [
    ({"model": 1}, "model"), ({"model": None}, "model"), ({"model": ""}, "model"),
    ({"messages": None}, "messages"), ({"messages": []}, "messages"), ({"messages": "hi"}, "messages"),
    ({"messages": [1]}, "messages[0]"), ({"messages": [{}]}, "messages[0].role"),
    ({"messages": [{"role": "king", "content": "x"}]}, "messages[0].role"),
    ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
    ({"temperature": -0.1}, "temperature"), ({"temperature": 2.1}, "temperature"), ({"temperature": "hot"}, "temperature"),
    ({"top_p": 1.5}, "top_p"), ({"n": 0}, "n"), ({"n": 1.5}, "n"), ({"n": 100000}, "n"),
    ({"max_tokens": 0}, "max_tokens"), ({"max_tokens": -5}, "max_tokens"), ({"max_tokens": "5"}, "max_tokens"),
    ({"max_tokens": 10**30}, "max_tokens"), ({"stream": "yes"}, "stream"), ({"stop": 5}, "stop"),
    ({"stop": ["a"] * 100}, "stop"), ({"presence_penalty": 3}, "presence_penalty"),
    ({"frequency_penalty": -3}, "frequency_penalty"), ({"seed": "x"}, "seed"), ({"logit_bias": []}, "logit_bias"),
    ({"stream_options": 1}, "stream_options"),
], ids=repr)
def test_wrong_types_and_ranges_name_the_field(http, model, change, field):
    body = {**chat_body("hi", model), **change}
    error = openai_error(http.post(CHAT, json=body))
    assert error["param"] is not None and error["param"].startswith(field), error


def test_unknown_model(http):
    error = openai_error(http.post(CHAT, json=chat_body("hi", "nobody")), 404)
    assert error["code"] == "model_not_found" and error["param"] == "model"


@pytest.mark.parametrize("path, status", [("/v1/nobody", 404), ("/v1/chat/completions", 405), ("/v1/messages", 404), ("/v1/batches", 404)])
def test_paths_of_v1_answer_in_the_dialect(http, path, status):
    openai_error(http.get(path), status)


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "", "json"])
def test_another_content_type(http, content_type):
    body = json.dumps(chat_body("hi"))
    error = openai_error(http.post(CHAT, content=body, headers={"Content-Type": content_type}), 415)
    assert "application/json" in error["message"]


@pytest.mark.parametrize("headers", [{}, {"Content-Type": "application/json; charset=utf-8"}, {"Content-Type": "Application/JSON"}])
def test_the_content_type_may_be_left_out(http, headers):
    answer = http.post(CHAT, content=json.dumps(chat_body("hi")).encode(), headers=headers)
    assert answer.status_code == 200, answer.text


def problem(answer, status, name, field=None):
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"].startswith("application/problem+json")
    body = answer.json()
    assert body["type"] == f"urn:weir:problem:{name}"
    assert body["status"] == status and body["title"] and body["detail"]
    assert body["instance"] == answer.headers["x-request-id"]
    if field:
        assert body["field"] == field
    return body


@pytest.mark.parametrize("content, name, field", [
    (b"{", "invalid-json", None), (b"[]", "invalid-input", None), (b'{"name":1}', "invalid-input", "name"),
    (b'{"name":""}', "invalid-input", "name"), (b'{"name":"' + b"x" * 101 + b'"}', "invalid-input", "name"),
    (b"{}", "invalid-input", "name"), (b'{"name":"a","colour":1}', "invalid-input", "colour"),
    (b'{"name":"a","expires_us":1}', "invalid-input", "expires_us"), (b'{"name":"\xff"}', "invalid-json", None),
    (b"[" * 10_000, "invalid-json", None),
], ids=lambda x: repr(x)[:40])
def test_bad_bodies_of_the_platform(browser, content, name, field):
    problem(browser.post("/api/keys", content=content, headers=JSON), 400, name, field)


def test_problems_of_the_platform(browser):
    problem(browser.get("/api/nobody"), 404, "not-found")
    problem(browser.delete("/api/me"), 405, "method-not-allowed")
    problem(browser.get("/api/threads/thr_nobody"), 404, "not-found")
    problem(browser.post("/api/keys", content=b"x=1", headers={"Content-Type": "text/plain"}), 415, "wrong-media-type")
    problem(browser.get("/api/threads?limit=0"), 400, "invalid-input", "limit")
    problem(browser.get("/api/threads?limit=ten"), 400, "invalid-input", "limit")
    problem(browser.get("/api/threads?cursor=%00"), 400, "invalid-input", "cursor")
    problem(browser.post("/api/threads", content=b"x" * (4 << 20), headers=JSON), 413, "too-large")


@pytest.mark.parametrize("body, status", [
    (b"{", 400), (b"[]", 400), (b"[" * 1_000_000, 400), (b'{"model":"\xff"}', 400),
    (json.dumps(chat_body("hi", "nobody")).encode(), 404), (json.dumps({**chat_body("hi"), "n": 0}).encode(), 400),
], ids=["json", "array", "brackets", "utf8", "model", "field"])
def test_what_was_read_whole_keeps_the_connection(weir, key, body, status):
    with raw.Connection(weir.address) as c:
        for _ in range(2):
            c.send(b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\n"
                   b"Content-Length: %d\r\n\r\n%s" % (key.encode(), len(body), body))
            answer = c.answer()
            assert answer.status == status and "connection" not in answer.headers


@pytest.mark.parametrize("announced", [True, False], ids=["length", "chunks"])
def test_what_is_too_large_closes_the_connection(weir, key, announced):
    """Told by its length it is refused before it is read."""
    head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\n" % key.encode()
    with raw.Connection(weir.address) as c:
        if announced:
            c.send(head + b"Content-Length: 9000000\r\n\r\n")
        else:
            c.send(head + b"Transfer-Encoding: chunked\r\n\r\n")
            for _ in range(140):
                c.send(b"10000\r\n" + b" " * 65536 + b"\r\n")
        answer = c.answer()
        assert answer.status == 413 and answer.headers["connection"] == "close"
        assert json.loads(answer.body)["error"]["code"] == "request_too_large"
        assert c.ends(10)


@pytest.mark.parametrize("data, status, name, words", [
    (b"GET / HTTP/2.0\r\nHost: localhost\r\n\r\n", 505, "not-supported", "1.1"),
    (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, "not-supported", "1.1"),
    (b"GET / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501, "not-supported", "transfer coding"),
    (b"GET /%s HTTP/1.1\r\nHost: localhost\r\n\r\n" % (b"x" * 9000), 414, "invalid-input", "long"),
    (b"GET / HTTP/1.1\r\nHost: localhost\r\nA: %s\r\n\r\n" % (b"x" * 40000), 431, "invalid-input", "large"),
    (b"GET / HTTP/1.1\r\nHost: localhost\r\nExpect: 200-ok\r\n\r\n", 417, "invalid-input", "expectation"),
    (b"GET / HTTP/1.1\r\nHost : localhost\r\n\r\n", 400, "invalid-input", "header"),
], ids=["version", "preface", "coding", "target", "head", "expect", "space"])
def test_what_is_no_request_says_why(weir, data, status, name, words):
    """One body, whose status is the answer's, and whose detail names what is wrong."""
    answers, closed = raw.exchange(weir.address, data)
    assert [a.status for a in answers] == [status] and closed
    body = json.loads(answers[0].body)
    assert answers[0].headers["content-type"] == "application/problem+json"
    assert body["status"] == status and body["type"] == f"urn:weir:problem:{name}"
    assert words in body["detail"], body


def test_a_client_that_drips(weir, key):
    """Slow, but within the rules: it is served."""
    body = json.dumps(chat_body("hi")).encode()
    head = (b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " + key.encode() +
            b"\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body))
    with raw.Connection(weir.address) as c:
        c.send(head)
        for i in range(0, len(body), 16):
            c.send(body[i : i + 16])
            c.socket.settimeout(0.05)
            try:
                c.fill()
            except TimeoutError:
                pass
        c.socket.settimeout(20)
        assert c.answer().status == 200


@pytest.mark.parametrize("first", [b"", b"GET /healthz HTTP/1.1\r\nHost: local"])
def test_a_head_that_never_comes_is_ended(weir, first):
    """At most 10 seconds for a head: 408, or just closed when nothing at all had come."""
    with raw.Connection(weir.address, timeout=30) as c:
        c.send(first)
        if first:
            assert c.answer().status == 408
        assert c.ends(30) and c.buffer == b""


@pytest.mark.parametrize("pause", [1.0])
def test_a_head_that_drips_is_ended(weir, pause):
    with raw.Connection(weir.address, timeout=30) as c:
        data = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n" + b"X-A: b\r\n" * 100
        c.socket.settimeout(pause)
        for byte in data[:25]:
            c.send(bytes([byte]))
            try:
                if not c.fill():
                    break
            except TimeoutError:
                continue
            break
        c.socket.settimeout(20)
        assert c.answer().status == 408


def test_still_well(weir, http):
    assert http.get("/healthz").status_code == 200
    assert http.get("/readyz").status_code == 200
    assert http.post(CHAT, json=chat_body("hi")).status_code == 200


def test_pages_of_other_origins_can_read_errors(start):
    weir = start(WEIR_CORS_ORIGINS_V1="https://app.example.com")
    key = {"Authorization": f"Bearer {weir.key()}", "Content-Type": "application/json"}
    chat = "/v1/chat/completions"
    with weir.http(headers={"Origin": "https://app.example.com"}) as http:
        for status, answer in [
            (200, http.get("/v1/models", headers=key)), (401, http.get("/v1/models")),
            (404, http.get("/v1/nothing", headers=key)), (404, http.get("/v1/models/nobody", headers=key)),
            (405, http.put("/v1/models", headers=key)), (400, http.post(chat, headers=key, content=b"{")),
        ]:
            assert answer.status_code == status
            assert answer.headers.get("access-control-allow-origin") == "https://app.example.com", (status, answer.headers)
            assert answer.headers.get_list("vary").count("Origin") == 1
        assert "access-control-allow-origin" not in http.get("/api/me").headers
        other = http.get("/v1/models", headers={"Origin": "https://evil.example.com"})
        assert "access-control-allow-origin" not in other.headers
