"""The jobs that a step becomes which runs for each of a list, or which has further steps planned. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from steward.action import ActionDefinition
from steward.dataflow import NAMES
from steward.ids import IdFactory
from steward.job import Job, NewJob
from steward.plan_check import CheckedPlan, CheckedStep, step_digests
from steward.plan_document import step_document
from steward.planner import INPUTS
from steward.policy import Ask
from steward.step_values import PLANNED, Ready, as_kept, child_id
from steward.submission import sealed_params
from steward.vault import Vault


def children(
    job: Job, definition: ActionDefinition, turns: Sequence[Ready], *, vault: Vault, ids: IdFactory
) -> tuple[NewJob, ...]:
    """Return a job for each turn, in order: its values are in place, and are values only."""
    return tuple(
        _child(
            job,
            child_id(job.step_id, index),
            definition,
            turn.params,
            labels={**turn.origins, **as_kept(turn.shapes)},
            authored_after=job.authored_after,
            vault=vault,
            ids=ids,
        )
        for index, turn in enumerate(turns)
    )


def planned_children(
    job: Job,
    checked: CheckedPlan,
    values: tuple[ActionDefinition, Ready],
    *,
    authored_after: tuple[str, ...],
    vault: Vault,
    ids: IdFactory,
) -> tuple[NewJob, ...]:
    """Return a job for each step that was planned during the run, in order, with its expressions as they were written.

    ``values`` are what the steps were planned from, and the action that hands them on: a job of its own, if a step reads them.
    """
    names = {step.id: child_id(job.step_id, index) for index, step in enumerate(checked.steps)}
    names[INPUTS] = child_id(job.step_id, INPUTS)
    made = [
        _child(
            job,
            names[step.id],
            step.definition,
            {**step.body, **({NAMES: {name: names[name] for name in step.depends_on}} if step.depends_on else {})},
            depends_on=tuple(names[name] for name in step.depends_on),
            labels={**_named(step.labels, names), PLANNED: _shown(step, names, checked.digest)},
            authored_after=authored_after,
            vault=vault,
            ids=ids,
        )
        for step in checked.steps
    ]
    if any(INPUTS in step.depends_on for step in checked.steps):
        definition, turn = values
        labels = {**turn.origins, **as_kept(turn.shapes)}
        given = _child(
            job, names[INPUTS], definition, turn.params, labels=labels, authored_after=(), vault=vault, ids=ids
        )
        made.insert(0, given)
    return tuple(made)


def _shown(step: CheckedStep, names: Mapping[str, str], digest: str) -> dict[str, Any]:
    """Return the step as people see it: nobody saw it before the run, so it is kept with its job."""
    document = step_document(step)
    moment = {"moment": "step"} if isinstance(step.decision, Ask) else {}
    return {
        **document,
        "id": names[step.id],
        "depends_on": [names[name] for name in step.depends_on],
        "decision": {**document["decision"], **moment},
        "inputs": _named(document["inputs"], names),
        "authored_after": list(step.authored_after),
        "planned_digest": digest,
    }


def _named(origins: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """Return origins that name steps as the whole plan does."""
    return {place: {**origin, "from": _in_the_plan(origin["from"], names)} for place, origin in origins.items()}


def _in_the_plan(words: str, names: Mapping[str, str]) -> str:
    parts = []
    for part in words.split(", "):
        name, bracket, rest = part.partition(" (")
        parts.append(f"{names[name]}{bracket}{rest}" if bracket and name in names else part)
    return ", ".join(parts)


def _child(
    job: Job,
    step_id: str,
    definition: ActionDefinition,
    body: Mapping[str, Any],
    *,
    labels: Mapping[str, Any],
    authored_after: tuple[str, ...],
    vault: Vault,
    ids: IdFactory,
    depends_on: tuple[str, ...] = (),
) -> NewJob:
    digests = step_digests(
        definition,
        step_id=step_id,
        params=body,
        depends_on=depends_on,
        vault=vault,
        workspace_id=job.workspace_id,
    )
    purpose = sealed_params(job.plan_id, step_id)
    return NewJob(
        job_id=ids.new("job"),
        step_id=step_id,
        action_id=definition.id,
        definition_hash=definition.definition_hash,
        digest=digests[0],
        params_sealed=vault.seal(body, workspace_id=job.workspace_id, purpose=purpose),
        depends_on=depends_on,
        effect=definition.effect,
        retry=definition.retry,
        max_attempts=definition.max_attempts,
        key_valid_s=definition.key_valid_s,
        labels=labels,
        authored_after=authored_after,
        parent_step_id=job.step_id,
    )
