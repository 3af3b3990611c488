"""``steward plan "…"`` and ``steward run "…"``: from a sentence to a plan, and from a plan to work done."""

import os
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from steward.cli.exits import CommandFailed, ExitCode
from steward.cli.options import AsJson, about
from steward.cli.terminal import confirm, on_a_terminal, out_by_ctrl_c

if TYPE_CHECKING:
    from steward.cli.client import Client

_ROUNDS: Final = 10
_DISABLED: Final = "action_disabled"
"""The rule that names an action which lacks a setting."""
_WHOLE: Final = "prompt"
"""The question about the sentence as a whole, when it was not understood."""
_PHASES: Final = {
    "reading_catalogue": "Looking at what can be done",
    "asking_model": "Asking the language model",
    "checking": "Checking the plan",
    "repairing": "Asking the language model for a better plan",
}
_CATALOGUE: Final = "'steward actions list' shows what can be done, and what a setting would enable."
Sentence = Annotated[str, typer.Argument(metavar="SENTENCE", help="What you want done, in your words.")]
Answer = Annotated[
    list[str] | None, typer.Option("--answer", metavar="NAME=TEXT", help="Answer a question in advance; repeatable.")
]
TimeZone = Annotated[
    str | None, typer.Option("--time-zone", metavar="ZONE", help="What 'tomorrow' means, e.g. Europe/Paris.")
]


@about("workspace")
def plan(
    sentence: Sentence,
    *,
    answer: Answer = None,
    time_zone: TimeZone = None,
    text: Annotated[bool, typer.Option("--text", help="Print plain text instead of a table.")] = False,
    as_json: AsJson = False,
) -> None:
    """Turn a sentence into a checked plan and show it. Nothing runs.

    Example: steward plan "send an email to office@example.com saying The lift is repaired"
    """
    from steward.cli.client import Client
    from steward.cli.render import print_json, say
    from steward.plan_text import plan_text

    with Client.here() as client:
        document = _planned(client, sentence, _answers(answer), time_zone)
        if as_json:
            print_json(document)
        elif text:
            typer.echo(plan_text(document), nl=False)
        else:
            show_plan(client, document)
    if obstacle := _obstacle(document):
        raise obstacle
    if not as_json:
        say(f"Run it with: steward run --plan {document['plan_id']}")


@about("workspace")
def run(
    sentence: Annotated[
        str | None, typer.Argument(metavar="SENTENCE", help="What you want done, in your words.")
    ] = None,
    *,
    plan_id: Annotated[
        str | None, typer.Option("--plan", metavar="PLAN", help="Run a plan made earlier instead of a sentence.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")] = False,
    answer: Answer = None,
    time_zone: TimeZone = None,
    as_json: AsJson = False,
) -> None:
    """Plan, show, ask, run and follow to the end.

    Example: steward run "send an email to office@example.com saying The lift is repaired"
    """
    from steward.cli.client import Client
    from steward.cli.follow import exit_code, follow, show_outcome
    from steward.cli.render import print_json

    if (sentence is None) == (plan_id is None):
        raise typer.BadParameter("give either a sentence or --plan.")
    with Client.here() as client:
        if sentence is not None:
            document = _planned(client, sentence, _answers(answer), time_zone)
        else:
            document = client.get(f"/ai/plans/{plan_id}")
        if not as_json or not yes:
            show_plan(client, document, to_stderr=as_json)
        if obstacle := _obstacle(document):
            if as_json:
                print_json(document)
            raise obstacle
        if not yes:
            confirm("Run it?", "Nothing was run.")
        submitted = client.post(
            "/ai/execute", {"plan_id": document["plan_id"]}, idempotency_key=f"cli-{secrets.token_hex(16)}"
        )
        ended = follow(client, submitted["plan_id"])
    if as_json:
        print_json(ended)
    else:
        show_outcome(ended)
    raise typer.Exit(exit_code(ended))


def show_plan(client: "Client", document: Mapping[str, Any], *, to_stderr: bool = False, whole: bool = False) -> None:
    """Show a plan as a person checks it: what it understood, every step, and why a step waits or may not run.

    Content is cut to what fits a preview unless it is to be shown ``whole``.
    """
    from steward.cli.approvals import approvers
    from steward.cli.render import err, out, plain, steps_table, word

    console = err() if to_stderr else out()
    console.print(plain(document["intent"], "bold"))
    steps = [one for step in document["steps"] for one in (step, *step.get("planned", ()))]
    if steps:
        catalogue = [] if whole else client.get("/actions")["actions"]
        roles = {action["id"]: action["roles"] for action in catalogue}
        console.print(steps_table(steps, roles))
    for step in steps:
        decision = step["decision"]
        if decision["effect"] != "allow":
            console.print(plain(step["id"], "bold"), word(decision["effect"]), plain(decision["reason"]))
        if decision["effect"] == "ask":
            console.print(plain("may approve: ", "dim") + plain(approvers(decision)))


def _planned(client: "Client", sentence: str, answers: Mapping[str, str], time_zone: str | None) -> dict[str, Any]:
    """Return a plan without open questions, asking the person for what it lacks, or the last one with them."""
    context: dict[str, Any] = {"answers": dict(answers)} if answers else {}
    if zone := time_zone or _local_zone():
        context["time_zone"] = zone
    document = _watched(client, "/ai/plan", {"prompt": sentence, **({"context": context} if context else {})})
    for _ in range(_ROUNDS):
        if document["meta"]["denied"] or not document["questions"] or not on_a_terminal():
            break  # no answer changes what policy says
        given = {question["param"]: _ask(question["text"]) for question in document["questions"]}
        document = _watched(client, f"/ai/plans/{document['plan_id']}/revise", {"answers": given})
    return document


def _watched(client: "Client", path: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """Return the plan that a request makes, and say meanwhile what it is at: a language model takes its time."""
    from steward.cli.render import err

    with err().status("Planning…") as status:
        return client.planned(path, body, lambda progress: status.update(words_for(progress)))


def words_for(progress: Mapping[str, Any]) -> str:
    """Return in words how far a plan is."""
    said = _PHASES.get(progress["phase"], "Planning")
    tokens = progress["tokens_in"] + progress["tokens_out"]
    again = f", try {progress['attempt']}" if progress["attempt"] > 1 else ""
    return f"{said}{again}{f' ({tokens} tokens)' if tokens else ''}…"


def _obstacle(document: Mapping[str, Any]) -> CommandFailed | None:
    """Return why the plan cannot be executed as it stands, or None if it can."""
    if document["meta"]["denied"]:
        denied = document["meta"]["denied"]
        return _lacking(denied) or CommandFailed(document["questions"][0]["text"], "", ExitCode.REFUSED)
    if document["questions"]:
        lacking = " ".join(question["text"] for question in document["questions"])
        param = document["questions"][0]["param"]
        advice = _CATALOGUE if param == _WHOLE else f"Say it in the sentence, or add --answer '{param}=…'."
        return CommandFailed(lacking, advice, ExitCode.USAGE)
    if not document["steps"]:
        return CommandFailed(document["explanation"], _CATALOGUE, ExitCode.USAGE)
    denied = [step for step in document["steps"] if step["decision"]["effect"] == "deny"]
    if not denied:
        return None
    if lacking := _lacking([step["decision"] for step in denied]):
        return lacking
    reasons = " ".join(f"{step['id']}: {step['decision']['reason']}" for step in denied)
    return CommandFailed(f"Refused by policy, so nothing was run. {reasons}", "", ExitCode.REFUSED)


def _lacking(denied: Sequence[Mapping[str, Any]]) -> CommandFailed | None:
    """Return which setting is missing, if that is all that stands in the way: then nobody refused anything."""
    if any(decision["rule"] != _DISABLED for decision in denied):
        return None
    said = " ".join(dict.fromkeys(decision["reason"] for decision in denied))
    return CommandFailed(said, "Set it where the server runs and start that again; nothing was run.")


def _ask(question: str) -> str:
    from steward.cli.render import say

    say(question, prose=True)
    with out_by_ctrl_c("Nothing was run."):
        return typer.prompt(">", prompt_suffix=" ", err=True)


def _answers(given: Sequence[str] | None) -> dict[str, str]:
    answers = {}
    for item in given or ():
        name, separator, text = item.partition("=")
        if not separator or not name.strip():
            raise typer.BadParameter("an answer is NAME=TEXT.", param_hint="--answer")
        answers[name.strip()] = text
    return answers


def _local_zone() -> str | None:
    """Return this machine's IANA time zone, if it says which one it is."""
    from zoneinfo import ZoneInfo

    named = os.environ.get("TZ", "").removeprefix(":")
    if not named:
        named = str(Path("/etc/localtime").resolve()).rpartition("/zoneinfo/")[2]
    try:
        return ZoneInfo(named).key if named else None
    except (ValueError, OSError):
        return None
