"""How a worker on Redis fills its slots, and what does not hold it up."""

import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest

from steward.action import RetryMode
from steward.cli.processes import _work
from tests.conftest import FakeClock
from tests.installation import installation, planned
from tests.redis_server import shared_server
from tests.worker.deeds import Deeds

pytestmark = pytest.mark.anyio


async def test_a_worker_fills_its_slots_in_parts(tmp_path: Path, clock: FakeClock, raw: Any, database: int) -> None:
    """It never has to wait with empty hands while Redis writes about all that it does: it claims a third at a time."""
    deeds = Deeds(hangs=6)
    env = {"REDIS_URL": shared_server().url(database), "REDIS_EFFECT_SAFETY": "fast"}
    async with installation(tmp_path, clock=clock, env=env) as house:
        house.add(deeds.write("deeds.do", RetryMode.KEYED))
        submitted = await house.submit(*(planned("deeds.do", text=f"text {number}") for number in range(6)))
        async with house.worker(concurrency=6):
            store = house.app.engine.open(await house.member())
            with store.listen() as listener:
                while len(deeds.done) < len(submitted.job_ids):
                    await listener.wait(0.1)
            (claimed,) = raw.keys("ai:claimed:*")
            _, *taken = raw.get(claimed).decode().split()
            deeds.go_on.set()
    assert taken[1::2] == list(submitted.job_ids[4:])


async def test_threads_give_way_soon(tmp_path: Path, clock: FakeClock, database: int) -> None:
    """Where work is in Redis, whatever writes the audit lets the loop go on within a millisecond."""
    before, stop = sys.getswitchinterval(), asyncio.Event()
    stop.set()
    try:
        for url, longest_s in ((None, before), (shared_server().url(database), 0.001)):
            env = {} if url is None else {"REDIS_URL": url, "REDIS_EFFECT_SAFETY": "fast"}
            async with installation(tmp_path / str(url is None), clock=clock, env=env) as house:
                await _work(house.app, 0, stop)
            assert sys.getswitchinterval() <= longest_s
    finally:
        sys.setswitchinterval(before)
