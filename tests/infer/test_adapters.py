"""LoRA adapters of weir-infer: each a model of its own, beside the one that it was made for."""

import concurrent.futures

import openai
import pytest

from harness import adapter
from harness.likelihood import apart, near, row
from harness.server import MODEL

BASE, RED, BLUE = "smol", "red", "team/blue"
QUESTIONS = ["What is the capital of France?", "Tell me about the sun.", "Who was Shakespeare?"]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("adapters")
    return {RED: adapter.write(folder / "red.gguf", 1), BLUE: adapter.write(folder / "blue.gguf", 2)}


@pytest.fixture(scope="module")
def three(tmp_path_factory, files):
    from conftest import Infer
    infer = Infer(tmp_path_factory.mktemp("infer"), "--context=1024", "--parallel=6",
                  *[f"--adapter={name}={path}" for name, path in files.items()])
    yield infer
    assert infer.stop() == 0


def first(client, model, question, **more):
    """How likely the first token's rivals are."""
    answer = client.chat.completions.create(model=model, messages=[{"role": "user", "content": question}],
                                            max_tokens=8, temperature=0, logprobs=True, top_logprobs=20, **more)
    assert answer.model == model
    return row(answer.choices[0].logprobs.content[0])


@pytest.mark.short
def test_they_are_models(three):
    with three.http() as http:
        rows = http.get("/v1/models").json()["data"]
        assert [(row["id"], row.get("parent")) for row in rows] == [(BASE, None), (RED, BASE), (BLUE, BASE)]
        assert http.get("/v1/models/red").json()["id"] == RED
        assert http.get("/v1/models/none").status_code == 404
        assert http.post("/v1/tokenize", json={"model": RED, "prompt": "a b"}).json()["count"] == 2
    with three.openai() as client:
        with pytest.raises(openai.NotFoundError) as error:
            first(client, "green", "Hello")
        assert error.value.param == "model" and "green" in error.value.message
        chunks = list(client.completions.create(model=BLUE, prompt="One two", max_tokens=4, stream=True))
        assert {chunk.model for chunk in chunks} == {BLUE}


@pytest.mark.short
def test_at_once_as_alone(three):
    """Requests of all three in the queue and in sequences at once: each answers as it does alone."""
    asked = [(model, question) for question in QUESTIONS for model in (BASE, RED, BLUE)]
    with three.openai() as client, concurrent.futures.ThreadPoolExecutor(9) as pool:
        alone = [first(client, *one) for one in asked]
        assert min(apart(a, b) for i, a in enumerate(alone) for b in alone[:i]) > 0.3, "a mix-up would not be seen"
        for _ in range(3):
            for mine, found in zip(alone, pool.map(lambda one: first(client, *one), asked)):
                assert near(mine, found) and min(alone, key=lambda other: apart(other, found)) is mine
        assert near(alone[0], first(client, BASE, QUESTIONS[0]))


def test_the_model_itself_is_as_without(three, infer):
    with three.openai() as beside, infer.openai() as without:
        for question in QUESTIONS:
            assert near(first(beside, BASE, question), first(without, BASE, question))


def test_no_prefix_is_shared(three):
    def cached(client, model):
        answer = client.chat.completions.create(
            model=model, messages=[{"role": "user", "content": "Count the birds on the long wire. " * 20}],
            max_tokens=2, temperature=0)
        return answer.usage.prompt_tokens_details.cached_tokens

    with three.openai() as client:
        assert [cached(client, model) for model in (BASE, RED, BLUE)] == [0, 0, 0]
        assert all(cached(client, model) > 100 for model in (BLUE, BASE, RED))


def test_long_answers_take_turns(three):
    """Nobody waits for the end of another adapter's answer."""
    def write(model):
        order = []
        with client.chat.completions.create(model=model, messages=[{"role": "user", "content": "Write a story."}],
                                            max_tokens=60, temperature=0, stream=True,
                                            extra_body={"ignore_eos": True}) as stream:
            for chunk in stream:
                if chunk.choices and chunk.choices[0].delta.content:
                    order.append(next(ticks))
        return order

    ticks = iter(range(10**6))
    with three.openai() as client, concurrent.futures.ThreadPoolExecutor(3) as pool:
        spans = list(pool.map(write, (BASE, RED, BLUE)))
    for mine in spans:
        for theirs in spans:
            assert mine[0] < theirs[-1], spans


@pytest.mark.parametrize("make, said", [
    (lambda path: None, "no model file"),
    (lambda path: path.write_bytes(b"no adapter at all"), "not a GGUF file"),
    (lambda path: path.symlink_to(MODEL), "no LoRA adapter"),
    (lambda path: path.write_bytes(adapter.gguf(adapter.pairs(general__architecture="gemma3"), adapter.tensors(1))),
     "it was made for the architecture"),
    (lambda path: path.write_bytes(adapter.gguf(adapter.pairs(adapter__lora__alpha=float("nan")), adapter.tensors(1))),
     "adapter.lora.alpha"),
    (lambda path: path.write_bytes(adapter.gguf(adapter.pairs(adapter__lora__alpha="four"), adapter.tensors(1))),
     "adapter.lora.alpha"),
    (lambda path: path.write_bytes(adapter.gguf(adapter.pairs(general__type=1.0), adapter.tensors(1))), "no LoRA adapter"),
    (lambda path: path.write_bytes(adapter.gguf(adapter.pairs(), adapter.tensors(1, layers=[99]))), "does not exist in base model"),
    (lambda path: path.write_bytes(adapter.gguf(adapter.pairs(), {
        name: array[:, :64] if name.endswith("a") else array for name, array in adapter.tensors(1).items()})),
     "incorrect shape"),
    (lambda path: path.write_bytes(adapter.gguf(adapter.pairs(), {
        name: array[None].repeat(2, 0) for name, array in adapter.tensors(1).items()})), "no matrix"),
    (lambda path: path.write_bytes(adapter.gguf(adapter.pairs(), dict(list(adapter.tensors(1).items())[1:]))),
     "missing one component"),
    (lambda path: path.write_bytes(adapter.write(path, 1).read_bytes()[:-1000]), "cut short"),
])
def test_a_file_that_cannot_be_used(start_infer, tmp_path, make, said):
    path = tmp_path / "bad.gguf"
    make(path)
    infer = start_infer(f"--adapter=bad={path}", wait=False)
    assert infer.process.wait(60) == 3
    assert said in infer.stderr() and str(path) in infer.stderr(), infer.stderr()


@pytest.mark.parametrize("args, said", [
    (["--adapter=x"], "NAME=FILE"), (["--adapter==/x"], "NAME=FILE"), (["--adapter=x="], "NAME=FILE"),
    (["--adapter=smol=/x"], "two models are called smol"), (["--adapter=x=/x", "--adapter=x=/y"], "two models are called x"),
    ([f"--adapter=a{i}=/x" for i in range(32)], "more than 31 adapters"), (["--flash-attention=maybe"], "auto, on or off"),
    (["--speculate=maybe"], "auto, on or off"),
])
def test_wrong_arguments(start_infer, args, said):
    infer = start_infer(*args, wait=False)
    assert infer.process.wait(60) == 2 and said in infer.stderr(), infer.stderr()


def test_flash_attention_changes_no_answer(start_infer, infer):
    rows = []
    for how in ("on", "off"):
        one = start_infer("--context=512", "--parallel=2", f"--flash-attention={how}")
        with one.openai() as client:
            rows.append([first(client, BASE, question) for question in QUESTIONS])
        assert one.stop() == 0
    assert all(near(a, b) for a, b in zip(*rows))
    refused = start_infer("--flash-attention=off", "--cache-type=q8_0", wait=False)
    assert refused.process.wait(60) == 3 and "quantized" in refused.stderr().lower(), refused.stderr()
