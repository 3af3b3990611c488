"""What has changed since somebody looked: by field, as near as can be told, in words and as data, and never a secret."""

import pytest

from steward.differences import between, said
from steward.job import Difference


@pytest.mark.parametrize(
    ("before", "after", "differences"),
    [
        ({"to": "a"}, {"to": "a"}, []),
        ({"to": "a"}, {"to": "b"}, [("to", "a", "b")]),
        ({"to": ["a", "b"]}, {"to": ["a", "c"]}, [("to[1]", "b", "c")]),
        ({"to": ["a"]}, {"to": ["a", "b"]}, [("to", ["a"], ["a", "b"])]),
        (
            {"payload": {"sum": {"eur": 5}, "x": 1}},
            {"payload": {"sum": {"eur": 50}, "x": 1}},
            [("payload.sum.eur", 5, 50)],
        ),
        ({"n": 1}, {"n": 1.0}, []),
        ({"n": 1}, {"n": True}, [("n", 1, True)]),
        ({"a": {}}, {"a": []}, [("a", {}, [])]),
        ({"b": 1, "a": 1}, {"c": 1}, [("a", 1, None), ("b", 1, None), ("c", None, 1)]),
        (
            {"text": {"$ref": "steps.s1.result"}},
            {"text": {"$ref": "steps.s2.result"}},
            [("text", {"$ref": "steps.s1.result"}, {"$ref": "steps.s2.result"})],
        ),
    ],
)
def test_a_difference_is_told_where_it_is(
    before: dict[str, object], after: dict[str, object], differences: list[tuple[str, object, object]]
) -> None:
    """Fields of objects and places of lists, as deep as they are; an expression is one thing, and so is a list that grew."""
    assert between(before, after) == tuple(Difference(*one) for one in differences)


def test_what_is_told_is_short() -> None:
    """Long values and long names are cut, many differences are counted in the sentence."""
    (one,) = between({"k" * 300: "x" * 10_000}, {"k" * 300: ["y" * 10_000]})
    assert (len(one.field), len(one.before), len(one.after)) == (200, 81, 81)
    many = between({}, {f"f{place:02}": place for place in range(30)})
    assert len(many) == 30
    assert said(many[:2]) == " f00 was null and is 0; f01 was null and is 1."
    assert said(many).endswith("f04 was null and is 4; and 25 more.")
    assert said(()) == ""
