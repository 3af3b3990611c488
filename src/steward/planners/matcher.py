"""Match one part of a sentence against one template variant, in a number of steps that grows with their sizes only.

It walks the variant clause by clause and keeps, for every word position that can be reached, the cheapest way to it. A
clause that the sentence lacks, or whose value is not of the slot's kind, costs one: such a match is understood as far as
the verb goes, and becomes a question. Nothing is tried twice, so there is no backtracking to exploit.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from steward.planners.slots import FREE_TEXT, SlotKind, certain_ends, trimmed
from steward.planners.templates import Clause, Variant
from steward.planners.tokens import Sentence

MAX_EFFORT: Final = 400_000
"""Positions looked at for one prompt; ordinary ones stay below a hundredth of it."""


class TooTangledError(Exception):
    """The prompt needs more effort than any ordinary sentence."""


class Effort:
    """Counts the work done for one prompt and ends it when it is too much."""

    def __init__(self, limit: int = MAX_EFFORT) -> None:
        """Start at nothing spent."""
        self.limit = limit
        self.spent = 0

    def spend(self, amount: int) -> None:
        """Add ``amount``; raise ``TooTangledError`` beyond the limit."""
        self.spent += amount
        if self.spent > self.limit:
            raise TooTangledError


@dataclass(frozen=True, slots=True)
class Given:
    """What the sentence gives for one parameter."""

    kind: SlotKind
    text: str
    quoted: bool
    well_formed: bool
    """Whether it can be of the slot's kind."""


@dataclass(frozen=True, slots=True)
class Match:
    """How a part of a sentence reads as one variant."""

    variant: Variant
    given: dict[str, Given]
    cost: int
    """0: every word is accounted for and every value is of its kind."""
    literals: int
    """How many literal words were found: the more, the more specific."""

    @property
    def looseness(self) -> int:
        """How much of it would also read as something else: the less, the more specific."""
        return sum(given.kind.looseness for given in self.given.values())


@dataclass(frozen=True, slots=True)
class _Way:
    """The cheapest way to a position: what came before, and the clause's value as token positions (None: skipped)."""

    cost: int
    before: "_Way | None" = None
    span: tuple[int, int] | None = None
    well_formed: bool = True


_Reached = dict[int, _Way]


def _offer(reached: _Reached, at: int, way: _Way) -> None:
    if at not in reached or way.cost < reached[at].cost:
        reached[at] = way


def _starts(words: tuple[str, ...], reached: _Reached, sentence: Sentence, effort: Effort) -> _Reached:
    """Return where a value may start: past the clause's own words, from every position reached."""
    if not words:
        return reached
    effort.spend(len(reached))
    return {
        at + len(words): way
        for at, way in reached.items()
        if tuple(token.word for token in sentence.tokens[at : at + len(words)]) == words
    }


def _spans(starts: _Reached, ends: Sequence[int], surcharge: Callable[[int], int], into: _Reached) -> None:
    """Offer every end a stretch from the cheapest start before it, the earliest of equals."""
    ordered = sorted(starts)
    best: tuple[int, int] | None = None
    index = 0
    for end in ends:
        while index < len(ordered) and ordered[index] < end:
            candidate = (starts[ordered[index]].cost + surcharge(ordered[index]), ordered[index])
            best = candidate if best is None or candidate < best else best
            index += 1
        if best is not None:
            cost, start = best
            _offer(into, end, _Way(cost, starts[start], (start, end), surcharge(start) == 0))


def _clause(clause: Clause, reached: _Reached, sentence: Sentence, effort: Effort, *, last: bool) -> _Reached:
    into: _Reached = {}
    length = len(sentence.tokens)
    starts = _starts(clause.words, reached, sentence, effort)
    effort.spend(len(starts) + length)
    for start, way in starts.items():
        for end in certain_ends(clause.slot.kind, sentence, start):
            _offer(into, end, _Way(way.cost, way, (start, end)))
    ends = [length] if last else range(1, length + 1)

    def surcharge(start: int) -> int:
        """Only free text may run on, and not from a quoted piece: where that ends, the text ends."""
        return 0 if clause.slot.kind in FREE_TEXT and not sentence.tokens[start].quoted else 1

    _spans(starts, ends, surcharge, into)
    for at, way in reached.items():
        _offer(into, at, _Way(way.cost + 1, way))
    return into


def _given(clause: Clause, way: _Way, sentence: Sentence) -> Given | None:
    if way.span is None:
        return None
    start, end = way.span
    kind = clause.slot.kind
    first = sentence.tokens[start]
    if end == start + 1 and first.quoted:
        return Given(kind, first.text, quoted=True, well_formed=way.well_formed)
    raw = sentence.raw(start, end)
    if kind not in FREE_TEXT:
        raw = trimmed(raw)
    elif sentence.text[sentence.tokens[end - 1].end :].strip():
        raw = raw.rstrip(",;:")
    return Given(kind, raw, quoted=False, well_formed=way.well_formed)


def match(variant: Variant, sentence: Sentence, effort: Effort) -> Match | None:
    """Return the cheapest reading of ``sentence`` as ``variant``; None if its verb phrase or closing words are not there."""
    words = [token.word for token in sentence.tokens]
    end = len(words) - len(variant.tail)
    if (
        tuple(words[: len(variant.lead)]) != variant.lead
        or tuple(words[end:]) != variant.tail
        or end < len(variant.lead)
    ):
        return None
    body = sentence.part(0, end)
    reached: _Reached = {len(variant.lead): _Way(0)}
    for clause in variant.clauses:
        reached = _clause(clause, reached, body, effort, last=clause is variant.clauses[-1])
    way = reached.get(end)
    if way is None:
        return None
    given: dict[str, Given] = {}
    cost, literals = way.cost, len(variant.lead) + len(variant.tail)
    for clause in reversed(variant.clauses):
        value = _given(clause, way, body)
        if value:
            given[clause.slot.param] = value
            literals += len(clause.words)
        assert way.before is not None
        way = way.before
    return Match(variant, dict(reversed(given.items())), cost, literals)
