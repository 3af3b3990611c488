"""What happened to work, as the audit has it: who, as whom, what, why, with what result; once, and by however many processes."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from steward.action import ActionFailed, RetryMode
from steward.audit import AuditRecord
from steward.clock import rfc3339
from steward.event import Event, EventType
from steward.job import Completed, JobStatus
from steward.maintenance.archiver import BATCH, Archiver
from steward.maintenance.pruner import pruner
from steward.plan import MAX_STEPS
from steward.work_store import Dispatcher, Settlement
from tests.conftest import FakeClock
from tests.installation import Installation, installation, planned
from tests.worker.deeds import Deeds, note

pytestmark = pytest.mark.anyio


@pytest.fixture
async def house(tmp_path: Path, clock: FakeClock) -> AsyncIterator[Installation]:
    """Return an empty installation."""
    async with installation(tmp_path, clock=clock) as opened:
        yield opened


def archiver_of(house: Installation) -> Archiver:
    """Return an archiver of an installation."""
    app = house.app
    return Archiver(app.engine.dispatcher, app.audit_log, app.catalogue, app.recorder)


async def records(house: Installation, workspace_id: str = "acme", **filters: Any) -> list[AuditRecord]:
    """Archive what there is and return the records, oldest first."""
    await archiver_of(house).turn()
    await house.app.recorder.written()
    page = await house.app.audit_log.query(workspace_id, limit=100, **filters)
    return list(reversed(page.records))


async def test_the_life_of_a_plan_is_on_record(house: Installation) -> None:
    """Decision, submission, attempt with its dispatch, and end, each with who asked, the request, and how it ended."""
    house.add(Deeds().write("deeds.write", RetryMode.KEYED))
    who = await house.member()
    done = await house.submit(planned("deeds.write", text="hello"))
    await house.run_until_settled(done.plan_id)
    found = [record.entry for record in await records(house, plan_id=done.plan_id)]
    assert {entry.kind for entry in found} == {
        *("policy.decided", "plan.submitted", "job.completed", "plan.completed"),
    }
    assert {entry.request_id for entry in found} == {"req-test"}
    by_kind = {entry.kind: entry for entry in found}
    assert by_kind["plan.submitted"].actor_id == by_kind["policy.decided"].actor_id == who.actor_id
    assert by_kind["job.completed"].actor_id is None
    assert by_kind["job.completed"].facts["on_behalf_of"] == who.actor_id
    assert by_kind["job.completed"].result == "completed"
    assert by_kind["job.completed"].facts["attempt"] == 1
    (dispatch,) = [event for event in await house.events() if event.type == "job.dispatched"]
    assert by_kind["job.completed"].facts["dispatched_at"] == rfc3339(dispatch.at)
    assert by_kind["policy.decided"].result == "allow"
    assert by_kind["policy.decided"].rule
    assert (await house.app.audit_log.verify("acme")).sound


async def test_w99_w100_what_was_shown_and_what_was_run_have_the_same_identity_and_commitment(
    house: Installation,
) -> None:
    """A preview and its execution name the same action, and their salted commitments over the parameters are equal."""
    house.add(note([]))
    shown = await house.app.orchestrator.preview(await house.member(), "deeds.note", {"text": "hello"}, "req-1")
    await house.execute(shown["plan_id"])
    other = await house.app.orchestrator.preview(await house.member(), "deeds.note", {"text": "hello"}, "req-1")
    found = await records(house)
    of_plan = [record for record in found if record.entry.plan_id == shown["plan_id"] and record.commitment]
    assert [record.entry.kind for record in of_plan] == ["plan.drafted", "plan.submitted"]
    assert of_plan[0].commitment == of_plan[1].commitment
    steps = [record.entry.view["steps"] for record in of_plan]
    assert steps[0] == steps[1]
    assert [step["action_id"] for step in steps[0]] == ["deeds.note"]
    (twin,) = [record for record in found if record.entry.plan_id == other["plan_id"] and record.commitment]
    assert twin.commitment != of_plan[0].commitment, "the same parameters of another plan tell nothing"


async def test_w99_w100_the_salt_is_found_again_when_the_draft_was_archived_long_before(house: Installation) -> None:
    """Also if the execution is archived in a later turn, by another process."""
    house.add(note([]))
    shown = await house.app.orchestrator.preview(await house.member(), "deeds.note", {"text": "hello"}, "req-1")
    await archiver_of(house).turn()
    await house.execute(shown["plan_id"])
    of_plan = [record for record in await records(house, plan_id=shown["plan_id"]) if record.commitment]
    assert len({record.commitment for record in of_plan}) == 1
    assert len(of_plan) == 2


async def test_w100_failures_are_on_record_as_what_they_were(house: Installation) -> None:
    """A failed attempt, its retry and the final failure carry the error's code; nothing is called a success."""
    deeds = Deeds(fails=[ActionFailed("busy", "Later.", retryable=True, retry_after_s=0), ActionFailed("no", "Never.")])
    house.add(deeds.write("deeds.write", RetryMode.KEYED))
    done = await house.submit(planned("deeds.write", text="hello"))
    (job,) = await house.run_until_settled(done.plan_id)
    assert job.status is JobStatus.FAILED
    found = [record.entry for record in await records(house, plan_id=done.plan_id)]
    told = [(entry.kind, entry.result, entry.facts.get("error_code")) for entry in found if entry.job_id == job.job_id]
    assert ("job.failed", "no", "no") in told
    assert any(code == "busy" for _, _, code in told)
    assert not any(result == "completed" for _, result, _ in told)


async def test_what_was_begun_before_it_is_known_how_it_ended_is_on_record_by_itself(house: Installation) -> None:
    """So whoever dies then has left a record; and those who ask for dispatches are shown each one, in either form."""
    house.add(Deeds().write("deeds.write", RetryMode.KEYED))
    begun = await house.submit(planned("deeds.write", text="a"))
    lease = await house.lease()
    assert await house.app.engine.dispatcher.dispatch([lease.ref])
    (alone,) = await records(house, kind="job.dispatched")
    assert (alone.entry.kind, alone.entry.result) == ("job.dispatched", "dispatched")
    assert alone.entry.facts["attempt"] == 1
    await house.app.engine.dispatcher.settle([Settlement(lease.ref, Completed({}, None))])
    both = await house.submit(planned("deeds.write", text="b"))
    await house.run_until_settled(both.plan_id)
    (outcome,) = await records(house, kind="job.completed", plan_id=begun.plan_id)
    assert not {"dispatched", "dispatched_at"} & outcome.entry.facts.keys()
    dispatches = await records(house, kind="job.dispatched")
    assert [(it.entry.kind, it.entry.plan_id) for it in dispatches] == [
        ("job.dispatched", begun.plan_id),
        ("job.completed", both.plan_id),
    ]
    assert (await house.app.audit_log.verify("acme")).sound


async def test_w98_no_secret_and_no_address_stands_in_the_chain(house: Installation) -> None:
    """Parameters are in the erasable view, redacted, and nowhere else; a secret not even there."""
    house.add(note([]))
    secret, address = "hunter2-hunter2", "ann.example@example.com"
    done = await house.submit(planned("deeds.note", text=f"password: {secret}, for {address}"))
    await house.run_until_settled(done.plan_id)
    for record in await records(house):
        entry = record.entry
        permanent = str([getattr(entry, name) for name in entry._fields if name != "view"])
        assert secret not in permanent
        assert address not in permanent
        assert secret not in str(entry.view)
    assert secret.encode() not in house.stored_bytes()


async def test_people_are_on_record_with_their_requests(house: Installation) -> None:
    """Whoever cancels is named, with the id of the request in which it happened."""
    import structlog

    house.add(note([]))
    who = await house.member()
    done = await house.submit(planned("deeds.note", text="a"))
    with structlog.contextvars.bound_contextvars(request_id="req-cancel"):
        await house.app.engine.open(who).cancel_plan(done.plan_id)
    cancelled = [record.entry for record in await records(house, kind="job.cancelled")]
    assert [(entry.actor_id, entry.request_id) for entry in cancelled] == [(who.actor_id, "req-cancel")]


async def test_an_event_is_archived_once_by_archivers_that_race(house: Installation) -> None:
    """Ten at the same moment: every event has one record, in the order of the events."""
    house.add(note([]))
    for n in range(5):
        await house.submit(planned("deeds.note", text=str(n)))
    await asyncio.gather(*(archiver_of(house).turn() for _ in range(10)))
    sources = [record.entry.source for record in await records(house) if record.entry.source]
    events = [f"work/{number}" for number in range(1, 6)]
    assert sources == events
    assert (await house.app.audit_log.verify("acme")).sound


async def test_more_than_a_batch_is_archived_in_one_turn(house: Installation) -> None:
    """Every event has one record, in their order, however many there are; also where two archivers take them in turns."""
    house.add(note([]))
    store = house.app.engine.open(await house.member())
    each = MAX_STEPS + 2  # of each plan that it was submitted and cancelled, and of each step that it was cancelled
    plans = BATCH // each + 1
    for _ in range(plans):
        done = await house.submit(*(planned("deeds.note", text=str(n)) for n in range(MAX_STEPS)))
        await store.cancel_plan(done.plan_id)
    number = plans * each
    assert sum(await asyncio.gather(*(archiver_of(house).turn() for _ in range(2)))) == number
    page = await house.app.audit_log.query("acme", limit=2 * number)
    sources = [record.entry.source for record in reversed(page.records) if record.entry.source]
    assert sources == [f"work/{position}" for position in range(1, number + 1)]
    assert (await house.app.audit_log.verify("acme")).sound


async def test_what_another_archiver_had_not_seen_yet_is_archived_in_the_same_turn(house: Installation) -> None:
    """It was first with fewer events: the rest is not left until somebody rings again."""
    house.add(note([]))
    await house.submit(planned("deeds.note", text="a"))
    quick, slow = archiver_of(house), archiver_of(house)
    seen = await quick._read(0)
    await house.submit(planned("deeds.note", text="b"))
    log = house.app.audit_log

    class First:
        """The log, in which somebody else writes first, once."""

        async def archive(self, entries: Any, *, after: int, upto: int) -> bool:
            """Write what the quick one has seen, and then try as asked."""
            await log.archive(seen.entries, after=0, upto=seen.upto)
            return await log.archive(entries, after=after, upto=upto)

        def __getattr__(self, name: str) -> Any:
            """Do all else as the log does."""
            return getattr(log, name)

    slow._log = First()  # type: ignore[assignment]
    assert await slow.turn() == 1
    assert len((await log.query("acme", limit=9, kind=EventType.PLAN_SUBMITTED)).records) == 2


class Watched:
    """A dispatcher that notes how many events are asked for at a time."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        """Note what ``dispatcher`` is asked for."""
        self._dispatcher = dispatcher
        self.limits: list[int] = []

    async def events_after(self, position: int, *, limit: int) -> tuple[Event, ...]:
        """Return what it returns."""
        self.limits.append(limit)
        return await self._dispatcher.events_after(position, limit=limit)

    def __getattr__(self, name: str) -> Any:
        """Do all else as it does."""
        return getattr(self._dispatcher, name)


async def test_a_backlog_is_looked_through_in_pieces(house: Installation) -> None:
    """A job that is to begin meanwhile waits for one of them, and not for all that is recorded in one transaction."""
    house.add(note([]))
    store = house.app.engine.open(await house.member())
    piece = house.app.engine.dispatcher.piece
    for _ in range(2 * piece // MAX_STEPS + 1):
        done = await house.submit(*(planned("deeds.note", text=str(n)) for n in range(MAX_STEPS)))
        await store.cancel_plan(done.plan_id)
    watched: Any = Watched(house.app.engine.dispatcher)
    app = house.app
    archived = await Archiver(watched, app.audit_log, app.catalogue, app.recorder).turn()
    assert archived > 2 * piece
    assert watched.limits == [piece] * (archived // piece + 1)


@pytest.mark.slow
async def test_two_processes_archive_side_by_side(tmp_path: Path) -> None:
    """Two others archive while this one makes work: at the end each event is on record once and the chain is sound."""
    code = (
        "import asyncio, sys\n"
        "from pathlib import Path\n"
        "from tests.installation import installation\n"
        "from tests.audit.test_archiver import archiver_of\n"
        "async def main():\n"
        "    async with installation(Path(sys.argv[1])) as house:\n"
        "        print('ready', flush=True)\n"
        "        running = asyncio.create_task(archiver_of(house).run())\n"
        "        await asyncio.to_thread(sys.stdin.readline)\n"
        "        running.cancel()\n"
        "asyncio.run(main())\n"
    )
    async with installation(tmp_path) as house:
        house.add(note([]))
        others = [
            await asyncio.create_subprocess_exec(
                *(sys.executable, "-c", code, str(tmp_path)), stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
            for _ in range(2)
        ]
        for other in others:
            assert other.stdout is not None
            while b"ready" not in await other.stdout.readline():
                pass
        for n in range(60):
            await house.submit(planned("deeds.note", text=str(n)))
        for other in others:
            await other.communicate(b"\n")
        found = await records(house, kind="plan.submitted")
        assert len(found) == 60
        assert len({record.entry.plan_id for record in found}) == 60
        verdict = await house.app.audit_log.verify("acme")
        assert verdict.sound, verdict


async def test_work_is_not_forgotten_before_the_audit_has_it(house: Installation, clock: FakeClock) -> None:
    """Ended plans past their retention stay until their events are archived, and go at the next round."""
    house.add(note([]))
    done = await house.submit(planned("deeds.note", text="a"))
    await house.run_until_settled(done.plan_id)
    clock.advance(40 * 24 * 3600)
    duty = pruner(house.app.engine.dispatcher, 24 * 3600, house.app.audit_log)
    assert await duty.run_once() == 0
    assert len(await house.jobs(done.plan_id)) == 1
    await archiver_of(house).turn()
    assert await duty.run_once() == 1
    assert [record.entry.kind for record in await records(house, kind="job.completed")] == ["job.completed"]


class Seconds:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        """Begin anywhere."""
        self.now = 1_000.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


async def test_who_finds_another_archiving_leaves_it_to_them_until_they_stop(house: Installation) -> None:
    """It is not put into words twice; and whoever stops, or dies, is followed by another within two seconds."""
    house.add(note([]))
    app, seconds = house.app, Seconds()
    one, other = (
        Archiver(app.engine.dispatcher, app.audit_log, app.catalogue, app.recorder, seconds=seconds) for _ in range(2)
    )

    async def turn(archiver: Archiver) -> int:
        await house.submit(planned("deeds.note", text="a"))
        seconds.now += 0.5
        return await archiver.turn(unless_others=True)

    assert [await turn(one), await turn(other)] == [1, 1], "neither knew of the other"
    for _ in range(5):
        assert [await turn(one), await turn(other)] == [0, 2], "that is the other's now"
    assert [await turn(one) for _ in range(4)] == [0, 0, 0, 4], "the other has stopped"
    assert [await turn(other) for _ in range(2)] == [0, 0]
    assert [await turn(one), await turn(one)] == [3, 1]
    found = await records(house, kind="plan.submitted")
    assert len(found) == len({record.entry.source for record in found})
    assert (await house.app.audit_log.verify("acme")).sound


async def test_who_loses_a_race_leaves_it_to_the_winner(house: Installation) -> None:
    """Of archivers that begin at the same moment one goes on; one that carries out no steps always does."""
    house.add(note([]))
    seconds = Seconds()
    app = house.app
    racing = [
        Archiver(app.engine.dispatcher, app.audit_log, app.catalogue, app.recorder, seconds=seconds) for _ in range(4)
    ]
    for _ in range(3):
        await house.submit(planned("deeds.note", text="a"))
    first = await asyncio.gather(*(archiver.turn(unless_others=True) for archiver in racing))
    assert sorted(first) == [0, 0, 0, 3]
    await house.submit(planned("deeds.note", text="b"))
    winner = racing[first.index(3)]
    for archiver in racing:
        if archiver is not winner:
            assert await archiver.turn(unless_others=True) == 0
    assert await winner.turn(unless_others=True) == 1
    await house.submit(planned("deeds.note", text="c"))
    assert await racing[first.index(0)].turn() == 1, "whoever does it in any case"
    await house.submit(planned("deeds.note", text="d"))
    assert await winner.turn(unless_others=True) == 0
