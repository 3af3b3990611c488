"""What was shown of the newest plans that this process has put in place itself, for the archiver in it.

A plan's document never changes, so what was committed with it holds as long as there is the plan; and it is kept as JSON, so
that nobody who has the plan in hand can change what is told of it.
"""

from collections import OrderedDict
from collections.abc import Collection, Iterable
from typing import Any, Final

from pydantic_core import from_json, to_json

from steward.plan import PlanRecord

_MOST_BYTES: Final = 4 * 1024 * 1024
"""How much is kept: some hundred plans of fifty steps."""


class RecentPlans:
    """What was shown of plans, as JSON, by workspace and plan, in the order of their commits."""

    def __init__(self) -> None:
        """Begin with none."""
        self._kept: OrderedDict[tuple[str, str], bytes] = OrderedDict()
        self._bytes = 0

    def add(self, plans: Iterable[tuple[str, PlanRecord]]) -> None:
        """Take plans, each with its workspace, that have been put in place; the oldest are let go of where there is no room."""
        for workspace_id, plan in plans:
            key = workspace_id, plan.plan_id
            self._bytes -= len(self._kept.pop(key, b""))
            self._kept[key] = shown = to_json(plan.shown())
            self._bytes += len(shown)
        while self._bytes > _MOST_BYTES:
            self._bytes -= len(self._kept.popitem(last=False)[1])

    def clear(self) -> None:
        """Let go of all."""
        self._kept.clear()
        self._bytes = 0

    def shown(self, named: Collection[tuple[str, str]]) -> dict[tuple[str, str], dict[str, Any]]:
        """Return what was shown of those of these plans that are here."""
        kept = self._kept
        found = [each for each in named if each in kept]
        read = from_json(b"[%b]" % b",".join([kept[each] for each in found]))  # much faster than one by one
        return dict(zip(found, read, strict=True))
