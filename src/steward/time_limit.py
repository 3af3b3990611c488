"""An action's time: it ends by itself, or it is stopped when its time is up."""

import asyncio
from collections.abc import Mapping
from typing import Any

import structlog

from steward.action import Action, ActionContext, StillRunning

_log = structlog.get_logger("steward.worker")


async def run_in_time(action: Action, params: Mapping[str, Any], context: ActionContext) -> Any:
    """Return what the action returns; raise ``TimeoutError`` when its time is up.

    A thread cannot be stopped: it is in the middle of its effect until it ends, and then it tells how it went.
    """
    loop, limit = asyncio.get_running_loop(), asyncio.timeout(None)
    # the timer is set when the loop comes round: an action that has ended by then, as many do, costs none
    begun = loop.call_soon(limit.reschedule, loop.time() + action.definition.timeout_s)
    try:
        async with limit:
            return await action.run(params, context)
    except StillRunning as thread:
        if not limit.expired():
            raise asyncio.CancelledError from None  # the worker must stop
        names = {"job_id": context.job_id, "plan_id": context.plan_id, "workspace_id": context.workspace_id}
        _log.warning("A synchronous action is over its time.", action="action_overdue", **names)
        return await asyncio.shield(thread.ended)
    finally:
        begun.cancel()
