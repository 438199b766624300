"""That a limit which is set is the one that holds."""

import concurrent.futures
import json
import os
import time

import pytest

from harness import raw, server
from harness.fault_upstream import FaultUpstream
from harness.server import EMAIL, PASSWORD, chat_body, fault

CHAT = "/v1/chat/completions"


def head(key, length, path=CHAT):
    return (f"POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n").encode()


@pytest.fixture
def hasty(start):
    """Every deadline far below what is usual."""
    return start(WEIR_HEAD_TIMEOUT="300ms", WEIR_IDLE_TIMEOUT="500ms", WEIR_BODY_GRACE="400ms", WEIR_BODY_RATE_MIN="1MiB",
                 WEIR_WRITE_TIMEOUT="400ms", WEIR_HEAD_MAX="4KiB", WEIR_TARGET_MAX="1KiB", WEIR_HEADERS_MAX="16",
                 WEIR_UPSTREAM_FIRST_BYTE_TIMEOUT="1500ms", WEIR_UPSTREAM_ANSWER_TIMEOUT="1700ms",
                 WEIR_UPSTREAM_IDLE_TIMEOUT="1600ms")


def test_deadlines_of_a_client(hasty):
    key = hasty.key()
    with raw.Connection(hasty.address) as c:
        began = time.monotonic()
        c.send(b"GET /healthz HTTP/1.1\r\nHost: local")
        assert c.answer().status == 408 and c.ends()
        assert 0.2 < time.monotonic() - began < 3
    with raw.Connection(hasty.address) as c:
        c.send(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert c.answer().status == 200
        began = time.monotonic()
        assert c.ends() and 0.3 < time.monotonic() - began < 3
    with raw.Connection(hasty.address) as c:
        began = time.monotonic()
        c.send(head(key, 100) + b"{")
        answer = c.answer()
        assert answer.status == 408 and json.loads(answer.body)["error"]["message"], answer
        assert c.ends() and 0.3 < time.monotonic() - began < 3
    with raw.Connection(hasty.address) as c:
        c.send(b"POST /api/session HTTP/1.1\r\nHost: localhost\r\nSec-Fetch-Site: same-origin\r\n"
               b"Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{")
        answer = c.answer()
        assert answer.status == 408 and json.loads(answer.body)["type"] == "urn:weir:problem:too-slow"
        assert answer.headers["content-type"] == "application/problem+json" and c.ends()


def test_request_timeout(start):
    """A body that keeps to the rate, and would take an hour."""
    weir = start(WEIR_REQUEST_TIMEOUT="1s")
    key = weir.key()
    with raw.Connection(weir.address) as c:
        began = time.monotonic()
        c.send(head(key, 1 << 20))
        c.socket.settimeout(0.1)
        while time.monotonic() - began < 10 and b"\r\n\r\n" not in c.buffer and not c.closed:
            c.send(b" " * 200)
            try:
                c.fill()
            except TimeoutError:
                pass
        assert time.monotonic() - began < 5
        assert c.answer().status == 408 and c.ends()
    with weir.http(headers={"Authorization": f"Bearer {key}"}) as http:  # but a model has all its time
        answer = http.post(CHAT, json=chat_body(fault(words=4, interval_ms=500)))
        assert answer.status_code == 200


def test_sizes_of_a_head(hasty):
    answers, closed = raw.exchange(hasty.address, b"GET /%s HTTP/1.1\r\nHost: localhost\r\n\r\n" % (b"x" * 1200))
    assert [a.status for a in answers] == [414] and closed
    answers, closed = raw.exchange(hasty.address, b"GET / HTTP/1.1\r\nHost: localhost\r\nA: %s\r\n\r\n" % (b"x" * 5000))
    assert [a.status for a in answers] == [431] and closed
    answers, closed = raw.exchange(hasty.address, b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"A: b\r\n" * 20 + b"\r\n")
    assert [a.status for a in answers] == [431] and closed


def test_a_reader_that_stalls(hasty):
    """Its stream is ended, and the upstream told to stop."""
    key = hasty.key()
    body = json.dumps(chat_body(fault(words=200000), stream=True)).encode()
    with raw.Connection(hasty.address) as c:
        c.socket.setsockopt(raw.socket.SOL_SOCKET, raw.socket.SO_RCVBUF, 4096)
        c.send(head(key, len(body)) + body)
        server.eventually(lambda: hasty.metric("weir_http_connections_open") >= 1)
        began = time.monotonic()
        server.eventually(lambda: hasty.metric("weir_http_connections_open") <= 1, 15)  # 1: the one that asks
        assert time.monotonic() - began < 10


@pytest.mark.parametrize("order, stream, status", [
    ({"do": "hang"}, True, 504), ({"do": "hang"}, False, 504), ({"hang_at": 0}, False, 504),
])
def test_deadlines_of_an_upstream(hasty, order, stream, status):
    key = hasty.key()
    with hasty.http(headers={"Authorization": f"Bearer {key}"}) as http:
        began = time.monotonic()
        answer = http.post(CHAT, json=chat_body(fault(**order), stream=stream))
        assert answer.status_code == status, answer.text
        assert 1.4 < time.monotonic() - began < 8
        began = time.monotonic()
        answer = http.post(CHAT, json=chat_body(fault(hang_at=300), stream=True))
        assert answer.status_code == 200, answer.text
        assert "[DONE]" not in answer.text and '"error"' in answer.text
        assert 1.5 < time.monotonic() - began < 8


def sessions(weir, **headers):
    """The addresses from which the owner is signed in, after one more time."""
    headers = {"Origin": weir.url, "Sec-Fetch-Site": "same-origin", **headers}
    with weir.http(headers=headers) as http:
        assert http.post("/api/session", json={"email": EMAIL, "password": PASSWORD}).status_code == 200
        return [s["address"] for s in http.get("/api/sessions").json()["data"] if s["current"]]


def test_nobody_is_a_proxy_unless_set(start):
    weir = start()
    assert sessions(weir, **{"X-Forwarded-For": "192.0.2.7"}) == ["127.0.0.1"]


def test_a_trusted_proxy_tells_the_address(start):
    weir = start(WEIR_TRUSTED_PROXIES="127.0.0.0/8,10.0.0.0/8")
    assert sessions(weir, **{"X-Forwarded-For": "6.6.6.6, 192.0.2.7, 10.1.2.3"}) == ["192.0.2.7"]
    assert sessions(weir, **{"Forwarded": "for=192.0.2.7"}) == ["127.0.0.1"]
    with weir.http(headers={"Origin": weir.url}) as http:  # a guesser shuts out its own address alone
        for _ in range(12):
            http.post("/api/session", json={"email": "n@x", "password": "guess"}, headers={"X-Forwarded-For": "192.0.2.66"})
    assert sessions(weir, **{"X-Forwarded-For": "192.0.2.8"}) == ["192.0.2.8"]


def test_forwarded(start):
    weir = start(WEIR_TRUSTED_PROXIES="127.0.0.1", WEIR_PROXY_HEADER="forwarded")
    assert sessions(weir, Forwarded='for="[2001:db8::7]:4711";proto=https') == ["2001:db8::7"]
    assert sessions(weir, **{"X-Forwarded-For": "192.0.2.7"}) == ["127.0.0.1"]


def test_session_cookie_lives_as_long_as_set(start):
    weir = start(WEIR_SESSION_MAX="2h")
    with weir.http(headers={"Origin": weir.url}) as http:
        answer = http.post("/api/session", json={"email": EMAIL, "password": PASSWORD})
        assert "Max-Age=7200" in answer.headers["set-cookie"]


def test_what_weir_infer_is_started_with(start):
    config = f"[model a]\npath = {server.MODEL}\nparallel = 3\ncontext = 512\n"
    weir = start("up", config, WEIR_INFER_PARALLEL=2, WEIR_INFER_THREADS=1, WEIR_INFER_QUEUE=7, WEIR_INFER_BATCH=64,
                 WEIR_LOG_FORMAT="json")
    (pid,) = weir.infer_pids()
    with open(f"/proc/{pid}/cmdline", "rb") as file:
        args = file.read().decode().split("\0")
    for arg in ("--threads=1", "--queue=7", "--batch=64", "--log=info,json"):
        assert arg in args, args
    assert args.index("--parallel=2") < args.index("--parallel=3"), "the later one counts"
    assert "--context=512" in args
    lines = [json.loads(line) for line in weir.stderr().splitlines()]  # those of the child, too
    ready = [line for line in lines if line.get("name") == "a"]
    assert ready and ready[-1]["parallel"] == 3 and ready[-1]["context"] == 512, weir.stderr()


@pytest.mark.parametrize("env, expected", [
    ({"WEIR_TRUSTED_PROXIES": "10.0.0.0/33"}, "10.0.0.0/33"), ({"WEIR_INFER_BATCH": "5"}, "infer_batch"),
    ({"WEIR_HEAD_TIMEOUT": "0"}, "between 100ms"), ({"WEIR_PROXY_HEADER": "via"}, "x-forwarded-for or forwarded"),
])
def test_bad_limits(start, env, expected):
    one = start(wait=False, **env)
    assert one.process.wait(60) != 0
    one._close()
    assert expected in one.stderr(), one.stderr()


def test_passwords_leave_threads_to_others(start):
    """So many sign-ins at once as may be checked, and the name of an upstream to look up meanwhile."""
    upstream = FaultUpstream()
    config = f"[upstream named]\nurl = http://localhost:{upstream.port}/v1\n[model fault]\nupstream = named\n"
    weir = start(config=config, WEIR_PASSWORD_CHECKS_MAX="12")
    key = weir.key()

    def sign_in(_):
        with weir.http(headers={"Origin": weir.url}) as http:
            return http.post("/api/session", json={"email": "n@x", "password": "guess" * 9}).status_code
    with concurrent.futures.ThreadPoolExecutor(24) as pool:
        tries = pool.map(sign_in, range(24))
        with weir.http(headers={"Authorization": f"Bearer {key}"}) as http:
            assert http.post(CHAT, json=chat_body()).status_code == 200
        assert set(tries) <= {401, 429}
    threads = len(os.listdir(f"/proc/{weir.process.pid}/task"))
    others = 1 + 1 + 2 + 5  # main, signals, workers, database
    assert threads >= others + 12 + 4, threads
    upstream.close()


def test_metrics_are_no_page_of_the_app(start):
    weir = start()
    key = weir.key()
    with weir.http(headers={"Authorization": f"Bearer {key}"}) as http:
        answer = http.get("/metrics")
        assert answer.status_code == 404 and answer.headers["content-type"] == "application/problem+json", answer.text
        began = weir.metrics()
        assert http.get("/api/bootstrap").status_code == 200
        assert http.post(CHAT, json=chat_body(fault(words=3, interval_ms=200), stream=True)).status_code == 200
        assert http.get("/").status_code == 200

    def grown(name):
        return weir.metrics()[name] - began.get(name, 0)
    for kind in ("v1", "api", "web"):
        assert grown(f'weir_http_request_duration_seconds_count{{class="{kind}"}}') == 1, kind
    assert 0.4 < grown('weir_http_request_duration_seconds_sum{class="v1"}') < 10
