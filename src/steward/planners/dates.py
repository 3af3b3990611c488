"""The closed list of dates that sentences may hold. Anything else is a question back, never a guess.

A date is a day (an ISO date, *today*, *tomorrow* or a weekday, which means its next occurrence after today), a time as
``HH:MM`` on the 24-hour clock, and a zone (an IANA name with a slash, ``UTC``, ``GMT`` or an offset such as ``+02:00``).
"""

import re
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from functools import cache
from typing import Final
from zoneinfo import ZoneInfo, available_timezones

from steward.clock import rfc3339

MAX_DATE_WORDS: Final = 8
_WEEKDAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_DATE: Final = re.compile(
    rf"(?:on )?(?P<day>[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}|today|tomorrow|{'|'.join(_WEEKDAYS)})"
    r"(?:,? at |,? |t)(?P<hour>[0-9]{2}):(?P<minute>[0-9]{2})(?::(?P<second>[0-9]{2}))? ?(?P<zone>[a-z0-9_+:/-]*)",
    re.IGNORECASE,
)
_OFFSET: Final = re.compile(r"(?:utc|gmt)?([+-])([0-9]{2}):?([0-9]{2})", re.IGNORECASE)
_MAX_OFFSET: Final = timedelta(hours=14)
EXAMPLE: Final = "tomorrow 09:30 UTC"


@cache
def _zone_names() -> dict[str, str]:
    return {name.casefold(): name for name in available_timezones() if "/" in name}


def zone_named(name: str) -> tzinfo | None:
    """Return the zone that ``name`` means, or None when it means none for certain (``EST``, say, means several)."""
    if name.casefold() in {"utc", "gmt", "z"}:
        return UTC
    offset = _OFFSET.fullmatch(name)
    if offset:
        span = timedelta(hours=int(offset[2]), minutes=int(offset[3]))
        if span > _MAX_OFFSET or int(offset[3]) > 59:  # noqa: PLR2004 - minutes of an hour
            return None
        return timezone(span if offset[1] == "+" else -span)
    known = _zone_names().get(name.casefold())
    return ZoneInfo(known) if known else None


def looks_like_date(text: str) -> bool:
    """Say whether ``text`` has the shape of a date on the closed list, its zone left out or not."""
    return _DATE.fullmatch(" ".join(text.split())) is not None


def _day(name: str, today: date) -> date:
    """Return the day meant; raise ``ValueError`` for an ISO date that does not exist."""
    folded = name.casefold()
    if folded == "today":
        return today
    if folded == "tomorrow":
        return today + timedelta(days=1)
    if folded in _WEEKDAYS:
        ahead = (_WEEKDAYS.index(folded) - today.weekday() - 1) % 7 + 1
        return today + timedelta(days=ahead)
    return date.fromisoformat(name)


def read_date(text: str, now: datetime, default_zone: str | None) -> str:
    """Return the moment meant, as RFC 3339 in UTC; raise ``ValueError`` with the sentence to ask when it is not certain.

    ``default_zone`` (an IANA name, ``UTC`` or an offset) counts where ``text`` names no zone. A local time that the
    zone's clock skips or shows twice is asked about.
    """
    found = _DATE.fullmatch(" ".join(text.split()))
    if not found:
        raise ValueError(
            f"Give a day, a time as HH:MM and a zone, such as '{EXAMPLE}' or '2030-01-31 14:00 Europe/Paris'."
        )
    name = found["zone"] or default_zone or ""
    zone = zone_named(name)
    if zone is None:
        raise ValueError(
            f"In which time zone? Say the whole date again with one, such as '{EXAMPLE}' or '… 14:00 Europe/Paris'."
        )
    try:
        day = _day(found["day"], now.astimezone(zone).date())
        clock_time = time(int(found["hour"]), int(found["minute"]), int(found["second"] or 0))
        local = datetime.combine(day, clock_time, tzinfo=zone)
        moment, certain = rfc3339(local), local.utcoffset() == local.replace(fold=1).utcoffset()
    except (ValueError, OverflowError) as error:
        raise ValueError("There is no such day or time.") from error
    if not certain:
        raise ValueError("The clocks change then: that local time is skipped or comes twice. Give it in UTC.")
    return moment
