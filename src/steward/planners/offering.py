"""What a language model is told of the actions that it may plan with; where there are many, of those that seem meant.

Relevance is a matter of words: the rarer among the actions a word of the request is, the more an action with it is meant. No
choice is made where everything fits, and what plans are held together with is always offered.
"""

import json
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

from steward.action import ActionDefinition

MAX_CHARS: Final = 24_000
"""Of all descriptions together."""
_ALWAYS: Final = frozenset({"compute", "llm.extract", "llm.generate", "plan.replan"})
_WORD: Final = re.compile(r"[^\W_]{2,}")
_STEM_CHARS: Final = 6
"""Words that begin alike count as the same: 'invoice' and 'invoices', 'calendar' and 'calendars'."""


def offering(actions: Sequence[ActionDefinition], request: str) -> list[dict[str, Any]]:
    """Return the descriptions of the actions to offer, by id, at most about ``MAX_CHARS`` in all."""
    told = {definition.id: description(definition) for definition in actions}
    sizes = {action_id: len(json.dumps(text)) for action_id, text in told.items()}
    if sum(sizes.values()) <= MAX_CHARS:
        return list(told.values())
    words = {definition.id: _words(_said(definition)) for definition in actions}
    chosen, left = set[str](), MAX_CHARS
    for action_id in _by_relevance(words, _words(request)):
        if sizes[action_id] <= left:
            chosen.add(action_id)
            left -= sizes[action_id]
    return [text for action_id, text in told.items() if action_id in chosen]


def description(definition: ActionDefinition) -> dict[str, Any]:
    """Return what a model has to know to use an action, and nothing about accounts or settings."""
    return {
        "id": definition.id,
        "description": definition.description,
        "effect": definition.effect,
        "params": _plain(definition.input_schema),
        "result": _plain(definition.output_schema),
    }


def _plain(schema: Mapping[str, Any]) -> Any:
    """Return a schema without the rules that only a validator needs."""
    if isinstance(schema, Mapping):
        return {name: _plain(part) for name, part in schema.items() if name not in {"pattern", "additionalProperties"}}
    return [_plain(part) for part in schema] if isinstance(schema, list) else schema


def _said(definition: ActionDefinition) -> str:
    params = definition.input_schema.get("properties", {})
    return " ".join((definition.id, definition.title, definition.description, *params, *definition.sentences))


def _words(text: str) -> frozenset[str]:
    return frozenset(word.casefold()[:_STEM_CHARS] for word in _WORD.findall(text.replace("_", " ")))


def _by_relevance(words: Mapping[str, frozenset[str]], asked: frozenset[str]) -> list[str]:
    known = Counter(word for each in words.values() for word in each)
    weight = {word: math.log(1 + len(words) / known[word]) for word in asked if word in known}

    def rank(action_id: str) -> tuple[bool, float, str]:
        score = sum(weight.get(word, 0.0) for word in words[action_id])
        return action_id not in _ALWAYS, -score, action_id

    return sorted(words, key=rank)
