"""Moving work to another engine, or back: whether anything here still counts, and that numbers go on where they stood."""

from typing import Final

from sqlalchemy import bindparam, delete, exists, func, insert, or_, select
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from steward.database.sql import Sql
from steward.database.tables import events, idempotency, plans, queues
from steward.event import LogEnds
from steward.plan import PlanStatus
from steward.work_stores.sql.statements import W
from steward.work_stores.sql.transaction import Work

_HOLDS_WORK: Final = select(
    or_(
        exists(select(plans.c.plan_id).where(plans.c.status == PlanStatus.RUNNING)),
        exists(select(plans.c.plan_id).where(plans.c.status == PlanStatus.AWAITING_APPROVAL)),
        exists(select(idempotency.c.key)),
    )
)
"""Whether a plan is under way, or a request would be known again."""

_NEWEST: Final = select(func.max(events.c.position))
"""Where the log ends."""

_SEQUENCES: Final = select(queues.c.workspace_id, queues.c.event_sequence).where(queues.c.event_sequence > 0)
"""Where each workspace's own numbers stand."""

_begin = sqlite_insert(queues).values(
    workspace_id=W, depth=0, event_sequence=bindparam("sequence"), event_floor=bindparam("sequence"), turn=0
)
_BEGIN_AFTER: Final = _begin.on_conflict_do_update(
    index_elements=["workspace_id"],
    set_={
        "event_sequence": _begin.excluded.event_sequence,
        "event_floor": _begin.excluded.event_floor,
    },
    where=queues.c.event_sequence < _begin.excluded.event_sequence,
)
"""Let a workspace's numbers go on after those of another log, which nobody can read here."""

_AT: Final = insert(events).values(position=bindparam("position"), sequence=0, type="", at=0, workspace_id="", data="")
"""Take a position, so that later ones come after it."""

_FREE: Final = delete(events).where(events.c.position == bindparam("position"))
"""And leave it free again."""


def holds_work(sql: Sql) -> bool:
    """Say whether anything is under way here, or a request would be known again; drafts do not count."""
    return bool(sql.scalar(_HOLDS_WORK))


def log_ends(sql: Sql) -> LogEnds:
    """Return where the log stands."""
    sequences = {row.workspace_id: row.event_sequence for row in sql.all(_SEQUENCES)}
    return LogEnds(sql.scalar(_NEWEST) or 0, sequences)


def continue_after(work: Work, ends: LogEnds) -> None:
    """Let the log go on after another one: nothing that comes has a number that stood for something else."""
    if ends.position > (work.sql.scalar(_NEWEST) or 0):
        work.sql.run(_AT, {"position": ends.position})
        work.sql.run(_FREE, {"position": ends.position})
    for workspace_id, sequence in ends.sequences.items():
        work.sql.run(_BEGIN_AFTER, {"w": workspace_id, "sequence": sequence})
