"""Who can listen in: listeners beyond this machine, TLS, and certificates on both sides."""

import os
import signal
import ssl
import subprocess

import httpx
import pytest

from harness import server
from harness.certificates import Authority
from harness.server import BIN, MODEL, chat_body
from infer.conftest import Infer


@pytest.fixture(scope="module")
def ca(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("ca"))


def context(ca, own=None):
    context = ssl.create_default_context(cafile=ca.pem)
    if own:
        context.load_cert_chain(*own)
    return context


def test_metrics_beyond_this_machine(start, ca):
    one = start(wait=False, WEIR_METRICS_LISTEN="0.0.0.0:0")
    assert one.process.wait(60) == 1
    one._close()
    assert "metrics_listen: 0.0.0.0:0" in one.stderr() and "allow_plaintext" in one.stderr(), one.stderr()
    doctor = one.command("doctor", check=False, WEIR_METRICS_LISTEN="0.0.0.0:0")
    assert doctor.returncode == 1 and "0.0.0.0:0 can be reached" in doctor.stdout
    # a proxy with TLS stands before the web app, not before the metrics
    one = start(wait=False, WEIR_METRICS_LISTEN="0.0.0.0:0", WEIR_BEHIND_TLS_PROXY="on")
    assert one.process.wait(60) == 1
    one._close()
    one = start(WEIR_METRICS_LISTEN="0.0.0.0:0", WEIR_ALLOW_PLAINTEXT="on")
    assert "without TLS" in one.stderr() and one.stop() == 0
    certificate, key = ca.sign("metrics")
    one = start(WEIR_METRICS_LISTEN="0.0.0.0:0", WEIR_TLS_CERTIFICATE=certificate, WEIR_TLS_KEY=key)
    assert "without TLS" not in one.stderr() and one.stop() == 0


def test_metrics_over_tls(start, ca):
    certificate, key = ca.sign("weir")
    own = ca.sign("prometheus")
    one = start(WEIR_TLS_CERTIFICATE=certificate, WEIR_TLS_KEY=key, WEIR_TLS_CLIENT_CA=ca.pem)
    url = f"https://127.0.0.1:{one.metrics_port}/metrics"
    assert "weir_fibers" in httpx.get(url, verify=context(ca, own)).text
    with pytest.raises(httpx.TransportError):
        httpx.get(url, verify=context(ca))
    with pytest.raises(httpx.TransportError):
        httpx.get(url.replace("https", "http"))
    assert one.url.startswith("https://")
    assert httpx.get(one.url + "/healthz", verify=context(ca, own)).status_code == 200


@pytest.mark.parametrize("args, token, said", [
    ([], "t", "--allow-plaintext"), (["--allow-plaintext"], "", "--token-file"), (["--tls-key=/x"], "t", "need each other"),
    (["--tls-client-ca=/x"], "t", "needs --tls-certificate"),
    (["--tls-certificate=/nobody.pem", "--tls-key=/nobody.key"], "t", "/nobody.pem"),
])
def test_infer_beyond_this_machine(tmp_path, args, token, said):
    env = server.environment(tmp_path, **({"WEIR_INFER_TOKEN": token} if token else {}))
    done = subprocess.run([BIN / "weir-infer", f"--model={MODEL}", "--listen=0.0.0.0:0", *args], env=env, timeout=60,
                          capture_output=True, text=True)
    assert done.returncode == 2 and said in done.stderr, done.stderr


def test_infer_in_plain_by_leave(tmp_path):
    infer = Infer(tmp_path, "--listen=0.0.0.0:0", "--allow-plaintext", WEIR_INFER_TOKEN="secret")
    url = infer.url.replace("0.0.0.0", "127.0.0.1")
    assert "without TLS" in infer.stderr()
    assert httpx.get(url + "/v1/models").status_code == 401
    assert httpx.get(url + "/v1/models", headers={"Authorization": "Bearer secret"}).status_code == 200
    assert infer.stop() == 0


def test_certificates_on_both_sides(start, ca, tmp_path):
    """weir in front of a weir-infer that wants a certificate and a token."""
    certificate, key = ca.sign("infer")
    own_certificate, own_key = own = ca.sign("front")
    token = tmp_path / "token"
    token.write_text("between-us\n")
    infer = Infer(tmp_path, f"--tls-certificate={certificate}", f"--tls-key={key}", f"--tls-client-ca={ca.pem}",
                  f"--token-file={token}")
    try:
        assert infer.url.startswith("https://")
        with pytest.raises(httpx.TransportError):
            httpx.get(infer.url + "/healthz", verify=context(ca))
        assert httpx.get(infer.url + "/v1/models", verify=context(ca, own)).status_code == 401
        config = (f"upstream_ca = {ca.pem}\n[upstream far]\nurl = {infer.url}/v1\nkey_file = {token}\n"
                  "[model far]\nupstream = far\nupstream_model = smol\n")
        body = chat_body("Say hi", model="far", max_tokens=4)

        def ask(one):
            with one.http(headers={"Authorization": f"Bearer {one.key()}"}) as http:
                return http.post("/v1/chat/completions", json=body)
        answer = ask(start(config=f"upstream_certificate = {own_certificate}\nupstream_key = {own_key}\n" + config))
        assert answer.status_code == 200 and answer.json()["usage"]["completion_tokens"], answer.text
        assert ask(start(config=config)).status_code in (502, 503)
        # a certificate that was renewed is read on SIGHUP
        other = ca.sign("renewed")
        os.replace(other[0], certificate)
        os.replace(other[1], key)
        infer.process.send_signal(signal.SIGHUP)

        def serial():
            with httpx.Client(verify=context(ca, own)) as http, http.stream("GET", infer.url + "/healthz") as answer:
                peer = answer.extensions["network_stream"].get_extra_info("ssl_object").getpeercert()
                return dict(x[0] for x in peer["subject"])["commonName"]
        server.eventually(lambda: serial() == "renewed")
    finally:
        assert infer.stop() == 0


def test_a_certificate_for_upstreams_needs_its_key(start):
    one = start(wait=False, WEIR_UPSTREAM_CERTIFICATE="/x.pem")
    assert one.process.wait(60) == 1
    one._close()
    assert "upstream_certificate and upstream_key need each other" in one.stderr()
