"""The SQL statements of moving work to another engine, or back."""

from sqlalchemy import bindparam, delete, exists, func, insert, or_, select, text

from steward.database.sql import upsert
from steward.database.tables import events, idempotency, plans, queues
from steward.plan import PlanStatus
from steward.work_stores.sql.statements import W

HOLDS_WORK = select(
    or_(
        exists(select(plans.c.plan_id).where(plans.c.status == PlanStatus.RUNNING)),
        exists(select(plans.c.plan_id).where(plans.c.status == PlanStatus.AWAITING_APPROVAL)),
        exists(select(idempotency.c.key)),
    )
)
"""Whether a plan is under way, or a request would be known again."""

NEWEST = select(func.max(events.c.position))
"""Where the log ends."""

SEQUENCES = select(queues.c.workspace_id, queues.c.event_sequence).where(queues.c.event_sequence > 0)
"""Where each workspace's own numbers stand."""

_begin = upsert(queues).values(
    workspace_id=W, depth=0, event_sequence=bindparam("sequence"), event_floor=bindparam("sequence"), turn=0
)
BEGIN_AFTER = _begin.on_conflict_do_update(
    index_elements=["workspace_id"],
    set_={
        "event_sequence": _begin.excluded.event_sequence,
        "event_floor": _begin.excluded.event_floor,
    },
    where=queues.c.event_sequence < _begin.excluded.event_sequence,
)
"""Let a workspace's numbers go on after those of another log, which nobody can read here."""

AT = insert(events).values(position=bindparam("position"), sequence=0, type="", at=0, workspace_id="", data="")
"""Take a position, so that later ones come after it."""

FREE = delete(events).where(events.c.position == bindparam("position"))
"""And leave it free again."""

ADVANCE = text(
    "SELECT setval('events_position_seq', greatest(:position, (SELECT last_value FROM events_position_seq)))"
)
"""The same on PostgreSQL, where positions come from a sequence."""
