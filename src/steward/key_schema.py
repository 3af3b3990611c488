"""The migration from the keys of the older software: which of two shapes jobs in Redis are written to and read from.

An old job is one hash under its id alone; a current one is a hash under workspace and id. While both are written, every
change of a job changes both in one step. The phase says what is read; it is recorded in Redis, where every script looks, so
that all processes agree. ``KeySchema`` is how the phases are moved and how old records are taken over.
"""

import re
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, Literal, Protocol

from steward.ids import is_id
from steward.job import JobError, NewJob

_OLD_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")


class Phase(StrEnum):
    """What is written and read."""

    LEGACY_READ = "legacy-read"
    """Written to both, read from the old."""
    NEW_READ = "new-read"
    """Written to both, read from the new, with the old as fallback."""
    NEW_ONLY = "new-only"
    """The old is neither written nor read."""


ReadPath = Literal["new", "old", "miss"]
ReadSink = Callable[[Phase, ReadPath, int], None]
"""Is told which records answered reads, and how often. Must not raise and must not block."""


def is_job_id(value: object) -> bool:
    """Say whether ``value`` can be the id of a job: one of ours, or one of the older software."""
    return is_id(value, "job") or (isinstance(value, str) and _OLD_ID.fullmatch(value) is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class QueuedJob:
    """A job that the older software left in its queue, on its way to become a job of ours."""

    job_id: str
    workspace_id: str
    actor_id: str
    action_id: str
    params: Mapping[str, Any]
    plan_id: str
    """Of the plan of one step that it will be."""
    enqueued_at: datetime


Adopt = Callable[[QueuedJob], NewJob | JobError]
"""Makes a runnable job of one from the queue, or says why it cannot run."""


@dataclass(frozen=True, slots=True)
class SchemaStatus:
    """Where the migration stands."""

    phase: Phase
    legacy_jobs: int
    """Old records known of."""
    current_jobs: int
    """Current records, as last counted; exact while both are written."""
    adopted: bool
    """Whether the pass that indexes old ids has ended."""
    verified: bool
    """Whether the last verification found nothing missing and nothing different."""
    read_paths: dict[str, dict[str, int]]
    """Phase to ``{"new": n, "old": n, "miss": n}``."""
    errors: dict[str, float]
    """Phase to the share of calls that failed."""
    p99_ms: dict[str, float]
    """Phase to the p99 of a call."""
    recorded: bool = True
    """Whether a phase was ever recorded; not before a start found jobs."""


@dataclass(frozen=True, slots=True)
class BackfillProgress:
    """How far a backfill has come."""

    total: int
    scanned: int
    migrated: int
    skipped_exists: int
    skipped_invalid: int
    errors: int
    operations: int
    """Redis operations used."""
    last_job_id: str | None
    finished: bool
    """Whether this filter has been walked to its end."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One job that is not the same in both schemas."""

    workspace_id: str
    """``invalid`` where it is none."""
    job_id: str
    kind: str
    """``missing``, ``different``, ``extra`` or ``invalid``."""
    fields: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Verified:
    """What a verification found."""

    compared: int
    missing: int
    different: int
    extra: int
    invalid: int
    by_workspace: dict[str, dict[str, int]]
    examples: tuple[Difference, ...]
    """At most 20."""


@dataclass(frozen=True, slots=True)
class Retired:
    """How far the removal of old keys has come."""

    removable: int
    removed: int
    kept: int
    """Without a verified twin."""
    finished: bool


class KeySchema(Protocol):
    """Moves the phases and takes old records over. A move that is not safe raises ``SchemaRefused``, which says what to do."""

    async def status(self) -> SchemaStatus:
        """Return where the migration stands; no walk over keys."""
        ...

    async def begin(self) -> bool:
        """Return whether a phase is recorded; where none is and no old record either, ``new-only`` is recorded first."""
        ...

    async def advance(self, to: Phase, *, accept_invalid: bool = False) -> SchemaStatus:
        """Go one phase forward."""
        ...

    async def back(self) -> SchemaStatus:
        """Go one phase back; from ``new-only`` every old record is written anew first."""
        ...

    def backfill(
        self,
        *,
        execute: bool,
        workspace_id: str | None = None,
        operations_per_s: int = 1000,
        batch: int = 500,
        max_keys: int | None = None,
        restart: bool = False,
    ) -> AsyncIterator[BackfillProgress]:
        """Iterate over the progress of giving old records their current ones; without ``execute`` it only counts."""
        ...

    async def verify(self, *, workspace_id: str | None = None) -> Verified:
        """Compare every job in both schemas and, for the whole installation, record the verdict."""
        ...

    def retire(self, *, execute: bool, operations_per_s: int = 1000, batch: int = 500) -> AsyncIterator[Retired]:
        """Iterate over the progress of removing old records whose current twin exists; without ``execute`` it only counts."""
        ...
