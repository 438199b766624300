"""Answers that repeat their prompt: several tokens in a step, and nothing else is different."""

import pytest

WORDS = ("the gray fox walked over a bridge of seven stones, while nine birds on the long wire sang of rain; "
         "then an old clock struck four, and the baker closed his door. ")
COPY = WORDS * 4 + "the gray fox"
STORY = [{"role": "user", "content": "Write a story about a lighthouse."}]


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    from conftest import Infer
    both = [Infer(tmp_path_factory.mktemp("infer"), "--context=1024", "--parallel=2", "--prefix-mib=-1",
                  f"--speculate={how}") for how in ("on", "off")]
    yield both
    for one in both:
        assert one.stop() == 0


def complete(infer, **more):
    before = infer.metrics()
    with infer.openai() as client:
        answer = client.completions.create(model="smol", prompt=COPY, **{"max_tokens": 100, "temperature": 0, **more})
    after = infer.metrics()
    return answer, {name: after[name] - before[name] for name in after if name.endswith("_total")}


def test_the_same_answer(pair):
    (on, moved), (off, still) = complete(pair[0]), complete(pair[1])
    assert on.choices[0].text == off.choices[0].text and "seven stones, while nine birds" in on.choices[0].text
    assert on.choices[0].finish_reason == off.choices[0].finish_reason == "length"
    assert on.usage == off.usage and on.usage.completion_tokens == 100
    assert moved["output_tokens_total"] == still["output_tokens_total"] == 100
    assert still["drafted_tokens_total"] == 0
    assert moved["drafted_tokens_total"] >= moved["drafted_tokens_right_total"] > 60
    assert moved["steps_total"] < still["steps_total"] / 2


@pytest.mark.parametrize("most", [1, 8, 9, 15, 16, 17, 33])
def test_no_more_than_asked(pair, most):
    (on, _), (off, _) = complete(pair[0], max_tokens=most), complete(pair[1], max_tokens=most)
    assert on.usage == off.usage and on.usage.completion_tokens == most
    assert on.choices[0].text == off.choices[0].text


def test_stop_strings_within(pair):
    for stop in (" seven stones", "clock", "ba"):
        (on, _), (off, _) = complete(pair[0], stop=stop), complete(pair[1], stop=stop)
        assert on.choices[0].text == off.choices[0].text and stop not in on.choices[0].text
        assert on.choices[0].finish_reason == "stop"


def test_a_seed_draws_the_same(pair):
    answers = [complete(one, temperature=0.7, seed=5)[0].choices[0].text for one in pair]
    assert answers[0] == answers[1]


def test_logprobs_of_each(pair):
    rows = [complete(one, logprobs=2)[0].choices[0].logprobs for one in pair]
    assert rows[0].tokens == rows[1].tokens and len(rows[0].tokens) == 100
    assert all(abs(a - b) < 0.3 for a, b in zip(rows[0].token_logprobs, rows[1].token_logprobs))


def test_other_text_has_no_drafts(pair):
    before = pair[0].metrics()
    with pair[0].openai() as client:
        client.chat.completions.create(model="smol", messages=STORY, max_tokens=120, temperature=1, seed=3)
    after = pair[0].metrics()
    assert after["drafted_tokens_total"] - before["drafted_tokens_total"] <= 7 * 4
