"""``steward up``: everything on one machine, ready for the first request without any setting."""

import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from steward.cli.options import about
from steward.cli.serve import Concurrency, Host, Port

if TYPE_CHECKING:
    from steward.bootstrap import Application
    from steward.cli.home import Address
    from steward.identity import Role

DEFAULT_WORKSPACE: Final = "default"


@about("installation")
def up(*, host: Host = "127.0.0.1", port: Port = 8440, concurrency: Concurrency = 16) -> None:
    """Start Studio, the API and a worker on this machine.

    On the first start it makes a workspace, a key for this machine's commands, the first operator's key and a secret key,
    all in STEWARD_HOME.

    Example: steward up --port 8440
    """
    from steward.cli.processes import run_loop

    run_loop(_up(host, port, concurrency))


async def _up(host: str, port: int, concurrency: int) -> None:
    from steward.bootstrap import open_application
    from steward.cli.home import Address, only_one, remove_address, write_address
    from steward.cli.own_key import settings_with_own_key
    from steward.cli.processes import listening_socket, serve_until_stopped, shown_url

    settings = await settings_with_own_key()
    settings.make_home()
    with only_one(settings.home), listening_socket(host, port) as listening:
        async with open_application(settings) as application:
            made_operator = await _first_operator(application, settings.home)
            token, is_new = await _local_key(application, settings.home)
            address = Address(shown_url(listening), token, os.getpid())
            watched = sys.stderr.isatty()
            code = await _session_code(application, token) if watched or is_new else None

            def ready() -> None:
                write_address(settings.home, address)
                _greet(address, settings.home, code, show_key=is_new or watched, made_operator=made_operator)

            try:
                await serve_until_stopped(application, listening, concurrency, ready)
            finally:
                remove_address(settings.home, address.pid)


async def _local_key(application: "Application", home: Path) -> tuple[str, bool]:
    """Return the key of this machine's commands, and whether it was made now: on the first start, or after it was revoked."""
    from steward.cli.home import KEY_FILE
    from steward.directory import LOCAL_ACTOR
    from steward.errors import Conflict, Forbidden, Unauthenticated
    from steward.identity import Role
    from steward.private_file import read_private

    with suppress(Conflict):  # there since an earlier start
        await application.directory.create_workspace(DEFAULT_WORKSPACE, "Default", by=LOCAL_ACTOR)
    kept = (read_private(home / KEY_FILE) or "").strip()
    with suppress(Unauthenticated, Forbidden):
        if kept and await application.authenticator.authenticate(kept):
            return kept, False
    return await _kept_key(application, DEFAULT_WORKSPACE, Role.ADMIN, home / KEY_FILE), True


async def _first_operator(application: "Application", home: Path) -> bool:
    """Make the first operator's key, if the installation never had one; say whether it did."""
    from steward.cli.home import OPERATOR_FILE
    from steward.identity import Role
    from steward.workspace import SYSTEM_WORKSPACE

    if await application.directory.list_keys(SYSTEM_WORKSPACE, limit=1):
        return False
    await _kept_key(application, SYSTEM_WORKSPACE, Role.OPERATOR, home / OPERATOR_FILE)
    return True


async def _kept_key(application: "Application", workspace_id: str, role: "Role", path: Path) -> str:
    """Make a key and keep it in a file for this account alone; return it."""
    from steward.authenticators.api_key import mint_key
    from steward.directory import LOCAL_ACTOR
    from steward.private_file import replace_private

    key, token = mint_key(application.ids, application.clock, workspace_id, role, "steward up on this machine", None)
    await application.directory.add_key(key, by=LOCAL_ACTOR)
    replace_private(path, token)
    return token


async def _session_code(application: "Application", token: str) -> str:
    """Return a code that opens a session in a browser with the key of this machine's commands, once."""
    principal = await application.authenticator.authenticate(token)
    assert principal is not None
    return await application.sessions.issue_code(principal)


def _greet(address: "Address", home: Path, code: str | None, *, show_key: bool, made_operator: bool) -> None:
    """Say where it listens and how to make the first request; a key that was shown before stays out of log files."""
    from rich.text import Text

    from steward.cli.home import KEY_FILE, OPERATOR_FILE
    from steward.cli.render import say

    key = address.api_key if show_key else f"'$(cat {home / KEY_FILE})'"
    first = "write 'hello from Steward' to hello.txt"
    say(Text("Steward is up", style="bold green"), f"at {address.url} (data in {home}). Ctrl-C stops it.")
    if made_operator:
        say(f"The key of this installation's first operator is in {home / OPERATOR_FILE}.")
    say("")
    say("In a browser:")
    say(f"  {address.url}/" if code is None else f"  {address.url}/#code={code}")
    if code is not None:
        say(f"  Code for a browser, once within five minutes: {code}")
    say("")
    say("In another terminal:")
    say(f'  steward run "{first}"')
    say("")
    say("Or over HTTP:")
    say(f"  curl -s {address.url}/ai/plan -H 'Authorization: Bearer {key}' \\")
    say("    -H 'Content-Type: application/json' -d '{\"prompt\": \"list files\"}'")
