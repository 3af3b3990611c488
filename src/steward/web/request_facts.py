"""What is known about the request under way, kept beside it for the log line, the metrics and the problem documents."""

from dataclasses import dataclass, field
from typing import Any, Final

from starlette.types import Scope

from steward.identity import Principal

UNMATCHED: Final = "unmatched"
_KEY: Final = "steward.facts"


@dataclass(slots=True)
class RequestFacts:
    """Filled in as the request goes through the doors."""

    request_id: str
    method: str = "GET"
    """What the client asked for; a HEAD goes through the doors as a GET."""
    principal: Principal | None = None
    decision: str | None = None
    """``allowed`` or ``denied`` once a door that asks for a credential has decided."""
    headers: dict[str, str] = field(default_factory=dict)
    """What the answer is to carry, whichever it will be."""


def route_of(scope: Scope) -> str:
    """Return the template of the matched route; one value for all that match none."""
    return getattr(scope.get("route"), "path", None) or UNMATCHED


def keep_facts(scope: Scope, facts: RequestFacts) -> None:
    """Attach ``facts`` to the request."""
    scope[_KEY] = facts


def facts_of(scope: Any) -> RequestFacts:
    """Return the facts of the request that ``scope`` belongs to."""
    return scope[_KEY]
