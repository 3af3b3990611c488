"""``http.get``: read one public web address, bounded in size and time. All of it is what somebody else wrote."""

import codecs
import json
from collections.abc import Mapping
from typing import Any, Final

from steward.action import ActionContext, ActionDefinition, ActionFailed, Effect, RetryMode
from steward.actions.base import URL, BuiltinAction, object_schema
from steward.actions.guarded_http import MAX_URL_CHARS, Answer, GuardedHttp
from steward.errors import FarEndFailed, FarEndTimedOut
from steward.plan import MAX_RESULT_BYTES

_TIMEOUT_S: Final = 20.0
_MAX_REDIRECTS: Final = 5
_DEFAULT_BYTES: Final = 32 * 1024
_ROOM_BYTES: Final = MAX_RESULT_BYTES - 1024
"""What text and json may take together, so that the whole result fits."""
_NO_CHARSETS: Final = frozenset({"idna", "punycode", "unicode_escape", "raw_unicode_escape", "utf_7"})
"""Codecs that Python has and pages do not: slow on hostile input, or able to hide characters."""
_TEXTUAL: Final = frozenset({"application/json", "application/xml", "application/javascript", "application/yaml"})


def _json_size(value: Any) -> int:
    """Return the bytes ``value`` takes as JSON, or more than any room if it cannot be JSON."""
    try:
        return len(json.dumps(value, ensure_ascii=False, allow_nan=False).encode())
    except (ValueError, RecursionError):
        return MAX_RESULT_BYTES + 1


def _is_textual(media_type: str) -> bool:
    return media_type.startswith("text/") or media_type in _TEXTUAL or media_type.endswith(("+json", "+xml"))


def _decoded(body: bytes, charset: str | None) -> str:
    """Return ``body`` as text; an unknown or improper charset counts as UTF-8, and what does not fit becomes U+FFFD."""
    try:
        known = codecs.lookup(charset or "utf-8").name
        text = body.decode("utf-8" if known.replace("-", "_") in _NO_CHARSETS else known, "replace")
    except (LookupError, ValueError):
        text = body.decode("utf-8", "replace")
    return text.encode("utf-8", "replace").decode()


def _fitted(text: str) -> str:
    """Return as much of ``text`` as fits a result."""
    while (size := _json_size(text)) > _ROOM_BYTES:
        text = text[: len(text) * _ROOM_BYTES // size - 1]
    return text


def _result(answer: Answer) -> dict[str, Any]:
    content_type = answer.headers.get("content-type", "").strip()[:200]
    media_type = content_type.partition(";")[0].strip().lower()
    if answer.body and media_type and not _is_textual(media_type):
        raise ActionFailed("not_text", "The address answered with something other than text or JSON.")
    if answer.headers.get("content-encoding", "identity").strip().lower() not in {"", "identity"}:
        raise ActionFailed("not_text", "The server sent a compressed answer although none was asked for.")
    whole = _decoded(answer.body, _charset(content_type))
    text = _fitted(whole)
    result = {
        "status": answer.status,
        "content_type": content_type,
        "text": text,
        "truncated": answer.truncated or text != whole,
    }
    if not result["truncated"] and (media_type == "application/json" or media_type.endswith("+json")):
        try:
            value = json.loads(whole)
        except (ValueError, RecursionError):
            return result
        if _json_size(value) + _json_size(text) <= _ROOM_BYTES:
            result["json"] = value
    return result


def _charset(content_type: str) -> str | None:
    for part in content_type.split(";")[1:]:
        name, _, value = part.partition("=")
        if name.strip().lower() == "charset":
            return value.strip().strip('"')[:40] or None
    return None


class HttpGet(BuiltinAction):
    """Fetches a page or a JSON document."""

    definition = ActionDefinition(
        id="http.get",
        title="Fetch a web address",
        description="Reads a public http or https address and returns its text, and its JSON if it is JSON.",
        input_schema=object_schema(
            {
                "url": {
                    "type": "string",
                    "format": "uri",
                    "pattern": URL,
                    "maxLength": MAX_URL_CHARS,
                    "description": "The address; redirects are followed, at most five.",
                },
                "max_bytes": {
                    "type": "integer",
                    "minimum": 1,
                    "maximum": MAX_RESULT_BYTES,
                    "default": _DEFAULT_BYTES,
                    "description": "How much of the body to read; what is longer is cut.",
                },
            },
            ("url",),
        ),
        output_schema=object_schema(
            {
                "status": {"type": "integer", "description": "HTTP status."},
                "content_type": {"type": "string", "description": "As the server sent it."},
                "text": {"type": "string", "description": "The body as text."},
                "truncated": {"type": "boolean", "description": "Whether the body was longer than what is returned."},
                "json": {"description": "The body as JSON, if it is whole, JSON and small enough."},
            },
            ("status", "content_type", "text", "truncated"),
        ),
        effect=Effect.READ,
        retry=RetryMode.NONE,
        # No role: the address is the destination. No label: all that comes back is untrusted.
        primary_output="text",
        reversibility="no effect",
        groups=frozenset({"external"}),
        timeout_s=30.0,
        sentences=("(fetch|get|read) [the] [page] {url:url}",),
    )

    def __init__(self, http: GuardedHttp, *, timeout_s: float = _TIMEOUT_S) -> None:
        """Take the guarded client and the time in seconds that one fetch may take, redirects included."""
        self._http = http
        self._timeout_s = timeout_s

    async def run(self, params: Mapping[str, Any], context: ActionContext) -> Any:  # noqa: ARG002 - the contract's
        """Return ``{status, content_type, text, truncated, json?}`` for any status; raise ``ActionFailed`` without one."""
        try:
            answer = await self._http.send(
                "GET",
                params["url"],
                max_bytes=params.get("max_bytes", _DEFAULT_BYTES),
                timeout_s=self._timeout_s,
                max_redirects=_MAX_REDIRECTS,
            )
        except (FarEndFailed, FarEndTimedOut) as error:  # a read changes nothing, so it may simply be tried again
            raise ActionFailed(error.stable_code, error.detail, retryable=True) from error
        return _result(answer)
