"""``steward serve`` and ``steward worker``: the two halves of ``steward up``, for more than one machine or process."""

from typing import Annotated

import typer

from steward.cli.options import about

Host = Annotated[str, typer.Option(help="Address to listen on.")]
Port = Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes any free one.")]
Concurrency = Annotated[int, typer.Option(min=1, max=1000, help="Steps to work on at the same time.")]


@about("installation")
def serve(*, host: Host = "127.0.0.1", port: Port = 8440) -> None:
    """Serve the API only. STEWARD_SECRET_KEY must be set.

    Example: steward serve --host 0.0.0.0 --port 8440
    """
    from steward.cli.processes import run_loop

    run_loop(_serve(host, port))


@about("installation")
def worker(*, concurrency: Concurrency = 16) -> None:
    """Work only: carry out what others submit. STEWARD_SECRET_KEY must be the server's.

    Example: steward worker --concurrency 32
    """
    from steward.cli.processes import run_loop

    run_loop(_worker(concurrency))


async def _serve(host: str, port: int) -> None:
    from steward.bootstrap import open_application
    from steward.cli.processes import listening_socket, serve_until_stopped, shown_url
    from steward.cli.render import say
    from steward.settings import Settings

    settings = Settings.load()
    with listening_socket(host, port) as listening:
        async with open_application(settings) as application:
            await serve_until_stopped(
                application, listening, 0, lambda: say(f"Serving at {shown_url(listening)}. Ctrl-C stops.")
            )


async def _worker(concurrency: int) -> None:
    from steward.bootstrap import open_application
    from steward.cli.processes import work_until_stopped
    from steward.cli.render import say
    from steward.settings import Settings

    async with open_application(Settings.load()) as application:
        say(f"Working on up to {concurrency} steps at a time. Ctrl-C stops.")
        await work_until_stopped(application, concurrency)
