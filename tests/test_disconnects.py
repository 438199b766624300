"""Clients that hang up at any byte leave nothing behind: no fiber, descriptor, upstream call,
sequence or memory. 10,000 of them in the long run."""

import json
import random
import threading

import pytest

from harness import raw
from harness.server import LONG, chat_body, eventually, fault

COUNT = 10_000 if LONG else 1_000
THREADS = 8


def request(key, model, stream, order):
    body = json.dumps(chat_body(order, model, stream=stream, **({"max_tokens": 40} if model == "smol" else {}))).encode()
    return (b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " + key.encode() +
            b"\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body)


def one(weir, key, pick):
    """Sends and reads a random part, and leaves in a random way."""
    model = "smol" if pick.random() < 0.1 else "fault"
    stream = pick.random() < 0.7
    order = "hi" if model == "smol" else fault(words=pick.randrange(30), interval_ms=pick.choice([0, 0, 1, 5]))
    data = request(key, model, stream, order)
    sent = len(data) if pick.random() < 0.7 else pick.randrange(len(data))
    with raw.Connection(weir.address) as c:
        c.send(data[:sent])
        if sent == len(data) and pick.random() < 0.8:
            wanted = pick.randrange(3000)
            c.socket.settimeout(pick.choice([0.01, 0.2, 2]))
            try:
                while len(c.buffer) < wanted and c.fill():
                    pass
            except TimeoutError:
                pass
        if pick.random() < 0.5:
            c.reset()


@pytest.mark.short
def test_random_disconnects(weir, key, upstream):
    def settled():
        return upstream.answering == 0 and weir.metric("weir_http_connections_open") <= 2

    def counts():
        return {"fibers": weir.metric("weir_fibers"), "descriptors": weir.descriptors(),
                "descriptors of the model": weir.descriptors(weir.infer_pids()[0])}

    def batch(count, seed):
        threads = []
        for t in range(THREADS):
            pick = random.Random(seed * 1000 + t)
            threads.append(threading.Thread(target=lambda pick=pick: [one(weir, key, pick) for _ in range(count // THREADS)]))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        eventually(settled, 60)

    batch(COUNT // 5, 1)  # caches, pools and the allocator find their size
    before, memory = counts(), weir.resident_kib()
    pids = weir.infer_pids()
    batch(COUNT, 2)

    def as_before():
        now = counts()
        # What waits in a pool (idle connections to upstreams) may differ by a few.
        return all(now[k] <= before[k] + (8 if k != "fibers" else 8) for k in before) and now
    assert eventually(as_before, 60)
    assert weir.infer_pids() == pids, "the model was not started again"
    assert weir.resident_kib() - memory < 24_576 + COUNT // 10 * 4
    with weir.http(headers={"Authorization": f"Bearer {key}"}) as http:
        assert http.post("/v1/chat/completions", json=chat_body(fault(words=1))).status_code == 200
        # No sequence is held: the model serves as many at once as at first.
        answers = []
        threads = [threading.Thread(target=lambda: answers.append(http.post(
            "/v1/chat/completions", json=chat_body("hi", "smol", max_tokens=4)).status_code)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert answers == [200] * 4
