"""What a second worker process adds to a drain on Redis, and what each side takes of the processors meanwhile.

One and two take turns on one server. The processes are started first and paused until the work is in the queue, so that they
begin at the same moment; what is timed goes from the first action that ran to the last. Processor times are counted from before
the pause ends until every plan has ended.
"""

import gc
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

from drains import SLOTS, seen_to_end
from figure import Figure, median

from installation import Installation, installation
from steward.plan import MAX_STEPS

_TICKS: Final = os.sysconf("SC_CLK_TCK")


class Drained(NamedTuple):
    """One drain."""

    rate: float
    """Jobs a second."""
    workers_us: float
    """Processor time of all workers for a job, in microseconds."""
    server_us: float
    """The same of the server."""


@contextmanager
def _paused_worker(here: Installation) -> Iterator[subprocess.Popen[str]]:
    """Yield a worker process that has started and is paused."""
    worker = subprocess.Popen(
        [str(Path(sys.executable).with_name("steward")), "worker", "--concurrency", str(SLOTS)],
        env={**os.environ, **here.environment, "PYTHONPATH": str(Path(__file__).parent)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert worker.stdout is not None
    try:
        while "The worker started." not in (line := worker.stdout.readline()):
            assert line, "The worker ended before it had started."
        worker.send_signal(signal.SIGSTOP)
        yield worker
    finally:
        worker.send_signal(signal.SIGCONT)
        worker.terminate()
        worker.communicate()


def _processor_s(worker: subprocess.Popen[str]) -> float:
    user, system = Path(f"/proc/{worker.pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / _TICKS


def _server_s(admin: Any) -> float:
    used = admin.info("cpu")
    return used["used_cpu_user"] + used["used_cpu_sys"]


async def _drain(url: str, admin: Any, folder: Path, jobs: int, workers: int) -> Drained:
    async with installation(folder, REDIS_URL=url, REDIS_EFFECT_SAFETY="fast") as here:
        gc.freeze()
        with ExitStack() as stack:
            paused = [stack.enter_context(_paused_worker(here)) for _ in range(workers)]
            names = [f"drain {number}" for number in range(jobs)]
            plans = [await here.submit(names[start : start + MAX_STEPS]) for start in range(0, jobs, MAX_STEPS)]
            of_workers, of_server = sum(map(_processor_s, paused)), _server_s(admin)
            for worker in paused:
                worker.send_signal(signal.SIGCONT)
            store = here.app.engine.open(here.principal)
            for plan in plans:
                await seen_to_end(store, plan.plan_id)
            took = sum(map(_processor_s, paused)) - of_workers, _server_s(admin) - of_server
            ran = [job.result["at"] for plan in plans for job in await store.plan_jobs(plan.plan_id)]
        rate = (jobs - 1) / (max(ran) - min(ran))
        return Drained(rate, *(seconds / jobs * 1_000_000 for seconds in took))


async def measure(url: str, admin: Any, folder: Path, jobs: int, rounds: int) -> list[Figure]:
    """Return the rate of two worker processes beside that of one, and the processor times of both for a job."""
    found: dict[int, list[Drained]] = {1: [], 2: []}
    for number in range(rounds):
        for workers in (1, 2) if number % 2 else (2, 1):
            admin.flushall()
            found[workers].append(await _drain(url, admin, folder / f"{number} {workers}", jobs, workers))
    ratio = median([two.rate / one.rate for one, two in zip(found[1], found[2], strict=True)])
    rate = median([two.rate for two in found[2]])
    figures = [Figure(f"drain by two 'steward worker', {SLOTS} slots each", rate, "/s", "by one", rate / ratio)]
    for workers, name in ((1, "one worker"), (2, "two workers")):
        figures += [
            Figure(
                f"processor time for a job, {name}: theirs", median([one.workers_us for one in found[workers]]), "µs"
            ),
            Figure(
                f"processor time for a job, {name}: the server's",
                median([one.server_us for one in found[workers]]),
                "µs",
            ),
        ]
    return figures
