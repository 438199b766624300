#!/usr/bin/env python3
"""embed_reference: sentence vectors by the Python ONNX Runtime, for bench/engine. Reads lines of
JSON, each a list of texts; answers each with a line: seconds, and the vectors when asked.

    embed_reference.py <folder with model.onnx and tokenizer.json> <threads>"""

import json
import pathlib
import sys
import time

import numpy
import onnxruntime
import tokenizers


def main():
    folder, threads = pathlib.Path(sys.argv[1]), int(sys.argv[2])
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    session = onnxruntime.InferenceSession(str(folder / "model.onnx"), options, providers=["CPUExecutionProvider"])
    tokenizer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_padding()
    tokenizer.enable_truncation(512)
    wanted = {i.name for i in session.get_inputs()}

    def embed(texts):
        encoded = tokenizer.encode_batch(texts)
        mask = numpy.array([e.attention_mask for e in encoded], dtype=numpy.int64)
        inputs = {"input_ids": numpy.array([e.ids for e in encoded], dtype=numpy.int64), "attention_mask": mask,
                  "token_type_ids": numpy.zeros_like(mask)}
        hidden = session.run(["last_hidden_state"], {k: v for k, v in inputs.items() if k in wanted})[0]
        weights = mask[:, :, None].astype(numpy.float32)
        mean = (hidden * weights).sum(axis=1) / weights.sum(axis=1)
        return mean / numpy.linalg.norm(mean, axis=1, keepdims=True), int(mask.sum())

    for line in sys.stdin:
        asked = json.loads(line)
        start = time.perf_counter()
        vectors, tokens = embed(asked["texts"])
        took = time.perf_counter() - start
        answer = {"seconds": took, "tokens": tokens}
        if asked.get("vectors"):
            answer["vectors"] = vectors.tolist()
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
