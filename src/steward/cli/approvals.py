"""``steward approvals``: what waits for a person, what exactly would happen, and the person's yes or no."""

from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from steward.cli.options import All, AsJson, Cursor, Limit, about, group

if TYPE_CHECKING:
    from steward.cli.client import Client

app = group("Look at what waits for an approval, and approve or reject it.")
ApprovalId = Annotated[
    str, typer.Argument(metavar="APPROVAL", help="Id of an approval, as 'steward approvals list' shows it.")
]
Comment = Annotated[str | None, typer.Option(help="Why; it is kept with the approval.")]


class Status(StrEnum):
    """Where an approval may be."""

    PENDING = "pending"
    APPROVED = "approved"
    REJECTED = "rejected"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


@app.command("list")
@about("workspace")
def list_approvals(
    *,
    limit: Limit = 20,
    status: Annotated[Status, typer.Option(help="Which ones.")] = Status.PENDING,
    cursor: Cursor = None,
    every: All = False,
    as_json: AsJson = False,
) -> None:
    """List what waits for a decision, newest first.

    Example: steward approvals list
    """
    from steward.cli.client import Client
    from steward.cli.render import ago, one_line, print_json, say_there_is_more, show_table

    with Client.here() as client:
        page = client.listing(
            "/ai/approvals", "approvals", every=every, limit=limit, cursor=cursor, status=status.value
        )
    if as_json:
        print_json(page)
        return
    rows = [
        (
            approval["approval_id"],
            ago(approval["created_at"]),
            "step" if approval["job_id"] else "plan",
            one_line(f"{approval['intent']} {approval['reason']}"),
        )
        for approval in page["approvals"]
    ]
    show_table(
        ("Approval", "Asked", "For a", "What and why"), rows, empty=f"No approval is {status.value}.", clip_last=True
    )
    say_there_is_more(page)


@app.command("show")
@about("workspace")
def show(approval_id: ApprovalId, *, as_json: AsJson = False) -> None:
    """Show what would happen, which rule asks, who may approve it and until when.

    Example: steward approvals show appr_01kb2w8v9c0000000000000a
    """
    from steward.cli.client import Client
    from steward.cli.render import print_json

    with Client.here() as client:
        approval = client.get(f"/ai/approvals/{approval_id}")
        if as_json:
            print_json(approval)
        else:
            _show(client, approval)


@app.command("approve")
@about("workspace")
def approve(
    approval_id: ApprovalId,
    *,
    comment: Comment = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show what would happen, ask for a yes, and approve exactly that.

    Example: steward approvals approve appr_01kb2w8v9c0000000000000a --comment "as agreed on Monday"
    """
    from steward.cli.client import Client
    from steward.cli.terminal import confirm

    with Client.here() as client:
        approval = client.get(f"/ai/approvals/{approval_id}")
        if not as_json or not yes:
            _show(client, approval, to_stderr=as_json)
        if not yes:
            confirm("Approve it?", "Nothing was approved.")
        _decide(client, approval, "approve", comment, as_json=as_json)


@app.command("reject")
@about("workspace")
def reject(approval_id: ApprovalId, *, comment: Comment = None, as_json: AsJson = False) -> None:
    """Reject it: what waits for it is cancelled.

    Example: steward approvals reject appr_01kb2w8v9c0000000000000a --comment "wrong address"
    """
    from steward.cli.client import Client

    with Client.here() as client:
        approval = client.get(f"/ai/approvals/{approval_id}")
        _decide(client, approval, "reject", comment, as_json=as_json)


def approvers(asked: Mapping[str, Any]) -> str:
    """Return, in words, who may give the approval that a decision or an approval asks for."""
    from steward.explain import who_may_approve

    return who_may_approve(asked["approver_role"], another_person=asked["another_person"])


def _decide(client: "Client", approval: Mapping[str, Any], verb: str, comment: str | None, *, as_json: bool) -> None:
    from steward.cli.render import plain, print_json, say, show, word

    body = {"digest": approval["digest"], **({} if comment is None else {"comment": comment})}
    decided = client.post(f"/ai/approvals/{approval['approval_id']}/{verb}", body)
    if as_json:
        print_json(decided)
        return
    show(plain(decided["approval_id"], "bold") + plain("  ") + word(decided["status"]))
    say(f"See what becomes of it with: steward plans show {decided['plan_id']}")


def _show(client: "Client", approval: Mapping[str, Any], *, to_stderr: bool = False) -> None:
    from steward.cli.render import differences_table, err, out, plain, word
    from steward.cli.run_sentence import show_plan

    console = err() if to_stderr else out()
    console.print(plain(approval["approval_id"], "bold") + plain("  ") + word(approval["status"]))
    show_plan(client, approval, to_stderr=to_stderr, whole=True)
    facts = {
        "rule": approval["rule"],
        "asked by": approval["requested_by"],
        "may approve": approvers(approval),
        "expires": approval["expires_at"],
        "decided by": approval["decided_by"],
        "comment": approval["comment"],
        "plan": approval["plan_id"],
    }
    if approval["differences"]:
        console.print(plain("It has changed since, so it is held and has not run:", "yellow"))
        console.print(differences_table(approval["differences"]))
    for label, value in facts.items():
        if value:
            console.print(plain(f"{label}: ", "dim") + plain(value))
