"""Damage in the directory, over HTTP: one row that cannot be read lets nobody in, hides no other and stops nobody else."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import pytest
from sqlalchemy import Table, literal_column, update

from steward.database.tables import api_keys, members, workspaces
from steward.directory import LOCAL_ACTOR
from steward.errors import Forbidden, SettingsUnreadable
from steward.identity import Role
from steward.job import JobStatus
from steward.usage import settings_of
from steward.workspace import Cap, WorkspaceSettings
from tests.conftest import FakeClock
from tests.databases import KINDS
from tests.postgresql import server
from tests.redis_server import shared_server
from tests.web.house import House, assert_problem, echo, open_house

pytestmark = pytest.mark.anyio
ODD: Final = ("{broken", '{"from_tomorrow": 1}')
"""Settings that cannot be read."""
UNTOLD: Final = "(This record cannot be read.)"


@pytest.fixture(params=["sqlite", "postgresql", "redis"])
async def house(request: pytest.FixtureRequest, tmp_path: Path, clock: FakeClock) -> AsyncIterator[House]:
    """Return an open installation with its work in each place that work can live in."""
    env: dict[str, Any] = {}
    name = server().lend() if request.param == "postgresql" else ""
    if name:
        env = {"DATABASE_URL": server().url(name)}
    elif request.param == "redis":
        redis = shared_server()
        env = {"REDIS_URL": redis.url(redis.new_database()), "REDIS_EFFECT_SAFETY": "fast"}
    async with open_house(tmp_path, clock=clock, **env) as opened:
        yield opened
    if name:
        server().give_back(name)


async def damage(house: House, clock: FakeClock, table: Table, where: Any, **values: Any) -> None:
    """Write past the directory, and let it forget what it has just read."""
    statement = update(table).where(where).values(values)
    await house.app.database.write(lambda connection: connection.execute(statement).close())
    clock.advance(0.2)


@pytest.mark.parametrize("text", ODD)
async def test_w43_settings_that_cannot_be_read_stop_their_own_workspace_alone(
    house: House, clock: FakeClock, text: str
) -> None:
    """It says what is wrong and what to do, runs nothing and shows its work; others go on, and so does it once they are set."""
    acme, beta = await house.client("acme", Role.ADMIN), await house.client("beta")
    waiting = (await acme.post("/ai/execute", json={"actions": [echo()]})).json()["job_ids"][0]
    capped = WorkspaceSettings(caps={"*": Cap(max_running=3)})
    await house.app.directory.change_settings("beta", capped, by=LOCAL_ACTOR)
    await damage(house, clock, workspaces, workspaces.c.workspace_id == "acme", settings=text)

    for path in ("/workspaces/acme", "/workspaces/acme/usage", f"/ai/jobs/{waiting}/explain", "/policies/default"):
        problem = assert_problem(await acme.get(path), 409, "settings_unreadable")
        assert "steward workspaces settings" in problem["detail"]
    refused = assert_problem(await acme.post("/ai/execute", json={"actions": [echo()]}), 403, "policy_denied")
    assert "settings cannot be read" in refused["detail"]
    assert "steward workspaces settings" in refused["detail"]
    assert (await acme.get("/ai/jobs")).json()["jobs"][0]["job_id"] == waiting
    host = await house.client("system", Role.OPERATOR)
    listed = (await host.get("/workspaces")).json()["workspaces"]
    assert [item["workspace_id"] for item in listed] == ["acme", "beta"]

    other = (await beta.post("/ai/execute", json={"actions": [echo()]})).json()["job_ids"][0]
    caps = await house.app.directory.list_caps()
    claimed = await house.app.engine.dispatcher.claim("worker", limit=9, caps=caps)
    assert [lease.job.job_id for lease in claimed.leases] == [other]
    assert caps["beta"] == capped.caps

    put = await acme.put("/workspaces/acme/settings", json={"settings": {}})
    assert put.status_code == 200
    claimed = await house.app.engine.dispatcher.claim("worker", limit=9, caps=await house.app.directory.list_caps())
    assert [lease.job.job_id for lease in claimed.leases] == [waiting]


async def test_w43_what_was_claimed_before_the_settings_were_damaged_has_no_effect(
    house: House, clock: FakeClock
) -> None:
    """It is denied where it would begin: nobody can tell what the workspace forbids."""
    acme = await house.client("acme")
    await acme.post("/ai/execute", json={"actions": [echo()]})
    (lease,) = (await house.app.engine.dispatcher.claim("worker", limit=1)).leases
    await damage(house, clock, workspaces, workspaces.c.workspace_id == "acme", settings="{broken")
    policy = await house.app.policies.of("acme")
    decision = policy.decide(lease.store.principal, "sample.echo", {"text": "hello"}, {"resolved": True})
    assert (decision.rule, lease.job.status) == ("policy_unreadable", JobStatus.RUNNING)
    with pytest.raises(SettingsUnreadable):
        await settings_of(house.app.directory, "acme")


@pytest.mark.parametrize("house", KINDS, indirect=True)
@pytest.mark.parametrize(
    "values", [{"role": "boss"}, {"created_at": 10**17}, {"secret_hash": b"", "role": "x"}], ids=str
)
async def test_w43_a_damaged_key_opens_nothing_and_hides_no_other(
    house: House, clock: FakeClock, values: dict[str, Any]
) -> None:
    """It is refused as an unknown one is, listed as revoked under a name that says why, and revoked for good if asked."""
    admin, token = await house.client("acme", Role.ADMIN), await house.key("acme")
    key_id = "key_" + token.split("_")[1]
    await damage(house, clock, api_keys, api_keys.c.key_id == key_id, **values)
    holder, stranger = await house.client_with(token), await house.client_with(f"stw_{'z' * 24}_{'a' * 52}")
    answers = [assert_problem(await who.get("/ai/jobs"), 401, "unauthenticated") for who in (holder, stranger)]
    assert answers[0]["detail"] == answers[1]["detail"]
    assert await house.app.directory.principal_of("acme", key_id) is None

    listed = {item["key_id"]: item for item in (await admin.get("/keys")).json()["keys"]}
    assert len(listed) == 2
    assert (listed[key_id]["name"], listed[key_id]["state"]) == (UNTOLD, "revoked")
    assert_problem(await admin.put(f"/keys/{key_id}/role", json={"role": "admin"}), 409, "key_revoked")
    assert (await admin.delete(f"/keys/{key_id}")).status_code == 200
    await damage(house, clock, api_keys, api_keys.c.key_id == key_id, role="developer", created_at=0)
    assert_problem(await holder.get("/ai/jobs"), 401, "unauthenticated")


@pytest.mark.parametrize("house", KINDS, indirect=True)
@pytest.mark.parametrize("values", [{"roles": "{broken"}, {"scopes": '["all"]'}, {"disabled_at": 10**17}], ids=str)
async def test_w43_a_damaged_member_may_do_nothing_and_hides_no_other(
    house: House, clock: FakeClock, values: dict[str, Any]
) -> None:
    """A good token does not help; it is listed as disabled under a name that says why; an admin settles it anew."""
    admin, directory = await house.client("acme", Role.ADMIN), house.app.directory
    roles = frozenset({Role.DEVELOPER})
    for name in ("alice", "bob"):
        await directory.admit("acme", name, name, roles, None)
    await damage(house, clock, members, members.c.actor_id == "alice", **values)
    with pytest.raises(Forbidden) as refused:
        await directory.admit("acme", "alice", "alice", roles, None)
    assert refused.value.stable_code == "member_disabled"
    assert await directory.principal_of("acme", "alice") is None

    listed = (await admin.get("/members")).json()["members"]
    assert [(item["actor_id"], item["name"], item["state"]) for item in listed] == [
        ("alice", UNTOLD, "disabled"),
        ("bob", "bob", "enabled"),
    ]
    changed = await admin.put("/members/alice", json={"roles": ["viewer"]})
    assert (changed.json()["state"], changed.json()["name"]) == ("disabled", "alice")
    await admin.put("/members/alice", json={"disabled": False})
    assert (await directory.admit("acme", "alice", "alice", roles, None)).roles == {Role.VIEWER}


@pytest.mark.parametrize("house", ["sqlite"], indirect=True)
@pytest.mark.parametrize("column", ["secret_hash", "name", "expires_at", "owner"])
async def test_w43_a_value_of_the_wrong_type_in_a_key_opens_nothing(
    house: House, clock: FakeClock, column: str
) -> None:
    """SQLite keeps whatever it is given, a text for a hash as well: the answer is that of an unknown key."""
    token, admin = await house.key("acme"), await house.client("acme", Role.ADMIN)
    odd = literal_column("'text'" if column == "secret_hash" else "x'ff'")
    await damage(house, clock, api_keys, api_keys.c.key_id == "key_" + token.split("_")[1], **{column: odd})
    assert_problem(await (await house.client_with(token)).get("/ai/jobs"), 401, "unauthenticated")
    assert [item["state"] for item in (await admin.get("/keys")).json()["keys"]] == ["revoked", "enabled"]
