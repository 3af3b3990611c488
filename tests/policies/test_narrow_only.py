"""A workspace's policies narrow and never widen, whatever they say and whatever is asked."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steward.identity import Role
from steward.policies.cedar import CedarPolicy
from steward.policies.cedar_rules import default_rules
from steward.policies.cedar_text import rules_of
from steward.policy import Ask, Decision
from tests.policies.office import ACTIONS, person, policy

NAMES = [
    *(action.definition.id for action in ACTIONS),
    *("read", "write", "external", "message", "money", "email.*", "bank.*"),
]
PRINCIPALS = [
    "principal",
    'principal == Actor::"key_a"',
    'principal in Role::"developer"',
    'principal in Role::"admin"',
]
RESOURCES = ["resource", "resource is Workspace", 'resource == Workspace::"acme"']
CONDITIONS = [
    "true",
    "false",
    "context.recipients > 1",
    "context has amount && context.amount > 100",
    "context.amount > 100",
    "context.recipients + 9223372036854775807 > 0",
    "context.no_such_fact == 1",
    'context.recipient_domains.contains("far.example")',
    "resource.own_domains.containsAll(context.recipient_domains)",
    'context.unknown.contains("destination")',
    'action == Action::"email.send"',
    'action in Action::"write:unattended"',
    '!(action in Action::"unattended")',
    'principal.scopes.contains("admin")',
    'principal in Role::"viewer"',
]
OPTIONAL = [rule.name for rule in default_rules() if rule.optional]
STRICTER = {"allow": 0, "ask": 1, "deny": 2}
CIRCLES = {None: 0, Role.APPROVER: 1, Role.ADMIN: 2}


@st.composite
def forbids(draw: st.DrawFn) -> str:
    """Make up a forbid, for actions or for unattended ones, that may well break."""
    names = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=3))
    asks = draw(st.booleans())
    listed = ", ".join(f'Action::"{name}{":unattended" if asks else ""}"' for name in names)
    scope = draw(st.sampled_from([f"action in [{listed}]", "action"]))
    notes = ""
    if asks and scope != "action":
        notes = draw(
            st.sampled_from(["", '@another_person("true")', '@approver_role("admin")', '@approver_role("approver")'])
        )
    clauses = "".join(
        f" {draw(st.sampled_from(['when', 'unless']))} {{ {condition} }}"
        for condition in draw(st.lists(st.sampled_from(CONDITIONS), max_size=2))
    )
    return (
        f"{notes} forbid ({draw(st.sampled_from(PRINCIPALS))}, {scope}, {draw(st.sampled_from(RESOURCES))}){clauses};"
    )


destinations = st.sampled_from(
    ["a@acme.example", "b@far.example", "https://far.example/", "odd", {"$ref": "steps.s1.result"}]
)
requests = st.fixed_dictionaries(
    {"to": st.lists(destinations, max_size=3), "url": destinations, "iban": destinations},
    optional={"amount": st.sampled_from([5, 500, "many", -3])},
)


def combined(switched_on: list[str], texts: list[str]) -> CedarPolicy:
    """Return a policy of these rules and texts, read as they are at load."""
    ground = policy(*switched_on)._ground
    return CedarPolicy(
        ground, [rule for number, text in enumerate(texts) for rule in rules_of("acme", f"p{number}", text)]
    )


def is_at_least(after: Decision, before: Decision) -> bool:
    """Say whether a decision is as strict as another, and an approval as hard to get."""
    if isinstance(after, Ask) and isinstance(before, Ask):
        same_people = after.another_person or not before.another_person
        return same_people and CIRCLES[after.approver_role] >= CIRCLES[before.approver_role]
    return STRICTER[after.effect] >= STRICTER[before.effect]


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(
    switched_on=st.lists(st.sampled_from(OPTIONAL), unique=True, max_size=3),
    texts=st.lists(forbids(), max_size=3),
    added=forbids(),
    role=st.sampled_from([Role.DEVELOPER, Role.ADMIN, Role.VIEWER, Role.AUDITOR]),
    params=requests,
    resolved=st.booleans(),
)
def test_adding_a_policy_never_turns_no_into_yes(
    *, switched_on: list[str], texts: list[str], added: str, role: Role, params: dict[str, Any], resolved: bool
) -> None:
    """For every action: not from deny to ask or allow, not from ask to allow, and no approval becomes easier."""
    before, after = combined(switched_on, texts), combined(switched_on, [*texts, added])
    for action in ACTIONS:
        asked = (person(role), action.definition.id, params, {"resolved": resolved})
        assert is_at_least(after.decide(*asked), before.decide(*asked)), (action.definition.id, added)


@settings(max_examples=100, deadline=None)
@given(text=forbids(), params=requests)
def test_one_question_answers_for_both_where_the_second_is_left_out(text: str, params: dict[str, Any]) -> None:
    """A policy that cannot tell an action from its twin is asked once; asked twice, it says the same."""
    once = combined([], [text])
    twice = combined([], [text])
    twice._ask_twice = True
    for action in ACTIONS:
        asked = (person(), action.definition.id, params, {})
        assert once.decide(*asked) == twice.decide(*asked), text
