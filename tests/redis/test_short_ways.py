"""Claim, dispatch and settle are written out for the plain case, and leave what the full ways would leave."""

import asyncio
from typing import Any

import pytest

from steward.job import JobStatus
from steward.plan import PlanStatus
from steward.work_stores.redis import RedisWorkEngine
from steward.work_stores.redis.keys import key
from steward.work_stores.redis.scripts import script
from steward.workspace import Cap
from tests.contracts.builders import BETA, World, done, failure

pytestmark = pytest.mark.anyio

FULL_WAYS = ("claim_fully", "dispatch_fully", "settle_fully")


def _used(raw: Any) -> list[str]:
    """Return which full ways the server has been sent since it last forgot its scripts."""
    known = raw.script_exists(*[script(name).sha for name in FULL_WAYS])
    return [name for name, there in zip(FULL_WAYS, known, strict=True) if there]


async def test_plain_work_takes_the_short_ways_alone(engine: RedisWorkEngine, world: World, raw: Any) -> None:
    """Plans of two workspaces begin, act and end; then every index, count and place in line is as records say."""
    raw.script_flush()
    plans = [await world.submit(*[world.job(f"s{n}") for n in range(3)]), await world.submit(), await world.submit()]
    other = await world.submit(who=BETA)
    while leases := await world.claim(2, caps={"gamma": {"*": Cap(max_running=1)}}):
        assert (await engine.mend(put_right=False)).differences == {}
        for lease in leases:
            await world.dispatch(lease)
            await world.settle(lease, done())
        assert (await engine.mend(put_right=False)).differences == {}
    assert _used(raw) == []
    for submitted in plans:
        assert (await world.plan_of(submitted.plan_id)).status is PlanStatus.COMPLETED
    assert (await world.plan_of(other.plan_id, BETA)).status is PlanStatus.COMPLETED


async def test_what_is_not_plain_is_left_to_the_full_ways(engine: RedisWorkEngine, world: World, raw: Any) -> None:
    """A failure among completions, a cap and a step that others wait for: nothing was written by the way that declined."""
    raw.script_flush()
    submitted = await world.submit(world.job("s1"), world.job("s2"), world.job("s3", "s1"))
    leases = await world.claim(caps={"alpha": {"*": Cap(max_running=5)}})
    assert _used(raw) == ["claim_fully"]
    for lease, outcome in zip(leases, (done(), failure()), strict=True):
        await world.dispatch(lease)
        await world.settle(lease, outcome)
    assert _used(raw) == ["claim_fully", "settle_fully"]
    assert await world.statuses(submitted) == [JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.PENDING]
    assert (await engine.mend(put_right=False)).differences == {}


async def test_pages_that_are_asked_for_together_are_each_whose_they_are(world: World) -> None:
    """Of two workspaces, of two statuses, of two lengths: only the same page of the same workspace is read once."""
    mine, more, theirs = await world.submit(), await world.submit(), await world.submit(who=BETA)
    await world.run(mine.job_ids[0])
    asked = {
        world.alpha.list_jobs(limit=9): [*more.job_ids, *mine.job_ids],
        world.beta.list_jobs(limit=9): [*theirs.job_ids],
        world.alpha.list_jobs(limit=1): [*more.job_ids],
        world.alpha.list_jobs(limit=9, after=more.job_ids[0]): [*mine.job_ids],
        world.alpha.list_jobs(limit=9, status=JobStatus.COMPLETED): [*mine.job_ids],
        world.alpha.list_jobs(limit=9, plan_id=mine.plan_id): [*mine.job_ids],
        world.alpha.list_jobs(limit=9, plan_id=more.plan_id): [*more.job_ids],
        world.beta.list_jobs(limit=9, plan_id=more.plan_id): [],
    }
    pages = await asyncio.gather(*asked)
    assert [[job.job_id for job in page.jobs] for page in pages] == list(asked.values())


async def test_a_page_of_a_status_shows_nobody_who_has_another(world: World, raw: Any) -> None:
    """Where an index is wrong, the records say what is shown."""
    one, two = await world.submit(), await world.submit()
    raw.zadd(key("jobs_in", "alpha", "completed"), dict.fromkeys((*one.job_ids, *two.job_ids), 0))
    await world.run(two.job_ids[0])
    page = await world.alpha.list_jobs(limit=9, status=JobStatus.COMPLETED)
    assert [job.job_id for job in page.jobs] == [*two.job_ids]
