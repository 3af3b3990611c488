"""An action's time: it ends by itself, or it is stopped when its time is up.

Most actions that a busy worker runs end in the turn of the event loop in which they begin, and a timer for each would be set in
vain. So timers are set when the loop comes round, for those that are still under way then.
"""

import asyncio
from collections.abc import Mapping
from typing import Any

import structlog

from steward.action import Action, ActionContext, StillRunning

_log = structlog.get_logger("steward.worker")


class _Limit:
    """The time of one run of an action in the current task; like ``asyncio.timeout``, without what a run that ends at once pays for."""

    __slots__ = ("_cancels", "_over", "_task", "_timer", "expired", "seconds")

    def __init__(self, seconds: float, task: "asyncio.Task[Any] | None") -> None:
        assert task is not None, "an action runs in a task"
        self.seconds = seconds
        self.expired = self._over = False
        self._timer: asyncio.TimerHandle | None = None
        self._task, self._cancels = task, task.cancelling()

    def begin(self, loop: asyncio.AbstractEventLoop) -> None:
        """Set the timer, unless the run is over."""
        if not self._over:
            self._timer = loop.call_later(self.seconds, self._expire)

    def _expire(self) -> None:
        self.expired = True
        self._task.cancel()

    def end(self) -> bool:
        """Say, when the run is over, whether it was stopped because its time was up, and for no other reason."""
        if self._over:
            return False
        self._over = True
        if self._timer is not None:
            self._timer.cancel()
        return self.expired and self._task.uncancel() <= self._cancels


class Limits:
    """Runs actions within their time. Use from one event loop."""

    def __init__(self) -> None:
        """Begin with none under way."""
        self._new: list[_Limit] = []
        self._loop: asyncio.AbstractEventLoop  # in which they began

    async def run(self, action: Action, params: Mapping[str, Any], context: ActionContext) -> Any:
        """Return what the action returns; raise ``TimeoutError`` when its time is up.

        A thread cannot be stopped: it is in the middle of its effect until it ends, and then it tells how it went.
        """
        limit = self._limit(action.definition.timeout_s)
        try:
            return await action.run(params, context)
        except asyncio.CancelledError as stopped:
            if limit.end():
                raise TimeoutError from stopped
            raise
        except StillRunning as thread:
            limit.end()
            if not limit.expired:
                raise asyncio.CancelledError from None  # the worker must stop
            names = {"job_id": context.job_id, "plan_id": context.plan_id, "workspace_id": context.workspace_id}
            _log.warning("A synchronous action is over its time.", action="action_overdue", **names)
            return await asyncio.shield(thread.ended)
        finally:
            limit.end()

    def _limit(self, seconds: float) -> _Limit:
        if not self._new:
            self._loop = asyncio.get_running_loop()
            self._loop.call_soon(self._begin)
        limit = _Limit(seconds, asyncio.current_task(self._loop))
        self._new.append(limit)
        return limit

    def _begin(self) -> None:
        new, self._new = self._new, []
        for limit in new:
            limit.begin(self._loop)
