"""The shapes in which work is shown: job and approval views. Pure; everything in them is already redacted."""

from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, Final

from cachetools import LRUCache
from pydantic_core import to_json

from steward.approval import Approval
from steward.clock import rfc3339
from steward.job import Attempt, HeldFor, Job, ListedJob
from steward.plan import PlanRecord


def time_view(moment: datetime | None) -> str | None:
    """Return a time as RFC 3339 in UTC, or None."""
    return None if moment is None else rfc3339(moment)


def job_view(job: ListedJob) -> dict[str, Any]:
    """Return a job as a list shows it. Parameters never appear."""
    return {
        "job_id": job.job_id,
        "plan_id": job.plan_id,
        "step": job.step_id,
        "action": job.action_id,
        "provider": job.action_id.rsplit(".", 1)[0],
        "status": job.status,
        "held_for": job.held_for,
        "reason": job.reason,
        "result": job.result,
        "error": None if job.error is None else job.error.as_dict(),
        "attempts": job.attempts,
        "duration_ms": _duration_ms(job),
        "enqueued_at": time_view(job.enqueued_at),
        "not_before": time_view(job.not_before),
        "started_at": time_view(job.started_at),
        "finished_at": time_view(job.finished_at),
    }


def job_in_plan(job: Job) -> dict[str, Any]:
    """Return a job as its plan shows it: with what has changed since it was approved, where it is held for that."""
    if job.held_for is not HeldFor.DRIFT:
        return job_view(job)
    return {**job_view(job), "differences": [one.as_dict() for one in job.differences]}


def job_detail(job: Job) -> dict[str, Any]:
    """Return a job as it is shown alone: with its attempts one by one."""
    return {
        **job_in_plan(job),
        "depends_on": list(job.depends_on),
        "actor_id": job.actor_id,
        "cancel_requested": job.cancel_requested,
        "history": [_attempt_view(attempt) for attempt in job.history],
    }


@lru_cache(maxsize=1_000)
def _remembered_json(job: ListedJob) -> bytes:
    return to_json(job_view(job))


_pages: Final[LRUCache[tuple[ListedJob, ...], bytes]] = LRUCache(32)
_SHORT_BYTES: Final = 65_536
"""Pages up to this length are remembered: a page may have as many results of this length as it has jobs."""


def jobs_json(jobs: tuple[ListedJob, ...]) -> bytes:
    """Return the views of the jobs of a page as JSON, with commas between them.

    A store gives out the same objects as long as nothing of them changes, so a page that is looked at again is there already.
    """
    if Job in set(map(type, jobs)):
        return b",".join(to_json(job_view(job)) for job in jobs)
    page = _pages.get(jobs)
    if page is None:
        page = b",".join(map(_remembered_json, jobs))
        if len(page) <= _SHORT_BYTES:
            _pages[jobs] = page
    return page


def _duration_ms(job: ListedJob) -> int | None:
    if job.started_at is None or job.finished_at is None:
        return None
    return round((job.finished_at - job.started_at).total_seconds() * 1000)


def _attempt_view(attempt: Attempt) -> dict[str, Any]:
    return {
        "number": attempt.number,
        "worker": attempt.worker_id,
        "started_at": time_view(attempt.started_at),
        "dispatched_at": time_view(attempt.dispatched_at),
        "finished_at": time_view(attempt.finished_at),
        "outcome": attempt.outcome,
        "error": None if attempt.error is None else attempt.error.as_dict(),
    }


def approval_view(approval: Approval) -> dict[str, Any]:
    """Return an approval as clients see it in a list."""
    return {
        "approval_id": approval.approval_id,
        "plan_id": approval.plan_id,
        "job_id": approval.job_id,
        "digest": approval.digest,
        "status": approval.status,
        "reason": approval.reason,
        "rule": approval.rule,
        "intent": approval.detail.get("intent", ""),
        "requested_by": approval.requested_by,
        "another_person": approval.another_person,
        "approver_role": approval.approver_role,
        "created_at": time_view(approval.created_at),
        "expires_at": time_view(approval.expires_at),
        "decided_by": approval.decided_by,
        "decided_at": time_view(approval.decided_at),
        "comment": approval.comment,
    }


def approval_document(approval: Approval, plan: PlanRecord, jobs: Sequence[Job]) -> dict[str, Any]:
    """Return an approval with what is decided about: the plan's steps as shown, or the held step with its real values.

    A step's decision is the one that asked: that of whoever executed the plan, which may differ from the draft's.
    ``jobs`` are the plan's: of those that the approval is about and that drifted since, it says what has changed.
    """
    asked = {step["id"]: step for step in approval.detail.get("steps", ())}
    steps = [{**step, **asked.get(step["id"], {})} for step in plan.document["steps"]]
    if approval.job_id is not None:
        steps = list(asked.values())
    drifted = [job for job in jobs if job.differences and approval.job_id in {None, job.job_id}]
    return {
        **approval_view(approval),
        "prompt": plan.document.get("prompt", ""),
        "steps": steps,
        "differences": [{"step": job.step_id, **one.as_dict()} for job in drifted for one in job.differences],
    }
