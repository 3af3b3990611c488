"""Whatever cannot be evaluated is denied, and says so: a broken rule, odd facts, an action that policy does not know."""

from dataclasses import replace
from typing import Any

import pytest

from steward.errors import ConfigurationError
from steward.policies.cedar import CedarPolicy
from steward.policies.cedar_schema import Language
from steward.policies.cedar_text import rules_of
from steward.policy import Deny
from tests.policies.office import ACTIONS, MAIL, SHELF, Declared, Shelf, mail, person, policy, said

OVERFLOW = "forbid (principal, action, resource) when { context.recipients + 9223372036854775807 > 10 };"
MISSING = "forbid (principal, action, resource) when { context.amount > 100000 };"
OF_OLD = "forbid (principal, action, resource) when { context.mood == 3 };"


def by(text: str) -> CedarPolicy:
    """Return a policy with a rule as it may have been kept by another version: nothing is checked against the schema."""
    return CedarPolicy(policy()._ground, rules_of("acme", "broken", text))


@pytest.mark.parametrize("text", [OVERFLOW, MISSING, OF_OLD])
def test_a_forbid_that_breaks_denies(text: str) -> None:
    """Cedar skips it and would allow; here the answer with an error in it is a denial that names the rule."""
    decision = by(text).decide(person(), "email.send", mail("a@acme.example"), {})
    assert isinstance(decision, Deny)
    assert decision.rule == "policy_error"
    assert "workspace/broken" in decision.reason
    assert "9223372036854775807" not in decision.reason


def test_a_rule_that_asks_and_breaks_denies_as_well() -> None:
    """Also where the action itself would be allowed and only its twin is in doubt."""
    asking = 'forbid (principal, action in Action::"write:unattended", resource) when { context.amount > 5 };'
    decision = by(asking).decide(person(), "email.send", mail("a@acme.example"), {})
    assert said(decision) == ("deny", "policy_error")


@pytest.mark.parametrize(
    "facts",
    [
        {},
        {"recipients": "many"},
        {"recipients": 1, "recipient_domains": [1]},
        {"surprise": True},
        {"recipients": float("nan")},
        {"recipients": 2**70},
    ],
)
def test_facts_that_do_not_fit_the_schema_are_denied(facts: dict[str, Any]) -> None:
    """The schema goes with every question, so a missing or strange fact is no answer, not a rule left out."""
    whole = policy().decide(person(), "email.send", mail("a@acme.example"), {}).facts
    assert said(policy().decide_on(person(), "email.send", whole)) == ("allow", "catalogue")
    assert said(policy().decide_on(person(), "email.send", facts and {**whole, **facts})) == ("deny", "policy_error")


def test_parameters_that_cannot_be_looked_at_are_denied() -> None:
    """Nothing that is handed in makes it raise."""
    endless: dict[str, Any] = {}
    endless["to"] = endless
    for params, context in (
        (endless, {}),
        ({"to": ["a@acme.example"]}, {"labels": 17}),
        ({"to": object()}, {}),
        ({"to": "a@acme.example\ud800"}, {}),
    ):
        decision = policy("internal_recipients_only").decide(person(), "email.send", params, context)
        assert decision.effect == "deny"


def test_an_actor_with_an_odd_name_is_denied_or_decided_and_never_raises() -> None:
    """A name cannot reach into the question that Cedar is asked."""
    injected = person(name='x", roles: ["admin"]}, Actor::"y')
    assert said(policy().decide(injected, "http.get", {}, {})) == ("allow", "catalogue")
    assert said(policy().decide(person(name="\ud800"), "http.get", {}, {})) == ("deny", "policy_error")


def test_an_action_that_the_schema_lacks_is_denied() -> None:
    """An action that came after the rules were read is not decided by rules that cannot know it."""
    late = Shelf([*ACTIONS, Declared("fax.send")])
    ground = replace(policy()._ground, catalogue=late)
    decision = CedarPolicy(replace(ground, lists=type(ground.lists)(late, None, None)), []).decide(
        person(), "fax.send", {}, {}
    )
    assert said(decision) == ("deny", "policy_error")


def test_the_schema_speaks_of_every_action_and_its_groups() -> None:
    """Own groups and every level of the provider, each with its twin."""
    definition = Declared("mcp.files.read", groups=["archive"]).definition
    text = Language((*SHELF.definitions(), definition)).text
    assert 'action "mcp.files.read" in ["archive", "mcp.*", "mcp.files.*", "write"]' in text
    assert 'action "mcp.files.read:unattended" in ["archive:unattended", "mcp.*:unattended"' in text
    assert 'action "archive:unattended" in ["unattended"];' in text
    assert f'action "{MAIL.definition.id}" in' in text


@pytest.mark.parametrize("group", ["read", "write", "unattended", "compute", "A", "a b", 'x"; permit', ""])
def test_a_group_that_policy_cannot_speak_of_stops_the_start(group: str) -> None:
    """It is refused by name, instead of being left out of what rules see."""
    with pytest.raises(ConfigurationError, match=r"fax\.send"):
        _ = Language((Declared("fax.send", groups=[group]).definition,)).text
