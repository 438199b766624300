"""Who sends the soak's requests: through weir with a key, or straight to a model's process as one of
several tenants, as weir would for as many organisations. Some leave in the middle, some read slowly.
Each request must end in an answer, in a clean error, or because its client left; and soon."""

import http.client
import json
import socket
import struct
import time

from harness.soak_requests import draw

SECONDS_MAX = 120    # for one request, whatever happens
KILL_REACH = 30      # what may go wrong so long after a model's process was killed is that one's doing
TENANTS = 5


class Unfinished(AssertionError):
    pass


class Door:
    """How a model is reached, and how to say who asks."""

    def __init__(self, weir, key):
        self.weir, self.key = weir, key

    def headers(self, pick):
        return {"Authorization": f"Bearer {self.key}"}

    def connect(self):
        return http.client.HTTPConnection(*self.weir.address, timeout=SECONDS_MAX)


class Backdoor(Door):
    def __init__(self, socket_path):
        self.path = socket_path

    def headers(self, pick):
        return {"Authorization": f"Bearer {self.path.with_suffix('.token').read_text().strip()}",
                "x-weir-tenant": f"org_{pick.randrange(TENANTS)}", "x-weir-weight": pick.choice(["100", "300"])}

    def connect(self):
        connection = http.client.HTTPConnection("localhost", timeout=SECONDS_MAX)
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.settimeout(SECONDS_MAX)
        connection.sock.connect(str(self.path))
        return connection


class Soak:
    """`doors`: by the name of a model."""

    def __init__(self, doors):
        self.doors, self.counts, self.killed, self.slowest = doors, {}, float("-inf"), (0, "")

    def one(self, pick):
        request, began = draw(pick), time.monotonic()
        door = pick.choice(self.doors["mini" if b'"mini"' in request.body else "smol"])
        direct = isinstance(door, Backdoor)
        try:
            ending = self.ask(door, request, pick, direct)
        except (OSError, http.client.HTTPException, EOFError) as error:
            ending = "cut by a kill"
            if isinstance(error, TimeoutError) or not direct or self.killed < began - KILL_REACH:
                raise Unfinished(f"{request.path} {request.body[:300]}: {error!r}") from error
        if ending in ("cut by a kill", "refused as too much"):
            time.sleep(pick.random())  # as anybody would before another try
        seconds = time.monotonic() - began
        if seconds > SECONDS_MAX:
            raise Unfinished(f"{request.path} took {seconds:.0f} s: {request.body[:300]}")
        self.slowest = max(self.slowest, (round(seconds, 1), f"{ending}: {request.path} {request.body[:400]}"))
        self.counts[ending] = self.counts.get(ending, 0) + 1

    def ask(self, door, request, pick, direct):
        began = time.monotonic()
        connection = door.connect()
        try:
            manner = pick.choices(["patient", "leaves", "slow", "half"], [6, 3, 1, 0.5])[0]
            headers = {"Content-Type": "application/json", **door.headers(pick)}
            if manner == "half":  # of a body that was announced
                connection.putrequest("POST", request.path)
                for name, value in {**headers, "Content-Length": str(len(request.body) + 7)}.items():
                    connection.putheader(name, value)
                connection.endheaders(request.body)
                time.sleep(pick.random() / 4)
                return "left"
            if manner == "slow":
                connection.connect() if connection.sock is None else None
                connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.request("POST", request.path, request.body, headers)
            if manner == "leaves":
                return self.leave(connection, pick)
            answer = connection.getresponse()
            body = slowly(answer, pick) if manner == "slow" else answer.read()
            if body is None:
                return "left"
            return self.judge(request, answer, body, self.killed >= began - KILL_REACH)
        finally:
            connection.close()

    def leave(self, connection, pick):
        """After some bytes or some time, in one of two ways."""
        connection.sock.settimeout(pick.choice([0.01, 0.1, 0.5, 2]))
        try:
            for _ in range(pick.randrange(4)):
                if not connection.sock.recv(pick.choice([100, 4096])):
                    break
        except (TimeoutError, ConnectionError):
            pass
        if pick.random() < 0.5:
            connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return "left"

    def judge(self, request, answer, body, after_kill):
        about = f"{request.path} {request.body[:300]}: {answer.status} {body[-400:]}"
        if answer.status == 200 and request.stream:
            return judge_stream(body, after_kill, about)
        said = json.loads(body)
        if answer.status == 200:
            if request.wrong:
                raise Unfinished(f"not refused: {about}")
            request.check(said)
            return "answered"
        if not said["error"]["message"]:
            raise Unfinished(f"says nothing: {about}")
        if answer.status == 400 and (request.wrong or said["error"]["code"] == "context_length_exceeded"):
            return "refused as wrong"
        if answer.status in (429, 503) and int(answer.getheader("retry-after")) > 0:
            return "refused as too much"
        if after_kill and answer.status in (500, 502, 503):
            return "failed by a kill"
        raise Unfinished(about)


def judge_stream(body, after_kill, about):
    events = [event.removeprefix("data: ") for event in body.decode().split("\n\n") if event.startswith("data: ")]
    for event in events:
        parsed = json.loads(event) if event != "[DONE]" else {}
        if "error" in parsed:
            if after_kill and parsed["error"]["message"]:
                return "failed by a kill"
            raise Unfinished(about)
    if not events or events[-1] != "[DONE]":
        raise Unfinished(f"no end: {about}")
    return "streamed"


def slowly(answer, pick):
    """A little at a time; None when it had enough before the end."""
    body, until = b"", time.monotonic() + 8
    while data := answer.read1(pick.choice([20, 200])):
        body += data
        time.sleep(pick.random() / 50)
        if time.monotonic() > until:
            return None
    return body
