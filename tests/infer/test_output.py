"""What an answer can be: logprobs, schemas, grammars, functions; and what is refused of each."""

import json
import math
import time

import openai
import pydantic
import pytest

HI = [{"role": "user", "content": "Tell me about a person, in a few words."}]
PERSON = {
    "type": "object", "additionalProperties": False, "required": ["name", "age", "tags"],
    "properties": {"name": {"type": "string", "maxLength": 20}, "age": {"type": "integer", "minimum": 0, "maximum": 120},
                   "tags": {"type": "array", "items": {"enum": ["a", "b"]}, "maxItems": 3}}}
WEATHER = {"type": "function", "function": {
    "name": "get_weather", "description": "The weather of a city.", "strict": True,
    "parameters": {"type": "object", "additionalProperties": False, "required": ["city", "unit"],
                   "properties": {"city": {"type": "string", "maxLength": 20}, "unit": {"enum": ["C", "F"]}}}}}
CLOCK = {"type": "function", "function": {"name": "clock", "description": "The time."}}


def ask(client, messages=HI, **more):
    more.setdefault("max_tokens", 200)
    return client.chat.completions.create(model="smol", messages=messages, **more)


def schema(name, of, strict=True):
    return {"type": "json_schema", "json_schema": {"name": name, "schema": of, "strict": strict}}


# --- logprobs ---

@pytest.mark.short
def test_logprobs(smol):
    answer = ask(smol, max_tokens=12, temperature=0, logprobs=True, top_logprobs=5)
    items = answer.choices[0].logprobs.content
    assert b"".join(bytes(item.bytes) for item in items).decode() == answer.choices[0].message.content
    for item in items:
        assert len(item.top_logprobs) == 5
        assert item.top_logprobs == sorted(item.top_logprobs, key=lambda t: -t.logprob)
        assert item.top_logprobs[0].token == item.token  # temperature 0
        assert abs(item.top_logprobs[0].logprob - item.logprob) < 1e-6
        assert -100 < item.logprob <= 0
        assert sum(math.exp(t.logprob) for t in item.top_logprobs) <= 1 + 1e-5
    assert ask(smol, max_tokens=2).choices[0].logprobs is None


@pytest.mark.short
def test_logprobs_are_the_models_own(smol):
    """Not those of the temperature, of biases or of a grammar."""
    plain = ask(smol, max_tokens=1, temperature=0, logprobs=True, top_logprobs=20).choices[0].logprobs.content[0]
    known = {t.token: t.logprob for t in plain.top_logprobs}
    other = ask(smol, max_tokens=1, temperature=2, seed=5, logprobs=True, top_logprobs=20,
                logit_bias={"260": -50}).choices[0].logprobs.content[0]
    assert {t.token for t in other.top_logprobs} == set(known)
    for t in other.top_logprobs:
        assert abs(t.logprob - known[t.token]) < 1e-3
    forced = ask(smol, max_tokens=1, logprobs=True, extra_body={"grammar": 'root ::= "{"'}).choices[0]
    assert forced.message.content == "{" and forced.logprobs.content[0].logprob < -1


@pytest.mark.short
def test_logprobs_streamed(smol):
    more = dict(max_tokens=24, temperature=0, logprobs=True, top_logprobs=2, seed=1)
    whole = ask(smol, **more)
    tokens, text = [], ""
    for chunk in ask(smol, stream=True, **more):
        for choice in chunk.choices:
            text += choice.delta.content or ""
            if choice.logprobs:
                tokens += choice.logprobs.content
                # told no sooner and no later than their text
                assert b"".join(bytes(t.bytes) for t in tokens).decode() == text
    assert [t.token for t in tokens] == [t.token for t in whole.choices[0].logprobs.content]
    assert text == whole.choices[0].message.content


def test_logprobs_stop_before_a_stop_string(smol):
    plain = ask(smol, max_tokens=20, temperature=0, logprobs=True).choices[0]
    word = plain.message.content.split()[3]
    answer = ask(smol, max_tokens=20, temperature=0, logprobs=True, stop=word).choices[0]
    told = b"".join(bytes(t.bytes) for t in answer.logprobs.content).decode()
    assert answer.message.content.startswith(told) and len(told) > 3


# --- schemas and grammars ---

@pytest.mark.short
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("temperature", [0, 1.3])
def test_json_schema(smol, stream, temperature):
    for seed in range(3):
        more = dict(response_format=schema("person", PERSON), temperature=temperature, seed=seed)
        if stream:
            text, finish = "", None
            for chunk in ask(smol, stream=True, **more):
                text += chunk.choices[0].delta.content or ""
                finish = chunk.choices[0].finish_reason or finish
        else:
            answer = ask(smol, **more)
            text, finish = answer.choices[0].message.content, answer.choices[0].finish_reason
        assert finish == "stop"
        person = json.loads(text)
        assert list(person) == ["name", "age", "tags"]
        assert len(person["name"]) <= 20 and 0 <= person["age"] <= 120
        assert set(person["tags"]) <= {"a", "b"} and len(person["tags"]) <= 3


@pytest.mark.short
def test_parse(smol):
    class Step(pydantic.BaseModel):
        explanation: str = pydantic.Field(max_length=30)
        done: bool

    class Plan(pydantic.BaseModel):
        title: str = pydantic.Field(pattern=r"^[A-Z][a-z]{2,8}$")
        steps: list[Step] = pydantic.Field(min_length=1, max_length=2)

    answer = smol.chat.completions.parse(model="smol", messages=HI, response_format=Plan, max_tokens=300)
    plan = answer.choices[0].message.parsed
    assert isinstance(plan, Plan) and 1 <= len(plan.steps) <= 2


@pytest.mark.short
def test_json_object(smol):
    for seed in range(3):
        answer = ask(smol, response_format={"type": "json_object"}, seed=seed, temperature=1, max_tokens=200)
        choice = answer.choices[0]
        if choice.finish_reason == "stop":
            assert isinstance(json.loads(choice.message.content), dict)
        else:
            assert choice.finish_reason == "length" and choice.message.content.startswith("{")


@pytest.mark.short
def test_grammar(smol):
    answer = ask(smol, extra_body={"grammar": 'root ::= [a-c]{3} "-" ("yes" | "no") # done\n'})
    text = answer.choices[0].message.content
    assert len(text) in (6, 7) and set(text[:3]) <= set("abc") and text[3:] in ("-yes", "-no")
    assert answer.choices[0].finish_reason == "stop"
    answer = ask(smol, max_tokens=5, extra_body={"grammar": "root ::= [0-9]+", "ignore_eos": True})
    assert answer.choices[0].message.content.isdigit() and answer.choices[0].finish_reason == "length"


@pytest.mark.short
def test_many_at_once(smol):
    """n answers under one grammar, each by itself."""
    answer = ask(smol, n=4, temperature=1.5, seed=3, response_format=schema("person", PERSON))
    texts = {choice.message.content for choice in answer.choices}
    assert len(texts) > 1
    for text in texts:
        assert json.loads(text)["age"] <= 120


# --- functions ---

def calls_of(answer):
    return [(call.function.name, json.loads(call.function.arguments)) for call in answer.choices[0].message.tool_calls]


def check_weather(arguments):
    assert set(arguments) == {"city", "unit"} and arguments["unit"] in ("C", "F") and len(arguments["city"]) <= 20


@pytest.mark.short
@pytest.mark.parametrize("temperature", [0, 1])
def test_required(smol, temperature):
    answer = ask(smol, tools=[WEATHER, CLOCK], tool_choice="required", temperature=temperature, seed=2,
                 parallel_tool_calls=False)
    message = answer.choices[0].message
    assert answer.choices[0].finish_reason == "tool_calls" and message.content is None
    assert len(message.tool_calls) == 1 and message.tool_calls[0].id.startswith("call_")
    ((name, arguments),) = calls_of(answer)
    assert name in ("get_weather", "clock")
    if name == "clock":
        assert arguments == {}
    else:
        check_weather(arguments)


@pytest.mark.short
@pytest.mark.parametrize("name", ["get_weather", "clock"])
def test_named(smol, name):
    answer = ask(smol, tools=[WEATHER, CLOCK], tool_choice={"type": "function", "function": {"name": name}})
    ((called, arguments),) = calls_of(answer)
    assert called == name
    check_weather(arguments) if name == "get_weather" else None


@pytest.mark.short
def test_calls_streamed(smol):
    more = dict(tools=[WEATHER, CLOCK], tool_choice="required", temperature=0, parallel_tool_calls=False)
    whole = calls_of(ask(smol, **more))
    calls, pieces, finish = {}, 0, None
    for chunk in ask(smol, stream=True, **more):
        (choice,) = chunk.choices
        assert not choice.delta.content
        finish = choice.finish_reason or finish
        for delta in choice.delta.tool_calls or []:
            if delta.index not in calls:
                assert delta.id and delta.type == "function" and delta.function.name and delta.index == len(calls)
                calls[delta.index] = [delta.function.name, ""]
            else:
                assert delta.id is None and delta.function.name is None
            calls[delta.index][1] += delta.function.arguments
            pieces += 1
    assert finish in ("tool_calls", "length") and pieces > len(calls)
    done = [(name, json.loads(text)) for name, text in calls.values() if text.endswith("}")]
    assert done == whole[:len(done)] and done


@pytest.mark.short
def test_auto(smol):
    """Whatever the model decides, the form is right; and it can be made to decide for a call."""
    for seed in range(3):
        answer = ask(smol, tools=[WEATHER], seed=seed, max_tokens=60)
        message = answer.choices[0].message
        if message.tool_calls:
            for name, arguments in calls_of(answer):
                assert name == "get_weather"
        else:
            assert message.content and "<tool_call>" not in message.content
    assert ask(smol, tools=[WEATHER], tool_choice="none", max_tokens=8).choices[0].message.tool_calls is None


@pytest.mark.short
def test_history_with_calls(smol):
    first = ask(smol, tools=[WEATHER], tool_choice="required", parallel_tool_calls=False)
    call = first.choices[0].message.tool_calls[0]
    messages = HI + [first.choices[0].message.model_dump(exclude_none=True),
                     {"role": "tool", "tool_call_id": call.id, "content": "21 degrees, sunny"}]
    answer = ask(smol, messages, tools=[WEATHER], tool_choice="none", max_tokens=30)
    assert answer.choices[0].message.content
    more = ask(smol, messages + [{"role": "user", "content": "Thanks."}], max_tokens=5)
    assert more.usage.prompt_tokens > 20


@pytest.mark.short
def test_functions_and_a_schema(smol):
    answer = ask(smol, tools=[WEATHER], response_format=schema("person", PERSON), temperature=0)
    message = answer.choices[0].message
    if not message.tool_calls:
        assert set(json.loads(message.content)) == {"name", "age", "tags"}


@pytest.mark.short
def test_control_tokens_in_functions_are_text(smol):
    def tokens(text):
        tool = {"type": "function", "function": {"name": "f", "description": text}}
        return ask(smol, tools=[tool], max_tokens=1).usage.prompt_tokens
    assert tokens("a<|im_end|>b") > tokens("ab") + 4


# --- refusals ---

def post(infer, body):
    body = {"model": "smol", "messages": HI, "max_tokens": 4} | body
    with infer.http() as http:
        began = time.monotonic()
        answer = http.post("/v1/chat/completions", content=json.dumps(body))
        return answer, time.monotonic() - began


def nested(depth):
    of = {"type": "integer"}
    for _ in range(depth):
        of = {"type": "array", "items": of}
    return of


TOOL = "tools[0].function"
SCHEMA = "response_format.json_schema.schema"
BAD = [
    ({"response_format": {"type": "yaml"}}, "response_format.type"),
    ({"response_format": "json"}, "response_format"),
    ({"response_format": {"type": "json_object", "more": 1}}, "response_format.more"),
    ({"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
    ({"response_format": {"type": "json_schema", "json_schema": {"schema": {}}}}, "response_format.json_schema.name"),
    ({"response_format": schema("a", {"type": "date"})}, SCHEMA + ".type"),
    ({"response_format": schema("a", {"not": {}})}, SCHEMA + ".not"),
    ({"response_format": schema("a", {"type": "number", "multipleOf": 3})}, SCHEMA + ".multipleOf"),
    ({"response_format": schema("a", {"type": "string", "pattern": "(?=x)"})}, SCHEMA + ".pattern"),
    ({"response_format": schema("a", {"$ref": "#/x"})}, SCHEMA + ".$ref"),
    ({"response_format": schema("a", {"$defs": {"a": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"})}, SCHEMA),
    ({"response_format": schema("a", nested(40))}, SCHEMA),
    ({"response_format": schema("a", {"type": "array", "minItems": 10**9})}, SCHEMA + ".minItems"),
    ({"response_format": schema("a", {"enum": list(range(5000))})}, SCHEMA + ".enum"),
    ({"response_format": schema("a", {"anyOf": [{"const": i} for i in range(4000)]})}, SCHEMA + ".anyOf"),
    ({"response_format": schema("a", {"type": "object", "properties": {
        f"p{i}": {"type": "string", "maxLength": 9999} for i in range(100)}})}, SCHEMA),
    ({"grammar": "root ::= "}, None), ({"grammar": "x"}, "grammar"), ({"grammar": "root ::= root \"a\""}, "grammar"),
    ({"grammar": "root ::= (" * 1}, "grammar"), ({"grammar": "root ::= " + "(" * 60000}, "grammar"),
    ({"grammar": "a" * 70000}, "grammar"), ({"grammar": 5}, "grammar"), ({"grammar": ""}, "grammar"),
    ({"grammar": "root ::= <[1]>"}, "grammar"), ({"grammar": 'root ::= (("a"?){0,900}){0,900}'}, None),
    ({"grammar": 'root ::= "\\u0000"'}, "grammar"),
    ({"tools": [{}]}, "tools[0].type"), ({"tools": {}}, "tools"), ({"tools": [{"type": "web"}]}, "tools[0].type"),
    ({"tools": [{"type": "function"}]}, "tools[0].function"),
    ({"tools": [{"type": "function", "function": {}}]}, TOOL + ".name"),
    ({"tools": [{"type": "function", "function": {"name": "a b"}}]}, TOOL + ".name"),
    ({"tools": [{"type": "function", "function": {"name": "f" * 65}}]}, TOOL + ".name"),
    ({"tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "string"}}}]},
     TOOL + ".parameters.type"),
    ({"tools": [{"type": "function", "function": {"name": "f", "parameters": nested(40)}}]}, TOOL + ".parameters.type"),
    ({"tools": [CLOCK, CLOCK]}, "tools[1].function.name"), ({"tools": [CLOCK] * 129}, "tools"),
    ({"tool_choice": "required"}, "tool_choice"), ({"tools": [CLOCK], "tool_choice": "always"}, "tool_choice"),
    ({"tools": [CLOCK], "tool_choice": {"type": "function", "function": {"name": "g"}}}, "tool_choice.function.name"),
    ({"tools": [CLOCK], "tool_choice": {"type": "custom"}}, "tool_choice.type"),
    ({"tools": [CLOCK], "grammar": 'root ::= "a"'}, "grammar"),
    ({"top_logprobs": 1}, "top_logprobs"), ({"logprobs": True, "top_logprobs": 21}, "top_logprobs"),
    ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].tool_call_id"),
    ({"messages": [{"role": "user", "content": "x", "tool_calls": [{}]}]}, "messages[0].tool_calls"),
    ({"messages": [{"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "{"}}]}]},
     "messages[0].tool_calls[0].function.arguments"),
]


@pytest.mark.parametrize("body, param", BAD, ids=lambda v: repr(v)[:40])
def test_refused(infer, body, param):
    answer, seconds = post(infer, body)
    if param is None:
        assert answer.status_code in (200, 400)
    else:
        assert answer.status_code == 400, answer.text
        assert answer.json()["error"]["param"] == param or len(param) > 30 and (
            answer.json()["error"]["param"].startswith(param)), answer.text
    assert seconds < 5


def test_not_strict_is_lenient(infer):
    of = {"type": "object", "properties": {"n": {"type": "number", "multipleOf": 2}, "u": {"type": "string", "format": "iri"},
                                           "l": {"type": "array", "maxItems": 10**9}}, "x-own": True}
    answer, _ = post(infer, {"response_format": schema("a", of, strict=False)})
    assert answer.status_code == 200, answer.text


# --- every number at its edges ---

NUMBERS = {  # name: (least, most, whole)
    "temperature": (0, 2, False), "top_p": (0, 1, False), "min_p": (0, 1, False), "top_k": (-1, 1_000_000, True),
    "presence_penalty": (-2, 2, False), "frequency_penalty": (-2, 2, False), "repeat_penalty": (0.1, 10, False),
    "repeat_last_n": (-1, 1_000_000, True), "n": (1, 8, True), "max_tokens": (1, 2**31 - 1, True),
    "max_completion_tokens": (1, 2**31 - 1, True), "seed": (-2**63, 2**63 - 1, True), "top_logprobs": (0, 20, True),
}
EDGES = ["-1", "0", "{least}", "{most}", "{over}", "2147483648", "9007199254740993", "1e309", "NaN", "\"1\"", "[]", "true",
         "null"]


@pytest.mark.parametrize("name", NUMBERS)
def test_numbers(infer, name):
    least, most, whole = NUMBERS[name]
    with infer.http() as http:
        for edge in EDGES:
            text = edge.format(least=least, most=most, over=most + 1)
            body = json.dumps({"model": "smol", "messages": HI, "logprobs": True, "ignore_eos": True})[:-1]
            if not name.startswith("max_"):
                body += ', "max_tokens": 1'
            if text == str(most) and name.startswith("max_") or text == "null" and name.startswith("max_"):
                body += ', "stop": ["e", "a", "i", "o"]'
            answer = http.post("/v1/chat/completions", content=body + f', "{name}": {text}' + "}")
            try:
                value = json.loads(text)
            except ValueError:
                value = None
            fits = text == "null" or (text not in ("NaN", "1e309") and isinstance(value, (int, float)) and
                                      not isinstance(value, bool) and least <= value <= most)
            if fits:
                assert answer.status_code == 200, (text, answer.text)
                continue
            error = answer.json()["error"]
            assert answer.status_code == 400, (text, answer.text)
            if text not in ("NaN", "1e309") and text != str(2**63):  # those are no JSON that can be held
                assert error["param"] == name, (text, answer.text)
