"""What an effect takes from the budgets that its workspace set: messages out, recipients outside, webhook calls.

Pure: it follows from the action's declaration and the real parameters. The work store reserves it in the dispatch record,
so that no number of workers spends more than there is.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from steward.action import ActionDefinition, ParameterRole
from steward.workspace import Budget, BudgetName, WorkspaceSettings

MESSAGE: Final = "message"
"""The group of actions that send a message to somebody."""
WEBHOOK: Final = "webhook"
"""The group of actions that call a webhook."""
_ADDRESS: Final = re.compile(r"[^\s@,;:<>()\"]+@([^\s@,;:<>()\"]+)")
"""One address and nothing beside it: only of such a text is the domain what it seems."""

Macs = Callable[[str], tuple[str, ...]]
"""Keyed hashes of a text, the primary key's first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spending:
    """What one effect takes, and from which budgets, as they are now."""

    budgets: Mapping[BudgetName, Budget]
    recipients: tuple[tuple[str, ...], ...] = ()
    """Keyed hashes of each recipient outside; never the address."""

    def amount(self, budget: BudgetName) -> int:
        """Return how much it takes of one budget, if nothing of it was counted before."""
        return len(self.recipients) if budget == "outside_recipients" else 1


NO_SPENDING: Final[Mapping[Any, Spending]] = MappingProxyType({})
"""No effect takes anything."""


def may_spend(definition: ActionDefinition) -> bool:
    """Say whether an action takes from any budget that a workspace may set."""
    return MESSAGE in definition.groups or WEBHOOK in definition.groups


def spending_of(
    definition: ActionDefinition, params: Mapping[str, Any], settings: WorkspaceSettings, macs: Macs
) -> Spending | None:
    """Return what an action with these parameters takes from a workspace's budgets; None: from none that is set."""
    touched: dict[BudgetName, Budget] = {}
    outside: set[str] = set()
    if MESSAGE in definition.groups:
        outside = {each for each in recipients(definition, params) if not _inside(each, settings.own_domains)}
        touched = {
            name: budget
            for name, budget in settings.budgets.items()
            if name == "messages_out" or (name == "outside_recipients" and outside)
        }
    if WEBHOOK in definition.groups and "webhook_calls" in settings.budgets:
        touched["webhook_calls"] = settings.budgets["webhook_calls"]
    if not touched:
        return None
    counted = sorted(outside) if "outside_recipients" in touched else ()
    return Spending(budgets=touched, recipients=tuple(macs(each) for each in counted))


def recipients(definition: ActionDefinition, params: Mapping[str, Any]) -> set[str]:
    """Return whom a message goes to: every text or number in a destination, addresses in lower case."""
    return {
        text
        for name, value in params.items()
        if definition.role_of(name) is ParameterRole.DESTINATION
        for text in _texts(value)
    }


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, (str, int, float)) and not isinstance(value, bool) and value != "":
        yield str(value).strip().lower()


def _inside(recipient: str, own_domains: tuple[str, ...]) -> bool:
    match = _ADDRESS.fullmatch(recipient)
    return match is not None and match[1] in own_domains
