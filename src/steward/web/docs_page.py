"""``/docs``: the description of the API as one page for people. No script, nothing from elsewhere, generated once.

The content policy of the page allows its own style sheet, by its hash, and nothing else.
"""

import base64
import hashlib
import json
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any, Final

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, Response

from steward.web.openapi import public_answers
from steward.web.request_facts import facts_of

router = APIRouter(tags=["health"])
_STYLE: Final = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1b1f24;background:#fff}"
    "h2{margin-top:3rem}h3{font-size:1rem;margin:0}code,pre{font:14px/1.4 ui-monospace,monospace}"
    "pre{background:#f3f4f6;padding:.75rem;overflow:auto}details{border-top:1px solid #d5d9de;padding:.5rem 0}"
    "summary{cursor:pointer}summary h3{display:inline}table{border-collapse:collapse}td,th{padding:.15rem 1rem .15rem 0;"
    "text-align:left;vertical-align:top}"
    "@media(prefers-color-scheme:dark){body{color:#e4e7eb;background:#14171a}pre{background:#22262b}a{color:#8ab4f8}}"
)
_DIGEST: Final = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
POLICY: Final = (
    f"default-src 'none'; style-src 'sha256-{_DIGEST}'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)


@router.head("/docs", include_in_schema=False)
@router.get(
    "/docs",
    operation_id="docs_page",
    summary="This description, as a page",
    response_class=HTMLResponse,
    responses=public_answers(None),
)
async def docs(request: Request) -> Response:
    """For people; programs read `/openapi.json`."""
    state = request.app.state
    if getattr(state, "docs_page", None) is None:
        state.docs_page = page(request.app.openapi())
    facts_of(request.scope).headers["Content-Security-Policy"] = POLICY
    return HTMLResponse(state.docs_page)


def page(document: Mapping[str, Any]) -> str:
    """Return the page of an OpenAPI document: its operations by tag, each with what it takes and answers."""
    by_tag: dict[str, list[str]] = {}
    for path, item in document["paths"].items():
        for method, operation in item.items():
            told = "".join(_operation(method, path, operation, document))
            by_tag.setdefault(operation.get("tags", ["other"])[0], []).append(told)
    info = document["info"]
    links = " · ".join(f'<a href="#{escape(tag)}">{escape(tag)}</a>' for tag in by_tag)
    rooms = "".join(f'<h2 id="{escape(tag)}">{escape(tag)}</h2>{"".join(found)}' for tag, found in by_tag.items())
    title = f"{escape(info['title'])} {escape(info['version'])}"
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{_STYLE}</style></head>'
        f"<body><h1>{title}</h1>{_text(info['description'])}"
        f'<p>For programs: <a href="/openapi.json">/openapi.json</a>.</p><nav>{links}</nav>{rooms}</body></html>'
    )


def _text(text: str) -> str:
    """Return paragraphs; what stands between backticks is code."""
    parts = escape(text).split("`")
    marked = "".join(f"<code>{part}</code>" if number % 2 else part for number, part in enumerate(parts))
    return "".join(f"<p>{paragraph}</p>" for paragraph in marked.split("\n\n") if paragraph.strip())


def _operation(method: str, path: str, operation: Mapping[str, Any], document: Mapping[str, Any]) -> Iterator[str]:
    yield f'<details id="{escape(operation["operationId"])}"><summary><h3><code>{method.upper()} {escape(path)}</code>'
    yield f" {escape(operation.get('summary', ''))}</h3></summary>{_text(operation.get('description', ''))}"
    scopes = [scope for way in operation.get("security", ()) for named in way.values() for scope in named]
    if scopes:
        yield f"<p>Takes the scope <code>{escape(', '.join(scopes))}</code>.</p>"
    yield _parameters(operation.get("parameters", ()))
    for media in operation.get("requestBody", {}).get("content", {}).values():
        yield f"<h4>Body</h4>{_schema(media.get('schema', {}), document)}"
    yield "<h4>Answers</h4><table>"
    for status, answer in operation["responses"].items():
        yield f"<tr><td><code>{escape(str(status))}</code></td><td>{escape(answer.get('description', ''))}</td></tr>"
    yield "</table>"
    for status, answer in operation["responses"].items():
        for media in answer.get("content", {}).values() if str(status).startswith("2") else ():
            yield f"<h4>{escape(str(status))}</h4>{_schema(media.get('schema', {}), document)}"
    yield "</details>"


def _parameters(parameters: Any) -> str:
    rows = "".join(
        f"<tr><td><code>{escape(one['name'])}</code></td><td>{escape(one['in'])}</td>"
        f"<td>{'required' if one.get('required') else ''}</td><td>{_text(one.get('description', ''))}</td></tr>"
        for one in parameters
    )
    return f"<h4>Parameters</h4><table>{rows}</table>" if rows else ""


def _schema(schema: Mapping[str, Any], document: Mapping[str, Any]) -> str:
    """Return a schema's fields as a table, and its examples."""
    named = _resolved(schema, document)
    needed = named.get("required", ())
    rows = "".join(
        f"<tr><td><code>{escape(name)}</code></td><td>{escape(_kind(field))}</td>"
        f"<td>{'required' if name in needed else ''}</td><td>{_text(field.get('description', ''))}</td></tr>"
        for name, field in named.get("properties", {}).items()
    )
    examples = "".join(
        f"<pre>{escape(json.dumps(one, indent=2, ensure_ascii=False))}</pre>" for one in named.get("examples", ())
    )
    return (f"<table>{rows}</table>" if rows else "") + examples


def _resolved(schema: Mapping[str, Any], document: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what a reference leads to; of several alternatives, the first that is one."""
    alternatives = (schema, *schema.get("anyOf", ()), *schema.get("oneOf", ()))
    name = next((one["$ref"].rpartition("/")[2] for one in alternatives if "$ref" in one), None)
    return schema if name is None else document["components"]["schemas"][name]


def _kind(field: Mapping[str, Any]) -> str:
    """Return a field's type in a word or two."""
    if "$ref" in field:
        return str(field["$ref"]).rpartition("/")[2]
    if "enum" in field or "const" in field:
        return " | ".join(json.dumps(value) for value in field.get("enum", [field.get("const")]))
    if "anyOf" in field:
        return " | ".join(_kind(one) for one in field["anyOf"])
    if field.get("type") == "array":
        return f"{_kind(field.get('items', {}))}[]"
    return str(field.get("format") or field.get("type", "any"))
