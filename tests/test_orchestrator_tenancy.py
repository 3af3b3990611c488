"""Whose work it is: what one workspace and one actor can see and do, and the one-step plans called previews."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from steward.errors import Invalid, NotFound, PolicyDenied
from steward.identity import Principal, Role
from steward.job import JobStatus
from steward.orchestrator import RequestedAction
from tests.conftest import FakeClock
from tests.installation import Installation, installation, planned
from tests.worker.deeds import note

pytestmark = pytest.mark.anyio
S = JobStatus
NOTE = planned("deeds.note", text="hello")


@pytest.fixture
async def house(tmp_path: Path, clock: FakeClock) -> AsyncIterator[Installation]:
    """Return an open installation with one own action; nothing runs unless a test starts a worker."""
    async with installation(tmp_path, clock=clock) as inst:
        inst.add(note([]))
        yield inst


async def nothing_submitted(house: Installation, who: Principal | None = None) -> bool:
    """Say whether there is no job at all."""
    store = house.app.engine.open(who or await house.member())
    return (await store.list_jobs(limit=1)).jobs == ()


# -- tenancy ----------------------------------------------------------------------------------------------------------


async def test_w48_w49_foreign_and_unknown_plans_are_the_same(house: Installation) -> None:
    """Whatever is asked about another workspace's plan, the answer is the one for a plan that never was."""
    document = await house.plan("note hello")
    intruder = await house.member("other")
    orchestrator = house.app.orchestrator
    told = []
    for plan_id in (document["plan_id"], house.app.ids.new("plan"), "plan_nonsense", "", "x" * 10_000, "plan_\n"):
        for attempt in (
            house.execute(plan_id, intruder),
            orchestrator.show_plan(intruder, plan_id),
            orchestrator.revise(intruder, plan_id, answers=None, steps=[NOTE], request_id="r"),
            orchestrator.execute_preview(intruder, plan_id, wait_ms=0, request_id="r"),
        ):
            with pytest.raises(NotFound) as caught:
                await attempt
            told.append((caught.value.stable_code, caught.value.detail, str(caught.value.facts)))
    assert len(set(told)) == 1
    assert await nothing_submitted(house, intruder)
    assert await nothing_submitted(house)


async def test_w20_one_key_in_two_workspaces_makes_two_jobs(house: Installation) -> None:
    """Keys and names are the workspace's own."""
    other = await house.member("other")

    async def execute(who: Principal) -> Any:
        named = [RequestedAction(NOTE, "name")]
        return await house.app.orchestrator.execute_actions(
            who, named, run_at=None, idempotency_key="once", request_id="req-test"
        )

    mine, theirs = await execute(await house.member()), await execute(other)
    assert not theirs.duplicate
    assert set(mine.job_ids).isdisjoint(theirs.job_ids)


async def test_w46_w47_work_belongs_to_whoever_asked(house: Installation) -> None:
    """The recorded workspace and actor are the principal's, and lists show one workspace only."""
    colleague, other = await house.member(role=Role.ADMIN), await house.member("other")
    document = await house.plan("note hello")
    submitted = await house.execute(document["plan_id"], colleague)
    job = await house.job(submitted.job_ids[0])
    assert (job.workspace_id, job.actor_id) == ("acme", colleague.actor_id)
    await house.submit(NOTE, who=other)
    for who in (colleague, other):
        store = house.app.engine.open(who)
        assert {found.workspace_id for found in (await store.list_jobs(limit=100)).jobs} == {who.workspace_id}
        assert {found.workspace_id for found in (await store.list_plans(limit=100)).plans} == {who.workspace_id}
        assert {event.workspace_id for event in await house.events(who)} == {who.workspace_id}
        listed = (await store.list_jobs(limit=10, plan_id=submitted.plan_id)).jobs
        assert [found.job_id for found in listed] == ([] if who is other else [job.job_id])


@pytest.mark.parametrize("setting", [{}, {"METRICS_WORKSPACE_LABEL": "on"}, {"METRICS_WORKSPACE_ALLOWLIST": "other"}])
async def test_w50_metrics_settings_never_decide_about_access(
    tmp_path: Path, clock: FakeClock, setting: dict[str, str]
) -> None:
    """With or without labels, a foreign plan is not found and one's own is executed."""
    async with installation(tmp_path, clock=clock, env=setting) as house:
        house.add(note([]))
        document = await house.plan("note hello")
        with pytest.raises(NotFound):
            await house.execute(document["plan_id"], await house.member("other"))
        assert not (await house.execute(document["plan_id"])).duplicate


async def test_an_operator_plans_nothing(house: Installation) -> None:
    """Whoever runs the installation has no work in it."""
    operator = Principal("key_op", "system", frozenset({Role.OPERATOR}))
    assert (await house.plan("note hello", operator))["steps"] == []
    with pytest.raises(PolicyDenied):
        await house.submit(NOTE, who=operator)


# -- previews ---------------------------------------------------------------------------------------------------------


async def test_a_preview_is_executed_once_and_waited_for(house: Installation) -> None:
    """It ends with the job; asked again, the same job comes back."""
    who = await house.member()
    preview = await house.app.orchestrator.preview(who, "deeds.note", {"text": "hello"}, "req-1")
    async with house.worker():
        job = await house.app.orchestrator.execute_preview(who, preview["plan_id"], wait_ms=10_000, request_id="r")
    again = await house.app.orchestrator.execute_preview(who, preview["plan_id"], wait_ms=0, request_id="r")
    assert (job.status, job.result) == (S.COMPLETED, {"text": "hello"})
    assert again == job


async def test_a_preview_that_takes_longer_is_shown_as_it_stands(house: Installation) -> None:
    """Nobody works here: after the wait the job is still pending."""
    who = await house.member()
    preview = await house.app.orchestrator.preview(who, "deeds.note", {"text": "hello"}, "req-1")
    job = await house.app.orchestrator.execute_preview(who, preview["plan_id"], wait_ms=20, request_id="r")
    assert job.status is S.PENDING


async def test_only_a_one_step_plan_is_a_preview(house: Installation) -> None:
    """Waiting for one job is only possible where there is one."""
    document = await house.plan("note hello and then note bye")
    with pytest.raises(Invalid, match="one-step plan"):
        await house.app.orchestrator.execute_preview(
            await house.member(), document["plan_id"], wait_ms=0, request_id="r"
        )
    assert await nothing_submitted(house)


@pytest.mark.parametrize("action_id", ["", "deeds.note\n", "no", "x" * 10_000, "\ud800.x", "deeds.nоte"])
async def test_w51_w141_a_malformed_action_id_is_refused(house: Installation, action_id: str) -> None:
    """Never a crash, never a draft."""
    with pytest.raises(Invalid):
        await house.app.orchestrator.preview(await house.member(), action_id, {}, "req-1")
    page = await house.app.orchestrator.list_plans(await house.member(), limit=1, after=None, status=None)
    assert page.plans == ()
