"""What both clients do alike: where they connect, which failures are worth another try, and how a stream goes on."""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final, TypedDict

import httpx2

from steward.client.answers import PlanProgress, StreamedEvent
from steward.client.calls import Call
from steward.client.failures import EventsLost, NoAnswer, Refused, failure_of

DEFAULT_URL: Final = "http://127.0.0.1:8440"
TIMEOUT_S: Final = 30.0
PATIENCE_S: Final = 45.0
RECONNECT_S: Final = 0.5
"""How long to wait before a stream that ended is opened again."""
_QUIET_S: Final = 60.0
"""A stream that says nothing at all for so long, not even that it is alive, is lost."""
_LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})
_LATER: Final = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE})


@dataclass(frozen=True, slots=True)
class Connection:
    """Where a server is, and how patiently it is asked."""

    url: str
    api_key: str = field(repr=False)
    timeout_s: float
    patience_s: float

    @classmethod
    def to(cls, url: str | None, api_key: str | None, timeout_s: float, patience_s: float) -> "Connection":
        """Return a connection; what is not given comes from STEWARD_URL and STEWARD_API_KEY."""
        url = url or os.environ.get("STEWARD_URL", "").strip() or DEFAULT_URL
        api_key = api_key or os.environ.get("STEWARD_API_KEY", "").strip()
        if not api_key:
            raise ValueError("There is no API key: give api_key, or set STEWARD_API_KEY.")
        if not (api_key.isascii() and api_key.isprintable()):
            raise ValueError("The API key holds a character that no key has.")
        try:
            parsed = httpx2.URL(url)
        except httpx2.InvalidURL:
            parsed = httpx2.URL("")
        if parsed.scheme not in {"http", "https"} or not parsed.host or parsed.userinfo:
            raise ValueError("The url is not an http:// or https:// address without a password in it.")
        return cls(url.rstrip("/"), api_key, timeout_s, patience_s)

    def options(self) -> dict[str, Any]:
        """Return what an HTTP client is made with."""
        place = httpx2.URL(self.url)
        return {
            "base_url": self.url,
            "headers": {"Authorization": f"Bearer {self.api_key}"},
            "timeout": self.timeout_s,
            "verify": place.scheme != "http",  # where there is nothing to check, the authorities are not read
            "trust_env": place.host not in _LOOPBACK,  # no proxy between a machine and itself
        }

    def request(self, call: Call[Any]) -> dict[str, Any]:
        """Return a call as the arguments of a request."""
        timeout = httpx2.Timeout(self.timeout_s, read=self.timeout_s + (call.timeout_s or 0))
        return {
            "method": call.method,
            "url": call.path,
            "params": dict(call.query),
            "json": call.body,
            "headers": dict(call.headers),
            "timeout": timeout,
        }

    def stream(self, call: Call[Any]) -> dict[str, Any]:
        """Return a call as the arguments of a stream of events."""
        timeout = httpx2.Timeout(self.timeout_s, read=_QUIET_S)
        return {**self.request(call), "timeout": timeout, "max_event_size": None}  # a plan may be long

    def lost(self) -> NoAnswer:
        """Return what it means that a stream ended before it had told how it ends."""
        return NoAnswer(f"{self.url} stopped in the middle of the answer.")

    def patience(self, call: Call[Any]) -> "Patience":
        """Return the arguments of ``stamina.retry_context`` for a call."""
        return {
            "on": self._worth_another_try(call),
            "attempts": None if self.patience_s else 1,
            "timeout": self.patience_s or None,
        }

    def _worth_another_try(self, call: Call[Any]) -> Callable[[Exception], bool | float]:
        def worth(error: Exception) -> bool | float:
            if isinstance(error, Refused):
                again = error.status == HTTPStatus.TOO_MANY_REQUESTS or (call.repeatable and error.status in _LATER)
                wait_s = error.retry_after_s
                return again if not again or wait_s is None else wait_s <= self.patience_s and wait_s
            never_sent = isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout)
            return never_sent or (call.repeatable and isinstance(error, httpx2.TransportError))

        return worth

    @contextmanager
    def reachable(self) -> Iterator[None]:
        """Turn what the network says into ``NoAnswer``."""
        try:
            yield
        except httpx2.TimeoutException as error:
            raise NoAnswer(f"{self.url} did not answer in time.") from error
        except httpx2.TransportError as error:
            raise NoAnswer(f"No Steward answers at {self.url}.") from error


class Patience(TypedDict):
    """Arguments of ``stamina.retry_context``."""

    on: Callable[[Exception], bool | float]
    attempts: int | None
    timeout: float | None


def outcome(response: httpx2.Response) -> Any:
    """Return the document of a success; raise what any other answer means."""
    if not response.is_success:
        raise failure_of(response)
    try:
        return response.json()
    except ValueError as error:
        raise NoAnswer("The answer is not JSON, so it is not from a Steward; check the address.") from error


def is_stream(response: httpx2.Response) -> bool:
    """Say whether a success is told event by event; a server of before answers as a whole."""
    return response.headers.get("content-type", "").startswith("text/event-stream")


def made(event: httpx2.ServerSentEvent, on_progress: Callable[[PlanProgress], None]) -> Any | None:
    """Return the plan that an event brings; raise what went wrong; None, and somebody told, while it is being made."""
    if event.event == "error":
        problem = json.loads(event.data)
        raise Refused(problem["status"], problem, None if event.retry is None else event.retry / 1000)
    if event.event == "progress":
        on_progress(json.loads(event.data))
    return json.loads(event.data) if event.event == "plan" else None


@dataclass(slots=True)
class Follower:
    """Where in a stream of events a client is."""

    after: str | None

    def take(self, event: httpx2.ServerSentEvent) -> StreamedEvent | None:
        """Return an event to pass on, and remember it; None for what is only about the stream."""
        if event.event == "gap":
            raise EventsLost(json.loads(event.data)["last_event_id"])
        self.after = event.id or self.after
        if event.event == "bye" or not event.data:  # the latter says where the stream begins
            return None
        return json.loads(event.data)
