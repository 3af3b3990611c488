"""``steward doctor``: says what is wrong and how to mend it."""

from typing import Annotated, Final

import typer

from steward.cli.exits import ExitCode
from steward.cli.options import AsJson, about

_LEVEL_CHARS: Final = 6
Repair = Annotated[
    bool,
    typer.Option("--repair", help="Put right what Redis derives from its records: indexes, queue, leases, counts."),
]


@about("installation")
def doctor(*, repair: Repair = False, as_json: AsJson = False) -> None:
    """Look at the settings, the data, the mail server and the running server; exits 1 if something fails.

    Changes nothing, except that --repair works out anew whatever Redis derives from its records.

    Example: steward doctor --json
    """
    from rich.table import Table

    from steward.cli.checks import examine
    from steward.cli.render import plain, print_json, show, word

    found = []
    for finding in examine(repair=repair):
        found.append(finding)
        if not as_json:
            line = Table.grid()
            line.add_column(width=_LEVEL_CHARS)
            line.add_column(overflow="fold")
            line.add_row(word(finding.level), plain(f"{finding.check}: ", "bold") + plain(finding.text))
            if finding.fix:
                line.add_row("", plain(finding.fix, "dim"))
            show(line)
    failed = any(finding.level == "fail" for finding in found)
    if as_json:
        print_json({"ok": not failed, "findings": [finding.as_dict() for finding in found]})
    raise typer.Exit(ExitCode.FAILED if failed else ExitCode.DONE)
