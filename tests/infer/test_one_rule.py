"""A field means the same to weir, for a local model, as to weir-infer behind it."""

import pytest

MESSAGES = [{"role": "user", "content": "hi"}]


@pytest.mark.parametrize("more, status, said", [
    ({"modalities": ["text"]}, 200, ""), ({"modalities": ["text", "audio"]}, 400, "modalities"),
    ({"max_tokens": 9, "max_completion_tokens": 2}, 200, ""), ({"max_tokens": 2, "max_completion_tokens": 9}, 200, ""),
    ({"top_k": -1}, 200, ""), ({"top_k": -2}, 400, "top_k"), ({"n": 8}, 200, ""), ({"n": 9}, 400, "between 1 and 8"),
    ({"stop": ["a", "b", "c", "d"]}, 200, ""), ({"stop": ["a", "b", "c", "d", "e"]}, 400, "stop"),
    ({"repeat_last_n": -1}, 200, ""), ({"repeat_penalty": 0}, 400, "repeat_penalty"), ({"functions": []}, 200, ""),
    ({"functions": [{"name": "f"}]}, 400, "functions"), ({"function_call": "none"}, 200, ""),
    ({"tool_choice": "auto"}, 200, ""), ({"tool_choice": "required"}, 400, "tool_choice"), ({"tools": []}, 200, ""),
    ({"response_format": {"type": "text"}}, 200, ""), ({"audio": {"voice": "x"}}, 400, "audio"),
    ({"web_search_options": {}}, 400, "web_search_options"), ({"no_such_field": 1}, 400, "no_such_field"),
], ids=repr)
def test_both(http, infer, more, status, said):
    body = {"model": "smol", "messages": MESSAGES, "max_tokens": 2, "ignore_eos": True, **more}
    with infer.http() as direct:
        answers = [http.post("/v1/chat/completions", json=body), direct.post("/v1/chat/completions", json=body)]
    for answer in answers:
        assert answer.status_code == status, answer.text
        if status == 200 and "stop" not in more and "n" not in more:
            assert answer.json()["usage"]["completion_tokens"] == 2
        elif status != 200:
            error = answer.json()["error"]
            assert said in error["message"] and error["param"].split("[")[0] in more, answer.text


@pytest.mark.parametrize("more, status, said", [
    ({"prompt": [1, 2, 3]}, 200, ""), ({"prompt": ["a", "b"], "n": 2, "echo": True, "max_tokens": 0}, 200, ""),
    ({"prompt": ["a", [1]]}, 400, "prompt"), ({"prompt": [[1], "a"]}, 400, "prompt"), ({"prompt": [10**8]}, 400, "prompt"),
    ({"suffix": ""}, 200, ""), ({"suffix": "x"}, 400, "suffix"), ({"best_of": 1}, 200, ""), ({"best_of": 3}, 200, ""), ({"best_of": 9}, 400, "best_of"), ({"logprobs": 2}, 200, ""),
    ({"max_tokens": 0}, 400, "max_tokens"), ({"n": 9}, 400, "between 1 and 8"), ({"user": "u"}, 200, ""),
    ({"parse_special": True}, 200, ""), ({"messages": []}, 400, "messages"), ({"max_completion_tokens": 2}, 400, "max_completion_tokens"),
], ids=repr)
def test_completions(http, infer, more, status, said):
    body = {"model": "smol", "prompt": "hi", "max_tokens": 2, "ignore_eos": True, **more}
    with infer.http() as direct:
        for answer in (http.post("/v1/completions", json=body), direct.post("/v1/completions", json=body)):
            assert answer.status_code == status, answer.text
            if status != 200:
                error = answer.json()["error"]
                assert said in error["message"] and error["param"].split("[")[0] in more, answer.text
