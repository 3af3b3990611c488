"""A walk over all keys of jobs, old and current, that can be broken off and gone on with.

It remembers a position of the server's own walk, which is good for one run of the server; after a restart it begins anew,
which costs time and nothing else, since whatever it does can be done twice.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from steward.work_stores.redis.keys import KEYS, Found, classify, key
from steward.work_stores.redis.legacy.pace import Pace
from steward.work_stores.redis.legacy.records import Unreadable, fields_of, flat_of, owner_of
from steward.work_stores.redis.server import Server

_JOBS: Final = KEYS["older_job"].partition(":%")[0] + "*"
"""Every key of a job, whatever its shape, and perhaps more: what each is, is looked at."""
_OURS: Final = (KEYS["older_job"] % "", KEYS["old_job"] % "")
_AT_ONCE: Final = 500


@dataclass(frozen=True, slots=True)
class Old:
    """An old record as it lies there; ``why`` it cannot be told whose it is, if so."""

    name: str
    job_id: str
    flat: Sequence[bytes] = ()
    workspace_id: str = ""
    why: str = ""


@dataclass(frozen=True, slots=True)
class Current:
    """A current record, by workspace and id."""

    workspace_id: str
    job_id: str


@dataclass(frozen=True, slots=True)
class Stretch:
    """What one step of the walk came by, and where the next begins; ``at`` "0": at the end."""

    at: str
    records: tuple[Old | Current, ...]


async def records_of(server: Server, names: Sequence[str]) -> list[Old | Current]:
    """Return what lies under keys that begin like those of jobs."""
    found = [(name, classify(name)) for name in names if name.startswith(_OURS)]
    answers: dict[str, Any] = {}
    readable = [name for name, what in found if what is not None]
    for first in range(0, len(readable), _AT_ONCE):
        some = readable[first : first + _AT_ONCE]
        told = await server.send_together(*(("HGETALL", name) for name in some), failing=True)
        answers |= zip(some, told, strict=True)
    return [one for name, what in found if (one := _told(name, what, answers.get(name))) is not None]


def _told(name: str, found: Found | None, flat: Any) -> Old | Current | None:
    named_id = name.rpartition(":")[2] if found is None else found.old_id or found.job_id or ""
    if found is None or isinstance(flat, Exception):
        return Old(name, named_id, why="key" if found is None else "type")
    if not flat:
        return None  # gone meanwhile
    fields, flat = fields_of(flat), flat_of(flat)
    is_twin = fields.get("workspace_id") == found.workspace_id and fields.get("job_id") == found.job_id
    if found.job_id is not None and is_twin:
        return Current(fields["workspace_id"], found.job_id)
    try:
        workspace_id = owner_of(fields, found.old_id)
    except Unreadable as error:
        return Old(name, named_id, flat, why=str(error))
    return Old(name, named_id, flat, workspace_id)


async def stretches(server: Server, pace: Pace, batch: int, at: str = "0") -> AsyncIterator[Stretch]:
    """Iterate over the keys of jobs from a position on; a key may come twice."""
    while True:
        await pace.take(1)
        after, found = await server.send("SCAN", at, "MATCH", _JOBS, "COUNT", batch)
        names = [name.decode("utf-8", "replace") for name in found]
        await pace.take(len(names))
        at = str(int(after))
        yield Stretch(at, tuple(await records_of(server, names)))
        if at == "0":
            return


class Bookmark:
    """Where a walk with a name stands, kept in Redis."""

    def __init__(self, server: Server, name: str) -> None:
        """Name it."""
        self._server = server
        self._key = key("schema_walk", name)

    async def read(self) -> tuple[str, dict[str, int]]:
        """Return the position and the counts so far; of another run of the server, or finished: the beginning."""
        kept = fields_of(await self._server.send("HGETALL", self._key))
        if kept.get("run") != await self._run() or kept.get("at", "0") == "0":
            return "0", {}
        return kept["at"], {name: int(value) for name, value in kept.items() if name not in {"run", "at"}}

    async def write(self, at: str, **counts: int) -> None:
        """Remember a position."""
        pairs = (part for pair in counts.items() for part in pair)
        await self._server.send("HSET", self._key, "run", await self._run(), "at", at, *pairs)

    async def remove(self) -> None:
        """Forget it."""
        await self._server.send("DEL", self._key)

    async def _run(self) -> str:
        answer = await self._server.send("INFO", "server")
        if isinstance(answer, dict):
            return str(answer["run_id"])
        return next(line.partition(":")[2] for line in answer.decode().splitlines() if line.startswith("run_id:"))
