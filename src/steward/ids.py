"""Sortable, prefixed ids: ``plan_…``, ``job_…``, ``key_…``, ``evt_…``.

The 24 characters after the prefix are lower-case Crockford base32: 48 bits of milliseconds, 12 bits of a counter that
keeps ids of one process in order within a millisecond, 58 random bits. They sort by time as plain strings, and nobody
can guess the next one. The alphabet has no ``:``, ``*`` or brace, so an id is safe inside any key, path or header.
"""

import re
import secrets
import struct
import threading
from functools import lru_cache
from typing import Final, TypeGuard

from steward.clock import Clock, milliseconds

_ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"
_TIME_CHARS: Final = 10
_COUNTER_BITS: Final = 12
_COUNTER: Final = (1 << _COUNTER_BITS) - 1
_CHANCE_BITS: Final = 58
_CHANCE: Final = (1 << _CHANCE_BITS) - 1
_DRAWN_BYTES: Final = 8
_TAIL_CHARS: Final = 14
_ID: Final = re.compile(r"[a-z]{2,8}_[0-9abcdefghjkmnpqrstvwxyz]{24}")

_WORD: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")


_PAIRS: Final = [first + second for first in _ALPHABET for second in _ALPHABET]
_PAIR_BITS: Final = 10


def _base32(value: int, length: int) -> str:
    """Return a number as so many characters, an even number of them."""
    pairs = range((length // 2 - 1) * _PAIR_BITS, -1, -_PAIR_BITS)
    return "".join([_PAIRS[value >> shift & 1023] for shift in pairs])


@lru_cache(maxsize=16)
def _time(stamp: int) -> str:
    """Return the characters of a millisecond, which the ids that are made in it share."""
    return _base32(stamp, _TIME_CHARS)


class IdFactory:
    """Makes ids that sort by the time and order in which this process made them. Safe to share between threads."""

    def __init__(self, clock: Clock) -> None:
        """Take the clock whose time the ids carry."""
        self._clock = clock
        self._lock = threading.Lock()
        self._last = 0
        """Of the last id: its milliseconds, and behind them its counter."""

    def new(self, prefix: str) -> str:
        """Return a fresh id such as ``job_01kb2w…``: ``prefix``, an underscore, 24 characters."""
        return self.many(prefix, 1)[0]

    def many(self, prefix: str, count: int) -> list[str]:
        """Return so many fresh ids, in order; clock and chance are asked once for all of them."""
        with self._lock:
            now = milliseconds(self._clock.now()) << _COUNTER_BITS
            first = max(now, self._last + 1)  # same millisecond, or a clock that went back: stay in order
            self._last = first + count - 1
        drawn = struct.unpack(f"{count}Q", secrets.token_bytes(count * _DRAWN_BYTES))
        return [
            f"{prefix}_{_time(number >> _COUNTER_BITS)}"
            f"{_base32((number & _COUNTER) << _CHANCE_BITS | chance & _CHANCE, _TAIL_CHARS)}"
            for number, chance in enumerate(drawn, first)
        ]


def namesake(made: str, prefix: str) -> str:
    """Return the id with another prefix that has the name of ``made``: the only job of a plan can be ``job_X`` of ``plan_X``."""
    return f"{prefix}_{made.partition('_')[2]}"


def is_id(value: object, prefix: str) -> bool:
    """Say whether ``value`` has the exact shape of an id with this prefix (whole string, no trailing newline)."""
    return isinstance(value, str) and value.startswith(prefix + "_") and _ID.fullmatch(value) is not None


def is_word(value: object) -> TypeGuard[str]:
    """Say whether ``value`` is a plain word that programs match on, such as a code or a rule's name: snake_case, at most 64."""
    return isinstance(value, str) and _WORD.fullmatch(value) is not None
