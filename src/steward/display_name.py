"""Names that people give to things, for tables and logs: free text on one line, never an identifier."""

from typing import Final

from steward.errors import Invalid

MAX_NAME_CHARS: Final = 100


def require_display_name(value: object, what: str) -> str:
    """Return ``value`` trimmed; raise ``Invalid`` unless it is 1 to 100 printable characters on one line.

    ``what`` begins the sentence, for example "A workspace's name".
    """
    name = value.strip() if isinstance(value, str) else ""
    if not name or len(name) > MAX_NAME_CHARS or not name.isprintable():
        raise Invalid(f"{what} is 1 to {MAX_NAME_CHARS} printable characters on one line.", code="invalid_name")
    return name
