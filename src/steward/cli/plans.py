"""``steward plans``: what was planned and what became of it."""

from typing import Annotated, Any

import typer

from steward.cli.options import All, AsJson, Cursor, Limit, PlanId, about, group

app = group("Look at plans, and cancel them.")


@app.command("list")
@about("workspace")
def list_plans(
    *,
    limit: Limit = 20,
    status: Annotated[str | None, typer.Option(help="Only plans with this status, e.g. running.")] = None,
    cursor: Cursor = None,
    every: All = False,
    as_json: AsJson = False,
) -> None:
    """List plans, newest first.

    Example: steward plans list --status failed
    """
    from steward.cli.client import Client
    from steward.cli.render import ago, one_line, print_json, say_there_is_more, show_table, word

    with Client.here() as client:
        page = client.listing("/ai/plans", "plans", every=every, limit=limit, cursor=cursor, status=status)
    if as_json:
        print_json(page)
        return
    rows = [
        (plan["plan_id"], word(plan["status"]), ago(plan["created_at"]), one_line(plan["prompt"]))
        for plan in page["plans"]
    ]
    show_table(("Plan", "Status", "Made", "Sentence"), rows, empty="There are no plans yet.", clip_last=True)
    say_there_is_more(page)


@app.command("show")
@about("workspace")
def show(plan_id: PlanId, *, as_json: AsJson = False) -> None:
    """Show a plan: its steps, decisions and jobs.

    Example: steward plans show plan_01kb2w8v9c0000000000000a
    """
    from steward.cli.client import Client
    from steward.cli.render import print_json
    from steward.cli.run_sentence import show_plan

    with Client.here() as client:
        plan = client.get(f"/ai/plans/{plan_id}")
        if as_json:
            print_json(plan)
            return
        show_plan(client, plan)
    _show_jobs(plan)


@app.command("cancel")
@about("workspace")
def cancel(plan_id: PlanId, *, as_json: AsJson = False) -> None:
    """Cancel what has not started, and ask what runs to stop.

    Example: steward plans cancel plan_01kb2w8v9c0000000000000a
    """
    from steward.cli.client import Client
    from steward.cli.render import print_json

    with Client.here() as client:
        plan = client.post(f"/ai/plans/{plan_id}/cancel")
    if as_json:
        print_json(plan)
    else:
        _show_jobs(plan)


def _show_jobs(plan: dict[str, Any]) -> None:
    from steward.cli.jobs import jobs_table
    from steward.cli.render import plain, show, word

    show(plain(plan["plan_id"], "bold") + plain("  ") + word(plan["status"]))
    if plan["jobs"]:
        jobs_table(plan["jobs"])
