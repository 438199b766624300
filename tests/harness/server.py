"""A running `weir up` or `weir serve` with a data folder of its own."""

import contextlib
import http.client
import json
import os
import pathlib
import re
import signal
import socket
import ssl
import subprocess
import threading
import time

import httpx

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("WEIR_BIN", ROOT / "build/release/bin"))
MODEL = os.environ.get("WEIR_MODEL", "")
GEMMA = os.environ.get("WEIR_MODEL_GEMMA", "")
EMBEDDING_MODEL = pathlib.Path(os.environ.get("WEIR_EMBEDDING_MODEL", "/nowhere"))
LONG = os.environ.get("WEIR_TEST_LONG", "") not in ("", "0")
READY_SECONDS = 180 if "release" not in BIN.parts else 60
EMAIL, PASSWORD = "owner@example.com", "correct horse battery"
SANITIZER = re.compile(
    r"ERROR: (Address|Leak)Sanitizer|WARNING: ThreadSanitizer|: runtime error: |this is a bug in weir"
)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def environment(data, **more):
    """Ours without its WEIR_ settings."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("WEIR_")}
    env["WEIR_DATA"] = str(data)
    env.update({k: str(v) for k, v in more.items()})
    return env


def run(*args, data, check=True, timeout=120, **env):
    """One command of weir, to its end."""
    done = subprocess.run(
        [str(BIN / "weir"), *map(str, args)],
        env=environment(data, **env),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
    )
    if check and done.returncode != 0:
        raise AssertionError(f"weir {args} ended with {done.returncode}: {done.stderr}")
    return done


class Server:
    """`ready` is waited for unless the caller wants to see the start fail."""

    def __init__(self, folder, command="serve", config="", wait=True, user=None, limits=None, **env):
        self.folder = pathlib.Path(folder)
        self.data = self.folder / "data"
        self.metrics_port = free_port()
        self.config = self.folder / "weir.ini"
        self.config.write_text(config)
        self.log_path = self.folder / "stderr.log"
        self.lines = []
        settings = {
            "WEIR_LISTEN": "127.0.0.1:0",
            "WEIR_METRICS_LISTEN": f"127.0.0.1:{self.metrics_port}",
            "WEIR_CONFIG": self.config,
            "WEIR_WORKERS": 2,
        }
        settings.update(env)
        self.env = environment(self.data, **settings)
        self.log = open(self.log_path, "ab")
        self.process = subprocess.Popen(
            [str(BIN / "weir"), command],
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
            user=user,
            preexec_fn=limits,
        )
        self.url = None
        self._ready = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        if wait:
            self.wait_ready()

    def _read(self):
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))
            if line.startswith("ready "):
                self.url = line.split()[1].rstrip("/")
                self._ready.set()
        self._ready.set()

    def wait_ready(self, seconds=READY_SECONDS):
        self._ready.wait(seconds)
        if self.url is None:
            self.kill()
            raise AssertionError(f"not ready: {self.lines} {self.stderr()[-4000:]}")
        return self

    @property
    def address(self):
        host, port = self.url.split("//")[1].rsplit(":", 1)
        return host, int(port)

    def stderr(self):
        return self.log_path.read_text(errors="replace")

    def command(self, *args, **kwargs):
        return run(*args, data=self.data, WEIR_CONFIG=self.config, **kwargs)

    def setup(self):
        password = self.folder / "password"
        password.write_text(PASSWORD + "\n")
        password.chmod(0o600)
        self.command("setup", "--email", EMAIL, "--password-file", password)
        return self

    def key(self, name="test"):
        return self.command("key", "create", "--name", name).stdout.strip()

    def http(self, **kwargs):
        kwargs.setdefault("timeout", 60)
        return httpx.Client(base_url=self.url, **kwargs)

    def member(self, email):
        """A person who is not the owner, with the owner's password."""
        password = self.folder / "password"
        self.command("user", "add", "--email", email, "--password-file", password)

    @contextlib.contextmanager
    def signed_in(self, email=EMAIL):
        """A browser's client: cookie, and the headers by which a browser proves its origin."""
        with self.http(headers={"Origin": self.url, "Sec-Fetch-Site": "same-origin"}) as client:
            answer = client.post("/api/session", json={"email": email, "password": PASSWORD})
            assert answer.status_code == 200, answer.text
            yield client

    def metrics(self):
        """{name{labels}: value} of /metrics."""
        at = ("127.0.0.1", self.metrics_port)
        if "WEIR_TLS_CERTIFICATE" not in self.env:
            return page_of(http.client.HTTPConnection(*at, timeout=30), {})
        blind = ssl._create_unverified_context()  # noqa: S323, this machine's own
        return page_of(http.client.HTTPSConnection(*at, timeout=30, context=blind), {})

    def metric(self, prefix):
        """The sum over all series whose name or name and labels begin with `prefix`."""
        return sum(v for k, v in self.metrics().items() if k == prefix or k.startswith(prefix + "{"))

    def infer_metrics(self):
        """The same of the model that `weir up` runs, by its short names; over its socket, with the
        token that only its owner can read."""
        (socket_path,) = (self.data / "run").glob("*.sock")
        token = socket_path.with_suffix(".token").read_text().strip()
        connection = http.client.HTTPConnection("localhost", timeout=30)
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.connect(str(socket_path))
        page = page_of(connection, {"Authorization": f"Bearer {token}"})
        return {name.removeprefix("weir_infer_"): value for name, value in page.items()}

    def descriptors(self, pid=None):
        return len(os.listdir(f"/proc/{pid or self.process.pid}/fd"))

    def resident_kib(self, pid=None):
        status = pathlib.Path(f"/proc/{pid or self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status)[1])

    def infer_pids(self):
        """The children that run a model."""
        found = []
        for entry in pathlib.Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                stat = (entry / "stat").read_text()
            except OSError:
                continue
            name, rest = stat[stat.index("(") + 1 :].rsplit(")", 1)
            if name == "weir-infer" and int(rest.split()[1]) == self.process.pid and rest.split()[0] != "Z":
                found.append(int(entry.name))
        return found

    def stop(self, seconds=60):
        """SIGTERM, and its exit status; anything that a sanitizer has said fails the test."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(seconds)
            except subprocess.TimeoutExpired:
                self.kill()
                raise AssertionError(f"SIGTERM did not end it: {self.stderr()[-4000:]}") from None
        self._close()
        self.check_stderr()
        return self.process.returncode

    def check_stderr(self):
        """No sanitizer has said a word, of weir or of its models."""
        complaint = SANITIZER.search(self.stderr())
        assert complaint is None, self.stderr()[complaint.start() :][:4000]

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._close()

    def _close(self):
        self._reader.join(10)
        self.process.stdout.close()
        self.log.close()


def page_of(connection, headers):
    """{name{labels}: value} of /metrics. Not by httpx, which reads all certificates each time."""
    try:
        connection.request("GET", "/metrics", headers=headers)
        answer = connection.getresponse()
        text = answer.read().decode()
    finally:
        connection.close()
    assert answer.status == 200, text
    rows = (line.rsplit(" ", 1) for line in text.splitlines() if line and not line.startswith("#"))
    return {name: float(value) for name, value in rows}


def eventually(what, seconds=20, interval=0.05):
    """Waits until what() is true, and gives what it gave."""
    until = time.monotonic() + seconds
    while True:
        value = what()
        if value:
            return value
        if time.monotonic() > until:
            raise AssertionError(f"still not so after {seconds} s: {what}")
        time.sleep(interval)


def chat_body(content="hi", model="fault", **more):
    return {"model": model, "messages": [{"role": "user", "content": content}], **more}


def fault(**what):
    """The message by which a test tells the fault upstream what to do."""
    return json.dumps(what)


def fault_and(more, upstream):
    """A configuration with the fault upstream as model `fault`, and what `more` says."""
    return f"[upstream fault]\nurl = {upstream.url}\nkey = upstream-secret\n\n[model fault]\nupstream = fault\n" \
           f"tasks = chat, completions, embeddings, rerank\n\n{more}"
