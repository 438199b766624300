"""Fixtures of the whole-process tests. One server with the real models and the fault upstream serves
most of them; a test that breaks its server starts one of its own with `start`."""

import openai
import pytest

from harness import server
from harness.fault_upstream import FaultUpstream

@pytest.fixture(scope="session")
def upstream():
    upstream = FaultUpstream()
    yield upstream
    upstream.close()


@pytest.fixture(scope="session")
def weir(tmp_path_factory, upstream):
    assert server.MODEL, "WEIR_MODEL names the GGUF file to test with"
    models = f"[model smol]\npath = {server.MODEL}\n"
    if server.GEMMA:
        models += f"[model gemma]\npath = {server.GEMMA}\ncontext = 2048\n"
    config = server.fault_and(models, upstream)
    weir = server.Server(tmp_path_factory.mktemp("weir"), "up", config)
    weir.setup()
    yield weir
    assert weir.stop() == 0


@pytest.fixture(scope="session")
def key(weir):
    return weir.key()


@pytest.fixture(params=["smol", "gemma"])
def model(request):
    """The name of each model that chats."""
    if request.param == "gemma" and not server.GEMMA:
        pytest.skip("WEIR_MODEL_GEMMA names the second GGUF file to test with: scripts/deps gemma")
    return request.param


@pytest.fixture
def start(tmp_path_factory, upstream):
    """Starts servers that the test may break; those left over are ended and must end well."""
    servers = []

    def start(command="serve", config=None, folder=None, setup=True, **more):
        folder = folder or tmp_path_factory.mktemp("weir")
        config = server.fault_and("", upstream) if config is None else config
        one = server.Server(folder, command, config, **more)
        servers.append(one)
        if setup and more.get("wait", True):
            one.setup()
        return one

    yield start
    for one in servers:
        if one.process.poll() is None:
            one.stop()
        one.check_stderr()


@pytest.fixture
def client(weir, key):
    with openai.OpenAI(base_url=weir.url + "/v1", api_key=key, max_retries=0, timeout=120) as client:
        yield client


@pytest.fixture
def http(weir, key):
    with weir.http(headers={"Authorization": f"Bearer {key}"}) as http:
        yield http


@pytest.fixture
def browser(weir):
    with weir.signed_in() as browser:
        yield browser
