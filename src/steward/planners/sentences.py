"""The built-in planner: it understands the sentences that actions declare, without a model and without a key.

It never guesses. A parameter that is missing, malformed or only pointed at ("email it to them") becomes a question, and
a sentence of which any part is not understood becomes no plan at all. What values may do is not decided here: the plan
check and policy look at every plan, whoever proposed it.
"""

import json
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from pydantic import ValidationError

from steward.action import ActionDefinition, ParameterRole
from steward.expression import REF
from steward.plan import MAX_PROMPT_CHARS, PlannedAction, PlanResult, Question
from steward.planner import INPUTS, Planner, PlanningRequest, Proposal
from steward.planners import wording
from steward.planners.matcher import Given
from steward.planners.parts import Ambiguous, NotUnderstood, Reader, Reading, TooMuch
from steward.planners.slots import FREE_TEXT, SlotKind, Surroundings, read_value
from steward.planners.templates import properties_of, required_of, slot_kinds
from steward.planners.tokens import Sentence, folded_word, tokenise

_RESULT: Final = frozenset(
    [
        *("it", "that", "the result", "the results", "the output"),
        *("its text", "its content", "its contents", "its output", "its result"),
    ]
)
"""What means the previous step's result where a result may stand."""
_POINTING: Final = _RESULT | {"this", "these", "those", "them", "him", "her", "there"}
"""What points at something without naming it."""
_INPUTS: Final = frozenset(["the input", "the inputs", "what was read"])
"""What means the values that a plan is made from during a run, in any of its steps; in the first one "it" does too."""
_READ: Final = f"steps.{INPUTS}.result.value"
_FUZZY: Final = 0.8
_ALLOWED_CONTROLS: Final = frozenset("\t\n\r")


@dataclass(frozen=True, slots=True)
class _Step:
    """One step being put together, and what it still lacks."""

    action: PlannedAction
    questions: tuple[Question, ...]


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a step stands: its id, the one before it, and how its questions are named."""

    step_id: str
    before: tuple[str, ActionDefinition] | None
    prefix: str
    after: tuple[str, ...]
    """Ids of all steps before it."""
    read: Sequence[Any] | None
    """Of a plan that is made during a run: the values that it is made from."""


@dataclass(frozen=True, slots=True)
class _Parameter:
    """One parameter of one step, and what the sentence gives for it."""

    definition: ActionDefinition
    name: str
    kind: SlotKind
    given: Given | None

    @property
    def schema(self) -> Mapping[str, Any]:
        """Its JSON Schema; empty when it is not declared."""
        schema = properties_of(self.definition).get(self.name, {})
        return schema if isinstance(schema, Mapping) else {}


class SentencePlanner(Planner):
    """Turns sentences into plans by the templates of the actions offered, and by nothing else."""

    @property
    def name(self) -> str:
        """What ``meta.planner`` says."""
        return "sentences"

    async def propose(self, request: PlanningRequest) -> Proposal:
        """Return a proposal whose steps use only ``request.actions``, or questions; never raises for any sentence."""
        answers = _answers(request.context)
        text = answers.get("prompt", request.prompt)
        unusable = _unusable(text)
        if unusable:
            return _refusal(request, unusable)
        outcome = Reader(request.actions).read(Sentence(text, tokenise(text)))
        match outcome:
            case NotUnderstood(part):
                return _denial(request, text) or _refusal(request, wording.not_understood(part, text, request.actions))
            case Ambiguous(part, definitions):
                return _refusal(request, wording.ambiguous(part, definitions))
            case TooMuch(reason):
                return _refusal(request, reason)
            case readings:
                return _assembled(request, readings, answers)


def _answers(context: Mapping[str, Any]) -> dict[str, str]:
    answers = context.get("answers")
    if not isinstance(answers, Mapping):
        return {}
    return {str(key): value for key, value in answers.items() if isinstance(value, str) and value.strip()}


def _unusable(text: str) -> str | None:
    """Return the sentence that says why a text cannot be read at all, or None."""
    if not text.strip():
        return "There is nothing to do in an empty sentence."
    if len(text) > MAX_PROMPT_CHARS:
        return f"That is longer than {MAX_PROMPT_CHARS} characters. Ask for less at a time."
    if any(unicodedata.category(char) in {"Cc", "Cs"} and char not in _ALLOWED_CONTROLS for char in text):
        return "The text holds control characters. Send it again without them."
    return None


def _shown_prompt(prompt: str) -> str:
    """Return the prompt as given; what a document cannot hold is replaced or cut."""
    return prompt.encode("utf-8", "replace").decode("utf-8")[:MAX_PROMPT_CHARS] or " "


def _refusal(request: PlanningRequest, text: str, intent: str = "Not understood.") -> Proposal:
    plan = PlanResult(
        prompt=_shown_prompt(request.prompt),
        intent=intent,
        confidence=0.0,
        explanation=wording.shortened(text),
    )
    return Proposal(plan=plan, questions=(Question("prompt", text),))


def _denial(request: PlanningRequest, text: str) -> Proposal | None:
    """Return the refusal for a sentence that means an action which the actor may not run; None if it means none."""
    refused = {action.definition.id: action for action in request.refused}
    readings = Reader([*request.actions, *(action.definition for action in request.refused)]).read(
        Sentence(text, tokenise(text))
    )
    if not isinstance(readings, list):
        return None
    denied = tuple(
        {
            reading.definition.id: refused[reading.definition.id]
            for reading in readings
            if reading.definition.id in refused
        }.values()
    )
    if not denied:
        return None
    said = [(action.definition, action.decision.sentence) for action in denied]
    lacking = not any(action.definition.enabled for action in denied)
    intent = "A setting is missing." if lacking else "Refused by policy."
    return replace(_refusal(request, wording.denied(said), intent), denied=denied)


def _assembled(request: PlanningRequest, readings: list[Reading], answers: Mapping[str, str]) -> Proposal:
    zone = request.context.get("time_zone")
    around = Surroundings(request.now, zone if isinstance(zone, str) else None)
    steps: list[_Step] = []
    before: tuple[str, ActionDefinition] | None = None
    try:
        for index, reading in enumerate(readings):
            step_id = f"s{index + 1}"
            earlier = tuple(step.action.id for step in steps)
            place = _Place(step_id, before, f"{step_id}." if len(readings) > 1 else "", earlier, request.data)
            steps.append(_step(reading, place, answers, around))
            before = (step_id, reading.definition)
    except ValidationError:
        return _refusal(
            request, "A plan cannot hold that: a value is too large, or the action's declaration does not fit."
        )
    questions = tuple(question for step in steps for question in step.questions)
    sure = all(reading.problems == 0 for reading in readings)
    plan = PlanResult(
        prompt=_shown_prompt(request.prompt),
        intent=wording.intent([step.action.description for step in steps]),
        steps=[] if questions else [step.action for step in steps],
        confidence=1.0 if sure else _FUZZY,
        explanation=wording.explanation([reading.definition for reading in readings], questions),
        given=[] if request.data is None else [INPUTS],
    )
    return Proposal(plan=plan, questions=questions, secrets=tuple(_secrets(readings)))


def _secrets(readings: list[Reading]) -> Iterator[str]:
    """Yield what the sentence gives for secret parameters, as typed and without the marks around it."""
    for reading in readings:
        for param, given in reading.match.given.items():
            if reading.definition.role_of(param) is ParameterRole.SECRET:
                yield from (given.text, given.text.strip().strip("\"'"))


def _step(reading: Reading, place: _Place, answers: Mapping[str, str], around: Surroundings) -> _Step:
    definition, given = reading.definition, reading.match.given
    kinds = slot_kinds(definition)
    missing = [param for param in required_of(definition) if param not in given]
    params: dict[str, Any] = {}
    questions = []
    for param in [*given, *missing]:
        kind = given[param].kind if param in given else kinds.get(param, SlotKind.TEXT)
        parameter = _Parameter(definition, param, kind, given.get(param))
        try:
            params[param] = _value(parameter, place, answers, around)
        except ValueError as problem:
            text = wording.ask(definition, param, parameter.given, str(problem))
            questions.append(Question(place.prefix + param, text))
    description = wording.described(definition, params)
    action = PlannedAction(
        id=place.step_id,
        action_id=definition.id,
        description=description,
        params=params,
        depends_on=list(place.after) if reading.follows else [],
    )
    return _Step(action, tuple(questions))


def _value(parameter: _Parameter, place: _Place, answers: Mapping[str, str], around: Surroundings) -> Any:
    """Return a parameter's value from the sentence, else from its answer; raise ``ValueError`` with what to ask."""
    try:
        return _as_said(parameter, place, around)
    except ValueError:
        answer = answers.get(place.prefix + parameter.name)
        if answer is None:
            raise
    unusable = _unusable(answer)
    if unusable:
        raise ValueError(unusable)
    free = parameter.kind in FREE_TEXT
    return read_value(parameter.kind, answer if free else answer.strip(), parameter.schema, around)


def _as_said(parameter: _Parameter, place: _Place, around: Surroundings) -> Any:
    given = parameter.given
    if given is None:
        raise ValueError(parameter.kind.hint)
    pointing = "" if given.quoted else " ".join(folded_word(given.text).split())
    if pointing in _POINTING or (pointing in _INPUTS and place.read is not None):
        return _pointed_at(parameter, pointing, place)
    if not given.well_formed:
        raise ValueError(parameter.kind.hint)
    return read_value(parameter.kind, given.text, parameter.schema, around)


def _pointed_at(parameter: _Parameter, pointing: str, place: _Place) -> Any:
    """Return a reference to what "it" may mean, the previous step's result or what was read; raise ``ValueError`` elsewhere."""
    role = parameter.definition.role_of(parameter.name)
    may_refer = parameter.kind in FREE_TEXT and role in {ParameterRole.CONTENT, ParameterRole.OBJECT}
    if not may_refer or pointing not in _RESULT | _INPUTS:
        raise ValueError(parameter.kind.hint)
    if place.before is None or pointing in _INPUTS:
        path = _read(place.read)
    else:
        step_id, earlier = place.before
        path = f"steps.{step_id}.result" + (f".{_field(earlier.primary_output)}" if earlier.primary_output else "")
    if path is None:
        raise ValueError(parameter.kind.hint)
    reference = {REF: path}
    return {"text": reference} if parameter.kind is SlotKind.MESSAGE else reference


def _read(values: Sequence[Any] | None) -> str | None:
    """Return the expression for what was read as text, each text on a line of its own; None: nothing was."""
    if not values:
        return None
    if all(isinstance(value, str) for value in values):
        return f"{_READ}[0]" if len(values) == 1 else f'join(`"\\n"`, {_READ})'
    return f"to_string({_READ}[0])" if len(values) == 1 else f"to_string({_READ})"


def _field(name: str) -> str:
    """Return a field name as JMESPath writes it."""
    return name if name.isascii() and name.isidentifier() else json.dumps(name)
