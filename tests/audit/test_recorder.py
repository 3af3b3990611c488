"""Recording never holds work up and never fails in silence; where it is required, nothing is done without it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from sqlalchemy import text

from steward import recorder
from steward.action import RetryMode
from steward.errors import AuditUnavailable
from steward.job import JobStatus
from tests.audit.conftest import MakeEntry
from tests.conftest import FakeClock
from tests.installation import Installation, installation, planned
from tests.worker.deeds import Deeds, note, post

pytestmark = pytest.mark.anyio
REFUSE = "CREATE TRIGGER refuse BEFORE INSERT ON audit_records BEGIN SELECT RAISE(ABORT, 'no more room'); END"


@pytest.fixture
async def house(tmp_path: Path, clock: FakeClock) -> AsyncIterator[Installation]:
    """Return an installation that works without its audit."""
    async with installation(tmp_path, clock=clock) as opened:
        yield opened


@pytest.fixture
async def strict(tmp_path: Path, clock: FakeClock) -> AsyncIterator[Installation]:
    """Return an installation that does nothing without its audit."""
    async with installation(tmp_path / "strict", clock=clock, env={"AUDIT_MODE": "required"}) as opened:
        yield opened


@asynccontextmanager
async def broken_audit(house: Installation) -> AsyncIterator[None]:
    """Let the database refuse every audit record while the block runs, and take everything else."""
    database = house.app.database
    await database.write(lambda connection: connection.execute(text(REFUSE)).close())
    try:
        yield
    finally:
        await database.write(lambda connection: connection.execute(text("DROP TRIGGER refuse")).close())


def failures(house: Installation) -> float:
    """Return how many failures the metrics tell of."""
    lines = house.app.telemetry.render(None).decode().splitlines()
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith("audit_failures_total{"))


@pytest.mark.slow
async def test_w101_a_failure_is_counted_and_what_waits_is_written_later(house: Installation) -> None:
    """Work goes on, the metric grows, the recorder says that it is not well; afterwards nothing is missing."""
    house.add(note([]))
    await house.member()
    async with broken_audit(house):
        done = await house.submit(planned("deeds.note", text="a"))
        jobs = await house.run_until_settled(done.plan_id)
        assert [job.status for job in jobs] == [JobStatus.COMPLETED]
        while not failures(house):
            await house.app.database.ping()
        assert not house.app.recorder.well
    await house.app.recorder.written()
    assert house.app.recorder.well
    page = await house.app.audit_log.query("acme", limit=10, plan_id=done.plan_id)
    assert [record.entry.kind for record in page.records] == ["policy.decided"]


async def test_w101_where_the_audit_is_required_nothing_is_executed_without_it(strict: Installation) -> None:
    """503, nothing submitted; as soon as the audit can be written again the same request goes through, on record first."""
    strict.add(note([]))
    who = await strict.member()
    async with broken_audit(strict):
        with pytest.raises(AuditUnavailable):
            await strict.submit(planned("deeds.note", text="a"))
        assert not (await strict.app.engine.open(who).list_plans(limit=5)).plans
        assert failures(strict) == 1
        assert not strict.app.recorder.well
    done = await strict.submit(planned("deeds.note", text="a"))
    page = await strict.app.audit_log.query("acme", limit=10, plan_id=done.plan_id)
    assert [record.entry.kind for record in page.records] == ["policy.decided"]
    assert strict.app.recorder.well


async def test_w101_where_the_audit_is_required_no_write_has_its_effect_without_it(
    strict: Installation, clock: FakeClock
) -> None:
    """A write that was submitted before waits, undispatched, and is done once it can be recorded first."""
    deeds = Deeds()
    strict.add(deeds.write("deeds.write", RetryMode.NONE))
    done = await strict.submit(planned("deeds.write", text="a"))
    async with broken_audit(strict):
        (job,) = await strict.run_until_settled(done.plan_id)
        assert (job.status, deeds.done) == (JobStatus.SCHEDULED, [])
        assert job.error is not None
        assert job.error.code == "audit_unavailable"
        assert job.first_dispatched_at is None
    clock.advance(60)
    (job,) = await strict.run_until_settled(done.plan_id)
    assert (job.status, len(deeds.done)) == (JobStatus.COMPLETED, 1)
    page = await strict.app.audit_log.query("acme", limit=10, kind="effect.ahead")
    (ahead,) = page.records
    assert (ahead.entry.job_id, ahead.entry.facts["on_behalf_of"]) == (job.job_id, job.actor_id)


async def test_w101_waiting_for_the_audit_is_no_attempt(strict: Installation, clock: FakeClock) -> None:
    """However long it is away: a step that may be tried three times is done all the same once it can be recorded."""
    deeds = Deeds()
    strict.add(deeds.write("deeds.write", RetryMode.KEYED))
    done = await strict.submit(planned("deeds.write", text="a"))
    async with broken_audit(strict):
        for _ in range(12):
            (job,) = await strict.run_until_settled(done.plan_id)
            assert (job.status, job.attempts, deeds.done) == (JobStatus.SCHEDULED, 0, [])
            clock.advance(60)
    (job,) = await strict.run_until_settled(done.plan_id)
    assert (job.status, job.attempts, len(deeds.done)) == (JobStatus.COMPLETED, 1, 1)


async def test_w101_where_the_audit_is_required_a_read_is_recorded_first_too(
    strict: Installation, clock: FakeClock
) -> None:
    """A read looks something up for somebody, so it waits like a write, and is on record before it runs."""
    deeds = Deeds()
    strict.add(deeds.read(result={"text": "x"}))
    done = await strict.submit(planned("deeds.read"))
    async with broken_audit(strict):
        (job,) = await strict.run_until_settled(done.plan_id)
        assert (job.status, deeds.done) == (JobStatus.SCHEDULED, [])
    clock.advance(60)
    (job,) = await strict.run_until_settled(done.plan_id)
    assert job.status is JobStatus.COMPLETED
    (ahead,) = (await strict.app.audit_log.query("acme", limit=10, kind="effect.ahead")).records
    assert ahead.entry.action_id == "deeds.read"


async def test_what_cannot_be_kept_does_not_stand_in_the_way(house: Installation, entry: MakeEntry) -> None:
    """An entry that JSON cannot hold is counted as a failure; those beside it are recorded."""
    house.app.recorder.note(entry(), entry(facts={"n": 2**60}), entry())
    await house.app.recorder.written()
    assert len((await house.app.audit_log.query("acme", limit=10)).records) == 2
    assert failures(house) == 1


async def test_what_is_noted_is_written_behind_what_it_is_about(
    house: Installation, entry: MakeEntry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request that is decided and then submitted does not wait for its record; whoever wants to see that hurries it."""
    monkeypatch.setattr(recorder, "_BREATH_S", 3_600.0)
    database, count = house.app.database, text("SELECT count(*) FROM audit_records")
    before = await database.write(lambda connection: connection.execute(count).scalar())
    house.app.recorder.note(entry())
    for _ in range(2):  # the first of them gives the recorder its turn
        assert await database.write(lambda connection: connection.execute(count).scalar()) == before
    await house.app.recorder.written()
    assert len((await house.app.audit_log.query("acme", limit=10)).records) == 1


async def test_what_waits_at_the_end_is_written_before_the_database_is_closed(tmp_path: Path, entry: MakeEntry) -> None:
    """A stop right after a note loses nothing."""
    async with installation(tmp_path / "a") as house:
        house.app.recorder.note(entry(), entry())
    async with installation(tmp_path / "a") as house:
        assert len((await house.app.audit_log.query("acme", limit=10)).records) == 2


async def test_more_than_may_wait_is_lost_and_said(house: Installation, entry: MakeEntry) -> None:
    """Memory is bounded; what is beyond is counted."""
    house.app.recorder.note(*[entry()] * recorder.MAX_WAITING)
    house.app.recorder.note(entry(), entry())
    assert failures(house) == 2


async def test_every_step_is_recorded_with_what_was_decided_about_it(strict: Installation, clock: FakeClock) -> None:
    """Steps that were given the same answer stand in one entry, and each comes back with its own action and facts."""
    strict.add(note([]), Deeds().write("deeds.write", RetryMode.NONE), post([]))
    near, far = "a@near.example", "a@far.example"
    steps = [
        *(planned("deeds.note", text="a"), planned("deeds.write", text="a"), planned("deeds.post", to=near, key="k")),
        *(
            planned("deeds.post", to=far, key="k"),
            planned("deeds.note", text="b"),
            planned("deeds.post", to=near, key="l"),
        ),
    ]
    done = await strict.submit(*steps)
    page = await strict.app.audit_log.query("acme", limit=10, plan_id=done.plan_id)
    (decided,) = page.records
    told = [(entry["step"], *entry.get("also", ())) for entry in decided.entry.facts["decisions"]]
    assert told == [("s1", "s5"), ("s2",), ("s3", "s6"), ("s4",)]
    found = {one.step: one async for one in strict.app.audit_log.decisions("acme", clock.now())}
    assert [found[f"s{number}"].action_id for number in range(1, 7)] == [step.action_id for step in steps]
    domains = [found[step].facts["recipient_domains"] for step in ("s3", "s4", "s6", "s1")]
    assert domains == [["near.example"], ["far.example"], ["near.example"], []]
