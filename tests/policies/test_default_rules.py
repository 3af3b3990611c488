"""The rules that come with Steward: those that always hold, and each of those that a workspace may switch on."""

from typing import Any

import pytest
from pydantic_core import to_json

from steward.identity import Principal, Role, scopes_of
from steward.policies.cedar_rules import default_rules
from steward.policies.lists import ListPolicy
from steward.policy import Allow, Ask, Deny
from tests.policies.office import ACTIONS, SHELF, ask, mail, person, policy, said

OPTIONAL = [rule.name for rule in default_rules() if rule.optional]
PAYMENT = {"iban": "DE00", "amount": 20, "text": "Rent"}
_LISTS: list[tuple[str | None, str | None]] = [
    (None, None),
    (" , ", None),
    ("*", None),
    ("email.*", None),
    ("email.send,http.get", "email.*"),
    (None, "*"),
    (None, "bank.pay"),
]


@pytest.mark.parametrize(("allowlist", "denylist"), _LISTS)
@pytest.mark.parametrize("role", [Role.DEVELOPER, Role.VIEWER, Role.APPROVER, Role.ADMIN])
def test_without_optional_rules_the_lists_decide_alone(allowlist: str | None, denylist: str | None, role: Role) -> None:
    """ACTION_ALLOWLIST and ACTION_DENYLIST mean what they meant: same effect, rule and reason for every action."""
    lists, cedar = ListPolicy(SHELF, allowlist, denylist), policy(allowlist=allowlist, denylist=denylist)
    for action_id in [*(action.definition.id for action in ACTIONS), "fax.send", "email", None, 17, "email.send\n"]:
        assert cedar.decide(person(role), action_id, {}, {}) == lists.decide(person(role), action_id, {}, {})
        assert cedar.can_execute(action_id, "key_a", "acme") is lists.can_execute(action_id, "key_a", "acme")


def test_a_mail_with_literals_needs_nobody_today() -> None:
    """Nothing is asked that was not asked before: every optional rule is off until somebody switches it on."""
    decision = policy().decide(person(), "email.send", mail("somebody@far.example"), {})
    assert said(decision) == ("allow", "catalogue")
    assert OPTIONAL == [
        "reads_only",
        "internal_recipients_only",
        "another_person_approves_money",
        "ask_before_external",
        "ask_before_many_recipients",
        "ask_before_write",
    ]


def test_who_may_neither_preview_nor_execute_runs_nothing() -> None:
    """An auditor looks at records; somebody without any role is nobody."""
    for nobody in (person(Role.AUDITOR), Principal("key_x", "acme", frozenset(), frozenset())):
        assert said(policy().decide(nobody, "http.get", {}, {})) == ("deny", "not_permitted")


def test_operators_and_the_reserved_workspace_run_nothing_also_by_cedar_alone() -> None:
    """The lists say so first; the rules say so too."""
    rules = {rule.name: rule for rule in default_rules()}
    assert {"operators_run_nothing", "system_runs_nothing"} <= rules.keys()
    operator = Principal("key_o", "acme", frozenset({Role.OPERATOR, Role.ADMIN}), scopes_of(frozenset({Role.ADMIN})))
    assert policy().decide(operator, "http.get", {}, {}).rule == "operator_runs_nothing"
    narrowed = policy()._narrowed(
        operator, "http.get", to_json(policy().decide(person(), "http.get", {}, {}).facts).decode(), twice=True
    )
    assert isinstance(narrowed, Deny)
    assert narrowed.rule == "operators_run_nothing"


def test_the_policy_of_one_workspace_answers_for_no_other() -> None:
    """Also where a mistake would hand it out."""
    stranger = person(workspace_id="other")
    assert said(policy().decide(stranger, "http.get", {}, {})) == ("deny", "other_workspace")
    assert policy().can_execute("http.get", None, "other") is False
    assert policy().can_execute("http.get", None, "acme\n") is False


def test_every_rule_has_a_name_and_a_reason_and_every_denial_a_fix() -> None:
    """They are what people read when something is refused."""
    rules = default_rules()
    assert len({rule.name for rule in rules}) == len(rules)
    for rule in rules:
        assert rule.reason.endswith("."), rule.name
        assert rule.document().effect != "deny" or rule.fix.endswith("."), rule.name


# -- internal recipients only ----------------------------------------------------------------------------------------

INSIDE: list[tuple[str, dict[str, Any]]] = [
    ("email.send", mail("a@acme.example")),
    ("email.send", mail("a@ACME.Example", "b@second.example", cc="c@acme.example")),
    ("webhook.post", {"url": "https://acme.example/hook", "payload": {"to": "a@far.example"}}),
    ("http.get", {"url": "https://far.example/"}),
    ("file.write", {"path": "notice.txt", "text": "a@far.example"}),
]
OUTSIDE: list[tuple[str, dict[str, Any]]] = [
    ("email.send", mail("a@far.example")),
    ("email.send", mail("a@acme.example", "b@far.example")),
    ("email.send", mail("a@acme.example", cc="b@far.example")),
    ("email.send", mail("a@sub.acme.example")),
    ("email.send", mail("a@notacme.example")),
    ("email.send", mail("a@acme.example.far.example")),
    ("email.send", mail("a@аcme.example")),
    ("email.send", mail("b@far.example,a@acme.example")),
    ("webhook.post", {"url": "https://hooks.acme.example/x", "payload": {}}),
    ("webhook.post", {"url": "https://acme.example@far.example/", "payload": {}}),
    ("webhook.post", {"url": "https://far.example./", "payload": {}}),
    ("webhook.post", {"url": "https://far_away.example/", "payload": {}}),
    ("webhook.post", {"url": "https://-far.example/", "payload": {}}),
    ("webhook.post", {"url": "https://far.example%2e/", "payload": {}}),
    ("webhook.post", {"url": "https://ｆar.example/", "payload": {}}),
    ("webhook.post", {"url": "https://far.example\\@acme.example/", "payload": {}}),
    ("webhook.post", {"url": " https://far.example/", "payload": {}}),
    (
        "webhook.post",
        {"url": "https://acme.example/", "payload": {}, "headers": {"X-Also": "https://far_away.example/"}},
    ),
    ("chat.post", {"channel": "#general", "text": "hi"}),
]


@pytest.mark.parametrize(("action_id", "params"), INSIDE)
def test_w82_inside_is_the_own_domains_whatever_the_case(action_id: str, params: dict[str, Any]) -> None:
    """Several own domains count; content and reading do not."""
    rules = policy("internal_recipients_only", own_domains=("acme.example", "second.example"))
    assert isinstance(rules.decide(person(), action_id, params, {}), Allow)


@pytest.mark.parametrize(("action_id", "params"), OUTSIDE)
def test_w82_anything_else_is_outside_and_the_refusal_tells_no_domain(action_id: str, params: dict[str, Any]) -> None:
    """Subdomains, look-alikes and what cannot be read are outside; what is inside is not disclosed."""
    rules = policy("internal_recipients_only", own_domains=("acme.example", "second.example"))
    decision = rules.decide(person(), action_id, params, {})
    assert isinstance(decision, Deny)
    assert decision.rule == "internal_recipients_only"
    for domain in ("acme.example", "second.example", "far.example"):
        assert domain not in decision.reason + decision.fix


def test_w82_without_own_domains_nobody_is_inside() -> None:
    """Switched on and not told what is inside, it lets nothing out."""
    rules = policy("internal_recipients_only", own_domains=())
    assert isinstance(rules.decide(person(), "email.send", mail("a@acme.example"), {}), Deny)


# -- asking ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("action_id", "params"), [case for case in INSIDE if case[0] != "http.get"])
def test_ask_before_external_leaves_the_inside_alone(action_id: str, params: dict[str, Any]) -> None:
    """Nobody is asked about a mail to a colleague."""
    rules = policy("ask_before_external", own_domains=("acme.example", "second.example"))
    assert isinstance(rules.decide(person(), action_id, params, {}), Allow)


@pytest.mark.parametrize(("action_id", "params"), OUTSIDE)
def test_ask_before_external_asks_for_any_destination_outside(action_id: str, params: dict[str, Any]) -> None:
    """One recipient outside is enough."""
    rules = policy("ask_before_external", own_domains=("acme.example", "second.example"))
    assert said(rules.decide(person(), action_id, params, {})) == ("ask", "ask_before_external")


def test_a_destination_that_is_not_known_yet_is_asked_about_and_decided_with_its_value() -> None:
    """Before the run the rule asks; at dispatch it looks at what the value turned out to be."""
    rules, open_end = policy("ask_before_external"), {"to": {"$ref": "steps.s1.result.owner"}, "text": "x"}
    assert isinstance(rules.decide(person(), "email.send", open_end, {}), Ask)
    inside, outside = mail("a@acme.example"), mail("a@far.example")
    assert isinstance(rules.decide(person(), "email.send", inside, {"resolved": True}), Allow)
    assert isinstance(rules.decide(person(), "email.send", outside, {"resolved": True}), Ask)
    never = policy("internal_recipients_only")
    assert isinstance(never.decide(person(), "email.send", outside, {"resolved": True}), Deny)


def test_ask_before_write_asks_for_whatever_changes_something() -> None:
    """Reading goes on."""
    rules = policy("ask_before_write")
    for action in ACTIONS:
        definition = action.definition
        wanted = "deny" if not definition.enabled else "allow" if definition.effect.value == "read" else "ask"
        assert rules.decide(person(), definition.id, {}, {}).effect == wanted


def test_ask_before_many_recipients_counts_people() -> None:
    """Ten are fine, eleven are many, and the same address twice is one."""
    rules, people = policy("ask_before_many_recipients"), [f"p{number}@acme.example" for number in range(11)]
    assert isinstance(rules.decide(person(), "email.send", mail(*people[:10], cc=people[:10]), {}), Allow)
    assert isinstance(rules.decide(person(), "email.send", mail(*people), {}), Ask)


def test_reads_only_lets_nobody_write() -> None:
    """Not even an admin, and no approval helps."""
    rules = policy("reads_only")
    assert said(rules.decide(person(Role.ADMIN), "file.write", {}, {})) == ("deny", "reads_only")
    assert isinstance(rules.decide(person(), "http.get", {}, {}), Allow)


def test_money_needs_another_person() -> None:
    """Whatever the amount; and the demand survives when another rule speaks first or also asks."""
    alone = ask(policy("another_person_approves_money").decide(person(), "bank.pay", PAYMENT, {}))
    assert (alone.rule, alone.another_person, alone.approver_role) == ("another_person_approves_money", True, None)
    both = ask(policy("another_person_approves_money", "ask_before_write").decide(person(), "bank.pay", PAYMENT, {}))
    assert both.another_person
    assert isinstance(policy("another_person_approves_money").decide(person(), "http.get", {}, {}), Allow)
