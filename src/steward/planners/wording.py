"""The sentences that the built-in planner says: what it understood, what it asks, and what it could do instead."""

import difflib
from collections.abc import Mapping, Sequence
from typing import Any, Final

from steward.action import ActionDefinition, ParameterRole
from steward.expression import is_reference
from steward.plan import MAX_TEXT_CHARS, Question
from steward.planner import INPUTS
from steward.planners.matcher import Given
from steward.planners.parts import literal_words
from steward.planners.templates import example_of, properties_of
from steward.planners.tokens import folded_word
from steward.redaction import redact_text

_SHOWN_CHARS: Final = 80
_COMPARED_CHARS: Final = 120
_NEAREST: Final = 3


def shortened(text: str, limit: int = MAX_TEXT_CHARS) -> str:
    """Return ``text`` on one line, cut to ``limit`` characters."""
    line = " ".join(text.split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def echoed(text: str) -> str:
    """Return a short quotation of what somebody typed, without what looks secret in it."""
    return f"“{shortened(redact_text(text), _SHOWN_CHARS)}”"


def _nearest(part: str, actions: Sequence[ActionDefinition]) -> list[ActionDefinition]:
    """Return up to three actions, those that share most words with ``part`` first, then those spelt most like it."""
    words = {folded_word(word) for word in part.split()}
    start = part[:_COMPARED_CHARS].casefold()

    def closeness(definition: ActionDefinition) -> tuple[int, float]:
        alike = difflib.SequenceMatcher(None, start, example_of(definition).casefold()).ratio()
        return len(words & literal_words(definition)), alike

    return sorted(actions, key=closeness, reverse=True)[:_NEAREST]


def _offer(definition: ActionDefinition) -> str:
    return f"{shortened(definition.title, _SHOWN_CHARS)} (say: {example_of(definition)})"


def not_understood(part: str, whole: str, actions: Sequence[ActionDefinition]) -> str:
    """Return what to say when a part of the sentence is none of the actions."""
    which = (
        "" if part == whole.strip() else ", so nothing was planned; put text that belongs together in quotation marks"
    )
    if not actions:
        return f"I did not understand {echoed(part)}{which}; there is no action that you may run."
    offers = "; ".join(_offer(definition) for definition in _nearest(part, actions))
    return f"I did not understand {echoed(part)}{which}; the nearest things I can do: {offers}."


def denied(refused: Sequence[tuple[ActionDefinition, str]]) -> str:
    """Return what to say when the sentence means actions that may not run: each with the reason."""
    reasons = "; ".join(
        f"{shortened(d.title, _SHOWN_CHARS)} ({d.id}): {shortened(why, 300)}" for d, why in refused[:10]
    )
    return f"I understand, but it may not be done. {reasons}"


def ambiguous(part: str, definitions: Sequence[ActionDefinition]) -> str:
    """Return what to say when a part could be several actions."""
    named = "; ".join(f"{shortened(d.title, _SHOWN_CHARS)} ({d.id})" for d in definitions[:10])
    return f"I could read {echoed(part)} in several ways: {named}. Start with the name in brackets of the one you mean."


def ask(definition: ActionDefinition, param: str, given: Given | None, problem: str) -> str:
    """Return the question for one parameter; ``problem`` says what is wrong or what to give."""
    meaning = properties_of(definition).get(param, {})
    described = shortened(str(meaning.get("description", "")), _SHOWN_CHARS) if isinstance(meaning, Mapping) else ""
    what = f"“{param}” ({described.rstrip('.')})" if described else f"“{param}”"
    if given is None:
        return f"{definition.title} lacks {what}. {problem}"
    said = "what you gave" if definition.role_of(param) is ParameterRole.SECRET else echoed(given.text)
    return f"{definition.title}: {said} does not fit {what}. {problem}"


def _value(value: Any) -> str:
    if is_reference(value):
        step = value["$ref"].split(".")[1]
        return "what was read" if step == INPUTS else f"the result of step {step}"
    if isinstance(value, Mapping):
        return ", ".join(_value(item) for item in value.values())
    if isinstance(value, list):
        return ", ".join(_value(item) for item in value)
    return shortened(redact_text(str(value)), _SHOWN_CHARS)


def described(definition: ActionDefinition, params: Mapping[str, Any]) -> str:
    """Return one line for a step: the action's title and its values, secret ones left out."""
    shown = [
        f"{name}: {_value(value)}"
        for name, value in params.items()
        if definition.role_of(name) is not ParameterRole.SECRET
    ]
    return shortened(f"{definition.title} ({'; '.join(shown)})" if shown else definition.title)


def intent(descriptions: Sequence[str]) -> str:
    """Return the whole plan in one line."""
    return shortened(", then ".join(descriptions))


def explanation(definitions: Sequence[ActionDefinition], questions: Sequence[Question]) -> str:
    """Return how the sentence was understood and what is still lacking."""
    ids = shortened(", ".join(definition.id for definition in definitions), MAX_TEXT_CHARS // 2)
    counted = "one step" if len(definitions) == 1 else f"{len(definitions)} steps"
    if not questions:
        return f"Understood as {counted}: {ids}."
    lacking = shortened(", ".join(question.param for question in questions), MAX_TEXT_CHARS // 4)
    return f"Understood as {counted}: {ids}; still needed: {lacking}."
