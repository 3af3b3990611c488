"""The API, from the description that it publishes of itself."""

import asyncio
import json
import secrets
import tempfile
from collections.abc import Mapping
from typing import Any

from pages.markdown import described, table
from steward.bootstrap import open_application
from steward.settings import Settings
from steward.web.app import create_app

_INTRO = """# HTTP

JSON in UTF-8, and `Authorization: Bearer <api key>` on everything but health, version, metrics and the description itself.
The running server describes itself in full at `/openapi.json`; this page is that description in short. Whatever takes GET answers
HEAD in the same way, without the body.

Times are RFC 3339 in UTC; durations end in `_ms` or `_s`. An unknown field in a body or query is refused (422).
`workspace_id` and `actor_id` may be sent, but only with the credential's own values; anything else is 403. What belongs to
another workspace does not exist for a caller: the answer is the same 404 as for an id that nobody has. Errors have
[one shape](errors.md).

"""
_EVENTS = """
## Events

The types of events on the stream, beside `gap` and `bye`, which are about the stream itself:

"""


async def _openapi() -> Mapping[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings.load({"STEWARD_HOME": folder, "STEWARD_SECRET_KEY": secrets.token_urlsafe(48)})
        async with open_application(settings) as application:
            return create_app(application).openapi()


def _scope(operation: Mapping[str, Any]) -> str:
    scopes = [scope for needed in operation.get("security", []) for values in needed.values() for scope in values]
    return ", ".join(f"`{scope}`" for scope in scopes) or "none"


def _route(method: str, path: str, operation: Mapping[str, Any]) -> str:
    lines = [f"\n## {method.upper()} `{path}`\n", f"{operation['summary']}. {operation.get('description', '')}\n"]
    statuses = ", ".join(sorted(operation["responses"]))
    lines.append(f"Scope: {_scope(operation)}. Answers: {statuses}.\n")
    rows = [
        (f"`{parameter['name']}`", parameter["in"], parameter.get("description", ""))
        for parameter in operation.get("parameters", [])
        if parameter["name"] not in {"workspace_id", "actor_id"} and parameter["in"] != "path"
    ]
    if rows:
        lines.append(table(("Parameter", "In", "Meaning"), rows))
    return "\n".join(lines)


def _example(schema: Mapping[str, Any]) -> str:
    examples = schema.get("examples")
    return f" Such as `{json.dumps(examples[0])}`." if examples else ""


def _body(name: str, schema: Mapping[str, Any]) -> str:
    needed = set(schema.get("required", ()))
    rows = [
        (
            f"`{field}`" + ("" if field in needed else " (optional)"),
            described(about),
            about.get("description", "") + _example(about),
        )
        for field, about in schema.get("properties", {}).items()
        if field not in {"workspace_id", "actor_id"}
    ]
    if not rows:
        return ""
    return f"\n### {name}\n\n{schema.get('description', '')}\n\n" + table(("Field", "Type", "Meaning"), rows)


def make() -> str:
    """Return the page."""
    described = asyncio.run(_openapi())
    operations = [
        (method, path, operation) for path, item in described["paths"].items() for method, operation in item.items()
    ]
    overview = table(
        ("Method and path", "Scope", "What"),
        [
            (f"{method.upper()} `{path}`", _scope(operation), operation["summary"])
            for method, path, operation in operations
        ],
    )
    schemas = described["components"]["schemas"]
    bodies = "".join(_body(name, schema) for name, schema in sorted(schemas.items()) if name.endswith("Body"))
    return _INTRO + overview + "".join(_route(*operation) for operation in operations) + "\n## Bodies\n" + bodies
