"""The phases: recorded once for all processes, moved on purpose only, and never where something would be lost."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from steward.errors import ConfigurationError, SchemaRefused
from steward.job import JobStatus
from steward.key_schema import Phase, Retired
from steward.settings import Settings
from steward.work_stores.redis import RedisWorkEngine
from steward.work_stores.redis.keys import KEYS, key
from tests.conftest import FakeClock
from tests.contracts.builders import World, done
from tests.installation import SECRET, installation
from tests.migration.conftest import Open
from tests.migration.old import copy_of, plant
from tests.migration.test_backfill import backfill
from tests.redis_server import shared_server

pytestmark = pytest.mark.anyio


async def _phase(engine: RedisWorkEngine) -> Phase:
    return (await engine.key_schema.status()).phase


async def test_a_start_settles_the_phase(start: Open, raw: Any) -> None:
    """Nothing there: new-only, unless it is said otherwise; old keys: legacy-read; then what is recorded."""
    async with start() as engine:
        assert await _phase(engine) is Phase.NEW_ONLY
    plant(raw, "old")
    for switch, expected in ((None, "legacy-read"), ("on", "new-read"), (None, "new-read"), ("off", "legacy-read")):
        async with start(switch) as engine:  # pyrefly: ignore
            assert await _phase(engine) == expected


@pytest.mark.parametrize(("switch", "expected"), [("off", Phase.LEGACY_READ), ("on", Phase.NEW_READ)])
async def test_an_empty_redis_can_begin_in_any_phase(
    start: Open, raw: Any, clock: FakeClock, switch: Any, expected: Phase
) -> None:
    """And writes both schemas from the first job on, those that are there already included."""
    async with start() as engine:
        (before,) = (await World(engine, clock).submit()).job_ids
    async with start(switch) as engine:
        assert await _phase(engine) is expected
        (job_id,) = (await World(engine, clock).submit()).job_ids
        assert [copy_of(raw, one)["status"] for one in (before, job_id)] == ["pending", "pending"]
        assert (await engine.key_schema.verify()).extra == 0


async def test_without_old_jobs_every_verb_works_from_the_first_day(start: Open, raw: Any, clock: FakeClock) -> None:
    """An installation that was never anything but new is no riddle: it is compared, counted and found whole, and can go back."""
    async with start() as engine:
        schema = engine.key_schema
        await World(engine, clock).submit()
        assert not (await schema.status()).recorded
        assert await schema.begin()
        found = await schema.verify()
        assert (found.missing, found.different, found.extra, found.invalid) == (0, 0, 0, 0)
        status = await schema.status()
        assert (status.recorded, status.phase, status.current_jobs) == (True, Phase.NEW_ONLY, 1)
        assert (await schema.back()).phase is Phase.NEW_READ
        assert (await schema.verify()).compared == 1


async def test_what_no_start_has_taken_over_is_not_passed_by(start: Open, raw: Any) -> None:
    """Old records that came into a Redis without a phase wait for a start, and nothing is recorded over their heads."""
    async with start() as engine:
        plant(raw, "old")
        assert not await engine.key_schema.begin()
        assert not (await engine.key_schema.status()).recorded


async def test_a_process_sees_at_once_where_another_has_moved_the_phase(
    start: Open, raw: Any, clock: FakeClock
) -> None:
    """No process needs a restart: the scripts look for themselves."""
    async with start("off") as one, start() as other:
        world = World(other, clock)
        (job_id,) = (await world.submit()).job_ids
        raw.hset(key("old_job", job_id), "status", "completed")
        assert (await world.job_of(job_id)).status is JobStatus.COMPLETED
        await one.key_schema.advance(Phase.NEW_READ)
        assert (await world.job_of(job_id)).status is JobStatus.PENDING
        await one.key_schema.back()
        assert (await world.job_of(job_id)).status is JobStatus.COMPLETED
        raw.hset(key("old_job", job_id), "status", "pending")
        await one.key_schema.advance(Phase.NEW_READ)
        await one.key_schema.verify()
        await one.key_schema.advance(Phase.NEW_ONLY)
        (last,) = (await world.submit()).job_ids
        assert copy_of(raw, last) == {}


async def test_w120_of_several_who_move_the_phase_at_once_one_does(start: Open) -> None:
    """The others are refused, so that nobody takes for granted what somebody else has done, and no step is made twice."""
    async with start("off") as one, start() as other:
        await one.key_schema.advance(Phase.NEW_READ)
        told = await asyncio.gather(*(engine.key_schema.back() for engine in (one, other) * 3), return_exceptions=True)
        assert sum(isinstance(each, SchemaRefused) for each in told) == len(told) - 1, told
        assert await _phase(other) is Phase.LEGACY_READ


async def test_w29_w30_a_start_against_the_record_is_refused(
    tmp_path: Path, start: Open, database: int, raw: Any, clock: FakeClock
) -> None:
    """One sentence that names the variable: for 'off' in new-only, for another word, and without Redis; a restart moves it."""
    async with start("on") as engine:
        await engine.key_schema.verify()
        await engine.key_schema.advance(Phase.NEW_ONLY)
    with pytest.raises(ConfigurationError, match=r"^AI_JOBS_NEW_SCHEMA is off, .*steward schema back"):
        async with start("off"):
            pass
    async with start("on") as engine:
        assert await _phase(engine) is Phase.NEW_ONLY
    common = {"STEWARD_HOME": str(tmp_path), "STEWARD_SECRET_KEY": SECRET}
    for wrong in ("yes", "OFF", "legacy-read", "1"):
        with pytest.raises(ConfigurationError, match="AI_JOBS_NEW_SCHEMA"):
            Settings.load({**common, "AI_JOBS_NEW_SCHEMA": wrong})
    with pytest.raises(ConfigurationError, match="AI_JOBS_NEW_SCHEMA"):
        async with installation(tmp_path, clock=clock, env={"AI_JOBS_NEW_SCHEMA": "on"}):
            pass
    raw.hset(key("schema"), "phase", "some-later-phase")
    with pytest.raises(ConfigurationError, match="newer"):
        async with start():
            pass
    url = {"REDIS_URL": shared_server().url(database), "REDIS_EFFECT_SAFETY": "fast"}
    raw.flushdb()
    async with installation(tmp_path, clock=clock, env=url | {"AI_JOBS_NEW_SCHEMA": "off"}) as house:
        status = await house.app.engine.key_schema.status()  # pyrefly: ignore
        assert status.phase is Phase.LEGACY_READ


async def test_c22_new_only_waits_for_a_clean_verdict(start: Open, raw: Any) -> None:
    """Not without one, not with something missing or different, not with what cannot be read unless that is accepted."""
    for number in range(5):
        plant(raw, f"job-{number}")
    async with start() as engine:
        schema = engine.key_schema
        with pytest.raises(SchemaRefused, match="one phase at a time"):
            await schema.advance(Phase.NEW_ONLY)
        await schema.advance(Phase.NEW_READ)
        with pytest.raises(SchemaRefused, match="steward schema verify"):
            await schema.advance(Phase.NEW_ONLY)
        assert (await schema.verify()).missing == 5
        with pytest.raises(SchemaRefused):
            await schema.advance(Phase.NEW_ONLY)
        await backfill(engine)
        raw.hset(key("old_job", "job-3"), "status", "running")
        found = await schema.verify()
        assert [(one.job_id, one.kind, one.fields) for one in found.examples] == [("job-3", "different", ("status",))]
        with pytest.raises(SchemaRefused):
            await schema.advance(Phase.NEW_ONLY)
        await backfill(engine)
        raw.set(key("old_job", "text"), "x")
        assert (await schema.verify(workspace_id="beta")).compared == 0
        assert not (await schema.status()).verified
        assert (await schema.verify()).invalid == 1
        with pytest.raises(SchemaRefused, match="accept-invalid"):
            await schema.advance(Phase.NEW_ONLY)
        assert (await schema.advance(Phase.NEW_ONLY, accept_invalid=True)).phase is Phase.NEW_ONLY
        with pytest.raises(SchemaRefused, match="which is the last"):
            await schema.advance(Phase.NEW_READ)


async def test_w32_verify_tells_missing_extra_and_different(start: Open, raw: Any, clock: FakeClock) -> None:
    """By workspace, with examples; nothing of it while everything is equal."""
    async with start("on") as engine:
        world = World(engine, clock)
        jobs = [(await world.submit()).job_ids[0] for _ in range(3)]
        clean = await engine.key_schema.verify()
        assert (clean.compared, clean.missing, clean.different, clean.extra) == (3, 0, 0, 0)
        raw.delete(key("old_job", jobs[0]))
        raw.hset(key("old_job", jobs[1]), "actor_id", "somebody else")
        plant(raw, "lost", "beta")
        found = await engine.key_schema.verify()
        assert (found.compared, found.missing, found.different, found.extra) == (2, 1, 1, 1)
        assert found.by_workspace["beta"]["missing"] == 1
        assert {(one.kind, one.job_id) for one in found.examples} == {
            *(("extra", jobs[0]), ("different", jobs[1]), ("missing", "lost"))
        }


async def test_going_back_from_new_only_fills_the_old_keys(start: Open, raw: Any, clock: FakeClock) -> None:
    """Also what was made, changed or forgotten meanwhile; afterwards both copies are equal again, in each phase before."""
    plant(raw, "old")
    plant(raw, "stuck", status="pending")
    async with start("on") as engine:
        world, schema = World(engine, clock), engine.key_schema
        await backfill(engine)
        (job_id,) = (await world.submit()).job_ids
        await schema.verify()
        await schema.advance(Phase.NEW_ONLY)
        await world.run(job_id, done())
        await world.alpha.cancel_job("stuck")
        (made,) = (await world.submit()).job_ids
        assert (copy_of(raw, job_id)["status"], copy_of(raw, made)) == ("pending", {})
        assert (await schema.back()).phase is Phase.NEW_READ
        found = await schema.verify()
        assert (found.compared, found.missing, found.different, found.extra) == (4, 0, 0, 0)
        assert (copy_of(raw, job_id)["status"], copy_of(raw, made)["status"]) == ("completed", "pending")
        assert (await schema.back()).phase is Phase.LEGACY_READ
        assert (await world.job_of(job_id)).status is JobStatus.COMPLETED
        with pytest.raises(SchemaRefused):
            await schema.back()


async def _retire(engine: RedisWorkEngine, *, execute: bool) -> Retired:
    return [told async for told in engine.key_schema.retire(execute=execute)][-1]


async def test_w33_only_old_keys_with_a_twin_are_retired(start: Open, raw: Any, clock: FakeClock) -> None:
    """In new-only alone, a dry run first; new keys stay, and so does what has no twin or cannot be read."""
    for number in range(4):
        plant(raw, f"job-{number}")
    raw.hset(
        key("older_job", "three"),
        mapping={name: value for name, value in copy_of(raw, "job-0").items() if name != "job_id"},
    )
    async with start("on") as engine:
        world, schema = World(engine, clock), engine.key_schema
        await world.submit()
        await backfill(engine)
        with pytest.raises(SchemaRefused, match="new-only"):
            await _retire(engine, execute=False)
        raw.set(key("old_job", "text"), "x")
        await schema.verify()
        await schema.advance(Phase.NEW_ONLY, accept_invalid=True)
        plant(raw, "no-twin")
        plant(raw, "job-0", "beta")
        new = sorted(raw.scan_iter(match=KEYS["job"] % ("alpha", "*")))
        before = sorted(raw.scan_iter())
        told = await _retire(engine, execute=False)
        assert (told.removable, told.removed, told.kept, told.finished) == (6, 0, 3, True)
        assert sorted(raw.scan_iter()) == before
        assert (await _retire(engine, execute=True)).removed == 6
        assert sorted(raw.scan_iter(match=KEYS["job"] % ("alpha", "*"))) == new
        left = sorted(raw.scan_iter(match=KEYS["old_job"] % "*"))
        assert left == sorted(key("old_job", name).encode() for name in ("job-0", "no-twin", "text"))
        assert len((await world.alpha.list_jobs(limit=50)).jobs) == 6


async def test_w33_an_old_key_stays_whose_twin_goes_in_the_last_moment(start: Open, raw: Any) -> None:
    """What was seen a moment ago is looked at once more in the operation that removes."""
    plant(raw, "job")
    async with start("on") as engine:
        await backfill(engine)
        await engine.key_schema.verify()
        await engine.key_schema.advance(Phase.NEW_ONLY)
        run = engine._shared.server.run

        async def run_late(name: str, *arguments: Any) -> Any:
            if name == "retire_jobs":
                raw.delete(key("job", "alpha", "job"))
            return await run(name, *arguments)

        engine._shared.server.run = run_late  # type: ignore[method-assign] # pyrefly: ignore
        assert (await _retire(engine, execute=True)).removed == 0
        assert raw.exists(key("old_job", "job"))


async def test_what_is_forgotten_in_new_only_does_not_come_back(start: Open, raw: Any, clock: FakeClock) -> None:
    """While old keys are left, a job that is purged takes its own with it."""
    plant(raw, "old")
    async with start("on") as engine:
        await backfill(engine)
        await engine.key_schema.verify()
        await engine.key_schema.advance(Phase.NEW_ONLY)
        clock.advance(2 * 24 * 3600)
        assert await engine.dispatcher.purge(24 * 3600) == 1
        await engine.key_schema.back()
        assert (await World(engine, clock).alpha.list_jobs(limit=9)).jobs == ()
        assert await World(engine, clock).alpha.get_job("old") is None
