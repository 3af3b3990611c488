"""Effect budgets: reserved in the transaction of the dispatch record, given back only where provably nothing happened.

A unit is what counts once within a budget's window: an effect, or a recipient however often. ``spent`` holds how many
distinct units there are, so that a dispatch costs the same whether ten or a million are in the window; what has fallen out
of it is forgotten a few at a time.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from steward.clock import from_milliseconds
from steward.spending import Spending
from steward.work_store import Refused
from steward.work_stores.sql import limit_statements as statements
from steward.work_stores.sql.rows import JobRow, encode
from steward.work_stores.sql.transaction import Work
from steward.workspace import MAX_WINDOW_S, Budget, BudgetName

_BATCH: Final = 200


@dataclass(slots=True)
class _Spending:
    """A row of ``spendings``."""

    workspace_id: str
    budget: str
    unit: str
    job_id: str
    fence: int
    at: int


def reserve(work: Work, row: JobRow, spending: Spending) -> Refused | None:
    """Reserve what the attempt's effect takes from every budget, or from none and say when to come back."""
    units: dict[BudgetName, list[str]] = {}
    waits: list[Refused] = []
    for name, budget in spending.budgets.items():
        ledger = _Ledger(work, row.workspace_id, name, budget)
        units[name] = ledger.units(row, spending)
        refused = ledger.refusal(spending, units[name])
        if refused is not None:
            waits.append(refused)
    if waits:
        return max(waits, key=lambda refused: (refused.retry_at is None, refused.retry_at))
    for name, counted in units.items():
        _Ledger(work, row.workspace_id, name, spending.budgets[name]).add(row, counted)
    return None


def give_back(work: Work, row: JobRow) -> None:
    """Give back what the attempt under way has reserved: it had no effect."""
    gone = work.sql.all(statements.UNSPEND, {"job_id": row.job_id, "fence": row.fence})
    for name in {item.budget for item in gone}:
        _uncount(work, row.workspace_id, name, (item.unit for item in gone if item.budget == name))


def forget_old(work: Work) -> None:
    """Forget some of what lies before every possible window, also where nothing is spent any more."""
    before = work.now - MAX_WINDOW_S * 1000
    for item in filter(work.may_change, work.sql.all(statements.BUDGETS)):
        _forget(work, item.workspace_id, item.budget, before)


class _Ledger:
    """One budget of one workspace, in one transaction."""

    def __init__(self, work: Work, workspace_id: str, name: BudgetName, budget: Budget) -> None:
        self._work = work
        self._key = {"w": workspace_id, "b": name}
        self._name = name
        self._budget = budget
        self._since = work.now - budget.window_s * 1000
        """What was reserved at this moment or before no longer counts."""

    def units(self, row: JobRow, spending: Spending) -> list[str]:
        """Return what the attempt's effect counts as: a recipient goes by the name it is known under, under any key."""
        if self._name != "outside_recipients":
            return [f"{row.job_id}/{row.fence}"]
        known = self._known([mac for macs in spending.recipients for mac in macs])
        return [next((mac for mac in macs if mac in known), macs[0]) for macs in spending.recipients]

    def refusal(self, spending: Spending, units: list[str]) -> Refused | None:
        """Return why there is no room for these units now, or None."""
        limit = self._budget.limit
        what = f"the workspace's budget '{self._name}' of {limit} in {self._budget.window_s} s"
        if spending.amount(self._name) > limit:
            return Refused("budget", f"It takes more than {what} ever holds.")
        found = None
        while (over := self._over(units)) > 0:
            if not _forget(self._work, self._key["w"], self._name, self._since):
                found = self._promise(over)
                break
        else:
            _forget(self._work, self._key["w"], self._name, self._since)  # so that what is forgotten keeps up
        if found is None:
            return None
        return Refused("budget", f"There is no room in {what} yet.", from_milliseconds(found))

    def add(self, row: JobRow, units: list[str]) -> None:
        """Count these units."""
        new = len(set(units) - self._known(units))
        self._work.sql.run(statements.CHANGE_SPENT, {**self._key, "delta": new})
        self._work.sql.run_for_each(
            statements.SPEND,
            [_Spending(row.workspace_id, self._name, each, row.job_id, row.fence, self._work.now) for each in units],
        )

    def _over(self, units: list[str]) -> int:
        """Return by how many units it would be too much."""
        spent = self._work.sql.first(statements.SPENT, self._key)
        total = 0 if spent is None else spent.total
        return total + len(set(units) - self._known(units)) - self._budget.limit

    def _known(self, units: Iterable[str]) -> set[str]:
        return set(self._work.sql.scalars(statements.KNOWN_UNITS, {**self._key, "units": encode(list(units))}))

    def _promise(self, over: int) -> int:
        """Return when to come back: when enough units are free again, each of them promised to one job only.

        So of a thousand jobs that wait for ten units a second, ten come back each second, and not the thousand.
        """
        spent = self._work.sql.one(statements.SPENT, self._key)
        since, number = (spent.promised_at, spent.promised) if spent.promised_at > self._since else (0, over - 1)
        at = self._work.sql.scalar(statements.NTH_SPENDING, {**self._key, "since": since, "n": number})
        if at is None:  # all are promised: by then these jobs will have spent them again
            at = self._work.now
        number = number + 1 if at == since else 1
        self._work.sql.run(statements.PROMISE, {**self._key, "at": at, "number": number})
        return at + self._budget.window_s * 1000


def _forget(work: Work, workspace_id: str, name: str, before: int) -> int:
    """Forget some of what was reserved at ``before`` or earlier and return how much."""
    values = {"w": workspace_id, "b": name, "before": before, "limit": _BATCH}
    gone: list[Any] = work.sql.all(statements.FORGET_OLDEST, values)
    if gone:
        _uncount(work, workspace_id, name, (item.unit for item in gone))
    return len(gone)


def _uncount(work: Work, workspace_id: str, name: str, units: Iterable[str]) -> None:
    """Subtract the units of which nothing is left."""
    gone = set(units)
    key = {"w": workspace_id, "b": name}
    left = set(work.sql.scalars(statements.KNOWN_UNITS, {**key, "units": encode(list(gone))}))
    work.sql.run(statements.CHANGE_SPENT, {**key, "delta": len(left) - len(gone)})
