"""The durable execution of one step: its record, its states, and the pure rules for what happens next.

Every state has its sentence and every edge is drawn in ``docs/explanation/states.md``; ``TRANSITIONS`` is that drawing as
data. Engines store; what a state means is decided here.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from pydantic_core import from_json, to_json

from steward.action import Effect, RetryMode
from steward.quickly import quickly

LEASE_S: Final = 10.0
"""How long a claim holds without a renewal, in seconds."""
HEARTBEAT_S: Final = 3.0
"""How often a worker renews its leases, in seconds."""
MAX_HISTORY: Final = 20
"""Finished attempts kept in a job's record; older ones are dropped, never the count."""
MAX_DIFFERENCES: Final = 20
"""Fields that are told of a job that drifted."""
_BACKOFF_BASE_S: Final = 1.0
_BACKOFF_CAP_S: Final = 300.0


class JobStatus(StrEnum):
    """Where a job is."""

    WAITING = "waiting"
    """On other steps (or, for an expanded step, on its children)."""
    HELD = "held"
    """On an approval or because it drifted from what was approved; ``held_for`` says which."""
    SCHEDULED = "scheduled"
    """On a time: the start asked for, or the next attempt after a failure."""
    PENDING = "pending"
    """Ready: the next free worker takes it."""
    RUNNING = "running"
    """A worker holds it under a lease."""
    COMPLETED = "completed"
    """Done; the result is stored."""
    FAILED = "failed"
    """Not done, and it will not be tried again unless somebody asks."""
    UNKNOWN = "unknown"
    """The effect may or may not have happened; a person decides."""
    CANCELLED = "cancelled"
    """Given up before it started, or because a step it needs was not completed."""
    SKIPPED = "skipped"
    """Its condition was false, or it needs a step whose condition was false."""


FINAL: Final = frozenset({JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.CANCELLED, JobStatus.SKIPPED})
"""Nothing happens here any more by itself. ``failed`` leaves by a person's retry, which revives what it cancelled."""

_S = JobStatus
TRANSITIONS: Final[Mapping[JobStatus, frozenset[JobStatus]]] = {
    _S.WAITING: frozenset({_S.PENDING, _S.CANCELLED, _S.SKIPPED}),
    _S.HELD: frozenset({_S.WAITING, _S.SCHEDULED, _S.PENDING, _S.CANCELLED}),
    _S.SCHEDULED: frozenset({_S.PENDING, _S.CANCELLED, _S.UNKNOWN}),
    _S.PENDING: frozenset({_S.RUNNING, _S.CANCELLED, _S.UNKNOWN}),
    _S.RUNNING: frozenset(
        {
            *(_S.COMPLETED, _S.FAILED, _S.UNKNOWN, _S.SKIPPED, _S.CANCELLED),
            *(_S.PENDING, _S.SCHEDULED, _S.HELD, _S.WAITING),
        }
    ),
    _S.UNKNOWN: frozenset({_S.COMPLETED, _S.FAILED}),
    _S.FAILED: frozenset({_S.PENDING}),
    _S.CANCELLED: frozenset({_S.WAITING}),
    _S.COMPLETED: frozenset(),
    _S.SKIPPED: frozenset(),
}


class HeldFor(StrEnum):
    """Why a job is held."""

    APPROVAL = "approval"
    DRIFT = "drift"


@dataclass(frozen=True, slots=True)
class JobError:
    """Why an attempt or a job did not complete. ``detail`` is redacted and safe to show."""

    code: str
    detail: str
    retryable: bool = False

    def as_dict(self) -> dict[str, Any]:
        """Return ``{code, detail, retryable}``."""
        return {"code": self.code, "detail": self.detail, "retryable": self.retryable}


@dataclass(frozen=True, slots=True)
class Difference:
    """What is not as somebody checked or approved it: one field, as people see it. Redacted, and short."""

    field: str
    """Which one: ``payload.amount``, ``to[1]``, ``retry``."""
    before: Any
    """As it was looked at; null: it was not there."""
    after: Any
    """As it would run; null: it is not there."""

    def as_dict(self) -> dict[str, Any]:
        """Return ``{field, before, after}``."""
        return {"field": self.field, "before": self.before, "after": self.after}


def differences_as_text(differences: Sequence[Difference]) -> str:
    """Return differences as they are kept: one text, which no engine takes apart."""
    return to_json([one.as_dict() for one in differences]).decode()


def differences_in(text: str | None) -> tuple[Difference, ...]:
    """Return differences that were kept as text."""
    return tuple(Difference(**one) for one in from_json(text)) if text else ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One finished try of a job by one worker under one lease."""

    number: int
    fence: int
    worker_id: str
    started_at: datetime
    dispatched_at: datetime | None
    finished_at: datetime
    outcome: str
    """``completed``, ``failed``, ``retry``, ``unknown``, ``skipped``, ``cancelled``, ``held``, ``lease_lost``, ``handed_back``, ``deferred``."""
    error: JobError | None = None
    differences: tuple[Difference, ...] = ()
    """Of one that was held for drift: what had changed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewJob:
    """A job as it is submitted; the store gives it its status."""

    job_id: str
    step_id: str
    action_id: str
    definition_hash: str
    """Of the action as it was when the plan was digested."""
    digest: str
    """SHA-256 (hex) of this step within its plan; recomputed before dispatch."""
    params_sealed: bytes
    """The parameters as written, sealed: references unresolved, defaults filled in."""
    depends_on: tuple[str, ...]
    """Ids of earlier steps of the same plan."""
    effect: Effect
    retry: RetryMode
    max_attempts: int
    key_valid_s: float
    """``keyed``: seconds from the first dispatch during which a repeat with the same key is safe."""
    not_before: datetime | None = None
    labels: Mapping[str, Any] = field(default_factory=dict)
    """Provenance of the inputs: parameter path to ``{from, label}``."""
    authored_after: tuple[str, ...] = ()
    """Steps whose untrusted output had been read when this step was written."""
    parent_step_id: str | None = None
    """The step that expanded into this one."""


def dependents_among(jobs: Sequence[NewJob]) -> dict[str, list[str]]:
    """Return for each step that is put in place with others the ids of the jobs that need it."""
    needed_by: dict[str, list[str]] = {job.step_id: [] for job in jobs}
    for job in jobs:
        for step_id in job.depends_on:
            needed_by[step_id].append(job.job_id)
    return needed_by


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ListedJob:
    """What a list says of a job: so much of its record. Times are aware UTC.

    It is equal to itself alone, so that what is made of it can be remembered by it.
    """

    job_id: str
    workspace_id: str
    plan_id: str
    step_id: str
    action_id: str
    status: JobStatus
    held_for: HeldFor | None
    attempts: int
    """Claims that count towards ``max_attempts``."""
    not_before: datetime | None
    enqueued_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    result: Any
    """Redacted."""
    error: JobError | None
    reason: str | None
    """Why it is held, skipped or cancelled: a sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job(ListedJob):
    """A job's record. Times are aware UTC. Parameters are never part of it: they travel sealed, in a lease."""

    actor_id: str
    """Who executed the plan: on whose behalf it runs."""
    definition_hash: str
    digest: str
    depends_on: tuple[str, ...]
    effect: Effect
    retry: RetryMode
    effect_key: str
    """Given to the far end by keyed actions; the same in every attempt."""
    fence: int
    """Grows with every claim; a worker whose fence is old is refused."""
    max_attempts: int
    key_valid_s: float
    worker_id: str | None
    lease_until: datetime | None
    first_dispatched_at: datetime | None
    """When an effect may first have happened; None: certainly none has. Cleared when the attempt that set it did nothing."""
    dispatched_at: datetime | None
    """When the attempt under way was dispatched."""
    cancel_requested: bool
    labels: Mapping[str, Any]
    result_labels: Mapping[str, Any]
    authored_after: tuple[str, ...]
    parent_step_id: str | None
    expanded: bool
    """Whether this step has put its children in place and waits for, or has, their results."""
    history: tuple[Attempt, ...]
    """Finished attempts, oldest first, at most ``MAX_HISTORY``."""
    request_id: str

    @property
    def differences(self) -> tuple[Difference, ...]:
        """What keeps it from running, if it is held because it drifted: what had changed when it was to run."""
        return self.history[-1].differences if self.held_for is HeldFor.DRIFT and self.history else ()


make_job: Final = quickly(Job)
"""Makes one as ``Job`` does, quickly."""

# What an attempt ends with. Expected outcomes are values; ``Settlement`` carries one to the store.


@dataclass(frozen=True, slots=True)
class Completed:
    """The action did what was asked."""

    result: Any
    """Redacted: what is listed."""
    result_sealed: bytes | None
    """In full, for references; dropped when the plan ends."""
    result_labels: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Failed:
    """It will not be done, and the effect did not happen."""

    error: JobError


@dataclass(frozen=True, slots=True)
class TryAgain:
    """It was not done; another attempt follows no earlier than ``not_before``."""

    error: JobError
    not_before: datetime
    doubtful: bool = False
    """Whether an attempt may have had the effect (so the repeat uses the key or a probe)."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """The effect may have happened; ``error.detail`` is the evidence."""

    error: JobError


@dataclass(frozen=True, slots=True)
class Skipped:
    """Its condition was false."""

    reason: str


@dataclass(frozen=True, slots=True)
class Cancelled:
    """It was cancelled while running, before its effect."""

    reason: str


@dataclass(frozen=True, slots=True)
class HandedBack:
    """The worker stops; the job was not dispatched and goes back as if never claimed (the attempt does not count)."""


@dataclass(frozen=True, slots=True)
class Deferred:
    """It may not have its effect yet: it comes back at ``not_before`` as if never claimed (the attempt does not count)."""

    error: JobError
    not_before: datetime


@dataclass(frozen=True, slots=True)
class Expanded:
    """The step became these children; it waits for them and is then claimed again to gather their results."""

    children: tuple[NewJob, ...]
    """They may depend on one another, and on nothing else."""


Outcome = Completed | Failed | TryAgain | Unknown | Skipped | Cancelled | HandedBack | Deferred | Expanded


def backoff_s(attempt: int, jitter: float | None = None) -> float:
    """Return the wait in seconds after failed attempt number ``attempt`` (from 1): doubling from 1 s, at most 300 s.

    Half of it is fixed and half random, so that jobs that failed together do not come back together. ``jitter``
    (0 to 1) fixes the random half for tests.
    """
    ceiling = min(_BACKOFF_CAP_S, _BACKOFF_BASE_S * 2 ** min(attempt - 1, 16))
    chance = random.random() if jitter is None else jitter  # noqa: S311 - spreads load, guards nothing
    return ceiling / 2 + ceiling / 2 * chance


def key_still_valid(job: Job, now: datetime) -> bool:
    """Say whether a repeat with the job's key is still recognised by the far end."""
    if job.first_dispatched_at is None:
        return True
    return now < job.first_dispatched_at + timedelta(seconds=job.key_valid_s)


def may_have_happened(job: Job, *, provably_not_done: bool = False) -> bool:
    """Say whether any attempt so far may have had the effect.

    ``provably_not_done`` is about the attempt under way only. ``first_dispatched_at`` marks the oldest doubt: the store
    clears it when the attempt that set it turned out to have done nothing.
    """
    if job.effect is Effect.READ:
        return False
    this_attempt = job.dispatched_at is not None and not provably_not_done
    earlier = job.first_dispatched_at is not None and job.first_dispatched_at != job.dispatched_at
    return this_attempt or earlier


def after_failure(
    job: Job, error: JobError, now: datetime, *, provably_not_done: bool, retry_after_s: float | None = None
) -> Failed | TryAgain | Unknown:
    """Return what follows a failed attempt (``job`` is the record as it stands).

    ``provably_not_done``: the action said, or the missing dispatch record shows, that *this attempt* had no effect. An
    earlier attempt that may have had one still counts: such a job is repeated with its key or after a probe, and ends
    unknown, never failed.
    """
    doubtful = may_have_happened(job, provably_not_done=provably_not_done)
    repeatable = (
        not doubtful or job.retry is RetryMode.PROBE or (job.retry is RetryMode.KEYED and key_still_valid(job, now))
    )
    worthwhile = error.retryable or (job.dispatched_at is not None and not provably_not_done)
    if repeatable and worthwhile and job.attempts < job.max_attempts:
        wait = backoff_s(job.attempts) if retry_after_s is None else min(max(retry_after_s, 0.0), _BACKOFF_CAP_S)
        return TryAgain(error, now + timedelta(seconds=wait), doubtful=doubtful)
    return Unknown(error) if doubtful else Failed(error)


def after_lost_lease(job: Job, now: datetime) -> Failed | TryAgain | Unknown | Cancelled:
    """Return what follows a lease that ran out: nobody knows how far the attempt came.

    Without a dispatch record nothing happened in it, so the job simply comes back; with one the retry mode decides. A
    cancel that was asked for is honoured where certainly nothing happened.
    """
    undispatched = job.dispatched_at is None
    if job.cancel_requested and not may_have_happened(job, provably_not_done=undispatched):
        return Cancelled("It was cancelled while its worker had stopped answering.")
    error = JobError("lease_lost", "The worker stopped answering in the middle of this attempt.", retryable=True)
    return after_failure(job, error, now, provably_not_done=undispatched, retry_after_s=0.0)
