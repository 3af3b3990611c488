"""Statements about many rows, and many statements as one, as PostgreSQL has them: there each statement is a message to a server.

Rows go in as an array for each column. To take those apart costs the server half of what a JSON list of the rows does, and sealed
bytes stay bytes.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import count
from typing import Any, Final

from sqlalchemy import (
    ARRAY,
    BigInteger,
    BindParameter,
    Boolean,
    ClauseElement,
    ColumnElement,
    Dialect,
    Insert,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
    bindparam,
    column,
    func,
    insert,
    literal_column,
    null,
    select,
    table,
)
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.visitors import replacement_traverse

FIRST: Final = "part_0"
"""What the first of several statements in one has returned, to those behind it."""
WHAT_FIRST_RETURNED: Final = "SELECT * FROM part_0"


class Texts(list[Any]):
    """Texts of one column, some of them perhaps none."""


class Numbers(list[Any]):
    """Whole numbers of one column."""


class Flags(list[Any]):
    """Truth values of one column."""


class Blobs(list[Any]):
    """Bytes of one column."""


_ARRAYS: Final[tuple[tuple[type, type[list[Any]], Any], ...]] = (
    (Boolean, Flags, Boolean()),
    (Integer, Numbers, BigInteger()),
    (LargeBinary, Blobs, LargeBinary()),
    (String, Texts, Text()),  # and not as long as the column, to which a cast would cut it: it is to be refused
)
"""By the type of a column: what its values go in as, and of which type each is there."""


def _array(kind: Any) -> tuple[type[list[Any]], Any]:
    return next((values, each) for known, values, each in _ARRAYS if isinstance(kind, known))


@dataclass(frozen=True, slots=True)
class AboutAll:
    """One statement that does for many rows what another does for one."""

    statement: ClauseElement
    names: tuple[str, ...]
    """Of the values of a row, as the other statement binds them."""
    arrays: tuple[type[list[Any]], ...]
    """What those of all rows go in as."""

    def listed(self, rows: Iterable[tuple[Any, ...]]) -> dict[str, list[Any]]:
        """Return the values that go in for these rows; there is one at least."""
        columns = zip(*rows, strict=True)
        return {name: array(values) for name, array, values in zip(self.names, self.arrays, columns, strict=True)}


def _about_all(statement: ClauseElement, found: SQLCompiler, types: Mapping[str, Any]) -> AboutAll:
    names = tuple(found.positiontup or ())
    return AboutAll(statement, names, tuple(_array(types[name])[0] for name in names))


def _bound(statement: ClauseElement, dialect: Dialect) -> tuple[SQLCompiler, dict[str, Any]]:
    """Return a statement as compiled, and the types of the values that it takes."""
    found = statement.compile(dialect=dialect)
    assert isinstance(found, SQLCompiler)
    return found, {name: bind.type for name, bind in found.binds.items() if bind.required}


def _given(types: Mapping[str, Any]) -> Any:
    """Return the rows of which each column is an array, as a table."""
    arrays = {name: bindparam(name, type_=ARRAY(_array(kind)[1])) for name, kind in types.items()}
    return select(*(func.unnest(array).label(name) for name, array in arrays.items())).subquery("given")


@lru_cache(maxsize=256)
def about_all(statement: ClauseElement, dialect: Dialect) -> AboutAll:
    """Return a statement about one row, an insert or an update by key, as one about many, as PostgreSQL spells that.

    In an update no key may come twice.
    """
    found, types = _bound(statement, dialect)
    given = _given(types)

    def from_row(element: Any, **_: Any) -> Any:
        return given.c[element.key] if isinstance(element, BindParameter) and element.required else None

    if isinstance(statement, Insert):
        whole: Any = insert(statement.table).from_select(list(types), select(*given.c), include_defaults=False)
    else:
        whole: Any = replacement_traverse(statement, {}, from_row)
    return _about_all(whole, found, types)


class Behind:
    """An insert of rows that is done only if the statement ahead of it has found its row, and may count on from there."""

    def __init__(
        self, into: Table, *, ahead: Sequence[str] = (), counted: str = "", after: str = "", **alike: Any
    ) -> None:
        """Insert rows ``into`` a table, with a value given for each of its columns but these.

        ``ahead``: columns that are as in the row ahead. ``alike``: columns whose values are known before. ``counted``: a column
        that is given as if the row ahead stood at zero, and ``after``: where it stands.
        """
        self.into, self.ahead, self.counted, self.after, self.alike = into, ahead, counted, after, alike
        given = [
            known for known in into.c if known.name not in {*ahead, *alike} and known is not into.autoincrement_column
        ]
        self.row = select(*(bindparam(known.name, type_=known.type) for known in given))
        """A statement that binds a row's values as they are given."""


@lru_cache(maxsize=256)
def behind(insertion: Behind, dialect: Dialect, *, one: bool) -> AboutAll:
    """Return an insert of one row, or of many, as a part of a statement of which another part comes first."""
    found, types = _bound(insertion.row, dialect)
    given = _given(types)
    ahead = table(FIRST, column(insertion.after), *map(column, insertion.ahead))
    values: dict[str, ColumnElement[Any]] = {
        name: bindparam(name, type_=kind) if one else given.c[name] for name, kind in types.items()
    }
    if insertion.counted:
        values[insertion.counted] = ahead.c[insertion.after] + values[insertion.counted]
    values |= {name: ahead.c[name] for name in insertion.ahead}
    for name, value in insertion.alike.items():
        spell: Any = insertion.into.c[name].type.literal_processor(dialect)
        values[name] = null() if value is None else literal_column(spell(value))
    rows = select(*values.values()).select_from(*([ahead] if one else [ahead, given]))
    return _about_all(insert(insertion.into).from_select(list(values), rows, include_defaults=False), found, types)


@lru_cache(maxsize=1024)
def in_one(*texts: str) -> bytes:
    """Return several statements as one, which does them all at once, and none sees what another does; values by number.

    As PostgreSQL itself numbers them: so the driver has nothing to look for in a long text.
    """
    *parts, last = texts
    named = ", ".join(f"part_{number} AS ({text})" for number, text in enumerate(parts))
    whole, numbers = f"WITH {named} {last}" if parts else last, count(1)
    return re.sub("%[s%]", lambda found: "%" if found[0] == "%%" else f"${next(numbers)}", whole).encode()
