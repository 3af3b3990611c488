"""``steward keys``: API keys, made, replaced and revoked on the machine that holds the database."""

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from steward.cli.options import AsJson, KeyId, about, duration, group, role_named
from steward.identity import Role

if TYPE_CHECKING:
    from steward.clock import Clock
    from steward.directories.sql import SqlDirectory
    from steward.directory import ApiKey

app = group("Manage API keys. Works on this machine's database.")
ExpiresIn = Annotated[
    str | None,
    typer.Option(
        "--expires-in", metavar="DURATION", help="How long it is valid, e.g. 12h or 30d; for ever unless given."
    ),
]


@app.command("create")
@about("installation")
def create(
    *,
    workspace: Annotated[str, typer.Option("--workspace", "-w", help="The workspace it acts in.")],
    role: Annotated[
        Role,
        typer.Option(
            "--role", "-r", parser=role_named, metavar="ROLE", help="What it may do; operator only in workspace system."
        ),
    ],
    name: Annotated[str | None, typer.Option(help="A name for people; the role unless given.")] = None,
    owner: Annotated[
        str | None,
        typer.Option(metavar="MEMBER", help="The member it is for; without one it never counts as another person."),
    ] = None,
    expires_in: ExpiresIn = None,
    as_json: AsJson = False,
) -> None:
    """Make a key. It is shown once and kept nowhere.

    Example: steward keys create --workspace acme --role developer --expires-in 30d
    """
    from steward.authenticators.api_key import mint_key
    from steward.cli.local import with_directory
    from steward.directory import LOCAL_ACTOR
    from steward.ids import IdFactory

    validity = duration(expires_in, "--expires-in")

    async def make(directory: "SqlDirectory", clock: "Clock") -> tuple["ApiKey", str]:
        key, token = mint_key(IdFactory(clock), clock, workspace, role, name or role.value, validity, owner=owner)
        await directory.add_key(key, by=LOCAL_ACTOR)
        return key, token

    _hand_out(*with_directory(make), as_json=as_json)


@app.command("rotate")
@about("installation")
def rotate(
    key_id: KeyId,
    *,
    overlap: Annotated[str, typer.Option(metavar="DURATION", help="How long the old key still works.")] = "24h",
    expires_in: Annotated[
        str | None,
        typer.Option(
            "--expires-in",
            metavar="DURATION",
            help="How long the new one is valid; as long as the old one unless given.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Replace a key by a new one with the same role; what the old one asked for goes on.

    Example: steward keys rotate key_01kb2w8v9c0000000000000a --overlap 24h
    """
    from steward.authenticators.api_key import mint_successor
    from steward.cli.local import with_directory
    from steward.directory import LOCAL_ACTOR
    from steward.errors import NotFound
    from steward.ids import IdFactory

    validity, still = duration(expires_in, "--expires-in"), duration(overlap, "--overlap")
    assert still is not None

    async def replace(directory: "SqlDirectory", clock: "Clock") -> tuple["ApiKey", str]:
        old = await directory.get_key(key_id)
        if old is None:
            raise NotFound("There is no such key.", code="unknown_key")
        new, token = mint_successor(IdFactory(clock), clock, old, validity)
        await directory.replace_key(key_id, new, still, by=LOCAL_ACTOR)
        return new, token

    _hand_out(*with_directory(replace), as_json=as_json)


def _hand_out(key: "ApiKey", token: str, *, as_json: bool) -> None:
    """Show a key this once."""
    from steward.cli.render import print_json, say
    from steward.directory_views import new_key_view

    if as_json:
        shown = new_key_view(key, token)
        if key.owner is None:  # the documented members and no more
            del shown["owner"]
        print_json(shown)
        return
    sys.stdout.write(f"{token}\n")
    say("Keep it now; it is not shown again. Use it as STEWARD_API_KEY or 'Authorization: Bearer …'.")


@app.command("list")
@about("installation")
def list_keys(
    *,
    workspace: Annotated[str | None, typer.Option("--workspace", "-w", help="Only keys of this workspace.")] = None,
    as_json: AsJson = False,
) -> None:
    """List the keys, oldest first, never their secrets.

    Example: steward keys list --workspace acme
    """
    from steward.cli.local import require_workspace, with_directory
    from steward.cli.render import plain, print_json, show_table, word
    from steward.clock import SystemClock
    from steward.directory_views import key_view

    async def found(directory: "SqlDirectory", _: "Clock") -> tuple["ApiKey", ...]:
        if workspace is not None:
            await require_workspace(directory, workspace)
        return await directory.list_keys(workspace)

    keys = with_directory(found)
    documents = [key_view(key, SystemClock().now()) for key in keys]
    if as_json:
        print_json({"keys": documents})
        return
    rows = [
        (
            item["key_id"],
            *(() if workspace else (item["workspace_id"],)),
            item["role"],
            word(item["state"]) + plain("".join(f"\n{line}" for line in _times(item))),
            "\n".join(
                line
                for line in (
                    "" if item["name"] == item["role"] else item["name"],
                    f"of {item['owner']}" if item["owner"] else "",
                )
                if line
            ),
        )
        for item in documents
    ]
    columns = ("Key", *(() if workspace else ("Workspace",)), "Role", "State, used", "Name, owner")
    show_table(columns, rows, empty="There are no keys yet.")


def _times(key: dict[str, Any]) -> tuple[str, ...]:
    """Return when a good key ends, if it does, and when it was last used, if it was."""
    from steward.cli.render import ago, ahead

    ends = key["expires_at"] if key["state"] == "enabled" else None
    return tuple(line for line in (ends and f"ends {ahead(ends)}", ago(key["last_used_at"])) if line)


@app.command("role")
@about("installation")
def change_role(
    key_id: KeyId,
    role: Annotated[
        Role, typer.Argument(metavar="ROLE", parser=role_named, help="viewer, developer, approver, auditor or admin.")
    ],
    *,
    as_json: AsJson = False,
) -> None:
    """Give a key another role; it holds for what the key has asked for and has not been started, too.

    Example: steward keys role key_01kb2w8v9c0000000000000a viewer
    """
    from steward.cli.local import with_directory
    from steward.directory import LOCAL_ACTOR

    key = with_directory(lambda directory, _: directory.change_key_role(key_id, role, by=LOCAL_ACTOR))
    _show(key, f"Key {key.key_id} is now {key.role.value}.", as_json=as_json)


@app.command("revoke")
@about("installation")
def revoke(key_id: KeyId, *, as_json: AsJson = False) -> None:
    """Revoke a key for good; a fifth of a second later every process refuses it.

    Example: steward keys revoke key_01kb2w8v9c0000000000000a
    """
    from steward.cli.local import with_directory
    from steward.directory import LOCAL_ACTOR

    key = with_directory(lambda directory, _: directory.revoke_key(key_id, by=LOCAL_ACTOR))
    _show(key, f"Key {key.key_id} is revoked.", as_json=as_json)


def _show(key: "ApiKey", sentence: str, *, as_json: bool) -> None:
    from steward.cli.render import print_json, say
    from steward.clock import SystemClock
    from steward.directory_views import key_view

    if as_json:
        print_json(key_view(key, SystemClock().now()))
    else:
        say(sentence)
