"""The workspaces' own policies, as text that has been validated before it comes here; what they are is signed."""

from typing import Any

from sqlalchemy import Connection, Row, delete, insert

from steward.audit import AuditKind
from steward.clock import from_milliseconds, milliseconds
from steward.database.policy_seal import SIGNED, digest_of, relist, with_rotated_keys
from steward.database.tables import policies
from steward.directories.sql.shelf import Shelf, note, require_workspace
from steward.directory import WorkspacePolicy
from steward.errors import POLICY_REMEDY, NotFound, PolicyNotGenuine


class OwnPolicies(Shelf):
    """The shelf of policies."""

    async def list_policies(self, workspace_id: str) -> tuple[WorkspacePolicy, ...]:
        """Return a workspace's own policies, by name; ``PolicyNotGenuine`` if one is not what was put there."""
        vault = self._vault
        found = await self._find(lambda connection: with_rotated_keys(connection, vault, workspace_id))
        if found.doubt:
            raise PolicyNotGenuine(f"{found.doubt} {POLICY_REMEDY}")
        return tuple(_policy(workspace_id, row) for row in found.rows)

    async def put_policy(self, policy: WorkspacePolicy) -> None:
        """Keep a policy that has been validated, in place of one of the same name.

        ``NotFound`` (``unknown_workspace``) if its workspace does not exist.
        """
        facts = {"policy": policy.name, "text": policy.text, **SIGNED}
        entry = self._entry(AuditKind.POLICY_CHANGED, policy.workspace_id, policy.changed_by, facts)

        def put(connection: Connection) -> None:
            require_workspace(connection, policy.workspace_id)
            connection.execute(delete(policies).where(*_is(policy.workspace_id, policy.name)))
            row: dict[str, Any] = {
                "workspace_id": policy.workspace_id,
                "name": policy.name,
                "text": policy.text,
                "changed_by": policy.changed_by,
                "changed_at": milliseconds(policy.changed_at),
            }
            connection.execute(insert(policies).values(row))
            digest = digest_of(policy.name, policy.text, policy.changed_by, row["changed_at"])
            relist(connection, self._vault, policy.workspace_id, policy.name, digest)
            note(connection, entry)

        await self._database.write(put)

    async def remove_policy(self, workspace_id: str, name: str, *, by: str) -> None:
        """Remove a policy; ``NotFound`` (``unknown_policy``) if there is none."""
        entry = self._entry(AuditKind.POLICY_REMOVED, workspace_id, by, {"policy": name, **SIGNED})

        def remove(connection: Connection) -> None:
            gone = connection.execute(delete(policies).where(*_is(workspace_id, name))).rowcount
            if not relist(connection, self._vault, workspace_id, name, None) and not gone:
                raise NotFound("There is no such policy.", code="unknown_policy")
            note(connection, entry)

        await self._database.write(remove)


def _is(workspace_id: str, name: str) -> tuple[Any, Any]:
    return policies.c.workspace_id == workspace_id, policies.c.name == name


def _policy(workspace_id: str, row: Row[Any]) -> WorkspacePolicy:
    return WorkspacePolicy(
        workspace_id=workspace_id,
        name=row.name,
        text=row.text,
        changed_by=row.changed_by,
        changed_at=from_milliseconds(row.changed_at),
    )
