"""Find the actions that a sentence names: one, or several joined by *and then*, *then* or *and*, never inside quotes.

*and then* (also *then* after ``;`` ``,`` or ``.``) always starts another step. A bare *then* or *and*, or a ``;``, does
so only where the sentence is not one complete request as it stands and both sides are understood, because free text is
full of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from steward.action import ActionDefinition
from steward.plan import MAX_STEPS
from steward.planners.matcher import Effort, Match, TooTangledError, match
from steward.planners.templates import Variant, required_of, variants_of
from steward.planners.tokens import Sentence, folded_word

_POLITE: Final = tuple(
    tuple(phrase.split())
    for phrase in (
        *("i would like you to", "i would like to", "i'd like you to", "i'd like to", "i want you to", "i want to"),
        *("i need you to", "i need to", "can you", "could you", "would you", "will you", "please", "kindly", "steward"),
        *("hello", "hi", "hey", "and", "then", "now", "also", "just"),
    )
)
_THANKS: Final = (("thank", "you"), ("thanks",), ("please",))


@dataclass(frozen=True, slots=True)
class Reading:
    """One part of the sentence, read as one action."""

    definition: ActionDefinition
    match: Match
    problems: int
    """Values and required parameters that are missing or not of their kind; 0: complete."""
    follows: bool = False
    """Whether *then* stands before it: it begins only after everything said earlier is done."""


@dataclass(frozen=True, slots=True)
class NotUnderstood:
    """The part that is none of the actions, as typed."""

    part: str


@dataclass(frozen=True, slots=True)
class Ambiguous:
    """The part that reads equally well as several actions."""

    part: str
    definitions: tuple[ActionDefinition, ...]


@dataclass(frozen=True, slots=True)
class TooMuch:
    """The sentence asks for more steps than a plan may have, or is too tangled to read."""

    reason: str


_TOO_MANY: Final = TooMuch(f"That is more than {MAX_STEPS} steps. Ask for them in several requests.")
Outcome = list[Reading] | NotUnderstood | Ambiguous | TooMuch


@dataclass(slots=True)
class Reader:
    """Reads sentences as the given actions; keeps the work done for one prompt bounded."""

    actions: Sequence[ActionDefinition]
    effort: Effort = field(default_factory=Effort)
    _by_first_word: dict[str, list[tuple[ActionDefinition, Variant]]] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        """Sort the variants by the word they start with."""
        for definition in self.actions:
            for variant in variants_of(definition):
                self._by_first_word.setdefault(variant.lead[0], []).append((definition, variant))

    def read(self, sentence: Sentence) -> Outcome:
        """Return one reading per step, in order, or why there is none. Nothing is read unless everything is."""
        readings: list[Reading] = []
        parts = _clear_parts(sentence)
        if len(parts) > MAX_STEPS:
            return _TOO_MANY
        try:
            for part in parts:
                outcome = self._loosely_joined(part)
                if not isinstance(outcome, list):
                    return outcome
                readings += _following(outcome) if readings else outcome
        except TooTangledError:
            return TooMuch(
                "That sentence is too tangled to read. Use shorter sentences, and quotation marks around text."
            )
        if len(readings) > MAX_STEPS:
            return _TOO_MANY
        return readings

    def _loosely_joined(self, sentence: Sentence) -> Outcome:
        whole = self._best(sentence)
        if isinstance(whole, Reading) and whole.problems == 0:
            return [whole]
        cuts = self._cuts(sentence)
        if len(cuts) >= MAX_STEPS:
            return _TOO_MANY
        split = self._split(sentence, 0, cuts) if cuts else None
        if split:
            return split
        return [whole] if isinstance(whole, Reading) else whole

    def _split(self, sentence: Sentence, start: int, cuts: Sequence[tuple[int, int]]) -> list[Reading] | None:
        """Return readings of everything from ``start``, cut where both sides are understood; None if that is impossible."""
        memo: dict[int, list[Reading] | None] = {}

        def rest(start: int) -> list[Reading] | None:
            if start not in memo:
                memo[start] = attempt(start)
            return memo[start]

        def attempt(start: int) -> list[Reading] | None:
            whole = self._best(sentence.part(start, len(sentence.tokens)))
            if isinstance(whole, Reading) and whole.problems == 0:
                return [whole]
            lefts = [(self._best(sentence.part(start, end)), end, after) for end, after in cuts if end > start]
            found = [(left, end, after) for left, end, after in lefts if isinstance(left, Reading)]
            for left, end, after in sorted(found, key=lambda cut: cut[0].problems > 0):
                others = rest(after)
                if others is not None:
                    return [left, *(_following(others) if sentence.tokens[end].word == "then" else others)]
            return [whole] if isinstance(whole, Reading) else None

        return rest(start)

    def _cuts(self, sentence: Sentence) -> list[tuple[int, int]]:
        """Return (where a part ends, where the next starts) for each bare *and* or *then* before a known verb."""
        cuts = []
        tokens = sentence.tokens
        for at in range(1, len(tokens)):
            joined = tokens[at].word in {"and", "then"}
            if joined and tokens[at - 1].word in {"and", "then"}:
                continue
            if not joined and not _follows(sentence, at, (";",)):
                continue
            after = at + 1 if joined else at
            opening = sentence.part(after, after + 12)
            if any(token.word in self._by_first_word for token in opening.tokens[_polite_words(opening) :][:1]):
                cuts.append((at, after))
        return cuts

    def _best(self, sentence: Sentence) -> Reading | NotUnderstood | Ambiguous:
        """Return the most specific reading of one part: fewest problems, most literal words, narrowest slots."""
        found: list[tuple[tuple[int, int, int], Reading]] = []
        for words in _plain_forms(sentence):
            first = words.tokens[0].word
            for definition, variant in self._by_first_word.get(first, []):
                self.effort.spend(1)
                matched = match(variant, words, self.effort)
                if matched:
                    slots = {clause.slot.param for clause in variant.clauses}
                    problems = matched.cost + len(set(required_of(definition)) - slots)
                    rank = (problems, -matched.literals, matched.looseness)
                    found.append((rank, Reading(definition, matched, problems)))
            if any(rank[0] == 0 for rank, _ in found):
                break
        if not found:
            return NotUnderstood(sentence.shown)
        least = min(rank for rank, _ in found)
        best = [reading for rank, reading in found if rank == least]
        different = {reading.definition.id: reading.definition for reading in best}
        if len(different) > 1:
            return Ambiguous(sentence.shown, tuple(different.values()))
        return best[0]


def _following(readings: list[Reading]) -> list[Reading]:
    """Return the readings with the first of them waiting for what was said earlier."""
    return [replace(readings[0], follows=True), *readings[1:]]


def _follows(sentence: Sentence, at: int, marks: tuple[str, ...]) -> bool:
    """Say whether one of ``marks`` stands right before token ``at``, outside quotes."""
    before = sentence.tokens[at - 1]
    outside = before.end if before.quoted else before.start
    return sentence.text[outside : sentence.tokens[at].start].rstrip().endswith(marks)


def _clear_parts(sentence: Sentence) -> list[Sentence]:
    """Cut at every *and then*, and at every *then* after a ``;``, ``,`` or ``.``."""
    parts = []
    start = 0
    tokens = sentence.tokens
    for at in range(1, len(tokens)):
        if tokens[at].word != "then":
            continue
        after_and = tokens[at - 1].word == "and"
        if after_and or _follows(sentence, at, (";", ",", ".")):
            parts.append(sentence.part(start, at - 1 if after_and else at))
            start = at + 1
    return [*parts, sentence.part(start, len(tokens))]


def _polite_words(sentence: Sentence) -> int:
    """Return how many words at the start are only politeness."""
    at = 0
    words = [token.word for token in sentence.tokens[:32]]
    while phrase := next((p for p in _POLITE if tuple(words[at : at + len(p)]) == p), None):
        at += len(phrase)
    return at


def _plain_forms(sentence: Sentence) -> list[Sentence]:
    """Return the part as it stands, without politeness before it, and without thanks after it; blank ones left out."""
    end = len(sentence.tokens)
    words = [token.word for token in sentence.tokens[-2:]]
    thanks = next((len(p) for p in _THANKS if tuple(words[-len(p) :]) == p), 0)
    polite = _polite_words(sentence)
    forms = [(0, end), (polite, end), (polite, end - thanks)]
    return [sentence.part(a, b) for a, b in dict.fromkeys(forms) if a < b]


def literal_words(definition: ActionDefinition) -> frozenset[str]:
    """Return the words by which an action can be recognised in a sentence: of its templates, its title and its id."""
    words = {word for variant in variants_of(definition) for word in variant.lead}
    titled = f"{definition.title} {definition.id.replace('.', ' ').replace('_', ' ')}"
    return frozenset(words | {folded_word(word) for word in titled.split()})
