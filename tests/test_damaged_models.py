"""Model files that are cut off or damaged, many at a time, in the hands of `weir up`: each answers or
is said to be broken, in one sentence and soon, and weir itself takes no harm. A model's process may
die of it. In the long run every cut of the first 4 KiB and 1,000 random flips, else a tenth or less.
That weir's own reader survives all of them is infer_gguf_damage_test.c's. WEIR_TEST_SEED repeats."""

import os
import random
import time

import httpx
import pytest

from harness.damage import CUTS, Damage
from harness.server import LONG, MODEL, READY_SECONDS, chat_body

SEED = int(os.environ.get("WEIR_TEST_SEED", "0")) or int(time.time())
CUT_COUNT, FLIP_COUNT = (CUTS + 1, 1000) if LONG else (64, 100)
AT_ONCE = {"cut": 32, "flipped": 10}  # a configuration has at most 32 models
SECTION = "[model {}]\npath = {}\ncontext = 128\nparallel = 1\nthreads = 1\nprefix_mib = -1\n"


@pytest.fixture(scope="module")
def damage(tmp_path_factory):
    print(f"WEIR_TEST_SEED={SEED}")
    return Damage(MODEL, tmp_path_factory.mktemp("damaged"))


def verdicts(weir, names, seconds):
    """{name: (phase, reason)} once no model is loading any more."""
    until = time.monotonic() + seconds
    with weir.signed_in() as browser, weir.http(timeout=10) as probe:
        while True:
            assert probe.get("/healthz").status_code == 200
            states = {m["id"]: m["state"] for m in browser.get("/api/models").json()["data"]}
            loading = {name: state for name, state in states.items() if state["phase"] == "loading"}
            if set(states) == set(names) and not loading:
                return {name: (state["phase"], state["reason"]) for name, state in states.items()}
            assert time.monotonic() < until, f"seed {SEED}: still loading: {loading}\n{weir.stderr()[-4000:]}"
            time.sleep(0.2)


def answered(weir, key, name):
    """Whether it answers; else it has said why, in the dialect."""
    with weir.http(headers={"Authorization": f"Bearer {key}"}, timeout=90) as http:
        try:
            answer = http.post("/v1/chat/completions", json=chat_body("hi", name, max_tokens=3))
        except httpx.HTTPError as error:
            raise AssertionError(f"seed {SEED}: {name}: {error!r}") from error
    if answer.status_code == 200:
        return True
    error = answer.json()["error"]
    assert answer.status_code in (400, 500, 502, 503) and clear(error["message"]), (name, answer.text)
    return False


def clear(sentence):
    return 15 < len(sentence) < 400 and "\n" not in sentence and sentence.isprintable()


def one_round(start, paths, seconds):
    """{name: reason}, or None for those that answer."""
    weir = start("up", "".join(SECTION.format(path.stem, path) for path in paths))
    key, found = weir.key(), {}
    for name, (phase, reason) in verdicts(weir, [path.stem for path in paths], seconds).items():
        # Asleep is one whose header tells of more memory than there is: it is tried when it is called.
        if answered(weir, key, name):
            found[name] = None
            continue
        assert phase in ("ready", "asleep") or clear(reason), f"seed {SEED}: {name}: {phase} {reason!r}"
        found[name] = reason or f"it was {phase}, and did not answer"
    with weir.http() as http:
        assert http.get("/healthz").status_code == 200
    pid = weir.process.pid
    assert weir.process.poll() is None and weir.stop() == 0, pid
    return found


def test_cuts(start, damage):
    pick = random.Random(SEED)
    lengths = sorted(pick.sample(range(CUTS + 1), CUT_COUNT - 4)) + [0, 4, 24, CUTS]
    lengths = sorted(set(lengths))
    for i in range(0, len(lengths), AT_ONCE["cut"]):
        paths = [damage.cut(length) for length in lengths[i:i + AT_ONCE["cut"]]]
        for name, reason in one_round(start, paths, 30).items():
            assert reason is not None and ("GGUF" in reason or "cut short" in reason), (name, reason)
        for path in paths:
            path.unlink()


def test_flips(start, damage):
    pick = random.Random(SEED)
    found = {}
    for i in range(0, FLIP_COUNT, AT_ONCE["flipped"]):
        paths = [damage.flipped(f"flip-{k}", pick) for k in range(i, min(i + AT_ONCE["flipped"], FLIP_COUNT))]
        found |= one_round(start, paths, READY_SECONDS + 60)
        for path in paths:
            path.unlink()
    good = sum(reason is None for reason in found.values())
    print(f"{good} of {len(found)} answered; of the others:")
    for reason in sorted(filter(None, found.values())):
        print("  ", reason)
    assert 0 < good < len(found)


def test_what_the_library_dies_of(start, damage):
    """Is a reason like any other, and no reason to try again."""
    path = damage.number("llama.block_count", 100_000)
    found = one_round(start, [path], READY_SECONDS)
    (reason,) = found.values()
    assert reason.startswith(f"cannot use the model file {path}: the library gave up: llama"), reason
