"""What an effect takes from its workspace's budgets follows from the action's declaration and the real parameters."""

from typing import Any

import pytest

from steward.action import ActionDefinition, Effect, ParameterRole, RetryMode
from steward.actions.builtin import builtin_actions
from steward.clock import SystemClock
from steward.spending import Spending, recipients, spending_of
from steward.workspace import Budget, WorkspaceSettings

LIMIT = Budget(limit=5, window_s=60)
ALL: Any = {"messages_out": LIMIT, "outside_recipients": LIMIT, "webhook_calls": LIMIT}
SETTINGS = WorkspaceSettings(own_domains=("acme.example", "acme.test"), budgets=ALL)


def definition(*groups: str, **roles: ParameterRole) -> ActionDefinition:
    """Return an own action that declares these groups and roles."""
    return ActionDefinition(
        id="own.action",
        title="",
        description="",
        input_schema={},
        effect=Effect.WRITE,
        retry=RetryMode.NONE,
        groups=frozenset(groups),
        roles=roles,
    )


def spent(action: ActionDefinition, params: dict[str, Any], settings: WorkspaceSettings = SETTINGS) -> Spending | None:
    """Return what an action takes, recipients as themselves."""
    return spending_of(action, params, settings, lambda text: (text,))


@pytest.fixture(scope="module")
def built_in(tmp_path_factory: pytest.TempPathFactory) -> dict[str, ActionDefinition]:
    """Return the built-in actions by id."""
    actions = builtin_actions(
        smtp_url="smtp://localhost:25",
        smtp_from="office@acme.example",
        webhook_secrets={},
        http_allow_hosts=frozenset(),
        files_root=tmp_path_factory.mktemp("files"),
        clock=SystemClock(),
    )
    return {action.definition.id: action.definition for action in actions}


def test_an_email_is_a_message_to_its_outside_recipients(built_in: dict[str, ActionDefinition]) -> None:
    """``to``, ``cc`` and ``bcc``, each person once, however the address is written; inside ones are not counted."""
    params = {
        "to": ["Ann@Elsewhere.example", "ben@acme.example"],
        "cc": "cat@ACME.test",
        "bcc": ["ann@elsewhere.example", "dan@sub.acme.example"],
        "subject": "eve@elsewhere.example",
        "text": "fay@elsewhere.example",
    }
    spending = spent(built_in["email.send"], params)
    assert spending is not None
    assert set(spending.budgets) == {"messages_out", "outside_recipients"}
    assert spending.recipients == (("ann@elsewhere.example",), ("dan@sub.acme.example",))
    assert (spending.amount("messages_out"), spending.amount("outside_recipients")) == (1, 2)


def test_an_email_to_colleagues_takes_a_message_only(built_in: dict[str, ActionDefinition]) -> None:
    """The budget for recipients is not touched."""
    spending = spent(built_in["email.send"], {"to": "ben@acme.example", "subject": "x", "text": "y"})
    assert spending is not None
    assert set(spending.budgets) == {"messages_out"}


def test_a_webhook_is_a_call(built_in: dict[str, ActionDefinition]) -> None:
    """Whatever it carries; and a read from the network takes nothing."""
    spending = spent(built_in["webhook.post"], {"url": "https://elsewhere.example", "payload": {"to": "ann@x.example"}})
    assert spending is not None
    assert (set(spending.budgets), spending.recipients) == ({"webhook_calls"}, ())
    assert spent(built_in["http.get"], {"url": "https://elsewhere.example"}) is None
    assert spent(built_in["file.write"], {"path": "a", "text": "b"}) is None


def test_an_own_action_declares_what_it_is() -> None:
    """By its groups; a destination that is no address is outside, and what has no declared role is a destination."""
    params = {"channel": "#General", "who": 491234567, "text": "hello", "quiet": True, "nothing": None}
    spending = spent(definition("message", text=ParameterRole.CONTENT), params)
    assert spending is not None
    assert spending.recipients == (("#general",), ("491234567",))
    both = spent(definition("message", "webhook"), {"to": {"nested": ["ann@x.example"]}})
    assert both is not None
    assert set(both.budgets) == set(ALL)
    assert spent(definition("external"), params) is None


@pytest.mark.parametrize(
    "text",
    [
        "eve@elsewhere.example, ben@acme.example",
        "eve@elsewhere.example;x@acme.example",
        "eve@elsewhere.example <ben@acme.example>",
        '"eve@elsewhere.example"@acme.example',
        "ben@acme.example eve",
        "ben@acme.example.",
        "@acme.example",
        "acme.example",
    ],
)
def test_only_a_plain_address_can_be_inside(text: str) -> None:
    """Whatever could reach somebody else counts as outside."""
    spending = spent(definition("message"), {"to": text})
    assert spending is not None
    assert len(spending.recipients) == 1


def test_without_a_budget_nothing_is_taken() -> None:
    """And nobody is hashed for it."""
    assert spent(definition("message", "webhook"), {"to": "ann@x.example"}, WorkspaceSettings()) is None
    some: Any = {"messages_out": LIMIT}
    spending = spent(definition("message"), {"to": "ann@x.example"}, WorkspaceSettings(budgets=some))
    assert spending == Spending(budgets=some)


def test_recipients_are_told_apart_by_their_text() -> None:
    """Empty ones are none, and spaces around do not matter."""
    assert recipients(definition(), {"to": ["", " a@x.example ", "A@X.example", None]}) == {"a@x.example"}
