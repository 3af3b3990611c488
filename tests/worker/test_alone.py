"""An attempt without company asks for itself, in its own turn of the loop; a crowd asks together; and an idle worker looks ahead."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from steward.action import RetryMode
from steward.job import JobStatus
from steward.work_store import Answer, Claimed, LeaseRef
from steward.worker import Worker
from tests.installation import Installation, planned
from tests.turns import turn
from tests.worker.deeds import Deeds, note

pytestmark = pytest.mark.anyio


class Noting:
    """Stands before a room of a worker: notes what passes, and keeps what a test has closed."""

    def __init__(self, worker: Worker, room: str) -> None:
        """Stand before the room with this name."""
        self._real = getattr(worker._rooms, room)
        self.dispatched: list[tuple[str, int]] = []
        """By whose task, and how many, in order."""
        self.came: asyncio.Queue[str] = asyncio.Queue()
        """What has been asked, in order."""
        self.claims, self.answers = asyncio.Event(), asyncio.Event()
        """Set: claims are made, and dispatches answered."""
        self.claims.set()
        self.answers.set()
        object.__setattr__(worker._rooms, room, self)

    def __getattr__(self, name: str) -> Any:
        """Return what is not looked at."""
        return getattr(self._real, name)

    async def claim(self, worker_id: str, **asked: Any) -> Claimed:
        """Claim."""
        self.came.put_nowait("claim")
        await self.claims.wait()
        return await self._real.claim(worker_id, **asked)

    async def dispatch(self, refs: Sequence[LeaseRef], spends: Any) -> tuple[Answer, ...]:
        """Dispatch."""
        task = asyncio.current_task()
        self.dispatched.append(("" if task is None else task.get_name(), len(refs)))
        answers = await self._real.dispatch(refs, spends)
        self.came.put_nowait("dispatch")
        await self.answers.wait()
        return answers

    async def until(self, what: str) -> None:
        """Return when this has been asked once more."""
        while await self.came.get() != what:
            pass


async def _until_idle(worker: Worker) -> None:
    while worker.busy:
        worker._slot_freed.clear()
        await worker._slot_freed.wait()


async def test_a_lone_attempt_dispatches_in_its_own_task_and_a_crowd_in_one_call(house: Installation) -> None:
    """Nobody has to be woken for the question of one; those that were claimed together ask together."""
    done: list[Any] = []
    house.add(note(done))
    async with house.worker() as worker:
        noting = Noting(worker, "dispatcher")
        one = await house.submit(planned("deeds.note", text="a"))
        await house.until(one.plan_id, [JobStatus.COMPLETED])
        await _until_idle(worker)
        crowd = await house.submit(*(planned("deeds.note", text=text) for text in "bcd"))
        await house.until(crowd.plan_id, [JobStatus.COMPLETED])
    (first, alone), (second, together), *_ = noting.dispatched
    assert (first, alone) == (one.job_ids[0], 1)
    assert second not in crowd.job_ids
    assert together > 1
    assert sum(number for _, number in noting.dispatched) == len(done) == 4


async def test_company_that_comes_later_neither_waits_for_a_lone_attempt_nor_joins_it(house: Installation) -> None:
    """While the answer to the first is missing others begin, ask together, and nothing is done twice."""
    done: list[Any] = []
    house.add(note(done))
    async with house.worker() as worker:
        noting = Noting(worker, "dispatcher")
        noting.answers.clear()
        one = await house.submit(planned("deeds.note", text="a"))
        await noting.until("dispatch")
        others = await house.submit(*(planned("deeds.note", text=text) for text in "bc"))
        await noting.until("dispatch")
        noting.answers.set()
        await house.until(one.plan_id, [JobStatus.COMPLETED])
        await house.until(others.plan_id, [JobStatus.COMPLETED])
    (first, alone), (second, _), *_ = noting.dispatched
    assert (first, alone) == (one.job_ids[0], 1)
    assert second not in others.job_ids
    assert sorted(done) == ["a", "b", "c"]


@pytest.mark.parametrize("mode", [RetryMode.NONE, RetryMode.KEYED])
async def test_a_lone_attempt_that_is_stopped_at_its_dispatch_has_no_effect_and_leaves_no_doubt(
    house: Installation, mode: RetryMode
) -> None:
    """The record was written and its answer never came: the job goes back as if it had not been claimed."""
    deeds, stop, worker = Deeds(), asyncio.Event(), house.app.worker(concurrency=4)
    house.add(deeds.write("deeds.do", mode))
    noting = Noting(worker, "dispatcher")
    noting.answers.clear()
    submitted = await house.submit(planned("deeds.do", text="a"))
    running = asyncio.create_task(worker.run(stop))
    await noting.until("dispatch")
    stop.set()
    await running
    (job,) = await house.jobs(submitted.plan_id)
    assert (job.status, job.attempts, job.first_dispatched_at, deeds.done) == (JobStatus.PENDING, 0, None, [])
    (job,) = await house.run_until_settled(submitted.plan_id)
    assert (job.status, len(deeds.done)) == (JobStatus.COMPLETED, 1)


async def test_an_idle_worker_looks_ahead_behind_its_claim_and_a_busy_one_does_not(
    house: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever was asked about last is read while the claim is under way; beside an attempt that runs nobody looks."""
    deeds = Deeds(hangs=1)
    house.add(note([]), deeds.read())
    claiming: list[bool] = []
    async with house.worker() as worker:
        noting = Noting(worker, "dispatcher")
        ahead = type(worker._rooms.standings).look_ahead

        def look_ahead(standings: Any) -> None:
            claiming.append(not noting.came.empty())
            ahead(standings)

        monkeypatch.setattr(type(worker._rooms.standings), "look_ahead", look_ahead)
        noting.claims.clear()
        await house.submit(planned("deeds.read"))
        while noting.came.empty():
            await turn()
        await turn()
        assert claiming == [True]
        noting.claims.set()
        await deeds.began.wait()
        second = await house.submit(planned("deeds.note", text="b"))
        await house.until(second.plan_id, [JobStatus.COMPLETED])
        assert claiming == [True]
        deeds.go_on.set()
