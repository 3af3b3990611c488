"""The person at the terminal, if there is one: whether, and their yes."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from steward.cli.exits import CommandFailed, ExitCode


def on_a_terminal() -> bool:
    """Say whether somebody is there to be asked."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def confirm(question: str, otherwise: str) -> None:
    """Return after a yes; raise ``CommandFailed``, saying ``otherwise``, after a no and when nobody is there."""
    if not on_a_terminal():
        raise CommandFailed(f"Nobody is there to confirm. {otherwise}", "Add --yes to do it unasked.", ExitCode.USAGE)
    with out_by_ctrl_c(otherwise):
        if not typer.confirm(question, err=True):
            raise CommandFailed(otherwise, "", ExitCode.FAILED)


@contextmanager
def out_by_ctrl_c(otherwise: str) -> Iterator[None]:
    """Say ``otherwise`` when somebody leaves a question with Ctrl-C, and end as any command does that is stopped so."""
    try:
        yield
    except typer.Abort as left:
        raise CommandFailed(otherwise, "", ExitCode.INTERRUPTED) from left
