"""How far a long walk is: a bar with rate and time left on a terminal, a line now and then otherwise."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

_EVERY_S: Final = 2.0
Show = Callable[[int, int, str], None]
"""Is told how much is done, of how much, and what else there is to say."""


@contextmanager
def progress_shown(*, quiet: bool) -> Iterator[Show]:
    """Yield what shows progress on standard error; ``quiet``: nothing is shown."""
    from steward.cli.render import err, say

    if quiet:
        yield lambda _done, _total, _said: None
    elif err().is_terminal:
        yield from _bar()
    else:
        began, told = time.monotonic(), float("-inf")

        def line(done: int, total: int, said: str) -> None:
            nonlocal told
            now = time.monotonic()
            if now - told >= _EVERY_S or done >= total:
                told = now
                say(f"{said}{_pace(done, total, now - began)}.")

        yield line


def _pace(done: int, total: int, seconds: float) -> str:
    """Return rate and time left, once there is something to tell them from."""
    if not done or seconds <= 0:
        return ""
    rate = done / seconds
    return f" ({rate:,.0f} a second, {max(total - done, 0) / rate:,.0f} s left)"


def _bar() -> Iterator[Show]:
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeRemainingColumn,
    )

    from steward.cli.render import err

    columns = (
        *(BarColumn(), TaskProgressColumn(show_speed=False), MofNCompleteColumn(), TextColumn("{task.fields[pace]}")),
        *(TimeRemainingColumn(), TextColumn("{task.fields[said]}", style="dim", markup=False)),
    )
    began = time.monotonic()
    with Progress(*columns, console=err()) as bar:
        task = bar.add_task("", total=None, pace="", said="")

        def show(done: int, total: int, said: str) -> None:
            pace = f"{done / max(time.monotonic() - began, 0.001):,.0f}/s"
            bar.update(task, completed=done, total=total, pace=pace, said=said)

        yield show
