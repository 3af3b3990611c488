"""A policy counts only as Steward put it there: whoever can write to the database can stop a workspace, not open it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import text

from steward.database import Database
from steward.directories.sql import SqlDirectory
from steward.errors import PolicyNotGenuine
from steward.policy import Deny
from steward.vault import Vault
from tests.conftest import FakeClock
from tests.installation import SECRET, Installation, installation
from tests.policies.office import said

pytestmark = pytest.mark.anyio
NO_GETS = 'forbid (principal, action == Action::"http.get", resource);'
NO_HOOKS = 'forbid (principal, action == Action::"webhook.post", resource);'
LOOK = {"url": "https://far.example/"}
OTHER_SECRET = "another-secret-key-of-more-than-thirty-two-characters"


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[Installation]:
    """Open an installation whose workspace acme has two policies, and whose workspace other has none."""
    async with installation(tmp_path) as opened:
        who = await opened.member()
        await opened.member("other")
        await opened.app.policy_desk.put(who, "no_gets", NO_GETS)
        await opened.app.policy_desk.put(who, "no_hooks", NO_HOOKS)
        yield opened


async def tamper(house: Installation, *statements: str) -> None:
    """Write past everything, and let the short memory pass."""
    for statement in statements:
        await house.app.database.write(lambda connection, sql=statement: connection.execute(text(sql)).close())
    house.app.policies.forget("acme")


async def decided(house: Installation, workspace_id: str = "acme") -> tuple[str, str]:
    """Return effect and rule of a look at a page."""
    who = await house.member(workspace_id)
    return said((await house.app.policies.of(workspace_id)).decide(who, "http.get", LOOK, {}))


TAMPERING = {
    "changed": ["UPDATE policies SET text = '' WHERE name = 'no_gets'"],
    "softened": ["UPDATE policies SET text = replace(text, 'http.get', 'file.read') WHERE name = 'no_gets'"],
    "somebody else's": ["UPDATE policies SET changed_by = 'key_x' WHERE name = 'no_gets'"],
    "renamed": ["UPDATE policies SET name = 'no_hats' WHERE name = 'no_gets'"],
    "removed": ["DELETE FROM policies WHERE name = 'no_gets'"],
    "added": ["INSERT INTO policies SELECT workspace_id, 'more', text, changed_by, changed_at FROM policies LIMIT 1"],
    "removed with its list": ["DELETE FROM policies", "UPDATE workspaces SET policies_signed = NULL"],
    "list forged": [
        "DELETE FROM policies",
        """UPDATE workspaces SET policies_signed = '{"policies":{},"voucher":"x.ff"}' WHERE workspace_id = 'acme'""",
    ],
}


@pytest.mark.parametrize("statements", TAMPERING.values(), ids=TAMPERING)
async def test_a_policy_that_is_not_as_it_was_put_there_closes_its_workspace(
    house: Installation, statements: list[str]
) -> None:
    """Plainly, in this workspace alone, and the check of the audit names it too."""
    assert await decided(house) == ("deny", "workspace/no_gets")
    await tamper(house, *statements)
    decision = (await house.app.policies.of("acme")).decide(await house.member(), "http.get", LOOK, {})
    assert said(decision) == ("deny", "policy_unreadable")
    assert isinstance(decision, Deny)
    assert "steward policy put" in decision.fix
    assert await decided(house, "other") == ("allow", "catalogue")
    verdict = await house.app.audit_log.verify("acme")
    assert not verdict.sound
    assert "polic" in verdict.problem
    assert (await house.app.audit_log.verify("other")).sound
    with pytest.raises(PolicyNotGenuine):
        await house.app.policy_desk.own(await house.member())


async def test_putting_back_an_earlier_state_that_was_signed_is_found_by_the_audit(house: Installation) -> None:
    """The signature holds, but the chain tells of a later state."""
    who, database = await house.member(), house.app.database
    signed = text("SELECT policies_signed FROM workspaces WHERE workspace_id = 'acme'")
    before = await database.read(lambda connection: connection.execute(signed).scalar())
    await house.app.policy_desk.put(who, "no_more", NO_HOOKS)
    put_back = text("UPDATE workspaces SET policies_signed = :s WHERE workspace_id = 'acme'")
    await database.write(lambda connection: connection.execute(put_back, {"s": before}).close())
    await tamper(house, "DELETE FROM policies WHERE name = 'no_more'")
    verdict = await house.app.audit_log.verify("acme")
    assert not verdict.sound
    assert "no_more" in verdict.problem


async def test_an_admin_opens_the_workspace_again_and_signs_for_nothing_else(house: Installation) -> None:
    """Each policy that was touched has to be put or removed; one that was put in by others is never made good."""
    who, desk = await house.member(), house.app.policy_desk
    await tamper(house, "UPDATE policies SET text = ''", *TAMPERING["added"])
    await desk.put(who, "no_gets", NO_GETS)
    assert await decided(house) == ("deny", "policy_unreadable")
    await desk.put(who, "no_hooks", NO_HOOKS)
    assert await decided(house) == ("deny", "policy_unreadable")
    await desk.remove(who, "more")
    assert await decided(house) == ("deny", "workspace/no_gets")
    assert (await house.app.audit_log.verify("acme")).sound


async def test_a_policy_that_is_gone_can_be_removed_for_good(house: Installation) -> None:
    """So that nobody has to write it again to be rid of it."""
    await tamper(house, *TAMPERING["removed"])
    await house.app.policy_desk.remove(await house.member(), "no_gets")
    assert await decided(house) == ("allow", "catalogue")


async def test_policies_outlive_a_rotation_of_the_secret_key(
    house: Installation, tmp_path: Path, clock: FakeClock
) -> None:
    """What an earlier key signed counts once that key was vouched for; a stranger's key never does."""
    from steward.audit_logs.sql import SqlAuditLog

    database: Database = house.app.database
    stranger = SqlDirectory(database, clock, Vault([OTHER_SECRET]))
    with pytest.raises(PolicyNotGenuine):
        await stranger.list_policies("acme")
    SqlAuditLog(database, Vault([OTHER_SECRET, SECRET]), clock)
    assert [policy.name for policy in await stranger.list_policies("acme")] == ["no_gets", "no_hooks"]
