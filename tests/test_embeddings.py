"""Embeddings and reranking by a local model, through weir, by the unchanged OpenAI SDK: the same
weights as ONNX and as GGUF."""

import base64
import math
import struct

import openai
import pytest

from harness import server

pytestmark = pytest.mark.short

MODELS = ["onnx", "gguf"]


@pytest.fixture(scope="module")
def weir(tmp_path_factory):
    folder = server.EMBEDDING_MODEL
    assert (folder / "model.onnx").exists(), "WEIR_EMBEDDING_MODEL names the folder that scripts/deps minilm made"
    config = "".join(f"[model {name}]\npath = {folder}/model.{name}\n" for name in MODELS)
    weir = server.Server(tmp_path_factory.mktemp("weir"), "up", config)
    weir.setup()
    yield weir
    assert weir.stop() == 0


@pytest.fixture(scope="module")
def key(weir):
    return weir.key()


def cosine(a, b):
    return sum(x * y for x, y in zip(a, b, strict=True)) / math.sqrt(sum(x * x for x in a) * sum(y * y for y in b))


@pytest.mark.parametrize("model", MODELS)
def test_both_encodings(client, model):
    texts = ["A cat sits on the mat.", "Ein kurzer Satz, 你好 🙂", "x"]
    packed = client.embeddings.create(model=model, input=texts)  # the SDK asks for base64
    plain = client.embeddings.create(model=model, input=texts, encoding_format="float")
    raw = client.embeddings.with_raw_response.create(model=model, input=texts, encoding_format="base64").http_response.json()
    assert packed.model == model and packed.object == "list"
    assert [item.index for item in plain.data] == [0, 1, 2]
    for one, other, bits in zip(packed.data, plain.data, raw["data"], strict=True):
        assert len(one.embedding) == 384 and cosine(one.embedding, other.embedding) > 0.999999
        assert list(struct.unpack("<384f", base64.b64decode(bits["embedding"]))) == pytest.approx(one.embedding, abs=1e-6)
        assert math.isclose(math.hypot(*one.embedding), 1, abs_tol=1e-4)
    assert plain.usage.prompt_tokens == plain.usage.total_tokens > 10


def test_both_backends_say_the_same(client):
    texts = ["How do I reset my password?", "The weather is fine today.", "Wörter: naïve café, 12.5 %"]
    one, other = (client.embeddings.create(model=model, input=texts) for model in MODELS)
    for a, b in zip(one.data, other.data, strict=True):
        assert cosine(a.embedding, b.embedding) > 0.999
    assert one.usage == other.usage


@pytest.mark.parametrize("model", MODELS)
def test_meaning_dimensions_and_tokens(client, model):
    data = client.embeddings.create(model=model, input=["a small dog", "a little puppy", "tax law of 1987"]).data
    near, far = cosine(data[0].embedding, data[1].embedding), cosine(data[0].embedding, data[2].embedding)
    assert near > far + 0.2
    short = client.embeddings.create(model=model, input="a small dog", dimensions=64).data[0].embedding
    assert len(short) == 64 and cosine(short, data[0].embedding[:64]) > 0.9999
    tokens = client.embeddings.create(model=model, input=[[2023, 2003], [3231]])
    assert len(tokens.data) == 2 and len(client.embeddings.create(model=model, input=[2023, 2003]).data) == 1


@pytest.mark.parametrize("model", MODELS)
def test_rerank(http, model):
    documents = ["Bananas are yellow.", {"text": "Paris is the capital of France."}, "The capital of Spain is Madrid."]
    answer = http.post("/v1/rerank", json={"model": model, "query": "What is the capital of France?", "documents": documents,
                                           "top_n": 2, "return_documents": True})
    assert answer.status_code == 200, answer.text
    results = answer.json()["results"]
    assert [r["index"] for r in results] == [1, 2] and answer.json()["model"] == model
    assert results[0]["document"]["text"] == "Paris is the capital of France."
    assert results[0]["relevance_score"] > results[1]["relevance_score"]


@pytest.mark.parametrize("change, field", [
    ({"dimensions": 385}, "dimensions"), ({"input": "word " * 5000}, "input"), ({"input": ["a", "word " * 5000]}, "input[1]"),
    ({"input": [10**6]}, "input"), ({"no_such_field": 1}, "no_such_field"),
], ids=lambda v: repr(v)[:30])
def test_what_only_the_model_knows(http, change, field):
    for model in MODELS:
        answer = http.post("/v1/embeddings", json={"model": model, "input": "a", **change})
        assert answer.status_code == 400 and answer.json()["error"]["param"].startswith(field), answer.text


def test_what_it_is_not_for(client, http, weir):
    with pytest.raises(openai.NotFoundError) as error:
        client.chat.completions.create(model="onnx", messages=[{"role": "user", "content": "hi"}])
    assert error.value.code == "unsupported_endpoint" and error.value.param == "model"
    with pytest.raises(openai.NotFoundError):
        client.completions.create(model="gguf", prompt="hi")
    with weir.signed_in() as browser:
        tasks = {model["id"]: model["tasks"] for model in browser.get("/api/models").json()["data"]}
        assert tasks == {"onnx": ["embeddings", "rerank"], "gguf": ["embeddings", "rerank"]}
        thread = browser.post("/api/threads", json={}).json()["id"]
        run = browser.post(f"/api/threads/{thread}/runs", json={"parent_id": None, "model": "onnx", "content": "hi"})
        assert run.status_code == 404 and run.json()["field"] == "model"


def test_it_is_counted(http, weir):
    before = weir.metric('weir_relay_tokens_total{model="onnx",kind="prompt"}')
    used = http.post("/v1/embeddings", json={"model": "onnx", "input": "one two three"}).json()["usage"]["prompt_tokens"]
    assert used > 3 and weir.metric('weir_relay_tokens_total{model="onnx",kind="prompt"}') == before + used


def test_its_tokens(http):
    """What /v1/embeddings takes in place of the text; case and spaces are gone, so there is no way back."""
    for model in MODELS:
        answer = http.post("/v1/tokenize", json={"model": model, "prompt": "Hello  World", "add_special_tokens": False})
        tokens = answer.json()["tokens"]
        assert answer.status_code == 200 and tokens == [7592, 2088], answer.text
        by_text = http.post("/v1/embeddings", json={"model": model, "input": "hello world"}).json()["data"]
        assert http.post("/v1/embeddings", json={"model": model, "input": tokens}).json()["data"] == by_text
        answer = http.post("/v1/detokenize", json={"model": model, "tokens": tokens})
        assert answer.status_code == 400 and answer.json()["error"]["param"] == "model"
