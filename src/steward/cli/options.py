"""Options that several commands share, so that they read the same everywhere."""

from typing import Annotated

import typer

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON on standard output, nothing else.")]
Limit = Annotated[int, typer.Option(min=1, max=100, help="Rows to show.")]
Cursor = Annotated[str | None, typer.Option(metavar="CURSOR", help="Go on where a page ended: its next_cursor.")]
All = Annotated[bool, typer.Option("--all", help="Show every row, whatever --limit says.")]
PlanId = Annotated[str, typer.Argument(metavar="PLAN", help="Id of a plan, as 'steward plans list' shows it.")]
JobId = Annotated[str, typer.Argument(metavar="JOB", help="Id of a job, as 'steward jobs list' shows it.")]


def group(help_text: str) -> typer.Typer:
    """Return an empty group of commands that shows its help when called without one."""
    return typer.Typer(help=help_text, no_args_is_help=True, rich_markup_mode="rich")
