"""How a connection answers bytes that are no HTTP request: in the one shape of every refusal, before there is a request to route."""

from typing import Final

import structlog
from fastapi import FastAPI
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from steward.bootstrap import Application
from steward.errors import BadRequest
from steward.web.middleware import SECURITY_HEADERS
from steward.web.problems import problem

_STATUS_LINE: Final = b"HTTP/1.1 400 Bad Request\r\n"
_log = structlog.get_logger("steward.web")


class Wire(HttpToolsProtocol):
    """One connection to the API."""

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's words are for its own log
        """Refuse what cannot be read, and hang up: where the next request would begin nobody can tell."""
        api = self.config.app
        assert isinstance(api, FastAPI)
        application: Application = api.state.steward
        request_id = application.ids.new("req")
        _log.info("A request could not be read.", action="request_unreadable", request_id=request_id)
        answer = problem(BadRequest("This is no HTTP request that can be read.", code="malformed_request"), request_id)
        answer.headers.update({**SECURITY_HEADERS, "X-Request-ID": request_id, "Connection": "close"})
        head = b"".join(name + b": " + value + b"\r\n" for name, value in answer.raw_headers)
        self.transport.write(_STATUS_LINE + head + b"\r\n" + bytes(answer.body))
        self.transport.close()
