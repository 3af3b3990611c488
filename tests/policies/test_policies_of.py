"""The policies of every workspace as they stand: read once for many, in force at once, and closed when unreadable."""

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, insert, text

from steward.database.policy_seal import digest_of, relist
from steward.database.tables import policies as policy_table
from steward.directories.sql import SqlDirectory
from steward.directory import LOCAL_ACTOR, WorkspacePolicy
from steward.errors import Invalid, StoreUnavailable
from steward.identity import Principal
from steward.policies.cedar_policies import CedarPolicies
from steward.policies.cedar_text import MAX_TEXTS
from steward.policies.lists import ListPolicy
from steward.workspace import WorkspaceSettings
from tests.databases import statements_of
from tests.installation import Installation, installation
from tests.policies.office import said
from tests.turns import turn

pytestmark = pytest.mark.anyio
NO_HOOKS = 'forbid (principal, action == Action::"webhook.post", resource);'
NO_GETS = 'forbid (principal, action == Action::"http.get", resource);'
LOOK = {"url": "https://far.example/"}


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[Installation]:
    """Open an installation with the workspaces acme and other."""
    async with installation(tmp_path) as opened:
        await opened.member()
        await opened.member("other")
        yield opened


async def keep(house: Installation, name: str, text: str, workspace_id: str = "acme") -> None:
    """Keep a text as it is, as another version might have."""
    row = {"workspace_id": workspace_id, "name": name, "text": text, "changed_by": "key_x", "changed_at": 0}
    digest = digest_of(name, text, "key_x", 0)

    def put(connection: Connection) -> None:
        connection.execute(insert(policy_table).values(row))
        relist(connection, house.app.vault, workspace_id, name, digest)

    await house.app.database.write(put)
    house.app.policies.forget(workspace_id)


async def decided(house: Installation, action_id: str = "http.get", workspace_id: str = "acme") -> tuple[str, str]:
    """Return effect and rule of a look at a page, as the workspace's policy stands."""
    who = await house.member(workspace_id)
    return said((await house.app.policies.of(workspace_id)).decide(who, action_id, LOOK, {}))


async def test_a_workspaces_policies_are_its_own(house: Installation) -> None:
    """What acme forbids itself, nobody else notices."""
    who = await house.member()
    await house.app.policy_desk.put(who, "no_gets", NO_GETS)
    assert await decided(house) == ("deny", "workspace/no_gets")
    assert await decided(house, workspace_id="other") == ("allow", "catalogue")
    with pytest.raises(Exception, match="no such policy"):
        await house.app.policy_desk.remove(await house.member("other"), "no_gets")
    await house.app.policy_desk.remove(who, "no_gets")
    assert await decided(house) == ("allow", "catalogue")


async def test_settings_switch_optional_rules_on_and_off(house: Installation) -> None:
    """At once, in the process that changes them."""
    directory = house.app.directory
    await directory.change_settings("acme", WorkspaceSettings(rules=("ask_before_write",)), by=LOCAL_ACTOR)
    assert await decided(house, "file.write") == ("ask", "ask_before_write")
    await directory.change_settings("acme", WorkspaceSettings(), by=LOCAL_ACTOR)
    assert await decided(house, "file.write") == ("allow", "catalogue")


@pytest.mark.parametrize("odd", ["forbid (", "permit (principal, action, resource);", "", "x" * 9000, "(" * 600])
async def test_a_policy_that_cannot_be_read_denies_everything_in_its_workspace(house: Installation, odd: str) -> None:
    """Plainly, naming it; other workspaces go on, and replacing it opens the workspace again."""
    await keep(house, "broken", odd)
    who = await house.member()
    decision = (await house.app.policies.of("acme")).decide(who, "http.get", LOOK, {})
    assert said(decision) == ("deny", "policy_unreadable")
    assert "'broken'" in decision.reason
    assert not (await house.app.policies.of("acme")).can_execute("http.get")
    assert await decided(house, workspace_id="other") == ("allow", "catalogue")
    await house.app.policy_desk.put(who, "broken", NO_HOOKS)
    assert await decided(house) == ("allow", "catalogue")


async def test_a_rule_that_this_version_does_not_have_denies_everything(house: Installation) -> None:
    """A workspace that wants a rule never runs without it."""
    settings = WorkspaceSettings(rules=("ask_before_write", "rule_of_tomorrow"))
    await house.app.directory.change_settings("acme", settings, by=LOCAL_ACTOR)
    decision = (await house.app.policies.of("acme")).decide(await house.member(), "http.get", LOOK, {})
    assert said(decision) == ("deny", "policy_unreadable")
    assert "rule_of_tomorrow" in decision.reason


async def test_a_workspace_that_does_not_exist_runs_nothing(house: Installation) -> None:
    """Whoever claims to be in it."""
    stranger = Principal("key_x", "nowhere", (await house.member()).roles, (await house.member()).scopes)
    policy = await house.app.policies.of("nowhere")
    assert said(policy.decide(stranger, "http.get", LOOK, {})) == ("deny", "policy_unreadable")
    assert policy.can_execute("http.get", None, "nowhere") is False


async def test_a_policy_of_another_workspace_is_never_taken_for_ones_own(house: Installation) -> None:
    """Should the directory ever hand one out, nothing is decided by it."""
    who, app = await house.member(), house.app
    await app.policy_desk.put(await house.member("other"), "theirs", NO_HOOKS)

    class Confused(SqlDirectory):
        async def list_policies(self, workspace_id: str) -> tuple[WorkspacePolicy, ...]:
            return await super().list_policies("other")

    lists = ListPolicy(app.catalogue, None, None)
    policies = CedarPolicies(lists, app.catalogue, Confused(app.database, app.clock, app.vault))
    assert said((await policies.of("acme")).decide(who, "http.get", LOOK, {})) == ("deny", "policy_unreadable")


async def test_a_text_that_cannot_be_used_changes_nothing(house: Installation) -> None:
    """The change is refused with its place; what was in force stays in force."""
    who = await house.member()
    await house.app.policy_desk.put(who, "no_gets", NO_GETS)
    with pytest.raises(Invalid) as refused:
        await house.app.policy_desk.put(who, "no_gets", "permit (principal, action, resource);")
    assert refused.value.stable_code == "invalid_policy"
    assert await decided(house) == ("deny", "workspace/no_gets")
    (kept,) = await house.app.policy_desk.own(who)
    assert (kept.text, kept.changed_by) == (NO_GETS, who.actor_id)


async def test_a_workspace_has_so_many_policies_and_no_more(house: Installation) -> None:
    """Replacing one of them is still possible."""
    who = await house.member()
    for number in range(MAX_TEXTS):
        await keep(house, f"p{number}", NO_HOOKS)
    with pytest.raises(Invalid, match=f"at most {MAX_TEXTS} policies"):
        await house.app.policy_desk.put(who, "one_more", NO_HOOKS)
    await house.app.policy_desk.put(who, "p0", NO_GETS)
    assert await decided(house) == ("deny", "workspace/p0")


async def test_many_at_once_read_the_policies_once(house: Installation) -> None:
    """A busy worker costs the directory a look-up ten times a second, not one for every job."""
    await decided(house)
    house.app.policies.forget("acme")
    with statements_of(house.app.database) as told:
        found = await asyncio.gather(*(house.app.policies.of("acme") for _ in range(50)))
    assert sum("JOIN policies" in statement for statement in told) == 1
    assert len({id(policy) for policy in found}) == 1


async def test_who_stops_waiting_for_a_reading_harms_nobody(house: Installation) -> None:
    """The others read for themselves when whoever reads for them is cancelled, and are told what holds."""

    class Slow(SqlDirectory):
        begun, gate = asyncio.Event(), asyncio.Event()
        times = 0

        async def list_policies(self, workspace_id: str) -> tuple[WorkspacePolicy, ...]:
            self.times += 1
            self.begun.set()
            await self.gate.wait()
            return await super().list_policies(workspace_id)

    who, slow = await house.member(), Slow(house.app.database, house.app.clock, house.app.vault)
    policies = CedarPolicies(ListPolicy(house.app.catalogue, None, None), house.app.catalogue, slow)
    first = asyncio.create_task(policies.of("acme"))
    await slow.begun.wait()
    others = [asyncio.create_task(policies.of("acme")) for _ in range(3)]
    await turn()  # so that they wait for the first one's reading
    first.cancel()
    slow.gate.set()
    async with asyncio.timeout(10):
        found = await asyncio.gather(*others)
    assert {said(policy.decide(who, "http.get", LOOK, {})) for policy in found} == {("allow", "catalogue")}
    assert first.cancelled()
    assert slow.times == 2


async def test_a_store_that_is_away_is_said_and_not_remembered(house: Installation) -> None:
    """No decision is made on rules that could not be looked at; once they can be, it goes on at once."""

    async def rename(old: str, new: str) -> None:
        statement = text(f"ALTER TABLE {old} RENAME TO {new}")
        await house.app.database.write(lambda connection: connection.execute(statement).close())

    await rename("policies", "elsewhere")
    with pytest.raises(StoreUnavailable):
        await house.app.policies.of("acme")
    await rename("elsewhere", "policies")
    assert await decided(house) == ("allow", "catalogue")


WRITER = """
import asyncio, json, sys, time
from pathlib import Path
from steward.directory import LOCAL_ACTOR
from steward.workspace import WorkspaceSettings
from tests.installation import installation

async def main():
    async with installation(Path(sys.argv[1])) as house:
        who = (await house.app.directory.list_keys("acme"))[0].principal
        print("ready", flush=True)
        for line in sys.stdin:
            if line.strip() == "settings":
                await house.app.directory.change_settings("acme", WorkspaceSettings(rules=("reads_only",)), by=LOCAL_ACTOR)
            else:
                await house.app.policy_desk.put(who, "no_gets", line.strip())
            print(time.time(), flush=True)

asyncio.run(main())
"""


@pytest.mark.slow
async def test_a_change_in_one_process_is_in_force_in_another_within_200_ms(
    house: Installation, tmp_path: Path
) -> None:
    """For a policy and for a setting, while this process asks all the time."""
    await decided(house)
    writer = await asyncio.create_subprocess_exec(
        sys.executable, "-c", WRITER, str(tmp_path), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert writer.stdin is not None
    assert writer.stdout is not None
    assert (await writer.stdout.readline()).strip() == b"ready"
    for line, action_id, rule in ((NO_GETS, "http.get", "workspace/no_gets"), ("settings", "file.write", "reads_only")):
        assert (await decided(house, action_id))[0] == "allow"
        writer.stdin.write(f"{line}\n".encode())
        told = asyncio.create_task(writer.stdout.readline())
        while (await decided(house, action_id))[1] != rule:
            await house.app.database.ping()  # others may run
        seen = time.time()
        changed = json.loads(await told)
        assert seen - changed <= 0.2, f"{line}: {seen - changed:.3f} s"
    writer.stdin.close()
    assert await writer.wait() == 0
