"""Expansion: a step becomes children, waits for them, and is claimed again to gather their results."""

import pytest

from steward.errors import Conflict
from steward.event import EventType
from steward.job import Expanded, JobStatus
from steward.plan import MAX_JOBS_PER_PLAN, PlanStatus
from steward.work_store import Granted
from tests.contracts.builders import World, done, failure

pytestmark = pytest.mark.anyio

S = JobStatus


async def test_children_run_and_the_parent_gathers(world: World) -> None:
    """Children start at once; when all are completed the parent is claimed again and gets their results by step id."""
    parent, after = world.job("s1"), world.job("s2", "s1")
    submitted = await world.submit(parent, after)
    children = [world.job("s1[0]", parent_step_id="s1"), world.job("s1[1]", parent_step_id="s1")]
    lease = await world.start(parent.job_id)
    answer = await world.settle(lease, Expanded(tuple(children)))
    assert isinstance(answer, Granted)
    assert (answer.job.status, answer.job.expanded) == (S.WAITING, True)
    assert EventType.JOB_EXPANDED in await world.kinds(parent.job_id)
    assert await world.alpha.queue_depth() == 2

    await world.run(children[0].job_id, done({"n": 0}, b"zero", {"n": {"label": "U"}}))
    assert (await world.job_of(parent.job_id)).status is S.WAITING
    await world.run(children[1].job_id, done({"n": 1}, b"one"))
    gathering = await world.start(parent.job_id)
    assert gathering.job.expanded
    assert gathering.job.fence > lease.job.fence
    assert gathering.params_sealed == parent.params_sealed
    assert gathering.inputs_sealed == {"s1[0]": b"zero", "s1[1]": b"one"}
    assert gathering.input_labels["s1[0]"] == {"n": {"label": "U"}}
    assert (await world.job_of(after.job_id)).status is S.WAITING

    await world.settle(gathering, done([0, 1], b"both"))
    assert (await world.start(after.job_id)).inputs_sealed == {"s1": b"both"}
    assert (await world.plan_of(submitted.plan_id)).status is PlanStatus.RUNNING


async def test_children_stand_after_their_parent(world: World) -> None:
    """plan_jobs puts children after their parent; the plan's own ids stay one per step."""
    jobs = [world.job("s1"), world.job("s2")]
    submitted = await world.submit(*jobs)
    children = tuple(world.job(f"s1[{n}]", parent_step_id="s1") for n in range(3))
    await world.settle(await world.start(jobs[0].job_id), Expanded(children))
    steps = [job.step_id for job in await world.alpha.plan_jobs(submitted.plan_id)]
    assert steps == ["s1", "s1[0]", "s1[1]", "s1[2]", "s2"]
    plan = await world.plan_of(submitted.plan_id)
    assert plan.job_ids == submitted.job_ids
    child = await world.job_of(children[0].job_id)
    assert (child.parent_step_id, child.plan_id, child.actor_id) == (
        "s1",
        submitted.plan_id,
        "key_0000000000000000000alpha",
    )


async def test_children_may_be_scheduled(world: World) -> None:
    """Children start like dependents of nothing: a start time that lies ahead is kept."""
    parent = world.job("s1")
    await world.submit(parent)
    later = world.job("s1[0]", parent_step_id="s1", not_before=world.at(60))
    await world.settle(await world.start(parent.job_id), Expanded((later,)))
    assert (await world.job_of(later.job_id)).status is S.SCHEDULED


async def test_a_failed_child_takes_its_parent_along(world: World) -> None:
    """A parent needs its children as any step needs what it depends on: one fails, parent and dependents are cancelled."""
    parent, after = world.job("s1"), world.job("s2", "s1")
    submitted = await world.submit(parent, after)
    children = [world.job("s1[0]", parent_step_id="s1"), world.job("s1[1]", parent_step_id="s1")]
    await world.settle(await world.start(parent.job_id), Expanded(tuple(children)))
    await world.run(children[0].job_id, failure())
    assert (await world.job_of(parent.job_id)).status is S.CANCELLED
    assert (await world.job_of(after.job_id)).status is S.CANCELLED
    assert (await world.plan_of(submitted.plan_id)).status is PlanStatus.RUNNING
    await world.run(children[1].job_id)
    assert (await world.plan_of(submitted.plan_id)).status is PlanStatus.FAILED


async def test_a_failed_child_can_be_retried(world: World) -> None:
    """Retrying the child revives its parent, which then gathers as if nothing had been."""
    parent = world.job("s1")
    submitted = await world.submit(parent)
    child = world.job("s1[0]", parent_step_id="s1")
    await world.settle(await world.start(parent.job_id), Expanded((child,)))
    await world.run(child.job_id, failure())
    await world.alpha.retry_job(child.job_id)
    assert (await world.job_of(parent.job_id)).status is S.WAITING
    await world.run(child.job_id, done({}, b"second try"))
    gathering = await world.start(parent.job_id)
    assert gathering.inputs_sealed == {"s1[0]": b"second try"}
    assert gathering.params_sealed == parent.params_sealed
    await world.settle(gathering, done())
    assert (await world.plan_of(submitted.plan_id)).status is PlanStatus.COMPLETED


async def test_children_may_wait_for_one_another(world: World) -> None:
    """A child that needs others waits for them and gets their results; the parent waits for them all."""
    parent = world.job("s1")
    await world.submit(parent)
    first, second = world.job("s1[0]", parent_step_id="s1"), world.job("s1[1]", "s1[0]", parent_step_id="s1")
    third = world.job("s1[2]", "s1[0]", "s1[1]", parent_step_id="s1")
    await world.settle(await world.start(parent.job_id), Expanded((first, second, third)))
    states = [job.status for job in await world.alpha.plan_jobs((await world.job_of(parent.job_id)).plan_id)]
    assert states == [S.WAITING, S.PENDING, S.WAITING, S.WAITING]
    await world.run(first.job_id, done({}, b"one", {"": "U"}))
    lease = await world.start(second.job_id)
    assert (lease.inputs_sealed, lease.input_labels) == ({"s1[0]": b"one"}, {"s1[0]": {"": "U"}})
    await world.settle(lease, done({}, b"two"))
    lease = await world.start(third.job_id)
    assert lease.inputs_sealed == {"s1[0]": b"one", "s1[1]": b"two"}
    await world.settle(lease, done({}, b"three"))
    gathering = await world.start(parent.job_id)
    assert gathering.inputs_sealed == {"s1[0]": b"one", "s1[1]": b"two", "s1[2]": b"three"}


async def test_a_failed_child_takes_along_what_needs_it_and_a_retry_revives_all_of_it(world: World) -> None:
    """Children that need it are cancelled with the parent; retried, everything goes on as if nothing had been."""
    parent = world.job("s1")
    submitted = await world.submit(parent)
    names = [f"s1[{n}]" for n in range(3)]
    children = [world.job(name, *names[:n][-1:], parent_step_id="s1") for n, name in enumerate(names)]
    await world.settle(await world.start(parent.job_id), Expanded(tuple(children)))
    await world.run(children[0].job_id, failure())
    assert [job.status for job in await world.alpha.plan_jobs(submitted.plan_id)] == [
        *(S.CANCELLED, S.FAILED, S.CANCELLED, S.CANCELLED)
    ]
    await world.alpha.retry_job(children[0].job_id)
    assert [job.status for job in await world.alpha.plan_jobs(submitted.plan_id)] == [
        *(S.WAITING, S.PENDING, S.WAITING, S.WAITING)
    ]
    for job in (*children, parent):
        await world.run(job.job_id)
    assert (await world.plan_of(submitted.plan_id)).status is PlanStatus.COMPLETED


async def test_an_empty_expansion_does_not_hang(world: World) -> None:
    """A step without children has nothing to wait for: it is ready to gather nothing."""
    parent = world.job("s1")
    await world.submit(parent)
    await world.settle(await world.start(parent.job_id), Expanded(()))
    gathering = await world.start(parent.job_id)
    assert gathering.job.expanded
    assert gathering.inputs_sealed == {}


async def test_a_step_that_needs_others_still_gathers_only_its_children(world: World) -> None:
    """After the expansion the inputs are the children's, as the contract says: each child."""
    first, parent = world.job("s1"), world.job("s2", "s1")
    await world.submit(first, parent)
    await world.run(first.job_id, done([1], b"list"))
    lease = await world.start(parent.job_id)
    assert lease.inputs_sealed == {"s1": b"list"}
    child = world.job("s2[0]", parent_step_id="s2")
    await world.settle(lease, Expanded((child,)))
    await world.run(child.job_id, done(1, b"one"))
    assert (await world.start(parent.job_id)).inputs_sealed == {"s2[0]": b"one"}


async def test_ids_that_exist_are_refused(world: World) -> None:
    """A child under a job id that exists raises Conflict and nothing of the settlement stays."""
    parent, other = world.job("s1"), world.job("s2")
    await world.submit(parent, other)
    lease = await world.start(parent.job_id)
    before = await world.visible()
    fresh = world.job("s1[0]", parent_step_id="s1")
    for children in (
        (fresh, world.job("s1[1]", job_id=other.job_id)),
        (fresh, world.job("s1[1]", job_id=fresh.job_id)),
    ):
        with pytest.raises(Conflict):
            await world.settle(lease, Expanded(children))
        assert await world.visible() == before
    assert isinstance(await world.settle(lease, Expanded((fresh,))), Granted)


async def test_an_expansion_sent_again_makes_no_second_set(world: World) -> None:
    """Settling the same expansion twice with the same fence leaves one set of children."""
    parent = world.job("s1")
    await world.submit(parent)
    lease = await world.start(parent.job_id)
    expanded = Expanded((world.job("s1[0]", parent_step_id="s1"),))
    first = await world.settle(lease, expanded)
    before = await world.visible()
    assert await world.settle(lease, expanded) == first
    assert await world.visible() == before


async def test_a_plan_has_only_so_many_jobs(world: World) -> None:
    """An expansion beyond MAX_JOBS_PER_PLAN raises Conflict and leaves nothing; one that fits is taken."""
    parent = world.job("s1")
    submitted = await world.submit(parent)
    lease = await world.start(parent.job_id)
    before = await world.visible()
    children = tuple(world.job(f"s1[{n}]", parent_step_id="s1") for n in range(MAX_JOBS_PER_PLAN))
    with pytest.raises(Conflict):
        await world.settle(lease, Expanded(children))
    assert await world.visible() == before
    assert isinstance(await world.settle(lease, Expanded(children[1:])), Granted)
    assert len(await world.alpha.plan_jobs(submitted.plan_id)) == MAX_JOBS_PER_PLAN


async def test_cancelling_a_step_that_waits_for_its_children(world: World) -> None:
    """Cancelled while its children run: the parent and what needs it are cancelled and the plan ends when they do."""
    parent, after = world.job("s1"), world.job("s2", "s1")
    submitted = await world.submit(parent, after)
    children = tuple(world.job(f"s1[{n}]", parent_step_id="s1") for n in range(2))
    await world.settle(await world.start(parent.job_id), Expanded(children))
    running = await world.start(children[0].job_id)
    await world.alpha.cancel_job(parent.job_id)
    assert [(await world.job_of(job.job_id)).status for job in (parent, after)] == [S.CANCELLED, S.CANCELLED]
    for lease in (running, *await world.claim(), *world.leases.values()):
        await world.settle(lease, done())
    plan = await world.plan_of(submitted.plan_id)
    assert (plan.status, plan.finished_at) == (PlanStatus.CANCELLED, world.clock.now())
