"""Where an auditor takes the evidence of a plan away: with all that had happened by the moment at which it was asked for.

The archiver is half a second behind what happens. Evidence that is taken right after a plan has ended would lack its end, and
nothing in the file would say so. So what has happened is brought into the audit first; where that cannot be done soon, nothing is
given out.
"""

import asyncio
from collections.abc import Mapping
from typing import Any, Final

from steward.audit_log import AuditLog
from steward.errors import AuditUnavailable
from steward.identity import Principal
from steward.maintenance.archiver import Archiver
from steward.recorder import Recorder

_PATIENCE_S: Final = 2.0


class EvidenceDesk:
    """Gives out evidence from one audit log."""

    def __init__(
        self, log: AuditLog, archiver: Archiver, recorder: Recorder, *, patience_s: float = _PATIENCE_S
    ) -> None:
        """Take evidence from ``log``, once ``archiver`` and ``recorder`` have put there what they have, within ``patience_s``."""
        self._log = log
        self._archiver = archiver
        self._recorder = recorder
        self._patience_s = patience_s

    async def take(self, principal: Principal, plan_id: str, request_id: str) -> Mapping[str, Any]:
        """Return the evidence of a plan of the principal's workspace, and record that it was taken.

        ``NotFound`` if nothing is recorded about it there, ``AuditUnavailable`` if the audit is too far behind.
        """
        try:
            async with asyncio.timeout(self._patience_s):
                await self._recorder.written()  # what was decided stands before what came of it
                await self._archiver.turn()
        except TimeoutError as error:
            raise AuditUnavailable(
                "The audit is behind with what has happened, so the evidence might lack its end; nothing was taken. "
                "Try again shortly."
            ) from error
        return await self._log.export(principal.workspace_id, plan_id, by=principal.actor_id, request_id=request_id)
