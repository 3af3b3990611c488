"""``webhook.post``: a JSON message to an address, signed as Standard Webhooks describes (standardwebhooks.com).

``webhook-id`` is the job's idempotency key, the same in every attempt, so a receiver that keeps ids takes each message
once. A secret belongs to one destination; a destination without one gets the message unsigned.
"""

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final
from urllib.parse import urlsplit

import httpx2

from steward.action import ActionContext, ActionDefinition, ActionFailed, Effect, ParameterRole, RetryMode
from steward.actions.base import END, ONE_LINE, URL, BuiltinAction, invalid, object_schema, require_one_line
from steward.actions.guarded_http import MAX_URL_CHARS, Answer, GuardedHttp, host_of, parse_url
from steward.clock import Clock, SystemClock
from steward.errors import ConfigurationError
from steward.provenance import Label
from steward.redaction import redact_text

_TIMEOUT_S: Final = 15.0
_MAX_PAYLOAD_BYTES: Final = 256 * 1024
_MAX_RESPONSE_BYTES: Final = 4096
_MAX_RESPONSE_CHARS: Final = 500
_MAX_RETRY_AFTER_S: Final = 3600.0
_MAX_HEADERS: Final = 20
_MIN_SECRET_BYTES: Final = 24
_MAX_SECRET_BYTES: Final = 64
_TRY_AGAIN: Final = frozenset({408, 409, 425, 429})
_HEADER_NAME: Final = re.compile(r"[A-Za-z0-9-]{1,64}")
_OURS: Final = re.compile(
    r"host|connection|keep-alive|te|trailer|transfer-encoding|upgrade|expect|user-agent|accept-encoding"
    r"|(?:content|webhook|proxy)-.*",
    re.IGNORECASE,
)
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


def _key(secret: str) -> bytes:
    """Return the bytes of a ``whsec_…`` secret; raise ``ValueError`` for any other form."""
    if not secret.startswith("whsec_"):
        raise ValueError
    key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    if not _MIN_SECRET_BYTES <= len(key) <= _MAX_SECRET_BYTES:
        raise ValueError
    return key


class _Destination:
    """What a secret is for: a host, a host and port, or everything under a URL."""

    def __init__(self, text: str) -> None:
        parts = urlsplit(text if "://" in text else f"//{text}")
        if not parts.hostname or parts.username or parts.query or parts.fragment or (parts.path and not parts.scheme):
            raise ValueError
        self._scheme = parts.scheme
        self._host = host_of(httpx2.URL(f"http://{parts.netloc}"))
        self._port = parts.port or _DEFAULT_PORTS.get(parts.scheme)
        self._path = parts.path.rstrip("/") + "/"

    def rank(self, url: httpx2.URL) -> int:
        """Return how closely ``url`` fits, larger is closer; 0: not at all."""
        port = url.port or _DEFAULT_PORTS[url.scheme]
        if host_of(url) != self._host or self._port not in {None, port} or self._scheme not in {"", url.scheme}:
            return 0
        if not (url.path.rstrip("/") + "/").startswith(self._path):
            return 0
        return len(self._path) + (self._port is not None)


def _keys(secrets: Mapping[str, str]) -> tuple[tuple[_Destination, bytes], ...]:
    keys = []
    for position, (destination, secret) in enumerate(secrets.items(), start=1):
        try:
            keys.append((_Destination(destination), _key(secret)))
        except (ValueError, httpx2.InvalidURL, ActionFailed):  # binascii.Error is a ValueError
            raise ConfigurationError(
                f"WEBHOOK_SECRETS: entry {position} must be a host or URL with a secret of the form whsec_<base64 of "
                f"{_MIN_SECRET_BYTES} to {_MAX_SECRET_BYTES} bytes>."
            ) from None
    return tuple(keys)


def _own_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the caller's headers; raise ``ActionFailed`` for one that is malformed or not the caller's to set."""
    for name, value in headers.items():
        if not _HEADER_NAME.fullmatch(name):
            raise invalid("A header name is 1 to 64 letters, digits and hyphens.")
        if _OURS.fullmatch(name):
            raise invalid(f"The header '{name}' is set by Steward; leave it out.")
        require_one_line(value, f"The header '{name}'")
        if not value.isascii():
            raise invalid(f"The header '{name}' holds characters other than ASCII.")
    return dict(headers)


def _body(payload: Mapping[str, Any]) -> bytes:
    """Return the bytes that are signed and sent: the same for every attempt."""
    try:
        body = json.dumps(payload, ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":")).encode()
    except (ValueError, TypeError, RecursionError) as error:
        raise invalid("The payload holds something that JSON cannot carry.") from error
    if len(body) > _MAX_PAYLOAD_BYTES:
        raise invalid(f"The payload is larger than {_MAX_PAYLOAD_BYTES // 1024} KB.")
    return body


def _retry_after_s(value: str | None, now: datetime) -> float | None:
    """Return the far end's advice in seconds, at most an hour; None if there is none that can be read."""
    if value is None:
        return None
    try:
        if value.strip().isdecimal():
            seconds = float(value[:20])
        else:
            moment = parsedate_to_datetime(value)
            seconds = (moment.replace(tzinfo=moment.tzinfo or UTC) - now).total_seconds()
    except (ValueError, OverflowError):
        return None
    return min(max(seconds, 0.0), _MAX_RETRY_AFTER_S)


class WebhookPost(BuiltinAction):
    """Delivers a JSON message."""

    definition = ActionDefinition(
        id="webhook.post",
        title="Post to a webhook",
        description="Sends a JSON message to an http or https address, signed if a secret is set for it.",
        input_schema=object_schema(
            {
                "url": {
                    "type": "string",
                    "format": "uri",
                    "pattern": URL,
                    "maxLength": MAX_URL_CHARS,
                    "description": "Where to; redirects are not followed.",
                },
                "payload": {"type": "object", "description": "The message, sent as JSON."},
                "headers": {
                    "type": "object",
                    "propertyNames": {"pattern": rf"^[A-Za-z0-9-]{{1,64}}{END}"},
                    "additionalProperties": {"type": "string", "pattern": ONE_LINE, "maxLength": 1000},
                    "maxProperties": _MAX_HEADERS,
                    "default": {},
                    "description": "Further headers; those of the connection, the content and the signature are taken.",
                },
            },
            ("url", "payload"),
        ),
        output_schema=object_schema(
            {
                "status": {"type": "integer", "description": "HTTP status, always 2xx."},
                "response": {"type": "string", "description": "The beginning of the answer, redacted."},
            },
            ("status", "response"),
        ),
        effect=Effect.WRITE,
        retry=RetryMode.KEYED,
        roles={
            "url": ParameterRole.DESTINATION,
            "payload": ParameterRole.CONTENT,
            "headers": ParameterRole.DESTINATION,
        },
        output_labels={"status": Label.SYSTEM, "response": Label.UNTRUSTED},
        primary_output="response",
        groups=frozenset({"external", "webhook"}),
        timeout_s=30.0,
        sentences=("notify {url:url} (saying|with|that) {payload:message}", "post {payload:message} to {url:url}"),
    )

    def __init__(
        self,
        http: GuardedHttp,
        secrets: Mapping[str, str],
        *,
        clock: Clock | None = None,
        timeout_s: float = _TIMEOUT_S,
    ) -> None:
        """Take the secrets by destination; raise ``ConfigurationError`` naming WEBHOOK_SECRETS for a malformed entry."""
        self._http = http
        self._keys = _keys(secrets)
        self._clock = clock or SystemClock()
        self._timeout_s = timeout_s

    async def run(self, params: Mapping[str, Any], context: ActionContext) -> Any:
        """Return ``{status, response}`` for a 2xx; raise ``ActionFailed`` for any other answer.

        A time-out or a broken connection after the message left is no ``ActionFailed``: it may have arrived, and the
        repeat carries the same id.
        """
        url = params["url"]
        body = _body(params["payload"])
        headers = _own_headers(params.get("headers", {}))
        headers |= {"Content-Type": "application/json", "webhook-id": context.idempotency_key}
        headers |= self._signature(parse_url(url), context.idempotency_key, body)
        answer = await self._http.send(
            "POST", url, headers=headers, content=body, max_bytes=_MAX_RESPONSE_BYTES, timeout_s=self._timeout_s
        )
        if not 200 <= answer.status < 300:  # noqa: PLR2004 - the HTTP success range
            raise self._failure(answer)
        text = answer.body.decode("utf-8", "replace").replace("\0", "�")
        return {"status": answer.status, "response": redact_text(text)[:_MAX_RESPONSE_CHARS]}

    def _signature(self, url: httpx2.URL, message_id: str, body: bytes) -> dict[str, str]:
        """Return the time-stamp header, and the signature header if this destination has a secret."""
        stamp = str(int(self._clock.now().timestamp()))
        rank, key = max(((place.rank(url), key) for place, key in self._keys), default=(0, b""))
        if not rank:
            return {"webhook-timestamp": stamp}
        digest = hmac.digest(key, f"{message_id}.{stamp}.".encode() + body, hashlib.sha256)
        return {"webhook-timestamp": stamp, "webhook-signature": f"v1,{base64.b64encode(digest).decode()}"}

    def _failure(self, answer: Answer) -> ActionFailed:
        final = 300 <= answer.status < 500 and answer.status not in _TRY_AGAIN  # noqa: PLR2004 - redirects and refusals
        return ActionFailed(
            f"http_{answer.status}",
            f"The receiver answered with status {answer.status}.",
            retryable=not final,
            retry_after_s=None if final else _retry_after_s(answer.headers.get("retry-after"), self._clock.now()),
        )
