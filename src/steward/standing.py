"""Who somebody is now, and by which rules their work is judged now.

Attempts that begin in the same turn of the event loop share an answer: a crowd of one person's jobs costs one look-up. The
answer is forgotten when the turn is over, so nobody is ever judged by what was true before they asked.
"""

import asyncio
from dataclasses import dataclass

from steward.directory import Directory
from steward.identity import Principal
from steward.policy import Policies, Policy


@dataclass(frozen=True, slots=True)
class Standing:
    """What holds for an actor in a workspace."""

    principal: Principal | None
    """None: they may do nothing here any more."""
    policy: Policy


class Standings:
    """Answers from the directory and the workspaces' policies. Use from one event loop."""

    def __init__(self, directory: Directory, policies: Policies) -> None:
        """Ask these."""
        self._directory = directory
        self._policies = policies
        self._turn = 0
        self._under_way = False
        self._known: dict[tuple[str, str], Standing] = {}

    async def of(self, workspace_id: str, actor_id: str) -> Standing:
        """Return how an actor stands now."""
        known = self._known.get((workspace_id, actor_id))
        if known is not None:
            return known
        if not self._under_way:
            self._under_way = True
            asyncio.get_running_loop().call_soon(self._over)
        turn = self._turn
        principal = await self._directory.principal_of(workspace_id, actor_id)
        found = Standing(principal, await self._policies.of(workspace_id))
        if turn == self._turn:  # otherwise it was waited for, and is old news for whoever asks from here on
            self._known[workspace_id, actor_id] = found
        return found

    def _over(self) -> None:
        self._turn += 1
        self._under_way = False
        self._known.clear()
