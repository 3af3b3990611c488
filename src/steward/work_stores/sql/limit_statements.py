"""The SQL statements of caps and budgets: what was started within a minute, and what was spent within a window.

As in ``statements``: each by name, with its purpose, and named parameters.
"""

from sqlalchemy import bindparam, delete, func, insert, select, tuple_, update

from steward.database.sql import among, upsert
from steward.database.tables import spendings, spent, starts

W = bindparam("w")

# -- starts: what a cap per minute counts -----------------------------------------------------------------------------

_count = upsert(starts).values(
    workspace_id=W, until=bindparam("until"), action_id=bindparam("action_id"), number=bindparam("number")
)
COUNT_STARTS = _count.on_conflict_do_update(
    index_elements=["workspace_id", "until", "action_id"], set_={"number": starts.c.number + _count.excluded.number}
)
"""Remember how many jobs of an action were claimed within one second."""

_OWN = starts.c.workspace_id == W
STARTS = select(starts).where(_OWN, starts.c.until > bindparam("now")).order_by(starts.c.until)
"""What a workspace started within the last minute, the soonest to be forgotten first."""

FORGET_STARTS = delete(starts).where(_OWN, starts.c.until <= bindparam("now"))
"""Forget what no longer counts."""

FORGET_ALL_STARTS = delete(starts).where(starts.c.until <= bindparam("now"))
"""The same, of every workspace."""

# -- spendings: what budgets count ------------------------------------------------------------------------------------

_BUDGET = (spendings.c.workspace_id == W, spendings.c.budget == bindparam("b"))
_SPENT = (spent.c.workspace_id == W, spent.c.budget == bindparam("b"))

SPENT = select(spent).where(*_SPENT)
"""How much of a budget is spent, and up to when freed units have been promised."""

_change = upsert(spent).values(
    workspace_id=W, budget=bindparam("b"), total=bindparam("delta"), promised_at=0, promised=0
)
CHANGE_SPENT = _change.on_conflict_do_update(
    index_elements=["workspace_id", "budget"], set_={"total": spent.c.total + _change.excluded.total}
)
"""Add to what is spent."""

PROMISE = update(spent).where(*_SPENT).values(promised_at=bindparam("at"), promised=bindparam("number"))
"""Remember which freed unit the last job that was put off is to come back for."""

SPEND = insert(spendings)
"""Reserve units for a job's effect."""

KNOWN_UNITS = select(spendings.c.unit).where(*_BUDGET, among(spendings.c.unit, "units")).distinct()
"""Which of these units are counted already."""

FORGET_OLDEST = (
    delete(spendings)
    .where(
        *_BUDGET,
        tuple_(spendings.c.unit, spendings.c.job_id, spendings.c.fence).in_(
            select(spendings.c.unit, spendings.c.job_id, spendings.c.fence)
            .where(*_BUDGET, spendings.c.at <= bindparam("before"))
            .order_by(spendings.c.at)
            .limit(bindparam("limit"))
        ),
    )
    .returning(spendings.c.unit)
)
"""Forget some of what lies before a budget's window, the oldest first."""

NTH_SPENDING = (
    select(spendings.c.at)
    .where(*_BUDGET, spendings.c.at >= bindparam("since"))
    .order_by(spendings.c.at)
    .limit(1)
    .offset(bindparam("n"))
)
"""When one of the units was reserved, counted from a moment on: a window later it is free again."""

UNSPEND = (
    delete(spendings)
    .where(spendings.c.job_id == bindparam("job_id"), spendings.c.fence == bindparam("fence"))
    .returning(spendings.c.budget, spendings.c.unit)
)
"""Give back what was reserved for an attempt."""

USED = select(func.count(spendings.c.unit.distinct()).label("number")).where(
    *_BUDGET, spendings.c.at > bindparam("since")
)
"""How much of a budget is used within its window."""

BUDGETS = select(spent.c.workspace_id, spent.c.budget).where(spent.c.total > 0)
"""Budgets of which something is spent."""
