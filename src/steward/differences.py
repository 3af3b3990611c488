"""What is not as it was approved, field by field: for whoever has to decide what becomes of a step that drifted. Pure."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from steward.action import ActionDefinition
from steward.job import Difference, Job
from steward.plan import PlanRecord
from steward.plan_check import preview
from steward.redaction import REDACTED, mask, texts_in
from steward.step_values import PLANNED

_MAX_SAID: Final = 5
_MAX_CHARS: Final = 80
_MAX_FIELD_CHARS: Final = 200
_ABSENT: Final = object()


def said(differences: Sequence[Difference]) -> str:
    """Return differences as a sentence to be put after another; blank: there are none."""
    first = [f"{one.field} was {_json(one.before)} and is {_json(one.after)}" for one in differences[:_MAX_SAID]]
    more = f"; and {len(differences) - _MAX_SAID} more" if len(differences) > _MAX_SAID else ""
    return f" {'; '.join(first)}{more}." if first else ""


def between(approved: Mapping[str, Any], now: Mapping[str, Any]) -> tuple[Difference, ...]:
    """Return the differences between two redacted previews, by field; what is long is cut."""
    return tuple(_between("", approved, now))


def from_plan(
    plan: PlanRecord | None, job: Job, definition: ActionDefinition, written: Mapping[str, Any]
) -> tuple[Difference, ...]:
    """Return how a step differs from what its plan's document shows."""
    planned = job.parent_step_id or job.step_id
    steps = () if plan is None else plan.document.get("steps", ())
    shown = job.labels.get(PLANNED) or next((step for step in steps if step["id"] == planned), None)
    if shown is None:
        return ()
    facts = _facts_of(definition, shown)
    before = {name: shown.get(name) for name in facts}
    if job.parent_step_id is not None and PLANNED not in job.labels:  # its values were worked out during the run
        return between(before, facts)
    params = {name: value for name, value in written.items() if not name.startswith("$")}
    secret = {
        name: value
        for name, value in params.items()
        if name in definition.secrets or shown["params"].get(name) == REDACTED  # whatever the action says of it now
    }
    texts, hidden = frozenset(texts_in(secret)), dict.fromkeys(secret, REDACTED)
    return between(
        {**before, **mask(shown["params"], texts), **hidden},
        {**facts, **mask(preview(definition, params), texts), **hidden},
    )


def _facts_of(definition: ActionDefinition, shown: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "effect": definition.effect.value,
        "retry": definition.retry.value,
        "reversibility": definition.reversibility,
        "acting_as": definition.acting_as,
        **({"roles": {name: definition.role_of(name).value for name in shown["roles"]}} if "roles" in shown else {}),
    }


def _between(place: str, before: Any, after: Any) -> Iterator[Difference]:
    """Yield what differs under a place, as near to it as can be told: an expression is one thing."""
    if _has_fields(before) and _has_fields(after):
        for name in sorted({*before, *after}):
            inside = f"{place}.{name}" if place else name
            yield from _between(inside, before.get(name, _ABSENT), after.get(name, _ABSENT))
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for index, (one, other) in enumerate(zip(before, after, strict=True)):
            yield from _between(f"{place}[{index}]", one, other)
    elif before != after or isinstance(before, bool) != isinstance(after, bool):
        yield Difference(place[:_MAX_FIELD_CHARS], _short(before), _short(after))


def _has_fields(value: Any) -> bool:
    return isinstance(value, Mapping) and not any(str(name).startswith("$") for name in value)


def _short(value: Any) -> Any:
    """Return a value as it is kept: as it is if it is short, else the beginning of its text."""
    if value is _ABSENT:
        return None
    text = value if isinstance(value, str) else _json(value)
    return value if len(text) <= _MAX_CHARS else f"{text[:_MAX_CHARS]}…"


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
