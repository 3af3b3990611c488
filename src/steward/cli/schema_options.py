"""Options that the commands of ``steward schema`` share."""

from typing import Annotated

import typer

AcceptInvalid = Annotated[
    bool, typer.Option("--accept-invalid", help="Leave records that name no workspace as they are, and call it done.")
]
OneWorkspace = Annotated[
    str | None, typer.Option("--workspace", "-w", metavar="ID", help="Only this workspace's jobs; all unless given.")
]
Rps = Annotated[int, typer.Option("--rps", min=1, max=1_000_000, help="Operations of Redis in a second, at most.")]
Batch = Annotated[int, typer.Option("--batch", min=1, max=10_000, help="Jobs to look at in one go.")]
Execute = Annotated[bool, typer.Option("--execute", help="Do it. Without, it is only counted and nothing is written.")]


def require_workspace(workspace: str | None) -> None:
    """Raise wrong usage unless it is a workspace id, or none."""
    from steward.workspace import canonical_workspace_id

    if workspace is not None and canonical_workspace_id(workspace) is None:
        raise typer.BadParameter(
            "a workspace id is 1 to 32 of a-z, 0-9, '_' and '-', starting with a letter or digit.",
            param_hint="--workspace",
        )
