"""``steward keys``: API keys, made and revoked on the machine that holds the database."""

import re
import sys
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from steward.cli.options import AsJson, group
from steward.identity import Role

if TYPE_CHECKING:
    from steward.clock import Clock
    from steward.directories.sql import SqlDirectory
    from steward.directory import ApiKey

app = group("Manage API keys. Works on this machine's database.")
_DURATION: Final = re.compile(r"([1-9]\d{0,5})([smhdw])", re.ASCII)
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


@app.command("create")
def create(
    *,
    workspace: Annotated[str, typer.Option("--workspace", "-w", help="The workspace it acts in.")],
    role: Annotated[Role, typer.Option("--role", "-r", help="What it may do; operator only in workspace system.")],
    name: Annotated[str | None, typer.Option(help="A name for people; the role unless given.")] = None,
    expires_in: Annotated[
        str | None,
        typer.Option(metavar="DURATION", help="How long it is valid, e.g. 12h or 30d; for ever unless given."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make a key. It is shown once and kept nowhere.

    Example: steward keys create --workspace acme --role developer --expires-in 30d
    """
    from steward.authenticators.api_key import mint_key
    from steward.cli.local import with_directory
    from steward.cli.render import print_json, say
    from steward.directory import LOCAL_ACTOR
    from steward.ids import IdFactory

    validity = _duration(expires_in)

    async def make(directory: "SqlDirectory", clock: "Clock") -> tuple["ApiKey", str]:
        key, token = mint_key(IdFactory(clock), clock, workspace, role, name or role.value, validity)
        await directory.add_key(key, by=LOCAL_ACTOR)
        return key, token

    key, token = with_directory(make)
    if as_json:
        print_json({"key_id": key.key_id, "key": token, **_facts(key)})
        return
    sys.stdout.write(f"{token}\n")
    say("Keep it now; it is not shown again. Use it as STEWARD_API_KEY or 'Authorization: Bearer …'.")


@app.command("list")
def list_keys(
    *,
    workspace: Annotated[str | None, typer.Option("--workspace", "-w", help="Only keys of this workspace.")] = None,
    as_json: AsJson = False,
) -> None:
    """List the keys, oldest first, never their secrets.

    Example: steward keys list --workspace acme
    """
    from steward.cli.local import with_directory
    from steward.cli.render import ago, print_json, show_table, word

    keys = with_directory(lambda directory, _: directory.list_keys(workspace))
    documents = [_document(key) for key in keys]
    if as_json:
        print_json({"keys": documents})
        return
    rows = [
        (
            item["key_id"],
            item["workspace_id"],
            item["role"],
            item["name"],
            word(item["state"]),
            ago(item["last_used_at"]),
        )
        for item in documents
    ]
    show_table(("Key", "Workspace", "Role", "Name", "State", "Used"), rows, empty="There are no keys yet.")


@app.command("revoke")
def revoke(
    key_id: Annotated[str, typer.Argument(metavar="KEY", help="Id of a key, as 'steward keys list' shows it.")],
    *,
    as_json: AsJson = False,
) -> None:
    """Revoke a key for good; the next request with it is refused.

    Example: steward keys revoke key_01kb2w8v9c0000000000000a
    """
    from steward.cli.local import with_directory
    from steward.cli.render import print_json, say
    from steward.directory import LOCAL_ACTOR

    key = with_directory(lambda directory, _: directory.revoke_key(key_id, by=LOCAL_ACTOR))
    if as_json:
        print_json(_document(key))
    else:
        say(f"Key {key.key_id} is revoked.")


def _duration(text: str | None) -> timedelta | None:
    if text is None:
        return None
    match = _DURATION.fullmatch(text)
    if match is None:
        raise typer.BadParameter(
            "a duration is a number and s, m, h, d or w, for example 30d.", param_hint="--expires-in"
        )
    return timedelta(**{_UNITS[match[2]]: int(match[1])})


def _time(moment: datetime | None) -> str | None:
    from steward.clock import rfc3339

    return None if moment is None else rfc3339(moment)


def _facts(key: "ApiKey") -> dict[str, Any]:
    return {
        "workspace_id": key.workspace_id,
        "role": key.role.value,
        "scopes": sorted(key.principal.scopes),
        "expires_at": _time(key.expires_at),
    }


def _document(key: "ApiKey") -> dict[str, Any]:
    from steward.clock import SystemClock

    state = "enabled" if key.valid_at(SystemClock().now()) else "revoked" if key.revoked_at else "expired"
    return {
        "key_id": key.key_id,
        **_facts(key),
        "name": key.name,
        "state": state,
        "created_at": _time(key.created_at),
        "revoked_at": _time(key.revoked_at),
        "last_used_at": _time(key.last_used_at),
    }
