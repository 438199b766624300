"""Clients that read or write too slowly are cut at the limits that are set, and leave nothing."""

import json
import signal
import ssl
import time

import pytest

from harness import raw
from harness.census import Census, settings
from harness.certificates import Authority
from harness.server import chat_body, eventually, fault

pytestmark = pytest.mark.short
LIMITS = {"WEIR_HEAD_TIMEOUT": "500ms", "WEIR_BODY_GRACE": "500ms", "WEIR_IDLE_TIMEOUT": "700ms", "WEIR_WRITE_TIMEOUT": "700ms"}


@pytest.fixture
def slow(start, upstream):
    weir = start(**LIMITS, **settings())
    census = Census(weir, upstream)
    before = census.rest()
    yield weir
    census.back_to({**before, "descriptors": before["descriptors"] + 4})  # the database's readers
    assert weir.stop() == 0


def post(key, body, length=None):
    return (b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " + key.encode() +
            b"\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % (length or len(body)) + body)


def test_a_client_that_stops_reading_is_cut(slow, upstream):
    body = json.dumps(chat_body(fault(words=2_000_000), stream=True)).encode()
    with raw.Connection(slow.address) as c:
        c.send(post(slow.key(), body))
        c.until(b"delta")
        assert upstream.answering == 1
        eventually(lambda: upstream.answering == 0, 10)  # given up, with the client still there
        eventually(lambda: slow.metric("weir_http_connections_open") == 1, 10)
        while c.fill(10):  # what the kernels held, and then the cut
            pass
        assert not c.buffer.endswith(b"0\r\n\r\n"), "a cut body does not look whole"


def test_a_client_that_reads_slowly_is_served(slow):
    """The limit is for not one byte taken."""
    body = json.dumps(chat_body(fault(words=5_000), stream=True)).encode()
    with raw.Connection(slow.address) as c:
        c.send(post(slow.key(), body))
        for _ in range(10):
            c.fill(10)
            time.sleep(0.2)
        c.socket.settimeout(20)
        assert c.answer().body.endswith(b"data: [DONE]\n\n")


def test_a_body_that_drips_is_ended(slow):
    began = time.monotonic()
    with raw.Connection(slow.address) as c:
        c.send(post(slow.key(), b"{", length=1000))
        c.socket.settimeout(0.1)
        while True:
            c.send(b" ")
            try:
                c.fill()
                break
            except TimeoutError:
                assert time.monotonic() - began < 10
        assert c.answer(timeout=5).status == 408
        assert c.ends(5)


def test_a_connection_that_says_nothing_is_closed(slow):
    with raw.Connection(slow.address) as c:
        assert c.ends(5)
    with raw.Connection(slow.address) as c:
        c.send(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert c.answer().status == 200 and c.ends(5)


def test_a_new_certificate_is_for_new_handshakes(start, tmp_path):
    """SIGHUP: what runs goes on with the old one. A broken file changes nothing."""
    ca = Authority(tmp_path)
    certificate, key = ca.sign("first")
    weir = start(WEIR_TLS_CERTIFICATE=certificate, WEIR_TLS_KEY=key)
    context = ssl.create_default_context(cafile=ca.pem)
    context.check_hostname = False

    def name():
        with raw.Connection(weir.address, tls=context) as c:
            return dict(x[0] for x in c.socket.getpeercert()["subject"])["commonName"]
    assert name() == "first"
    body = json.dumps(chat_body(fault(words=40, interval_ms=50), stream=True)).encode()
    with raw.Connection(weir.address, tls=context) as c:
        c.send(post(weir.key(), body))
        c.until(b"delta")
        for path, made in zip((certificate, key), ca.sign("second")):
            path.write_bytes(made.read_bytes())
        weir.process.send_signal(signal.SIGHUP)
        eventually(lambda: name() == "second", 5)
        certificate.write_text("no certificate")
        weir.process.send_signal(signal.SIGHUP)
        eventually(lambda: "could not read the certificate again" in weir.stderr(), 5)
        assert name() == "second"
        assert b"[DONE]" in c.until(b"[DONE]")
    assert weir.stop() == 0
