"""The named points at which a process dies, and the trap that kills it there once.

A trap leaves a mark, a small file that says when which process died of which job; a trap whose mark is there stays shut.
"""

import contextlib
import json
import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

LABEL: Final = re.compile(r"parcel-[0-9a-f]{16}(?:-[0-9])?")
"""What every effect carries, so that the far ends know which plan it belongs to."""


class Point(StrEnum):
    """Where a process dies."""

    MID_SUBMIT = "middle of submit"
    """In the server, inside the transaction of a submit, just before its commit; on Redis, half-way through its command."""
    AFTER_SUBMIT = "after submit"
    """In the server, committed but not answered."""
    AFTER_CLAIM = "after claim"
    BEFORE_DISPATCH = "before dispatch record"
    AFTER_DISPATCH = "after dispatch record"
    MID_EFFECT = "middle of effect"
    """The far end has taken it, and its answer is not out: the far end itself pulls the trigger."""
    AFTER_EFFECT = "after effect"
    BEFORE_SETTLE = "before settle"
    MID_SETTLE = "middle of settle"
    """Inside the transaction of a settlement, just before its commit; on Redis, half-way through its command."""
    MID_EXPAND = "middle of expand"
    """As ``MID_SETTLE``, of a settlement that puts children in place: they are written and not committed."""
    AFTER_SETTLE = "after settle"


IN_SERVER: Final = frozenset({Point.MID_SUBMIT, Point.AFTER_SUBMIT})
PAST_DISPATCH: Final = frozenset(
    {
        *(Point.AFTER_DISPATCH, Point.MID_EFFECT, Point.AFTER_EFFECT),
        *(Point.BEFORE_SETTLE, Point.MID_SETTLE),
    }
)
"""After a death here the effect may have happened, and the store knows only that it may."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """What a sprung trap leaves."""

    point: str
    plan_id: str
    job_id: str
    pid: int
    at: float
    """Seconds since 1970."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trap:
    """Kills (or stops) the process that it is set in, at one point, in the first attempt of a job of one action."""

    point: Point
    action_id: str
    """Empty: of any."""
    mark: Path
    triggers: Path
    """Folder in which the far ends look for whom to kill."""
    signal: int = signal.SIGKILL
    first: Callable[[], None] | None = None
    """Done before the signal is sent."""

    def meant_for(self, point: Point, action_id: str, attempt: int) -> bool:
        """Say whether this is the moment."""
        return point is self.point and self.action_id in {"", action_id} and attempt == 1 and not self.mark.exists()

    def spring(self, plan_id: str, job_id: str) -> None:
        """Leave the mark and send the signal to the process itself; after SIGKILL it does not return."""
        if self.first is not None:
            self.first()
        leave(self.mark, self._mark(plan_id, job_id))
        os.kill(os.getpid(), self.signal)

    def hand_over(self, label: str, plan_id: str, job_id: str) -> None:
        """Ask the far ends to kill this process when the effect with ``label`` arrives."""
        order = {"mark": str(self.mark), "facts": asdict(self._mark(plan_id, job_id))}
        place(self.triggers / label, json.dumps(order))

    def _mark(self, plan_id: str, job_id: str) -> Mark:
        return Mark(point=self.point, plan_id=plan_id, job_id=job_id, pid=os.getpid(), at=time.time())


def pull(trigger: Path) -> None:
    """Kill whoever handed over this trigger, if anybody did."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        order = json.loads(trigger.read_text())
        trigger.unlink()
        leave(Path(order["mark"]), replace(Mark(**order["facts"]), at=time.time()))
        os.kill(order["facts"]["pid"], signal.SIGKILL)


def leave(path: Path, mark: Mark) -> None:
    """Write a mark."""
    place(path, json.dumps(asdict(mark)))


def read_mark(path: Path) -> Mark | None:
    """Return what a sprung trap left; None: it has not sprung."""
    try:
        return Mark(**json.loads(path.read_text()))
    except FileNotFoundError:
        return None


def place(path: Path, text: str) -> None:
    """Put a whole file in place: nobody sees a part of it."""
    unfinished = path.with_name(f"{path.name}.{os.getpid()}.new")
    unfinished.write_text(text)
    unfinished.rename(path)


def labels_in(value: Any) -> Iterator[str]:
    """Yield every label in a text or JSON value."""
    text = value if isinstance(value, str) else json.dumps(value)
    yield from LABEL.findall(text)
