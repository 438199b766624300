"""Conversations: a run goes on when its follower leaves, and is picked up without loss or repeat."""

import http.server
import json
import threading
import time

import httpx
import pytest

from harness.proxy import CuttingProxy
from harness.server import LONG, eventually, fault

pytestmark = pytest.mark.short


def parse(lines):
    """(id, event, data) of each event, as they come; comments are None."""
    id_ = event = None
    for line in lines:
        if line.startswith(":"):
            yield None
        elif line.startswith("id: "):
            id_ = int(line[4:])
        elif line.startswith("event: "):
            event = line[7:]
        elif line.startswith("data: "):
            yield id_, event, json.loads(line[6:])
        else:
            assert line == "", line


def follow(browser, run_id, after=None, url=""):
    """All events to the end of the connection, which may be cut; and the status."""
    headers = {"Last-Event-ID": str(after)} if after is not None else {}
    found = []
    try:
        with browser.stream("GET", f"{url}/api/runs/{run_id}/events", headers=headers) as answer:
            if answer.status_code != 200:
                answer.read()
                return answer.status_code, found
            assert answer.headers["content-type"].startswith("text/event-stream")
            assert answer.headers["cache-control"] == "no-store" and answer.headers["x-accel-buffering"] == "no"
            found += [e for e in parse(answer.iter_lines()) if e]
    except httpx.TransportError:
        pass
    return 200, found


def text_of(found):
    return "".join(data["text"] for _, event, data in found if event == "delta")


def start_run(browser, content, model="fault", thread=None, parent=None, status=201, **more):
    if thread is None:
        thread = browser.post("/api/threads", json={}).json()["id"]
    answer = browser.post(f"/api/threads/{thread}/runs",
                          json={"parent_id": parent, "model": model, **({"content": content} if content else {}), **more})
    assert answer.status_code == status, answer.text
    return answer.json()


def check(found, words):
    ids = [e[0] for e in found]
    assert ids == sorted(set(ids))
    assert text_of(found) == "".join(f"w{i} " for i in range(words))
    assert [e[1] for e in found].count("done") == 1 and found[-1][1:] == ("done", {"finish_reason": "stop"})


def test_followed_to_its_end(browser):
    run = start_run(browser, fault(words=6))
    assert run["assistant_message"]["status"] == "queued" and run["user_message"]["content"]
    _, found = follow(browser, run["run_id"])
    check(found, 6)
    assert next(e[2] for e in found if e[1] == "usage")["completion_tokens"] == 6
    thread = browser.get(f"/api/threads/{run['thread']['id']}").json()
    message = next(m for m in thread["messages"] if m["role"] == "assistant")
    assert message["status"] == "complete" and message["content"] == text_of(found)
    assert thread["title"] and thread["active_run_id"] is None and thread["leaf_id"] == message["id"]


def test_replayed_long_after(browser):
    run = start_run(browser, fault(words=6))
    follow(browser, run["run_id"])
    status, found = follow(browser, run["run_id"])
    check(found, 6)
    last = found[-1][0]
    assert follow(browser, run["run_id"], last) == (204, [])
    assert follow(browser, run["run_id"], last + 1)[0] == 400
    for bad in ("-1", "x", "1.5", "9007199254740993"):
        assert browser.get(f"/api/runs/{run['run_id']}/events", headers={"Last-Event-ID": bad}).status_code == 400
    assert browser.get("/api/runs/run_nobody/events").status_code == 404


def test_left_and_picked_up(browser):
    """Cut after every few events: nothing is lost, nothing comes twice."""
    run = start_run(browser, fault(words=60, interval_ms=15))
    found, rounds = [], 0
    while not found or found[-1][1] != "done":
        headers = {"Last-Event-ID": str(found[-1][0])} if found else {}
        with browser.stream("GET", f"/api/runs/{run['run_id']}/events", headers=headers) as answer:
            events = parse(answer.iter_lines())
            for _ in range(7):
                event = next((e for e in events if e), None)
                if event is None:
                    break
                found.append(event)
        rounds += 1
    assert rounds > 3
    check(found, 60)


def test_goes_on_when_the_browser_leaves(browser):
    run = start_run(browser, fault(words=30, interval_ms=20))
    with browser.stream("GET", f"/api/runs/{run['run_id']}/events") as answer:
        next(answer.iter_lines())
    eventually(lambda: browser.get(f"/api/threads/{run['thread']['id']}").json()["active_run_id"] is None)
    _, found = follow(browser, run["run_id"])
    check(found, 30)


def test_two_followers(browser):
    run = start_run(browser, fault(words=30, interval_ms=10))
    results = []
    threads = [threading.Thread(target=lambda: results.append(follow(browser, run["run_id"])[1])) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for found in results:
        check(found, 30)


def test_through_a_proxy_that_cuts(weir, browser):
    """At 25 seconds in the long run; here after one, which is the same path."""
    seconds = 25 if LONG else 1
    words, interval = (3300, 20) if LONG else (150, 25)
    proxy = CuttingProxy(weir.address, seconds)
    try:
        run = start_run(browser, fault(words=words, interval_ms=interval))
        found, rounds = [], 0
        while not found or found[-1][1] != "done":
            _, more = follow(browser, run["run_id"], found[-1][0] if found else None, f"http://127.0.0.1:{proxy.port}")
            found += more
            rounds += 1
            assert rounds < 30
        assert proxy.cuts >= 2
        check(found, words)
    finally:
        proxy.close()


def test_stopped(browser, upstream):
    run = start_run(browser, fault(words=1000, interval_ms=20))
    with browser.stream("GET", f"/api/runs/{run['run_id']}/events") as answer:
        events = (e for e in parse(answer.iter_lines()) if e)
        while next(events)[1] != "delta":
            pass
        left = upstream.left
        assert browser.post(f"/api/runs/{run['run_id']}/stop").status_code == 204
        rest = list(events)
    assert rest[-1][1:] == ("done", {"finish_reason": "stopped"})
    eventually(lambda: upstream.left == left + 1)
    assert browser.post(f"/api/runs/{run['run_id']}/stop").status_code == 204
    message = browser.get(f"/api/threads/{run['thread']['id']}").json()["messages"][-1]
    assert message["status"] == "stopped" and message["content"].startswith("w0 ")


@pytest.mark.parametrize("order", [
    dict(do="error", status=500), dict(do="close"), dict(words=9, cut_at=700), dict(do="body", body="x", content_type="text/event-stream"),
], ids=repr)
def test_failed(browser, order):
    run = start_run(browser, fault(**order))
    _, found = follow(browser, run["run_id"])
    assert found[-1][1] == "error" and found[-1][2]["status"] == 502
    assert [e[1] for e in found].count("error") == 1
    message = browser.get(f"/api/threads/{run['thread']['id']}").json()["messages"][-1]
    assert message["status"] == "failed" and message["error"]["detail"] and message["content"] == text_of(found)


def test_what_an_upstream_says_stays_out_of_the_log(weir, browser):
    """It may quote the prompt. The person reads it."""
    run = start_run(browser, fault(do="body", content_type="text/event-stream",
                                   body='data: {"error":{"message":"your prompt was: plugh and xyzzy"}}\n\n'))
    assert "plugh" in str(follow(browser, run["run_id"])[1][-1])
    assert run["run_id"] in weir.stderr() and "plugh" not in weir.stderr()


def test_one_run_at_a_time(browser):
    run = start_run(browser, fault(words=200, interval_ms=20))
    thread = run["thread"]["id"]
    refused = start_run(browser, "again", thread=thread, parent=run["assistant_message"]["id"], status=409)
    assert refused["type"] == "urn:weir:problem:run-active"
    assert browser.delete(f"/api/threads/{thread}").status_code == 204
    assert browser.get(f"/api/threads/{thread}").status_code == 404


def test_branches(browser):
    first = start_run(browser, fault(words=2))
    thread = first["thread"]["id"]
    follow(browser, first["run_id"])
    again = start_run(browser, None, thread=thread, parent=first["user_message"]["id"])
    assert again["user_message"] is None
    follow(browser, again["run_id"])
    edited = start_run(browser, fault(words=3), thread=thread)
    follow(browser, edited["run_id"])
    state = browser.get(f"/api/threads/{thread}").json()
    assert [m["parent_id"] for m in state["messages"]].count(None) == 2
    assert [m["parent_id"] for m in state["messages"]].count(first["user_message"]["id"]) == 2
    assert browser.patch(f"/api/threads/{thread}", json={"leaf_id": first["assistant_message"]["id"]}).json()["leaf_id"] == first["assistant_message"]["id"]
    assert browser.patch(f"/api/threads/{thread}", json={"leaf_id": "msg_nobody"}).status_code in (400, 404)


def test_titles_are_searched(browser):
    for title in ("Über Äpfel", "On pears"):
        assert browser.post("/api/threads", json={"title": title}).status_code == 201
    found = browser.get("/api/threads", params={"query": "äpfel"}).json()["data"]
    assert [t["title"] for t in found] == ["Über Äpfel"]
    assert browser.get("/api/threads", params={"query": "%"}).json()["data"] == []


def test_texts_are_sealed_on_disk(weir, browser):
    secret = "xyzzy-plugh-plover"
    thread = browser.post("/api/threads", json={"title": secret}).json()["id"]
    run = start_run(browser, f"tell me of {secret}", thread=thread)
    follow(browser, run["run_id"])
    time.sleep(0.2)
    for path in weir.data.rglob("*"):
        if path.is_file():
            assert secret.encode() not in path.read_bytes(), path


def test_the_real_model(browser):
    run = start_run(browser, "Say hello.", model="smol", parameters={"max_tokens": 12, "temperature": 0})
    _, found = follow(browser, run["run_id"])
    assert found[-1][1] == "done" and found[-1][2]["finish_reason"] in ("stop", "length")
    assert any(e[1:] == ("status", {"state": "running"}) for e in found)
    assert text_of(found)
    usage = next(e[2] for e in found if e[1] == "usage")
    assert usage["prompt_tokens"] > 0 and usage["timings"]["ttft_ms"] > 0


def test_unknown_model_and_thread(browser):
    answer = start_run(browser, "x", model="nobody", status=404)
    assert answer["field"] == "model"
    assert browser.post("/api/threads/thr_nobody/runs", json={"parent_id": None, "model": "fault", "content": "x"}).status_code == 404


def test_a_conversation_that_grows_without_end(browser):
    """It is full at some point, says so, and can still be opened."""
    thread = browser.post("/api/threads", json={}).json()["id"]
    parent = None
    for _ in range(20):
        answer = browser.post(f"/api/threads/{thread}/runs",
                              json={"parent_id": parent, "model": "fault", "content": "€" * 200_000})
        if answer.status_code != 201:
            break
        parent = answer.json()["assistant_message"]["id"]
        follow(browser, answer.json()["run_id"])
    assert answer.status_code == 413, answer.text
    assert "conversation" in answer.json()["detail"] and answer.json()["type"].endswith("too-large")
    messages = browser.get(f"/api/threads/{thread}")
    assert messages.status_code == 200 and messages.json()["messages"][-1]["status"] == "complete"


class Talker(http.server.BaseHTTPRequestHandler):
    """An upstream whose answer is 20 pieces of 256 KB."""

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        piece = json.dumps({"choices": [{"index": 0, "delta": {"content": "word" * 64_000}}]})
        try:
            for _ in range(20):
                self.wfile.write(f"data: {piece}\n\n".encode())
        except ConnectionError:
            pass

    def log_message(self, *_):
        pass


def test_the_longest_answer_there_can_be(start):
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Talker) as talker:
        threading.Thread(target=talker.serve_forever, daemon=True).start()
        weir = start(config=f"[upstream t]\nurl = http://127.0.0.1:{talker.server_port}/v1\n[model fault]\nupstream = t\n",
                     WEIR_ANSWER_MAX="4MiB")
        with weir.signed_in() as browser:
            run = start_run(browser, "talk")
            assert follow(browser, run["run_id"])[1][-1][1:] == ("done", {"finish_reason": "length"})
            thread = browser.get(f"/api/threads/{run['thread']['id']}").json()
            assert thread["messages"][-1]["status"] == "complete"
            assert 4 << 20 < len(thread["messages"][-1]["content"]) < 5 << 20
        assert weir.stop() == 0
        talker.shutdown()
