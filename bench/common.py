"""What the scripts of bench/ share: servers to start, and the table of ratios that they end with."""

import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[1]
BIN = pathlib.Path(os.environ.get("WEIR_BIN", ROOT / "build/release/bin"))
BENCH = BIN.parent / "bench"


# Whoever ends a benchmark early ends its servers with it.
signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def rss_kib(pid):
    return int(re.search(r"VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text())[1])


def child_of(pid):
    """The first child of a process."""
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            if int(stat.read_text().rpartition(")")[2].split()[1]) == pid:
                return int(stat.parent.name)
        except OSError:
            continue
    sys.exit(f"process {pid} has no child")


def cpu_s(pid):
    """Processor time of a process so far, in seconds."""
    return time.clock_gettime(~pid << 3 | 2)  # the clock of clock_getcpuclockid(3)


def wait_for(url, seconds=60):
    """Until the address answers 200."""
    until = time.monotonic() + seconds
    while True:
        try:
            urllib.request.urlopen(url, timeout=5).read()
            return
        except OSError as error:
            if time.monotonic() > until:
                sys.exit(f"{url} does not answer: {error}")
            time.sleep(0.05)


def check(what, value, sign, target):
    """One line of the table. Returns whether the target is met, and adds the line to the file that
    bench/run ends with."""
    met = value >= target if sign == ">=" else value <= target
    line = f"  {what:58}{value:>9.2f}   target {sign} {target:<6g} {'met' if met else 'MISSED'}"
    print(line)
    results = os.environ.get("WEIR_BENCH_RESULTS")
    if results:
        with open(results, "a") as file:
            file.write(line + "\n")
    return met


class Weir:
    """A `weir serve` of one worker with its data in `folder`; ready when it is made."""

    def __init__(self, folder, config="", pin=()):
        self.env = {k: v for k, v in os.environ.items() if not k.startswith("WEIR_")}
        (folder / "weir.ini").write_text(config)
        self.env |= {"WEIR_DATA": str(folder / "data"), "WEIR_CONFIG": str(folder / "weir.ini"),
                     "WEIR_LISTEN": "127.0.0.1:0", "WEIR_WORKERS": "1"}
        self.folder = folder
        self.log = open(folder / "weir.log", "ab")
        start = time.monotonic()
        self.process = subprocess.Popen([*pin, str(BIN / "weir"), "serve"], env=self.env,
                                        stdout=subprocess.PIPE, stderr=self.log, text=True)
        for line in self.process.stdout:
            if line.startswith("ready "):
                break
        else:
            sys.exit("weir did not start:\n" + (folder / "weir.log").read_text())
        self.ready_ms = (time.monotonic() - start) * 1000
        self.port = int(line.strip().rstrip("/").rsplit(":", 1)[1])

    def key(self):
        """The first account, and a key of it."""
        (self.folder / "password").write_text("correct horse battery")
        for command in (["setup", "--email", "owner@example.com", "--password-file", str(self.folder / "password")],
                        ["key", "create", "--name", "bench"]):
            done = subprocess.run([str(BIN / "weir"), *command], env=self.env, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)
        self.process.stdout.close()
        self.log.close()
