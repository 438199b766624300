"""The unchanged OpenAI SDK against the real models."""

import openai
import pytest

from harness.server import fault


def ask(client, model, content="Say hello.", **more):
    more.setdefault("max_tokens", 16)
    return client.chat.completions.create(
        model=model, messages=[{"role": "user", "content": content}], **more
    )


@pytest.mark.short
def test_models(client):
    models = {model.id: model for model in client.models.list()}
    assert {"smol", "fault"} <= set(models)
    assert models["smol"].object == "model"
    assert models["smol"].created > 1_600_000_000
    assert client.models.retrieve("smol").id == "smol"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("nobody")


@pytest.mark.short
def test_answer(client, model):
    answer = ask(client, model, temperature=0)
    assert answer.object == "chat.completion"
    assert answer.id and answer.created > 1_600_000_000 and answer.model == model
    (choice,) = answer.choices
    assert choice.index == 0 and choice.message.role == "assistant" and choice.message.content
    assert choice.finish_reason in ("stop", "length")
    usage = answer.usage
    assert usage.prompt_tokens > 0 and 0 < usage.completion_tokens <= 16
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens


@pytest.mark.short
def test_stream_is_the_answer_in_pieces(client, model):
    whole = ask(client, model, temperature=0, seed=1, max_tokens=24)
    text, finish, roles, usage, pieces = "", None, [], None, 0
    for chunk in ask(client, model, temperature=0, seed=1, max_tokens=24, stream=True,
                     stream_options={"include_usage": True}):
        assert chunk.object == "chat.completion.chunk" and chunk.model == model
        if chunk.usage:
            assert chunk.choices == []
            usage = chunk.usage
            continue
        assert usage is None, "usage comes last"
        (choice,) = chunk.choices
        if choice.delta.role:
            roles.append(choice.delta.role)
        if choice.delta.content:
            pieces += 1
            text += choice.delta.content
        finish = choice.finish_reason or finish
    assert text == whole.choices[0].message.content
    assert finish == whole.choices[0].finish_reason
    assert roles == ["assistant"] and pieces > 3
    assert usage.completion_tokens == whole.usage.completion_tokens
    assert usage.prompt_tokens == whole.usage.prompt_tokens


@pytest.mark.short
def test_cached_tokens(client, model):
    """A second turn says how much of its prompt was known, streaming or not."""
    messages = [{"role": "user", "content": "Tell me of the sea. " * 20}]
    first = client.chat.completions.create(model=model, messages=messages, max_tokens=8, temperature=0)
    messages += [{"role": "assistant", "content": first.choices[0].message.content},
                 {"role": "user", "content": "And of ships?"}]
    second = client.chat.completions.create(model=model, messages=messages, max_tokens=8, temperature=0)
    *_, last = client.chat.completions.create(model=model, messages=messages, max_tokens=8, temperature=0, stream=True,
                                              stream_options={"include_usage": True})
    assert first.usage.prompt_tokens_details.cached_tokens < 64
    assert first.usage.prompt_tokens <= second.usage.prompt_tokens_details.cached_tokens < second.usage.prompt_tokens
    assert last.usage.prompt_tokens_details.cached_tokens >= second.usage.prompt_tokens_details.cached_tokens


def test_no_usage_unless_asked(client, model):
    assert all(chunk.usage is None and chunk.choices for chunk in ask(client, model, stream=True))


def test_max_tokens(client, model):
    answer = ask(client, model, "Count to one thousand.", max_tokens=5, temperature=0)
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage.completion_tokens == 5
    answer = client.chat.completions.create(
        model=model, messages=[{"role": "user", "content": "Count."}], max_completion_tokens=3)
    assert answer.usage.completion_tokens == 3


def test_n_choices(client, model):
    answer = ask(client, model, n=3, temperature=1.5, seed=7, max_tokens=12)
    assert sorted(choice.index for choice in answer.choices) == [0, 1, 2]
    assert len({choice.message.content for choice in answer.choices}) > 1
    assert answer.usage.completion_tokens <= 36
    texts, ends = {}, {}
    for chunk in ask(client, model, n=2, stream=True, temperature=0, max_tokens=8):
        for choice in chunk.choices:
            texts[choice.index] = texts.get(choice.index, "") + (choice.delta.content or "")
            if choice.finish_reason:
                ends[choice.index] = choice.finish_reason
    assert set(texts) == set(ends) == {0, 1}


def test_seed_repeats(client, model):
    def text(seed):
        return ask(client, model, "Tell me a story.", seed=seed, temperature=1.0, max_tokens=24).choices[0].message.content
    assert text(42) == text(42)
    assert len({text(seed) for seed in range(4)}) > 1


def test_stop(client, model):
    whole = ask(client, model, "Count from 1 to 9.", temperature=0, max_tokens=40).choices[0].message.content
    word = next(w for w in whole.split()[2:] if len(w) > 1)
    for stream in (False, True):
        answer = ask(client, model, "Count from 1 to 9.", temperature=0, max_tokens=40, stop=[word, "\u2603"], stream=stream)
        if stream:
            text, finish = "", None
            for chunk in answer:
                text += chunk.choices[0].delta.content or ""
                finish = chunk.choices[0].finish_reason or finish
        else:
            text, finish = answer.choices[0].message.content, answer.choices[0].finish_reason
        assert text == whole[: whole.index(word)]
        assert finish == "stop"


def test_non_ascii_is_never_cut(client, model):
    text = ""
    for chunk in ask(client, model, "Antworte mit: Grüße, 你好, 🙂🙂🙂", stream=True, max_tokens=48, temperature=0):
        piece = chunk.choices[0].delta.content or ""
        piece.encode()
        assert "\ufffd" not in piece
        text += piece
    assert text


def test_conversation_and_system_prompt(client, model):
    answer = client.chat.completions.create(model=model, max_tokens=8, messages=[
        {"role": "system", "content": "You are terse."},
        {"role": "user", "content": [{"type": "text", "text": "What is"}, {"type": "text", "text": " 1 + 1?"}]},
        {"role": "assistant", "content": "2"},
        {"role": "user", "content": "And 2 + 2?"}])
    assert answer.choices[0].message.content


def test_context_overflow_names_the_numbers(client, model):
    with pytest.raises(openai.BadRequestError) as error:
        ask(client, model, "word " * 20000)
    assert error.value.code == "context_length_exceeded"
    assert any(ch.isdigit() for ch in error.value.message)
    ask(client, model)


@pytest.mark.short
def test_typed_errors(weir, client):
    with pytest.raises(openai.NotFoundError) as error:
        client.chat.completions.create(model="nobody", messages=[{"role": "user", "content": "x"}])
    assert error.value.code == "model_not_found" and error.value.param == "model"
    assert "nobody" in error.value.message
    with pytest.raises(openai.BadRequestError) as error:
        ask(client, "smol", temperature=9)
    assert error.value.param == "temperature" and error.value.type == "invalid_request_error"
    with pytest.raises(openai.BadRequestError) as error:
        client.chat.completions.create(model="smol", messages=[])
    assert error.value.param == "messages"
    with openai.OpenAI(base_url=weir.url + "/v1", api_key="sk-wrong", max_retries=0) as wrong:
        with pytest.raises(openai.AuthenticationError) as error:
            ask(wrong, "smol")
        assert error.value.code == "invalid_api_key"


def test_request_ids_and_server_timing(client, model):
    answers = [client.chat.completions.with_raw_response.create(
        model=model, max_tokens=2, messages=[{"role": "user", "content": "x"}]) for _ in range(2)]
    ids = {answer.headers["x-request-id"] for answer in answers}
    assert len(ids) == 2 and all(i.startswith("req_") for i in ids)


def test_upstream_behind_the_sdk(client, upstream):
    answer = client.chat.completions.create(model="fault", messages=[{"role": "user", "content": fault(words=3)}])
    assert answer.choices[0].message.content == "w0 w1 w2 "
    assert answer.model == "fault"
    line, headers = upstream.heads[-1]
    assert line == "POST /v1/chat/completions HTTP/1.1"
    assert headers["authorization"] == "Bearer upstream-secret"
    stream = client.chat.completions.create(
        model="fault", stream=True, messages=[{"role": "user", "content": fault(words=3)}])
    assert "".join(chunk.choices[0].delta.content or "" for chunk in stream) == "w0 w1 w2 "
