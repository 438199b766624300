"""What weir-infer refuses, in the dialect, with the field named; and how it starts and ends."""

import os
import signal
import threading
import time

import pytest

from harness.server import MODEL

OK = {"model": "smol", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 1}


def post(infer, body, **more):
    with infer.http() as http:
        if isinstance(body, (bytes, str)):
            return http.post("/v1/chat/completions", content=body, **more)
        return http.post("/v1/chat/completions", json=body, **more)


BAD = [
    ("temperature", -0.1), ("temperature", 2.1), ("temperature", "hot"), ("temperature", [1]), ("top_p", 1.5),
    ("min_p", -1), ("top_k", -2), ("top_k", 1.5), ("top_k", 2**31), ("presence_penalty", 3),
    ("frequency_penalty", -3), ("repeat_penalty", 0), ("repeat_last_n", 10**7), ("max_tokens", 0), ("max_tokens", -1),
    ("max_tokens", 2**31), ("max_tokens", 2**53 + 1), ("max_completion_tokens", 1.5),
    ("n", 0), ("n", 9), ("n", "1"), ("seed", 1.5), ("seed", "x"), ("stop", ""), ("stop", ["a"] * 5), ("stop", [""]),
    ("stop", 1), ("stop", "x" * 300), ("logit_bias", [1]), ("logit_bias", {"x": 1}), ("logit_bias", {"-1": 1}),
    ("logit_bias", {"1": 101}), ("logit_bias", {str(i): 1 for i in range(301)}), ("stream", "yes"),
    ("stream_options", {"include_usage": True}), ("messages", []), ("messages", "hi"), ("messages", {}),
    ("messages", None), ("model", None), ("model", 1), ("ignore_eos", 1), ("tools", [{"type": "function"}]),
    ("tool_choice", "required"), ("functions", [{}]), ("response_format", {"type": "yaml"}),
    ("logprobs", 1), ("top_logprobs", 3), ("modalities", ["audio"]), ("audio", {}), ("prediction", {"type": "content"}),
    ("web_search_options", {}), ("store", True), ("no_such_field", 1),
]


@pytest.mark.parametrize("field, value", BAD, ids=lambda v: repr(v)[:24])
def test_fields(infer, field, value):
    answer = post(infer, OK | {field: value})
    error = answer.json()["error"]
    assert answer.status_code == 400, answer.text
    assert (error["param"] or "").split(".")[0].split("[")[0] in (field, "max_tokens")
    assert error["type"] == "invalid_request_error" and error["message"]


UNUSED = {
    "temperature": None, "tools": [], "tool_choice": "none", "response_format": {"type": "text"}, "logprobs": False,
    "top_logprobs": 0, "modalities": ["text"], "store": False, "user": "u", "metadata": {"a": "b"}, "seed": -5,
    "service_tier": "auto", "parallel_tool_calls": True, "n": 1.0, "logit_bias": {}, "stop": [], "functions": None,
    "reasoning_effort": "low", "verbosity": "low", "prompt_cache_key": "k", "safety_identifier": "s",
}


@pytest.mark.short
def test_fields_that_change_nothing(infer):
    answer = post(infer, OK | UNUSED)
    assert answer.status_code == 200, answer.text


MESSAGES = [
    ([{"role": "king", "content": "x"}], "messages[0].role"),
    ([{"content": "x"}], "messages[0].role"),
    ([{"role": "user"}], "messages[0].content"),
    ([{"role": "user", "content": 5}], "messages[0].content"),
    ([{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}], "messages[0].content[0].type"),
    ([{"role": "user", "content": [{"type": "text"}]}], "messages[0].content[0].text"),
    ([{"role": "user", "content": "x", "colour": "red"}], "messages[0].colour"),
    ([{"role": "user", "content": "x"}, "y"], "messages[1]"),
    ([{"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]}], "messages[0].tool_calls[0].function"),
    ([{"role": "tool", "content": "x"}], "messages[0].tool_call_id"),
]


@pytest.mark.parametrize("messages, param", MESSAGES, ids=lambda v: v if isinstance(v, str) else "")
def test_messages(infer, messages, param):
    answer = post(infer, OK | {"messages": messages})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


@pytest.mark.short
@pytest.mark.parametrize("body", [
    b"", b"{", b"[]", b"null", b'{"model":"smol","messages":[' + b"[" * 100_000, b'{"a":1e999}', b"\xff\xfe{}",
    b'{"model":"smol","messages":[{"role":"user","content":"\xc3"}]}', b'{"model":"smol"} x',
    b'{"model":"smol","model":"smol"}', b'{"model":"smol","messages":[{"role":"user","content":"\\ud800"}]}',
], ids=lambda b: repr(b[:24]))
def test_bodies(infer, body):
    answer = post(infer, body)
    assert answer.status_code == 400 and answer.json()["error"]["message"]
    assert post(infer, OK).status_code == 200


@pytest.mark.short
def test_paths_and_models(infer):
    with infer.http() as http:
        assert http.get("/v1/models").json()["data"][0]["id"] == "smol"
        assert http.get("/v1/models/smol").status_code == 200
        for answer in (http.get("/v1/models/other"), post(infer, OK | {"model": "other"})):
            assert (answer.status_code, answer.json()["error"]["code"]) == (404, "model_not_found")
        assert http.get("/v1/chat/completions").status_code == 405
        assert http.get("/nowhere").json()["error"]["type"] == "invalid_request_error"
        assert http.get("/healthz").status_code == 200
        ready = http.get("/readyz")
        assert (ready.status_code, ready.json()["context_tokens"]) == (200, 1024)


def test_a_big_prompt_is_prepared_off_the_loop(infer):
    """Others are answered meanwhile."""
    answers = []
    thread = threading.Thread(target=lambda: answers.append(post(
        infer, OK | {"messages": [{"role": "user", "content": "word " * 1_000_000}]})))
    thread.start()
    worst = 0
    with infer.http() as http:
        while thread.is_alive():
            start = time.monotonic()
            assert http.get("/healthz").status_code == 200
            worst = max(worst, time.monotonic() - start)
    thread.join()
    assert answers[0].status_code == 400 and "the prompt has 1" in answers[0].json()["error"]["message"]
    assert worst < 1
    assert post(infer, b"x" * (9 << 20)).status_code == 413


@pytest.mark.short
def test_token(start_infer, tmp_path):
    token = tmp_path / "token"
    token.write_text("s3cret-of-the-front\n")
    infer = start_infer("--parallel=1", "--context=256", f"--token-file={token}")
    assert post(infer, OK).status_code == 401
    assert post(infer, OK, headers={"Authorization": "Bearer s3cret"}).json()["error"]["code"] == "invalid_api_key"
    good = {"Authorization": "Bearer s3cret-of-the-front"}
    assert post(infer, OK, headers=good | {"x-weir-tenant": "org_1"}).status_code == 200
    assert post(infer, OK, headers=good | {"x-weir-tenant": "org_1", "x-weir-weight": "400"}).status_code == 200
    for weight in ("0", "10001", "-1", "1e3", "1.5", "heavy", str(2**64)):
        answer = post(infer, OK, headers=good | {"x-weir-tenant": "org_1", "x-weir-weight": weight})
        assert answer.status_code == 400 and answer.json()["error"]["param"] == "x-weir-weight", weight
    with infer.http() as http:
        assert http.get("/readyz").status_code == 200
        assert http.get("/metrics").status_code == 401
    with open(f"/proc/{infer.process.pid}/cmdline", "rb") as file:
        assert b"s3cret-of" not in file.read()


@pytest.mark.short
def test_full_queue(start_infer):
    infer = start_infer("--parallel=1", "--context=512", "--queue=1")
    codes, lock = [], threading.Lock()

    def one():
        answer = post(infer, OK | {"max_tokens": 60, "ignore_eos": True})
        with lock:
            codes.append(answer.status_code)
        if answer.status_code == 429:
            assert int(answer.headers["retry-after"]) >= 1
            assert answer.json()["error"]["code"] == "rate_limit_exceeded"
    threads = [threading.Thread(target=one) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(codes) == {200, 429}, codes
    m = infer.metrics()
    assert m["requests_refused_total"] == codes.count(429)
    assert m["requests_total"] == codes.count(200)


@pytest.mark.short
def test_full_queue_of_one_tenant_and_of_all(start_infer, tmp_path):
    token = tmp_path / "token"
    token.write_text("front\n")
    infer = start_infer("--parallel=1", "--context=512", "--queue=4", "--tenant-queue=2", f"--token-file={token}")
    codes, lock = [], threading.Lock()

    def one(tenant):
        answer = post(infer, OK | {"max_tokens": 100, "ignore_eos": True},
                      headers={"Authorization": "Bearer front", "x-weir-tenant": tenant})
        with lock:
            codes.append((tenant, answer.status_code))
        if answer.status_code != 200:
            assert int(answer.headers["retry-after"]) >= 1
    threads = []
    for tenant, count in [("a", 8), ("b", 8), ("c", 3)]:
        threads += [threading.Thread(target=one, args=[tenant]) for _ in range(count)]
        for thread in threads[-count:]:
            thread.start()
        end = time.monotonic() + 60  # until all of them wait, run, or were refused
        while sum(t == tenant and code != 200 for t, code in codes) < count - 3 and time.monotonic() < end:
            time.sleep(0.01)
    for thread in threads:
        thread.join()
    assert {code for tenant, code in codes if tenant == "a"} == {200, 429}
    assert {code for tenant, code in codes if tenant == "b"} <= {200, 429, 503}
    assert {code for _, code in codes} <= {200, 429, 503}
    for tenant in "ab":
        assert sum(t == tenant and code == 200 for t, code in codes) >= 2, codes


@pytest.mark.short
@pytest.mark.parametrize("what", ["missing", "empty", "text", "cut", "folder"])
def test_a_model_that_will_never_work(start_infer, tmp_path, what):
    path = tmp_path / "bad.gguf"
    if what == "folder":
        path.mkdir()
    elif what != "missing":
        with open(MODEL, "rb") as file:
            path.write_bytes({"empty": b"", "text": b"hello " * 99, "cut": file.read(60_000_000)}[what])
    infer = start_infer(model=path, wait=False)
    assert infer.process.wait(60) == 3
    lines = infer.stderr().strip().splitlines()
    assert len(lines) == 1 and str(path) in lines[0], lines


@pytest.mark.parametrize("args", [["--context=x"], ["--threads=0"], ["--listen=nowhere"], ["--what"], ["more"],
                                  ["--cache-type=f64"], ["--log=loud"], ["--token-file=/nowhere/at/all"]], ids=str)
def test_arguments(start_infer, args):
    infer = start_infer(*args, wait=False)
    assert infer.process.wait(60) == 2
    assert infer.stderr().strip()


@pytest.mark.short
def test_sigterm_lets_answers_finish(start_infer):
    infer = start_infer("--parallel=2", "--context=512")
    found = []
    thread = threading.Thread(target=lambda: found.append(
        post(infer, OK | {"max_tokens": 40, "ignore_eos": True}).json()))
    thread.start()
    end = time.monotonic() + 20
    while infer.metrics()["requests_total"] == 0:
        assert time.monotonic() < end
    infer.process.send_signal(signal.SIGTERM)
    thread.join()
    assert found[0]["usage"]["completion_tokens"] == 40
    assert infer.process.wait(30) == 0


def test_stopped_while_loading(start_infer):
    infer = start_infer("--parallel=2", "--context=512", wait=False)
    time.sleep(0.3)
    assert infer.stop() in (0, -signal.SIGTERM)


@pytest.mark.short
def test_unix_socket(start_infer, tmp_path):
    import httpx
    path = tmp_path / "engine.sock"
    infer = start_infer("--parallel=1", "--context=256", f"--listen=unix:{path}", wait=False)
    transport = httpx.HTTPTransport(uds=str(path))
    codes = set()
    with httpx.Client(transport=transport, base_url="http://engine", timeout=60) as http:
        end = time.monotonic() + 120
        while True:
            assert time.monotonic() < end and infer.process.poll() is None, infer.stderr()
            try:
                ready = http.get("/readyz")
            except httpx.TransportError:
                time.sleep(0.01)
                continue
            codes.add(ready.status_code)
            if ready.status_code == 200:
                break
            # Loaded, and not yet ready to answer: there is no progress to tell any more.
            assert ready.json().get("progress", 1) <= 1
            refused = http.post("/v1/chat/completions", json=OK)
            assert refused.status_code in (503, 200)
            time.sleep(0.01)
        assert http.post("/v1/chat/completions", json=OK).status_code == 200
    assert oct(os.stat(path).st_mode & 0o777) == "0o600"
