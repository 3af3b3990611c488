"""One canonical form for everything that is hashed: RFC 8785 JSON, SHA-256, hex.

Canonical JSON cannot hold every Python value faithfully, and two different things must never share a digest, so integers
beyond 2^53-1, NaN, infinities and lone surrogates are refused with a sentence that says what to send instead.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final

import rfc8785
from pydantic_core import to_json

from steward.errors import Invalid

_MAX_INTEGER: Final = 2**53 - 1
_encode: Final = json.JSONEncoder(
    sort_keys=True, ensure_ascii=False, check_circular=False, allow_nan=False, separators=(",", ":")
).encode


def _plain(value: Any) -> bool:
    """Say whether Python's own encoder writes ``value`` as RFC 8785 does: no floats, and keys that sort alike."""
    kind = type(value)
    if kind is str or value is None or kind is bool:
        return True
    if kind is int:
        return -_MAX_INTEGER <= value <= _MAX_INTEGER
    if kind is dict:
        return all(type(key) is str and key.isascii() and _plain(item) for key, item in value.items())
    return kind is list and all(_plain(item) for item in value)


def canonical_fields(fields: Mapping[str, str | int | None]) -> bytes:
    """Return ``canonical_json`` of a flat object of texts and small whole numbers under ASCII keys, much faster."""
    try:
        return to_json(dict(sorted(fields.items())))
    except ValueError as error:
        raise Invalid("A text holds something that JSON cannot carry.", code="not_json") from error


def canonical_json(value: Any) -> bytes:
    """Return the RFC 8785 form of ``value`` as UTF-8 bytes; raise ``Invalid`` for what JSON cannot hold exactly."""
    try:
        return _encode(value).encode() if _plain(value) else rfc8785.dumps(value)  # eight times as fast
    except rfc8785.IntegerDomainError as error:
        raise Invalid(
            "An integer beyond 2^53-1 cannot be kept exactly; use a string.", code="inexact_number"
        ) from error
    except rfc8785.FloatDomainError as error:
        raise Invalid("NaN and infinity are not JSON numbers; use a string.", code="inexact_number") from error
    except (rfc8785.CanonicalizationError, UnicodeEncodeError, RecursionError) as error:
        raise Invalid("The value holds something that JSON cannot carry.", code="not_json") from error


def sha256_of(value: Any) -> str:
    """Return the SHA-256 (64 hex characters) of the canonical JSON of ``value``."""
    return hashlib.sha256(canonical_json(value)).hexdigest()
