"""API keys as a credential: what is accepted, what is refused, and what a refusal costs and says."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import delete, update

from steward.authenticators.api_key import ApiKeyAuthenticator, mint_key
from steward.database.engine import Database
from steward.database.migrate import upgrade
from steward.database.tables import api_keys, workspaces
from steward.directories.sql import SqlDirectory
from steward.errors import Forbidden, Invalid, Unauthenticated
from steward.identity import ROLE_SCOPES, Role
from steward.ids import IdFactory, is_id
from tests.conftest import FakeClock
from tests.databases import statements_of

pytestmark = pytest.mark.anyio


class House:
    """A directory with one workspace, its authenticator, and a way to make keys."""

    def __init__(self, database: Database, clock: FakeClock) -> None:
        self.database = database
        self.clock = clock
        self.ids = IdFactory(clock)
        self.directory = SqlDirectory(database, clock)
        self.authenticator = ApiKeyAuthenticator(self.directory, clock)

    async def key(self, role: Role = Role.DEVELOPER, expires_in: timedelta | None = None) -> tuple[str, str]:
        """Return the id and the token of a new key."""
        workspace = "system" if role is Role.OPERATOR else "acme"
        key, token = mint_key(self.ids, self.clock, workspace, role, "office", expires_in)
        await self.directory.add_key(key, by="somebody")
        return key.key_id, token


@pytest.fixture
async def house(tmp_path: Path, clock: FakeClock) -> AsyncIterator[House]:
    """Open a house on a database of its own."""
    database = Database(f"sqlite:///{tmp_path}/steward.db")
    upgrade(database)
    made = House(database, clock)
    await made.directory.create_workspace("acme", "Acme", by="somebody")
    yield made
    await database.aclose()


@pytest.mark.parametrize("role", list(Role))
async def test_w3_a_minted_key_is_accepted_with_the_scopes_of_its_role(house: House, role: Role) -> None:
    """Each role's key authenticates as itself, in its workspace, with exactly its role's scopes."""
    key_id, token = await house.key(role)
    principal = await house.authenticator.authenticate(token)
    assert principal is not None
    assert principal.actor_id == key_id
    assert principal.workspace_id == ("system" if role is Role.OPERATOR else "acme")
    assert principal.scopes == ROLE_SCOPES[role]


async def test_a_token_has_the_documented_form_and_only_its_hash_is_kept(house: House) -> None:
    """``stw_<24 characters>_<52 characters>``; the secret appears nowhere in the record or its repr."""
    key, token = mint_key(house.ids, house.clock, "acme", Role.VIEWER, "office", None)
    prefix, body, secret = token.split("_")
    assert (prefix, len(body), len(secret)) == ("stw", 24, 52)
    assert is_id(key.key_id, "key")
    assert key.key_id == f"key_{body}"
    assert len(key.secret_hash) == 32
    assert secret not in repr(key)
    assert mint_key(house.ids, house.clock, "acme", Role.VIEWER, "office", None)[1] != token


@pytest.mark.parametrize("token", ["", "eyJhbGciOi", "Bearer x", "STW_x", " stw_x"])
async def test_what_is_no_api_key_is_left_to_others(house: House, token: str) -> None:
    """A credential of another kind is neither accepted nor refused here."""
    assert await house.authenticator.authenticate(token) is None


async def test_w51_malformed_tokens_are_refused(house: House) -> None:
    """A good token with a newline, NUL, another case, a look-alike, a part missing or a megabyte more is refused."""
    _, token = await house.key()
    head, secret = token.rsplit("_", 1)
    odd = [
        *(token + tail for tail in ("\n", "\x00", " ", "a", "_", "a" * 1_000_000)),
        *(token[:-1], token.upper().replace("STW_", "stw_"), head, head + "_", "stw_", "stw__", f"stw_{secret}"),
        *(f"{head}_{secret[:-1]}а", f"{head}_{secret[:-1]}=", token.replace("_", "-").replace("stw-", "stw_")),
    ]
    for candidate in odd:
        with pytest.raises(Unauthenticated):
            await house.authenticator.authenticate(candidate)


async def test_unknown_wrong_expired_and_revoked_look_alike(house: House) -> None:
    """Four different troubles, one answer: same class, code and sentence."""
    _, good = await house.key()
    revoked_id, revoked = await house.key()
    _, short = await house.key(expires_in=timedelta(hours=1))
    _, never_kept = mint_key(house.ids, house.clock, "acme", Role.ADMIN, "office", None)
    wrong = good.rsplit("_", 1)[0] + "_" + never_kept.rsplit("_", 1)[1]
    assert await house.authenticator.authenticate(short) is not None
    await house.directory.revoke_key(revoked_id, by="somebody")
    house.clock.advance(3600)
    answers = set()
    for token in (never_kept, wrong, short, revoked):
        with pytest.raises(Unauthenticated) as caught:
            await house.authenticator.authenticate(token)
        answers.add((type(caught.value), caught.value.stable_code, caught.value.detail))
    assert len(answers) == 1
    assert await house.authenticator.authenticate(good) is not None


async def test_w54_a_revoked_key_is_refused_on_the_very_next_request(house: House) -> None:
    """No verdict is remembered."""
    key_id, token = await house.key()
    assert await house.authenticator.authenticate(token) is not None
    await house.directory.revoke_key(key_id, by="somebody")
    with pytest.raises(Unauthenticated):
        await house.authenticator.authenticate(token)


async def test_w52_there_is_no_built_in_key(house: House) -> None:
    """A fresh directory holds no key at all."""
    assert await house.directory.list_keys() == ()


async def test_w53_a_hundred_bad_tokens_among_many_keys_cost_little(house: House) -> None:
    """With 200 keys, 100 bad tokens take well under two seconds, and each costs one statement."""
    for _ in range(200):
        _, good = await house.key()
    bad = [mint_key(house.ids, house.clock, "acme", Role.ADMIN, "office", None)[1] for _ in range(99)]
    bad.append(good[:-1] + ("a" if good[-1] != "a" else "q"))
    with statements_of(house.database) as told:
        started = time.perf_counter()
        for token in bad:
            with pytest.raises(Unauthenticated):
                await house.authenticator.authenticate(token)
        took = time.perf_counter() - started
    assert took < 2
    assert sum("api_keys" in statement for statement in told) == len(bad)


async def test_w53_the_look_up_uses_the_primary_key(house: House) -> None:
    """The database finds a key by its index, never by a scan."""
    plan = await house.database.read(
        lambda db: db.exec_driver_sql("EXPLAIN QUERY PLAN SELECT * FROM api_keys WHERE key_id = 'x'").all()
    )
    assert "USING INDEX" in str(plan)


async def test_a_key_whose_workspace_is_gone_or_malformed_is_forbidden(house: House) -> None:
    """The secret is right, so it is 403 and not 401."""
    _, token = await house.key()
    for change in (delete(workspaces), update(api_keys).values(workspace_id="Acme\n")):
        await house.database.write(lambda db, change=change: db.execute(change).close())
        with pytest.raises(Forbidden) as caught:
            await house.authenticator.authenticate(token)
        assert caught.value.stable_code == "workspace_unavailable"


async def test_use_is_noted_at_most_once_a_minute(house: House) -> None:
    """The first request notes the use, requests within the minute write nothing."""
    key_id, token = await house.key()
    started = house.clock.now()
    noted = []
    for pause in (0, 30, 30):
        house.clock.advance(pause)
        await house.authenticator.authenticate(token)
        await asyncio.gather(*house.authenticator._notes.values())  # nobody else waits for them
        kept = await house.directory.get_key(key_id)
        assert kept is not None
        assert kept.last_used_at is not None
        noted.append((kept.last_used_at - started).total_seconds())
    assert noted == [0, 0, 60]


@pytest.mark.parametrize(
    ("workspace_id", "role", "name", "expires_in"),
    [
        ("acme", Role.OPERATOR, "office", None),
        ("system", Role.ADMIN, "office", None),
        ("Acme", Role.VIEWER, "office", None),
        ("acme\n", Role.VIEWER, "office", None),
        ("acme", Role.VIEWER, "", None),
        ("acme", Role.VIEWER, "two\nlines", None),
        ("acme", Role.VIEWER, "office", timedelta(0)),
        ("acme", Role.VIEWER, "office", timedelta(days=-1)),
        ("acme", Role.VIEWER, "office", timedelta(days=99_999)),
    ],
)
async def test_a_key_that_should_not_exist_is_not_made(
    house: House, workspace_id: str, role: Role, name: str, expires_in: timedelta | None
) -> None:
    """An operator lives in ``system`` and nobody else does; names and validity are sane."""
    with pytest.raises(Invalid):
        mint_key(house.ids, house.clock, workspace_id, role, name, expires_in)


async def test_validity_ends_exactly_at_its_end(clock: FakeClock) -> None:
    """Valid until the millisecond before the end, refused from then on."""
    key, _ = mint_key(IdFactory(clock), clock, "acme", Role.VIEWER, "office", timedelta(hours=1))
    assert key.expires_at is not None
    assert key.valid_at(key.expires_at - timedelta(milliseconds=1))
    assert not key.valid_at(key.expires_at)
    assert not replace(key, revoked_at=clock.now()).valid_at(clock.now())
