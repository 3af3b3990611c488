"""Claim, dispatch and settle are written out for the plain case, and leave what the full ways would leave."""

from typing import Any

import pytest

from steward.job import JobStatus
from steward.plan import PlanStatus
from steward.work_stores.redis import RedisWorkEngine
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
