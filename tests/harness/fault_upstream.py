"""An upstream in OpenAI's dialect that misbehaves on demand. The last message of a request (or its
prompt, input, query) is its order, a JSON object (see Order); anything else gets a good answer. Runs
in a thread of its own."""

import asyncio
import base64
import dataclasses
import json
import struct
import threading


@dataclasses.dataclass
class Order:
    do: str = "answer"
    status: int = 200
    headers: dict = dataclasses.field(default_factory=dict)
    words: int = 5           # deltas of a stream, or words of an answer
    interval_ms: float = 0   # between them
    cut_at: int = -1         # close the connection after so many bytes of the body
    reset: bool = False      # with an RST
    hang_at: int = -1        # send nothing more after so many bytes of the body
    drip_ms: float = 0       # one byte at a time, with this pause
    body: str = ""           # for do="body": sent as it is (latin-1), with content_type
    content_type: str = "application/json"
    framing: str = "chunked"  # chunked, length, close; or one of the broken ones below
    times: int = 0           # misbehave only so often (by the order's text), then answer well
    usage: bool = True


class FaultUpstream:
    def __init__(self):
        self.requests = []    # bodies, as they came
        self.heads = []
        self.open = 0         # connections
        self.answering = 0    # requests whose answer is not at its end
        self.left = 0         # answers that the other side did not wait for
        self._seen = {}
        self._loop = asyncio.new_event_loop()
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        self._started.wait()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}/v1"

    def close(self):
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def forget(self):
        """Orders with `times` count from the beginning."""
        self._seen.clear()

    def _run(self):
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(
            asyncio.start_server(self._connection, "127.0.0.1", 0, backlog=1024)
        )
        self.port = server.sockets[0].getsockname()[1]
        self._started.set()
        self._loop.run_forever()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0.01))
        server.close()
        self._loop.close()

    async def _connection(self, reader, writer):
        self.open += 1
        try:
            while await self._request(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        finally:
            self.open -= 1
            writer.close()

    async def _request(self, reader, writer):
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        lines = head.split("\r\n")
        headers = {k.lower(): v.strip() for k, v in (line.split(":", 1) for line in lines[1:] if line)}
        body = await self._body(reader, headers)
        self.heads.append((lines[0], headers))
        if lines[0].startswith("GET"):
            await self._send(reader, writer, Order(), json.dumps(
                {"object": "list", "data": [{"id": "fault", "object": "model"}]}).encode(), "application/json")
            return True
        request = json.loads(body)
        self.requests.append(request)
        order = self._order(request)
        self.answering += 1
        watch = asyncio.ensure_future(self._gone(reader))
        work = asyncio.ensure_future(self._answer(reader, writer, order, request, lines[0].split()[1]))
        await asyncio.wait({watch, work}, return_when=asyncio.FIRST_COMPLETED)
        self.answering -= 1
        if not work.done():
            self.left += 1
            work.cancel()
            return False
        watch.cancel()
        try:
            await watch
        except asyncio.CancelledError:
            pass
        return work.result()

    async def _body(self, reader, headers):
        if headers.get("transfer-encoding") == "chunked":
            parts = []
            while size := int((await reader.readline()).split(b";")[0], 16):
                parts.append(await reader.readexactly(size))
                await reader.readline()
            await reader.readline()
            return b"".join(parts)
        return await reader.readexactly(int(headers.get("content-length", 0)))

    async def _gone(self, reader):
        """Until the other side has closed; it sends nothing while it waits for an answer."""
        while not reader.at_eof() and reader.exception() is None:
            await asyncio.sleep(0.005)

    def _order(self, request):
        text = request["messages"][-1]["content"] if "messages" in request else next(
            (request[name] for name in ("prompt", "input", "query") if name in request), "")
        if isinstance(text, list):
            text = text[-1]
        try:
            order = Order(**json.loads(text))
        except (TypeError, ValueError):
            return Order()
        self._seen[text] = self._seen.get(text, 0) + 1
        if order.times and self._seen[text] > order.times:
            return Order()
        return order

    async def _answer(self, reader, writer, order, request, path):
        if order.do == "hang":
            await asyncio.sleep(3600)
        if order.do == "close":
            return self._end(writer, order)
        if order.do == "raw":
            writer.write(order.body.encode("latin-1"))
            await writer.drain()
            return False
        if order.do == "body":
            return await self._send(reader, writer, order, order.body.encode("latin-1"), order.content_type)
        if order.do == "error":
            error = {"error": {"message": "the upstream says no", "type": "fault", "param": None, "code": "fault_code"}}
            return await self._send(reader, writer, order, json.dumps(error).encode(), "application/json")
        if path not in ("/v1/chat/completions", "/v1/completions"):
            return await self._send(reader, writer, order, self._other(path, request), "application/json")
        chat = path == "/v1/chat/completions"
        usage = {"prompt_tokens": 3, "completion_tokens": order.words, "total_tokens": 3 + order.words}
        common = {"id": "chatcmpl-fault", "created": 1700000000, "model": request["model"]}
        if not request.get("stream"):
            text = "".join(f"w{i} " for i in range(order.words))
            said = {"message": {"role": "assistant", "content": text}} if chat else {"text": text}
            answer = {**common, "object": "chat.completion" if chat else "text_completion", "usage": usage,
                      "choices": [{"index": 0, **said, "finish_reason": "stop"}]}
            body = json.dumps(answer).encode()
            size = -(-len(body) // max(order.words, 1)) if order.interval_ms else len(body)
            pieces = [body[i : i + size] for i in range(0, len(body), size)]
            return await self._send(reader, writer, order, pieces, "application/json")
        common["object"] = "chat.completion.chunk" if chat else "text_completion"
        pieces = self._stream(order, common, chat, usage if (request.get("stream_options") or {}).get("include_usage") else None)
        return await self._send(reader, writer, order, pieces, "text/event-stream")

    def _stream(self, order, common, chat, usage):
        """One after the other: there may be millions."""
        if chat:
            yield self._chunk(common, {"delta": {"role": "assistant", "content": ""}})
        for i in range(order.words):
            yield self._chunk(common, {"delta": {"content": f"w{i} "}} if chat else {"text": f"w{i} "})
        yield self._chunk(common, {"delta": {}} if chat else {"text": ""}, "stop")
        if order.usage and usage:
            yield self._event({**common, "choices": [], "usage": usage})
        yield b"data: [DONE]\n\n"

    def _chunk(self, common, said, finish=None):
        return self._event({**common, "choices": [{"index": 0, **said, "finish_reason": finish}]})

    def _other(self, path, request):
        """An answer of what does not write: the vector of a text is its length and its place."""
        if path == "/v1/embeddings":
            inputs = request["input"] if isinstance(request["input"], list) else [request["input"]]
            vectors = [[float(len(text)), float(i)] for i, text in enumerate(inputs)]
            if request.get("encoding_format") == "base64":
                vectors = [base64.b64encode(struct.pack("<2f", *v)).decode() for v in vectors]
            data = [{"object": "embedding", "index": i, "embedding": v} for i, v in enumerate(vectors)]
            return self._json({"object": "list", "model": request["model"], "data": data,
                               "usage": {"prompt_tokens": 7, "total_tokens": 7}})
        if path == "/v1/rerank":
            results = [{"index": i, "relevance_score": 1 / (i + 1)} for i in range(len(request["documents"]))]
            return self._json({"model": request["model"], "results": results, "usage": {"total_tokens": 11}})
        if path == "/tokenize":
            tokens = list(request["prompt"].encode())
            return self._json({"count": len(tokens), "max_model_len": 99, "tokens": tokens, "token_strs": None})
        if path == "/detokenize":
            return self._json({"prompt": bytes(request["tokens"]).decode()})
        return self._json({"error": {"message": f"nothing at {path}"}})

    def _json(self, value):
        return json.dumps(value).encode()

    def _event(self, data):
        return b"data: " + json.dumps(data).encode() + b"\n\n"

    def _end(self, writer, order):
        if order.reset:
            writer.transport.abort()
        return False

    async def _send(self, reader, writer, order, pieces, content_type):
        """The head, then the pieces, bent as the order says. True: the connection is kept."""
        if isinstance(pieces, bytes):
            pieces = [pieces]
        chunked = order.framing == "chunked"
        head = [f"HTTP/1.1 {order.status} Whatever", f"Content-Type: {content_type}"]
        head += [f"{k}: {v}" for k, v in order.headers.items()]
        if chunked:
            head.append("Transfer-Encoding: chunked")
        elif order.framing == "length":
            pieces = list(pieces)
            head.append(f"Content-Length: {sum(map(len, pieces))}")
        elif order.framing == "close":
            head.append("Connection: close")
        writer.write(("\r\n".join(head) + "\r\n\r\n").encode("latin-1"))
        sent = 0
        for piece in pieces:
            for part in [piece[i : i + 1] for i in range(len(piece))] if order.drip_ms else [piece]:
                stop = min(x for x in (order.cut_at, order.hang_at, 1 << 60) if x >= 0) - sent
                whole = len(part) <= stop
                part = part[:stop]
                sent += len(part)
                if part:
                    writer.write(b"%x\r\n%s\r\n" % (len(part), part) if chunked else part)
                await writer.drain()
                if not whole and order.hang_at >= 0:
                    await asyncio.sleep(3600)
                if not whole:
                    return self._end(writer, order)
                if order.drip_ms:
                    await asyncio.sleep(order.drip_ms / 1000)
            if order.interval_ms:
                await asyncio.sleep(order.interval_ms / 1000)
        if chunked:
            writer.write(b"0\r\n\r\n")
        await writer.drain()
        return order.framing != "close"
