"""References to earlier results: what counts as one, where it points, and what it resolves to."""

from typing import Any

import pytest

from steward.errors import Invalid
from steward.expression import MAX_EXPRESSION_CHARS, is_reference, references, resolve


def one(expression: Any, **more: Any) -> Any:
    """Return parameters with a single reference in ``text``."""
    return {"text": {"$ref": expression, **more}}


@pytest.mark.parametrize(
    ("expression", "step", "field"),
    [
        ("steps.s1.result", "s1", None),
        ("steps.s1.result.email", "s1", "email"),
        ("steps.s1.result[0].email", "s1", None),
        ("steps.s1.result.items[0].name", "s1", "items"),
        ("steps.s1.result.items[-1]", "s1", "items"),
        ('steps.s1.result."with space"', "s1", "with space"),
    ],
)
def test_a_reference_names_a_step_and_a_field(expression: str, step: str, field: str | None) -> None:
    """The first field of the result is what carries a label; none means the whole result."""
    (found,) = references(one(expression))
    assert (found.parameter, found.pointer, found.step_id, found.field) == ("text", "/text", step, field)


@pytest.mark.parametrize(
    "params",
    [
        one("steps.s1"),
        one("steps.s1.params"),
        one("s1.result"),
        one("steps[0].result"),
        one("steps.*.result"),
        one("steps.s1.result[]"),
        one("steps.s1.result[?a=='b']"),
        one("steps.s1.result | [0]"),
        one("length(steps.s1.result)"),
        one("{a: steps.s1.result}"),
        one("@"),
        one(""),
        one("steps.s1.result."),
        one("steps.s1.result["),
        one("steps.s1.result\0"),
        one("stеps.s1.result"),  # a Cyrillic letter
        one(5),
        one(None),
        one(["steps.s1.result"]),
        one("steps.s1.result" + ".a" * MAX_EXPRESSION_CHARS),
        one("steps.s1.result", other=1),
        {"text": {"$template": "Hi {name}", "vars": {}}},
        {"text": {"$ref ": "steps.s1.result"}},
        {"text": [{"deep": {"$eval": "1"}}]},
    ],
)
def test_anything_else_with_a_dollar_key_is_refused(params: dict[str, Any]) -> None:
    """The names are reserved, and only plain paths into a result are understood; the place is told."""
    with pytest.raises(Invalid) as caught:
        list(references(params))
    assert caught.value.stable_code == "invalid_reference"
    assert caught.value.errors[0].pointer.startswith("/text")


def test_references_are_found_at_any_depth_in_order() -> None:
    """Pointers are RFC 6901: '/' and '~' in a key are escaped."""
    params = {
        "a": [{"b/c": {"$ref": "steps.s1.result.x"}}, "literal"],
        "d~e": {"$ref": "steps.s2.result"},
        "plain": {"no": "dollar"},
    }
    found = list(references(params, "/steps/0/params"))
    assert [(reference.parameter, reference.pointer, reference.step_id) for reference in found] == [
        ("a", "/steps/0/params/a/0/b~1c", "s1"),
        ("d~e", "/steps/0/params/d~0e", "s2"),
    ]


@pytest.mark.parametrize("value", [{}, {"ref": "x"}, "steps.s1.result", [], None, {1: 2}])
def test_literals_are_no_references(value: Any) -> None:
    """Only an object with a key that starts with a dollar sign is an expression."""
    assert not is_reference(value)


def test_resolving_replaces_references_and_nothing_else() -> None:
    """Values keep their types; what a result holds is never resolved again."""
    results = {"s1": {"items": [{"n": 1}, {"n": 2}], "sly": {"$ref": "steps.s2.result"}}, "s2": "secret"}
    value = {
        "number": {"$ref": "steps.s1.result.items[1].n"},
        "list": [{"$ref": "steps.s1.result.items"}, "text"],
        "sly": {"$ref": "steps.s1.result.sly"},
    }
    assert resolve(value, results) == {
        "number": 2,
        "list": [[{"n": 1}, {"n": 2}], "text"],
        "sly": {"$ref": "steps.s2.result"},
    }


@pytest.mark.parametrize(
    ("expression", "result"),
    [
        ("steps.s1.result.no.such", {"a": 1}),
        ("steps.s1.result[3]", [1]),
        ("steps.s1.result.a", "text"),
        ("steps.s9.result", 1),
    ],
)
def test_a_path_that_leads_nowhere_is_null(expression: str, result: Any) -> None:
    """The schema of the action then decides whether null will do."""
    assert resolve({"$ref": expression}, {"s1": result}) is None
