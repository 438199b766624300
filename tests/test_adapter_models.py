"""Adapters of a local model, as `weir up` offers them: models of their own, by one process."""

import openai
import pytest

from harness import adapter
from harness.server import MODEL, Server, eventually


def config(folder, **files):
    return (f"[model smol]\npath = {MODEL}\ncontext = 512\nparallel = 2\nthreads = 1\nflash_attention = on\n"
            f"adapters = {', '.join(f'{name}={path}' for name, path in files.items())}\n")


@pytest.fixture
def files(tmp_path):
    return {name: adapter.write(tmp_path / f"{name}.gguf", seed) for name, seed in (("red", 1), ("blue", 2))}


def likely(sdk, model):
    answer = sdk.chat.completions.create(model=model, messages=[{"role": "user", "content": "Who was Shakespeare?"}],
                                         max_tokens=4, temperature=0, logprobs=True, top_logprobs=5)
    assert answer.model == model and answer.usage.completion_tokens > 0
    return {top.token: round(top.logprob, 1) for top in answer.choices[0].logprobs.content[0].top_logprobs}


def test_adapters_are_models(tmp_path, files):
    weir = Server(tmp_path, "up", config(tmp_path, **files))
    weir.setup()
    try:
        with openai.OpenAI(base_url=weir.url + "/v1", api_key=weir.key(), max_retries=0, timeout=120) as sdk:
            assert sorted(model.id for model in sdk.models.list()) == ["blue", "red", "smol"]
            rows = {model: likely(sdk, model) for model in ("smol", "red", "blue")}
            assert rows["smol"] != rows["red"] != rows["blue"] != rows["smol"]
            pids = weir.infer_pids()
            assert len(pids) == 1
            # Its owner can take one out of use, and back: the process goes on.
            weir.command("model", "disable", "red")
            with pytest.raises(openai.NotFoundError):
                likely(sdk, "red")
            likely(sdk, "blue")
            weir.command("model", "enable", "red")
            likely(sdk, "red")
            assert weir.infer_pids() == pids
            weir.command("model", "disable", "smol") # and with it all that stands on it
            with pytest.raises(openai.NotFoundError):
                likely(sdk, "blue")
            eventually(lambda: weir.infer_pids() == [], 30)
    finally:
        assert weir.stop() == 0


def test_a_bad_adapter_is_said(tmp_path, files):
    files["blue"].write_bytes(b"nothing of use")
    weir = Server(tmp_path, "up", config(tmp_path, **files))
    weir.setup()
    try:
        listed = weir.command("model", "list").stdout
        assert listed.count("not a GGUF file") == 3, listed
        adapter.write(files["blue"], 2)  # it is tried again by itself
        eventually(lambda: weir.command("model", "list").stdout.count(" ready ") == 3, 60)
    finally:
        assert weir.stop() == 0
