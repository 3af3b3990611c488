"""The plan document: a checked plan as people and clients see it, rendered from exactly what was digested."""

from collections.abc import Sequence
from types import MappingProxyType
from typing import Any, Final

from steward.clock import rfc3339
from steward.job import Job
from steward.link_guard import guarded_places
from steward.plan import PlanRecord
from steward.plan_check import CheckedStep
from steward.policy import Ask, decision_document
from steward.provenance import Label
from steward.redaction import redact, redact_text
from steward.step_values import PLANNED
from steward.views import time_view

NO_PLANNER: Final = MappingProxyType(
    {"planner": "none", "model": None, "duration_ms": 0, "tokens_in": 0, "tokens_out": 0, "denied": ()}
)
"""``meta`` of a plan whose steps were given rather than planned."""


def step_document(step: CheckedStep) -> dict[str, Any]:
    """Return a step of the document: redacted, yet faithful about destinations, account and where each input comes from."""
    definition = step.definition
    return {
        "id": step.id,
        "action_id": definition.id,
        "description": redact_text(step.description),
        "params": step.preview(),
        "roles": {name: definition.role_of(name).value for name in step.params},
        "depends_on": list(step.depends_on),
        "decision": {**decision_document(step.decision), **_moment(step)},
        "inputs": redact(dict(step.inputs)) if step.inputs else {},
        **({"link_guard": places} if (places := guarded_places(definition, step.inputs)) else {}),
        **_control(step),
        **definition.shown,
    }


def _moment(step: CheckedStep) -> dict[str, str]:
    """Return of a step that asks when it does: before anything of the plan starts, when its values are known, or both."""
    if not isinstance(step.decision, Ask):
        return {}
    if step.before is None:
        return {"moment": "step"}
    return {"moment": "plan" if set(step.decision.asking) <= set(step.before.asking) else "both"}


def _control(step: CheckedStep) -> dict[str, Any]:
    """Return what decides whether and how often a step runs, where something does."""
    if step.when is None and step.for_each is None:
        return {}
    written = {"when": step.when, "for_each": step.for_each}
    return {
        name: {"value": redact(value), **step.control.get(name, {"from": "the plan", "label": Label.TRUSTED})}
        for name, value in written.items()
        if value is not None
    }


def with_planned(document: dict[str, Any], jobs: Sequence[Job]) -> dict[str, Any]:
    """Return a plan's document with the steps that were planned during its run, each under the step that had them planned."""
    further: dict[str, list[Any]] = {}
    for job in jobs:
        if PLANNED in job.labels and job.parent_step_id is not None:
            further.setdefault(job.parent_step_id, []).append(job.labels[PLANNED])
    if not further:
        return document
    steps = [{**one, "planned": further[one["id"]]} if one["id"] in further else one for one in document["steps"]]
    return {**document, "steps": steps}


def plan_document(record: PlanRecord) -> dict[str, Any]:
    """Return the document of a kept plan, with its live fields."""
    return {
        "plan_id": record.plan_id,
        "digest": record.digest,
        "status": record.status,
        **record.document,
        "created_at": rfc3339(record.created_at),
        "expires_at": time_view(record.expires_at),
        "finished_at": time_view(record.finished_at),
        "request_id": record.request_id,
    }
