"""Models that make vectors: the same as from the published weights, by ONNX Runtime and by llama.cpp;
alone or in a batch; and what is refused."""

import base64
import concurrent.futures
import json
import random
import socket
import struct
import subprocess
import time

import pytest

from conftest import Infer
from harness.bert_reference import Bert, numpy
from harness.server import EMBEDDING_MODEL, ROOT, eventually

SEED = 20261125
WORDS = """the of and to in is was for on that with as by at from his it an were are which this be had or one their
    have not but all has also who its after first two been other when time new there more about years university
    river mountain database scheduler token fairness language embedding capital France Paris neural network
    photosynthesis, antidisestablishmentarianism? bread! (milk) [eggs] 3.14 2024 e-mail café naïve über Straße São
    Привет мир Москва γειά κόσμε שלום مرحبا नमस्ते 東京 大阪 日本 北京 한국 서울 ไทย 😀 🎉 € → ½ x² C++ O'Neill
    https://example.com/a?b=c user@example.org #tag""".split()


@pytest.fixture(scope="session")
def reference():
    return Bert(EMBEDDING_MODEL)


@pytest.fixture(scope="session")
def texts():
    """240: from one word to nearly what the model takes."""
    pick = random.Random(SEED)
    lengths = [1, 1, 2, 3, 5, 8, 13, 20, 30, 45]
    return [" ".join(pick.choices(WORDS, k=pick.choice(lengths))) for _ in range(236)] + [
        " ".join(pick.choices(WORDS[:60], k=n)) for n in (70, 120, 200, 300)]


@pytest.fixture(scope="session")
def expected(reference, texts):
    return numpy.array([reference.vector(text) for text in texts])


@pytest.fixture(scope="session", params=["onnx", "gguf"])
def mini(request, tmp_path_factory):
    path = EMBEDDING_MODEL if request.param == "onnx" else EMBEDDING_MODEL / "model.gguf"
    infer = Infer(tmp_path_factory.mktemp(request.param), model=path)
    infer.kind = request.param
    yield infer
    assert infer.stop() == 0


def embed(infer, texts, **more):
    with infer.http() as http:
        answer = http.post("/v1/embeddings", json={"model": "smol", "input": texts, **more})
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert [one["index"] for one in body["data"]] == list(range(len(body["data"])))
    return numpy.array([one["embedding"] for one in body["data"]]), body


def test_vectors_are_those_of_the_weights(mini, texts, expected):
    """Each text by itself."""
    found = numpy.concatenate([embed(mini, text)[0] for text in texts])
    cosines = (found * expected).sum(axis=1)
    print(f"{mini.kind}: least cosine {cosines.min():.7f} over {len(texts)} texts")
    assert numpy.abs(numpy.linalg.norm(found, axis=1) - 1).max() < 1e-5
    assert cosines.min() >= 0.9999, texts[int(cosines.argmin())]


def test_a_batch_of_all_lengths_is_the_same(mini, texts, expected, reference):
    texts, expected = texts[::3] + texts[-2:], numpy.concatenate([expected[::3], expected[-2:]])
    found, body = embed(mini, texts)
    assert (found * expected).sum(axis=1).min() >= 0.9999
    alone = numpy.concatenate([embed(mini, text)[0] for text in texts[::8]])
    assert numpy.abs(found[::8] - alone).max() < (1e-5 if mini.kind == "onnx" else 2e-3)
    tokens = sum(len(reference.tokens(text)) for text in texts)
    assert body["usage"] == {"prompt_tokens": tokens, "total_tokens": tokens}
    assert body["model"] == "smol" and body["object"] == "list"


@pytest.mark.short
def test_many_at_once(mini, texts, expected):
    """Thirty callers, each with texts of its own; nobody gets another's."""
    texts, expected = texts[:90], expected[:90]
    before = mini.metrics()
    with concurrent.futures.ThreadPoolExecutor(30) as pool:
        parts = [list(range(i, len(texts), 30)) for i in range(30)]
        found = list(pool.map(lambda part: embed(mini, [texts[i] for i in part])[0], parts))
    for part, vectors in zip(parts, found):
        assert (vectors * expected[part]).sum(axis=1).min() >= 0.9999
    after = mini.metrics()
    assert after["texts_total"] - before["texts_total"] == len(texts)
    assert after["batches_total"] - before["batches_total"] < len(texts)
    assert after["queued_requests"] == after["queued_tokens"] == 0


def test_forms(mini, texts, reference):
    """Numbers and base64, fewer dimensions, tokens for text, the SDK's own way."""
    few = texts[:5]
    plain, _ = embed(mini, few)
    coded, body = embed(mini, few, encoding_format="float")
    assert (coded == plain).all()
    with mini.http() as http:
        body = http.post("/v1/embeddings", json={"model": "smol", "input": few, "encoding_format": "base64"}).json()
    raw = numpy.array([numpy.frombuffer(base64.b64decode(one["embedding"]), "<f4") for one in body["data"]])
    assert (raw == plain.astype("f4")).all()
    short, _ = embed(mini, few, dimensions=100)
    want = plain[:, :100] / numpy.linalg.norm(plain[:, :100], axis=1, keepdims=True)
    assert short.shape == (5, 100) and numpy.abs(short - want).max() < 1e-6
    tokens = [reference.tokens(text)[1:-1] for text in few]  # without those that frame it
    by_tokens, _ = embed(mini, tokens)
    near = 1e-5 if mini.kind == "onnx" else 2e-3
    assert numpy.abs(by_tokens - plain).max() < near
    assert numpy.abs(embed(mini, tokens[0])[0] - plain[:1]).max() < near
    with mini.openai() as client:
        answer = client.embeddings.create(model="smol", input=few)
        assert numpy.abs(numpy.array([one.embedding for one in answer.data]) - plain).max() < 1e-6
        assert len(client.embeddings.create(model="smol", input="x", dimensions=7).data[0].embedding) == 7
        assert [model.id for model in client.models.list()] == ["smol"]


def test_rerank(mini):
    documents = ["Bananas are yellow.", "Paris is the capital of France.", {"text": "The capital of Italy is Rome."}]
    ask = {"model": "smol", "query": "What is the capital of France?", "documents": documents}
    with mini.http() as http:
        body = http.post("/v1/rerank", json=ask).json()
        assert [one["index"] for one in body["results"]] == [1, 2, 0]
        scores = [one["relevance_score"] for one in body["results"]]
        assert scores == sorted(scores, reverse=True) and scores[0] > 0.7 > 0.3 > scores[2]
        assert "document" not in body["results"][0] and body["usage"]["total_tokens"] > 20
        body = http.post("/v1/rerank", json={**ask, "top_n": 1, "return_documents": True}).json()
        assert [one["document"] for one in body["results"]] == [{"text": documents[1]}]
        for bad, field in [({"documents": []}, "documents"), ({"documents": "x"}, "documents"), ({"query": ""}, "query"),
                           ({"query": None}, "query"), ({"documents": ["x", ""]}, "documents[1]"),
                           ({"documents": ["x", 5]}, "documents[1]"), ({"documents": [{"no": 1}]}, "documents[0].text"),
                           ({"top_n": 0}, "top_n"), ({"top_n": "x"}, "top_n"), ({"return_documents": 1}, "return_documents"),
                           ({"documents": ["a"] * 2049}, "documents"), ({"documents": ["a", "word " * 600]}, "documents[1]")]:
            answer = http.post("/v1/rerank", json={**ask, **bad})
            assert (answer.status_code, answer.json()["error"]["param"]) == (400, field), answer.text


REFUSED = [
    ({"input": ""}, "input"), ({"input": []}, "input"), ({"input": None}, "input"), ({"input": 5}, "input"),
    ({"input": {}}, "input"), ({"input": ["a", ""]}, "input[1]"), ({"input": ["a", 5]}, "input[1]"),
    ({"input": ["a", ["b"]]}, "input[1]"), ({"input": [[1], "a"]}, "input[1]"), ({"input": [[1], []]}, "input[1]"),
    ({"input": [[30522]]}, "input[0]"), ({"input": [-1]}, "input"), ({"input": [1, 2.5]}, "input"),
    ({"input": [1, 2**31]}, "input"), ({"input": [[1, 2**53 + 1]]}, "input[0]"), ({"input": ["a"] * 2049}, "input"),
    ({"dimensions": 0}, "dimensions"), ({"dimensions": 385}, "dimensions"), ({"dimensions": -1}, "dimensions"),
    ({"dimensions": 2**31}, "dimensions"), ({"dimensions": 2**53 + 1}, "dimensions"), ({"dimensions": "5"}, "dimensions"),
    ({"dimensions": 1.5}, "dimensions"), ({"encoding_format": "hex"}, "encoding_format"),
    ({"encoding_format": 1}, "encoding_format"), ({"model": None}, "model"), ({"model": 1}, "model"),
]


def test_what_is_refused(mini):
    with mini.http() as http:
        for bad, field in REFUSED:
            answer = http.post("/v1/embeddings", json={"model": "smol", "input": "x", **bad})
            assert (answer.status_code, answer.json()["error"]["param"]) == (400, field), (bad, answer.text)
        assert http.post("/v1/embeddings", json={"model": "other", "input": "x"}).status_code == 404
        for body in (b"", b"{", b"[]", b'{"model":"smol"}', b'{"model":"smol","input":"\xff"}',
                     b'{"model":"smol","input":"\\ud800"}', b'{"model":"smol","input":[1e309]}',
                     b'{"model":"smol","input":[NaN]}', b'{"model":"smol","input":' + b"[" * 100 + b"]" * 100 + b"}"):
            answer = http.post("/v1/embeddings", content=body)
            assert answer.status_code == 400, (body, answer.text)
        for path in ("/v1/chat/completions", "/v1/completions"):
            answer = http.post(path, json={"model": "smol", "messages": [{"role": "user", "content": "x"}]})
            assert answer.status_code == 400 and "/v1/embeddings" in answer.json()["error"]["message"]
        assert http.post("/v1/embeddings", json={"model": "smol", "input": "x", "dimensions": None}).status_code == 200


def test_a_text_that_is_too_long_says_both_numbers(mini, reference):
    long = "word " * 600
    with mini.http() as http:
        answer = http.post("/v1/embeddings", json={"model": "smol", "input": ["x", "y", long]})
        error = answer.json()["error"]
        assert answer.status_code == 400 and error["param"] == "input[2]"
        assert error["code"] == "context_length_exceeded"
        assert "512" in error["message"] and str(len(reference.tokens(long))) in error["message"]
        assert embed(mini, "word " * 510)[1]["usage"]["total_tokens"] == 512
        huge = http.post("/v1/embeddings", json={"model": "smol", "input": "é" * 3_000_000})
        assert huge.status_code in (200, 400)
        assert http.post("/v1/embeddings", content=b" " * (9 << 20)).status_code == 413


def test_a_full_queue_answers_429(start_infer):
    infer = start_infer("--queue=2", model=EMBEDDING_MODEL)
    texts = ["word " * 400] * 8

    def ask(_):
        with infer.http() as http:
            return http.post("/v1/embeddings", json={"model": "smol", "input": texts})
    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(ask, range(12)))
    assert {answer.status_code for answer in answers} == {200, 429}
    refused = [answer for answer in answers if answer.status_code == 429]
    assert all(int(answer.headers["Retry-After"]) >= 1 for answer in refused)
    assert refused[0].json()["error"]["type"] == "rate_limit_error"
    assert infer.metrics()["requests_refused_total"] == len(refused)


def test_a_client_that_hangs_up_is_out_of_the_queue(mini):
    before = mini.metrics()
    body = json.dumps({"model": "smol", "input": ["word " * 500] * 64}).encode()
    host, port = mini.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as one:
        one.sendall(b"POST /v1/embeddings HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        eventually(lambda: mini.metrics()["queued_tokens"] > 0, 60)
    eventually(lambda: mini.metrics()["requests_cancelled_total"] > before["requests_cancelled_total"], 60)
    assert mini.metrics()["queued_tokens"] == 0
    assert mini.metrics()["texts_total"] - before["texts_total"] < 64
    embed(mini, "still there")


def test_chat_models_make_no_vectors(infer):
    with infer.http() as http:
        for path, body in (("/v1/embeddings", {"input": "x"}), ("/v1/rerank", {"query": "x", "documents": ["y"]})):
            answer = http.post(path, json={"model": "smol", **body})
            assert answer.status_code == 400 and answer.json()["error"]["param"] == "model"
            assert "writes text" in answer.json()["error"]["message"]


def folder_with(folder, **changes):
    """A copy of the model by links; `changes` name files with other bytes, or None for none."""
    for path in EMBEDDING_MODEL.rglob("*"):
        if path.is_file() and path.suffix not in (".gguf", ".safetensors"):
            name = str(path.relative_to(EMBEDDING_MODEL))
            if name not in changes:
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (folder / name).symlink_to(path)
    for name, data in changes.items():
        if data is not None:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(data)
    return folder


def test_broken_models_end_with_a_word(start_infer, tmp_path):
    """Code 3: another try would not help. Never by a signal."""
    model = (EMBEDDING_MODEL / "model.onnx").read_bytes()
    config = (EMBEDDING_MODEL / "config.json").read_bytes()
    cases = [
        ({"model.onnx": None}, "no model.onnx"), ({"model.onnx": b""}, "empty"), ({"model.onnx": b"garbage" * 100}, "refused"),
        ({"model.onnx": model[:1000]}, "could not load"), ({"model.onnx": model[:len(model) // 2]}, "could not load"),
        ({"model.onnx": model[:-1]}, "could not load"), ({"model.onnx": bytes(4096)}, "could not load"),
        ({"tokenizer.json": None, "vocab.txt": None}, "tokenizer.json or vocab.txt"), ({"tokenizer.json": b"{"}, "tokenizer.json"),
        ({"tokenizer.json": b'{"model":{"type":"BPE"}}'}, "tokenizer.json"), ({"tokenizer.json": b"\xff\xfe"}, "tokenizer.json"),
        ({"config.json": b"[]"}, "config.json"), ({"config.json": config.replace(b"512", b'"x"')}, "config.json"),
        ({"1_Pooling/config.json": b'{"pooling_mode_max_tokens":true}'}, "pooling_mode_max_tokens"),
        ({"tokenizer.json": None, "vocab.txt": b"a\nb\n"}, "lacks [UNK]"),
    ]
    for number, (changes, says) in enumerate(cases):
        folder = tmp_path / f"case{number}"
        folder.mkdir()
        infer = start_infer(model=folder_with(folder, **changes), wait=False)
        assert infer.process.wait(120) == 3, (list(changes), infer.stderr())
        assert says in infer.stderr().splitlines()[-1], infer.stderr()


def test_a_vocabulary_by_lines_is_the_same(start_infer, tmp_path, texts, expected):
    infer = start_infer(model=folder_with(tmp_path, **{"tokenizer.json": None}) / "model.onnx")
    assert (embed(infer, texts[:40])[0] * expected[:40]).sum(axis=1).min() >= 0.9999


def test_threads_rest(start_infer):
    """What waits for texts takes no processor time."""
    infer = start_infer("--threads=2", model=EMBEDDING_MODEL)
    embed(infer, ["hello world"] * 20)

    def used():
        fields = open(f"/proc/{infer.process.pid}/stat").read().rsplit(")", 1)[1].split()
        return int(fields[11]) + int(fields[12])  # hundredths of a second
    time.sleep(0.5)
    before = used()
    time.sleep(3)
    assert used() - before <= 15


def with_judge(folder, seed=7):
    """The model with a head that judges pairs, drawn by chance: as published weights, ONNX and GGUF."""
    folder_with(folder, **{"model.onnx": None})
    data = (EMBEDDING_MODEL / "model.safetensors").read_bytes()
    (size,) = struct.unpack_from("<Q", data)
    index, end = json.loads(data[8:8 + size]), len(data) - 8 - size
    pick = numpy.random.default_rng(seed)
    head = {"classifier.weight": pick.normal(size=(1, 384)).astype("<f4"), "classifier.bias": numpy.zeros(1, "<f4")}
    for name, values in head.items():
        index[name] = {"dtype": "F32", "shape": list(values.shape), "data_offsets": [end, end + values.nbytes]}
        end += values.nbytes
    text = json.dumps(index).encode()
    (folder / "model.safetensors").write_bytes(
        struct.pack("<Q", len(text)) + text + data[8 + size:] + b"".join(v.tobytes() for v in head.values()))
    subprocess.run([ROOT / "scripts/bert-model", folder], check=True)
    return folder


@pytest.mark.parametrize("kind", ["onnx", "gguf"])
def test_a_model_that_judges_pairs(start_infer, tmp_path, kind):
    """ONNX tells the two texts apart (token types 0 and 1); llama.cpp has type 0 for both."""
    folder = with_judge(tmp_path)
    reference = Bert(folder)
    infer = start_infer(model=folder if kind == "onnx" else folder / "model.gguf")
    query, documents = "capital of France", ["Paris, the capital", "bananas are yellow", "a river " * 40, "x"]

    def judged(document):
        encoded = reference.tokenizer.encode(query, document)
        types = encoded.type_ids if kind == "onnx" else [0] * len(encoded.ids)
        first = reference.states(encoded.ids, types)[0]
        hidden = numpy.tanh(reference.linear(first, "pooler.dense"))
        return 1 / (1 + numpy.exp(-reference.linear(hidden, "classifier")[0]))
    with infer.http() as http:
        body = http.post("/v1/rerank", json={"model": "smol", "query": query, "documents": documents}).json()
        found = {one["index"]: one["relevance_score"] for one in body["results"]}
        assert len(found) == 4 and max(abs(found[i] - judged(d)) for i, d in enumerate(documents)) < 5e-3
        assert list(found) == sorted(found, key=found.get, reverse=True)
        answer = http.post("/v1/embeddings", json={"model": "smol", "input": "x"})
        assert answer.status_code == 400 and "judges pairs" in answer.json()["error"]["message"]
        answer = http.post("/v1/rerank", json={"model": "smol", "query": "q " * 300, "documents": ["d " * 300]})
        assert answer.status_code == 400 and answer.json()["error"]["param"] == "documents[0]"
        assert http.get("/readyz").json()["tasks"] == ["rerank"]
        began = time.monotonic()  # a query is cut into tokens once, not for each document
        asked = {"model": "smol", "query": query + " " * 6_000_000, "documents": documents[:2] * 100}
        again = http.post("/v1/rerank", json=asked, timeout=120).json()["results"]
        assert len(again) == 200 and abs(again[0]["relevance_score"] - max(found[0], found[1])) < 5e-3
        assert time.monotonic() - began < 8


@pytest.mark.short
def test_tokens(mini, texts, reference):
    """Those of the library that the model was trained with, by number and by name."""
    with mini.http() as http:
        context = http.get("/v1/models").json()["data"][0]["meta"]["context_tokens"]
        for text in texts[::7] + ["", "[CLS] <s>"]:
            want = reference.tokenizer.encode(text)
            body = http.post("/v1/tokenize", json={"model": "smol", "prompt": text, "return_token_strs": True}).json()
            assert body["tokens"] == want.ids and body["token_strs"] == want.tokens
            assert body["count"] == len(body["tokens"]) and body["max_model_len"] == context
        for path, more, field in [("tokenize", {"prompt": "x", "parse_special": True}, "parse_special"),
                                  ("tokenize", {"prompt": ["x"]}, "prompt"), ("detokenize", {"tokens": [10**6]}, "tokens[0]"),
                                  ("detokenize", {"tokens": [7592]}, "model")]:
            answer = http.post(f"/v1/{path}", json={"model": "smol", **more})
            assert answer.status_code == 400 and answer.json()["error"]["param"] == field, answer.text
        assert http.post("/v1/tokenize", json={"model": "other", "prompt": "x"}).status_code == 404
        long = http.post("/v1/tokenize", json={"model": "smol", "prompt": "word " * 100_000})
        assert long.json()["count"] == 100_002
