"""Old records get their current ones: all of them, once, as fast as allowed, and never over something newer."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from steward.errors import Invalid, SchemaRefused
from steward.job import JobStatus
from steward.key_schema import BackfillProgress, Phase
from steward.work_stores.redis import RedisWorkEngine
from steward.work_stores.redis.keys import KEYS, key
from steward.work_stores.redis.legacy.pace import Pace
from tests.conftest import FakeClock
from tests.contracts.builders import ALPHA, World
from tests.migration.conftest import Open
from tests.migration.old import copy_of, old_fields, plant

pytestmark = pytest.mark.anyio


@pytest.fixture
async def engine(start: Open, raw: Any) -> AsyncIterator[RedisWorkEngine]:
    """Open an engine on what a first old job made of an empty database."""
    plant(raw, "first")
    async with start() as opened:
        raw.delete(key("old_job", "first"))
        yield opened


async def backfill(engine: RedisWorkEngine, *, execute: bool = True, **more: Any) -> BackfillProgress:
    """Run it to its end and return what it came to."""
    return [told async for told in engine.key_schema.backfill(execute=execute, **more)][-1]


def _current(raw: Any, workspace_id: str = "*") -> set[str]:
    names = raw.scan_iter(match=KEYS["job"] % (workspace_id, "*"))
    return {name.decode().split(":", 3)[3] for name in names if raw.type(name) == b"hash"}


async def test_a_backfill_takes_over_everything_and_can_be_done_again(engine: RedisWorkEngine, raw: Any) -> None:
    """Both shapes of old keys; a second run finds nothing to do; old keys stay as they were, to the byte."""
    ids = {plant(raw, f"job-{number}", status=status) for number in range(5) for status in ("completed", "failed")}
    raw.hset(key("older_job", "three"), mapping=old_fields("three"))
    before = {job_id: copy_of(raw, job_id) for job_id in ids}
    done = await backfill(engine)
    assert (done.scanned, done.migrated, done.skipped_exists, done.errors) == (6, 6, 0, 0)
    assert (done.finished, _current(raw)) == (True, ids | {"three"})
    assert {job_id: copy_of(raw, job_id) for job_id in ids} == before
    assert copy_of(raw, "three")["status"] == "completed"
    again = await backfill(engine)
    assert (again.migrated, again.skipped_exists, again.finished) == (0, 7, True)
    verified = await engine.key_schema.verify()
    assert (verified.missing, verified.different, verified.extra, verified.invalid) == (0, 0, 0, 0)


async def test_a_dry_run_counts_everything_and_writes_nothing(engine: RedisWorkEngine, raw: Any) -> None:
    """Not even how far it came; and it begins at the beginning, however far a real run has come."""
    for number in range(40):
        plant(raw, f"job-{number}")
    await backfill(engine, max_keys=10, batch=5)
    before = {name: raw.dump(name) for name in raw.scan_iter() if name != key("schema_calls").encode()}
    told = await backfill(engine, execute=False, batch=5)
    assert (told.scanned, told.migrated, told.skipped_exists, told.finished) == (40, 30, 10, True)
    after = {name: raw.dump(name) for name in raw.scan_iter() if name != key("schema_calls").encode()}
    assert after == before


async def test_w132_what_is_newer_is_never_overwritten(engine: RedisWorkEngine, raw: Any, clock: FakeClock) -> None:
    """A stale old copy changes no current record: the copy is written anew. One that changed since it was read is read again."""
    world = World(engine, clock)
    (job_id,) = (await world.submit()).job_ids
    await world.run(job_id)
    raw.hset(key("old_job", job_id), mapping={"status": "pending", "result": "", "finished_at": ""})
    done = await backfill(engine)
    assert (done.migrated, done.skipped_exists) == (0, 1)
    assert (await world.job_of(job_id)).status is JobStatus.COMPLETED
    assert copy_of(raw, job_id)["status"] == "completed"
    assert (await engine.key_schema.verify()).different == 0


async def test_w132_an_update_in_the_middle_wins(engine: RedisWorkEngine, raw: Any, clock: FakeClock) -> None:
    """What was written between looking and writing is what is taken over."""
    plant(raw, "job", status="pending")
    run = engine._shared.server.run

    async def run_late(name: str, *arguments: Any) -> Any:
        if name == "migrate_job" and copy_of(raw, "job")["status"] == "pending":
            raw.hset(key("old_job", "job"), mapping=old_fields("job"))
        return await run(name, *arguments)

    engine._shared.server.run = run_late  # type: ignore[method-assign] # pyrefly: ignore
    assert (await backfill(engine)).migrated == 1
    assert (await World(engine, clock).job_of("job")).status is JobStatus.COMPLETED
    assert raw.hmget(key("job", "alpha", "job"), "status", "result")[0] == b"completed"
    assert (await engine.key_schema.verify()).different == 0


async def test_w133_limited_runs_come_to_the_end(engine: RedisWorkEngine, raw: Any) -> None:
    """Fifty at a time, of two hundred: four runs take over all of them, and a fifth finds nothing."""
    ids = {plant(raw, f"job-{number}") for number in range(200)}
    migrated = [(await backfill(engine, max_keys=50, batch=30)).migrated for _ in range(5)]
    assert migrated == [50, 50, 50, 50, 0]
    assert _current(raw) == ids


async def test_w134_each_filter_has_a_progress_of_its_own(engine: RedisWorkEngine, raw: Any) -> None:
    """A run over one workspace says nothing about another, nor about all of them."""
    for number in range(60):
        plant(raw, f"a-{number}", "alpha")
        plant(raw, f"b-{number}", "beta")
    assert (await backfill(engine, workspace_id="alpha", max_keys=20, batch=5)).migrated == 20
    assert (await backfill(engine, workspace_id="beta", batch=5)).migrated == 60
    assert len(_current(raw, "alpha")) == 20
    assert (await backfill(engine, workspace_id="alpha", batch=5)).migrated == 40
    assert (await backfill(engine)).migrated == 0


async def test_w135_a_key_that_is_none_is_counted_and_passed(engine: RedisWorkEngine, raw: Any) -> None:
    """A wrong type, a bad id, a bad workspace and an unreadable record stop nobody; verify names them, as ``invalid``."""
    plant(raw, "good")
    raw.set(key("old_job", "text"), "x")
    raw.rpush(key("older_job", "list"), "x")
    raw.hset(key("old_job", "no such id!"), "status", "completed")
    plant(raw, "nobodys", workspace_id="No Such!")
    plant(raw, "unreadable", result="{not json")
    done = await backfill(engine)
    assert (done.migrated, done.skipped_invalid, done.errors, done.finished) == (1, 5, 0, True)
    verified = await engine.key_schema.verify()
    assert (verified.compared, verified.missing, verified.invalid) == (1, 0, 5)
    assert {one.kind for one in verified.examples} == {"invalid"}


async def test_w111_what_is_no_workspace_is_called_invalid(engine: RedisWorkEngine, raw: Any) -> None:
    """So that no label and no report repeats what anybody may have written there."""
    plant(raw, "nobodys", workspace_id="../../etc\n")
    verified = await engine.key_schema.verify()
    assert verified.by_workspace == {"invalid": {"compared": 0, "missing": 0, "different": 0, "extra": 0, "invalid": 1}}
    assert [one.workspace_id for one in verified.examples] == ["invalid"]


async def test_w136_a_time_to_live_and_an_id_with_colons_are_kept(
    engine: RedisWorkEngine, raw: Any, clock: FakeClock
) -> None:
    """Whole, and to the second; a job without a time to live gets none."""
    plant(raw, "beta:x")
    plant(raw, "a:b:c")
    raw.expire(key("old_job", "a:b:c"), 3600)
    await backfill(engine)
    assert 3590 < raw.ttl(key("job", "alpha", "a:b:c")) <= 3600
    assert raw.ttl(key("job", "alpha", "beta:x")) == -1
    assert (await World(engine, clock).job_of("a:b:c")).job_id == "a:b:c"
    assert (await engine.key_schema.verify()).missing == 0


async def test_w137_numbers_that_mean_nothing_are_refused(engine: RedisWorkEngine) -> None:
    """No rate, batch or limit below one."""
    wrong: tuple[dict[str, Any], ...] = (
        {"operations_per_s": 0},
        {"operations_per_s": -1},
        {"batch": 0},
        {"max_keys": 0},
    )
    for bad in wrong:
        with pytest.raises(Invalid):
            await backfill(engine, **bad)


async def test_w137_the_rate_counts_every_operation(engine: RedisWorkEngine, raw: Any) -> None:
    """Also those for keys that are passed over; and no pause is longer than what was used is worth."""
    for number in range(30):
        plant(raw, f"job-{number}")
    first = await backfill(engine, operations_per_s=100_000)
    again = await backfill(engine, operations_per_s=100_000)
    assert first.operations >= 3 * 30
    assert again.operations >= 2 * 30
    waits: list[float] = []

    async def note(seconds: float) -> None:
        waits.append(seconds)

    pace = Pace(100, note)
    for _ in range(3):
        await pace.take(50)
    assert [round(wait, 1) for wait in waits] == [0.5, 1.0]


async def test_w137_an_error_is_counted_and_the_place_is_not_passed(engine: RedisWorkEngine, raw: Any) -> None:
    """A job whose new key cannot be written is an error; once it can, the next run takes it over."""
    plant(raw, "job")
    plant(raw, "other")
    raw.set(key("job", "alpha", "job"), "in the way")
    done = await backfill(engine)
    assert (done.migrated, done.errors) == (1, 1)
    assert (await engine.key_schema.verify()).missing == 1
    raw.delete(key("job", "alpha", "job"))
    assert (await backfill(engine)).migrated == 1


async def test_retention_counts_from_the_move(engine: RedisWorkEngine, raw: Any, clock: FakeClock) -> None:
    """However old a job is: it stays a whole retention, and then goes from both schemas and from the lists."""
    plant(raw, "job")
    await backfill(engine)
    await engine.dispatcher.purge(24 * 3600)
    assert await engine.open(ALPHA).get_job("job") is not None
    clock.advance(24 * 3600 + 1)
    assert await engine.dispatcher.purge(24 * 3600) == 1
    assert await engine.open(ALPHA).get_job("job") is None
    assert (copy_of(raw, "job"), (await engine.open(ALPHA).list_jobs(limit=9)).jobs) == ({}, ())


async def test_no_secret_of_an_old_record_is_copied(engine: RedisWorkEngine, raw: Any) -> None:
    """Parameters are not taken over, and a result is redacted first; the two records still count as equal."""
    plant(raw, "job", result='{"token": "hush-hush", "sent": true}')
    await backfill(engine)
    assert b"hush-hush" not in b"".join(raw.hgetall(key("job", "alpha", "job")).values())
    assert (await engine.key_schema.verify()).different == 0


async def test_c2_a_key_is_what_its_record_says(engine: RedisWorkEngine, raw: Any, clock: FakeClock) -> None:
    """``ai:job:beta:x`` is current only if it is beta's x; else it is an old one with a colon in its id, if it says so."""
    raw.hset(key("older_job", "beta:x"), mapping=old_fields("beta:x", "alpha"))
    raw.hset(key("older_job", "beta:y"), mapping=old_fields("z", "alpha"))
    done = await backfill(engine, execute=False)
    assert (done.migrated, done.skipped_invalid) == (1, 1)


async def test_nothing_is_taken_over_once_the_old_is_not_read(start: Open, raw: Any) -> None:
    """In new-only a backfill is refused, and says what to do."""
    async with start("on") as engine:
        await engine.key_schema.verify()
        await engine.key_schema.advance(Phase.NEW_ONLY)
        with pytest.raises(SchemaRefused, match="steward schema back"):
            await backfill(engine)
