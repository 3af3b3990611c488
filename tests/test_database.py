"""The database behind threads: group commit, isolation of its units, and outages."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Column, Connection, Integer, MetaData, Table, insert, select, text

from steward.database import Database
from steward.database.glance import Glance, WouldWait
from steward.database.migrate import upgrade
from steward.database.sql import Sql
from steward.database.tables import audit_views
from steward.errors import Conflict, StoreUnavailable
from tests.turns import turn

pytestmark = pytest.mark.anyio


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    """Return an open database with one table of numbers."""
    opened = Database(f"sqlite:///{tmp_path / 'test.db'}")
    opened.run_sync(lambda connection: connection.execute(text("CREATE TABLE numbers (n INTEGER PRIMARY KEY)")))
    yield opened
    await opened.aclose()


async def test_nothing_is_bound_as_it_is(database: Database) -> None:
    """Python's sqlite3 knows what None is; otherwise it would make an exception of each, and drop it."""
    assert sqlite3.adapt(None, sqlite3.PrepareProtocol) is None


@pytest.mark.parametrize("number", [1, 15, 16, 63, 64, 64 + 2 * 16 + 3])
async def test_many_rows_are_inserted_as_one_by_one(tmp_path: Path, number: int) -> None:
    """However many there are, each is there once, its values in their columns."""
    database = Database(f"sqlite:///{tmp_path / 'test.db'}")
    upgrade(database)
    given = [
        {"workspace_id": "acme", "sequence": place, "salt": f"salt {place}", "view": f"view {place}"}
        for place in range(number)
    ]
    await database.write(lambda connection: Sql(connection).run_many(insert(audit_views), given))
    kept = await database.read(lambda connection: list(connection.execute(select(audit_views).order_by("sequence"))))
    assert [row._asdict() for row in kept] == given
    await database.aclose()


def put(number: int) -> Any:
    """Return a unit that adds a number."""

    def run(connection: Connection) -> int:
        connection.execute(text("INSERT INTO numbers VALUES (:n)"), {"n": number})
        return number

    return run


async def numbers(database: Database) -> list[int]:
    """Return what is committed."""
    return await database.read(lambda c: [row.n for row in c.execute(text("SELECT n FROM numbers ORDER BY n"))])


async def test_an_error_does_not_tell_what_was_to_be_stored(database: Database) -> None:
    """Whatever is logged of a statement that failed, what it carried is not in it."""
    pair = {"n": 1, "word": "hunter2"}

    def fail(connection: Connection) -> None:
        connection.execute(text("INSERT INTO numbers VALUES (:n), (length(:word) / :n), (:n)"), pair)

    with pytest.raises(Conflict) as refused:
        await database.write(fail)
    assert "INSERT INTO numbers" in str(refused.value.__cause__)
    assert "hunter2" not in str(refused.value.__cause__)


@contextmanager
def another_writer(path: Path) -> Iterator[sqlite3.Connection]:
    """Hold the write lock on a connection of somebody else's."""
    with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield connection
        connection.execute("ROLLBACK")


# -- reads at once ----------------------------------------------------------------------------------------------------


async def test_what_is_read_at_once_is_what_is_committed(database: Database) -> None:
    """It sees each commit, and nothing of a transaction that another writer has open; also through SQLAlchemy itself."""

    def count(connection: Connection) -> int:
        return connection.execute(text("SELECT count(*) FROM numbers")).scalar_one()

    assert database.at_once(count) == 0
    await database.write(put(1))
    assert database.at_once(count) == 1
    with another_writer(Path(database.url.removeprefix("sqlite:///"))) as other:
        other.execute("INSERT INTO numbers VALUES (2)")
        assert database.at_once(count) == 1


async def test_nothing_is_waited_for_at_once(database: Database) -> None:
    """Where the driver fails, the connection is taken, or all is closed, whoever asks is told to ask a thread."""

    def nothing(connection: Connection) -> None:
        connection.execute(text("SELECT * FROM nowhere"))

    with pytest.raises(WouldWait):
        database.at_once(nothing)
    assert database.at_once(lambda _: 1) == 1
    with pytest.raises(WouldWait):
        database.at_once(lambda _: database.at_once(lambda _: 1))
    await database.aclose()
    with pytest.raises(WouldWait):
        database.at_once(lambda _: 1)
    with pytest.raises(WouldWait):
        Glance(None).at(lambda _: 1)  # as of a server


# -- group commit -----------------------------------------------------------------------------------------------------


async def test_writes_that_wait_together_are_committed_together(tmp_path: Path, database: Database) -> None:
    """While one commit is under way others queue up and share the next one: far fewer commits than writes."""
    from sqlalchemy import event

    commits: list[Connection] = []
    event.listen(database._write_engine, "commit", commits.append)
    assert await asyncio.gather(*(database.write(put(n)) for n in range(200))) == list(range(200))
    assert await numbers(database) == list(range(200))
    assert len(commits) <= 20


async def test_a_unit_that_fails_is_undone_alone(database: Database) -> None:
    """The others of its group are committed; nothing of the failed one remains."""

    def half(connection: Connection) -> None:
        put(1001)(connection)
        raise ValueError("in the middle")

    results = await asyncio.gather(
        *(database.write(put(n)) for n in range(5)),
        database.write(half),
        database.write(put(0)),  # exists by then
        *(database.write(put(n)) for n in range(5, 10)),
        return_exceptions=True,
    )
    assert isinstance(results[5], ValueError)
    assert isinstance(results[6], Conflict)
    assert await numbers(database) == list(range(10))


async def test_what_is_written_without_sqlalchemy_is_whole_or_nothing(database: Database) -> None:
    """A write that speaks through ``Sql`` alone is committed, or leaves nothing if it fails in the middle; others go on."""
    insertion = insert(Table("numbers", MetaData(), Column("n", Integer)))

    def add(*numbers: int) -> Any:
        return lambda connection: Sql(connection).run_many(insertion, [{"n": number} for number in numbers])

    await database.write(add(1, 2), piped=True)
    with pytest.raises(Conflict):
        await database.write(add(3, 1), piped=True)
    await database.write(add(4), piped=True)
    assert await numbers(database) == [1, 2, 4]


async def test_success_is_told_after_the_commit_and_before_the_caller_goes_on(
    tmp_path: Path, database: Database
) -> None:
    """Whoever is told sees the row on a connection of its own."""
    seen: list[tuple[int, int]] = []

    def then(number: int) -> None:
        with closing(sqlite3.connect(tmp_path / "test.db")) as connection:
            (count,) = connection.execute("SELECT count(*) FROM numbers").fetchone()
        seen.append((number, count))

    await database.write(put(1), then)
    assert seen == [(1, 1)]


async def test_a_listener_that_fails_harms_nobody(database: Database) -> None:
    """What is committed is answered, also to those who shared the commit with whoever's listener failed."""

    def fail(_: object) -> None:
        raise RuntimeError("a listener broke")

    async with asyncio.timeout(10):
        results = await asyncio.gather(*(database.write(put(n), fail if n == 3 else None) for n in range(10)))
    assert results == list(range(10))


async def test_a_caller_who_stops_waiting_changes_nothing_for_others(database: Database) -> None:
    """Its unit is committed all the same, and the writer goes on."""
    waiting = asyncio.create_task(database.write(put(1)))
    await turn()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await database.write(put(2))
    assert await numbers(database) == [1, 2]


async def test_a_read_is_one_snapshot(database: Database) -> None:
    """Rows that are committed while a read goes on do not appear in it."""
    loop = asyncio.get_running_loop()

    def look_twice(connection: Connection) -> tuple[int, int]:
        count = text("SELECT count(*) FROM numbers")
        before = connection.execute(count).scalar_one()
        asyncio.run_coroutine_threadsafe(database.write(put(1)), loop).result(10)
        return before, connection.execute(count).scalar_one()

    assert await database.read(look_twice) == (0, 0)
    assert await numbers(database) == [1]


async def test_closing_finishes_what_is_queued_and_takes_nothing_more(tmp_path: Path) -> None:
    """A write after the end is refused at once instead of waiting for ever."""
    database = Database(f"sqlite:///{tmp_path / 'test.db'}")
    database.run_sync(lambda connection: connection.execute(text("CREATE TABLE numbers (n INTEGER PRIMARY KEY)")))
    queued = [asyncio.create_task(database.write(put(n))) for n in range(100)]
    await turn()
    await database.aclose()
    assert await asyncio.gather(*queued) == list(range(100))
    async with asyncio.timeout(5):
        with pytest.raises(StoreUnavailable, match="closed"):
            await database.write(put(200))


# -- outages ----------------------------------------------------------------------------------------------------------


@pytest.mark.slow
async def test_a_database_locked_by_another_process_is_unavailable_within_two_seconds_for_everybody(
    tmp_path: Path, database: Database
) -> None:
    """However many wait: each is told within two seconds, nothing is changed, and afterwards it works again."""
    loop = asyncio.get_running_loop()

    async def timed(number: int) -> tuple[BaseException | None, float]:
        began = loop.time()
        try:
            await database.write(put(number))
        except StoreUnavailable as error:
            return error, loop.time() - began
        return None, loop.time() - began

    with another_writer(tmp_path / "test.db"):
        outcomes = await asyncio.gather(*(timed(n) for n in range(300)))
        assert await numbers(database) == [], "readers are not kept out"
    assert all(isinstance(error, StoreUnavailable) for error, _ in outcomes)
    assert max(took for _, took in outcomes) < 2.0
    await database.write(put(1))
    assert await numbers(database) == [1]


async def test_a_short_lock_is_waited_for(tmp_path: Path, database: Database) -> None:
    """Another process's write of ordinary length is nobody's problem."""
    with another_writer(tmp_path / "test.db") as other:
        waiting = asyncio.create_task(database.write(put(1)))
        asyncio.get_running_loop().call_later(0.2, other.execute, "ROLLBACK")
        assert await waiting == 1
        other.execute("BEGIN")


async def test_a_database_that_cannot_be_opened_is_unavailable(tmp_path: Path) -> None:
    """A folder that is not there: reads, writes and the ping all say so, and closing works."""
    database = Database(f"sqlite:///{tmp_path / 'nowhere' / 'test.db'}")
    for attempt in (database.read(put(1)), database.write(put(1)), database.ping()):
        with pytest.raises(StoreUnavailable):
            await attempt
    await database.aclose()


async def test_a_file_that_is_no_database_is_unavailable(tmp_path: Path) -> None:
    """Garbage in the file is an outage, not a crash of the writer."""
    (tmp_path / "test.db").write_bytes(b"this is not a database" * 100)
    database = Database(f"sqlite:///{tmp_path / 'test.db'}")
    for _ in range(2):
        with pytest.raises(StoreUnavailable):
            await database.write(put(1))
    await database.aclose()


@pytest.mark.parametrize("piped", [False, True])
async def test_nobody_hears_of_what_was_not_committed(database: Database, piped: bool) -> None:
    """The commit itself fails, alone or with others: all are told, and no listener is; what comes after goes through."""
    heard: list[str] = []

    def undone(connection: Connection) -> str:
        driver: Any = connection.connection.driver_connection
        driver.execute("CREATE TABLE whole (id INTEGER PRIMARY KEY)")
        driver.execute("CREATE TABLE part (of_whole REFERENCES whole (id) DEFERRABLE INITIALLY DEFERRED)")
        driver.execute("INSERT INTO part VALUES (1)")  # of nothing, which only the commit finds out
        return "undone"

    with pytest.raises(Conflict):
        await database.write(undone, heard.append, piped=piped)
    with closing(sqlite3.connect(str(database.url).removeprefix("sqlite:///"), timeout=0)) as another:
        another.execute("BEGIN IMMEDIATE")  # nobody keeps the lock
    together = [database.write(run, heard.append, piped=piped) for run in (lambda _: "first", undone, lambda _: "last")]
    told = await asyncio.gather(*together, return_exceptions=True)
    assert heard == [answer for answer in told if isinstance(answer, str)]
    assert await database.write(lambda _: "done", heard.append, piped=piped) == "done"
    assert heard[-1] == "done"


async def test_what_the_driver_refuses_at_once_is_left_to_a_thread(database: Database) -> None:
    """Whatever it was, the thread meets it too, and says what it means; what is asked next is read at once again."""
    for ask in (
        lambda connection: Sql(connection).all(select(Column("x")).select_from(text("nowhere"))),
        lambda connection: connection.execute(text("SELECT x FROM nowhere")).all(),
    ):
        with pytest.raises(WouldWait):
            database.at_once(ask)
        assert database.at_once(lambda connection: connection.exec_driver_sql("SELECT 1").scalar()) == 1
