"""What the built-in actions share: the way they refuse, and the text rules that their schemas and code both keep.

The patterns are written for JSON Schema (ECMA 262) and mean the same in Python. None ends in ``$``, which in Python
also matches before a trailing newline; "nothing follows" is spelled as a lookahead instead.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from steward.action import ActionContext, ActionDefinition, ActionFailed, CannotTell, ProbeAnswer

END: Final = r"(?![\s\S])"
"""Pattern: nothing follows."""
ONE_LINE: Final = r"^(?![\s\S]*[\u0000-\u001f\u007f-\u009f\u2028\u2029])"
"""Pattern: no control character and no line break of any kind, anywhere."""
NO_NUL: Final = r"^(?![\s\S]*\u0000)"
"""Pattern: no NUL, anywhere."""
URL: Final = r"^[Hh][Tt][Tt][Pp][Ss]?://(?![\s\S]*[\u0000-\u0020\u007f])"
"""Pattern: an http or https address without blanks or control characters."""
MAX_TEXT_CHARS: Final = 65_536
"""The longest text an action takes, as large as a result that may feed it."""

_BROKEN: Final = re.compile(r"[\ud800-\udfff]")


def invalid(detail: str) -> ActionFailed:
    """Return the refusal of a parameter: nothing was done, and trying again would not help."""
    return ActionFailed("invalid_params", detail)


def require_unicode(value: str, what: str) -> str:
    """Return ``value``; raise ``ActionFailed`` if it holds half a character, which UTF-8 cannot carry."""
    if _BROKEN.search(value):
        raise invalid(f"{what} holds half of a character (a lone surrogate).")
    return value


def require_one_line(value: str, what: str) -> str:
    """Return ``value``; raise ``ActionFailed`` if it holds a control character or any line break."""
    if not re.match(ONE_LINE, value):
        raise invalid(f"{what} holds a line break or another control character.")
    return require_unicode(value, what)


def object_schema(properties: Mapping[str, Any], required: tuple[str, ...]) -> dict[str, Any]:
    """Return the JSON Schema of an object with exactly these properties."""
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(required),
        "additionalProperties": False,
    }


class BuiltinAction:
    """A built-in action; none of them is of the ``probe`` kind."""

    definition: ActionDefinition

    async def probe(self, params: Mapping[str, Any], context: ActionContext) -> ProbeAnswer:  # noqa: ARG002 - the contract's
        """Return that nobody can tell."""
        return CannotTell(f"{self.definition.id} has no way to ask the far end what happened.")
