"""Administration from the shell."""

import re
import subprocess

from harness.server import BIN, ROOT, run

COMMANDS = re.findall(r'^    \{"([a-z ]+)",$', (ROOT / "src/cli/cli_commands.c").read_text(), re.M)


def test_the_table_is_everywhere(tmp_path):
    assert len(COMMANDS) > 20
    overview = run("--help", data=tmp_path).stdout
    pages = {shell: run("completion", shell, data=tmp_path).stdout for shell in ("bash", "zsh", "fish")}
    man = run("man", data=tmp_path).stdout
    for name in COMMANDS:
        assert re.search(rf"^  {name} ", overview, re.M), name
        one = run(*name.split(), "--help", data=tmp_path).stdout
        assert one.startswith(f"Usage: weir {name}") and "Examples:" in one, name
        assert f".SS weir {name}" in man
        assert all(word in page for page in pages.values() for word in name.split()), name
    infer = subprocess.run([BIN / "weir-infer", "--help"], capture_output=True, text=True, check=True).stdout
    assert "Examples:\n  weir-infer --model=" in infer
    (tmp_path / "weir").write_text(pages["bash"] + 'COMP_WORDS=(weir upstream ""); COMP_CWORD=2; _weir; '
                                   'echo "${COMPREPLY[@]}"\n')
    offered = subprocess.run(["bash", tmp_path / "weir"], capture_output=True, text=True, check=True).stdout
    assert set(offered.split()) == {"list", "add", "remove"}


def test_installed(tmp_path):
    build = BIN.parent
    subprocess.run(["cmake", "--install", build, "--prefix", "/usr"], check=True, capture_output=True,
                   env={"PATH": "/usr/bin:/bin", "DESTDIR": str(tmp_path)})
    share = tmp_path / "usr/share"
    assert ".TH WEIR 1" in (share / "man/man1/weir.1").read_text()
    assert "complete -o default -F _weir weir" in (share / "bash-completion/completions/weir").read_text()
    assert (share / "zsh/site-functions/_weir").read_text().startswith("#compdef weir")
    assert "complete -c weir" in (share / "fish/vendor_completions.d/weir.fish").read_text()
    assert (tmp_path / "usr/bin/weir").exists() and (tmp_path / "usr/bin/weir-infer").exists()


def models(weir, key):
    with weir.http(headers={"Authorization": f"Bearer {key}"}) as http:
        return [row["id"] for row in http.get("/v1/models").json()["data"]]


def table(weir, *command):
    rows = [re.split(r"  +", line.strip()) for line in weir.command(*command).stdout.splitlines()]
    return [dict(zip(rows[0], row)) for row in rows[1:]]


def test_upstreams_and_models(start, upstream, tmp_path):
    weir = start()
    key = weir.key()
    file = tmp_path / "upstream.key"
    file.write_text("sk-secret\n")
    ups = weir.command("upstream", "add", "mine", "--url", upstream.url, "--key-file", file).stdout.strip()
    assert ups.startswith("ups_")
    bare = weir.command("upstream", "add", "bare", "--url", upstream.url).stdout.strip()
    listed = {row["ID"]: row for row in table(weir, "upstream", "list")}
    assert listed[ups] == {"ID": ups, "NAME": "mine", "URL": upstream.url, "KEY": "yes", "STATE": "enabled"}
    assert listed[bare]["KEY"] == "none" and len(listed) == 3
    taken = weir.command("upstream", "add", "mine", "--url", upstream.url, check=False)
    assert taken.returncode == 1 and "mine" in taken.stderr
    added = weir.command("model", "add", "m", "--upstream", ups, "--upstream-model", "fault", "--context", "2048")
    assert added.stdout.strip() == "m"
    with weir.signed_in() as browser:
        row = next(r for r in browser.get("/api/models").json()["data"] if r["id"] == "m")
        assert row["context_tokens"] == 2048 and row["upstream_id"] == ups
    bad = weir.command("model", "add", "n", "--upstream", ups, "--context", "many", check=False)
    assert bad.returncode == 1 and "--context must be a number" in bad.stderr
    assert "m" in models(weir, key)
    with weir.http(headers={"Authorization": f"Bearer {key}"}) as http:
        body = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
        assert http.post("/v1/chat/completions", json=body).status_code == 200
        assert upstream.heads[-1][1]["authorization"] == "Bearer sk-secret"
    weir.command("model", "disable", "m")
    assert "m" not in models(weir, key)
    weir.command("model", "enable", "m")
    assert "m" in models(weir, key)
    used = weir.command("upstream", "remove", ups, check=False)
    assert used.returncode == 1 and used.stderr
    weir.command("model", "remove", "m")
    weir.command("upstream", "remove", ups)
    assert ups not in [row["ID"] for row in table(weir, "upstream", "list")]
    gone = weir.command("model", "enable", "m", check=False)
    assert gone.returncode == 1 and gone.stderr
    assert table(weir, "user", "list")[0]["ID"].startswith("usr_")
