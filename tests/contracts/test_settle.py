"""settle: how attempts end, what that does to the steps that need them, and when a plan ends."""

from typing import Any

import pytest

from steward.event import EventType
from steward.job import MAX_HISTORY, Cancelled, HandedBack, JobError, JobStatus, Outcome, Skipped
from steward.plan import PlanStatus
from steward.work_store import Granted, Refused, Settlement
from tests.contracts.backends import Backend
from tests.contracts.builders import World, again, done, doubt, failure

pytestmark = pytest.mark.anyio

S = JobStatus


@pytest.mark.parametrize(
    ("outcome", "status", "event"),
    [
        (done(), S.COMPLETED, EventType.JOB_COMPLETED),
        (failure(), S.FAILED, EventType.JOB_FAILED),
        (doubt(), S.UNKNOWN, EventType.JOB_UNKNOWN),
        (Skipped("nobody to tell"), S.SKIPPED, EventType.JOB_SKIPPED),
        (Cancelled("asked to stop"), S.CANCELLED, EventType.JOB_CANCELLED),
    ],
)
async def test_w128_the_status_follows_the_outcome(
    world: World, outcome: Outcome, status: JobStatus, event: EventType
) -> None:
    """Each outcome leads to its own state, and the log says so; nothing that failed reads as completed."""
    submitted = await world.submit()
    lease = await world.start(submitted.job_ids[0])
    world.clock.advance(2)
    answer = await world.settle(lease, outcome)
    job = await world.job_of(submitted.job_ids[0])
    assert answer == Granted(job)
    assert job.status is status
    assert event in await world.kinds(job.job_id)
    assert job.finished_at == (None if status is S.UNKNOWN else world.clock.now())


@pytest.mark.parametrize(
    "result", [{}, [], "", 0, False, None, {"text": "ü\u2028'\"\\ \U0001f600", "n": 9007199254740991}]
)
async def test_w26_results_are_kept_exactly(world: World, result: Any) -> None:
    """An empty or odd result is read back as it was given."""
    submitted = await world.submit()
    outcome = done()
    await world.run(submitted.job_ids[0], type(outcome)(result, b"x", {"a": {"label": "U"}}))
    job = await world.job_of(submitted.job_ids[0])
    assert (job.result, type(job.result)) == (result, type(result))
    assert job.result_labels == {"a": {"label": "U"}}
    assert job.error is None


async def test_w26_a_failed_job_keeps_its_error(world: World) -> None:
    """The error that ended a job, or left it in doubt, is kept with code, sentence and whether a retry may help."""
    error = JobError("permission_denied", "The key may no longer send mail.", retryable=False)
    submitted = await world.submit(world.job("s1"), world.job("s2"))
    await world.run(submitted.job_ids[0], type(failure())(error))
    await world.run(submitted.job_ids[1], doubt("timed_out"))
    assert (await world.job_of(submitted.job_ids[0])).error == error
    assert (await world.job_of(submitted.job_ids[1])).error == doubt("timed_out").error


async def test_try_again_schedules_the_next_attempt(world: World) -> None:
    """An attempt that another one follows leaves the job scheduled for that time, and the attempt counts."""
    submitted = await world.submit()
    job = await world.run(submitted.job_ids[0], again(world.at(30)))
    assert (job.status, job.not_before, job.attempts) == (S.SCHEDULED, world.at(30), 1)
    assert (await world.kinds(job.job_id))[-1] is EventType.JOB_RETRY_SCHEDULED
    assert await world.claim() == ()
    assert (await world.plan_of(submitted.plan_id)).status is PlanStatus.RUNNING


async def test_a_job_handed_back_is_as_if_never_claimed(world: World) -> None:
    """A worker that stops hands the job back: ready again at once, and the attempt does not count."""
    submitted = await world.submit()
    lease = await world.start(submitted.job_ids[0])
    await world.settle(lease, HandedBack())
    job = await world.job_of(submitted.job_ids[0])
    assert (job.status, job.attempts, job.first_dispatched_at) == (S.PENDING, 0, None)
    assert await world.alpha.queue_depth() == 1
    second = (await world.start(submitted.job_ids[0])).job
    assert (second.attempts, second.fence) == (1, 2)


async def test_the_history_tells_each_attempt(world: World) -> None:
    """Every finished attempt stands in the record: number, fence, worker, times, outcome and error."""
    submitted = await world.submit()
    began = world.clock.now()
    await world.run(submitted.job_ids[0], again(world.at(5)))
    world.clock.advance(5)
    (lease,) = await world.claim(worker_id="worker-2")
    world.clock.advance(1)
    await world.settle(lease, failure("refused"))
    first, second = (await world.job_of(submitted.job_ids[0])).history
    assert (first.number, first.fence, first.worker_id, first.outcome) == (1, 1, "worker-1", "retry")
    assert (first.started_at, first.dispatched_at, first.finished_at) == (began, began, began)
    assert first.error == again(began).error
    assert (second.number, second.fence, second.worker_id, second.outcome) == (2, 2, "worker-2", "failed")
    assert (second.started_at, second.dispatched_at, second.finished_at) == (world.at(-1), None, world.clock.now())


async def test_only_so_much_history_is_kept(world: World) -> None:
    """Older attempts are dropped from the record, never from the count."""
    submitted = await world.submit(world.job(max_attempts=40))
    rounds = MAX_HISTORY + 4
    for _ in range(rounds):
        await world.run(submitted.job_ids[0], again(world.at(1)))
        world.clock.advance(1)
    job = await world.job_of(submitted.job_ids[0])
    assert job.attempts == rounds
    assert [attempt.number for attempt in job.history] == list(range(5, rounds + 1))


async def test_settling_again_with_the_same_fence_changes_nothing(world: World) -> None:
    """A worker that lost the answer settles again and is granted again; nothing is added to record or log."""
    submitted = await world.submit()
    lease = await world.start(submitted.job_ids[0])
    first = await world.settle(lease, done("once"))
    before = await world.visible()
    assert isinstance(first, Granted)
    assert await world.settle(lease, done("once")) == first
    assert await world.visible() == before


@pytest.mark.parametrize("late", [done("late"), failure(), doubt(), Skipped("no"), Cancelled("no"), HandedBack()])
@pytest.mark.parametrize("end", [done("first"), failure("first"), doubt("first")])
async def test_w27_what_ended_is_never_overwritten(world: World, end: Outcome, late: Outcome) -> None:
    """Whatever a late worker says, the outcome that was recorded first stands."""
    submitted = await world.submit()
    lease = await world.start(submitted.job_ids[0])
    await world.settle(lease, end)
    before = await world.visible()
    await world.settle(lease, late)
    assert await world.visible() == before


async def test_each_settlement_stands_alone(world: World) -> None:
    """A stale settlement in a batch is refused in its place; the others count."""
    submitted = await world.submit(world.job("s1"), world.job("s2"))
    one, two = await world.claim()
    stale = type(one.ref)("alpha", one.job.job_id, 77)
    answers = await world.dispatcher.settle(
        [Settlement(stale, done()), Settlement(one.ref, done()), Settlement(two.ref, failure())]
    )
    assert [type(answer) for answer in answers] == [Refused, Granted, Granted]
    assert await world.statuses(submitted) == [S.COMPLETED, S.FAILED]


async def test_one_batch_may_end_a_whole_plan(world: World) -> None:
    """Settlements of one plan in one call, one of them sent twice: each counts once, and the plan ends once."""
    submitted = await world.submit(*[world.job(f"s{n}") for n in range(10)])
    leases = await world.claim()
    batch = [Settlement(lease.ref, done()) for lease in (*leases, leases[0])]
    answers = await world.dispatcher.settle(batch)
    assert {type(answer) for answer in answers} == {Granted}
    assert await world.statuses(submitted) == [S.COMPLETED] * 10
    assert await world.kinds(submitted.plan_id) == [EventType.PLAN_SUBMITTED, EventType.PLAN_COMPLETED]
    assert [len(job.history) for job in await world.alpha.plan_jobs(submitted.plan_id)] == [1] * 10


async def test_w131_dependents_start_when_all_they_need_is_completed(world: World) -> None:
    """A step that needs two others is released by the second completion, not by the first."""
    submitted = await world.submit(world.job("s1"), world.job("s2"), world.job("s3", "s1", "s2"), world.job("s4", "s3"))
    await world.run(submitted.job_ids[0])
    assert (await world.statuses(submitted))[2:] == [S.WAITING, S.WAITING]
    await world.run(submitted.job_ids[1])
    assert (await world.statuses(submitted))[2:] == [S.PENDING, S.WAITING]
    assert await world.kinds(submitted.job_ids[2]) == [EventType.JOB_RELEASED]
    assert await world.alpha.queue_depth() == 1


@pytest.mark.parametrize(
    ("outcome", "status"),
    [
        ("handed back", S.CANCELLED),
        ("again", S.CANCELLED),
        ("again, in doubt", S.UNKNOWN),
        ("done", S.COMPLETED),
        ("failed", S.FAILED),
        ("in doubt", S.UNKNOWN),
    ],
)
async def test_a_cancel_that_was_asked_for_ends_what_would_go_on(world: World, outcome: str, status: JobStatus) -> None:
    """Asked to stop, a job does not come back: it is cancelled, or unknown if in doubt; what was done stays done."""
    outcomes: dict[str, Outcome] = {
        "handed back": HandedBack(),
        "again": again(world.at(5)),
        "again, in doubt": again(world.at(5), doubtful=True),
        "done": done(),
        "failed": failure(),
        "in doubt": doubt(),
    }
    submitted = await world.submit()
    lease = await world.start(submitted.job_ids[0])
    if outcome != "handed back":
        await world.dispatch(lease)
    await world.alpha.cancel_job(submitted.job_ids[0])
    await world.settle(lease, outcomes[outcome])
    assert await world.statuses(submitted) == [status]
    world.clock.advance(10)
    assert await world.claim() == ()


async def test_an_attempt_whose_time_has_come_is_ready_at_once(world: World) -> None:
    """A repeat that need not wait is pending, not scheduled."""
    submitted = await world.submit()
    job = await world.run(submitted.job_ids[0], again(world.clock.now()))
    assert job.status is S.PENDING
    assert await world.alpha.queue_depth() == 1


@pytest.mark.parametrize("outcome", [failure(), Cancelled("asked to stop")])
async def test_w131_what_needs_a_step_that_was_not_done_is_cancelled(world: World, outcome: Outcome) -> None:
    """Failed and cancelled cancel the dependents, and theirs, with a reason; independent steps go on."""
    submitted = await world.submit(
        world.job("s1"), world.job("s2", "s1"), world.job("s3", "s2"), world.job("s4"), world.job("s5", "s4", "s3")
    )
    lease = await world.start(submitted.job_ids[0])
    await world.settle(lease, outcome)
    ended = S.FAILED if outcome == failure() else S.CANCELLED
    assert await world.statuses(submitted) == [ended, S.CANCELLED, S.CANCELLED, S.RUNNING, S.CANCELLED]
    for job_id in (submitted.job_ids[1], submitted.job_ids[2], submitted.job_ids[4]):
        job = await world.job_of(job_id)
        assert job.reason
        assert job.finished_at == world.clock.now()
        assert await world.kinds(job_id) == [EventType.JOB_CANCELLED]
    assert (await world.plan_of(submitted.plan_id)).status is PlanStatus.RUNNING


async def test_what_needs_a_skipped_step_is_skipped(world: World) -> None:
    """Skipped skips the dependents, and theirs, with a reason; the plan ends completed."""
    submitted = await world.submit(world.job("s1"), world.job("s2", "s1"), world.job("s3", "s2"))
    await world.run(submitted.job_ids[0], Skipped("no open ticket"))
    assert await world.statuses(submitted) == [S.SKIPPED] * 3
    assert all(job.reason for job in await world.alpha.plan_jobs(submitted.plan_id))
    assert (await world.plan_of(submitted.plan_id)).status is PlanStatus.COMPLETED


async def test_an_unknown_outcome_leaves_its_dependents_waiting(world: World) -> None:
    """As long as nobody knows, what needs the step waits and the plan stays running."""
    submitted = await world.submit(world.job("s1"), world.job("s2", "s1"))
    await world.run(submitted.job_ids[0], doubt())
    assert await world.statuses(submitted) == [S.UNKNOWN, S.WAITING]
    plan = await world.plan_of(submitted.plan_id)
    assert (plan.status, plan.finished_at) == (PlanStatus.RUNNING, None)


@pytest.mark.parametrize(
    ("outcomes", "status", "event"),
    [
        ((done(), done(), done()), PlanStatus.COMPLETED, EventType.PLAN_COMPLETED),
        ((done(), Skipped("no"), done()), PlanStatus.COMPLETED, EventType.PLAN_COMPLETED),
        ((Cancelled("no"), done(), Skipped("no")), PlanStatus.CANCELLED, EventType.PLAN_CANCELLED),
        ((Cancelled("no"), failure(), done()), PlanStatus.FAILED, EventType.PLAN_FAILED),
        ((done(), done(), failure()), PlanStatus.FAILED, EventType.PLAN_FAILED),
    ],
)
async def test_w131_how_a_plan_ends(
    world: World, outcomes: tuple[Outcome, ...], status: PlanStatus, event: EventType
) -> None:
    """With no job open: failed if any failed, else cancelled if any was cancelled, else completed; said once, last."""
    submitted = await world.submit(*[world.job(f"s{n}") for n in range(len(outcomes))])
    for job_id, outcome in zip(submitted.job_ids, outcomes, strict=True):
        plan = await world.plan_of(submitted.plan_id)
        assert (plan.status, plan.finished_at) == (PlanStatus.RUNNING, None)
        world.clock.advance(1)
        await world.run(job_id, outcome)
    plan = await world.plan_of(submitted.plan_id)
    assert (plan.status, plan.finished_at) == (status, world.clock.now())
    assert (await world.log())[-1].type is event
    assert await world.kinds(submitted.plan_id) == [EventType.PLAN_SUBMITTED, event]


@pytest.mark.parametrize("outcome", [done(), Skipped("no"), Cancelled("no")])
async def test_w21_parameters_are_dropped_when_no_longer_needed(
    world: World, backend: Backend, outcome: Outcome
) -> None:
    """The sealed parameters of a completed, skipped or cancelled job are nowhere in the store; its neighbour's are."""
    first, other = world.job("s1"), world.job("s2")
    await world.submit(first, other)
    assert backend.holds(first.params_sealed.decode())
    await world.run(first.job_id, outcome)
    assert not backend.holds(first.params_sealed.decode())
    assert backend.holds(other.params_sealed.decode())


async def test_w21_bodies_and_results_are_dropped_when_the_plan_ends(world: World, backend: Backend) -> None:
    """A plan that ended without a failure keeps neither sealed body nor sealed results; what is listed stays."""
    first, last = world.job("s1"), world.job("s2", "s1")
    submitted = await world.submit(first, last)
    await world.run(first.job_id, done({"kept": 1}, b"sealed result of s1"))
    assert backend.holds("sealed result of s1")
    assert backend.holds(f"body of {submitted.plan_id}")
    await world.run(last.job_id)
    assert (await world.plan_of(submitted.plan_id)).body_sealed is None
    assert not backend.holds("sealed result of s1")
    assert not backend.holds(f"body of {submitted.plan_id}")
    assert (await world.job_of(first.job_id)).result == {"kept": 1}


async def test_a_failed_plan_keeps_what_a_retry_needs(world: World, backend: Backend) -> None:
    """A failed plan keeps its body, its results, and the failed step's parameters."""
    first, last = world.job("s1"), world.job("s2", "s1")
    submitted = await world.submit(first, last)
    await world.run(first.job_id, done({}, b"sealed result of s1"))
    await world.run(last.job_id, failure())
    plan = await world.plan_of(submitted.plan_id)
    assert (plan.status, plan.body_sealed) == (PlanStatus.FAILED, f"body of {plan.plan_id}".encode())
    assert backend.holds("sealed result of s1")
    assert backend.holds(last.params_sealed.decode())
