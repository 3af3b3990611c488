"""Rules about where values come from: what asks in the default, the strict and the relaxed set, and what never does."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steward.identity import Role
from steward.policies.cedar_rules import default_rules, may_be_named
from steward.policy import RULE_SETS, rule_set
from tests.policies.office import ACTIONS, person, policy, said

OUTSIDE, INSIDE = "eve@far.example", "bob@acme.example"
SETS = {name: policy(*(() if name == "default" else (name,))) for name in RULE_SETS}
FLOW = {rule.name for rule in default_rules() if rule.about_origins}


def decided(
    rules: str, action_id: str, params: dict[str, Any], labels: dict[str, str], *, after: bool = False
) -> tuple[str, str]:
    """Return effect and rule of a step with its values in place, each fed by something with this label."""
    origins = {name: {"from": "s1", "label": label} for name, label in labels.items()}
    context = {"labels": origins, "resolved": True, "authored_after": after}
    return said(SETS[rules].decide(person(), action_id, params, context))


ALLOW = ("allow", "catalogue")


@pytest.mark.parametrize(
    ("action_id", "params", "labels", "default", "relaxed", "strict"),
    [
        ("email.send", {"to": OUTSIDE}, {"to": "U"}, "untrusted_destination", "untrusted_destination_outside", "untrusted_destination"),
        ("email.send", {"to": INSIDE}, {"to": "U"}, "untrusted_destination", None, "untrusted_destination"),
        ("email.send", {"to": [INSIDE, "?"]}, {"to/0": "U"}, "untrusted_destination", "untrusted_destination_outside", "untrusted_destination"),
        ("email.send", {"to": OUTSIDE}, {"to": "S"}, None, None, "minted_destination"),
        ("email.send", {"to": OUTSIDE}, {"to": "E"}, None, None, None),
        ("email.send", {"to": OUTSIDE}, {"to": "T"}, None, None, None),
        ("email.send", {"to": OUTSIDE}, {"text": "U"}, None, None, "untrusted_content_outside"),
        ("email.send", {"to": INSIDE}, {"text": "U"}, None, None, None),
        ("webhook.post", {"url": "https://far.example"}, {"payload": "U"}, None, None, "untrusted_content_outside"),
        ("file.write", {"path": "a.txt"}, {"text": "U"}, None, None, None),
        ("bank.pay", {"iban": "DE00", "amount": 5}, {"amount": "U"}, "untrusted_destination", "untrusted_amount", "untrusted_destination"),
        ("bank.pay", {"iban": "DE00", "amount": 5}, {"iban": "U"}, "untrusted_destination", "untrusted_destination_outside", "untrusted_destination"),
        ("http.get", {"url": "https://far.example"}, {"url": "U"}, "untrusted_destination", "untrusted_destination_outside", "untrusted_destination"),
    ],
)  # fmt: skip
def test_what_each_set_asks_about(  # noqa: PLR0917 - a table
    action_id: str,
    params: dict[str, Any],
    labels: dict[str, str],
    default: str | None,
    relaxed: str | None,
    strict: str | None,
) -> None:
    """A destination or amount not from others, content from anybody; stricter or looser where the workspace says so."""
    for rules, rule in (("default", default), ("relaxed", relaxed), ("strict", strict)):
        expected = ALLOW if rule is None else ("ask", rule)
        assert decided(rules, action_id, params, labels) == expected, rules


@pytest.mark.parametrize("rules", RULE_SETS)
def test_a_write_that_was_written_after_reading_asks(rules: str) -> None:
    """In every set, also with nothing but literals; a read does not."""
    assert decided(rules, "file.write", {"path": "a.txt"}, {}, after=True) == ("ask", "written_after_reading")
    assert decided(rules, "http.get", {"url": "https://acme.example"}, {}, after=True) == ALLOW


def test_the_stricter_of_two_sets_holds() -> None:
    """A set is named like a rule; the default one is what holds where neither is named."""
    assert (rule_set(()), rule_set(["relaxed"]), rule_set(["relaxed", "strict"])) == ("default", "relaxed", "strict")
    assert {"strict", "relaxed"} <= may_be_named()
    assert not FLOW & may_be_named()


_FACTS = st.fixed_dictionaries(
    {
        "recipients": st.integers(0, 50),
        "recipient_domains": st.lists(st.sampled_from(["acme.example", "far.example"]), unique=True),
        "hosts": st.lists(st.sampled_from(["acme.example", "?"]), unique=True),
        "other_destinations": st.integers(0, 2),
        "unknown": st.lists(st.sampled_from(["destination", "amount", "content", "object"]), unique=True),
    },
    optional={"amount": st.integers(0, 9)},
)


@given(rules=st.sampled_from(RULE_SETS), action=st.sampled_from(ACTIONS), facts=_FACTS)
def test_without_a_label_no_rule_about_origins_speaks(rules: str, action: Any, facts: dict[str, Any]) -> None:
    """Therefore asking Cedar once is enough about a step whose values are all in the plan: both ways say the same."""
    here, bare = SETS[rules], {**facts, "labels": []}
    once = here.decide_on(person(), action.definition.id, bare)
    twice = here.decide_on(person(), action.definition.id, {**bare, "labels": ["time:T"]})
    assert said(once) == said(twice)
    assert once.rule not in FLOW


def test_facts_that_were_recorded_before_still_decide() -> None:
    """Decisions of old know nothing of who had read what; they are neither refused nor asked about for that."""
    old = {"recipients": 1, "recipient_domains": ["far.example"], "hosts": [], "other_destinations": 0, "unknown": []}
    for rules in RULE_SETS:
        decision = SETS[rules].decide_on(person(), "email.send", {**old, "labels": []})
        assert said(decision) == ALLOW
        decision = SETS[rules].decide_on(person(), "email.send", {**old, "labels": ["destination:U"]})
        assert decision.effect == "ask"


def test_every_rule_that_asks_is_named() -> None:
    """A yes answers the rules that were shown, so all of them are known, in the order in which they speak."""
    both = policy("ask_before_write", "strict")
    origins = {"to": {"from": "s1", "label": "U"}, "text": {"from": "s1", "label": "U"}}
    decision = both.decide(person(Role.ADMIN), "email.send", {"to": OUTSIDE}, {"labels": origins, "resolved": True})
    assert getattr(decision, "asking", ()) == ("untrusted_destination", "untrusted_content_outside", "ask_before_write")
