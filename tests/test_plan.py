"""Proposed plans: well formed by construction, or refused with the place and the reason."""

from typing import Any

import pytest
from pydantic import ValidationError

from steward.plan import MAX_DEPTH, MAX_PARAMS, MAX_PARAMS_CHARS, MAX_PROMPT_CHARS, MAX_STEPS, PlannedAction, PlanResult
from steward.redaction import REDACTED


def plan(*steps: dict[str, Any], **more: Any) -> PlanResult:
    """Return a proposed plan of these steps."""
    fields: dict[str, Any] = {
        "prompt": "Do it.",
        "intent": "To do it.",
        "explanation": "As asked.",
        "steps": list(steps),
    }
    return PlanResult(**{**fields, **more})


def step(action_id: str = "deeds.do", **more: Any) -> dict[str, Any]:
    """Return a step as JSON has it."""
    return {"action_id": action_id, **more}


def nested(levels: int) -> Any:
    """Return a value nested so many levels deep."""
    value: Any = "x"
    for _ in range(levels):
        value = [value]
    return value


def test_steps_are_numbered_and_positions_become_ids() -> None:
    """A step without an id is named by its place; what it depends on may be said by id or by position."""
    proposed = plan(step(), step(id="mine"), step(depends_on=[1, "s1"]))
    assert [item.id for item in proposed.steps] == ["s1", "mine", "s3"]
    assert proposed.steps[2].depends_on == ["s1", "mine"]


def test_references_imply_dependencies() -> None:
    """What a step reads it waits for, said or not, and said twice is once."""
    reading = step(
        params={"text": {"$ref": "steps.s1.result"}, "more": [{"$ref": "steps.s2.result.a"}]}, depends_on=["s1"]
    )
    assert plan(step(), step(), reading).steps[2].depends_on == ["s1", "s2"]


@pytest.mark.parametrize(
    ("steps", "says"),
    [
        ([step(id="a"), step(id="a")], "step ids must differ"),
        ([step(id="s2"), step()], "step ids must differ"),
        ([step(depends_on=["s1"])], "not an earlier step"),
        ([step(depends_on=[0])], "not earlier"),
        ([step(depends_on=[-1])], "not earlier"),
        ([step(), step(depends_on=[5])], "not earlier"),
        ([step(depends_on=["s2"]), step()], "not an earlier step"),
        ([step(params={"text": {"$ref": "steps.s2.result"}}), step()], "not an earlier step"),
        ([step(params={"text": {"$ref": "steps.s1.result"}})], "not an earlier step"),
        ([step(params={"text": {"$ref": "nonsense"}})], "/text"),
        ([step(params={"text": {"$eval": "1"}})], "/text"),
        ([step()] * (MAX_STEPS + 1), "at most 50"),
    ],
)
def test_w17_a_plan_that_does_not_hang_together_is_refused(steps: list[dict[str, Any]], says: str) -> None:
    """No cycles, no forward references, no doubles, no more steps than allowed."""
    with pytest.raises(ValidationError, match=says):
        plan(*steps)


@pytest.mark.parametrize(
    "fields",
    [
        {"action_id": None},
        {"action_id": 5},
        {"action_id": ""},
        {"action_id": "gmail.send\n"},
        {"action_id": "Gmail.Send"},
        {"action_id": "gmаil.send"},  # a Cyrillic letter
        {"action_id": "gmail"},
        {"action_id": "gmail..send"},
        {"action_id": "gmail.send\0"},
        {"action_id": "a." + "b" * 99},
        {"id": "s1\n"},
        {"id": "1s"},
        {"id": "S1"},
        {"id": "a" * 33},
        {"id": "s\0"},
        {"params": []},
        {"params": "text"},
        {"params": None},
        {"params": {str(number): 0 for number in range(MAX_PARAMS + 1)}},
        {"params": {"text": "x" * MAX_PARAMS_CHARS}},
        {"params": {"text": nested(MAX_DEPTH)}},
        {"params": {"text": "\x01" * (MAX_PARAMS_CHARS // 6)}},
        {"params": {"number": 2**53}},
        {"params": {"number": float("nan")}},
        {"params": {"text": "\ud800"}},
        {"params": {"text": b"bytes"}},
        {"params": {1: "a"}},
        {"params": {"$ref": "steps.s1.result"}},
        {"params": {"$for_each": [1, 2]}},
        {"depends_on": "s1"},
        {"depends_on": [True]},
        {"depends_on": [1.0]},
        {"depends_on": ["s1"] * (MAX_STEPS + 1)},
        {"description": "x" * 2001},
        {"unknown": 1},
    ],
    ids=lambda fields: str(fields)[:40],
)
def test_w17_w51_w141_a_malformed_step_is_refused(fields: dict[str, Any]) -> None:
    """Wrong types, sizes, depths and look-alikes: an error that can be shown, never a crash."""
    with pytest.raises(ValidationError):
        PlannedAction(**{**step(), **fields})


def test_w17_a_bottomless_value_is_refused_like_any_deep_one() -> None:
    """However deep, it costs no more than looking five levels down."""
    bottomless = nested(100_000)
    with pytest.raises(ValidationError, match="nested at most 5 deep") as caught:
        PlannedAction(action_id="deeds.do", params={"text": bottomless})
    assert caught.value.error_count() == 1


@pytest.mark.parametrize(
    "params",
    [
        {str(number): 0 for number in range(MAX_PARAMS)},
        {"text": nested(MAX_DEPTH - 1)},
        {"text": "x" * (MAX_PARAMS_CHARS - len('{"text":""}'))},
        {"text": "ä" * (MAX_PARAMS_CHARS - len('{"text":""}'))},
        {"text": "\x01" * ((MAX_PARAMS_CHARS - len('{"text":""}')) // 6)},
        {"number": 2**53 - 1},
    ],
    ids=["fifty", "five deep", "10 000 characters", "10 000 characters, not bytes", "10 000 escaped", "2^53-1"],
)
def test_w17_the_limits_themselves_are_allowed(params: dict[str, Any]) -> None:
    """A limit is the largest value that passes."""
    assert PlannedAction(action_id="deeds.do", params=params).params == params


@pytest.mark.parametrize(
    "fields",
    [
        {"prompt": ""},
        {"prompt": "x" * (MAX_PROMPT_CHARS + 1)},
        {"confidence": 1.1},
        {"confidence": float("nan")},
        {"intent": ""},
    ],
    ids=["blank", "long", "sure beyond 1", "nan", "no intent"],
)
def test_w142_a_malformed_plan_is_refused(fields: dict[str, Any]) -> None:
    """Prompt and confidence have bounds."""
    with pytest.raises(ValidationError):
        plan(step(), **fields)


def test_w139_a_safe_copy_masks_what_looks_secret() -> None:
    """At any depth, in plans and in steps, and the original is left alone."""
    proposed = plan(step(params={"headers": {"Authorization": "Bearer abc.def"}, "to": "office@example.com"}))
    safe = proposed.safe_dict()["steps"][0]
    assert safe["params"] == {"headers": {"Authorization": REDACTED}, "to": "office@example.com"}
    assert proposed.steps[0].safe_dict()["params"] == safe["params"]
    assert proposed.steps[0].params["headers"] == {"Authorization": "Bearer abc.def"}
