"""What stands before a route never waits for a thread."""

import inspect
from collections.abc import Iterator

from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from steward.web import (
    actions,
    approvals,
    audit,
    events,
    health,
    jobs,
    keys,
    mcp,
    members,
    plans,
    policies,
    schema,
    sessions,
    usage,
    workspaces,
)

_ROOMS = (
    *(actions, approvals, audit, events, health, jobs, keys, mcp, members, plans, policies, schema, sessions, usage),
    workspaces,
)


def _asked(dependant: Dependant) -> Iterator[Dependant]:
    for nested in dependant.dependencies:
        yield nested
        yield from _asked(nested)


def test_everything_that_a_route_asks_for_is_a_coroutine() -> None:
    """FastAPI hands a plain function to a thread, for every request, which costs more than all of the route."""
    routes = [route for room in _ROOMS for route in room.router.routes if isinstance(route, APIRoute)]
    asked = {call for route in routes for one in _asked(route.dependant) if (call := one.call) is not None}
    assert len(asked) > 10, "the routes ask for nothing: they are not looked at"
    plain = {
        call
        for call in asked
        if not any(
            is_one(way)
            for way in (call, getattr(call, "__call__", None))  # noqa: B004 - an object with a coroutine for a call is one
            for is_one in (inspect.iscoroutinefunction, inspect.isasyncgenfunction)
        )
    }
    assert plain == set()
