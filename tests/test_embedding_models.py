"""Local models that make vectors, as `weir up` runs them: beside each other, through the API with a
key, started again when they end."""

import os
import signal

import numpy
import openai
import pytest

from harness.server import EMBEDDING_MODEL, eventually

MODELS = f"""
[model mini-onnx]
path = {EMBEDDING_MODEL}
[model mini-gguf]
path = {EMBEDDING_MODEL / "model.gguf"}
threads = 1
"""


@pytest.fixture(scope="module")
def up(tmp_path_factory):
    from harness.server import Server
    weir = Server(tmp_path_factory.mktemp("embedding"), "up", MODELS)
    weir.setup()
    with weir.http() as http:
        eventually(lambda: http.get("/readyz").status_code == 200, 60)
    yield weir
    assert weir.stop() == 0


@pytest.fixture(scope="module")
def sdk(up):
    with openai.OpenAI(base_url=up.url + "/v1", api_key=up.key(), max_retries=0, timeout=120) as sdk:
        yield sdk


def vectors(sdk, model, texts, **more):
    answer = sdk.embeddings.create(model=model, input=texts, **more)
    assert answer.model == model and answer.usage.total_tokens > 0
    return numpy.array([one.embedding for one in answer.data])


TEXTS = ["hello world", "the capital of France is Paris", "naïve café 東京 😀", "word " * 300]


def test_both_through_the_sdk(sdk):
    by_onnx, by_gguf = vectors(sdk, "mini-onnx", TEXTS), vectors(sdk, "mini-gguf", TEXTS)
    assert by_onnx.shape == (4, 384) and (by_onnx * by_gguf).sum(axis=1).min() >= 0.9999
    assert vectors(sdk, "mini-onnx", TEXTS, dimensions=64, encoding_format="float").shape == (4, 64)
    assert sorted(model.id for model in sdk.models.list()) == ["mini-gguf", "mini-onnx"]


def test_rerank_through_the_front(up, sdk):
    with up.http(headers={"Authorization": f"Bearer {sdk.api_key}"}) as http:
        for model in ("mini-onnx", "mini-gguf"):
            answer = http.post("/v1/rerank", json={"model": model, "query": "capital of France",
                                                   "documents": ["bananas", "Paris is the capital of France"]})
            assert answer.status_code == 200, answer.text
            assert [one["index"] for one in answer.json()["results"]] == [1, 0]


def test_they_write_no_text(sdk):
    with pytest.raises(openai.APIStatusError) as found:
        sdk.chat.completions.create(model="mini-onnx", messages=[{"role": "user", "content": "hi"}])
    assert found.value.status_code == 404 and found.value.code == "unsupported_endpoint"
    with pytest.raises(openai.BadRequestError) as found:
        vectors(sdk, "mini-gguf", ["x", "word " * 600])
    assert "512" in str(found.value) and "602" in str(found.value)


def test_started_again(up, sdk):
    before = up.infer_pids()
    assert len(before) == 2
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: len(up.infer_pids()) == 2 and not set(up.infer_pids()) & set(before), 60)
    assert vectors(sdk, "mini-onnx", ["again"]).shape == vectors(sdk, "mini-gguf", ["again"]).shape == (1, 384)
