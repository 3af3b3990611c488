"""Policies from before there were signatures: signed for once, and only where the chain tells of every one of them."""

from pathlib import Path

import pytest
from sqlalchemy import Connection, text

from steward.audit import AuditEntry, AuditKind
from steward.database.audit_chain import append
from tests.installation import Installation, installation
from tests.policies.test_genuine import NO_GETS, NO_HOOKS, decided, tamper

pytestmark = pytest.mark.anyio
CLOSED = ("deny", "policy_unreadable")
_DAY_S = 24 * 3600


async def tell(house: Installation, kind: AuditKind, **facts: str) -> None:
    """Append what an earlier version would have recorded of a policy."""
    entry = AuditEntry(
        workspace_id="acme", kind=kind, at=house.clock.now(), actor_id="key_a", result="done", facts=facts
    )
    await house.app.audit_log.append([entry])


async def put_as_before(house: Installation, name: str, policy: str) -> None:
    """Put a policy as an earlier version did: a row, a record, and no list."""
    await house.member()
    row = {"n": name, "t": policy}

    def insert(connection: Connection) -> None:
        connection.execute(text("INSERT INTO policies VALUES ('acme', :n, :t, 'key_a', 1)"), row)

    await house.app.database.write(insert)
    await tell(house, AuditKind.POLICY_CHANGED, policy=name, text=policy)


async def signed(house: Installation) -> list[object]:
    """Return what is recorded of policies that were signed for."""
    records = (await house.app.audit_log.query("acme", limit=10, kind=AuditKind.POLICIES_SIGNED)).records
    return [record.entry.facts["policies"] for record in records]


async def test_what_the_chain_tells_of_is_signed_for_at_the_first_start(tmp_path: Path) -> None:
    """The workspace goes on as it was, one record says so, and later starts sign nothing more."""
    async with installation(tmp_path) as house:
        await put_as_before(house, "no_gets", NO_GETS)
        assert await decided(house) == CLOSED
    for _ in range(2):
        async with installation(tmp_path) as house:
            assert await decided(house) == ("deny", "workspace/no_gets")
            assert await signed(house) == [["no_gets"]]
            assert (await house.app.audit_log.verify("acme")).sound


async def test_a_workspace_whose_policies_were_all_removed_stays_open(tmp_path: Path) -> None:
    """The chain tells that there is none, and that is signed."""
    async with installation(tmp_path) as house:
        await put_as_before(house, "no_gets", NO_GETS)
        await tell(house, AuditKind.POLICY_REMOVED, policy="no_gets")
        await tamper(house, "DELETE FROM policies")
    async with installation(tmp_path) as house:
        assert await decided(house) == ("allow", "catalogue")
        assert await signed(house) == [[]]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE policies SET text = ''",
        "DELETE FROM policies WHERE name = 'no_gets'",
        "INSERT INTO policies SELECT workspace_id, 'more', text, changed_by, changed_at FROM policies LIMIT 1",
        "DELETE FROM audit_records WHERE workspace_id = 'acme' AND kind = 'policy.changed'",
        "UPDATE audit_records SET actor_id = 'key_b' WHERE workspace_id = 'acme' AND kind = 'policy.changed'",
    ],
)
async def test_what_the_chain_does_not_tell_of_is_not_signed_for(tmp_path: Path, statement: str) -> None:
    """The workspace stays closed, until an admin puts its policies again."""
    async with installation(tmp_path) as house:
        await put_as_before(house, "no_gets", NO_GETS)
        await put_as_before(house, "no_hooks", NO_HOOKS)
        await tamper(house, statement)
    async with installation(tmp_path) as house:
        assert await decided(house) == CLOSED
        assert await signed(house) == []


@pytest.mark.parametrize("before", [True, False], ids=["signed for at the upgrade", "put since"])
async def test_a_list_that_was_taken_away_is_never_made_again(tmp_path: Path, before: bool) -> None:
    """Also where somebody appends to the chain that the policy was removed: a record tells that there was a list."""
    async with installation(tmp_path) as house:
        if before:
            await put_as_before(house, "no_gets", NO_GETS)
        else:
            await house.app.policy_desk.put(await house.member(), "no_gets", NO_GETS)
    async with installation(tmp_path) as house:
        assert await decided(house) == ("deny", "workspace/no_gets")
        forged = AuditEntry(
            workspace_id="acme",
            kind=AuditKind.POLICY_REMOVED,
            at=house.clock.now(),
            actor_id="key_a",
            facts={"policy": "no_gets"},
        )
        await house.app.database.write(lambda connection: append(connection, [forged]))
        await tamper(house, "DELETE FROM policies", "UPDATE workspaces SET policies_signed = NULL")
    async with installation(tmp_path) as house:
        assert await decided(house) == CLOSED
        assert len(await signed(house)) == before


async def test_a_chain_that_was_shortened_tells_too_little(tmp_path: Path) -> None:
    """What the retention dropped may have told of a policy that is gone."""
    async with installation(tmp_path) as house:
        await house.member()
        await house.app.audit_log.seal()
        assert await house.app.audit_log.purge(-_DAY_S) > 0
        await put_as_before(house, "no_gets", NO_GETS)
    async with installation(tmp_path) as house:
        assert await decided(house) == CLOSED
