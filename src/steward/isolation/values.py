"""The values of an attack: canaries that must never be seen elsewhere, what a workspace was seen to hold, and strangers.

A stranger is a value of the same shape that nobody has: what is answered for a foreign value must be what is answered
for its stranger.
"""

import re
import secrets
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any, Final

from steward.digest import HEX_DIGEST

ID: Final = re.compile(r"\b([a-z]{2,8})_[0-9a-hjkmnp-tv-z]{16,24}\b")
CANARY: Final = re.compile(r"canary[a-z][0-9]{4}[0-9a-f]{12}")
_CROCKFORD: Final = "0123456789abcdefghjkmnpqrstvwxyz"
_KEPT_PER_KIND: Final = 40
_LONGEST: Final = 2_000


class Canaries:
    """Makes the canaries of one workspace and remembers where each was put."""

    def __init__(self, tag: str) -> None:
        """Take one letter that tells whose they are."""
        self._tag = tag
        self._placed: dict[str, str] = {}
        self.burnt: set[str] = set()
        """Those that the other side has sent itself: seeing them again says nothing."""

    def new(self, place: str) -> str:
        """Return a new one for ``place``; it fits names, keys, paths and texts alike."""
        canary = f"canary{self._tag}{len(self._placed) % 10_000:04}{secrets.token_hex(6)}"
        self._placed[canary] = place
        return canary

    def place_of(self, canary: str) -> str:
        """Return the place that a canary was made for; blank if it is not one of these."""
        return self._placed.get(canary, "")

    def burn(self, text: str) -> None:
        """Remember that the other side has sent what is in ``text``."""
        self.burnt.update(self._in(text))

    def seen_in(self, text: str) -> dict[str, str]:
        """Return the canaries in ``text`` that prove something, each with the place that it was put in."""
        return {found: self._placed[found] for found in self._in(text) if found not in self.burnt}

    def __len__(self) -> int:
        """How many there are."""
        return len(self._placed)

    def _in(self, text: str) -> set[str]:
        return {found for found in CANARY.findall(text) if found in self._placed}


class Holdings:
    """What a workspace was seen to hold: ids by their prefix, and values by the name of the field they stood in."""

    def __init__(self) -> None:
        """Start with nothing."""
        self._values: defaultdict[str, dict[str, None]] = defaultdict(dict)
        self.tools: set[str] = set()
        """What the audit itself needs, such as its own keys: known, but never used up."""

    def add(self, kind: str, value: object) -> None:
        """Take note of one value; the newest are kept."""
        if isinstance(value, str) and value and len(value) <= _LONGEST:
            kept = self._values[kind.lower()]
            kept.pop(value, None)
            kept[value] = None
            if len(kept) > _KEPT_PER_KIND:
                del kept[next(iter(kept))]

    def learn(self, document: Any, name: str = "") -> None:
        """Take note of every text in a JSON document."""
        if isinstance(document, Mapping):
            for key, value in document.items():
                self.learn(value, str(key))
        elif isinstance(document, list):
            for value in document:
                self.learn(value, name)
        elif isinstance(document, str):
            self.add(name, document)
            if found := ID.fullmatch(document):
                self.add(found[1], document)

    def of(self, kind: str) -> list[str]:
        """Return what is known of a kind, the newest first."""
        return list(reversed(self._values.get(kind.lower(), {})))

    def holds(self, value: str) -> bool:
        """Whether a value was seen here, whatever it is."""
        return any(value in values for values in self._values.values())

    def spare(self, kind: str) -> list[str]:
        """Return what is known of a kind and may be used up, the newest first."""
        return [value for value in self.of(kind) if value not in self.tools]

    def ids(self) -> Iterator[tuple[str, str]]:
        """Yield the newest id of each prefix."""
        for kind, values in list(self._values.items()):
            newest = next(reversed(values), "")
            found = ID.fullmatch(newest)
            if found and found[1] == kind:
                yield kind, newest


class Strangers:
    """Gives every value the same stranger for as long as the audit runs."""

    def __init__(self) -> None:
        """Start with none."""
        self._known: dict[str, str] = {}

    def of(self, value: str) -> str:
        """Return a value of the same length and alphabet that nobody has."""
        if value not in self._known:
            self._known[value] = _stranger(value)
        return self._known[value]


def _stranger(value: str) -> str:
    if found := ID.fullmatch(value):
        prefix = f"{found[1]}_"
        return prefix + "".join(secrets.choice(_CROCKFORD) for _ in value[len(prefix) :])
    if HEX_DIGEST.fullmatch(value):
        return secrets.token_hex(len(value) // 2)
    return "".join(_like(character) for character in value)


def _like(character: str) -> str:
    for alphabet in ("0123456789", "abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ"):
        if character in alphabet:
            return secrets.choice(alphabet)
    return character
