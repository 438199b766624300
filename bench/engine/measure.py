"""How bench/engine takes figures: all contestants in turn within a round, forwards and backwards,
with an eye on what else the machine does; a round that others disturbed is taken again."""

import contextlib
import os
import pathlib
import random
import resource
import statistics
import sys
import time

QUIET_CORES = 0.15  # what other processes may use of the cores together before a round is disturbed


def percentile(values, share):
    """The nearest rank."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, -(-len(ordered) * share // 100) - 1))]


def machine_busy_s():
    """Processor time that anybody has used of any core, the hypervisor's included."""
    fields = [int(n) for n in pathlib.Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    user, nice, system, _idle, _iowait, irq, softirq, steal = fields
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def own_busy_s():
    """This process, and its children that have ended."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


class Watch:
    """How many cores others used while something was measured."""

    def __init__(self, *processes):
        self.processes, self.cores = processes, 0.0

    def used(self):
        return machine_busy_s() - own_busy_s() - sum(p.cpu_s() for p in self.processes)

    def __enter__(self):
        self.start, self.before = time.monotonic(), self.used()
        return self

    def __exit__(self, *_):
        self.cores = max(0.0, (self.used() - self.before) / max(time.monotonic() - self.start, 0.01))


@contextlib.contextmanager
def alone(contestant):
    """The others are stopped already: this one runs until the end of the block."""
    contestant.go_on()
    try:
        yield
    finally:
        contestant.pause()


class Rounds:
    """What each contestant did in each round: `found[contestant][round]`, and how busy others kept
    the machine in the worst measurement of each."""

    def __init__(self, contestants):
        self.found = {c: [] for c in contestants}
        self.others, self.repeated = [], 0

    def take(self, rounds, seed, work, also=()):
        """`work(contestant, rng)`; all of a round get the same rng. `also`: processes whose time is
        no disturbance. At most as many rounds are repeated as were asked for, and none of a single one."""
        contestants, number, spare = list(self.found), 0, rounds if rounds > 1 else 0
        while number < rounds:
            results, others = {}, 0.0
            turn = contestants if (number + self.repeated) % 2 == 0 else contestants[::-1]
            for c in turn:
                with alone(c), Watch(c, *also) as watch:
                    results[c] = work(c, random.Random(f"{seed} {number} {self.repeated}"))
                others = max(others, watch.cores)
            if others > QUIET_CORES and spare > 0:
                spare -= 1
                self.repeated += 1
                continue
            for c in contestants:
                self.found[c].append(results[c])
            self.others.append(others)
            number += 1
        return self

    def ratios(self, a, b, value):
        """Of each round, `value` of the one by that of the other."""
        return [value(x) / value(y) for x, y in zip(self.found[a], self.found[b])]

    def median(self, c, value):
        return statistics.median(value(x) for x in self.found[c])

    def said(self):
        worst = max(self.others)
        text = f"others used {worst:.2f} cores at most"
        if self.repeated:
            text += f", {self.repeated} rounds taken again"
        if worst > QUIET_CORES:
            text += ": DISTURBED"
        return text


def resolution(ratios):
    """How far the median of three can be off when two equal servers are compared: the largest
    deviation but for the extreme on either side."""
    ordered = sorted(ratios)
    inner = ordered[1:-1] if len(ordered) > 3 else ordered
    return max(abs(r - 1) for r in inner)


def say(text=""):
    print(text, flush=True)


def progress(text):
    print(text, file=sys.stderr, flush=True)
