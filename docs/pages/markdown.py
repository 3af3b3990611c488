"""The little Markdown that the pages need."""

from collections.abc import Iterable, Mapping
from typing import Any


def cell(text: object) -> str:
    """Return ``text`` so that it stays inside one cell of a table."""
    return " ".join(str(text).split()).replace("|", "\\|")


def table(head: tuple[str, ...], rows: Iterable[tuple[object, ...]]) -> str:
    """Return a Markdown table."""
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    lines += [f"| {' | '.join(cell(item) for item in row)} |" for row in rows]
    return "\n".join(lines) + "\n"


def described(schema: Mapping[str, Any]) -> str:
    """Return the type of a JSON Schema, and its default, in a few words."""
    options = schema.get("anyOf") or schema.get("oneOf")
    if "enum" in schema:
        kinds = " or ".join(f"`{value}`" for value in schema["enum"])
    elif options and "type" not in schema:
        kinds = " or ".join(
            dict.fromkeys(str(option.get("type", "object")) for option in options if option.get("type") != "null")
        )
    else:
        kinds = str(schema.get("type", "any value"))
    default = f"; default `{schema['default']}`" if schema.get("default") else ""
    return f"{kinds}{_bounds(schema)}{default}"


def _bounds(schema: Mapping[str, Any]) -> str:
    """Return the least and the most that a number may be."""
    least, most = schema.get("minimum"), schema.get("maximum")
    if least is not None and most is not None:
        return f", {least:g} to {most:g}"
    return f", at least {least:g}" if least is not None else f", at most {most:g}" if most is not None else ""
