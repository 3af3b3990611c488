"""``steward actions``: what can be done here."""

from typing import Annotated

import typer

from steward.cli.exits import CommandFailed
from steward.cli.options import AsJson, about, group

app = group("See what can be done here.")


@app.command("list")
@about("shared")
def list_actions(*, as_json: AsJson = False) -> None:
    """List the catalogue.

    Example: steward actions list
    """
    from steward.cli.client import Client
    from steward.cli.render import print_json, show_table, word

    with Client.here() as client:
        answer = client.get("/actions")
    if as_json:
        print_json(answer)
        return
    rows = [
        (
            action["id"],
            action["effect"],
            word("enabled" if action["enabled"] else "disabled"),
            action["description"] if action["enabled"] else action["disabled_because"],
        )
        for action in answer["actions"]
    ]
    show_table(("Action", "Effect", "State", "What it does"), rows, empty="There are no actions.")


@app.command("show")
@about("shared")
def show(
    action_id: Annotated[str, typer.Argument(metavar="ACTION", help="Id of an action, e.g. email.send.")],
    *,
    as_json: AsJson = False,
) -> None:
    """Show one action with its parameters.

    Example: steward actions show email.send
    """
    from steward.cli.client import Client
    from steward.cli.render import plain, print_json, show, show_table

    with Client.here() as client:
        found = [action for action in client.get("/actions")["actions"] if action["id"] == action_id]
    if not found:
        raise CommandFailed("There is no such action.", "'steward actions list' shows what there is.")
    action = found[0]
    if as_json:
        print_json(action)
        return
    show(
        plain(action["id"], "bold") + plain(f"  {action['effect']}, retry {action['retry']}, {action['reversibility']}")
    )
    show(plain(action["description"] if action["enabled"] else action["disabled_because"]))
    schema = action["input_schema"]
    required = set(schema.get("required", []))
    rows = [
        (name, "yes" if name in required else "", action["roles"].get(name, ""), about.get("description", ""))
        for name, about in schema.get("properties", {}).items()
    ]
    show_table(("Parameter", "Needed", "Role", "Meaning"), rows, empty="It takes no parameters.")
