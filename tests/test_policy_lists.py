"""The list policy: what the catalogue offers, narrowed by two lists, and nothing that is unknown."""

from typing import Any

import pytest

from steward.action import Action, ActionContext, ActionDefinition, Effect, ProbeAnswer, RetryMode
from steward.errors import ConfigurationError
from steward.identity import Principal, Role
from steward.policies.lists import ListPolicy
from steward.policy import Allow, Deny

ALICE = Principal("key_a", "acme", frozenset({Role.DEVELOPER}))
OPERATOR = Principal("key_o", "system", frozenset({Role.OPERATOR}))


class Declared:
    """An action that is only ever looked at."""

    def __init__(self, action_id: str, *, enabled: bool = True, because: str = "") -> None:
        self.definition = ActionDefinition(
            id=action_id,
            title=action_id,
            description=action_id,
            input_schema={"type": "object"},
            effect=Effect.WRITE,
            retry=RetryMode.NONE,
            enabled=enabled,
            disabled_because=because,
        )

    async def run(self, params: Any, context: ActionContext) -> Any:
        raise NotImplementedError

    async def probe(self, params: Any, context: ActionContext) -> ProbeAnswer:
        raise NotImplementedError


class Shelf:
    """A catalogue of four actions, one of them disabled."""

    def __init__(self) -> None:
        actions = (
            Declared("email.send"),
            Declared("file.read"),
            Declared("file.write"),
            Declared("gmail.send", enabled=False, because="Set GOOGLE_CLIENT_ID to enable it."),
        )
        self._actions: dict[str, Action] = {action.definition.id: action for action in actions}

    def get(self, action_id: str) -> Action | None:
        return self._actions.get(action_id)

    def definitions(self) -> tuple[ActionDefinition, ...]:
        return tuple(action.definition for _, action in sorted(self._actions.items()))


def policy(allowlist: str | None = None, denylist: str | None = None) -> ListPolicy:
    """Return a policy over the shelf."""
    return ListPolicy(Shelf(), allowlist, denylist)


ODD_IDS = [
    None,
    17,
    b"email.send",
    ["email.send"],
    {"id": "email.send"},
    "",
    "email",
    "email.send\n",
    "email.send\x00",
    " email.send",
    "Email.Send",
    "еmail.send",
    "email.sеnd",
    "email.*",
    "*",
    "fax.send",
    "a." + "b" * 200,
]


@pytest.mark.parametrize("odd", ODD_IDS, ids=ascii)
def test_w18_w145_c26_what_is_not_in_the_catalogue_is_denied_whatever_its_type(odd: object) -> None:
    """An unknown id is denied as ``unknown_action`` with a sentence, even when the allowlist says ``*``."""
    for lists in (policy(), policy("*")):
        decision = lists.decide(ALICE, odd, {}, {})
        assert isinstance(decision, Deny)
        assert decision.rule == "unknown_action"
        assert decision.reason.endswith(".")
        assert "\n" not in decision.reason
        assert lists.can_execute(odd) is False


def test_w18_a_disabled_action_is_denied_with_the_way_to_enable_it() -> None:
    """A disabled action is denied, allowlisted or not, and the reason carries what would enable it."""
    for lists in (policy(), policy("*"), policy("gmail.send")):
        decision = lists.decide(ALICE, "gmail.send", {}, {})
        assert isinstance(decision, Deny)
        assert decision.rule == "action_disabled"
        assert "GOOGLE_CLIENT_ID" in decision.reason
        assert decision.fix == "Set GOOGLE_CLIENT_ID to enable it."


def test_w143_without_lists_exactly_the_enabled_catalogue_is_allowed() -> None:
    """Lists unset: every enabled action may run, nothing else."""
    allowed = {definition.id for definition in Shelf().definitions() if policy().can_execute(definition.id)}
    assert allowed == {"email.send", "file.read", "file.write"}


@pytest.mark.parametrize("blank", ["", " ", ",", " , ", ",,,"])
def test_w145_an_allowlist_of_blanks_allows_nothing(blank: str) -> None:
    """Set but blank is not unset: nothing may run."""
    assert not any(policy(blank).can_execute(definition.id) for definition in Shelf().definitions())


@pytest.mark.parametrize(
    ("allowlist", "allowed"),
    [
        ("*", {"email.send", "file.read", "file.write"}),
        ("email.send", {"email.send"}),
        ("  email.send ,, file.read ", {"email.send", "file.read"}),
        ("file.*", {"file.read", "file.write"}),
        ("fil.*", set()),
        ("file.rea", set()),
    ],
)
def test_the_allowlist_takes_a_star_an_id_or_a_whole_provider(allowlist: str, allowed: set[str]) -> None:
    """Entries are trimmed and matched whole: a prefix without ``.*`` covers nothing."""
    lists = policy(allowlist)
    assert {definition.id for definition in Shelf().definitions() if lists.can_execute(definition.id)} == allowed


@pytest.mark.parametrize("denylist", ["email.send", "email.*", "*"])
def test_the_denylist_wins_over_everything(denylist: str) -> None:
    """A denylisted action is denied also where the allowlist names it, and the reason names the list."""
    decision = policy("*,email.send", denylist).decide(ALICE, "email.send", {}, {})
    assert isinstance(decision, Deny)
    assert decision.rule == "action_denylist"
    assert "ACTION_DENYLIST" in decision.fix


def test_a_blank_denylist_denies_nothing() -> None:
    """A denylist of blanks leaves the catalogue as it is."""
    assert isinstance(policy(None, " , ").decide(ALICE, "file.read", {}, {}), Allow)


@pytest.mark.parametrize(
    "entry", ["Email.Send", "email", "email.send\n.x", "em*il.send", "*.send", "email..*", ".*", "**"]
)
@pytest.mark.parametrize("variable", ["ACTION_ALLOWLIST", "ACTION_DENYLIST"])
def test_c26_an_entry_that_cannot_be_read_stops_the_start(variable: str, entry: str) -> None:
    """A mistyped entry is refused by name instead of being read as something else."""
    text = f"file.read, {entry}"
    with pytest.raises(ConfigurationError, match=rf"{variable}: entry 2"):
        policy(text if variable == "ACTION_ALLOWLIST" else None, text if variable == "ACTION_DENYLIST" else None)


def test_an_operator_may_run_nothing() -> None:
    """Neither the operator role nor the reserved workspace runs actions, whatever the lists say."""
    someone_there = Principal("key_x", "system", frozenset({Role.ADMIN}))
    stray = Principal("key_y", "acme", frozenset({Role.OPERATOR}))
    for principal in (OPERATOR, someone_there, stray):
        decision = policy("*").decide(principal, "file.read", {}, {})
        assert isinstance(decision, Deny)
        assert decision.rule == "operator_runs_nothing"


def test_can_execute_agrees_with_decide_and_refuses_odd_workspaces() -> None:
    """The one-line form is the same answer; a malformed or reserved workspace runs nothing."""
    assert policy().can_execute("file.read", "key_a", "acme") is True
    for workspace in ("system", "ACME", "acme\n", ""):
        assert policy().can_execute("file.read", "key_a", workspace) is False


def test_entries_that_match_nothing_can_be_listed() -> None:
    """A health check learns which entries are probably misspelt."""
    assert policy("file.*,fax.*", "email.sent").idle_entries() == {
        "ACTION_ALLOWLIST": ("fax.*",),
        "ACTION_DENYLIST": ("email.sent",),
    }
    assert policy().idle_entries() == {}


def test_a_fix_that_the_reason_names_is_not_said_twice() -> None:
    """A denial is one reason and one fix, in a sentence for whoever was refused."""
    assert Deny("r", "It is off. Set SMTP_URL.", "Set SMTP_URL.").sentence == "It is off. Set SMTP_URL."
    assert Deny("r", "It is off.", "Set SMTP_URL.").sentence == "It is off. Set SMTP_URL."
    assert Deny("r", "It is off.").sentence == "It is off."
