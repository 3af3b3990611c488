"""``steward serve`` and ``steward worker``: the two halves of ``steward up``, for more than one machine or process."""

from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Annotated

import typer

from steward.cli.options import about

if TYPE_CHECKING:
    from steward.telemetry import Telemetry

Host = Annotated[str, typer.Option(help="Address to listen on.")]
Port = Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes any free one.")]
Concurrency = Annotated[int, typer.Option(min=1, max=1000, help="Steps to work on at the same time.")]

MetricsHost = Annotated[str, typer.Option(help="Address for --metrics-port; whoever reaches it may read the metrics.")]
MetricsPort = Annotated[int | None, typer.Option(min=1, max=65535, help="Port to serve /metrics on. Unset: none.")]


@about("installation")
def serve(*, host: Host = "127.0.0.1", port: Port = 8440) -> None:
    """Serve the API only. STEWARD_SECRET_KEY must be set.

    Example: steward serve --host 0.0.0.0 --port 8440
    """
    from steward.cli.processes import run_loop

    run_loop(_serve(host, port))


@about("installation")
def worker(
    *, concurrency: Concurrency = 16, metrics_host: MetricsHost = "127.0.0.1", metrics_port: MetricsPort = None
) -> None:
    """Work only: carry out what others submit. STEWARD_SECRET_KEY must be the server's.

    Example: steward worker --concurrency 32
    """
    from steward.cli.processes import run_loop

    run_loop(_worker(concurrency, metrics_host, metrics_port))


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


async def _worker(concurrency: int, metrics_host: str, metrics_port: int | None) -> None:
    from steward.bootstrap import open_application
    from steward.cli.processes import work_until_stopped
    from steward.cli.render import say
    from steward.settings import Settings

    async with AsyncExitStack() as at_the_end:
        application = await at_the_end.enter_async_context(open_application(Settings.load()))
        if metrics_port is not None:
            at_the_end.callback(_expose(application.telemetry, metrics_host, metrics_port))
        say(f"Working on up to {concurrency} steps at a time. Ctrl-C stops.")
        await work_until_stopped(application, concurrency)


def _expose(telemetry: "Telemetry", host: str, port: int) -> Callable[[], None]:
    """Serve the metrics; a sentence if that cannot be."""
    from steward.cli.exits import CommandFailed, ExitCode

    try:
        return telemetry.expose(host, port)
    except OSError as error:
        raise CommandFailed(
            f"Cannot listen on {host} port {port}: {error.strerror or error}.",
            "Stop what listens there, or choose another with --metrics-port.",
            ExitCode.USAGE,
        ) from error
