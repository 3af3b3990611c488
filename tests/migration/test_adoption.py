"""The first start on data of the older software: its queue is taken over, its jobs are in the lists, and nothing runs twice."""

from pathlib import Path
from typing import Any

import pytest

from steward.action import Effect, RetryMode
from steward.job import JobError, JobStatus, NewJob
from steward.key_schema import Phase, QueuedJob
from steward.work_stores.redis.keys import key
from tests.conftest import FakeClock
from tests.contracts.builders import World
from tests.installation import installation
from tests.migration.conftest import Open
from tests.migration.old import copy_of, plant, queue
from tests.redis_server import everything, shared_server
from tests.worker.deeds import Deeds

pytestmark = pytest.mark.anyio


async def test_what_was_queued_is_run_and_what_was_running_is_unknown(
    tmp_path: Path, clock: FakeClock, database: int, raw: Any
) -> None:
    """An action that nobody knows has failed; parameters are sealed, and both copies follow; the line is ours alone."""
    env = {"REDIS_URL": shared_server().url(database), "REDIS_EFFECT_SAFETY": "fast"}
    async with installation(tmp_path, clock=clock) as house:
        member = await house.member()
    by_member = {"workspace_id": "acme", "actor_id": member.actor_id, "status": "pending"}
    params = '{"value": "worked out"}'
    for name in ("one", "two"):
        plant(raw, name, **by_member, action_provider="compute", action_name="", params=params)
    plant(raw, "nobodys-action", **by_member, action_provider="gone", action_name="away")
    plant(raw, "misfit", **by_member, action_provider="compute", action_name="", params='{"no": "such"}')
    plant(
        raw, "strangers", **(by_member | {"actor_id": "u-77"}), action_provider="compute", action_name="", params=params
    )
    plant(raw, "under-way", **(by_member | {"status": "running"}))
    plant(raw, "popped", **by_member)
    queue(raw, "one", "nobodys-action", "misfit", "two", "strangers", "one", "never-heard-of", "No-Such-Job")
    async with installation(tmp_path, clock=clock, env=env) as house:
        store = house.app.engine.open(member)
        page = await store.list_jobs(limit=50)
        statuses = {job.job_id: job.status for job in page.jobs}
        assert statuses == {
            **dict.fromkeys(("one", "two", "strangers", "popped"), JobStatus.PENDING),
            **dict.fromkeys(("nobodys-action", "misfit"), JobStatus.FAILED),
            "under-way": JobStatus.UNKNOWN,
        }
        assert page.queue_depth == 3
        assert raw.lrange(key("ring"), 0, -1) == [b"never-heard-of", b"acme"]
        errors = {job.job_id: job.error.code for job in page.jobs if job.error is not None}
        assert errors == {
            "nobodys-action": "unknown_action",
            "misfit": "invalid_params",
            "under-way": "outcome_unknown",
        }
        jobs = {job.job_id: job for job in page.jobs}
        await house.run_until_settled(jobs["two"].plan_id)
        for name, status in (("one", "completed"), ("two", "completed"), ("strangers", "failed")):
            await house.run_until_settled(jobs[name].plan_id)
            assert copy_of(raw, name)["status"] == status
            assert copy_of(raw, name)["params"] == "{}"
        assert raw.lrange(key("ring"), 0, -1) == []
        done = await house.job("one")
        assert done.result == {"value": "worked out"}
        stranger = await house.job("strangers")
        assert stranger.error is not None
        assert stranger.error.code == "permission_revoked"
        kinds = [event.type for event in await house.events() if event.job_id == "under-way"]
        assert kinds == ["job.unknown"]
        assert (await house.app.orchestrator.show_plan(member, done.plan_id))["status"] == "completed"
        resolved = await store.resolve_job("under-way", "completed", "It was sent.")
        assert (resolved.status, copy_of(raw, "under-way")["status"]) == (JobStatus.COMPLETED, "completed")
        assert 'ai_job_read_path_total{path="old",phase="legacy-read"}' in house.app.telemetry.render({}).decode()
        schema = house.app.engine.key_schema  # pyrefly: ignore
        verified = await schema.verify()
        assert (verified.missing, verified.different, verified.extra) == (1, 0, 0)
        await store.cancel_job("popped")
        assert (await schema.verify()).missing == 0


async def test_parameters_in_the_queue_are_sealed_and_never_copied(
    tmp_path: Path, clock: FakeClock, database: int, raw: Any
) -> None:
    """From the start on they stand in clear nowhere."""
    env = {"REDIS_URL": shared_server().url(database), "REDIS_EFFECT_SAFETY": "fast"}
    async with installation(tmp_path, clock=clock) as house:
        member = await house.member()
    deeds = {"workspace_id": "acme", "actor_id": member.actor_id, "action_provider": "compute", "action_name": ""}
    plant(raw, "one", status="pending", **deeds, params='{"value": "hush-hush"}')
    queue(raw, "one")
    async with installation(tmp_path, clock=clock, env=env) as house:
        assert not any(b"hush" in part for part in everything(raw))
        house.add(Deeds().write("deeds.write", RetryMode.KEYED))
        (job,) = (await house.app.engine.open(member).list_jobs(limit=5)).jobs
        await house.run_until_settled(job.plan_id)
        assert copy_of(raw, "one")["status"] == "completed"


def _runnable(queued: QueuedJob) -> NewJob | JobError:
    return NewJob(
        job_id=queued.job_id,
        step_id="s1",
        action_id=queued.action_id,
        definition_hash="a" * 64,
        digest="b" * 64,
        params_sealed=b"sealed",
        depends_on=(),
        effect=Effect.WRITE,
        retry=RetryMode.NONE,
        max_attempts=3,
        key_valid_s=60.0,
    )


async def test_a_start_that_was_broken_off_is_gone_on_with(
    start: Open, raw: Any, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever was done before it broke is not done again, and every job is in the lists once."""
    ids = {plant(raw, f"job-{number}") for number in range(1200)}
    for number in range(3):
        queue(raw, plant(raw, f"queued-{number}", status="pending"))
    calls = 0

    def break_off(queued: QueuedJob) -> NewJob | JobError:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise RuntimeError("killed")
        return _runnable(queued)

    with pytest.raises(RuntimeError):
        async with start(adopt=break_off):
            pass
    async with start(adopt=_runnable) as engine:
        world = World(engine, clock)
        assert {lease.job.job_id for lease in await world.claim()} == {f"queued-{number}" for number in range(3)}
        assert raw.zcard(key("old_jobs", "alpha")) == len(ids) + 3
        assert (await engine.key_schema.status()).adopted
        assert (await engine.key_schema.status()).phase is Phase.LEGACY_READ
    async with start(adopt=_runnable) as engine:
        assert await World(engine, clock).claim() == ()


async def test_two_processes_that_start_at_once_adopt_each_job_once(start: Open, raw: Any, clock: FakeClock) -> None:
    """Both find it in the queue; one job comes of it, in one plan."""
    for number in range(20):
        queue(raw, plant(raw, f"queued-{number}", status="pending"))
    async with start(adopt=_runnable) as one, start(adopt=_runnable) as other:
        taken = [lease.job.job_id for engine in (one, other) for lease in await World(engine, clock).claim()]
        assert sorted(taken) == sorted({*taken})
        assert len(taken) == 20
        assert len((await one.open(World(one, clock).alpha.principal).list_plans(limit=50)).plans) == 20
