"""Random requests for the soak, good and bad, to every endpoint of a model that chats and of one that
makes vectors; and what must hold of a whole answer."""

import json

WORDS = ("sea ship stone river winter letter garden machine captain window bread silence engine mountain "
         "teacher signal harbour forest number candle iron market tower orange").split()
SCHEMA = {"type": "object", "additionalProperties": False, "required": ["name", "age", "likes"], "properties": {
    "name": {"type": "string", "maxLength": 12}, "age": {"type": "integer", "minimum": 0, "maximum": 130},
    "likes": {"type": "array", "maxItems": 2, "items": {"enum": ["tea", "rain", "chess"]}}}}
TOOLS = [{"type": "function", "function": {"name": "weather", "parameters": {
    "type": "object", "required": ["city"], "properties": {"city": {"type": "string", "maxLength": 10}}}}},
         {"type": "function", "function": {"name": "clock"}}]
BAD = [b"{", b"", b'{"model":"smol"}', b'{"model":"smol","messages":[{"role":"king","content":"x"}]}',
       b'{"model":"smol","messages":[{"role":"user","content":"x"}],"temperature":9}',
       b'{"model":"smol","messages":[{"role":"user","content":"' + b"long " * 3000 + b'"}]}',
       b'{"model":"smol","messages":[{"role":"user","content":"x"}],"grammar":"root ::= root"}']


class Request:
    """`wrong`: it must be refused with 400. `check`: gets a whole answer's body, parsed."""

    def __init__(self, path, body, check=None, wrong=False):
        self.path, self.check, self.wrong = path, check or (lambda answer: None), wrong
        self.body = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.stream = not wrong and b'"stream": true' in self.body


def words(pick, most):
    return " ".join(pick.choice(WORDS) for _ in range(pick.randrange(1, most)))


def messages(pick):
    """One in two has one of a few beginnings in common with others, some of them long."""
    known = pick.randrange(12)
    rules = [{"role": "system", "content": f"Rules of house {known}. " + f"Rule {known} is kept. " * (12 * known)}]
    turns = [{"role": "user", "content": words(pick, pick.choice([4, 30, 200]))}]
    if pick.random() < 0.2:
        turns += [{"role": "assistant", "content": words(pick, 30)}, {"role": "user", "content": words(pick, 10)}]
    return (rules if known < 6 else []) + turns


def chat(pick):
    body = {"model": "smol", "messages": messages(pick), "max_tokens": pick.choice([1, 8, 24, 48]),
            "temperature": pick.choice([0, 0.8, 1.5]), "n": pick.choice([1, 1, 1, 1, 1, 2, 4]), "seed": pick.randrange(100)}
    if pick.random() < 0.5:
        body |= {"ignore_eos": True}
    if pick.random() < 0.3:
        body |= {"logprobs": True, "top_logprobs": pick.randrange(6)}
    if pick.random() < 0.2:
        body |= {"stop": [pick.choice(WORDS), "\n\n"], "frequency_penalty": 0.5}
    if pick.random() < 0.6:
        body |= {"stream": True, "stream_options": {"include_usage": pick.random() < 0.5}}

    def check(answer):
        assert [c["index"] for c in answer["choices"]] == list(range(body["n"])), answer
        used = answer["usage"]
        assert used["total_tokens"] == used["prompt_tokens"] + used["completion_tokens"], used
        assert 0 < used["completion_tokens"] <= body["n"] * body["max_tokens"], used
    return Request("/v1/chat/completions", body, check)


def tools(pick):
    body = {"model": "smol", "messages": messages(pick), "max_tokens": 60, "tools": TOOLS, "stream": pick.random() < 0.5,
            "tool_choice": pick.choice(["auto", "required", {"type": "function", "function": {"name": "weather"}}])}

    def check(answer):
        choice = answer["choices"][0]
        if body["tool_choice"] != "auto" and choice["finish_reason"] != "length":
            assert all(isinstance(json.loads(c["function"]["arguments"]), dict) for c in choice["message"]["tool_calls"])
    return Request("/v1/chat/completions", body, check)


def formed(pick):
    body = {"model": "smol", "messages": messages(pick), "max_tokens": 80, "stream": pick.random() < 0.5}
    if pick.random() < 0.3:
        body["grammar"] = 'root ::= ("yes" | "no") " " [a-z]{1,8}'
    else:
        body["response_format"] = {"type": "json_schema", "json_schema": {"name": "p", "strict": True, "schema": SCHEMA}}

    def check(answer):
        choice = answer["choices"][0]
        if "grammar" not in body and choice["finish_reason"] == "stop":
            assert set(json.loads(choice["message"]["content"])) == {"name", "age", "likes"}, answer
    return Request("/v1/chat/completions", body, check)


def completion(pick):
    prompts = [words(pick, 40) for _ in range(pick.choice([1, 1, 3]))]
    body = {"model": "smol", "prompt": prompts, "max_tokens": pick.choice([1, 16]), "n": pick.choice([1, 2]),
            "echo": pick.random() < 0.3, "stream": pick.random() < 0.4}
    if not body["echo"] and pick.random() < 0.4:
        body |= {"logprobs": 2}

    def check(answer):
        assert len(answer["choices"]) == len(prompts) * body["n"], answer
    return Request("/v1/completions", body, check)


def vectors(pick):
    texts = [words(pick, pick.choice([4, 100])) for _ in range(pick.choice([1, 2, 12]))]
    if pick.random() < 0.3:
        return Request("/v1/rerank", {"model": "mini", "query": words(pick, 6), "documents": texts},
                       lambda answer: [answer["results"][i] for i in range(len(texts))])
    body = {"model": "mini", "input": texts, "encoding_format": pick.choice(["float", "base64"])}

    def check(answer):
        assert [item["index"] for item in answer["data"]] == list(range(len(texts)))
    return Request("/v1/embeddings", body, check)


def tokens(pick):
    if pick.random() < 0.5:
        return Request("/v1/tokenize", {"model": "smol", "prompt": words(pick, 300)})
    return Request("/v1/detokenize", {"model": "smol", "tokens": [pick.randrange(40000) for _ in range(pick.randrange(1, 300))]})


def bad(pick):
    return Request("/v1/chat/completions", pick.choice(BAD), wrong=True)


KINDS = {chat: 12, tools: 2, formed: 2, completion: 3, vectors: 3, tokens: 2, bad: 1}


def draw(pick):
    (kind,) = pick.choices(list(KINDS), list(KINDS.values()))
    return kind(pick)
