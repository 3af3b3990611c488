"""The SQL directory: workspaces and keys survive a restart, and a revocation is seen by every process."""

from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import delete, update

from steward.authenticators.api_key import mint_key
from steward.clock import Clock
from steward.database.engine import Database
from steward.database.migrate import upgrade
from steward.database.tables import api_keys, workspaces
from steward.directories.sql import SqlDirectory
from steward.directory import ApiKey
from steward.errors import Conflict, Invalid, NotFound
from steward.identity import Role, Scope
from steward.ids import IdFactory
from steward.workspace import Cap, WorkspaceSettings
from tests.conftest import FakeClock
from tests.databases import KINDS, empty_database

pytestmark = pytest.mark.anyio


@pytest.fixture(params=KINDS)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Return the URL of an empty database of each kind."""
    with empty_database(request.param, tmp_path) as found:
        yield found


@pytest.fixture
async def database(url: str) -> AsyncIterator[Database]:
    """Open a migrated database."""
    opened = Database(url)
    upgrade(opened)
    yield opened
    await opened.aclose()


@pytest.fixture
def directory(database: Database, clock: FakeClock) -> SqlDirectory:
    """Return the directory in it."""
    return SqlDirectory(database, clock)


def minted(clock: Clock, workspace_id: str = "acme", role: Role = Role.DEVELOPER, days: int | None = None) -> ApiKey:
    """Return a fresh key that is not kept anywhere yet."""
    expires_in = None if days is None else timedelta(days=days)
    return mint_key(IdFactory(clock), clock, workspace_id, role, "office", expires_in)[0]


async def test_a_workspace_is_found_again(directory: SqlDirectory, clock: FakeClock) -> None:
    """What was created is listed by id and read back with its name and time."""
    await directory.create_workspace("beta", "  Beta & Söhne ", by="somebody")
    made = await directory.create_workspace("acme", "Acme", by="somebody")
    assert made.created_at == clock.now()
    assert [workspace.workspace_id for workspace in await directory.list_workspaces()] == ["acme", "beta"]
    assert await directory.get_workspace("acme") == made
    beta = await directory.get_workspace("beta")
    assert beta is not None
    assert beta.name == "Beta & Söhne"
    assert await directory.get_workspace("gamma") is None


async def test_a_workspace_id_is_taken_once(directory: SqlDirectory) -> None:
    """The second creation is a conflict and leaves the first as it was."""
    await directory.create_workspace("acme", "Acme", by="somebody")
    with pytest.raises(Conflict) as caught:
        await directory.create_workspace("acme", "Another", by="somebody")
    assert caught.value.stable_code == "workspace_exists"
    kept = await directory.get_workspace("acme")
    assert kept is not None
    assert kept.name == "Acme"


@pytest.mark.parametrize("odd", ["", "Acme", "acme\n", "acme\x00", "-acme", "a" * 33, "аcme", "a:b", "a*", None, 7])
async def test_w51_malformed_workspace_ids_are_refused(directory: SqlDirectory, odd: str) -> None:
    """Trailing newline, NUL, look-alike letters, 33 characters and other types never become a workspace."""
    with pytest.raises(Invalid):
        await directory.create_workspace(odd, "Odd", by="somebody")
    assert await directory.list_workspaces() == ()


async def test_the_reserved_workspace_exists_and_cannot_be_made(directory: SqlDirectory) -> None:
    """``system`` needs no row, is not listed among the tenants, and cannot be taken."""
    with pytest.raises(Invalid) as caught:
        await directory.create_workspace("system", "Mine", by="somebody")
    assert caught.value.stable_code == "reserved_workspace_id"
    assert await directory.get_workspace("system") is not None
    assert await directory.list_workspaces() == ()


@pytest.mark.parametrize("name", ["", " ", "a\nb", "a\x00b", "n" * 101])
async def test_a_name_is_one_printable_line(directory: SqlDirectory, name: str) -> None:
    """A name that would break a table or a log line is refused."""
    with pytest.raises(Invalid):
        await directory.create_workspace("acme", name, by="somebody")


async def test_a_key_survives_a_restart_unchanged(url: str, clock: FakeClock) -> None:
    """Every field comes back from a database opened anew."""
    key = minted(clock, days=30)
    for step in ("write", "read"):
        database = Database(url)
        upgrade(database)
        directory = SqlDirectory(database, clock)
        if step == "write":
            await directory.create_workspace("acme", "Acme", by="somebody")
            await directory.add_key(key, by="somebody")
        else:
            assert await directory.get_key(key.key_id) == key
        await database.aclose()


async def test_a_key_needs_its_workspace(directory: SqlDirectory, clock: FakeClock) -> None:
    """A key for a workspace that does not exist is refused and not kept."""
    key = minted(clock, "nowhere")
    with pytest.raises(NotFound) as caught:
        await directory.add_key(key, by="somebody")
    assert caught.value.stable_code == "unknown_workspace"
    assert await directory.get_key(key.key_id) is None


async def test_keys_are_listed_per_workspace_oldest_first(directory: SqlDirectory, clock: FakeClock) -> None:
    """One workspace's list holds no other's keys; without a workspace all are listed."""
    await directory.create_workspace("acme", "Acme", by="somebody")
    await directory.create_workspace("beta", "Beta", by="somebody")
    made = []
    for workspace in ("acme", "beta", "acme"):
        made.append(minted(clock, workspace))
        await directory.add_key(made[-1], by="somebody")
        clock.advance(1)
    operator = minted(clock, "system", Role.OPERATOR)
    await directory.add_key(operator, by="somebody")
    assert await directory.list_keys("acme") == (made[0], made[2])
    assert await directory.list_keys() == (*made, operator)


async def test_w54_a_revocation_holds_for_every_process(directory: SqlDirectory, url: str, clock: FakeClock) -> None:
    """A second connection to the same file sees the key revoked within 200 ms, the first at once; again is no error."""
    await directory.create_workspace("acme", "Acme", by="somebody")
    key = minted(clock)
    await directory.add_key(key, by="somebody")
    elsewhere = Database(url)
    other = SqlDirectory(elsewhere, clock)
    assert await other.principal_of("acme", key.key_id) is not None
    revoked = await directory.revoke_key(key.key_id, by="somebody")
    assert revoked.revoked_at == clock.now()
    assert await directory.principal_of("acme", key.key_id) is None
    clock.advance(0.2)
    assert await other.principal_of("acme", key.key_id) is None
    clock.advance(60)
    assert await directory.revoke_key(key.key_id, by="somebody") == revoked
    await elsewhere.aclose()


async def test_an_unknown_key_cannot_be_revoked(directory: SqlDirectory) -> None:
    """Revoking what does not exist says so."""
    with pytest.raises(NotFound):
        await directory.revoke_key("key_" + "0" * 24, by="somebody")


async def test_w54_use_is_noted_at_most_once_a_minute(directory: SqlDirectory, clock: FakeClock) -> None:
    """The first use is written, another within the minute is not, one after it is."""
    await directory.create_workspace("acme", "Acme", by="somebody")
    key = minted(clock)
    await directory.add_key(key, by="somebody")
    seen = []
    for pause in (0, 59, 1):
        clock.advance(pause)
        await directory.note_use(key.key_id)
        kept = await directory.get_key(key.key_id)
        assert kept is not None
        assert kept.last_used_at is not None
        seen.append((clock.now() - kept.last_used_at).total_seconds())
    assert seen == [0, 59, 0]


async def test_the_principal_of_an_actor_is_who_it_is_now(
    directory: SqlDirectory, database: Database, clock: FakeClock
) -> None:
    """Right workspace and time: the key's role and scopes. Foreign, unknown, expired, or a workspace gone: nobody."""
    await directory.create_workspace("acme", "Acme", by="somebody")
    await directory.create_workspace("beta", "Beta", by="somebody")
    key = minted(clock, days=1)
    await directory.add_key(key, by="somebody")
    principal = await directory.principal_of("acme", key.key_id)
    assert principal is not None
    assert (principal.actor_id, principal.workspace_id) == (key.key_id, "acme")
    assert principal.scopes == {Scope.PREVIEW, Scope.EXECUTE, Scope.CONNECTIONS}
    assert await directory.principal_of("beta", key.key_id) is None
    assert await directory.principal_of("acme", "key_" + "0" * 24) is None
    clock.advance(86_400)
    assert await directory.principal_of("acme", key.key_id) is None
    await database.write(lambda db: db.execute(update(api_keys).values(expires_at=None)).close())
    clock.advance(0.2)
    assert await directory.principal_of("acme", key.key_id) is not None
    await database.write(lambda db: db.execute(delete(workspaces)).close())
    clock.advance(0.2)
    assert await directory.principal_of("acme", key.key_id) is None


async def test_caps_are_found_among_any_number_of_workspaces(
    directory: SqlDirectory, url: str, clock: FakeClock
) -> None:
    """Only those that have some; a change counts here at once, and elsewhere within a fifth of a second."""
    for name in ("acme", "beta", "gamma"):
        await directory.create_workspace(name, name, by="somebody")
    assert await directory.list_caps() == {}
    other = Database(url)
    elsewhere = SqlDirectory(other, clock)
    assert await elsewhere.list_caps() == {}
    caps = {"email.*": Cap(max_running=3)}
    await directory.change_settings("acme", WorkspaceSettings(caps=caps), by="somebody")
    await directory.change_settings("beta", WorkspaceSettings(own_domains=("beta.example",)), by="somebody")
    assert await directory.list_caps() == {"acme": caps}
    clock.advance(0.2)
    assert await elsewhere.list_caps() == {"acme": caps}
    await directory.change_settings("acme", WorkspaceSettings(), by="somebody")
    assert await directory.list_caps() == {}
    await other.aclose()
