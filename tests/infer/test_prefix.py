"""What was computed once is not computed again, and nobody gets what another wrote."""

import concurrent.futures

import pytest

from harness.likelihood import near, row

RULES = "You answer in one short sentence. " + " ".join(
    f"Rule {i}: whoever asks about number {i} hears that it is {'even' if i % 2 == 0 else 'odd'}." for i in range(12))


def ask(client, messages, **more):
    more.setdefault("max_tokens", 16)
    return client.chat.completions.create(model="smol", messages=messages, temperature=0, **more)


def streamed(client, messages, **more):
    text, usage = "", None
    for chunk in ask(client, messages, stream=True, stream_options={"include_usage": True}, **more):
        text += "".join(choice.delta.content or "" for choice in chunk.choices)
        usage = chunk.usage or usage
    return text, usage


def cached(usage):
    return usage.prompt_tokens_details.cached_tokens


def talk(client, rules=RULES, **more):
    """Two turns, and the second again as a stream: the answers and their usage."""
    messages = [{"role": "system", "content": rules}, {"role": "user", "content": "What is seven?"}]
    first = ask(client, messages, **more)
    messages += [{"role": "assistant", "content": "Seven is odd."},
                 {"role": "user", "content": "And what of twelve?"}]
    second = ask(client, messages, **more)
    text, usage = streamed(client, messages, **more)
    return ([first.choices[0].message.content, second.choices[0].message.content, text],
            [first.usage, second.usage, usage])


def first_tokens(client, last="And what of twelve?"):
    """How likely each token was to come first, in a second turn: a state that was kept wrongly shows
    here. Whole answers need not be the same, since sums depend on how a prompt was cut into steps."""
    messages = [{"role": "system", "content": RULES}, {"role": "user", "content": "What is seven?"},
                {"role": "assistant", "content": "Seven is odd."}, {"role": "user", "content": last}]
    answer = ask(client, messages, logprobs=True, top_logprobs=20, max_tokens=1)
    return answer.usage, row(answer.choices[0].logprobs.content[0])


@pytest.mark.short
def test_a_second_turn(infer, start_infer):
    off = start_infer("--context=1024", "--parallel=4", "--prefix-mib=-1")
    with infer.openai() as client, off.openai() as plain:
        texts, usages = talk(client)
        plain_texts, plain_usages = talk(plain)
        last, likely = first_tokens(client)
        _, plain_likely = first_tokens(plain)
        other, another = first_tokens(plain, "Write a poem about it.")
    assert all(texts) and all(plain_texts)
    assert [cached(u) for u in plain_usages] == [0, 0, 0]
    first, second, again = usages
    assert cached(first) == 0
    assert 200 < cached(second) < second.prompt_tokens
    assert cached(second) <= cached(again) <= cached(last) < again.prompt_tokens
    assert [u.prompt_tokens for u in usages] == [u.prompt_tokens for u in plain_usages]
    assert near(plain_likely, likely) and not near(plain_likely, another)
    counts = off.metrics()
    assert counts["prefix_hits_total"] == counts["prefix_bytes"] == counts["prefix_entries"] == 0
    assert counts["prompt_tokens_total"] == sum(u.prompt_tokens for u in plain_usages) + last.prompt_tokens + other.prompt_tokens
    counts = infer.metrics()
    assert counts["prefix_hits_total"] >= 3 and counts["prefix_bytes"] > 0
    assert counts["prefix_tokens_total"] >= cached(second) + cached(again) + cached(last)


def test_tenants_are_apart(start_infer):
    infer = start_infer("--context=512", "--parallel=2", WEIR_INFER_TOKEN="secret")
    messages = [{"role": "system", "content": RULES}, {"role": "user", "content": "What is nine?"}]
    with infer.openai(api_key="secret") as client:
        def known(tenant):
            return cached(ask(client, messages, max_tokens=2, extra_headers={"x-weir-tenant": tenant}).usage)
        assert known("org_a") == 0
        assert known("org_a") > 150
        assert known("org_b") == known("org_") == known("org_a2") == 0
        assert known("") == 0
        assert known("org_b") > 150


def test_a_public_prompt(start_infer, tmp_path):
    """Every tenant's first request begins behind the operator's text; what they wrote stays theirs."""
    file = tmp_path / "public.txt"
    file.write_text("\n" + RULES + "\n")
    infer = start_infer("--context=512", "--parallel=2", f"--public-prompt={file}", WEIR_INFER_TOKEN="secret")
    system = {"role": "system", "content": RULES}
    long = "What is nine, and what is ten, and what is eleven? " * 8
    with infer.openai(api_key="secret") as client:
        def known(tenant, messages, **more):
            return cached(ask(client, messages, max_tokens=2, extra_headers={"x-weir-tenant": tenant}, **more).usage)
        first = known("org_a", [system, {"role": "user", "content": long}])
        assert first > 200
        again = known("org_a", [system, {"role": "user", "content": long}])
        assert again > first + 64
        assert known("org_b", [system, {"role": "user", "content": long}]) == first
        assert known("org_c", [{"role": "system", "content": "Be brief."}, {"role": "user", "content": long}]) < 64
        assert known("org_d", [{"role": "system", "content": RULES.replace("seven", "six")[:-3]},
                               {"role": "user", "content": "x"}]) <= first
        for i in range(8):  # others' prompts do not push it out
            known(f"org_{i}", [{"role": "system", "content": f"{i}. {RULES}"}, {"role": "user", "content": long}])
        assert known("org_z", [system, {"role": "user", "content": "Ten?"}]) == first


def test_public_prompts_of_no_use(start_infer, tmp_path):
    file = tmp_path / "public.txt"
    file.write_text("Be brief.")
    infer = start_infer("--context=512", f"--public-prompt={file}")
    assert "64" in infer.stderr() and "of no use" in infer.stderr()
    with infer.openai() as client:
        assert ask(client, [{"role": "user", "content": "hi"}]).usage.completion_tokens > 0
    infer.stop()
    file.write_text("word " * 1000)
    assert "context is 512" in start_infer("--context=512", f"--public-prompt={file}").stderr()
    for text in (b"", b" \n", b"\xff\xfe", b"a\0b", b"x" * (257 << 10)):
        file.write_bytes(text)
        infer = start_infer(f"--public-prompt={file}", wait=False)
        assert infer.process.wait(20) == 2 and "public.txt" in infer.stderr()
    infer = start_infer(f"--public-prompt={tmp_path / 'none'}", wait=False)
    assert infer.process.wait(20) == 2


def counted(infer):
    return infer.metrics()["prompt_tokens_total"]


@pytest.mark.parametrize("parallel", [8, 2])
def test_eight_at_once_compute_it_once(start_infer, parallel):
    """Of as many as come together the first computes what they share, and the others wait for it."""
    infer = start_infer("--context=512", f"--parallel={parallel}")
    prompts = [[{"role": "system", "content": RULES}, {"role": "user", "content": f"{word}?"}]
               for word in "One Two Three Four Five Six Seven Eight".split()]
    with infer.openai() as client, concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda messages: ask(client, messages, max_tokens=8), prompts))
        together = counted(infer)
        asked = answers[0].usage.prompt_tokens
        assert asked > 200
        assert together <= asked + 7 * 64
        assert sorted(cached(a.usage) > 150 for a in answers) == [False] + 7 * [True]
        assert sum(a.usage.prompt_tokens - cached(a.usage) for a in answers) == together
        # The n answers of one request share its prompt too.
        several = ask(client, prompts[0] + [{"role": "user", "content": "All of them. " * 20}], n=4, max_tokens=4)
        assert counted(infer) - together <= several.usage.prompt_tokens - cached(several.usage) + 3
        assert cached(several.usage) > 150


def test_many_tenants_in_little_memory(start_infer):
    """The limit holds, and what does not fit any more is computed again."""
    infer = start_infer("--context=512", "--parallel=4", "--prefix-mib=12", WEIR_INFER_TOKEN="secret")
    with infer.openai(api_key="secret") as client, concurrent.futures.ThreadPoolExecutor(4) as pool:
        def one(i):
            return talk(client, f"You are number {i}. {RULES}", max_tokens=4,
                        extra_headers={"x-weir-tenant": f"org_{i % 3}"})
        for texts, usages in pool.map(one, range(6)):
            assert texts[1] and cached(usages[0]) < 64
    with infer.http(headers={"authorization": "Bearer secret"}) as http:
        counts = dict(line.split() for line in http.get("/metrics").text.splitlines() if line[0] != "#")
    assert 0 < int(counts["weir_infer_prefix_bytes"]) <= 12 << 20
    assert int(counts["weir_infer_prefix_evicted_total"]) > 0 < int(counts["weir_infer_prefix_hits_total"])
