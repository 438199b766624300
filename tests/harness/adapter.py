"""Small LoRA adapters in GGUF, since there are none for the default model to be had: a few random
matrices, strong enough to be seen in every answer."""

import struct

import numpy

STRING, FLOAT32 = 8, 6
LAYERS, WIDTH, VALUES, INNER = 30, 576, 192, 1536  # of SmolLM2-135M


def text(value):
    raw = value.encode()
    return struct.pack("<Q", len(raw)) + raw


def pair(key, value):
    if isinstance(value, str):
        return text(key) + struct.pack("<I", STRING) + text(value)
    return text(key) + struct.pack("<If", FLOAT32, value)


def gguf(pairs, tensors):
    """`tensors`: by name, arrays whose last dimension is the one that GGUF names first."""
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(pairs))
    head += b"".join(pair(key, value) for key, value in pairs.items())
    data = b""
    for name, array in tensors.items():
        head += text(name) + struct.pack("<I", array.ndim)
        head += struct.pack(f"<{array.ndim}Q", *reversed(array.shape)) + struct.pack("<IQ", 0, len(data))
        data += array.astype("<f4").tobytes()
        data += bytes(-len(data) % 32)
    return head + bytes(-len(head) % 32) + data


def pairs(**more):
    found = {"general.type": "adapter", "general.architecture": "llama", "adapter.type": "lora",
             "adapter.lora.alpha": 4.0}
    return found | {key.replace("__", "."): value for key, value in more.items()}


def tensors(seed, strength=0.6, layers=range(8, LAYERS, 3), rank=4):
    random = numpy.random.default_rng(seed)
    found = {}
    for layer in layers:
        for name, inward, outward in (("attn_v", WIDTH, VALUES), ("ffn_down", INNER, WIDTH)):
            a = random.normal(size=(rank, inward)) / numpy.sqrt(inward)
            b = random.normal(size=(outward, rank)) * strength
            found[f"blk.{layer}.{name}.weight.lora_a"] = a
            found[f"blk.{layer}.{name}.weight.lora_b"] = b
    return found


def write(path, seed, **more):
    path.write_bytes(gguf(pairs(), tensors(seed, **more)))
    return path
