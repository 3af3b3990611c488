"""cancel, retry, resolve and cancel_plan: what a person may do to work that is under way or has ended."""

import pytest

from steward.action import RetryMode
from steward.errors import IllegalTransition, NotFound
from steward.event import EventType
from steward.job import Cancelled, HandedBack, JobStatus
from steward.plan import PlanStatus
from steward.work_store import Granted, Submitted
from tests.contracts.builders import COLLEAGUE, World, again, done, doubt, failure

pytestmark = pytest.mark.anyio

S = JobStatus


async def _fail(world: World, submitted: Submitted, index: int = 0) -> str:
    job_id = submitted.job_ids[index]
    await world.run(job_id, failure())
    return job_id


async def test_cancelling_what_has_not_started(world: World) -> None:
    """Pending, waiting, scheduled and held jobs are cancelled at once, with a reason and the person in the log."""
    plain = await world.submit(world.job("s1"), world.job("s2", "s1"), world.job("s3", not_before=world.at(60)))
    held = await world.submit(approved=False)
    store = world.engine.open(COLLEAGUE)
    for job_id in (plain.job_ids[1], plain.job_ids[2], plain.job_ids[0], held.job_ids[0]):
        job = await store.cancel_job(job_id)
        assert job == await world.job_of(job_id)
        assert (job.status, job.finished_at) == (S.CANCELLED, world.clock.now())
        assert job.reason
        last = [event for event in await world.log() if event.job_id == job_id][-1]
        assert (last.type, last.actor_id) == (EventType.JOB_CANCELLED, COLLEAGUE.actor_id)
    assert await world.alpha.queue_depth() == 0
    assert await world.claim() == ()
    assert (await world.plan_of(plain.plan_id)).status is PlanStatus.CANCELLED


async def test_cancelling_takes_along_what_needs_it(world: World) -> None:
    """The steps that need a cancelled one are cancelled too, transitively; others are not."""
    submitted = await world.submit(
        world.job("s1"), world.job("s2", "s1"), world.job("s3", "s2"), world.job("s4"), world.job("s5", "s4")
    )
    await world.alpha.cancel_job(submitted.job_ids[1])
    assert await world.statuses(submitted) == [S.PENDING, S.CANCELLED, S.CANCELLED, S.PENDING, S.WAITING]


async def test_cancelling_a_running_job_asks_it_to_stop(world: World) -> None:
    """Running: cancel_requested, and nothing else changes until the worker answers; asking twice is no error."""
    submitted = await world.submit(world.job("s1"), world.job("s2", "s1"))
    lease = await world.start(submitted.job_ids[0])
    job = await world.alpha.cancel_job(submitted.job_ids[0])
    assert (job.status, job.cancel_requested) == (S.RUNNING, True)
    assert (await world.kinds(job.job_id))[-1] is EventType.JOB_CANCEL_REQUESTED
    assert (await world.alpha.cancel_job(submitted.job_ids[0])).cancel_requested
    assert await world.statuses(submitted) == [S.RUNNING, S.WAITING]
    await world.settle(lease, Cancelled("asked to stop"))
    assert await world.statuses(submitted) == [S.CANCELLED, S.CANCELLED]
    assert (await world.plan_of(submitted.plan_id)).status is PlanStatus.CANCELLED


async def test_a_cancel_never_interrupts_an_effect(world: World) -> None:
    """In mid-effect the job may complete, and then what needs it goes on."""
    submitted = await world.submit(world.job("s1"), world.job("s2", "s1"))
    lease = await world.start(submitted.job_ids[0])
    await world.dispatch(lease)
    await world.alpha.cancel_job(submitted.job_ids[0])
    assert isinstance(await world.settle(lease, done()), Granted)
    assert await world.statuses(submitted) == [S.COMPLETED, S.PENDING]


@pytest.mark.parametrize("end", ["completed", "failed", "unknown", "cancelled"])
async def test_what_is_over_or_in_doubt_cannot_be_cancelled(world: World, end: str) -> None:
    """Ended or unknown: IllegalTransition, and nothing changes."""
    submitted = await world.submit(world.job("s1"), world.job("s2"))
    outcome = {"completed": done(), "failed": failure(), "unknown": doubt(), "cancelled": Cancelled("no")}[end]
    await world.run(submitted.job_ids[0], outcome)
    before = await world.visible()
    with pytest.raises(IllegalTransition):
        await world.alpha.cancel_job(submitted.job_ids[0])
    assert await world.visible() == before


async def test_cancelling_a_plan(world: World) -> None:
    """Every step not yet started is cancelled, running ones are asked to stop, ended ones stay as they are."""
    submitted = await world.submit(
        world.job("s1"),
        world.job("s2"),
        world.job("s3", "s2"),
        world.job("s4", not_before=world.at(9)),
        world.job("s5"),
    )
    await world.run(submitted.job_ids[0])
    lease = world.leases[submitted.job_ids[1]]
    await world.settle(world.leases[submitted.job_ids[4]], again(world.at(60)))
    plan = await world.alpha.cancel_plan(submitted.plan_id)
    assert await world.statuses(submitted) == [S.COMPLETED, S.RUNNING, S.CANCELLED, S.CANCELLED, S.CANCELLED]
    assert (await world.job_of(submitted.job_ids[1])).cancel_requested
    assert (plan.status, plan.finished_at) == (PlanStatus.RUNNING, None)
    await world.settle(lease, Cancelled("asked to stop"))
    plan = await world.plan_of(submitted.plan_id)
    assert (plan.status, plan.finished_at, plan.body_sealed) == (PlanStatus.CANCELLED, world.clock.now(), None)


async def test_cancelling_a_plan_with_nothing_running_ends_it(world: World) -> None:
    """With no running step the plan is over at once and the answer says so."""
    submitted = await world.submit(world.job("s1"), world.job("s2", "s1"))
    plan = await world.alpha.cancel_plan(submitted.plan_id)
    assert plan == await world.plan_of(submitted.plan_id)
    assert (plan.status, plan.finished_at) == (PlanStatus.CANCELLED, world.clock.now())
    assert await world.kinds(submitted.plan_id) == [EventType.PLAN_SUBMITTED, EventType.PLAN_CANCELLED]


async def test_cancelling_a_draft(world: World) -> None:
    """A draft, and a plan that needs input, becomes cancelled."""
    unclear = world.plan(status=PlanStatus.NEEDS_INPUT, digest="", body_sealed=None)
    for draft in (world.plan(), unclear):
        await world.alpha.draft(draft)
        plan = await world.alpha.cancel_plan(draft.plan_id)
        assert (plan.status, plan.body_sealed) == (PlanStatus.CANCELLED, None)
        assert (await world.kinds(draft.plan_id))[-1] is EventType.PLAN_CANCELLED


@pytest.mark.parametrize("end", ["completed", "failed", "cancelled", "expired"])
async def test_an_ended_plan_cannot_be_cancelled(world: World, end: str) -> None:
    """Ended: IllegalTransition, and nothing changes."""
    plan = world.plan()
    if end == "expired":
        await world.alpha.draft(plan)
        world.clock.advance(3601)
        await world.dispatcher.sweep()
    else:
        submitted = await world.submit(plan=plan)
        outcome = {"completed": done(), "failed": failure(), "cancelled": Cancelled("no")}[end]
        await world.run(submitted.job_ids[0], outcome)
    before = await world.visible()
    assert (await world.plan_of(plan.plan_id)).status == end
    with pytest.raises(IllegalTransition):
        await world.alpha.cancel_plan(plan.plan_id)
    assert await world.visible() == before


async def test_a_cancelled_plan_with_a_doubt_waits_for_it(world: World) -> None:
    """Cancelling leaves an unknown outcome alone; when a person settles it the plan ends cancelled."""
    submitted = await world.submit(world.job("s1"), world.job("s2"))
    await world.run(submitted.job_ids[0], doubt())
    await world.settle(world.leases[submitted.job_ids[1]], again(world.at(60)))
    plan = await world.alpha.cancel_plan(submitted.plan_id)
    assert plan.status is PlanStatus.RUNNING
    assert await world.statuses(submitted) == [S.UNKNOWN, S.CANCELLED]
    await world.alpha.resolve_job(submitted.job_ids[0], "completed", "it arrived")
    assert (await world.plan_of(submitted.plan_id)).status is PlanStatus.CANCELLED


async def test_a_retry_gives_a_fresh_budget(world: World) -> None:
    """A failed job is ready again with as many attempts ahead as at first, a higher fence and the same key."""
    submitted = await world.submit(world.job(max_attempts=2))
    job_id = submitted.job_ids[0]
    await world.run(job_id, again(world.at(1)))
    world.clock.advance(1)
    failed = await world.run(job_id, failure())
    plan = await world.plan_of(submitted.plan_id)
    assert plan.status is PlanStatus.FAILED
    job = await world.engine.open(COLLEAGUE).retry_job(job_id)
    assert job == await world.job_of(job_id)
    assert (job.status, job.error, job.finished_at) == (S.PENDING, None, None)
    assert job.max_attempts - job.attempts == 2
    assert (job.effect_key, job.actor_id) == (failed.effect_key, failed.actor_id)
    retried = [event for event in await world.log() if event.type is EventType.JOB_RETRIED]
    assert [(event.job_id, event.actor_id) for event in retried] == [(job_id, COLLEAGUE.actor_id)]
    lease = await world.start(job_id)
    assert lease.job.fence == failed.fence + 1
    assert lease.params_sealed == f"params of {job_id}".encode()
    await world.settle(lease, again(world.at(1)))
    world.clock.advance(1)
    assert (await world.run(job_id)).status is S.COMPLETED


async def test_a_retry_revives_the_plan(world: World) -> None:
    """The failed plan runs again, says so once, and ends anew."""
    submitted = await world.submit()
    job_id = await _fail(world, submitted)
    await world.alpha.retry_job(job_id)
    plan = await world.plan_of(submitted.plan_id)
    assert (plan.status, plan.finished_at) == (PlanStatus.RUNNING, None)
    assert plan.body_sealed == f"body of {plan.plan_id}".encode()
    await world.run(job_id)
    plan = await world.plan_of(submitted.plan_id)
    assert (plan.status, plan.body_sealed) == (PlanStatus.COMPLETED, None)
    assert await world.kinds(plan.plan_id) == [
        EventType.PLAN_SUBMITTED,
        EventType.PLAN_FAILED,
        EventType.PLAN_RESUMED,
        EventType.PLAN_COMPLETED,
    ]


async def test_a_retry_in_a_plan_that_still_runs(world: World) -> None:
    """While another step is open the plan has not failed, so a retry resumes nothing."""
    submitted = await world.submit(world.job("s1"), world.job("s2"))
    job_id = await _fail(world, submitted)
    await world.alpha.retry_job(job_id)
    assert (await world.plan_of(submitted.plan_id)).status is PlanStatus.RUNNING
    assert await world.kinds(submitted.plan_id) == [EventType.PLAN_SUBMITTED]


async def test_a_retry_revives_what_the_failure_cancelled(world: World) -> None:
    """Dependents that the failure cancelled wait again, and still have their parameters and their inputs."""
    jobs = [world.job("s0"), world.job("s1"), world.job("s2", "s1", "s0"), world.job("s3", "s2")]
    submitted = await world.submit(*jobs)
    await world.run(jobs[0].job_id, done({}, b"from s0"))
    await _fail(world, submitted, 1)
    assert await world.statuses(submitted) == [S.COMPLETED, S.FAILED, S.CANCELLED, S.CANCELLED]
    await world.alpha.retry_job(jobs[1].job_id)
    assert await world.statuses(submitted) == [S.COMPLETED, S.PENDING, S.WAITING, S.WAITING]
    revived = await world.job_of(jobs[2].job_id)
    assert (revived.reason, revived.finished_at) == (None, None)
    await world.run(jobs[1].job_id, done({}, b"from s1"))
    lease = await world.start(jobs[2].job_id)
    assert lease.params_sealed == jobs[2].params_sealed
    assert lease.inputs_sealed == {"s0": b"from s0", "s1": b"from s1"}
    await world.settle(lease, done())
    await world.run(jobs[3].job_id)
    assert (await world.plan_of(submitted.plan_id)).status is PlanStatus.COMPLETED


async def test_a_retry_does_not_revive_what_a_person_cancelled(world: World) -> None:
    """A step that somebody cancelled stays cancelled, and so does what needs it."""
    submitted = await world.submit(world.job("s1"), world.job("s2", "s1"), world.job("s3", "s1"), world.job("s4", "s3"))
    await world.alpha.cancel_job(submitted.job_ids[2])
    await _fail(world, submitted)
    await world.alpha.retry_job(submitted.job_ids[0])
    assert await world.statuses(submitted) == [S.PENDING, S.WAITING, S.CANCELLED, S.CANCELLED]


async def test_two_failures_need_two_retries(world: World) -> None:
    """A step that needs two failed ones is revived with the second retry, and the plan never hangs in between."""
    submitted = await world.submit(world.job("s1"), world.job("s2"), world.job("s3", "s1", "s2"))
    await _fail(world, submitted, 0)
    await _fail(world, submitted, 1)
    await world.alpha.retry_job(submitted.job_ids[0])
    assert await world.statuses(submitted) == [S.PENDING, S.FAILED, S.CANCELLED]
    await world.run(submitted.job_ids[0])
    assert (await world.plan_of(submitted.plan_id)).status is PlanStatus.FAILED
    await world.alpha.retry_job(submitted.job_ids[1])
    assert await world.statuses(submitted) == [S.COMPLETED, S.PENDING, S.WAITING]
    await world.run(submitted.job_ids[1])
    await world.run(submitted.job_ids[2])
    assert (await world.plan_of(submitted.plan_id)).status is PlanStatus.COMPLETED


async def test_a_diamond_is_revived_whole(world: World) -> None:
    """Whatever the order of its branches, everything below a failed step that needs nothing else lost comes back."""
    submitted = await world.submit(
        world.job("s1"),
        world.job("s2", "s1"),
        world.job("s3", "s2"),
        world.job("s4", "s1", "s3"),
        world.job("s5", "s4", "s2"),
    )
    await _fail(world, submitted)
    await world.alpha.retry_job(submitted.job_ids[0])
    assert await world.statuses(submitted) == [S.PENDING, *[S.WAITING] * 4]
    for job_id in submitted.job_ids:
        await world.run(job_id)
    assert (await world.plan_of(submitted.plan_id)).status is PlanStatus.COMPLETED


@pytest.mark.parametrize("state", ["pending", "running", "completed", "unknown", "cancelled", "scheduled"])
async def test_only_a_failed_job_can_be_retried(world: World, state: str) -> None:
    """Not failed: IllegalTransition, and nothing changes; least of all is an unknown outcome repeated."""
    submitted = await world.submit(world.job("s1"), world.job("s2"))
    job_id = submitted.job_ids[0]
    outcomes = {"completed": done(), "unknown": doubt(), "cancelled": Cancelled("no"), "scheduled": again(world.at(9))}
    if state == "running":
        await world.start(job_id)
    elif state != "pending":
        await world.run(job_id, outcomes[state])
    before = await world.visible()
    assert (await world.job_of(job_id)).status == state
    with pytest.raises(IllegalTransition):
        await world.alpha.retry_job(job_id)
    assert await world.visible() == before


async def test_a_doubt_settled_as_done(world: World) -> None:
    """Resolved as completed: the note is the result, dependents are released (without a sealed input), plan goes on."""
    submitted = await world.submit(world.job("s1"), world.job("s2", "s1"))
    await world.run(submitted.job_ids[0], doubt())
    world.clock.advance(5)
    job = await world.engine.open(COLLEAGUE).resolve_job(submitted.job_ids[0], "completed", "It is in their inbox.")
    assert job == await world.job_of(submitted.job_ids[0])
    assert (job.status, job.finished_at, job.error) == (S.COMPLETED, world.clock.now(), None)
    assert job.result == {"resolved": "completed", "note": "It is in their inbox."}
    resolved = [event for event in await world.log() if event.type is EventType.JOB_RESOLVED]
    assert [(event.job_id, event.actor_id) for event in resolved] == [(job.job_id, COLLEAGUE.actor_id)]
    assert (await world.start(submitted.job_ids[1])).inputs_sealed == {"s1": None}


async def test_a_doubt_settled_as_not_done(world: World) -> None:
    """Resolved as failed: the doubt is gone, dependents are cancelled, the plan fails, and a retry is possible."""
    submitted = await world.submit(world.job("s1"), world.job("s2", "s1"))
    await world.run(submitted.job_ids[0], doubt())
    job = await world.alpha.resolve_job(submitted.job_ids[0], "failed", "Nothing arrived.")
    assert job.error is not None
    assert (job.status, job.error.code, job.first_dispatched_at) == (S.FAILED, "resolved_failed", None)
    assert await world.statuses(submitted) == [S.FAILED, S.CANCELLED]
    assert (await world.plan_of(submitted.plan_id)).status is PlanStatus.FAILED
    await world.alpha.retry_job(submitted.job_ids[0])
    assert await world.statuses(submitted) == [S.PENDING, S.WAITING]
    lease = await world.start(submitted.job_ids[0])
    assert lease.params_sealed == f"params of {submitted.job_ids[0]}".encode()


@pytest.mark.parametrize("outcome", ["completed", "failed"])
@pytest.mark.parametrize("state", ["pending", "running", "completed", "failed", "cancelled"])
async def test_only_a_doubt_can_be_settled_by_hand(world: World, state: str, outcome: str) -> None:
    """Not unknown: IllegalTransition, and nothing changes."""
    submitted = await world.submit(world.job("s1"), world.job("s2"))
    job_id = submitted.job_ids[0]
    if state == "running":
        await world.start(job_id)
    elif state != "pending":
        await world.run(job_id, {"completed": done(), "failed": failure(), "cancelled": Cancelled("no")}[state])
    before = await world.visible()
    with pytest.raises(IllegalTransition):
        await world.alpha.resolve_job(job_id, "completed" if outcome == "completed" else "failed", "note")
    assert await world.visible() == before


async def test_nothing_can_be_done_to_what_does_not_exist(world: World) -> None:
    """An id that nobody gave out: None from a get, NotFound from a verb."""
    job_id, plan_id = world.ids.new("job"), world.ids.new("plan")
    assert await world.alpha.get_job(job_id) is None
    assert await world.alpha.get_plan(plan_id) is None
    assert await world.alpha.plan_jobs(plan_id) == ()
    for verb in (
        world.alpha.cancel_job(job_id),
        world.alpha.retry_job(job_id),
        world.alpha.resolve_job(job_id, "completed", "x"),
        world.alpha.cancel_plan(plan_id),
    ):
        with pytest.raises(NotFound):
            await verb


async def test_a_cancelled_job_that_is_handed_back_in_doubt_is_unknown(world: World) -> None:
    """A worker that stops hands back a cancelled job; what an earlier attempt may have done is not forgotten."""
    submitted = await world.submit(world.job(retry=RetryMode.KEYED))
    job_id = submitted.job_ids[0]
    first = await world.start(job_id)
    await world.dispatch(first)
    await world.settle(first, again(world.at(0), doubtful=True))
    second = await world.start(job_id)
    await world.alpha.cancel_job(job_id)
    await world.settle(second, HandedBack())
    assert (await world.job_of(job_id)).status is JobStatus.UNKNOWN
