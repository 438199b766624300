"""Clients that hang up at any byte leave nothing behind: no fiber, descriptor, call, sequence or
memory. 10,000 of them in the long run. harness/census.py says how that is counted."""

import json
import ssl

import pytest

from harness import raw
from harness.certificates import Authority
from harness.census import leaves_nothing, settings
from harness.server import LONG, MODEL, chat_body, fault, fault_and

COUNT = 10_000 if LONG else 1_000
pytestmark = pytest.mark.short


def request(key, body, method="POST", path="/v1/chat/completions", more=b""):
    return (f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\n".encode() + more +
            b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body)


def completion(key, pick, local=0.1, **more):
    model = "smol" if pick.random() < local else "fault"
    order = "hi" if model == "smol" else fault(words=pick.randrange(30), interval_ms=pick.choice([0, 0, 1, 5]))
    if model == "smol":
        more["max_tokens"] = 40
    return request(key, json.dumps(chat_body(order, model, stream=pick.random() < 0.7, **more)).encode())


def other(key, pick, local=0.1):
    """Of the endpoints beside chat."""
    model = "smol" if pick.random() < local else "fault"
    order = "hi" if model == "smol" else fault(words=pick.randrange(30), interval_ms=pick.choice([0, 0, 1, 5]))
    path, body = pick.choice([
        ("completions", {"prompt": [order] * pick.choice([1, 3]), "stream": pick.random() < 0.7, "max_tokens": 20}),
        ("completions", {"prompt": order, "n": pick.choice([1, 2]), "stream": True, "max_tokens": 20}),
        ("embeddings", {"input": order}), ("tokenize", {"prompt": order}),
    ])
    return request(key, json.dumps({"model": model, **body}).encode(), path=f"/v1/{path}")


def pipelined(key, pick, local):
    get = request(key, b"", "GET", pick.choice(["/v1/models", "/healthz", "/v1/nobody"]))
    return get * pick.randrange(1, 4) + completion(key, pick, local) + get * pick.randrange(3)


def upload(key, pick):
    """A body that is large enough for a thread to read it, in one piece, in chunks, or waited for."""
    body = json.dumps(chat_body("x" * pick.randrange(200_000))).encode()
    whole = request(key, body, more=pick.choice([b"", b"Expect: 100-continue\r\n"]))
    if pick.random() < 0.6:
        return whole
    head = whole[: whole.index(b"Content-Length")] + b"Transfer-Encoding: chunked\r\n\r\n"
    size = pick.randrange(1, 50_000)
    return head + b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in (body[i : i + size] for i in range(0, len(body), size)))


def leave(connection, data, pick, whole=0.7):
    """Sends and reads a random part, and leaves in a random way."""
    sent = len(data) if pick.random() < whole else pick.randrange(len(data))
    connection.send(data[:sent])
    if sent == len(data) and pick.random() < 0.8:
        wanted = pick.randrange(3000)
        connection.socket.settimeout(pick.choice([0.01, 0.05, 0.5]))
        try:
            while len(connection.buffer) < wanted and connection.fill():
                pass
        except TimeoutError:
            pass
    if pick.random() < 0.5:
        connection.reset()


def of_v1(weir, key, local=0.1, tls=None):
    def within_an_answer(pick):
        """Left when it certainly has a sequence."""
        body = json.dumps(chat_body("hi", "smol", stream=True, max_tokens=200, n=pick.choice([1, 1, 3]))).encode()
        with raw.Connection(weir.address, timeout=120) as connection:
            connection.send(request(key, body))
            connection.until(b'"content":"')
            if pick.random() < 0.5:
                connection.reset()

    def one(pick):
        kind = pick.random()
        data = (completion(key, pick, local) if kind < 0.5 else other(key, pick, local) if kind < 0.7 else
                pipelined(key, pick, local) if kind < 0.85 else upload(key, pick))
        if pick.random() < local / 4:
            return within_an_answer(pick)
        with raw.Connection(weir.address, tls=tls) as connection:
            leave(connection, data, pick)
    return one


def test_random_disconnects(start, upstream):
    weir = start("up", fault_and(f"[model smol]\npath = {MODEL}\n", upstream), **settings())
    key = weir.key()
    leaves_nothing(weir, upstream, of_v1(weir, key), COUNT)
    with weir.http(headers={"Authorization": f"Bearer {key}"}) as http:
        assert http.post("/v1/chat/completions", json=chat_body(fault(words=1))).status_code == 200
        assert http.post("/v1/chat/completions", json=chat_body("hi", "smol", max_tokens=4)).status_code == 200
    assert weir.stop() == 0


def test_random_disconnects_of_the_chat(start, upstream):
    """A run goes on without its follower, and ends; its events are followed, cut, followed again."""
    weir = start(WEIR_RUNS_MAX=1000, WEIR_THREADS_MAX=100_000, **settings())
    with weir.signed_in() as browser:
        cookie = "; ".join(f"{name}={value}" for name, value in browser.cookies.items())

    def api(method, path, body=b""):
        return (f"{method} /api{path} HTTP/1.1\r\nHost: {weir.url.removeprefix('http://')}\r\nCookie: {cookie}\r\n"
                f"Origin: {weir.url}\r\nSec-Fetch-Site: same-origin\r\n").encode() + (
                    b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body)

    def one(pick):
        with raw.Connection(weir.address) as c:
            c.send(api("POST", "/threads", b"{}"))
            answer = c.answer()
            assert answer.status == 201, answer
            thread = json.loads(answer.body)["id"]
        order = fault(words=pick.randrange(60), interval_ms=pick.choice([0, 0, 2, 10]))
        start_run = api("POST", f"/threads/{thread}/runs",
                        json.dumps({"parent_id": None, "model": "fault", "content": order}).encode())
        with raw.Connection(weir.address) as c:
            if pick.random() < 0.3:
                leave(c, start_run, pick)
            else:
                c.send(start_run)
                answer = c.answer()
                assert answer.status == 201, answer
                run = json.loads(answer.body)["run_id"]
                if pick.random() < 0.2:
                    c.send(api("POST", f"/runs/{run}/stop"))
                for after in range(pick.randrange(3)):
                    with raw.Connection(weir.address) as follower:
                        leave(follower, api("GET", f"/runs/{run}/events?after={after}"), pick, whole=0.9)
        with raw.Connection(weir.address) as c:
            c.send(api("DELETE", f"/threads/{thread}"))
            answer = c.answer()
            assert answer.status == 204, answer

    leaves_nothing(weir, upstream, one, COUNT)
    assert weir.stop() == 0


def test_random_disconnects_over_tls(start, upstream, tmp_path):
    ca = Authority(tmp_path)
    certificate, private = ca.sign("weir")
    weir = start(WEIR_TLS_CERTIFICATE=certificate, WEIR_TLS_KEY=private, **settings())
    tls = ssl.create_default_context(cafile=ca.pem)
    tls.check_hostname = False
    of_streams = of_v1(weir, weir.key(), local=0, tls=tls)
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    with pytest.raises(ssl.SSLWantReadError):
        tls.wrap_bio(there, back).do_handshake()
    hello = back.read()

    def one(pick):
        if pick.random() < 0.7:
            of_streams(pick)
        else:  # within the handshake
            with raw.Connection(weir.address) as c:
                leave(c, pick.choice([hello, hello + b"\x14\x03\x03\0\1\1", b"GET / HTTP/1.1\r\n\r\n"]), pick)

    leaves_nothing(weir, upstream, one, COUNT)
    assert weir.stop() == 0
