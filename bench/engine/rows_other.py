"""Rows of what a server does beside serving: clients that go away, cores that others use, memory."""

import asyncio
import statistics
import subprocess
import sys
import time

from common import cpu_s
from load import Answer, ask, together
from measure import Rounds, say
from rows_speed import PROMPT, ROOMY
from servers import MIB, Layout, WeirInfer

FOUR = Layout(4, 2048)


def hang_up_row(bench):
    """Four clients stream; a fifth, streaming or not, hangs up right after a step. Afterwards the
    server's own counter of tokens, less what the four say they got, is what it computed for the
    fifth: more than at the moment of the hanging up is computed for nobody."""
    weir, llama = bench.pair(ROOMY)

    async def load(server, rng, stream):
        before = server.metric(server.outputs)
        busy = [Answer() for _ in range(4)]
        asking = [asyncio.ensure_future(ask(server, bench.texts.counting(rng, 96), a)) for a in busy]
        victim = Answer()
        victim_asks = asyncio.ensure_future(ask(server, bench.texts.counting(rng, 96, stream=stream), victim))
        watched = victim if stream else busy[0]
        while len(watched.times) < bench.texts.out(96) // 4:
            await asyncio.sleep(0.001)
        victim_asks.cancel()
        await asyncio.gather(victim_asks, return_exceptions=True)
        await asyncio.sleep(0.002)  # what the last step gave the others is here by now
        # What was computed for the one that hung up: it saw it itself; or by the counter of now; or
        # as much as for another that came with it, where the counter tells only of the ended.
        if stream:
            had = len(victim.times)
        elif isinstance(server, WeirInfer):
            had = server.metric(server.outputs) - before - sum(len(a.times) for a in busy)
        else:
            had = len(busy[0].times)
        await asyncio.gather(*asking)
        await asyncio.to_thread(server.wait_idle)
        bad = [a for a in busy if not a.ok or len(a.times) != a.tokens]
        if bad:
            raise RuntimeError(f"{server.name}: {len(bad[0].times)} events, {bad[0].why()}")
        return server.metric(server.outputs) - before - sum(a.tokens for a in busy) - had

    def work(server, rng):
        return {stream: asyncio.run(load(server, rng, stream)) for stream in (True, False)}

    rounds = Rounds([llama, weir]).take(bench.rounds, f"{bench.seed} hang up", work)
    for c in rounds.found:
        say(f"    {c.name:34} tokens after: streaming {[int(r[True]) for r in rounds.found[c]]}, "
            f"not {[int(r[False]) for r in rounds.found[c]]} of 96")
    say(f"    {rounds.said()}")
    # A step that has begun when the client goes is computed to its end.
    for stream, word in ((True, "streaming"), (False, "not streaming")):
        bench.check(f"hangs up ({word}), others busy: tokens computed after", max(r[stream] for r in rounds.found[weir]), "<=", 1)
        bench.value("the same of llama-server", max(r[stream] for r in rounds.found[llama]))


BUSY_S_MAX = 40


class Burner:
    """A process that does nothing but use a core."""

    def __enter__(self):
        self.process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()

    def cpu_s(self):
        return cpu_s(self.process.pid)


def busy_core_row(bench):
    """One other process keeps a core busy; 4 users, 64 tokens each. llama-server as it is built
    (OpenMP) and set by default; and at its best: OpenMP with passive waiting, or without OpenMP and
    without polling, whichever is better."""
    weir = bench.weir(FOUR)
    default = bench.llama(None, name="llama-server by default", build="bench-openmp", options=())
    passive = bench.llama(FOUR, name="llama-server, passive OpenMP", build="bench-openmp", env={"OMP_WAIT_POLICY": "PASSIVE"})
    no_poll = bench.llama(FOUR, name="llama-server, poll 0", options=("--poll", "0", "--cache-ram", "0"))

    def work(server, rng):
        bodies = [bench.texts.chat(rng, 64, 64) for _ in range(4)]
        answers = [Answer() for _ in bodies]

        async def go():
            asking = [asyncio.ensure_future(ask(server, b, a)) for b, a in zip(bodies, answers)]
            _, late = await asyncio.wait(asking, timeout=BUSY_S_MAX)
            for one in late:
                one.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        start = time.monotonic()
        asyncio.run(go())
        took = time.monotonic() - start
        if took >= BUSY_S_MAX:
            server.wait_idle()
        return max(sum(a.tokens or len(a.times) for a in answers), 1) / took

    with Burner() as burner:
        contestants = [default, passive, no_poll, weir]
        rounds = Rounds(contestants).take(bench.rounds, f"{bench.seed} busy core", work, also=[burner])
    itself = float
    for c in contestants:
        say(f"    {c.name:34} {rounds.median(c, itself):8.1f} tokens/s   " + " ".join(f"{v:.1f}" for v in rounds.found[c]))
    say(f"    {rounds.said()}")
    bench.check("a core is busy, 4 users: tokens/s, to llama-server by default",
                statistics.median(rounds.ratios(weir, default, itself)), ">=", 2, 3)
    best = max((passive, no_poll), key=lambda c: rounds.median(c, itself))
    bench.check("a core is busy, 4 users: tokens/s, to its best known settings",
                statistics.median(rounds.ratios(weir, best, itself)), ">=", 1.0, 1.2)
    for server in (default, passive, no_poll):
        bench.drop(server)


def memory_row(bench):
    """Resident memory after 16 users, less the weights (the file's size), the cache, and what
    weir-infer keeps by its own word of prompts and of requests that gave way."""
    weir, llama = bench.pair(ROOMY)
    weights = bench.model.stat().st_size
    beyond = {}
    for server in (weir, llama):
        server.go_on()
        together(server, [bench.texts.chat(bench.rng, PROMPT, 16) for _ in range(16)])
        server.wait_idle()
        kept = sum(server.metric(name) for name in ("prefix_bytes", "kept_bytes"))
        beyond[server] = (server.rss_bytes() - weights - server.kv_bytes - kept) / MIB
        say(f"    {server.name:34} resident {server.rss_bytes() / MIB:7.0f} MiB, weights {weights / MIB:.0f}, "
            f"cache {server.kv_bytes / MIB:.0f}, kept {kept / MIB:.0f}")
        server.pause()
    bench.check("memory beyond weights and cache, MiB", beyond[weir], "<=", 64)
    bench.value("the same of llama-server", beyond[llama])
