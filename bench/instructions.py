"""Counts the instructions that the Redis server needs for a job, verb by verb: a number that a busy machine does not change.

``python bench/instructions.py`` runs Valkey under valgrind (``valgrind`` and ``callgrind_control`` on the PATH), which takes
a minute. What the kernel does for the connection is not counted.
"""

import asyncio
import re
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).parent.parent))

import structlog
import uvloop
from peers_payload import single_plans, whole_plans
from samples import CLOCK, DONE, IDS, SOMEBODY
from tests.redis_server import RedisServer

from steward.work_store import Lease, Settlement, WorkEngine
from steward.work_stores.redis import open_redis_engine, server

JOBS: Final = 200
SLOTS: Final = 64
_TOTAL: Final = re.compile(r"^(?:summary|totals): (\d+)", re.MULTILINE)


class Counted(RedisServer):
    """A server whose instructions are counted."""

    def command(self, *options: str) -> list[str]:
        """Return how it is started."""
        self._counts = Path(tempfile.mkdtemp(dir=self.folder)) / "counts"
        self._parts = 0
        count = ("valgrind", "-q", "--tool=callgrind", f"--callgrind-out-file={self._counts}")
        return [*count, *super().command(*options)]

    def instructions(self) -> int:
        """Return how many there were since this was asked last."""
        subprocess.run(["callgrind_control", "-d", str(self.process.pid)], check=True, capture_output=True)
        self._parts += 1
        found = _TOTAL.search(self._counts.with_suffix(f".{self._parts}").read_text())
        assert found is not None
        return int(found[1])


async def _claims(engine: WorkEngine) -> AsyncIterator[Sequence[Lease]]:
    while leases := (await engine.dispatcher.claim("bench", limit=SLOTS)).leases:
        yield leases


async def _measure(counted: Counted) -> dict[str, float]:
    """Return thousands of instructions for each job, by what was done."""
    found: dict[str, float] = {}
    async with open_redis_engine(counted.url(), clock=CLOCK, ids=IDS, safety="fast") as engine:
        store, dispatcher = engine.open(SOMEBODY), engine.dispatcher

        async def carry_out(what: str) -> None:
            claimed = [leases async for leases in _claims(engine)]
            jobs = sum(map(len, claimed)) * 1000
            found[f"claim, {what}"] = counted.instructions() / jobs
            for leases in claimed:
                await dispatcher.dispatch([lease.ref for lease in leases])
            found[f"dispatch, {what}"] = counted.instructions() / jobs
            for leases in claimed:
                await dispatcher.settle([Settlement(lease.ref, DONE) for lease in leases])
            found[f"settle, {what}"] = counted.instructions() / jobs

        await store.submit(whole_plans(1, SLOTS)[0])
        await carry_out("first")  # so that the server knows every script
        found.clear()
        for what, work in (("plans of one step", single_plans(JOBS)), ("plans of 100", whole_plans(JOBS // 100, 100))):
            for submission in work:
                await store.submit(submission)
            found[f"submit, {what}"] = counted.instructions() / JOBS / 1000
            await carry_out(what)
        work = single_plans(JOBS)
        for first in range(0, JOBS, 100):
            await asyncio.gather(*(store.submit(submission) for submission in work[first : first + 100]))
        found["submit, plans of one step, 100 callers"] = counted.instructions() / JOBS / 1000
    return found


def main() -> None:
    """Measure and print."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger("error"))
    server._ANSWER_S = 60.0  # noqa: SLF001 - under valgrind everything takes thirty times as long
    counted = Counted("--appendonly", "no", "--hash-max-listpack-value", "1024", "--hz", "1", "--dynamic-hz", "no")
    try:
        for what, thousands in uvloop.run(_measure(counted)).items():
            print(f"{what:42} {thousands:6.1f} thousand instructions a job")
    finally:
        counted.stop()


if __name__ == "__main__":
    main()
