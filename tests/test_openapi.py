"""api/openapi.yaml and the server say the same: the routes, and what is answered."""

import copy
import json
import re

import jsonschema
import yaml

from harness.server import EMAIL, PASSWORD, ROOT, eventually, fault

CONTRACT = yaml.safe_load((ROOT / "api/openapi.yaml").read_text())
METHODS = ("get", "post", "put", "patch", "delete")


def operations():
    return {(method.upper(), path) for path, item in CONTRACT["paths"].items() for method in item if method in METHODS}


def test_routes():
    table = re.findall(r'\{"([A-Z]+)", "(/[^"]*)"', (ROOT / "src/api/api_routes.c").read_text())
    assert len(table) > 30
    assert {(m, p) for m, p in table if p.startswith("/api/")} == operations()


def strict():
    """The contract's components, without members that it does not name. Thread is a part of ThreadDetail."""
    components = copy.deepcopy(CONTRACT["components"])

    def close(schema):
        if isinstance(schema, list):
            for item in schema:
                close(item)
        if isinstance(schema, dict):
            if isinstance(schema.get("properties"), dict):
                schema.setdefault("unevaluatedProperties", False)
            for item in schema.values():
                close(item)
    for name, schema in components["schemas"].items():
        if name == "ThreadDetail":
            schema["unevaluatedProperties"] = False
        elif name != "Thread":
            close(schema)
    return components


class Checked:
    """Sends requests, and holds each answer against the contract."""

    def __init__(self, http):
        self.http, self.components, self.seen = http, strict(), set()

    def call(self, method, path, wanted, body=None, **params):
        target = re.sub(r"\{(\w+)\}", lambda m: params.pop(m[1]), path)
        answer = self.http.request(method, target, json=body, params=params)
        assert answer.status_code == wanted, f"{method} {target}: {answer.status_code} {answer.text}"
        responses = CONTRACT["paths"][path][method.lower()]["responses"]
        if wanted >= 400:
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.json()["status"] == wanted and answer.json()["instance"] == answer.headers["x-request-id"]
            schema = {"$ref": "#/components/schemas/Problem"}
        else:
            self.seen.add((method, path))
            if "content" not in responses[str(wanted)]:
                assert answer.content == b""
                return None
            content = responses[str(wanted)]["content"]
            kind = answer.headers["content-type"].split(";")[0]
            assert kind in content
            if kind == "text/event-stream":
                return answer.text
            schema = content[kind]["schema"]
        jsonschema.Draft202012Validator({**schema, "components": self.components}).validate(answer.json())
        return answer.json()

    def event(self, name, data):
        jsonschema.Draft202012Validator(
            {"$ref": f"#/components/schemas/{name}", "components": self.components}).validate(data)


def test_answers(start):
    weir = start(setup=False)
    token = eventually(lambda: [line for line in weir.lines if line.startswith("set up ")])[0].split("#token=")[1]
    with weir.http(headers={"Origin": weir.url, "Sec-Fetch-Site": "same-origin"}) as http:
        api = Checked(http)
        call = api.call
        assert call("GET", "/api/bootstrap", 200)["needs_setup"]
        call("GET", "/api/me", 401)
        owner = {"email": EMAIL, "password": PASSWORD, "name": "Ada", "organisation": "Engines"}
        call("POST", "/api/setup", 403, {**owner, "token": "guess"})
        call("POST", "/api/setup", 400, owner)
        assert call("POST", "/api/setup", 201, {**owner, "token": token})["user"]["email"] == EMAIL
        account(call, http)
        keys(call)
        catalogue(call)
        chat(api)
        call("DELETE", "/api/session", 204)
        assert api.seen == operations(), operations() - api.seen


def account(call, http):
    call("PATCH", "/api/me", 200, {"name": "Ada L."})
    call("PATCH", "/api/me", 400, {"nmae": "Ada"})
    assert call("GET", "/api/me", 200)["user"]["name"] == "Ada L."
    call("POST", "/api/me/password", 204, {"current_password": PASSWORD, "new_password": PASSWORD + "!"})
    call("POST", "/api/session", 401, {"email": EMAIL, "password": PASSWORD})
    for _ in range(2):
        http.cookies.clear()  # of another browser
        call("POST", "/api/session", 200, {"email": EMAIL, "password": PASSWORD + "!"})
    rows = call("GET", "/api/sessions", 200, limit=1)
    assert len(rows["data"]) == 1 and rows["next_cursor"]
    call("GET", "/api/sessions", 200, cursor=rows["next_cursor"])
    other = [row for row in call("GET", "/api/sessions", 200)["data"] if not row["current"]][0]
    call("DELETE", "/api/sessions/{id}", 204, id=other["id"])
    call("DELETE", "/api/sessions/{id}", 404, id=other["id"])
    call("DELETE", "/api/sessions", 204)
    assert len(call("GET", "/api/sessions", 200)["data"]) == 1


def keys(call):
    made = call("POST", "/api/keys", 201, {"name": "laptop", "expires_us": None})
    assert made["secret"].startswith("weir_sk_")
    call("POST", "/api/keys", 400, {"name": ""})
    assert call("PATCH", "/api/keys/{id}", 200, {"name": "desk"}, id=made["key"]["id"])["name"] == "desk"
    assert [row["name"] for row in call("GET", "/api/keys", 200)["data"]] == ["desk"]
    call("DELETE", "/api/keys/{id}", 204, id=made["key"]["id"])
    call("DELETE", "/api/keys/{id}", 404, id=made["key"]["id"])


def catalogue(call):
    (managed,) = call("GET", "/api/upstreams", 200)["data"]
    assert managed["managed"] and managed["has_key"]
    call("DELETE", "/api/upstreams/{id}", 409, id=managed["id"])
    body = {"name": "mine", "base_url": managed["base_url"], "api_key": "k"}
    upstream = call("POST", "/api/upstreams", 201, body)
    call("POST", "/api/upstreams", 409, body)
    call("POST", "/api/upstreams", 400, {**body, "name": "x", "base_url": "ftp://x"})
    call("PATCH", "/api/upstreams/{id}", 200, {"api_key": None}, id=upstream["id"])
    assert not call("GET", "/api/upstreams/{id}", 200, id=upstream["id"])["has_key"]
    assert call("GET", "/api/upstreams/{id}/models", 200, id=upstream["id"])["data"] == [{"id": "fault"}]
    model = {"id": "mine", "name": "Mine", "kind": "upstream", "upstream_id": upstream["id"], "upstream_model": "fault"}
    call("POST", "/api/models", 201, model)
    call("POST", "/api/models", 409, model)
    call("POST", "/api/models", 400, {**model, "id": "!"})
    call("POST", "/api/models", 400, {**model, "id": "b", "tasks": ["sing"]})
    assert call("PATCH", "/api/models/{id}", 200, {"tasks": ["embeddings"]}, id="mine")["tasks"] == ["embeddings"]
    call("DELETE", "/api/upstreams/{id}", 409, id=upstream["id"])
    assert not call("PATCH", "/api/models/{id}", 200, {"enabled": False}, id="mine")["enabled"]
    assert [row["id"] for row in call("GET", "/api/models", 200)["data"]] == ["fault", "mine"]
    call("DELETE", "/api/models/{id}", 204, id="mine")
    call("DELETE", "/api/models/{id}", 404, id="mine")
    call("DELETE", "/api/upstreams/{id}", 204, id=upstream["id"])


def chat(api):
    call = api.call
    thread = call("POST", "/api/threads", 201, {"title": "one", "parameters": {"temperature": 0.5}})["id"]
    call("POST", "/api/threads", 400, {"parameters": {"temperature": 9}})
    order = fault(words=400, interval_ms=5)
    run = call("POST", "/api/threads/{id}/runs", 201, {"parent_id": None, "content": order, "model": "fault"}, id=thread)
    call("POST", "/api/threads/{id}/runs", 409, {"parent_id": None, "content": order, "model": "fault"}, id=thread)
    assert call("GET", "/api/threads/{id}", 200, id=thread)["active_run_id"] == run["run_id"]
    call("POST", "/api/runs/{id}/stop", 204, id=run["run_id"])
    events = call("GET", "/api/runs/{id}/events", 200, id=run["run_id"])
    assert "event: done" in events and '"stopped"' in events
    parent = run["assistant_message"]["id"]
    run = call("POST", "/api/threads/{id}/runs", 201, {"parent_id": parent, "content": "hi", "model": "fault"}, id=thread)
    events = call("GET", "/api/runs/{id}/events", 200, id=run["run_id"])
    usage = re.search(r"event: usage\nid: \d+\ndata: (.*)", events)
    assert usage, events
    api.event("RunUsage", json.loads(usage[1]))
    parent = run["assistant_message"]["id"]
    run = call("POST", "/api/threads/{id}/runs", 201,
               {"parent_id": parent, "content": fault(do="error", status=500), "model": "fault"}, id=thread)
    events = call("GET", "/api/runs/{id}/events", 200, id=run["run_id"])
    api.event("Problem", json.loads(re.search(r"event: error\nid: \d+\ndata: (.*)", events)[1]))
    messages = call("GET", "/api/threads/{id}", 200, id=thread)["messages"]
    assert [m["status"] for m in messages if m["role"] == "assistant"] == ["stopped", "complete", "failed"]
    call("PATCH", "/api/threads/{id}", 200, {"title": "two", "system_prompt": "be brief"}, id=thread)
    assert [row["title"] for row in call("GET", "/api/threads", 200, query="TW")["data"]] == ["two"]
    call("DELETE", "/api/threads/{id}", 204, id=thread)
    call("GET", "/api/threads/{id}", 404, id=thread)
    call("GET", "/api/runs/{id}/events", 404, id=run["run_id"])
