"""submit and draft: what is put in place, in which state, and that it is all or nothing."""

import contextlib
from dataclasses import replace
from datetime import timedelta

import pytest

from steward.action import Effect, RetryMode
from steward.approval import ApprovalStatus, Verdict
from steward.errors import ApprovalMismatch, Conflict, IllegalTransition, PlanExpired, StewardError
from steward.event import EventType
from steward.ids import namesake
from steward.job import HeldFor, JobStatus
from steward.plan import PlanStatus
from steward.work_store import DRAFT_S, MAX_DRAFTS
from tests.conftest import FakeClock
from tests.contracts.builders import ALPHA, COLLEAGUE, World, request_claim

pytestmark = pytest.mark.anyio


async def test_a_submitted_plan_and_its_jobs_are_kept_as_given(world: World) -> None:
    """Every field of the plan and of its jobs that the caller gave is read back unchanged."""
    plan = world.plan()
    job = world.job(
        "s1",
        action_id="webhook.post",
        effect=Effect.WRITE,
        retry=RetryMode.KEYED,
        max_attempts=3,
        key_valid_s=86_400.0,
        labels={"params.text": {"from": "prompt", "label": "T"}},
        authored_after=("s0",),
        parent_step_id=None,
    )
    submitted = await world.submit(job, plan=plan)
    assert (submitted.plan_id, submitted.job_ids) == (plan.plan_id, (job.job_id,))
    assert (submitted.status, submitted.duplicate) == (PlanStatus.RUNNING, False)
    assert (submitted.approval_id, submitted.queue_depth) == (None, 1)
    kept = await world.plan_of(plan.plan_id)
    assert kept.job_ids == (job.job_id,)
    for name in ("workspace_id", "actor_id", "digest", "document", "body_sealed", "created_at", "request_id"):
        assert getattr(kept, name) == getattr(plan, name), name
    record = await world.job_of(job.job_id)
    given = ("step_id", "action_id", "definition_hash", "digest", "depends_on", "effect", "retry", "max_attempts")
    for name in (*given, "key_valid_s", "labels", "authored_after", "parent_step_id", "not_before"):
        assert getattr(record, name) == getattr(job, name), name


async def test_a_fresh_job_has_done_nothing_yet(world: World) -> None:
    """A job that was just submitted has no attempt, no lease, no effect, no result and no end."""
    submitted = await world.submit()
    job = await world.job_of(submitted.job_ids[0])
    assert (job.status, job.fence, job.attempts, job.history) == (JobStatus.PENDING, 0, 0, ())
    assert (job.worker_id, job.lease_until, job.first_dispatched_at, job.dispatched_at) == (None, None, None, None)
    assert (job.started_at, job.finished_at, job.result, job.error, job.held_for) == (None, None, None, None, None)
    assert (job.cancel_requested, job.expanded) == (False, False)
    assert (job.enqueued_at, job.plan_id, job.workspace_id) == (world.clock.now(), submitted.plan_id, "alpha")
    assert job.request_id == (await world.plan_of(submitted.plan_id)).request_id
    assert job.effect_key


async def test_effect_keys_differ_between_jobs(world: World) -> None:
    """Two jobs never share the key that the far end recognises a repeat by."""
    submitted = await world.submit(world.job("s1"), world.job("s2"))
    keys = {job.effect_key for job in await world.alpha.plan_jobs(submitted.plan_id)}
    assert len(keys) == 2


async def test_w46_a_job_acts_for_whoever_submitted_it(world: World) -> None:
    """The jobs' actor is the principal, also when somebody else made the plan; the plan still says who made it."""
    plan = world.plan()
    await world.alpha.draft(plan)
    submitted = await world.submit(who=COLLEAGUE, plan=plan)
    assert (await world.job_of(submitted.job_ids[0])).actor_id == COLLEAGUE.actor_id
    assert (await world.plan_of(plan.plan_id)).actor_id == ALPHA.actor_id


async def test_starting_states(world: World) -> None:
    """Without approval: waiting on steps, scheduled for a time that lies ahead, pending otherwise."""
    submitted = await world.submit(
        world.job("s1"),
        world.job("s2", "s1"),
        world.job("s3", not_before=world.at(60)),
        world.job("s4", not_before=world.at(-60)),
    )
    expected = [JobStatus.PENDING, JobStatus.WAITING, JobStatus.SCHEDULED, JobStatus.PENDING]
    assert await world.statuses(submitted) == expected
    assert submitted.queue_depth == 2


async def test_an_approval_holds_every_job(world: World) -> None:
    """With an approval the plan awaits it and every job is held for it, whatever it would have been."""
    submitted = await world.submit(
        world.job("s1"), world.job("s2", "s1"), world.job("s3", not_before=world.at(60)), approved=False
    )
    assert submitted.status is PlanStatus.AWAITING_APPROVAL
    assert (await world.plan_of(submitted.plan_id)).status is PlanStatus.AWAITING_APPROVAL
    assert (await world.plan_of(submitted.plan_id)).approval_id == submitted.approval_id
    jobs = await world.alpha.plan_jobs(submitted.plan_id)
    assert {(job.status, job.held_for) for job in jobs} == {(JobStatus.HELD, HeldFor.APPROVAL)}
    assert submitted.queue_depth == 0
    assert await world.claim() == ()
    approval = await world.approval_of(submitted.approval_id)
    assert (approval.status, approval.plan_id, approval.job_id) == (ApprovalStatus.PENDING, submitted.plan_id, None)


async def test_submit_says_so_in_the_log(world: World) -> None:
    """plan.submitted is appended by the principal, and approval.requested where one was asked for."""
    plain = await world.submit(who=COLLEAGUE)
    asking = await world.submit(approved=False)
    events = await world.log()
    assert [(event.type, event.plan_id) for event in events] == [
        (EventType.PLAN_SUBMITTED, plain.plan_id),
        (EventType.PLAN_SUBMITTED, asking.plan_id),
        (EventType.APPROVAL_REQUESTED, asking.plan_id),
    ]
    assert [event.actor_id for event in events[:2]] == [COLLEAGUE.actor_id, ALPHA.actor_id]
    assert {event.at for event in events} == {world.clock.now()}


async def test_submitted_queue_depth_counts_only_ready_jobs_of_the_workspace(world: World) -> None:
    """The depth in the answer counts this workspace's ready jobs afterwards, others' never."""
    await world.submit(world.job("s1"), world.job("s2"))
    submitted = await world.submit(world.job("s1"), world.job("s2", "s1"))
    assert submitted.queue_depth == 3
    assert (await world.alpha.queue_depth()) == 3
    assert (await world.beta.queue_depth()) == 0


async def test_a_plans_status_in_the_submission_is_ignored(world: World) -> None:
    """The store, not the caller, decides the plan's status."""
    submitted = await world.submit(plan=world.plan(status=PlanStatus.COMPLETED))
    assert (await world.plan_of(submitted.plan_id)).status is PlanStatus.RUNNING


async def test_a_draft_is_kept_and_logged(world: World) -> None:
    """A draft and a plan that needs input are kept as given and plan.drafted is appended; no job exists."""
    draft, unclear = world.plan(), world.plan(status=PlanStatus.NEEDS_INPUT, digest="", body_sealed=None)
    await world.alpha.draft(draft)
    await world.alpha.draft(unclear)
    assert await world.alpha.get_plan(draft.plan_id) == draft
    assert await world.alpha.get_plan(unclear.plan_id) == unclear
    assert [event.type for event in await world.log()] == [EventType.PLAN_DRAFTED] * 2
    assert await world.alpha.plan_jobs(draft.plan_id) == ()


async def test_a_live_draft_is_taken_over(world: World) -> None:
    """Submitting a live draft executes that very plan."""
    draft = world.plan()
    await world.alpha.draft(draft)
    world.clock.advance(DRAFT_S - 1)
    submitted = await world.submit(plan=draft)
    assert (submitted.plan_id, submitted.duplicate) == (draft.plan_id, False)
    assert (await world.plan_of(draft.plan_id)).status is PlanStatus.RUNNING
    assert [plan.plan_id for plan in (await world.alpha.list_plans(limit=10)).plans] == [draft.plan_id]


async def test_w67_a_draft_past_its_time_cannot_be_executed(world: World) -> None:
    """A draft past expires_at reads as expired and is refused with PlanExpired, before and after a sweep."""
    draft = world.plan()
    await world.alpha.draft(draft)
    world.clock.advance(DRAFT_S + 1)
    assert (await world.plan_of(draft.plan_id)).status is PlanStatus.EXPIRED
    for _ in range(2):
        with pytest.raises(PlanExpired):
            await world.submit(plan=draft)
        await world.dispatcher.sweep()
    assert await world.alpha.plan_jobs(draft.plan_id) == ()


async def test_the_sweep_expires_drafts(world: World) -> None:
    """A sweep marks drafts past their time as expired, counts them, and says so once."""
    draft, young = world.plan(), world.plan(expires_at=world.at(2 * DRAFT_S))
    await world.alpha.draft(draft)
    await world.alpha.draft(young)
    world.clock.advance(DRAFT_S + 1)
    assert (await world.dispatcher.sweep()).drafts_expired == 1
    assert (await world.dispatcher.sweep()).drafts_expired == 0
    assert await world.kinds(draft.plan_id) == [EventType.PLAN_DRAFTED, EventType.PLAN_EXPIRED]
    assert (await world.plan_of(young.plan_id)).status is PlanStatus.DRAFT


async def test_an_executed_plan_does_not_expire_as_a_draft(world: World) -> None:
    """Once executed, the draft's time limit no longer matters."""
    draft = world.plan()
    await world.alpha.draft(draft)
    submitted = await world.submit(plan=draft)
    world.clock.advance(DRAFT_S + 1)
    await world.dispatcher.sweep()
    assert (await world.plan_of(draft.plan_id)).status is PlanStatus.RUNNING
    assert (await world.submit(plan=draft)).job_ids == submitted.job_ids


@pytest.mark.parametrize("end", ["running", "completed", "cancelled", "rejected"])
async def test_w62_executing_a_plan_again_gives_the_original_jobs(world: World, end: str) -> None:
    """A plan that was executed already is never executed twice: every repeat gets the original ids."""
    draft = world.plan()
    await world.alpha.draft(draft)
    first = await world.submit(world.job("s1"), world.job("s2"), plan=draft, approved=end != "rejected")
    if end == "completed":
        for job_id in first.job_ids:
            await world.run(job_id)
    elif end == "cancelled":
        await world.alpha.cancel_plan(draft.plan_id)
    elif end == "rejected":
        assert first.approval_id
        await world.alpha.decide_approval(first.approval_id, "c" * 64, Verdict.REJECT, None)
    before = await world.visible()
    repeat = await world.submit(world.job("s1"), world.job("s2"), plan=draft)
    assert (repeat.plan_id, repeat.job_ids, repeat.duplicate) == (first.plan_id, first.job_ids, True)
    assert repeat.approval_id == first.approval_id
    assert await world.visible() == before


async def test_a_cancelled_draft_cannot_be_executed(world: World) -> None:
    """A draft that was cancelled is refused with IllegalTransition."""
    draft = world.plan()
    await world.alpha.draft(draft)
    await world.alpha.cancel_plan(draft.plan_id)
    with pytest.raises(IllegalTransition):
        await world.submit(plan=draft)
    assert await world.alpha.plan_jobs(draft.plan_id) == ()


async def test_a_plan_that_needs_input_cannot_be_executed(world: World) -> None:
    """A plan whose questions are unanswered is refused with IllegalTransition."""
    unclear = world.plan(status=PlanStatus.NEEDS_INPUT, digest="", body_sealed=None)
    await world.alpha.draft(unclear)
    with pytest.raises(IllegalTransition):
        await world.submit(plan=unclear)
    assert (await world.plan_of(unclear.plan_id)).status is PlanStatus.NEEDS_INPUT


async def test_a_draft_with_another_digest_cannot_be_executed(world: World) -> None:
    """What is executed must be exactly what was drafted: another digest raises ApprovalMismatch."""
    draft = world.plan()
    await world.alpha.draft(draft)
    before = await world.visible()
    with pytest.raises(ApprovalMismatch):
        await world.submit(plan=replace(draft, digest="e" * 64))
    assert await world.visible() == before
    assert not (await world.submit(plan=draft)).duplicate


async def test_drafting_never_undoes_an_execution(world: World) -> None:
    """Keeping a draft under the id of a plan that runs changes nothing of that plan."""
    plan = world.plan()
    submitted = await world.submit(plan=plan)
    with contextlib.suppress(StewardError):
        await world.alpha.draft(plan)
    assert (await world.plan_of(plan.plan_id)).status is PlanStatus.RUNNING
    assert (await world.submit(plan=plan)).job_ids == submitted.job_ids


async def test_only_so_many_drafts_are_kept_alive(world: World) -> None:
    """Beyond MAX_DRAFTS the workspace's oldest drafts become expired; another workspace's are untouched."""
    theirs = world.plan(who=world.beta.principal)
    await world.beta.draft(theirs)
    drafts = []
    for _ in range(MAX_DRAFTS + 2):
        world.clock.advance(0.001)
        drafts.append(world.plan())
        await world.alpha.draft(drafts[-1])
    statuses = [(await world.plan_of(plan.plan_id)).status for plan in [*drafts[:4], drafts[-1]]]
    assert statuses == [PlanStatus.EXPIRED] * 2 + [PlanStatus.DRAFT] * 3
    assert (await world.plan_of(theirs.plan_id, world.beta.principal)).status is PlanStatus.DRAFT
    with pytest.raises(PlanExpired):
        await world.submit(plan=drafts[0])


async def test_w16_a_submission_that_cannot_be_kept_leaves_nothing(world: World) -> None:
    """A job id that exists already refuses the whole submission: no plan, claim, approval or event of it stays."""
    taken = world.job("s1")
    await world.submit(taken)
    before = await world.visible()
    fresh, plan = world.job("s1"), world.plan()
    with pytest.raises(Conflict):
        await world.submit(fresh, replace(taken, step_id="s2"), plan=plan, claims=[request_claim("k")], approved=False)
    assert await world.visible() == before
    assert await world.alpha.get_plan(plan.plan_id) is None
    assert await world.alpha.get_job(fresh.job_id) is None
    assert not (await world.submit(fresh, plan=plan, claims=[request_claim("k", "another payload")])).duplicate


async def test_times_are_kept_to_the_millisecond(world: World) -> None:
    """A start time is read back exactly, aware and in UTC."""
    moment = world.at(60) + timedelta(milliseconds=123)
    submitted = await world.submit(world.job(not_before=moment))
    kept = (await world.job_of(submitted.job_ids[0])).not_before
    assert kept is not None
    assert kept == moment
    assert kept.utcoffset() == timedelta(0)


async def test_a_job_is_its_submitters_whoever_made_the_plan(world: World) -> None:
    """It runs with the rights of whoever submitted it; the plan goes on saying who made it."""
    submitted = await world.submit(plan=world.plan(actor_id=COLLEAGUE.actor_id))
    assert (await world.job_of(submitted.job_ids[0])).actor_id == ALPHA.actor_id
    assert (await world.plan_of(submitted.plan_id)).actor_id == COLLEAGUE.actor_id
    assert (await world.start(submitted.job_ids[0])).job.actor_id == ALPHA.actor_id


async def test_the_only_job_of_a_plan_waits_for_its_time_and_its_question(world: World, clock: FakeClock) -> None:
    """A plan of one step that cannot start now is no exception."""
    plan, other = world.plan(), world.plan()
    later = world.job(job_id=namesake(plan.plan_id, "job"), not_before=world.at(60))
    scheduled = await world.submit(later, plan=plan)
    asked = await world.submit(plan=other, approved=False)
    assert [await world.statuses(scheduled), await world.statuses(asked)] == [[JobStatus.SCHEDULED], [JobStatus.HELD]]
    assert await world.claim() == ()
    clock.advance(61)
    assert [lease.job.job_id for lease in await world.claim()] == list(scheduled.job_ids)
