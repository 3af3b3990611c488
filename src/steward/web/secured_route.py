"""The route that everything but health, metrics and the session is made of: nothing is read before the credential.

In this order: authenticate; count the request, if the route is limited; check the query (own workspace and actor, no
repeated and no unknown parameter); read the body within the limits; check that it is JSON and that it names no other workspace or actor. What is left, scope and
schema, FastAPI does.
"""

from collections.abc import Callable, Coroutine, Iterator
from typing import Any, Final

from fastapi import Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from starlette.responses import Response

from steward.errors import BadRequest, FieldProblem, Invalid, NotYourWorkspace
from steward.identity import Principal
from steward.web.dependencies import authenticated, count_request
from steward.web.problems import pointer
from steward.web.queries import names_taken
from steward.web.rate_limits import rule_of
from steward.web.strict_request import StrictRequest

_OWN: Final = ("workspace_id", "actor_id")


class StrictRoute(APIRoute):
    """A route whose query and body can be read in one way only."""

    async def admit(self, request: Request) -> Principal | None:  # noqa: ARG002 - for those that ask who it is
        """Return who may come in; None: whoever it is says so in the request itself."""
        return None

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return FastAPI's handler with the doors in front of it."""
        handler = super().get_route_handler()
        parameters = names_taken(self.openapi_extra).union(_query_names(self.dependant))
        takes_body = self.body_field is not None

        async def behind_doors(request: Request) -> Response:
            strict = StrictRequest(request.scope, request.receive)
            principal = await self.admit(strict)
            _check_query(strict, parameters, principal)
            await _check_body(strict, principal, takes_body=takes_body)
            return await handler(strict)

        return behind_doors


class SecuredRoute(StrictRoute):
    """A route behind a credential."""

    async def admit(self, request: Request) -> Principal:
        """Return whom the credential stands for; raise ``Unauthenticated``, ``Forbidden`` or ``RateLimited`` otherwise."""
        principal = await authenticated(request)
        rule = rule_of(self.openapi_extra)
        if rule is not None:
            count_request(request, rule, principal)
        return principal


def _query_names(dependant: Dependant) -> Iterator[str]:
    yield from (field.alias for field in dependant.query_params)
    for nested in dependant.dependencies:
        yield from _query_names(nested)


def _check_query(request: Request, parameters: frozenset[str], principal: Principal | None) -> None:
    names = [name for name, _ in request.query_params.multi_items()]
    unknown = sorted(set(names) - parameters)
    if unknown:
        problems = [FieldProblem(pointer(("query", name)), "There is no such parameter.") for name in unknown[:20]]
        raise Invalid("The query holds a parameter that is not known.", errors=problems)
    if len(names) != len(set(names)):
        raise BadRequest("A query parameter is given more than once.")
    _check_own(request.query_params, principal)


async def _check_body(request: StrictRequest, principal: Principal | None, *, takes_body: bool) -> None:
    if not await request.body():
        return
    if not takes_body:
        raise Invalid("This request takes no body.", code="unexpected_body")
    if not request.has_json():
        raise Invalid("Send the body as JSON, with 'Content-Type: application/json'.", code="not_json")
    value = await request.json()
    if isinstance(value, dict):
        _check_own(value, principal)


def _check_own(values: Any, principal: Principal | None) -> None:
    """Refuse a workspace or actor that is not the credential's own; what is no text is left to the schema."""
    if principal is None:
        return
    for name in _OWN:
        claimed = values.get(name)
        if isinstance(claimed, str) and claimed != getattr(principal, name):
            raise NotYourWorkspace(f"'{name}' is not the credential's own.")
