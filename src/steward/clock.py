"""Time as a collaborator: everything that asks what time it is receives a ``Clock``, so that tests move it.

``SystemClock`` is the only caller of the system's wall clock.
"""

from datetime import UTC, datetime
from functools import lru_cache
from typing import Protocol


class Clock(Protocol):
    """Tells the time."""

    def now(self) -> datetime:
        """Return the current time, aware, in UTC."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """Return the current time, aware, in UTC."""
        return datetime.now(UTC)


def rfc3339(moment: datetime) -> str:
    """Return ``moment`` as RFC 3339 in UTC with milliseconds and ``Z``, for example ``2026-01-31T09:30:00.000Z``."""
    if moment.tzinfo is not UTC:
        moment = moment.astimezone(UTC)
    return moment.isoformat(timespec="milliseconds")[:-6] + "Z"  # in place of +00:00


def milliseconds(moment: datetime) -> int:
    """Return ``moment`` as whole milliseconds since 1970-01-01 UTC: the one form in which stores keep time."""
    return round(moment.timestamp() * 1000)


@lru_cache(maxsize=1_000)
def from_milliseconds(value: int) -> datetime:
    """Return the aware UTC time for ``value`` milliseconds since 1970-01-01 UTC; what is written together shares most of its times."""
    return datetime.fromtimestamp(value / 1000, UTC)
