"""The directory's short memory: a crowd that asks together shares a read, and nobody is told what was before a change."""

import asyncio

import pytest

from steward.database.glance import WouldWait
from steward.directories.sql.memory import TTL_S, ShortMemory
from tests.conftest import FakeClock
from tests.turns import turn

pytestmark = pytest.mark.anyio

KEY = ("key", "key_1")


class Row:
    """A row that can be read as often as somebody asks, slowly while its gate is shut."""

    def __init__(self) -> None:
        """Start with a value and an open gate."""
        self.value = "before"
        self.reads = 0
        self.gate = asyncio.Event()
        self.gate.set()

    async def read(self) -> str:
        """Return the value as it was when the read began."""
        self.reads += 1
        seen = self.value
        await self.gate.wait()
        return seen


def would_wait() -> str:
    """Find that nothing can be read at once."""
    raise WouldWait


async def test_a_crowd_that_asks_together_costs_one_read(clock: FakeClock) -> None:
    """A worker that starts many attempts of one actor at once looks that actor up once."""
    memory, row = ShortMemory(clock), Row()
    assert set(await asyncio.gather(*(memory.recall(KEY, row.read) for _ in range(64)))) == {"before"}
    assert row.reads == 1


async def test_what_can_be_read_at_once_is_not_waited_for(clock: FakeClock) -> None:
    """It is remembered like anything else, and forgotten as soon."""
    memory, row = ShortMemory(clock), Row()
    answers = iter(["before", "after"])
    assert await memory.recall(KEY, row.read, lambda: next(answers)) == "before"
    assert await memory.recall(KEY, row.read, lambda: next(answers)) == "before"
    memory.forget(*KEY)
    assert await memory.recall(KEY, row.read, lambda: next(answers)) == "after"
    assert row.reads == 0


async def test_what_cannot_be_read_at_once_is_waited_for(clock: FakeClock) -> None:
    """Where somebody is in the way the answer comes by the other way."""
    memory, row = ShortMemory(clock), Row()
    assert await memory.recall(KEY, row.read, would_wait) == "before"
    assert row.reads == 1


async def test_who_asks_after_a_change_joins_no_read_from_before_it(clock: FakeClock) -> None:
    """Whoever asked before may hear the old value; from the change on everybody hears the new one."""
    memory, row = ShortMemory(clock), Row()
    row.gate.clear()
    early = asyncio.create_task(memory.recall(KEY, row.read))
    await turn()
    row.value = "after"
    memory.forget(*KEY)
    late = asyncio.create_task(memory.recall(KEY, row.read))
    await turn()
    row.gate.set()
    assert (await early, await late) == ("before", "after")
    assert await memory.recall(KEY, row.read) == "after"


async def test_nobody_joins_a_read_that_takes_too_long(clock: FakeClock) -> None:
    """What another process changed is seen in time even while a read hangs."""
    memory, row = ShortMemory(clock), Row()
    row.gate.clear()
    early = asyncio.create_task(memory.recall(KEY, row.read))
    await turn()
    clock.advance(TTL_S)
    row.value = "after"
    late = asyncio.create_task(memory.recall(KEY, row.read))
    await turn()
    row.gate.set()
    assert (await early, await late) == ("before", "after")


async def test_a_reader_that_is_cancelled_takes_nobody_along(clock: FakeClock) -> None:
    """The others who asked with it get their answer."""
    memory, row = ShortMemory(clock), Row()
    row.gate.clear()
    first, second = (asyncio.create_task(memory.recall(KEY, row.read)) for _ in range(2))
    await turn()
    first.cancel()
    row.gate.set()
    assert await second == "before"


async def test_what_is_not_there_is_looked_for_again(clock: FakeClock) -> None:
    """An id that nobody has is not remembered: it may come to be in the next moment, and ids are easily made up."""
    memory, row = ShortMemory(clock), Row()
    answers = iter([None, "there"])
    assert await memory.recall(KEY, row.read, lambda: next(answers)) is None
    assert len(memory) == 0
    assert await memory.recall(KEY, row.read, lambda: next(answers)) == "there"
