"""What a model of an upstream is for: guessed by its name, said in the configuration, the form or the
shell; and what comes of a call for anything else."""

import pytest

from harness.server import chat_body

pytestmark = pytest.mark.short

CHAT, VECTORS, RERANK = ["chat", "completions"], ["embeddings"], ["rerank"]


@pytest.fixture
def serve(start, upstream):
    sections = "".join(f"[model {id}]\nupstream = up\nupstream_model = {name}\n{more}" for id, name, more in [
        ("big", "vendor/big-model", ""), ("vectors", "text-embedding-3-small", ""), ("order", "BAAI/bge-reranker-v2-m3", ""),
        ("said", "vendor/other", "tasks = embeddings, rerank\n")])
    return start(config=f"[upstream up]\nurl = {upstream.url}\n{sections}")


def tasks(browser):
    return {model["id"]: model["tasks"] for model in browser.get("/api/models").json()["data"]}


def test_by_name_and_by_the_configuration(serve, upstream):
    with serve.signed_in() as browser, serve.http(headers={"Authorization": f"Bearer {serve.key()}"}) as http:
        assert tasks(browser) == {"big": CHAT, "vectors": VECTORS, "order": RERANK, "said": VECTORS + RERANK}
        assert [row["id"] for row in http.get("/v1/models").json()["data"]] == ["big", "vectors", "order", "said"]
        asked = len(upstream.requests)
        for path, body in [("chat/completions", chat_body(model="vectors")),
                           ("completions", {"model": "vectors", "prompt": "x"}),
                           ("embeddings", {"model": "big", "input": "x"}), ("embeddings", {"model": "order", "input": "x"}),
                           ("rerank", {"model": "vectors", "query": "q", "documents": ["a"]})]:
            answer = http.post(f"/v1/{path}", json=body)
            error = answer.json()["error"]
            assert answer.status_code == 404 and error["code"] == "unsupported_endpoint" and error["param"] == "model"
        assert len(upstream.requests) == asked
        for path, body in [("chat/completions", chat_body(model="big")), ("embeddings", {"model": "vectors", "input": "x"}),
                           ("rerank", {"model": "said", "query": "q", "documents": ["a"]}),
                           ("tokenize", {"model": "vectors", "prompt": "x"})]:
            assert http.post(f"/v1/{path}", json=body).status_code == 200, path
        answer = browser.patch("/api/models/vectors", json={"tasks": CHAT})
        assert answer.status_code == 409 and answer.json()["type"].endswith("managed")


def test_it_can_be_said(serve, tmp_path):
    with serve.signed_in() as browser:
        ups = browser.get("/api/upstreams").json()["data"][0]["id"]
        model = {"id": "mine", "name": "Mine", "kind": "upstream", "upstream_id": ups, "upstream_model": "my-embedder"}
        assert browser.post("/api/models", json=model).json()["tasks"] == VECTORS
        for wanted, got in ((CHAT, CHAT), (["rerank", "chat"], ["chat", "rerank"]), (None, VECTORS)):
            assert browser.patch("/api/models/mine", json={"tasks": wanted}).json()["tasks"] == got
        for wrong in ([], ["sing"], [1], "chat", ["chat"] * 9):
            answer = browser.patch("/api/models/mine", json={"tasks": wrong})
            assert answer.status_code == 400 and answer.json()["field"] == "tasks", answer.text
        file = tmp_path / "m.gguf"
        file.write_bytes(b"x")
        local = {"id": "here", "name": "Here", "kind": "local", "path": str(file), "tasks": CHAT}
        answer = browser.post("/api/models", json=local)
        assert answer.status_code == 400 and answer.json()["field"] == "tasks"

        serve.command("model", "add", "shell", "--upstream", ups, "--task", "chat, embeddings")
        assert tasks(browser)["shell"] == ["chat", "embeddings"]
        serve.command("model", "change", "shell", "--task", "rerank", "--name", "Shell")
        assert tasks(browser)["shell"] == RERANK
        assert "Shell" in [model["name"] for model in browser.get("/api/models").json()["data"]]
        serve.command("model", "change", "shell", "--task", "guess")
        assert tasks(browser)["shell"] == CHAT
        assert "rerank" in serve.command("model", "list").stdout
        refused = serve.command("model", "change", "shell", "--task", "sing", check=False)
        assert refused.returncode == 1 and "embeddings" in refused.stderr
        assert serve.command("model", "change", "shell", check=False).returncode == 2


@pytest.mark.parametrize("section, word", [
    ("[upstream u]\nurl = http://127.0.0.1:1/v1\n[model m]\nupstream = u\ntasks = sing\n", "sing"),
    ("[model m]\npath = /x.gguf\ntasks = chat\n", "local"),
], ids=["unknown", "local"])
def test_bad_configuration(start, section, word):
    weir = start(config=section, wait=False, setup=False)
    assert weir.process.wait(20) == 1 and word in weir.stderr() and "[model m]" in weir.stderr()
