"""sweep and lost leases: a dead worker loses nothing, and nothing is ever repeated blindly."""

import pytest

from steward.action import Effect, RetryMode
from steward.event import EventType
from steward.job import LEASE_S, JobStatus
from steward.plan import PlanStatus
from steward.work_store import Refused
from tests.contracts.builders import BETA, World, again, done

pytestmark = pytest.mark.anyio

S = JobStatus
R, W = Effect.READ, Effect.WRITE
KEYED, PROBE, NONE = RetryMode.KEYED, RetryMode.PROBE, RetryMode.NONE
KINDS = [(R, KEYED), (R, PROBE), (R, NONE), (W, KEYED), (W, PROBE), (W, NONE)]


async def _lose(world: World, job_id: str, *, dispatched: bool) -> None:
    """Claim the job, perhaps dispatch it, and let the worker die."""
    lease = await world.start(job_id)
    if dispatched:
        await world.dispatch(lease)
    world.clock.advance(LEASE_S + 1)
    assert (await world.dispatcher.sweep()).leases_lost == 1


@pytest.mark.parametrize(("effect", "retry"), KINDS)
async def test_w127_before_dispatch_the_job_simply_comes_back(world: World, effect: Effect, retry: RetryMode) -> None:
    """Whatever the mode: lost before dispatch, the job is ready again at once and the attempt is in its history."""
    submitted = await world.submit(world.job(effect=effect, retry=retry))
    await _lose(world, submitted.job_ids[0], dispatched=False)
    job = await world.job_of(submitted.job_ids[0])
    assert (job.status, job.attempts, job.first_dispatched_at) == (S.PENDING, 1, None)
    assert (await world.kinds(job.job_id))[-1] is EventType.JOB_RELEASED
    assert [attempt.outcome for attempt in job.history] == ["lease_lost"]
    second = (await world.start(job.job_id)).job
    assert (second.attempts, second.fence) == (2, 2)


@pytest.mark.parametrize(("effect", "retry"), KINDS)
async def test_w127_after_dispatch_the_mode_decides(world: World, effect: Effect, retry: RetryMode) -> None:
    """A read, a keyed write (key valid) and a probed write come back; a write that cannot be repeated is unknown."""
    submitted = await world.submit(world.job(effect=effect, retry=retry))
    began = world.clock.now()
    await _lose(world, submitted.job_ids[0], dispatched=True)
    job = await world.job_of(submitted.job_ids[0])
    blind = effect is W and retry is NONE
    assert job.status is (S.UNKNOWN if blind else S.PENDING)
    doubtful = effect is W
    assert job.first_dispatched_at == (began if doubtful else None)
    if blind:
        assert await world.claim() == ()
        assert job.error is not None
        assert (await world.kinds(job.job_id))[-1] is EventType.JOB_UNKNOWN
        assert (await world.plan_of(submitted.plan_id)).status is PlanStatus.RUNNING
    else:
        again_ = (await world.start(job.job_id)).job
        assert (again_.dispatched_at, again_.effect_key) == (None, job.effect_key)
        assert again_.first_dispatched_at == job.first_dispatched_at


async def test_a_keyed_write_whose_key_is_no_longer_valid_is_unknown(world: World) -> None:
    """Past key_valid_s from the first dispatch the far end may have forgotten the key, so nobody may repeat."""
    submitted = await world.submit(world.job(retry=KEYED, key_valid_s=LEASE_S / 2))
    await _lose(world, submitted.job_ids[0], dispatched=True)
    assert (await world.job_of(submitted.job_ids[0])).status is S.UNKNOWN


@pytest.mark.parametrize(
    ("effect", "retry", "dispatched", "status"),
    [
        (W, NONE, False, S.FAILED),
        (W, KEYED, False, S.FAILED),
        (R, NONE, False, S.FAILED),
        (R, NONE, True, S.FAILED),
        (W, KEYED, True, S.UNKNOWN),
        (W, PROBE, True, S.UNKNOWN),
        (W, NONE, True, S.UNKNOWN),
    ],
)
async def test_w127_attempts_are_bounded(
    world: World, effect: Effect, retry: RetryMode, dispatched: bool, status: JobStatus
) -> None:
    """The last allowed attempt lost: failed when certainly nothing happened, unknown when something may have."""
    submitted = await world.submit(world.job(effect=effect, retry=retry, max_attempts=2))
    await _lose(world, submitted.job_ids[0], dispatched=dispatched)
    if (await world.job_of(submitted.job_ids[0])).status is S.PENDING:
        await _lose(world, submitted.job_ids[0], dispatched=dispatched)
    job = await world.job_of(submitted.job_ids[0])
    assert job.status is status
    assert job.error is not None
    assert await world.claim() == ()


async def test_an_earlier_dispatch_is_not_forgotten(world: World) -> None:
    """Dispatched in the first attempt, lost before dispatch in the last: the first may have happened, so unknown."""
    submitted = await world.submit(world.job(retry=KEYED, max_attempts=2))
    await world.run(submitted.job_ids[0], again(world.at(1), doubtful=True))
    world.clock.advance(1)
    await _lose(world, submitted.job_ids[0], dispatched=False)
    assert (await world.job_of(submitted.job_ids[0])).status is S.UNKNOWN


async def test_a_lease_that_holds_is_left_alone(world: World) -> None:
    """A sweep touches no lease that has not run out, and no other job."""
    await world.submit(world.job("s1"), world.job("s2", "s1"))
    await world.submit(world.job(not_before=world.at(3)))
    await world.claim()
    world.clock.advance(LEASE_S - 0.001)
    before = await world.visible()
    assert (await world.dispatcher.sweep()).leases_lost == 0
    assert await world.visible() == before


async def test_a_sweep_recovers_every_workspace_and_counts(world: World) -> None:
    """All lost leases of all workspaces come back in one sweep; a second sweep finds nothing."""
    await world.submit(world.job("s1"), world.job("s2"))
    await world.submit(who=BETA)
    await world.claim()
    world.clock.advance(LEASE_S + 1)
    assert (await world.dispatcher.sweep()).leases_lost == 3
    assert (await world.dispatcher.sweep()).leases_lost == 0
    assert await world.dispatcher.depth() == {"alpha": 2, "beta": 1}


async def test_many_lost_leases_are_recovered_however_many_a_sweep_takes(world: World) -> None:
    """Sweeping until nothing is lost any more brings every job back exactly once."""
    for _ in range(5):
        await world.submit(*[world.job(f"s{n}") for n in range(50)])
    await world.claim()
    world.clock.advance(LEASE_S + 1)
    recovered = 0
    while lost := (await world.dispatcher.sweep()).leases_lost:
        recovered += lost
    assert recovered == 250
    assert await world.dispatcher.depth() == {"alpha": 250}


async def test_a_lost_last_attempt_cancels_what_needs_it(world: World) -> None:
    """A job that a sweep fails ends like any failed job: dependents cancelled, plan ended."""
    submitted = await world.submit(world.job("s1", max_attempts=1), world.job("s2", "s1"))
    await _lose(world, submitted.job_ids[0], dispatched=False)
    assert await world.statuses(submitted) == [S.FAILED, S.CANCELLED]
    assert (await world.plan_of(submitted.plan_id)).status is PlanStatus.FAILED


async def test_a_worker_that_is_only_slow_may_still_settle(world: World) -> None:
    """Until somebody swept, the fence is current and what the worker did is not thrown away."""
    submitted = await world.submit()
    lease = await world.start(submitted.job_ids[0])
    await world.dispatch(lease)
    world.clock.advance(LEASE_S + 1)
    assert not isinstance(await world.settle(lease, done("sent")), Refused)
    assert (await world.dispatcher.sweep()).leases_lost == 0
    assert (await world.job_of(submitted.job_ids[0])).result == "sent"


@pytest.mark.parametrize(("effect", "retry"), KINDS)
async def test_a_cancel_in_mid_effect_of_a_dead_worker(world: World, effect: Effect, retry: RetryMode) -> None:
    """Asked to stop after dispatch, then lost: a read is cancelled, a write that may have happened never reads so."""
    submitted = await world.submit(world.job(effect=effect, retry=retry))
    lease = await world.start(submitted.job_ids[0])
    await world.dispatch(lease)
    await world.alpha.cancel_job(submitted.job_ids[0])
    world.clock.advance(LEASE_S + 1)
    await world.dispatcher.sweep()
    assert (await world.job_of(submitted.job_ids[0])).status is (S.CANCELLED if effect is R else S.UNKNOWN)
    assert await world.claim() == ()


async def test_a_job_that_was_asked_to_stop_never_runs_after_its_worker_died(world: World) -> None:
    """Cancel asked for, worker dead before dispatch: whatever road it takes, no effect is allowed and it ends cancelled."""
    submitted = await world.submit(world.job("s1"), world.job("s2", "s1"))
    await world.start(submitted.job_ids[0])
    await world.alpha.cancel_job(submitted.job_ids[0])
    world.clock.advance(LEASE_S + 1)
    await world.dispatcher.sweep()
    assert await world.claim() == ()
    assert await world.statuses(submitted) == [S.CANCELLED, S.CANCELLED]
    assert (await world.plan_of(submitted.plan_id)).status is PlanStatus.CANCELLED
