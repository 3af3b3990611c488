"""The error tree: stable codes, their statuses, and messages that are whole sentences."""

import re

import pytest

from steward import errors
from steward.errors import FieldProblem, Invalid, StewardError


def every_error() -> list[type[StewardError]]:
    """Return the whole tree."""
    found, todo = [], [StewardError]
    while todo:
        kind = todo.pop()
        found.append(kind)
        todo += kind.__subclasses__()
    return [kind for kind in found if kind.__module__ == errors.__name__]


@pytest.mark.parametrize("kind", every_error())
def test_every_error_has_a_code_a_status_and_a_sentence(kind: type[StewardError]) -> None:
    """Clients match on the code, so each is a snake_case word; the docstring serves as the message."""
    assert re.fullmatch(r"[a-z][a-z_]*", kind.code)
    assert 400 <= kind.status <= 504
    detail = kind().detail
    assert detail.endswith(".")
    assert "\n" not in detail
    assert str(kind()) == detail


def test_codes_differ() -> None:
    """Two classes never share a code."""
    codes = [kind.code for kind in every_error() if kind is not StewardError and "code" in vars(kind)]
    assert len(set(codes)) == len(codes)


def test_an_instance_may_narrow_its_code_and_carry_facts() -> None:
    """The status stays the class's."""
    error = Invalid("Too long.", code="too_long", errors=[FieldProblem("/a", "too long")], facts={"step": "s1"})
    assert (error.stable_code, error.status, error.facts) == ("too_long", 422, {"step": "s1"})
    assert [problem.as_dict() for problem in error.errors] == [{"pointer": "/a", "detail": "too long"}]
    assert Invalid().stable_code == "invalid"


def test_the_tree_is_drawn_as_it_is() -> None:
    """The picture at the top of the module names every class."""
    assert errors.__doc__ is not None
    for kind in every_error():
        assert kind.__name__ in errors.__doc__
