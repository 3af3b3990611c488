"""What a server answers, as types. A test holds them against the published description.

Times are RFC 3339 text in UTC, as sent. A newer server may answer more than is named here.
"""

from typing import Any, Literal, NotRequired, TypedDict

PlanStatus = Literal[
    "draft",
    "needs_input",
    "awaiting_approval",
    "running",
    "completed",
    "failed",
    "cancelled",
    "rejected",
    "expired",
]
JobStatus = Literal[
    "waiting",
    "held",
    "scheduled",
    "pending",
    "running",
    "completed",
    "failed",
    "unknown",
    "cancelled",
    "skipped",
]
ApprovalStatus = Literal["pending", "approved", "rejected", "expired", "cancelled"]
Role = Literal["viewer", "developer", "approver", "auditor", "admin", "operator"]


class Question(TypedDict):
    """Something that a plan still lacks."""

    param: str
    text: str


class Decision(TypedDict):
    """What policy says about a step."""

    effect: Literal["allow", "ask", "deny"]
    reason: str
    rule: str
    another_person: NotRequired[bool | None]
    approver_role: NotRequired[Role | None]
    moment: NotRequired[Literal["plan", "step", "both"] | None]


class Step(TypedDict):
    """One step of a plan; ``params`` are redacted."""

    id: str
    action_id: str
    description: str
    params: dict[str, Any]
    roles: NotRequired[dict[str, str]]
    depends_on: list[str]
    decision: Decision
    inputs: NotRequired[dict[str, Any]]
    link_guard: NotRequired[list[str]]
    when: NotRequired[dict[str, Any] | None]
    for_each: NotRequired[dict[str, Any] | None]
    effect: Literal["read", "write"]
    retry: Literal["keyed", "probe", "none"]
    reversibility: str
    acting_as: str | None


class PlanMeta(TypedDict):
    """How a plan came about."""

    planner: str
    duration_ms: float
    tokens_in: int
    tokens_out: int
    model: NotRequired[str | None]


class Plan(TypedDict):
    """A plan document."""

    plan_id: str
    digest: str
    status: PlanStatus
    prompt: str
    intent: str
    steps: list[Step]
    confidence: float
    explanation: str
    meta: PlanMeta
    questions: list[Question]
    expires_at: str | None
    request_id: str


class PlanProgress(TypedDict):
    """How far the making of a plan is."""

    phase: Literal["reading_catalogue", "asking_model", "checking", "repairing"]
    attempt: int
    tokens_in: int
    tokens_out: int


class JobError(TypedDict):
    """Why a job or an attempt did not complete."""

    code: str
    detail: str
    retryable: bool


class Difference(TypedDict):
    """One field that is not as it was checked or approved."""

    field: str
    before: Any
    after: Any


class StepDifference(Difference):
    """One field of a step that is not as it was approved."""

    step: str


class Job(TypedDict):
    """A job; ``result`` and ``error`` are redacted."""

    job_id: str
    plan_id: str
    step: str
    action: str
    provider: str
    status: JobStatus
    held_for: Literal["approval", "drift"] | None
    reason: str | None
    differences: NotRequired[list[Difference]]
    result: Any
    error: JobError | None
    attempts: int
    duration_ms: float | None
    enqueued_at: str
    not_before: str | None
    started_at: str | None
    finished_at: str | None


class JobAttempt(TypedDict):
    """One finished try of a job."""

    number: int
    worker: str
    started_at: str
    dispatched_at: str | None
    finished_at: str
    outcome: str
    error: JobError | None


class JobDetail(Job):
    """A job with its attempts."""

    depends_on: list[str]
    actor_id: str
    cancel_requested: bool
    history: list[JobAttempt]


class Approval(TypedDict):
    """A request for a person's decision and, once made, the decision."""

    approval_id: str
    plan_id: str
    job_id: str | None
    digest: str
    status: ApprovalStatus
    reason: str
    rule: str
    intent: str
    requested_by: str
    another_person: bool
    approver_role: Role | None
    created_at: str
    expires_at: str
    decided_by: str | None
    decided_at: str | None
    comment: str | None


class ApprovalDetail(Approval):
    """An approval with the steps that are decided about."""

    prompt: str
    steps: list[Step]
    differences: list[StepDifference]


class PlanDetail(Plan):
    """A plan with its approvals and jobs."""

    jobs: list[Job]
    approval: Approval | None
    approvals: list[Approval]


class PlanSummary(TypedDict):
    """A plan in a list."""

    plan_id: str
    status: PlanStatus
    prompt: str
    intent: str
    digest: str
    actor_id: str
    job_ids: list[str]
    created_at: str
    expires_at: str | None
    finished_at: str | None


class Submitted(TypedDict):
    """What was put to work. A duplicate names the original."""

    plan_id: str
    status: PlanStatus
    job_ids: list[str]
    duplicate: bool
    approval_id: str | None
    queue_depth: int


class Reason(TypedDict):
    """Why, as a stable word and a sentence."""

    code: str
    text: str


class Explanation(TypedDict):
    """Why something is where it is, and what would move it."""

    status: str
    reason: Reason
    since: str | None
    next_change_at: str | None
    who: str | None


class ActionDescription(TypedDict):
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


class ActionList(TypedDict):
    """The catalogue."""

    actions: list[ActionDescription]
    request_id: str


class StreamedEvent(TypedDict):
    """Something that happened."""

    event_id: str
    type: str
    at: str
    actor_id: str | None
    plan_id: str | None
    job_id: str | None
    data: dict[str, Any]


class RequestedStep(TypedDict):
    """One action to run."""

    action_id: str
    params: NotRequired[dict[str, Any]]
    id: NotRequired[str]
    depends_on: NotRequired[list[str | int]]
    client_request_id: NotRequired[str]
