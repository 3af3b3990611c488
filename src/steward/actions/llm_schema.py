"""What ``llm.extract`` may be asked for: an e-mail address, a number, a date, one of some words, or an object of such.

The model's answer is held against this in code. A schema may use only what cannot be made slow (no patterns, no references),
and is looked at before the model is asked.
"""

import re
from collections.abc import Mapping
from datetime import date
from typing import Any, Final

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError

from steward.action import ActionFailed
from steward.actions.addresses import parse_address
from steward.actions.base import invalid

KINDS: Final = ("email", "number", "date", "text", "boolean")
_BY_KIND: Final[Mapping[str, Mapping[str, Any]]] = {
    "email": {"type": "string", "maxLength": 320, "description": "One e-mail address and nothing else."},
    "number": {"type": "number"},
    "date": {"type": "string", "maxLength": 10, "description": "A day as YYYY-MM-DD."},
    "text": {"type": "string"},
    "boolean": {"type": "boolean"},
}
_KEYWORDS: Final = frozenset(
    [
        *("type", "description", "title", "enum", "const", "anyOf"),
        *("properties", "required", "additionalProperties", "items", "minItems", "maxItems"),
        *("minLength", "maxLength", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"),
    ]
)
_MAX_DEPTH: Final = 5
_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def wanted(given: Any) -> dict[str, Any]:
    """Return the JSON Schema of the value that ``schema`` asks for; raise ``ActionFailed`` if it cannot be asked for."""
    if isinstance(given, str):
        return dict(_BY_KIND[given])
    if set(given) == {"one_of"}:
        choices = given["one_of"]
        if not isinstance(choices, list) or not choices or not all(isinstance(one, str) and one for one in choices):
            raise invalid("'one_of' is a list of at least one text.")
        return {"type": "string", "enum": choices}
    _require_simple(given, 0)
    try:
        Draft202012Validator.check_schema(given)
    except SchemaError:
        raise invalid("'schema' is not a JSON Schema.") from None
    return dict(given)


def _require_simple(schema: Any, depth: int) -> None:
    if not isinstance(schema, Mapping):
        if isinstance(schema, bool):
            return
        raise invalid("'schema' is not a JSON Schema.")
    unknown = sorted(set(schema) - _KEYWORDS)
    if unknown:
        raise invalid(f"'schema' may not use '{unknown[0][:40]}'; it may use {', '.join(sorted(_KEYWORDS))}.")
    if depth == _MAX_DEPTH:
        raise invalid(f"'schema' is nested deeper than {_MAX_DEPTH}.")
    properties = schema.get("properties", {})
    parts = [*properties.values()] if isinstance(properties, Mapping) else [properties]
    parts += [schema[name] for name in ("items", "additionalProperties") if name in schema]
    choices = schema.get("anyOf", [])
    for part in [*parts, *(choices if isinstance(choices, list) else [choices])]:
        _require_simple(part, depth + 1)


def problem(given: Any, schema: Mapping[str, Any], value: Any) -> str | None:
    """Return what is wrong with a model's value, without repeating it; None: it is what was asked for."""
    broken = next(Draft202012Validator(schema).iter_errors(value), None)
    if broken is not None:
        return f"The value breaks the rule {broken.validator}: {str(broken.validator_value)[:200]}."
    if given == "email" and not _is_address(value):
        return "That is not one e-mail address."
    if given == "date" and not _is_day(value):
        return "That is not a day as YYYY-MM-DD."
    return None


def _is_address(value: str) -> bool:
    try:
        parse_address(value)
    except ActionFailed:
        return False
    return True


def _is_day(value: str) -> bool:
    try:
        return _DAY.fullmatch(value) is not None and bool(date.fromisoformat(value))
    except ValueError:
        return False
