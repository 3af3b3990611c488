"""What is remembered of a page: as long as nothing of its jobs changes, and no more of it than is short."""

from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic_core import from_json

from steward import views
from steward.job import JobStatus, ListedJob
from steward.plan import MAX_RESULT_BYTES
from steward.views import job_view, jobs_json


def _job(number: int = 1, result: Any = None) -> ListedJob:
    """Return a job as a list shows it."""
    return ListedJob(
        job_id=f"job_{number}",
        workspace_id="acme",
        plan_id="plan_a",
        step_id="s1",
        action_id="notes.save",
        status=JobStatus.COMPLETED,
        held_for=None,
        attempts=1,
        not_before=None,
        enqueued_at=datetime(2026, 3, 4, tzinfo=UTC),
        started_at=datetime(2026, 3, 4, tzinfo=UTC) + timedelta(seconds=number),
        finished_at=None,
        result=result,
        error=None,
        reason=None,
    )


def _shown(page: bytes) -> list[Any]:
    return from_json(b"[%b]" % page)


def test_the_same_jobs_are_the_same_page_and_equal_ones_are_not() -> None:
    """A job is known again by itself alone: one that says the same is another workspace's, or has changed since."""
    jobs = (_job(1), _job(2))
    page = jobs_json(jobs)
    assert _shown(page) == [job_view(job) for job in jobs]
    assert jobs_json((jobs[0], jobs[1])) is page
    assert jobs_json(jobs[:1]) != page
    assert jobs_json((_job(1), _job(2))) is not page
    assert jobs_json(jobs[::-1]) != page
    assert jobs_json(()) == b""


def test_no_more_is_remembered_than_is_short() -> None:
    """Results may be long and pages full of them: whoever has many such jobs does not fill the memory of the process."""
    jobs = tuple(_job(number, "x" * (MAX_RESULT_BYTES - 99)) for number in range(2))
    page = jobs_json(jobs)
    assert _shown(page) == [job_view(job) for job in jobs]
    assert jobs not in views._pages
    for number in range(99):
        jobs_json((_job(number),))
    assert len(views._pages) <= 32
    assert sum(map(len, views._pages.values())) <= 32 * views._SHORT_BYTES
