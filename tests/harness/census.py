"""Counts what a server holds, so that a test can say that nothing was left behind: fibers,
descriptors, mappings, chat runs, calls to upstreams, sequences of the model; and the memory that
malloc has handed out, whose growth over equal batches shows a leak where resident memory would not."""

import itertools
import pathlib
import random
import threading
import time

from harness.server import eventually

WORKING = ("queued_requests", "prompting_requests", "writing_requests", "paused_requests", "cache_tokens")
# Half of the smallest leak that is to be seen, 1 KiB each time. A level server is within some 50.
SLOPE_MAX = 512


def settings():
    """Pools empty soon. And one thread computes: those that wait for each other by spinning take
    seconds for a step when something else wants the cores."""
    return {"WEIR_UPSTREAM_KEEPALIVE": "300ms", "WEIR_INFER_THREADS": 1}


class Census:
    """Of a server whose pools of connections are soon empty (settings()); so that every number of it
    is one number whenever nothing runs."""

    def __init__(self, weir, upstream):
        self.weir, self.upstream = weir, upstream
        self.pids = weir.infer_pids()
        self.allocated = {}

    def now(self):
        weir, found = self.weir, {}
        for pid in self.pids:
            inside = weir.infer_metrics()
            found["fibers of the model"] = inside["fibers"]
            found["connections of the model"] = inside["connections_open"]
            found["descriptors of the model"] = weir.descriptors(pid)
            found["mappings of the model"] = mappings(pid)
            found["sequences in use"] = -inside["free_sequences"]
            found.update({f"{name} of the model": inside[name] for name in WORKING})
            # What it keeps of prompts has its own limit, and comes and goes by megabytes.
            kept = inside.get("prefix_bytes", 0) + inside.get("kept_bytes", 0)
            self.allocated["weir-infer"] = int(inside["memory_allocated_bytes"] - kept)
        metrics = weir.metrics()
        found["fibers"] = metrics["weir_fibers"]
        found["connections"] = metrics["weir_http_connections_open"]
        found["chat runs"] = metrics["weir_chat_runs"]
        found["calls at the upstream"] = self.upstream.answering
        found["descriptors"] = weir.descriptors()
        self.allocated["weir"] = int(metrics["weir_memory_allocated_bytes"])
        return {name: int(value) for name, value in found.items()}

    def rest(self, seconds=120):
        """Waits until three looks see the same, and gives it."""
        seen = []

        def still():
            seen.append(self.now())
            return seen[-1] if len(seen) >= 3 and seen[-1] == seen[-2] == seen[-3] else None
        return eventually(still, seconds, 0.1)

    def back_to(self, before, seconds=120):
        """Waits until nothing is more than it was."""
        until = time.monotonic() + seconds
        while True:
            now = self.now()
            left = {k: (before[k], v) for k, v in now.items() if v > before[k]}
            if not left:
                return
            assert time.monotonic() < until, f"left behind (before, now): {left}"
            time.sleep(0.1)


def leaves_nothing(weir, upstream, one, count, threads=16, batches=5, seed=1):
    """Does one(random) `count` times in equal batches, after two by which caches and pools find their
    size. At the end of each batch all counts are back; and memory does not grow with the
    batches. Gives the figures."""
    census = Census(weir, upstream)
    before = census.rest()
    each = max(count // batches // threads, 1) * threads
    memory = {}
    for batch in range(-1, batches + 1):
        run(one, each, threads, seed * 1000 + batch)
        if batch < 0:  # the database's readers and files were opened on the way
            more = {"descriptors": before["descriptors"] + 16}
            more.update({k: 1 << 30 for k in before if k.startswith("mappings")})
            census.back_to({**before, **more})
            before = {**before, **{k: census.rest()[k] for k in more}}
            # Stacks of fibers are kept for the next rush, two mappings each: as many as it was large.
            before.update({k: before[k] + 3 * threads for k in more if k.startswith("mappings")})
        census.back_to(before)
        for name, value in census.allocated.items() if batch >= 0 else ():
            memory.setdefault(name, []).append(value)
    assert weir.infer_pids() == census.pids, "the model was not started again"
    slopes = {name: slope(values) / each for name, values in memory.items()}
    print(f"{batches} batches of {each}: bytes per disconnect {slopes}, allocated {memory}, counts {before}")
    for name, value in slopes.items():
        assert value < SLOPE_MAX, f"{name} grows by {value:.0f} bytes each time: {memory[name]}"
    return slopes


def run(one, count, threads, seed):
    failures = []

    def work(pick):
        try:
            for _ in range(count // threads):
                one(pick)
        except Exception as error:  # noqa: BLE001, told below
            failures.append(error)
    workers = [threading.Thread(target=work, args=(random.Random(seed * 100 + t),)) for t in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    if failures:
        raise failures[0]


def slope(values):
    """The growth from one batch to the next that all but a quarter of the batches have: what leaks
    grows in each of them, a buffer that finds its size late only now and then."""
    grown = sorted(b - a for a, b in itertools.pairwise(values))
    return grown[len(grown) // 4]


def mappings(pid):
    return pathlib.Path(f"/proc/{pid}/maps").read_text().count("\n")
