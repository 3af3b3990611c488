"""What can go wrong between a client and a server."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import httpx2

_KNOWN: Final = frozenset({"type", "title", "status", "detail", "code", "request_id", "errors"})


class ClientError(Exception):
    """Why a request has no answer to return."""


class NoAnswer(ClientError):
    """The server could not be reached, did not answer in time, or what answered is no Steward."""


class EventsLost(ClientError):
    """Events after the place asked for are no longer kept: load again what they were about, then go on."""

    def __init__(self, last_event_id: str) -> None:
        """Remember from where one can go on."""
        super().__init__(f"Some events are no longer kept. Load again, then go on after {last_event_id}.")
        self.last_event_id = last_event_id


class Refused(ClientError):
    """A problem document: the server answered, and the answer is no."""

    def __init__(self, status: int, problem: Mapping[str, Any], retry_after_s: float | None = None) -> None:
        """Take over what the server said."""
        super().__init__(
            f"{problem['detail']} ({status} {problem['code']}, {problem.get('request_id', 'no request id')})"
        )
        self.status = status
        self.code: str = problem["code"]
        """A stable word to match on."""
        self.title: str = problem.get("title", "")
        self.detail: str = problem["detail"]
        self.request_id: str | None = problem.get("request_id")
        """What the server's log knows the request by."""
        self.errors: Sequence[Mapping[str, str]] = problem.get("errors", ())
        """Field problems: ``pointer`` and ``detail`` of each."""
        self.facts: Mapping[str, Any] = {name: value for name, value in problem.items() if name not in _KNOWN}
        """Further members, such as ``rule`` or ``scope``."""
        self.retry_after_s = retry_after_s
        """When another try makes sense, if the server said so."""


def failure_of(response: httpx2.Response) -> ClientError:
    """Return what a response that is no success means."""
    try:
        problem = response.json()
    except ValueError:
        problem = None
    if not isinstance(problem, dict) or not all(isinstance(problem.get(name), str) for name in ("code", "detail")):
        return NoAnswer(f"The answer, {response.status_code}, is not from a Steward; check the address.")
    after = response.headers.get("retry-after", "")
    return Refused(response.status_code, problem, float(after) if after.isdecimal() else None)
