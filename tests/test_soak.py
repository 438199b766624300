"""The soak: a model that chats and one that makes vectors, behind `weir up` under the address
sanitizer, get a random load of everything, by weir and as several tenants at once, from clients of
which many leave in the middle; first their processes are killed at random, then left alone. Nothing
may get stuck or be left behind, memory stays level, and no sanitizer says a word.

In the ordinary run 45 s, and only under that sanitizer; in the long run, in the preset dev, 30
minutes; WEIR_SOAK_SECONDS=N runs it for that long anywhere, and what still runs then comes to its
end. WEIR_TEST_SEED repeats the load (not the moments)."""

import http.client
import os
import random
import signal
import socket
import statistics
import threading
import time

import pytest

from harness.census import slope
from harness.server import BIN, EMBEDDING_MODEL, LONG, MODEL, Server, eventually, page_of
from harness.soak_client import Backdoor, Door, Soak

SEED = int(os.environ.get("WEIR_TEST_SEED", "0")) or int(time.time())
ASKED = int(os.environ.get("WEIR_SOAK_SECONDS", "0"))
SECONDS = ASKED or (1800 if LONG and "dev" in BIN.parts else 45)
CLIENTS = 8
# Of the part without kills: after each all is at rest and is counted.
BLOCKS = 20 if SECONDS >= 1200 else 10 if SECONDS >= 300 else 5
MIB = 1 << 20
# What leaks is allocated in every block, a buffer that finds its size late in one or two. What is
# resident beyond that is the allocator's, which does not give everything back.
ALLOCATED_MAX, RESIDENT_MAX = MIB // 8 if SECONDS >= 300 else MIB, 64 * MIB  # by block; from half to half
IDLE = ("queued_requests", "prompting_requests", "writing_requests", "paused_requests", "cache_tokens", "kept_bytes")
CONFIG = f"""
[model smol]
path = {MODEL}
context = 1024
parallel = 4
prefix_mib = 16
[model mini]
path = {EMBEDDING_MODEL / "model.gguf"}
threads = 1
"""
SETTINGS = {"WEIR_INFER_THREADS": 1, "WEIR_INFER_LAG": 64, "WEIR_UPSTREAM_KEEPALIVE": "300ms",
            # What was freed stays in quarantine, which is no growth: a small one is soon full.
            "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=4:thread_local_quarantine_size_kb=64"}


def page(path, target="/metrics"):
    """Of a model's process, over its socket."""
    connection = http.client.HTTPConnection("localhost", timeout=30)
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.settimeout(30)
    connection.sock.connect(str(path))
    headers = {"Authorization": f"Bearer {path.with_suffix('.token').read_text().strip()}"}
    if target == "/metrics":
        return {name.removeprefix("weir_infer_"): value for name, value in page_of(connection, headers).items()}
    try:
        connection.request("GET", target, headers=headers)
        return connection.getresponse().read().decode()
    finally:
        connection.close()


class House:
    """The server and its two models, counted."""

    def __init__(self, weir):
        self.weir = weir
        self.sockets = {name: path for path in (weir.data / "run").glob("m-*.sock")
                        for name in ("smol", "mini") if f'"id":"{name}"' in page(path, "/v1/models")}
        assert set(self.sockets) == {"smol", "mini"}
        self.pids()

    def pids(self):
        """By name: each has its socket's name among its arguments."""
        found = {}
        for pid in self.weir.infer_pids():
            command = open(f"/proc/{pid}/cmdline").read()
            found.update({name: pid for name, path in self.sockets.items() if path.name in command})
        assert set(found) == {"smol", "mini"}, found
        return found

    def counts(self):
        """What must be the same whenever nothing runs."""
        weir = self.weir.metrics()
        found = {"fibers of weir": weir["weir_fibers"], "connections of weir": weir["weir_http_connections_open"],
                 "descriptors of weir": self.weir.descriptors()}
        for name, path in self.sockets.items():
            inside, pid = page(path), self.pids()[name]
            found |= {f"{what} of {name}": inside[what] for what in IDLE if what in inside}
            found |= {f"fibers of {name}": inside["fibers"], f"connections of {name}": inside["connections_open"],
                      f"descriptors of {name}": self.weir.descriptors(pid)}
            if "free_sequences" in inside:
                found[f"sequences in use of {name}"] = 4 - inside["free_sequences"]
        return {name: int(value) for name, value in found.items()}

    def memory(self):
        """{(process, kind): bytes}, without what is kept on purpose and has a limit of its own."""
        found = {("weir", "allocated"): int(self.weir.metrics()["weir_memory_allocated_bytes"]),
                 ("weir", "resident"): self.weir.resident_kib() * 1024}
        for name, path in self.sockets.items():
            inside = page(path)
            kept = int(inside.get("prefix_bytes", 0))
            found[name, "allocated"] = int(inside["memory_allocated_bytes"]) - kept
            found[name, "resident"] = self.weir.resident_kib(self.pids()[name]) * 1024 - kept
        return found

    def rest(self, before=None, seconds=90):
        """Waits until all is at rest: no more of anything than there was `before`."""
        seen, until = [], time.monotonic() + seconds
        while True:
            try:
                seen.append(self.counts())
                more = {k: (before[k], v) for k, v in seen[-1].items() if v > before[k]} if before else {}
                if not more and len(seen) > 2 and seen[-1] == seen[-2] == seen[-3]:
                    return seen[-1]
            except (OSError, AssertionError, ValueError, http.client.HTTPException) as error:
                more = repr(error)  # one of the models is coming back
            assert time.monotonic() < until, f"seed {SEED}: not at rest: (before, now) {more}\n{seen[-1:]}"
            time.sleep(0.2)


class Load:
    """Clients that ask until they are told to stop."""

    def __init__(self, soak, seed):
        self.stop, self.errors, self.done = threading.Event(), [], 0
        self.threads = [threading.Thread(target=self.run, args=(soak, random.Random(f"{seed} {i}"))) for i in range(CLIENTS)]
        for thread in self.threads:
            thread.start()

    def run(self, soak, pick):
        while not self.stop.is_set() and not self.errors:
            try:
                soak.one(pick)
                self.done += 1
            except Exception as error:  # noqa: BLE001, told below
                self.errors.append(error)

    def end(self):
        self.stop.set()
        for thread in self.threads:
            thread.join()
        if self.errors:
            raise AssertionError(f"seed {SEED}: {self.errors[0]!r}") from self.errors[0]


def with_kills(house, soak, seconds):
    """One model's process after the other, at random moments, until the time is up."""
    pick, load, kills = random.Random(f"{SEED} kills"), Load(soak, f"{SEED} kills"), 0
    until = time.monotonic() + seconds
    while time.monotonic() < until and not load.errors:
        time.sleep(pick.uniform(2, 6) if SECONDS < 300 else pick.uniform(2, 30))
        pids = house.weir.infer_pids()
        if pids:
            soak.killed = time.monotonic()
            os.kill(pick.choice(pids), signal.SIGKILL)
            kills += 1
        eventually(lambda: len(house.weir.infer_pids()) == 2, 60)
    load.end()
    return kills


def warm_up(weir, key):
    """The sizes of batch for which the model that makes vectors has buffers."""
    with weir.http(headers={"Authorization": f"Bearer {key}"}, timeout=120) as client:
        for texts in (["sea " * 400], ["sea " * 100] * 12, ["sea " * 30] * 12, ["sea"] * 12, ["sea"]):
            assert client.post("/v1/embeddings", json={"model": "mini", "input": texts}).status_code == 200


def left_alone(house, soak, seconds, before):
    """In blocks. Gives the memory at the end of each."""
    found, asked = [], 0
    pids = house.pids()
    for block in range(BLOCKS):
        load = Load(soak, f"{SEED} {block}")
        until = time.monotonic() + seconds / BLOCKS
        while time.monotonic() < until and not load.errors:
            time.sleep(0.1)
        load.end()
        house.rest(before)
        found.append(house.memory())
        asked += load.done
    assert house.pids() == pids, "nobody killed them"
    return found, asked


def check_memory(found):
    """The first blocks are for caches and pools to find their size."""
    rows = found[BLOCKS // 5:]
    half = len(rows) // 2
    for what in rows[0]:
        print(f"{what}: {[round(row[what] / MIB, 2) for row in found]} MiB")
    for process, kind in rows[0]:
        values = [row[process, kind] for row in rows]
        growth = slope(values) if kind == "allocated" else statistics.median(values[half:]) - statistics.median(values[:half])
        assert growth < (ALLOCATED_MAX if kind == "allocated" else RESIDENT_MAX), (
            f"seed {SEED}: {process} grows by {growth} bytes {kind}")


@pytest.mark.short
def test_soak(tmp_path):
    if not ASKED and not {"dev", "dev-clang"} & set(BIN.parts):
        pytest.skip("it is for the address sanitizer; WEIR_SOAK_SECONDS=N runs it")
    print(f"WEIR_TEST_SEED={SEED}, {SECONDS} s")
    weir = Server(tmp_path, "up", CONFIG, **SETTINGS)
    try:
        weir.setup()
        key = weir.key()
        eventually(lambda: len(list((weir.data / "run").glob("m-*.sock"))) == 2, 60)
        with weir.http() as probe:
            eventually(lambda: probe.get("/readyz").status_code == 200, 60)
        house = House(weir)
        front = Door(weir, key)
        soak = Soak({name: [front, Backdoor(path)] for name, path in house.sockets.items()})
        before = house.rest()
        kills = with_kills(house, soak, SECONDS / 4)
        # Connections that are kept, readers of the database and the like were opened on the way.
        at_rest = house.rest({name: value + (16 if "descriptors" in name else 4 if "fibers" in name else 0)
                              for name, value in before.items()})
        print(f"{kills} kills: {soak.counts}, the slowest (s) {soak.slowest}; at rest {at_rest}")
        warm_up(weir, key)
        house.rest()
        killed, soak.counts, soak.killed, soak.slowest = soak.counts, {}, float("-inf"), (0, "")
        found, asked = left_alone(house, soak, SECONDS * 3 / 4, {k: max(v, before[k]) for k, v in at_rest.items()})
        inside = page(house.sockets["smol"])
        print(f"{asked} requests: {soak.counts}, the slowest (s) {soak.slowest}; {inside}")
        check_memory(found)
        assert kills > 0 and killed.get("answered", 0) > 0
        assert {"answered", "streamed", "left"} <= set(soak.counts)
        assert "failed by a kill" not in soak.counts and "cut by a kill" not in soak.counts
        for what in ("preempted", "cancelled"):
            assert inside[f"requests_{what}_total"] > 0, f"nobody was {what}"
        assert inside["prefix_hits_total"] > 0 == inside["requests_failed_total"]
        assert weir.stop() == 0
    finally:
        weir.kill()
        weir.check_stderr()
