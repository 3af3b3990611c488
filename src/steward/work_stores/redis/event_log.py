"""Reads the events of all workspaces in the order in which they were committed, for the archive.

The order over all says where runs of a workspace's events stand. It is read first, then the runs, a few at a time and each
by a command of its own: a script that tells a thousand events keeps everybody else waiting for as long as a thousand
claims take, since each word passes through it twice. What was purged in between is passed over, as if it had been purged before.
"""

from collections import defaultdict
from collections.abc import Sequence
from functools import lru_cache
from operator import attrgetter
from typing import Any, Final, NamedTuple

from pydantic_core import from_json

from steward.event import BY_THE_WAY, Event
from steward.work_stores.redis.keys import key
from steward.work_stores.redis.records import in_event, number_of, streamed_event
from steward.work_stores.redis.server import Server

_BY_THE_WAY: Final = frozenset(kind.value.encode() for kind in BY_THE_WAY)
_TIME_DIGITS: Final = 14
"""Of the milliseconds of any time before the year 5000."""
_AT_ONCE: Final = 200
"""How many events are read by one command."""
_IN_A_RUN: Final = 4
"""How many events a run is taken to have: in a crowd many more. What tells of runs that are not needed is read for nothing."""


class _Run(NamedTuple):
    """Events of one workspace that follow each other in the order over all."""

    workspace: bytes
    first: int
    last: int
    ahead: int
    """What a position is ahead of the event's number."""


@lru_cache(maxsize=1_024)
def _says_no_error(data: bytes) -> bool:
    """Say whether an event's data can be read and name no error; of a plan's steps many are the same."""
    try:
        told = from_json(data)
    except ValueError:
        return False
    return isinstance(told, dict) and "error_code" not in told


def _tells_nothing(pairs: Sequence[bytes]) -> bool:
    """Say whether an event, as it stands in a log, may be left out: not one that cannot be read."""
    if pairs[1] not in _BY_THE_WAY:
        return False
    try:
        _, at, actor_id, plan_id, job_id, data, _ = in_event(pairs)
    except KeyError:
        return False
    plain = at.isdigit() and len(at) <= _TIME_DIGITS and actor_id.isascii() and plan_id.isascii() and job_id.isascii()
    return plain and _says_no_error(data)


def _runs(entries: Sequence[Any], after: int, limit: int) -> list[_Run]:
    """Return the runs of which entries tell, without what stands at or before a position; ``limit`` events at most."""
    runs: list[_Run] = []
    for entry_id, (_, workspace, _, last, _, events) in entries:
        position, number = number_of(entry_id), int(last)
        first = number - min(int(events), position - after) + 1
        upto = min(number, first + limit - 1)
        runs.append(_Run(workspace, first, upto, position - number))
        limit -= upto - first + 1
        if not limit:
            break
    return runs


class EventLog:
    """Every workspace's events."""

    def __init__(self, server: Server) -> None:
        """Read from ``server``."""
        self._server = server

    async def after(self, position: int, limit: int) -> tuple[Event, ...]:
        """Return up to ``limit`` events that stand after ``position``; fewer only if that were all.

        Those that tell nothing are left out, but for the last one of all.
        """
        found: list[Event] = []
        while (room := limit - len(found)) > 0:
            room += room * 2 // 3  # about a third will be left out, of some pieces more
            asked = room // _IN_A_RUN + 2
            entries = await self._server.look("XRANGE", key("all_events"), f"{position + 1}-0", "+", "COUNT", asked)
            if not entries:
                break
            runs = _runs(entries, position, room)
            position = runs[-1].last + runs[-1].ahead
            is_all = len(entries) < asked and position == number_of(entries[-1][0])
            found += await self._in(runs, position if is_all else None)
            if is_all:
                break
        return tuple(found[:limit])

    async def _in(self, runs: Sequence[_Run], last: int | None) -> list[Event]:
        """Return the events in some runs that are still there, without those that tell nothing; ``last``: but for this position."""
        of_workspaces: dict[bytes, list[_Run]] = defaultdict(list)
        for run in runs:
            of_workspaces[run.workspace].append(run)
        found = [event for own in of_workspaces.values() for event in await self._of_one(own, last)]
        return found if len(of_workspaces) == 1 else sorted(found, key=attrgetter("position"))

    async def _of_one(self, runs: Sequence[_Run], last: int | None) -> list[Event]:
        """Return the events in runs of one workspace."""
        workspace, first, now = runs[0].workspace.decode(), runs[0].first, self._server.now
        log, end, waiting = key("events", workspace), runs[-1].last, iter(runs)
        run, found = next(waiting), []
        while first <= end:
            some = await self._server.look("XRANGE", log, f"{first}-0", f"{end}-0", "COUNT", _AT_ONCE)
            for entry, pairs in some:
                number = number_of(entry)
                while number > run.last:
                    run = next(waiting)
                first, position = number + 1, number + run.ahead
                if number < run.first or (position != last and _tells_nothing(pairs)):
                    continue
                event = streamed_event(workspace, number, pairs, now, position)
                if event.position <= position:  # else it is one that came in its place
                    found.append(event)
            if len(some) < _AT_ONCE:
                break
        return found
