"""Completions, tokenize and detokenize of weir-infer: what goes in is what the model sees, the same
streamed and whole, and what is wrong is named."""

import contextlib
import time

import httpx
import openai
import pytest

pytestmark = pytest.mark.short

TEXT = "The capital of France is"


def complete(client, prompt=TEXT, **more):
    more.setdefault("temperature", 0)
    return client.completions.create(model="smol", prompt=prompt, **more)


def streamed(client, prompt=TEXT, **more):
    texts, finishes, usage = {}, {}, None
    for chunk in complete(client, prompt, stream=True, stream_options={"include_usage": True}, **more):
        assert chunk.object == "text_completion" and chunk.id.startswith("cmpl-")
        for choice in chunk.choices:
            texts[choice.index] = texts.get(choice.index, "") + choice.text
            finishes[choice.index] = choice.finish_reason
        usage = chunk.usage or usage
    return texts, finishes, usage


def post(infer, path, body):
    with infer.http() as http:
        return http.post(path, json={"model": "smol", **body})


def tokens_of(infer, text, **more):
    answer = post(infer, "/v1/tokenize", {"prompt": text, **more})
    assert answer.status_code == 200, answer.text
    return answer.json()["tokens"]


def test_whole_and_streamed(smol):
    whole = complete(smol, max_tokens=12)
    assert whole.object == "text_completion" and whole.id.startswith("cmpl-") and whole.model == "smol"
    (choice,) = whole.choices
    assert choice.index == 0 and choice.text and choice.logprobs is None
    assert choice.finish_reason in ("stop", "length")
    texts, finishes, usage = streamed(smol, max_tokens=12)
    assert texts == {0: choice.text} and finishes == {0: choice.finish_reason}
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens == whole.usage.total_tokens


def test_sixteen_tokens_unless_told(smol):
    answer = complete(smol, "Once upon a time", extra_body={"ignore_eos": True})
    assert (answer.usage.completion_tokens, answer.choices[0].finish_reason) == (16, "length")


def test_no_template_is_put_around_it(infer, smol):
    """The prompt is the text's tokens and no more, and chat's is longer."""
    answer = complete(smol, max_tokens=1)
    assert answer.usage.prompt_tokens == len(tokens_of(infer, TEXT))
    chat = smol.chat.completions.create(model="smol", max_tokens=1, messages=[{"role": "user", "content": TEXT}])
    assert chat.usage.prompt_tokens > answer.usage.prompt_tokens


def test_tokens_are_a_prompt(infer, smol):
    text = complete(smol, max_tokens=8).choices[0].text
    tokens = tokens_of(infer, TEXT)
    assert complete(smol, tokens, max_tokens=8).choices[0].text == text
    assert complete(smol, [tokens], max_tokens=8).choices[0].text == text


@pytest.mark.parametrize("stream", [False, True])
def test_several_prompts_and_answers(infer, smol, stream):
    prompts = [TEXT, "Two and two are", "The opposite of hot is"]
    alone = [complete(smol, prompt, max_tokens=4).choices[0].text for prompt in prompts]
    for given in (prompts, [tokens_of(infer, prompt) for prompt in prompts]):
        if stream:
            texts, finishes, usage = streamed(smol, given, max_tokens=4, n=2)
            assert set(finishes) == set(range(6))
        else:
            answer = complete(smol, given, max_tokens=4, n=2)
            assert [choice.index for choice in answer.choices] == list(range(6))
            texts, usage = {choice.index: choice.text for choice in answer.choices}, answer.usage
        # Sums in another order can turn a near tie; a mixed-up prompt would change every answer.
        assert sum(texts[i] == alone[i // 2] for i in range(6)) >= 4
        assert usage.prompt_tokens == sum(len(tokens_of(infer, prompt)) for prompt in prompts)
        assert usage.completion_tokens <= 24


def test_n_answers_differ_by_seed(smol):
    answer = complete(smol, n=3, temperature=1.5, seed=7, max_tokens=12)
    assert len({choice.text for choice in answer.choices}) > 1
    again = complete(smol, n=3, temperature=1.5, seed=7, max_tokens=12)
    assert [c.text for c in again.choices] == [c.text for c in answer.choices]


@pytest.mark.parametrize("stream", [False, True])
def test_echo(infer, smol, stream):
    plain = complete(smol, max_tokens=6).choices[0].text
    for prompt in (TEXT, tokens_of(infer, TEXT)):
        if stream:
            texts, _, usage = streamed(smol, prompt, max_tokens=6, echo=True)
            text = texts[0]
        else:
            answer = complete(smol, prompt, max_tokens=6, echo=True)
            text, usage = answer.choices[0].text, answer.usage
        assert text == TEXT + plain
        assert usage.completion_tokens <= 6


@pytest.mark.parametrize("stream", [False, True])
def test_echo_and_nothing_more(infer, smol, stream):
    before = infer.metrics()["requests_total"]
    if stream:
        texts, finishes, usage = streamed(smol, [TEXT, "ab"], max_tokens=0, echo=True)
    else:
        answer = complete(smol, [TEXT, "ab"], max_tokens=0, echo=True)
        texts, usage = {c.index: c.text for c in answer.choices}, answer.usage
        finishes = {c.index: c.finish_reason for c in answer.choices}
    assert texts == {0: TEXT, 1: "ab"} and finishes == {0: "length", 1: "length"}
    assert usage.completion_tokens == 0 and usage.prompt_tokens > 0
    assert infer.metrics()["requests_total"] == before


@pytest.mark.parametrize("stream", [False, True])
def test_stop(smol, stream):
    plain = complete(smol, max_tokens=20).choices[0].text
    middle = plain[len(plain) // 2:len(plain) // 2 + 3]
    if stream:
        texts, finishes, _ = streamed(smol, max_tokens=20, stop=[middle, "\u2603"])
        text, finish = texts[0], finishes[0]
    else:
        answer = complete(smol, max_tokens=20, stop=[middle, "\u2603"])
        text, finish = answer.choices[0].text, answer.choices[0].finish_reason
    assert (text, finish) == (plain[:plain.index(middle)], "stop")


def test_control_tokens_in_a_text_are_text(infer, smol):
    raw = "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n"
    as_text, as_tokens = tokens_of(infer, raw), tokens_of(infer, raw, parse_special=True)
    assert len(as_text) > len(as_tokens) + 8
    assert complete(smol, raw, max_tokens=1).usage.prompt_tokens == len(as_text)
    asked = complete(smol, raw, max_tokens=1, extra_body={"parse_special": True})
    assert asked.usage.prompt_tokens == len(as_tokens)


def mean(choice):
    return sum(choice.logprobs.token_logprobs) / len(choice.logprobs.token_logprobs)


@pytest.mark.parametrize("stop", [None, "s"])
def test_logprobs(smol, stop):
    answer = complete(smol, max_tokens=8, logprobs=2, stop=stop, n=2)
    for choice in answer.choices:
        logs = choice.logprobs
        assert len(logs.tokens) == len(logs.token_logprobs) == len(logs.top_logprobs) == len(logs.text_offset)
        joined = "".join(logs.tokens)
        # Of a token that a stop string cuts, the text before it is given, and nothing is told.
        assert choice.text.startswith(joined) if stop else joined == choice.text
        offset = 0
        for token, logprob, tops, at in zip(logs.tokens, logs.token_logprobs, logs.top_logprobs, logs.text_offset, strict=True):
            assert at == offset and logprob <= 0 and len(tops) == 2
            assert tops[token] == logprob == max(tops.values())  # temperature 0
            offset += len(token)
    logs = complete(smol, max_tokens=4, logprobs=0).choices[0].logprobs
    assert [set(tops) for tops in logs.top_logprobs] == [{token} for token in logs.tokens]


def test_logprobs_streamed(smol):
    whole = complete(smol, max_tokens=12, logprobs=3).choices[0]
    parts = {"tokens": [], "token_logprobs": [], "text_offset": [], "top_logprobs": []}
    text = ""
    for chunk in complete(smol, max_tokens=12, logprobs=3, stream=True):
        (choice,) = chunk.choices
        text += choice.text
        if choice.logprobs:
            for name, list_ in parts.items():
                list_ += getattr(choice.logprobs, name)
    assert text == whole.text
    assert parts["tokens"] == whole.logprobs.tokens and parts["text_offset"] == whole.logprobs.text_offset
    assert parts["token_logprobs"] == pytest.approx(whole.logprobs.token_logprobs, abs=0.05)


def test_parts_of_characters_are_told_by_their_bytes(infer, smol):
    answer = complete(smol, "😀🎉😀🎉😀", max_tokens=24, logprobs=0, temperature=1, seed=3)
    logs = answer.choices[0].logprobs
    for token in logs.tokens:
        assert "\ufffd" not in token
    assert sum(len(t) for t in logs.tokens if not t.startswith("bytes:")) <= len(answer.choices[0].text)


def test_best_of(smol):
    """The best by the mean of their logprobs, the best first; what was computed is counted."""
    more = {"temperature": 1.3, "seed": 11, "max_tokens": 8, "extra_body": {"ignore_eos": True}}
    every = complete(smol, n=5, logprobs=0, **more)
    best = complete(smol, n=2, best_of=5, logprobs=0, **more)
    assert [choice.index for choice in best.choices] == [0, 1]
    assert best.usage.completion_tokens == every.usage.completion_tokens == 40
    assert mean(best.choices[0]) >= mean(best.choices[1])
    assert [mean(choice) for choice in best.choices] == pytest.approx(sorted(map(mean, every.choices))[:2:-1], abs=0.02)
    assert complete(smol, [TEXT, "ab"], best_of=2, **more).choices[1].logprobs is None


@pytest.mark.parametrize("change, field", [
    ({"prompt": None}, "prompt"), ({"prompt": 5}, "prompt"), ({"prompt": {}}, "prompt"), ({"prompt": []}, "prompt"),
    ({"prompt": ""}, "prompt"), ({"prompt": ["a", ""]}, "prompt[1]"), ({"prompt": [[1], []]}, "prompt[1]"),
    ({"prompt": ["a", 1]}, "prompt[1]"), ({"prompt": [1, -1]}, "prompt[1]"), ({"prompt": [10**9]}, "prompt[0]"),
    ({"prompt": [1, 2**53 + 1]}, "prompt[1]"), ({"prompt": [1.5]}, "prompt[0]"), ({"prompt": [[1], "a"]}, "prompt[1]"),
    ({"prompt": ["a"] * 65}, "prompt"), ({"prompt": ["a"] * 9, "n": 8}, "prompt"), ({"prompt": "one two " * 2000}, "prompt"),
    ({"prompt": ["a", "one two " * 2000]}, "prompt[1]"), ({"n": 0}, "n"), ({"n": 9}, "n"), ({"best_of": 9}, "best_of"),
    ({"best_of": 2, "stream": True}, "best_of"), ({"logprobs": 1, "echo": True}, "logprobs"),
    ({"best_of": 1, "n": 2}, "best_of"), ({"best_of": 0}, "best_of"), ({"best_of": "1"}, "best_of"),
    ({"max_tokens": 0}, "max_tokens"), ({"max_tokens": -1}, "max_tokens"), ({"max_tokens": 2**31}, "max_tokens"),
    ({"logprobs": 6}, "logprobs"), ({"logprobs": -1}, "logprobs"), ({"logprobs": True}, "logprobs"),
    ({"suffix": "x"}, "suffix"), ({"suffix": 1}, "suffix"), ({"echo": "yes"}, "echo"), ({"stream": "yes"}, "stream"),
    ({"stream_options": {}}, "stream_options"), ({"stop": ["a"] * 5}, "stop"), ({"stop": ""}, "stop"),
    ({"seed": 1.5}, "seed"), ({"temperature": 2.1}, "temperature"), ({"top_p": "x"}, "top_p"),
    ({"presence_penalty": 3}, "presence_penalty"), ({"frequency_penalty": -3}, "frequency_penalty"),
    ({"logit_bias": {"x": 1}}, "logit_bias"), ({"user": 1}, "user"), ({"messages": []}, "messages"),
    ({"max_completion_tokens": 5}, "max_completion_tokens"), ({"no_such_field": 1}, "no_such_field"),
    ({"model": "other"}, "model"), ({"model": None}, "model"),
], ids=lambda v: repr(v)[:40])
def test_bad_fields(infer, change, field):
    answer = post(infer, "/v1/completions", {"prompt": "hi", "max_tokens": 1} | change)
    error = answer.json()["error"]
    assert answer.status_code == (404 if change.get("model") else 400), answer.text
    assert error["param"] == field and error["message"] and error["type"] == "invalid_request_error"


def test_context(smol):
    with pytest.raises(openai.BadRequestError) as error:
        complete(smol, "one two three " * 600)
    assert error.value.code == "context_length_exceeded" and error.value.param == "prompt"
    assert "this model's context is 1024 tokens; the prompt has 1" in error.value.message


@pytest.mark.parametrize("stream", [True, False], ids=["streaming", "whole"])
def test_hang_up(infer, stream):
    """All its answers are out of the batch at once."""
    before = infer.metrics()
    body = {"model": "smol", "prompt": [TEXT, "ab"], "n": 2, "max_tokens": 900, "ignore_eos": True, "stream": stream}
    with infer.http() as http:
        with contextlib.nullcontext() if stream else pytest.raises(httpx.ReadTimeout):
            with http.stream("POST", "/v1/completions", json=body, timeout=2) as answer:
                for _ in answer.iter_raw():
                    break
    end = time.monotonic() + 30
    while True:
        now = infer.metrics()
        if now["requests_cancelled_total"] == before["requests_cancelled_total"] + 4 and now["free_sequences"] == 4:
            break
        assert time.monotonic() < end, now
        time.sleep(0.02)
    assert now["cache_tokens"] == 0


@pytest.mark.parametrize("text", ["", "Hello, world", "Grüße, 你好 🙂", "a\u0001b", "<|im_end|>", " " * 50 + "\n\t\r"])
def test_there_and_back(infer, text):
    answer = post(infer, "/v1/tokenize", {"prompt": text}).json()
    assert set(answer) == {"count", "max_model_len", "tokens", "token_strs"}
    assert answer["count"] == len(answer["tokens"]) and answer["max_model_len"] == 1024
    back = post(infer, "/v1/detokenize", {"tokens": answer["tokens"]})
    assert back.status_code == 200 and back.json() == {"prompt": text}


def test_texts_of_tokens(infer):
    answer = post(infer, "/v1/tokenize", {"prompt": "Hello there<|im_end|>", "return_token_strs": True, "parse_special": True})
    strings = answer.json()["token_strs"]
    assert len(strings) == answer.json()["count"] and "".join(strings) == "Hello there<|im_end|>"
    assert strings[-1] == "<|im_end|>"
    back = post(infer, "/v1/detokenize", {"tokens": answer.json()["tokens"]})
    assert back.json() == {"prompt": "Hello there<|im_end|>"}
    whole = tokens_of(infer, "🙂🙂")
    for cut in range(len(whole)):  # what is no whole character is U+FFFD, never invalid
        assert isinstance(post(infer, "/v1/detokenize", {"tokens": whole[:cut]}).json()["prompt"], str)


@pytest.mark.parametrize("path, body, field", [
    ("tokenize", {}, "prompt"), ("tokenize", {"prompt": None}, "prompt"), ("tokenize", {"prompt": ["a"]}, "prompt"),
    ("tokenize", {"prompt": "x" * (1 << 20) + "x"}, "prompt"), ("tokenize", {"prompt": "a", "parse_special": 1}, "parse_special"),
    ("tokenize", {"prompt": "a", "content": "a"}, "content"), ("detokenize", {}, "tokens"),
    ("detokenize", {"tokens": "a"}, "tokens"), ("detokenize", {"tokens": [1, -1]}, "tokens[1]"),
    ("detokenize", {"tokens": [10**6]}, "tokens[0]"), ("detokenize", {"tokens": [None]}, "tokens[0]"),
], ids=lambda v: repr(v)[:30])
def test_bad_tokens(infer, path, body, field):
    answer = post(infer, f"/v1/{path}", body)
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["param"] == field


def test_long_texts_are_split_off_the_loop(infer):
    answer = post(infer, "/v1/tokenize", {"prompt": "word " * 200_000})
    assert answer.status_code == 200 and answer.json()["count"] > 200_000
