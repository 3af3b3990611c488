"""Follows a submitted plan to its end: each change of a step is a line on standard error, as it happens.

Events only say that something changed; what is shown is always read anew, so a missed or repeated event shows nothing wrong.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from rich.text import Text

from steward.cli.approvals import approvers
from steward.cli.client import Client
from steward.cli.exits import CommandFailed, ExitCode, Unreachable
from steward.cli.render import MARKS, err, one_line, plain, say, show, took, word

MOVING: Final = frozenset({"pending", "running", "scheduled"})
_BLOCKED: Final = frozenset({"held", "unknown"})
_ENDED: Final = frozenset({"completed", "failed", "cancelled", "rejected", "expired"})
_QUIET_S: Final = 5.0
_PATIENCE: Final = 3
"""Quiet spells with nothing but ready steps before it is said that perhaps nobody works."""
_ADVICE: Final = {
    "failed": ("Ask why: steward jobs explain {0}", "Try again: steward jobs retry {0}"),
    "unknown": (
        "Find out whether it happened, then say so:",
        "steward jobs resolve {0} --outcome completed|failed --note …",
    ),
}


def follow(client: Client, plan_id: str) -> dict[str, Any]:
    """Return the plan once nothing moves in it by itself any more, having shown how it got there."""
    seen: dict[str, str] = {}
    last: str | None = None
    quiet = 0
    try:
        with err().status("Working…") as spinner:
            while True:
                with client.events(plan_id, last, quiet_s=_QUIET_S) as ids:
                    plan = client.get(f"/ai/plans/{plan_id}")
                    _show_changes(plan, seen)
                    if _at_rest(plan):
                        return plan
                    for event_id in ids:
                        last, quiet = event_id or last, 0
                        plan = client.get(f"/ai/plans/{plan_id}")
                        _show_changes(plan, seen)
                        if _at_rest(plan):
                            return plan
                        spinner.update(_doing(plan))
                quiet += 1
                if quiet == _PATIENCE and not _somebody_works(plan):
                    say("No worker has taken it yet: is 'steward up' or 'steward worker' running?")
    except Unreachable as gone:
        raise CommandFailed(
            f"The server went away; plan {plan_id} was submitted and goes on when it is back.",
            f"Start it again, then: steward plans show {plan_id}",
        ) from gone
    except KeyboardInterrupt as stop:
        raise CommandFailed(
            "You stopped watching; the work goes on.",
            f"See it with 'steward plans show {plan_id}'; stop it with 'steward plans cancel {plan_id}'.",
            ExitCode.INTERRUPTED,
        ) from stop


def exit_code(plan: Mapping[str, Any]) -> ExitCode:
    """Return how a plan at rest ends the command."""
    statuses = {job["status"] for job in plan["jobs"]}
    if plan["status"] == "completed":
        return ExitCode.DONE
    asking = plan["status"] not in _ENDED and any(_pending(plan))
    return ExitCode.WAITING if asking and "unknown" not in statuses else ExitCode.FAILED


def _pending(plan: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield what still waits for a person's yes."""
    return (approval for approval in plan["approvals"] if approval["status"] == "pending")


def show_outcome(plan: Mapping[str, Any]) -> None:
    """Print what came of it on standard output, and say what a person can do about what went wrong."""
    for job in plan["jobs"]:
        if job["status"] == "completed" and job["result"] is not None:
            show(plain(f"{job['step']} ", "bold") + plain(one_line(job["result"])))
        elif advice := _ADVICE.get(job["status"]):
            show(plain(f"{job['step']} ", "bold") + word(job["status"]) + plain(f" {_why(job)}"))
            for line in advice:
                say(" ", line.format(job["job_id"]))
        elif job["held_for"] == "drift":
            show(plain(f"{job['step']} ", "bold") + word(job["status"]) + plain(f" {job['reason']}"))
            say(" ", f"Cancel it and make the plan again: steward plans cancel {plan['plan_id']}")
    for approval in _pending(plan):
        show(word("ask") + plain(f" {approval['reason']}") + plain(f" It waits for {approvers(approval)}."))
        say(" ", f"Look at it and decide: steward approvals approve {approval['approval_id']}")
    ending = " It waits for an approval." if exit_code(plan) is ExitCode.WAITING else ""
    show(plain("Plan ") + plain(plan["plan_id"], "bold") + plain(" ") + word(plan["status"]) + plain(ending))


def _why(job: Mapping[str, Any]) -> str:
    return job["error"]["detail"] if job["error"] else ""


def _at_rest(plan: Mapping[str, Any]) -> bool:
    """Say whether it has ended, or goes on only when a person does something."""
    statuses = {job["status"] for job in plan["jobs"]}
    return plan["status"] in _ENDED or (not statuses & MOVING and bool(statuses & _BLOCKED))


def _somebody_works(plan: Mapping[str, Any]) -> bool:
    return any(job["started_at"] for job in plan["jobs"])


def _doing(plan: Mapping[str, Any]) -> str:
    busy = [f"{job['step']} {job['status']}" for job in plan["jobs"] if job["status"] in MOVING]
    return ", ".join(busy[:3]) or "Working…"


def _show_changes(plan: Mapping[str, Any], seen: dict[str, str]) -> None:
    for job in plan["jobs"]:
        status = job["status"]
        if seen.get(job["job_id"], "waiting" if status == "waiting" else "pending") == status:
            continue
        seen[job["job_id"]] = status
        more = plain(job["error"]["code"] if job["error"] else took(job["duration_ms"]), "dim")
        say(Text(MARKS.get(status, "·")), plain(job["step"], "bold"), job["action"], word(status), more)
