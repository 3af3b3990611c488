"""Measures Steward on this machine and prints one table. Numbers of different runs are not comparable; ratios are.

``python bench/run.py`` takes about a minute; ``--full`` adds a million jobs; ``--json`` prints the figures as JSON.
"""

import argparse
import asyncio
import json
import os
import platform
import sqlite3
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import auditing
import listing
import machine
import store
import structlog
from figure import Figure
from rich.console import Console
from rich.table import Table

import worker


def figures(folder: Path, *, full: bool, quick: bool) -> Iterator[Figure]:
    """Yield every figure, each measured in a folder of its own."""
    scale = 10 if quick else 1
    homes = {name: folder / name for name in ("store", "worker", "auditing", "listing", "machine")}
    for home in homes.values():
        home.mkdir()
    yield from asyncio.run(store.measure(homes["store"], 4_000 // scale))
    yield from asyncio.run(worker.measure(homes["worker"], 2_000 // scale, 300 // scale))
    yield from asyncio.run(auditing.measure(homes["auditing"], 3_000 // scale, 7))
    sizes = [10_000 // scale, 100_000 // scale, *([1_000_000] if full else [])]
    yield from asyncio.run(listing.measure(homes["listing"], sizes))
    yield from machine.measure(homes["machine"], 10.0 / scale)


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}"


def show(found: list[Figure]) -> None:
    """Print the table."""
    about = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    table = Table(title=f"Steward on {about}, SQLite {sqlite3.sqlite_version}", title_justify="left")
    table.add_column("What")
    table.add_column("Steward", justify="right")
    table.add_column("Unit")
    table.add_column("Beside it", justify="right")
    table.add_column("Ratio", justify="right")
    table.add_column("Compared with")
    for figure in found:
        table.add_row(
            figure.what,
            _number(figure.value),
            figure.unit,
            _number(figure.other),
            "" if figure.ratio is None else f"{figure.ratio:.2f}",
            figure.compared_with,
        )
    Console(width=140 if not sys.stdout.isatty() else None).print(table)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Measure Steward on this machine.")
    parser.add_argument("--full", action="store_true", help="also a listing among a million jobs")
    parser.add_argument("--quick", action="store_true", help="a tenth of everything: to see that it works")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger("warning"))
    with tempfile.TemporaryDirectory(prefix="steward-bench-") as folder:
        found = list(figures(Path(folder), full=options.full, quick=options.quick))
    if options.json:
        print(json.dumps([figure.as_dict() for figure in found], indent=2))
    else:
        show(found)


if __name__ == "__main__":
    main()
