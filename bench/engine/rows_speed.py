"""Rows of speed: how many tokens come out when so many ask at once."""

import pathlib
import statistics
import tempfile

from common import Weir, cpu_s
from load import in_turn, together
from measure import Rounds, percentile, say
from servers import Ceiling, Layout

ROOMY = Layout(16, 1536)
PROMPT, OUT = 128, 128
ALONE_REQUESTS = 3  # of a single user in a round


class Spell:
    """What the clients of one measurement saw."""

    def __init__(self, server, answers):
        bad = [a for a in answers if not a.ok]
        if bad:
            raise RuntimeError(f"{server.name}: {len(bad)} of {len(answers)} answers failed: {bad[0].why()}")
        self.rate = sum(a.tokens for a in answers) / (max(a.ended for a in answers) - min(a.sent for a in answers))
        gaps = [g for a in answers for g in a.gaps()]
        self.first_ms = statistics.median(a.first for a in answers) * 1000
        self.gap_ms, self.gap_p99_ms = (percentile(gaps, share) * 1000 for share in (50, 99))
        self.prompt = statistics.median(a.usage.get("prompt_tokens", 0) for a in answers)


def rate(spell):
    return spell.rate


def spell_of(bench, users, server, rng, out=OUT):
    bodies = [bench.texts.chat(rng, PROMPT, out) for _ in range(users if users > 1 else ALONE_REQUESTS)]
    answers = together(server, bodies) if users > 1 else in_turn(server, bodies)
    return Spell(server, answers)


def print_spells(rounds, base):
    for c, spells in rounds.found.items():
        if not isinstance(spells[0], Spell):
            say(f"    {c.name:34} {statistics.median(spells):8.1f} tokens/s")
            continue
        rate, first, gap, p99 = (rounds.median(c, lambda s, n=n: getattr(s, n))
                                 for n in ("rate", "first_ms", "gap_ms", "gap_p99_ms"))
        line = f"    {c.name:34} {rate:8.1f} tokens/s, first token {first:6.0f} ms, between tokens {gap:6.1f} ms, p99 {p99:7.1f}"
        if c is not base:
            line += "   ratios " + " ".join(f"{r:.2f}" for r in rounds.ratios(c, base, lambda s: s.rate))
        say(line)
    say(f"    {rounds.said()}")


def users_row(users):
    """Output tokens/s of so many users."""
    def row(bench):
        """Prompts of 128 tokens, answers of 128."""
        weir, llama = bench.pair(ROOMY)
        contestants = [llama, weir]
        if users > 1:
            ceiling = Ceiling(bench.model, ROOMY, bench.threads)
            contestants.append(ceiling)

        def work(c, rng):
            return c.measure(users, PROMPT, bench.texts.out(OUT)) if isinstance(c, Ceiling) else spell_of(bench, users, c, rng)

        rounds = Rounds(contestants).take(bench.rounds, f"{bench.seed} users {users}", work)
        print_spells(rounds, llama)
        word = "user" if users == 1 else "users"
        bench.check(f"{users} {word}: output tokens/s, to llama-server",
                    statistics.median(rounds.ratios(weir, llama, rate)), ">=", 1.0, 1.05 if users == 1 else 1.15)
        if users > 1:
            share = {c: statistics.median(a.rate / b for a, b in zip(rounds.found[c], rounds.found[ceiling]))
                     for c in (weir, llama)}
            bench.check(f"{users} users: share of llama-batched-bench's ceiling", share[weir], ">=", 0.90, 0.95)
            bench.value(f"{users} users: llama-server's share of it", share[llama])
    return row


def resolution_ratios(bench, pairs):
    """The same load on two equal llama-servers."""
    one, other = bench.llama(ROOMY), bench.llama(ROOMY, name="llama-server again")
    try:
        rounds = Rounds([one, other]).take(pairs, f"{bench.seed} resolution",
                                           lambda c, rng: spell_of(bench, 8, c, rng, out=64))
    finally:
        bench.drop(other)
    print_spells(rounds, one)
    return rounds.ratios(other, one, rate)


SCHEMA = {"type": "array", "minItems": 30, "items": {
    "type": "object", "additionalProperties": False, "required": ["name", "age", "tags"],
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"},
                   "tags": {"type": "array", "items": {"type": "string", "enum": ["new", "old", "good"]}}}}}


def schema_row(bench):
    """8 users, 64 tokens each: bound to a schema, and free."""
    weir, llama = bench.pair(ROOMY)
    bound = {"response_format": {"type": "json_schema", "json_schema": {"name": "list", "strict": True, "schema": SCHEMA}},
             "ignore_eos": False}

    class Mode:
        def __init__(self, server, name, more):
            self.server, self.name, self.more = server, f"{server.name}, {name}", more
            self.go_on, self.pause, self.cpu_s = server.go_on, server.pause, server.cpu_s

    modes = {(s, m): Mode(s, m, more) for s in (weir, llama) for m, more in (("free", {}), ("bound", bound))}
    weir.go_on()
    probe = together(weir, [bench.texts.chat(bench.rng, PROMPT, 8, **bound)])[0]
    weir.pause()
    if probe.status == 400 and "response_format" in probe.why():
        bench.not_measured("bound to a JSON schema: tokens/s, to free", "weir-infer refuses response_format")
        return

    def work(mode, rng):
        return Spell(mode.server, together(mode.server, [bench.texts.chat(rng, PROMPT, 64, **mode.more) for _ in range(8)]))

    rounds = Rounds(list(modes.values())).take(bench.rounds, f"{bench.seed} schema", work)
    print_spells(rounds, modes[weir, "free"])
    kept = {s: statistics.median(rounds.ratios(modes[s, "bound"], modes[s, "free"], rate)) for s in (weir, llama)}
    bench.check("bound to a JSON schema: tokens/s, to free", kept[weir], ">=", 0.85, 0.95)
    bench.value("bound to a JSON schema: llama-server's own", kept[llama])


def front_row(bench):
    """8 users of the engine itself, and through `weir serve` with a key."""
    weir = bench.weir(ROOMY)
    with tempfile.TemporaryDirectory(prefix="weir-bench-") as folder:
        front = Weir(pathlib.Path(folder), f"[upstream engine]\nurl = http://127.0.0.1:{weir.port}/v1\nkey = {weir.key}\n\n"
                                           "[model default]\nupstream = engine\n")
        try:
            through = Through(weir, front)
            rounds = Rounds([weir, through]).take(bench.rounds, f"{bench.seed} front",
                                                  lambda c, rng: spell_of(bench, 8, c, rng))
        finally:
            front.stop()
    print_spells(rounds, weir)
    bench.value("8 users: output tokens/s through weir serve, to the engine itself",
                statistics.median(rounds.ratios(through, weir, rate)))


class Through:
    """The engine behind a `weir serve`."""
    name = "weir serve"

    def __init__(self, engine, front):
        self.engine, self.front, self.port, self.key = engine, front, front.port, front.key()
        self.go_on, self.pause = engine.go_on, engine.pause

    def cpu_s(self):
        return self.engine.cpu_s() + cpu_s(self.front.process.pid)
