"""A request that is sent again is known again while the keys move, and while a repair is under way: of plans of one step, too."""

import asyncio
from collections.abc import Awaitable
from typing import Any

import pytest

from steward.errors import IdempotencyKeyReused
from steward.key_schema import Phase
from steward.work_store import MIN_RETENTION_S
from steward.work_stores.redis.keys import key
from tests.conftest import FakeClock
from tests.contracts.builders import World, request_claim
from tests.migration.conftest import Open

pytestmark = pytest.mark.anyio
_COPIES = 20


async def _crowd(worlds: tuple[World, World], name: str) -> str:
    """Send one request many times at once through two processes; return the one plan that it has become."""
    sent = [worlds[number % 2].submit(claims=[request_claim(name)]) for number in range(_COPIES)]
    told = await asyncio.gather(*sent)
    assert [one.duplicate for one in told].count(False) == 1
    (plan_id,) = {one.plan_id for one in told}
    return plan_id


async def test_w23_a_request_is_done_once_whatever_moves_meanwhile(start: Open, raw: Any, clock: FakeClock) -> None:
    """Through each phase, both ways, and repairs: each copy gets the same answer; nothing is left once all is forgotten."""
    async with start() as one, start() as other:
        worlds, schema = (World(one, clock), World(other, clock)), one.key_schema
        known: dict[str, str] = {}

        async def while_(name: str, moving: Awaitable[Any]) -> None:
            known[name], _ = await asyncio.gather(_crowd(worlds, name), moving)
            for again, plan_id in known.items():
                assert await _crowd_again(worlds, again) == {plan_id}
            assert (await one.mend(put_right=False)).differences == {}
            assert len((await worlds[1].alpha.list_plans(limit=50)).plans) == len(known)

        await while_("repair", other.mend())
        await while_("back", schema.back())
        await while_("back again", schema.back())
        await while_("on", schema.advance(Phase.NEW_READ))
        raw.hset(key("schema"), "verified", "0")
        await while_("on again", schema.advance(Phase.NEW_ONLY))
        await while_("repair again", other.mend())
        for lease in await worlds[0].claim():
            await worlds[0].run(lease.job.job_id)
        clock.advance(MIN_RETENTION_S + 1)
        assert await one.dispatcher.purge(MIN_RETENTION_S) == len(known)
        for again, plan_id in known.items():
            assert await _crowd(worlds, again) != plan_id


async def _crowd_again(worlds: tuple[World, World], name: str) -> set[str]:
    """Send a request that is known, and the same name with something else, through both processes; return the plans."""
    told = [await world.submit(claims=[request_claim(name)]) for world in worlds]
    for world in worlds:
        with pytest.raises(IdempotencyKeyReused):
            await world.submit(claims=[request_claim(name, "b")])
    assert all(each.duplicate for each in told)
    return {each.plan_id for each in told}
