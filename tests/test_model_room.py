"""Several local models: loaded when they are called, unloaded when idle or when another one needs the memory."""

import json
import os
import signal
import threading
import time

import pytest

from harness import server
from harness.server import chat_body, eventually
from test_runs import follow, start_run, text_of

# One of these takes about 140 MiB; before it was loaded, 160 are expected.
ROOM_FOR_ONE = {"WEIR_INFER_CONTEXT": 1024, "WEIR_INFER_PARALLEL": 2, "WEIR_MODEL_MEMORY_MAX": "260MiB"}


def models(*names, **pinned):
    return "".join(f"[model {name}]\npath = {server.MODEL}\n{pinned.get(name, '')}\n" for name in names)


class Weir:
    """A server with models, and what is asked of them."""

    def __init__(self, start, config, **env):
        self.weir = start("up", config, **{**ROOM_FOR_ONE, **env})
        self.key = self.weir.key()

    def ask(self, model, **more):
        with self.weir.http(headers={"Authorization": f"Bearer {self.key}"}, timeout=120) as http:
            return http.post("/v1/chat/completions", json=chat_body("hi", model, max_tokens=3, **more))

    def rows(self):
        with self.weir.signed_in() as browser:
            return {row["id"]: row for row in browser.get("/api/models").json()["data"]}

    def phases(self):
        return {id_: row["state"]["phase"] for id_, row in self.rows().items()}

    def stream(self, model, tokens, begun, found):
        """In a thread: a long answer, of which the events are kept."""
        with self.weir.http(headers={"Authorization": f"Bearer {self.key}"}, timeout=120) as http:
            with http.stream("POST", "/v1/chat/completions", json=chat_body(
                    "Count to one thousand.", model, stream=True, max_tokens=tokens)) as answer:
                found["status"] = answer.status_code
                text = ""
                for piece in answer.iter_text():
                    text += piece
                    begun.set()
                found["events"] = [e[6:] for e in text.split("\n\n") if e.startswith("data: ")]
                found["ended"] = time.monotonic()


@pytest.mark.short
def test_loaded_when_called_and_makes_room(start):
    weir = Weir(start, models("a", "b", "c"))
    assert weir.phases() == {"a": "ready", "b": "asleep", "c": "asleep"}
    assert len(weir.weir.infer_pids()) == 1, "the others have not even been started"
    answer = weir.ask("b")
    assert answer.status_code == 200 and answer.json()["model"] == "b", answer.text
    assert weir.phases() == {"a": "asleep", "b": "ready", "c": "asleep"}
    assert len(weir.weir.infer_pids()) == 1
    assert weir.ask("a").status_code == 200
    assert weir.phases() == {"a": "ready", "b": "asleep", "c": "asleep"}
    metrics = weir.weir.metrics()
    assert metrics['weir_model_unloads_total{model="a",why="room"}'] == 1
    assert metrics['weir_model_loads_total{model="a"}'] == 2
    assert metrics['weir_model_loaded{model="a"}'] == 1 and metrics['weir_model_loaded{model="b"}'] == 0
    assert metrics['weir_model_memory_bytes{model="a"}'] > 90e6
    row = weir.rows()["c"]
    assert row["tasks"] == ["chat", "completions"], "known from its file"
    assert 90e6 < row["memory_bytes"] < 260 * 2**20
    listed = weir.weir.command("model", "list").stdout.splitlines()
    assert any("asleep" in line and "MiB" in line for line in listed), listed
    assert weir.weir.stop() == 0
    assert weir.weir.infer_pids() == []


@pytest.mark.short
def test_all_that_fit_are_loaded_at_the_start(start):
    weir = Weir(start, models("a", "b", "c"), WEIR_MODEL_MEMORY_MAX="430MiB")
    assert weir.phases() == {"a": "ready", "b": "ready", "c": "asleep"}


def test_without_a_limit_all_are_loaded(start):
    weir = Weir(start, models("a", "b", "c"), WEIR_MODEL_MEMORY_MAX="0")
    assert set(weir.phases().values()) == {"ready"}


@pytest.mark.short
def test_pinned_stays(start):
    weir = Weir(start, models("a", "b", b="pinned = on"))
    assert weir.phases() == {"a": "asleep", "b": "ready"}, "pinned ones come first"
    began = time.monotonic()
    answer = weir.ask("a")
    assert answer.status_code == 503 and time.monotonic() - began < 10, "nothing to wait for"
    assert int(answer.headers["retry-after"]) > 0
    message = answer.json()["error"]["message"]
    assert message.startswith("the model 'a' cannot be loaded now: it needs about 1"), message
    assert "; b (" in message and "pinned) holds the memory" in message, message
    assert "pinned" not in weir.ask("b").text and weir.ask("b").status_code == 200
    weir.weir.command("model", "unpin", "b")
    assert weir.ask("a").status_code == 200
    assert weir.phases() == {"a": "ready", "b": "asleep"}
    weir.weir.command("model", "pin", "b")
    eventually(lambda: weir.phases() == {"a": "asleep", "b": "ready"})
    assert weir.rows()["b"]["pinned"] and not weir.rows()["a"]["pinned"]


def test_pinned_by_people_survives_a_restart(start):
    weir = Weir(start, models("a", "b"))
    weir.weir.command("model", "pin", "b")
    eventually(lambda: weir.phases()["b"] == "ready")
    weir.weir.command("model", "add", "d", "--path", server.MODEL, "--pin")
    assert weir.rows()["d"]["pinned"]
    assert weir.weir.stop() == 0
    again = start("up", models("a", "b"), folder=weir.weir.folder, setup=False, **ROOM_FOR_ONE)
    weir.weir = again
    assert weir.phases() == {"a": "asleep", "b": "ready", "d": "asleep"}
    reason = weir.rows()["d"]["state"]["reason"]
    assert "b (" in reason and "pinned" in reason


def test_only_local_models_are_pinned(start, upstream):
    weir = start(config=server.fault_and("", upstream))
    with weir.signed_in() as browser:
        answer = browser.patch("/api/models/fault", json={"pinned": True})
        assert answer.status_code == 400 and answer.json()["field"] == "pinned", answer.text
    bad = start(wait=False, config=server.fault_and("", upstream) + "pinned = on\n")
    bad.process.wait(60)
    assert bad.process.returncode != 0 and "pinned" in bad.stderr()


@pytest.mark.short
def test_a_running_stream_is_never_cut(start):
    weir = Weir(start, models("a", "b"))
    begun, found, other = threading.Event(), {}, {}
    thread = threading.Thread(target=weir.stream, args=("a", 600, begun, found))
    thread.start()
    assert begun.wait(30)

    def ask_b():
        other["answer"] = weir.ask("b")
        other["ended"] = time.monotonic()
    waiter = threading.Thread(target=ask_b)
    waiter.start()
    time.sleep(0.3)
    row = weir.rows()["b"] if "ended" not in found else None
    thread.join(100)
    waiter.join(100)
    if row is not None and row["state"]["phase"] == "asleep":
        assert "a (" in row["state"]["reason"] and "1 call)" in row["state"]["reason"], row
    assert found["events"][-1] == "[DONE]" and not any('"error"' in e for e in found["events"])
    assert other["answer"].status_code == 200, other["answer"].text
    assert other["ended"] > found["ended"], "the other one had to wait"


def test_calls_without_a_pause_give_way(start):
    """One model is called all the time; the other one gets its turn, and no call fails."""
    weir = Weir(start, models("a", "b"))
    over, bad, count = threading.Event(), [], [0]

    def keep_asking():
        while not over.is_set():
            answer = weir.ask("a")
            count[0] += 1
            if answer.status_code != 200:
                bad.append(answer.text)
    threads = [threading.Thread(target=keep_asking) for _ in range(3)]
    for thread in threads:
        thread.start()
    eventually(lambda: count[0] > 10)
    began = time.monotonic()
    answer = weir.ask("b")
    took = time.monotonic() - began
    assert answer.status_code == 200, answer.text
    assert took < 40, took
    before = count[0]
    eventually(lambda: count[0] > before + 3, 60)
    over.set()
    for thread in threads:
        thread.join(60)
    assert bad == []


@pytest.mark.short
def test_idle_ones_are_unloaded(start):
    weir = Weir(start, models("a", "b", b="pinned = on"), WEIR_MODEL_MEMORY_MAX="0", WEIR_MODEL_UNLOAD_AFTER="1s")
    begun, found = threading.Event(), {}
    thread = threading.Thread(target=weir.stream, args=("a", 900, begun, found))
    thread.start()  # longer than that
    eventually(lambda: weir.phases() == {"a": "asleep", "b": "ready"}, 60)
    thread.join(60)
    assert found["events"][-1] == "[DONE]"
    eventually(lambda: len(weir.weir.infer_pids()) == 1)
    assert weir.weir.metrics()['weir_model_unloads_total{model="a",why="idle"}'] >= 1
    weir.weir.process.send_signal(signal.SIGHUP)  # nothing that has failed
    time.sleep(0.5)
    assert weir.phases()["a"] == "asleep"
    assert weir.ask("a").status_code == 200


@pytest.mark.short
def test_killed_while_it_wakes(start):
    weir = Weir(start, models("a", "b"))
    (first,) = weir.weir.infer_pids()
    found = {}
    thread = threading.Thread(target=lambda: found.update(answer=weir.ask("b")))
    thread.start()
    (pid,) = eventually(lambda: [p for p in weir.weir.infer_pids() if p != first], interval=0.005)
    os.kill(pid, signal.SIGKILL)
    thread.join(60)
    assert found["answer"].status_code == 200, found["answer"].text
    assert "signal 9" in weir.weir.stderr()
    (again,) = weir.weir.infer_pids()
    assert again not in (first, pid)
    os.kill(again, signal.SIGKILL)
    eventually(lambda: again not in weir.weir.infer_pids())
    assert weir.ask("b").status_code == 200, "started again as before"
    assert weir.phases() == {"a": "asleep", "b": "ready"}


@pytest.mark.short
def test_disabled_and_removed_while_asleep(start):
    weir = Weir(start, models("a"))
    weir.weir.command("model", "add", "b", "--path", server.MODEL)
    eventually(lambda: weir.phases() == {"a": "ready", "b": "asleep"})
    weir.weir.command("model", "disable", "b")
    eventually(lambda: weir.phases()["b"] == "stopped")
    assert weir.ask("b").status_code == 404
    weir.weir.command("model", "enable", "b")
    answer = weir.ask("b")
    assert answer.status_code == 200, answer.text
    weir.weir.command("model", "remove", "b")
    eventually(lambda: weir.weir.infer_pids() == [])
    assert weir.ask("a").status_code == 200


def test_a_file_that_goes_while_it_sleeps(start, tmp_path):
    path = tmp_path / "x.gguf"
    path.symlink_to(server.MODEL)
    weir = Weir(start, models("a") + f"[model b]\npath = {path}\n")
    path.unlink()
    answer = weir.ask("b")
    assert answer.status_code == 503 and "x.gguf" in answer.text and str(tmp_path) not in answer.text, answer.text
    assert weir.phases()["b"] == "failed"
    assert weir.ask("a").status_code == 200
    path.symlink_to(server.MODEL)
    eventually(lambda: weir.phases() == {"a": "ready", "b": "asleep"})
    assert weir.ask("b").status_code == 200


@pytest.mark.short
def test_the_chat_waits_for_a_model_to_be_loaded(start):
    weir = Weir(start, models("a", "b"))
    with weir.weir.signed_in() as browser:
        status, found = follow(browser, start_run(browser, "Say hello.", "b")["run_id"])
        assert status == 200
        assert [e[1] for e in found][:2] == ["status", "status"], found[:3]
        assert found[0][2]["state"] == "queued" and found[1][2]["state"] == "running"
        assert found[-1][1] == "done" and text_of(found)


def test_a_load_longer_than_a_run_may_be_silent(start, tmp_path):
    """A run is not taken for dead while its model is being loaded."""
    slow = tmp_path / "infer"
    slow.write_text(f"#!/bin/bash\n[[ \"$*\" == *--name=b* ]] && sleep 14\nexec {server.BIN / 'weir-infer'} \"$@\"\n")
    slow.chmod(0o755)
    weir = Weir(start, models("a", "b"), WEIR_INFER_PROGRAM=slow)
    with weir.weir.signed_in() as browser:
        status, found = follow(browser, start_run(browser, "Say hello.", "b")["run_id"])
        assert status == 200 and found[-1][1] == "done", json.dumps(found[-2:])
