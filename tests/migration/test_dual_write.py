"""While both schemas are written, one step writes both, and both say the same after each."""

from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import invariant, run_state_machine_as_test
from pydantic_core import from_json

from steward.clock import milliseconds
from steward.errors import NotFound, StoreUnavailable
from steward.job import Skipped
from steward.key_schema import Phase
from steward.work_store import Settlement
from steward.work_stores.redis import SchemaStart, open_redis_engine
from steward.work_stores.redis.keys import KEYS, key
from steward.work_stores.redis.legacy.words import TO_OLD
from tests.conftest import FakeClock
from tests.contracts.backends import RedisBackend
from tests.contracts.builders import World, done, failure
from tests.contracts.test_model_walk import RandomHistory
from tests.migration.conftest import Open
from tests.migration.old import copy_of
from tests.redis.history import live
from tests.redis_server import everything

pytestmark = pytest.mark.anyio


def _both(raw: Any) -> dict[str, tuple[dict[str, str], dict[str, str]]]:
    """Return every job's current record and its old copy, by id."""
    found = {}
    for name in raw.scan_iter(match=KEYS["job"] % ("*", "*")):
        fields = {part.decode(): value.decode("latin-1") for part, value in raw.hgetall(name).items()}
        if "spec" in fields:
            said = fields.pop("spec").split(" ")
            fields |= {"plan_id": said[1], "action_id": said[3], "actor_id": said[4], "enqueued_at": said[9]}
        found[fields["job_id"]] = (fields, copy_of(raw, fields["job_id"]))
    return found


def _ms(text: str) -> str:
    return str(milliseconds(datetime.fromisoformat(text))) if text else ""


def assert_equal(raw: Any) -> int:
    """Compare every field that both schemas have, without the product's own reading; return how many jobs there are."""
    both = _both(raw)
    for current, old in both.values():
        for name in ("job_id", "workspace_id", "actor_id"):
            assert old[name] == current[name]
        assert old["status"] == TO_OLD[current["status"]]
        assert f"{old['action_provider']}.{old['action_name']}".strip(".") == current["action_id"]
        assert old["result"] == current.get("result", "")
        for name in ("enqueued_at", "started_at", "finished_at"):
            assert _ms(old[name]) == current.get(name, ""), name
        assert set(old) == {
            *("job_id", "status", "action_provider", "action_name", "params", "workspace_id", "actor_id"),
            *("result", "enqueued_at", "started_at", "finished_at"),
        }
        assert old["params"] == "{}"
    copies = {name.decode().removeprefix(KEYS["old_job"] % "") for name in raw.scan_iter(match=KEYS["old_job"] % "*")}
    assert copies == set(both)
    return len(both)


async def test_w24_both_copies_are_equal_after_every_transition(world: World, raw: Any) -> None:
    """Over a history with every state and every verb, and none is left behind when jobs are forgotten."""
    await live(world)
    before = assert_equal(raw)
    assert before > 15
    world.clock.advance(30 * 24 * 3600)
    await world.dispatcher.sweep()
    assert await world.dispatcher.purge(24 * 3600) > 0
    assert assert_equal(raw) < before


async def test_w23_a_failure_leaves_both_copies_or_neither(world: World, raw: Any) -> None:
    """Where the old key cannot be written, a submission writes nothing at all; a transition leaves both as they were."""
    job = world.job()
    raw.set(key("old_job", job.job_id), "in the way")
    before = sorted(raw.scan_iter())
    with pytest.raises(StoreUnavailable):
        await world.submit(job)
    assert sorted(raw.scan_iter()) == before
    raw.delete(key("old_job", job.job_id))
    submitted = await world.submit(job)
    lease = await world.start(submitted.job_ids[0])
    raw.delete(key("old_job", job.job_id))
    raw.set(key("old_job", job.job_id), "in the way")
    with pytest.raises(StoreUnavailable):
        await world.dispatcher.settle([Settlement(lease.ref, done())])
    assert raw.hget(key("job", "alpha", job.job_id), "status") == b"running"


async def test_w25_w28_what_is_not_there_is_not_made(world: World, raw: Any) -> None:
    """A verb on a job that nobody has, or another workspace has, is refused and makes no key in either schema."""
    (mine,) = (await world.submit()).job_ids
    before = {name: raw.dump(name) for name in raw.scan_iter() if b"schema" not in name}
    for job_id, store in (("job_nobody", world.alpha), (world.ids.new("job"), world.alpha), (mine, world.beta)):
        with pytest.raises(NotFound):
            await store.cancel_job(job_id)
    assert {name: raw.dump(name) for name in raw.scan_iter() if b"schema" not in name} == before


async def test_w26_results_and_errors_stand_in_the_copy(world: World, raw: Any) -> None:
    """An empty result is ``{}`` in both; a job that failed has an error that can be read."""
    submitted = await world.submit(world.job("s1"), world.job("s2"), world.job("s3"))
    for job_id, outcome in zip(submitted.job_ids, (done({}), failure(), Skipped("no")), strict=True):
        await world.run(job_id, outcome)
    jobs = {job.job_id: job for job in await world.alpha.plan_jobs(submitted.plan_id)}
    empty, failed, skipped = (jobs[job_id] for job_id in submitted.job_ids)
    assert empty.result == {}
    assert from_json(copy_of(raw, empty.job_id)["result"]) == {}
    assert failed.error is not None
    assert copy_of(raw, skipped.job_id)["status"] == "failed"


async def test_no_parameter_stands_in_the_copy(world: World, raw: Any) -> None:
    """Not even sealed: the old copy says ``{}``."""
    marker = b"params of "
    submitted = await world.submit()
    name = key("old_job", submitted.job_ids[0]).encode()
    assert marker not in b"".join(raw.hgetall(name).values())
    assert any(marker in part for part in everything(raw))


async def test_only_the_new_is_written_where_there_is_nothing_old(start: Any, clock: Any, raw: Any) -> None:
    """A fresh installation writes no old key and looks at none."""
    async with start() as engine:
        raw.config_resetstat()
        await live(World(engine, clock))
        assert list(raw.scan_iter(match=KEYS["old_job"] % "*")) == []
        assert (await engine.key_schema.status()).phase is Phase.NEW_ONLY


@pytest.mark.slow
@pytest.mark.parametrize("switch", ["off", "on"])
def test_w24_a_random_history_is_the_models_in_every_phase(switch: str) -> None:
    """The walk of the contract holds, and after each of its steps both copies are equal."""

    class Both(RedisBackend):
        def open(self, clock: Any, ids: Any, sinks: Any = ()) -> Any:
            given = SchemaStart(switch)  # pyrefly: ignore
            url = self._server.url(self._database)
            return open_redis_engine(url, clock=clock, ids=ids, safety="fast", sinks=sinks, schema=given)

    class Machine(RandomHistory):
        def __init__(self) -> None:
            backend = Both(Path())
            self.raw = backend._server.client(backend._database)
            super().__init__(lambda: backend)

        @invariant()
        def copies_are_equal(self) -> None:
            """Whatever has just happened."""
            assert_equal(self.raw)

        def teardown(self) -> None:
            """Close the look past the engine, too."""
            with suppress(Exception):
                self.raw.close()
            super().teardown()

    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=5,
            stateful_step_count=25,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        ),
    )


async def test_w24_what_is_submitted_while_old_copies_are_written_again_has_its_own(
    start: Open, raw: Any, clock: FakeClock
) -> None:
    """On the way back from the new keys alone, whoever writes the copies may have passed by already."""
    async with start() as engine:
        world = World(engine, clock)
        assert copy_of(raw, (await world.submit()).job_ids[0]) == {}
        raw.hset(key("schema"), mapping={"filling": "1", "left": "1"})
        for jobs in ((), (world.job("s1"), world.job("s2", "s1"))):
            for job_id in (await world.submit(*jobs)).job_ids:
                assert copy_of(raw, job_id)["job_id"] == job_id
        for lease in await world.claim():
            assert copy_of(raw, lease.job.job_id)["status"] == TO_OLD["running"]
            await world.run(lease.job.job_id)
            assert copy_of(raw, lease.job.job_id)["status"] == TO_OLD["completed"]
