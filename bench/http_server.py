"""The API as a process of its own, with routes beside it that do next to nothing: what everything around a handler costs.

They stand in the same app, behind the same middleware, doors and credential. ``/bench/bytes`` returns what was left there,
``/bench/nothing`` takes a body and returns nothing, and ``/bench/row`` commits one row before it does: what nobody can be
faster than who keeps what he was told. Each stands right behind the route that it is compared with, so that it is found as soon.
"""

import asyncio
import json
import signal
import sys
from pathlib import Path
from typing import Any

import structlog
import uvloop
from fastapi import APIRouter, FastAPI, Request
from fastapi.routing import APIRoute
from sqlalchemy import Connection
from starlette.responses import Response

from installation import installation
from steward.cli.processes import collect_again
from steward.plan import MAX_STEPS
from steward.web.app import create_app
from steward.web.dependencies import Executor, Previewer, services_of
from steward.web.secured_route import SecuredRoute
from steward.web.server import Server

_PLANS = 5
_CONCURRENCY = 16
router = APIRouter(prefix="/bench", route_class=SecuredRoute)


@router.get("/bytes")
async def given_back(principal: Previewer, request: Request) -> Response:  # noqa: ARG001 - it asks for the credential
    """Return what was left here."""
    return Response(request.app.state.left, media_type="application/json")


@router.post("/bytes")
async def left(principal: Executor, request: Request, body: dict[str, Any]) -> Response:  # noqa: ARG001
    """Keep the body."""
    request.app.state.left = await request.body()
    return Response(status_code=204)


@router.post("/nothing")
async def nothing(principal: Executor, body: dict[str, Any]) -> Response:  # noqa: ARG001
    """Do nothing."""
    return Response(b"{}", status_code=202, media_type="application/json")


@router.post("/row")
async def one_row(principal: Executor, request: Request, body: dict[str, Any]) -> Response:  # noqa: ARG001
    """Commit one row, in the transaction that costs least."""
    await services_of(request).database.write(_add_row, piped=True)
    return Response(b"{}", status_code=202, media_type="application/json")


def _add_row(connection: Connection) -> None:
    driver: Any = connection.connection.driver_connection
    driver.execute("INSERT INTO bench_rows VALUES (1)")


def _put_beside(api: FastAPI, compared: str, path: str) -> None:
    """Put the routes at a path of this file right behind the one that they are compared with."""
    place = [route.path for route in api.router.routes if isinstance(route, APIRoute)].index(compared) + 1
    api.router.routes[place:place] = [one for one in router.routes if isinstance(one, APIRoute) and one.path == path]


async def _serve(folder: Path, elsewhere: dict[str, str]) -> None:
    """Have some finished jobs, then serve until told to stop."""
    limits = "execute=1000000/second,workspace_execute=1000000/second"  # counted as ever, and never too many
    async with installation(folder, STEWARD_RATE_LIMITS=limits, **elsewhere) as here:
        async with here.worker(_CONCURRENCY):
            plans = [await here.submit([f"done {number}" for number in range(MAX_STEPS)]) for _ in range(_PLANS)]
            await here.ended(*(plan.plan_id for plan in plans))
        api: FastAPI = create_app(here.app)
        _put_beside(api, "/ai/jobs", "/bench/bytes")
        _put_beside(api, "/ai/execute", "/bench/nothing")
        _put_beside(api, "/ai/execute", "/bench/row")
        here.app.database.run_sync(
            lambda connection: connection.exec_driver_sql("CREATE TABLE bench_rows (number INTEGER)")
        )
        server = Server(api, host="127.0.0.1", port=0)
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, server.handle_exit, signal.SIGTERM, None)
        serving = asyncio.create_task(server.serve())
        await server.listening.wait()
        collect_again()  # as a process does when it has started
        print(json.dumps({"port": server.port, "token": here.token}), flush=True)
        await serving


if __name__ == "__main__":
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger("error"))
    uvloop.run(_serve(Path(sys.argv[1]), json.loads(sys.argv[2])))
