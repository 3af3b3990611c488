"""A request whose JSON body means one thing only: no repeated names, no NaN or infinity, no lone surrogates, not too deep.

FastAPI parses with what is given here, because ``SecuredRoute`` hands it this class of request.
"""

import json
import math
from typing import Any

from fastapi import Request
from pydantic_core import from_json

from steward.errors import Invalid


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise Invalid("An object of the body names a field twice.", code="invalid_json")
    return value


def _number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise Invalid("A number of the body is too large to be kept; use a string.", code="invalid_json")
    return value


def strict_json(body: bytes) -> Any:
    """Return the value that ``body`` holds; raise ``Invalid`` (``invalid_json``) if it is not exactly one JSON value."""
    try:
        from_json(body, allow_inf_nan=False)  # NaN, surrogates, depth, encoding, size of integers
        return json.loads(body, object_pairs_hook=_object, parse_float=_number)
    except (ValueError, RecursionError) as error:
        raise Invalid("The body is not valid JSON (RFC 8259, UTF-8).", code="invalid_json") from error


class StrictRequest(Request):
    """Reads its body with ``strict_json``, once."""

    async def json(self) -> Any:
        """Return the parsed body."""
        if not hasattr(self, "_json"):
            self._json = strict_json(await self.body())
        return self._json

    def has_json(self) -> bool:
        """Say whether the request declares its body as JSON."""
        media_type = self.headers.get("content-type", "").split(";")[0].strip().lower()
        return media_type == "application/json" or (
            media_type.startswith("application/") and media_type.endswith("+json")
        )
