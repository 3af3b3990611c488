"""The connection to PostgreSQL that the event loop speaks over: what is small needs no thread, and nothing is lost with it."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import psycopg
import pytest
from sqlalchemy import Connection

from steward.database import Database, Doorbell
from steward.database.kind import Line, Lost, Whose
from steward.database.migrate import upgrade
from steward.database.pipe import Pipe
from steward.database.row_security import ROLE, WORKSPACE_SETTING
from steward.errors import StoreUnavailable
from steward.work_stores.sql import SqlWorkEngine
from tests.conftest import FakeClock
from tests.contracts.builders import BETA, World, request_claim
from tests.cutting import assert_made_once, cutting, send_all
from tests.postgresql import PostgresServer, server

pytestmark = [pytest.mark.anyio, pytest.mark.slow]
_ANYBODY = Whose(None, locks=True, piped=True)


@pytest.fixture
def name() -> Iterator[str]:
    """Return the name of a database with this version's tables, all empty."""
    lent = server().lend()
    yield lent
    server().give_back(lent)


async def _turn() -> None:
    """Let the event loop go on once."""
    done = asyncio.Event()
    asyncio.get_running_loop().call_soon(done.set)
    await done.wait()


@asynccontextmanager
async def _opened(url: str) -> AsyncIterator[Database]:
    database = Database(url)
    upgrade(database)
    try:
        yield database
    finally:
        with anyio.fail_after(20):  # whatever the line has under way
            await database.aclose()


@pytest.fixture
async def database(name: str) -> AsyncIterator[Database]:
    """Open it."""
    async with _opened(server().url(name)) as opened:
        yield opened


@pytest.fixture
def engine(database: Database, clock: FakeClock) -> SqlWorkEngine:
    """Return an engine on it, which rings nobody elsewhere."""
    return SqlWorkEngine(database, Doorbell(None), clock)


async def _line(database: Database) -> Line:
    """Return the line of a database, once it is there."""
    line = database.kind.line
    assert line is not None
    while not line.is_free():  # it is opened aside, and nobody is told
        await _turn()
    return line


async def _reopened(line: Line) -> Line:
    """Return the line once it is there again; a connection that was lost a moment ago is not made anew before a second."""
    with anyio.fail_after(10):
        while not line.is_free():
            await _turn()
    return line


async def _asked(line: Line, text: bytes, *values: Any, tenant: str | None = None) -> Any:
    """Return the rows of a statement that is sent over the line, perhaps for a workspace; raise why it is undone."""
    answered: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    def settle(result: Any, error: Exception | None) -> None:
        if error is None:
            answered.set_result(result.rows)  # which have come; to iterate would wait for them
        else:
            answered.set_exception(error)

    whose = Whose(tenant, locks=True, piped=True)
    line.send(lambda connection: Pipe.of(connection).send(text, values), whose, settle)
    return await answered


async def test_a_lone_submission_needs_no_thread(database: Database, engine: SqlWorkEngine, clock: FakeClock) -> None:
    """It is put in place while every thread that writes is held up."""
    world = World(engine, clock)
    await world.submit()
    await _line(database)
    go_on = threading.Event()
    held = [
        asyncio.create_task(database.write(lambda _: go_on.wait(20), locks=True)) for _ in range(database.kind.writers)
    ]
    try:
        first, second = await world.submit(), await world.submit()
        assert (first.queue_depth, second.queue_depth) == (2, 3)
    finally:
        go_on.set()
        await asyncio.gather(*held)
    events = await engine.dispatcher.events_after(0, limit=10)
    assert [event.plan_id for event in events][1:] == [first.plan_id, second.plan_id]


async def test_what_is_known_is_found_from_the_line_too(
    database: Database, engine: SqlWorkEngine, clock: FakeClock
) -> None:
    """The same key gets the original's answer, and nothing more is written."""
    world = World(engine, clock)
    await world.submit()
    await _line(database)
    first = await world.submit(world.job(), claims=(request_claim("mine"),))
    again = await world.submit(world.job(), claims=(request_claim("mine"),))
    assert (again.duplicate, again.plan_id, again.job_ids) == (True, first.plan_id, first.job_ids)
    assert await world.alpha.queue_depth() == 2


async def test_a_statement_that_the_server_has_forgotten_is_given_back(database: Database) -> None:
    """The transaction is told as lost, to be run again, and the line goes on."""
    line = await _line(database)
    for _ in range(2):
        assert await _asked(line, b"SELECT 7") == [(7,)]
        await _asked(line, b"DEALLOCATE ALL")
        with pytest.raises(Lost):
            await _asked(line, b"SELECT 7")


async def test_a_submission_is_made_though_the_server_has_forgotten_its_statement(
    database: Database, engine: SqlWorkEngine, clock: FakeClock
) -> None:
    """A thread makes it, once."""
    world = World(engine, clock)
    await world.submit()
    line = await _line(database)
    await world.submit()
    await _asked(line, b"DEALLOCATE ALL")
    assert (await world.submit()).queue_depth == 3


async def test_a_line_that_is_cut_meanwhile_is_told_and_missed_by_nobody(
    name: str, database: Database, engine: SqlWorkEngine, clock: FakeClock
) -> None:
    """Whoever waits hears that it may or may not have been done; who comes after goes by a thread."""
    world = World(engine, clock)
    await world.submit()
    line = await _line(database)
    ((backend,),) = await _asked(line, b"SELECT pg_backend_pid()")
    sleeping = asyncio.create_task(_asked(line, b"SELECT pg_sleep(20)"))
    await _turn()
    with server().administrator(name) as connection:
        connection.execute("SELECT pg_terminate_backend(%s)", (backend,))
    with pytest.raises(StoreUnavailable):
        await sleeping
    assert not line.is_free()
    assert (await world.submit()).queue_depth == 2


async def test_a_server_that_went_while_nobody_waited_is_noticed() -> None:
    """The line is not free any more, so no submission is sent to nobody."""
    own = PostgresServer()
    try:
        async with _opened(own.url(own.new_database())) as database:
            line = await _line(database)
            await asyncio.to_thread(own.stop)
            while line.is_free():  # until the loop has heard of it
                await _turn()
            await asyncio.to_thread(own.start)
    finally:
        own.remove()


async def test_what_is_under_way_is_finished_before_the_line_is_closed(name: str, clock: FakeClock) -> None:
    """Who submits as the database is closed gets an answer."""
    async with _opened(server().url(name)) as database:
        world = World(SqlWorkEngine(database, Doorbell(None), clock), clock)
        await world.submit()
        await _line(database)
        last = asyncio.create_task(world.submit())
        for _ in range(5):  # turns of the loop, after which it has been sent
            await _turn()
    assert (await last).queue_depth == 2


async def test_what_is_larger_than_the_socket_takes_goes_through(database: Database) -> None:
    """The rest is sent when there is room, and the loop goes on meanwhile."""
    line = await _line(database)
    assert await _asked(line, b"SELECT length($1)", "x" * 50_000_000) == [(50_000_000,)]


async def test_a_value_that_cannot_be_sent_is_refused_and_the_next_goes_through(
    database: Database, engine: SqlWorkEngine, clock: FakeClock
) -> None:
    """It costs the line its connection, which is made anew."""
    world = World(engine, clock)
    await world.submit()
    line = await _line(database)

    def bad(connection: Connection) -> Any:
        return Pipe.of(connection).send(b"SELECT $1", (object(),))

    told: list[Exception | None] = []
    line.send(bad, _ANYBODY, lambda _, error: told.append(error))
    assert told != [None]
    assert len(told) == 1
    assert (await world.submit()).queue_depth == 2


async def test_a_connection_that_is_gone_when_a_transaction_is_sent_is_made_anew(
    database: Database, engine: SqlWorkEngine, clock: FakeClock
) -> None:
    """Whoever sent it is told, once; the line is opened again, and is closed without anybody waiting for that answer."""
    world = World(engine, clock)
    await world.submit()
    line = await _line(database)

    def goes_away(connection: Connection) -> Any:
        sent = Pipe.of(connection).send(b"SELECT 1", ())
        driver: Any = connection.connection.driver_connection
        driver.close()
        return sent

    told: list[Exception | None] = []
    line.send(goes_away, _ANYBODY, lambda _, error: told.append(error))
    assert len(told) == 1
    assert told != [None]
    assert (await world.submit()).queue_depth == 2
    assert await _asked(await _reopened(line), b"SELECT 7") == [(7,)]


async def test_a_workspace_and_its_role_end_with_their_transaction(database: Database) -> None:
    """Workspaces that follow each other on the line see their own rows alone, also behind one that fails."""
    line = await _line(database)
    asks = f"SELECT current_user::text, current_setting('{WORKSPACE_SETTING}', true)".encode()
    for tenant in ("alpha", "beta"):
        assert await _asked(line, asks, tenant=tenant) == [(ROLE, tenant)]
        ((user, workspace),) = await _asked(line, asks)
        assert (user != ROLE, workspace) == (True, "")
        for wrong in (b"SELECT 1 / 0", b"SELEC"):
            with pytest.raises(psycopg.Error):
                await _asked(line, wrong, tenant=tenant)
            ((user, workspace),) = await _asked(line, asks)
            assert (user != ROLE, workspace) == (True, "")


async def test_who_comes_while_the_line_is_busy_is_answered_too(
    database: Database, engine: SqlWorkEngine, clock: FakeClock
) -> None:
    """Two workspaces at once: one goes by the line and the other by a thread, and each gets its own answer."""
    world = World(engine, clock)
    await asyncio.gather(world.submit(), world.submit(who=BETA))
    await _line(database)
    one, other = await asyncio.gather(world.submit(), world.submit(who=BETA))
    assert (await world.plan_of(one.plan_id)).workspace_id == "alpha"
    assert (await world.plan_of(other.plan_id, BETA)).workspace_id == "beta"
    assert (one.queue_depth, other.queue_depth) == (2, 2)


async def test_the_line_is_the_loops_that_opened_it(database: Database) -> None:
    """Answers on it wake nobody on another event loop, so who is there goes by the threads."""
    line = await _line(database)

    async def elsewhere() -> bool:
        return line.is_free()

    assert not await asyncio.to_thread(lambda: asyncio.run(elsewhere()))
    assert line.is_free()


async def test_one_request_through_two_processes_that_wait_for_one_turn_is_made_once(
    name: str, database: Database, engine: SqlWorkEngine, clock: FakeClock
) -> None:
    """Neither could see the other's when it was sent: who comes second is told of the first, and not that there is a conflict."""
    async with _opened(server().url(name)) as another:
        worlds = (World(engine, clock), World(SqlWorkEngine(another, Doorbell(None), clock), clock))
        for world, own in zip(worlds, (database, another), strict=True):
            await world.submit()
            await _line(own)
        with server().administrator(name) as connection:
            connection.execute("BEGIN; SELECT * FROM queues FOR UPDATE")
            sent = [asyncio.create_task(world.submit(claims=(request_claim("mine"),))) for world in worlds]
            waiting = (
                "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
            )
            while connection.execute(waiting).fetchone() != (2,):
                await _turn()
            connection.execute("COMMIT")
        told = await asyncio.gather(*sent)
    assert sorted(one.duplicate for one in told) == [False, True]
    assert told[0].plan_id == told[1].plan_id


async def test_w11_requests_are_made_once_however_often_connections_are_cut(
    name: str, engine: SqlWorkEngine, clock: FakeClock
) -> None:
    """The line's and the threads', before, in and behind a transaction: nothing is lost, made twice or somebody else's."""
    world = World(engine, clock)
    with server().administrator(name) as connection:
        others = "datname = current_database() AND pid <> pg_backend_pid() AND random() < 0.6"

        def cut() -> int:
            asked = f"SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE {others}"
            (number,) = connection.execute(asked).fetchone() or (0,)
            return number

        with cutting(cut) as cuts:
            made = await send_all(world)
    assert sum(cuts) > 0
    await assert_made_once(world, made)
