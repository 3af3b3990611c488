"""Forgets work that ended longer ago than the retention, once the audit has it, and then the audit's own oldest records."""

from steward.audit_log import AuditLog
from steward.maintenance import Duty
from steward.work_store import Dispatcher

_HOURLY_S = 3600.0


def pruner(dispatcher: Dispatcher, retention_s: int, log: AuditLog) -> Duty:
    """Return the duty that forgets work."""

    async def run_once() -> int:
        return await dispatcher.purge(retention_s, archived=await log.position())

    return Duty("pruner", _HOURLY_S, run_once)


def audit_pruner(log: AuditLog, retention_s: int) -> Duty:
    """Return the duty that drops old records."""

    async def run_once() -> int:
        return await log.purge(retention_s)

    return Duty("audit pruner", _HOURLY_S, run_once)
