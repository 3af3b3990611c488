"""``steward workspaces``: the tenants of this installation."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from steward.cli.options import AsJson, group

if TYPE_CHECKING:
    from steward.workspace import Workspace

app = group("Manage workspaces. Works on this machine's database.")


@app.command("create")
def create(
    workspace_id: Annotated[str, typer.Argument(metavar="WORKSPACE", help="1 to 32 of a-z, 0-9, _ and -.")],
    *,
    name: Annotated[str | None, typer.Option(help="A name for people; the id unless given.")] = None,
    as_json: AsJson = False,
) -> None:
    """Make a workspace.

    Example: steward workspaces create acme --name "Acme Ltd"
    """
    from steward.cli.local import with_directory
    from steward.cli.render import print_json, say
    from steward.directory import LOCAL_ACTOR

    made = with_directory(
        lambda directory, _: directory.create_workspace(workspace_id, name or workspace_id, by=LOCAL_ACTOR)
    )
    if as_json:
        print_json(_document(made))
    else:
        say(
            f"Workspace {made.workspace_id} is there. Now: steward keys create --workspace {made.workspace_id} --role admin"
        )


@app.command("list")
def list_workspaces(*, as_json: AsJson = False) -> None:
    """List the workspaces.

    Example: steward workspaces list
    """
    from steward.cli.local import with_directory
    from steward.cli.render import ago, print_json, show_table

    documents = [_document(found) for found in with_directory(lambda directory, _: directory.list_workspaces())]
    if as_json:
        print_json({"workspaces": documents})
        return
    rows = [(item["workspace_id"], item["name"], ago(item["created_at"])) for item in documents]
    show_table(("Workspace", "Name", "Made"), rows, empty="There are no workspaces yet.")


def _document(workspace: "Workspace") -> dict[str, Any]:
    from steward.clock import rfc3339

    return {
        "workspace_id": workspace.workspace_id,
        "name": workspace.name,
        "created_at": rfc3339(workspace.created_at),
    }
