"""The whole directory, and the one question that goes across its shelves: who an actor is now."""

from dataclasses import replace
from typing import Final

from steward.directories.sql.keys import Keys
from steward.directories.sql.members import Members
from steward.directories.sql.policies import OwnPolicies
from steward.directories.sql.tickets import Tickets
from steward.identity import Principal
from steward.ids import is_id

_MOST_ROTATIONS: Final = 100
"""How many times a key may have been replaced since it asked for what is to be done now."""


class SqlDirectory(Keys, Members, Tickets, OwnPolicies):
    """Implements ``steward.directory.Directory``."""

    async def principal_of(self, workspace_id: str, actor_id: str) -> Principal | None:
        """Return who this actor is *now*, for a check at dispatch; None if unknown, expired, disabled or revoked.

        An actor that is a key which was rotated and has expired goes on, with its successor's role, while that one is good.
        """
        if await self.get_workspace(workspace_id) is None:
            return None
        if is_id(actor_id, "key"):
            return await self._holder(workspace_id, actor_id)
        member = await self.get_member(workspace_id, actor_id)
        return None if member is None or member.disabled_at is not None else member.principal

    async def _holder(self, workspace_id: str, key_id: str) -> Principal | None:
        now, asked = self._clock.now(), key_id
        for _ in range(_MOST_ROTATIONS):
            key = await self.get_key(asked)
            if key is None or key.workspace_id != workspace_id or key.revoked_at is not None:
                return None
            if key.valid_at(now):
                return key.principal if asked == key_id else replace(key.principal, actor_id=key_id)
            if key.replaced_by is None:
                return None
            asked = key.replaced_by
        return None
