"""Set-up, sign-in, sessions, and the defence against other sites."""

import concurrent.futures

import httpx
import pytest

from harness.server import EMAIL, PASSWORD

pytestmark = pytest.mark.short


def test_set_up_once(weir):
    with weir.http() as http:
        state = http.get("/api/bootstrap").json()
        assert state["needs_setup"] is False and state["signed_in"] is False
        answer = http.post("/api/setup", headers={"Origin": weir.url}, json={
            "token": "guess", "email": "b@example.com", "password": "another long sentence", "name": "B", "organisation": "B"})
        assert answer.status_code == 403
        assert answer.json()["type"] == "urn:weir:problem:setup-done"


def test_set_up_by_link(start):
    server = start(setup=False)
    link = next(line for line in server.lines + server.stderr().splitlines() if "/setup#token=" in line)
    token = link.split("#token=")[1].split()[0]
    body = {"token": token, "email": "first@example.com", "password": "another long sentence", "name": "First", "organisation": "Org"}
    with server.http(headers={"Origin": server.url}) as http:
        assert http.get("/api/bootstrap").json()["needs_setup"] is True
        wrong = http.post("/api/setup", json={**body, "token": token[:-1] + ("a" if token[-1] != "a" else "b")})
        assert wrong.status_code == 403 and wrong.json()["type"].endswith("wrong-setup-token")
        short = http.post("/api/setup", json={**body, "password": "short"})
        assert short.status_code == 400 and short.json()["field"] == "password"
        made = http.post("/api/setup", json=body)
        assert made.status_code == 201 and made.json()["organisation"]["role"] == "owner"
        assert http.get("/api/me").json()["user"]["email"] == "first@example.com"
        again = http.post("/api/setup", json=body)
        assert again.status_code == 403 and again.json()["type"].endswith("setup-done")
    assert server.stop() == 0
    assert token not in "".join(server.stderr().splitlines()[50:])


def test_sign_in_and_out(weir):
    with weir.signed_in() as browser:
        cookie = next(c for c in browser.cookies.jar if "weir_session" in c.name)
        assert cookie.name == "weir_session" and cookie.path == "/" and cookie.has_nonstandard_attr("HttpOnly")
        assert browser.get("/api/me").json()["user"]["email"] == EMAIL
        assert browser.get("/api/bootstrap").json()["signed_in"] is True
        stolen = dict(browser.cookies)
        assert browser.delete("/api/session").status_code == 204
        assert browser.get("/api/me").status_code == 401
        with weir.http(cookies=stolen) as http:
            assert http.get("/api/me").status_code == 401


@pytest.mark.parametrize("email, password", [
    (EMAIL, "wrong password"), ("nobody@example.com", PASSWORD), (EMAIL, PASSWORD + "\u0001")])
def test_wrong_credentials(weir, email, password):
    with weir.http(headers={"Origin": weir.url}) as http:
        answer = http.post("/api/session", json={"email": email, "password": password})
        assert answer.status_code in (401, 429)
        assert answer.json()["type"].split(":")[-1] in ("wrong-credentials", "throttled")
        assert "set-cookie" not in answer.headers


def test_guessing_is_throttled(start):
    server = start()
    with server.http(headers={"Origin": server.url}) as http:
        for _ in range(50):
            answer = http.post("/api/session", json={"email": EMAIL, "password": "guess"})
            if answer.status_code == 429:
                break
        assert answer.status_code == 429 and int(answer.headers["retry-after"]) > 0


def test_many_right_sign_ins_at_once(start):
    """A house full of people, and one person with many scripts: they know their passwords."""
    server = start()
    people = [EMAIL] * 12
    for i in range(12):
        server.member(f"user{i}@example.com")
        people.append(f"user{i}@example.com")

    def sign_in(email):
        answer = httpx.post(server.url + "/api/session", headers={"Origin": server.url}, timeout=60,
                            json={"email": email, "password": PASSWORD})
        return answer.status_code
    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        assert set(pool.map(sign_in, people)) == {200}
    assert sign_in(EMAIL) == 200


@pytest.mark.parametrize("headers, allowed", [
    ({"Sec-Fetch-Site": "same-origin"}, True),
    ({"Origin": "URL"}, True),
    ({}, False),
    ({"Sec-Fetch-Site": "cross-site"}, False),
    ({"Sec-Fetch-Site": "same-site"}, False),
    ({"Sec-Fetch-Site": "none"}, False),
    ({"Sec-Fetch-Site": "cross-site", "Origin": "URL"}, False),
    ({"Origin": "https://evil.example"}, False),
    ({"Origin": "null"}, False),
    ({"Origin": "http://localhost:1"}, False),
])
def test_other_sites_cannot_act(weir, headers, allowed):
    with weir.signed_in() as browser:
        del browser.headers["Origin"], browser.headers["Sec-Fetch-Site"]
        headers = {k: v.replace("URL", weir.url) for k, v in headers.items()}
        answer = browser.patch("/api/me", json={"name": "Owner"}, headers=headers)
        assert answer.status_code == (200 if allowed else 403)
        if not allowed:
            assert answer.json()["type"] == "urn:weir:problem:cross-site"
        assert "access-control-allow-origin" not in answer.headers
        assert browser.get("/api/me").status_code == 200


def test_sessions_are_listed_and_ended(weir):
    with weir.signed_in() as one, weir.signed_in() as other:
        listed = one.get("/api/sessions").json()["data"]
        assert sum(s["current"] for s in listed) == 1 and len(listed) >= 2
        theirs = next(s for s in other.get("/api/sessions").json()["data"] if s["current"])
        assert one.delete(f"/api/sessions/{theirs['id']}").status_code == 204
        assert other.get("/api/me").status_code == 401
        assert one.get("/api/me").status_code == 200
    with weir.signed_in() as one, weir.signed_in() as other:
        assert one.delete("/api/sessions").status_code == 204
        assert other.get("/api/me").status_code == 401
        assert one.get("/api/me").status_code == 200


def test_changing_the_password_ends_other_sessions(start):
    server = start()
    with server.signed_in() as one, server.signed_in() as other:
        wrong = one.post("/api/me/password", json={"current_password": "no", "new_password": "another long sentence"})
        assert wrong.status_code == 400 and wrong.json()["field"] == "current_password"
        assert one.post("/api/me/password", json={"current_password": PASSWORD, "new_password": "another long sentence"}).status_code == 204
        assert other.get("/api/me").status_code == 401
        assert one.get("/api/me").status_code == 200
    with server.http(headers={"Origin": server.url}) as http:
        assert http.post("/api/session", json={"email": EMAIL, "password": PASSWORD}).status_code == 401
        assert http.post("/api/session", json={"email": EMAIL, "password": "another long sentence"}).status_code == 200


def test_pages_are_paged(weir):
    with weir.signed_in() as browser:
        made = {browser.post("/api/keys", json={"name": f"page {i}"}).json()["key"]["id"] for i in range(5)}
        seen, cursor = [], None
        while True:
            page = browser.get("/api/keys", params={"limit": 2, **({"cursor": cursor} if cursor else {})}).json()
            assert len(page["data"]) <= 2
            seen += [k["id"] for k in page["data"]]
            cursor = page["next_cursor"]
            if cursor is None:
                break
        assert len(seen) == len(set(seen)) and made <= set(seen)
        for id_ in made:
            assert browser.delete(f"/api/keys/{id_}").status_code == 204


def test_security_headers(weir):
    with weir.http() as http:
        page = http.get("/", headers={"Accept": "text/html"})
        assert page.status_code == 200
        policy = page.headers["content-security-policy"]
        assert "script-src" in policy or "default-src" in policy
        assert "unsafe-inline" not in policy.split("style-src")[0] and "unsafe-eval" not in policy
        assert page.headers["x-content-type-options"] == "nosniff"
        for path in ("/api/bootstrap", "/v1/models", "/healthz"):
            assert http.get(path).headers.get("x-content-type-options", "nosniff") == "nosniff"
        assert http.get("/api/bootstrap").headers["cache-control"] == "no-store"


def test_foreign_host_names_are_refused(weir):
    """A page of another site that resolves its own name to this machine gets nothing."""
    with weir.http() as http:
        answer = http.get("/api/bootstrap", headers={"Host": "evil.example"})
        assert answer.status_code in (400, 403, 421)
