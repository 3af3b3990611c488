"""Where the record of everything is kept, as a contract: append-only, one hash chain per workspace, signed checkpoints."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from steward.audit import AuditEntry, AuditRecord, AuditVerdict


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditPage:
    """Records, newest first. ``next_before`` is None on the last page."""

    records: tuple[AuditRecord, ...]
    next_before: int | None


class AuditLog(Protocol):
    """Where the chains are kept."""

    async def append(self, entries: Sequence[AuditEntry]) -> None:
        """Append to the chains of the entries' workspaces, all or nothing; an entry whose ``source`` is there is left out.

        Raises ``StoreUnavailable`` when they cannot be written.
        """
        ...

    async def query(
        self,
        workspace_id: str,
        *,
        limit: int,
        before: int | None = None,
        kind: str | None = None,
        actor_id: str | None = None,
        plan_id: str | None = None,
    ) -> AuditPage:
        """Return up to ``limit`` records older than sequence ``before``, newest first."""
        ...

    async def verify(self, workspace_id: str) -> AuditVerdict:
        """Check a whole chain against its hashes and its signed checkpoints."""
        ...

    async def export(self, workspace_id: str, plan_id: str) -> Mapping[str, Any]:
        """Return the evidence of one plan: its records with their places in the chain, checkpoints, and the public key.

        ``NotFound`` if nothing is recorded about it in this workspace.
        """
        ...

    async def purge(self, retention_s: int) -> int:
        """Drop records older than ``retention_s``, keeping a signed checkpoint where the chain now begins. Returns how many went."""
        ...
