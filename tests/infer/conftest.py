"""weir-infer by itself, with the real model and no weir in front."""

import signal
import subprocess
import threading
import time

import httpx
import openai
import pytest

from harness.server import BIN, MODEL, READY_SECONDS, SANITIZER, environment


class Infer:
    def __init__(self, folder, *args, wait=True, model=None, **env):
        self.log = open(folder / "weir-infer.log", "w+b")
        self.process = subprocess.Popen(
            [BIN / "weir-infer", f"--model={model or MODEL}", "--name=smol", "--listen=127.0.0.1:0",
             "--threads=1", *args],
            env=environment(folder, **env), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=self.log, text=True)
        self.url = None
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()
        if wait:
            self.wait_ready()

    def read(self):
        for line in self.process.stdout:
            if line.startswith("ready http"):
                self.url = line.split()[1]

    def wait_ready(self):
        end = time.monotonic() + READY_SECONDS
        while self.url is None:
            assert self.process.poll() is None, self.stderr()
            assert time.monotonic() < end, self.stderr()
            time.sleep(0.05)

    def stderr(self):
        self.log.flush()
        self.log.seek(0)
        return self.log.read().decode(errors="replace")

    def http(self, **more):
        more.setdefault("timeout", 180)
        return httpx.Client(base_url=self.url, **more)

    def openai(self, **more):
        more.setdefault("api_key", "none")
        return openai.OpenAI(base_url=self.url + "/v1", max_retries=0, timeout=180, **more)

    def metrics(self):
        with self.http() as http:
            lines = http.get("/metrics").text.splitlines()
        return {name.removeprefix("weir_infer_"): int(value)
                for name, value in (line.split() for line in lines if not line.startswith("#"))}

    def stop(self, number=signal.SIGTERM):
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            return self.process.wait(60)
        finally:
            if self.process.poll() is None:
                self.process.kill()
            found = SANITIZER.search(self.stderr())
            assert not found, self.stderr()


@pytest.fixture(scope="session")
def infer(tmp_path_factory):
    assert MODEL, "WEIR_MODEL names the GGUF file to test with"
    infer = Infer(tmp_path_factory.mktemp("infer"), "--context=1024", "--parallel=4")
    yield infer
    assert infer.stop() == 0


@pytest.fixture
def start_infer(tmp_path):
    started = []

    def start(*args, **more):
        started.append(Infer(tmp_path, *args, **more))
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            one.stop()


@pytest.fixture
def smol(infer):
    with infer.openai() as client:
        yield client
