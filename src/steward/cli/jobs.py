"""``steward jobs``: the steps at work, why one is where it is, and what a person may do to it."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Annotated, Any

import typer

from steward.cli.options import All, AsJson, Cursor, JobId, Limit, about, group

app = group("Look at jobs, and cancel, retry or resolve them.")


class Outcome(StrEnum):
    """What a person found out about an unknown outcome."""

    COMPLETED = "completed"
    FAILED = "failed"


@app.command("list")
@about("workspace")
def list_jobs(
    *,
    limit: Limit = 20,
    status: Annotated[str | None, typer.Option(help="Only jobs with this status, e.g. unknown.")] = None,
    plan: Annotated[str | None, typer.Option("--plan", metavar="PLAN", help="Only jobs of this plan.")] = None,
    cursor: Cursor = None,
    every: All = False,
    as_json: AsJson = False,
) -> None:
    """List jobs, newest first.

    Example: steward jobs list --status unknown
    """
    from steward.cli.client import Client
    from steward.cli.render import print_json, say_there_is_more

    with Client.here() as client:
        page = client.listing("/ai/jobs", "jobs", every=every, limit=limit, cursor=cursor, status=status, plan_id=plan)
    if as_json:
        print_json(page)
        return
    jobs_table(page["jobs"])
    say_there_is_more(page)


@app.command("show")
@about("workspace")
def show(job_id: JobId, *, as_json: AsJson = False) -> None:
    """Show one job with its attempts.

    Example: steward jobs show job_01kb2w8v9c0000000000000a
    """
    from steward.cli.client import Client

    with Client.here() as client:
        _print_job(client.get(f"/ai/jobs/{job_id}"), as_json=as_json)


@app.command("explain")
@about("workspace")
def explain(job_id: JobId, *, as_json: AsJson = False) -> None:
    """Say why a job is where it is, and what would change that.

    Example: steward jobs explain job_01kb2w8v9c0000000000000a
    """
    from steward.cli.client import Client
    from steward.cli.render import plain, print_json, show, word

    with Client.here() as client:
        answer = client.get(f"/ai/jobs/{job_id}/explain")
    if as_json:
        print_json(answer)
        return
    show(word(answer["status"]), plain(answer["reason"]["text"]))
    for label, value in (
        ("since", answer["since"]),
        ("changes at", answer["next_change_at"]),
        ("who can act", answer["who"]),
    ):
        if value:
            show(plain(f"{label}: ", "dim") + plain(value))


@app.command("cancel")
@about("workspace")
def cancel(job_id: JobId, *, as_json: AsJson = False) -> None:
    """Cancel a job that has not had its effect, and the steps that need it.

    Example: steward jobs cancel job_01kb2w8v9c0000000000000a
    """
    _act(job_id, "cancel", None, as_json=as_json)


@app.command("retry")
@about("workspace")
def retry(job_id: JobId, *, as_json: AsJson = False) -> None:
    """Try a failed job again, with the steps that its failure cancelled.

    Example: steward jobs retry job_01kb2w8v9c0000000000000a
    """
    _act(job_id, "retry", None, as_json=as_json)


@app.command("resolve")
@about("workspace")
def resolve(
    job_id: JobId,
    *,
    outcome: Annotated[Outcome, typer.Option(help="What really happened.")],
    note: Annotated[str, typer.Option(help="How you know; it is kept with the job.")],
    as_json: AsJson = False,
) -> None:
    """Settle an unknown outcome by hand; the plan goes on from there.

    Example: steward jobs resolve job_01kb2w8v9c0000000000000a --outcome completed --note "it is in the sent folder"
    """
    _act(job_id, "resolve", {"outcome": outcome.value, "note": note}, as_json=as_json)


def jobs_table(jobs: Sequence[Mapping[str, Any]]) -> None:
    """Print jobs as a table."""
    from steward.cli.render import plain, show_table, took, word

    rows = [
        (
            job["job_id"],
            job["step"],
            job["action"],
            word(job["status"]) + plain(f" {job['error']['code']}" if job["error"] else "", "dim"),
            took(job["duration_ms"]),
        )
        for job in jobs
    ]
    show_table(("Job", "Step", "Action", "Status", "Took"), rows, empty="There are no jobs yet.")


def _act(job_id: str, verb: str, body: Mapping[str, Any] | None, *, as_json: bool) -> None:
    from steward.cli.client import Client

    with Client.here() as client:
        _print_job(client.post(f"/ai/jobs/{job_id}/{verb}", body), as_json=as_json)


def _print_job(job: Mapping[str, Any], *, as_json: bool) -> None:
    from steward.cli.render import differences_table, one_line, plain, print_json, show, word

    if as_json:
        print_json(job)
        return
    show(plain(job["job_id"], "bold") + plain("  ") + plain(job["action"]) + plain("  ") + word(job["status"]))
    facts = {
        "plan": job["plan_id"],
        "step": job["step"],
        "enqueued": job["enqueued_at"],
        "started": job["started_at"],
        "finished": job["finished_at"],
        "reason": job["reason"],
        "error": job["error"]["detail"] if job["error"] else None,
        "result": one_line(job["result"], 1000) if job["result"] is not None else None,
        "attempts": one_line(job["attempts"], 2000),
    }
    for label, value in facts.items():
        if value not in (None, ""):
            show(plain(f"{label}: ", "dim") + plain(value))
    if job.get("differences"):
        show(differences_table(job["differences"]))
