"""The quick look at parameters never says yes to what the close one refuses."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from steward.action import ActionDefinition, Effect, RetryMode
from steward.actions.builtin import builtin_actions
from steward.clock import SystemClock
from steward.plan_check import schema_problems
from steward.quick_look import fits

_BUILTIN = {
    action.definition.id: action.definition
    for action in builtin_actions(
        smtp_url="smtp://127.0.0.1:25",
        smtp_from="office@one.example",
        webhook_secrets={},
        http_allow_hosts=frozenset(),
        files_root=Path("files"),
        clock=SystemClock(),
    )
}
_TEXTS = st.one_of(
    st.text(max_size=8),
    st.sampled_from(
        [
            "a@one.example",
            "a@one.example\n",
            "a@one.example\x1c",
            "https://one.example",
            "HTTP://x",
            "notes/a.txt",
            "email",
            "\u0663",
        ]
    ),
)
_VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-3, 70_000), st.floats(allow_nan=False), _TEXTS),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(["type", "file", "one_of", "a"]), inner, max_size=3),
    ),
    max_leaves=5,
)


def _definition(schema: dict[str, Any]) -> ActionDefinition:
    return ActionDefinition(
        id="test.one",
        title="One",
        description="One.",
        input_schema={"type": "object", "properties": {"a": schema}, "additionalProperties": False},
        effect=Effect.READ,
        retry=RetryMode.KEYED,
    )


@given(st.data())
def test_what_a_quick_look_lets_pass_the_close_one_does_too(data: st.DataObject) -> None:
    """For every action that comes with Steward, and values of every kind in its parameters."""
    definition = data.draw(st.sampled_from(sorted(_BUILTIN.values(), key=lambda one: one.id)))
    names = sorted(definition.input_schema["properties"])
    params = data.draw(st.dictionaries(st.sampled_from(names), _VALUES, max_size=len(names)))
    if fits(definition, params):
        assert Draft202012Validator(definition.input_schema).is_valid(params)


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "string", "pattern": r"^[^\s]+$"}, "\x1c"),
        ({"type": "string", "pattern": r"^\S(?![\s\S])"}, "\x1f"),
        ({"multipleOf": 0.1}, 0.3),
        ({"patternProperties": {r"^\d$": {"type": "null"}}}, {"\u0663": 1}),
        ({"enum": ["a", 1]}, "b"),
        ({"type": "integer", "maximum": 65_536}, 65_537),
        ({"type": "array", "uniqueItems": True}, [1, 1.0]),
        ({"$ref": "https://elsewhere.example/schema"}, 1),
    ],
)
def test_where_the_two_may_differ_the_stricter_one_speaks(schema: dict[str, Any], value: object) -> None:
    """Other engines read patterns, fractions and addresses of schemas otherwise; none of that lets anything pass."""
    assert not fits(_definition(schema), {"a": value})


def test_a_quick_yes_asks_nobody_else() -> None:
    """What fits is known to fit without the close look, an address with its pattern too, and it is said to have no problems."""
    params = {"to": ["a@one.example"], "subject": "One", "text": "Two"}
    assert fits(_BUILTIN["email.send"], params)
    assert schema_problems(_BUILTIN["email.send"], params) == []


@pytest.mark.parametrize("value", [b"a", {1: 2}, {"a", "b"}, object()])
def test_what_is_not_json_is_left_to_the_close_look(value: object) -> None:
    """It raises nothing, whatever it is shown."""
    assert not fits(_definition({"type": "string"}), {"a": value})
