"""Statements on the driver's own connection, each compiled once.

Statements are declared with SQLAlchemy, which knows the tables and the dialect. To run one through SQLAlchemy costs several
times what the database needs for it, so here its text is compiled at the first use and handed to the driver as it is: values go
in as the driver takes them, rows come out as named tuples. The text never depends on the values (a list goes in as JSON,
see ``among``), so that the driver keeps it prepared, too. On PostgreSQL, where each statement is a message to a server, one that
is to be run for many rows becomes one statement about all of them, and the rows go in as JSON, too (``about_all``).

Where the dialects differ, the difference has a name here: ``among``, ``unindexed``, ``has_member``. An upsert is written with PostgreSQL's
``insert``, which SQLite spells alike.
"""

import re
from collections import namedtuple
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import chain, count
from operator import attrgetter, itemgetter
from typing import Any, Final

from pydantic_core import to_json
from sqlalchemy import (
    JSON,
    BindParameter,
    ClauseElement,
    ColumnElement,
    Connection,
    Dialect,
    Insert,
    LargeBinary,
    Text,
    Update,
    bindparam,
    cast,
    column,
    func,
    insert,
    literal_column,
    select,
)
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.visitors import replacement_traverse

__all__ = ["Compiled", "Sql", "among", "compiled", "has_member", "unindexed", "upsert"]

CACHED_STATEMENTS: Final = 512
"""How many prepared statements a connection keeps: more than there are."""
_NOTHING: Final[Mapping[str, Any]] = {}
_SPEAKERS: Final[dict[tuple[Any, ...], Dialect]] = {}
"""One dialect for each manner of speaking: every database that is opened brings an equal one of its own, for which no
statement would be compiled yet.
"""


def _manner(dialect: Dialect) -> tuple[Any, ...]:
    """Return all that the text of a statement depends on."""
    return dialect.name, dialect.driver, dialect.server_version_info


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


class has_member(ColumnElement[Any]):  # noqa: N801 - the same
    """The condition that a column's JSON object has a member of this name, and not null."""

    inherit_cache = False

    def __init__(self, column: ColumnElement[Any], name: str) -> None:
        """Look into ``column`` for ``name``, which is a plain word."""
        self.looked_up = func.json_extract(column, literal_column(f"'$.{name}'")).is_not(None)
        self.picked = cast(column, JSON).op("->>")(literal_column(f"'{name}'")).is_not(None)


@compiles(has_member)
def _has_member(element: has_member, compiler: SQLCompiler, **more: Any) -> str:
    return compiler.process(element.looked_up, **more)


@compiles(has_member, "postgresql")
def _has_member_postgresql(element: has_member, compiler: SQLCompiler, **more: Any) -> str:
    return compiler.process(element.picked, **more)


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


@dataclass(frozen=True, slots=True)
class AboutAll:
    """One statement that does for all rows of a JSON list what another does for one."""

    statement: ClauseElement
    names: tuple[str, ...]
    """Of the values of a row, as the other statement binds them."""
    sealed: tuple[str, ...]
    """Those that are bytes."""

    def listed(self, rows: Iterable[tuple[Any, ...]]) -> dict[str, str]:
        """Return the value that goes in for these rows."""
        found = [dict(zip(self.names, row, strict=True)) for row in rows]
        for name in self.sealed:
            for row in found:
                if row[name] is not None:
                    row[name] = f"\\x{row[name].hex()}"
        return {"given_rows": to_json(found).decode()}


@lru_cache(maxsize=256)
def about_all(statement: ClauseElement, dialect: Dialect) -> AboutAll:
    """Return a statement about one row, an insert or an update by key, as one about many, as PostgreSQL spells that.

    In an update no key may come twice.
    """
    found = statement.compile(dialect=dialect)
    assert isinstance(found, SQLCompiler)
    types = {name: bind.type for name, bind in found.binds.items() if bind.required}
    rows = func.json_to_recordset(cast(bindparam("given_rows", type_=Text), JSON))
    columns = (column(name, kind) for name, kind in types.items())
    given = rows.table_valued(*columns).render_derived(name="given", with_types=True)

    def from_row(element: Any, **_: Any) -> Any:
        return given.c[element.key] if isinstance(element, BindParameter) and element.required else None

    if isinstance(statement, Insert):
        whole: Any = insert(statement.table).from_select(list(types), select(*given.c), include_defaults=False)
    else:
        whole: Any = replacement_traverse(statement, {}, from_row)
    sealed = tuple(name for name, kind in types.items() if isinstance(kind, LargeBinary))
    return AboutAll(whole, tuple(found.positiontup or ()), sealed)


@lru_cache(maxsize=1024)
def _in_one(*texts: str) -> bytes:
    """Return several statements as one, which does them all at once, and none sees what another does; values by number.

    As PostgreSQL itself numbers them: so the driver has nothing to look for in a long text.
    """
    *parts, last = texts
    named = ", ".join(f"part_{number} AS ({text})" for number, text in enumerate(parts))
    whole, numbers = f"WITH {named} {last}" if parts else last, count(1)
    return re.sub("%[s%]", lambda found: "%" if found[0] == "%%" else f"${next(numbers)}", whole).encode()


class Sql:
    """A connection's driver, with the few ways to run a statement that a store needs."""

    __slots__ = ("_dialect", "_driver", "_held", "one_writer")

    def __init__(self, connection: Connection) -> None:
        """Use an open connection and the transaction that it is in."""
        self._dialect = _SPEAKERS.setdefault(_manner(connection.dialect), connection.dialect)
        self._driver: Any = connection.connection.driver_connection
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
            self._send(_in_one(*(known.text for known, _ in held)), values)

    def _tell(self, text: str, values: tuple[Any, ...]) -> Any:
        """Send a statement; return what it brings."""
        return self._driver.execute(text, values) if self.one_writer else self._send(_in_one(text), values)

    def _send(self, text: bytes, values: tuple[Any, ...]) -> Any:
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

    def _run_all(self, statement: ClauseElement, values: list[tuple[Any, ...]]) -> None:
        if not values:
            return
        if len(values) == 1:
            self._do(compiled(statement, self._dialect), values[0])
        elif self.one_writer:
            self._driver.cursor().executemany(compiled(statement, self._dialect).text, values)
        else:
            whole = about_all(statement, self._dialect)
            self.run(whole.statement, whole.listed(values))
