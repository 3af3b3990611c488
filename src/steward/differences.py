"""What is not as it was approved, field by field: for whoever has to decide what becomes of a step that drifted. Pure."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from steward.action import ActionDefinition
from steward.job import Job
from steward.plan import PlanRecord
from steward.plan_check import preview
from steward.step_values import PLANNED

_MAX_SHOWN: Final = 5
_MAX_CHARS: Final = 80


def said(approved: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Return the differences between two redacted previews as a sentence to be put after another; blank: there are none."""
    found = list(_between(approved, now))
    more = f"; and {len(found) - _MAX_SHOWN} more" if len(found) > _MAX_SHOWN else ""
    return f" {'; '.join(found[:_MAX_SHOWN])}{more}." if found else ""


def from_plan(plan: PlanRecord | None, job: Job, definition: ActionDefinition, written: Mapping[str, Any]) -> str:
    """Return how a step differs from what its plan's document shows, as ``said`` does."""
    planned = job.parent_step_id or job.step_id
    steps = () if plan is None else plan.document.get("steps", ())
    shown = job.labels.get(PLANNED) or next((step for step in steps if step["id"] == planned), None)
    if shown is None:
        return ""
    facts = _facts_of(definition)
    before = {name: shown.get(name) for name in facts}
    if job.parent_step_id is not None and PLANNED not in job.labels:  # its values were worked out during the run
        return said(before, facts)
    params = {name: value for name, value in written.items() if not name.startswith("$")}
    return said({**before, **shown["params"]}, {**facts, **preview(definition, params)})


def _facts_of(definition: ActionDefinition) -> dict[str, Any]:
    return {
        "effect": definition.effect.value,
        "retry": definition.retry.value,
        "reversibility": definition.reversibility,
        "acting_as": definition.acting_as,
    }


def _between(approved: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    for name in sorted({*approved, *now}):
        before, after = approved.get(name), now.get(name)
        if before != after:
            yield f"{name} was {_short(before)} and is {_short(after)}"


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _MAX_CHARS else f"{text[:_MAX_CHARS]}…"
