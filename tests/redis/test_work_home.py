"""Where work lives: a whole installation on Redis, and when it may move there and back."""

import shutil
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from steward.action import RetryMode
from steward.audit import AuditRecord
from steward.errors import ConfigurationError, StoreUnavailable
from steward.job import JobStatus
from steward.maintenance.archiver import Archiver
from steward.settings import Settings
from steward.work_home import NOTE
from steward.work_stores.redis.keys import key
from tests import postgresql
from tests.conftest import FakeClock
from tests.installation import SECRET, Installation, installation, planned
from tests.redis_server import RedisServer, everything, shared_server
from tests.worker.deeds import Deeds, post

pytestmark = pytest.mark.anyio

DAY_S = 24 * 3600


@pytest.fixture
def env(database: int) -> dict[str, str]:
    """Return the settings of an installation whose work lives in the shared server."""
    return {"REDIS_URL": shared_server().url(database), "REDIS_EFFECT_SAFETY": "fast"}


def _add_deeds(house: Installation) -> None:
    if house.app.catalogue.get("deeds.write") is None:
        house.add(Deeds().write("deeds.write", RetryMode.KEYED))


async def _do_some(house: Installation, *, name: str | None = None) -> str:
    """Have two steps done, one after the other, and return the plan's id."""
    _add_deeds(house)
    steps = (planned("compute", value="two"), planned("deeds.write", text={"$ref": "steps.s1.result.value"}))
    submitted = await house.submit(*steps, key=name)
    jobs = await house.run_until_settled(submitted.plan_id)
    assert [job.status for job in jobs] == [JobStatus.COMPLETED] * 2
    return submitted.plan_id


async def _forget(house: Installation, clock: FakeClock) -> None:
    """Let the retention pass and what ended be purged."""
    clock.advance(8 * DAY_S)
    await _archived(house)
    await house.app.engine.dispatcher.purge(DAY_S)


async def _archived(house: Installation) -> list[AuditRecord]:
    """Archive what there is and return what the audit has of work, oldest first."""
    app = house.app
    await Archiver(app.engine.dispatcher, app.audit_log, app.catalogue, app.recorder).turn()
    page = await app.audit_log.query("acme", limit=100)
    return [record for record in reversed(page.records) if (record.entry.source or "").startswith("work/")]


async def test_w91_an_installation_works_on_redis(
    tmp_path: Path, clock: FakeClock, env: dict[str, str], raw: Any
) -> None:
    """Steps run and references are resolved; a failed step's parameters and what is under way lie sealed, and no secret shows."""
    done: list[Any] = []
    async with installation(tmp_path, clock=clock, env=env) as house:
        house.add(post(done))
        submitted = await house.submit(
            planned("compute", value="what was worked out"),
            planned("deeds.post", to="a@example.com", key="hush-hush", text={"$ref": "steps.s1.result.value"}),
        )
        assert not any(b"hush" in part for part in everything(raw))
        await house.run_until_settled(submitted.plan_id)
        assert done == [("a@example.com", "hush-hush", "what was worked out")]
        assert not any(b"hush" in part for part in everything(raw))
        assert submitted.job_ids[0].encode() in raw.zrange(key("jobs_in", "acme", "completed"), 0, -1)
        found = [record.entry for record in await _archived(house)]
        assert {"plan.submitted", "job.completed", "plan.completed"} <= {entry.kind for entry in found}
        outcomes = [entry.facts for entry in found if entry.kind == "job.completed"]
        assert any("dispatched" in facts for facts in outcomes), "of the step that posts; the other has no effect"


@pytest.fixture(params=["sqlite", "postgresql"])
def database_env(request: pytest.FixtureRequest) -> Iterator[dict[str, str]]:
    """Return the settings that name a database of each kind."""
    if request.param == "sqlite":
        yield {}
        return
    name = postgresql.server().lend()
    yield {"DATABASE_URL": postgresql.server().url(name)}
    postgresql.server().give_back(name)


async def test_work_moves_to_redis_and_back_and_the_audit_misses_nothing(
    tmp_path: Path, clock: FakeClock, env: dict[str, str], database_env: dict[str, str]
) -> None:
    """Each event of each home is in the audit once, and no event id ever stands for two facts."""
    seen: list[str] = []
    plans: list[str] = []
    for settings in ({}, env, {}, env):
        async with installation(tmp_path, clock=clock, env=settings | database_env) as house:
            plans.append(await _do_some(house))
            seen += [event.event_id for event in await house.events() if event.plan_id == plans[-1]]
            told = await _archived(house)
            assert [record.entry.plan_id for record in told if record.entry.kind == "plan.completed"] == plans
            assert len({record.entry.source for record in told}) == len(told)
            clock.advance(60)
    assert seen == sorted(set(seen))


async def test_the_last_words_are_archived_before_work_moves(
    tmp_path: Path, clock: FakeClock, env: dict[str, str]
) -> None:
    """What nobody has taken into the audit when the former home is left is taken then."""
    plans: list[str] = []
    for settings in ({}, env, {}):
        async with installation(tmp_path, clock=clock, env=settings) as house:
            plans.append(await _do_some(house))
    async with installation(tmp_path, clock=clock, env={}) as house:
        ended = [record.entry.plan_id for record in await _archived(house) if record.entry.kind == "plan.completed"]
    assert ended == plans


@pytest.mark.parametrize("there_first", [False, True])
async def test_work_is_never_left_behind(
    tmp_path: Path, clock: FakeClock, env: dict[str, str], there_first: bool
) -> None:
    """With work under way, or a request that would be known again, the start elsewhere is refused; later it is not."""
    here, there = (env, {}) if there_first else ({}, env)
    async with installation(tmp_path, clock=clock, env=here) as house:
        _add_deeds(house)
        open_plan = await house.submit(planned("deeds.write", text="x"))
    with pytest.raises(ConfigurationError, match=r"^REDIS_URL is .*set.* under way"):
        async with installation(tmp_path, clock=clock, env=there):
            pass
    async with installation(tmp_path, clock=clock, env=here) as house:
        _add_deeds(house)
        await house.run_until_settled(open_plan.plan_id)
        await _do_some(house, name="a-key-of-my-own")
    with pytest.raises(ConfigurationError, match="repeated request"):
        async with installation(tmp_path, clock=clock, env=there):
            pass
    async with installation(tmp_path, clock=clock, env=here) as house:
        await _forget(house, clock)
    async with installation(tmp_path, clock=clock, env=there) as house:
        await _do_some(house)


@pytest.mark.slow
async def test_w119_a_redis_that_does_not_answer_is_not_taken_for_an_empty_one(
    tmp_path: Path, clock: FakeClock, server: RedisServer
) -> None:
    """Without REDIS_URL the start is refused, and says which file gives up what is there; without that file it goes on."""
    async with installation(tmp_path, clock=clock, env={"REDIS_URL": server.url()}) as house:
        plan_id = await _do_some(house)
        await _archived(house)
    server.kill()
    with pytest.raises(ConfigurationError, match=NOTE):
        async with installation(tmp_path, clock=clock):
            pass
    (tmp_path / NOTE).unlink()
    async with installation(tmp_path, clock=clock) as house:
        assert await house.jobs(plan_id) == ()
        again = await _do_some(house)
        ended = [record.entry.plan_id for record in await _archived(house) if record.entry.kind == "plan.completed"]
        assert ended == [plan_id, again]


async def test_where_redis_is_is_kept_sealed(tmp_path: Path, clock: FakeClock, env: dict[str, str]) -> None:
    """The note that says so is the owner's alone and does not show the address; one that was spoilt refuses the start."""
    async with installation(tmp_path, clock=clock, env=env):
        pass
    note = tmp_path / NOTE
    assert stat.S_IMODE(note.stat().st_mode) == 0o600
    assert "redis://" not in note.read_text()
    note.write_text("spoilt")
    with pytest.raises(ConfigurationError, match=NOTE):
        async with installation(tmp_path, clock=clock):
            pass


def test_ended_work_is_kept_for_a_week_on_redis(tmp_path: Path, env: dict[str, str]) -> None:
    """Unless it is said otherwise; and 'strict' is what holds unless it is."""
    common = {"STEWARD_HOME": str(tmp_path), "STEWARD_SECRET_KEY": SECRET}
    settings = Settings.load({**common, "REDIS_URL": env["REDIS_URL"]})
    assert (settings.job_retention_s, settings.redis_effect_safety) == (7 * DAY_S, "strict")
    assert Settings.load({**common, **env, "AI_JOB_RETENTION_S": "90000"}).job_retention_s == 90_000
    assert Settings.load(common).job_retention_s == 30 * DAY_S
    assert env["REDIS_URL"] not in repr(settings)


async def test_what_happens_after_a_power_cut_is_archived(tmp_path: Path, clock: FakeClock) -> None:
    """Redis alone comes back without the last it was told, of which the audit has read; the next event takes no place of those."""
    server = RedisServer("--appendonly", "yes", "--appendfsync", "everysec")
    env = {"REDIS_URL": server.url(), "REDIS_EFFECT_SAFETY": "fast"}
    try:
        async with installation(tmp_path / "home", clock=clock, env=env) as house:
            kept = await house.submit(planned("compute", value="kept"))
            await _archived(house)
            with closing(server.client()) as admin:
                assert admin.waitaof(1, 0, 5000)[0] == 1
            on_disk = shutil.copytree(server.folder, tmp_path / "on disk")
            lost = [await house.submit(planned("compute", value="lost")) for _ in range(3)]
            assert {record.entry.plan_id for record in await _archived(house)} >= {plan.plan_id for plan in lost}
            server.kill()
            shutil.rmtree(server.folder)
            shutil.copytree(on_disk, server.folder)
            server.start()
            after = [await house.submit(planned("compute", value="after")) for _ in range(2)]
            store = house.app.engine.open(await house.member())
            assert await store.get_plan(lost[0].plan_id) is None
            records = await _archived(house)
            assert {record.entry.plan_id for record in records} >= {plan.plan_id for plan in (kept, *lost, *after)}
            assert len({record.entry.source for record in records}) == len(records)
    finally:
        server.stop()


async def test_a_redis_that_is_not_there_is_named_by_its_setting(tmp_path: Path, clock: FakeClock) -> None:
    """Whoever starts it has to know which setting leads nowhere."""
    with pytest.raises(StoreUnavailable, match=r"^REDIS_URL: "):
        async with installation(tmp_path, clock=clock, env={"REDIS_URL": "redis://127.0.0.1:1/0"}):
            pass
