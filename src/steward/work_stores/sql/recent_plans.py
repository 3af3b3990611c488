"""What was shown of the newest plans that this process has put in place itself, for the archiver in it.

A plan's document never changes, so what was committed with it holds as long as there is the plan; and it is kept as a text, so
that nobody who has the plan in hand can change what is told of it.
"""

from collections import OrderedDict
from collections.abc import Collection, Iterable
from threading import Lock
from typing import Final

from steward.digest import CanonicalJson
from steward.plan import PlanRecord

_MOST_CHARS: Final = 4 * 1024 * 1024
"""How much is kept: some hundred plans of fifty steps."""


class RecentPlans:
    """What was shown of plans, by workspace and plan, in the order of their commits."""

    def __init__(self) -> None:
        """Begin with none."""
        self._kept: OrderedDict[tuple[str, str], CanonicalJson] = OrderedDict()
        self._chars = 0
        self._lock = Lock()
        """Transactions may be told of in several threads."""

    def add(self, plans: Iterable[tuple[str, PlanRecord]]) -> None:
        """Take plans, each with its workspace, that have been put in place; the oldest are let go of where there is no room."""
        for workspace_id, plan in plans:
            self._keep((workspace_id, plan.plan_id), plan.shown())

    def _keep(self, key: tuple[str, str], shown: CanonicalJson) -> None:
        with self._lock:
            self._chars += len(shown) - len(self._kept.pop(key, ""))
            self._kept[key] = shown
            while self._chars > _MOST_CHARS:
                self._chars -= len(self._kept.popitem(last=False)[1])

    def clear(self) -> None:
        """Let go of all."""
        with self._lock:
            self._kept.clear()
            self._chars = 0

    def shown(self, named: Collection[tuple[str, str]]) -> dict[tuple[str, str], CanonicalJson]:
        """Return what was shown of those of these plans that are here."""
        found = ((each, self._kept.get(each)) for each in named)
        return {each: shown for each, shown in found if shown is not None}
