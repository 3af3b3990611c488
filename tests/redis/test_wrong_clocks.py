"""Processes that disagree about the time: a sweep decides by what it saw, and somebody may act in between."""

from datetime import timedelta
from typing import Any

import pytest

from steward.ids import IdFactory
from steward.job import JobStatus
from steward.work_store import Granted
from steward.work_stores.redis import open_redis_engine
from tests.conftest import FakeClock
from tests.contracts.builders import World
from tests.redis_server import shared_server

pytestmark = [pytest.mark.anyio, pytest.mark.slow]


@pytest.mark.parametrize("dispatched_meanwhile", [True, False])
async def test_a_sweep_never_releases_what_was_dispatched_since_it_looked(
    database: int, world: World, clock: FakeClock, dispatched_meanwhile: bool
) -> None:
    """Whose clock is an hour ahead takes leases that hold: a job that began meanwhile is unknown at last, and never run again."""
    url, ahead = shared_server().url(database), FakeClock(clock.now() + timedelta(hours=1))
    async with open_redis_engine(url, clock=ahead, ids=IdFactory(ahead), safety="fast") as other:
        dispatcher = other.dispatcher
        (job_id,) = (await world.submit()).job_ids
        lease = await world.start(job_id)
        sees: Any = dispatcher._server
        run = sees.run

        async def run_and_let_the_worker_go_on(name: str, *arguments: Any) -> Any:
            told = await run(name, *arguments)
            if name == "lost_leases" and dispatched_meanwhile and told:
                assert isinstance(await world.dispatch(lease), Granted)
            return told

        sees.run = run_and_let_the_worker_go_on
        swept = await dispatcher.sweep()
        sees.run = run
        if not dispatched_meanwhile:  # nothing can have happened
            assert swept.leases_lost == 1
            assert (await world.job_of(job_id)).status is JobStatus.PENDING
            return
        assert swept.leases_lost == 0
        assert (await world.job_of(job_id)).status is JobStatus.RUNNING
        assert (await dispatcher.sweep()).leases_lost == 1
        assert (await world.job_of(job_id)).status is JobStatus.UNKNOWN
