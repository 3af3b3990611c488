"""One canonical form for everything that is hashed: RFC 8785 JSON, SHA-256, hex.

Canonical JSON cannot hold every Python value faithfully, and two different things must never share a digest, so integers
beyond 2^53-1, NaN, infinities and lone surrogates are refused with a sentence that says what to send instead.
"""

import hashlib
import re
from collections.abc import Mapping
from typing import Any, Final

import rfc8785
from pydantic_core import to_json

from steward.errors import Invalid

HEX_DIGEST: Final = re.compile("[0-9a-f]{64}")
"""A SHA-256 as it is written."""
_MAX_INTEGER: Final = 2**53 - 1
_ATOMS: Final = frozenset({str, bool, type(None)})
_HOLDERS: Final = frozenset({dict, list})


def in_order(value: Any) -> Any:
    """Return ``value`` with its keys in order, so that a fast encoder writes it as RFC 8785 does.

    Raises ``ValueError`` for what that encoder may write otherwise: floats, keys beyond ASCII, and what is not JSON; or
    ``TypeError``, for keys of several kinds.
    """
    kind = type(value)
    if kind is str or value is None:
        return value
    if kind is dict:
        names, ordered = sorted(value), {}
        if not "".join(names).isascii():
            raise ValueError
        for key in names:
            item = ordered[key] = value[key]
            kind = type(item)
            if kind is not str and kind not in _ATOMS and not (kind is int and -_MAX_INTEGER <= item <= _MAX_INTEGER):
                ordered[key] = in_order(item)
        return ordered
    if kind is list:
        return [item if type(item) in _ATOMS else in_order(item) for item in value] if value else value
    if kind in _ATOMS or (kind is int and -_MAX_INTEGER <= value <= _MAX_INTEGER):
        return value
    raise ValueError


class CanonicalJson(str):
    """A text that is the canonical JSON of something, and so need not be made canonical again."""

    __slots__ = ()


def canonical_fields(fields: Mapping[str, str | int | None]) -> bytes:
    """Return ``canonical_json`` of a flat object of texts and small whole numbers under ASCII keys, much faster."""
    return ordered_fields({name: fields[name] for name in sorted(fields)})


def ordered_fields(fields: Mapping[str, str | int | None]) -> bytes:
    """Return ``canonical_fields`` of an object whose keys are in order already."""
    try:
        return to_json(fields)
    except ValueError as error:
        raise Invalid("A text holds something that JSON cannot carry.", code="not_json") from error


def canonical_json(value: Any) -> bytes:
    """Return the RFC 8785 form of ``value`` as UTF-8 bytes; raise ``Invalid`` for what JSON cannot hold exactly."""
    try:
        try:
            return to_json(in_order(value))  # many times as fast
        except (ValueError, TypeError):
            return rfc8785.dumps(value)
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


def sha256_of_ordered(fields: Mapping[str, Any]) -> str:
    """Return ``sha256_of`` of an object whose keys are ASCII and in order already: only its values are looked at."""
    try:
        written = to_json(
            {
                name: item if type(item) in _ATOMS or (not item and type(item) in _HOLDERS) else in_order(item)
                for name, item in fields.items()
            }
        )
    except (ValueError, RecursionError):
        written = canonical_json(fields)
    return hashlib.sha256(written).hexdigest()
