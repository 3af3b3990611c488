"""The SQL statement about the whole log of events, for the installation's own readers; named parameters, as in ``statements``."""

from typing import Any, Final

from sqlalchemy import Boolean, ColumnElement, bindparam, func, literal_column, or_, select
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler

from steward.database.tables import events
from steward.event import BY_THE_WAY

_LATEST_MS: Final = 253_402_300_799_999
"""The end of the year 9999, after which there is no time."""
_TEXT: Final = "('text', 'null')"


class _not_for_sure_by_the_way(ColumnElement[Any]):  # noqa: N801 - reads as the condition that it is
    """Whether an event may tell something: its data name an error, or something of it may be damaged. PostgreSQL says always yes."""

    inherit_cache = True
    type = Boolean()


@compiles(_not_for_sure_by_the_way)
def _look(element: Any, compiler: SQLCompiler, **more: Any) -> str:
    del element, compiler, more
    return f"""(events.data LIKE '%"error_code"%' OR json_valid(events.data) IS NOT 1 OR events.data NOT LIKE '{{%'
        OR typeof(events.sequence) <> 'integer' OR typeof(events.at) <> 'integer' OR events.at NOT BETWEEN 0 AND {_LATEST_MS}
        OR typeof(events.actor_id) NOT IN {_TEXT} OR typeof(events.plan_id) NOT IN {_TEXT}
        OR typeof(events.job_id) NOT IN {_TEXT})"""


@compiles(_not_for_sure_by_the_way, "postgresql")
def _yes(element: Any, compiler: SQLCompiler, **more: Any) -> str:
    del element, compiler, more
    return "TRUE"


_LAST = select(func.max(events.c.position)).scalar_subquery()

ALL_EVENTS_AFTER = (
    select(events)
    .where(events.c.position > bindparam("after"), events.c.position <= bindparam("settled"))
    .where(
        or_(
            events.c.type.not_in([literal_column(f"'{kind.value}'") for kind in sorted(BY_THE_WAY)]),
            _not_for_sure_by_the_way(),
            events.c.position == _LAST,
        )
    )
    .order_by(events.c.position)
    .limit(bindparam("limit"))
)
"""Every workspace's events up to a position before which none can appear any more. Some of those by the way are left out, but
never the last event of all, so that the last that is read says how far this was.
"""
