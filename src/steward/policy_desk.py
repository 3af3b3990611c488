"""What a workspace's admins do with its policies: look, change, ask what would be decided, and try a change on the past."""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from steward.action import Catalogue
from steward.audit import RecordedDecision
from steward.clock import Clock, from_milliseconds, milliseconds
from steward.directory import Directory, WorkspacePolicy
from steward.errors import Invalid
from steward.identity import Principal, Role, scopes_of
from steward.plan_check import destinations, schema_problems, with_defaults
from steward.policy import Decision, DefaultRule, Policies
from steward.policy_diff import Difference, PolicyDiff

MAX_EXAMINED: Final = 50_000
_AT_ONCE: Final = 100
"""Decisions made again before anything else may run."""
Decisions = Callable[[str, datetime], AsyncIterator[RecordedDecision]]
"""Iterates over what policy decided in a workspace from a moment on, oldest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DiffReport:
    """What would have been decided otherwise since a moment."""

    since: datetime
    examined: int
    complete: bool
    """Whether everything recorded since then was looked at."""
    differences: tuple[Difference, ...]


class PolicyDesk:
    """The policies of one workspace at a time: always the principal's own."""

    def __init__(
        self, *, policies: Policies, directory: Directory, catalogue: Catalogue, decisions: Decisions, clock: Clock
    ) -> None:
        """Use these."""
        self._policies = policies
        self._directory = directory
        self._catalogue = catalogue
        self._decisions = decisions
        self._clock = clock

    async def own(self, principal: Principal) -> tuple[WorkspacePolicy, ...]:
        """Return the workspace's own policies, by name."""
        return await self._directory.list_policies(principal.workspace_id)

    async def version(self, principal: Principal) -> str:
        """Return what identifies the rules as they stand."""
        return (await self._policies.of(principal.workspace_id)).version

    async def defaults(self, principal: Principal) -> tuple[tuple[DefaultRule, bool], ...]:
        """Return the rules that come with Steward, each with whether it is on in this workspace."""
        workspace = await self._directory.get_workspace(principal.workspace_id)
        switched_on = () if workspace is None else workspace.settings.rules
        return tuple((rule, rule.holds(switched_on)) for rule in self._policies.defaults())

    async def put(self, principal: Principal, name: str, text: str) -> WorkspacePolicy:
        """Keep a policy under a name, in place of one there; raise ``Invalid``, with the place, if it cannot be used."""
        await self._policies.with_changes(principal.workspace_id, texts={name: text})
        policy = WorkspacePolicy(
            workspace_id=principal.workspace_id,
            name=name,
            text=text,
            changed_by=principal.actor_id,
            changed_at=from_milliseconds(milliseconds(self._clock.now())),
        )
        await self._directory.put_policy(policy)
        self._policies.forget(principal.workspace_id)
        return policy

    async def remove(self, principal: Principal, name: str) -> None:
        """Remove a policy; raise ``NotFound`` if there is none."""
        await self._directory.remove_policy(principal.workspace_id, name, by=principal.actor_id)
        self._policies.forget(principal.workspace_id)

    async def check(
        self, principal: Principal, action_id: str, params: Mapping[str, Any], *, role: Role | None = None
    ) -> tuple[Decision, str]:
        """Return what would be decided now if the principal ran this, and the version of the rules that say so.

        ``role``: as if it had this role and no other.
        """
        if role is not None:
            roles = frozenset({role})
            principal = Principal(principal.actor_id, principal.workspace_id, roles, scopes_of(roles))
        policy = await self._policies.of(principal.workspace_id)
        action = self._catalogue.get(action_id)
        if action is None:
            return policy.decide(principal, action_id, {}, {}), policy.version
        complete = with_defaults(action.definition, params)
        problems = schema_problems(action.definition, complete, "/params")
        if problems:
            raise Invalid(f"The parameters of {action_id} do not fit its schema.", errors=problems)
        looked_at = destinations(action.definition, complete)
        return policy.decide(principal, action_id, looked_at, {"resolved": True}), policy.version

    async def diff(
        self, principal: Principal, *, texts: Mapping[str, str], switch_on: Collection[str], since: datetime
    ) -> DiffReport:
        """Return what would have been decided otherwise with these changes; nothing is changed."""
        tried = await self._policies.with_changes(principal.workspace_id, texts=texts, switch_on=switch_on)
        diff, waiting, complete = PolicyDiff(principal.workspace_id, tried), [], True
        async for decision in self._decisions(principal.workspace_id, since):
            if diff.examined + len(waiting) == MAX_EXAMINED:
                complete = False
                break
            waiting.append(decision)
            if len(waiting) == _AT_ONCE:
                diff.examine(waiting)
                waiting.clear()
                await asyncio.sleep(0)
        diff.examine(waiting)
        return DiffReport(since=since, examined=diff.examined, complete=complete, differences=diff.differences())
