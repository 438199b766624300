"""`weir model pull`: from a server that breaks off, and from a path."""

import hashlib
import http.server
import pathlib
import re
import threading

import pytest

from harness import server


class Files(http.server.BaseHTTPRequestHandler):
    """Serves the model with ranges; breaks the first answer off, and refuses the tries of that run."""

    def do_GET(self):
        files = self.server
        files.ranges.append(self.headers["Range"])
        begin = int(re.fullmatch(r"bytes=(\d+)-", self.headers["Range"])[1]) if self.headers["Range"] else 0
        body = files.content
        if files.broken and len(files.ranges) > 1:
            self.send_error(410)
            return
        self.send_response(206 if begin else 200)
        self.send_header("Content-Length", str(len(body) - begin))
        if begin:
            self.send_header("Content-Range", f"bytes {begin}-{len(body) - 1}/{len(body)}")
        self.end_headers()
        end = 3_000_000 if files.broken else len(body)
        self.wfile.write(body[begin:end])

    def log_message(self, *_):
        pass


@pytest.fixture
def files():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Files) as files:
        files.content = pathlib.Path(server.MODEL).read_bytes()
        files.ranges, files.broken = [], False
        files.url = f"http://127.0.0.1:{files.server_port}/some/where/smol.gguf?download=true"
        threading.Thread(target=files.serve_forever, daemon=True).start()
        yield files
        files.shutdown()


def test_goes_on_where_it_broke(start, files):
    weir = start()
    digest = hashlib.sha256(files.content).hexdigest()
    files.broken = True
    broken = weir.command("model", "pull", "smol", files.url, "--sha256", digest, check=False)
    assert broken.returncode == 1 and "goes on where it stopped" in broken.stderr, broken.stderr
    (part,) = (weir.data / "models").glob("*.part")
    kept = part.stat().st_size
    assert 0 < kept < len(files.content)
    again = weir.command("model", "pull", "smol", files.url, "--sha256", digest, check=False)
    assert again.returncode == 1 and part.stat().st_size == kept, "a server that is down costs nothing"
    files.broken, files.ranges = False, []
    other = files.url.replace("where", "else")
    weir.command("model", "pull", "other", other, "--sha256", digest)
    assert files.ranges == [None] and part.stat().st_size == kept, "another address begins anew"
    files.ranges = []
    assert weir.command("model", "pull", "smol", files.url, "--sha256", digest).stdout.strip() == "smol"
    assert files.ranges == [f"bytes={kept}-"]
    whole = weir.data / "models" / digest / "smol.gguf"
    assert whole.read_bytes() == files.content and not part.exists()
    with weir.signed_in() as browser:
        row = next(r for r in browser.get("/api/models").json()["data"] if r["id"] == "smol")
    assert row["path"] == str(whole)


def test_what_is_refused(start, files, tmp_path):
    weir = start()
    folder = weir.data / "models"

    def refused(*args):
        done = weir.command("model", "pull", *args, check=False)
        assert done.returncode == 1 and done.stdout == "", done
        return done.stderr

    assert "--sha256" in refused("smol", files.url)
    assert "64" in refused("smol", files.url, "--sha256", "12")
    assert "not the one that was given" in refused("smol", files.url, "--sha256", "0" * 64)
    assert "GGUF" in refused("smol", "https://example.org/model.bin")
    (tmp_path / "bad.gguf").write_bytes(b"GGUF" + b"\xff" * 100)
    assert "thrown away" in refused("smol", tmp_path / "bad.gguf")
    assert "nowhere.gguf" in refused("smol", tmp_path / "nowhere.gguf")
    assert list(folder.rglob("*.*")) == []


def test_from_a_path(start):
    weir = start()
    assert weir.command("model", "pull", "copied", server.MODEL, "--name", "A copy").stdout == "copied\n"
    file = next((weir.data / "models").rglob("*.gguf"))
    assert file.parent.name == hashlib.sha256(file.read_bytes()).hexdigest()
    again = weir.command("model", "pull", "copied", server.MODEL, check=False)
    assert again.returncode == 1 and "weir model add copied --path" in again.stderr
