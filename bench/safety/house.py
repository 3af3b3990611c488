"""An installation with the suites' tools in its catalogue, plans run in it from end to end, and the person who approves."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any

from world import World, Worlds, actions

from steward.action import ActionDefinition
from steward.approval import Approval, ApprovalStatus, Verdict
from steward.authenticators.api_key import mint_key
from steward.bootstrap import Application, open_application
from steward.identity import Principal, Role
from steward.job import FINAL, Job, JobStatus
from steward.orchestrator import RequestedAction, proposed
from steward.plan_check import destinations
from steward.policy import Allow, Decision, Policies
from steward.provenance import Label
from steward.settings import Settings
from steward.workspace import WorkspaceSettings

_LIMIT_S = 60.0
_BREATH_S = 0.02
"""Between two looks at a plan, so that watching many at once costs next to nothing."""
WORKSPACE = "bench"


@dataclass(frozen=True)
class Ran:
    """What became of one plan."""

    jobs: tuple[Job, ...]
    approvals: tuple[Approval, ...]
    """Those that a person was asked for."""

    @property
    def problems(self) -> list[str]:
        """What did not go well, for whoever looks for the reason."""
        return [
            f"{job.step_id} {job.status}: {job.error or job.reason}" for job in self.jobs if job.status not in _WELL
        ]


_WELL = {JobStatus.COMPLETED, JobStatus.SKIPPED}


@dataclass
class House:
    """One open installation."""

    app: Application
    planner: Principal
    person: Principal
    worlds: Worlds
    _numbers: Any = field(default_factory=count)

    async def run(
        self,
        world: World,
        steps: Sequence[Mapping[str, Any]],
        *,
        authored_after: tuple[str, ...] = (),
        approving: bool,
    ) -> Ran:
        """Run a plan until nothing moves any more; ``approving``: a person says yes to whatever is asked."""
        request_id = f"bench-{next(self._numbers)}"
        self.worlds[request_id] = world
        plan = proposed(prompt="As the task says.", intent="Do it.", explanation="By hand.", steps=list(steps))
        submitted = await self.app.orchestrator.execute_actions(
            self.planner,
            [RequestedAction(step) for step in plan.steps],
            run_at=None,
            idempotency_key=None,
            request_id=request_id,
            authored_after=authored_after,
        )
        store = self.app.engine.open(self.planner)
        with store.listen() as listener:
            while True:
                jobs = await store.plan_jobs(submitted.plan_id)
                if _at_rest(jobs):
                    approvals = await store.plan_approvals(submitted.plan_id)
                    pending = [approval for approval in approvals if approval.status is ApprovalStatus.PENDING]
                    if not (approving and pending):
                        del self.worlds[request_id]
                        return Ran(jobs, approvals)
                    await self._approve(pending[-1])
                elif not await listener.wait(_LIMIT_S):
                    raise TimeoutError([(job.step_id, job.status, job.error) for job in jobs])
                await asyncio.sleep(_BREATH_S)

    async def allows(
        self, definition: ActionDefinition, params: Mapping[str, Any], labels: Mapping[str, Label]
    ) -> bool:
        """Say whether policy lets an action through with these values, nobody being asked."""
        policy = await self.app.policies.of(WORKSPACE)
        origins = {name: {"from": "somewhere", "label": label} for name, label in labels.items()}
        context = {"labels": origins, "resolved": True}
        return isinstance(policy.decide(self.planner, definition.id, destinations(definition, params), context), Allow)

    async def _approve(self, approval: Approval) -> None:
        store = self.app.engine.open(self.person)
        await store.decide_approval(approval.approval_id, approval.digest, Verdict.APPROVE, None)


def _at_rest(jobs: Sequence[Job]) -> bool:
    """Say whether every job has ended, waits for a person, or for one that does."""
    stuck = {job.step_id for job in jobs if job.status in {JobStatus.HELD, JobStatus.UNKNOWN}}
    for _ in jobs:  # a list's own step waits for those after it
        stuck |= {job.step_id for job in jobs if job.status is JobStatus.WAITING and stuck.intersection(job.depends_on)}
    return all(job.status in FINAL or job.step_id in stuck for job in jobs)


@asynccontextmanager
async def house(
    folder: Path,
    suites: Sequence[Any],
    *,
    by_field: bool,
    rules: tuple[str, ...] = (),
    around: Callable[[Policies], Any] | None = None,
    concurrency: int = 1,
) -> AsyncIterator[House]:
    """Open an installation in ``folder`` with these suites' tools, and a worker beside it.

    ``rules`` are those that the workspace switches on. Its own domains are those of the accounts that the tools act in.
    """
    worlds: Worlds = {}
    settings = Settings.load({"STEWARD_HOME": str(folder), "STEWARD_SECRET_KEY": secrets.token_hex(32)})
    async with open_application(settings, around_policies=around) as app:
        for action in actions(suites, worlds, by_field=by_field, guarded=around is None):
            app.catalogue.add(action)
        await app.directory.create_workspace(WORKSPACE, "Bench", by="bench")
        chosen = WorkspaceSettings(own_domains=own_domains(suites), rules=rules)
        await app.directory.change_settings(WORKSPACE, chosen, by="bench")
        planner, person = [await _member(app, role) for role in (Role.DEVELOPER, Role.APPROVER)]
        stop = asyncio.Event()
        running = asyncio.create_task(app.worker(concurrency=concurrency).run(stop, grace_s=5.0))
        try:
            yield House(app, planner, person, worlds)
        finally:
            stop.set()
            await running


def own_domains(suites: Sequence[Any]) -> tuple[str, ...]:
    """Return the domains of the mailboxes in the suites' environments."""
    environments = [suite.load_and_inject_default_environment({}) for suite in suites]
    inboxes = [environment.inbox for environment in environments if hasattr(environment, "inbox")]
    return tuple(sorted({inbox.account_email.rpartition("@")[2] for inbox in inboxes}))


async def _member(app: Application, role: Role) -> Principal:
    key, _ = mint_key(app.ids, app.clock, WORKSPACE, role, "bench", timedelta(days=1))
    await app.directory.add_key(key, by="bench")
    return key.principal


class Off:
    """Policies that let everything through, to see that the attacks would work."""

    def __init__(self, base: Policies) -> None:
        """Stand in front of the real ones."""
        self._base = base

    def __getattr__(self, name: str) -> Any:
        """Answer what is not about deciding as the real ones do."""
        return getattr(self._base, name)

    async def of(self, workspace_id: str) -> "_OffPolicy":
        """Return the policy of a workspace: none."""
        return _OffPolicy(await self._base.of(workspace_id))


class _OffPolicy:
    def __init__(self, base: Any) -> None:
        self._base = base

    def __getattr__(self, name: str) -> Any:
        return getattr(self._base, name)

    def decide(self, *_: Any) -> Decision:
        return Allow("policy_off", "Policy is switched off.")
