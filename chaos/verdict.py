"""What must be true at the end of a chaos run. Pure: from what the store says and what the far ends saw to a verdict."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from chaos.points import IN_SERVER, PAST_DISPATCH, Mark, Point
from steward.job import LEASE_S, Attempt, Job, JobStatus

RECOVERY_S = 2 * LEASE_S
"""A death may cost its job less than this, in seconds, until it is in hand again or known to be unknown."""
_LOST_LEASE = "lease_lost"


class Kind(StrEnum):
    """Kinds of plans, by how the effect of their first step may be repeated."""

    KEYED = "keyed"
    PROBE = "probe"
    NONE = "none"
    FAN = "expand"
    """A read that becomes several keyed steps."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What the far ends saw of one label."""

    arrivals: int
    effects: int
    """Arrivals that have an effect where one with a known key has none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """One plan from its submit to the end of the run."""

    kind: Kind
    labels: tuple[str, ...]
    jobs: tuple[Job, ...]
    """In step order; none: the store does not know it."""
    seen: Mapping[str, Seen]

    @property
    def first(self) -> Job:
        """The step that has the effect, or becomes those that have it."""
        return self.jobs[0]


@dataclass(frozen=True, slots=True)
class Verdict:
    """How one plan ended. Every problem is a sentence."""

    ending: str
    """``completed``, ``unknown`` or ``lost``."""
    lost: tuple[str, ...] = ()
    twice: tuple[str, ...] = ()
    wrong: tuple[str, ...] = ()
    """It says more or less than is known."""
    repeats: int = 0
    """Arrivals that a receiver recognises by their key."""


def judge(story: Story) -> Verdict:
    """Return the verdict on one plan."""
    if not story.jobs:
        return Verdict("lost", lost=("The store does not know the plan.",))
    effects = {label: story.seen[label].effects for label in story.labels}
    repeats = sum(seen.arrivals - seen.effects for seen in story.seen.values())
    twice = tuple(f"{label} had its effect {count} times." for label, count in effects.items() if count > 1)
    if story.first.status is JobStatus.UNKNOWN:
        return Verdict("unknown", twice=twice, wrong=tuple(_about_unknown(story)), repeats=repeats)
    unfinished = [job for job in story.jobs if job.status is not JobStatus.COMPLETED]
    lost = [f"Step {job.step_id} is {job.status}: {job.error or job.reason}." for job in unfinished]
    if not unfinished:
        lost = [f"{label} is said to be done and never arrived." for label, count in effects.items() if not count]
    wrong = []
    if story.kind is Kind.NONE and doubtful(story.first):
        wrong.append("It is said to be done, although an attempt disappeared after its dispatch record.")
    return Verdict("lost" if lost else "completed", tuple(lost), twice, tuple(wrong), repeats)


def _about_unknown(story: Story) -> Sequence[str]:
    problems = []
    if story.kind is not Kind.NONE:
        problems.append(f"A step that can be repeated safely ({story.kind}) was given up as unknown.")
    if story.first.error is None or not story.first.error.detail:
        problems.append("It is unknown without evidence.")
    if not any(attempt.dispatched_at for attempt in story.first.history):
        problems.append("It is unknown although it was never dispatched.")
    if any(job.status is not JobStatus.WAITING for job in story.jobs[1:]):
        problems.append("A step that needs it did not wait.")
    return problems


def doubtful(job: Job) -> bool:
    """Say whether an attempt of the job disappeared after its dispatch record."""
    return any(attempt.outcome == _LOST_LEASE and attempt.dispatched_at for attempt in job.history)


def lost_attempts(job: Job, pid: int) -> list[tuple[int, Attempt]]:
    """Return the attempts, with their place, that disappeared with a process."""
    return [
        (place, attempt)
        for place, attempt in enumerate(job.history)
        if attempt.outcome == _LOST_LEASE and _pid_of(attempt.worker_id) == pid
    ]


def _pid_of(worker_id: str) -> int:
    return int(worker_id.rsplit("-", 2)[1])


def recovery_s(job: Job, mark: Mark) -> float:
    """Return how long, in seconds, a death left the job out of hand; 0: it did not have it."""
    longest = 0.0
    for place, attempt in lost_attempts(job, mark.pid):
        following = job.history[place + 1 : place + 2]
        again = following[0].started_at if following else attempt.finished_at
        longest = max(longest, again.timestamp() - mark.at)
    return longest


def about_death(job: Job, mark: Mark) -> list[str]:
    """Return what the store's own record of the attempt says against the death's having been where it was meant to be."""
    point = Point(mark.point)
    mine = [attempt for _, attempt in lost_attempts(job, mark.pid)]
    if point in IN_SERVER or point is Point.AFTER_SETTLE:
        return [f"A death {point} cost an attempt."] if mine and point is Point.AFTER_SETTLE else []
    if len(mine) != 1:
        return [f"A death {point} left {len(mine)} lost attempts."]
    dispatched = mine[0].dispatched_at is not None
    if job.effect == "write" and dispatched != (point in PAST_DISPATCH):
        return [f"A death {point} was {'' if dispatched else 'not '}past the dispatch record."]
    return []
