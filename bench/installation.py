"""A whole installation with an action that does nothing, and somebody who may run it."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

from steward.authenticators.api_key import mint_key
from steward.bootstrap import Application, open_application
from steward.identity import Principal, Role
from steward.orchestrator import RequestedAction
from steward.plan import PlannedAction, PlanStatus
from steward.settings import Settings
from steward.work_store import Submitted

BREATH_S: Final = 0.02
"""Between two looks at a plan that is worked on, so that watching it costs next to nothing."""


@dataclass(frozen=True)
class Installation:
    """An open one."""

    app: Application
    principal: Principal
    environment: dict[str, str]
    """For another process on it."""
    token: str
    """The credential of ``principal``."""

    async def submit(self, names: Sequence[str], action_id: str = "bench.noop", *, key: str | None = None) -> Submitted:
        """Submit a plan with a step for each name. ``key``: its idempotency key."""
        steps = [RequestedAction(PlannedAction(action_id=action_id, params={"name": name})) for name in names]
        return await self.app.orchestrator.execute_actions(
            self.principal, steps, run_at=None, idempotency_key=key, request_id="bench"
        )

    async def ended(self, *plan_ids: str, breath_s: float = 0.0) -> None:
        """Return when plans have ended, woken by the store. ``breath_s``: how long to leave the work alone in between."""
        store = self.app.engine.open(self.principal)
        with store.listen() as listener:
            for plan_id in plan_ids:
                while (plan := await store.get_plan(plan_id)) is not None and plan.status is PlanStatus.RUNNING:
                    await listener.wait(5.0)
                    await asyncio.sleep(breath_s)

    @asynccontextmanager
    async def worker(self, concurrency: int) -> AsyncIterator[None]:
        """Have a worker in this process."""
        stop = asyncio.Event()
        running = asyncio.create_task(self.app.worker(concurrency=concurrency).run(stop))
        try:
            yield
        finally:
            stop.set()
            await running


@asynccontextmanager
async def installation(folder: Path, **elsewhere: str) -> AsyncIterator[Installation]:
    """Open one in ``folder``; ``elsewhere``: settings that put its work into another engine."""
    environment = {
        **elsewhere,
        "STEWARD_HOME": str(folder),
        "STEWARD_ACTIONS": "noop",
        "STEWARD_SECRET_KEY": secrets.token_hex(32),
    }
    async with open_application(Settings.load(environment)) as app:
        await app.directory.create_workspace("bench", "Bench", by="bench")
        key, token = mint_key(app.ids, app.clock, "bench", Role.DEVELOPER, "bench", timedelta(days=1))
        await app.directory.add_key(key, by="bench")
        yield Installation(app, key.principal, environment, token)
