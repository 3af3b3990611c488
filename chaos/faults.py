"""The command line of the fault runs.

``python -m chaos.faults`` takes about half a minute; ``--long`` gives every fault more work and adds a mail server that
never says what became of a mail, which takes minutes; ``--engine`` says where work lives. Ends with 0 only if every run kept its promises.
"""

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

from chaos import engine_faults, fault_runs
from chaos.engines import Engine, Ground, open_ground
from chaos.house import playground
from chaos.tally import Tally
from steward.logs import configure_logs

_EVERYWHERE: Final = (
    fault_runs.paused_workers,
    fault_runs.killed_alone,
    fault_runs.stepping_clock,
    fault_runs.wrong_clocks,
    fault_runs.absent_mail_server,
    fault_runs.hanging_receiver,
    fault_runs.crowd,
)
_OF_ENGINE: Final = {
    Engine.SQLITE: (fault_runs.full_disk, fault_runs.locked_database),
    Engine.POSTGRESQL: (engine_faults.killed_server, engine_faults.cut_connections),
    Engine.REDIS: (
        engine_faults.killed_server,
        engine_faults.cut_connections,
        engine_faults.out_of_memory,
        engine_faults.power_cut_strict,
        engine_faults.power_cut_fast,
        engine_faults.failover,
    ),
}
"""What one engine leans on and another does not."""
_SHORT: Final = (fault_runs.paused_workers, fault_runs.killed_alone)
"""What the short form asks of every engine; the rest has nothing to do with where work lives."""

_AT_ONCE: Final = 6
"""Fault runs under way. Where all began together, some servers took longer to start than they wait for Redis or PostgreSQL."""
Fault = Callable[..., Awaitable[Tally]]


def faults_of(engine: Engine, *, long: bool) -> tuple[Fault, ...]:
    """Return the fault runs of an engine."""
    return (*(_EVERYWHERE if long or engine is Engine.SQLITE else _SHORT), *_OF_ENGINE[engine])


async def _run(fault: Awaitable[Tally], name: str, turn: asyncio.Semaphore) -> Tally:
    """Return the counts of a fault run, or a problem if it did not come to its end."""
    try:
        async with turn:
            return await fault
    except Exception as error:  # noqa: BLE001 - one broken run must not hide the others
        return Tally(name, wrong=1, problems=[f"{type(error).__name__}: {error}"])


async def measure(folder: Path, only: Sequence[str], ground: Ground, *, long: bool) -> list[Tally]:
    """Run the faults side by side, some at a time, each in a folder of its own."""
    turn = asyncio.Semaphore(_AT_ONCE)
    known = faults_of(ground.engine, long=long or bool(only))
    chosen = [fault for fault in known if not only or fault.__name__ in only]
    runs = [_run(fault(folder / fault.__name__, ground, long=long), fault.__name__, turn) for fault in chosen]
    silent = fault_runs.silent_mail_server
    if silent.__name__ in only or (long and not only and ground.engine is Engine.SQLITE):
        runs.append(_run(silent(folder / "silent", ground), silent.__name__, turn))
    return await asyncio.gather(*runs)


def show(engine: Engine, tallies: Sequence[Tally], seconds: float) -> None:
    """Print the table and the problems."""
    table = Table(title=f"Faults on {engine}, {seconds:.0f} s")
    table.add_column("what goes wrong")
    for name in ("plans", "completed", "unknown", "lost", "twice", "wrong"):
        table.add_column(name, justify="right")
    table.add_column("what was seen")
    for one in tallies:
        counts = (one.plans, one.completed, one.unknown, one.lost, one.twice, one.wrong)
        table.add_row(one.fault, *map(str, counts), one.seen)
    console = Console(width=170)
    console.print(table)
    for one in tallies:
        for problem in one.problems:
            console.print(f"- {one.fault}: {problem}", markup=False)


def main() -> int:
    """Run the command line; return the exit code."""
    every = {fault for engine in Engine for fault in faults_of(engine, long=True)} | {fault_runs.silent_mail_server}
    names = sorted(fault.__name__ for fault in every)
    parser = argparse.ArgumentParser(prog="python -m chaos.faults", description=__doc__)
    parser.add_argument("--engine", choices=[*Engine, "all"], default=Engine.SQLITE, help="where work lives")
    parser.add_argument("--only", action="append", default=[], choices=names, help="run only this one (repeatable)")
    parser.add_argument("--long", action="store_true", help="more of each")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    parser.add_argument("--folder", type=Path, help="play in this new folder and leave databases and logs there")
    chosen = parser.parse_args()
    told = dict[str, list[Tally]]()
    configure_logs()
    with playground(chosen.folder) as folder:
        for engine in Engine if chosen.engine == "all" else [Engine(chosen.engine)]:
            began = time.monotonic()
            with open_ground(engine) as ground:
                told[engine] = asyncio.run(measure(folder / engine, chosen.only, ground, long=chosen.long))
            if not chosen.json:
                show(engine, told[engine], time.monotonic() - began)
    if chosen.json:
        print(json.dumps({engine: [asdict(one) for one in tallies] for engine, tallies in told.items()}, indent=2))
    return 1 if any(one.problems for tallies in told.values() for one in tallies) else 0


if __name__ == "__main__":
    sys.exit(main())
