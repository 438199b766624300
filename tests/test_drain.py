"""SIGTERM: no new work, running streams to their end or to the limit, and status 0."""

import concurrent.futures
import contextlib
import json
import re
import signal
import threading
import time

import httpx
import pytest

from harness import raw, server
from harness.server import chat_body, eventually, fault

pytestmark = pytest.mark.short


def stream(weir, key, order, found):
    try:
        with weir.http(headers={"Authorization": f"Bearer {key}"}) as http:
            with http.stream("POST", "/v1/chat/completions", json=chat_body(order, stream=True)) as answer:
                found["status"] = answer.status_code
                for piece in answer.iter_text():
                    found["text"] = found.get("text", "") + piece
        found["whole"] = True
    except httpx.TransportError as error:
        found["error"] = error
    found["at"] = time.monotonic()


def begin(weir, key, order):
    found = {}
    thread = threading.Thread(target=stream, args=(weir, key, order, found))
    thread.start()
    eventually(lambda: found.get("text"))
    return thread, found


def test_a_running_stream_is_finished(start):
    weir = start()
    key = weir.key()
    thread, found = begin(weir, key, fault(words=60, interval_ms=50))
    idle = raw.Connection(weir.address)
    idle.send(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert idle.answer().status == 200
    weir.process.send_signal(signal.SIGTERM)
    assert idle.ends(5), "idle connections are closed at once"

    def refused():
        try:
            with raw.Connection(weir.address, timeout=2) as c:
                c.send(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n")
                return c.answer().status == 503
        except (OSError, EOFError):
            return True
    eventually(refused, 5)
    assert weir.process.poll() is None
    thread.join(30)
    assert found.get("whole") and found["text"].rstrip().endswith("data: [DONE]")
    assert found["text"].count("delta") >= 61
    assert weir.stop() == 0
    assert time.monotonic() - found["at"] < 5


def test_a_stream_over_the_limit_ends_with_an_error(start):
    weir = start(WEIR_DRAIN_MAX="1s")
    thread, found = begin(weir, weir.key(), fault(words=10_000, interval_ms=50))
    began = time.monotonic()
    assert weir.stop() == 0
    assert 0.9 < time.monotonic() - began < 10
    thread.join(10)
    assert found["status"] == 200 and found.get("whole"), found
    events = found["text"].rstrip("\n").split("\n\n")
    assert all("delta" in event for event in events[:-1])
    error = json.loads(events[-1].removeprefix("data: "))["error"]
    assert error["type"] == "server_error" and "stopped" in error["message"], error


def test_a_client_that_does_not_read_cannot_hold_the_drain(start):
    weir = start(WEIR_DRAIN_MAX="1s")
    body = json.dumps(chat_body(fault(words=1_000_000), stream=True)).encode()
    with raw.Connection(weir.address) as c:
        c.send(b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " + weir.key().encode() +
               b"\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        c.until(b"delta")
        time.sleep(1)  # all buffers are full now
        began = time.monotonic()
        assert weir.stop() == 0
        assert time.monotonic() - began < 5


def test_twice_is_at_once(start):
    weir = start()
    thread, found = begin(weir, weir.key(), fault(words=10_000, interval_ms=50))
    began = time.monotonic()
    weir.process.send_signal(signal.SIGTERM)
    time.sleep(0.5)
    assert weir.process.poll() is None
    weir.process.send_signal(signal.SIGTERM)
    weir.process.wait(15)
    assert time.monotonic() - began < 15
    thread.join(10)
    weir.stop()


def test_a_request_that_waits_for_its_answer_gets_it(start, upstream):
    weir = start()
    key = weir.key()
    found = {}

    def one():
        with weir.http(headers={"Authorization": f"Bearer {key}"}) as http:
            found["answer"] = http.post("/v1/chat/completions", json=chat_body(fault(words=20, drip_ms=2)))
    thread = threading.Thread(target=one)
    thread.start()
    eventually(lambda: upstream.answering)
    assert weir.stop() == 0
    thread.join(10)
    assert found["answer"].status_code == 200
    assert json.loads(found["answer"].text)["choices"][0]["message"]["content"].endswith("w19 ")
    assert found["answer"].headers.get("connection", "").lower() == "close"


def test_a_chat_run_is_finished_or_ends_clearly(start):
    weir = start(WEIR_DRAIN_MAX="2s")
    with weir.signed_in() as browser:
        thread = browser.post("/api/threads", json={}).json()["id"]
        answer = browser.post(f"/api/threads/{thread}/runs", json={
            "parent_id": None, "model": "fault", "content": fault(words=10_000, interval_ms=20)})
        run = answer.json()["run_id"]
        eventually(lambda: browser.get(f"/api/threads/{thread}").json()["messages"][-1]["content"])
        events, found = [], []

        def follow():
            with browser.stream("GET", f"/api/runs/{run}/events") as answer:
                for line in answer.iter_lines():
                    events.append(line)
            found.append("whole")
        follower = threading.Thread(target=follow)
        follower.start()
        eventually(lambda: len(events) > 20)
        assert weir.stop() == 0
        follower.join(10)
    assert found == ["whole"]
    event, _, data = [line for line in events if line][-3:]
    assert event == "event: error" and "stopped" in json.loads(data.removeprefix("data: "))["detail"]
    again = start(folder=weir.folder, setup=False)
    with again.signed_in() as browser:
        message = browser.get(f"/api/threads/{thread}").json()["messages"][-1]
        assert message["status"] == "failed" and message["content"].startswith("w0 ")


def test_nothing_running_is_quick(start):
    weir = start()
    began = time.monotonic()
    assert weir.stop() == 0
    assert time.monotonic() - began < 5


def test_another_signal_changes_nothing(start):
    """SIGUSR1 was once how the main thread ended the one that waits for signals."""
    weir = start(setup=False)
    weir.process.send_signal(signal.SIGUSR1)
    weir.process.send_signal(signal.SIGHUP)
    eventually(lambda: "reading certificates and key rings again" in weir.stderr())
    with weir.http() as http:
        assert http.get("/healthz").status_code == 200
    assert weir.stop(10) == 0


def test_while_a_model_loads(start, tmp_path):
    """It never becomes ready, so it never says so."""
    program = tmp_path / "weir-infer"
    program.write_text("#!/bin/sh\nexec sleep 60\n")
    program.chmod(0o755)
    model = tmp_path / "model.gguf"
    model.symlink_to(server.MODEL)
    weir = start("up", f"[model slow]\npath = {model}\n", wait=False, setup=False,
                 WEIR_INFER_PROGRAM=program)
    eventually(lambda: any(line.startswith("set up") for line in weir.lines))
    assert weir.stop(20) == 0
    assert not any(line.startswith("ready") for line in weir.lines), weir.lines
    assert "not every model is ready" not in weir.stderr()


def test_models_that_do_not_want_to_end(start, tmp_path):
    """Each gets its five seconds; all get them at the same time."""
    program = tmp_path / "weir-infer"
    program.write_text("#!/bin/sh\ntrap '' TERM\necho $$ >> " + str(tmp_path / "pids") + "\nexec sleep 60\n")
    program.chmod(0o755)
    config = ""
    for i in range(4):
        (tmp_path / f"{i}.gguf").symlink_to(server.MODEL)
        config += f"[model m{i}]\npath = {tmp_path / f'{i}.gguf'}\n"
    weir = start("up", config, wait=False, setup=False, WEIR_INFER_PROGRAM=program)
    eventually(lambda: any(line.startswith("set up") for line in weir.lines))
    weir.url = re.search(r"http://[^/\s]+", " ".join(weir.lines))[0]  # it is not ready, and never will be
    weir.setup()

    def call(i):  # unasked they are loaded one after the other, and the first never is
        with contextlib.suppress(httpx.HTTPError):
            http.post("/v1/chat/completions", json=server.chat_body(model=f"m{i}"), timeout=3)
    with weir.http(headers={"Authorization": f"Bearer {weir.key()}"}) as http, \
            concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(call, range(4)))
    eventually(lambda: (tmp_path / "pids").exists() and len((tmp_path / "pids").read_text().split()) == 4)
    time.sleep(0.3)
    began = time.monotonic()
    assert weir.stop(40) == 0
    assert time.monotonic() - began < 12
