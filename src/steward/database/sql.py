"""Statements on the driver's own connection, each compiled once.

Statements are declared with SQLAlchemy, which knows the tables and the dialect. To run one through SQLAlchemy costs several
times what the database needs for it, so here its text is compiled at the first use and handed to the driver as it is: values go
in as the driver takes them, rows come out as named tuples. The text never depends on the values (a list goes in as JSON,
see ``among``), so that the driver keeps it prepared, too. On PostgreSQL, where each statement is a message to a server, one that
is to be run for many rows becomes one statement about all of them, and the rows go in as arrays (``about_all``).

Where the dialects differ, the difference has a name here: ``among``, ``unindexed``. An upsert is written with PostgreSQL's
``insert``, which SQLite spells alike.
"""

from collections import namedtuple
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import chain
from operator import attrgetter, itemgetter
from typing import Any, Final

from sqlalchemy import (
    JSON,
    ClauseElement,
    ColumnElement,
    Connection,
    Dialect,
    Insert,
    Text,
    Update,
    bindparam,
    cast,
    func,
    select,
)
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler

from steward.database.many import WHAT_FIRST_RETURNED, Behind, about_all, behind, in_one

__all__ = ["DAMAGE", "Compiled", "Sql", "among", "compiled", "unindexed", "upsert"]

DAMAGE: Final = (ValueError, TypeError, KeyError, OverflowError)
"""What is raised when a row is read that holds what does not belong there."""
ROWS_AT_ONCE: Final = (64, 16)
"""How many rows SQLite is given in one insert, which takes it three quarters of the time of as many inserts. And Python's sqlite3
lets go of the interpreter for each statement: whoever takes it may be slow to give it back, while the lock on the file is held.
"""
CACHED_STATEMENTS: Final = 512
"""How many prepared statements a connection keeps: more than there are."""
_NOTHING: Final[Mapping[str, Any]] = {}
_SPEAKERS: Final[dict[tuple[Any, ...], Dialect]] = {}
"""One dialect for each manner of speaking: every database that is opened brings an equal one of its own, for which no
statement would be compiled yet.
"""


def _manner(dialect: Dialect) -> tuple[Any, ...]:
    """Return all that the text of a statement depends on."""
    return dialect.name, dialect.driver, dialect.server_version_info, dialect.paramstyle


class among(ColumnElement[Any]):  # noqa: N801 - reads as the function that it is
    """The condition that a column is one of the texts in the JSON list given under a name."""

    inherit_cache = False

    def __init__(self, column: ColumnElement[Any], name: str) -> None:
        """Compare ``column`` with the list ``name``."""
        self.column = column
        self.found = func.json_each(bindparam(name, type_=Text)).table_valued("value").c.value
        self.listed = func.json_array_elements_text(cast(bindparam(name, type_=Text), JSON))


@compiles(among)
def _among(element: among, compiler: SQLCompiler, **more: Any) -> str:
    return compiler.process(element.column.in_(select(element.found)), **more)


@compiles(among, "postgresql")
def _among_postgresql(element: among, compiler: SQLCompiler, **more: Any) -> str:
    listed = compiler.process(element.listed, **more)
    return f"{compiler.process(element.column, **more)} = ANY (ARRAY(SELECT {listed}))"


class unindexed(ColumnElement[Any]):  # noqa: N801 - the same
    """A column whose index SQLite's planner is not to use; PostgreSQL's knows better by itself."""

    inherit_cache = False

    def __init__(self, column: ColumnElement[Any]) -> None:
        """Name ``column``."""
        self.column = column
        self.type = column.type


@compiles(unindexed)
def _unindexed(element: unindexed, compiler: SQLCompiler, **more: Any) -> str:
    return "+" + compiler.process(element.column, **more)


@compiles(unindexed, "postgresql")
def _unindexed_postgresql(element: unindexed, compiler: SQLCompiler, **more: Any) -> str:
    return compiler.process(element.column, **more)


@dataclass(frozen=True, slots=True)
class Compiled:
    """The text of a statement, and how its values and rows are shaped."""

    text: str
    bind: Callable[[Mapping[str, Any]], tuple[Any, ...]]
    """From values by name."""
    bind_object: Callable[[Any], tuple[Any, ...]]
    """From an object that has them as attributes."""
    row: Callable[[Iterable[Any]], Any]
    table: str | None
    """What it changes."""


def _getter(make: Callable[..., Callable[[Any], Any]], names: list[str]) -> Callable[[Any], tuple[Any, ...]]:
    if len(names) > 1:
        return make(*names)
    if not names:
        return lambda _: ()
    get = make(*names)
    return lambda values: (get(values),)


@lru_cache(maxsize=1024)
def compiled(statement: ClauseElement, dialect: Dialect) -> Compiled:
    """Return a statement as ``dialect`` spells it; the same object as long as it is asked for."""
    found = statement.compile(dialect=dialect)
    assert isinstance(found, SQLCompiler)
    names = list(found.positiontup or ())
    fixed = {name: value for name, value in found.params.items() if not found.binds[name].required}
    get = _getter(itemgetter, names)
    columns = [entry.keyname for entry in found._result_columns]  # noqa: SLF001 - nowhere else
    row: Any = namedtuple("Row", columns, rename=True)  # noqa: PYI024 # pyrefly: ignore[bad-class-definition]
    return Compiled(
        text=found.string,
        bind=(lambda values: get({**fixed, **values})) if fixed else get,
        bind_object=_getter(attrgetter, names),
        row=partial(tuple.__new__, row),  # and not _make, which counts the columns of every row again
        table=str(statement.table) if isinstance(statement, (Insert, Update)) else None,
    )


@lru_cache(maxsize=64)
def together(insertion: Insert, dialect: Dialect, number: int) -> str:
    """Return an insert of one row as one of so many, whose values follow each other."""
    one = compiled(insertion, dialect).text  # so many are not compiled: it takes milliseconds in which nobody goes on
    _, word, row = one.rpartition(" VALUES ")
    assert word, "it is an insert of one row"
    return one + f", {row}" * (number - 1)


class Sql:
    """A connection's driver, with the few ways to run a statement that a store needs."""

    __slots__ = ("_dialect", "_driver", "_held", "_pipe", "one_writer")

    def __init__(self, connection: Connection) -> None:
        """Use an open connection and the transaction that it is in."""
        self._dialect = _SPEAKERS.setdefault(_manner(connection.dialect), connection.dialect)
        self._driver: Any = connection.connection.driver_connection
        pipe: Any = connection.info.get("pipe")
        self._pipe = pipe if pipe is not None and pipe.is_open else None
        self.one_writer = self._dialect.name == "sqlite"
        """Nobody else writes while this transaction does; so nothing needs to be locked."""
        self._held: list[tuple[Compiled, tuple[Any, ...]]] | None = None

    @contextmanager
    def as_one(self) -> Iterator[None]:
        """Do what is run inside in as few statements as there can be, in its order: a statement changes a table once.

        What is asked meanwhile is answered after what was run before.
        """
        if self.one_writer:
            yield
            return
        self._held = []
        try:
            yield
            self._send_held()
        finally:
            self._held = None

    def _send_held(self) -> None:
        if self._held:
            held, self._held = self._held, []
            values = tuple(chain.from_iterable(values for _, values in held))
            self._send(in_one(*(known.text for known, _ in held)), values)

    def _tell(self, text: str, values: tuple[Any, ...]) -> Any:
        """Send a statement; return what it brings."""
        return self._driver.execute(text, values) if self.one_writer else self._send(in_one(text), values)

    def _send(self, text: bytes, values: tuple[Any, ...]) -> Any:
        if self._pipe is not None:
            return self._pipe.send(text, values)
        from psycopg import RawCursor  # noqa: PLC0415 - only where it is the driver

        return RawCursor(self._driver).execute(text, values)

    def _do(self, known: Compiled, values: tuple[Any, ...]) -> None:
        """Run a statement for what it does, now or with others."""
        if self._held is None:
            self._tell(known.text, values)
            return
        if any(held.table == known.table for held, _ in self._held):
            self._send_held()
        self._held.append((known, values))

    def _ask(self, statement: ClauseElement, values: Mapping[str, Any]) -> tuple[Compiled, Any]:
        """Send a statement; return it and what brings its rows."""
        self._send_held()
        known = compiled(statement, self._dialect)
        return known, self._tell(known.text, known.bind(values))

    def all(self, statement: ClauseElement, values: Mapping[str, Any] = _NOTHING) -> list[Any]:
        """Return every row."""
        known, answer = self._ask(statement, values)
        return list(map(known.row, answer))

    def ask(self, statement: ClauseElement, values: Mapping[str, Any] = _NOTHING) -> Callable[[], list[Any]]:
        """Send a statement; return what returns its rows. In a pipeline nothing is waited for until that is called."""
        if self.one_writer:
            found = self.all(statement, values)
            return lambda: found
        known, answer = self._ask(statement, values)
        return lambda: list(map(known.row, answer))

    def ask_and_insert(
        self,
        first: ClauseElement,
        values: Mapping[str, Any],
        insertions: Iterable[tuple[Behind, Sequence[Any]]],
    ) -> Callable[[], Any | None]:
        """Run ``first``, and if it finds its row, insert rows behind it, as one statement; return what returns that row.

        It may be called when the transaction is over.
        """
        known = compiled(first, self._dialect)
        texts, bound = [known.text], [*known.bind(values)]
        for insertion, objects in insertions:
            if not objects:
                continue
            one = len(objects) == 1
            whole = behind(insertion, self._dialect, one=one)
            shape = compiled(insertion.row, self._dialect)
            rows = list(map(shape.bind if isinstance(objects[0], Mapping) else shape.bind_object, objects))
            part = compiled(whole.statement, self._dialect)
            texts.append(part.text)
            bound += rows[0] if one else part.bind(whole.listed(rows))
        answer = self._send(in_one(*texts, WHAT_FIRST_RETURNED), tuple(bound))
        return lambda: next(map(known.row, answer), None)

    def one(self, statement: ClauseElement, values: Mapping[str, Any] = _NOTHING) -> Any:
        """Return the only row; there is one."""
        (row,) = self.all(statement, values)
        return row

    def first(self, statement: ClauseElement, values: Mapping[str, Any] = _NOTHING) -> Any | None:
        """Return the first row; None if there is none."""
        return next(iter(self.all(statement, values)), None)

    def scalars(self, statement: ClauseElement, values: Mapping[str, Any] = _NOTHING) -> list[Any]:
        """Return the first column of every row."""
        return [row[0] for row in self._ask(statement, values)[1]]

    def scalar(self, statement: ClauseElement, values: Mapping[str, Any] = _NOTHING) -> Any | None:
        """Return the first column of the first row; None if there is none."""
        return next(iter(self.scalars(statement, values)), None)

    def run(self, statement: ClauseElement, values: Mapping[str, Any] = _NOTHING) -> None:
        """Run a statement that returns nothing."""
        known = compiled(statement, self._dialect)
        self._do(known, known.bind(values))

    def run_many(self, statement: ClauseElement, rows: Iterable[Mapping[str, Any]]) -> None:
        """Run a statement once for each of several sets of values."""
        self._run_all(statement, list(map(compiled(statement, self._dialect).bind, rows)))

    def run_rows(self, insertion: Insert, rows: Sequence[tuple[Any, ...]]) -> None:
        """Insert rows, each the values of all the table's columns in their order."""
        self._run_all(insertion, list(rows))

    def run_for_each(self, statement: ClauseElement, objects: Iterable[Any]) -> None:
        """Run a statement once for each object, whose attributes are its values."""
        self._run_all(statement, list(map(compiled(statement, self._dialect).bind_object, objects)))

    def all_many(self, statement: ClauseElement, rows: Sequence[Mapping[str, Any]]) -> list[Any]:
        """Run a statement once for each of several sets of values, and return every row, in any order."""
        if self.one_writer or len(rows) == 1:
            return [found for row in rows for found in self.all(statement, row)]
        whole = about_all(statement, self._dialect)
        return self.all(whole.statement, whole.listed(map(compiled(statement, self._dialect).bind, rows)))

    def ask_many(self, statement: ClauseElement, rows: Sequence[Mapping[str, Any]]) -> None:
        """Run a statement once for each of several sets of values, for what it does and not for its rows."""
        self._run_all(statement, list(map(compiled(statement, self._dialect).bind, rows)))

    def last_row(self) -> int:
        """Return SQLite's number of the row that was inserted last, which a primary key of whole numbers is."""
        return self._driver.execute("SELECT last_insert_rowid()").fetchone()[0]

    def _run_all(self, statement: ClauseElement, values: list[tuple[Any, ...]]) -> None:
        if not values:
            return
        if len(values) == 1:
            self._do(compiled(statement, self._dialect), values[0])
        elif self.one_writer:
            if type(statement) is Insert:  # and no upsert
                values = self._insert_together(statement, values)
            self._driver.cursor().executemany(compiled(statement, self._dialect).text, values)
        else:
            whole = about_all(statement, self._dialect)
            self.run(whole.statement, whole.listed(values))

    def _insert_together(self, insertion: Insert, rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
        """Insert as many rows as make whole statements of many; return those that are left."""
        start = 0
        for number in ROWS_AT_ONCE:
            while len(rows) - start >= number:
                values = tuple(chain.from_iterable(rows[start : start + number]))
                self._driver.execute(together(insertion, self._dialect, number), values)
                start += number
        return rows[start:]
