"""``steward members``: who acts in a workspace with a token of the identity provider."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from steward.cli.options import AsJson, Workspace, about, group, role_named
from steward.identity import Role

if TYPE_CHECKING:
    from steward.clock import Clock
    from steward.directories.sql import SqlDirectory
    from steward.directory import Member

app = group("Manage members. Works on this machine's database.")
MemberId = Annotated[str, typer.Argument(metavar="MEMBER", help="The 'sub' of the member's tokens.")]


@app.command("list")
@about("installation")
def list_members(*, workspace: Workspace, as_json: AsJson = False) -> None:
    """List the members of a workspace.

    Example: steward members list --workspace acme
    """
    from steward.cli.local import require_workspace, with_directory
    from steward.cli.render import ago, print_json, show_table, word
    from steward.directory_views import member_view

    async def found(directory: "SqlDirectory", _: "Clock") -> tuple["Member", ...]:
        await require_workspace(directory, workspace)
        return await directory.list_members(workspace)

    documents = [member_view(member) for member in with_directory(found)]
    if as_json:
        print_json({"members": documents})
        return
    rows = [
        (
            item["actor_id"],
            "" if item["name"] == item["actor_id"] else item["name"],
            ", ".join(item["roles"]),
            "admin" if item["pinned"] else "token",
            word(item["state"]),
            ago(item["last_seen_at"]),
        )
        for item in documents
    ]
    columns = ("Member", "Name", "Roles", "Set by", "State", "Seen")
    show_table(columns, rows, empty=f"Nobody has come to {workspace} with a token yet.")


@app.command("set")
@about("installation")
def set_member(
    member_id: MemberId,
    *,
    workspace: Workspace,
    role: Annotated[
        list[Role] | None,
        typer.Option(
            "--role",
            "-r",
            parser=role_named,
            metavar="ROLE",
            help="A role, once for each; the token can only narrow them.",
        ),
    ] = None,
    name: Annotated[str | None, typer.Option(help="A name for people.")] = None,
    enable: Annotated[bool, typer.Option("--enable", help="Let a disabled member in again.")] = False,
    as_json: AsJson = False,
) -> None:
    """Make a member, or change one.

    Example: steward members set alice --workspace acme --role developer --role approver
    """
    roles = None if role is None else frozenset(role)
    changes = {"roles": roles, "name": name, "disabled": False if enable else None}
    _settle(workspace, member_id, changes, "is set", as_json=as_json)


@app.command("disable")
@about("installation")
def disable(member_id: MemberId, *, workspace: Workspace, as_json: AsJson = False) -> None:
    """Keep a member out, whatever token it brings; what it asked for and has not been started fails.

    Example: steward members disable alice --workspace acme
    """
    _settle(workspace, member_id, {"disabled": True}, "is disabled", as_json=as_json)


@app.command("remove")
@about("installation")
def remove(member_id: MemberId, *, workspace: Workspace, as_json: AsJson = False) -> None:
    """Forget a member. A later token makes it anew; 'disable' keeps somebody out.

    Example: steward members remove alice --workspace acme
    """
    from steward.cli.local import with_directory
    from steward.cli.render import print_json, say
    from steward.directory import LOCAL_ACTOR

    with_directory(lambda directory, _: directory.remove_member(workspace, member_id, by=LOCAL_ACTOR))
    if as_json:
        print_json({"actor_id": member_id, "removed": True})
    else:
        say(f"Member {member_id} is forgotten.")


def _settle(workspace: str, member_id: str, changes: dict[str, Any], what: str, *, as_json: bool) -> None:
    from steward.cli.local import with_directory
    from steward.cli.render import print_json, say
    from steward.directory import LOCAL_ACTOR
    from steward.directory_views import member_view

    member: Member = with_directory(
        lambda directory, _: directory.set_member(workspace, member_id, by=LOCAL_ACTOR, **changes)
    )
    if as_json:
        print_json(member_view(member))
    else:
        say(f"Member {member.actor_id} {what}: {', '.join(sorted(member.roles)) or 'no role yet'}.")
