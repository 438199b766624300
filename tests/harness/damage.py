"""Copies of a GGUF model with damage: the real header, of the weights (mostly) only the room, as a
hole in the file, so that a hundred of them cost nothing."""

import os
import pathlib
import struct

CUTS = 4096  # where every cut is tried
BYTES = (1, 1, 2, 2, 4, 4, 4, 1, None, None, 8, 8, 8)  # of a value, by its type
STRING, LIST = 8, 9


class Damage:
    def __init__(self, model, folder):
        self.model, self.folder = pathlib.Path(model), pathlib.Path(folder)
        with open(self.model, "rb") as file:
            start = file.read(16 << 20)
        self.numbers, self.tensors_from, self.weights_from = header(start)
        self.header = start[:self.weights_from]

    def cut(self, length):
        path = self.folder / f"cut-{length}.gguf"
        path.write_bytes(self.header[:length])
        return path

    def flipped(self, name, pick):
        """Some bits of the header turned, most where counts and sizes are; or of one of its numbers,
        which leaves its form good; or of the weights, which then are all there."""
        path = self.folder / f"{name}.gguf"
        what = pick.choices(["header", "number", "weights"], [6, 3, 1])[0]
        data = bytearray(self.model.read_bytes() if what == "weights" else self.header)
        for _ in range(pick.choice([1, 1, 2, 8])):
            at, size = pick.choice(list(self.numbers.values()))
            place = {"header": self.place(pick), "number": at + pick.randrange(size),
                     "weights": pick.randrange(self.weights_from, max(len(data), self.weights_from + 1))}[what]
            data[place] ^= 1 << pick.randrange(8)
        with open(path, "wb") as file:
            file.write(data)
            file.truncate(self.model.stat().st_size)
        return path

    def number(self, key, value):
        at, size = self.numbers[key]
        path = self.folder / f"{key.replace('.', '-')}-{value}.gguf"
        path.write_bytes(self.header[:at] + value.to_bytes(size, "little") + self.header[at + size:])
        os.truncate(path, self.model.stat().st_size)
        return path

    def place(self, pick):
        within = pick.random()
        if within < 0.4:
            return pick.randrange(CUTS)
        if within < 0.75:
            return pick.randrange(self.tensors_from, self.weights_from)
        return pick.randrange(self.weights_from)


def header(data):
    """Where its single numbers stand (by their keys, with their sizes), where the list of tensors
    begins, and where the weights do."""
    at, alignment, numbers = 24, 32, {}

    def u(size):
        nonlocal at
        at += size
        return int.from_bytes(data[at - size:at], "little")

    def text():
        nonlocal at
        size = u(8)
        at += size
        return data[at - size:at].decode(errors="replace")

    tensors, pairs = struct.unpack_from("<QQ", data, 8)
    for _ in range(pairs):
        key, kind, count = text(), u(4), 1
        if kind not in (LIST, STRING):
            numbers[key] = at, BYTES[kind]
        if kind == LIST:
            kind, count = u(4), u(8)
        for _ in range(count if kind == STRING else 0):
            text()
        value = u(BYTES[kind] * count) if kind != STRING else 0
        alignment = value if key == "general.alignment" else alignment
    tensors_from = at
    for _ in range(tensors):
        text()
        dimensions = u(4)
        at += 8 * dimensions + 4 + 8
    return numbers, tensors_from, -(-at // alignment) * alignment
