"""The servers that bench/engine sets beside each other. Each can be stopped for the time in which
another is measured, and tells what it used of the processor, of memory and of its cache."""

import dataclasses
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import time
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from common import BIN, ROOT, cpu_s, free_port, rss_kib  # noqa: E402

MIB = 1 << 20
START_S = 120


@dataclasses.dataclass(frozen=True)
class Layout:
    """What both servers get alike: sequences at once, and tokens of each."""
    slots: int
    context: int


def cached(name):
    done = subprocess.run([str(ROOT / "scripts/deps"), "--path", name], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{name} is not in the cache: run scripts/deps {'bench' if name.startswith('bench') else name}")
    return pathlib.Path(done.stdout.strip())


class Server:
    key = "bench-token"

    def __init__(self, name, command, health, env=None):
        self.name = name
        logs = ROOT / "build/log"
        logs.mkdir(parents=True, exist_ok=True)
        self.log_path = logs / f"bench-{name.replace(' ', '-')}-{self.port}.log"
        self.log = open(self.log_path, "wb")
        self.process = subprocess.Popen(command, stdout=self.log, stderr=self.log, env=os.environ | (env or {}))
        self.wait_ready(health)

    def wait_ready(self, health):
        until = time.monotonic() + START_S
        while True:
            try:
                self.get(health)
                return
            except OSError as error:
                if self.process.poll() is not None or time.monotonic() > until:
                    self.stop()
                    raise RuntimeError(f"{self.name} did not start ({error}); see {self.log_path}")
                time.sleep(0.05)

    def get(self, path):
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}",
                                         headers={"Authorization": f"Bearer {self.key}"})
        with urllib.request.urlopen(request, timeout=10) as reply:
            return reply.read().decode()

    def metric(self, name):
        found = re.search(rf"^{self.prefix}{name}(?:{{[^}}]*}})? (\S+)$", self.get("/metrics"), re.M)
        return float(found[1]) if found else 0.0

    def wait_idle(self):
        until = time.monotonic() + 60
        while any(self.metric(name) for name in self.busy) and time.monotonic() < until:
            time.sleep(0.02)

    def cpu_s(self):
        return cpu_s(self.process.pid)

    def rss_bytes(self):
        return rss_kib(self.process.pid) * 1024

    def pause(self):
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self):
        self.process.send_signal(signal.SIGCONT)

    def stop(self):
        if self.process.poll() is None:
            self.go_on()
            self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()


class WeirInfer(Server):
    prefix, busy, outputs = "weir_infer_", ("queued_requests", "prompting_requests", "writing_requests"), "output_tokens_total"

    def __init__(self, model, layout, threads, options=(), name="weir-infer"):
        self.port = free_port()
        super().__init__(name, [str(BIN / "weir-infer"), f"--model={model}", f"--listen=127.0.0.1:{self.port}",
                                f"--context={layout.context}", f"--parallel={layout.slots}", f"--threads={threads}",
                                "--name=default", *options], "/readyz", {"WEIR_INFER_TOKEN": self.key})
        meta = json.loads(self.get("/v1/models"))["data"][0]["meta"]
        self.kv_bytes = meta["cache_bytes"]


class LlamaServer(Server):
    prefix, busy, outputs = "llamacpp:", ("requests_processing", "requests_deferred"), "tokens_predicted_total"
    sizes = {}  # of its cache, by command

    def __init__(self, model, layout=None, threads=None, options=(), name="llama-server", build="bench", env=None,
                 unified=False):
        """`unified`: one cache for all slots, which any of them may fill. Without a layout: as it is set by default."""
        command = [str(cached(build) / "bin/llama-server"), "--model", str(model), "--metrics"]
        if layout is not None:
            command += ["--parallel", str(layout.slots), "--ctx-size", str(round(layout.slots * layout.context)),
                        "--threads", str(threads), "--threads-batch", str(threads), "--flash-attn", "on",
                        "--kv-unified" if unified else "--no-kv-unified"]
        command += options
        self.kv_bytes = self.cache_bytes(command)
        self.port = free_port()
        super().__init__(name, [*command, "--port", str(self.port)], "/health", env)

    @classmethod
    def cache_bytes(cls, command):
        """It tells the size of its cache only when it tells everything, which takes time: another
        one is started and ended for that."""
        if tuple(command) not in cls.sizes:
            probe = Probe([*command, "-lv", "5", "--no-warmup"])
            probe.stop()
            found = re.findall(r"KV buffer size\s*=\s*([\d.]+) MiB", probe.log_path.read_text(errors="replace"))
            cls.sizes[tuple(command)] = int(sum(map(float, found)) * MIB)
        return cls.sizes[tuple(command)]


class Probe(Server):
    def __init__(self, command):
        self.port = free_port()
        super().__init__("llama-server-probe", [*command, "--port", str(self.port)], "/health")


class Ceiling:
    """What the library does with the same tokens when nothing is served: llama-batched-bench. Every
    prompt is computed, then all sequences write in step."""
    name = "llama-batched-bench"

    def __init__(self, model, layout, threads):
        self.command = [str(cached("bench") / "bin/llama-batched-bench"), "-m", str(model), "-t", str(threads),
                        "-tb", str(threads), "-fa", "on", "-b", "2048", "-ub", "512", "--output-format", "jsonl"]
        self.layout = layout

    def measure(self, users, prompt, out):
        """Output tokens/s of so many users, over prompts and answers."""
        done = subprocess.run([*self.command, "-c", str(users * self.layout.context), "-npl", str(users),
                               "-npp", str(prompt), "-ntg", str(out)], capture_output=True, text=True, timeout=300)
        for line in (done.stdout + done.stderr).splitlines():
            if line.startswith("{"):
                found = json.loads(line)
                return users * out / found["t"]
        raise RuntimeError(f"llama-batched-bench failed: {done.stderr[-300:]}")

    def cpu_s(self):
        return 0.0  # it is a child that has ended, and is counted with this process

    def pause(self):
        pass

    def go_on(self):
        pass
