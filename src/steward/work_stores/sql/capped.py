"""Ready jobs of a workspace that has caps: what they count, and which jobs they let go.

It all happens in the claim's own transaction, so that any number of workers in any number of processes count the same.
"""

from collections import Counter
from datetime import datetime
from typing import Any

from steward.caps import NO_BUDGETS, Activity, Budgets, Caps, Room, Start, counts_until
from steward.clock import from_milliseconds, milliseconds
from steward.database.sql import Sql
from steward.work_stores.sql import limit_statements, statements
from steward.work_stores.sql.transaction import Work


def activity(sql: Sql, workspace_id: str, now: int, budgets: Budgets = NO_BUDGETS) -> Activity:
    """Return what a workspace has running, what it started within the last minute, and what it used of ``budgets``."""
    running = sql.all(statements.RUNNING_BY_ACTION, {"w": workspace_id})
    started = sql.all(limit_statements.STARTS, {"w": workspace_id, "now": now})
    return Activity(
        running={row.action_id: row.number for row in running},
        started=tuple(Start(row.action_id, from_milliseconds(row.until), row.number) for row in started),
        used={
            name: sql.one(
                limit_statements.USED, {"w": workspace_id, "b": name, "since": now - budget.window_s * 1000}
            ).number
            for name, budget in budgets.items()
        },
    )


def within_caps(work: Work, workspace_id: str, share: int, caps: Caps, capped: dict[str, int | None]) -> list[Any]:
    """Return up to ``share`` of a workspace's ready jobs, the oldest that may go, and count them as started.

    Where that is fewer although there are more, the workspace goes into ``capped`` with the time at which that changes by
    itself, or None.
    """
    now = from_milliseconds(work.now)
    room = Room(caps, activity(work.sql, workspace_id, work.now), now)
    actions = work.sql.scalars(statements.READY_ACTIONS, {"w": workspace_id})
    found: list[Any] = []
    for action_id in actions:
        heads = {"w": workspace_id, "action_id": action_id, "limit": min(share, room.left(action_id))}
        found += work.sql.all(statements.READY_JOBS_OF_ACTION, heads)
    chosen: list[Any] = []
    for row in sorted(found, key=lambda row: row.job_id):
        if len(chosen) < share and room.capped(row.action_id) is None:
            room.take(row.action_id)
            chosen.append(row)
    if len(chosen) < share and (rules := [rule for each in actions if (rule := room.capped(each))]):
        times = [milliseconds(rule.until) for rule in rules if rule.until is not None]
        capped[workspace_id] = min(times, default=None)
    if room.counts_starts:
        _remember(work, workspace_id, Counter(row.action_id for row in chosen), now)
    return chosen


def _remember(work: Work, workspace_id: str, number_of: Counter[str], now: datetime) -> None:
    work.sql.run(limit_statements.FORGET_STARTS, {"w": workspace_id, "now": work.now})
    until = milliseconds(counts_until(now))
    for action_id, number in number_of.items():
        work.sql.run(
            limit_statements.COUNT_STARTS, {"w": workspace_id, "until": until, "action_id": action_id, "number": number}
        )
