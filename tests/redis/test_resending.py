"""A command whose answer was lost is sent again: whatever it was, it happens once and the answer is the first one's."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

from steward.approval import Verdict
from steward.ids import IdFactory
from steward.job import Expanded, HeldFor, JobStatus
from steward.spending import Spending
from steward.work_store import Granted, Settlement
from steward.work_stores.redis import open_redis_engine
from steward.workspace import Budget, Cap
from tests.conftest import FakeClock
from tests.contracts.builders import World, action_claim, again, done, doubt, failure, request_claim
from tests.redis_server import RedisServer, shared_server

pytestmark = pytest.mark.anyio


class Cutter:
    """Stands between engine and server, and on demand cuts the line when a script's answer is on its way back."""

    def __init__(self, server: RedisServer) -> None:
        self._server = server
        self._armed = False
        self.cut = 0
        self.port = 0

    def lose_next_answer(self) -> None:
        """The next answer to a script does not arrive."""
        self._armed = True

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Listen."""
        listener = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = listener.sockets[0].getsockname()[1]
        async with listener:
            yield

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, here = await asyncio.open_connection("127.0.0.1", self._server.port)
        asked: list[bool] = []

        async def pass_on() -> None:
            with suppress(ConnectionError):
                while data := await reader.read(65536):
                    asked.append(b"EVAL" in data)
                    here.write(data)
            here.close()

        passing = asyncio.create_task(pass_on())
        with suppress(ConnectionError):
            while data := await there.read(65536):
                lost = self._armed and bool(asked) and asked[-1] and not data.startswith(b"-NOSCRIPT")
                if lost:
                    self._armed, self.cut = False, self.cut + 1
                    break
                writer.write(data)
        writer.close()
        here.close()
        passing.cancel()
        await asyncio.gather(passing, return_exceptions=True)


@pytest.fixture
async def cutter() -> AsyncIterator[Cutter]:
    """Return a line to the shared server that can be cut."""
    cutter = Cutter(shared_server())
    async with cutter.serving():
        yield cutter


@pytest.fixture
async def world(cutter: Cutter, database: int, clock: FakeClock) -> AsyncIterator[World]:
    """Open an engine that speaks over that line."""
    url = f"redis://127.0.0.1:{cutter.port}/{database}"
    async with open_redis_engine(url, clock=clock, ids=IdFactory(clock), safety="fast") as engine:
        yield World(engine, clock)


async def _twice(world: World, cutter: Cutter, call: Any) -> Any:
    """Run a verb whose first answer is lost; its events must be there once."""
    numbers = len(await world.log())
    cutter.lose_next_answer()
    before = cutter.cut
    answer = await call
    assert cutter.cut == before + 1, "the line was not cut"
    assert len(await world.log()) > numbers
    return answer


async def test_w11_a_submission_and_a_draft(world: World, cutter: Cutter) -> None:
    """One plan, one set of jobs, one set of events; the ids are the ones that were sent."""
    draft = world.plan()
    await _twice(world, cutter, world.alpha.draft(draft))
    assert len(await world.log()) == 1
    submission = world.submission(world.job(), plan=draft, claims=[request_claim("r"), action_claim("a")])
    answer = await _twice(world, cutter, world.alpha.submit(submission))
    assert (answer.plan_id, answer.job_ids) == (draft.plan_id, (submission.jobs[0].job_id,))
    assert (len(await world.log()), await world.alpha.queue_depth()) == (2, 1)


async def test_a_claim(world: World, cutter: Cutter) -> None:
    """The leases come with the second answer, and they are all that was taken."""
    await world.submit(*[world.job(f"s{n}") for n in range(5)])
    leases = await _twice(world, cutter, world.claim(3, caps={"alpha": {"*": Cap(per_minute=4)}}))
    assert (len(leases), {lease.job.fence for lease in leases}) == (3, {1})
    assert await world.alpha.queue_depth() == 2
    assert len(await world.claim(3, caps={"alpha": {"*": Cap(per_minute=4)}})) == 1


async def test_a_plain_claim(world: World, cutter: Cutter) -> None:
    """The short form takes what there is; sent again it gives way to the long one, which gives the same leases."""
    await world.submit(*[world.job(f"s{n}") for n in range(5)])
    leases = await _twice(world, cutter, world.claim(3))
    assert (len(leases), {lease.job.fence for lease in leases}) == (3, {1})
    assert await world.alpha.queue_depth() == 2


async def test_a_dispatch_with_what_it_spends(world: World, cutter: Cutter) -> None:
    """Granted, and spent once."""
    submitted = await world.submit(world.job("s1"), world.job("s2"))
    leases = {lease.job.job_id: lease for lease in await world.claim()}
    one, two = (leases[job_id].ref for job_id in submitted.job_ids)
    spending = Spending(budgets={"messages_out": Budget(limit=2, window_s=60)})
    (answer,) = await _twice(world, cutter, world.dispatcher.dispatch([one], {one: spending}))
    assert isinstance(answer, Granted)
    (answer,) = await world.dispatcher.dispatch([two], {two: spending})
    assert isinstance(answer, Granted)


@pytest.mark.parametrize("end", ["done", "failed", "again", "doubt", "expanded"])
async def test_a_settlement(world: World, cutter: Cutter, end: str) -> None:
    """Granted, with the record as the first one left it; dependents are counted once."""
    submitted = await world.submit(world.job("s1"), world.job("s2"), world.job("s3", "s1", "s2"))
    lease = await world.start(submitted.job_ids[0])
    outcomes = {
        "done": done(),
        "failed": failure(),
        "again": again(world.at(9)),
        "doubt": doubt(),
        "expanded": Expanded((world.job("s1[0]", parent_step_id="s1"),)),
    }
    (answer,) = await _twice(world, cutter, world.dispatcher.settle([Settlement(lease.ref, outcomes[end])]))
    assert isinstance(answer, Granted)
    assert answer.job == await world.job_of(submitted.job_ids[0])
    assert len(answer.job.history) == 1
    dependent = await world.job_of(submitted.job_ids[2])
    assert dependent.status is (JobStatus.CANCELLED if end == "failed" else JobStatus.WAITING)


async def test_a_hold_and_a_decision(world: World, cutter: Cutter) -> None:
    """Held once, asked once, decided once."""
    submitted = await world.submit()
    lease = await world.start(submitted.job_ids[0])
    approval = world.approval(submitted.plan_id, submitted.job_ids[0])
    answer = await _twice(world, cutter, world.dispatcher.hold(lease.ref, HeldFor.APPROVAL, "look", approval))
    assert isinstance(answer, Granted)
    assert answer.job.attempts == 0
    deciding = world.alpha.decide_approval(approval.approval_id, "c" * 64, Verdict.APPROVE, None)
    assert (await _twice(world, cutter, deciding)).decided_by == world.alpha.principal.actor_id
    assert (await world.job_of(submitted.job_ids[0])).status is JobStatus.PENDING


async def test_what_people_do(world: World, cutter: Cutter) -> None:
    """Cancel, retry and resolve, of jobs and of plans: the answer is what came of the first, not that it is too late."""
    failed, unclear, other = await world.submit(), await world.submit(), await world.submit()
    await world.run(failed.job_ids[0], failure())
    await world.run(unclear.job_ids[0], doubt())
    retried = await _twice(world, cutter, world.alpha.retry_job(failed.job_ids[0]))
    assert retried.status is JobStatus.PENDING
    assert (await _twice(world, cutter, world.alpha.cancel_job(failed.job_ids[0]))).status is JobStatus.CANCELLED
    resolved = await _twice(world, cutter, world.alpha.resolve_job(unclear.job_ids[0], "completed", "seen"))
    assert resolved.status is JobStatus.COMPLETED
    await world.settle(world.leases[other.job_ids[0]], again(world.at(5)))
    plan = await _twice(world, cutter, world.alpha.cancel_plan(other.plan_id))
    assert plan.status == "cancelled"


async def test_a_sweep(world: World, cutter: Cutter) -> None:
    """Lost leases are recovered once although the answer that names them is lost."""
    submitted = await world.submit()
    await world.start(submitted.job_ids[0])
    world.clock.advance(11)
    await _twice(world, cutter, world.dispatcher.sweep())
    job = await world.job_of(submitted.job_ids[0])
    assert (job.status, len(job.history)) == (JobStatus.PENDING, 1)
