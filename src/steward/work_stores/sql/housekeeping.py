"""What the installation does by itself: recover lost leases, expire what nobody decided, forget what is old."""

from typing import Any, Final

from sqlalchemy import ClauseElement

from steward.approval import ApprovalStatus
from steward.clock import from_milliseconds
from steward.database.sql import DAMAGE
from steward.job import after_lost_lease
from steward.plan import PlanStatus
from steward.work_store import Swept
from steward.work_stores.sql import limit_statements, statements
from steward.work_stores.sql.budgets import forget_old
from steward.work_stores.sql.control import close_approval, turn_down
from steward.work_stores.sql.rows import ApprovalRow, encode, load, to_job
from steward.work_stores.sql.transaction import Work
from steward.work_stores.sql.transitions import apply, set_aside

_BATCH: Final = 200
_DAY_MS: Final = 24 * 3600 * 1000


def sweep(work: Work) -> Swept:
    """Recover leases that ran out and expire approvals and drafts, a bounded number of each."""
    batch = {"now": work.now, "limit": _BATCH}
    searches = (statements.LOST_LEASES, statements.OLD_APPROVALS, statements.OLD_DRAFTS)
    _take_turns(work, *((search, batch) for search in searches))
    lost = work.adopt(_found(work, statements.LOST_LEASES, batch))
    for row in lost:
        try:
            follows = after_lost_lease(to_job(row), from_milliseconds(work.now))
        except DAMAGE:
            set_aside(work, row)
        else:
            apply(work, row, follows, word="lease_lost")
    approvals = [load(ApprovalRow, item) for item in _found(work, statements.OLD_APPROVALS, batch)]
    for approval in approvals:
        close_approval(work, approval, ApprovalStatus.EXPIRED, actor=None)
        turn_down(work, approval, "Nobody decided in time.", actor=None, plan_ends_as=PlanStatus.EXPIRED)
    drafts = _found(work, statements.OLD_DRAFTS, batch)
    for draft in drafts:
        work.set_plan_status(draft.plan_id, draft.workspace_id, PlanStatus.EXPIRED)
    return Swept(leases_lost=len(lost), approvals_expired=len(approvals), drafts_expired=len(drafts))


def purge(work: Work, retention_ms: int, archived: int | None) -> int:
    """Delete a bounded number of plans that ended long enough ago, with all that belongs to them."""
    ended = {"before": work.now - max(retention_ms, _DAY_MS), "limit": _BATCH}
    stale = {"before": work.now - _DAY_MS, "limit": _BATCH}
    over = ((statements.ENDED_PLANS, ended), (statements.STALE_DRAFTS, stale))
    _take_turns(work, *over, (limit_statements.BUDGETS, {}))
    work.sql.run(limit_statements.FORGET_ALL_STARTS, {"now": work.now})
    forget_old(work)
    plans = list(dict.fromkeys(row.plan_id for search, values in over for row in _found(work, search, values)))
    if archived is not None:
        unread = set(work.sql.scalars(statements.UNREAD_PLANS, {"plans": encode(plans), "archived": archived}))
        plans = [plan_id for plan_id in plans if plan_id not in unread]
    if not plans:
        return 0
    gone = {"plans": encode(plans)}
    for last in work.sql.all(statements.LAST_EVENTS_OF_PLANS, gone):
        work.sql.run(statements.RAISE_FLOOR, {"key": last.workspace_id, "floor": last.last})
    for statement in statements.DELETE_PLANS:
        work.sql.run(statement, gone)
    return len(plans)


def _take_turns(work: Work, *searches: tuple[ClauseElement, dict[str, int]]) -> None:
    """Wait for one's turn, once, in all workspaces in which these searches find something."""
    if not work.sql.one_writer:
        work.lock({row.workspace_id for search, values in searches for row in work.sql.all(search, values)})


def _found(work: Work, search: ClauseElement, values: dict[str, int]) -> list[Any]:
    """Return what a search finds where it is one's turn: what others left there, and what came up elsewhere waits."""
    return list(filter(work.may_change, work.sql.all(search, values)))
