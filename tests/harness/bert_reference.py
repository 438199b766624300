"""What a BERT encoder says, computed from its published weights by NumPy alone, and by the tokenizer
that it was trained with: independent of every file that Weir makes or reads."""

import json
import math
import os
import struct

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # its threads spin, and slow what is being tested
import numpy  # noqa: E402
import tokenizers  # noqa: E402


class Bert:
    def __init__(self, folder):
        self.config = json.loads((folder / "config.json").read_text())
        self.weights = read_safetensors(folder / "model.safetensors")
        self.tokenizer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.tokenizer.no_truncation()
        self.tokenizer.no_padding()
        self.tokenizer.encode_special_tokens = True

    def tokens(self, text):
        return self.tokenizer.encode(text).ids

    def vector(self, text):
        """The mean over all tokens, of length 1."""
        mean = self.states(self.tokens(text)).mean(axis=0)
        return mean / numpy.linalg.norm(mean)

    def states(self, tokens, types=0):
        """The last layer: [tokens, width]."""
        w, heads = self.weights, self.config["num_attention_heads"]
        x = (w["embeddings.word_embeddings.weight"][tokens] +
             w["embeddings.position_embeddings.weight"][:len(tokens)] +
             w["embeddings.token_type_embeddings.weight"][types])
        x = self.norm(x, "embeddings.LayerNorm")
        for layer in range(self.config["num_hidden_layers"]):
            p = f"encoder.layer.{layer}."
            q, k, v = (self.linear(x, p + f"attention.self.{name}").reshape(len(tokens), heads, -1).swapaxes(0, 1)
                       for name in ("query", "key", "value"))
            score = q @ k.swapaxes(1, 2) / math.sqrt(q.shape[-1])
            share = numpy.exp(score - score.max(axis=-1, keepdims=True))
            share /= share.sum(axis=-1, keepdims=True)
            seen = (share @ v).swapaxes(0, 1).reshape(x.shape)
            x = self.norm(x + self.linear(seen, p + "attention.output.dense"), p + "attention.output.LayerNorm")
            inner = self.linear(x, p + "intermediate.dense")
            inner = inner * 0.5 * (1 + erf(inner / math.sqrt(2)))
            x = self.norm(x + self.linear(inner, p + "output.dense"), p + "output.LayerNorm")
        return x

    def linear(self, x, name):
        return x @ self.weights[name + ".weight"].T + self.weights[name + ".bias"]

    def norm(self, x, name):
        x = x - x.mean(axis=-1, keepdims=True)
        x = x / numpy.sqrt((x * x).mean(axis=-1, keepdims=True) + self.config["layer_norm_eps"])
        return x * self.weights[name + ".weight"] + self.weights[name + ".bias"]


def erf(x):
    """Abramowitz and Stegun 7.1.26: within 1.5e-7."""
    t = 1 / (1 + 0.3275911 * numpy.abs(x))
    poly = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))))
    return numpy.sign(x) * (1 - poly * numpy.exp(-x * x))


def read_safetensors(path):
    data = path.read_bytes()
    (size,) = struct.unpack_from("<Q", data)
    found = {}
    for name, entry in json.loads(data[8:8 + size]).items():
        if name != "__metadata__" and entry["dtype"] == "F32":
            begin, end = entry["data_offsets"]
            flat = numpy.frombuffer(data, "<f4", (end - begin) // 4, 8 + size + begin)
            found[name] = flat.reshape(entry["shape"]).astype("f4")
    return found
