"""What a process has committed itself is at hand for its archiver: just what the file holds, or the file is asked."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from steward.event import Event, EventType
from steward.work_store import Dispatcher
from steward.work_stores.sql.event_rows import EventRow
from steward.work_stores.sql.recent import Recent
from tests.conftest import FakeClock
from tests.contracts.builders import ALPHA, BETA, World, again, opened

pytestmark = pytest.mark.anyio


async def live(world: World) -> None:
    """Let plans live in two workspaces, one of them with an attempt that fails."""
    first, _ = await asyncio.gather(world.submit(world.job("s1"), world.job("s2", "s1")), world.submit(who=BETA))
    await world.run(first.job_ids[0], again(world.at(1)))
    world.clock.advance(2)
    await world.run(first.job_ids[0])
    second = await world.submit(world.job("s1"), approved=False)
    await world.alpha.cancel_plan(second.plan_id)


async def read(dispatcher: Dispatcher, after: int, limit: int) -> list[Event]:
    """Return all events behind a position, read some at a time."""
    seen: list[Event] = []
    while page := await dispatcher.events_after(seen[-1].position if seen else after, limit=limit):
        assert len(page) <= limit
        seen += page
    return seen


def forget(tmp_path: Path) -> None:
    """Take every event out of the file."""
    with closing(sqlite3.connect(tmp_path / "steward.db")) as raw, raw:
        raw.execute("DELETE FROM events")


@pytest.mark.parametrize("after", [0, 5, 7])
@pytest.mark.parametrize("limit", [1, 2, 3, 100])
async def test_what_is_at_hand_is_what_the_file_holds(tmp_path: Path, clock: FakeClock, after: int, limit: int) -> None:
    """The same events, from any position on and in pieces of any size, and the file is not asked for them."""
    async with opened(tmp_path, clock) as here, opened(tmp_path, clock) as reader:
        with here.dispatcher.hear_events():
            await live(here)
            in_file = await read(reader.dispatcher, after, limit)
            assert in_file
            forget(tmp_path)
            assert await read(here.dispatcher, after, limit) == in_file


async def test_what_others_commit_in_between_is_read_from_the_file(tmp_path: Path, clock: FakeClock) -> None:
    """None is left out and none comes twice, whoever committed it."""
    async with opened(tmp_path, clock) as here, opened(tmp_path, clock) as there:
        with here.dispatcher.hear_events():
            await live(there)
            for number in range(6):
                await (here, there)[number % 2].submit()
            await live(here)
            seen = await read(here.dispatcher, 0, 3)
        assert seen == await read(there.dispatcher, 0, 3)
        of_alpha = [event for event in seen if event.workspace_id == ALPHA.workspace_id]
        assert len([event for event in of_alpha if event.type is EventType.PLAN_SUBMITTED]) == 10


async def test_nothing_is_kept_when_nobody_reads(tmp_path: Path, clock: FakeClock) -> None:
    """Not before a reader comes, and not when the last one has gone."""
    async with opened(tmp_path, clock) as here:
        await here.submit()
        with here.dispatcher.hear_events():
            with here.dispatcher.hear_events():
                await here.submit()
            await here.submit()
            assert [event.position for event in await read(here.dispatcher, 1, 9)] == [2, 3]
        forget(tmp_path)
        assert await read(here.dispatcher, 0, 9) == []


def test_no_more_is_kept_than_a_while_of_work_leaves() -> None:
    """What a reader does not come for is forgotten, the oldest first, and then it is not at hand."""
    recent = Recent()
    row = EventRow("acme", 1, EventType.PLAN_SUBMITTED.value, 0, None, None, None, "{}", {})
    with recent.kept():
        for position in range(1, 2_001):
            recent.add([row], position)
        assert recent.after(0, 9) is None
        assert [event.position for event in recent.after(1_990, 20) or ()] == list(range(1_991, 2_001))
        recent.add([row], None)
        recent.add([row], 2_003)
        assert recent.after(2_000, 9) is None, "others stand at 2001 and 2002"
        assert [event.position for event in recent.after(2_002, 9) or ()] == [2_003]
