"""New keys on the key rings, under a running service and without one."""

import signal
import sqlite3

import httpx

from harness import server
from harness.server import chat_body

RINGS = ("master", "pepper", "token")


def keys(weir, ring):
    path = weir.data / "secrets" / f"{ring}.keys"
    return [line for line in path.read_text().splitlines() if line and not line.startswith("#")]


def ask(weir, key):
    with weir.http(headers={"Authorization": f"Bearer {key}"}) as http:
        return http.post("/v1/chat/completions", json=chat_body()).status_code


def rows(weir, sql):
    with sqlite3.connect(f"file:{weir.data / 'weir.db'}?mode=ro", uri=True) as db:
        return db.execute(sql).fetchall()


def test_under_a_running_service(start):
    weir = start()
    key = weir.key()
    with weir.signed_in() as browser:
        thread = browser.post("/api/threads", json={"title": "kept"}).json()["id"]
    before = {ring: keys(weir, ring) for ring in RINGS}
    for ring in RINGS:
        done = weir.command("secret", "rotate", ring)
        assert keys(weir, ring)[:-1] == before[ring] and keys(weir, ring)[-1].split()[0] == done.stdout.strip()
        assert ("sealed anew" in done.stderr) == (ring == "master")
    assert ask(weir, key) == 200
    # nothing but backups needs the old master key
    assert weir.stop() == 0
    path = weir.data / "secrets" / "master.keys"
    path.write_text(keys(weir, "master")[-1] + "\n")
    config = weir.config.read_text()
    weir = start(folder=weir.folder, config=config, setup=False)
    with weir.signed_in() as browser:
        assert browser.get(f"/api/threads/{thread}").json()["title"] == "kept"
    assert ask(weir, key) == 200
    unknown = weir.command("secret", "rotate", "sugar", check=False)
    assert unknown.returncode == 1 and "master, pepper and token" in unknown.stderr


def test_another_replica_reads_the_ring_on_sighup(start):
    weir = start()
    old = weir.key()
    path = weir.data / "secrets" / "pepper.keys"
    with path.open("a") as file:
        file.write("0badcafe " + "5a" * 32 + "\n")
    weir.process.send_signal(signal.SIGHUP)
    server.eventually(lambda: "key rings again" in weir.stderr())

    def new_pepper():
        made = weir.key()
        assert ask(weir, made) == 200 and ask(weir, old) == 200
        return ("0badcafe",) in rows(weir, "SELECT pepper_id FROM api_key")
    server.eventually(new_pepper)
    path.write_text("nonsense\n")
    weir.process.send_signal(signal.SIGHUP)
    server.eventually(lambda: "could not read the key rings again" in weir.stderr())
    assert ask(weir, weir.key()) == 200 and ask(weir, old) == 200


def test_a_full_ring(start):
    """No key dies silently: neither after many rotations, nor by the one too many."""
    weir = start()
    old, revoked = weir.key(), weir.key()
    for _ in range(31):
        weir.command("secret", "rotate", "pepper")
    first = keys(weir, "pepper")[0]
    assert len(keys(weir, "pepper")) == 32
    refused = weir.command("secret", "rotate", "pepper", check=False)
    assert refused.returncode == 1 and "2 API keys would stop working" in refused.stderr, refused.stderr
    assert len(keys(weir, "pepper")) == 32 and keys(weir, "pepper")[0] == first
    assert ask(weir, old) == 200  # gets its digest under the newest
    for line in weir.command("key", "list").stdout.splitlines():
        if revoked[:12] in line:
            weir.command("key", "revoke", line.split()[0])
    server.eventually(lambda: rows(weir, f"SELECT count(*) FROM api_key WHERE pepper_id = '{first.split()[0]}' "
                                         "AND revoked_us IS NULL") == [(0,)])
    weir.command("secret", "rotate", "pepper")
    assert len(keys(weir, "pepper")) == 32 and keys(weir, "pepper")[0] != first
    assert ask(weir, old) == 200
    for _ in range(33):
        weir.command("secret", "rotate", "master")
    assert len(keys(weir, "master")) == 32
    assert ask(weir, old) == 200


def test_without_a_service(start):
    weir = start()
    key, folder, config = weir.key(), weir.folder, weir.config.read_text()
    assert weir.stop() == 0
    for ring in RINGS:
        weir.command("secret", "rotate", ring)
        assert len(keys(weir, ring)) == 2
    weir = start(folder=folder, config=config, setup=False)
    assert ask(weir, key) == 200
    assert httpx.get(weir.url + "/healthz").status_code == 200
