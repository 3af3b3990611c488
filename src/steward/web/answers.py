"""What the API answers, as models for the published schema. They describe; the views that build the answers stand elsewhere.

Answers are not validated again as they leave: a surprise in one record must not turn a whole listing into an error. The
tests hold every answer against this schema instead.
"""

from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from steward.approval import ApprovalStatus
from steward.identity import Role
from steward.job import MAX_DIFFERENCES, HeldFor, JobStatus
from steward.plan import PlanStatus
from steward.provenance import Label


class Answer(BaseModel):
    """A published answer."""

    model_config = ConfigDict(use_attribute_docstrings=True)


class ProblemField(Answer):
    """One thing wrong with one field."""

    pointer: str
    """JSON pointer (RFC 6901) into the body; ``/query/…`` or ``/header/…`` for those."""
    detail: str


class Problem(Answer):
    """RFC 9457 problem document. Some problems carry more members, such as ``scope`` or ``rule``."""

    model_config = ConfigDict(
        extra="allow",
        json_schema_extra={
            "examples": [
                {
                    "type": "urn:steward:problem:missing_scope",
                    "title": "Not allowed",
                    "status": 403,
                    "detail": "The credential lacks the scope 'actions:execute'.",
                    "code": "missing_scope",
                    "request_id": "req_01kb2w8v9c0000000000000a",
                }
            ]
        },
    )

    type: str
    title: str
    status: int
    detail: str
    code: str
    """A stable word to match on."""
    request_id: str
    errors: list[ProblemField] = Field(default_factory=list)


class Question(Answer):
    """Something that a plan still lacks."""

    param: str
    text: str


class Decision(Answer):
    """What policy says about a step."""

    effect: Literal["allow", "ask", "deny"]
    reason: str
    rule: str
    another_person: bool | None = None
    """``ask`` only: whether neither who executes the plan nor who made it may approve it."""
    approver_role: Role | None = None
    """``ask`` only: the role that an approver needs; null: whoever may decide."""
    moment: Literal["plan", "step", "both"] | None = None
    """``ask`` only, in a plan: before anything starts, once the step's values are known, or both."""


class Origin(Answer):
    """Where a value comes from, and how far that is trusted."""

    model_config = ConfigDict(extra="allow")

    source: Annotated[str, Field(alias="from")]
    label: Label


class Control(Origin):
    """What decides whether or how often a step runs."""

    value: Any


class Step(Answer):
    """One step of a plan. ``params`` are redacted."""

    model_config = ConfigDict(extra="allow")

    id: str
    action_id: str
    description: str
    params: dict[str, Any]
    roles: dict[str, str] = Field(default_factory=dict)
    """What each parameter decides: ``destination``, ``amount``, ``object``, ``content``, ``time`` or ``secret``."""
    depends_on: list[str]
    decision: Decision
    inputs: dict[str, Origin] = Field(default_factory=dict)
    """By parameter; what is not in it is written in the plan itself."""
    link_guard: list[str] = Field(default_factory=list)
    """Parameters in which links are made harmless before they are sent to others."""
    when: Control | None = None
    for_each: Control | None = None
    effect: Literal["read", "write"]
    retry: Literal["keyed", "probe", "none"]
    reversibility: str
    """``no effect``, ``reversible`` or ``irreversible``, and more words where there is more to say."""
    acting_as: str | None
    """The account at the provider that the step acts with."""


class PlanMeta(Answer):
    """How the plan came about."""

    model_config = ConfigDict(extra="allow")

    planner: str
    duration_ms: Annotated[float, Field(ge=0)]
    tokens_in: Annotated[int, Field(ge=0)]
    tokens_out: Annotated[int, Field(ge=0)]
    model: str | None = None


class Plan(Answer):
    """A plan document."""

    model_config = ConfigDict(extra="allow")

    plan_id: str
    digest: str
    status: PlanStatus
    prompt: str
    intent: str
    steps: list[Step]
    confidence: Annotated[float, Field(ge=0, le=1)]
    explanation: str
    meta: PlanMeta
    questions: list[Question]
    expires_at: AwareDatetime | None
    request_id: str


class JobError(Answer):
    """Why a job or an attempt did not complete."""

    code: str
    detail: str
    retryable: bool


class Difference(Answer):
    """One field that is not as it was checked or approved. Redacted; what is long is cut."""

    field: str
    before: Any
    """As it was looked at; null: it was not there."""
    after: Any
    """As it would run; null: it is not there."""


class Job(Answer):
    """A job. Its parameters are never shown; ``result`` and ``error`` are redacted."""

    model_config = ConfigDict(extra="allow")

    job_id: str
    plan_id: str
    step: str
    action: str
    provider: str
    status: JobStatus
    held_for: HeldFor | None
    reason: str | None
    """Why it is held, skipped or cancelled."""
    differences: list[Difference] = Field(default_factory=list, max_length=MAX_DIFFERENCES)
    """Only of one that is held for drift: what has changed since it was checked or approved, or the first of it."""
    result: Any
    error: JobError | None
    attempts: Annotated[int, Field(ge=0)]
    duration_ms: Annotated[float, Field(ge=0)] | None
    enqueued_at: AwareDatetime
    not_before: AwareDatetime | None
    started_at: AwareDatetime | None
    finished_at: AwareDatetime | None


class JobAttempt(Answer):
    """One finished try of a job."""

    model_config = ConfigDict(extra="allow")

    number: int
    worker: str
    started_at: AwareDatetime
    dispatched_at: AwareDatetime | None
    """When its effect may first have happened."""
    finished_at: AwareDatetime
    outcome: str
    error: JobError | None


class JobDetail(Job):
    """A job with its attempts."""

    depends_on: list[str]
    actor_id: str
    cancel_requested: bool
    history: list[JobAttempt]
    """Finished attempts, oldest first; the oldest of many are dropped."""


class Approval(Answer):
    """A request for a person's decision and, once made, the decision."""

    model_config = ConfigDict(extra="allow")

    approval_id: str
    plan_id: str
    job_id: str | None
    """Null: it covers the whole plan before it starts; otherwise the one step that is held."""
    digest: str
    """What a decision must repeat."""
    status: ApprovalStatus
    reason: str
    rule: str
    intent: str
    requested_by: str
    """Who executed the plan."""
    another_person: bool
    """Whether neither who executed the plan nor who made it may approve."""
    approver_role: Role | None
    """The role that an approver needs; null: whoever may decide. An admin has every role."""
    created_at: AwareDatetime
    expires_at: AwareDatetime
    decided_by: str | None
    decided_at: AwareDatetime | None
    comment: str | None
    """Redacted."""


class PlanDetail(Plan):
    """A plan with its approvals and jobs."""

    jobs: list[Job]
    approval: Approval | None
    """The one that covers the whole plan."""
    approvals: list[Approval]
    """That one and those of single steps, newest first."""


class PlanSummary(Answer):
    """A plan in a list."""

    plan_id: str
    status: PlanStatus
    prompt: str
    intent: str
    digest: str
    actor_id: str
    job_ids: list[str]
    created_at: AwareDatetime
    expires_at: AwareDatetime | None
    finished_at: AwareDatetime | None


class PlanPage(Answer):
    """A page of plans, newest first."""

    workspace_id: str
    plans: list[PlanSummary]
    count: int
    next_cursor: str | None


class JobPage(Answer):
    """A page of jobs, newest first. ``count`` is what this page holds."""

    workspace_id: str
    jobs: list[Job]
    count: int
    next_cursor: str | None
    queue_depth: int
    """Ready jobs of this workspace."""


class Submitted(Answer):
    """What was put to work. A duplicate names the original."""

    plan_id: str
    status: PlanStatus
    job_ids: list[str]
    duplicate: bool
    approval_id: str | None
    queue_depth: int


class Reason(Answer):
    """Why, as a stable word and a sentence."""

    code: str
    text: str


class Explanation(Answer):
    """Why something is where it is, and what would move it."""

    model_config = ConfigDict(extra="allow")

    status: str
    reason: Reason
    since: AwareDatetime | None
    next_change_at: AwareDatetime | None
    who: str | None
    """Who or what can change it."""


class ActionDescription(Answer):
    """One action of the catalogue."""

    id: str
    title: str
    description: str
    provider: str
    effect: Literal["read", "write"]
    retry: Literal["keyed", "probe", "none"]
    reversibility: str
    input_schema: dict[str, Any]
    output_schema: dict[str, Any]
    roles: dict[str, str]
    enabled: bool
    disabled_because: str


class ActionList(Answer):
    """The catalogue."""

    actions: list[ActionDescription]
    request_id: str


class Alive(Answer):
    """The process answers."""

    status: Literal["ok"]


class ReadyCheck(Answer):
    """One thing that must be well."""

    name: str
    ok: bool


class Ready(Answer):
    """Requests can be served."""

    status: Literal["ready"]
    checks: list[ReadyCheck]
    key_schema: Literal["legacy-read", "new-read", "new-only"] | None
    """Which shape of keys jobs in Redis are written to and read from; null where work is not in Redis."""


class Version(Answer):
    """What runs here."""

    version: str


class StreamedEvent(Answer):
    """The ``data`` of one Server-Sent Event."""

    event_id: str
    type: str
    at: AwareDatetime
    actor_id: str | None
    plan_id: str | None
    job_id: str | None
    data: dict[str, Any]
