"""Which record answers a read of a job: the phase decides, in the same operation that reads; and each answer is counted."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, Final

from steward.job import Job, ListedJob
from steward.key_schema import Phase, ReadPath, is_job_id
from steward.work_stores.redis.job_records import JOB_FIELDS, LINE_FIELDS, LISTED_FIELDS, listed_job, shown_job
from steward.work_stores.redis.keys import KEYS, key
from steward.work_stores.redis.legacy.migrating import Migrator
from steward.work_stores.redis.legacy.records import Unreadable, as_job, fields_of, seen_through, shown_old
from steward.work_stores.redis.legacy.statistics import phase_of
from steward.work_stores.redis.legacy.walking import Old, records_of
from steward.work_stores.redis.server import Server

_ONLY_NEW: Final = Phase.NEW_ONLY.value.encode()
_ID: Final = "job_id"
_LINE: Final = ("job_id", *LINE_FIELDS)
_BETWEEN: Final = b"\0"
"""What stands between the fields of a line: it is in no text that a record can hold."""
_NEXT: Final = b"\xff"
"""What stands between lines: it is in no text at all."""
_SHORT_BYTES: Final = 65_536
"""Pages up to this length are remembered whole."""


def _is_pair(found: Sequence[Any]) -> bool:
    """Say whether a script answered with our fields and the old record's; else with ours alone."""
    return isinstance(found[0], list)


@lru_cache(maxsize=1_000)
def _as_before(values: tuple[bytes | None, ...]) -> ListedJob:
    """Return what a list shows of a job, the same object as before if its fields are: lists are looked at again and again."""
    return listed_job(values)


@lru_cache(maxsize=1_000)
def _in_line(line: bytes, workspace: bytes) -> ListedJob:
    """Return the same for a line of a plain page."""
    field = dict(zip(_LINE, line.split(_BETWEEN), strict=True)) | {"workspace_id": workspace}
    return _as_before(tuple(field[name] or None for name in LISTED_FIELDS))


def _made(lines: bytes, workspace: bytes) -> tuple[ListedJob, ...]:
    return tuple([_in_line(line, workspace) for line in lines.split(_NEXT)])


_remembered: Final[Callable[[bytes, bytes], tuple[ListedJob, ...]]] = lru_cache(maxsize=64)(_made)


def _page(lines: bytes, workspace: bytes) -> tuple[ListedJob, ...]:
    """Return the jobs of a plain page, the same objects for the same text; raise ``ValueError`` if one of them is no line."""
    return (_remembered if len(lines) <= _SHORT_BYTES else _made)(lines, workspace) if lines else ()


def _listed(found: Sequence[Any]) -> ListedJob:
    return _shown(found) if _is_pair(found) else _as_before(tuple(found))


def _shown(found: Sequence[Any]) -> Job:
    if not _is_pair(found):
        return shown_job(found)
    values, flat = found
    fields = fields_of(flat)
    job_id = values[0].decode() if values else fields[_ID]
    old = shown_old(fields, job_id)
    return seen_through(shown_job(values), old) if values else as_job(old)


class Routes:
    """Reads jobs of one server."""

    def __init__(self, server: Server) -> None:
        """Use it."""
        self._server = server

    async def one(self, workspace_id: str, job_id: str) -> Job | None:
        """Return one job; None: there is none, or it is another workspace's."""
        phase, values = await self._server.send_together(
            ("HGET", key("schema"), "phase"), ("HMGET", key("job", workspace_id, job_id), *JOB_FIELDS)
        )
        found: Sequence[Any] | None = None if values[0] is None else values
        if phase not in {None, _ONLY_NEW}:
            phase, *answer = await self._server.run("read_job", workspace_id, job_id)
            found = answer[0] if answer else None
        shown = self.shown(phase, [] if found is None else [found])
        if found is None:
            self._server.statistics.read(phase_of(phase), "miss")
        return shown[0] if shown else None

    def shown(self, phase: bytes | None, found: Sequence[Sequence[Any]]) -> tuple[Job, ...]:
        """Return jobs as a script answered them, and count which records they came from."""
        self._count(phase, found)
        return tuple(map(_shown, found))

    def listed(self, phase: bytes | None, found: Sequence[Sequence[Any]]) -> tuple[ListedJob, ...]:
        """Return the same for a list."""
        self._count(phase, found)
        return tuple(map(_listed, found))

    def listed_in(self, lines: bytes, workspace_id: str) -> tuple[ListedJob, ...] | None:
        """Return the jobs of a plain page, where only current records are read; None: one of them is no line."""
        try:
            jobs = _page(lines, workspace_id.encode())
        except ValueError:
            return None
        self._server.statistics.read(Phase.NEW_ONLY, "new", len(jobs))
        return jobs

    def _count(self, phase: bytes | None, found: Sequence[Sequence[Any]]) -> None:
        counts: dict[ReadPath, int] = {"new": 0, "old": 0}
        for one in found:
            counts["old" if _is_pair(one) else "new"] += 1
        for path, number in counts.items():
            self._server.statistics.read(phase_of(phase), path, number)

    async def take_over(self, migrator: Migrator, workspace_id: str, job_id: str) -> bool:
        """Give a job of the older software its current record, if it is this workspace's; return whether it has one."""
        kept = await self._server.send("HGET", key("schema"), "phase")
        if kept in {None, _ONLY_NEW} or not is_job_id(job_id):
            return False
        names = [KEYS["old_job"] % job_id, KEYS["older_job"] % job_id]
        for one in await records_of(self._server, names):
            if isinstance(one, Old) and one.flat and one.workspace_id == workspace_id:
                try:
                    return bool(await migrator.migrate(one))
                except Unreadable:
                    return False
        return False
