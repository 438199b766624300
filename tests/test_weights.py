"""An organisation's weight: set from the shell, and sent with each request to a local model."""

import json
import sys

from harness.server import MODEL, chat_body, eventually

PROGRAM = """#!{python}
# In place of weir-infer: answers everybody, and writes down what it was told of them.
import http.server, json, os, socketserver, sys

path = next(a for a in sys.argv if a.startswith("--listen=unix:")).removeprefix("--listen=unix:")

class Answer(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, body, kind="application/json"):
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        self.answer(json.dumps({{"context_tokens": 100, "tasks": ["chat"]}}).encode())

    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with open({seen!r}, "a") as file:
            file.write(json.dumps({{name.lower(): value for name, value in self.headers.items()}}) + "\\n")
        usage = {{"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}}
        told = {{"id": "x", "created": 1, "model": "m", "usage": usage}}
        if not request.get("stream"):
            return self.answer(json.dumps({{**told, "object": "chat.completion", "choices": [
                {{"index": 0, "message": {{"role": "assistant", "content": "yes"}}, "finish_reason": "stop"}}]}}).encode())
        chunk = json.dumps({{**told, "object": "chat.completion.chunk", "choices": [
            {{"index": 0, "delta": {{"content": "yes"}}, "finish_reason": "stop"}}]}})
        self.answer(f"data: {{chunk}}\\n\\ndata: [DONE]\\n\\n".encode(), "text/event-stream")

    def address_string(self):
        return "front"

    def log_message(self, *args):
        pass

class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True

Server(path, Answer).serve_forever()
"""


def test_weights_reach_the_engine(start, tmp_path):
    seen, program = tmp_path / "seen", tmp_path / "infer"
    program.write_text(PROGRAM.format(python=sys.executable, seen=str(seen)))
    program.chmod(0o755)
    weir = start("up", f"[model m]\npath = {MODEL}\n", WEIR_INFER_PROGRAM=program)
    org = weir.command("org", "list").stdout.splitlines()[1].split()[0]
    with weir.http(headers={"Authorization": f"Bearer {weir.key()}"}) as http, weir.signed_in() as browser:
        eventually(lambda: http.get("/readyz").status_code == 200, 60)

        def told():
            """Of a request with a key, and of one from the chat."""
            seen.write_text("")
            assert http.post("/v1/chat/completions", json=chat_body(model="m")).status_code == 200
            thread = browser.post("/api/threads", json={}).json()["id"]
            run = browser.post(f"/api/threads/{thread}/runs", json={"parent_id": None, "model": "m", "content": "hi"})
            assert run.status_code == 201, run.text
            eventually(lambda: len(seen.read_text().splitlines()) == 2)
            return [json.loads(line) for line in seen.read_text().splitlines()]
        for weight in ("100", "250", "1", "10000"):
            if weight != "100":
                weir.command("org", "weight", org, weight)
            for headers in told():
                assert headers["x-weir-weight"] == weight and headers["x-weir-tenant"] == org
        assert "10000" in weir.command("org", "list").stdout
        for bad in ("0", "10001", "1.5", "much"):
            refused = weir.command("org", "weight", org, bad, check=False)
            assert refused.returncode != 0 and "weight" in refused.stderr, refused
        assert weir.command("org", "weight", "org_x", "5", check=False).returncode == 1
