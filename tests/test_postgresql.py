"""PostgreSQL behind the database layer: who waits for whom, and what an outage does."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, bindparam, insert, select, text, update

from steward.action import RetryMode
from steward.cli.postgresql_checks import examine_postgresql
from steward.database import Database
from steward.database.migrate import upgrade
from steward.database.sql import Sql
from steward.database.tables import workspaces
from steward.errors import Conflict, Invalid, StoreUnavailable
from steward.event import EventType
from steward.ids import IdFactory
from steward.job import FINAL, LEASE_S, JobStatus
from steward.work_stores.sql import open_sql_engine
from steward.work_stores.sql.transaction import Work
from tests.conftest import FakeClock
from tests.contracts.builders import BETA, World
from tests.installation import installation, planned
from tests.postgresql import PostgresServer, server
from tests.worker.deeds import Deeds

pytestmark = [pytest.mark.anyio, pytest.mark.slow]
_PUT = insert(workspaces)
_ROW = {"name": "x", "created_at": 0, "settings": "{}", "policies_signed": None}


@pytest.fixture
def name() -> Iterator[str]:
    """Return the name of a database with this version's tables, all empty."""
    lent = server().lend()
    yield lent
    server().give_back(lent)


@pytest.fixture
def url(name: str) -> str:
    """Return its URL."""
    return server().url(name)


@pytest.fixture
async def database(url: str) -> AsyncIterator[Database]:
    """Open it."""
    opened = Database(url)
    yield opened
    await opened.aclose()


def put(workspace_id: str, named: str = "x") -> Any:
    """Return a unit that makes a workspace."""

    def run(connection: Connection) -> str:
        connection.execute(
            text("INSERT INTO workspaces (workspace_id, name, created_at) VALUES (:w, :n, 0)"),
            {"w": workspace_id, "n": named},
        )
        return workspace_id

    return run


async def made(database: Database) -> list[str]:
    """Return the workspaces that are committed."""
    found = text("SELECT workspace_id FROM workspaces ORDER BY workspace_id")
    return await database.read(lambda connection: list(connection.execute(found).scalars()))


# -- writing ----------------------------------------------------------------------------------------------------------


async def test_who_fails_in_a_group_fails_alone(database: Database) -> None:
    """The rest is committed, and what the driver says becomes an error of Steward's."""
    results = await asyncio.gather(
        database.write(put("a")),
        database.write(put("a")),
        database.write(put("b", "\x00")),
        database.write(put("w" * 33)),
        database.write(put("c")),
        return_exceptions=True,
    )
    assert [type(result) for result in results] == [str, Conflict, Invalid, Invalid, str]
    assert await made(database) == ["a", "c"]


async def test_writes_that_say_nothing_take_turns_in_all_processes(url: str, database: Database) -> None:
    """What looks before it writes is right also when another process does the same at the same moment."""
    elsewhere = Database(url)

    def once(connection: Connection) -> bool:
        if connection.execute(text("SELECT count(*) FROM workspaces")).scalar_one():
            return False
        put("first")(connection)
        return True

    results = await asyncio.gather(*(place.write(once) for place in (database, elsewhere) * 20))
    assert sum(results) == 1
    await elsewhere.aclose()


async def test_a_deadlock_is_run_again(database: Database) -> None:
    """Two that wait for each other in a circle both come through: the one that was given up begins again."""
    for workspace in ("a", "b"):
        await database.write(put(workspace))
    both, runs = threading.Barrier(2), list[str]()

    def change(*order: str) -> Any:
        def run(connection: Connection) -> None:
            runs.append(order[0])
            for workspace in order:
                connection.execute(
                    text("UPDATE workspaces SET created_at = created_at + 1 WHERE workspace_id = :w"), {"w": workspace}
                )
                if len(runs) <= 2 and workspace == order[0]:
                    both.wait(10)

        return run

    orders = (("a", "b"), ("b", "a"))
    await asyncio.gather(*(database.write(change(*order), locks=True, patient=True) for order in orders))
    assert len(runs) >= 3
    counts = await database.read(lambda c: set(c.execute(text("SELECT created_at FROM workspaces")).scalars()))
    assert counts == {2}


async def test_a_row_that_another_holds_is_unavailable_within_two_seconds(name: str, database: Database) -> None:
    """Whoever waits for it is told; others are not kept waiting."""
    await database.write(put("a"))
    loop = asyncio.get_running_loop()
    with server().administrator(name) as other:
        other.execute("BEGIN")
        other.execute("UPDATE workspaces SET created_at = 7")
        began = loop.time()
        touch = text("UPDATE workspaces SET created_at = 8")
        waiting = asyncio.create_task(database.write(lambda c: c.execute(touch).close(), locks=True))
        await database.write(put("b"), locks=True)
        with pytest.raises(StoreUnavailable):
            await waiting
        assert loop.time() - began < 2.0
        other.execute("ROLLBACK")


# -- outages ----------------------------------------------------------------------------------------------------------


async def test_a_piped_write_that_fails_leaves_nothing(database: Database) -> None:
    """What the server said late is told as what it is; the transaction is undone, and the connection serves the next."""

    def writes(*names: str) -> Any:
        def run(connection: Connection) -> None:
            sql = Sql(connection)
            for name in names:
                sql.run(_PUT, {**_ROW, "workspace_id": name})

        return run

    for names, error in ((("a", "a"), Conflict), (("b", "w" * 33), Invalid), (("c", "c", "d"), Conflict)):
        with pytest.raises(error):
            await database.write(writes(*names), locks=True, piped=True)
    await database.write(writes("e", "f"), locks=True, piped=True)
    assert await made(database) == ["e", "f"]


async def test_a_piped_write_that_is_given_up_leaves_nothing(database: Database) -> None:
    """No server has refused anything: what was sent is undone all the same, and the connection serves the next."""

    def give_up(connection: Connection) -> None:
        Sql(connection).run(_PUT, {**_ROW, "workspace_id": "a"})
        raise Conflict("Not this time.")

    with pytest.raises(Conflict, match="Not this time"):
        await database.write(give_up, locks=True, piped=True)
    await database.write(lambda c: Sql(c).run(_PUT, {**_ROW, "workspace_id": "b"}), locks=True, piped=True)
    assert await made(database) == ["b"]


async def test_what_is_written_as_one_is_done_in_its_order(database: Database) -> None:
    """A row that is made and then changed twice has both changes, and what is asked in between sees what was before it."""
    more = update(workspaces).where(workspaces.c.workspace_id == bindparam("w"))
    more = more.values(created_at=workspaces.c.created_at + bindparam("more"))
    found = select(workspaces.c.created_at)

    def run(connection: Connection) -> tuple[int | None, int | None]:
        sql = Sql(connection)
        with sql.as_one():
            sql.run(_PUT, {**_ROW, "workspace_id": "a"})
            sql.run(more, {"w": "a", "more": 1})
            between = sql.scalar(found)
            sql.run(more, {"w": "a", "more": 10})
            sql.run(more, {"w": "a", "more": 100})
        return between, sql.scalar(found)

    assert await database.write(run, locks=True, piped=True) == (1, 111)


async def test_connections_that_break_all_the_time_are_an_outage_at_worst(database: Database) -> None:
    """Where another one is found broken each time that one is made, the new one is used all the same."""
    kind: Any = database.kind
    for engine in (kind.read_engine, kind.write_engine):
        kind._broke[engine] = time.monotonic() + 3_600  # so every one there is is older
    for number in range(3):
        await database.write(put(f"w{number}"))
        assert await database.read(lambda connection: connection.execute(text("SELECT 1")).scalar()) == 1


@pytest.fixture
def own_server() -> Iterator[PostgresServer]:
    """Return a server that a test may stop."""
    started = PostgresServer()
    yield started
    started.remove()


async def test_nothing_is_lost_when_the_server_is_killed_and_comes_back(
    tmp_path: Path, own_server: PostgresServer, clock: FakeClock
) -> None:
    """In the middle of submitting and working: every accepted plan ends, and whoever was told 503 sends the same again."""
    deeds, url = Deeds(), own_server.url(own_server.new_database())
    async with installation(tmp_path, clock=clock, env={"DATABASE_URL": url}) as house:
        house.add(deeds.write("deeds.do", RetryMode.KEYED))
        who = await house.member()
        refused, back = 0, asyncio.Event()

        async def submit(number: int) -> str:
            nonlocal refused
            while True:
                try:
                    return (await house.submit(planned("deeds.do", text="a"), who=who, key=f"k{number}")).plan_id
                except StoreUnavailable:
                    refused += 1
                    await back.wait()

        async with house.worker(8):
            first = [asyncio.create_task(submit(number)) for number in range(100)]
            await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.to_thread(own_server.stop)
            more = [asyncio.create_task(submit(number)) for number in range(100, 130)]
            await asyncio.to_thread(own_server.start)
            back.set()
            plans = await asyncio.gather(*first, *more)
            for plan_id in plans[100:]:  # the worker has lived through it, and goes on
                await house.until(plan_id, FINAL, who)
        # Leases that were granted as the server died, and that no worker heard of. Time moves when nobody claims: a lease
        # that runs out between its claim and its dispatch is for the sweep after this one.
        clock.advance(LEASE_S + 1)
        await house.app.engine.dispatcher.sweep()
        async with house.worker(8):
            for plan_id in plans:
                await house.until(plan_id, FINAL, who)
        assert refused
        assert len(set(plans)) == 130
        jobs = [job for plan_id in plans for job in await house.jobs(plan_id, who)]
        assert {job.status for job in jobs} == {JobStatus.COMPLETED}
        assert set(deeds.done) == {job.effect_key for job in jobs}


# -- what an operator is told -----------------------------------------------------------------------------------------


async def test_doctor_says_what_a_database_lacks(own_server: PostgresServer) -> None:
    """Empty: no lock is claimed. Ready: all is well. The role gone: a failure with the statement. The server gone: no password."""
    url = own_server.url(own_server.new_database()).replace("steward@", "steward:hunter2@")
    (finding,) = (finding for finding in examine_postgresql(url) if finding.check == "row-level security")
    assert "no tables yet" in finding.text
    database = Database(url)
    upgrade(database)
    await database.aclose()
    ready = {finding.check: finding.level for finding in examine_postgresql(url)}
    wanted = ("database", "schema", "row-level security", "clock", "server clock")
    assert ready == dict.fromkeys(wanted, "ok")
    with own_server.administrator() as admin:
        admin.execute("REVOKE steward_app FROM steward")
    (finding,) = (finding for finding in examine_postgresql(url) if finding.check == "row-level security")
    assert (finding.level, "GRANT steward_app" in finding.fix) == ("fail", True)
    await asyncio.to_thread(own_server.stop)
    (away,) = examine_postgresql(url)
    await asyncio.to_thread(own_server.start)
    assert away.level == "fail"
    assert "hunter2" not in str(away)


# -- the log of all workspaces ----------------------------------------------------------------------------------------


async def test_the_reader_of_all_events_passes_by_none_that_is_under_way(
    database: Database, url: str, clock: FakeClock
) -> None:
    """A later position that is committed first waits for the earlier one, however the transactions are numbered."""
    async with open_sql_engine(url, clock=clock, ids=IdFactory(clock), home=None) as engine:
        world = World(engine, clock)
        await world.submit()  # both workspaces have their rows
        await world.submit(who=BETA)
        reader = engine.dispatcher
        seen = [event.position for event in await reader.events_after(0, limit=100)]
        loop, taken, go_on = asyncio.get_running_loop(), asyncio.Event(), threading.Event()

        def slow(connection: Connection) -> None:
            work = Work(connection, 0, None)
            work.lock(["alpha"])
            work.note(EventType.PLAN_COMPLETED, "alpha", "plan", None, None, {})
            work.flush()
            loop.call_soon_threadsafe(taken.set)
            go_on.wait(20)

        waiting = asyncio.create_task(database.write(slow, locks=True))
        await taken.wait()
        await world.submit(who=BETA)
        assert await reader.events_after(seen[-1], limit=100) == ()
        go_on.set()
        await waiting
        workspaces = [event.workspace_id for event in await reader.events_after(seen[-1], limit=100)]
        assert workspaces == ["alpha", "beta"]
