"""The kinds of slots: where a value of each kind may end in a sentence, and how its words become a value.

Nothing is guessed here: a value is read whole from the characters typed, or ``ValueError`` says what to give instead.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final
from urllib.parse import urlsplit

from steward.planners.dates import EXAMPLE, MAX_DATE_WORDS, looks_like_date, read_date
from steward.planners.tokens import END_PUNCTUATION, Sentence

MAX_EXACT_INT: Final = 2**53 - 1
_MAX_ADDRESS_CHARS: Final = 254
_MAX_LOCAL_CHARS: Final = 64
_MAX_LABEL_CHARS: Final = 63
_NUMBER: Final = re.compile(r"-?[0-9]{1,20}(?:\.[0-9]{1,20})?")
_LOCAL_EXTRA: Final = frozenset("!#$%&'*+-/=?^_`{|}~.")
_LIST_SEPARATOR: Final = re.compile(r" ?[,;] ?(?:(?:and|&) )?| (?:and|&) ", re.IGNORECASE)


class SlotKind(StrEnum):
    """What a slot takes."""

    EMAIL = "email"
    EMAILS = "emails"
    URL = "url"
    TEXT = "text"
    WORD = "word"
    NAME = "name"
    PATH = "path"
    NUMBER = "number"
    DATE = "date"
    MESSAGE = "message"

    @property
    def sample(self) -> str:
        """A value for an example sentence."""
        return _SAMPLES[self]

    @property
    def hint(self) -> str:
        """A sentence saying what to give."""
        return _HINTS[self]

    @property
    def looseness(self) -> int:
        """0 for a kind with a shape of its own, 1 for any single word, 2 for any text."""
        if self in FREE_TEXT:
            return 2
        return 1 if self in {SlotKind.WORD, SlotKind.NAME, SlotKind.PATH} else 0


_SAMPLES: Final = {
    SlotKind.EMAIL: "office@example.com",
    SlotKind.EMAILS: "office@example.com",
    SlotKind.URL: "https://example.com",
    SlotKind.TEXT: '"Hello"',
    SlotKind.WORD: "reports",
    SlotKind.NAME: "reports",
    SlotKind.PATH: "notes.txt",
    SlotKind.NUMBER: "3",
    SlotKind.DATE: EXAMPLE,
    SlotKind.MESSAGE: '"Hello"',
}
_HINTS: Final = {
    SlotKind.EMAIL: "Give one whole e-mail address, such as office@example.com.",
    SlotKind.EMAILS: "Give whole e-mail addresses, such as office@example.com.",
    SlotKind.URL: "Give a whole web address, such as https://example.com/page.",
    SlotKind.TEXT: "Give the text.",
    SlotKind.WORD: "Give one word, or put it in quotation marks.",
    SlotKind.NAME: "Give one name, or put it in quotation marks.",
    SlotKind.PATH: "Give a file's path, such as notes.txt.",
    SlotKind.NUMBER: "Give a number in digits, such as 3 or 2.5.",
    SlotKind.DATE: f"Give a day, a time as HH:MM and a zone, such as '{EXAMPLE}'.",
    SlotKind.MESSAGE: "Give the text.",
}
SPANS: Final = frozenset({SlotKind.TEXT, SlotKind.MESSAGE, SlotKind.DATE})
"""Kinds that run on until the next literal word."""
FREE_TEXT: Final = frozenset({SlotKind.TEXT, SlotKind.MESSAGE})


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What reading a value may depend on beside its words."""

    now: datetime
    time_zone: str | None


def is_address(text: str) -> bool:
    """Say whether ``text`` is one whole e-mail address, nothing before or after it; letters of any script are allowed."""
    local, at, domain = text.partition("@")
    labels = domain.split(".")
    return (
        bool(at)
        and len(text) <= _MAX_ADDRESS_CHARS
        and 0 < len(local) <= _MAX_LOCAL_CHARS
        and all(char.isalnum() or char in _LOCAL_EXTRA for char in local)
        and not (local.startswith(".") or local.endswith(".") or ".." in local)
        and len(labels) > 1
        and all(
            0 < len(label) <= _MAX_LABEL_CHARS
            and all(char.isalnum() or char == "-" for char in label)
            and not (label.startswith("-") or label.endswith("-"))
            for label in labels
        )
        and not labels[-1].isdigit()
    )


def is_url(text: str) -> bool:
    """Say whether ``text`` is one whole http or https address with a host."""
    try:
        parts = urlsplit(text)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and not any(c.isspace() for c in text)
    except ValueError:
        return False


def trimmed(text: str) -> str:
    """Return ``text`` without the sentence's punctuation after it."""
    return text.strip().rstrip(END_PUNCTUATION)


def _addresses(text: str) -> list[str]:
    found = [item for item in _LIST_SEPARATOR.split(" ".join(text.split())) if item]
    if not found or not all(is_address(item) for item in found):
        raise ValueError(_HINTS[SlotKind.EMAILS])
    return found


def _addresses_end(sentence: Sentence, start: int) -> int:
    """Return where the longest list of addresses from ``start`` ends; ``start`` itself if none begins there."""
    at, end = start, start
    while at < len(sentence.tokens):
        token = sentence.tokens[at]
        if token.word in {"and", "&"} and at > start:
            at += 1
            continue
        items = [item for item in re.split("[,;]", token.text) if item]
        if not items or not all(is_address(trimmed(item)) for item in items):
            break
        at = end = at + 1
        follows = sentence.tokens[at].word if at < len(sentence.tokens) else ""
        if not token.text.endswith((",", ";")) and follows not in {"and", "&"}:
            break
    return end


def _one_token_fits(kind: SlotKind, text: str, *, quoted: bool) -> bool:
    plain = text if quoted else trimmed(text)
    if kind is SlotKind.EMAIL:
        return is_address(plain)
    if kind is SlotKind.URL:
        return is_url(plain)
    if kind is SlotKind.NUMBER:
        return _NUMBER.fullmatch(plain) is not None
    if kind is SlotKind.PATH and "://" in plain:
        return False
    return bool(plain.strip())


def certain_ends(kind: SlotKind, sentence: Sentence, start: int) -> list[int]:
    """Return the token positions at which a well-formed value of ``kind`` that begins at ``start`` may end.

    Unquoted free text is not listed: it may end anywhere.
    """
    if start >= len(sentence.tokens):
        return []
    if kind is SlotKind.EMAILS:
        end = _addresses_end(sentence, start)
        return [end] if end > start else []
    if kind is SlotKind.DATE:
        last = min(start + MAX_DATE_WORDS, len(sentence.tokens))
        ends = range(last, start, -1)
        return [end for end in ends if looks_like_date(trimmed(sentence.raw(start, end)))]
    token = sentence.tokens[start]
    if kind in FREE_TEXT:
        return [start + 1] if token.quoted else []
    return [start + 1] if _one_token_fits(kind, token.text, quoted=token.quoted) else []


def _number(text: str) -> int | float:
    if not _NUMBER.fullmatch(text):
        raise ValueError(_HINTS[SlotKind.NUMBER])
    value = float(text) if "." in text else int(text)
    if abs(value) > MAX_EXACT_INT:
        raise ValueError("That number is too large to be kept exactly.")
    return value


def _takes(schema: Mapping[str, Any], json_type: str) -> bool:
    """Say whether a parameter's schema allows ``json_type``; what it does not say is allowed, the plan check decides."""
    for branches in (schema.get("anyOf"), schema.get("oneOf")):
        if branches:
            return any(_takes(branch, json_type) for branch in branches if isinstance(branch, Mapping))
    declared = schema.get("type")
    if declared is None:
        return True
    return json_type in ([declared] if isinstance(declared, str) else declared)


def _fitted(value: Any, schema: Mapping[str, Any]) -> Any:
    """Return ``value`` in the JSON type the schema wants; raise ``ValueError`` if it has none that is the same value."""
    if isinstance(value, list):
        if len(value) == 1 and _takes(schema, "string"):
            return value[0]
        if not _takes(schema, "array"):
            raise ValueError("Give only one.")
        return value
    if isinstance(value, str) and not _takes(schema, "string"):
        if _takes(schema, "number") or _takes(schema, "integer"):
            value = _number(value)
        elif _takes(schema, "array"):
            return [value]
    if isinstance(value, (int, float)):
        if _takes(schema, "number") or (_takes(schema, "integer") and value == int(value)):
            return value if _takes(schema, "number") else int(value)
        raise ValueError("Give a whole number.")
    return value


def read_value(kind: SlotKind, text: str, schema: Mapping[str, Any], around: Surroundings) -> Any:
    """Return the JSON value that ``text`` stands for; raise ``ValueError`` with the sentence to ask if there is none."""
    if not text.strip():
        raise ValueError(kind.hint)
    if kind is SlotKind.MESSAGE:
        return {"text": text}
    if kind is SlotKind.TEXT:
        return _fitted(text, schema)
    if kind is SlotKind.EMAILS:
        return _fitted(_addresses(text), schema)
    if kind is SlotKind.DATE:
        return read_date(text, around.now, around.time_zone)
    if not _one_token_fits(kind, text, quoted=True):
        raise ValueError(kind.hint)
    return (
        _fitted(text, schema)
        if kind is not SlotKind.NUMBER or _takes(schema, "string")
        else _fitted(_number(text), schema)
    )
