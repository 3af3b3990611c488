"""Statements about many rows, and many statements as one, as PostgreSQL has them: there each statement is a message to a server."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import count
from typing import Any, Final

from pydantic_core import to_json
from sqlalchemy import (
    JSON,
    BindParameter,
    ClauseElement,
    Dialect,
    Insert,
    LargeBinary,
    Text,
    bindparam,
    cast,
    column,
    func,
    insert,
    select,
    table,
)
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.visitors import replacement_traverse

FIRST: Final = "part_0"
"""What the first of several statements in one has returned, to those behind it."""
WHAT_FIRST_RETURNED: Final = "SELECT * FROM part_0"


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


def _bound(statement: ClauseElement, dialect: Dialect) -> tuple[SQLCompiler, dict[str, Any]]:
    """Return a statement as compiled, and the types of the values that it takes."""
    found = statement.compile(dialect=dialect)
    assert isinstance(found, SQLCompiler)
    return found, {name: bind.type for name, bind in found.binds.items() if bind.required}


def _given(types: Mapping[str, Any]) -> Any:
    """Return the rows of a JSON list as a table."""
    rows = func.json_to_recordset(cast(bindparam("given_rows", type_=Text), JSON))
    columns = (column(name, kind) for name, kind in types.items())
    return rows.table_valued(*columns).render_derived(name="given", with_types=True)


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
    sealed = tuple(name for name, kind in types.items() if isinstance(kind, LargeBinary))
    return AboutAll(whole, tuple(found.positiontup or ()), sealed)


@dataclass(frozen=True, slots=True)
class Behind:
    """An insert that is done only if the statement ahead of it has found its row, and may count on from there."""

    statement: Insert
    counted: str = ""
    """A column whose values are given as if that row stood at zero."""
    after: str = ""
    """Where the row stands."""


@lru_cache(maxsize=256)
def behind(insertion: Behind, dialect: Dialect, *, one: bool) -> AboutAll:
    """Return an insert of one row, or of all of a JSON list, as a part of a statement of which another part comes first."""
    found, types = _bound(insertion.statement, dialect)
    given = _given(types)
    ahead = table(FIRST, column(insertion.after))
    values = {name: bindparam(name, type_=kind) if one else given.c[name] for name, kind in types.items()}
    if insertion.counted:
        values[insertion.counted] = ahead.c[insertion.after] + values[insertion.counted]
    rows = select(*values.values()).select_from(*([ahead] if one else [ahead, given]))
    whole = insert(insertion.statement.table).from_select(list(types), rows, include_defaults=False)
    sealed = tuple(name for name, kind in types.items() if isinstance(kind, LargeBinary))
    return AboutAll(whole, tuple(found.positiontup or ()), sealed)


@lru_cache(maxsize=1024)
def in_one(*texts: str) -> bytes:
    """Return several statements as one, which does them all at once, and none sees what another does; values by number.

    As PostgreSQL itself numbers them: so the driver has nothing to look for in a long text.
    """
    *parts, last = texts
    named = ", ".join(f"part_{number} AS ({text})" for number, text in enumerate(parts))
    whole, numbers = f"WITH {named} {last}" if parts else last, count(1)
    return re.sub("%[s%]", lambda found: "%" if found[0] == "%%" else f"${next(numbers)}", whole).encode()
