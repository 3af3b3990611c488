"""A watch over one process's event loop: how late it comes round, and whether the store ever keeps it.

A thread looks at what the loop's thread is doing every few milliseconds. As long as one and the same frame of the store is
seen there, look after look, the store keeps the loop. Two clocks count: the looks (a wait for a lock or a disk) and the
processor time of the loop's thread (a long computation, during which the watching thread cannot look). What another
program on a busy machine takes away counts for neither, and neither does a loop that is busy with anything else.
"""

import asyncio
import json
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType
from typing import Final

import steward.database
import steward.work_stores

LOOK_S: Final = 0.005
_STORE: Final = tuple(str(Path(package.__path__[0])) for package in (steward.database, steward.work_stores))


@dataclass(slots=True)
class Watched:
    """What a watch saw, in milliseconds."""

    looks: int = 0
    store_ms: float = 0.0
    """The longest that the store kept the loop."""
    store_where: str = ""
    late_ms: float = 0.0
    """The latest that the loop came round, whoever kept it: other work, or other programs on this machine."""


def store_frame(frame: FrameType | None) -> FrameType | None:
    """Return the outermost frame of the store on a stack, if there is one."""
    found = None
    while frame is not None:
        if frame.f_code.co_filename.startswith(_STORE):
            found = frame
        frame = frame.f_back
    return found


class LoopWatch:
    """Watches the loop of the thread that makes it."""

    def __init__(self) -> None:
        """Watch from ``start`` on."""
        self.seen = Watched()
        self._thread_id = threading.get_ident()
        self._clock = time.pthread_getcpuclockid(self._thread_id)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="loop-watch", daemon=True)
        self._due = 0.0

    def start(self) -> None:
        """Begin to watch the running loop."""
        self._due = time.perf_counter()
        self._beat(asyncio.get_running_loop())
        self._thread.start()

    def stop(self) -> Watched:
        """Return what was seen."""
        self._stop.set()
        self._thread.join()
        return self.seen

    def _beat(self, loop: asyncio.AbstractEventLoop) -> None:
        """Note how late the loop comes round, and ask to be called again."""
        now = time.perf_counter()
        self.seen.late_ms = max(self.seen.late_ms, (now - self._due) * 1000)
        self._due = now + LOOK_S
        if not self._stop.is_set():
            loop.call_later(LOOK_S, self._beat, loop)

    def _watch(self) -> None:
        kept: FrameType | None = None
        looks, began = 0, 0.0
        while not self._stop.wait(LOOK_S):
            self.seen.looks += 1
            frame = store_frame(sys._current_frames().get(self._thread_id))  # noqa: SLF001 - the only way to see a thread
            worked = time.clock_gettime(self._clock)
            if frame is None or frame is not kept:
                kept, looks, began = frame, 0, worked
                continue
            looks += 1
            for_ms = max(looks * LOOK_S, worked - began) * 1000
            if for_ms > self.seen.store_ms:
                self.seen.store_ms, self.seen.store_where = for_ms, frame.f_code.co_qualname


@contextmanager
def watched_loop(record: Path | None) -> Iterator[None]:
    """Watch the running loop while the block runs and leave ``record`` behind; None: do not watch."""
    if record is None:
        yield
        return
    watch = LoopWatch()
    watch.start()
    try:
        yield
    finally:
        record.write_text(json.dumps(asdict(watch.stop())))
