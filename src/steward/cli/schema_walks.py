"""``steward schema backfill`` and ``retire``: the two walks over all keys, which take as long as they are given.

A dry run unless told to write. Stopped by Ctrl-C, they keep their place and go on from it the next time.
"""

import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from steward.cli.exits import CommandFailed, ExitCode
from steward.cli.options import AsJson, about
from steward.cli.schema_options import AcceptInvalid, Batch, Execute, OneWorkspace, Rps, require_workspace

if TYPE_CHECKING:
    from steward.key_schema import BackfillProgress, Retired
    from steward.schema_desk import SchemaDesk
    from steward.telemetry import Telemetry

MaxKeys = Annotated[
    int | None, typer.Option("--max-keys", min=1, help="Stop after so many jobs; the next run goes on from there.")
]
Restart = Annotated[bool, typer.Option("--restart", help="Begin anew instead of where the last run stopped.")]
Step = TypeVar("Step")


@about("installation")
def backfill(
    *,
    execute: Execute = False,
    rps: Rps = 1000,
    batch: Batch = 500,
    max_keys: MaxKeys = None,
    workspace: OneWorkspace = None,
    restart: Restart = False,
    accept_invalid: AcceptInvalid = False,
    as_json: AsJson = False,
) -> None:
    """Write the new keys of old jobs. Counts only, unless told to --execute; exits 1 on any error or invalid record.

    It can be repeated and stopped at any time: what is newer is never overwritten, and nothing is removed.

    Example: steward schema backfill --rps 200

    Example: steward schema backfill --execute --workspace acme --max-keys 10000
    """
    from steward.cli.render import print_json, show_table
    from steward.cli.schema_local import LOCAL
    from steward.schema_metrics import backfill_series

    require_workspace(workspace)
    last, telemetry = _walk(
        lambda desk: desk.backfill(
            execute=execute,
            by=LOCAL,
            workspace_id=workspace,
            operations_per_s=rps,
            batch=batch,
            max_keys=max_keys,
            restart=restart,
        ),
        _backfilled,
        f"steward schema backfill{' --execute' if execute else ''}",
        quiet=as_json,
    )
    series = backfill_series(last, telemetry.workspace_label(workspace))
    if as_json:
        print_json({**asdict(last), "executed": execute, "metrics": dict(series)})
    else:
        words = ("Scanned", "Moved" if execute else "To be moved", "There already", "Invalid", "Errors", "Operations")
        rows = [(meant, f"{count:,}") for meant, count in zip(words, series.values(), strict=True)]
        show_table(("Backfill" if execute else "Dry run", "Count"), rows, empty="")
        sys.stdout.write("\n" + "".join(f"{name} {count}\n" for name, count in series.items()))
    _judge_backfill(last, execute=execute, accept_invalid=accept_invalid)


@about("installation")
def retire(
    *,
    execute: Execute = False,
    rps: Rps = 1000,
    batch: Batch = 500,
    accept_invalid: AcceptInvalid = False,
    as_json: AsJson = False,
) -> None:
    """Remove old keys, job by job, where the new one was verified. Counts only, unless told to --execute.

    Example: steward schema retire --execute
    """
    from steward.cli.render import print_json, show_table
    from steward.cli.schema_local import LOCAL

    last, _ = _walk(
        lambda desk: desk.retire(execute=execute, by=LOCAL, operations_per_s=rps, batch=batch),
        _retired,
        f"steward schema retire{' --execute' if execute else ''}",
        quiet=as_json,
    )
    if as_json:
        print_json({**asdict(last), "executed": execute})
    else:
        rows = [("Can be removed", f"{last.removable:,}"), ("Removed", f"{last.removed:,}"), ("Kept", f"{last.kept:,}")]
        show_table(("Retirement" if execute else "Dry run", "Old keys"), rows, empty="")
    if last.kept and not accept_invalid:
        raise CommandFailed(
            f"{last.kept:,} old keys have no verified twin and stay.", "'steward schema verify' says which and why."
        )


def _walk(
    steps: "Callable[[SchemaDesk], AsyncIterator[Step]]",
    told: "Callable[[Step], tuple[int, int, str]]",
    again: str,
    *,
    quiet: bool,
) -> "tuple[Step, Telemetry]":
    """Walk to the end, showing how far it is; return the last step. ``told`` says: done, of how many, what else."""
    from steward.cli.schema_local import with_schema
    from steward.cli.schema_progress import progress_shown

    seen: list[Step] = []

    async def work(desk: "SchemaDesk", telemetry: "Telemetry") -> "Telemetry":
        with progress_shown(quiet=quiet) as show:
            async for step in steps(desk):
                seen[:] = [step]
                show(*told(step))
        return telemetry

    try:
        telemetry = with_schema(work)
    except KeyboardInterrupt as stop:
        where = told(seen[0])[2] if seen else "nothing was done yet"
        raise CommandFailed(
            f"Stopped: {where}. The place is kept.", f"Go on from there with: {again}", ExitCode.INTERRUPTED
        ) from stop
    return seen[0], telemetry


def _backfilled(progress: "BackfillProgress") -> tuple[int, int, str]:
    bad = progress.skipped_invalid + progress.errors
    at = f", last {progress.last_job_id}" if progress.last_job_id else ""
    said = (
        f"{progress.scanned:,} of {progress.total:,} jobs, {progress.migrated:,} to new keys, {bad:,} could not be{at}"
    )
    return progress.scanned, progress.total, said


def _retired(retired: "Retired") -> tuple[int, int, str]:
    looked_at = retired.removable + retired.kept
    said = f"{retired.removable:,} can be removed, {retired.removed:,} removed, {retired.kept:,} kept"
    return looked_at, looked_at, said


def _judge_backfill(last: "BackfillProgress", *, execute: bool, accept_invalid: bool) -> None:
    from steward.cli.render import say

    if last.errors:
        raise CommandFailed(f"{last.errors:,} jobs could not be moved.", "The log says why; run it again.")
    if last.skipped_invalid and not accept_invalid:
        raise CommandFailed(
            f"{last.skipped_invalid:,} records cannot be moved as they are.",
            "'steward schema verify' shows some; remove them, or leave them with --accept-invalid.",
        )
    if not last.finished:
        say("It stopped at --max-keys; run it again to go on from there.")
    elif not execute:
        say("Nothing was written. Do it with: steward schema backfill --execute")
