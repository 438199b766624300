"""Starting where something is wrong: one clear message, a status that is not 0, nothing half done."""

import os
import pathlib
import pwd
import resource
import shutil
import socket
import sqlite3
import stat
import subprocess

import pytest

from harness import raw, server
from harness.server import BIN, chat_body, environment, eventually, run

pytestmark = pytest.mark.short


def ends(one, seconds=60):
    one.process.wait(seconds)
    one._close()
    return one.process.returncode


def test_ready_line(start):
    weir = start(setup=False)
    assert [line for line in weir.lines if line.startswith("ready")] == [f"ready {weir.url}"]
    assert weir.url.startswith("http://127.0.0.1:")
    with weir.http() as http:
        assert http.get("/healthz").status_code == 200
        assert http.get("/readyz").status_code == 200
        assert "weir_http" not in http.get("/metrics").text, "metrics are on their own listener"
    assert weir.metrics()
    assert stat.S_IMODE(os.stat(weir.data).st_mode) == 0o700
    assert stat.S_IMODE(os.stat(weir.data / "secrets").st_mode) == 0o700
    assert stat.S_IMODE(os.stat(weir.data / "control.sock").st_mode) == 0o600
    assert weir.stop() == 0
    assert not (weir.data / "control.sock").exists()


def test_port_in_use(start):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        one = start(wait=False, WEIR_LISTEN=f"127.0.0.1:{port}")
        assert ends(one) not in (0, None)
        assert str(port) in one.stderr() and one.url is None


def test_port_in_use_by_another_weir(start):
    first = start(setup=False)
    one = start(wait=False, WEIR_LISTEN="%s:%d" % first.address)
    assert ends(one) != 0
    assert str(first.address[1]) in one.stderr()
    with first.http() as http:
        assert http.get("/healthz").status_code == 200


def test_data_folder_in_use(start):
    first = start(setup=False)
    one = start(wait=False, folder=first.folder)
    assert ends(one) != 0
    assert str(first.data) in one.stderr()
    with first.http() as http:
        assert http.get("/readyz").status_code == 200


def test_data_folder_is_a_file(start, tmp_path):
    (tmp_path / "data").write_text("in the way")
    one = start(wait=False, folder=tmp_path)
    assert ends(one) != 0
    assert str(tmp_path / "data") in one.stderr()
    assert (tmp_path / "data").read_text() == "in the way"


def test_read_only_data_folder(start):
    """As a user who may not write there."""
    if os.geteuid() != 0:
        folder = pathlib.Path("/proc")
        one = start(wait=False, WEIR_DATA="/proc/weir")
        assert ends(one) != 0 and "/proc/weir" in one.stderr()
        return
    nobody = pwd.getpwnam("nobody").pw_uid
    folder = pathlib.Path("/var/tmp") / f"weir-read-only-{os.getpid()}"
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "data").mkdir(parents=True)
    program = folder / "weir"
    shutil.copy(BIN / "weir", program)  # where nobody may run it
    for path in (folder, program):
        path.chmod(0o755)
    (folder / "data").chmod(0o555)
    try:
        done = subprocess.run([str(program), "serve"], env=environment(folder / "data", WEIR_LISTEN="127.0.0.1:0"),
                              user=nobody, cwd="/", capture_output=True, text=True, timeout=60)
        assert done.returncode != 0
        assert str(folder / "data") in done.stderr and "denied" in done.stderr.lower(), done.stderr
        assert list((folder / "data").iterdir()) == []
    finally:
        shutil.rmtree(folder)


@pytest.mark.parametrize("env, expected", [
    ({"WEIR_LISTEN": "nonsense"}, "nonsense"), ({"WEIR_LISTEN": "127.0.0.1:99999"}, "99999"),
    ({"WEIR_LISTN": "127.0.0.1:1"}, "WEIR_LISTN"), ({"WEIR_STREAM_MAX": "soon"}, "WEIR_STREAM_MAX"),
    ({"WEIR_DATABASE": "mysql://x"}, "mysql"), ({"WEIR_LISTEN": "0.0.0.0:0"}, "0.0.0.0"),
    ({"WEIR_TLS_CERTIFICATE": "/nobody.pem", "WEIR_TLS_KEY": "/nobody.key"}, "/nobody."),
])
def test_bad_settings(start, env, expected):
    one = start(wait=False, **env)
    assert ends(one) != 0
    assert expected in one.stderr(), one.stderr()


@pytest.mark.parametrize("config, expected", [
    ("nonsense\n", ":1"), ("colour = red\n", "colour"), ("[model m]\npath = /x\nsize = 5\n", "size"),
    ("[model m]\nupstream = nobody\n", "nobody"), ("[upstream u]\nurl = ftp://x\n[model m]\nupstream = u\n", "upstream u"),
    ("[modle m]\n", "modle"), ("\x00\xff\n", "weir.ini"),
], ids=repr)
def test_bad_configuration(start, config, expected):
    one = start(wait=False, config=config)
    assert ends(one) != 0
    assert expected in one.stderr(), one.stderr()


def test_set_up_by_commands(tmp_path):
    """Without a running server; and the server then finds what they made."""
    (tmp_path / "password").write_text(server.PASSWORD)
    data = tmp_path / "data"
    run("setup", "--email", server.EMAIL, "--password-file", tmp_path / "password", data=data)
    again = run("setup", "--email", server.EMAIL, "--password-file", tmp_path / "password", data=data, check=False)
    assert again.returncode != 0 and again.stderr
    key = run("key", "create", "--name", "k", data=data).stdout
    assert key.startswith("weir_sk_")
    weir = server.Server(tmp_path)
    try:
        with weir.http(headers={"Authorization": f"Bearer {key.strip()}"}) as http:
            assert http.get("/v1/models").status_code == 200
    finally:
        assert weir.stop() == 0


def managed(data):
    """What the configuration is said to manage, from the rows themselves."""
    with sqlite3.connect(f"file:{data}/weir.db?mode=ro", uri=True) as db:
        return [row[0] for row in db.execute("SELECT id FROM model WHERE managed UNION SELECT name FROM upstream WHERE managed")]


def test_commands_leave_the_managed_rows_alone(start):
    """Run without the server's settings, as an operator's shell is, and with others."""
    weir = start()
    before = managed(weir.data)
    assert before == ["fault"]  # a model and an upstream of that name
    assert weir.stop() == 0
    for args in (["key", "list"], ["user", "list"], ["model", "list"], ["key", "create", "--name", "x"], ["migrate"]):
        run(*args, data=weir.data)
        assert managed(weir.data) == before, args
        run(*args, data=weir.data, WEIR_MODEL="/nobody.gguf")
        assert managed(weir.data) == before, args
    assert "fault" in run("model", "list", data=weir.data).stdout
    assert "nobody" not in run("model", "list", data=weir.data).stdout


@pytest.mark.parametrize("args", [["setup", "--email", "no-at", "--password-file", "PW"], ["setup", "--email", "a@b"],
                                  ["setup", "--email", "a@b", "--password-file", "/nobody"], ["key", "create"], ["nobody"],
                                  ["key", "nobody"], ["key", "create", "--nobody"]], ids=" ".join)
def test_bad_commands(tmp_path, args):
    (tmp_path / "pw").write_text("another long sentence")
    done = run(*[str(tmp_path / "pw") if a == "PW" else a for a in args], data=tmp_path / "data", check=False)
    assert done.returncode != 0 and done.stderr.strip() and done.stdout == ""


@pytest.mark.parametrize("args", [["--version"], ["--help"], ["help"], ["serve", "--help"], ["key", "create", "--help"]], ids=" ".join)
def test_help(tmp_path, args):
    done = run(*args, data=tmp_path / "data")
    assert done.stdout.strip() and not (tmp_path / "data").exists()


def test_doctor(tmp_path):
    good = run("doctor", data=tmp_path / "data", check=False, WEIR_MODEL=server.MODEL, WEIR_LISTEN="127.0.0.1:0")
    assert good.returncode == 0, good.stdout + good.stderr
    bad = run("doctor", data=tmp_path / "data", check=False, WEIR_MODEL="/nobody.gguf")
    assert bad.returncode != 0 and "/nobody.gguf" in bad.stdout + bad.stderr


def test_full_disk(start, tmp_path):
    """Writes fail from some moment on: clear errors, nothing half written, and well again after."""
    size = 12 << 20

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
    weir = start(limits=limit)
    with weir.signed_in() as browser:
        made, refused = [], None
        for i in range(4000):
            answer = browser.post("/api/threads", json={"title": f"{i}", "system_prompt": "x" * 19_000})
            if answer.status_code != 201:
                refused = answer
                break
            made.append(answer.json()["id"])
        assert refused is not None, "the limit was never reached"
        assert refused.status_code in (500, 503, 507)
        assert refused.json()["type"].startswith("urn:weir:problem:")
        assert browser.get("/api/me").status_code == 200, "reading goes on"
        assert browser.get(f"/api/threads/{made[-1]}").json()["system_prompt"] == "x" * 19_000
        resource.prlimit(weir.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        eventually(lambda: browser.post("/api/threads", json={"title": "room again"}).status_code == 201)
        for id_ in made[-3:]:
            assert browser.get(f"/api/threads/{id_}").status_code == 200
    key = weir.key()
    assert weir.stop() == 0
    again = start(folder=weir.folder, setup=False)
    with again.http(headers={"Authorization": f"Bearer {key}"}) as http:
        assert http.post("/v1/chat/completions", json=chat_body("hi")).status_code == 200
    with again.signed_in() as browser:
        assert browser.get(f"/api/threads/{made[0]}").status_code == 200


def test_migrate_comes_first(tmp_path):
    """On a folder where nothing ever was: the keys are made with the database, or nothing could open it later."""
    assert "migrations applied" in run("migrate", data=tmp_path / "data").stdout
    assert run("migrate", data=tmp_path / "data").stdout == "0 migrations applied\n"
    assert run("migrate", "--check", data=tmp_path / "data").stdout == "0 migrations missing\n"
    weir = server.Server(tmp_path)
    weir.setup()
    assert weir.stop() == 0


@pytest.mark.parametrize("size", [0, 100, 140, 4096, 40_000])
def test_full_disk_at_the_first_start(tmp_path, size):
    """Whatever was written before it was full is no harm to the next start."""
    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
    done = subprocess.run([str(BIN / "weir"), "serve"], env=environment(tmp_path / "data", WEIR_LISTEN="127.0.0.1:0"),
                          preexec_fn=limit, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and done.stdout == "", done.stdout
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("weir: could not open the ") and str(tmp_path) in last or "schema" in last, done.stderr
    for ring in (tmp_path / "data").glob("secrets/*"):
        assert ring.stat().st_size > 100, "a ring is there as a whole or not at all"
    weir = server.Server(tmp_path)
    weir.setup()
    assert weir.key().startswith("weir_sk_")
    assert weir.stop() == 0


def test_killed_and_started_again(start):
    """kill -9: what was answered is there, and a run that was cut ends in a clear state."""
    weir = start()
    with weir.signed_in() as browser:
        thread = browser.post("/api/threads", json={"title": "kept"}).json()["id"]
        run_ = browser.post(f"/api/threads/{thread}/runs", json={
            "parent_id": None, "model": "fault", "content": server.fault(words=1000, interval_ms=20)}).json()
        eventually(lambda: browser.get(f"/api/threads/{thread}").json()["messages"][-1]["content"])
    weir.kill()
    again = start(folder=weir.folder, setup=False)
    with again.signed_in() as browser:
        def ended():
            message = browser.get(f"/api/threads/{thread}").json()["messages"][-1]
            return message if message["status"] not in ("queued", "running") else None
        message = eventually(ended, 60)
        assert message["status"] == "failed" and message["content"].startswith("w0 ")
        assert message["run_id"] == run_["run_id"]
        assert browser.get(f"/api/threads/{thread}").json()["active_run_id"] is None


def soft_files(pid):
    with open(f"/proc/{pid}/limits") as file:
        return next(line.split()[3] for line in file if line.startswith("Max open files"))


def test_open_files_are_raised_to_what_connections_need(start):
    def limit(soft, hard):
        return lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    weir = start(limits=limit(256, 4096), WEIR_CONNECTIONS_MAX="600")
    assert soft_files(weir.process.pid) == str(2 * (2 * 600 + 256)) and "open files" not in weir.stderr()
    held = [raw.Connection(weir.address) for _ in range(600)]
    for connection in held:
        connection.send(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
    answers = [connection.answer().status for connection in held]
    for connection in held:
        connection.socket.close()
    assert answers == [200] * 600
    assert weir.stop() == 0
    few = start(limits=limit(256, 512), WEIR_CONNECTIONS_MAX="600")
    assert soft_files(few.process.pid) == "512"
    assert "open files" in few.stderr() and "needed=1456" in few.stderr(), few.stderr()
    assert few.stop() == 0


@pytest.mark.parametrize("length", [80, 95, 110, 470])
def test_a_long_data_folder(start, tmp_path, length):
    """The sockets in it have paths longer than the 107 bytes that the kernel takes."""
    folder = tmp_path
    while length - len(str(folder / "data")) > 101:
        folder = folder / ("d" * 100)
    more = length - len(str(folder / "data")) - 1
    if more > 0:
        folder = folder / ("e" * more)
    folder.mkdir(parents=True, exist_ok=True)
    weir = start("up", f"[model smol]\npath = {server.MODEL}\ncontext = 256\nparallel = 1\n", folder=folder)
    assert len(str(weir.data)) >= length - 1
    with weir.http(headers={"Authorization": f"Bearer {weir.key()}"}) as http:
        answer = http.post("/v1/chat/completions", json=chat_body(model="smol", max_tokens=2))
        assert answer.status_code == 200, answer.text
    doctor = weir.command("doctor", check=False)
    assert doctor.returncode == 0 and "runs and is ready" in doctor.stdout, doctor.stdout
    assert weir.stop() == 0
    assert not (weir.data / "control.sock").exists()
    weir.command("key", "list")
    assert not (weir.data / "control.sock").exists()


def test_too_long_a_data_folder(tmp_path):
    doctor = run("doctor", data=tmp_path / ("d" * 250) / ("d" * 250), check=False)
    assert doctor.returncode == 1 and "WEIR_DATA to one of at most 480 bytes" in doctor.stdout, doctor.stdout
