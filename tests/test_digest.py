"""The one canonical form that is hashed: equal for equal JSON, different for different, refused when JSON cannot hold it."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steward.digest import canonical_fields, canonical_json, sha256_of, sha256_of_ordered
from steward.errors import Invalid

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(-(2**53) + 1, 2**53 - 1)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda items: (
        st.lists(items, max_size=4)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), items, max_size=4)
    ),
    max_leaves=12,
)


@given(JSON)
def test_any_json_has_a_digest_that_survives_a_round_trip(value: Any) -> None:
    """What comes back from the canonical bytes has the same digest."""
    from pydantic_core import from_json

    assert sha256_of(from_json(canonical_json(value))) == sha256_of(value)


@given(JSON)
def test_the_fast_way_writes_what_the_standard_says(value: Any) -> None:
    """Whatever way it takes, the bytes are those of the RFC 8785 library."""
    import rfc8785

    assert canonical_json(value) == rfc8785.dumps(value)


@given(st.dictionaries(st.text(st.characters(codec="ascii")), st.none() | st.integers(0, 2**53 - 1) | TEXTS))
def test_a_flat_object_may_take_the_fastest_way(fields: dict[str, Any]) -> None:
    """It writes the same bytes."""
    assert canonical_fields(fields) == canonical_json(fields)


@given(st.dictionaries(st.text(st.characters(codec="ascii")), JSON))
def test_an_object_in_order_has_the_same_digest(fields: dict[str, Any]) -> None:
    """To know the order already makes it quicker, and nothing else."""
    assert sha256_of_ordered({name: fields[name] for name in sorted(fields)}) == sha256_of(fields)


def test_order_of_keys_does_not_matter_and_everything_else_does() -> None:
    """RFC 8785: sorted keys, no spaces, numbers by value."""
    assert canonical_json({"b": 1, "a": [1.0, "é", True]}) == '{"a":[1,"é",true],"b":1}'.encode()
    assert sha256_of({"a": 1, "b": 2}) == sha256_of({"b": 2, "a": 1})
    different = [None, False, 0, "", "0", [], {}, [0], [[]], {"a": None}, {"a": 0}, {"b": 0}, "é", "e\u0301"]
    assert len({sha256_of(value) for value in different}) == len(different)


def test_the_digest_is_sha256_in_hex() -> None:
    """A value anybody can check with another program."""
    assert sha256_of({}) == "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (2**53, "inexact_number"),
        (-(2**53), "inexact_number"),
        (10**400, "inexact_number"),
        (float("nan"), "inexact_number"),
        (float("inf"), "inexact_number"),
        ("\ud800", "not_json"),
        ({"\udfff": 1}, "not_json"),
        ({1: "a"}, "not_json"),
        ({1: "a", "b": "c"}, "not_json"),
        ({None: "a"}, "not_json"),
        (b"bytes", "not_json"),
        ({"a", "b"}, "not_json"),
        (object(), "not_json"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_json_cannot_hold_exactly_is_refused(value: Any, code: str) -> None:
    """Two different things must never share a digest; the sentence says what to send instead."""
    with pytest.raises(Invalid) as caught:
        canonical_json({"value": value})
    assert caught.value.stable_code == code


def test_a_bottomless_value_is_refused() -> None:
    """Nesting beyond what anybody's stack holds is not JSON to us, and no crash."""
    value: Any = []
    for _ in range(100_000):
        value = [value]
    for digest in (canonical_json, lambda deep: sha256_of_ordered({"value": deep})):
        with pytest.raises(Invalid) as caught:
            digest(value)
        assert caught.value.stable_code == "not_json"
