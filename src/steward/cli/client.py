"""The API as the command line sees it: one method per route, and every refusal as a sentence with an exit code."""

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, Self

from steward.cli.exits import CommandFailed, ExitCode, Unreachable
from steward.cli.home import home_folder, read_address

if TYPE_CHECKING:
    import httpx2

DEFAULT_URL: Final = "http://127.0.0.1:8440"
_TIMEOUT_S: Final = 30.0
_QUIET_S: Final = 60.0
"""A stream that says nothing at all for so long, not even that it is alive, is lost."""
_LARGEST_PAGE: Final = 100
_LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})
_ADVICE: Final = {
    "unauthenticated": "Set STEWARD_API_KEY to a valid key ('steward keys create' makes one on the server's machine).",
    "policy_denied": "Ask whoever runs this installation, or change the request.",
    "another_person_required": "A colleague can see it with 'steward approvals list'.",
    "approver_role_required": "Somebody with that role can see it with 'steward approvals list'.",
    "approval_mismatch": "Look at it again with 'steward plans show' or 'steward approvals show'.",
    "not_found": "See what there is: steward plans list, jobs list, approvals list, policy list.",
    "store_unavailable": "Try again shortly.",
}


class Client:
    """A connection to one server with one key; close it after use (it is a context manager)."""

    def __init__(self, url: str, api_key: str) -> None:
        """Take the address and the key. Nothing is sent yet."""
        import httpx2

        try:
            host = httpx2.URL(url).host
        except httpx2.InvalidURL:
            host = ""
        if not host or not url.startswith(("http://", "https://")):
            raise CommandFailed("STEWARD_URL is not an http:// or https:// address.", code=ExitCode.USAGE)
        self.url = url.rstrip("/")
        self._http = httpx2.Client(
            base_url=self.url,
            headers={"Authorization": f"Bearer {api_key}"},
            timeout=_TIMEOUT_S,
            verify=url.startswith("https://"),  # reading the authorities takes longer than a request on this machine
            trust_env=host not in _LOOPBACK,  # no proxy stands between this machine and itself
        )

    @classmethod
    def here(cls) -> Self:
        """Return a client for STEWARD_URL and STEWARD_API_KEY, or for the ``steward up`` of this machine.

        The key that ``steward up`` left is only ever sent to the address it left.
        """
        url, key = os.environ.get("STEWARD_URL", "").strip(), os.environ.get("STEWARD_API_KEY", "").strip()
        local = None if url else read_address(home_folder())
        if local is not None:
            return cls(local.url, key or local.api_key)
        if not key:
            raise CommandFailed(
                "STEWARD_API_KEY is not set."
                if url
                else f"No Steward runs from {home_folder()}, and neither STEWARD_URL nor STEWARD_API_KEY is set.",
                "Start one with 'steward up', or set both variables." if not url else "Set it to a key of that server.",
                ExitCode.USAGE,
            )
        return cls(url or DEFAULT_URL, key)

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connection."""
        self._http.close()

    def get(self, path: str, *, timeout_s: float = _TIMEOUT_S, **query: Any) -> Any:
        """Return the JSON answer to a GET; query values that are None are left out."""
        params = {name: value for name, value in query.items() if value is not None}
        return self._call("GET", path, params=params, timeout=timeout_s)

    def listing(self, path: str, rows: str, *, every: bool, limit: int, **query: Any) -> Any:
        """Return a page of a listing; with ``every`` as many as there are, joined into one."""
        query["limit"] = _LARGEST_PAGE if every else limit
        page = self.get(path, **query)
        while every and page["next_cursor"] is not None:
            older = self.get(path, **{**query, "cursor": page["next_cursor"]})
            page = {**older, rows: page[rows] + older[rows], "count": page["count"] + older["count"]}
        return page

    def post(self, path: str, body: Mapping[str, Any] | None = None, *, idempotency_key: str | None = None) -> Any:
        """Return the JSON answer to a POST."""
        headers = {"Idempotency-Key": idempotency_key} if idempotency_key else {}
        return self._call("POST", path, json=body, headers=headers)

    def planned(self, path: str, body: Mapping[str, Any], tell: Callable[[Mapping[str, Any]], None]) -> Any:
        """Return the plan that a POST makes; ``tell`` hears how far it is."""
        import httpx2

        options = {"json": body, "timeout": httpx2.Timeout(_TIMEOUT_S, read=_QUIET_S), "max_event_size": None}
        with self._reachable(), self._http.sse(path, method="POST", **options) as source:
            if not source.response.headers.get("content-type", "").startswith("text/event-stream"):
                source.response.read()
                return self._answered(source.response)
            for event in source:
                document = json.loads(event.data or "{}")
                if event.event == "plan":
                    return document
                if event.event == "error":
                    raise _refused(document["status"], document)
                if event.event == "progress":
                    tell(document)
        raise Unreachable(
            f"{self.url} stopped in the middle of the answer.", "Try again; 'steward doctor' looks closer."
        )

    def put(self, path: str, body: Mapping[str, Any]) -> Any:
        """Return the JSON answer to a PUT."""
        return self._call("PUT", path, json=body)

    def delete(self, path: str) -> Any:
        """Return the JSON answer to a DELETE."""
        return self._call("DELETE", path)

    def ready(self) -> tuple[int, Any]:
        """Return the status and the answer of ``/readyz``, whatever it says."""
        response = self._send("GET", "/readyz", timeout=5.0)
        return response.status_code, _document(response)

    @contextmanager
    def events(self, plan_id: str, after: str | None, *, quiet_s: float) -> Iterator[Iterator[str]]:
        """Open the stream of a plan's events; yields their ids, ends when none came for ``quiet_s`` seconds."""
        import httpx2

        headers = {"Last-Event-ID": after} if after else {}
        timeout = httpx2.Timeout(_TIMEOUT_S, read=quiet_s)

        def ids(source: httpx2.EventSource) -> Iterator[str]:
            try:
                for event in source:
                    yield event.id
            except httpx2.TransportError:  # quiet, or cut off: whoever follows opens it again where it ended
                return

        with (
            self._reachable(),
            self._http.sse("/ai/events", params={"plan_id": plan_id}, headers=headers, timeout=timeout) as source,
        ):
            if source.response.status_code != HTTPStatus.OK:
                source.response.read()
                raise _refusal(source.response)
            yield ids(source)

    def _call(self, method: str, path: str, **rest: Any) -> Any:
        return self._answered(self._send(method, path, **rest))

    @staticmethod
    def _answered(response: "httpx2.Response") -> Any:
        if response.is_success:
            return _document(response)
        raise _refusal(response)

    def _send(self, method: str, path: str, **rest: Any) -> "httpx2.Response":
        with self._reachable():
            return self._http.request(method, path, **rest)

    @contextmanager
    def _reachable(self) -> Iterator[None]:
        import httpx2

        try:
            yield
        except httpx2.TimeoutException as error:
            raise Unreachable(
                f"{self.url} did not answer in time.", "Try again; 'steward doctor' looks closer."
            ) from error
        except httpx2.TransportError as error:
            raise Unreachable(
                f"No Steward answers at {self.url}.", "Start one with 'steward up', or set STEWARD_URL."
            ) from error


def _document(response: "httpx2.Response") -> Any:
    try:
        return response.json()
    except ValueError as error:
        raise CommandFailed("The answer is not JSON, so it is not from a Steward.", "Check STEWARD_URL.") from error


def _refusal(response: "httpx2.Response") -> CommandFailed:
    """Return a problem document as a sentence, its field problems after it, and the exit code that fits."""
    return _refused(response.status_code, _document(response))


def _refused(status: int, problem: Any) -> CommandFailed:
    if not isinstance(problem, dict) or "detail" not in problem:
        return CommandFailed(f"The server answered {status}.", "Check STEWARD_URL.")
    code = str(problem.get("code", ""))
    fields = [f"{item.get('pointer', '')}: {item.get('detail', '')}" for item in problem.get("errors", [])]
    sentence = " ".join([str(problem["detail"]), *fields])
    advice = _roles_with(problem.get("scope")) if code == "missing_scope" else _ADVICE.get(code, "")
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR and not advice:
        advice = f"The server's log has it under {problem.get('request_id')}."
    return CommandFailed(sentence, advice, _exit_code(status, code))


def _roles_with(scope: object) -> str:
    from steward.identity import ROLE_SCOPES, Role

    inside = {role: scopes for role, scopes in ROLE_SCOPES.items() if role is not Role.OPERATOR}
    roles = [role.value for role, scopes in inside.items() if scope in scopes]
    return f"Use a key with a role that may do this: {' or '.join(roles) or Role.OPERATOR}."


def _exit_code(status: int, code: str) -> ExitCode:
    if code == "policy_denied":
        return ExitCode.REFUSED
    usage = status in {HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY}
    return ExitCode.USAGE if usage else ExitCode.FAILED
