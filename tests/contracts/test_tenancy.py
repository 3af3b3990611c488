"""What belongs to another workspace does not exist: every verb and get, with the other workspace's ids."""

import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from steward.approval import Verdict
from steward.errors import NotFound, StewardError
from steward.event import event_id
from steward.job import HandedBack, JobStatus
from steward.plan import PlanStatus
from steward.work_store import WorkStore
from tests.contracts.builders import ALPHA, BETA, World, doubt, failure, request_claim

pytestmark = pytest.mark.anyio

UNKNOWN = "000000000000000000000000"


@dataclass(frozen=True)
class Targets:
    """One of each, in the state in which its owner could act on it."""

    draft: str
    running: str
    pending_job: str
    failed_job: str
    unknown_job: str
    asking: str
    approval: str


NOBODY = Targets(
    *(f"plan_{UNKNOWN}", f"plan_{UNKNOWN}", f"job_{UNKNOWN}", f"job_{UNKNOWN}", f"job_{UNKNOWN}"),
    *(f"plan_{UNKNOWN}", f"apr_{UNKNOWN}"),
)

Verb = Callable[[WorkStore, Targets], Awaitable[Any]]

VERBS: dict[str, Verb] = {
    "decide_approval approve": lambda s, t: s.decide_approval(t.approval, "c" * 64, Verdict.APPROVE, None),
    "decide_approval reject": lambda s, t: s.decide_approval(t.approval, "c" * 64, Verdict.REJECT, "no"),
    "decide_approval other digest": lambda s, t: s.decide_approval(t.approval, "e" * 64, Verdict.APPROVE, None),
    "cancel_job": lambda s, t: s.cancel_job(t.pending_job),
    "cancel_job ended": lambda s, t: s.cancel_job(t.failed_job),
    "cancel_plan": lambda s, t: s.cancel_plan(t.running),
    "cancel_plan draft": lambda s, t: s.cancel_plan(t.draft),
    "retry_job": lambda s, t: s.retry_job(t.failed_job),
    "retry_job pending": lambda s, t: s.retry_job(t.pending_job),
    "resolve_job completed": lambda s, t: s.resolve_job(t.unknown_job, "completed", "n"),
    "resolve_job failed": lambda s, t: s.resolve_job(t.unknown_job, "failed", "n"),
}

GETS: dict[str, Verb] = {
    "get_plan": lambda s, t: s.get_plan(t.running),
    "get_plan draft": lambda s, t: s.get_plan(t.draft),
    "get_job": lambda s, t: s.get_job(t.pending_job),
    "get_approval": lambda s, t: s.get_approval(t.approval),
    "plan_jobs": lambda s, t: s.plan_jobs(t.running),
    "plan_approvals": lambda s, t: s.plan_approvals(t.asking),
    "list_jobs": lambda s, t: s.list_jobs(limit=10, plan_id=t.running),
    "events_after": lambda s, t: s.events_after(event_id(0), limit=10, plan_id=t.running),
}


async def _targets(world: World) -> Targets:
    draft = world.plan()
    await world.alpha.draft(draft)
    running = await world.submit(world.job("s1"), world.job("s2"), world.job("s3"))
    await world.run(running.job_ids[0], failure())
    await world.run(running.job_ids[1], doubt())
    lease = world.leases[running.job_ids[2]]
    await world.settle(lease, HandedBack())
    asking = await world.submit(approved=False)
    assert asking.approval_id
    return Targets(
        *(draft.plan_id, running.plan_id, running.job_ids[2], running.job_ids[0], running.job_ids[1]),
        *(asking.plan_id, asking.approval_id),
    )


async def _answer(verb: Verb, store: WorkStore, targets: Targets) -> tuple[type[Exception], str, str, dict[str, Any]]:
    with pytest.raises(NotFound) as caught:
        await verb(store, targets)
    return type(caught.value), caught.value.detail, caught.value.stable_code, caught.value.facts


@pytest.mark.parametrize("name", VERBS)
async def test_w48_a_verb_on_what_is_foreign_answers_as_for_what_is_unknown(world: World, name: str) -> None:
    """NotFound either way, word for word the same, and neither workspace has changed."""
    targets = await _targets(world)
    before = (await world.visible(ALPHA), await world.visible(BETA))
    assert await _answer(VERBS[name], world.beta, targets) == await _answer(VERBS[name], world.beta, NOBODY)
    assert (await world.visible(ALPHA), await world.visible(BETA)) == before


@pytest.mark.parametrize("name", GETS)
async def test_w48_a_get_of_what_is_foreign_answers_as_for_what_is_unknown(world: World, name: str) -> None:
    """The same nothing either way, while the owner sees it."""
    targets = await _targets(world)
    nothing = await GETS[name](world.beta, NOBODY)
    assert await GETS[name](world.beta, targets) == nothing
    assert await GETS[name](world.alpha, targets) != nothing


async def test_w47_listings_show_only_ones_own(world: World) -> None:
    """Every listing of the other workspace is empty, and so are its log and its depth."""
    await _targets(world)
    assert (await world.beta.list_jobs(limit=100)).jobs == ()
    assert (await world.beta.list_plans(limit=100)).plans == ()
    assert (await world.beta.list_approvals(limit=100)).approvals == ()
    assert await world.beta.queue_depth() == 0
    assert (await world.beta.events_after(event_id(0), limit=100)).events == ()


async def test_w47_the_work_of_a_foreign_plan_does_not_show(world: World) -> None:
    """Under another workspace's plan id there are no jobs, listed or whole, with or without a status, and no events."""
    for plan_id in (await _targets(world)).running, (await world.submit()).plan_id:
        assert await world.alpha.plan_jobs(plan_id) != ()
        assert await world.beta.plan_jobs(plan_id) == ()
        for status in (None, *JobStatus):
            assert (await world.beta.list_jobs(limit=10, plan_id=plan_id, status=status)).jobs == ()
        assert (await world.beta.events_after(event_id(0), limit=10, plan_id=plan_id)).events == ()


@pytest.mark.parametrize("which", ["draft", "running"])
async def test_w49_a_foreign_plan_id_executes_nothing_of_its_owner(world: World, which: str) -> None:
    """Submitting under another workspace's plan id neither runs, reveals nor changes that plan."""
    targets = await _targets(world)
    before = await world.visible(ALPHA)
    plan_id = getattr(targets, which)
    submitted = None
    with contextlib.suppress(StewardError):
        submitted = await world.beta.submit(world.submission(who=BETA, plan=world.plan(who=BETA, plan_id=plan_id)))
    jobs = await world.beta.plan_jobs(plan_id)
    assert tuple(job.job_id for job in jobs) == (submitted.job_ids if submitted else ())
    assert {job.workspace_id for job in jobs} <= {"beta"}
    assert submitted is None or not submitted.duplicate
    assert await world.visible(ALPHA) == before


async def test_a_foreign_job_id_cannot_be_taken_over(world: World) -> None:
    """Submitting a job under another workspace's job id changes nothing of that job."""
    targets = await _targets(world)
    before = await world.visible(ALPHA)
    with contextlib.suppress(StewardError):
        await world.submit(world.job("s1", job_id=targets.pending_job), who=BETA)
    assert {job.workspace_id for job in (await world.beta.list_jobs(limit=10)).jobs} <= {"beta"}
    assert await world.visible(ALPHA) == before


async def test_w46_w49_the_workspace_comes_from_the_principal(world: World) -> None:
    """A record that names another workspace lands in the principal's own, or nowhere; never in the other."""
    plan = replace(world.plan(who=BETA), workspace_id="alpha", actor_id=ALPHA.actor_id)
    draft = replace(world.plan(who=BETA), workspace_id="alpha", actor_id=ALPHA.actor_id)
    submission = world.submission(who=BETA, plan=plan, claims=[request_claim("k")], approved=False)
    assert submission.approval is not None
    asked = replace(submission.approval, workspace_id="alpha")
    submission = replace(submission, approval=asked)
    for call in (world.beta.submit(submission), world.beta.draft(draft)):
        with contextlib.suppress(StewardError):
            await call
    nothing = world.engine.open(ALPHA)
    assert (await nothing.list_plans(limit=10)).plans == ()
    assert (await nothing.list_jobs(limit=10)).jobs == ()
    assert (await nothing.list_approvals(limit=10)).approvals == ()
    assert await nothing.plan_approvals(asked.plan_id) == ()
    assert await nothing.get_approval(asked.approval_id) is None
    assert (await nothing.events_after(event_id(0), limit=10)).events == ()
    for listed in (await world.beta.list_jobs(limit=10)).jobs:
        job = await world.job_of(listed.job_id, BETA)
        assert (listed.workspace_id, job.workspace_id, job.actor_id) == ("beta", "beta", BETA.actor_id)
    assert not (await world.submit(claims=[request_claim("k", "other")])).duplicate


async def test_a_lease_opens_its_own_workspace_only(world: World) -> None:
    """The store in a lease sees its job's workspace, as its job's actor, whoever else's job is in the batch."""
    mine, theirs = await world.submit(), await world.submit(who=BETA)
    leases = {lease.job.workspace_id: lease for lease in await world.claim()}
    assert leases["alpha"].store.principal.workspace_id == "alpha"
    assert leases["beta"].store.principal.actor_id == BETA.actor_id
    assert await leases["alpha"].store.get_job(theirs.job_ids[0]) is None
    assert await leases["beta"].store.get_job(mine.job_ids[0]) is None
    with pytest.raises(NotFound):
        await leases["beta"].store.cancel_job(mine.job_ids[0])


async def test_two_workspaces_with_the_same_names_do_not_mix(world: World) -> None:
    """The same step ids, keys and actions in both: each plan is released, failed and ended by its own jobs."""
    mine = await world.submit(world.job("s1"), world.job("s2", "s1"), claims=[request_claim("k")])
    theirs = await world.submit(world.job("s1"), world.job("s2", "s1"), who=BETA, claims=[request_claim("k")])
    await world.run(mine.job_ids[0], failure())
    await world.run(theirs.job_ids[0])
    assert await world.statuses(mine) == [JobStatus.FAILED, JobStatus.CANCELLED]
    assert await world.statuses(theirs, BETA) == [JobStatus.COMPLETED, JobStatus.PENDING]
    assert (await world.plan_of(theirs.plan_id, BETA)).status is PlanStatus.RUNNING
