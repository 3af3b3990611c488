"""``steward schema``: move the keys of jobs in Redis from the older shape to today's, while everything runs.

Works on this machine's installation: being there is the credential. ``docs/how-to/migrate-keys.md`` is the path.
"""

from typing import TYPE_CHECKING, Annotated

import typer

from steward.cli import schema_walks
from steward.cli.exits import CommandFailed
from steward.cli.options import AsJson, about, group
from steward.cli.schema_options import AcceptInvalid, OneWorkspace, require_workspace
from steward.key_schema import Phase

if TYPE_CHECKING:
    from steward.key_schema import SchemaStatus, Verified

app = group("Move the keys of jobs in Redis from the older shape to today's. Works on this machine's installation.")
To = Annotated[Phase, typer.Option("--to", help="The phase to go to.")]


@app.command("status")
@about("installation")
def status(*, as_json: AsJson = False) -> None:
    """Show the phase, how many jobs there are of each shape, and what was counted in each phase.

    Example: steward schema status
    """
    from steward.cli.schema_local import with_schema

    _show(with_schema(lambda desk, _: desk.status()), as_json=as_json)


@app.command("advance")
@about("installation")
def advance(*, to: To, accept_invalid: AcceptInvalid = False, as_json: AsJson = False) -> None:
    """Go to a later phase; in force in every process at once. A refusal says what to do first.

    Example: steward schema advance --to new-read
    """
    from steward.cli.schema_local import LOCAL, with_schema

    reached = with_schema(lambda desk, _: desk.advance(to, accept_invalid=accept_invalid, by=LOCAL))
    _show(reached, as_json=as_json)


@app.command("back")
@about("installation")
def back(*, as_json: AsJson = False) -> None:
    """Go one phase back; from new-only the old keys are filled again first.

    Example: steward schema back
    """
    from steward.cli.schema_local import LOCAL, with_schema

    _show(with_schema(lambda desk, _: desk.back(by=LOCAL)), as_json=as_json)


app.command("backfill")(schema_walks.backfill)


@app.command("verify")
@about("installation")
def verify(*, workspace: OneWorkspace = None, accept_invalid: AcceptInvalid = False, as_json: AsJson = False) -> None:
    """Compare both copies of every job. Exits 1 if anything is missing, different, extra or invalid.

    Example: steward schema verify
    """
    from steward.cli.render import print_json
    from steward.cli.schema_local import LOCAL, with_schema
    from steward.schema_views import clean, verified_view

    require_workspace(workspace)
    found = with_schema(lambda desk, _: desk.verify(workspace_id=workspace, by=LOCAL))
    if as_json:
        print_json(verified_view(found))
    else:
        _show_verified(found)
    if not clean(found, accept_invalid=accept_invalid):
        raise CommandFailed(
            "The copies do not agree everywhere.",
            "'steward schema backfill --execute' writes what is missing; invalid keys are removed by hand or accepted "
            "with --accept-invalid.",
        )


app.command("retire")(schema_walks.retire)


def _show(found: "SchemaStatus", *, as_json: bool) -> None:
    from dataclasses import asdict

    from steward.cli.render import plain, print_json, show, show_table

    if as_json:
        print_json(asdict(found))
        return
    show(plain("Phase: ", "dim") + plain(found.phase, "bold"))
    show(plain(f"{found.legacy_jobs:,} jobs under old keys, {found.current_jobs:,} under new ones, as last counted."))
    if not found.recorded:
        show(
            plain(
                "It is not recorded yet: the next start that finds jobs counts them and records it, as legacy-read if there are "
                "old ones.",
                "yellow",
            )
        )
    if not found.adopted:
        show(plain("Not every old job is in the index yet; a server or worker that starts goes on with it.", "yellow"))
    verified = "The last comparison found both copies equal." if found.verified else "Not verified."
    show(plain(verified, "green" if found.verified else "dim"))
    rows = [
        (
            phase,
            *(f"{found.read_paths.get(phase, {}).get(path, 0):,}" for path in ("new", "old", "miss")),
            f"{found.errors.get(phase, 0.0):.2%}",
            f"{found.p99_ms[phase]:.1f} ms" if phase in found.p99_ms else "",
        )
        for phase in Phase
    ]
    show_table(("In phase", "Read new", "Read old", "Missed", "Errors", "p99"), rows, empty="")


def _show_verified(found: "Verified") -> None:
    from steward.cli.render import plain, show, show_table, word

    kinds = ("missing", "different", "extra", "invalid")
    rows = [
        (workspace, *(f"{counts.get(kind, 0):,}" for kind in kinds))
        for workspace, counts in sorted(found.by_workspace.items())
    ]
    rows.append(("all", f"{found.missing:,}", f"{found.different:,}", f"{found.extra:,}", f"{found.invalid:,}"))
    show_table(("Workspace", *(kind.title() for kind in kinds)), rows, empty="")
    show(plain(f"{found.compared:,} jobs compared."))
    for one in found.examples:
        fields = f" in {', '.join(one.fields)}" if one.fields else ""
        show(word("fail") + plain(f" {one.kind}{fields}: {one.workspace_id} {one.job_id}"))
