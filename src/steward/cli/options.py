"""Options that several commands share, so that they read the same everywhere."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Annotated, Final, TypeVar

import typer

from steward.identity import Role
from steward.tenancy import Tenancy

Command = TypeVar("Command", bound=Callable[..., None])
_DURATION: Final = re.compile(r"([1-9]\d{0,5})([smhdw])", re.ASCII)
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON on standard output, nothing else.")]
Limit = Annotated[int, typer.Option(min=1, max=100, help="Rows to show.")]
Cursor = Annotated[str | None, typer.Option(metavar="CURSOR", help="Go on where a page ended: its next_cursor.")]
All = Annotated[bool, typer.Option("--all", help="Show every row, whatever --limit says.")]
PlanId = Annotated[str, typer.Argument(metavar="PLAN", help="Id of a plan, as 'steward plans list' shows it.")]
KeyId = Annotated[str, typer.Argument(metavar="KEY", help="Id of a key, as 'steward keys list' shows it.")]
Workspace = Annotated[str, typer.Option("--workspace", "-w", help="The workspace.")]
JobId = Annotated[str, typer.Argument(metavar="JOB", help="Id of a job, as 'steward jobs list' shows it.")]


def group(help_text: str) -> typer.Typer:
    """Return an empty group of commands that shows its help when called without one."""
    return typer.Typer(help=help_text, no_args_is_help=True, rich_markup_mode="rich")


def duration(text: str | None, option: str) -> timedelta | None:
    """Return a duration such as ``30d``; None for none. Anything else is wrong usage of ``option``."""
    if text is None:
        return None
    match = _DURATION.fullmatch(text)
    if match is None:
        raise typer.BadParameter("a duration is a number and s, m, h, d or w, for example 30d.", param_hint=option)
    return timedelta(**{_UNITS[match[2]]: int(match[1])})


def role_named(text: str) -> Role:
    """Return the role of that name; anything else is wrong usage, and said in a sentence."""
    if text not in set(Role):
        raise typer.BadParameter(f"there is no role '{text}'; roles are {', '.join(Role)}.")
    return Role(text)


def about(tenancy: Tenancy) -> Callable[[Command], Command]:
    """Declare whose things a command is about; the isolation audit attacks it by that, and fails without.

    ``workspace`` and ``shared`` commands speak to a server with the caller's key; ``installation`` ones work on this
    machine, where being there is the credential.
    """

    def declare(command: Command) -> Command:
        command.__dict__["tenancy"] = tenancy
        return command

    return declare
