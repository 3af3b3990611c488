"""An action's time is measured from where it first waits, and whatever it does after that is as if it had been awaited."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from steward.action import ActionContext
from steward.actions import action
from steward.time_limit import Limits

pytestmark = pytest.mark.anyio
CONTEXT = ActionContext(
    workspace_id="acme",
    actor_id="ann",
    plan_id="plan",
    job_id="job",
    step_id="s1",
    attempt=1,
    idempotency_key="key",
    request_id="req",
)


async def _soon(value: int) -> int:
    """Return ``value`` once the loop has come round."""
    answer = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_soon(answer.set_result, value)
    return await answer


async def run(does: Callable[[], Awaitable[int]], timeout_s: float = 30.0) -> int:
    """Return what an action returns that does this."""

    @action("test.waits", effect="read", timeout_s=timeout_s)
    async def waits() -> int:
        """Wait."""
        return await does()

    return await Limits().run(waits, {}, CONTEXT)


async def test_an_action_may_wait_as_often_as_it_likes() -> None:
    """It is told each time what it waited for, be it a value or an error."""

    async def does() -> int:
        found = await asyncio.gather(_soon(1), _soon(2))
        failing = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(failing.set_exception, KeyError("gone"))
        with pytest.raises(KeyError):
            await failing
        return sum(found)

    assert await run(does) == 3


async def test_an_action_whose_time_is_up_may_still_wait_to_tidy_up() -> None:
    """It hears of it as a cancel, where it waits, and the time-out is what comes out."""
    tidied = []

    async def does() -> int:
        try:
            await asyncio.Event().wait()
        finally:
            await _soon(0)
            tidied.append(True)
        return 1

    with pytest.raises(TimeoutError):
        await run(does, timeout_s=0.01)
    assert tidied == [True]


async def test_a_worker_that_stops_reaches_an_action_that_waits() -> None:
    """A cancel from outside is no time-out."""
    begun, heard = asyncio.Event(), []

    async def does() -> int:
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            heard.append(True)
            raise
        return 1

    running = asyncio.create_task(run(does))
    await begun.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert heard == [True]


async def test_an_error_before_the_first_wait_is_the_actions_own() -> None:
    """Also the one that looks like a time-out."""

    async def does() -> int:
        raise TimeoutError("mine")

    with pytest.raises(TimeoutError, match="mine"):
        await run(does)
