"""One rule: a Cedar policy, with what people are told about it. And the rules that come with Steward."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Final

from cedarpy import PolicySet, pst

from steward.errors import FieldProblem, Invalid
from steward.identity import Role
from steward.policies.cedar_schema import is_twin, packaged
from steward.policy import RULE_SETS, DefaultRule

DEFAULT_FILES: Final = ("1-who.cedar", "2-never.cedar", "3-flow.cedar", "4-ask.cedar")
APPROVER_ROLES: Final = {"approver": Role.APPROVER, "admin": Role.ADMIN}
"""Roles that may be asked for, from the wider circle to the narrower."""
_ACTION: Final = pst.EntityType("Action")


@dataclass(frozen=True, slots=True)
class Rule:
    """A Cedar policy under the name that decisions carry."""

    name: str
    policy: pst.Template
    """Its id is the name."""
    reason: str
    fix: str

    @classmethod
    def of(cls, name: str, policy: pst.Template, reason: str = "", fix: str = "") -> "Rule":
        """Return the rule that a policy makes; its annotations speak before ``reason`` and ``fix``."""
        notes = policy.annotations
        return cls(name, replace(policy, id=name), notes.get("reason") or reason, notes.get("fix") or fix)

    @property
    def another_person(self) -> bool:
        """Whether somebody else than who asked has to approve."""
        return "another_person" in self.policy.annotations

    @property
    def approver_role(self) -> str | None:
        """The role that whoever approves must have."""
        return self.policy.annotations.get("approver_role")

    @property
    def optional(self) -> bool:
        """Whether it is off until a workspace switches it on."""
        return self.policy.annotations.get("default") == "off"

    @property
    def sets(self) -> tuple[str, ...]:
        """The sets of rules that it belongs to."""
        named = self.policy.annotations.get("sets")
        return RULE_SETS if named is None else tuple(named.split())

    @property
    def about_origins(self) -> bool:
        """Whether it can hold only of a step whose values come from somewhere else than the plan."""
        return "sets" in self.policy.annotations

    def holds(self, switched_on: Collection[str]) -> bool:
        """Return whether it holds in a workspace that names these among its rules."""
        return self.document().holds(switched_on)

    @property
    def scope(self) -> tuple[str, ...]:
        """The actions and groups that the head of the policy names; none: all of them."""
        match self.policy.action:
            case pst.ActionEq(entity):
                return (entity.id,)
            case pst.ActionIn(entities):
                return tuple(entity.id for entity in entities)
            case _:
                return ()

    @property
    def asks(self) -> bool:
        """Whether it can only ever ask: its head names unattended twins alone."""
        return bool(self.scope) and all(is_twin(name) for name in self.scope)

    @property
    def tells_twins_apart(self) -> bool:
        """Whether it could hold for an action's unattended twin and not for the action itself."""
        inside = pst.entity_uids(self.policy.clauses)
        return any(is_twin(name) for name in self.scope) or any(entity.type == _ACTION for entity in inside)

    def document(self) -> DefaultRule:
        """Return it as people see it."""
        effect = "permit" if self.policy.effect == "permit" else "ask" if self.asks else "deny"
        return DefaultRule(
            name=self.name, effect=effect, reason=self.reason, fix=self.fix, optional=self.optional, sets=self.sets
        )


def in_order(policies: Mapping[str, pst.Template]) -> list[pst.Template]:
    """Return freshly parsed policies in the order in which they stand in the text: Cedar numbers them."""
    return [policies[name] for name in sorted(policies, key=lambda name: int(name.removeprefix("policy")))]


def policy_set(rules: list[Rule]) -> PolicySet:
    """Return what Cedar evaluates."""
    by_name = pst.FrozenMap({rule.name: rule.policy for rule in rules})
    return PolicySet.from_pst(pst.PolicySet(templates=pst.FrozenMap(), static_policies=by_name, template_links=()))


def default_text() -> list[str]:
    """Return the files of the rules that come with Steward."""
    return [packaged(name) for name in DEFAULT_FILES]


def require_optional(names: Collection[str], pointer: str) -> None:
    """Raise ``Invalid``, at ``pointer``, unless every name is that of a rule that a workspace may switch on."""
    known = may_be_named()
    if unknown := sorted(set(names) - known):
        raise Invalid(
            f"There is no optional rule '{unknown[0][:64]}'; there are {', '.join(sorted(known))}.",
            errors=[FieldProblem(pointer, "no such rule")],
            code="unknown_rule",
        )


@cache
def may_be_named() -> frozenset[str]:
    """Return what a workspace may name among its rules: the optional ones, and the sets beside the default one."""
    return frozenset({rule.name for rule in default_rules() if rule.optional} | set(RULE_SETS[1:]))


@cache
def default_rules() -> tuple[Rule, ...]:
    """Return the rules that come with Steward, in the order in which they speak."""
    parsed = [PolicySet.from_str(text).to_pst().static_policies for text in default_text()]
    return tuple(Rule.of(policy.annotations["id"], policy) for policies in parsed for policy in in_order(policies))
