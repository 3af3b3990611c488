"""``steward up``: everything on one machine, ready for the first request without any setting."""

import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from steward.cli.serve import Concurrency, Host, Port

if TYPE_CHECKING:
    from steward.bootstrap import Application
    from steward.cli.home import Address

DEFAULT_WORKSPACE: Final = "default"


def up(*, host: Host = "127.0.0.1", port: Port = 8440, concurrency: Concurrency = 16) -> None:
    """Start the API and a worker on this machine.

    On the first start it makes a workspace, a key for this machine's commands and a secret key, all in STEWARD_HOME.

    Example: steward up --port 8440
    """
    from steward.cli.processes import run_loop

    run_loop(_up(host, port, concurrency))


async def _up(host: str, port: int, concurrency: int) -> None:
    from steward.bootstrap import open_application
    from steward.cli.home import Address, only_one, remove_address, write_address
    from steward.cli.processes import listening_socket, serve_until_stopped, shown_url
    from steward.settings import Settings

    settings = Settings.load(allow_generated_secret=True)
    with only_one(settings.home), listening_socket(host, port) as listening:
        async with open_application(settings) as application:
            token, is_new = await _local_key(application, settings.home)
            address = Address(shown_url(listening), token, os.getpid())

            def ready() -> None:
                write_address(settings.home, address)
                _greet(address, settings.home, show_key=is_new or sys.stderr.isatty())

            try:
                await serve_until_stopped(application, listening, concurrency, ready)
            finally:
                remove_address(settings.home, address.pid)


async def _local_key(application: "Application", home: Path) -> tuple[str, bool]:
    """Return the key of this machine's commands, and whether it was made now: on the first start, or after it was revoked."""
    from steward.authenticators.api_key import mint_key
    from steward.cli.home import KEY_FILE
    from steward.directory import LOCAL_ACTOR
    from steward.errors import Conflict, Forbidden, Unauthenticated
    from steward.identity import Role
    from steward.private_file import read_private, replace_private

    directory = application.directory
    with suppress(Conflict):  # there since an earlier start
        await directory.create_workspace(DEFAULT_WORKSPACE, "Default", by=LOCAL_ACTOR)
    kept = (read_private(home / KEY_FILE) or "").strip()
    with suppress(Unauthenticated, Forbidden):
        if kept and await application.authenticator.authenticate(kept):
            return kept, False
    key, token = mint_key(
        application.ids, application.clock, DEFAULT_WORKSPACE, Role.ADMIN, "steward up on this machine", None
    )
    await directory.add_key(key, by=LOCAL_ACTOR)
    replace_private(home / KEY_FILE, token)
    return token, True


def _greet(address: "Address", home: Path, *, show_key: bool) -> None:
    """Say where it listens and how to make the first request; a key that was shown before stays out of log files."""
    from rich.text import Text

    from steward.cli.home import KEY_FILE
    from steward.cli.render import say

    key = address.api_key if show_key else f"'$(cat {home / KEY_FILE})'"
    first = "write 'hello from Steward' to hello.txt"
    say(Text("Steward is up", style="bold green"), f"at {address.url} (data in {home}). Ctrl-C stops it.")
    say("")
    say("In another terminal:")
    say(f'  steward run "{first}"')
    say("")
    say("Or over HTTP:")
    say(f"  curl -s {address.url}/ai/plan -H 'Authorization: Bearer {key}' \\")
    say("    -H 'Content-Type: application/json' -d '{\"prompt\": \"list files\"}'")
