"""Sortable, prefixed ids: ``plan_…``, ``job_…``, ``key_…``, ``evt_…``.

The 24 characters after the prefix are lower-case Crockford base32: 48 bits of milliseconds, 12 bits of a counter that
keeps ids of one process in order within a millisecond, 58 random bits. They sort by time as plain strings, and nobody
can guess the next one. The alphabet has no ``:``, ``*`` or brace, so an id is safe inside any key, path or header.
"""

import re
import secrets
import threading
from typing import Final, TypeGuard

from steward.clock import Clock, milliseconds

_ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"
_TIME_CHARS: Final = 10
_COUNTER_BITS: Final = 12
_RANDOM_BITS: Final = 58
_BODY_CHARS: Final = 24
_ID: Final = re.compile(r"[a-z]{2,8}_[0-9abcdefghjkmnpqrstvwxyz]{24}")

_WORD: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")


_PAIRS: Final = [first + second for first in _ALPHABET for second in _ALPHABET]
_PAIR_BITS: Final = 10


def _base32(value: int, length: int) -> str:
    """Return a number as so many characters, an even number of them."""
    pairs = range((length // 2 - 1) * _PAIR_BITS, -1, -_PAIR_BITS)
    return "".join([_PAIRS[value >> shift & 1023] for shift in pairs])


class IdFactory:
    """Makes ids that sort by the time and order in which this process made them. Safe to share between threads."""

    def __init__(self, clock: Clock) -> None:
        """Take the clock whose time the ids carry."""
        self._clock = clock
        self._lock = threading.Lock()
        self._last_ms = 0
        self._counter = 0

    def new(self, prefix: str) -> str:
        """Return a fresh id such as ``job_01kb2w…``: ``prefix``, an underscore, 24 characters."""
        with self._lock:
            now = milliseconds(self._clock.now())
            if now > self._last_ms:
                self._last_ms, self._counter = now, 0
            else:  # same millisecond, or a clock that went back: stay in order
                self._counter += 1
                if self._counter >> _COUNTER_BITS:
                    self._last_ms, self._counter = self._last_ms + 1, 0
            stamp, counter = self._last_ms, self._counter
        tail = (counter << _RANDOM_BITS) | secrets.randbits(_RANDOM_BITS)
        return f"{prefix}_{_base32(stamp, _TIME_CHARS)}{_base32(tail, _BODY_CHARS - _TIME_CHARS)}"


def is_id(value: object, prefix: str) -> bool:
    """Say whether ``value`` has the exact shape of an id with this prefix (whole string, no trailing newline)."""
    return isinstance(value, str) and value.startswith(prefix + "_") and _ID.fullmatch(value) is not None


def is_word(value: object) -> TypeGuard[str]:
    """Say whether ``value`` is a plain word that programs match on, such as a code or a rule's name: snake_case, at most 64."""
    return isinstance(value, str) and _WORD.fullmatch(value) is not None
