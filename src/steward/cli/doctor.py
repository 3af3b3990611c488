"""``steward doctor``: says what is wrong and how to mend it."""

import typer

from steward.cli.exits import ExitCode
from steward.cli.options import AsJson, about


@about("installation")
def doctor(*, as_json: AsJson = False) -> None:
    """Look at the settings, the data, the mail server and the running server. Changes nothing; exits 1 if something fails.

    Example: steward doctor --json
    """
    from steward.cli.checks import examine
    from steward.cli.render import plain, print_json, show, word

    found = []
    for finding in examine():
        found.append(finding)
        if not as_json:
            mark = word(finding.level) + plain(" " * (6 - len(finding.level)))
            show(mark + plain(f"{finding.check}: ", "bold") + plain(finding.text))
            if finding.fix:
                show(plain(f"       {finding.fix}", "dim"))
    failed = any(finding.level == "fail" for finding in found)
    if as_json:
        print_json({"ok": not failed, "findings": [finding.as_dict() for finding in found]})
    raise typer.Exit(ExitCode.FAILED if failed else ExitCode.DONE)
