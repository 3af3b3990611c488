"""What a job is from its beginning stands in one field; a job that was kept otherwise is the same job to everybody."""

from base64 import b64decode
from collections.abc import Callable
from typing import Any

import pytest

from steward.job import JobStatus
from steward.plan import PlanStatus
from steward.work_store import MIN_RETENTION_S
from steward.work_stores.redis import RedisWorkEngine
from steward.work_stores.redis.job_records import SPEC_FIELDS
from steward.work_stores.redis.keys import key
from tests.conftest import FakeClock
from tests.contracts.builders import World, done, failure, request_claim

pytestmark = pytest.mark.anyio


def _as_before(raw: Any, job_id: str) -> None:
    """Keep a job as it was kept before there was a spec: a field for each fact."""
    name = key("job", "alpha", job_id)
    form, *words = raw.hget(name, "spec").split(b" ")
    assert form == b"2"
    words[-2:] = [b64decode(digest).hex() for digest in words[-2:]]
    raw.hset(name, mapping=dict(zip(SPEC_FIELDS, words, strict=True)))
    raw.hdel(name, "spec")


async def test_a_job_from_before_is_read_as_it_was(world: World, raw: Any) -> None:
    """By its id, in lists and in its plan, it says what it said."""
    submitted = await world.submit(world.job("s1"), world.job("s2", "s1"), claims=[request_claim("r")])
    before = [await world.alpha.get_job(job_id) for job_id in submitted.job_ids]
    for job_id in submitted.job_ids:
        _as_before(raw, job_id)
    assert [await world.alpha.get_job(job_id) for job_id in submitted.job_ids] == before
    assert list(await world.alpha.plan_jobs(submitted.plan_id)) == before
    assert list(reversed((await world.alpha.list_jobs(limit=10)).jobs)) == before


@pytest.mark.parametrize("keep", [_as_before, lambda *_: None], ids=["as before", "with a spec"])
async def test_a_job_runs_through_however_it_is_kept(
    engine: RedisWorkEngine, world: World, raw: Any, clock: FakeClock, keep: Callable[[Any, str], None]
) -> None:
    """It is claimed, fails, is retried and done, every index says so meanwhile, and with its plan it goes without a trace."""
    submitted = await world.submit(world.job("s1"), world.job("s2"))
    for job_id in submitted.job_ids:
        keep(raw, job_id)
    first, second = await world.claim()
    for lease in (first, second):
        await world.dispatch(lease)
    await world.settle(first, done())
    await world.settle(second, failure())
    assert (await engine.mend(put_right=False)).differences == {}
    await world.alpha.retry_job(second.job.job_id)
    (again,) = await world.claim()
    assert (again.job.job_id, again.job.attempts) == (second.job.job_id, 2)
    await world.dispatch(again)
    await world.settle(again, done())
    assert await world.statuses(submitted) == [JobStatus.COMPLETED] * 2
    assert (await world.plan_of(submitted.plan_id)).status is PlanStatus.COMPLETED
    assert (await engine.mend(put_right=False)).differences == {}
    clock.advance(MIN_RETENTION_S + 1)
    assert await engine.dispatcher.purge(MIN_RETENTION_S) == 1
    assert not raw.exists(*(key("job", "alpha", job_id) for job_id in submitted.job_ids))


async def test_a_field_of_its_own_outweighs_the_spec(world: World, raw: Any) -> None:
    """So a fact that has to change later is simply written."""
    (job_id,) = (await world.submit()).job_ids
    raw.hset(key("job", "alpha", job_id), "actor_id", "key_somebody_else")
    job = await world.alpha.get_job(job_id)
    assert job is not None
    assert job.actor_id == "key_somebody_else"


async def test_w43_a_job_that_is_no_text_hides_no_other(world: World, raw: Any) -> None:
    """Bytes in one job neither fail the page nor hide a job; the page is as long and ends where it would."""
    damaged, *_, newest = [job_id for _ in range(3) for job_id in (await world.submit()).job_ids]
    before = await world.alpha.list_jobs(limit=2)
    raw.hset(key("job", "alpha", newest), "result", b"\xff")
    raw.hset(key("job", "alpha", damaged), "reason", b"\xff")
    page = await world.alpha.list_jobs(limit=2)
    assert (page.next_after, page.queue_depth) == (before.next_after, before.queue_depth)
    assert page.jobs[1] is before.jobs[1]
    rest = await world.alpha.list_jobs(limit=2, after=page.next_after)
    for job, whose in ((page.jobs[0], newest), (rest.jobs[0], damaged)):
        assert job.job_id == whose
        assert job.error is not None
        assert job.error.code == "unreadable_record"


async def test_w43_what_stands_between_the_fields_of_a_line_may_stand_in_one(world: World, raw: Any) -> None:
    """A list shows each field as it is, whatever somebody has put into it."""
    ids = [job_id for _ in range(2) for job_id in (await world.submit()).job_ids]
    raw.hset(key("job", "alpha", ids[0]), "reason", "one\0two")
    jobs = (await world.alpha.list_jobs(limit=5)).jobs
    assert [(job.job_id, job.reason) for job in jobs] == [(ids[1], None), (ids[0], "one\0two")]


async def test_w43_what_stands_between_lines_is_no_text_and_hides_nobody(world: World, raw: Any) -> None:
    """A field that holds it is damaged: its job says so, between others that are shown as they are."""
    ids = [job_id for _ in range(3) for job_id in (await world.submit()).job_ids]
    raw.hset(key("job", "alpha", ids[1]), "reason", b"one\xfftwo")
    jobs = (await world.alpha.list_jobs(limit=5)).jobs
    assert [job.job_id for job in jobs] == ids[::-1]
    assert [job.error.code if job.error else None for job in jobs] == [None, "unreadable_record", None]


async def test_a_job_that_stands_in_two_lists_is_shown_once(world: World, raw: Any) -> None:
    """In its place among those of all statuses; the page is as long as it was to be."""
    ids = [job_id for _ in range(4) for job_id in (await world.submit()).job_ids]
    await world.alpha.cancel_job(ids[1])
    raw.zadd(key("jobs_in", "alpha", JobStatus.CANCELLED.value), {ids[2]: 0})
    page = await world.alpha.list_jobs(limit=3)
    assert [job.job_id for job in page.jobs] == ids[:0:-1]
    rest = await world.alpha.list_jobs(limit=3, after=page.next_after)
    assert [job.job_id for job in rest.jobs] == ids[:1]


async def test_words_that_a_spec_cannot_hold_have_fields(world: World, raw: Any) -> None:
    """A job whose digest is none of ours is kept in fields, and runs like any other."""
    submitted = await world.submit(world.job("s1", digest="no digest"))
    assert not raw.hexists(key("job", "alpha", submitted.job_ids[0]), "spec")
    assert (await world.run(submitted.job_ids[0])).digest == "no digest"


async def test_whoever_looks_at_a_job_finds_text(world: World, raw: Any) -> None:
    """Queued, running and done, every field can be shown, and says whose job it is; what is secret is sealed all the same."""
    submitted = await world.submit(world.job("s1"), world.job("s2", "s1"))
    names = [key("job", "alpha", job_id) for job_id in submitted.job_ids]

    def shown() -> list[dict[str, str]]:
        found = [raw.hgetall(name).items() for name in names]
        return [{field.decode("ascii"): value.decode("utf-8") for field, value in fields} for fields in found]

    queued = shown()
    (lease,) = await world.claim()
    running = shown()
    await world.dispatch(lease)
    await world.settle(lease, done())
    for looked in (queued, running, shown()):
        assert [(job["workspace_id"], job["job_id"]) for job in looked] == [
            ("alpha", job_id) for job_id in submitted.job_ids
        ]
    assert b64decode(queued[0]["params_sealed"], validate=True) == lease.params_sealed
    assert "result_sealed" in shown()[0]
