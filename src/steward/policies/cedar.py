"""Policy by Cedar: the lists first, then the rules that come with Steward and the workspace's own.

Cedar knows two answers, so it is asked twice: may this be done, and may its unattended twin? Yes and yes is allow, yes and
no is ask, anything else is deny. Where no rule can tell the two apart, once is enough. Cedar skips a rule whose condition breaks, also one that forbids; so a request always
goes with the schema, and an answer with an error in it denies.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, Final

from cedarpy import AuthzResult, Entities, PolicySet, is_authorized_batch
from cedarpy import Decision as CedarDecision
from pydantic_core import from_json, to_json

from steward.action import Catalogue
from steward.digest import sha256_of
from steward.identity import Principal, Role, scopes_of
from steward.policies.cedar_rules import APPROVER_ROLES, Rule, default_rules, default_text, policy_set
from steward.policies.cedar_schema import Language, twin
from steward.policies.lists import ListPolicy
from steward.policy import Ask, Decision, Deny
from steward.policy_facts import NOTHING, facts_of, is_all_content
from steward.workspace import canonical_workspace_id

UNREADABLE: Final = "policy_unreadable"
_ACTORS: Final = 256
_ANSWERS: Final = 512
"""Questions of a workspace whose answers are remembered: the rules of this object never change, so neither do they."""
_SOMEBODY: Final = frozenset({Role.DEVELOPER})
_NOTHING_TOLD: Final = to_json(dict(NOTHING)).decode()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What the policy of one workspace is made of."""

    workspace_id: str
    lists: ListPolicy
    catalogue: Catalogue
    language: Language
    own_domains: tuple[str, ...] = ()
    switched_on: frozenset[str] = frozenset()
    """Names of optional default rules and of the set of rules that holds."""
    texts: tuple[tuple[str, str], ...] = ()
    """The workspace's own policies: name and text, by name."""

    @property
    def version(self) -> str:
        """What identifies these rules, lists and settings."""
        settings = [sorted(self.own_domains), sorted(self.switched_on), [list(item) for item in self.texts]]
        counted = [self.workspace_id, self.lists.version, self.language.fingerprint, default_text(), settings]
        return "cedar-" + sha256_of(counted)[:16]

    def rules(self, own: Iterable[Rule]) -> list[Rule]:
        """Return the rules that hold here, in the order in which they speak."""
        defaults = [rule for rule in default_rules() if rule.holds(self.switched_on)]
        return [*defaults, *own]


class CedarPolicy:
    """Decides for one workspace, by the rules it was made of."""

    def __init__(self, ground: Ground, own: Sequence[Rule]) -> None:
        """Take what the policy is made of, and the workspace's own rules as read from its texts."""
        self._ground = ground
        self._version = ground.version
        rules = ground.rules(own)
        self._rules = {rule.name: rule for rule in rules}
        self._policies: PolicySet = policy_set(rules)
        telling = [rule for rule in rules if rule.tells_twins_apart]
        self._ask_twice = any(not rule.about_origins for rule in telling)
        self._ask_of_origins = bool(telling)
        self._entities_of = lru_cache(_ACTORS)(self._entities)
        self._answer_to = lru_cache(_ANSWERS)(self._answer)

    @property
    def version(self) -> str:
        """What identifies these rules."""
        return self._version

    def decide(
        self, principal: Principal, action_id: object, resource: Mapping[str, Any], context: Mapping[str, Any]
    ) -> Decision:
        """Return the decision, with the facts it rests on; never raises, whatever it is given."""
        action = self._ground.catalogue.get(action_id) if isinstance(action_id, str) else None
        if action is None:
            return self._ground.lists.decide(principal, action_id, resource, context)
        definition = action.definition
        try:
            inputs, resolved = context.get("labels") or {}, context.get("resolved") is True
            authored_after = context.get("authored_after") is True
            if not inputs and not authored_after and is_all_content(definition, resource):
                return self.decide_on(principal, definition.id, NOTHING, _NOTHING_TOLD)
            facts = facts_of(definition, resource, inputs, resolved=resolved)
            if authored_after:
                facts["authored_after"] = True
        except Exception as error:  # noqa: BLE001 - what cannot be looked at is denied
            return _unevaluated(f"the parameters could not be looked at ({type(error).__name__})")
        return self.decide_on(principal, definition.id, facts)

    def decide_on(
        self, principal: Principal, action_id: str, facts: Mapping[str, Any], as_json: str | None = None
    ) -> Decision:
        """Return what is decided on these facts, which go with it. ``as_json``: the same, where it is at hand."""
        try:
            told = as_json or to_json(facts).decode()
            return self._answer_to(principal, action_id, told, self._may_differ(facts))
        except Exception as error:  # noqa: BLE001 - whatever Cedar cannot read is denied
            return replace(_unevaluated(f"Cedar refused the question ({type(error).__name__})"), facts=facts)

    def can_execute(self, action_id: object, user_id: str | None = None, workspace_id: str | None = None) -> bool:
        """Return whether somebody who may execute is not denied the action; False for any workspace but this one."""
        here = self._ground.workspace_id
        if workspace_id is not None and canonical_workspace_id(workspace_id) != here:
            return False
        somebody = Principal(user_id or "somebody", here, _SOMEBODY, scopes_of(_SOMEBODY))
        return not isinstance(self.decide(somebody, action_id, {}, {}), Deny)

    # -- asking Cedar ------------------------------------------------------------------------------------------------

    def _may_differ(self, facts: Mapping[str, Any]) -> bool:
        """Say whether a rule may tell the unattended twin apart: most do so only where values come from elsewhere."""
        from_elsewhere = bool(facts.get("labels") or facts.get("authored_after"))
        return self._ask_twice or (self._ask_of_origins and from_elsewhere)

    def _answer(self, principal: Principal, action_id: str, context: str, twice: bool) -> Decision:
        """Answer, with the facts; it depends on nothing but the actor with roles and scopes, the action, and the facts as JSON."""
        return replace(self._judge(principal, action_id, context, twice=twice), facts=from_json(context))

    def _judge(self, principal: Principal, action_id: str, context: str, *, twice: bool) -> Decision:
        first = self._ground.lists.decide(principal, action_id, {}, {})
        if isinstance(first, Deny):
            return first
        if principal.workspace_id != self._ground.workspace_id:
            return Deny("other_workspace", "These are the rules of another workspace than the one asked for.")
        return self._narrowed(principal, action_id, context, twice=twice) or first

    def _narrowed(self, principal: Principal, action_id: str, context: str, *, twice: bool) -> Ask | Deny | None:
        """Return what the rules make of an action that the lists allow; None: they leave it allowed."""
        names = (action_id, twin(action_id)) if twice else (action_id,)
        requests = [
            {
                "principal": {"type": "Actor", "id": principal.actor_id},
                "action": {"type": "Action", "id": name},
                "resource": {"type": "Workspace", "id": self._ground.workspace_id},
                "context": context,
            }
            for name in names
        ]
        answers = is_authorized_batch(
            requests, self._policies, self._entities_of(principal), schema=self._ground.language.schema
        )
        attended, unattended = answers[0], answers[-1]
        if errors := [*attended.diagnostics.errors, *unattended.diagnostics.errors]:
            return self._broken(errors)
        if attended.decision is not CedarDecision.Allow:
            return self._denial(attended)
        return None if unattended.decision is CedarDecision.Allow else self._question(unattended)

    def _entities(self, principal: Principal) -> Entities:
        """Return who asks and where, as Cedar takes it."""
        roles = [{"type": "Role", "id": role.value} for role in sorted(principal.roles)]
        actor = {"type": "Actor", "id": principal.actor_id}
        place = {"type": "Workspace", "id": self._ground.workspace_id}
        scopes, domains = sorted(principal.scopes), list(self._ground.own_domains)
        entities = [
            {"uid": actor, "attrs": {"scopes": scopes}, "parents": roles},
            {"uid": place, "attrs": {"own_domains": domains}, "parents": []},
            *({"uid": role, "attrs": {}, "parents": []} for role in roles),
        ]
        return Entities.from_json_str(json.dumps(entities), self._ground.language.schema)

    # -- saying it ---------------------------------------------------------------------------------------------------

    def _spoke(self, answer: AuthzResult) -> list[Rule]:
        """Return the rules that made an answer, in the order in which they speak."""
        reasons = set(answer.diagnostics.reasons)
        return [rule for name, rule in self._rules.items() if name in reasons]

    def _denial(self, answer: AuthzResult) -> Deny:
        rules = self._spoke(answer)
        if not rules:
            return Deny("not_permitted", "Your roles do not let you run actions.", "Ask an admin for another role.")
        return Deny(rules[0].name, rules[0].reason, rules[0].fix)

    def _question(self, answer: AuthzResult) -> Ask | Deny:
        rules = self._spoke(answer)
        if not rules:
            return _unevaluated("no rule says why a person should be asked")
        wanted = {rule.approver_role for rule in rules}
        roles = [role for name, role in APPROVER_ROLES.items() if name in wanted]
        return Ask(
            rules[0].name,
            rules[0].reason,
            rules=tuple(rule.name for rule in rules),
            another_person=any(rule.another_person for rule in rules),
            approver_role=roles[-1] if roles else None,
        )

    def _broken(self, errors: Sequence[str]) -> Deny:
        """Return the denial that names the rule that broke, if one did; what Cedar said may repeat values."""
        names = [name for name in self._rules if any(f"`{name}`" in error for error in errors)]
        return _unevaluated(f"the rule {names[0]} breaks on it" if names else "the question does not fit the rules")


def _unevaluated(why: str) -> Deny:
    return Deny(
        "policy_error",
        f"Policy could not be evaluated, so nothing is allowed: {why}.",
        "An admin can look with 'steward policy check'.",
    )


@dataclass(frozen=True, slots=True)
class UnreadablePolicy:
    """Denies everything: what stands in for rules that cannot be read."""

    why: str
    fix: str
    version: str = field(default=UNREADABLE)

    def decide(
        self,
        principal: Principal,  # noqa: ARG002 - nobody may do anything
        action_id: object,  # noqa: ARG002
        resource: Mapping[str, Any],  # noqa: ARG002
        context: Mapping[str, Any],  # noqa: ARG002
    ) -> Decision:
        """Return the denial."""
        return Deny(UNREADABLE, self.why, self.fix)

    def decide_on(self, principal: Principal, action_id: str, facts: Mapping[str, Any]) -> Decision:
        """Return the denial."""
        return self.decide(principal, action_id, {}, facts)

    def can_execute(self, action_id: object, user_id: str | None = None, workspace_id: str | None = None) -> bool:  # noqa: ARG002 - the signature is the contract's
        """Return False."""
        return False
