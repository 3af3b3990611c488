"""What the API takes: strict models that refuse unknown fields, one per request body.

``workspace_id`` and ``actor_id`` are accepted everywhere so that clients may send them; ``SecuredRoute`` has by then
refused any that are not the credential's own. A step is the ``PlannedAction`` that planners propose, so the limits of a
step are stated once.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    WithJsonSchema,
    model_validator,
)

from steward.errors import Invalid
from steward.orchestrator import RequestedAction
from steward.plan import MAX_PROMPT_CHARS, MAX_STEPS, MAX_TEXT_CHARS, PlannedAction
from steward.web.problems import field_problems

MAX_ANSWERS: Final = 50
MAX_WAIT_MS: Final = 60_000
DEFAULT_WAIT_MS: Final = 30_000
KEEPABLE: Final = r"^[^\x00]*$"
"""Text that every store can keep: without NUL, which PostgreSQL has no place for."""
_RFC3339: Final = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


def _rfc3339(value: object) -> datetime:
    if not isinstance(value, str) or not _RFC3339.fullmatch(value):
        raise ValueError("a time is RFC 3339 with an offset, for example 2026-01-31T09:30:00Z")
    try:
        return datetime.fromisoformat(value.upper()).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise ValueError("there is no such time") from error


def _not_blank(value: str) -> str:
    if not value.strip():
        raise ValueError("it must not be blank")
    return value


def _time_zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError("it must be an IANA time zone, for example Europe/Paris") from error
    return value


Moment = Annotated[datetime, BeforeValidator(_rfc3339), WithJsonSchema({"type": "string", "format": "date-time"})]
Prompt = Annotated[str, Field(min_length=1, max_length=MAX_PROMPT_CHARS), AfterValidator(_not_blank)]
ParameterName = Annotated[str, Field(min_length=1, max_length=100)]
Answers = Annotated[
    dict[ParameterName, Annotated[str, Field(max_length=MAX_PROMPT_CHARS)]], Field(min_length=1, max_length=MAX_ANSWERS)
]
ClientRequestId = Annotated[str, Field(pattern=r"^[A-Za-z0-9._:-]{1,128}$")]


class Body(BaseModel):
    """What every body may carry."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    workspace_id: Annotated[str | None, Field(description="The credential's own, or 403.")] = None
    actor_id: Annotated[str | None, Field(description="The credential's own, or 403.")] = None


class PlanningContext(BaseModel):
    """What a planner may know beside the sentence."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    answers: Annotated[Answers | None, Field(description="Answers to earlier questions, by parameter.")] = None
    time_zone: Annotated[
        Annotated[str, Field(max_length=64), AfterValidator(_time_zone)] | None, Field(description="IANA name.")
    ] = None


class PlanBody(Body):
    """A sentence to be turned into a plan."""

    prompt: Annotated[Prompt, Field(examples=["send an email to office@example.com saying The lift is repaired"])]
    context: PlanningContext | None = None


class ReviseBody(Body):
    """Answers to a plan's questions, or other steps for it; exactly one of them."""

    answers: Annotated[Answers | None, Field(examples=[{"text": "The lift is repaired"}])] = None
    steps: Annotated[list[PlannedAction] | None, Field(min_length=1, max_length=MAX_STEPS)] = None

    @model_validator(mode="after")
    def _one_form(self) -> "ReviseBody":
        if (self.answers is None) == (self.steps is None):
            raise ValueError("give exactly one of answers and steps")
        return self


def _one_name(value: Any) -> Any:
    """Return ``value`` with ``action`` and ``provider`` joined into ``action_id``, which may stand there instead."""
    if not isinstance(value, Mapping) or not {"action", "provider"} & value.keys():
        return value
    action, provider = value.get("action"), value.get("provider")
    if "action_id" in value or not isinstance(action, str) or not isinstance(provider, str):
        raise ValueError("give either action_id, or action and provider as text")
    rest = {name: item for name, item in value.items() if name not in {"action", "provider"}}
    return {**rest, "action_id": f"{provider}.{action}"}


def _publish_aliases(schema: dict[str, Any]) -> None:
    """Add to a published schema the other way to name an action."""
    schema["properties"] |= {
        "action": {"type": "string", "description": "With provider, instead of action_id."},
        "provider": {"type": "string", "description": "With action, instead of action_id."},
    }
    schema["required"] = [name for name in schema["required"] if name != "action_id"]
    schema["oneOf"] = [{"required": ["action_id"]}, {"required": ["action", "provider"]}]


class RequestedStep(PlannedAction):
    """One action to run, by id or by provider and action."""

    model_config = ConfigDict(json_schema_extra=_publish_aliases)

    client_request_id: Annotated[
        ClientRequestId | None,
        Field(description="The client's own name for this action; known ones are not run again."),
    ] = None

    @model_validator(mode="before")
    @classmethod
    def _aliases(cls, value: Any) -> Any:
        return _one_name(value)

    def requested(self) -> RequestedAction:
        """Return it in the form that the orchestrator takes; it has been validated as a planned action already."""
        step = PlannedAction.model_construct(**{name: getattr(self, name) for name in PlannedAction.model_fields})
        return RequestedAction(action=step, client_request_id=self.client_request_id)


class ExecuteBody(Body):
    """A plan to execute, or actions to run; exactly one of them."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"plan_id": "plan_01kb2w8v9c0000000000000a"},
                {"actions": [{"action_id": "http.get", "params": {"url": "https://example.com/"}}]},
            ]
        }
    )

    plan_id: str | None = None
    actions: Annotated[list[RequestedStep] | None, Field(min_length=1, max_length=MAX_STEPS)] = None
    run_at: Annotated[Moment | None, Field(description="Start no earlier than this; at most a year ahead.")] = None

    @model_validator(mode="after")
    def _one_form(self) -> "ExecuteBody":
        if (self.plan_id is None) == (self.actions is None):
            raise ValueError("give exactly one of plan_id and actions")
        return self


class ResolveBody(Body):
    """What a person found out about an unknown outcome."""

    outcome: Literal["completed", "failed"]
    note: Annotated[
        str,
        Field(
            min_length=1, max_length=MAX_TEXT_CHARS, pattern=KEEPABLE, examples=["The message is in the sent folder."]
        ),
        AfterValidator(_not_blank),
    ]


class PreviewBody(Body):
    """One action to look at before it runs."""

    model_config = ConfigDict(json_schema_extra=_publish_aliases)

    action_id: Annotated[str, Field(max_length=200, examples=["http.get"])]
    params: Annotated[dict[str, Any], Field(default_factory=dict, examples=[{"url": "https://example.com/"}])]

    @model_validator(mode="before")
    @classmethod
    def _aliases(cls, value: Any) -> Any:
        return _one_name(value)

    def step(self) -> PlannedAction:
        """Return it as a planned action; raise ``Invalid`` where it exceeds the limits of a step."""
        try:
            return PlannedAction(action_id=self.action_id, params=self.params)
        except ValidationError as error:
            problems = error.errors(include_url=False, include_context=False, include_input=False)
            raise Invalid(errors=field_problems(problems)) from error


class RunPreviewBody(Body):
    """A previewed action to run and wait for."""

    preview_id: Annotated[str, Field(examples=["plan_01kb2w8v9c0000000000000a"])]
    wait_ms: Annotated[
        int, Field(ge=0, le=MAX_WAIT_MS, description="How long to wait for its end before the answer is 202.")
    ] = DEFAULT_WAIT_MS
