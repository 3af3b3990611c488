"""The duty that recovers lost leases: at once as a rule, and not while a clock that jumped makes all of them look lost."""

from pathlib import Path

import pytest

from steward.job import HEARTBEAT_S, LEASE_S
from steward.maintenance.sweeper import sweeper
from steward.work_store import Swept
from tests.conftest import FakeClock
from tests.installation import Installation, installation, planned
from tests.worker.deeds import note

pytestmark = pytest.mark.anyio


class Steady:
    """A monotonic clock that only the test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


async def leased(house: Installation) -> None:
    """Leave one job in the hands of a worker that will not be heard of again."""
    house.add(note([]))
    await house.submit(planned("deeds.note", text="a"))
    await house.lease()


async def test_a_lease_that_ran_out_is_recovered_at_the_next_look(tmp_path: Path, clock: FakeClock) -> None:
    """Time that passes on both clocks is no jump."""
    steady = Steady()
    async with installation(tmp_path, clock=clock) as house:
        duty = sweeper(house.app.engine.dispatcher, clock, monotonic=steady)
        await leased(house)
        assert await duty.run_once() == Swept()
        clock.advance(LEASE_S + 1)
        steady.now += LEASE_S + 1
        assert await duty.run_once() == Swept(leases_lost=1)


@pytest.mark.parametrize("hours", [1, -1])
async def test_after_a_jump_every_lease_is_left_alone_for_a_lease_time(
    tmp_path: Path, clock: FakeClock, hours: int
) -> None:
    """Whoever lives has time to renew; what is not renewed by then is recovered."""
    steady = Steady()
    async with installation(tmp_path, clock=clock) as house:
        duty = sweeper(house.app.engine.dispatcher, clock, monotonic=steady)
        await duty.run_once()
        clock.advance(3600 * hours)
        await leased(house)
        clock.advance(LEASE_S + 1)
        assert await duty.run_once() == Swept()
        steady.now += LEASE_S - 0.1
        clock.advance(LEASE_S - 0.1)
        assert await duty.run_once() == Swept()
        steady.now += 0.2
        clock.advance(0.2)
        assert await duty.run_once() == Swept(leases_lost=1)


async def test_clocks_that_drift_apart_slowly_are_no_jump(tmp_path: Path, clock: FakeClock) -> None:
    """A correction of less than a heartbeat leaves the sweep alone."""
    steady = Steady()
    async with installation(tmp_path, clock=clock) as house:
        duty = sweeper(house.app.engine.dispatcher, clock, monotonic=steady)
        await leased(house)
        await duty.run_once()
        steady.now += LEASE_S
        clock.advance(LEASE_S + HEARTBEAT_S - 0.1)
        assert await duty.run_once() == Swept(leases_lost=1)
