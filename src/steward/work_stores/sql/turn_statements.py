"""The SQL statements about turns, all on a workspace's row in ``queues``: which is served next, and who may change it now.

As in ``statements``: each by name, with its purpose, and named parameters. Where there is one writer nothing is locked.
"""

from sqlalchemy import bindparam, exists, func, literal_column, not_, select, update

from steward.database.many import Behind
from steward.database.sql import among, upsert
from steward.database.tables import events, idempotency, jobs, plans, queues
from steward.database.under_way import mark_under_way
from steward.work_stores.sql import statements
from steward.work_stores.sql.rows import AS_NEW

LAST_TURN = select(func.max(queues.c.turn)).where(literal_column("queues.depth > 0"))
"""The newest turn among those in line."""

DEPTH = select(queues.c.depth).where(queues.c.workspace_id == statements.W)
"""How many jobs of a workspace are ready."""

SET_TURN = (
    update(queues)
    .where(queues.c.workspace_id == bindparam("key"))
    .values(turn=bindparam("new_turn"), capped=bindparam("now_capped"))
)
"""Send a workspace to the end of the line, and say whether a cap kept some of its jobs."""

MORE_READY = (
    select(queues.c.workspace_id)
    .where(literal_column("queues.depth > 0"), not_(among(queues.c.workspace_id, "but")))
    .limit(1)
)
"""Whether any other workspace has ready jobs, in whoever's hands it is."""

LOCK_QUEUES = (
    select(queues.c.workspace_id, queues.c.depth, queues.c.event_sequence, queues.c.capped, mark_under_way())
    .where(among(queues.c.workspace_id, "workspaces"))
    .order_by(queues.c.workspace_id)
    .with_for_update()
)
"""Wait for one's turn in some workspaces. Everybody takes them in this order, so nobody waits in a circle.

Until the transaction ends nobody else changes what it returns.
"""

COUNT = (
    update(queues)
    .where(queues.c.workspace_id == bindparam("w"))
    .values(depth=queues.c.depth + bindparam("depth"), event_sequence=queues.c.event_sequence + bindparam("events"))
)
"""Change the ready count of a workspace in which it is one's turn, and take numbers for its events."""

TAKE_TURN = COUNT.where(
    not_(exists(select(plans.c.plan_id).where(among(plans.c.plan_id, "ids")))),
    not_(exists(statements.CLAIMED.with_only_columns(idempotency.c.key))),
).returning(queues.c.workspace_id, queues.c.depth, queues.c.event_sequence, queues.c.capped, mark_under_way())
"""The same, of a workspace in whose line one may have to wait; only if none of some plans and names is known yet.

What was committed while it waited it cannot see: there the tables' keys refuse what was known.
"""

_HERE = ("workspace_id",)
NEW_PLAN = Behind(plans, ahead=_HERE, expires_at=None, finished_at=None, approval_id=None)
"""Put new plans, which wait for nobody, in place in that turn."""

NEW_JOB = Behind(jobs, ahead=_HERE, **AS_NEW, held_for=None, reason=None)
"""And jobs."""

NEW_CLAIM = Behind(idempotency, ahead=_HERE)
"""And names."""

NEW_EVENT = Behind(events, ahead=_HERE, job_id=None, counted="sequence", after="event_sequence")
"""And events about plans, numbered on from the number that the workspace has come to."""

LOCK_FREE_QUEUES = LOCK_QUEUES.with_for_update(skip_locked=True)
"""The same, without waiting: those that nobody else is at."""

MAKE_QUEUE = (
    upsert(queues)
    .values(workspace_id=bindparam("w"), depth=0, event_sequence=0, event_floor=0, turn=0)
    .on_conflict_do_nothing(index_elements=["workspace_id"])
)
"""Give a new workspace its row, to be locked."""
