"""hold: a running step is put aside until a person has looked, and what becomes of it then."""

import pytest

from steward.approval import ApprovalStatus, Verdict
from steward.errors import (
    IllegalTransition,
    NotFound,
)
from steward.event import EventType
from steward.job import LEASE_S, Difference, Expanded, HeldFor, JobStatus
from steward.plan import PlanStatus
from steward.work_store import APPROVAL_S, Granted, Refused
from tests.contracts.builders import ALPHA, World, asking, held

pytestmark = pytest.mark.anyio

S = JobStatus
DIGEST = "c" * 64


async def test_a_running_step_can_be_held_for_a_person(world: World) -> None:
    """Held: off the floor, the attempt does not count, the request is in the inbox, independent steps go on."""
    submitted = await world.submit(world.job("s1"), world.job("s2", "s1"), world.job("s3"))
    lease, approval_id = await held(world, submitted)
    job = await world.job_of(submitted.job_ids[0])
    assert (job.status, job.held_for, job.reason) == (S.HELD, HeldFor.APPROVAL, "The address came from a page.")
    assert (job.attempts, job.first_dispatched_at) == (0, None)
    assert job.fence == lease.job.fence
    assert (await world.kinds(job.job_id)).count(EventType.JOB_HELD) == 1
    inbox = (await world.alpha.list_approvals(limit=9)).approvals
    assert [approval.approval_id for approval in inbox] == [approval_id]
    assert (await world.approval_of(approval_id)).job_id == job.job_id
    assert (await world.plan_of(submitted.plan_id)).status is PlanStatus.RUNNING
    await world.run(submitted.job_ids[2])
    assert await world.statuses(submitted) == [S.HELD, S.WAITING, S.COMPLETED]


async def test_a_held_job_is_safe_from_its_former_worker(world: World) -> None:
    """Once held, the lease is gone: no dispatch, no settlement, and no sweep takes it for lost."""
    submitted = await world.submit()
    lease, _ = await held(world, submitted)
    before = await world.visible()
    assert isinstance(await world.dispatch(lease), Refused)
    (renewed,) = await world.dispatcher.renew([lease.ref])
    assert isinstance(renewed, Refused)
    world.clock.advance(LEASE_S + 1)
    assert (await world.dispatcher.sweep()).leases_lost == 0
    assert await world.visible() == before


async def test_a_yes_puts_the_step_back(world: World) -> None:
    """Approved, the held step is ready, not waiting for what it already had; its next claim is attempt 1."""
    submitted = await world.submit(world.job("s1"), world.job("s2", "s1"))
    await world.run(submitted.job_ids[0])
    _, approval_id = await held(world, submitted, 1)
    await world.alpha.decide_approval(approval_id, DIGEST, Verdict.APPROVE, None)
    assert await world.statuses(submitted) == [S.COMPLETED, S.PENDING]
    job = (await world.start(submitted.job_ids[1])).job
    assert (job.attempts, job.fence, job.held_for) == (1, 2, None)


async def test_a_no_cancels_the_step_and_what_needs_it(world: World) -> None:
    """Rejected, the held step and its dependents are cancelled; the plan ends by its jobs, not as rejected."""
    submitted = await world.submit(world.job("s1"), world.job("s2", "s1"), world.job("s3"))
    _, approval_id = await held(world, submitted)
    await world.alpha.decide_approval(approval_id, DIGEST, Verdict.REJECT, None)
    assert await world.statuses(submitted) == [S.CANCELLED, S.CANCELLED, S.RUNNING]
    assert (await world.plan_of(submitted.plan_id)).status is PlanStatus.RUNNING
    await world.run(submitted.job_ids[2])
    assert (await world.plan_of(submitted.plan_id)).status is PlanStatus.CANCELLED


async def test_a_step_that_nobody_decided_about_is_cancelled(world: World) -> None:
    """A step's approval that expires cancels the held step; the plan with nothing left open is over."""
    submitted = await world.submit()
    _, approval_id = await held(world, submitted)
    world.clock.advance(APPROVAL_S + 1)
    assert (await world.dispatcher.sweep()).approvals_expired == 1
    assert (await world.approval_of(approval_id)).status is ApprovalStatus.EXPIRED
    assert await world.statuses(submitted) == [S.CANCELLED]
    assert (await world.plan_of(submitted.plan_id)).finished_at == world.clock.now()


async def test_a_job_that_drifted_is_held_without_an_approval(world: World) -> None:
    """Held for drift: it tells what changed, as it was told; no request is made, nobody gets it, and a person can cancel it."""
    submitted = await world.submit()
    lease = await world.start(submitted.job_ids[0])
    changed = (Difference("to[1]", "ann@example.com", None), Difference("payload", {"a": [], "b": {}}, 2**53 - 1))
    why = "The action is no longer what was approved."
    answer = await world.dispatcher.hold(lease.ref, HeldFor.DRIFT, why, None, changed)
    assert isinstance(answer, Granted)
    assert (answer.job.status, answer.job.held_for, answer.job.attempts) == (S.HELD, HeldFor.DRIFT, 0)
    assert answer.job.differences == changed
    told = await world.alpha.get_job(submitted.job_ids[0])
    assert told is not None
    assert (told.reason, told.differences, told.history[-1].outcome) == (why, changed, "held")
    assert (await world.alpha.list_approvals(limit=9)).approvals == ()
    assert await world.claim() == ()
    cancelled = await world.alpha.cancel_job(submitted.job_ids[0])
    assert (cancelled.status, cancelled.differences) == (S.CANCELLED, ())


async def test_hold_refuses_what_it_must(world: World) -> None:
    """Refused: a stale fence and a dispatched job (fence), a job asked to stop (cancelled); no approval appears."""
    submitted = await world.submit(world.job("s1"), world.job("s2"), world.job("s3"))
    stale, sent, stopped = await world.claim()
    await world.dispatch(sent)
    await world.alpha.cancel_job(stopped.job.job_id)
    before = await world.visible()
    refs = (type(stale.ref)("alpha", stale.job.job_id, 9), sent.ref, stopped.ref)
    reasons = []
    for ref in refs:
        approval = world.approval(submitted.plan_id, ref.job_id)
        answer = await world.dispatcher.hold(ref, HeldFor.APPROVAL, "no", approval)
        assert isinstance(answer, Refused)
        reasons.append(answer.reason)
        assert await world.alpha.get_approval(approval.approval_id) is None
    assert reasons == ["fence", "fence", "cancelled"]
    assert await world.visible() == before


async def test_cancelling_takes_the_question_back(world: World) -> None:
    """Cancelling a held step, or a plan that awaits a yes, makes the approval cancelled; it cannot be decided any more."""
    running = await world.submit()
    _, step_approval = await held(world, running)
    await world.alpha.cancel_job(running.job_ids[0])
    waiting, plan_approval = await asking(world)
    assert (await world.alpha.cancel_plan(waiting.plan_id)).status is PlanStatus.CANCELLED
    assert await world.statuses(waiting) == [S.CANCELLED] * 3
    for approval_id in (step_approval, plan_approval):
        assert (await world.approval_of(approval_id)).status is ApprovalStatus.CANCELLED
        with pytest.raises(IllegalTransition):
            await world.alpha.decide_approval(approval_id, DIGEST, Verdict.APPROVE, None)
    assert (await world.alpha.list_approvals(limit=9)).approvals == ()


async def test_approving_after_one_step_was_cancelled_releases_the_others(world: World) -> None:
    """A step cancelled while the plan awaits its yes stays cancelled, with what needs it; the rest is released."""
    submitted = await world.submit(world.job("s1"), world.job("s2", "s1"), world.job("s3"), approved=False)
    assert submitted.approval_id
    await world.alpha.cancel_job(submitted.job_ids[0])
    assert await world.statuses(submitted) == [S.CANCELLED, S.CANCELLED, S.HELD]
    await world.alpha.decide_approval(submitted.approval_id, DIGEST, Verdict.APPROVE, None)
    assert await world.statuses(submitted) == [S.CANCELLED, S.CANCELLED, S.PENDING]


async def test_a_plan_yes_does_not_answer_for_a_held_step(world: World) -> None:
    """Deciding one held step releases that one only; another held step of the plan keeps waiting for its own yes."""
    submitted = await world.submit(world.job("s1"), world.job("s2"))
    leases = {lease.job.job_id: lease for lease in await world.claim()}
    approvals = []
    for job_id in submitted.job_ids:
        approval = world.approval(submitted.plan_id, job_id)
        await world.dispatcher.hold(leases[job_id].ref, HeldFor.APPROVAL, "look", approval)
        approvals.append(approval.approval_id)
    await world.alpha.decide_approval(approvals[1], DIGEST, Verdict.APPROVE, None)
    assert await world.statuses(submitted) == [S.HELD, S.PENDING]
    of_plan = await world.alpha.plan_approvals(submitted.plan_id)
    assert [approval.approval_id for approval in of_plan] == [approvals[1], approvals[0]]
    assert [approval.status for approval in of_plan] == [ApprovalStatus.APPROVED, ApprovalStatus.PENDING]


async def test_a_step_can_be_held_again_after_a_yes(world: World) -> None:
    """Each question has its own decision: the second yes releases what the first one no longer could."""
    submitted = await world.submit()
    _, first = await held(world, submitted)
    await world.alpha.decide_approval(first, DIGEST, Verdict.APPROVE, None)
    _, second = await held(world, submitted)
    assert await world.alpha.decide_approval(first, DIGEST, Verdict.APPROVE, None) == await world.approval_of(first)
    assert await world.statuses(submitted) == [S.HELD]
    await world.alpha.decide_approval(second, DIGEST, Verdict.APPROVE, None)
    assert await world.statuses(submitted) == [S.PENDING]


async def test_a_gathering_step_can_be_held_and_approved(world: World) -> None:
    """An expanded step held while it gathers is ready again after a yes; it does not wait for its children anew."""
    submitted = await world.submit()
    child = world.job("s1[0]", parent_step_id="s1")
    await world.settle(await world.start(submitted.job_ids[0]), Expanded((child,)))
    await world.run(child.job_id)
    _, approval_id = await held(world, submitted)
    await world.alpha.decide_approval(approval_id, DIGEST, Verdict.APPROVE, None)
    assert (await world.job_of(submitted.job_ids[0])).status is S.PENDING


async def test_an_unknown_approval_is_not_found(world: World) -> None:
    """There is nothing to decide under an id that nobody gave out."""
    assert await world.alpha.get_approval("apr_000000000000000000000000") is None
    with pytest.raises(NotFound):
        await world.engine.open(ALPHA).decide_approval("apr_000000000000000000000000", DIGEST, Verdict.APPROVE, None)
