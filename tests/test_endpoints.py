"""The endpoints beside chat, through weir: by the unchanged OpenAI SDK and by hand, to the real model
and to an upstream that misbehaves."""

import json
import time

import openai
import pytest

from harness import raw
from harness.server import eventually, fault

pytestmark = pytest.mark.short

COMPLETIONS, EMBEDDINGS, RERANK = "/v1/completions", "/v1/embeddings", "/v1/rerank"
TOKENIZE, DETOKENIZE = "/v1/tokenize", "/v1/detokenize"


def bodies(order):
    """A good request to each endpoint whose upstream does what `order` says."""
    return [
        (COMPLETIONS, {"model": "fault", "prompt": order}),
        (EMBEDDINGS, {"model": "fault", "input": order}),
        (RERANK, {"model": "fault", "query": order, "documents": ["a", {"text": "b"}]}),
        (TOKENIZE, {"model": "fault", "prompt": order}),
    ]


def error_of(answer, status):
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"} and error["message"]
    return error


def test_completions_of_the_model(client):
    whole = client.completions.create(model="smol", prompt="One, two,", temperature=0, max_tokens=8)
    assert whole.object == "text_completion" and whole.model == "smol" and whole.choices[0].text
    assert whole.usage.total_tokens == whole.usage.prompt_tokens + whole.usage.completion_tokens
    text, usage = "", None
    for chunk in client.completions.create(model="smol", prompt="One, two,", temperature=0, max_tokens=8, stream=True,
                                           stream_options={"include_usage": True}):
        assert chunk.object == "text_completion" and chunk.model == "smol"
        text += "".join(choice.text for choice in chunk.choices)
        usage = chunk.usage or usage
    assert text == whole.choices[0].text and usage.total_tokens == whole.usage.total_tokens
    for chunk in client.completions.create(model="smol", prompt="One, two,", max_tokens=3, stream=True):
        assert chunk.usage is None and chunk.choices


def test_prompts_of_all_kinds(client):
    answer = client.completions.create(model="smol", prompt=["One, two,", "A, b,"], n=2, max_tokens=4, echo=True)
    assert [c.index for c in answer.choices] == [0, 1, 2, 3]
    assert [c.text[:5] for c in answer.choices] == ["One, ", "One, ", "A, b,", "A, b,"]
    tokens = client.post("/tokenize", body={"model": "smol", "prompt": "One, two,"}, cast_to=object)["tokens"]
    for prompt in (tokens, [tokens, tokens]):
        answer = client.completions.create(model="smol", prompt=prompt, max_tokens=2, echo=True)
        assert all(c.text.startswith("One, two,") for c in answer.choices)
    back = client.post("/detokenize", body={"model": "smol", "tokens": tokens}, cast_to=object)
    assert back == {"prompt": "One, two,"}


def test_completions_of_an_upstream(client, upstream):
    answer = client.completions.create(model="fault", prompt=fault(words=3), user="somebody")
    assert answer.choices[0].text == "w0 w1 w2 " and answer.model == "fault"
    assert upstream.heads[-1][0] == "POST /v1/completions HTTP/1.1"
    assert upstream.heads[-1][1]["authorization"] == "Bearer upstream-secret"
    assert upstream.requests[-1]["user"] == "somebody"
    stream = client.completions.create(model="fault", prompt=fault(words=3), stream=True)
    assert "".join(chunk.choices[0].text for chunk in stream) == "w0 w1 w2 "
    assert upstream.requests[-1]["stream_options"] == {"include_usage": True}


@pytest.mark.parametrize("more", [{}, {"encoding_format": "float"}, {"encoding_format": "base64"}], ids=repr)
def test_embeddings_of_an_upstream(client, upstream, more):
    """Without a format the SDK asks for base64 and gives floats."""
    answer = client.embeddings.create(model="fault", input=["hello", "it's me"], dimensions=2, **more)
    assert answer.model == "fault" and answer.usage.prompt_tokens == 7
    assert upstream.heads[-1][0] == "POST /v1/embeddings HTTP/1.1"
    assert upstream.requests[-1]["dimensions"] == 2
    assert upstream.requests[-1]["encoding_format"] == more.get("encoding_format", "base64")
    if more.get("encoding_format") != "base64":
        assert [item.embedding for item in answer.data] == [[5.0, 0.0], [7.0, 1.0]]


def test_rerank_and_tokens_of_an_upstream(http, upstream):
    answer = http.post(RERANK, json={"model": "fault", "query": "q", "documents": ["a", {"text": "b"}], "top_n": 2})
    assert answer.status_code == 200 and [r["index"] for r in answer.json()["results"]] == [0, 1]
    assert upstream.heads[-1][0] == "POST /v1/rerank HTTP/1.1"
    answer = http.post(TOKENIZE, json={"model": "fault", "prompt": "abc"})
    assert answer.json()["tokens"] == [97, 98, 99]
    assert upstream.heads[-1][0] == "POST /tokenize HTTP/1.1"
    answer = http.post(DETOKENIZE, json={"model": "fault", "tokens": [97, 98, 99]})
    assert answer.json() == {"prompt": "abc"}
    assert upstream.heads[-1][0] == "POST /detokenize HTTP/1.1"


def test_what_all_of_them_carry(weir, http):
    for path, body in bodies("hi"):
        answer = http.post(path, json=body)
        assert answer.status_code == 200, answer.text
        assert answer.headers["x-request-id"].startswith("req_") and "total;dur=" in answer.headers["server-timing"]
        assert http.post(path, json=body, headers={"Authorization": "Bearer sk-wrong"}).status_code == 401
        assert error_of(http.post(path, json={**body, "model": "nobody"}), 404)["code"] == "model_not_found"
        assert error_of(http.get(path), 405)
        assert error_of(http.post(path, content=b"{"), 400)["param"] is None
        assert error_of(http.post(path, content=b"x" * (9 << 20)), 413)["code"] == "request_too_large"


def test_tokens_are_counted(weir, http):
    def counted(kind):
        return weir.metric(f'weir_relay_tokens_total{{model="fault",kind="{kind}"}}')
    before = {kind: counted(kind) for kind in ("prompt", "completion")}
    http.post(COMPLETIONS, json={"model": "fault", "prompt": fault(words=4)})
    http.post(COMPLETIONS, json={"model": "fault", "prompt": fault(words=6), "stream": True})
    http.post(EMBEDDINGS, json={"model": "fault", "input": "a"})
    http.post(RERANK, json={"model": "fault", "query": "q", "documents": ["a"]})
    assert counted("completion") == before["completion"] + 10
    assert counted("prompt") == before["prompt"] + 3 + 3 + 7 + 11


@pytest.mark.parametrize("order, status, code", [
    (dict(do="error", status=404), 404, "unsupported_endpoint"), (dict(do="error", status=501), 404, "unsupported_endpoint"),
    (dict(do="body", status=404, body='{"error":{"message":"x","code":"model_not_found"}}'), 502, "upstream_error"),
    (dict(do="error", status=400), 400, "fault_code"), (dict(do="error", status=401), 502, "upstream_error"),
    (dict(do="error", status=500), 502, "upstream_error"),
], ids=repr)
def test_refusals_of_an_upstream(http, order, status, code):
    for path, body in bodies(fault(**order)):
        error = error_of(http.post(path, json=body), status)
        assert error["code"] == code and "upstream-secret" not in error["message"]
        if code == "unsupported_endpoint":
            assert error["param"] == "model" and "'fault' does not do" in error["message"]


@pytest.mark.parametrize("order", [
    dict(do="close"), dict(do="raw", body="nonsense\r\n\r\n"), dict(do="body", body="not json"), dict(do="body", body="[1]"),
    dict(do="body", body='{"object":"list"}'), dict(do="body", body='{"choices":5,"data":{},"results":"x","tokens":1}'),
    dict(do="body", body='{"error":{"message":"x"},"choices":[],"data":[],"results":[],"tokens":[]}'),
    dict(cut_at=10), dict(cut_at=10, reset=True), dict(cut_at=10, framing="length"),
    dict(do="body", body="{}", content_type="text/html"),
], ids=repr)
def test_broken_answers(http, order):
    for path, body in bodies(fault(**order)):
        error_of(http.post(path, json=body), 502)


@pytest.mark.parametrize("cut_at", [1, 150, 151, 300, 500])
def test_completions_that_are_cut(http, cut_at):
    body = {"model": "fault", "prompt": fault(words=5, cut_at=cut_at), "stream": True}
    with http.stream("POST", COMPLETIONS, json=body) as answer:
        text = answer.read().decode()
    found = [event.removeprefix("data: ") for event in text.split("\n\n") if event]
    assert answer.status_code == 200 and "error" in json.loads(found[-1]) and "[DONE]" not in found
    for event in found[:-1]:
        assert json.loads(event)["choices"][0]["text"].startswith("w")


def test_retried_before_the_first_byte(http, upstream):
    for path, body in bodies(fault(do="close", times=2, words=2)):
        before = len(upstream.requests)
        upstream.forget()
        assert http.post(path, json=body).status_code == 200
        assert len(upstream.requests) == before + 3, path


def test_the_upstream_learns_that_the_client_left(weir, key, upstream):
    eventually(lambda: upstream.answering == 0)
    for stream in (False, True):
        for path, body in bodies(fault(do="hang")):
            left = upstream.left
            data = json.dumps({**body, **({"stream": stream} if path == COMPLETIONS else {})}).encode()
            with raw.Connection(weir.address) as c:
                c.send(f"POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\n"
                       f"Content-Length: {len(data)}\r\n\r\n".encode() + data)
                eventually(lambda: upstream.answering == 1)
                time.sleep(0.05)
                c.reset()
            eventually(lambda: upstream.left == left + 1, 5)


TEXTS = [  # what no prompt and no input is, and where the fault lies
    (None, ""), (5, ""), ({}, ""), ([], ""), ([None], "[0]"), (["a", 1], "[1]"), ([1, "a"], "[1]"), ([1, -1], "[1]"),
    ([[1], [1.5]], "[1][0]"), ([[1], "a"], "[1]"), (["a"] * 2049, ""), ([2**31], "[0]"),
]


@pytest.mark.parametrize("model", ["fault", "smol"])
@pytest.mark.parametrize("path, body, change, field", [
    *((COMPLETIONS, {}, {"prompt": value}, "prompt" + where) for value, where in TEXTS),
    *((EMBEDDINGS, {}, {"input": value}, "input" + where) for value, where in TEXTS),
    *((COMPLETIONS, {"prompt": "x"}, {name: value}, name) for name, value in [
        ("model", None), ("model", ""), ("n", 0), ("n", 129), ("best_of", 0), ("best_of", 21), ("echo", 1), ("suffix", 1),
        ("logprobs", -1), ("logprobs", 6), ("logprobs", 1.5), ("logprobs", True), ("max_tokens", -1), ("max_tokens", "5"),
        ("max_tokens", 10**30), ("stream", "yes"), ("stop", 5), ("stop", ["a"] * 5), ("seed", "x"), ("temperature", 2.1),
        ("top_p", -1), ("presence_penalty", 3), ("frequency_penalty", -3), ("logit_bias", []), ("stream_options", {}),
        ("user", 1)]),
    *((EMBEDDINGS, {"input": "x"}, {name: value}, name) for name, value in [
        ("model", 1), ("encoding_format", "hex"), ("encoding_format", 1), ("dimensions", 0), ("dimensions", 1.5),
        ("dimensions", "x"), ("user", 1), ("input", "")]),
    (EMBEDDINGS, {}, {"input": ["a", ""]}, "input[1]"), (EMBEDDINGS, {}, {"input": [[]]}, "input[0]"),
    *((RERANK, {"query": "q", "documents": ["a"]}, {name: value}, field) for name, value, field in [
        ("query", None, "query"), ("query", "", "query"), ("query", ["a"], "query"), ("documents", None, "documents"),
        ("documents", [], "documents"), ("documents", "a", "documents"), ("documents", ["a"] * 2049, "documents"),
        ("documents", [1], "documents[0]"), ("documents", ["a", {}], "documents[1].text"),
        ("documents", [{"text": 1}], "documents[0].text"), ("top_n", 0, "top_n"), ("top_n", 1.5, "top_n"),
        ("return_documents", "yes", "return_documents")]),
    (TOKENIZE, {}, {"prompt": None}, "prompt"), (TOKENIZE, {}, {"prompt": [1]}, "prompt"),
    (TOKENIZE, {"prompt": "a"}, {"parse_special": 1}, "parse_special"), (DETOKENIZE, {}, {"tokens": None}, "tokens"),
    (DETOKENIZE, {}, {"tokens": [1, "a"]}, "tokens[1]"), (DETOKENIZE, {}, {"tokens": "a"}, "tokens"),
], ids=lambda v: repr(v)[:30])
def test_bad_fields(http, model, path, body, change, field):
    error = error_of(http.post(path, json={"model": model, **body, **change}), 400)
    assert error["param"] == field and error["type"] == "invalid_request_error", error


def test_unknown_fields(http, upstream):
    """An upstream may know them; a local model does not."""
    for path, body in bodies("hi"):
        assert http.post(path, json={**body, "truncate_prompt_tokens": 5}).status_code == 200
        assert upstream.requests[-1]["truncate_prompt_tokens"] == 5
    body = {"model": "smol", "prompt": "hi", "truncate_prompt_tokens": 5}
    assert error_of(http.post(COMPLETIONS, json=body), 400)["param"] == "truncate_prompt_tokens"


def test_what_the_model_does_not_do(client, http):
    with pytest.raises(openai.NotFoundError) as error:
        client.post("/rerank", body={"model": "smol", "query": "q", "documents": ["a"]}, cast_to=object)
    assert error.value.code == "unsupported_endpoint" and error.value.param == "model"


def test_context_overflow(client):
    with pytest.raises(openai.BadRequestError) as error:
        client.completions.create(model="smol", prompt="word " * 20000)
    assert error.value.code == "context_length_exceeded" and error.value.param == "prompt"


def test_what_a_model_is_for(browser):
    """A local one says it, and the configuration of the upstream's."""
    tasks = {model["id"]: model["tasks"] for model in browser.get("/api/models").json()["data"]}
    assert tasks["smol"][:2] == ["chat", "completions"] and tasks["fault"] == ["chat", "completions", "embeddings", "rerank"]
