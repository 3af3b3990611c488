"""API keys and members under attack: races, floods and rubbish."""

import asyncio
import time
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select

from steward.authenticators.api_key import ApiKeyAuthenticator, mint_key
from steward.database import Database
from steward.database.tables import audit_records, members
from steward.directories.sql import SqlDirectory
from steward.directory import LOCAL_ACTOR
from steward.errors import Forbidden, Unauthenticated
from steward.identity import Role, Scope
from tests.conftest import FakeClock
from tests.security.issuer import Issuer
from tests.security.issuer import settings as settings_of
from tests.web.house import House, assert_problem, echo, open_house

pytestmark = pytest.mark.anyio


async def test_500_concurrent_first_logins_make_one_member(house: House, provider: Issuer) -> None:
    """Every one of them gets in, and the record tells of one admission."""
    token = provider.token()
    client = await house.client_with(token)
    answers = await asyncio.gather(*(client.get("/ai/jobs") for _ in range(500)))
    assert {answer.status_code for answer in answers} == {200}
    admitted = select(func.count()).where(audit_records.c.kind == "member.admitted")
    counted = await house.app.database.read(
        lambda connection: (
            connection.execute(select(func.count()).select_from(members)).scalar(),
            connection.execute(admitted).scalar(),
        )
    )
    assert counted == (1, 1)


async def test_first_logins_in_two_processes_make_one_member(house: House, provider: Issuer) -> None:
    """A second connection to the same database is as good as a second process."""
    elsewhere = Database(house.app.settings.database_url)
    other = SqlDirectory(elsewhere, house.app.clock)
    roles = frozenset({Role.VIEWER})
    both = (house.app.directory, other)
    made = await asyncio.gather(*(each.admit("acme", "bob", "Bob", roles, None) for each in both for _ in range(50)))
    assert len({(member.actor_id, member.created_at) for member in made}) == 1
    assert len(await other.list_members("acme")) == 1
    await elsewhere.aclose()


async def test_w54_a_revoked_key_never_gets_in_again(tmp_path: Path) -> None:
    """Requests race with the revocation; whatever begins once it is done is refused, in this process at once."""
    async with open_house(tmp_path) as house:
        for _ in range(20):
            token = await house.key()
            key_id = f"key_{token.split('_')[1]}"
            revoked = asyncio.Event()
            late: list[object] = []

            async def keep_asking(
                token: str = token, revoked: asyncio.Event = revoked, late: list[object] = late
            ) -> None:
                for _ in range(200):
                    began_late = revoked.is_set()
                    try:
                        principal = await house.app.authenticator.authenticate(token)
                    except Unauthenticated:
                        return
                    if began_late:
                        late.append(principal)
                    await asyncio.to_thread(lambda: None)

            async def revoke(key_id: str = key_id, revoked: asyncio.Event = revoked) -> None:
                await house.app.directory.revoke_key(key_id, by=LOCAL_ACTOR)
                revoked.set()

            await asyncio.gather(*(keep_asking() for _ in range(4)), revoke())
            assert late == []


async def test_w54_another_process_refuses_a_revoked_key_within_200_ms(tmp_path: Path) -> None:
    """By the machine's own clock, with the key in constant use there."""
    async with open_house(tmp_path) as house:
        elsewhere = Database(house.app.settings.database_url)
        other = ApiKeyAuthenticator(SqlDirectory(elsewhere, house.app.clock), house.app.clock)
        token = await house.key()
        assert await other.authenticate(token) is not None
        await house.app.directory.revoke_key(f"key_{token.split('_')[1]}", by=LOCAL_ACTOR)
        revoked = time.monotonic()
        with suppress(Unauthenticated):
            while time.monotonic() - revoked < 0.2:
                await other.authenticate(token)
                await asyncio.to_thread(lambda: None)
        with pytest.raises(Unauthenticated):
            await other.authenticate(token)
        await elsewhere.aclose()


async def test_w54_demotion_disabling_and_settings_hold_at_once_here(tmp_path: Path, clock: FakeClock) -> None:
    """What this process changed it never remembers otherwise, although the clock stands still."""
    async with open_house(tmp_path, clock=clock) as house:
        directory, token = house.app.directory, await house.key()
        key_id = f"key_{token.split('_')[1]}"
        assert await house.app.authenticator.authenticate(token) is not None
        await directory.change_key_role(key_id, Role.AUDITOR, by=LOCAL_ACTOR)
        demoted = await house.app.authenticator.authenticate(token)
        assert demoted is not None
        assert demoted.scopes == {Scope.AUDIT}
        await directory.admit("acme", "alice", "Alice", frozenset({Role.ADMIN}), None)
        await directory.set_member("acme", "alice", by=LOCAL_ACTOR, disabled=True)
        assert await directory.principal_of("acme", "alice") is None
        with pytest.raises(Forbidden):
            await directory.admit("acme", "alice", "Alice", frozenset({Role.ADMIN}), None)


async def test_w54_a_clock_that_goes_back_keeps_no_key_alive(tmp_path: Path, clock: FakeClock) -> None:
    """Nothing that is remembered outlives a clock that is set back by a day; one that was ahead has cost no key its life."""
    async with open_house(tmp_path, clock=clock) as house:
        elsewhere = Database(house.app.settings.database_url)
        other = ApiKeyAuthenticator(SqlDirectory(elsewhere, clock), clock)
        token = await house.key()
        assert await other.authenticate(token) is not None
        await house.app.directory.revoke_key(f"key_{token.split('_')[1]}", by=LOCAL_ACTOR)
        clock.advance(-86_400)
        with pytest.raises(Unauthenticated):
            await other.authenticate(token)
        ending = await house.key(expires_in=timedelta(hours=1))
        clock.advance(86_400)
        with pytest.raises(Unauthenticated):
            await other.authenticate(ending)
        clock.advance(-86_400)
        assert await other.authenticate(ending) is not None
        await elsewhere.aclose()


async def test_w53_bad_tokens_leave_nothing_behind(tmp_path: Path, clock: FakeClock) -> None:
    """Made-up ids and wrong secrets neither fill the memory nor push out who is there."""
    async with open_house(tmp_path, clock=clock) as house:
        good = await house.key()
        assert await house.app.authenticator.authenticate(good) is not None
        directory = house.app.directory
        assert isinstance(directory, SqlDirectory)
        known = len(directory._memory)
        for _ in range(500):
            _, made_up = mint_key(house.app.ids, clock, "acme", Role.ADMIN, "x", None)
            for token in (made_up, f"{good.rsplit('_', 1)[0]}_{made_up.rsplit('_', 1)[1]}"):
                with pytest.raises(Unauthenticated):
                    await house.app.authenticator.authenticate(token)
        assert len(directory._memory) == known


@given(st.text(max_size=120), st.integers(0, 80), st.characters())
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_no_text_is_taken_for_a_key(house: House, text: str, place: int, letter: str) -> None:
    """Any text, and a good key with any one character changed: refused, never an error, never let in."""
    good = await house.key()
    changed = good[:place] + letter + good[place + 1 :]
    for token in (text, f"stw_{text}", good + letter, letter + good, *([changed] if changed != good else [])):
        try:
            assert await house.app.authenticator.authenticate(token) is None
        except Unauthenticated:
            continue


async def test_nothing_in_a_request_makes_it_somebody_elses(house: House, provider: Issuer) -> None:
    """Headers that proxies use elsewhere, and fields of the body, change neither workspace nor actor nor role."""
    token = await house.key()
    client = await house.client_with(token)
    for header in (
        "X-User-Id",
        "X-Workspace-Id",
        "X-Forwarded-User",
        "X-Remote-User",
        "X-Role",
        "X-Api-Key",
        "X-Actor-Id",
    ):
        answer = await client.post("/keys", json={"role": "admin"}, headers={header: "admin"})
        assert_problem(answer, 403, "missing_scope")
    job = (await client.post("/ai/execute", json={"actions": [echo()]}, headers={"X-Actor-Id": "alice"})).json()[
        "job_ids"
    ][0]
    assert (await client.get(f"/ai/jobs/{job}")).json()["actor_id"] == f"key_{token.split('_')[1]}"


async def test_w52_no_built_in_credential_opens_anything(tmp_path: Path) -> None:
    """In production, too, a fresh installation holds no key, and what examples elsewhere use is refused."""
    async with open_house(tmp_path, STEWARD_ENV="production") as house:
        assert await house.app.directory.list_keys() == ()
        for token in ("demo", "demo-key", "test", "dev", "changeme", "stw_demo", "admin", "relay-demo-key", "null"):
            client = await house.client_with(token)
            assert_problem(await client.get("/ai/jobs"), 401, "unauthenticated")


async def test_w58_everything_but_health_needs_a_credential(house: House) -> None:
    """Every published path and method, and some that were open elsewhere."""
    client = await house.client_with(None)
    document = (await client.get("/openapi.json")).json()
    open_paths = {"/healthz", "/readyz", "/version", "/metrics", "/docs"}
    page = {"/": 200, "/studio/{screen}": 200, "/studio/{screen}/{item}": 200, "/studio/assets/{name}": 404}
    for path, item in document["paths"].items():
        for method in item:
            answer = await client.request(method, path)
            expected = page.get(path, 200 if path in open_paths else 401)
            assert answer.status_code == expected, (method, path)
    for path in ("/dev/outbox", "/api/plan", "/oauth/google/authorize", "/admin", "/debug"):
        assert (await client.get(path)).status_code == 404


async def test_w59_no_credential_reaches_the_log(
    tmp_path: Path, clock: FakeClock, provider: Issuer, capfd: pytest.CaptureFixture[str]
) -> None:
    """Good and bad ones of every kind, where they belong and where they do not: the log repeats none of them."""
    env: dict[str, Any] = settings_of(provider, STEWARD_ENV="production")
    async with open_house(tmp_path, clock=clock, **env) as house:
        key, token = await house.key(role=Role.ADMIN), provider.token()
        client = await house.client_with(None)
        principal = await house.app.authenticator.authenticate(key)
        assert principal is not None
        code = await house.app.sessions.issue_code(principal)
        opened = await client.post("/session", json={"code": code})
        handle = opened.cookies["steward_session"]
        made = (await client.post("/keys", json={"role": "viewer"}, headers={"Authorization": f"Bearer {key}"})).json()[
            "key"
        ]
        provider.answer(500, "")
        secrets = [key.rsplit("_", 1)[1], token.rsplit(".", 1)[1], code, handle, made.rsplit("_", 1)[1]]
        for secret in (key, token, token[:-3] + "AAA", handle, code):
            for headers in (
                {"Authorization": f"Bearer {secret}"},
                {"Authorization": secret, "X-Request-ID": f"{secret} x"},
                {"Cookie": f"steward_session={secret}"},
            ):
                await client.get("/ai/jobs", headers=headers, params={"api_key": secret})
            await client.post("/session", json={"code": secret})
            await client.get(f"/{secret}")
    written = capfd.readouterr()
    assert "request_answered" in written.out
    for secret in secrets:
        assert secret not in written.out + written.err
