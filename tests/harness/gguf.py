"""A GGUF file with another chat template, and control tokens of other names: a model that nobody can
load here stands in for by its template and its tokens."""

import shutil
import struct

SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
STRING, ARRAY, ALIGNMENT = 8, 9, 32


class Reader:
    def __init__(self, file):
        self.file = file

    def number(self, form):
        return struct.unpack("<" + form, self.file.read(struct.calcsize("<" + form)))[0]

    def text(self):
        return self.file.read(self.number("Q"))

    def value(self, kind):
        """As bytes, or a list of them."""
        if kind == STRING:
            return self.text()
        if kind != ARRAY:
            return self.file.read(SIZES[kind])
        inner, count = self.number("I"), self.number("Q")
        if inner == STRING:
            return inner, [self.text() for _ in range(count)]
        return inner, self.file.read(SIZES[inner] * count)


def written(text):
    return struct.pack("<Q", len(text)) + text


def pair(key, kind, value):
    out = written(key) + struct.pack("<I", kind)
    if kind == STRING:
        return out + written(value)
    if kind != ARRAY:
        return out + value
    inner, items = value
    if inner == STRING:
        return out + struct.pack("<IQ", inner, len(items)) + b"".join(map(written, items))
    return out + struct.pack("<IQ", inner, len(items) // SIZES[inner]) + items


def rewrite(source, target, template, tokens):
    """`tokens`: new texts by the old ones."""
    with open(source, "rb") as old, open(target, "wb") as new:
        reader = Reader(old)
        head = old.read(8)
        tensors, pairs = reader.number("Q"), reader.number("Q")
        new.write(head + struct.pack("<QQ", tensors, pairs))
        for _ in range(pairs):
            key, kind = reader.text(), reader.number("I")
            value = reader.value(kind)
            if key == b"tokenizer.chat_template":
                value = template.encode()
            if key == b"tokenizer.ggml.tokens":
                assert set(tokens) <= {text.decode() for text in value[1]}
                value = STRING, [tokens.get(text.decode(), "").encode() or text for text in value[1]]
            new.write(pair(key, kind, value))
        start = old.tell()
        for _ in range(tensors):
            reader.text()
            old.seek(reader.number("I") * 8 + 4 + 8, 1)
        end = old.tell()
        old.seek(start)
        new.write(old.read(end - start))
        old.seek(-(-end // ALIGNMENT) * ALIGNMENT)
        new.write(b"\0" * (-new.tell() % ALIGNMENT))
        shutil.copyfileobj(old, new, 1 << 20)
    return target
