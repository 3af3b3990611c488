"""The form in which data leaves: JSON written by pydantic's serialiser, which is several times faster than the default."""

from typing import Any

from pydantic_core import to_json
from starlette.responses import Response


def json_answer(document: Any, status: int = 200) -> Response:
    """Return ``document`` as ``application/json``."""
    return Response(to_json(document), int(status), media_type="application/json")
