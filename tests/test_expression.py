"""Expressions: what counts as one, what it reads, and what it makes of what is there."""

from typing import Any

import pytest

from steward.errors import Invalid
from steward.expression import MAX_EXPRESSION_CHARS, MAX_TEMPLATE_CHARS, expressions, is_reference, resolve
from steward.functions import ExpressionFailed


def one(expression: Any, **more: Any) -> Any:
    """Return parameters with a single expression in ``text``."""
    return {"text": {"$ref": expression, **more}}


def scope(**results: Any) -> dict[str, Any]:
    """Return what expressions look at, with these results of steps."""
    return {
        "steps": {step_id: {"result": result} for step_id, result in results.items()},
        "ctx": {"today": "2026-03-04"},
    }


def value_of(expression: str, result: Any, **more: Any) -> Any:
    """Return the value of an expression where step ``s1`` returned ``result``."""
    return resolve({"$ref": expression}, {**scope(s1=result), **more})


@pytest.mark.parametrize(
    ("expression", "steps"),
    [
        ("steps.s1.result", ("s1",)),
        ("steps.s1.result.items[0].name", ("s1",)),
        ('steps.s1.result."with space"', ("s1",)),
        ("steps.s1.result[?a=='b'] | [0].email", ("s1",)),
        ("length(steps.s1.result)", ("s1",)),
        ("{a: steps.s1.result, b: steps.s2.result}", ("s1", "s2")),
        ("steps.s2.result || steps.s1.result", ("s2", "s1")),
        ("steps.s1.result.rows[?steps=='x']", ("s1",)),
        ("sort_by(steps.s1.result, &steps.x)", ("s1",)),
        ("lookup(steps.s1.result, &name, steps.s2.result.name)", ("s1", "s2")),
        ("ctx.today", ()),
        ("item.name", ()),
    ],
)
def test_an_expression_names_the_steps_it_reads(expression: str, steps: tuple[str, ...]) -> None:
    """Wherever in it they stand; a field of something that is called ``steps`` is no step."""
    (found,) = expressions(one(expression))
    assert (found.parameter, found.pointer, found.steps) == ("text", "/text", steps)


@pytest.mark.parametrize(
    "params",
    [
        one("steps"),
        one("steps.s1"),
        one("steps.s1.params"),
        one("s1.result"),
        one("steps[0].result"),
        one("steps.*.result"),
        one("keys(steps)"),
        one("steps | s1.result"),
        one("@"),
        one("@.steps.s1.result"),
        one("length(@)"),
        one("*"),
        one("[]"),
        one(""),
        one("steps.s1.result."),
        one("steps.s1.result["),
        one("steps.s1.result\0"),
        one("stеps.s1.result"),  # a Cyrillic letter
        one("no_such_function(steps.s1.result)"),
        one("only()"),
        one("only(steps.s1.result, steps.s1.result)"),
        one("sort_by(steps.s1.result, 'name')"),
        one("only(&a)"),
        one(5),
        one(None),
        one(["steps.s1.result"]),
        one("steps.s1.result" + ".a" * MAX_EXPRESSION_CHARS),
        one("steps.s1.result", other=1),
        {"text": {"$template": "Hi {name}", "vars": {}}},
        {"text": {"$template": "Hi", "vars": {"name": 1}}},
        {"text": {"$template": "Hi {name", "vars": {"name": 1}}},
        {"text": {"$template": "Hi {name!r}", "vars": {"name": 1}}},
        {"text": {"$template": "Hi {name:>9}", "vars": {"name": 1}}},
        {"text": {"$template": "Hi {name.secret}", "vars": {"name": 1}}},
        {"text": {"$template": 5}},
        {"text": {"$template": "x" * (MAX_TEMPLATE_CHARS + 1)}},
        {"text": {"$template": "x", "vars": []}},
        {"text": {"$template": "{a}", "vars": {"a": {"$ref": "steps"}}}},
        {"text": {"$ref ": "steps.s1.result"}},
        {"text": [{"deep": {"$eval": "1"}}]},
    ],
)
def test_what_cannot_be_right_anywhere_is_refused(params: dict[str, Any]) -> None:
    """Before anything else is looked at, and with its place."""
    with pytest.raises(Invalid) as caught:
        list(expressions(params))
    assert caught.value.stable_code == "invalid_reference"
    assert caught.value.errors[0].pointer.startswith("/text")


def test_expressions_are_found_at_any_depth_in_order() -> None:
    """Pointers are RFC 6901: '/' and '~' in a key are escaped."""
    params = {
        "a": [{"b/c": {"$ref": "steps.s1.result.x"}}, "literal"],
        "d~e": {"$template": "{x} and {y}", "vars": {"x": {"$ref": "steps.s2.result"}, "y": {"$ref": "ctx.now"}}},
        "plain": {"no": "dollar"},
    }
    found = list(expressions(params, "/steps/0/params"))
    assert [(expression.parameter, expression.pointer, expression.steps) for expression in found] == [
        ("a", "/steps/0/params/a/0/b~1c", ("s1",)),
        ("d~e", "/steps/0/params/d~0e", ("s2",)),
    ]
    assert found[1].roots == {"steps", "ctx"}


@pytest.mark.parametrize("value", [{}, {"ref": "x"}, "steps.s1.result", [], None, {1: 2}])
def test_literals_are_no_expressions(value: Any) -> None:
    """Only an object with a key that starts with a dollar sign is one."""
    assert not is_reference(value)


def test_resolving_replaces_expressions_and_nothing_else() -> None:
    """Values keep their types; what a result holds is never resolved again."""
    results = scope(s1={"items": [{"n": 1}, {"n": 2}], "sly": {"$ref": "steps.s2.result"}}, s2="secret")
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


def test_a_template_puts_values_into_a_text() -> None:
    """Texts as they are, lists of plain values by commas, nothing for null, the rest as JSON; braces are written twice."""
    template = {
        "$template": "Hi {name}: {list}{none} {all} {{as it is}}",
        "vars": {
            "name": {"$ref": "steps.s1.result.name"},
            "list": ["a", 1, True],
            "none": {"$ref": "steps.s1.result.nothing"},
            "all": {"$ref": "steps.s1.result"},
        },
    }
    assert resolve(template, scope(s1={"name": "{x}"})) == 'Hi {x}: a, 1, true {"name":"{x}"} {as it is}'


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
    assert value_of(expression, result) is None


ROWS = [
    {"id": 1, "who": "ann", "on": "2026-03-01"},
    {"id": 2, "who": "bob", "on": "2026-03-05"},
    {"id": 3, "who": "ann", "on": "2026-03-09"},
]


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("only(steps.s1.result[?who=='bob']).id", 2),
        ("lookup(steps.s1.result, &id, `3`).on", "2026-03-09"),
        ("best(steps.s1.result, &on).id", 3),
        ("difference(steps.s1.result[].who, ['bob'])", ["ann", "ann"]),
        ("group_count(steps.s1.result, &who)", [{"key": "ann", "count": 2}, {"key": "bob", "count": 1}]),
        (
            "urls('see https://a.example/x?y=1, and (http://b.example).') ",
            ["https://a.example/x?y=1", "http://b.example"],
        ),
        ("add_days('2026-02-28', `1`)", "2026-03-01"),
        ("add_days('2026-02-28T10:00', `-1`)", "2026-02-27T10:00"),
        ("add_minutes('2026-02-28 23:30', `45`)", "2026-03-01 00:15"),
        ("add_minutes('2026-02-28T23:30:00Z', `45`)", "2026-03-01T00:15:00Z"),
        ("day_of('2026-02-28T23:30')", "2026-02-28"),
        ("time_of('2026-02-28T23:30:10+02:00')", "23:30"),
        ("days_between('2026-02-28', '2026-03-02T01:00')", 2),
        ("subtract(`10.1`, `6`)", 4.1),
        ("subtract(`1`, `3`)", -2),
        ("multiply(`0.1`, `3`)", 0.3),
        ("round(sum([multiply(`1000`, `0.195`), `5.29`]), `2`)", 200.29),
        ("round(`2.675`, `2`)", 2.68),
        ("round(`3`, `0`)", 3),
        ("steps.s1.result[?on >= '2026-03-05'].id", [2, 3]),
    ],
)
def test_the_functions_that_plans_need(expression: str, value: Any) -> None:
    """Beside those of JMESPath."""
    assert value_of(expression, ROWS) == value


@pytest.mark.parametrize(
    "expression",
    [
        "only(steps.s1.result)",
        "only(steps.s1.result[?who=='eve'])",
        "lookup(steps.s1.result, &who, 'ann')",
        "best(steps.s1.result[?who=='ann'], &who)",
        "best(steps.s1.result, &nothing)",
        "best(`[]`, &id)",
        "group_count(steps.s1.result, &id)",
        "add_days('yesterday', `1`)",
        "add_days('2026-02-28', `99999999999`)",
        "add_minutes('9999-12-31T23:59', `5`)",
        "multiply(`1e308`, `1e308`)",
        "subtract(`1`, `9007199254740993`)",
        "round(`1`, `0.5`)",
        "round(`1`, `11`)",
        "sum(steps.s1.result)",
        "sort(steps.s1.result)",
        "join(',', steps.s1.result)",
    ],
)
def test_where_there_is_no_value_it_fails_in_words_of_its_own(expression: str) -> None:
    """It never guesses between two, and repeats nothing of what was read."""
    with pytest.raises(ExpressionFailed) as caught:
        value_of(expression, ROWS)
    assert "bob" not in caught.value.detail


@pytest.mark.parametrize(
    "expression",
    [
        "[steps.s1.result,steps.s1.result]" + " | [@,@]" * 60,
        "steps.s1.result" + " | to_string([@,@])" * 20,
        "steps.s1.result" + " | [@,@][]" * 40,
        "steps.s1.result" + " | {a: @, b: @}" * 30,
        "steps.s1.result" + " | join('', [to_string(@), to_string(@)])" * 10,
        "map(&map(&@, `[1,2]`), steps.s1.result)" + " | [@,@]" * 40,
        "(" * 100 + "steps.s1.result" + ")" * 100 + " | [@,@]" * 30,
    ],
)
def test_an_expression_that_explodes_is_stopped(expression: str) -> None:
    """What it costs is counted while it is worked out."""
    with pytest.raises(ExpressionFailed):
        value_of(expression, [{"n": n, "text": "x" * 50} for n in range(400)])


def test_a_template_that_explodes_is_stopped() -> None:
    """Its length is bounded like that of every text on the way."""
    template = {"$template": "{a}" * 1000, "vars": {"a": {"$ref": "steps.s1.result"}}}
    with pytest.raises(ExpressionFailed):
        resolve(template, scope(s1="x" * 60_000))
