"""Whatever a planner or a caller proposes: a valid plan or a plain refusal. The same for expressions, cursors and ids."""

import math
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from steward.clock import SystemClock
from steward.digest import canonical_json
from steward.errors import Invalid, InvalidCursor
from steward.event import event_id, event_sequence
from steward.expression import expressions, resolve
from steward.functions import ExpressionFailed
from steward.ids import IdFactory, is_id
from steward.plan import MAX_DEPTH, MAX_PARAMS, MAX_PARAMS_CHARS, MAX_STEPS, PlannedAction, PlanResult
from steward.vault import Vault
from steward.workspace import canonical_workspace_id
from tests.fuzz.service import examples

ANY_TEXT = st.text(st.characters(codec=None), max_size=40)
"""Lone surrogates and control characters included."""
REFERENCES = st.one_of(
    ANY_TEXT,
    st.sampled_from(
        ["steps.s1.result", "steps.s1.result.a[0].b", 'steps."s1".result', "steps.s1.result[-1]", "steps[0]"]
    ),
    st.lists(
        st.sampled_from(
            ["steps", "s1", "result", ".", "[0]", "[*]", "|", "@", "&", "`1`", "'x'", '"', "$", "!", "(", ")"]
        ),
        max_size=9,
    ).map("".join),
)
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | ANY_TEXT,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(ANY_TEXT | st.sampled_from(["$ref", "$template"]), inner, max_size=4)
        | st.builds(lambda path: {"$ref": path}, REFERENCES)
    ),
    max_leaves=20,
)
NEARLY_A_STEP = st.fixed_dictionaries(
    {"action_id": st.sampled_from(["a.b", "file.read", "compute"]) | ANY_JSON},
    optional={
        "id": st.sampled_from(["s1", "s2", "s3", "", "S", "s1\n"]) | ANY_JSON,
        "description": ANY_JSON,
        "params": st.dictionaries(st.sampled_from(["a", "b", "to"]), ANY_JSON, max_size=3) | ANY_JSON,
        "depends_on": st.lists(st.sampled_from(["s1", "s2", 0, 1, -1, 99, True, None]), max_size=3) | ANY_JSON,
    },
)
NEARLY_A_PLAN = st.fixed_dictionaries(
    {
        "prompt": st.just("x") | ANY_JSON,
        "intent": st.just("x") | ANY_JSON,
        "explanation": st.just("x") | ANY_JSON,
        "steps": st.lists(NEARLY_A_STEP, max_size=5) | ANY_JSON,
    },
    optional={"confidence": st.floats() | st.sampled_from([0, 1, True, "1"]) | ANY_JSON},
)
VAULT = Vault(["a secret key for tests that is long enough", "an older one that is still opened with here"])


def deepest(value: Any) -> int:
    """Return how many containers are inside each other, a reference counting as a value."""
    if isinstance(value, dict) and any(key.startswith("$") for key in value):
        value = value.get("vars")
    if not isinstance(value, dict | list):
        return 0
    return 1 + max((deepest(item) for item in (value.values() if isinstance(value, dict) else value)), default=0)


def assert_well_formed(plan: PlanResult) -> None:
    """Check every rule that the rest of the house relies on."""
    ids = [step.id for step in plan.steps]
    assert len(set(ids)) == len(ids) <= MAX_STEPS
    assert 0 <= plan.confidence <= 1
    for position, step in enumerate(plan.steps):
        assert set(step.depends_on) <= set(ids[:position])
        assert {read for found in step.expressions() for read in found.steps} <= set(step.depends_on)
        assert len(step.params) <= MAX_PARAMS
        assert deepest(step.params) <= MAX_DEPTH + 1
        assert len(canonical_json(step.params).decode()) <= MAX_PARAMS_CHARS
    assert PlanResult.model_validate(plan.model_dump()) == plan
    plan.model_dump_json()
    plan.safe_dict()


@examples(150)
@given(NEARLY_A_PLAN | ANY_JSON)
def test_any_json_is_a_plan_or_is_refused(value: Any) -> None:
    """A plan that keeps every rule, or ``ValidationError``; never another exception."""
    try:
        plan = PlanResult.model_validate(value)
    except ValidationError:
        return
    assert_well_formed(plan)


@examples(150)
@given(
    st.recursive(
        st.lists(st.integers() | st.floats(), max_size=2),
        lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.just("k"), inner),
        max_leaves=8,
    )
)
def test_parameters_are_bounded_in_depth_and_exact(value: Any) -> None:
    """What is kept comes back as it was from its canonical form; what is too deep or inexact is refused."""
    try:
        step = PlannedAction(action_id="a.b", params={"value": value})
    except ValidationError:
        assert deepest({"value": value}) > MAX_DEPTH or not exact(value)
        return
    assert exact(step.params["value"])


def exact(value: Any) -> bool:
    """Say whether every number inside can be kept by JSON everywhere."""
    if isinstance(value, dict | list):
        return all(exact(item) for item in (value.values() if isinstance(value, dict) else value))
    return abs(value) <= 2**53 - 1 if isinstance(value, int) else math.isfinite(value)


@pytest.mark.parametrize("levels", [MAX_DEPTH + 1, 100, 5_000, 200_000])
@pytest.mark.parametrize("kind", [list, dict])
def test_however_deep_it_is_refused_without_harm(levels: int, kind: type) -> None:
    """Depth costs no recursion: what is far too deep is refused like what is a little too deep."""
    value: Any = 1
    for _ in range(levels):
        value = [value] if kind is list else {"k": value}
    with pytest.raises(ValidationError, match="nested"):
        PlannedAction(action_id="a.b", params={"value": value})


@examples(300)
@given(REFERENCES, st.dictionaries(st.sampled_from(["s1", "s2"]), ANY_JSON, max_size=2))
def test_any_text_is_an_expression_or_is_refused(path: str, results: dict[str, Any]) -> None:
    """``Invalid``, or an expression that has a value or plainly none, whatever the results."""
    params = {"to": {"$ref": path}}
    try:
        (found,) = expressions(params)
    except Invalid:
        return
    assert found.value == params["to"]
    with suppress(ExpressionFailed):
        resolve(params, {"steps": {step_id: {"result": result} for step_id, result in results.items()}})


@examples(150)
@given(st.dictionaries(ANY_TEXT, ANY_JSON, max_size=4), st.dictionaries(st.sampled_from(["s1"]), ANY_JSON))
def test_what_is_read_as_expressions_resolves(params: dict[str, Any], results: dict[str, Any]) -> None:
    """Anything at all is refused as a whole, or resolved with every literal left as it is."""
    try:
        found = list(expressions(params))
        scope = {"steps": {step_id: {"result": result} for step_id, result in results.items()}}
        resolved = {name: resolve(value, scope) for name, value in params.items()}
    except (Invalid, ExpressionFailed):
        return
    if not found:
        assert repr(resolved) == repr(params)


@examples(300)
@given(st.text(max_size=80) | ANY_TEXT | st.binary(max_size=60).map(lambda raw: raw.decode("latin-1")))
def test_no_text_is_a_cursor(text: str) -> None:
    """Only what was given out is one."""
    with pytest.raises(InvalidCursor):
        VAULT.read_cursor(text, workspace_id="acme")


@examples(200)
@given(
    st.dictionaries(
        st.text(max_size=10), st.text(max_size=30) | st.none() | st.integers(-(2**53) + 1, 2**53 - 1), max_size=4
    ),
    st.integers(0, 400),
    st.characters(codec="ascii"),
)
def test_a_cursor_comes_back_unless_anything_is_changed(payload: dict[str, Any], place: int, letter: str) -> None:
    """Round trip in its workspace; another workspace, any other letter at any place, a longer or shorter text: refused."""
    cursor = VAULT.sign_cursor(payload, workspace_id="acme")
    assert VAULT.read_cursor(cursor, workspace_id="acme") == payload
    place %= len(cursor)
    changed = cursor[:place] + letter + cursor[place + 1 :]
    others = {changed, cursor + letter, cursor[:place] + letter + cursor[place:], cursor[:-1], cursor[1:]} - {cursor}
    for other in others:
        with pytest.raises(InvalidCursor):
            VAULT.read_cursor(other, workspace_id="acme")
    for workspace_id in ("beta", "acme2", "", "acm"):
        with pytest.raises(InvalidCursor):
            VAULT.read_cursor(cursor, workspace_id=workspace_id)


@examples(200)
@given(ANY_TEXT | st.integers() | st.none() | st.binary())
def test_no_value_is_an_id_by_accident(value: object) -> None:
    """Ids, event ids and workspace ids are told from anything else without an exception."""
    assert not is_id(value, "job")
    assert event_sequence(value) is None
    known = canonical_workspace_id(value)
    assert known is None or known.isascii()


@examples(100)
@given(st.from_regex(r"\A(job|plan)_[0-9a-z]{23,25}[\n ]?\Z"), st.sampled_from(["job", "plan", "evt"]))
def test_an_id_has_one_exact_form(text: str, prefix: str) -> None:
    """Whole string, right prefix, right length, right letters, nothing after it."""
    body = text.removeprefix(f"{prefix}_")
    good = text.startswith(f"{prefix}_") and len(body) == 24 and not set(body) & set("ilou\n ")
    assert is_id(text, prefix) == good


@examples(50)
@given(st.integers(0, 10**16 - 1))
def test_an_event_id_comes_back(sequence: int) -> None:
    """The number inside an event id is the number it was made from."""
    assert event_sequence(event_id(sequence)) == sequence


def test_many_ids_are_different_and_in_order() -> None:
    """As many as a busy second needs."""
    made = IdFactory(SystemClock())
    ids = [made.new("job") for _ in range(20_000)]
    assert ids == sorted(set(ids))
    assert all(is_id(one, "job") for one in ids)
