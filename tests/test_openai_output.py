"""What an answer can be, by the unchanged OpenAI SDK through weir: logprobs, schemas, functions."""

import json

import openai
import pydantic
import pytest

ASK = [{"role": "user", "content": "What is the weather in Rome, and what time is it there?"}]
WEATHER = {"type": "function", "function": {
    "name": "get_weather", "description": "The weather of a city.", "strict": True,
    "parameters": {"type": "object", "additionalProperties": False, "required": ["city", "unit"],
                   "properties": {"city": {"type": "string", "maxLength": 16}, "unit": {"enum": ["C", "F"]}}}}}
CLOCK = {"type": "function", "function": {"name": "clock", "description": "The time.", "parameters": {
    "type": "object", "properties": {"zone": {"type": "string", "pattern": "^[A-Z]{3,4}$"}}, "required": ["zone"]}}}


class Person(pydantic.BaseModel):
    name: str = pydantic.Field(max_length=16)
    age: int = pydantic.Field(ge=0, le=130)
    likes: list[str] = pydantic.Field(max_length=2)

    @pydantic.field_validator("likes")
    @classmethod
    def short(cls, likes):
        return likes


@pytest.fixture
def chat(client, model):
    return client, model


def ask(chat, messages=ASK, **more):
    client, model = chat
    more.setdefault("max_tokens", 200)
    return client.chat.completions.create(model=model, messages=messages, **more)


def test_parse(chat):
    client, model = chat
    answer = client.chat.completions.parse(
        model=model, response_format=Person, max_tokens=400, temperature=0.7, seed=4,
        messages=[{"role": "user", "content": "Invent a person."}])
    person = answer.choices[0].message.parsed
    assert isinstance(person, Person) and len(person.likes) <= 2


def test_required(chat):
    answer = ask(chat, tools=[WEATHER, CLOCK], tool_choice="required", parallel_tool_calls=False)
    choice = answer.choices[0]
    assert choice.finish_reason == "tool_calls" and choice.message.content is None
    (call,) = choice.message.tool_calls
    arguments = json.loads(call.function.arguments)
    assert call.type == "function" and call.id
    if call.function.name == "clock":
        assert 3 <= len(arguments["zone"]) <= 4 and arguments["zone"].isupper()
    else:
        assert set(arguments) == {"city", "unit"} and arguments["unit"] in ("C", "F")
    again = ask(chat, ASK + [choice.message.model_dump(exclude_none=True),
                             {"role": "tool", "tool_call_id": call.id, "content": "sunny, 21 degrees"}],
                tools=[WEATHER, CLOCK], tool_choice="none", max_tokens=20)
    assert again.choices[0].message.content and again.choices[0].message.tool_calls is None


@pytest.mark.parametrize("name", ["get_weather", "clock"])
def test_named_and_streamed(chat, name):
    """With the usage at the end."""
    text, names, finish, usage = "", [], None, None
    for chunk in ask(chat, tools=[WEATHER, CLOCK], tool_choice={"type": "function", "function": {"name": name}},
                     stream=True, stream_options={"include_usage": True}):
        usage = chunk.usage or usage
        for choice in chunk.choices:
            finish = choice.finish_reason or finish
            for delta in choice.delta.tool_calls or []:
                assert delta.index == 0
                names += [delta.function.name] if delta.function.name else []
                text += delta.function.arguments or ""
    assert names == [name] and finish == "tool_calls" and isinstance(json.loads(text), dict)
    assert usage.completion_tokens > 3 and usage.prompt_tokens > 50


def test_stream_helper(chat):
    """The SDK's own way to follow a stream, which puts it together and reads it."""
    client, model = chat
    with client.chat.completions.stream(
            model=model, response_format=Person, max_tokens=400, temperature=0.7, seed=4,
            stream_options={"include_usage": True},
            messages=[{"role": "user", "content": "Invent a person."}]) as stream:
        kinds = {event.type for event in stream}
        whole = stream.get_final_completion()
    assert {"chunk", "content.delta", "content.done"} <= kinds
    assert isinstance(whole.choices[0].message.parsed, Person) and whole.usage.completion_tokens > 5
    with client.chat.completions.stream(model=model, messages=ASK, tools=[WEATHER, CLOCK], tool_choice="required",
                                        parallel_tool_calls=False, max_tokens=200) as stream:
        done = [event for event in stream if event.type == "tool_calls.function.arguments.done"]
        whole = stream.get_final_completion()
    calls = whole.choices[0].message.tool_calls
    assert whole.choices[0].finish_reason == "tool_calls" and [c.function.name for c in calls] == [e.name for e in done]
    for call in calls:
        arguments = json.loads(call.function.arguments)
        assert set(arguments) >= ({"zone"} if call.function.name == "clock" else {"city", "unit"})


def test_auto(chat):
    answer = ask(chat, tools=[WEATHER], max_tokens=60, seed=1)
    message = answer.choices[0].message
    assert message.content or message.tool_calls
    for call in message.tool_calls or []:
        assert call.function.name == "get_weather"


def test_logprobs(chat):
    whole = ask(chat, logprobs=True, top_logprobs=3, max_tokens=10, temperature=0)
    items = whole.choices[0].logprobs.content
    assert b"".join(bytes(item.bytes) for item in items).decode() == whole.choices[0].message.content
    assert all(len(item.top_logprobs) == 3 and item.logprob <= 0 for item in items)
    tokens = []
    for chunk in ask(chat, logprobs=True, max_tokens=10, temperature=0, stream=True):
        for choice in chunk.choices:
            tokens += choice.logprobs.content if choice.logprobs else []
    assert [t.token for t in tokens] == [t.token for t in items]


def test_grammar(chat):
    answer = ask(chat, extra_body={"grammar": 'root ::= "yes" | "no"'})
    assert answer.choices[0].message.content in ("yes", "no") and answer.choices[0].finish_reason == "stop"


@pytest.mark.parametrize("more, param", [
    ({"response_format": {"type": "json_schema", "json_schema": {"name": "x", "strict": True, "schema": {
        "type": "object", "properties": {"a": {"type": "string", "pattern": "(?=a)"}}}}}},
     "response_format.json_schema.schema.properties.a.pattern"),
    ({"tools": [WEATHER], "tool_choice": {"type": "function", "function": {"name": "nobody"}}},
     "tool_choice.function.name"),
    ({"top_logprobs": 3}, "top_logprobs"), ({"extra_body": {"grammar": "root ::= root"}}, "grammar"),
])
def test_refused_by_name(chat, more, param):
    with pytest.raises(openai.BadRequestError) as error:
        ask(chat, **more)
    assert error.value.param == param
