"""The process of a model: watched, started again, and none of its failures is the front's."""

import json
import os
import signal
import threading
import time

import pytest

from harness import server
from harness.server import chat_body, eventually

MODEL_CONFIG = "[model smol]\npath = {}\n"


def ask(weir, key, **more):
    with weir.http(headers={"Authorization": f"Bearer {key}"}) as http:
        return http.post("/v1/chat/completions", json=chat_body("hi", "smol", max_tokens=4, **more))


@pytest.mark.short
def test_killed_and_back(start):
    weir = start("up", MODEL_CONFIG.format(server.MODEL))
    key = weir.key()
    assert ask(weir, key).status_code == 200
    (pid,) = weir.infer_pids()

    found = {}

    def long_answer():
        with weir.http(headers={"Authorization": f"Bearer {key}"}) as http:
            with http.stream("POST", "/v1/chat/completions", json=chat_body(
                    "Count to one thousand.", "smol", stream=True, max_tokens=1500, logit_bias={})) as answer:
                found["status"] = answer.status_code
                text = ""
                for piece in answer.iter_text():
                    text += piece
                    found["begun"] = True
                found["events"] = [e[6:] for e in text.split("\n\n") if e.startswith("data: ")]
    thread = threading.Thread(target=long_answer)
    thread.start()
    eventually(lambda: found.get("begun"))
    os.kill(pid, signal.SIGKILL)
    thread.join(30)
    assert found["status"] == 200
    assert any('"error"' in e for e in found["events"][-2:]), found["events"][-3:]
    answer = ask(weir, key)
    assert answer.status_code == 200, answer.text
    (again,) = eventually(weir.infer_pids)
    assert again != pid
    assert weir.stop() == 0
    assert not os.path.exists(f"/proc/{again}")


@pytest.mark.short
def test_no_child_outlives_a_killed_parent(start):
    weir = start("up", MODEL_CONFIG.format(server.MODEL))
    (pid,) = eventually(weir.infer_pids)
    weir.process.kill()
    weir.kill()
    eventually(lambda: not os.path.exists(f"/proc/{pid}") or "Z" in open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1][:3], 30)


@pytest.mark.parametrize("content", [b"", b"GGUF", b"not a model at all" * 100, "truncated", "header"], ids=lambda c: repr(c)[:20])
@pytest.mark.short
def test_bad_model_files(start, tmp_path, content):
    """The server starts, says what is wrong with the model, and serves the rest."""
    path = tmp_path / "bad.gguf"
    if isinstance(content, str):
        with open(server.MODEL, "rb") as file:
            content = file.read(50_000_000 if content == "truncated" else 4096)
    path.write_bytes(content)
    check_bad_model(start, path)


@pytest.mark.short
def test_missing_model_file(start, tmp_path):
    check_bad_model(start, tmp_path / "nobody.gguf")


def check_bad_model(start, path):
    weir = start("up", MODEL_CONFIG.format(path), wait=False)
    try:
        weir.wait_ready()
    except AssertionError:
        assert weir.process.returncode != 0 and str(path) in weir.stderr() + "".join(weir.lines)
        return
    weir.setup()

    def failed():
        with weir.signed_in() as browser:
            (model,) = browser.get("/api/models").json()["data"]
            return model["state"]["phase"] == "failed" and model["state"]["reason"]
    assert eventually(failed, 60)
    answer = ask(weir, weir.key())
    assert answer.status_code == 503 and answer.json()["error"]["message"]
    weir.member("mona@example.com")
    with weir.signed_in("mona@example.com") as mona:
        assert str(path.parent) not in mona.get("/api/models").text
    with weir.http() as http:
        assert http.get("/healthz").status_code == 200
        assert str(path.parent) not in answer.text + http.get("/readyz").text, "where files lie is the owner's to know"
    assert weir.stop() == 0


def test_full_queue_is_refused_before_work(weir, key):
    """More at once than the engine takes: the rest gets 429 or 503 with Retry-After, at once."""
    answers = []

    def one():
        start = time.monotonic()
        with weir.http(headers={"Authorization": f"Bearer {key}"}, timeout=180) as http:
            answer = http.post("/v1/chat/completions", json=chat_body("Count.", "smol", max_tokens=4))
        answers.append((answer.status_code, time.monotonic() - start, answer))
    threads = [threading.Thread(target=one) for _ in range(200)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {a[0] for a in answers} <= {200, 429, 503}
    assert any(a[0] == 200 for a in answers)
    for status, _, answer in answers:
        if status != 200:
            assert int(answer.headers["retry-after"]) > 0
            assert json.loads(answer.text)["error"]["message"]
    assert ask(weir, key).status_code == 200


PROGRAM = """#!/bin/bash
echo start >>{starts}
[ -e {folder}/good ] && exec {infer} "$@"
echo "this model is of another world" >&3
exit {code}
"""


@pytest.fixture
def program(tmp_path):
    """Writes a program in place of weir-infer, that ends with `code` at once; gives how often it was started."""
    model = tmp_path / "model.gguf"
    model.symlink_to(server.MODEL)

    def write(code):
        path = tmp_path / "infer"
        path.write_text(PROGRAM.format(starts=tmp_path / "starts", folder=tmp_path, code=code, infer=server.BIN / "weir-infer"))
        path.chmod(0o755)
        return {"WEIR_INFER_PROGRAM": path, "WEIR_MODEL": model}, lambda: len((tmp_path / "starts").read_text().splitlines())

    write.model, write.good = model, tmp_path / "good"
    return write


@pytest.mark.short
@pytest.mark.parametrize("code", [2, 3])
def test_what_cannot_be_helped_is_not_tried_for_ever(start, program, code):
    env, starts = program(code)
    weir = start("up", "", **env)
    key = weir.key()
    time.sleep(3)
    assert starts() == 1
    said = [line for line in weir.stderr().splitlines() if "cannot be run" in line]
    assert len(said) == 1 and "this model is of another world" in said[0], weir.stderr()
    with weir.http(headers={"Authorization": f"Bearer {key}"}) as http:
        answer = http.post("/v1/chat/completions", json=chat_body("hi", "model"))
        assert answer.status_code == 503 and int(answer.headers["retry-after"]) > 5
        assert answer.json()["error"]["message"] == "the model 'model' cannot be run: this model is of another world"
        ready = http.get("/readyz")
        assert ready.status_code == 200, "the others are served"
        (check,) = [c for c in ready.json()["checks"] if c["name"] == "models"]
        assert not check["ok"] and check["why"] == "the model model has failed: this model is of another world"
    doctor = weir.command("doctor", check=False, **env)
    assert doctor.returncode != 0 and "this model is of another world" in doctor.stdout
    weir.process.send_signal(signal.SIGHUP)
    eventually(lambda: starts() == 2)
    time.sleep(2.5)
    assert starts() == 2
    program.good.touch()
    program.model.unlink()
    program.model.symlink_to(os.path.realpath(server.MODEL))
    weir.process.send_signal(signal.SIGHUP)
    eventually(weir.infer_pids)
    with weir.http(headers={"Authorization": f"Bearer {key}"}) as http:
        assert http.post("/v1/chat/completions", json=chat_body("hi", "model", max_tokens=2)).status_code == 200
        assert all(c["ok"] for c in http.get("/readyz").json()["checks"])


@pytest.mark.short
def test_what_may_be_helped_is_tried_again(start, program):
    env, starts = program(1)
    weir = start("up", "", **env)
    eventually(lambda: starts() >= 4)
    assert "this model is of another world" in weir.stderr()


@pytest.mark.short
def test_a_broken_file_that_is_put_right(start, tmp_path):
    """Without a restart, and without a signal."""
    model = tmp_path / "model.gguf"
    model.write_bytes(b"GGUF is not enough")
    weir = start("up", "", WEIR_MODEL=model)
    key = weir.key()
    assert str(model) in weir.stderr() and not weir.infer_pids()
    with weir.http(headers={"Authorization": f"Bearer {key}"}) as http:  # where it stands is the operator's alone
        for text in (http.post("/v1/chat/completions", json=chat_body("hi", "model")).text, http.get("/readyz").text):
            assert "model.gguf: it is" in text and str(tmp_path) not in text, text
    assert weir.command("doctor", check=False, WEIR_MODEL=model).stdout.count(str(model)) == 1
    with open(server.MODEL, "rb") as good:
        model.write_bytes(good.read())
    eventually(weir.infer_pids)
    with weir.http(headers={"Authorization": f"Bearer {key}"}) as http:
        assert http.post("/v1/chat/completions", json=chat_body("hi", "model", max_tokens=2)).status_code == 200
