"""Odd and hostile HTTP, byte by byte (RFC 9110, 9112): each input gets the right answer, and a
connection whose framing is in doubt is closed after it."""

import json

import pytest

from harness import raw
from harness.server import chat_body

pytestmark = pytest.mark.short

BODY = json.dumps(chat_body("hi")).encode()
REFUSED, CLOSED = (400,), True


def get(path="/healthz", headers=b"", version=b"1.1", method=b"GET", host=b"Host: localhost\r\n"):
    return method + b" " + path.encode("latin-1") + b" HTTP/" + version + b"\r\n" + host + headers + b"\r\n"


def post(headers, body=BODY):
    """With KEY put in by the test."""
    return (b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer KEY\r\n"
            b"Content-Type: application/json\r\n" + headers + b"\r\n" + body)


def chunked(*parts, end=b"0\r\n\r\n", headers=b""):
    return post(b"Transfer-Encoding: chunked\r\n" + headers, b"".join(parts) + end)


SIZE = b"%d" % len(BODY)
HEX = b"%x" % len(BODY)
GOOD_CHUNK = HEX + b"\r\n" + BODY + b"\r\n"
LENGTH = b"Content-Length: " + SIZE + b"\r\n"

# name, bytes, statuses that are right, whether the connection must be closed
CASES = [
    ("content-length", post(LENGTH), (200,), False),
    ("chunked", chunked(GOOD_CHUNK), (200,), False),
    ("chunk extension", chunked(HEX + b";a=b\r\n" + BODY + b"\r\n"), (200,), False),
    ("chunk size with leading zeros", chunked(b"000" + GOOD_CHUNK), (200,), False),
    ("trailer fields", chunked(GOOD_CHUNK, end=b"0\r\nX-Sum: 1\r\n\r\n"), (200,), False),
    ("two chunks", chunked(b"5\r\n" + BODY[:5] + b"\r\n", b"%x\r\n" % (len(BODY) - 5) + BODY[5:] + b"\r\n"), (200,), False),
    ("empty lines before the request", b"\r\n\r\n" + get(), (200,), False),
    ("spaces after content-length", post(b"Content-Length:  " + SIZE + b"  \r\n"), (200,), False),
    ("absolute form", get("http://localhost/healthz"), (200,), False),
    ("HTTP/1.0 without Host", get(version=b"1.0", host=b""), (200,), True),
    ("connection: close", get(headers=b"Connection: close\r\n"), (200,), True),
    ("empty header value", get(headers=b"X-Empty:\r\n"), (200,), False),
    ("obs-text in a value", get(headers=b"X-Text: \xe9\xff\r\n"), (200,), False),
    ("query", get("/healthz?a=%20b&c"), (200,), False),

    ("chunk size xyz", chunked(b"xyz\r\n" + BODY + b"\r\n"), REFUSED, CLOSED),
    ("chunk size 0xd", chunked(b"0x" + GOOD_CHUNK), REFUSED, CLOSED),
    ("chunk size -1", chunked(b"-1\r\n" + BODY + b"\r\n"), REFUSED, CLOSED),
    ("chunk size +5", chunked(b"+" + GOOD_CHUNK), REFUSED, CLOSED),
    ("chunk size overflows", chunked(b"fffffffffffffffff\r\n" + BODY + b"\r\n"), (400, 413), CLOSED),
    ("chunk size is empty", chunked(b"\r\n" + BODY + b"\r\n"), REFUSED, CLOSED),
    ("chunk ends with LF alone", chunked(HEX + b"\n" + BODY + b"\n"), REFUSED, CLOSED),
    ("chunk is longer than it says", chunked(b"5\r\n" + BODY + b"\r\n"), REFUSED, CLOSED),
    ("two differing content-lengths", post(LENGTH + b"Content-Length: 5\r\n"), REFUSED, CLOSED),
    ("two equal content-lengths", post(LENGTH + LENGTH), REFUSED, CLOSED),
    ("content-length as a list", post(b"Content-Length: " + SIZE + b", " + SIZE + b"\r\n"), REFUSED, CLOSED),
    ("content-length and chunked", post(LENGTH + b"Transfer-Encoding: chunked\r\n", GOOD_CHUNK + b"0\r\n\r\n"), REFUSED, CLOSED),
    ("chunked and content-length", post(b"Transfer-Encoding: chunked\r\n" + LENGTH, GOOD_CHUNK + b"0\r\n\r\n"), REFUSED, CLOSED),
    ("transfer-encoding: xchunked", post(b"Transfer-Encoding: xchunked\r\n", GOOD_CHUNK + b"0\r\n\r\n"), (400, 501), CLOSED),
    ("transfer-encoding: chunked, identity", post(b"Transfer-Encoding: chunked, identity\r\n", GOOD_CHUNK + b"0\r\n\r\n"), (400, 501), CLOSED),
    ("transfer-encoding: identity", post(b"Transfer-Encoding: identity\r\n" , BODY), (400, 501), CLOSED),
    ("transfer-encoding twice", post(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", GOOD_CHUNK + b"0\r\n\r\n"), (400, 501), CLOSED),
    ("transfer-encoding: gzip, chunked", post(b"Transfer-Encoding: gzip, chunked\r\n", GOOD_CHUNK + b"0\r\n\r\n"), (400, 501), CLOSED),
    ("transfer-encoding with vertical tab", post(b"Transfer-Encoding:\x0bchunked\r\n", GOOD_CHUNK + b"0\r\n\r\n"), (400, 501), CLOSED),
    ("content-length +n", post(b"Content-Length: +" + SIZE + b"\r\n"), REFUSED, CLOSED),
    ("content-length -1", post(b"Content-Length: -1\r\n"), REFUSED, CLOSED),
    ("content-length 0x", post(b"Content-Length: 0x" + HEX + b"\r\n"), REFUSED, CLOSED),
    ("content-length is empty", post(b"Content-Length:\r\n"), REFUSED, CLOSED),
    ("content-length 1 3", post(b"Content-Length: 1 3\r\n"), REFUSED, CLOSED),
    ("content-length overflows", post(b"Content-Length: 18446744073709551617\r\n"), (400, 413), CLOSED),
    ("a space before the colon", post(b"Content-Length : " + SIZE + b"\r\n"), REFUSED, CLOSED),
    ("a tab before the colon", get(headers=b"X-A\t: b\r\n"), REFUSED, CLOSED),
    ("a space in a name", get(headers=b"X A: b\r\n"), REFUSED, CLOSED),
    ("an empty name", get(headers=b": b\r\n"), REFUSED, CLOSED),
    ("no colon", get(headers=b"X-A\r\n"), REFUSED, CLOSED),
    ("a continued line", get(headers=b"X-A: b\r\n c\r\n"), REFUSED, CLOSED),
    ("a continued first line", b"GET /healthz HTTP/1.1\r\n Host: localhost\r\n\r\n", REFUSED, CLOSED),
    ("NUL in a value", get(headers=b"X-A: b\x00c\r\n"), REFUSED, CLOSED),
    ("NUL in a name", get(headers=b"X\x00A: b\r\n"), REFUSED, CLOSED),
    ("CR alone in a value", get(headers=b"X-A: b\rc\r\n"), REFUSED, CLOSED),
    ("CR alone ends a line", get(headers=b"X-A: b\rX-B: c\r\n"), REFUSED, CLOSED),
    ("LF alone ends a line", get(headers=b"X-A: b\nX-B: c\r\n"), REFUSED, CLOSED),
    ("LF alone throughout", get().replace(b"\r\n", b"\n"), REFUSED, CLOSED),
    ("1 MB header", get(headers=b"X-A: " + b"a" * 1_000_000 + b"\r\n"), (431,), CLOSED),
    ("10,000 headers", get(headers=b"".join(b"X-%d: a\r\n" % i for i in range(10_000))), (431,), CLOSED),
    ("1 MB address", get("/" + "a" * 1_000_000), (414,), CLOSED),
    ("no Host", get(host=b""), REFUSED, CLOSED),
    ("two Hosts", get(host=b"Host: localhost\r\nHost: localhost\r\n"), REFUSED, CLOSED),
    ("Host with a space", get(host=b"Host: local host\r\n"), REFUSED, CLOSED),
    ("Host with a path", get(host=b"Host: localhost/x\r\n"), REFUSED, CLOSED),
    ("Host with a user", get(host=b"Host: a@localhost\r\n"), REFUSED, CLOSED),
    ("Host with a bad port", get(host=b"Host: localhost:99999\r\n"), REFUSED, CLOSED),
    ("NUL in the path, escaped", get("/healthz%00x"), (400, 404), None),
    ("a bad escape", get("/%zz"), (400, 404), None),
    ("a slash, escaped", get("/api%2fme"), (400, 404), None),
    ("dots", get("/v1/../healthz"), (400, 404), None),
    ("NUL in the path", get("/health\x00z"), REFUSED, CLOSED),
    ("a space in the path", get("/a b"), REFUSED, CLOSED),
    ("a tab in the path", get("/a\tb"), REFUSED, CLOSED),
    ("a fragment", get("/healthz#x"), (400, 404), None),
    ("a path without a slash", get("healthz"), REFUSED, CLOSED),
    ("no path", b"GET  HTTP/1.1\r\nHost: localhost\r\n\r\n", REFUSED, CLOSED),
    ("an unknown method", get(method=b"BREW"), (400, 405, 501), None),
    ("a method in small letters", get(method=b"get"), (400, 405, 501), None),
    ("a method with a colon", get(method=b"GE:T"), (400, 501), CLOSED),
    ("CONNECT", get("localhost:443", method=b"CONNECT"), (400, 405, 501), None),
    ("TRACE", get(method=b"TRACE"), (400, 405, 501), None),
    ("HTTP/0.9", b"GET /healthz\r\n\r\n", (400, 505), CLOSED),
    ("HTTP/1.2", get(version=b"1.2"), (200, 400, 505), None),
    ("HTTP/2.0", get(version=b"2.0"), (400, 505), CLOSED),
    ("HTTP/1.10", get(version=b"1.10"), (400, 505), CLOSED),
    ("the preface of HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", (400, 405, 501, 505), CLOSED),
    ("TLS to a plain port", bytes.fromhex("16030100c8010000c40303") + b"a" * 100, REFUSED, CLOSED),
    ("chunked over HTTP/1.0", post(b"Transfer-Encoding: chunked\r\n", GOOD_CHUNK + b"0\r\n\r\n").replace(b"HTTP/1.1", b"HTTP/1.0"), REFUSED, CLOSED),
    ("an unknown expectation", post(LENGTH + b"Expect: tea\r\n"), (417,), None),
]


@pytest.mark.parametrize("data, statuses, closed", [pytest.param(*case[1:], id=case[0]) for case in CASES])
def test_odd_input(weir, key, data, statuses, closed):
    answers, was_closed = raw.exchange(weir.address, data.replace(b"KEY", key.encode()))
    assert len(answers) == 1, answers
    assert answers[0].status in statuses, answers[0]
    if closed is not None:
        assert was_closed == closed, answers[0]
    if was_closed and not (b"HTTP/1.0" in data):
        assert answers[0].headers.get("connection", "").lower() == "close", answers[0]
    assert "x-request-id" in answers[0].headers or answers[0].status >= 400


@pytest.mark.parametrize("path", ["/v1/x", "/api/x", "/healthz"])
def test_errors_of_the_framing_are_in_a_dialect(weir, path):
    answers, _ = raw.exchange(weir.address, get(path, host=b""))
    assert answers[0].status == 400
    body = json.loads(answers[0].body)
    assert "error" in body or body["status"] == 400


def test_pipelined(weir, key):
    answers, closed = raw.exchange(weir.address, get() + get("/api/nobody") + post(LENGTH).replace(b"KEY", key.encode()) + get())
    assert [a.status for a in answers] == [200, 404, 200, 200] and not closed


def test_pipelined_after_refused(weir):
    """What follows a request that was refused with the connection closed is never looked at."""
    answers, closed = raw.exchange(weir.address, get(host=b"") + get())
    assert [a.status for a in answers] == [400] and closed


def test_head(weir):
    with raw.Connection(weir.address) as c:
        c.send(get())
        whole = c.answer()
        c.send(get(method=b"HEAD"))
        head = c.answer("HEAD")
        assert head.status == 200
        assert head.headers.get("content-length") == whole.headers["content-length"]
        c.send(get())
        assert c.answer().body == whole.body


def test_expect_continue(weir, key):
    with raw.Connection(weir.address) as c:
        c.send(post(LENGTH + b"Expect: 100-continue\r\n", b"").replace(b"KEY", key.encode()))
        assert c.answer().status == 100
        c.send(BODY)
        assert c.answer().status == 200


def test_expect_continue_refused_before_the_body(weir):
    with raw.Connection(weir.address) as c:
        c.send(post(LENGTH + b"Expect: 100-continue\r\n", b"").replace(b"KEY", b"weir_sk_wrong"))
        assert c.answer().status == 401


def test_byte_by_byte(weir, key):
    with raw.Connection(weir.address) as c:
        for byte in post(LENGTH).replace(b"KEY", key.encode()):
            c.send(bytes([byte]))
        assert c.answer().status == 200


def test_body_over_the_limit(weir, key):
    """413 arrives, although the client is still sending."""
    for headers, body in (
        (b"Content-Length: 100000000\r\n", b"a" * 1_000_000),
        (b"Transfer-Encoding: chunked\r\n", b"".join(b"100000\r\n" + b" " * 0x100000 + b"\r\n" for _ in range(12))),
    ):
        answers, closed = raw.exchange(weir.address, post(headers, body).replace(b"KEY", key.encode()))
        assert [a.status for a in answers] == [413] and closed
        assert json.loads(answers[0].body)["error"]["message"]


def test_flood_of_pipelined_requests_during_a_stream(weir, key, upstream):
    """A client that sends and sends while its answer streams is slowed down, not stored."""
    before = weir.resident_kib()
    body = json.dumps(chat_body(json.dumps({"words": 40, "interval_ms": 50}), stream=True)).encode()
    with raw.Connection(weir.address) as c:
        c.send(post(b"Content-Length: %d\r\n" % len(body), body).replace(b"KEY", key.encode()))
        assert c.head()[0] == 200
        c.socket.settimeout(0.5)
        sent = 0
        try:
            while sent < 64_000_000:
                sent += c.socket.send(get() * 1000)
        except TimeoutError:
            pass
        assert sent < 32_000_000
        assert weir.resident_kib() - before < 16_384
