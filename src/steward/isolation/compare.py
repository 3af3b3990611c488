"""Tells whether two answers can be told apart by somebody who knows what they sent."""

import json
import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from steward.isolation.tenant import Answer
from steward.isolation.values import CANARY, ID

_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
_REQUEST: Final = re.compile(r"isolation-[a-z]-\d{8}")
_HEX: Final = re.compile(r"\b[0-9a-f]{64}\b")
_SECRET: Final = re.compile(r"stw_[0-9a-z]{24}_[a-z2-7]{52}")
_CONTEXT: Final = 40
_OF_THE_MOMENT: Final = frozenset({"date", "x-request-id", "ratelimit", "retry-after", "content-length"})
"""Headers whose value is of the moment, or follows from the body."""
_MOVES: Final = frozenset({"queue_depth", "count", "sequence"})
"""Numbers of the caller's own that move by themselves."""


def difference(foreign: Answer, sent: str, unknown: Answer, stranger: str, *, content: bool = False) -> str:
    """Return in a sentence how the answer for ``sent`` differs from the one for ``stranger``; blank if it does not.

    What was sent as ``content`` may shape a good answer: then only refusals have to be the same to the letter.
    """
    if foreign.status != unknown.status:
        return f"the status is {foreign.status} for a foreign value and {unknown.status} for an unknown one"
    mine, theirs = _headers(foreign), _headers(unknown)
    if mine != theirs:
        names = ", ".join(sorted(name for name in mine.keys() | theirs.keys() if mine.get(name) != theirs.get(name)))
        return f"the headers differ: {names}"
    if content and foreign.good:
        return ""
    return _apart(_shape(foreign, sent), _shape(unknown, stranger))


def _apart(mine: str, theirs: str) -> str:
    """Return where two texts part, in a sentence; blank if they do not."""
    if mine == theirs:
        return ""
    place = next((at for at, (one, other) in enumerate(zip(mine, theirs, strict=False)) if one != other), 0)
    start = max(0, place - _CONTEXT)
    return f"the bodies differ: '{mine[start : place + _CONTEXT]}' and '{theirs[start : place + _CONTEXT]}'"


def neutral(text: str) -> str:
    """Return a text with what is new in every answer taken out: ids, request ids, times, digests."""
    for pattern, word in (
        (CANARY, "<canary>"),
        (_REQUEST, "<request>"),
        (_SECRET, "<key>"),
        (ID, "<id>"),
        (_TIME, "<time>"),
        (_HEX, "<hex>"),
    ):
        text = pattern.sub(word, text)
    return text


def _headers(answer: Answer) -> Mapping[str, str]:
    return {name: "" if name in _OF_THE_MOMENT else value for name, value in answer.headers.items()}


def _shape(answer: Answer, sent: str) -> str:
    """Return a refusal byte for byte, and anything else as what it says, without what is new in every answer."""
    text = answer.text
    refusal = HTTPStatus.BAD_REQUEST <= answer.status < HTTPStatus.INTERNAL_SERVER_ERROR
    if not refusal and answer.document is not None:
        text = json.dumps(_still(answer.document), sort_keys=True, ensure_ascii=False)
    return neutral(text.replace(sent, "<sent>") if sent else text)


def _still(value: Any, name: str = "") -> Any:
    if isinstance(value, Mapping):
        return {key: _still(item, key) for key, item in value.items()}
    if isinstance(value, list):
        return [_still(item) for item in value]
    if isinstance(value, (int, float)) and (name in _MOVES or name.endswith(("_ms", "_s"))):
        return 0
    return value
