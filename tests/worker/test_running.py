"""The worker as a whole: stopping, being woken, fairness, and a store that goes away."""

import asyncio
import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import pytest

import steward.worker
from steward.action import RetryMode
from steward.actions import Content, action
from steward.job import LEASE_S, JobStatus
from steward.work_store import Claimed, LeaseRef
from tests.conftest import FakeClock
from tests.installation import Installation, installation, planned
from tests.worker.deeds import Deeds, note

pytestmark = pytest.mark.anyio
S = JobStatus


async def _turn() -> None:
    """Let the event loop go on once."""
    done = asyncio.Event()
    asyncio.get_running_loop().call_soon(done.set)
    await done.wait()


async def test_w5_from_sentence_to_result(house: Installation) -> None:
    """Plan, execute, work: the job is completed and its result is there to read."""
    done: list[Any] = []
    house.add(note(done))
    drafted = await house.plan("note good morning")
    submitted = await house.execute(drafted["plan_id"])
    assert done == []
    (job,) = await house.run_until_settled(submitted.plan_id)
    assert (job.status, job.result, done) == (S.COMPLETED, {"text": "good morning"}, ["good morning"])
    plan = await house.app.orchestrator.show_plan(await house.member(), drafted["plan_id"])
    assert (plan["status"], plan["jobs"][0]["result"]) == ("completed", {"text": "good morning"})


async def test_w129_a_stopping_worker_finishes_what_it_dispatched_and_hands_back_the_rest(house: Installation) -> None:
    """An effect under way is completed within the grace; a read goes back as if never claimed; nothing is lost."""
    write, read = Deeds(hangs=1), Deeds(hangs=1)
    house.add(write.write("deeds.do", RetryMode.NONE), read.read())
    submitted = await house.submit(planned("deeds.do", text="a"), planned("deeds.read"))
    stop = asyncio.Event()
    running = asyncio.create_task(house.app.worker(concurrency=4).run(stop, grace_s=10))
    await asyncio.gather(write.began.wait(), read.began.wait())
    stop.set()
    store = house.app.engine.open(await house.member())
    with store.listen() as listener:
        while (await house.job(submitted.job_ids[1])).status is not S.PENDING:
            assert await listener.wait(10)
    write.go_on.set()
    await running
    wrote, handed_back = await house.jobs(submitted.plan_id)
    assert (wrote.status, len(write.done)) == (S.COMPLETED, 1)
    assert (handed_back.status, handed_back.attempts) == (S.PENDING, 0)
    assert [attempt.outcome for attempt in handed_back.history] == ["handed_back"]


async def test_w129_a_worker_stopped_in_the_moment_of_a_claim_hands_it_back(house: Installation) -> None:
    """What was claimed but had not taken its first step is not left to its lease."""
    done: list[Any] = []
    house.add(note(done))
    submitted = await house.submit(planned("deeds.note", text="a"))
    stop = asyncio.Event()
    worker = house.app.worker(concurrency=4)
    stop_at_once = worker._start

    def start(lease: Any) -> None:
        stop.set()
        stop_at_once(lease)

    worker._start = start  # type: ignore[method-assign]
    await worker.run(stop)
    (job,) = await house.jobs(submitted.plan_id)
    assert (job.status, job.attempts, done) == (S.PENDING, 0, [])


@pytest.mark.parametrize("mode", list(RetryMode))
async def test_what_does_not_end_within_the_grace_is_in_doubt(house: Installation, mode: RetryMode) -> None:
    """Stopped in mid-effect: keyed and probe come back with their safeguard, none waits for a person."""
    deeds = Deeds(hangs=1)
    house.add(deeds.write("deeds.do", mode))
    submitted = await house.submit(planned("deeds.do", text="a"))
    async with house.worker(grace_s=0.01):
        await deeds.began.wait()
    (job,) = await house.jobs(submitted.plan_id)
    assert job.status is (S.UNKNOWN if mode is RetryMode.NONE else S.PENDING)
    assert job.first_dispatched_at is not None


async def test_a_worker_that_is_told_not_to_wait_still_writes_down_how_things_stand(house: Installation) -> None:
    """Cancelled outright, it leaves no attempt behind that nobody answers for."""
    write, read = Deeds(hangs=1), Deeds(hangs=1)
    house.add(write.write("deeds.do", RetryMode.NONE), read.read())
    submitted = await house.submit(planned("deeds.do", text="a"), planned("deeds.read"))
    running = asyncio.create_task(house.app.worker(concurrency=4).run(asyncio.Event()))
    await asyncio.gather(write.began.wait(), read.began.wait())
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert [job.status for job in await house.jobs(submitted.plan_id)] == [S.UNKNOWN, S.PENDING]


async def test_an_idle_worker_is_woken_by_a_submit(house: Installation) -> None:
    """It sleeps up to a minute, yet work that arrives is done at once."""
    done: list[Any] = []
    house.add(note(done))
    first = await house.submit(planned("deeds.note", text="first"))
    async with house.worker():
        await house.until(first.plan_id, {S.COMPLETED})
        async with asyncio.timeout(10):
            second = await house.submit(planned("deeds.note", text="second"))
            await house.until(second.plan_id, {S.COMPLETED})
    assert done == ["first", "second"]


async def test_w129_two_workspaces_share_fairly(house: Installation) -> None:
    """Sixty-four jobs of one workspace and of another are taken in turns, and a lone job waits for no flood."""
    order: list[str] = []

    @action("deeds.turn", effect="read")
    async def turn(name: Annotated[str, Content]) -> None:
        """Say whose turn it was."""
        order.append(name)

    house.add(turn)
    alpha, beta, gamma = [await house.member(name) for name in ("alpha", "beta", "gamma")]
    flood = [await house.submit(*[planned("deeds.turn", name="alpha")] * 32, who=alpha) for _ in range(2)]
    others = await house.submit(*[planned("deeds.turn", name="beta")] * 32, who=beta)
    lone = await house.submit(planned("deeds.turn", name="gamma"), who=gamma)
    async with house.worker(concurrency=2):
        for submitted in flood:
            await house.until(submitted.plan_id, {S.COMPLETED}, alpha)
        await house.until(others.plan_id, {S.COMPLETED}, beta)
        await house.until(lone.plan_id, {S.COMPLETED}, gamma)
    assert len(order) == 97
    assert order.index("gamma") < 8
    while_both_had_work = order[: 64 - 8]
    assert abs(while_both_had_work.count("alpha") - while_both_had_work.count("beta")) <= 4


async def test_w129_concurrency_is_kept(house: Installation) -> None:
    """Never more attempts at a time than asked for, and as many when there is work."""
    under_way, most = 0, 0
    full = asyncio.Event()

    @action("deeds.count", effect="read")
    async def count() -> None:
        """Count how many run at once."""
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        if under_way == 3:
            full.set()
        await full.wait()
        under_way -= 1

    house.add(count)
    submitted = await house.submit(*[planned("deeds.count")] * 12)
    async with house.worker(concurrency=3):
        await house.until(submitted.plan_id, {S.COMPLETED})
    assert most == 3


async def test_what_is_only_being_written_down_leaves_its_room_to_the_next(house: Installation) -> None:
    """With one slot and settlements that hang, a second job runs and a third does not begin before the first is settled."""
    deeds = Deeds()
    house.add(deeds.write("deeds.do", RetryMode.KEYED))
    plans = [await house.submit(planned("deeds.do", text=text)) for text in ("a", "b", "c")]
    worker, stop, gate = house.app.worker(concurrency=1), asyncio.Event(), asyncio.Event()
    settle, start = worker._settlement, worker._start
    seen: list[tuple[int, bool]] = []

    async def settle_later(settlement: Any) -> Any:
        if len(deeds.done) == 2:  # both rooms are taken: were there a third, this would be time enough for it
            asyncio.get_running_loop().call_later(0.1, gate.set)
        await gate.wait()
        return await settle(settlement)

    def note_start(lease: Any) -> None:
        start(lease)
        seen.append((worker.busy, gate.is_set()))

    worker._settlement = lambda one: asyncio.ensure_future(settle_later(one))  # type: ignore[assignment]
    worker._start = note_start  # type: ignore[method-assign]
    running = asyncio.create_task(worker.run(stop))
    for plan in plans:
        await house.until(plan.plan_id, {S.COMPLETED})
    stop.set()
    await running
    assert seen[:2] == [(1, False), (2, False)]
    assert seen[2][1]
    assert len(deeds.done) == 3


@pytest.mark.slow
async def test_a_worker_outlives_a_store_that_is_away(tmp_path: Path, clock: FakeClock) -> None:
    """Another process locks the database for longer than anybody waits; afterwards the work is done, once."""
    done: list[Any] = []
    async with installation(tmp_path, clock=clock) as house:
        house.add(note(done))
        deeds = Deeds(hangs=1)
        house.add(deeds.write("deeds.do", RetryMode.NONE))
        submitted = await house.submit(planned("deeds.do", text="a"), planned("deeds.note", "s1", text="b"))
        async with house.worker() as worker:
            await deeds.began.wait()
            with closing(sqlite3.connect(tmp_path / "steward.db", isolation_level=None)) as other:
                other.execute("BEGIN IMMEDIATE")
                deeds.go_on.set()  # it settles into a locked database
                tried = asyncio.Event()
                asyncio.get_running_loop().call_later(2.5, tried.set)
                await tried.wait()
                assert worker.busy == 1
                other.execute("ROLLBACK")
            jobs = await house.until(submitted.plan_id, {S.COMPLETED})
    assert [job.attempts for job in jobs] == [1, 1]
    assert (len(deeds.done), done) == (1, ["b"])


@pytest.mark.slow
async def test_an_attempt_that_finds_the_store_away_hands_its_job_back(tmp_path: Path, clock: FakeClock) -> None:
    """An outage before the effect costs the job no attempt."""
    async with installation(tmp_path, clock=clock) as house:
        house.add(note([]))
        await house.submit(planned("deeds.note", text="a"))
        lease = await house.lease()
        with closing(sqlite3.connect(tmp_path / "steward.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            outcome = await house.attempt(lease).run()
    assert type(outcome).__name__ == "HandedBack"


async def test_the_heartbeat_keeps_a_long_attempt_and_passes_a_cancel_on(
    house: Installation, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While an action runs its lease is renewed; a read that somebody cancels is stopped, a write in mid-effect is not."""
    monkeypatch.setattr(steward.worker, "HEARTBEAT_S", 0.02)
    write, read = Deeds(hangs=1), Deeds(hangs=1)
    house.add(write.write("deeds.do", RetryMode.NONE), read.read(timeout_s=30))
    submitted = await house.submit(planned("deeds.do", text="a"), planned("deeds.read"))
    store = house.app.engine.open(await house.member())
    async with house.worker():
        await asyncio.gather(write.began.wait(), read.began.wait())
        clock.advance(LEASE_S - 1)
        renewed = clock.now() + timedelta(seconds=LEASE_S)
        while any(job.lease_until != renewed for job in await house.jobs(submitted.plan_id)):
            pass  # each look is a turn of the loop and of the store
        clock.advance(LEASE_S - 1)
        await house.app.engine.dispatcher.sweep()
        assert [job.status for job in await house.jobs(submitted.plan_id)] == [S.RUNNING, S.RUNNING]
        for job_id in submitted.job_ids:
            await store.cancel_job(job_id)
        with store.listen() as listener:
            while (await house.job(submitted.job_ids[1])).status is S.RUNNING:
                assert await listener.wait(10)
        assert (await house.job(submitted.job_ids[0])).status is S.RUNNING
        write.go_on.set()
        jobs = await house.until(submitted.plan_id, {S.COMPLETED, S.CANCELLED})
    assert [job.status for job in jobs] == [S.COMPLETED, S.CANCELLED]


async def test_w43_a_damaged_record_stops_no_heartbeat(
    house: Installation, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The leases of the others, and its own, are renewed again and again."""
    monkeypatch.setattr(steward.worker, "HEARTBEAT_S", 0.02)
    one, other = Deeds(hangs=1), Deeds(hangs=1)
    house.add(one.write("deeds.one", RetryMode.NONE), other.write("deeds.other", RetryMode.NONE))
    damaged = await house.submit(planned("deeds.one", text="a"))
    whole = await house.submit(planned("deeds.other", text="b"))
    async with house.worker():
        await asyncio.gather(one.began.wait(), other.began.wait())
        with closing(sqlite3.connect(house.home / "steward.db", isolation_level=None)) as connection:
            connection.execute("UPDATE jobs SET history = '{' WHERE plan_id = ?", (damaged.plan_id,))
        async with asyncio.timeout(20):
            for _ in range(3):
                clock.advance(LEASE_S - 1)
                renewed = clock.now() + timedelta(seconds=LEASE_S)
                while (await house.job(whole.job_ids[0])).lease_until != renewed:
                    pass  # each look is a turn of the loop and of the store
        other.go_on.set()
        await house.until(whole.plan_id, {S.COMPLETED})
        one.go_on.set()


async def test_an_attempt_whose_lease_is_gone_is_given_up_before_its_effect(
    house: Installation, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A read that somebody else has by now does not keep a slot."""
    monkeypatch.setattr(steward.worker, "HEARTBEAT_S", 0.02)
    deeds = Deeds(hangs=1)
    house.add(deeds.read(timeout_s=30))
    submitted = await house.submit(planned("deeds.read"))
    async with house.worker(concurrency=1):
        await deeds.began.wait()
        connection = sqlite3.connect(house.home / "steward.db", isolation_level=None)
        with closing(connection):  # as another machine's sweep and claim would leave it
            connection.execute("UPDATE jobs SET fence = fence + 1, worker_id = 'another'")
        async with asyncio.timeout(10):
            other = await house.submit(planned("deeds.read"))
            await house.until(other.plan_id, {S.COMPLETED})
    (job,) = await house.jobs(submitted.plan_id)
    assert (job.status, job.worker_id) == (S.RUNNING, "another")
    renewed = await house.app.engine.dispatcher.renew([LeaseRef("acme", job.job_id, job.fence)])
    assert type(renewed[0]).__name__ == "Granted"


async def test_a_lost_lease_that_nobody_has_swept_yet_is_not_polled_for(house: Installation, clock: FakeClock) -> None:
    """An idle worker looks again after a second at the earliest, or when the sweep rings."""
    done: list[Any] = []
    house.add(note(done))
    submitted = await house.submit(planned("deeds.note", text="a"))
    await house.lease()
    clock.advance(LEASE_S + 1)
    async with house.worker() as worker:
        looks = 0
        look = worker._sleep_s

        def counted(claimed: Claimed) -> float:
            nonlocal looks
            looks += 1
            return look(claimed)

        worker._sleep_s = counted  # type: ignore[method-assign]
        a_while = asyncio.Event()
        asyncio.get_running_loop().call_later(0.3, a_while.set)
        await a_while.wait()
        assert looks <= 2
        await house.app.engine.dispatcher.sweep()
        await house.until(submitted.plan_id, {S.COMPLETED})
    assert done == ["a"]


async def test_w129_concurrency_is_kept_behind_what_has_ended(house: Installation) -> None:
    """Once some attempts have ended and another hangs, there is room for what is left of the slots, and for no more."""
    deeds, done = Deeds(hangs=9), list[Any]()
    house.add(note(done), deeds.write("deeds.do", RetryMode.KEYED))
    async with house.worker(concurrency=2) as worker:
        ended = await house.submit(*[planned("deeds.note", text=text) for text in "abcd"])
        await house.until(ended.plan_id, {S.COMPLETED})
        while worker.busy:
            await _turn()
        start, seen = worker._start, list[int]()

        def note_start(lease: Any) -> None:
            start(lease)
            seen.append(worker.busy)

        worker._start = note_start  # type: ignore[method-assign]
        await house.submit(planned("deeds.do", text="first"))
        await deeds.began.wait()
        deeds.began.clear()
        rest = await house.submit(*[planned("deeds.do", text=text) for text in "xyz"])
        await deeds.began.wait()
        assert seen == [1, 2]
        deeds.go_on.set()
        await house.until(rest.plan_id, {S.COMPLETED})
