"""Labels through expressions: what is found before the run holds during it, and no expression loses a label."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steward.errors import Invalid
from steward.expression import resolve, shape_in
from steward.functions import ExpressionFailed
from steward.provenance import Label, at_least, join
from steward.shape import Shape, labels_in, shape_of, shape_of_value

T, E, S, U = Label
MAIL = {
    "type": "object",
    "properties": {
        "mails": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "id": {"type": "string"},
                    "sender": {"type": "string"},
                    "subject": {"type": "string"},
                    "body": {"type": ["string", "null"]},
                    "size": {"type": "integer"},
                },
                "additionalProperties": False,
            },
        },
        "account": {"type": "string"},
    },
    "additionalProperties": False,
}
LABELS = {"mails": S, "mails[].subject": U, "mails[].body": U, "account": T}
INBOX = {**LABELS, "mails[?]": U}
"""The same, where others decide which mails there are."""


def looking_at(result: Shape) -> Shape:
    """Return what expressions look at where step ``s1`` returns something like this."""
    closed: Any = {"label": T, "types": frozenset({"object"}), "open": False}
    step = Shape(fields={"result": result}, **closed)
    return Shape(fields={"steps": Shape(fields={"s1": step}, **closed)}, **closed)


def label_of(expression: str, labels: dict[str, Label] = LABELS) -> Label:
    """Return the label of an expression over the mails, before the run."""
    return shape_in({"$ref": expression}, looking_at(shape_of(MAIL, labels)), "/x").whole


M = "steps.s1.result.mails"


@pytest.mark.parametrize(
    ("expression", "label"),
    [
        ("steps.s1.result.account", T),
        (f"{M}[0].id", S),
        (f"{M}[0].body", U),
        (f"{M}[*].sender", S),
        (f"{M}[].[id, subject]", U),
        (f"{M}[0].{{a: id, b: size}}", S),
        (f"{M}[0].{{a: id, b: size, c: body}}", U),
        # choosing counts
        (f"{M}[?size > `5`] | [0].id", S),
        (f"{M}[?subject == 'x'] | [0].id", U),
        (f"{M}[?contains(body, 'x')].sender", U),
        (f"sort_by({M}, &size)[0].id", S),
        (f"sort_by({M}, &subject)[0].id", U),
        (f"max_by({M}, &body).id", U),
        (f"best({M}, &size).id", S),
        (f"{M}[?body].id", U),
        (f"({M}[0].body && {M}[0].id)", U),
        (f"{M}[0].body || {M}[0].id", U),
        (f"not_null({M}[0].body, {M}[0].id)", U),
        (f"length({M})", S),
        (f"length({M}[?contains(subject, 'x')])", U),
        (f"difference({M}[*].id, {M}[*].subject)", U),
        (f"group_count({M}, &subject)", U),
        (f"group_count({M}, &sender)", S),
        (f"to_string({M}[0])", U),
        (f"urls({M}[0].body)", U),
        (f"type({M}[0].body)", U),
        # naming: the one that meets a condition, or failure
        (f"only({M}[?subject == 'Invoice']).id", E),
        (f"only({M}[?subject == 'Invoice']).body", U),
        (f"only({M}[?id == 'x'].sender)", E),
        (f"lookup({M}, &subject, 'x').id", E),
        (f"lookup({M}, &id, steps.s1.result.account).sender", E),
        (f"lookup({M}, &id, {M}[0].body).sender", U),
        (f"lookup({M}, &id, {M}[0].id).sender", S),
        # and what is no naming
        (f"only([{M}[0].id])", S),
        (f"only({M}[0:1]).id", S),
        (f"only(sort_by({M}, &subject)[-1:]).id", U),
        (f"only(to_array({M}[0].id))", S),
        (f"only(difference({M}, {M}[?body == 'x'])).id", U),
        (f"only(values({{a: {M}[0].id}}))", S),
        (f"only(group_count({M}, &sender)).key", S),
        (f"only([{M}[0:1]][]).id", S),
    ],
)
def test_what_an_expression_makes_of_labels(expression: str, label: Label) -> None:
    """The least trusted of what it is made of and of what decided it, except where exactly one could be meant."""
    assert label_of(expression) is label


@pytest.mark.parametrize(
    ("expression", "label"),
    [
        (f"{M}[0].id", U),
        (f"{M}[-1:].id", U),
        (f"sort_by({M}, &size)[0].id", U),
        (f"best({M}, &size).id", U),
        (f"length({M})", U),
        (f"sum({M}[*].size)", U),
        (f"only({M}[0:1]).id", U),
        (f"only({M}[?sender == 'x']).id", E),
        (f"lookup({M}, &id, 'x').sender", E),
        (f"only({M}).id", E),
        ("steps.s1.result.account", T),
    ],
)
def test_where_others_can_add_to_a_list_a_place_in_it_is_theirs_and_a_name_is_not(
    expression: str, label: Label
) -> None:
    """Whoever sends one more decides which is the first; which is the only one of a name, nobody else does."""
    assert label_of(expression, INBOX) is label
    here = shape_of_value({"mails": [{"id": "1", "sender": "x", "size": 1}], "account": "me"}, INBOX)
    assert at_least(shape_in({"$ref": expression}, looking_at(here), "/x").whole, label)


@pytest.mark.parametrize(
    ("expression", "says"),
    [
        ("steps.s1.result.nothing", "there are account, mails"),
        (f"{M}.id", "no field 'id'"),
        ("steps.s1.result.account.x", "no field 'x'"),
        ("steps.s1.result.account[0]", "list only"),
        ("steps.s1.result.account[*].x", "list only"),
        ("steps.s1.result[?x=='y']", "list only"),
        (f"only({M}[0])", "list only"),
        ("steps.s2.result", "no field 's2'"),
    ],
)
def test_what_cannot_lead_anywhere_is_refused_before_the_run(expression: str, says: str) -> None:
    """With what there is instead."""
    with pytest.raises(Invalid) as caught:
        label_of(expression)
    assert says in caught.value.errors[0].detail


def test_labels_are_kept_by_path_and_come_back() -> None:
    """A longer path only where it differs; what is stored with a value says the same of it afterwards."""
    value = {"mails": [{"id": "1", "subject": "x"}], "account": "me"}
    shape = shape_of_value(value, LABELS)
    assert labels_in(shape) == {"": U, "mails": S, "mails[].subject": U, "account": T}
    assert shape_of_value(value, labels_in(shape)) == shape


def test_a_name_that_could_be_a_path_is_none() -> None:
    """Whoever can choose the name of a field cannot choose its label."""
    sly = {"mails[].id": "x", "mails": [], "mails.id": "y", "": "z"}
    shape = shape_of_value(sly, {"mails": S, "mails[].id": S, "mails.id": S})
    assert [shape.fields[name].whole for name in ("mails[].id", "mails.id", "")] == [U, U, U]
    kept = labels_in(shape_of_value({"a": 1, "b.c": 2}, {"": T}).tainted())
    assert kept == {"": T}


def test_a_schema_that_refers_to_itself_ends() -> None:
    """A tree of folders, say; what is deeper than is told apart has the least label there is below."""
    schema = {
        "$ref": "#/$defs/n",
        "$defs": {"n": {"type": "object", "properties": {"n": {"$ref": "#/$defs/n"}, "x": {}}}},
    }
    assert shape_of(schema, {"": S, "n.x": U}).whole is U


# -- properties -------------------------------------------------------------------------------------------------------

_NAMES = st.sampled_from(["id", "sender", "subject", "body", "size"])
_CONDITIONS = st.one_of(
    _NAMES,
    st.builds("{} == '{}'".format, _NAMES, st.sampled_from(["a", "b", ""])),
    st.builds("size > `{}`".format, st.integers(0, 3)),
    st.builds("contains(to_string({}), 'a')".format, _NAMES),
    st.builds("!{}".format, _NAMES),
)


def _lists(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.builds("({}[?{}])".format, inner, _CONDITIONS),
        st.builds("sort_by({}, &to_string({}))".format, inner, _NAMES),
        st.builds("reverse({})".format, inner),
        st.builds("({}[{}:])".format, inner, st.integers(-2, 2)),
        st.builds("({}[*])".format, inner),
        st.builds("difference({0}, {0}[?{1}])".format, inner, _CONDITIONS),
        st.builds("map(&@, {})".format, inner),
        st.builds("([{0}, {0}][])".format, inner),
    )


LISTS = st.recursive(st.just(M), _lists, max_leaves=4)
ONES = st.one_of(
    st.builds("{}[{}]".format, LISTS.map("({})".format), st.integers(-2, 2)),
    st.builds("only({})".format, LISTS),
    st.builds("max_by({}, &to_string({}))".format, LISTS, _NAMES),
    st.builds("best({}, &to_string({}))".format, LISTS, _NAMES),
    st.builds("lookup({}, &{}, 'a')".format, LISTS, _NAMES),
)
PARTS = st.one_of(
    st.builds("{}.{}".format, ONES, _NAMES),
    st.builds("({0}.{1} || {0}.{2})".format, ONES, _NAMES, _NAMES),
    st.builds("({0}.{1} && {0}.{2})".format, ONES, _NAMES, _NAMES),
    st.builds("{}[*].{}".format, LISTS.map("({})".format), _NAMES),
    st.builds("length({})".format, LISTS),
    st.builds("{}.{{a: {}, b: {}}}".format, ONES, _NAMES, _NAMES),
    st.builds("group_count({}, &to_string({}))".format, LISTS, _NAMES),
    st.builds("join(',', {}[*].to_string({}))".format, LISTS.map("({})".format), _NAMES),
)
EXPRESSIONS = PARTS.filter(lambda text: len(text) <= 500)
SEEN = st.fixed_dictionaries(
    {"id": st.sampled_from("abc"), "sender": st.sampled_from("abc"), "size": st.integers(0, 4)}
)
WRITTEN = st.fixed_dictionaries(
    {"subject": st.sampled_from(["a", "b", ""]), "body": st.none() | st.sampled_from(["a", "b", ""])}
)


def outcome(expression: str, mails: list[dict[str, Any]]) -> Any:
    """Return the value of an expression over these mails; ``failed`` if there is none."""
    result = {"mails": mails, "account": "me"}
    try:
        return resolve({"$ref": expression}, {"steps": {"s1": {"result": result}}})
    except ExpressionFailed:
        return "failed"


@pytest.mark.slow
@settings(max_examples=400, deadline=None)
@given(EXPRESSIONS, st.lists(st.tuples(SEEN, WRITTEN, WRITTEN), max_size=4))
def test_no_expression_loses_a_label(expression: str, mails: list[tuple[Any, Any, Any]]) -> None:
    """Whatever others write instead: a value that is not marked as theirs stays the same, or the step fails."""
    one = outcome(expression, [{**seen, **first} for seen, first, _ in mails])
    other = outcome(expression, [{**seen, **second} for seen, _, second in mails])
    named = any(word in expression for word in ("only(", "lookup("))
    if one != other and "failed" not in {str(one), str(other)} and not named:
        assert label_of(expression) is U


@settings(max_examples=300, deadline=None)
@given(EXPRESSIONS, st.lists(st.tuples(SEEN, WRITTEN, st.booleans()), max_size=4))
def test_no_expression_hides_who_decided_what_is_in_a_list(expression: str, mails: list[tuple[Any, Any, bool]]) -> None:
    """Whatever others add to a list: a value that is not marked as theirs stays the same, or the step fails."""
    one = outcome(expression, [{**seen, **written} for seen, written, _ in mails])
    other = outcome(expression, [{**seen, **written} for seen, written, added in mails if not added])
    named = any(word in expression for word in ("only(", "lookup("))
    if one != other and "failed" not in {str(one), str(other)} and not named:
        assert label_of(expression, INBOX) is U


@settings(max_examples=300, deadline=None)
@given(EXPRESSIONS, st.lists(st.tuples(SEEN, WRITTEN), max_size=4))
def test_what_is_found_during_the_run_was_known_before(expression: str, mails: list[tuple[Any, Any]]) -> None:
    """A label of a real value is never less trusted than what was said of it before."""
    result = {"mails": [{**seen, **written} for seen, written in mails], "account": "me"}
    before = label_of(expression)
    during = shape_in({"$ref": expression}, looking_at(shape_of_value(result, LABELS)), "/x", strict=False).whole
    assert at_least(during, before)


@given(st.lists(st.sampled_from(list(Label)), max_size=5))
def test_labels_join_to_the_least(labels: list[Label]) -> None:
    """Whatever their order."""
    assert all(at_least(label, join(labels)) for label in labels)
    assert join(labels) in {*labels, T}
