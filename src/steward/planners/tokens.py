"""Cut a sentence into words and quoted pieces, each with its place, so that values keep the exact characters typed."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

_QUOTES: Final = {'"': '"', "“": "”", "”": "”", "„": "“”", "«": "»", "»": "«", "‘": "’", "'": "'", "`": "`", "「": "」"}
_MAY_PRECEDE_QUOTE: Final = frozenset(":=([")
END_PUNCTUATION: Final = ".,;:!?…"
_AROUND_WORDS: Final = END_PUNCTUATION + "()[]-–—"


@dataclass(frozen=True, slots=True)
class Token:
    """A word or a quoted piece. ``start`` and ``end`` are offsets into the sentence, quote marks included."""

    start: int
    end: int
    text: str
    """As typed, without quote marks."""
    word: str
    """For comparing with literal words: folded, no punctuation around it; blank for a quoted piece."""
    quoted: bool = False


def folded_word(text: str) -> str:
    """Return ``text`` in the form in which words are compared: case, width, apostrophes and punctuation around it gone."""
    return unicodedata.normalize("NFKC", text).replace("’", "'").casefold().strip(_AROUND_WORDS)


def _closing(text: str, marks: str, start: int) -> int:
    """Return where the first of ``marks`` stands that is not followed by a letter or digit (as in *it's*), or -1."""
    found = []
    for mark in marks:
        at = text.find(mark, start)
        while at != -1 and text[at + 1 : at + 2].isalnum():
            at = text.find(mark, at + 1)
        if at != -1:
            found.append(at)
    return min(found, default=-1)


def tokenise(text: str) -> list[Token]:
    """Return the words and quoted pieces of ``text`` in order; what is only punctuation is left out. Linear time."""
    tokens = []
    unclosed: set[str] = set()
    at, length = 0, len(text)
    while at < length:
        if text[at].isspace():
            at += 1
            continue
        opening = text[at]
        if opening in _QUOTES and opening not in unclosed:
            close = _closing(text, _QUOTES[opening], at + 1)
            if close != -1:
                tokens.append(Token(at, close + 1, text[at + 1 : close], "", quoted=True))
                at = close + 1
                continue
            unclosed.add(opening)
        end = at + 1
        while end < length and not text[end].isspace():
            if text[end - 1] in _MAY_PRECEDE_QUOTE and text[end] in _QUOTES and text[end] not in unclosed:
                break
            end += 1
        raw = text[at:end]
        if raw.strip(END_PUNCTUATION + "-–—"):
            tokens.append(Token(at, end, raw, folded_word(raw)))
        at = end
    return tokens


@dataclass(frozen=True, slots=True)
class Sentence:
    """A stretch of tokens of one text: the whole sentence or one part of it."""

    text: str
    tokens: Sequence[Token]

    def part(self, start: int, end: int) -> "Sentence":
        """Return the tokens from ``start`` up to ``end`` as a sentence of their own."""
        return Sentence(self.text, self.tokens[start:end])

    def raw(self, start: int, end: int) -> str:
        """Return exactly what was typed from token ``start`` up to token ``end``; blank for an empty stretch."""
        if start >= end:
            return ""
        return self.text[self.tokens[start].start : self.tokens[end - 1].end]

    @property
    def shown(self) -> str:
        """All of it, as typed."""
        return self.raw(0, len(self.tokens))
