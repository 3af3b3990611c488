"""claim: what is ready goes out once, oldest first, fairly between workspaces, under a lease."""

import pytest

from steward.event import EventType
from steward.job import LEASE_S, JobStatus
from tests.contracts.builders import ALPHA, BETA, World, again, done, failure, principal

pytestmark = pytest.mark.anyio


async def test_a_claimed_job_is_running_under_a_lease(world: World) -> None:
    """Claiming sets running, fence + 1, attempts + 1, the worker, a lease of LEASE_S and started_at."""
    submitted = await world.submit()
    world.clock.advance(2)
    (lease,) = await world.claim(worker_id="worker-7")
    assert lease.job == await world.job_of(submitted.job_ids[0])
    job = lease.job
    assert (job.status, job.fence, job.attempts, job.worker_id) == (JobStatus.RUNNING, 1, 1, "worker-7")
    assert (job.lease_until, job.started_at) == (world.at(LEASE_S), world.clock.now())
    assert (job.dispatched_at, job.first_dispatched_at) == (None, None)
    assert await world.alpha.queue_depth() == 0
    assert (await world.kinds(job.job_id))[-1] is EventType.JOB_STARTED


async def test_a_lease_carries_what_the_worker_needs(world: World) -> None:
    """A lease has the sealed parameters, the dependencies' sealed results and labels, and its actor's own store."""
    first, other = world.job("s1"), world.job("s2")
    last = world.job("s3", "s1")
    await world.submit(first, other, last)
    await world.run(first.job_id, done({"n": 1}, b"sealed one", {"n": {"label": "S"}}))
    await world.run(other.job_id, done({"n": 2}, b"sealed two"))
    lease = await world.start(last.job_id)
    assert lease.params_sealed == last.params_sealed
    assert lease.inputs_sealed == {"s1": b"sealed one"}
    assert lease.input_labels == {"s1": {"n": {"label": "S"}}}
    assert (lease.store.principal.actor_id, lease.store.principal.workspace_id) == (ALPHA.actor_id, "alpha")
    assert await lease.store.get_job(last.job_id) == lease.job
    assert (lease.ref.workspace_id, lease.ref.job_id, lease.ref.fence) == ("alpha", last.job_id, 1)


async def test_a_job_is_handed_out_once(world: World) -> None:
    """While a lease holds, nobody else gets the job."""
    await world.submit(world.job("s1"), world.job("s2"), world.job("s3"))
    first, second, third = [await world.claim(limit=2, worker_id=f"worker-{n}") for n in range(3)]
    assert (len(first), len(second), len(third)) == (2, 1, 0)
    assert len({lease.job.job_id for lease in first + second}) == 3


async def test_only_ready_jobs_are_handed_out(world: World) -> None:
    """Waiting, held and scheduled jobs stay where they are, and so does what has ended."""
    ended = await world.submit()
    await world.run(ended.job_ids[0])
    ready = await world.submit(world.job("s1"), world.job("s2", "s1"), world.job("s3", not_before=world.at(60)))
    await world.submit(approved=False)
    assert [lease.job.job_id for lease in await world.claim()] == [ready.job_ids[0]]


async def test_oldest_first_within_a_workspace(world: World) -> None:
    """Jobs go out in the order in which they came in, also across plans and within one."""
    order: list[str] = []
    for _ in range(4):
        order += (await world.submit(world.job("s1"), world.job("s2"), world.job("s3"))).job_ids
        world.clock.advance(1)
    taken: list[str] = []
    for limit in (1, 2, 4, 5):
        taken += [lease.job.job_id for lease in await world.claim(limit=limit)]
    assert taken == order


async def test_a_scheduled_job_waits_for_its_time(world: World) -> None:
    """A job is not handed out before not_before and is handed out from then on; it becomes ready first."""
    submitted = await world.submit(world.job(not_before=world.at(60)))
    world.clock.advance(59.999)
    assert await world.claim() == ()
    assert (await world.job_of(submitted.job_ids[0])).status is JobStatus.SCHEDULED
    world.clock.advance(0.001)
    assert [lease.job.job_id for lease in await world.claim()] == list(submitted.job_ids)
    assert await world.kinds(submitted.job_ids[0]) == [EventType.JOB_RELEASED, EventType.JOB_STARTED]


async def test_next_at_is_none_when_nothing_will_happen_by_itself(world: World) -> None:
    """With nothing scheduled and nothing leased there is no time to wait for."""
    assert (await world.dispatcher.claim("w", limit=10)).next_at is None
    submitted = await world.submit(world.job("s1"), world.job("s2", "s1"))
    await world.submit(approved=False)
    await world.run(submitted.job_ids[0], failure())
    assert (await world.dispatcher.claim("w", limit=10)).next_at is None


async def test_next_at_is_the_earliest_of_schedules_and_leases(world: World) -> None:
    """next_at is the next start time or the next lease to run out, whichever comes first, over all workspaces."""
    await world.submit(world.job(not_before=world.at(60)))
    await world.submit(world.job(not_before=world.at(30)), who=BETA)
    assert (await world.dispatcher.claim("w", limit=10)).next_at == world.at(30)
    await world.submit()
    assert (await world.dispatcher.claim("w", limit=10)).next_at == world.at(LEASE_S)
    world.clock.advance(4)
    assert (await world.dispatcher.claim("w", limit=10)).next_at == world.at(LEASE_S - 4)


async def test_a_second_attempt_starts_afresh(world: World) -> None:
    """A new claim has a higher fence, one more attempt and no dispatch of its own; the first start stays."""
    submitted = await world.submit()
    began = world.clock.now()
    first = await world.start(submitted.job_ids[0])
    await world.dispatch(first)
    await world.settle(first, again(world.at(5), doubtful=True))
    world.clock.advance(5)
    job = (await world.start(submitted.job_ids[0])).job
    assert (job.fence, job.attempts, job.dispatched_at) == (2, 2, None)
    assert (job.first_dispatched_at, job.started_at) == (began, began)
    assert job.effect_key == first.job.effect_key
    assert job.lease_until == world.at(LEASE_S)


@pytest.mark.parametrize("limit", [2, 10])
async def test_w129_a_flood_delays_a_single_job_by_no_more_than_the_batch(world: World, limit: int) -> None:
    """With 500 jobs of another workspace ready, a single job is in the very next batch."""
    for _ in range(10):
        await world.submit(*[world.job(f"s{n}") for n in range(50)])
    await world.claim(limit=limit)
    lone = await world.submit(who=BETA)
    batch = await world.claim(limit=limit)
    assert len(batch) == limit
    assert lone.job_ids[0] in {lease.job.job_id for lease in batch}


async def test_w129_with_batches_of_one_the_lone_job_is_second_at_the_latest(world: World) -> None:
    """A workspace that was served goes to the end of the line, also when only one job is taken at a time."""
    await world.submit(*[world.job(f"s{n}") for n in range(50)])
    await world.claim(limit=1)
    lone = await world.submit(who=BETA)
    two = [*await world.claim(limit=1), *await world.claim(limit=1)]
    assert lone.job_ids[0] in {lease.job.job_id for lease in two}


async def test_a_flood_that_falls_due_delays_nobody_else(world: World) -> None:
    """A thousand scheduled jobs of another workspace fall due first: a single one due later is in the next batch."""
    for _ in range(24):
        await world.submit(*[world.job(f"s{n}", not_before=world.at(60)) for n in range(50)])
    lone = await world.submit(world.job(not_before=world.at(61)), who=BETA)
    world.clock.advance(62)
    assert lone.job_ids[0] in {lease.job.job_id for lease in await world.claim(limit=10)}


async def test_three_floods_share_the_workers_evenly(world: World) -> None:
    """Workspaces that all have plenty are served alike, whatever the batch size."""
    people = [principal(name, f"key_{name}") for name in ("one", "two", "three")]
    for who in people:
        await world.submit(*[world.job(f"s{n}") for n in range(50)], who=who)
    served = dict.fromkeys(("one", "two", "three"), 0)
    for limit in (1, 1, 1, 3, 6, 6, 12, 4, 2):
        for lease in await world.claim(limit=limit):
            served[lease.job.workspace_id] += 1
    assert sum(served.values()) == 36
    assert max(served.values()) - min(served.values()) <= 1


@pytest.mark.parametrize("limit", [1, 2, 4, 5, 16])
async def test_no_place_in_the_line_is_better_than_another(world: World, limit: int) -> None:
    """However the batch divides among three workspaces, over many batches each of them gets its third."""
    people = [principal(name, f"key_{name}") for name in ("one", "two", "three")]
    for who in people:
        for _ in range(2):
            await world.submit(*[world.job(f"s{n}") for n in range(50)], who=who)
    served = dict.fromkeys(("one", "two", "three"), 0)
    for _ in range(90 // limit):
        for lease in await world.claim(limit=limit):
            served[lease.job.workspace_id] += 1
    assert max(served.values()) - min(served.values()) <= 1, served


async def test_a_batch_is_filled_from_whoever_has_work(world: World) -> None:
    """Fairness never leaves a worker idle: when the others are empty, one workspace fills the batch."""
    await world.submit(*[world.job(f"s{n}") for n in range(20)])
    await world.submit(who=BETA)
    assert len(await world.claim(limit=15)) == 15
    assert len(await world.claim(limit=15)) == 6
