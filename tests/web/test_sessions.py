"""The session of this server's own pages: opened by a key or a code, used from the same origin alone, ended for good."""

import asyncio
from pathlib import Path
from typing import Any

import httpx2
import pytest

from steward.authenticators.api_key import PREFIX
from steward.directory import LOCAL_ACTOR
from steward.identity import Role
from tests.conftest import FakeClock
from tests.web.house import House, assert_problem, open_house

pytestmark = pytest.mark.anyio
ORIGIN = "http://127.0.0.1:8440"
OWN = {"Origin": ORIGIN, "Sec-Fetch-Site": "same-origin"}


def stored_bytes(home: Path) -> bytes:
    """Return everything that lies in the database's files."""
    return b"".join(path.read_bytes() for path in home.glob("steward.db*"))


async def browser(house: House, base: str = ORIGIN) -> httpx2.AsyncClient:
    """Return a client that keeps cookies and has no credential."""
    client = httpx2.AsyncClient(transport=httpx2.ASGITransport(app=house.api), base_url=base)
    return await house.rooms.enter_async_context(client)


async def logged_in(house: House, role: Role = Role.ADMIN) -> tuple[httpx2.AsyncClient, str]:
    """Return a browser with a session, and the key that opened it."""
    client, token = await browser(house), await house.key(role=role)
    answer = await client.post("/session", headers={"Authorization": f"Bearer {token}", **OWN})
    assert answer.status_code == 200
    return client, token


async def test_a_key_opens_a_session_for_own_pages(house: House) -> None:
    """The cookie is out of scripts' and other sites' reach and says nothing; its requests act as the key."""
    client, token = await browser(house), await house.key(role=Role.DEVELOPER)
    answer = await client.post("/session", headers={"Authorization": f"Bearer {token}", **OWN})
    assert answer.json()["actor_id"] == f"key_{token.split('_')[1]}"
    cookie = answer.headers["set-cookie"]
    parts = {part.strip().lower() for part in cookie.split(";")[1:]}
    assert {"httponly", "samesite=strict", "path=/"} <= parts
    assert "secure" not in parts
    assert token.split("_")[2] not in cookie
    assert (await client.get("/ai/jobs", headers={"Sec-Fetch-Site": "same-origin"})).status_code == 200
    done = await client.post("/ai/plan", json={"prompt": "list files"}, headers=OWN)
    assert done.status_code == 200


async def test_the_cookie_is_secure_except_on_this_machine(house: House) -> None:
    """Behind a real name it travels encrypted only."""
    token = await house.key()
    for base, secure in (
        ("https://steward.example.com", True),
        ("http://steward.example.com", True),
        ("http://localhost:8440", False),
        ("http://[::1]:8440", False),
    ):
        client = await browser(house, base)
        answer = await client.post("/session", headers={"Authorization": f"Bearer {token}"})
        assert ("secure" in answer.headers["set-cookie"].lower()) is secure, base


FOREIGN: list[dict[str, str]] = [
    {},
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Origin": ""},
    {"Origin": ORIGIN + ".evil.example"},
    {"Origin": "http://127.0.0.1:8441"},
    {"Origin": "http://localhost:8440"},
    {"Origin": ORIGIN + "/"},
    {"Origin": ORIGIN, "Sec-Fetch-Site": "cross-site"},
    {"Origin": ORIGIN, "Sec-Fetch-Site": "same-site"},
    {"Origin": ORIGIN, "Sec-Fetch-Site": "none"},
    {"Sec-Fetch-Site": "same-origin"},
]


@pytest.mark.parametrize("headers", FOREIGN, ids=str)
async def test_a_session_changes_nothing_for_another_page(house: House, headers: dict[str, str]) -> None:
    """Without the own origin a cookie is no credential for what changes something."""
    client, _ = await logged_in(house)
    for method, path, body in (("POST", "/keys", {"role": "admin"}), ("DELETE", "/session", None)):
        answer = await client.request(method, path, json=body, headers=headers)
        assert_problem(answer, 403, "cross_origin")
    assert len(await house.app.directory.list_keys("acme")) == 1


@pytest.mark.parametrize(
    "headers", [headers for headers in FOREIGN[1:10] if headers.get("Sec-Fetch-Site") != "none"], ids=str
)
async def test_a_session_shows_nothing_to_another_page(house: House, headers: dict[str, str]) -> None:
    """Reading, too, is for own pages."""
    client, _ = await logged_in(house)
    assert_problem(await client.get("/ai/jobs", headers=headers), 403, "cross_origin")
    assert (await client.get("/ai/jobs")).status_code == 200


async def test_behind_a_real_name_the_origin_must_be_encrypted(house: House) -> None:
    """A page that was loaded without encryption is another origin."""
    client, token = await browser(house, "https://steward.example.com"), await house.key(role=Role.ADMIN)
    answer = await client.post("/session", headers={"Authorization": f"Bearer {token}"})
    handle = answer.cookies["steward_session"]
    for origin, status in (("https://steward.example.com", 201), ("http://steward.example.com", 403)):
        headers = {"Origin": origin, "Cookie": f"steward_session={handle}"}
        assert (await client.post("/keys", json={"role": "viewer"}, headers=headers)).status_code == status


async def test_the_handle_is_no_bearer_credential(house: House) -> None:
    """Everywhere else it is worth nothing; and beside a Bearer credential it does not count."""
    client, token = await logged_in(house)
    handle = client.cookies["steward_session"]
    assert not handle.startswith(PREFIX)
    for value in (f"Bearer {handle}", f"Bearer {PREFIX}{handle}", "Bearer x"):
        assert_problem(await client.get("/ai/jobs", headers={"Authorization": value, **OWN}), 401, "unauthenticated")
    assert handle.encode() not in stored_bytes(house.app.settings.home)
    assert token.rsplit("_", 1)[1] not in handle


async def test_w92_ending_a_session_ends_every_copy_of_it(house: House) -> None:
    """It is not only taken out of the browser; ended once, it is unknown."""
    client, _ = await logged_in(house)
    handle = client.cookies["steward_session"]
    assert (await client.delete("/session", headers=OWN)).json() == {"ended": True}
    assert "steward_session" not in client.cookies
    copied = {"Cookie": f"steward_session={handle}", **OWN}
    assert_problem(await client.get("/ai/jobs", headers=copied), 401, "unauthenticated")
    assert_problem(await client.delete("/session", headers=OWN), 401, "unauthenticated")


async def test_a_session_ends_with_its_key_and_with_time(tmp_path: Path, clock: FakeClock) -> None:
    """Revoking the key ends it at once; otherwise half a day does."""
    async with open_house(tmp_path, clock=clock) as house:
        client, token = await logged_in(house)
        await house.app.directory.revoke_key(f"key_{token.split('_')[1]}", by=LOCAL_ACTOR)
        assert_problem(await client.get("/ai/jobs", headers=OWN), 401, "unauthenticated")
        client, _ = await logged_in(house)
        clock.advance(12 * 3600 - 1)
        assert (await client.get("/ai/jobs", headers=OWN)).status_code == 200
        clock.advance(1)
        assert_problem(await client.get("/ai/jobs", headers=OWN), 401, "unauthenticated")


async def code_for(house: House) -> str:
    """Return a one-time code for a fresh key."""
    principal = await house.app.authenticator.authenticate(await house.key())
    assert principal is not None
    return await house.app.sessions.issue_code(principal)


async def test_a_code_works_once_within_minutes(tmp_path: Path, clock: FakeClock) -> None:
    """In any case and with or without its dashes; of any number at once one gets it; an old one is refused."""
    async with open_house(tmp_path, clock=clock) as house:
        client, code = await browser(house), await code_for(house)
        spellings = [code, code.upper(), code.replace("-", "")] * 3
        answers = await asyncio.gather(
            *(client.post("/session", json={"code": each}, headers=OWN) for each in spellings)
        )
        assert sorted(answer.status_code for answer in answers) == [200] + [401] * 8
        assert code.replace("-", "").encode() not in stored_bytes(tmp_path)
        late = await code_for(house)
        clock.advance(300)
        assert_problem(await client.post("/session", json={"code": late}, headers=OWN), 401, "unauthenticated")


@pytest.mark.parametrize(
    ("parts", "status", "code"),
    [
        ({}, 401, "unauthenticated"),
        ({"json": {}}, 422, "invalid"),
        ({"json": {"code": ""}}, 422, "invalid"),
        ({"json": {"code": "x" * 65}}, 422, "invalid"),
        ({"json": {"code": "wrong"}}, 401, "unauthenticated"),
        ({"json": {"code": "wrong", "key": "x"}}, 422, "invalid"),
        ({"json": {"code": "wrong", "workspace_id": "acme"}}, 422, "invalid"),
        (
            {"content": b'{"code": "a", "code": "b"}', "headers": {"Content-Type": "application/json"}},
            422,
            "invalid_json",
        ),
        ({"content": b'{"code": "a"}', "headers": {"Content-Type": "text/plain"}}, 422, "not_json"),
        ({"json": {"code": "wrong"}, "headers": {"Authorization": "Bearer x"}}, 422, "two_credentials"),
        ({"headers": {"Authorization": "Bearer stw_x"}}, 401, "unauthenticated"),
        ({"json": {"code": "wrong"}, "headers": {"Origin": "https://evil.example"}}, 403, "cross_origin"),
        ({"json": {"code": "wrong"}, "headers": {"Sec-Fetch-Site": "cross-site"}}, 403, "cross_origin"),
        ({"params": {"code": "wrong"}}, 422, "invalid"),
    ],
)
async def test_nothing_else_opens_a_session(house: House, parts: dict[str, Any], status: int, code: str) -> None:
    """Each refusal is a problem document, and no cookie comes with it."""
    client = await browser(house)
    answer = await client.post("/session", **parts)
    assert_problem(answer, status, code)
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize(
    "cookie", ["", "x", "x" * 129, "../../etc", "stw_" + "0" * 24 + "_" + "a" * 52, "%00", "a; a=b"]
)
async def test_a_made_up_cookie_is_nobody(house: House, cookie: str) -> None:
    """Refused like any other bad credential."""
    client = await browser(house)
    answer = await client.get("/ai/jobs", headers={"Cookie": f"steward_session={cookie}", **OWN})
    assert_problem(answer, 401, "unauthenticated")
