"""``steward isolation-audit``: one workspace attacks another through every door of an installation."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from steward.cli.options import AsJson, about

if TYPE_CHECKING:
    from steward.isolation.audit import Progress
    from steward.isolation.report import Report
    from steward.settings import Settings

_SUMMARY: Final = (
    ("canaries_seen", "canaries seen by the other workspace"),
    ("writes", "changes to the other workspace"),
    ("told_apart", "answers in which foreign differs from unknown"),
    ("accepted", "requests accepted in the other's name"),
)


@about("installation")
def isolation_audit(
    *,
    own: Annotated[
        bool, typer.Option("--self", help="Start an installation in a temporary folder and attack that one.")
    ] = False,
    log: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="The running server's log file, to be looked through as well."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Attack one workspace from another through every route, command, stream and file. Exits 1 if anything is found.

    It works on the machine of the server, makes the workspaces isolation-audit-a and isolation-audit-b, and touches no
    other. The keys that it makes are revoked at the end.

    Example: steward isolation-audit --self
    """
    from steward.cli.exits import CommandFailed, ExitCode
    from steward.cli.render import print_json
    from steward.isolation.tenant import CannotAudit

    try:
        with _progress(quiet=as_json) as progress:
            report = _own(progress) if own else _running(log, progress)
    except CannotAudit as reason:
        raise CommandFailed(str(reason), "Start 'steward up' in this STEWARD_HOME, or use --self.") from reason
    if as_json:
        print_json(report.as_dict())
    else:
        _show(report)
    raise typer.Exit(ExitCode.DONE if report.clean else ExitCode.FAILED)


def _own(progress: "Progress") -> "Report":
    from steward.isolation.own_server import own_server

    with own_server() as server:
        return asyncio.run(_audit(server.settings, server.url, server.log, progress))


def _running(log: Path | None, progress: "Progress") -> "Report":
    import os

    from steward.cli.client import DEFAULT_URL
    from steward.cli.home import read_address
    from steward.cli.own_key import settings_with_own_key
    from steward.isolation.tenant import CannotAudit
    from steward.settings import Settings

    home = Settings.load(secret_required=False).home
    if not home.is_dir():  # before the secret key, which would be made there
        raise CannotAudit(f"There is no installation in {home}.")
    settings = asyncio.run(settings_with_own_key())
    local = read_address(home)
    url = os.environ.get("STEWARD_URL", "").strip() or (local.url if local else DEFAULT_URL)
    return asyncio.run(_audit(settings, url, log, progress))


async def _audit(settings: "Settings", url: str, log: Path | None, progress: "Progress") -> "Report":
    from steward.cli.isolation_commands import attack_commands
    from steward.database.engine import Database
    from steward.isolation.audit import Target, audit
    from steward.vault import Vault

    database = Database(settings.database_url)
    target: Target = Target(
        url=url,
        database=database,
        files=settings.home / "files",
        vault=Vault(settings.secret_keys),
        metrics_token=settings.metrics_token,
        log=log,
        commands=attack_commands,
    )
    try:
        return await audit(target, progress)
    finally:
        await database.aclose()


@contextmanager
def _progress(*, quiet: bool) -> Iterator["Progress"]:
    """Show on standard error what is being done, if somebody looks."""
    from steward.cli.render import err

    if quiet:
        yield lambda _what, _share: None
        return
    with err().status("Starting…") as status:
        yield lambda what, share: status.update(f"{share:4.0%} {what}")


def _show(report: "Report") -> None:
    """Print the verdict, the kinds of doors, and every finding."""
    from steward.cli.render import plain, say, show, show_table, word

    numbers = report.as_dict()
    show_table(
        ("", "Found"),
        [
            *((plain(meaning), plain(numbers[name], "" if not numbers[name] else "red")) for name, meaning in _SUMMARY),
            (plain("doors declared and attacked"), plain(f"{report.coverage:.1%}")),
        ],
        empty="",
    )
    show("")
    kinds = list(dict.fromkeys(door.kind for door in report.doors))
    rows = []
    for kind in kinds:
        doors = [door for door in report.doors if door.kind is kind]
        covered = sum(door.covered for door in doors)
        rows.append((kind, f"{covered} of {len(doors)}", sum(door.attacks for door in doors)))
    show_table(("Doors", "Covered", "Attacks"), rows, empty="There are no doors.")
    show("")
    show(
        plain(
            f"{report.requests:,} requests, {report.compared:,} pairs of answers, {report.canaries} canaries in "
            f"{report.fields_marked} of {report.fields} fields, {report.rows} rows and files, {report.seconds:.0f} s."
        )
    )
    for finding in report.findings:
        show(word("fail") + plain(f" {finding.kind} ", "bold") + plain(f"{finding.door}: {finding.text}"))
    if report.unmarked:
        say("No canary was accepted in:", ", ".join(report.unmarked))
    show(plain("Nothing was found.", "green") if report.clean else plain(f"{len(report.findings)} findings.", "red"))
