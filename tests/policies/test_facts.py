"""The facts that rules look at: where it goes, how much it is, what is not known yet. Never an address or content."""

import json
from typing import Any

import pytest

from steward.policy_facts import MAX_NAMES, UNREADABLE, facts_of
from tests.policies.office import CHAT, HOOK, MAIL, PAY, mail


def test_a_mail_is_domains_and_a_count() -> None:
    """Addresses are counted once each, their domains in lower case and sorted; the addresses are nowhere."""
    facts = facts_of(MAIL.definition, mail("a@Acme.Example", "b@acme.example", cc="c@other.example"), {})
    assert facts == {
        "recipients": 3,
        "recipient_domains": ["acme.example", "other.example"],
        "hosts": [],
        "other_destinations": 0,
        "unknown": [],
        "labels": [],
    }


def test_facts_hold_neither_address_nor_content_nor_path() -> None:
    """They are recorded for good, so nothing personal is in them, whatever the parameters are."""
    told = json.dumps(
        [
            facts_of(MAIL.definition, mail("maria.secret@acme.example", text="the salary is 100"), {}),
            facts_of(HOOK.definition, {"url": "https://maria:pw@acme.example/secret?salary=1", "payload": {}}, {}),
            facts_of(CHAT.definition, {"channel": "#secret", "text": "salary"}, {}),
            facts_of(PAY.definition, {"iban": "DE00 secret", "amount": 12, "text": "salary"}, {}),
        ]
    )
    for word in ("maria", "secret", "salary", "pw", "DE00"):
        assert word not in told


@pytest.mark.parametrize(
    ("address", "domain"),
    [
        ("a@ACME.example", "acme.example"),
        ("mailto:a@acme.example", "acme.example"),
        ("a@аcme.example", "xn--cme-5cd.example"),
        ("a@münchen.example", "xn--mnchen-3ya.example"),
        ("a@sub.acme.example", "sub.acme.example"),
        ("a@acme.example.evil.example", "acme.example.evil.example"),
    ],
)
def test_a_domain_is_compared_in_its_one_ascii_form(address: str, domain: str) -> None:
    """Case does not matter; a look-alike letter gives another name."""
    assert facts_of(MAIL.definition, mail(address), {})["recipient_domains"] == [domain]


@pytest.mark.parametrize(
    "odd",
    [
        "b@evil.example,a@acme.example",
        "b@evil.example;a@acme.example",
        "b@evil.example a@acme.example",
        "Bob <b@acme.example>",
        '"b@evil.example"@acme.example',
        "b@evil.example\n@acme.example",
        "b@evil@acme.example",
        "@acme.example",
        "a@",
        "a@acme．example",  # a full-width dot
        "a@acme.example.",
        "a@acme .example",
        "acme.example",
        "#general",
        "",
        17,
        "http:/acme.example",
        "https://acme.example\\@evil.example/",
        "https://[acme.example/",
        "https://acme.example evil.example",
        "https://",
    ],
)
def test_what_is_not_exactly_one_address_or_url_never_counts_as_inside(odd: Any) -> None:
    """Whatever two readers could read differently is an "other" destination, and a URL a host that is nobody's own."""
    facts = facts_of(MAIL.definition, mail(odd), {})
    hosts = [UNREADABLE] if "://" in str(odd) else []
    assert (facts["recipient_domains"], facts["hosts"], facts["other_destinations"]) == ([], hosts, 1)


def test_a_url_is_its_host() -> None:
    """Neither path, query, port nor credentials; an address of the internet protocol as it is."""
    for url, host in (
        ("https://Hooks.Acme.Example:8443/a?b=c", "hooks.acme.example"),
        ("http://user:word@acme.example/", "acme.example"),
        ("http://10.0.0.1/x", "10.0.0.1"),
        ("http://[2001:DB8::1]/x", "2001:db8::1"),
    ):
        assert facts_of(HOOK.definition, {"url": url, "payload": {}}, {})["hosts"] == [host]


def test_destinations_are_found_at_any_depth_and_in_names() -> None:
    """Lists, objects and the names of their fields."""
    nested = {"to": [{"who": ["a@one.example"], "b@two.example": True}], "cc": None}
    assert facts_of(MAIL.definition, nested, {})["recipient_domains"] == ["one.example", "two.example"]


def test_more_domains_than_can_be_told_apart_count_as_others() -> None:
    """The facts stay small, and what was left out is not inside."""
    facts = facts_of(MAIL.definition, mail(*(f"a@d{number}.example" for number in range(MAX_NAMES + 7))), {})
    assert (len(facts["recipient_domains"]), facts["other_destinations"]) == (MAX_NAMES, 7)


@pytest.mark.parametrize(
    ("amount", "whole"),
    [(500, 500), (500.01, 501), ("499.99", 500), (-20, 20), (0, 0), ("1e400", 2**53 - 1), (2**70, 2**53 - 1)],
)
def test_an_amount_is_whole_units_rounded_up(amount: Any, whole: int) -> None:
    """So that "more than 500" means what it says, and a negative amount is no way around it."""
    assert facts_of(PAY.definition, {"amount": amount}, {})["amount"] == whole


@pytest.mark.parametrize("amount", ["a lot", "NaN", "Infinity", "", float("nan")])
def test_an_amount_that_cannot_be_read_is_unknown(amount: Any) -> None:
    """It is no number that a rule could compare, and a rule can see that."""
    facts = facts_of(PAY.definition, {"amount": amount}, {})
    assert "amount" not in facts
    assert facts["unknown"] == ["amount"]


def test_a_value_of_an_earlier_step_is_unknown_until_it_is_there() -> None:
    """Before the run an expression stands for any value; once resolved it is a value like any other."""
    params = {"to": {"$ref": "steps.s1.result.a@b.example"}, "text": {"$ref": "steps.s1.result"}}
    before = facts_of(MAIL.definition, params, {})
    assert (before["unknown"], before["recipients"], before["other_destinations"]) == (["content", "destination"], 0, 0)
    after = facts_of(MAIL.definition, params, {}, resolved=True)
    assert (after["unknown"], after["recipient_domains"], after["other_destinations"]) == ([], ["b.example"], 1)


def test_labels_are_told_by_role_with_the_least_trusted_first() -> None:
    """A role fed by several values has the label of the worst; what has no label counts as untrusted."""
    inputs = {
        "text": {"from": "s1 (http.get)", "label": "S"},
        "subject": {"from": "s1 (http.get)", "label": "U"},
        "to/0": {"from": "s2 (crm.find)", "label": "E"},
        "cc": "odd",
    }
    assert facts_of(MAIL.definition, {}, inputs)["labels"] == ["content:U", "destination:U"]
    del inputs["cc"]
    assert facts_of(MAIL.definition, {}, inputs)["labels"] == ["content:U", "destination:E"]
