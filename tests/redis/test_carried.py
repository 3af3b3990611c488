"""A plan of one step is carried by its job, and what only older versions read is kept while one of them may be at work."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest

from steward.errors import NotFound, StewardError
from steward.ids import IdFactory
from steward.job import HeldFor, JobStatus
from steward.plan import PlanRecord, PlanStatus
from steward.work_store import MIN_RETENTION_S, Submitted
from steward.work_stores.redis import RedisWorkEngine, open_redis_engine
from steward.work_stores.redis.keys import key
from tests.conftest import FakeClock
from tests.contracts.builders import World, action_claim, again, done, doubt, failure, request_claim
from tests.installation import installation, planned
from tests.redis_server import everything, shared_server

pytestmark = pytest.mark.anyio

ONLY_BEFORE: Final = (key("jobs", "alpha"), key("plans", "alpha"), key("home"))


def _is_carried(raw: Any, submitted: Submitted) -> bool:
    """Say whether a plan has no hash of its own; nothing of it is then elsewhere than in its job."""
    apart = raw.exists(key("plan", "alpha", submitted.plan_id)) == 1
    carried = raw.hexists(key("job", "alpha", submitted.job_ids[0]), "carried")
    assert apart != carried
    return not apart


async def _both_ways(world: World, raw: Any) -> tuple[PlanRecord, PlanRecord]:
    """Return one plan as it is read while its job carries it, and once it is kept apart."""
    plan = world.plan(digest="0123456789abcdef" * 4, document={"prompt": "a \u00e4 \n b", "steps": []})
    submitted = await world.submit(plan=plan, claims=[request_claim("r")])
    assert _is_carried(raw, submitted)
    carried = await world.plan_of(plan.plan_id)
    lease = await world.start(submitted.job_ids[0])
    await world.dispatcher.hold(lease.ref, HeldFor.APPROVAL, "look", world.approval(plan.plan_id, lease.job.job_id))
    assert not _is_carried(raw, submitted)
    return carried, await world.plan_of(plan.plan_id)


async def test_a_carried_plan_reads_as_one_that_is_kept_apart(world: World, raw: Any) -> None:
    """Its digest, document, body, times and request are the same, by its id and in the list."""
    carried, apart = await _both_ways(world, raw)
    assert carried == apart
    assert carried.body_sealed == f"body of {carried.plan_id}".encode()
    assert (await world.alpha.list_plans(limit=5)).plans == (apart,)


async def test_a_carried_plan_runs_through_in_its_jobs_hash(
    engine: RedisWorkEngine, world: World, raw: Any, clock: FakeClock
) -> None:
    """Queued, running and done it is listed by its status and found by its names, and it goes without a trace."""
    claims = [request_claim("r"), action_claim("a")]
    submitted = await world.submit(claims=claims)
    plan_id, job_id = submitted.plan_id, submitted.job_ids[0]
    await world.run(job_id)
    assert _is_carried(raw, submitted)
    plan = await world.plan_of(plan_id)
    assert (plan.status, plan.finished_at, plan.body_sealed) == (PlanStatus.COMPLETED, clock.now(), None)
    assert plan.job_ids == (job_id,)
    for status, shown in ((PlanStatus.COMPLETED, (plan,)), (PlanStatus.RUNNING, ()), (None, (plan,))):
        assert (await world.alpha.list_plans(limit=5, status=status)).plans == shown
    assert [job.job_id for job in await world.alpha.plan_jobs(plan_id)] == [job_id]
    assert [job.job_id for job in (await world.alpha.list_jobs(limit=5, plan_id=plan_id)).jobs] == [job_id]
    told = [
        event.type for event in (await world.alpha.events_after("evt_" + "0" * 16, limit=9, plan_id=plan_id)).events
    ]
    assert told == ["plan.submitted", "job.started", "job.dispatched", "job.completed", "plan.completed"]
    named = {("alpha", plan_id), ("beta", plan_id)}
    assert await world.dispatcher.shown_plans(named) == {("alpha", plan_id): plan.shown()}
    for claim in claims:
        known = await world.alpha.find([claim])
        assert known is not None
        assert (known.plan_id, known.job_ids, known.duplicate) == (plan_id, (job_id,), True)
    assert (await engine.mend(put_right=False)).differences == {}
    clock.advance(MIN_RETENTION_S + 1)
    assert await engine.dispatcher.purge(MIN_RETENTION_S) == 1
    assert not list(raw.scan_iter(f"*{job_id.removeprefix('job_')}*"))
    assert await world.alpha.find(claims) is None


ENDS: Final[dict[str, Callable[[World, Submitted], Awaitable[Any]]]] = {
    "fail": lambda world, of: world.run(of.job_ids[0], failure()),
    "try again": lambda world, of: world.run(of.job_ids[0], again(world.at(30))),
    "doubt": lambda world, of: world.run(of.job_ids[0], doubt()),
    "cancel the plan": lambda world, of: world.alpha.cancel_plan(of.plan_id),
    "cancel the job": lambda world, of: world.alpha.cancel_job(of.job_ids[0]),
    "name it again": lambda world, of: world.submit(
        plan=world.plan(plan_id=of.plan_id), claims=[request_claim("another")]
    ),
}


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
async def test_whatever_becomes_of_a_carried_plan_every_index_agrees(
    engine: RedisWorkEngine, world: World, raw: Any, clock: FakeClock, end: Callable[[World, Submitted], Awaitable[Any]]
) -> None:
    """Where more is to be kept than a job has room for, the plan is kept apart, with all that it said."""
    submitted = await world.submit(claims=[request_claim("r")])
    before = await world.plan_of(submitted.plan_id)
    await end(world, submitted)
    after = await world.plan_of(submitted.plan_id)
    kept = {"status": before.status, "finished_at": before.finished_at, "body_sealed": before.body_sealed}
    assert replace(after, **kept) == before
    assert [plan.plan_id for plan in (await world.alpha.list_plans(limit=9, status=after.status)).plans] == [
        after.plan_id
    ]
    page = await world.alpha.events_after("evt_" + "0" * 16, limit=99, plan_id=after.plan_id)
    assert list(page.events) == [event for event in await world.log() if event.plan_id == after.plan_id]
    assert (await engine.mend(put_right=False)).differences == {}
    with_names = await world.alpha.find([request_claim("r")])
    assert with_names is not None
    assert with_names.plan_id == after.plan_id
    if after.status is PlanStatus.FAILED:
        await world.alpha.retry_job(submitted.job_ids[0])
        await world.run(submitted.job_ids[0], done())
        assert (await engine.mend(put_right=False)).differences == {}
    clock.advance(MIN_RETENTION_S + 1)
    ended = await world.plan_of(after.plan_id)
    assert await engine.dispatcher.purge(MIN_RETENTION_S) == int(ended.status is not PlanStatus.RUNNING)


@pytest.mark.parametrize("prefix", ["blan_", "plan:", "plan-", "job_", "PLAN_", "plan", "xxxxx", "pl\u0430n_", ""])
async def test_no_other_id_leads_to_a_carried_plan(world: World, raw: Any, prefix: str) -> None:
    """Neither one that only looks like its own, nor its own from another workspace: nothing is shown, and nothing changes."""
    submitted = await world.submit()
    alike = prefix + submitted.plan_id.removeprefix("plan_")
    before = sorted(everything(raw))
    for store, plan_id in ((world.alpha, alike), (world.beta, submitted.plan_id)):
        assert await store.get_plan(plan_id) is None
        assert await store.plan_jobs(plan_id) == ()
        assert (await store.list_jobs(limit=9, plan_id=plan_id)).jobs == ()
        assert (await store.events_after("evt_" + "0" * 16, limit=9, plan_id=plan_id)).events == ()
        assert await world.dispatcher.shown_plans({(store.principal.workspace_id, plan_id)}) == {}
        with pytest.raises(NotFound):
            await store.cancel_plan(plan_id)
    assert sorted(everything(raw)) == before


async def test_a_damaged_carried_plan_hides_no_other(world: World, raw: Any) -> None:
    """It is listed with what can be read, and says so."""
    one, two = await world.submit(), await world.submit()
    raw.hset(key("job", "alpha", one.job_ids[0]), "carried", "1 soon")
    plans = (await world.alpha.list_plans(limit=9)).plans
    assert [plan.plan_id for plan in plans] == [two.plan_id, one.plan_id]
    assert "cannot be read" in plans[1].document["intent"]


async def test_everything_is_kept_for_older_versions_until_somebody_says_that_they_have_left(
    engine: RedisWorkEngine, world: World, raw: Any
) -> None:
    """Then each plan has its hash, and whole lists and homes are kept; a repair drops them, and everybody sees the same."""
    raw.hdel(key("schema"), "lean")
    many, one = await world.submit(world.job("s1"), world.job("s2", "s1")), await world.submit()
    await world.alpha.draft(world.plan())
    assert not _is_carried(raw, one)
    assert raw.hget(key("job", "alpha", one.job_ids[0]), "spec").split()[1] == one.plan_id.encode()
    jobs, plans, home = (raw.zcard(name) if name != key("home") else raw.hlen(name) for name in ONLY_BEFORE)
    assert (jobs, plans, home) == (3, 3, 3)
    assert (await engine.mend(put_right=False)).differences == {}
    raw.zrem(key("jobs", "alpha"), one.job_ids[0])
    raw.hdel(key("home"), one.plan_id)
    assert (await engine.mend(put_right=False)).differences == {"lists of jobs": 1, "whose each plan is": 1}
    before = await world.visible()
    assert (await engine.mend()).differences == {}
    assert raw.exists(*ONLY_BEFORE) == 0
    assert await world.visible() == before
    assert _is_carried(raw, await world.submit())
    for job_id in (*many.job_ids, *one.job_ids):
        await world.run(job_id)
    assert {plan.status for plan in (await world.alpha.list_plans(limit=9)).plans} >= {PlanStatus.COMPLETED}
    assert (await engine.mend(put_right=False)).differences == {}
    assert raw.exists(*ONLY_BEFORE) == 0


async def test_a_job_with_another_name_leaves_its_plan_apart(world: World, raw: Any) -> None:
    """As one of a plan that was drafted first; a plan that is there already is never carried besides."""
    assert not _is_carried(raw, await world.submit(world.job("s1")))
    plan = world.plan()
    await world.alpha.draft(plan)
    assert not _is_carried(raw, await world.submit(plan=plan))
    again_ = world.plan()
    submitted = await world.submit(plan=again_)
    with pytest.raises(StewardError):
        await world.alpha.draft(again_)
    assert _is_carried(raw, submitted)
    assert await world.statuses(submitted) == [JobStatus.PENDING]


async def test_one_action_is_kept_as_its_job_alone(tmp_path: Path, raw: Any, database: int) -> None:
    """As a client asks for it: with its document and sealed body, which go when it is done."""
    env = {"REDIS_URL": shared_server().url(database), "REDIS_EFFECT_SAFETY": "fast"}
    async with installation(tmp_path, env=env) as house:
        submitted = await house.submit(planned("compute", value="what was worked out"))
        name = key("job", "acme", submitted.job_ids[0])
        assert raw.hmget(name, "carried", "body_armoured").count(None) == 0
        assert not list(raw.scan_iter(key("plan", "*", "*")))
        await house.run_until_settled(submitted.plan_id)
        assert raw.hmget(name, "status", "body_armoured") == [b"completed", None]
        assert not list(raw.scan_iter(key("plan", "*", "*")))


async def test_a_start_alone_does_not_say_that_the_older_ones_have_left(world: World, raw: Any, database: int) -> None:
    """Where work is kept as they keep it, it goes on like that; an empty Redis begins without."""
    assert raw.hget(key("schema"), "lean") == b"1"
    raw.hdel(key("schema"), "lean")
    await world.submit()
    clock = FakeClock()
    async with open_redis_engine(shared_server().url(database), clock=clock, ids=IdFactory(clock), safety="fast"):
        assert raw.hget(key("schema"), "lean") is None
    assert not _is_carried(raw, await world.submit())


async def test_a_carried_plan_that_no_list_names_is_put_back(engine: RedisWorkEngine, world: World, raw: Any) -> None:
    """A repair finds it by the job that carries it, running or done."""
    running, done_ = await world.submit(), await world.submit()
    await world.run(done_.job_ids[0])
    before = await world.visible()
    raw.delete(key("plans_in", "alpha", "running"), key("plans_in", "alpha", "completed"), key("ended"))
    assert (await world.alpha.list_plans(limit=9)).plans == ()
    assert (await engine.mend()).differences == {"lists of plans by status": 2, "plans that are purged": 1}
    assert await world.visible() == before
    assert {plan.plan_id for plan in before["plans"].plans} == {running.plan_id, done_.plan_id}
