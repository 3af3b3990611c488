"""A step's turn: from what was written and what earlier steps returned to the values it will run with. Pure.

Everything that decides whether, how often and with what a step runs is worked out here, in the worker, when its turn has
come; where each value came from goes with it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from steward.action import ActionDefinition
from steward.clock import rfc3339
from steward.dataflow import FOR_EACH, NAMES, WHEN, Inputs, Source, gathered, parameter_at, result_labels, unseen
from steward.expression import resolve
from steward.functions import ExpressionFailed
from steward.job import Job
from steward.plan import MAX_EACH, REPLAN
from steward.planner import INPUTS
from steward.provenance import Label, join
from steward.quickly import quickly
from steward.shape import Shape, labels_in, literal, shape_of_value

SHAPES: Final = "$shapes"
"""Among the labels of a job whose values were put in place: what each of its parameters is like, as labels by path."""
PLANNED: Final = "$planned"
"""Among the labels of a job that was planned during the run: the step as people see it."""
_WRITTEN: Final = Shape(label=Label.TRUSTED)
_FALSE: Final = ("", [], {}, None, False)
"""What counts as false, as JMESPath has it."""


def child_id(step_id: str, name: int | str) -> str:
    """Return the step id of a child."""
    return f"{step_id}[{name}]"


def as_kept(shapes: Mapping[str, Shape]) -> dict[str, Any]:
    """Return what parameters are like whose values are put in place, where one label does not say it, as it is kept with a job."""
    kept = {name: labels for name, shape in shapes.items() if len(labels := labels_in(shape)) > 1}
    return {SHAPES: kept} if kept else {}


def _joined(one: Mapping[str, str] | None, other: Mapping[str, str]) -> Mapping[str, str]:
    """Return the origin of a value that comes from two places."""
    if one is None:
        return other
    return {"from": f"{one['from']}, {other['from']}", "label": join((Label(one["label"]), Label(other["label"])))}


@dataclass(frozen=True, slots=True)
class Ready:
    """It runs, with these values."""

    params: Mapping[str, Any]
    origins: Mapping[str, Any]
    """Where each value that is not simply written out comes from: parameter path to ``{from, label}``."""
    shapes: Mapping[str, Shape]
    """What each parameter is like that is not simply written out."""
    unseen: frozenset[str] = frozenset()
    """Places whose value nobody can have seen before the run."""

    def with_stored(self, stored: Mapping[str, Label]) -> "Ready":
        """Return it with the labels of stored things that its parameters name, by place: nobody saw what is in them."""
        if not stored:
            return self
        shapes = dict(self.shapes)
        for place, label in stored.items():
            name = parameter_at(place)
            shapes[name] = shapes.get(name, _WRITTEN).tainted(label)
        origins = {place: {"from": "what is stored under this name", "label": label} for place, label in stored.items()}
        return replace(
            self,
            origins={
                **self.origins,
                **{place: _joined(self.origins.get(place), one) for place, one in origins.items()},
            },
            shapes=shapes,
            unseen=self.unseen | {place for place, label in stored.items() if label is not Label.TRUSTED},
        )

    @property
    def labels(self) -> dict[str, Label]:
        """How far each parameter can be trusted that is not simply written out."""
        return {name: shape.whole for name, shape in self.shapes.items()}

    def result_labels(self, definition: ActionDefinition, own: Mapping[str, Label] | None) -> dict[str, Label]:
        """Return the labels to be kept with what it returned; ``own``: those that the action gave it itself."""
        if not self.shapes and own is None and definition.labels_stand:
            return dict(definition.output_labels)
        written = {name: _WRITTEN for name in self.params if name not in self.shapes}
        return result_labels(definition, {**written, **self.shapes}, own)


_make_ready: Final = quickly(Ready)


@dataclass(frozen=True, slots=True)
class NotNow:
    """Its condition is false: it is skipped."""


@dataclass(frozen=True, slots=True)
class Each:
    """It runs once for each of these."""

    turns: tuple[Ready, ...]


@dataclass(frozen=True, slots=True)
class Gathered:
    """It ran for each of a list, and this is what came of it."""

    value: list[Any]
    labels: Mapping[str, Label]


Turn = Ready | NotNow | Each | Gathered


@dataclass(frozen=True, slots=True)
class Given:
    """What a worker was handed for one job."""

    job: Job
    written: Mapping[str, Any]
    """Parameters as they were sealed, the condition and the list under their reserved names."""
    results: Mapping[str, Any]
    """Step id to result, for every step that this one waited for."""
    labels: Mapping[str, Mapping[str, Any]]
    """Step id to the labels that were stored with the result."""

    def turn(self) -> Turn:
        """Return what becomes of the step; raise ``ExpressionFailed`` for an expression that has no value."""
        if self.job.expanded:
            return self._gathered()
        params = {name: value for name, value in self.written.items() if not name.startswith("$")}
        if not self.job.labels:
            return _make_ready(params, {}, {})  # all of it is written out, by somebody who had read nothing
        if self.job.parent_step_id is not None and PLANNED not in self.job.labels:
            return self._as_given(params)
        if WHEN in self.written and resolve(self.written[WHEN], self._scope()) in _FALSE:
            return NotNow()
        if FOR_EACH in self.written:
            return Each(tuple(self._each(params)))
        return self._ready(params, self._inputs(), self._scope())

    def _ready(self, params: Mapping[str, Any], inputs: Inputs, scope: Mapping[str, Any]) -> Ready:
        origins = inputs.origins(params, "")
        return Ready(
            params={name: resolve(value, scope) for name, value in params.items()},
            origins=origins,
            shapes={name: inputs.shape(value, "") for name, value in params.items()},
            unseen=unseen(params, origins),
        )

    def _each(self, params: Mapping[str, Any]) -> Iterator[Ready]:
        listed, inputs, scope = self.written[FOR_EACH], self._inputs(), self._scope()
        values = resolve(listed, scope)
        if not isinstance(values, list):
            raise ExpressionFailed("A step can run for each of a list only, and this is none.")
        if len(values) > MAX_EACH:
            raise ExpressionFailed(f"A step runs for each of at most {MAX_EACH}, and these are {len(values)}.")
        shape = inputs.shape(listed, "")
        words = self.job.labels.get(FOR_EACH, {"from": "the plan"})["from"]
        item = Source(f"each of {words}", shape.element.tainted(shape.label, shape.chosen))
        inside = self._inputs(item)
        for value in values:
            yield self._ready(params, inside, {**scope, "item": value})

    def _as_given(self, params: Mapping[str, Any]) -> Ready:
        """Return the turn of one of a list: its values were worked out when the list was, and are values only."""
        origins = {place: origin for place, origin in self.job.labels.items() if place != SHAPES}
        by_name: dict[str, list[Label]] = {}
        for path, origin in origins.items():
            by_name.setdefault(parameter_at(path), []).append(Label(origin["label"]))
        shapes = {name: literal(value, join(by_name[name])) for name, value in params.items() if name in by_name}
        for name, kept in self.job.labels.get(SHAPES, {}).items():
            labels = {path: Label(label) for path, label in kept.items()}
            shapes[name] = shape_of_value(params[name], labels, join(labels.values()))
        return Ready(params=params, origins=origins, shapes=shapes, unseen=frozenset(origins))

    def _gathered(self) -> Gathered:
        steps: Sequence[str] = self.job.depends_on
        if self.job.action_id == REPLAN:  # which steps there are was decided by whoever had read what others wrote
            done = [self.results[one] for one in steps if one != child_id(self.job.step_id, INPUTS)]
            return Gathered(done, {"": Label.UNTRUSTED})
        decided = Label(self.job.labels.get(FOR_EACH, {}).get("label", Label.TRUSTED))
        results = [self._shape(step_id) for step_id in steps]
        return Gathered(
            [self.results[step_id] for step_id in steps], labels_in(gathered(literal([], decided), results))
        )

    def _shape(self, step_id: str) -> Shape:
        stored = {path: Label(label) for path, label in self.labels.get(step_id, {}).items()}
        return shape_of_value(self.results[step_id], stored, stored.get("", Label.UNTRUSTED))

    def _inputs(self, item: Source | None = None) -> Inputs:
        sources = {name: Source(self._words(step_id), self._shape(step_id)) for name, step_id in self._names().items()}
        untrusted = bool(self.job.authored_after)
        return Inputs(
            sources,
            item,
            constants=Label.UNTRUSTED if untrusted else Label.TRUSTED,
            author_read=", ".join(self.job.authored_after),
            strict=False,
        )

    def _names(self) -> Mapping[str, str]:
        """Return what the step's expressions call the steps that it waited for."""
        return self.written.get(NAMES) or {step_id: step_id for step_id in self.results}

    def _words(self, step_id: str) -> str:
        """Return how a step was named when the plan was checked, where that can still be told."""
        known = (part for origin in self.job.labels.values() for part in str(origin.get("from", "")).split(", "))
        return next((part for part in known if part.startswith(f"{step_id} (")), step_id)

    def _scope(self) -> dict[str, Any]:
        asked = self.job.enqueued_at
        return {
            "steps": {name: {"result": self.results[step_id]} for name, step_id in self._names().items()},
            "ctx": {
                "actor_id": self.job.actor_id,
                "workspace_id": self.job.workspace_id,
                "now": rfc3339(asked),
                "today": asked.date().isoformat(),
            },
        }
