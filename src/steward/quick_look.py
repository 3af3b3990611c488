"""A quick look at parameters, in compiled code: whether they surely fit their action's schema.

Nearly all do, and then nothing more has to be asked. It never says yes to what ``jsonschema`` would refuse, so that one rule
holds whoever is asked: what the two are known to judge otherwise is left to ``jsonschema``, and patterns are Python's in both.
A no means "look closely", which also finds the words for what is wrong.
"""

import re
from collections.abc import Mapping
from contextlib import suppress
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from pydantic_core import from_json

from steward.action import ActionDefinition

if TYPE_CHECKING:
    from jsonschema_rs import Draft202012Validator

_JUDGED_OTHERWISE: Final = (b'"patternProperties"', b'"multipleOf"', b'"$dynamicRef"', b'"$id"', b'"$vocabulary"')
"""Keywords, as they stand in a canonical schema, that leave it to ``jsonschema``."""


class _Pattern:
    """The keyword ``pattern`` as Python's ``re`` has it."""

    def __init__(self, _parent: Any, pattern: str, _path: Any) -> None:
        self._search = re.compile(pattern).search

    def validate(self, instance: Any) -> None:
        """Raise ``ValueError`` for a text that the pattern is not in."""
        if isinstance(instance, str) and self._search(instance) is None:
            raise ValueError


@lru_cache(maxsize=512)
def _compiled(schema: bytes) -> "Draft202012Validator | None":
    """Return the compiled schema; None: it cannot be judged here."""
    from jsonschema_rs import Draft202012Validator  # noqa: PLC0415 - only on the first use of a schema

    if any(word in schema for word in _JUDGED_OTHERWISE):
        return None
    with suppress(Exception):  # whatever it cannot read, the other one may
        return Draft202012Validator(
            from_json(schema), validate_formats=False, offline=True, keywords={"pattern": _Pattern}
        )
    return None


def fits(definition: ActionDefinition, params: Mapping[str, Any]) -> bool:
    """Say whether parameters surely fit the action's schema; False: they may still."""
    compiled = _compiled(definition.canonical_input_schema)
    if compiled is None:
        return False
    try:
        return compiled.is_valid(dict(params))
    except Exception:  # noqa: BLE001 - what it cannot look at is looked at closely
        return False
