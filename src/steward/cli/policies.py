"""``steward policy``: what a workspace lets itself do, and which rule decides a call."""

import json
import re
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from steward.cli.exits import CommandFailed, ExitCode
from steward.cli.options import AsJson, about, group
from steward.ids import is_word

app = group("Look at policies, narrow what may run, and try a change on the past.")
_BACK: Final = re.compile(r"([1-9]\d{0,4})([hd])", re.ASCII)
Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of a policy of the workspace's own.")]
File = Annotated[str, typer.Argument(metavar="FILE", help="A file with the policy in Cedar; '-' reads standard input.")]


@app.command("list")
@about("workspace")
def list_policies(*, as_json: AsJson = False) -> None:
    """List the workspace's own policies and the rules that come with Steward.

    Example: steward policy list
    """
    from steward.cli.client import Client
    from steward.cli.render import print_json, show_table, word

    with Client.here() as client:
        own, defaults = client.get("/policies"), client.get("/policies/default")
    if as_json:
        print_json({**own, "rules": defaults["rules"]})
        return
    rows = [(policy["name"], word("enabled"), f"own, by {policy['changed_by']}") for policy in own["policies"]]
    rows += [
        (rule["name"], word("enabled" if rule["on"] else "disabled"), rule["reason"]) for rule in defaults["rules"]
    ]
    show_table(("Policy", "State", "About"), rows, empty="There are no policies.")


@app.command("show")
@about("workspace")
def show(name: Name, *, as_json: AsJson = False) -> None:
    """Print the text of one of the workspace's own policies.

    Example: steward policy show no_webhooks
    """
    from steward.cli.client import Client
    from steward.cli.render import plain, print_json, show

    with Client.here() as client:
        found = [policy for policy in client.get("/policies")["policies"] if policy["name"] == name]
    if not found:
        raise CommandFailed("There is no such policy.", "'steward policy list' shows what there is.")
    if as_json:
        print_json(found[0])
        return
    show(plain(found[0]["text"].rstrip("\n")))


@app.command("put")
@about("workspace")
def put(name: Name, file: File, *, as_json: AsJson = False) -> None:
    """Keep a policy under a name, in place of one there. It is checked first, and can only forbid.

    Example: steward policy put no_webhooks no_webhooks.cedar
    """
    from steward.cli.client import Client
    from steward.cli.render import print_json, say

    _named(name)
    text = _text(file)
    with Client.here() as client:
        policy = client.put(f"/policies/{name}", {"text": text})
    if as_json:
        print_json(policy)
        return
    say(f"{name} is in force.")


@app.command("remove")
@about("workspace")
def remove(name: Name, *, as_json: AsJson = False) -> None:
    """Remove one of the workspace's own policies.

    Example: steward policy remove no_webhooks
    """
    from steward.cli.client import Client
    from steward.cli.render import print_json, say

    _named(name)
    with Client.here() as client:
        removed = client.delete(f"/policies/{name}")
    if as_json:
        print_json(removed)
        return
    say(f"{name} is removed.")


@app.command("check")
@about("workspace")
def check(
    action_id: Annotated[str, typer.Argument(metavar="ACTION", help="Id of an action, e.g. email.send.")],
    *,
    param: Annotated[
        list[str] | None, typer.Option("--param", "-p", metavar="NAME=VALUE", help="A parameter; may be repeated.")
    ] = None,
    params: Annotated[str | None, typer.Option("--params", metavar="JSON", help="All parameters as JSON.")] = None,
    role: Annotated[str | None, typer.Option("--role", "-r", help="As if you had this role and no other.")] = None,
    as_json: AsJson = False,
) -> None:
    """Say which rule decides a call that you make now, and why. Nothing runs. Ends with 3 if it is denied, 4 if asked.

    Example: steward policy check email.send -p to=office@example.com -p text=Hello
    """
    from steward.cli.client import Client
    from steward.cli.render import plain, print_json, show, word

    body = {"action_id": action_id, "params": _parameters(param or [], params), "role": role}
    with Client.here() as client:
        answer = client.post("/policies/check", body)
    decision = answer["decision"]
    if as_json:
        print_json(answer)
    else:
        show(word(decision["effect"]) + plain(f"  by {decision['rule']}"), plain(decision["reason"]))
        if answer["fix"] not in decision["reason"]:
            show(plain(answer["fix"]))
        if answer["another_person"]:
            show(plain("Another person than who asks has to approve it."))
        if answer["approver_role"]:
            show(plain(f"Whoever approves it must be {answer['approver_role']}."))
    codes = {"deny": ExitCode.REFUSED, "ask": ExitCode.WAITING}
    raise typer.Exit(codes.get(decision["effect"], ExitCode.DONE))


@app.command("diff")
@about("workspace")
def diff(
    file: Annotated[
        str | None, typer.Argument(metavar="[FILE]", help="A policy in Cedar; '-' reads standard input.")
    ] = None,
    *,
    since: Annotated[str, typer.Option(metavar="DURATION", help="How far to look back, e.g. 12h or 30d.")] = "30d",
    name: Annotated[
        str | None, typer.Option(help="The policy that the file would replace; named like the file unless given.")
    ] = None,
    switch_on: Annotated[
        list[str] | None, typer.Option(metavar="RULE", help="An optional rule to try; may be repeated.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say what would have been decided otherwise with a policy: newly denied, asked and allowed. Nothing is changed.

    Example: steward policy diff no_webhooks.cedar --since 30d
    """
    from steward.cli.client import Client
    from steward.cli.render import print_json, say, show_table, word

    body: dict[str, Any] = {"since": _moment(since), "switch_on": switch_on or []}
    if file is not None:
        body |= {"text": _text(file)} | _name_of(file, name)
    elif not switch_on:
        raise CommandFailed("There is nothing to try.", "Give a file, or --switch-on with a rule.", ExitCode.USAGE)
    with Client.here() as client:
        answer = client.post("/policies/diff", body)
    if as_json:
        print_json(answer)
        return
    rows = [
        (word(item["becomes"]), item["count"], item["action_id"], f"{item['was']} by {item['was_rule']}", item["rule"])
        for item in answer["differences"]
    ]
    looked_at = f"{answer['examined']} decisions since {answer['since']}"
    show_table(("Becomes", "Times", "Action", "Was", "By"), rows, empty=f"The same in all of {looked_at}.")
    if rows:
        say(f"Looked at {looked_at}.")
    if not answer["complete"]:
        say("There are more; only the first ones were looked at. Take a shorter --since.")


def _named(name: str) -> None:
    if not is_word(name):
        raise CommandFailed("A policy's name is a-z, 0-9 and '_', starting with a letter.", code=ExitCode.USAGE)


def _name_of(file: str, name: str | None) -> dict[str, str]:
    """Return the name that a tried policy goes by, if it can be told."""
    stem = name or Path(file).stem
    if name is not None:
        _named(name)
    return {"name": stem} if is_word(stem) else {}


def _text(file: str) -> str:
    try:
        return sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise CommandFailed(f"{file} is not text in UTF-8.", code=ExitCode.USAGE) from error


def _moment(since: str) -> str:
    match = _BACK.fullmatch(since)
    if match is None:
        raise CommandFailed("--since is a number and h or d, such as 12h or 30d.", code=ExitCode.USAGE)
    back = timedelta(hours=int(match[1]) * (24 if match[2] == "d" else 1))
    return (datetime.now(UTC) - back).isoformat(timespec="seconds").replace("+00:00", "Z")


def _parameters(pairs: list[str], whole: str | None) -> dict[str, Any]:
    """Return the parameters given one by one or as JSON; a value that reads as JSON is taken so, anything else is text."""
    try:
        given = json.loads(whole) if whole is not None else {}
    except ValueError as error:
        raise CommandFailed("--params is not JSON.", code=ExitCode.USAGE) from error
    if not isinstance(given, dict):
        raise CommandFailed("--params is not a JSON object.", code=ExitCode.USAGE)
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not name or not equals:
            raise CommandFailed("--param is NAME=VALUE.", code=ExitCode.USAGE)
        given[name] = _value(value)
    return given


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
