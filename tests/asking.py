"""Rules that ask, for tests: what the installation's own policy does not deny is put before a person as the test says."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from steward.identity import Principal
from steward.policy import Allow, Ask, Decision, DefaultRule, Deny, Policies, Policy

Rule = Callable[[Mapping[str, Any]], Ask | Deny | None]
"""Given the parameters as they are known, what to say; None: nothing."""

LOOK: Final = Ask("look_first", "Somebody should look at this first.")


@dataclass
class Asking:
    """The rules by action id. A test may change them at any time; what is handed out already follows."""

    rules: dict[str, Rule] = field(default_factory=dict)

    def __call__(self, base: Policies) -> "AskingPolicies":
        """Stand around the installation's own rules."""
        return AskingPolicies(self, base)

    def ask(
        self, action_id: str, decision: Ask | Deny | None = LOOK, *, when: Callable[[Mapping[str, Any]], bool] = bool
    ) -> None:
        """Let an action be answered with ``decision`` when its parameters are so; None: as if there were no rule."""
        self.rules[action_id] = lambda params: decision if when(params) else None


@dataclass(frozen=True)
class AskingPolicies:
    """``Policies`` with the test's rules around others."""

    asking: Asking
    base: Policies

    async def of(self, workspace_id: str) -> "AskingPolicy":
        """Return the policy of a workspace."""
        return AskingPolicy(self.asking, await self.base.of(workspace_id))

    async def with_changes(
        self, workspace_id: str, *, texts: Mapping[str, str], switch_on: Collection[str] = ()
    ) -> "AskingPolicy":
        """Return the policy of a workspace as it would be."""
        changed = await self.base.with_changes(workspace_id, texts=texts, switch_on=switch_on)
        return AskingPolicy(self.asking, changed)

    def defaults(self) -> tuple[DefaultRule, ...]:
        """Return the rules that come with Steward; the test's are none of them."""
        return self.base.defaults()

    def require_optional(self, names: Collection[str], pointer: str) -> None:
        """Refuse what the other policies refuse."""
        self.base.require_optional(names, pointer)

    def forget(self, workspace_id: str) -> None:
        """Let the other policies read a workspace's rules anew."""
        self.base.forget(workspace_id)


@dataclass(frozen=True)
class AskingPolicy:
    """``Policy`` with the test's rules around another."""

    asking: Asking
    base: Policy

    @property
    def version(self) -> str:
        """What identifies these rules."""
        return f"asking-{self.base.version}"

    def decide(
        self, principal: Principal, action_id: object, resource: Mapping[str, Any], context: Mapping[str, Any]
    ) -> Decision:
        """Return what the other policy denies, else what the test's rule says, else what the other one says."""
        decision = self.base.decide(principal, action_id, resource, context)
        rule = self.asking.rules.get(action_id) if isinstance(action_id, str) and isinstance(decision, Allow) else None
        return (rule(resource) if rule else None) or decision

    def decide_on(self, principal: Principal, action_id: str, facts: Mapping[str, Any]) -> Decision:
        """Return what the other policy says: the test's rules are about today."""
        return self.base.decide_on(principal, action_id, facts)

    def can_execute(self, action_id: object, user_id: str | None = None, workspace_id: str | None = None) -> bool:
        """Return what the other policy says: asking is not denying."""
        return self.base.can_execute(action_id, user_id, workspace_id)
