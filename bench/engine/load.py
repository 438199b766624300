"""The clients of bench/engine: requests of which every token is noted by the monotonic clock, and
texts of an exact number of tokens. One thread, so that the load takes little of the cores that it
measures."""

import asyncio
import json
import re
import time
import urllib.request

CONTENT = re.compile(rb'"(?:reasoning_)?content":"(?!")')
WORDS = ("river water house light stone paper world night green black white garden market winter summer "
         "morning window engine forest bridge island letter story music doctor teacher father mother city "
         "street school table glass metal silver gold horse bird tree leaf road train ship north south east "
         "west hand head heart voice dream power peace field floor wall door book page word line").split()

ENDS = ("<|im_end|>", "<|endoftext|>", "<end_of_turn>", "<eos>")  # of the models that are measured


class Answer:
    """What a client saw of one answer. Times are the monotonic clock's, in seconds."""

    def __init__(self):
        self.sent = self.ended = 0.0
        self.times = []  # when each event with content came
        self.status, self.usage, self.error, self.body = 0, {}, None, b""
        self.whole = False  # the answer came to its end
        self.asked = None  # tokens that it must have

    @property
    def tokens(self):
        return self.usage.get("completion_tokens", 0)

    @property
    def ok(self):
        return self.whole and self.status == 200 and self.error is None and (
            self.tokens > 0 if self.asked is None else self.tokens == self.asked)

    @property
    def first(self):
        """Time to the first token."""
        return self.times[0] - self.sent

    @property
    def total(self):
        return self.ended - self.sent

    def gaps(self, since=0.0, until=float("inf")):
        """Times between tokens, of those tokens that came between the two moments."""
        return [b - a for a, b in zip(self.times, self.times[1:]) if since <= b <= until]

    def why(self):
        return f"status {self.status}, {self.tokens} tokens, {self.error or self.body[:300]!r}"

    def take_line(self, line, now):
        if line.startswith(b"data: {"):
            if CONTENT.search(line):
                self.times.append(now)
            if b'"usage":{' in line:
                self.usage = json.loads(line[6:])["usage"]
            if line.startswith(b'data: {"error"'):
                self.error = line[6:].decode()
        elif line.startswith(b"data: [DONE]"):
            self.whole = True
        elif not self.status and line.startswith(b"HTTP/1.1 "):
            self.status = int(line[9:12])
        else:
            self.body += line + b"\n"

    def take_body(self):
        """Of an answer that was no stream: its JSON."""
        start, end = self.body.find(b"{"), self.body.rfind(b"}")
        if self.times or start < 0:
            return
        try:
            answer = json.loads(self.body[start:end + 1])
        except ValueError:
            return
        self.whole, self.usage = True, answer.get("usage") or {}
        if "error" in answer:
            self.error = json.dumps(answer["error"])


async def ask(server, body, answer=None, tenant="bench", path="/v1/chat/completions"):
    """One request, to the end of its answer; fills `answer` while it comes."""
    answer = answer or Answer()
    answer.asked = body.get("max_tokens")
    data = json.dumps(body).encode()
    head = (f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            f"Authorization: Bearer {server.key}\r\nX-Weir-Tenant: {tenant}\r\n"
            f"Content-Length: {len(data)}\r\nConnection: close\r\n\r\n").encode()
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    except OSError as error:
        answer.error = str(error)
        return answer
    try:
        writer.write(head + data)
        await writer.drain()
        answer.sent, rest = time.monotonic(), b""
        while piece := await reader.read(65536):
            now = time.monotonic()
            *lines, rest = (rest + piece).split(b"\n")
            for line in lines:
                answer.take_line(line.rstrip(b"\r"), now)
        answer.take_line(rest, now)
        answer.take_body()
    except OSError as error:
        answer.error = str(error)
    finally:
        answer.ended = time.monotonic()
        writer.close()
    return answer


async def all_of(server, bodies, **more):
    return await asyncio.gather(*(ask(server, body, **more) for body in bodies))


def together(server, bodies, **more):
    """All at once; returns their answers."""
    return asyncio.run(all_of(server, bodies, **more))


def in_turn(server, bodies, **more):
    """One after the other."""
    async def go():
        return [await ask(server, body, **more) for body in bodies]
    return asyncio.run(go())


class Texts:
    """Prompts of an exact number of tokens for one model, of words that are one token each. No two
    are alike, from their first word on, so that no server finds one in a cache."""

    def __init__(self, llama, few=False):
        self.few = few

        def post(path, body):
            request = urllib.request.Request(f"http://127.0.0.1:{llama.port}{path}", json.dumps(body).encode(),
                                             {"Content-Type": "application/json"})
            with urllib.request.urlopen(request, timeout=30) as reply:
                return json.load(reply)

        def count(text):
            return len(post("/tokenize", {"content": text, "add_special": True, "parse_special": True})["tokens"])

        self.words = [w for w in WORDS if count(f"{w} {w} {w}") == count(f"{w} {w}") + 1 == count(w) + 2]
        sample = " ".join(self.words[:10])
        prompt = post("/apply-template", {"messages": self.messages(sample, sample)})["prompt"]
        self.around = count(prompt) - 20  # what the template adds
        marks = [post("/tokenize", {"content": mark, "add_special": False, "parse_special": True})["tokens"] for mark in ENDS]
        self.ends = [mark[0] for mark in marks if len(mark) == 1]

    def out(self, tokens):
        """How long an answer is; short when only a few are wanted."""
        return max(4, tokens // 8) if self.few else tokens

    def counting(self, rng, out, **more):
        """A request whose answer is digits, so that every token of it has its event."""
        text = f"{self.text(rng, 24)}. Write the numbers from 1 to 500, separated by commas: 1, 2, 3, 4, 5, 6, 7, 8, 9,"
        return self.chat(rng, self.around + 24, out, temperature=0.0, ignore_eos=False,
                         logit_bias={str(end): -100 for end in self.ends}, messages=self.messages("You count.", text), **more)

    def messages(self, system, user):
        return [{"role": "system", "content": system}, {"role": "user", "content": user}]

    def text(self, rng, tokens):
        return " ".join(rng.choice(self.words) for _ in range(tokens))

    def chat(self, rng, tokens, out, system=None, **more):
        """The body of a request of so many prompt tokens, for exactly out(`out`) tokens of answer.
        `system` is a text that several share; it is counted by its words."""
        left = tokens - self.around
        if system is None:
            system, left = self.text(rng, left // 2), left - left // 2
        else:
            left -= len(system.split())
        body = {"model": "default", "messages": self.messages(system, self.text(rng, left)), "max_tokens": self.out(out),
                "ignore_eos": True, "temperature": 0.8, "top_k": 40, "top_p": 0.95, "min_p": 0.05,
                "seed": rng.randrange(1 << 30), "stream": True, "stream_options": {"include_usage": True}} | more
        if not body["stream"]:
            del body["stream_options"]
        return body
