"""Many rows as one: each a line of JSON, all of them one text.

Python's sqlite3 lets go of the interpreter for every row that it fetches and makes an object of every value. One row with
a text costs that once; and a line is a good name for what is made of it, to be remembered by.
"""

from functools import lru_cache
from typing import Any

from sqlalchemy import ColumnElement, Select, Text, func, literal_column, select
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler


class _line(ColumnElement[Any]):  # noqa: N801 - reads as the function that it is
    """Values as a list in JSON."""

    inherit_cache = False
    type = Text()

    def __init__(self, values: list[Any]) -> None:
        """List ``values``."""
        self.sqlite = func.json_array(*values)
        self.postgresql = func.json_build_array(*values).cast(Text)


class _lines(ColumnElement[Any]):  # noqa: N801 - the same
    """All lines of a column, joined."""

    inherit_cache = False
    type = Text()

    def __init__(self, column: ColumnElement[Any]) -> None:
        """Join ``column``."""
        self.sqlite = func.group_concat(column, literal_column("char(10)"))
        self.postgresql = func.string_agg(column, literal_column("chr(10)"))


@compiles(_line)
@compiles(_lines)
def _spelt(element: _line | _lines, compiler: SQLCompiler, **more: Any) -> str:
    return compiler.process(getattr(element, compiler.dialect.name), **more)


@lru_cache(maxsize=64)
def lines_of(statement: Select[Any], columns: tuple[str, ...]) -> Select[Any]:
    """Return a select as one whose only value is a text: for each row a line, which lists these columns; null without rows.

    The lines may come in another order than the rows would: whoever needs one sorts them.
    """
    found = statement.selected_columns
    rows = statement.with_only_columns(_line([found[name] for name in columns]).label("line")).subquery("found")
    return select(_lines(rows.c.line)).select_from(rows)
