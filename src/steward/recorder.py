"""Records what no event tells of: decisions, denials, failed logins. It never holds anybody up, unless the audit is required.

What is noted is written in the background, together with what comes in the moment after it: so a crowd of requests that come one by
one does not cost a commit more for each, and none waits for the record of what was decided about it. While it cannot be written it waits, up to
``MAX_WAITING`` entries; that, and whatever is lost beyond, is counted and shown by ``/readyz``. Where the audit is required,
``insist`` writes at once, and whoever insists does nothing without it.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Sequence
from typing import Final

import structlog

from steward.audit import AuditEntry
from steward.audit_log import AuditLog
from steward.errors import AuditUnavailable, Invalid, StewardError
from steward.telemetry import Telemetry

MAX_WAITING: Final = 10_000
_BATCH: Final = 200
_AGAIN_S: Final = 1.0
_BREATH_S: Final = 0.05
"""How long entries are left to gather."""
_log = structlog.get_logger("steward.audit")


class Recorder:
    """Takes entries to the audit log. Use from one event loop."""

    def __init__(self, log: AuditLog, telemetry: Telemetry, *, required: bool) -> None:
        """Write to ``log``; ``required``: what insists must not go on when it cannot be written."""
        self._log = log
        self._telemetry = telemetry
        self.required = required
        self._waiting: deque[AuditEntry] = deque()
        self._writing: asyncio.Task[None] | None = None
        self._hurry = asyncio.Event()
        self._troubled: set[str] = set()

    @property
    def well(self) -> bool:
        """Whether the last attempt of everybody who records succeeded."""
        return not self._troubled

    def note(self, *entries: AuditEntry) -> None:
        """Record these soon."""
        if not entries:
            return
        room = MAX_WAITING - len(self._waiting)
        self._waiting.extend(entries[:room])
        if lost := len(entries) - max(min(room, len(entries)), 0):
            self._telemetry.audit_failure("recorder", lost)
            _log.error("Audit entries were lost.", action="audit_lost", count=lost)
        if self._waiting and (self._writing is None or self._writing.done()):
            self._writing = asyncio.create_task(self._write(), name="recorder")

    async def insist(self, *entries: AuditEntry) -> None:
        """Record these: where the audit is required, before returning; raise ``AuditUnavailable`` if that fails."""
        if not self.required:
            self.note(*entries)
            return
        try:
            await self._log.append(entries)
        except StewardError as error:
            self.failed("recorder", error)
            raise AuditUnavailable from error
        self.succeeded("recorder")

    def failed(self, where: str, error: BaseException) -> None:
        """Count and remember that something could not be recorded."""
        self._telemetry.audit_failure(where)
        self._troubled.add(where)
        _log.error("The audit cannot be written.", action="audit_failed", where=where, kind=type(error).__name__)

    def succeeded(self, where: str) -> None:
        """Remember that recording works."""
        self._troubled.discard(where)

    async def written(self) -> None:
        """Return when nothing waits any more."""
        self._hurry.set()
        while self._writing is not None and not self._writing.done():
            await asyncio.wait({self._writing})
        self._hurry.clear()

    async def aclose(self, timeout_s: float = 2.0) -> None:
        """Write what waits, if that is possible soon; what is left is counted as lost."""
        try:
            async with asyncio.timeout(timeout_s):
                await self.written()
        except TimeoutError:
            self._telemetry.audit_failure("recorder", len(self._waiting))
            _log.error("Audit entries were lost.", action="audit_lost", count=len(self._waiting))
        if self._writing is not None:
            self._writing.cancel()

    async def _write(self) -> None:
        while self._waiting:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_BREATH_S):
                    await self._hurry.wait()
            batch = [self._waiting.popleft() for _ in range(min(_BATCH, len(self._waiting)))]
            if not await self._written(batch):
                self._waiting.extendleft(reversed(batch))
                await asyncio.sleep(_AGAIN_S)

    async def _written(self, batch: Sequence[AuditEntry]) -> bool:
        try:
            await self._log.append(batch)
        except Invalid as error:  # something in it cannot be kept: it must not stand in the way of the rest
            if len(batch) > 1:
                return all([await self._written([entry]) for entry in batch])
            self.failed("recorder", error)
            return True
        except Exception as error:  # noqa: BLE001 - whatever it is, it must be seen and tried again
            self.failed("recorder", error)
            return False
        self.succeeded("recorder")
        return True
