"""Compile the sentence templates that actions declare into flat variants that can be matched word by word.

A template is made of literal words, slots ``{param:kind}``, optional parts ``[…]`` and alternatives ``(a|b)``, nested as
needed: ``send an email [to {to:emails}] (saying|with) {text:text}``. Each way of reading it becomes one variant: a verb
phrase, then clauses (a few words and the slot they introduce), then perhaps closing words. A clause whose slot the
sentence lacks can be skipped, which is how a missing parameter is noticed; the verb phrase cannot.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from steward.action import ActionDefinition
from steward.planners.slots import SPANS, SlotKind
from steward.planners.tokens import folded_word

MAX_TEMPLATE_CHARS: Final = 500
MAX_VARIANTS: Final = 256
_LEXER: Final = re.compile(r"\s+|\{([^{}]*)\}|[\[\]()|]|[^\s\[\](){}|]+|.")
_BRACKETS: Final = {"[": "]", "(": ")"}
_MARKS: Final = frozenset("[](){}|")
_PREPOSITIONS: Final = frozenset(
    ["about", "as", "at", "by", "called", "for", "from", "in", "into", "named", "of", "on", "to", "with"]
)


@dataclass(frozen=True, slots=True)
class Slot:
    """A place for a value of one kind, for one parameter."""

    param: str
    kind: SlotKind


Element = str | Slot


@dataclass(frozen=True, slots=True)
class Clause:
    """The words that introduce a slot (perhaps none), and the slot."""

    words: tuple[str, ...]
    slot: Slot


@dataclass(frozen=True, slots=True)
class Variant:
    """One way of reading a template."""

    lead: tuple[str, ...]
    """The verb phrase, folded; never empty."""
    clauses: tuple[Clause, ...]
    tail: tuple[str, ...]


def _slot(text: str) -> Slot:
    param, colon, kind = text.partition(":")
    if not param.strip() or not colon:
        raise ValueError("a slot is {param:kind}")
    try:
        return Slot(param.strip(), SlotKind(kind.strip()))
    except ValueError:
        raise ValueError(f"'{kind.strip()}' is not a kind of slot; there are {', '.join(SlotKind)}") from None


def _joined(left: list[tuple[Element, ...]], right: list[tuple[Element, ...]]) -> list[tuple[Element, ...]]:
    if len(left) * len(right) > MAX_VARIANTS:
        raise ValueError(f"it can be read in more than {MAX_VARIANTS} ways")
    return [one + other for one in left for other in right]


def _group(lexemes: Iterator[re.Match[str]], closing: str) -> list[tuple[Element, ...]]:
    """Return every reading of a bracket up to its ``closing`` mark; round ones hold alternatives."""
    readings: list[tuple[Element, ...]] = []
    while True:
        some, end = _readings(lexemes, {closing, "|"} if closing == ")" else {closing})
        if () in some:
            raise ValueError("brackets hold at least one word or slot")
        readings += some
        if end == closing:
            return readings


def _readings(lexemes: Iterator[re.Match[str]], stops: set[str]) -> tuple[list[tuple[Element, ...]], str]:
    """Return every reading up to one of ``stops`` (none: the end of the template) and the stop; consumes lexemes."""
    current: list[tuple[Element, ...]] = [()]
    for lexeme in lexemes:
        text = lexeme[0]
        if text in stops:
            return current, text
        if text in _BRACKETS:
            optional = [()] if text == "[" else []
            current = _joined(current, optional + _group(lexemes, _BRACKETS[text]))
        elif lexeme[1] is not None:
            current = _joined(current, [(_slot(lexeme[1]),)])
        elif text in _MARKS:
            raise ValueError(f"'{text}' is out of place")
        elif word := folded_word(text.strip()):
            current = _joined(current, [(word,)])
    if stops:
        raise ValueError(f"'{max(stops - {'|'})}' is missing")
    return current, ""


def _variant(elements: Sequence[Element]) -> Variant:
    """Return ``elements`` as verb phrase, clauses and tail; raise ``ValueError`` where they cannot be told apart."""
    clauses: list[Clause] = []
    lead: tuple[str, ...] = ()
    words: list[str] = []
    for element in elements:
        if isinstance(element, str):
            words.append(element)
            continue
        if not clauses:
            split = len(words)
            while split > 1 and words[split - 1] in _PREPOSITIONS:
                split -= 1
            lead, words = tuple(words[:split]), words[split:]
        elif not words and clauses[-1].slot.kind in SPANS:
            raise ValueError(f"words are needed between {{{clauses[-1].slot.param}}} and {{{element.param}}}")
        clauses.append(Clause(tuple(words), element))
        words = []
    if not clauses:
        lead, words = tuple(words), []
    if not lead:
        raise ValueError("it must start with a word")
    params = [clause.slot.param for clause in clauses]
    if len(set(params)) != len(params):
        raise ValueError("a parameter stands in it twice")
    return Variant(lead, tuple(clauses), tuple(words))


def _checked(template: str, properties: frozenset[str]) -> tuple[Variant, ...]:
    if len(template) > MAX_TEMPLATE_CHARS:
        raise ValueError(f"it is longer than {MAX_TEMPLATE_CHARS} characters")
    readings, _ = _readings(_LEXER.finditer(template), set())
    variants = tuple(dict.fromkeys(_variant(reading) for reading in readings))
    unknown = {clause.slot.param for variant in variants for clause in variant.clauses} - properties
    if unknown:
        raise ValueError(f"{min(unknown)} is not a parameter")
    return variants


@lru_cache(maxsize=2048)
def _compiled(action_id: str, template: str, properties: frozenset[str]) -> tuple[Variant, ...]:
    try:
        return _checked(template, properties)
    except (ValueError, RecursionError) as problem:
        raise ValueError(f"Action {action_id}, sentence template {template!r}: {problem}.") from problem


def properties_of(definition: ActionDefinition) -> dict[str, Any]:
    """Return the schema of each declared parameter."""
    return dict(definition.input_schema.get("properties", {}))


def required_of(definition: ActionDefinition) -> tuple[str, ...]:
    """Return the names of the parameters that an action cannot do without, in declared order."""
    return tuple(definition.input_schema.get("required", ()))


def slot_kinds(definition: ActionDefinition) -> dict[str, SlotKind]:
    """Return the kind of slot that the action's sentences give each parameter, the first mention counting."""
    kinds: dict[str, SlotKind] = {}
    for variant in _declared(definition):
        for clause in variant.clauses:
            kinds.setdefault(clause.slot.param, clause.slot.kind)
    return kinds


def _declared(definition: ActionDefinition) -> tuple[Variant, ...]:
    names = frozenset(properties_of(definition))
    return tuple(v for template in definition.sentences for v in _compiled(definition.id, template, names))


def _by_id(definition: ActionDefinition) -> Variant | None:
    """Return the variant ``<action id> <its required parameters>``; None if a sentence gives no kinds for them."""
    kinds = slot_kinds(definition)
    required = required_of(definition)
    if not all(param in kinds for param in required) or any(kinds[param] in SPANS for param in required[:-1]):
        return None
    return Variant((folded_word(definition.id),), tuple(Clause((), Slot(p, kinds[p])) for p in required), ())


def variants_of(definition: ActionDefinition) -> tuple[Variant, ...]:
    """Return every way to say this action; raise ``ValueError`` naming the action and the template if one is malformed."""
    by_id = _by_id(definition)
    return _declared(definition) + ((by_id,) if by_id else ())


def check_templates(definition: ActionDefinition) -> None:
    """Raise ``ValueError`` naming the action and the template if one of its sentences cannot be compiled."""
    variants_of(definition)


def example_of(definition: ActionDefinition) -> str:
    """Return a sentence that this action understands, with made-up values; its id when it declares none."""
    complete = [v for v in _declared(definition) if {c.slot.param for c in v.clauses} >= set(required_of(definition))]
    if not complete:
        return definition.id
    variant = min(complete, key=lambda v: (len(v.clauses), -len(v.lead)))
    words = [*variant.lead]
    for clause in variant.clauses:
        words += [*clause.words, clause.slot.kind.sample]
    return " ".join([*words, *variant.tail])
