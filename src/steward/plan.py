"""Plans as a planner proposes them and as the store keeps them.

``PlanResult`` is the proposal: what a planner (or a caller who posts actions) wants done, well formed by construction.
``PlanRecord`` is the checked plan with its decisions and digest, as a store keeps it.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Final

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    field_validator,
    model_validator,
)
from pydantic_core import to_json

from steward.action import is_action_id
from steward.digest import CanonicalJson, canonical_json, in_order
from steward.errors import FieldProblem, Invalid
from steward.expression import VARS, Expression, expressions, is_reference
from steward.redaction import redact

MAX_STEPS: Final = 50
MAX_PARAMS: Final = 50
MAX_DEPTH: Final = 5
MAX_PARAMS_CHARS: Final = 10_000
MAX_PROMPT_CHARS: Final = 4_000
MAX_TEXT_CHARS: Final = 2_000
MAX_RESULT_BYTES: Final = 64 * 1024
MAX_JOBS_PER_PLAN: Final = 500
MAX_EACH: Final = 100
"""Times that one step may run for each of a list."""
MAX_FURTHER: Final = 20
"""Steps that are planned at once during a run."""
MAX_REPLANS: Final = 5
"""Times that a plan may be planned further while it runs."""
REPLAN: Final = "plan.replan"
"""The action that has further steps planned, once something was read."""
ANSWER: Final = "answer"
"""The id of the step that makes the final answer."""
_TEXT: Final = frozenset({str})
_ESCAPED: Final = len(r"\u0000")
"""The most characters that one takes in JSON."""
_AROUND: Final = len('"":"",')
"""The characters around the name and the text of a parameter."""
_STEP_ID: Final = re.compile(r"[a-z][a-z0-9_]{0,31}")


class PlanStatus(StrEnum):
    """Where a plan is. Every state has its sentence and its edges in ``docs/explanation/states.md``."""

    DRAFT = "draft"
    NEEDS_INPUT = "needs_input"
    AWAITING_APPROVAL = "awaiting_approval"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    REJECTED = "rejected"
    EXPIRED = "expired"


def _deeper_than(value: Any, levels: int) -> bool:
    """Say whether ``value`` is nested deeper than ``levels``, looking no deeper than that."""
    if is_reference(value):
        value = value.get(VARS)
    if isinstance(value, str) or not isinstance(value, (list, Mapping)):
        return False
    items = value.values() if isinstance(value, Mapping) else value
    return levels == 0 or any(_deeper_than(item, levels - 1) for item in items)


def _surely_bounded(params: Mapping[str, Any]) -> bool:
    """Say whether parameters surely keep the other bounds, without writing them as JSON: most are a few short texts in ASCII."""
    if not _TEXT.issuperset(map(type, params.values())):
        return False
    text = "".join((*params, *params.values()))
    return text.isascii() and _ESCAPED * len(text) + _AROUND * (1 + len(params)) <= MAX_PARAMS_CHARS


def _one_of(kinds: str) -> WrapValidator:
    """Return what refuses a value of no kind in one sentence about its place; pydantic has one for each, about places of its own."""

    def fits(value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
        try:
            return handler(value)
        except ValidationError:
            raise ValueError(f"it must be {kinds}") from None

    return WrapValidator(fits)


class PlannedAction(BaseModel):
    """One step as proposed: an action with parameters that are literals or references to earlier results."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    id: str = ""
    """Step id, ``[a-z][a-z0-9_]*``, at most 32 characters; blank: ``s1``, ``s2``… by position."""
    action_id: str
    description: Annotated[str, Field(max_length=MAX_TEXT_CHARS)] = ""
    params: dict[str, Any] = Field(default_factory=dict)
    depends_on: list[Annotated[str | int, _one_of("the id of a step or its position")]] = Field(
        default_factory=list, max_length=MAX_STEPS
    )
    """Ids or positions (from 0) of earlier steps; those that references imply are added."""
    when: dict[str, Any] | None = None
    """An expression; where it is false when the step's turn comes, the step is skipped."""
    for_each: Annotated[dict[str, Any] | list[Any] | None, _one_of("an expression or a list")] = None
    """A list, mostly an expression: the step runs once for each element, which its parameters call ``item``."""

    @field_validator("when", "for_each")
    @classmethod
    def _expression(cls, value: Any, info: ValidationInfo) -> Any:
        if isinstance(value, dict) and not is_reference(value):
            raise ValueError(f'\'{info.field_name}\' is an expression: {{"$ref": "…"}}')
        if isinstance(value, list) and (len(value) > MAX_EACH or any(map(is_reference, value))):
            raise ValueError(
                f"a list to run for each of is at most {MAX_EACH} values that are written out, or an expression"
            )
        return value

    @field_validator("id")
    @classmethod
    def _step_id(cls, value: str) -> str:
        if value and not _STEP_ID.fullmatch(value):
            raise ValueError("a step id is a-z, 0-9 and _, starting with a letter, at most 32 characters")
        return value

    @field_validator("action_id")
    @classmethod
    def _action_id(cls, value: str) -> str:
        if not is_action_id(value):
            raise ValueError("an action id is 'provider.name' in lower case")
        return value

    @field_validator("params")
    @classmethod
    def _bounded(cls, value: dict[str, Any]) -> dict[str, Any]:
        if len(value) > MAX_PARAMS:
            raise ValueError(f"at most {MAX_PARAMS} parameters")
        if any(name.startswith("$") for name in value):
            raise ValueError("a parameter's name does not begin with '$': an expression is the value of a parameter")
        if _surely_bounded(value):
            return value
        if _deeper_than(value, MAX_DEPTH):
            raise ValueError(f"parameters are nested at most {MAX_DEPTH} deep")
        try:
            size = len(canonical_json(value).decode())
        except Invalid as error:
            raise ValueError(error.detail) from error
        if size > MAX_PARAMS_CHARS:
            raise ValueError(f"parameters are at most {MAX_PARAMS_CHARS} characters as JSON")
        return value

    def expressions(self) -> list[Expression]:
        """Return every expression of the step; raise ``Invalid`` for one that is malformed or looks at what it cannot see."""
        inside = list(expressions(self.params))
        written = {name: value for name, value in (("when", self.when), ("for_each", self.for_each)) if value}
        around = list(expressions(written)) if written else []
        for found in [*around, *([] if self.for_each is not None else inside)]:
            if "item" in found.roots:
                problem = (
                    "'item' is one of the list that a step runs for each of, and can be used in its parameters only."
                )
                raise Invalid(problem, errors=[FieldProblem(found.pointer, problem)], code="invalid_reference")
        return [*around, *inside]

    def safe_dict(self) -> dict[str, Any]:
        """Return the step as a dict with whatever looks secret redacted, at any depth."""
        return redact(self.model_dump())


class PlanResult(BaseModel):
    """A proposed plan: steps in order, each depending on earlier ones only. No steps at all is a question back."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    prompt: Annotated[str, Field(min_length=1, max_length=MAX_PROMPT_CHARS)]
    intent: Annotated[str, Field(min_length=1, max_length=MAX_TEXT_CHARS)]
    steps: list[PlannedAction] = Field(default_factory=list, max_length=MAX_STEPS)
    confidence: Annotated[float, Field(ge=0, le=1)] = 1.0
    explanation: Annotated[str, Field(min_length=1, max_length=MAX_TEXT_CHARS)]
    answer: Any = None
    """The final answer to the person, mostly an expression; it becomes a last step that only works it out."""
    given: list[str] = Field(default_factory=list, exclude=True)
    """Names of what is there before the first step, which steps may read like a step's result."""

    @model_validator(mode="after")
    def _wire(self) -> "PlanResult":
        """Number the steps, turn positions into ids, add the dependencies that references imply, refuse the rest."""
        if self.answer is not None:
            last = PlannedAction(
                id=ANSWER, action_id="compute", description="The answer.", params={"value": self.answer}
            )
            object.__setattr__(self, "steps", [*self.steps, last])
            object.__setattr__(self, "answer", None)
        ids = [step.id or f"s{index + 1}" for index, step in enumerate(self.steps)]
        if len({*self.given, *ids}) != len(self.given) + len(ids):
            raise ValueError("step ids must differ")
        _require_an_end(self.steps, ids)
        wired = []
        for index, step in enumerate(self.steps):
            named = []
            for dependency in step.depends_on:
                if isinstance(dependency, int):
                    if not 0 <= dependency < index:
                        raise ValueError(f"step {ids[index]} depends on position {dependency}, which is not earlier")
                    named.append(ids[dependency])
                else:
                    named.append(dependency)
            try:
                named += [step_id for expression in step.expressions() for step_id in expression.steps]
            except Invalid as error:
                problem = error.errors[0]
                raise ValueError(f"step {ids[index]}, {problem.pointer}: {problem.detail}") from error
            earlier = [*self.given, *ids[:index]] if named else []
            for dependency in named:
                if dependency not in earlier:
                    raise ValueError(f"step {ids[index]} depends on '{dependency[:40]}', which is not an earlier step")
            ordered = [step_id for step_id in earlier if step_id in named]
            whole = step.id == ids[index] and step.depends_on == ordered
            wired.append(step if whole else step.model_copy(update={"id": ids[index], "depends_on": ordered}))
        object.__setattr__(self, "steps", wired)
        return self

    def safe_dict(self) -> dict[str, Any]:
        """Return the plan as a dict with whatever looks secret redacted, at any depth."""
        return redact(self.model_dump())


def _require_an_end(steps: Sequence[PlannedAction], ids: Sequence[str]) -> None:
    """Raise ``ValueError`` if planning could go on for long: so often at most, and never for each of a list."""
    further = [(step, step_id) for step, step_id in zip(steps, ids, strict=True) if step.action_id == REPLAN]
    if len(further) > MAX_REPLANS:
        raise ValueError(f"a plan has at most {MAX_REPLANS} steps that plan further")
    for step, step_id in further:
        if step.for_each is not None:
            raise ValueError(f"step {step_id} plans further, and cannot do so for each of a list")


@dataclass(frozen=True, slots=True)
class Question:
    """Something a plan still lacks: the parameter and the sentence to ask the person."""

    param: str
    text: str

    def as_dict(self) -> dict[str, str]:
        """Return the shape used in a plan document."""
        return {"param": self.param, "text": self.text}


UNREADABLE_DOCUMENT: Final[Mapping[str, Any]] = {"intent": "Part of this plan's record cannot be read."}
"""Stands for the document of a plan whose record is damaged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanRecord:
    """A checked plan as a store keeps it. Times are aware UTC."""

    plan_id: str
    workspace_id: str
    actor_id: str
    """Who made it; whoever executes it is recorded with its jobs."""
    status: PlanStatus
    digest: str
    """SHA-256 (hex) over everything that will happen; blank while input is needed."""
    document: Mapping[str, Any]
    """The redacted plan document without its live fields: prompt, intent, steps, questions, meta…"""
    body_sealed: bytes | None
    """The executable steps, sealed; dropped when the plan ends."""
    created_at: datetime
    expires_at: datetime | None
    """When a draft can no longer be executed."""
    request_id: str
    finished_at: datetime | None = None
    approval_id: str | None = None
    job_ids: tuple[str, ...] = field(default=())
    """One per step, in step order, once submitted. The children of an expanded step are not among them."""

    def shown(self) -> CanonicalJson:
        """Return what was shown of it."""
        return shown_of_plan(self.digest, self.document)


def shown_of_plan(digest: str, document: Mapping[str, Any]) -> CanonicalJson:
    """Return what was shown of a plan, and so what was asked for: the same of a draft and of its execution.

    Of a document that is damaged it is that it cannot be read.
    """
    try:
        return _shown(digest, document)
    except (AttributeError, TypeError, Invalid):
        return _shown(digest if isinstance(digest, str) else "", UNREADABLE_DOCUMENT)


def _shown(digest: str, document: Mapping[str, Any]) -> CanonicalJson:
    try:  # the order of the names is known, so this takes two thirds of the time of what is done for any other
        written = to_json(_view(digest, document, in_order))
    except (ValueError, TypeError, RecursionError):
        written = canonical_json(_view(digest, document, lambda value: value))
    return CanonicalJson(written.decode())


def _view(digest: str, document: Mapping[str, Any], write: Callable[[Any], Any]) -> dict[str, Any]:
    steps = [
        {
            "acting_as": write(step.get("acting_as")),
            "action_id": write(step.get("action_id")),
            "depends_on": write(step.get("depends_on")),
            "id": write(step.get("id")),
            "params": write(step.get("params")),
        }
        for step in document.get("steps", ())
    ]
    return {
        "digest": write(digest),
        "intent": write(document.get("intent")),
        "prompt": write(document.get("prompt")),
        "steps": steps,
    }
