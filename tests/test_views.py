"""What is remembered of a page: as long as nothing of its jobs changes, and no more of it than is short."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic_core import from_json, to_json

from steward import views
from steward.job import JobStatus, ListedJob
from steward.plan import MAX_RESULT_BYTES
from steward.views import job_view, jobs_json
from steward.work_stores.redis.job_records import LINE_FIELDS
from steward.work_stores.redis.legacy import routes
from steward.work_stores.sql import listed
from steward.work_stores.sql.listed import LISTED_COLUMNS


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


@pytest.mark.parametrize("engine", ["sql", "redis"])
def test_a_store_gives_out_the_same_page_for_the_same_text_if_that_is_short(engine: str) -> None:
    """What is longer is made each time, what is another workspace's is its own, and nothing is a page, too."""
    page, short, long = _pages_of(engine)
    assert page(short, "acme") is page(short, "acme")
    assert [job.workspace_id for job in page(short, "rival")] == ["rival", "rival"]
    assert page(long, "acme") is not page(long, "acme")
    assert len(page(long, "acme")) > 99
    if engine == "redis":
        assert page(b"", "acme") == ()


def _pages_of(engine: str) -> tuple[Callable[[Any, str], tuple[ListedJob, ...]], Any, Any]:
    """Return what makes pages of texts, a short text and one that is longer than is remembered."""
    if engine == "sql":
        values = {"action_id": "a", "status": "pending", "attempts": 0, "enqueued_at": 1}
        line = to_json([values.get(name, "x" if name.endswith("_id") else None) for name in LISTED_COLUMNS]).decode()
        return listed._page, f"{line}\n{line}", "\n".join([line] * 999)
    digest = b"A" * 43 + b"="
    spec = b" ".join((b"2 - s1 notes.save key_1 read none 1 1 1 1 req-1", digest, digest))
    own = b"\0".join((b"job_1", b"pending", spec, *[b""] * (len(LINE_FIELDS) - 2)))
    return lambda lines, whose: routes._page(lines, whose.encode()), own + b"\xff" + own, b"\xff".join([own] * 999)
