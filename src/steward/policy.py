"""The one question every door asks: may this principal do this action? The answer is a small frozen value.

``decide()`` never raises for an unknown or odd action: unknown is denied, with a reason a person can read.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from steward.identity import Principal, Role


def _no_facts() -> Any:
    return field(default_factory=dict, compare=False, kw_only=True)


@dataclass(frozen=True, slots=True)
class Allow:
    """Go ahead."""

    rule: str
    reason: str
    facts: Mapping[str, Any] = _no_facts()
    """What the rules looked at, enough to decide again: small, and without anybody's address. It is recorded for good."""
    effect: str = field(default="allow", init=False)


@dataclass(frozen=True, slots=True)
class Ask:
    """A person must approve this first."""

    rule: str
    reason: str
    rules: tuple[str, ...] = ()
    """Every rule that asks, ``rule`` first; blank: it alone."""
    another_person: bool = False
    """Whether neither who executes the plan nor who made it may be the one who approves."""
    approver_role: Role | None = None
    """The role that an approver must have; None: whoever may decide."""
    facts: Mapping[str, Any] = _no_facts()
    effect: str = field(default="ask", init=False)

    @property
    def asking(self) -> tuple[str, ...]:
        """The name of every rule that asks."""
        return self.rules or (self.rule,)


@dataclass(frozen=True, slots=True)
class Deny:
    """Not allowed, whoever approves."""

    rule: str
    reason: str
    fix: str = ""
    """What would have to change, and by whom; blank when nothing would help."""
    facts: Mapping[str, Any] = _no_facts()
    effect: str = field(default="deny", init=False)

    @property
    def sentence(self) -> str:
        """The reason, and after it the fix, unless the reason says it already."""
        return self.reason if self.fix in self.reason else f"{self.reason} {self.fix}"


Decision = Allow | Ask | Deny


def decision_document(decision: Decision) -> dict[str, Any]:
    """Return ``{effect, reason, rule}`` as it stands in a plan document's step; where it asks, also who may approve."""
    document: dict[str, Any] = {"effect": decision.effect, "reason": decision.reason, "rule": decision.rule}
    if isinstance(decision, Ask):
        document |= {"another_person": decision.another_person, "approver_role": decision.approver_role}
    return document


class Policy(Protocol):
    """Decides for one workspace, by the rules as they stood when it was handed out. Pure, and safe to call from anywhere."""

    @property
    def version(self) -> str:
        """What identifies these rules: recorded beside every decision, so that one can be told from the next."""
        ...

    def decide(
        self, principal: Principal, action_id: object, resource: Mapping[str, Any], context: Mapping[str, Any]
    ) -> Decision:
        """Return whether ``principal`` may run the action.

        ``resource`` holds what is acted on: the parameters by name, secrets left out. ``context`` is what the decision
        may depend on beside it: ``labels`` (where values of earlier steps come from), ``resolved`` (true once those
        values are in place) and ``authored_after`` (true if whoever wrote the step had read what others wrote). An id that is not a known, enabled action is denied, whatever its type; so is everything
        while the rules cannot be read.
        """
        ...

    def decide_on(self, principal: Principal, action_id: str, facts: Mapping[str, Any]) -> Decision:
        """Return what is decided on facts as they were recorded with an earlier decision."""
        ...

    def can_execute(self, action_id: object, user_id: str | None = None, workspace_id: str | None = None) -> bool:
        """Return whether ``decide()`` would not deny the action to somebody who may execute: the one-line form."""
        ...


OWN_RULES: Final = "workspace/"
"""What the names of a workspace's own rules begin with."""
RULE_SETS: Final = ("default", "strict", "relaxed")
"""Sets of rules about where values come from: the first holds unless a workspace names another among its rules."""


def rule_set(switched_on: Collection[str]) -> str:
    """Return the set that holds where these are switched on; of two that are named the stricter."""
    return next((name for name in ("strict", "relaxed") if name in switched_on), "default")


@dataclass(frozen=True, slots=True, kw_only=True)
class DefaultRule:
    """A rule that comes with Steward."""

    name: str
    effect: str
    """``permit``, ``deny`` or ``ask``."""
    reason: str
    fix: str
    optional: bool
    """Whether it is off until a workspace switches it on."""
    sets: tuple[str, ...] = RULE_SETS
    """The sets that it belongs to: it holds only where one of them does."""

    def holds(self, switched_on: Collection[str]) -> bool:
        """Return whether it holds in a workspace that names these among its rules."""
        return rule_set(switched_on) in self.sets and (not self.optional or self.name in switched_on)


class Policies(Protocol):
    """The rules of every workspace of this installation."""

    async def of(self, workspace_id: str) -> Policy:
        """Return the policy of a workspace as it stands: installation and defaults, narrowed by the workspace's own.

        A change made by any process is in force here within 200 ms. Rules that cannot be read deny everything; raises
        ``StoreUnavailable`` while the store that keeps them is away.
        """
        ...

    async def with_changes(
        self, workspace_id: str, *, texts: Mapping[str, str], switch_on: Collection[str] = ()
    ) -> Policy:
        """Return the policy of a workspace as it would be with these texts, by name, and these optional rules.

        Raises ``Invalid``, with the place, for what no workspace may have.
        """
        ...

    def defaults(self) -> tuple[DefaultRule, ...]:
        """Return the rules that come with Steward, in the order in which they speak."""
        ...

    def require_optional(self, names: Collection[str], pointer: str) -> None:
        """Raise ``Invalid``, at ``pointer``, unless every name is that of a rule that a workspace may switch on."""
        ...

    def forget(self, workspace_id: str) -> None:
        """Read a workspace's rules anew when they are next asked for."""
        ...
