"""The tokenizer of ONNX models against the library that the models were trained with: every character
by itself, and many texts made to be difficult."""

import random
import struct
import subprocess
import unicodedata

import pytest
import tokenizers

from harness.server import BIN, EMBEDDING_MODEL

SEED = 20261125
FILE = EMBEDDING_MODEL / "tokenizer.json"


@pytest.fixture(scope="module")
def reference():
    reference = tokenizers.Tokenizer.from_file(str(FILE))
    reference.no_truncation()
    reference.no_padding()
    reference.encode_special_tokens = True  # names of special tokens inside a text are text
    return reference


def ours(texts):
    """Token numbers of each text; None where it is refused."""
    blobs = [text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass") for text in texts]
    stdin = b"".join(struct.pack("<I", len(blob)) + blob for blob in blobs)
    done = subprocess.run([BIN / "model_wordpiece_lines", FILE], input=stdin, capture_output=True, check=True)
    lines = done.stdout.decode().split("\n")
    assert lines.pop() == "" and len(lines) == len(texts)
    return [None if line == "invalid" else [int(number) for number in line.split()] for line in lines]


def check(texts, reference):
    want = [one.ids for one in reference.encode_batch_fast(texts, add_special_tokens=False)]
    wrong = [(text, a, b) for text, a, b in zip(texts, ours(texts), want) if a != b]
    assert not wrong, f"{len(wrong)} of {len(texts)} differ (seed {SEED}), first: {ascii(wrong[:3])}"


def characters():
    return (code for code in range(0x110000) if not 0xD800 <= code < 0xE000)


def test_every_character(reference):
    """Between two letters: what it is (a space, a mark, a sign of its own, nothing) shows in how these
    are cut. 64 in one text, with words between that keep them apart."""
    step = [f"a{chr(code)}b {chr(code)}" for code in characters()]
    check([" the ".join(step[i:i + 64]) for i in range(0, len(step), 64)], reference)


BLOCKS = [(0x20, 0x7E), (0xA0, 0x24F), (0x250, 0x36F), (0x370, 0x52F), (0x530, 0x6FF), (0x900, 0xDFF), (0xE00, 0x11FF),
          (0x1E00, 0x20CF), (0x2100, 0x2BFF), (0x3000, 0x30FF), (0x3400, 0x3500), (0x4E00, 0x5200), (0xAC00, 0xAE00),
          (0xF900, 0xFAFF), (0xFB00, 0xFFEF), (0x10000, 0x10FFF), (0x11000, 0x11FFF), (0x1D100, 0x1D7FF),
          (0x1F300, 0x1FAFF), (0x20000, 0x20100), (0x2F800, 0x2FA1F), (0, 0x1F), (0x7F, 0x9F), (0x2000, 0x206F)]
SAID = ["hello", "Straße", "naïve café", "İstanbul", "ΣΊΣΥΦΟΣ", "e\u0301\u0327", "日本語テキスト", "한국어", "नमस्ते दुनिया",
        "สวัสดี", "👩‍👩‍👧‍👦", "🏳️‍🌈", "[SEP]", "[CLS] [MASK]", "##ing", "\u202eabc\u202c", "don't", "e-mail: a@b.example",
        "C++/C#", "3.14159", "1,000,000", "\t\n\r\x0b\x0c", "\u00ad", "\ufeff", "\ufffd", "\x00", "ﬁne ﬂow", "Å Å",
        "unbelievably", "x" * 99, "x" * 100, "x" * 101, "é" * 100, "é" * 101, "。", "「」", "\u0345\u0301\u0316"]


def test_many_texts(reference):
    """12,000 texts: words that are said, characters of one block, of all, marks upon marks, very long
    words."""
    pick = random.Random(SEED)
    marks = [chr(code) for code in characters() if unicodedata.combining(chr(code))]
    everything = [chr(code) for code in characters()]

    def word():
        kind = pick.randrange(6)
        if kind == 0:
            return pick.choice(SAID)
        if kind == 1:
            return "".join(pick.choices(everything, k=pick.randrange(1, 12)))
        if kind == 2:
            return "".join(pick.choice("aeoßıİΣǅ가한") + "".join(pick.choices(marks, k=pick.randrange(5)))
                           for _ in range(pick.randrange(1, 6)))
        first, last = pick.choice(BLOCKS)
        return "".join(chr(pick.randint(first, last)) for _ in range(pick.choice([1, 3, 8, 20, 130])))
    texts = [pick.choice(["", " ", ", "]).join(word() for _ in range(pick.randrange(1, 10))) for _ in range(12000)]
    check(texts, reference)


def test_very_long_texts(reference):
    check(["word " * 40000, "x" * 1000000, "é" * 500000, "日" * 100000, ",." * 100000, ""], reference)


@pytest.mark.parametrize("blob", [b"\xff", b"a\xc3", b"\xed\xa0\x80", b"\xc0\x80", b"\xf4\x90\x80\x80", b"a\x80b"])
def test_what_is_no_utf8_is_refused(blob):
    assert ours([blob, b"hello"]) == [None, [7592]]
