"""The statuses of the older software, and which of ours stands for which.

It knew four, and wrote ``success`` and ``error`` at times. What waits is ``pending`` there, an outcome that nobody knows is
still ``running``, and what was given up is ``failed``: so nothing reads as done that was not, and nothing that may still
change reads as ended.
"""

from typing import Final

from steward.job import JobStatus as S

TO_OLD: Final[dict[str, str]] = {
    S.WAITING: "pending",
    S.HELD: "pending",
    S.SCHEDULED: "pending",
    S.PENDING: "pending",
    S.RUNNING: "running",
    S.UNKNOWN: "running",
    S.COMPLETED: "completed",
    S.FAILED: "failed",
    S.CANCELLED: "failed",
    S.SKIPPED: "failed",
}
FROM_OLD: Final[dict[str, str]] = {
    "pending": S.PENDING,
    "running": S.UNKNOWN,
    "completed": S.COMPLETED,
    "success": S.COMPLETED,
    "failed": S.FAILED,
    "error": S.FAILED,
}
