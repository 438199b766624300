"""Rows of sharing: what one client's load does to another, and what many have in common."""

import asyncio
import statistics

from load import all_of, ask, Answer, together
from measure import Rounds, percentile, say
from servers import Layout, WeirInfer
from rows_speed import ROOMY, Spell

LONG = Layout(9, 4352)
FEW = Layout(8, 1024)
TIGHT = Layout(4, 256)


async def ask_until(stop, server, make, answers, **more):
    """One client that asks again and again, until `stop` is set; what it then waits for it leaves."""
    while not stop.is_set():
        answer = Answer()
        answers.append(answer)
        asking = asyncio.ensure_future(ask(server, make(), answer, **more))
        stopping = asyncio.ensure_future(stop.wait())
        await asyncio.wait({asking, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if not asking.done():
            asking.cancel()
        await asyncio.gather(asking, stopping, return_exceptions=True)


def long_prompt_row(bench):
    """8 short chats while one prompt of 4,096 tokens arrives: the chats' times between tokens, from
    its sending until its first token."""
    weir, llama = bench.pair(LONG)

    async def load(server, rng):
        stop, chats, long = asyncio.Event(), [], Answer()
        users = [asyncio.ensure_future(ask_until(stop, server, lambda: bench.texts.chat(rng, 64, 192), chats))
                 for _ in range(8)]
        while sum(len(a.times) >= 3 for a in chats) < 8:
            await asyncio.sleep(0.01)
        await ask(server, bench.texts.chat(rng, 1024 if bench.few else 4096, 4), long)
        stop.set()
        await asyncio.gather(*users)
        return chats, long

    def work(server, rng):
        chats, long = asyncio.run(asyncio.wait_for(load(server, rng), 180))
        server.wait_idle()
        if not long.ok:
            raise RuntimeError(f"{server.name}: the long prompt failed: {long.why()}")
        gaps = [g for a in chats for g in a.gaps(long.sent, long.times[0])]
        return {"p50": percentile(gaps, 50), "p99": percentile(gaps, 99), "max": max(gaps), "first": long.first}

    rounds = Rounds([llama, weir]).take(bench.rounds, f"{bench.seed} long", work)
    for c in rounds.found:
        say(f"    {c.name:34} between tokens p50 {rounds.median(c, lambda r: r['p50']) * 1000:7.0f} ms, "
            f"p99 {rounds.median(c, lambda r: r['p99']) * 1000:7.0f}, most {rounds.median(c, lambda r: r['max']) * 1000:7.0f}; "
            f"the long one's first token after {rounds.median(c, lambda r: r['first']):5.1f} s")
    say(f"    {rounds.said()}")
    bench.check("8 chats, a 4,096-token prompt arrives: p99 between tokens, to llama-server",
                statistics.median(rounds.ratios(weir, llama, lambda r: r["p99"])), "<=", 0.25, 0.1)
    bench.value("the long prompt's own time to its first token, to llama-server",
                statistics.median(rounds.ratios(weir, llama, lambda r: r["first"])))


LIGHT_REQUESTS, LIGHT_S_MAX = 8, 30


def tenant_row(bench):
    """A light tenant (one request of 64 tokens at a time, 16 of answer) alone, and beside one that
    keeps 12 requests outstanding (128 and 128) on 8 sequences."""
    weir, llama = bench.pair(FEW)

    async def light(server, rng):
        answers, until = [], asyncio.get_running_loop().time() + LIGHT_S_MAX
        while len(answers) < (2 if bench.few else LIGHT_REQUESTS) and asyncio.get_running_loop().time() < until:
            answers.append(await ask(server, bench.texts.chat(rng, 64, 16), tenant="light"))
            await asyncio.sleep(0.05 + rng.random() * 0.15)
        return answers

    async def beside(server, rng):
        stop, heavy = asyncio.Event(), []
        users = [asyncio.ensure_future(ask_until(stop, server, lambda: bench.texts.chat(rng, 128, 128), heavy, tenant="heavy"))
                 for _ in range(12)]
        while sum(len(a.times) >= 2 for a in heavy) < FEW.slots:
            await asyncio.sleep(0.01)
        answers = await light(server, rng)
        stop.set()
        await asyncio.gather(*users)
        return answers

    def work(server, rng):
        alone = asyncio.run(light(server, rng))
        busy = asyncio.run(beside(server, rng))
        server.wait_idle()
        bad = [a for a in alone + busy if not a.ok]
        if bad:
            raise RuntimeError(f"{server.name}: a light request failed: {bad[0].why()}")
        return [a.first for a in alone], [a.first for a in busy]

    rounds = Rounds([llama, weir]).take(bench.rounds, f"{bench.seed} tenant", work)
    times = {}
    for c in (weir, llama):
        alone, busy = ([first for found in rounds.found[c] for first in found[i]] for i in (0, 1))
        say(f"    {c.name:34} first token p50 {statistics.median(alone) * 1000:6.0f} ms alone, {statistics.median(busy) * 1000:6.0f} beside; "
            f"p95 {percentile(alone, 95) * 1000:6.0f}, {percentile(busy, 95) * 1000:6.0f}, {len(busy)} requests")
        times[c] = percentile(busy, 95) / percentile(alone, 95)
    say(f"    {rounds.said()}")
    bench.check("a light tenant beside a heavy one: p95 to the first token, to alone", times[weir], "<=", 2, 1.5)
    bench.value("the same of llama-server", times[llama])


def prefix_row(bench):
    """16 requests at once with the same system prompt of 1,000 tokens, new in each round."""
    weir, llama = bench.weir(ROOMY), bench.llama(ROOMY, "llama-server, its cache on", options=())

    def work(server, rng):
        system = bench.texts.text(rng, 1000)
        bodies = [bench.texts.chat(rng, 1000 + bench.texts.around + 24, 8, system) for _ in range(16)]
        answers = together(server, bodies)
        Spell(server, answers)
        return max(a.times[0] for a in answers) - min(a.sent for a in answers), \
            sum((a.usage.get("prompt_tokens_details") or {}).get("cached_tokens", 0) for a in answers)

    rounds = Rounds([llama, weir]).take(bench.rounds, f"{bench.seed} prefix", work)
    for c in rounds.found:
        say(f"    {c.name:34} all have their first token after {rounds.median(c, lambda r: r[0]):6.2f} s; "
            f"{rounds.median(c, lambda r: r[1]):6.0f} tokens from its cache")
    say(f"    {rounds.said()}")
    bench.check("16 with one 1,000-token system prompt: until all began, to llama-server",
                statistics.median(rounds.ratios(weir, llama, lambda r: r[0])), "<=", 0.35, 0.2)


def overcommit_row(bench):
    """12 requests of 256 tokens (128 and 128) at once on a cache of 1,024. llama-server overcommits
    only with one cache for all (--kv-unified) and 12 slots. The ideal: all their tokens by the
    tokens/s of 4 such requests at once, which is what the cache holds."""
    weir = bench.weir(TIGHT)
    llama = bench.llama(Layout(12, TIGHT.slots * TIGHT.context / 12), unified=True)
    bench.state(weir, llama)

    def work(server, rng):
        full = 0.0
        if isinstance(server, WeirInfer):
            full = Spell(server, together(server, [bench.texts.chat(rng, 127, 128) for _ in range(4)])).rate
        answers = asyncio.run(asyncio.wait_for(all_of(server, [bench.texts.chat(rng, 127, 128) for _ in range(12)]), 180))
        server.wait_idle()
        failed = [a for a in answers if not a.ok]
        good = [a.total for a in answers if a not in failed]
        return {"failed": len(failed), "p95": percentile(good, 95) if good else float("nan"),
                "ideal": 12 * bench.texts.out(128) / full if full else 0.0, "why": failed[0].why() if failed else ""}

    rounds = Rounds([llama, weir]).take(bench.rounds, f"{bench.seed} overcommit", work)
    for c in rounds.found:
        failed = [r["failed"] for r in rounds.found[c]]
        say(f"    {c.name:34} failed {failed} of 12; p95 of the others {rounds.median(c, lambda r: r['p95']):6.2f} s")
        why = [r["why"] for r in rounds.found[c] if r["why"]]
        if why:
            say(f"      {why[0][:200]}")
    say(f"    {rounds.said()}")
    bench.check("cache overcommitted 3 times: requests that fail, of 12", max(r["failed"] for r in rounds.found[weir]), "<=", 0)
    bench.value("the same of llama-server", max(r["failed"] for r in rounds.found[llama]))
    bench.check("cache overcommitted 3 times: p95 of the whole time, to the ideal",
                rounds.median(weir, lambda r: r["p95"] / r["ideal"]), "<=", aim=1.2)
