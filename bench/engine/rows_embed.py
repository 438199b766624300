"""The row of embeddings, which has a model of its own: weir-infer beside the Python ONNX Runtime."""

import asyncio
import json
import pathlib
import random
import signal
import statistics
import subprocess
import time

from common import BIN, ROOT, cpu_s, free_port
from load import WORDS, ask
from measure import Rounds, say
from servers import Server

TEXTS, TOKENS, WAVES = 32, 64, 8
WHAT = "embeddings, 64-token texts, 32 at once: texts/s, to the Python ONNX Runtime"


class Embedder(Server):
    """weir-infer with an ONNX model; 32 clients, each with one text at a time."""
    prefix, busy = "weir_infer_", ()

    def __init__(self, model, threads):
        self.port = free_port()
        super().__init__("weir-infer, embeddings", [str(BIN / "weir-infer"), f"--model={model}",
                                                    f"--listen=127.0.0.1:{self.port}", f"--threads={threads}", "--name=default"],
                         "/readyz", {"WEIR_INFER_TOKEN": self.key})

    def embed(self, waves):
        async def client(texts):
            return [await ask(self, {"model": "default", "input": text}, path="/v1/embeddings") for text in texts]

        async def go():
            return await asyncio.gather(*(client(texts) for texts in zip(*waves)))
        start = time.monotonic()
        answers = [a for one in asyncio.run(go()) for a in one]
        took = time.monotonic() - start
        bad = [a for a in answers if a.status != 200 or a.error]
        if bad:
            raise RuntimeError(f"{self.name}: {bad[0].why()}")
        return TEXTS * len(waves) / took

    def vectors(self, texts):
        answers = asyncio.run(ask_list(self, texts))
        return [row["embedding"] for row in json.loads(answers.body[answers.body.find(b"{"):answers.body.rfind(b"}") + 1])["data"]]


async def ask_list(server, texts):
    answer = await ask(server, {"model": "default", "input": texts, "encoding_format": "float"}, path="/v1/embeddings")
    if answer.status != 200:
        raise RuntimeError(f"{server.name}: {answer.why()}")
    return answer


class Reference:
    """The Python ONNX Runtime, which gets the same texts in batches of 32."""
    name = "Python ONNX Runtime"

    def __init__(self, python, folder, threads):
        program = str(pathlib.Path(__file__).parent / "embed_reference.py")
        self.process = subprocess.Popen([str(python / "bin/python"), program, str(folder), str(threads)],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def tell(self, texts, vectors=False):
        self.process.stdin.write(json.dumps({"texts": texts, "vectors": vectors}) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError("the reference ended")
        return json.loads(line)

    def embed(self, waves):
        return TEXTS * len(waves) / sum(self.tell(wave)["seconds"] for wave in waves)

    def vectors(self, texts):
        return self.tell(texts, vectors=True)["vectors"]

    def cpu_s(self):
        return cpu_s(self.process.pid)

    def pause(self):
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self):
        self.process.send_signal(signal.SIGCONT)

    def stop(self):
        self.go_on()
        self.process.stdin.close()
        self.process.wait(30)
        self.process.stdout.close()


def in_cache(name):
    done = subprocess.run([str(ROOT / "scripts/deps"), "--path", name], capture_output=True, text=True)
    return pathlib.Path(done.stdout.strip()) if done.returncode == 0 else None


def text_of(rng):
    return " ".join(rng.choice(WORDS) for _ in range(TOKENS - 2))  # and the marks of begin and end


def cosine(a, b):
    return sum(x * y for x, y in zip(a, b)) / (sum(x * x for x in a) * sum(y * y for y in b)) ** 0.5


def embeddings_row(args, report):
    folder, python = in_cache("minilm"), in_cache("bench-python")
    if folder is None or python is None:
        report.not_measured("minilm", WHAT, "run scripts/deps minilm bench")
        return
    try:
        weir = Embedder(folder / "model.onnx", args.threads)
    except RuntimeError as error:
        report.not_measured("minilm", WHAT, f"no such server yet: {error}")
        return
    reference = Reference(python, folder, args.threads)
    try:
        measure(args, report, weir, reference)
    except (RuntimeError, OSError, ValueError) as error:
        report.failed("minilm", WHAT, error)
    finally:
        weir.stop()
        reference.stop()


def measure(args, report, weir, reference):
    rng = random.Random(args.seed)
    texts = [text_of(rng) for _ in range(TEXTS)]
    if reference.tell(texts)["tokens"] != TEXTS * TOKENS:
        raise RuntimeError("the texts do not have 64 tokens each")
    nearest = min(cosine(a, b) for a, b in zip(weir.vectors(texts), reference.vectors(texts)))
    if nearest < 0.9999:
        raise RuntimeError(f"the vectors differ: cosine {nearest:.5f}")
    weir.pause()
    reference.pause()
    rounds = Rounds([reference, weir]).take(args.rounds, f"{args.seed} embeddings", lambda c, rng: c.embed(
        [[text_of(rng) for _ in range(TEXTS)] for _ in range(WAVES)]))
    for c in rounds.found:
        say(f"    {c.name:34} {statistics.median(rounds.found[c]):8.1f} texts/s")
    say(f"    {rounds.said()}; cosine of the vectors at least {nearest:.6f}")
    report.check("minilm", WHAT, statistics.median(rounds.ratios(weir, reference, float)), ">=", 1.0, 1.2)
