"""Attempts to get past an approval: with somebody else's credential, another digest, an old yes, a lucky moment."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from steward.authenticators.api_key import mint_key
from steward.event import EventType
from steward.identity import Role
from steward.job import JobStatus
from steward.plan import PlanStatus
from steward.policy import Ask
from steward.work_store import APPROVAL_S
from tests.asking import Asking
from tests.cli.conftest import Process, environment
from tests.conftest import FakeClock
from tests.installation import SECRET, installation, planned
from tests.web.house import House, assert_problem, open_house
from tests.web.test_approvals import asked, count, decide, shown
from tests.worker.deeds import note

pytestmark = pytest.mark.anyio
VERBS = ("approve", "reject")


@pytest.fixture
def asking() -> Asking:
    """Return rules under which ``sample.count`` asks."""
    rules = Asking()
    rules.ask("sample.count")
    return rules


@pytest.fixture
async def house(tmp_path: Path, asking: Asking, clock: FakeClock, anyio_backend: str) -> AsyncIterator[House]:
    """Return an open installation whose policy asks, on a clock that the test moves."""
    async with open_house(tmp_path, asking=asking, clock=clock) as opened:
        yield opened


async def test_w48_an_approval_of_another_workspace_does_not_exist(house: House) -> None:
    """Every route answers an admin of another workspace as for an id that nobody has, byte for byte; nothing changes."""
    owner, stranger = await house.client(role=Role.ADMIN), await house.client("beta", Role.ADMIN)
    approval = await shown(owner, (await asked(owner))["approval_id"])
    own = approval["approval_id"]
    ids = (
        own,
        f"appr_{'z' * 24}",
        "appr_x",
        own.upper(),
        f"{own}%0A",
        own.replace("appr", "plan"),
        own[:-1] + "%C3%A9",
    )
    for method, path in (("GET", ""), ("POST", "/approve"), ("POST", "/reject")):
        parts: dict[str, Any] = {"json": {"digest": approval["digest"]}} if method == "POST" else {}
        answers = [await stranger.request(method, f"/ai/approvals/{one}{path}", **parts) for one in ids]
        for answer in answers:
            assert_problem(answer, 404, "not_found")
        assert len({answer.text.replace(answer.headers["x-request-id"], "") for answer in answers}) == 1
    for status in ("pending", "approved"):
        assert (await stranger.get("/ai/approvals", params={"status": status})).json()["approvals"] == []
    assert await shown(owner, own) == approval


async def test_look_alike_ids_decide_nothing(house: House) -> None:
    """Upper case, a trailing newline, other letters that look the same: none of them is the approval, for its owner too."""
    owner = await house.client(role=Role.ADMIN)
    approval = await shown(owner, (await asked(owner))["approval_id"])
    own = approval["approval_id"]
    for one in (
        own.upper(),
        f"{own}%0A",
        f"{own}%00",
        f"%20{own}",
        own.replace("a", "а"),
        own + "0",
    ):
        answer = await owner.post(f"/ai/approvals/{one}/approve", json={"digest": approval["digest"]})
        assert answer.status_code == 404, one
    assert (await shown(owner, own))["status"] == "pending"


@pytest.mark.parametrize("role", [Role.VIEWER, Role.DEVELOPER, Role.AUDITOR])
async def test_without_the_scope_nothing_is_seen_or_decided(house: House, role: Role) -> None:
    """403 that names the scope, on every route, whoever made the plan; no credential is 401."""
    approval = await shown(await house.client(role=Role.APPROVER), (await asked(await house.client()))["approval_id"])
    client, nobody = await house.client(role=role), await house.client_with(None)
    path = f"/ai/approvals/{approval['approval_id']}"
    for who, status, code in ((client, 403, "missing_scope"), (nobody, 401, "unauthenticated")):
        for verb in VERBS:
            assert_problem(await decide(who, approval, verb), status, code)
        for listing in ("/ai/approvals", path):
            assert_problem(await who.get(listing), status, code)
    assert await shown(await house.client(role=Role.APPROVER), approval["approval_id"]) == approval


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"])
async def test_only_a_post_decides(house: House, method: str) -> None:
    """A link in a mail, a preview of one, or a method that is not offered decides nothing, with or without the digest."""
    approver = await house.client(role=Role.APPROVER)
    approval = await shown(approver, (await asked(await house.client()))["approval_id"])
    for verb in VERBS:
        for query in ("", f"?digest={approval['digest']}"):
            path = f"/ai/approvals/{approval['approval_id']}/{verb}{query}"
            assert (await approver.request(method, path)).status_code == 405
    for path in ("", f"?digest={approval['digest']}", f"?_method=POST&digest={approval['digest']}"):
        await approver.request("HEAD", f"/ai/approvals/{approval['approval_id']}{path}")
        await approver.get(f"/ai/approvals/{approval['approval_id']}{path}")
    assert await shown(approver, approval["approval_id"]) == approval


async def test_a_rotated_key_is_the_same_person(house: House, asking: Asking) -> None:
    """Where another person must approve, neither the successors of the key that asked nor its predecessors are one."""
    asking.ask("sample.count", Ask("four_eyes", "Two people.", another_person=True))
    keys = [await house.key(role=Role.ADMIN, owner="anna")]
    for _ in range(3):
        client = await house.client_with(keys[-1])
        path = f"/keys/key_{keys[-1].split('_')[1]}/rotate"
        keys.append((await client.post(path, json={"overlap_s": 3600})).json()["key"])
    clients = [await house.client_with(key) for key in keys]
    approval = await shown(clients[1], (await asked(clients[1]))["approval_id"])
    for client in clients:
        assert_problem(await decide(client, approval, "approve"), 403, "another_person_required")
    somebody = await house.client(role=Role.ADMIN, owner="bert")
    assert (await decide(somebody, approval, "approve")).json()["status"] == "approved"


async def test_a_second_credential_is_no_second_person(house: House, asking: Asking) -> None:
    """A key that an admin makes for themselves, or that names the same owner, counts as who they are; so does a token."""
    asking.ask("sample.count", Ask("four_eyes", "Two people.", another_person=True))
    anna = await house.client(role=Role.ADMIN, owner="anna")
    made = (await anna.post("/keys", json={"role": "admin"})).json()
    assert made["owner"] == "anna"
    again = await house.client_with(
        (await (await house.client_with(made["key"])).post("/keys", json={"role": "admin"})).json()["key"]
    )
    twin = await house.client(role=Role.ADMIN, owner="anna")
    approval = await shown(anna, (await asked(anna))["approval_id"])
    for client in (anna, await house.client_with(made["key"]), again, twin):
        assert_problem(await decide(client, approval, "approve"), 403, "another_person_required")
    assert "anna" in await house.app.directory.same_person(made["key_id"])
    bert = await house.client(role=Role.APPROVER, owner="bert")
    assert (await decide(bert, approval, "approve")).json()["status"] == "approved"


@pytest.mark.parametrize(("asks", "decides"), [(None, "bert"), ("anna", None), (None, None)])
async def test_a_key_that_names_nobody_is_not_another_person(
    house: House, asking: Asking, asks: str | None, decides: str | None
) -> None:
    """It cannot be told whose it is, so it neither approves nor is approved for; a no is always possible."""
    asking.ask("sample.count", Ask("four_eyes", "Two people.", another_person=True))
    asker = await house.client(role=Role.ADMIN, owner=asks)
    approver = await house.client(role=Role.APPROVER, owner=decides)
    approval = await shown(approver, (await asked(asker))["approval_id"])
    refused = await decide(approver, approval, "approve")
    assert "owner" in assert_problem(refused, 403, "another_person_required")["detail"]
    assert (await decide(approver, approval, "reject")).json()["status"] == "rejected"


async def test_a_key_is_made_for_a_member_and_for_nobody_else(house: House) -> None:
    """A name that no member has is refused, and so is one that looks like a key's."""
    admin = await house.client(role=Role.ADMIN, owner="anna")
    assert_problem(await admin.post("/keys", json={"role": "viewer", "owner": "nobody"}), 422, "unknown_owner")
    odd = await admin.post("/keys", json={"role": "viewer", "owner": "key_0000000000000000000000aa"})
    assert_problem(odd, 422, "invalid_actor_id")
    await house.app.directory.set_member("acme", "bert", by="test")
    made = (await admin.post("/keys", json={"role": "viewer", "owner": "bert"})).json()
    assert made["owner"] == "bert"
    listed = {key["key_id"]: key["owner"] for key in (await admin.get("/keys")).json()["keys"]}
    assert listed[made["key_id"]] == "bert"
    (told, *_) = (await house.app.audit_log.query("acme", limit=1, kind="key.created")).records
    assert told.entry.facts["owner"] == "bert"


async def test_a_yes_is_to_one_plan_and_one_time(house: House, clock: FakeClock) -> None:
    """The digest of another plan, an approval that was used, replayed or has run out: 409, and nothing is released."""
    developer, approver = await house.client(), await house.client(role=Role.APPROVER)
    small, large = await asked(developer, count("a")), await asked(developer, count("a" * 99))
    first, second = await shown(approver, small["approval_id"]), await shown(approver, large["approval_id"])
    crossed = {**second, "digest": first["digest"]}
    for verb in VERBS:
        assert_problem(await decide(approver, crossed, verb), 409, "approval_mismatch")
    assert (await decide(approver, first, "approve")).status_code == 200
    twin = await shown(approver, (await asked(developer, count("a")))["approval_id"])
    assert twin["digest"] == first["digest"]
    for _ in range(3):  # the same request again, and again
        assert (await decide(approver, first, "approve")).status_code == 200
    assert (await shown(approver, twin["approval_id"]))["status"] == "pending"
    clock.advance(APPROVAL_S + 1)
    for verb in VERBS:
        assert_problem(await decide(approver, second, verb), 409, "illegal_transition")
    await house.app.engine.dispatcher.sweep()
    assert_problem(await decide(approver, second, "approve"), 409, "illegal_transition")
    jobs = (await developer.get("/ai/jobs")).json()["jobs"]
    assert [job["status"] for job in jobs if job["plan_id"] != small["plan_id"]] == ["cancelled", "cancelled"]


async def test_a_revoked_approver_approves_nothing(house: House) -> None:
    """401 with a key that was revoked since the approval was shown; the approval stays."""
    token = await house.key(role=Role.APPROVER)
    approver = await house.client_with(token)
    approval = await shown(approver, (await asked(await house.client()))["approval_id"])
    await house.app.directory.revoke_key(f"key_{token.split('_')[1]}", by="test")
    assert_problem(await decide(approver, approval, "approve"), 401, "unauthenticated")
    assert (await shown(await house.client(role=Role.APPROVER), approval["approval_id"]))["status"] == "pending"


async def test_nothing_in_a_request_makes_somebody_another_person(house: House, asking: Asking) -> None:
    """Neither a claimed actor nor more fields get the plan's own maker past the rule."""
    asking.ask("sample.count", Ask("four_eyes", "Two people.", another_person=True))
    admin = await house.client(role=Role.ADMIN)
    approval = await shown(admin, (await asked(admin))["approval_id"])
    for more, status in (
        ({"actor_id": "key_somebody"}, 403),
        ({"decided_by": "key_somebody"}, 422),
        ({"another_person": False}, 422),
        ({"requested_by": "key_somebody"}, 422),
        ({}, 403),
    ):
        assert (await decide(admin, approval, "approve", **more)).status_code == status
    path = f"/ai/approvals/{approval['approval_id']}/approve?actor_id=key_somebody"
    assert_problem(await admin.post(path, json={"digest": approval["digest"]}), 403, "workspace_mismatch")
    assert await shown(admin, approval["approval_id"]) == approval


async def test_what_was_approved_cannot_be_swapped(house: House) -> None:
    """A revised plan is another plan: the yes stays with the one that was shown, and the new one asks for its own."""
    developer, approver = await house.client(), await house.client(role=Role.APPROVER)
    done = await asked(developer, count("harmless"))
    assert (await decide(approver, await shown(approver, done["approval_id"]), "approve")).status_code == 200
    revised = await developer.post(f"/ai/plans/{done['plan_id']}/revise", json={"steps": [count("evil")]})
    assert revised.status_code == 200, revised.text
    again = (await developer.post("/ai/execute", json={"plan_id": revised.json()["plan_id"]})).json()
    assert (again["status"], again["approval_id"] != done["approval_id"]) == ("awaiting_approval", True)


@pytest.mark.slow
@pytest.mark.timeout(150)
async def test_of_many_who_decide_at_once_in_two_processes_one_is_heard(tmp_path: Path, asking: Asking) -> None:
    """Twelve approve and twelve reject, through two servers on one store, plan after plan.

    Exactly one of them is answered with success, everybody else with 409; the jobs are released once or cancelled once,
    and a released effect happens once.
    """
    done: list[Any] = []
    asking.ask("deeds.note")
    env = environment(tmp_path, STEWARD_SECRET_KEY=SECRET)
    async with installation(tmp_path, asking=asking) as house:
        house.add(note(done))
        developer = await house.member()
        tokens = []
        for _ in range(24):
            key, token = mint_key(house.app.ids, house.app.clock, "acme", Role.APPROVER, "crowd", None)
            await house.app.directory.add_key(key, by="test")
            tokens.append(token)
        servers = [Process.start(env, "serve", "--port", "0") for _ in range(2)]
        try:
            urls = [await asyncio.to_thread(server.url) for server in servers]
            async with httpx2.AsyncClient(timeout=60) as client:
                for round_ in range(4):
                    submitted = await house.submit(
                        planned("deeds.note", text=str(round_)), planned("deeds.note", text="x")
                    )
                    (approval,) = await house.app.engine.open(developer).plan_approvals(submitted.plan_id)

                    async def decide_as(
                        number: int, approval_id: str = approval.approval_id, digest: str = approval.digest
                    ) -> str:
                        verb = VERBS[number % 2]
                        answer = await client.post(
                            f"{urls[number // 2 % 2]}/ai/approvals/{approval_id}/{verb}",
                            headers={"Authorization": f"Bearer {tokens[number]}"},
                            json={"digest": digest},
                        )
                        return verb if answer.status_code == 200 else answer.json()["code"]

                    told = await asyncio.gather(*(decide_as(number) for number in range(24)))
                    (heard,) = [word for word in told if word in VERBS]
                    assert sorted(set(told) - {heard}) == ["illegal_transition"]
                    jobs = await house.run_until_settled(submitted.plan_id)
                    plan = await house.app.engine.open(developer).get_plan(submitted.plan_id)
                    assert plan is not None
                    if heard == "approve":
                        assert {job.status for job in jobs} == {JobStatus.COMPLETED}
                        assert (plan.status, done.count(str(round_))) == (PlanStatus.COMPLETED, 1)
                    else:
                        assert {job.status for job in jobs} == {JobStatus.CANCELLED}
                        assert (plan.status, done.count(str(round_))) == (PlanStatus.REJECTED, 0)
                    told_events = [event for event in await house.events() if event.plan_id == submitted.plan_id]
                    assert [event.type for event in told_events].count(EventType.APPROVAL_DECIDED) == 1
                    released = [event.job_id for event in told_events if event.type is EventType.JOB_RELEASED]
                    assert sorted(map(str, released)) == (sorted(submitted.job_ids) if heard == "approve" else [])
        finally:
            for server in servers:
                server.close()
