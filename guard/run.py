"""``make guard``: take away one protection at a time, in a copy, and print which test noticed.

The repository itself is never touched: each process works in a copy in a temporary folder, with this project's
interpreter and the copy's source in front of it. A protection that can be taken away unnoticed makes the run fail.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Final

from rich.console import Console
from rich.table import Table

from guard.mutation import Misplaced, Mutation
from guard.patches import MUTATIONS

ROOT: Final = Path(__file__).parent.parent
_NEEDED: Final = ("src", "tests", "chaos", "demo", "docs", "guard", "bench")
_LIMIT_S: Final = 300
_FAILED: Final = re.compile(r"^FAILED ([^\s\[]+::[^\s\[]+)", re.MULTILINE)
_ALL_PASSED: Final = 0
_SOME_FAILED: Final = (1, 2)
"""pytest's exit codes for failed tests, and for a run that ended at the first."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one mutation."""

    mutation: Mutation
    caught_by: tuple[str, ...]
    seconds: float
    output: str = ""
    """What pytest said, where that is of interest."""

    @property
    def caught(self) -> bool:
        """Whether enough tests noticed."""
        return len(self.caught_by) >= self.mutation.at_least


@contextmanager
def copy_of(root: Path) -> Iterator[Path]:
    """Yield a copy of what the tests need, gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="steward-guard-") as folder:
        copy = Path(folder)
        for name in _NEEDED:
            if (root / name).is_dir():
                shutil.copytree(root / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        for file in root.iterdir():
            if file.is_file() and file.suffix in {".toml", ".md"}:
                shutil.copy2(file, copy)
        # Compiled code is recognised by its content: a mutation may keep a file's size and its second.
        compiled = [sys.executable, "-m", "compileall", "-q", "--invalidation-mode", "checked-hash", "src", "tests"]
        subprocess.run(compiled, cwd=copy, check=True)
        yield copy


def _environment(copy: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "STEWARD"))}
    return {**kept, "PYTHONPATH": f"{copy / 'src'}{os.pathsep}{copy}", "PYTHONDONTWRITEBYTECODE": "1"}


def imported_from(copy: Path) -> Path:
    """Return where ``steward`` is imported from in runs on ``copy``."""
    asked = [sys.executable, "-c", "import steward; print(steward.__file__)"]
    said = subprocess.run(asked, cwd=copy, env=_environment(copy), capture_output=True, text=True, check=True)
    return Path(said.stdout.strip())


def _pytest(
    copy: Path, tests: Sequence[str], *, first_only: bool, limit_s: int = _LIMIT_S
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider", "--tb=line", "-rfE"]
    command += ["--timeout=30", *(["-x"] if first_only else []), *tests]
    return subprocess.run(
        command, cwd=copy, env=_environment(copy), capture_output=True, text=True, check=False, timeout=limit_s
    )


def unharmed(copy: Path, mutations: Sequence[Mutation]) -> str | None:
    """Return None if every test that is to notice something passes without any mutation, else what pytest said."""
    tests = sorted({test for mutation in mutations for test in mutation.tests})
    ran = _pytest(copy, tests, first_only=True, limit_s=_LIMIT_S * len(tests))
    return None if ran.returncode == _ALL_PASSED else ran.stdout[-3000:] + ran.stderr[-1000:]


def judge(mutation: Mutation, copy: Path) -> Verdict:
    """Take the protection away in ``copy``, run the tests that must notice, and put it back."""
    file, began = copy / mutation.file, time.monotonic()
    original, mutated = file.read_text(encoding="utf-8"), mutation.applied(copy)
    if mutation.file.endswith(".py"):
        compile(mutated, mutation.file, "exec")
    file.write_text(mutated, encoding="utf-8")
    try:
        ran = _pytest(copy, mutation.tests, first_only=mutation.at_least == 1)
    except subprocess.TimeoutExpired:
        return Verdict(mutation, (), time.monotonic() - began, f"It did not end within {_LIMIT_S} s.")
    finally:
        file.write_text(original, encoding="utf-8")
    caught_by = tuple(dict.fromkeys(_FAILED.findall(ran.stdout))) if ran.returncode in _SOME_FAILED else ()
    return Verdict(mutation, caught_by, time.monotonic() - began, ran.stdout[-2000:] + ran.stderr[-1000:])


def judge_all(mutations: Sequence[Mutation], copies: Sequence[Path], console: Console) -> list[Verdict]:
    """Return a verdict for each mutation, in their order, one copy working beside the other."""
    free: SimpleQueue[Path] = SimpleQueue()
    for copy in copies:
        free.put(copy)

    def one(mutation: Mutation) -> Verdict:
        copy = free.get()
        try:
            verdict = judge(mutation, copy)
        finally:
            free.put(copy)
        console.print(f"{'caught' if verdict.caught else 'SURVIVED':8} {mutation.name} ({verdict.seconds:.1f} s)")
        return verdict

    with ThreadPoolExecutor(len(copies)) as pool:
        return list(pool.map(one, mutations))


def show(verdicts: Sequence[Verdict], console: Console) -> None:
    """Print the table, and what pytest said about each survivor."""
    table = Table(title="Protections taken away, one at a time", show_lines=False)
    table.add_column("mutation", no_wrap=True)
    table.add_column("takes away", ratio=2)
    table.add_column("caught by", ratio=3, overflow="fold")
    table.add_column("seconds", justify="right", no_wrap=True)
    for verdict in verdicts:
        caught = "\n".join(test.replace("tests/", "", 1) for test in verdict.caught_by)
        if not verdict.caught:
            caught = f"SURVIVED (needs {verdict.mutation.at_least})\n{caught}".rstrip()
        table.add_row(verdict.mutation.name, verdict.mutation.removes, caught, f"{verdict.seconds:.1f}")
    console.print(table)
    for verdict in verdicts:
        if not verdict.caught:
            console.print(f"\n--- {verdict.mutation.name}\n{verdict.output}", markup=False, highlight=False)


def main(arguments: Sequence[str] | None = None) -> int:
    """Return 0 if every protection is guarded, 1 if one is not, 2 if the guard itself cannot work."""
    parser = argparse.ArgumentParser(prog="guard", description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="only these mutations")
    parser.add_argument("--jobs", type=int, default=min(os.cpu_count() or 1, 4), help="copies at work side by side")
    parser.add_argument("--trust", action="store_true", help="do not run the tests unharmed first")
    asked = parser.parse_args(arguments)
    console = Console(width=None if sys.stdout.isatty() else 160)
    chosen = [mutation for mutation in MUTATIONS if not asked.names or mutation.name in asked.names]
    began = time.monotonic()
    if not chosen:
        console.print("There is no such mutation.")
        return 2
    with copy_of(ROOT) as first, copy_of(ROOT) as second:
        copies = [first, second][: max(asked.jobs, 1)]
        for copy in copies:
            if not imported_from(copy).is_relative_to(copy):
                console.print(f"The tests would import {imported_from(copy)}, not the copy.")
                return 2
        trouble = None if asked.trust else unharmed(first, chosen)
        if trouble is not None:
            console.print("The tests fail without any mutation:", trouble, markup=False)
            return 2
        try:
            verdicts = judge_all(chosen, copies, console)
        except (Misplaced, SyntaxError) as error:
            console.print(f"A patch does not fit: {error}")
            return 2
    show(verdicts, console)
    caught = sum(verdict.caught for verdict in verdicts)
    console.print(f"{caught} of {len(verdicts)} caught in {time.monotonic() - began:.0f} s")
    return 0 if caught == len(verdicts) else 1


if __name__ == "__main__":
    sys.exit(main())
