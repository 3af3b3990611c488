"""The connection that all share: asked together, answered in order, and one asker's end is nobody else's."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest
from redis.asyncio import ConnectionPool
from redis.backoff import NoBackoff
from redis.exceptions import ResponseError

from steward.work_stores.redis.line import Line
from tests.redis_server import shared_server

pytestmark = pytest.mark.anyio
PATIENCE_S = 0.3


@pytest.fixture
async def line(database: int) -> AsyncIterator[Line]:
    """Return a line to an empty database, already connected."""
    pool = ConnectionPool.from_url(shared_server().url(database), protocol=2, socket_timeout=None)
    line = Line(pool, NoBackoff(), again=1, patience_s=PATIENCE_S)
    await line.ask("PING")
    yield line
    await line.hang_up()
    await pool.disconnect()


async def test_what_is_asked_in_one_turn_is_sent_in_one_write(line: Line, raw: Any) -> None:
    """Two hundred questions reach the server in a handful of reads, and each gets its own answer."""
    before = raw.info("stats")["total_reads_processed"]
    answers = await asyncio.gather(*(line.ask("ECHO", f"{number}") for number in range(200)))
    assert answers == [f"{number}".encode() for number in range(200)]
    assert raw.info("stats")["total_reads_processed"] - before < 10


async def test_a_refusal_reaches_the_one_who_caused_it(line: Line) -> None:
    """The others have their answers."""
    asked = [line.ask("SET", "a", "1"), line.ask("LPUSH", "a", "1"), line.ask("GET", "a")]
    done, refused, found = await asyncio.gather(*asked, return_exceptions=True)
    assert (done, found) == (b"OK", b"1")
    assert isinstance(refused, ResponseError)


async def test_who_stops_waiting_takes_nobodys_answer(line: Line) -> None:
    """An answer that nobody waits for any more is passed over."""
    gone = asyncio.create_task(line.ask("ECHO", "gone"))
    there = asyncio.create_task(line.ask("ECHO", "there"))
    await asyncio.wait({gone}, timeout=0)
    gone.cancel()
    assert await there == b"there"
    with suppress(asyncio.CancelledError):
        await gone
    assert await line.ask("ECHO", "next") == b"next"


async def test_a_lost_connection_is_made_anew(line: Line, raw: Any) -> None:
    """Whoever is told of the loss asks again by himself; nobody hangs."""
    assert raw.client_kill_filter(_type="normal", skipme=True) >= 1
    assert await asyncio.gather(*(line.ask("ECHO", f"{number}") for number in range(5))) == [
        b"0",
        b"1",
        b"2",
        b"3",
        b"4",
    ]


async def test_a_lone_question_is_sent_before_anything_else_that_the_turn_has_to_do(line: Line, raw: Any) -> None:
    """Whoever was waiting for the same turn of the loop finds it sent: so it does not lie there while they work."""
    seen: list[int] = []

    def look() -> None:
        seen.append(raw.dbsize())

    asyncio.get_running_loop().call_soon(look)
    await line.ask("SET", "asked", "1")
    assert seen == [1]


async def test_who_is_not_answered_is_told_so_in_time_and_nobody_else(line: Line, raw: Any) -> None:
    """Each waits as long as was said, whoever else does; what comes too late is nobody's answer."""
    raw.client_pause(timeout=int(PATIENCE_S * 1000) + 50, all=True)
    first = asyncio.create_task(line.ask("ECHO", "first"))
    await asyncio.wait({first}, timeout=PATIENCE_S / 2)
    second = asyncio.create_task(line.ask("ECHO", "second"))
    with pytest.raises(TimeoutError):
        await first
    assert await second == b"second"
    assert await line.ask("ECHO", "third") == b"third"
