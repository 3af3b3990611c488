"""``steward up``: everything on one machine, ready for the first request without any setting."""

import os
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
    from steward.cli.home import Address, remove_address, write_address
    from steward.cli.processes import listening_socket, serve_until_stopped, shown_url
    from steward.settings import Settings

    settings = Settings.load(allow_generated_secret=True)
    with listening_socket(host, port) as listening:
        async with open_application(settings) as application:
            token = await _local_key(application, settings.home)
            address = Address(shown_url(listening), token, os.getpid())

            def ready() -> None:
                write_address(settings.home, address)
                _greet(address, settings.home)

            try:
                await serve_until_stopped(application, listening, concurrency, ready)
            finally:
                remove_address(settings.home, address.pid)


async def _local_key(application: "Application", home: Path) -> str:
    """Return the key of this machine's commands, made on the first start and again if it was revoked."""
    from steward.authenticators.api_key import mint_key
    from steward.cli.home import KEY_FILE
    from steward.errors import Conflict, Forbidden, Unauthenticated
    from steward.identity import Role
    from steward.private_file import read_private, replace_private

    directory = application.directory
    with suppress(Conflict):  # there since an earlier start
        await directory.create_workspace(DEFAULT_WORKSPACE, "Default")
    kept = (read_private(home / KEY_FILE) or "").strip()
    with suppress(Unauthenticated, Forbidden):
        if kept and await application.authenticator.authenticate(kept):
            return kept
    key, token = mint_key(
        application.ids, application.clock, DEFAULT_WORKSPACE, Role.ADMIN, "steward up on this machine", None
    )
    await directory.add_key(key)
    replace_private(home / KEY_FILE, token)
    return token


def _greet(address: "Address", home: Path) -> None:
    """Say where it listens and how to make the first request."""
    from rich.text import Text

    from steward.cli.render import say

    first = "write 'hello from Steward' to hello.txt"
    say(Text("Steward is up", style="bold green"), f"at {address.url} (data in {home}). Ctrl-C stops it.")
    say("")
    say("In another terminal:")
    say(f'  steward run "{first}"')
    say("")
    say("Or over HTTP:")
    say(f"  curl -s {address.url}/ai/plan -H 'Authorization: Bearer {address.api_key}' \\")
    say("    -H 'Content-Type: application/json' -d '{\"prompt\": \"list files\"}'")
