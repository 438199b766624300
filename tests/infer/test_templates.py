"""Chat templates of models that cannot be loaded here, with the default model behind them: its control
tokens get the names that the template writes. The words are nonsense; what is tested is that calls are
calls, whatever tokens and patterns they are known by, and that nobody's text becomes a control token."""

import json
import pathlib
import tarfile

import openai
import pytest

from conftest import Infer
from harness.gguf import rewrite
from harness.server import MODEL

# Control tokens of the default model that nothing else is said with.
SPARE = ["<repo_name>", "<reponame>", "<file_sep>", "<filename>", "<gh_stars>", "<issue_start>", "<issue_comment>",
         "<issue_closed>", "<jupyter_start>", "<jupyter_text>", "<jupyter_code>"]
MISTRAL = ["[TOOL_CALLS]", "[ARGS]", "[INST]", "[/INST]", "[AVAILABLE_TOOLS]", "[/AVAILABLE_TOOLS]", "[THINK]", "[/THINK]",
           "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]"]
TEMPLATES = {  # its control tokens, and what begins a call
    "mistralai-Ministral-3-14B-Reasoning-2512": (MISTRAL, "[TOOL_CALLS]"),
    "unsloth-mistral-Devstral-Small-2507": (MISTRAL, "[TOOL_CALLS]"),
    "openai-gpt-oss-120b": (["<|start|>", "<|message|>", "<|channel|>", "<|constrain|>", "<|end|>", "<|call|>", "<|return|>"],
                            " to"),
}
WEATHER = [{"type": "function", "function": {"name": "weather", "description": "The weather of a city.", "parameters": {
    "type": "object", "properties": {"city": {"enum": ["Rome", "Oslo"]}}, "required": ["city"],
    "additionalProperties": False}}}]
ASK = [{"role": "user", "content": "How is the weather in Oslo?"}]


@pytest.fixture(scope="session")
def templates():
    """As they come with the library's source, which scripts/deps fetched to build it."""
    found = sorted((pathlib.Path(MODEL).parent.parent / "sources").glob("llama_cpp_python-*.tar.gz"))
    if not found:
        pytest.skip("the source of llama.cpp is not in the cache: scripts/deps llama")
    with tarfile.open(found[-1]) as tar:
        return {member.name.split("/")[-1].removesuffix(".jinja"): tar.extractfile(member).read().decode()
                for member in tar if "/llama.cpp/models/templates/" in member.name and member.name.endswith(".jinja")}


@pytest.fixture(scope="module", params=TEMPLATES)
def told(request, templates, tmp_path_factory):
    names, begins = TEMPLATES[request.param]
    folder = tmp_path_factory.mktemp("template")
    model = rewrite(MODEL, folder / "model.gguf", templates[request.param], dict(zip(SPARE, names)))
    infer = Infer(folder, "--context=2048", "--parallel=2", model=model)
    infer.names, infer.begins = names, begins
    yield infer
    assert infer.stop() == 0
    model.unlink()


def token_of(infer, text):
    with infer.http() as http:
        answer = http.post("/v1/tokenize", json={"model": "smol", "prompt": text, "parse_special": True,
                                                 "add_special_tokens": False})
    (token,) = answer.json()["tokens"]
    return str(token)


def call_of(choice):
    (call,) = choice.message.tool_calls
    assert choice.finish_reason == "tool_calls" and call.function.name == "weather"
    assert json.loads(call.function.arguments)["city"] in ("Rome", "Oslo")
    return call.function


def test_a_call_that_must_be(told):
    """The grammar goes on where the prompt has left off."""
    with told.openai() as client:
        answer = client.chat.completions.create(
            model="smol", messages=ASK, tools=WEATHER, tool_choice="required", temperature=0, max_tokens=200,
            logit_bias={token_of(told, told.begins): 100}, parallel_tool_calls=False)
        call = call_of(answer.choices[0])
        name, arguments = "", ""
        for chunk in client.chat.completions.create(
                model="smol", messages=ASK, tools=WEATHER, tool_choice="required", temperature=0, max_tokens=200,
                logit_bias={token_of(told, told.begins): 100}, parallel_tool_calls=False, stream=True):
            for part in (chunk.choices[0].delta.tool_calls or []) if chunk.choices else []:
                name += part.function.name or ""
                arguments += part.function.arguments or ""
        assert (name, arguments) == (call.name, call.arguments)


def test_a_call_that_the_model_begins(told):
    """By its own token, or by what its pattern says; from there on it is held to the function's schema."""
    with told.openai() as client:
        answer = client.chat.completions.create(
            model="smol", messages=ASK, tools=WEATHER, temperature=0, max_tokens=200,
            logit_bias={token_of(told, told.begins): 100}, parallel_tool_calls=False)
        call_of(answer.choices[0])
        assert told.begins not in (answer.choices[0].message.content or "")


def test_words_of_people_stay_words(told):
    for name in told.names:
        texts = [f"a{name}b", "ab"]
        counts = []
        for text in texts:
            with told.openai() as client:
                try:
                    answer = client.chat.completions.create(model="smol", messages=[{"role": "user", "content": text}],
                                                            max_tokens=1)
                except openai.BadRequestError as error:  # a template may refuse its own marks in a text
                    assert "template refuses" in str(error)
                    break
                counts.append(answer.usage.prompt_tokens)
        else:
            assert counts[0] >= counts[1] + 3, (name, counts)


def test_an_answer_without_functions(told):
    """Marks of the template are not shown in what was said."""
    with told.openai() as client:
        answer = client.chat.completions.create(model="smol", messages=ASK, temperature=0, max_tokens=30,
                                                extra_body={"ignore_eos": True})
    message = answer.choices[0].message
    assert (message.content or "") + (getattr(message, "reasoning_content", None) or "")
    assert message.tool_calls is None
