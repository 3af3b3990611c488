"""The command line of the fault runs.

``python -m chaos.faults`` takes about half a minute; ``--long`` gives every fault more work and adds a mail server that
never says what became of a mail, which takes minutes. Ends with 0 only if every run kept its promises.
"""

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

from chaos import fault_runs
from chaos.house import playground
from chaos.tally import Tally

FAULTS: Final = (
    fault_runs.paused_workers,
    fault_runs.stepping_clock,
    fault_runs.wrong_clocks,
    fault_runs.full_disk,
    fault_runs.locked_database,
    fault_runs.absent_mail_server,
    fault_runs.hanging_receiver,
    fault_runs.crowd,
)


async def _run(fault: Awaitable[Tally], name: str) -> Tally:
    """Return the counts of a fault run, or a problem if it did not come to its end."""
    try:
        return await fault
    except Exception as error:  # noqa: BLE001 - one broken run must not hide the others
        return Tally(name, wrong=1, problems=[f"{type(error).__name__}: {error}"])


async def measure(folder: Path, only: Sequence[str], *, long: bool) -> list[Tally]:
    """Run the faults side by side, each in a folder of its own."""
    chosen = [fault for fault in FAULTS if not only or fault.__name__ in only]
    runs = [_run(fault(folder / fault.__name__, long=long), fault.__name__) for fault in chosen]
    if fault_runs.silent_mail_server.__name__ in only or (long and not only):
        runs.append(_run(fault_runs.silent_mail_server(folder / "silent"), fault_runs.silent_mail_server.__name__))
    return await asyncio.gather(*runs)


def show(tallies: Sequence[Tally], seconds: float) -> None:
    """Print the table and the problems."""
    table = Table(title=f"Faults, {seconds:.0f} s")
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
    names = [fault.__name__ for fault in (*FAULTS, fault_runs.silent_mail_server)]
    parser = argparse.ArgumentParser(prog="python -m chaos.faults", description=__doc__)
    parser.add_argument("--only", action="append", default=[], choices=names, help="run only this one (repeatable)")
    parser.add_argument("--long", action="store_true", help="more of each")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    parser.add_argument("--folder", type=Path, help="play in this new folder and leave databases and logs there")
    chosen = parser.parse_args()
    began = time.monotonic()
    with playground(chosen.folder) as folder:
        tallies = asyncio.run(measure(folder, chosen.only, long=chosen.long))
    if chosen.json:
        print(json.dumps([asdict(one) for one in tallies], indent=2))
    else:
        show(tallies, time.monotonic() - began)
    return 1 if any(one.problems for one in tallies) else 0


if __name__ == "__main__":
    sys.exit(main())
