"""Transactions of one trip to PostgreSQL: what is new is written without a look, and what is not is still found."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from typing import Any

import psycopg
import pytest
from psycopg.adapt import Loader
from sqlalchemy import Connection, func, select

from steward.database import Database
from steward.database.pipe import Pipe
from steward.database.postgres import connect_alone
from steward.database.sql import Sql
from steward.database.tables import metadata
from steward.errors import Conflict, IdempotencyKeyReused
from steward.event import EventType
from steward.ids import IdFactory
from steward.work_stores.sql import open_sql_engine
from steward.work_stores.sql.transaction import Work
from tests.conftest import FakeClock
from tests.contracts.builders import World, request_claim
from tests.postgresql import server

pytestmark = [pytest.mark.anyio, pytest.mark.slow]
_WAITING = "SELECT count(*) FROM pg_locks WHERE NOT granted"


@pytest.fixture
def url() -> Iterator[str]:
    """Return the URL of a database with this version's tables, all empty."""
    lent = server().lend()
    yield server().url(lent)
    server().give_back(lent)


async def _until_wait(number: int) -> None:
    """Return when so many transactions wait for a lock."""
    with closing(server().administrator()) as connection:
        while (await asyncio.to_thread(connection.execute, _WAITING)).fetchone() != (number,):
            continue


async def test_a_request_that_another_process_makes_meanwhile_is_known(url: str, clock: FakeClock) -> None:
    """Two that waited for the same turn with the same key: one is put in place, and the other hears of that one."""
    ids = IdFactory(clock)
    holder = Database(url)
    async with (
        open_sql_engine(url, clock=clock, ids=ids, home=None) as here,
        open_sql_engine(url, clock=clock, ids=ids, home=None) as there,
    ):
        world, other = World(here, clock), World(there, clock)
        await world.submit()  # the workspace has its row
        loop, taken, go_on = asyncio.get_running_loop(), asyncio.Event(), threading.Event()

        def slow(connection: Connection) -> None:
            Work(connection, 0, None).lock(["alpha"])
            loop.call_soon_threadsafe(taken.set)
            go_on.wait(20)

        held = asyncio.create_task(holder.write(slow, locks=True))
        await taken.wait()
        both = [
            asyncio.create_task(each.submit(each.job(), claims=(request_claim("mine"),))) for each in (world, other)
        ]
        await _until_wait(2)
        go_on.set()
        await held
        first, second = await asyncio.gather(*both)
        assert {first.duplicate, second.duplicate} == {False, True}
        assert (first.plan_id, first.job_ids) == (second.plan_id, second.job_ids)
        with pytest.raises(IdempotencyKeyReused):
            await other.submit(other.job(), claims=(request_claim("mine", "b"),))
        events = await here.dispatcher.events_after(0, limit=100)
        assert [event.type for event in events] == [EventType.PLAN_SUBMITTED] * 2
    await holder.aclose()


async def test_submissions_that_come_together_have_their_events_in_order(url: str, clock: FakeClock) -> None:
    """Numbers without a gap, by workspace and by position, whether one goes alone or many as one statement."""
    async with open_sql_engine(url, clock=clock, ids=IdFactory(clock), home=None) as engine:
        world = World(engine, clock)
        alone = [await world.submit(), await world.submit()]
        crowd = await asyncio.gather(*(world.submit() for _ in range(5)))
        events = await engine.dispatcher.events_after(0, limit=100)
        assert [event.plan_id for event in events] == [each.plan_id for each in (*alone, *crowd)]
        assert [event.event_id for event in events] == sorted(event.event_id for event in events)
        assert [event.position for event in events] == list(range(1, 8))
        assert [each.queue_depth for each in alone] == [1, 2]
        assert await world.alpha.queue_depth() == 7


class _Unreadable(Loader):
    """Cannot read a number."""

    def load(self, data: Any) -> int:
        """Raise."""
        raise ValueError(bytes(data))


def _asked(pipe: Pipe, *statements: tuple[bytes, tuple[Any, ...]]) -> list[list[tuple[Any, ...]]]:
    """Return the rows of statements that are sent together, in one transaction."""
    with pipe:
        sent = [pipe.send(text, values) for text, values in statements]
        return [list(each) for each in sent]


def test_answers_that_nobody_took_are_nobody_elses(url: str) -> None:
    """A connection in which some are left is closed, so that the next transaction is not answered with them."""
    with closing(connect_alone(url)) as driver:
        driver.adapters.register_loader("int4", _Unreadable)
        with pytest.raises(ValueError, match="2"):
            _asked(Pipe(driver), (b"SELECT 1::integer", ()), (b"SELECT 2::integer", ()))
        assert driver.closed


def test_a_statement_that_was_never_kept_by_the_server_is_sent_to_it_again(url: str) -> None:
    """One behind a statement that failed is not taken for known."""
    with closing(connect_alone(url)) as driver:
        pipe = Pipe(driver)
        divided, repeated = b"SELECT 1 / $1::integer", b"SELECT $1::text"
        with pytest.raises(psycopg.errors.DivisionByZero):
            _asked(pipe, (divided, (0,)), (repeated, ("a",)))
        assert _asked(pipe, (repeated, ("b",)), (divided, (1,))) == [[("b",)], [(1,)]]


def _count(connection: Connection) -> Any:
    return Sql(connection).scalar(select(func.count()).select_from(metadata.tables["jobs"]))


async def test_what_another_transaction_undoes_or_forgets_does_not_stop_the_pipe(url: str) -> None:
    """After a ROLLBACK the driver may drop what the server keeps for it, and a pooler between them anything: it is sent again."""

    def undone(connection: Connection) -> None:
        for _ in range(10):  # often enough for the driver to have it kept
            _count(connection)
        raise Conflict("Enough.")

    def forgotten(connection: Connection) -> None:
        connection.exec_driver_sql("DEALLOCATE ALL")

    database = Database(url)
    try:
        for meanwhile in (undone, forgotten):
            assert await database.write(_count, locks=True, piped=True) == 0
            with suppress(Conflict):
                await database.write(meanwhile, locks=True)
            assert [await database.write(_count, locks=True, piped=True) for _ in range(3)] == [0, 0, 0]
    finally:
        await database.aclose()
