"""A workspace's own policies: what they can say, what is refused and where, and that they hold in their workspace alone."""

import re
from pathlib import Path

import pytest
from cedarpy import pst

from steward.errors import Invalid
from steward.identity import Role
from steward.policies.cedar import CedarPolicy
from steward.policies.cedar_text import MAX_RULES, MAX_SAID_CHARS, MAX_TEXT_CHARS, rules_of
from steward.policy import Deny
from tests.policies.office import LANGUAGE, ask, mail, person, policy, said

DOCS = Path(__file__).parents[2] / "docs"
NO_HOOKS = """
// Nothing is posted to the web.
@reason("Webhooks are not used here.")
@fix("Send a mail instead.")
forbid (principal, action == Action::"webhook.post", resource);
"""


def problems(text: str, name: str = "tried") -> list[str]:
    """Return what is said about a text that must be refused."""
    with pytest.raises(Invalid) as refused:
        rules_of("acme", name, text, LANGUAGE.schema)
    return [f"{problem.pointer} {problem.detail}" for problem in refused.value.errors]


def test_a_policy_forbids_under_its_name_with_its_reason_and_fix() -> None:
    """What people read is what the author wrote."""
    decision = policy(texts={"no_hooks": NO_HOOKS}).decide(person(), "webhook.post", {"url": "https://x.example"}, {})
    assert decision == Deny("workspace/no_hooks", "Webhooks are not used here.", "Send a mail instead.")
    assert policy(texts={"no_hooks": NO_HOOKS}).can_execute("webhook.post") is False
    assert policy(texts={"no_hooks": NO_HOOKS}).can_execute("email.send") is True


def test_each_forbid_of_a_text_has_a_name_of_its_own() -> None:
    """By its @id, or by its place."""
    text = (
        'forbid (principal, action == Action::"http.get", resource);'
        'forbid (principal, action == Action::"chat.post", resource);'
        '@id("mails") forbid (principal, action == Action::"email.send", resource);'
    )
    rules = policy(texts={"quiet": text})
    names = [rules.decide(person(), action_id, {}, {}).rule for action_id in ("http.get", "chat.post", "email.send")]
    assert names == ["workspace/quiet", "workspace/quiet/2", "workspace/quiet/mails"]
    assert (
        rules.decide(person(), "http.get", {}, {}).reason == "This workspace's policy 'quiet' does not let it run here."
    )


@pytest.mark.parametrize(
    ("text", "action_id"),
    [
        ('forbid (principal in Role::"developer", action in Action::"money", resource);', "bank.pay"),
        ('forbid (principal == Actor::"key_a", action in Action::"email.*", resource);', "email.send"),
        ('forbid (principal, action, resource is Workspace) when { action in Action::"external" };', "http.get"),
        ('forbid (principal, action, resource == Workspace::"acme") unless { context.recipients > 5 };', "chat.post"),
        ("forbid (principal, action, resource) when { context has amount && context.amount > 500 };", "bank.pay"),
        (
            'forbid (principal, action, resource) when { context.recipient_domains.contains("far.example") };',
            "email.send",
        ),
        ('forbid (principal, action, resource) when { !principal.scopes.contains("admin") };', "http.get"),
    ],
)
def test_what_an_office_wants_can_be_said(text: str, action_id: str) -> None:
    """By role, by person, by group, provider, amount, domain and scope."""
    params = {"iban": "DE00", "amount": 600} if action_id == "bank.pay" else mail("a@far.example")
    decision = policy(texts={"own": text}).decide(person(), action_id, params, {})
    assert said(decision) == ("deny", "workspace/own")


def test_a_rule_on_unattended_actions_asks() -> None:
    """With who may approve, the narrowest of all that ask."""
    texts = {
        "a_second_look": '@approver_role("approver") forbid (principal, action in Action::"write:unattended", resource);',
        "big_money": """
            @reason("More than 500: an admin decides.") @approver_role("admin") @another_person("true")
            forbid (principal, action in Action::"money:unattended", resource)
            when { context has amount && context.amount > 500 };
        """,
    }
    rules = policy(texts=texts)
    small = ask(rules.decide(person(), "bank.pay", {"amount": 500}, {}))
    assert (small.rule, small.another_person, small.approver_role) == ("workspace/a_second_look", False, Role.APPROVER)
    big = ask(rules.decide(person(), "bank.pay", {"amount": "500.01"}, {}))
    assert (big.rule, big.another_person, big.approver_role) == ("workspace/a_second_look", True, Role.ADMIN)
    alone = policy(texts={"big_money": texts["big_money"]})
    assert ask(alone.decide(person(), "bank.pay", {"amount": 501}, {})).reason == "More than 500: an admin decides."
    assert said(alone.decide(person(), "bank.pay", {"amount": 500}, {})) == ("allow", "catalogue")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("permit (principal, action, resource);", "/text Policy 1: a workspace's policy can only forbid."),
        (
            'forbid (principal, action, resource);\npermit (principal, action == Action::"http.get", resource);',
            "/text Policy 2: a workspace's policy can only forbid.",
        ),
        ('forbid (principal, action, resource == Workspace::"other");', "/text Policy 1: it names another workspace."),
        (
            'forbid (principal, action, resource) when { resource == Workspace::"other" };',
            "/text Policy 1: it names another workspace.",
        ),
        (
            'forbid (principal, action, resource) unless { [Workspace::"system"].contains(resource) };',
            "/text Policy 1: it names another workspace.",
        ),
        ("forbid (principal == ?principal, action, resource);", "/text Templates"),
        ("forbid (principal, action, resource == ?resource);", "/text Templates"),
        ('@default("off") forbid (principal, action, resource);', "/text Policy 1: there is no annotation @default"),
        ('@id("A B") forbid (principal, action, resource);', "/text Policy 1: @id is a-z"),
        ('@id("x") forbid (principal,action,resource); @id("x") forbid (principal,action,resource);', "the same @id"),
        ('@reason("two\\nlines") forbid (principal, action, resource);', "/text Policy 1: @reason is one line"),
        (f'@fix("{"x" * (MAX_SAID_CHARS + 1)}") forbid (principal, action, resource);', "/text Policy 1: @fix is one"),
        ('@another_person("true") forbid (principal, action, resource);', "only a rule on unattended actions asks"),
        ('@approver_role("operator") forbid (principal, action in Action::"unattended", resource);', "@approver_role"),
        ('@another_person("no") forbid (principal, action in Action::"unattended", resource);', "@another_person"),
        ('forbid (principal, action == Action::"email.snd", resource);', 'unrecognized action `Action::"email.snd"`'),
        ("forbid (principal, action, resource) when { context.amount > 5 };", "optional attribute `amount`"),
        ("forbid (principal, action, resource) when { context.recipients > 'x' };", "Policy 1, which begins on line 1"),
        ('forbid (principal, action, resource) when { context.recipients == "x" };', "not compatible"),
        ("forbid (principal, action, resource);\n\n\nforbid (principal action);", "Policy 2, which begins on line 4"),
        ("", "It has 1 to 20 forbid statements."),
        ("// only a comment", "It has 1 to 20 forbid statements."),
        ("forbid (principal, action, resource);" * (MAX_RULES + 1), "It has 1 to 20 forbid statements."),
        ("forbid (principal, action, resource);" + " " * MAX_TEXT_CHARS, "It has at most 8000 characters."),
    ],
)
def test_what_no_workspace_may_have_is_refused_with_its_place(text: str, problem: str) -> None:
    """Each refusal says which statement, and what about it."""
    assert any(problem in said for said in problems(text)), problems(text)


@pytest.mark.parametrize("name", ["", "A", "1a", "a b", "a/b", "a" * 65, "a\n", "ä"])
def test_a_name_is_a_name(name: str) -> None:
    """It stands in rules, paths and records."""
    assert problems(NO_HOOKS, name) == ["/name not a policy name"]


def test_a_policy_holds_for_its_own_workspace_alone() -> None:
    """Every rule is bound as it is read, so that a policy in the wrong place forbids nothing there."""
    (rule,) = rules_of("other", "no_hooks", NO_HOOKS)
    assert rule.policy.resource == pst.ScopeEq(pst.EntityUid(pst.EntityType("Workspace"), "other"))
    astray = CedarPolicy(policy()._ground, [rule])
    assert said(astray.decide(person(), "webhook.post", {"url": "https://x.example"}, {})) == ("allow", "catalogue")


def test_what_counts_is_in_the_version() -> None:
    """Another list, rule, domain or text is another version; the same ones are the same."""
    versions = [
        policy().version,
        policy(allowlist="*").version,
        policy(denylist="email.send").version,
        policy("reads_only").version,
        policy(own_domains=("far.example",)).version,
        policy(texts={"a": NO_HOOKS}).version,
        policy(texts={"b": NO_HOOKS}).version,
        policy(texts={"a": NO_HOOKS + " "}).version,
    ]
    assert len(set(versions)) == len(versions)
    assert policy("reads_only", texts={"a": NO_HOOKS}).version == policy("reads_only", texts={"a": NO_HOOKS}).version


@pytest.mark.parametrize("page", ["how-to/narrower-policy.md", "adr/0010-ask-is-made-of-two-questions-to-cedar.md"])
def test_what_the_pages_show_can_be_kept(page: str) -> None:
    """Every policy on a page is one that a workspace may have."""
    shown = re.findall(r"^```cedar\n(.*?)^```$", (DOCS / page).read_text(), re.MULTILINE | re.DOTALL)
    assert shown
    for text in shown:
        assert rules_of("acme", "shown", text, LANGUAGE.schema)
