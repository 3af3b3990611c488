"""How processes on one PostgreSQL wake each other, whatever becomes of the lines between them."""

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from steward.database.notices import Notices
from steward.ids import IdFactory
from steward.work_stores.sql import open_sql_engine
from tests.conftest import FakeClock
from tests.contracts.builders import ALPHA, BETA, World
from tests.postgresql import PostgresServer, server
from tests.turns import turn

pytestmark = [pytest.mark.anyio, pytest.mark.slow]


@pytest.fixture
def url() -> Iterator[str]:
    """Return the URL of a database with this version's tables, all empty."""
    name = server().lend()
    yield server().url(name)
    server().give_back(name)


@pytest.fixture
def own_server() -> Iterator[PostgresServer]:
    """Return a server that a test may stop."""
    started = PostgresServer()
    yield started
    started.remove()


async def test_what_happens_in_another_process_wakes_who_it_concerns(url: str, clock: FakeClock) -> None:
    """A commit there wakes followers of the workspace here, within the time that a message takes, and nobody else."""
    ids = IdFactory(clock)
    async with (
        open_sql_engine(url, clock=clock, ids=ids, home=None) as here,
        open_sql_engine(url, clock=clock, ids=ids, home=None) as there,
    ):
        world = World(here, clock)
        with (
            there.dispatcher.listen() as worker,
            there.open(ALPHA).listen() as alpha,
            there.open(BETA).listen() as beta,
        ):
            await world.submit(world.job(), who=BETA)
            assert [await beta.wait(5), await worker.wait(5)] == [True, True]
            assert not await alpha.wait(0)


async def test_a_bell_hears_again_after_the_server_was_away(own_server: PostgresServer) -> None:
    """Whoever listens is rung once, for what it may have missed, and then hears as before."""
    url = own_server.url(own_server.new_database())
    here, there = Notices(url), Notices(url)
    try:
        with here.listen("work") as listener, there.listen("work"):
            await asyncio.to_thread(own_server.stop)
            await asyncio.to_thread(own_server.start)
            assert await listener.wait(20)
            there.ring("work")
            assert await listener.wait(20)
    finally:
        here.close()
        there.close()


async def test_what_is_told_over_a_connection_that_is_gone_is_told_again(url: str) -> None:
    """The others have not lost theirs, so nothing else would wake them."""
    here, there = Notices(url), Notices(url)
    try:
        with here.listen("work"), there.listen("work") as listener:
            here.ring("work")
            assert await listener.wait(20)
            while (
                here._telling
            ):  # whose answer nothing would ever tell: unlike one that is cut, this socket is never ready
                await turn()
            assert here._connection is not None
            here._connection.pgconn.finish()
            here.ring("work")
            assert await listener.wait(20)
    finally:
        here.close()
        there.close()


async def test_nobody_waits_for_a_server_that_is_away_to_listen(own_server: PostgresServer) -> None:
    """The event loop is not held up by each who begins to listen: all are rung once the server is back."""
    url = own_server.url(own_server.new_database())
    here, late = Notices(url), Notices(url)
    try:
        with here.listen("work") as listener:
            await asyncio.to_thread(own_server.stop)
            began = time.monotonic()
            for number in range(10):
                with here.listen(f"topic-{number}"), late.listen(f"topic-{number}"):
                    pass
            assert time.monotonic() - began < 2.5  # each would have taken half a second
            with late.listen("work") as later:
                await asyncio.to_thread(own_server.start)
                assert await listener.wait(20)
                assert await later.wait(20)
    finally:
        here.close()
        late.close()


@pytest.mark.parametrize("closed", [False, True], ids=["open", "closed"])
async def test_what_rings_right_behind_another_ring_is_told_a_moment_later(url: str, *, closed: bool) -> None:
    """Though nothing rings after it, and before the bell is gone if it is closed right then."""
    here, there = Notices(url), Notices(url)
    try:
        with there.listen("work") as work, there.listen("events") as events:
            here.ring("work")
            assert await work.wait(20)
            for topic in ("work", "events"):
                here.ring(topic)
                await turn()
            if closed:
                here.close()
            assert await events.wait(20)
    finally:
        here.close()
        there.close()


_LISTENER = """
import asyncio, sys
from steward.database.notices import Notices
async def main():
    bell = Notices(sys.argv[1])
    with bell.listen("work") as listener:
        print("listening", flush=True)
        print(await listener.wait(30), flush=True)
    bell.close()
asyncio.run(main())
"""


async def test_a_ring_wakes_another_process(url: str) -> None:
    """It waits for a message, not for a time."""
    command = [sys.executable, "-c", _LISTENER, url]
    other = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
    assert other.stdout is not None
    assert await other.stdout.readline() == b"listening\n"
    bell = Notices(url)
    bell.ring("work")
    assert await other.stdout.readline() == b"True\n"
    bell.close()
    await other.wait()
