"""Which other servers' pages may call the API (CORS), with every refusal in the one shape."""

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from steward.errors import BadRequest
from steward.web.problems import problem
from steward.web.request_facts import facts_of


class Cors(CORSMiddleware):
    """Lets pages of these origins call the API with a Bearer credential; a session's cookie is never taken from elsewhere."""

    def __init__(self, app: ASGIApp, *, origins: tuple[str, ...]) -> None:
        """Wrap ``app``."""
        super().__init__(
            app,
            allow_origins=origins,
            allow_credentials=False,
            allow_methods=("GET", "HEAD", "POST", "PUT", "DELETE"),
            allow_headers=("Authorization", "Content-Type", "Idempotency-Key", "Last-Event-ID", "X-Request-ID"),
            expose_headers=("X-Request-ID", "Retry-After", "RateLimit", "RateLimit-Policy"),
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let one request through, or answer a preflight."""
        headers = Headers(scope=scope) if scope["type"] == "http" and scope["method"] == "OPTIONS" else {}
        if "origin" not in headers or "access-control-request-method" not in headers:
            await super().__call__(scope, receive, send)
            return
        assert isinstance(headers, Headers)
        answer = self.preflight_response(headers)
        if answer.status_code >= BadRequest.status:
            error = BadRequest("Pages of this origin may not send such a request to the API.", code="cors_refused")
            refusal = problem(error, facts_of(scope).request_id)
            kept = {name: value for name, value in answer.headers.items() if not name.startswith("content-")}
            refusal.headers.update(kept)
            answer = refusal
        await answer(scope, receive, send)
