"""Calls made as one: a crowd costs few calls, and each caller hears of its own answer or its own fault alone."""

import asyncio
from collections.abc import Sequence

import pytest

from steward.errors import Conflict, StoreUnavailable
from steward.together import Together
from tests.turns import turn

pytestmark = pytest.mark.anyio


class Squares:
    """Answers numbers with their squares while its gate is open; notes every call."""

    def __init__(self) -> None:
        """Open the gate."""
        self.calls: list[list[int]] = []
        self.called = asyncio.Event()
        self.gate = asyncio.Event()
        self.gate.set()
        self.away = False

    async def __call__(self, numbers: Sequence[int]) -> list[int]:
        """Return the squares; refuse negative numbers, and everything while away."""
        self.calls.append(list(numbers))
        self.called.set()
        await self.gate.wait()
        if self.away:
            raise StoreUnavailable
        if min(numbers) < 0:
            raise Conflict("A negative number.")
        return [number**2 for number in numbers]


async def test_who_comes_while_a_call_is_under_way_shares_the_next_one() -> None:
    """The first goes off at once; the others wait for it and then go together; each gets its own answer."""
    squares = Squares()
    together = Together(squares)
    squares.gate.clear()
    asking = [asyncio.ensure_future(together(0))]
    await squares.called.wait()
    asking += [asyncio.ensure_future(together(number)) for number in range(1, 50)]
    asyncio.get_running_loop().call_soon(squares.gate.set)  # once they have asked
    assert await asyncio.gather(*asking) == [number**2 for number in range(50)]
    assert squares.calls == [[0], list(range(1, 50))]


async def _come_again(together: Together[int, int], number: int) -> None:
    for _ in range(5):
        assert await together(number) == number**2
        await turn()  # what lies between an answer and the next question


async def test_a_crowd_that_was_given_turns_stays_one_crowd() -> None:
    """Who comes again within them goes with the others; without them two crowds take turns, each half as large."""
    for turns, groups in ((5, 6), (0, 10)):
        squares = Squares()

        async def ask(numbers: Sequence[int], squares: Squares = squares) -> list[int]:
            answers = await squares(numbers)
            await turn()
            await turn()
            return answers

        together = Together(ask, turns=turns)
        squares.gate.clear()
        coming = [asyncio.create_task(_come_again(together, 0))]
        await squares.called.wait()
        coming += [asyncio.create_task(_come_again(together, number)) for number in range(1, 4)]
        asyncio.get_running_loop().call_soon(squares.gate.set)
        await asyncio.gather(*coming)
        assert len(squares.calls) == groups, squares.calls


async def test_who_comes_alone_waits_for_nobody() -> None:
    """However many turns a crowd is given."""
    squares = Squares()
    together = Together(squares, turns=10**9)
    assert [await together(number) for number in range(3)] == [0, 1, 4]
    assert squares.calls == [[0], [1], [2]]


async def test_only_the_one_at_fault_hears_of_it() -> None:
    """A call that fails is made again for each alone, so nobody fails for another's sake."""
    squares = Squares()
    together = Together(squares)
    answers = await asyncio.gather(*(together(number) for number in (1, -2, 3)), return_exceptions=True)
    assert (answers[0], answers[2]) == (1, 9)
    assert isinstance(answers[1], Conflict)
    assert await together(4) == 16


async def test_a_store_that_is_away_is_asked_once_for_all() -> None:
    """Everybody is told at once: one by one they would wait for the same lock many times over."""
    squares = Squares()
    squares.away = True
    together = Together(squares)
    answers = await asyncio.gather(*(together(number) for number in range(5)), return_exceptions=True)
    assert all(isinstance(answer, StoreUnavailable) for answer in answers)
    assert len(squares.calls) == 1


async def test_who_stops_waiting_harms_nobody() -> None:
    """Its question is asked all the same, and the others get their answers."""
    squares = Squares()
    together = Together(squares)
    squares.gate.clear()
    first, second = asyncio.ensure_future(together(2)), asyncio.ensure_future(together(3))
    await squares.called.wait()
    first.cancel()
    squares.gate.set()
    assert await second == 9
    assert squares.calls == [[2, 3]]
    with pytest.raises(asyncio.CancelledError):
        await first
