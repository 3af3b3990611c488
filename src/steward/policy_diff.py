"""What would have been decided otherwise: recorded decisions, made again by other rules. Pure.

Every decision is recorded with the facts that it rests on, so a rule can be tried on the past before it is in force. What is
made again is the rules' answer, not the world's: the catalogue and the lists are those of today.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from steward.audit import RecordedDecision
from steward.digest import canonical_json
from steward.identity import Principal, Role, scopes_of
from steward.policy import Decision, Policy

MAX_EXAMPLES: Final = 5
_ROLES: Final = frozenset(Role)
_MAX_KNOWN: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Decisions on one action that would all have changed in the same way."""

    action_id: str
    was: str
    """The effect as recorded: ``allow``, ``ask`` or ``deny``."""
    becomes: str
    was_rule: str
    rule: str
    reason: str
    count: int
    plan_ids: tuple[str, ...]
    """A few of the plans."""


class PolicyDiff:
    """Compares what was decided with what a policy decides on the same facts."""

    def __init__(self, workspace_id: str, policy: Policy) -> None:
        """Take the rules to try, which are those of this workspace."""
        self._workspace_id = workspace_id
        self._policy = policy
        self._found: dict[tuple[str, ...], Difference] = {}
        self._known: dict[tuple[object, ...], Decision] = {}  # most decisions are like many before them
        self.examined = 0

    def examine(self, decisions: Iterable[RecordedDecision]) -> None:
        """Decide these again."""
        for recorded in decisions:
            self.examined += 1
            now = self._now(recorded)
            if now.effect != recorded.effect:
                self._note(recorded, now)

    def differences(self) -> tuple[Difference, ...]:
        """Return what changed: what is newly denied, asked and allowed, the most frequent first."""
        order = ("deny", "ask", "allow")
        return tuple(
            sorted(self._found.values(), key=lambda one: (order.index(one.becomes), -one.count, one.action_id))
        )

    def _now(self, recorded: RecordedDecision) -> Decision:
        actor, roles = recorded.actor_id or "", frozenset(Role(role) for role in recorded.roles if role in _ROLES)
        alike = (actor, roles, recorded.action_id, canonical_json(dict(recorded.facts)))
        if alike not in self._known:
            principal = Principal(actor, self._workspace_id, roles, scopes_of(roles))
            if len(self._known) >= _MAX_KNOWN:
                self._known.clear()
            self._known[alike] = self._policy.decide_on(principal, recorded.action_id, recorded.facts)
        return self._known[alike]

    def _note(self, recorded: RecordedDecision, now: Decision) -> None:
        key = (recorded.action_id, recorded.effect, now.effect, recorded.rule, now.rule)
        known = self._found.get(key)
        plan_ids = () if known is None else known.plan_ids
        if recorded.plan_id is not None and recorded.plan_id not in plan_ids and len(plan_ids) < MAX_EXAMPLES:
            plan_ids = (*plan_ids, recorded.plan_id)
        self._found[key] = Difference(
            action_id=recorded.action_id,
            was=recorded.effect,
            becomes=now.effect,
            was_rule=recorded.rule,
            rule=now.rule,
            reason=now.reason,
            count=1 if known is None else known.count + 1,
            plan_ids=plan_ids,
        )
