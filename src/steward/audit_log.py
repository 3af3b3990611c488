"""Where the record of everything is kept, as a contract: append-only, one hash chain per workspace, signed checkpoints."""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from steward.audit import AuditEntry, AuditRecord, AuditVerdict, RecordedDecision


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditPage:
    """Records, newest first. ``next_before`` is None on the last page."""

    records: tuple[AuditRecord, ...]
    next_before: int | None


class AuditLog(Protocol):
    """Where the chains are kept."""

    async def append(self, entries: Sequence[AuditEntry]) -> None:
        """Append to the chains of the entries' workspaces, all or nothing.

        Raises ``StoreUnavailable`` when they cannot be written.
        """
        ...

    async def position(self) -> int:
        """Return how far events have been archived, whatever others state: nothing past it may be trimmed."""
        ...

    async def archive(self, entries: Sequence[AuditEntry], *, after: int, upto: int) -> bool:
        """Append and move the position from ``after`` to ``upto``, in one operation; False: somebody else moved it first."""
        ...

    async def seal(self) -> int:
        """Sign every chain up to its last record; return how many were not. What ``append`` and ``archive`` add is signed at once.

        A position that somebody else stated is replaced by what the chains show, and that is recorded.
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
        """Return up to ``limit`` records older than sequence ``before``, newest first.

        Of the kind ``job.dispatched`` are also records of outcomes that tell of the dispatch themselves.
        """
        ...

    def decisions(self, workspace_id: str, since: datetime) -> AsyncIterator[RecordedDecision]:
        """Iterate over what policy decided from ``since`` on, oldest first."""
        ...

    async def verify(self, workspace_id: str, noted: tuple[int, str] | None = None) -> AuditVerdict:
        """Check a whole chain against its hashes and its signed checkpoints.

        ``noted``: sequence and hash that somebody noted earlier, outside; the chain must still hold them.
        """
        ...

    async def public_keys(self) -> Mapping[str, str]:
        """Return key id to public key (hex) of every key that is trusted here, the one that signs now first."""
        ...

    async def export(self, workspace_id: str, plan_id: str, *, by: str, request_id: str) -> Mapping[str, Any]:
        """Return the evidence of one plan, as ``steward.evidence`` checks it: its records, what leads to signatures, the keys.

        That ``by`` asked for it is recorded first. ``NotFound`` if nothing is recorded about it in this workspace.
        """
        ...

    async def erase(
        self, workspace_id: str, sequences: Collection[int], *, by: str, request_id: str | None = None
    ) -> None:
        """Erase the views of records, and record which in the same operation; without that record their lack is a finding."""
        ...

    async def purge(self, retention_s: int) -> int:
        """Drop records older than ``retention_s``, keeping a signed checkpoint where the chain now begins. Returns how many went."""
        ...
