"""The Model Context Protocol at ``/mcp``: the same verbs, credentials, limits and policy as everywhere else, as tools.

One exchange is one request: nothing is kept between two, so any process answers any of them. No tool approves: what policy
asks about waits for a person. The protocol's library is loaded by the first request, so that a start does not wait for it.
"""

from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated, Any, Final

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from steward.errors import Forbidden, Invalid, StewardError, Unauthenticated
from steward.web.dependencies import Previewer, Services, bearer_token
from steward.web.openapi import answers as documented
from steward.web.secured_route import SecuredRoute

if TYPE_CHECKING:
    from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

_LOOPBACK: Final = ("127.0.0.1", "localhost", "[::1]")
router = APIRouter(tags=["mcp"], route_class=SecuredRoute)


class Misdirected(StewardError):
    """The request is for another host; MCP_ALLOW_HOSTS lists the names of this one beside its own."""

    code = "misdirected_request"
    status = 421
    title = "Misdirected request"


class Exchange(BaseModel):
    """A JSON-RPC 2.0 message of the protocol; its own rules for it are checked by its library."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"jsonrpc": "2.0", "id": 1, "method": "tools/list"},
                {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "list_jobs", "arguments": {}}},
            ]
        },
    )

    jsonrpc: Annotated[str, Field(json_schema_extra={"const": "2.0"})]
    id: str | int | None = None
    method: Annotated[str, Field(json_schema_extra={"enum": ["tools/list", "tools/call"]})]
    params: dict[str, Any] | None = None


class Answered(BaseModel):
    """A JSON-RPC 2.0 answer: a ``result`` or an ``error``."""

    model_config = ConfigDict(extra="allow")

    jsonrpc: str
    id: str | int | None = None


class _Answer(Response):
    """Lets the protocol's library answer, whose part of the request has been read already."""

    def __init__(self, manager: "StreamableHTTPSessionManager", body: bytes) -> None:
        super().__init__()
        self._manager = manager
        self._body = body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        waiting: list[Message] = [{"type": "http.request", "body": self._body, "more_body": False}]

        async def again() -> Message:
            return waiting.pop() if waiting else await receive()

        async with self._manager.run():
            await self._manager.handle_request(scope, again, send)


def _in_our_words(status: int) -> StewardError:
    """Return as a problem what the library refuses in plain text: another host, another origin, another media type."""
    match status:
        case HTTPStatus.MISDIRECTED_REQUEST:
            return Misdirected()
        case HTTPStatus.FORBIDDEN:
            return Forbidden("A page of another server may not speak to this one.", code="cross_origin")
        case _:
            return Invalid("Send the body with 'Content-Type: application/json'.", code="not_json")


@router.post(
    "/mcp",
    operation_id="mcp",
    summary="Speak the Model Context Protocol",
    responses=documented(Answered, 421, body=True, tenancy="workspace"),
)
async def exchange(request: Request, principal: Previewer, services: Services, _message: Exchange) -> Response:
    """Streamable HTTP without sessions. Tools: plan, show, execute, jobs, explain, and every action the caller may run.

    Host and Origin must be this machine's or among `MCP_ALLOW_HOSTS`. An action that policy asks about waits for a person.
    """
    if bearer_token(request) is None:  # a browser's session is no credential for a machine
        raise Unauthenticated
    from mcp.server.streamable_http_manager import StreamableHTTPSessionManager  # noqa: PLC0415 - see above
    from mcp.server.transport_security import TransportSecurityMiddleware, TransportSecuritySettings  # noqa: PLC0415

    from steward.web.mcp_tools import Tools  # noqa: PLC0415

    hosts = [*(f"{host}{port}" for host in _LOOPBACK for port in ("", ":*")), *services.settings.mcp_allow_hosts]
    security = TransportSecuritySettings(
        enable_dns_rebinding_protection=True,
        allowed_hosts=hosts,
        allowed_origins=[f"{scheme}://{host}" for scheme in ("http", "https") for host in hosts],
    )
    refused = await TransportSecurityMiddleware(security).validate_request(request, is_post=True)
    if refused is not None:
        raise _in_our_words(refused.status_code)
    server = Tools(request, principal, services).server()
    manager = StreamableHTTPSessionManager(
        server,
        json_response=True,
        stateless=True,
        security_settings=security,
        max_request_body_size=services.settings.body_limit_bytes,
    )
    return _Answer(manager, await request.body())
