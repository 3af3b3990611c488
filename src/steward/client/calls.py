"""Every request that a client makes, as a value; how it is sent is another matter, so that both clients share these."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Generic, Literal, TypeVar
from urllib.parse import quote

from steward.client.answers import (
    ActionList,
    Approval,
    ApprovalDetail,
    ApprovalStatus,
    Explanation,
    Job,
    JobDetail,
    JobStatus,
    Plan,
    PlanDetail,
    PlanStatus,
    PlanSummary,
    RequestedStep,
    StreamedEvent,
    Submitted,
)

T = TypeVar("T")
_LARGEST_PAGE: Final = 100


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """One request, whose answer is a ``T``."""

    method: Literal["GET", "POST"]
    path: str
    repeatable: bool
    """Whether sending it again after a lost answer changes nothing more."""
    query: Mapping[str, str | int] = field(default_factory=dict)
    body: Mapping[str, Any] | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict)
    timeout_s: float | None = None
    """How much longer than usual the answer may take."""


@dataclass(frozen=True, slots=True)
class Listing(Generic[T]):
    """A list in pages, each row a ``T``."""

    path: str
    rows: str
    query: Mapping[str, str | int]

    def page(self, cursor: str | None) -> Call[dict[str, Any]]:
        """Return the request for the page that begins at ``cursor``."""
        query = {**self.query, "limit": _LARGEST_PAGE, **({} if cursor is None else {"cursor": cursor})}
        return Call("GET", self.path, repeatable=True, query=query)


def _given(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _in_path(value: str) -> str:
    """Return an id so that it stays one part of a path whatever it holds."""
    return quote(value, safe="").replace(".", "%2E")


def _get(path: str) -> Call[Any]:
    return Call("GET", path, repeatable=True)


def _post(path: str, body: Mapping[str, Any] | None = None) -> Call[Any]:
    return Call("POST", path, repeatable=False, body=body)


def plan(prompt: str, answers: Mapping[str, str] | None, time_zone: str | None) -> Call[Plan]:
    """Turn a sentence into a plan; sent twice, it leaves a draft that nobody uses."""
    context = _given(answers=answers, time_zone=time_zone)
    return Call("POST", "/ai/plan", repeatable=True, body=_given(prompt=prompt, context=context or None))


def revise(plan_id: str, answers: Mapping[str, str] | None, steps: Sequence[RequestedStep] | None) -> Call[Plan]:
    """Make a new plan from an old one."""
    path, body = f"/ai/plans/{_in_path(plan_id)}/revise", _given(answers=answers, steps=steps)
    return Call("POST", path, repeatable=True, body=body)


def execute(body: Mapping[str, Any], run_at: datetime | None, idempotency_key: str | None) -> Call[Submitted]:
    """Put something to work; without a key of the caller's it gets one of its own, the same for every try."""
    when = None if run_at is None else run_at.isoformat()
    if run_at is not None and run_at.tzinfo is None:
        raise ValueError("run_at needs a time zone, for example datetime.now(UTC)")
    headers = {"Idempotency-Key": idempotency_key or str(uuid.uuid4())}
    return Call("POST", "/ai/execute", repeatable=True, body={**body, **_given(run_at=when)}, headers=headers)


def preview(action_id: str, params: Mapping[str, Any]) -> Call[Plan]:
    """Check one action as a plan of one step."""
    return Call("POST", "/actions/preview", repeatable=True, body={"action_id": action_id, "params": params})


def run_preview(preview_id: str, wait_ms: int) -> Call[JobDetail]:
    """Run a previewed action; asked again, it answers for the same job."""
    body = {"preview_id": preview_id, "wait_ms": wait_ms}
    return Call("POST", "/actions/execute", repeatable=True, body=body, timeout_s=wait_ms / 1000)


def actions() -> Call[ActionList]:
    """Return the catalogue."""
    return _get("/actions")


def show_plan(plan_id: str) -> Call[PlanDetail]:
    """Show a plan."""
    return _get(f"/ai/plans/{_in_path(plan_id)}")


def list_plans(status: PlanStatus | None) -> Listing[PlanSummary]:
    """List plans."""
    return Listing("/ai/plans", "plans", _given(status=status))


def cancel_plan(plan_id: str) -> Call[PlanDetail]:
    """Cancel what has not started."""
    return _post(f"/ai/plans/{_in_path(plan_id)}/cancel")


def explain_plan(plan_id: str) -> Call[Explanation]:
    """Say why a plan is where it is."""
    return _get(f"/ai/plans/{_in_path(plan_id)}/explain")


def show_job(job_id: str) -> Call[JobDetail]:
    """Show a job."""
    return _get(f"/ai/jobs/{_in_path(job_id)}")


def list_jobs(status: JobStatus | None, plan_id: str | None) -> Listing[Job]:
    """List jobs."""
    return Listing("/ai/jobs", "jobs", _given(status=status, plan_id=plan_id))


def cancel_job(job_id: str) -> Call[JobDetail]:
    """Cancel a job."""
    return _post(f"/ai/jobs/{_in_path(job_id)}/cancel")


def retry_job(job_id: str) -> Call[JobDetail]:
    """Try a failed job again."""
    return _post(f"/ai/jobs/{_in_path(job_id)}/retry")


def resolve_job(job_id: str, outcome: Literal["completed", "failed"], note: str) -> Call[JobDetail]:
    """Settle an unknown outcome."""
    return _post(f"/ai/jobs/{_in_path(job_id)}/resolve", {"outcome": outcome, "note": note})


def explain_job(job_id: str) -> Call[Explanation]:
    """Say why a job is where it is."""
    return _get(f"/ai/jobs/{_in_path(job_id)}/explain")


def show_approval(approval_id: str) -> Call[ApprovalDetail]:
    """Show an approval."""
    return _get(f"/ai/approvals/{_in_path(approval_id)}")


def list_approvals(status: ApprovalStatus) -> Listing[Approval]:
    """List approvals."""
    return Listing("/ai/approvals", "approvals", {"status": status})


def decide(
    approval_id: str, verb: Literal["approve", "reject"], digest: str, comment: str | None
) -> Call[ApprovalDetail]:
    """Approve or reject what has this digest."""
    return _post(f"/ai/approvals/{_in_path(approval_id)}/{verb}", _given(digest=digest, comment=comment))


def events(plan_id: str | None, after: str | None) -> Call[StreamedEvent]:
    """Follow what happens, from after one event on."""
    headers = {} if after is None else {"Last-Event-ID": after}
    return Call("GET", "/ai/events", repeatable=True, query=_given(plan_id=plan_id), headers=headers)
