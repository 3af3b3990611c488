"""The edges between a job's states, and what each means for the counts: looked at once for each, for a worker's crowd goes along few."""

from functools import cache
from typing import NamedTuple

from steward.errors import IllegalTransition
from steward.job import FINAL, TRANSITIONS, JobStatus
from steward.work_stores.sql.rows import JOB_STATUSES


class Edge(NamedTuple):
    """What it means that a job goes from one state to another, beside the states themselves."""

    word: str
    """The other one, as it is kept."""
    leaves_running: bool
    ends: bool
    ready: int
    """By how many the jobs of its workspace that are ready become more."""
    open: int
    """By how many the jobs of its plan that have not ended become more."""


@cache
def edge_between(word: str, status: JobStatus) -> Edge:
    """Return what there is to an edge; raise ``IllegalTransition`` for one that is not drawn."""
    before = JOB_STATUSES[word]
    if status not in TRANSITIONS[before]:
        raise IllegalTransition(f"A job that is {before} cannot become {status}.")
    return Edge(
        word=status.value,
        leaves_running=before is JobStatus.RUNNING,
        ends=status in FINAL,
        ready=(status is JobStatus.PENDING) - (before is JobStatus.PENDING),
        open=(before in FINAL) - (status in FINAL),
    )
