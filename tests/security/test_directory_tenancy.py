"""Keys, members and policies of one workspace are nothing to another, also where both use the same names."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from steward.authenticators.api_key import mint_key
from steward.database.engine import Database
from steward.database.migrate import upgrade
from steward.directories.sql import SqlDirectory
from steward.directory import ApiKey, WorkspacePolicy
from steward.errors import NotFound
from steward.identity import Role
from steward.ids import IdFactory
from steward.vault import Vault
from steward.workspace import WorkspaceSettings
from tests.conftest import FakeClock
from tests.databases import KINDS, empty_database
from tests.installation import SECRET

pytestmark = pytest.mark.anyio
ANN = "ann@example.com"
NOBODYS = f"key_{'z' * 24}"


@pytest.fixture(params=KINDS)
async def directory(request: pytest.FixtureRequest, tmp_path: Path, clock: FakeClock) -> AsyncIterator[SqlDirectory]:
    """Return a directory with the workspaces acme and beta."""
    with empty_database(request.param, tmp_path) as url:
        database = Database(url)
        upgrade(database)
        opened = SqlDirectory(database, clock, Vault([SECRET]))
        for workspace_id in ("acme", "beta"):
            await opened.create_workspace(workspace_id, workspace_id, by="test")
        yield opened
        await database.aclose()


def minted(clock: FakeClock, workspace_id: str) -> ApiKey:
    """Return a new key."""
    return mint_key(IdFactory(clock), clock, workspace_id, Role.DEVELOPER, "office", None)[0]


def policy(clock: FakeClock, workspace_id: str, text: str) -> WorkspacePolicy:
    """Return a policy called night."""
    return WorkspacePolicy(
        workspace_id=workspace_id, name="night", text=text, changed_by="test", changed_at=clock.now()
    )


async def told(awaited: Any) -> tuple[str, str]:
    """Return what a refusal says."""
    with pytest.raises(NotFound) as caught:
        await awaited
    return caught.value.stable_code, caught.value.detail


# -- keys -------------------------------------------------------------------------------------------------------------


async def test_keys_are_listed_by_workspace(directory: SqlDirectory, clock: FakeClock) -> None:
    """Each workspace's list has its own keys and no other."""
    mine, theirs = minted(clock, "acme"), minted(clock, "beta")
    for key in (mine, theirs):
        await directory.add_key(key, by="test")
    assert [key.key_id for key in await directory.list_keys("acme")] == [mine.key_id]
    assert [key.key_id for key in await directory.list_keys("beta")] == [theirs.key_id]


async def test_a_foreign_key_cannot_be_revoked(directory: SqlDirectory, clock: FakeClock) -> None:
    """From another workspace it is a key that nobody has, and goes on as it was."""
    theirs = minted(clock, "acme")
    await directory.add_key(theirs, by="test")
    foreign = await told(directory.revoke_key(theirs.key_id, by="intruder", workspace_id="beta"))
    assert foreign == await told(directory.revoke_key(NOBODYS, by="intruder", workspace_id="beta"))
    assert await directory.get_key(theirs.key_id) == theirs


async def test_a_foreign_key_cannot_be_given_another_role(directory: SqlDirectory, clock: FakeClock) -> None:
    """From another workspace it is a key that nobody has, and may what it might."""
    theirs = minted(clock, "acme")
    await directory.add_key(theirs, by="test")
    foreign = await told(directory.change_key_role(theirs.key_id, Role.ADMIN, by="intruder", workspace_id="beta"))
    assert foreign == await told(directory.change_key_role(NOBODYS, Role.ADMIN, by="intruder", workspace_id="beta"))
    assert await directory.get_key(theirs.key_id) == theirs


async def test_a_foreign_key_cannot_be_replaced(directory: SqlDirectory, clock: FakeClock) -> None:
    """No key of one workspace takes over from one of another, and none is made on the way."""
    theirs = minted(clock, "acme")
    await directory.add_key(theirs, by="test")
    for key_id in (theirs.key_id, NOBODYS):
        answer = await told(directory.replace_key(key_id, minted(clock, "beta"), timedelta(0), by="intruder"))
        assert answer == await told(directory.revoke_key(NOBODYS, by="intruder", workspace_id="beta"))
    assert await directory.get_key(theirs.key_id) == theirs
    assert await directory.list_keys("beta") == ()


async def test_a_key_is_nobody_in_another_workspace(directory: SqlDirectory, clock: FakeClock) -> None:
    """Asked who a key is now, the directory knows it in its own workspace only."""
    mine = minted(clock, "acme")
    await directory.add_key(mine, by="test")
    assert await directory.principal_of("acme", mine.key_id) == mine.principal
    assert await directory.principal_of("beta", mine.key_id) is None


async def test_a_rotated_key_is_nobody_in_another_workspace(directory: SqlDirectory, clock: FakeClock) -> None:
    """Nor is it its successor there."""
    old, new = minted(clock, "acme"), minted(clock, "acme")
    await directory.add_key(old, by="test")
    await directory.replace_key(old.key_id, new, timedelta(0), by="test")
    clock.advance(1)
    found = await directory.principal_of("acme", old.key_id)
    assert found is not None
    assert found.workspace_id == "acme"
    assert await directory.principal_of("beta", old.key_id) is None
    assert await directory.principal_of("beta", new.key_id) is None


async def test_a_key_does_not_stand_for_its_namesake(directory: SqlDirectory, clock: FakeClock) -> None:
    """A job that names a key of another workspace as its actor is nobody's, whatever that key may do at home."""
    for role in (Role.ADMIN, Role.VIEWER):
        key = mint_key(IdFactory(clock), clock, "acme", role, "office", None)[0]
        await directory.add_key(key, by="test")
        assert [await directory.principal_of(where, key.key_id) for where in ("beta", "gamma", "system")] == [None] * 3


# -- members ----------------------------------------------------------------------------------------------------------


async def test_the_same_person_is_two_members(directory: SqlDirectory) -> None:
    """Roles, name and state of a person in one workspace are not those in another."""
    await directory.set_member("acme", ANN, by="test", name="Ann of acme", roles=frozenset({Role.ADMIN}))
    await directory.set_member("beta", ANN, by="test", name="Ann of beta", roles=frozenset({Role.VIEWER}))
    await directory.set_member("beta", ANN, by="test", disabled=True)
    mine, theirs = await directory.get_member("acme", ANN), await directory.get_member("beta", ANN)
    assert mine is not None
    assert theirs is not None
    assert (mine.workspace_id, mine.name, mine.roles, mine.disabled_at) == ("acme", "Ann of acme", {Role.ADMIN}, None)
    assert (theirs.workspace_id, theirs.name, theirs.roles) == ("beta", "Ann of beta", {Role.VIEWER})
    assert await directory.principal_of("acme", ANN) == mine.principal
    assert (list(await directory.list_members("acme")), list(await directory.list_members("beta"))) == (
        [mine],
        [theirs],
    )


async def test_members_are_listed_by_workspace(directory: SqlDirectory) -> None:
    """Each workspace's list has its own members and no other."""
    await directory.set_member("acme", ANN, by="test")
    await directory.set_member("beta", "bob@example.com", by="test")
    assert [member.actor_id for member in await directory.list_members("acme")] == [ANN]
    assert [member.actor_id for member in await directory.list_members("beta")] == ["bob@example.com"]


async def test_a_foreign_member_is_unknown(directory: SqlDirectory) -> None:
    """Who is a member elsewhere is nobody here, and cannot be removed from here."""
    await directory.set_member("acme", ANN, by="test")
    before = await directory.get_member("acme", ANN)
    assert await directory.get_member("beta", ANN) is None
    assert await directory.list_members("beta") == ()
    assert await directory.principal_of("beta", ANN) is None
    assert await told(directory.remove_member("beta", ANN, by="intruder")) == await told(
        directory.remove_member("beta", "nobody@example.com", by="intruder")
    )
    assert await directory.get_member("acme", ANN) == before


async def test_removing_a_member_leaves_the_namesake(directory: SqlDirectory) -> None:
    """Forgetting a person in one workspace forgets nobody in another."""
    for workspace_id in ("acme", "beta"):
        await directory.set_member(workspace_id, ANN, by="test", roles=frozenset({Role.VIEWER}))
    await directory.remove_member("beta", ANN, by="test")
    assert await directory.get_member("acme", ANN) is not None
    assert [member.actor_id for member in await directory.list_members("acme")] == [ANN]


# -- policies ---------------------------------------------------------------------------------------------------------


async def test_policies_of_one_name_are_two(directory: SqlDirectory, clock: FakeClock) -> None:
    """Saving a policy in one workspace replaces none in another."""
    await directory.put_policy(policy(clock, "acme", "of acme"))
    await directory.put_policy(policy(clock, "beta", "of beta"))
    assert [found.text for found in await directory.list_policies("acme")] == ["of acme"]
    assert [found.text for found in await directory.list_policies("beta")] == ["of beta"]


async def test_policies_are_listed_by_workspace(directory: SqlDirectory, clock: FakeClock) -> None:
    """A workspace without policies has none, whatever others have."""
    await directory.put_policy(policy(clock, "acme", "of acme"))
    assert await directory.list_policies("beta") == ()


async def test_a_foreign_policy_cannot_be_removed(directory: SqlDirectory, clock: FakeClock) -> None:
    """Removing it from another workspace says what is said of a policy that nobody has."""
    await directory.put_policy(policy(clock, "acme", "of acme"))
    foreign = await told(directory.remove_policy("beta", "night", by="intruder"))
    assert foreign == await told(directory.remove_policy("beta", "nobody", by="intruder"))
    assert [found.text for found in await directory.list_policies("acme")] == ["of acme"]


async def test_removing_a_policy_leaves_the_namesake(directory: SqlDirectory, clock: FakeClock) -> None:
    """Of two policies with one name, one goes."""
    for workspace_id in ("acme", "beta"):
        await directory.put_policy(policy(clock, workspace_id, f"of {workspace_id}"))
    await directory.remove_policy("beta", "night", by="test")
    assert [found.text for found in await directory.list_policies("acme")] == ["of acme"]
    assert await directory.list_policies("beta") == ()


# -- settings ---------------------------------------------------------------------------------------------------------


async def test_settings_of_a_workspace_are_not_anothers(directory: SqlDirectory) -> None:
    """What is set for one is not set for another."""
    await directory.change_settings("acme", WorkspaceSettings(own_domains=("acme.example",)), by="test")
    beta = await directory.get_workspace("beta")
    assert beta is not None
    assert beta.settings == WorkspaceSettings()


async def test_settings_of_two_workspaces_stay_two(directory: SqlDirectory) -> None:
    """Each keeps its own, in whatever order they are set."""
    for workspace_id in ("acme", "beta"):
        settings = WorkspaceSettings(own_domains=(f"{workspace_id}.example",))
        assert (await directory.change_settings(workspace_id, settings, by="test")).settings == settings
    listed = {found.workspace_id: found.settings.own_domains for found in await directory.list_workspaces()}
    assert listed == {"acme": ("acme.example",), "beta": ("beta.example",)}


async def test_settings_of_an_unknown_workspace_change_nobodys(directory: SqlDirectory) -> None:
    """Where there is no such workspace, nothing is set anywhere."""
    await told(directory.change_settings("gamma", WorkspaceSettings(own_domains=("gamma.example",)), by="test"))
    assert {found.settings.own_domains for found in await directory.list_workspaces()} == {()}
