"""What the directory changes: rotation, roles, members, policies and tickets, each checked in the transaction that writes it."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import delete

from steward.authenticators.api_key import mint_key, mint_successor
from steward.database import Database
from steward.database.migrate import upgrade
from steward.database.tables import workspaces
from steward.directories.sql import SqlDirectory
from steward.directory import ApiKey, Ticket, TicketKind, WorkspacePolicy
from steward.errors import Conflict, Forbidden, Invalid, NotFound
from steward.identity import Role, Scope
from steward.ids import IdFactory
from steward.vault import Vault
from steward.workspace import WorkspaceSettings
from tests.conftest import FakeClock
from tests.databases import KINDS, empty_database
from tests.installation import SECRET

pytestmark = pytest.mark.anyio
HOUR = timedelta(hours=1)
DEVELOPER = frozenset({Role.DEVELOPER})


@pytest.fixture(params=KINDS)
async def directory(request: pytest.FixtureRequest, tmp_path: Path, clock: FakeClock) -> AsyncIterator[SqlDirectory]:
    """Open a directory with two workspaces."""
    with empty_database(request.param, tmp_path) as url:
        database = Database(url)
        upgrade(database)
        made = SqlDirectory(database, clock, Vault([SECRET]))
        for workspace in ("acme", "beta"):
            await made.create_workspace(workspace, workspace, by="host")
        yield made
        await database.aclose()


async def key(directory: SqlDirectory, clock: FakeClock, validity: timedelta | None = None) -> ApiKey:
    """Return a developer's key that is kept."""
    made, _ = mint_key(IdFactory(clock), clock, "acme", Role.DEVELOPER, "office", validity)
    await directory.add_key(made, by="host")
    return made


def successor(old: ApiKey, clock: FakeClock) -> ApiKey:
    """Return a key that may replace ``old``."""
    return mint_successor(IdFactory(clock), clock, old, None)[0]


async def test_a_rotated_key_ends_after_the_overlap_or_sooner(directory: SqlDirectory, clock: FakeClock) -> None:
    """The overlap never lengthens a key's life."""
    forever, short = await key(directory, clock), await key(directory, clock, HOUR / 2)
    for old, left in ((forever, HOUR), (short, HOUR / 2)):
        replaced = await directory.replace_key(old.key_id, successor(old, clock), HOUR, by="admin")
        assert replaced.expires_at == clock.now() + left
        assert await directory.get_key(old.key_id) == replaced


async def test_of_many_rotations_at_once_one_succeeds(directory: SqlDirectory, clock: FakeClock) -> None:
    """The others are conflicts and leave no key behind."""
    old = await key(directory, clock)
    tries = [directory.replace_key(old.key_id, successor(old, clock), HOUR, by="admin") for _ in range(10)]
    ended = await asyncio.gather(*tries, return_exceptions=True)
    assert sum(isinstance(each, Conflict) for each in ended) == 9
    assert len(await directory.list_keys("acme")) == 2


async def test_a_rotation_that_races_with_a_demotion_raises_nobody(directory: SqlDirectory, clock: FakeClock) -> None:
    """A successor that was made with the old role is refused once the key has another."""
    old = await key(directory, clock)
    new = successor(old, clock)
    await directory.change_key_role(old.key_id, Role.VIEWER, by="admin")
    with pytest.raises(Conflict):
        await directory.replace_key(old.key_id, new, HOUR, by="admin")
    assert [found.role for found in await directory.list_keys("acme")] == [Role.VIEWER]


@pytest.mark.parametrize("state", ["revoked", "expired", "replaced", "foreign", "unknown"])
async def test_only_a_key_in_use_is_rotated(directory: SqlDirectory, clock: FakeClock, state: str) -> None:
    """One that is no more, or not there, is not brought back."""
    old = await key(directory, clock, HOUR)
    new = successor(old, clock)
    if state == "revoked":
        await directory.revoke_key(old.key_id, by="admin")
    elif state == "expired":
        clock.advance(3600)
    elif state == "replaced":
        await directory.replace_key(old.key_id, successor(old, clock), HOUR, by="admin")
    elif state == "foreign":
        new, _ = mint_key(IdFactory(clock), clock, "beta", Role.DEVELOPER, "office", None)
    named = "key_" + "0" * 24 if state == "unknown" else old.key_id
    with pytest.raises(NotFound if state in {"foreign", "unknown"} else Conflict):
        await directory.replace_key(named, new, HOUR, by="admin")
    assert await directory.get_key(new.key_id) is None


@pytest.mark.parametrize("overlap", [timedelta(seconds=-1), timedelta(days=30, seconds=1)])
async def test_an_overlap_is_bounded(directory: SqlDirectory, clock: FakeClock, overlap: timedelta) -> None:
    """From nothing to thirty days."""
    old = await key(directory, clock)
    with pytest.raises(Invalid):
        await directory.replace_key(old.key_id, successor(old, clock), overlap, by="admin")


async def test_w48_a_foreign_key_is_not_changed(directory: SqlDirectory, clock: FakeClock) -> None:
    """For another workspace it does not exist."""
    mine = await key(directory, clock)
    with pytest.raises(NotFound):
        await directory.revoke_key(mine.key_id, by="stranger", workspace_id="beta")
    with pytest.raises(NotFound):
        await directory.change_key_role(mine.key_id, Role.VIEWER, by="stranger", workspace_id="beta")
    assert await directory.get_key(mine.key_id) == mine


async def test_an_operator_is_made_and_unmade_with_its_key(directory: SqlDirectory, clock: FakeClock) -> None:
    """No change of role leads there or away."""
    mine = await key(directory, clock)
    host, _ = mint_key(IdFactory(clock), clock, "system", Role.OPERATOR, "host", None)
    await directory.add_key(host, by="host")
    for key_id, role in ((mine.key_id, Role.OPERATOR), (host.key_id, Role.VIEWER)):
        with pytest.raises(Invalid):
            await directory.change_key_role(key_id, role, by="admin")


async def test_a_member_follows_its_tokens_until_it_is_pinned(directory: SqlDirectory, clock: FakeClock) -> None:
    """Name and time of the first login stay; use is noted by the minute."""
    first = await directory.admit("acme", "alice", "Alice", DEVELOPER, None)
    clock.advance(59)
    assert await directory.admit("acme", "alice", "Other", DEVELOPER, None) == first
    clock.advance(1)
    second = await directory.admit("acme", "alice", "Other", frozenset({Role.AUDITOR}), None)
    assert (second.name, second.created_at, second.scopes) == ("Alice", first.created_at, {Scope.AUDIT})
    assert second.last_seen_at == clock.now()
    pinned = await directory.set_member("acme", "alice", by="admin", roles=frozenset({Role.VIEWER}))
    assert pinned.scopes == {Scope.PREVIEW}
    third = await directory.admit(
        "acme", "alice", "Alice", frozenset({Role.ADMIN}), frozenset({Scope.PREVIEW, Scope.ADMIN})
    )
    assert (third.roles, third.scopes) == ({Role.VIEWER}, {Scope.PREVIEW})
    assert await directory.get_member("beta", "alice") is None


async def test_nobody_is_admitted_where_nobody_may_be(directory: SqlDirectory) -> None:
    """Not to a workspace that does not exist or is reserved, not as an operator, not once disabled."""
    for workspace, roles in (("nowhere", DEVELOPER), ("system", DEVELOPER), ("acme", frozenset({Role.OPERATOR}))):
        with pytest.raises(Forbidden):
            await directory.admit(workspace, "alice", "Alice", roles, None)
    await directory.set_member("acme", "alice", by="admin", disabled=True)
    with pytest.raises(Forbidden) as caught:
        await directory.admit("acme", "alice", "Alice", DEVELOPER, None)
    assert caught.value.stable_code == "member_disabled"
    assert await directory.list_members("nowhere") == ()


async def test_settings_are_seen_at_once_and_whole(directory: SqlDirectory, clock: FakeClock) -> None:
    """What was set comes back; an unknown workspace has none."""
    settings = WorkspaceSettings(own_domains=("acme.example",), rules=("inside_only",))
    assert await directory.get_workspace("acme") is not None
    await directory.change_settings("acme", settings, by="admin")
    changed = await directory.get_workspace("acme")
    assert changed is not None
    assert changed.settings == settings
    for name in ("nowhere", "system"):
        with pytest.raises(NotFound):
            await directory.change_settings(name, settings, by="admin")


async def test_policies_are_kept_by_name(directory: SqlDirectory, clock: FakeClock) -> None:
    """Put in place of one another within a workspace, removed once."""

    def policy(workspace: str, name: str, text: str) -> WorkspacePolicy:
        return WorkspacePolicy(workspace_id=workspace, name=name, text=text, changed_by="admin", changed_at=clock.now())

    for each in (
        policy("acme", "b", "1"),
        policy("acme", "a", "2"),
        policy("beta", "a", "3"),
        policy("acme", "b", "4"),
    ):
        await directory.put_policy(each)
    assert await directory.list_policies("acme") == (policy("acme", "a", "2"), policy("acme", "b", "4"))
    await directory.remove_policy("acme", "a", by="admin")
    with pytest.raises(NotFound):
        await directory.remove_policy("acme", "a", by="admin")
    assert await directory.list_policies("beta") == (policy("beta", "a", "3"),)
    with pytest.raises(NotFound):
        await directory.put_policy(policy("nowhere", "a", "5"))


async def test_a_ticket_is_taken_once_and_not_for_anything_else(directory: SqlDirectory, clock: FakeClock) -> None:
    """A code is no session; of many at once one gets it; what has expired is gone."""

    def ticket(number: int) -> Ticket:
        return Ticket(
            kind=TicketKind.CODE,
            token_hash=bytes([number]) * 32,
            key_id="key_1",
            workspace_id="acme",
            expires_at=clock.now() + HOUR,
        )

    first, second = ticket(1), ticket(2)
    await directory.add_ticket(first)
    await directory.add_ticket(second)
    assert await directory.get_ticket(TicketKind.SESSION, first.token_hash) is None
    assert await directory.take_ticket(TicketKind.SESSION, first.token_hash) is None
    assert await directory.get_ticket(TicketKind.CODE, first.token_hash) == first
    taken = await asyncio.gather(*(directory.take_ticket(TicketKind.CODE, first.token_hash) for _ in range(10)))
    assert [found for found in taken if found] == [first]
    assert await directory.get_ticket(TicketKind.CODE, first.token_hash) is None
    clock.advance(3600)
    assert await directory.get_ticket(TicketKind.CODE, second.token_hash) is None
    assert await directory.take_ticket(TicketKind.CODE, second.token_hash) is None


async def test_nobody_acts_in_a_workspace_that_is_gone(directory: SqlDirectory, clock: FakeClock) -> None:
    """Neither a key nor a member."""
    mine = await key(directory, clock)
    await directory.admit("acme", "alice", "Alice", DEVELOPER, None)
    await directory._database.write(lambda db: db.execute(delete(workspaces)).close())
    clock.advance(0.2)
    assert await directory.principal_of("acme", mine.key_id) is None
    assert await directory.principal_of("acme", "alice") is None
