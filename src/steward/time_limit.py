"""An action's time: it ends by itself, or it is stopped when its time is up."""

import asyncio
import types
from collections.abc import Coroutine, Generator, Mapping
from functools import partial
from typing import Any

import structlog

from steward.action import Action, ActionContext, StillRunning

_log = structlog.get_logger("steward.worker")


async def run_in_time(action: Action, params: Mapping[str, Any], context: ActionContext) -> Any:
    """Return what the action returns; raise ``TimeoutError`` when its time is up.

    A thread cannot be stopped: it is in the middle of its effect until it ends, and then it tells how it went.
    """
    running = action.run(params, context)
    try:
        waits_for = running.send(None)
    except StopIteration as ended:  # without having waited for anything, as many do: no timer was needed
        return ended.value
    limit = asyncio.timeout(action.definition.timeout_s)
    try:
        async with limit:
            return await _rest_of(running, waits_for)
    except StillRunning as thread:
        if not limit.expired():
            raise asyncio.CancelledError from None  # the worker must stop
        names = {"job_id": context.job_id, "plan_id": context.plan_id, "workspace_id": context.workspace_id}
        _log.warning("A synchronous action is over its time.", action="action_overdue", **names)
        return await asyncio.shield(thread.ended)


@types.coroutine
def _rest_of(running: Coroutine[Any, Any, Any], waits_for: Any) -> Generator[Any, Any, Any]:
    """Go on with a coroutine that has begun and ``waits_for`` something, as ``await`` would have."""
    while True:
        try:
            told = yield waits_for
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is for the coroutine to hear of
            go_on = partial(running.throw, error)
        else:
            go_on = partial(running.send, told)
        try:
            waits_for = go_on()
        except StopIteration as ended:
            return ended.value
