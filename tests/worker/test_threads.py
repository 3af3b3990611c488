"""Synchronous actions run in threads, which nobody can kill: what that means for time-outs, slots and stopping."""

import asyncio
from typing import Annotated

import pytest

from steward.action import ActionFailed, RetryMode
from steward.actions import Content, action
from steward.job import LEASE_S, JobStatus
from tests.installation import Installation, planned
from tests.worker.deeds import Deeds

pytestmark = pytest.mark.anyio
S = JobStatus


@pytest.mark.parametrize("mode", [RetryMode.KEYED, RetryMode.NONE])
async def test_a_synchronous_action_over_its_time_keeps_its_slot_until_its_thread_ends(
    house: Installation, mode: RetryMode
) -> None:
    """It is in mid-effect: it is neither repeated nor given up, its slot is taken, and at last it tells how it went."""
    deeds, overdue = Deeds(), asyncio.Event()
    house.add(deeds.blocking("deeds.block", mode, timeout_s=0.2), deeds.read(result="free"))
    blocked = await house.submit(planned("deeds.block", text="a"))
    async with house.worker(concurrency=1) as worker:
        await deeds.began.wait()
        asyncio.get_running_loop().call_later(0.3, overdue.set)  # well past the action's time
        await overdue.wait()
        behind = await house.submit(planned("deeds.read"))
        (job,) = await house.jobs(blocked.plan_id)
        (waiting,) = await house.jobs(behind.plan_id)
        assert (worker.busy, job.status, waiting.status) == (1, S.RUNNING, S.PENDING)
        deeds.gate.set()
        (job,) = await house.until(blocked.plan_id, {S.COMPLETED, S.UNKNOWN, S.SCHEDULED})
        assert (job.status, job.result) == (S.COMPLETED, {"said": "a"})
        assert deeds.done == [job.effect_key]
        await house.until(behind.plan_id, {S.COMPLETED})


async def test_what_a_thread_raises_late_counts_as_it_would_have_in_time(house: Installation) -> None:
    """A late word that nothing happened is still that word."""
    deeds = Deeds()

    @action("deeds.late", effect="write", timeout_s=0.2)
    def late() -> None:
        deeds.gate.wait(20)
        raise ActionFailed("refused", "The far end said no.")

    house.add(late)
    submitted = await house.submit(planned("deeds.late"))
    async with house.worker():
        asyncio.get_running_loop().call_later(0.3, deeds.gate.set)
        (job,) = await house.until(submitted.plan_id, {S.FAILED, S.UNKNOWN})
    assert (job.status, job.error and job.error.code) == (S.FAILED, "refused")


@pytest.mark.parametrize("timeout_s", [0.2, 60.0], ids=["over its time", "in time"])
async def test_a_stopping_worker_gives_up_a_thread_and_says_that_nobody_knows(
    house: Installation, timeout_s: float
) -> None:
    """The worker cannot wait for ever, not even for a lease; what its thread may still do is honestly unknown."""
    deeds = Deeds()
    house.add(deeds.blocking("deeds.block", RetryMode.NONE, timeout_s=timeout_s))
    submitted = await house.submit(planned("deeds.block", text="a"))
    async with asyncio.timeout(LEASE_S - 1), house.worker(grace_s=0.3):
        await deeds.began.wait()
    (job,) = await house.jobs(submitted.plan_id)
    assert (job.status, job.error and job.error.code) == (S.UNKNOWN, "worker_stopped")
    deeds.gate.set()


@pytest.mark.slow
async def test_a_function_that_found_no_thread_provably_did_nothing(house: Installation) -> None:
    """All threads busy: a write that never began is tried again, however it may be repeated."""
    deeds = Deeds()
    began: list[str] = []

    @action("deeds.crowd", effect="write", timeout_s=0.5)
    def crowd(text: Annotated[str, Content]) -> None:
        began.append(text)
        deeds.gate.wait(20)

    house.add(crowd)
    submitted = await house.submit(*(planned("deeds.crowd", text=str(number)) for number in range(50)))
    more = await house.submit(*(planned("deeds.crowd", text=str(number)) for number in range(50, 65)))
    store = house.app.engine.open(await house.member())
    async with house.worker(concurrency=65):
        with store.listen() as listener:
            while not (found := (await store.list_jobs(limit=10, status=S.SCHEDULED)).jobs):
                assert await listener.wait(10)
        assert [job.error and job.error.code for job in found] == ["no_free_thread"]
        assert len(began) == 64
        deeds.gate.set()
        await house.until(submitted.plan_id, {S.COMPLETED, S.SCHEDULED})
        await house.until(more.plan_id, {S.COMPLETED, S.SCHEDULED})
