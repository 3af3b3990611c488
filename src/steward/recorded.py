"""What use cases record by themselves: what was decided, and that an effect is about to happen."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final, Literal

from steward.action import ActionDefinition
from steward.audit import AuditEntry, AuditKind
from steward.errors import AuditUnavailable
from steward.identity import Principal
from steward.job import Deferred, Job, JobError
from steward.plan import PlanRecord
from steward.plan_check import CheckedPlan
from steward.planner import RefusedAction
from steward.policy import Decision
from steward.recorder import Recorder

_WITHOUT_AUDIT: Final = timedelta(seconds=15)
"""How long a step waits for an audit that is required and cannot be written."""
_WEIGHT: Final = {"allow": 0, "ask": 1, "deny": 2}


def decided(
    principal: Principal,
    decisions: Iterable[tuple[str, str, Decision]],
    *,
    version: str,
    moment: Literal["draft", "submit", "dispatch", "replan"],
    at: datetime,
    plan_id: str,
    request_id: str,
    job_id: str | None = None,
) -> AuditEntry:
    """Return what policy said to steps (step id, action id, decision); the gravest gives the record its result and rule."""
    listed = list(decisions)
    gravest = max(listed, key=lambda item: _WEIGHT[item[2].effect])
    return AuditEntry(
        workspace_id=principal.workspace_id,
        kind=AuditKind.DECIDED,
        at=at,
        actor_id=principal.actor_id,
        action_id=gravest[1],
        plan_id=plan_id,
        job_id=job_id,
        result=gravest[2].effect,
        rule=gravest[2].rule,
        request_id=request_id,
        facts={
            "moment": moment,
            "version": version,
            "roles": sorted(str(role) for role in principal.roles),
            "decisions": _said(listed),
        },
    )


def plan_decided(
    principal: Principal,
    checked: CheckedPlan,
    record: PlanRecord,
    moment: Literal["draft", "submit"],
    *,
    at: datetime,
    denied: Iterable[RefusedAction] = (),
) -> tuple[AuditEntry, ...]:
    """Return what policy said to a plan's steps, and to actions it did not let into the plan; none: nothing was decided."""
    decisions = [(step.id, step.definition.id, step.decision) for step in checked.steps]
    decisions += [("", refused.definition.id, refused.decision) for refused in denied]
    if not decisions:
        return ()
    plan_id, request_id = record.plan_id, record.request_id
    entry = decided(
        principal, decisions, version=checked.version, moment=moment, at=at, plan_id=plan_id, request_id=request_id
    )
    return (entry,)


def further_decided(principal: Principal, job: Job, checked: CheckedPlan, at: datetime) -> AuditEntry:
    """Return what policy said to steps that were planned during the run."""
    return decided(
        principal,
        [(step.id, step.definition.id, step.decision) for step in checked.steps],
        version=checked.version,
        moment="replan",
        at=at,
        plan_id=job.plan_id,
        job_id=job.job_id,
        request_id=job.request_id,
    )


def _said(listed: Iterable[tuple[str, str, Decision]]) -> list[Mapping[str, Any]]:
    """Return what was said to each step. Steps that were given one and the same answer stand in one entry, by the first of them."""
    entries: dict[tuple[str, int], dict[str, Any]] = {}
    for step, action_id, decision in listed:
        entry = entries.get((action_id, id(decision)))
        if entry is None:
            entries[action_id, id(decision)] = {
                "step": step,
                "action_id": action_id,
                "effect": decision.effect,
                "rule": decision.rule,
                "facts": dict(decision.facts),
            }
        else:
            entry.setdefault("also", []).append(step)
    return list(entries.values())


def job_decided(principal: Principal, job: Job, decision: Decision, version: str, at: datetime) -> AuditEntry:
    """Return what policy said to a step that was about to run."""
    return decided(
        principal,
        [(job.step_id, job.action_id, decision)],
        version=version,
        moment="dispatch",
        at=at,
        plan_id=job.plan_id,
        job_id=job.job_id,
        request_id=job.request_id,
    )


async def record_first(recorder: Recorder, job: Job, definition: ActionDefinition, now: datetime) -> Deferred | None:
    """Record that a step is about to run, a read too; return what follows if that fails where the audit is required."""
    ahead = AuditEntry(
        workspace_id=job.workspace_id,
        kind=AuditKind.EFFECT_AHEAD,
        at=now,
        actor_id=None,
        acting_as=definition.acting_as,
        action_id=job.action_id,
        plan_id=job.plan_id,
        job_id=job.job_id,
        result="ahead",
        request_id=job.request_id,
        facts={"step_id": job.step_id, "attempt": job.attempts, "on_behalf_of": job.actor_id},
    )
    try:
        await recorder.insist(ahead)
    except AuditUnavailable as error:
        missing = JobError(error.stable_code, error.detail, retryable=True)
        return Deferred(missing, now + _WITHOUT_AUDIT)  # waiting for the audit is no attempt
    return None
