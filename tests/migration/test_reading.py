"""What each phase reads: every job exactly once, its own workspace's alone, from the record that the phase names."""

from typing import Any

import pytest

from steward.errors import IllegalTransition, NotFound
from steward.job import JobStatus
from steward.key_schema import Phase
from steward.work_store import WorkStore
from steward.work_stores.redis.keys import key
from tests.conftest import FakeClock
from tests.contracts.builders import BETA, World
from tests.migration.conftest import Open
from tests.migration.old import copy_of, old_fields, plant

pytestmark = pytest.mark.anyio


async def walk(store: WorkStore, limit: int, status: JobStatus | None = None) -> list[str]:
    """Return the ids of all pages, in order; no page but the last may be empty."""
    ids: list[str] = []
    after: str | None = None
    while True:
        page = await store.list_jobs(limit=limit, after=after, status=status)
        ids += [job.job_id for job in page.jobs]
        if page.next_after is None:
            return ids
        assert page.jobs
        after = page.next_after


def _plant_many(raw: Any, count: int) -> list[str]:
    """Write jobs a minute apart, with ids that sort otherwise, and return them, newest first."""
    ids = [
        plant(
            raw,
            f"{(number * 7919) % 10_007:x}-{number}",
            enqueued_at=f"2026-01-31T{number // 60:02}:{number % 60:02}:00+00:00",
        )
        for number in range(count)
    ]
    return ids[::-1]


@pytest.mark.parametrize("switch", [None, "on"])
@pytest.mark.parametrize("limit", [1, 3, 50, 100])
async def test_w36_w37_every_phase_lists_every_job_once(
    start: Open, raw: Any, clock: FakeClock, switch: Any, limit: int
) -> None:
    """Old ones alone, some taken over, and new ones in between; newest first across pages, whatever the ids are."""
    old = _plant_many(raw, 60)
    plant(raw, "foreign", "beta")
    async with start(switch) as engine:
        world = World(engine, clock)
        new = [(await world.submit()).job_ids[0] for _ in range(5)][::-1]
        assert await walk(world.alpha, limit) == new + old
        async for _ in engine.key_schema.backfill(execute=True, max_keys=30, batch=10):
            pass
        assert await walk(world.alpha, limit) == new + old
        assert await walk(world.alpha, limit, JobStatus.COMPLETED) == old
        assert await walk(world.alpha, limit, JobStatus.PENDING) == new
        assert await walk(world.beta, limit) == ["foreign"]


async def test_an_old_record_reads_as_a_job(start: Open, raw: Any, clock: FakeClock) -> None:
    """With its times, its result without secrets, and the words of older versions; another workspace's is unknown."""
    plant(raw, "done", status="success", result='{"sent": true, "api_key": "hush-hush"}')
    plant(raw, "bad", status="error", result='{"error": "password=hush-hush was refused"}')
    plant(raw, "with:colon")
    raw.hset(key("older_job", "three"), mapping=old_fields("three"))
    async with start() as engine:
        world = World(engine, clock)
        done, bad = await world.job_of("done"), await world.job_of("bad")
        assert (done.status, bad.status) == (JobStatus.COMPLETED, JobStatus.FAILED)
        assert done.action_id == "email.send"
        assert done.finished_at is not None
        assert bad.error is not None
        assert "hush" not in f"{done.result}{bad.result}{bad.error}"
        assert {job.job_id for job in (await world.alpha.list_jobs(limit=9)).jobs} == {
            "done",
            "bad",
            "with:colon",
            "three",
        }
        assert (await world.job_of("three")).job_id == "three"
        assert [await world.beta.get_job(job_id) for job_id in ("done", "three", "with:colon")] == [None] * 3
        with pytest.raises(NotFound):
            await world.beta.cancel_job("done")


async def test_each_phase_reads_its_record(start: Open, raw: Any, clock: FakeClock) -> None:
    """What only the old record says is seen in legacy-read; the new is read afterwards; other fields are never lost."""
    async with start("off") as engine:
        (job_id,) = (await World(engine, clock).submit()).job_ids
        raw.hset(key("old_job", job_id), "status", "completed")
        before = await World(engine, clock).job_of(job_id)
        assert (before.status, before.digest) == (JobStatus.COMPLETED, "b" * 64)
    async with start("on") as engine:
        world = World(engine, clock)
        assert (await world.job_of(job_id)).status is JobStatus.PENDING
        raw.delete(key("old_job", job_id))
        assert (await world.job_of(job_id)).status is JobStatus.PENDING
    raw.hset(key("old_job", job_id), mapping=old_fields(job_id, "beta"))
    async with start("off") as engine:
        assert (await World(engine, clock).job_of(job_id)).status is JobStatus.PENDING
        assert await engine.open(BETA).get_job(job_id) is not None


async def test_w31_reads_are_counted_by_what_answered(start: Open, raw: Any, clock: FakeClock) -> None:
    """By phase, over processes, and told to whoever counts for the metrics."""
    plant(raw, "old")
    heard: list[tuple[str, str, int]] = []
    async with start("on", reads=lambda *told: heard.append(told)) as engine:
        world = World(engine, clock)
        (new,) = (await world.submit()).job_ids
        await world.job_of("old")
        await world.job_of(new)
        assert await world.alpha.get_job("nothing") is None
        assert heard == [("new-read", "old", 1), ("new-read", "new", 1), ("new-read", "miss", 1)]
        await world.alpha.list_jobs(limit=9)
        assert (await engine.key_schema.status()).read_paths["new-read"] == {"new": 2, "old": 2, "miss": 1}
    async with start() as engine:
        status = await engine.key_schema.status()
        assert status.read_paths["new-read"] == {"new": 2, "old": 2, "miss": 1}
        assert status.errors["new-read"] == 0
        assert status.p99_ms["new-read"] > 0


async def test_w43_an_unreadable_old_record_is_shown_degraded(start: Open, raw: Any, clock: FakeClock) -> None:
    """It hides nobody else; a record of no workspace belongs to nobody."""
    plant(raw, "good")
    plant(raw, "bad-json", result="{not json")
    plant(raw, "bad-time", enqueued_at="yesterday")
    plant(raw, "bad-status", status="exploded")
    plant(raw, "nobodys", workspace_id="No Such!")
    raw.set(key("old_job", "text"), "x")
    async with start() as engine:
        jobs = {job.job_id: job for job in (await World(engine, clock).alpha.list_jobs(limit=9)).jobs}
        assert set(jobs) == {"good", "bad-json", "bad-time", "bad-status"}
        for name in ("bad-json", "bad-time", "bad-status"):
            error = jobs[name].error
            assert error is not None
            assert (jobs[name].status, error.code) == (JobStatus.UNKNOWN, "unreadable_record")
        assert jobs["bad-json"].enqueued_at == jobs["good"].enqueued_at


async def test_a_verb_on_an_old_job_takes_it_over_first(start: Open, raw: Any, clock: FakeClock) -> None:
    """What never was in the queue can be cancelled, in both schemas; what has ended is refused as such, not as unknown."""
    plant(raw, "stuck", status="pending")
    plant(raw, "done")
    async with start() as engine:
        world = World(engine, clock)
        assert (await world.job_of("stuck")).status is JobStatus.PENDING
        assert (await world.alpha.cancel_job("stuck")).status is JobStatus.CANCELLED
        assert copy_of(raw, "stuck")["status"] == "failed"
        with pytest.raises(IllegalTransition):
            await world.alpha.retry_job("done")
        assert await world.claim() == ()


async def test_no_request_walks_over_keys_in_any_phase(start: Open, raw: Any, clock: FakeClock, phase: Phase) -> None:
    """With old jobs there, listing and reading send neither SCAN nor KEYS."""
    _plant_many(raw, 20)
    async with start("off" if phase is Phase.LEGACY_READ else "on") as engine:
        world = World(engine, clock)
        raw.config_resetstat()
        assert len(await walk(world.alpha, 3)) == 20
        await world.job_of((await walk(world.alpha, 50))[0])
        await engine.key_schema.status()
        used = {name.removeprefix("cmdstat_") for name in raw.info("commandstats")}
        assert "evalsha" in used
        assert not used & {"scan", "keys", "sscan", "hscan", "zscan"}


async def test_mending_keeps_old_jobs_in_the_lists(start: Open, raw: Any, clock: FakeClock) -> None:
    """Taken over or not, and puts back those that were taken over."""
    old = _plant_many(raw, 20)
    async with start() as engine:
        world = World(engine, clock)
        async for _ in engine.key_schema.backfill(execute=True, max_keys=5, batch=5):
            pass
        await engine.mend()
        assert await walk(world.alpha, 7) == old
        assert await walk(world.alpha, 7, JobStatus.COMPLETED) == old
        async for _ in engine.key_schema.backfill(execute=True):
            pass
        raw.delete(key("old_jobs", "alpha"), key("old_jobs_in", "alpha", "completed"))
        await engine.mend()
        assert await walk(world.alpha, 7) == old


@pytest.mark.parametrize("switch", ["off", "on"])
async def test_a_list_says_what_each_of_its_jobs_says(start: Open, raw: Any, clock: FakeClock, switch: Any) -> None:
    """Also of jobs that only Steward has made, once the older software has changed their copies."""
    async with start(switch) as engine:
        world = World(engine, clock)
        (job_id,) = (await world.submit()).job_ids
        raw.hset(key("old_job", job_id), mapping={"status": "failed", "result": '{"sent": false}'})
        (listed,) = (await world.alpha.list_jobs(limit=9)).jobs
        job = await world.job_of(job_id)
        assert (listed.status, listed.result) == (job.status, job.result)
        assert (job.status is JobStatus.PENDING) == (switch == "on")


async def test_w36_the_older_ids_are_listed_when_there_are_new_keys_alone(
    start: Open, raw: Any, clock: FakeClock
) -> None:
    """On every page, with those that have come since."""
    old = _plant_many(raw, 20)
    async with start("on") as engine:
        async for _ in engine.key_schema.backfill(execute=True, batch=10):
            pass
        raw.hset(key("schema"), "verified", "0")
        await engine.key_schema.advance(Phase.NEW_ONLY)
        world = World(engine, clock)
        new = [(await world.submit()).job_ids[0] for _ in range(5)][::-1]
        for limit in (3, 50):
            assert await walk(world.alpha, limit) == new + old
