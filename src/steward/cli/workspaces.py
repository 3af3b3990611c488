"""``steward workspaces``: the tenants of this installation."""

import json
import sys
from pathlib import Path
from typing import Annotated, Final

import typer

from steward.cli.options import AsJson, about, group

WorkspaceId = Annotated[str, typer.Argument(metavar="WORKSPACE", help="Id of a workspace.")]
_MAX_CHARS: Final = 1_000_000
app = group("Manage workspaces. Works on this machine's database.")


@app.command("create")
@about("installation")
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
    from steward.directory_views import workspace_view

    made = with_directory(
        lambda directory, _: directory.create_workspace(workspace_id, name or workspace_id, by=LOCAL_ACTOR)
    )
    if as_json:
        print_json(workspace_view(made))
    else:
        say(
            f"Workspace {made.workspace_id} is there. Now: steward keys create --workspace {made.workspace_id} --role admin"
        )


@app.command("list")
@about("installation")
def list_workspaces(*, as_json: AsJson = False) -> None:
    """List the workspaces.

    Example: steward workspaces list
    """
    from steward.cli.local import with_directory
    from steward.cli.render import ago, print_json, show_table
    from steward.directory_views import workspace_view

    documents = [workspace_view(found) for found in with_directory(lambda directory, _: directory.list_workspaces())]
    if as_json:
        print_json({"workspaces": documents})
        return
    rows = [(item["workspace_id"], item["name"], ago(item["created_at"])) for item in documents]
    show_table(("Workspace", "Name", "Made"), rows, empty="There are no workspaces yet.")


@app.command("show")
@about("installation")
def show_workspace(workspace_id: WorkspaceId, *, as_json: AsJson = False) -> None:
    """Show a workspace with its settings.

    Example: steward workspaces show acme
    """
    from steward.cli.local import require_workspace, with_directory
    from steward.cli.render import plain, print_json, show
    from steward.directory_views import workspace_detail

    document = workspace_detail(with_directory(lambda directory, _: require_workspace(directory, workspace_id)))
    if as_json:
        print_json(document)
        return
    show(plain(document["workspace_id"], "bold") + plain(f"  {document['name']}, made {document['created_at']}"))
    for name, value in document["settings"].items():
        show(plain(f"{name}: ", "dim") + plain(json.dumps(value, ensure_ascii=False) if value else "not set"))


@app.command("settings")
@about("installation")
def change_settings(
    workspace_id: WorkspaceId,
    *,
    file: Annotated[Path, typer.Option("--file", "-f", help="JSON with all settings; '-' reads standard input.")],
    as_json: AsJson = False,
) -> None:
    """Replace a workspace's settings; what the file leaves out is as if never set.

    Example: steward workspaces settings acme --file acme.json
    """
    from pydantic import ValidationError

    from steward.cli.exits import CommandFailed, ExitCode
    from steward.cli.local import with_directory
    from steward.cli.render import print_json, say
    from steward.directory import LOCAL_ACTOR
    from steward.directory_views import workspace_detail
    from steward.policies.cedar_rules import require_optional
    from steward.workspace import WorkspaceSettings

    text = sys.stdin.read(_MAX_CHARS) if str(file) == "-" else file.read_text(encoding="utf-8")
    try:
        settings = WorkspaceSettings.model_validate_json(text)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_context=False, include_input=False)[0]
        place = ".".join(str(part) for part in problem["loc"]) or "the file"
        raise CommandFailed(
            f"These are no settings: {place}: {problem['msg']}.",
            "'steward workspaces show --json' prints settings in the right form.",
            ExitCode.USAGE,
        ) from error
    require_optional(settings.rules, "/rules")
    changed = with_directory(lambda directory, _: directory.change_settings(workspace_id, settings, by=LOCAL_ACTOR))
    if as_json:
        print_json(workspace_detail(changed))
    else:
        say(f"The settings of {changed.workspace_id} are replaced.")
