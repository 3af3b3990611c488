"""The catalogue: every action of this installation, checked when it is added."""

import json
from functools import lru_cache
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError

from steward.action import MAX_ACTION_ID_CHARS, Action, ActionDefinition, is_action_id
from steward.errors import ConfigurationError, Invalid


def _where(action: Action) -> str:
    """Return where an action comes from, for a person: its function's module, or its class's."""
    return str(getattr(action, "__module__", type(action).__module__))


def _schema_problem(definition: ActionDefinition) -> str | None:
    """Return what is wrong with the definition's schemas or roles, or None."""
    schema: Any = definition.input_schema
    try:
        _ = definition.definition_hash
    except Invalid as error:
        return f"has a schema that cannot be hashed: {error.detail}"
    for one in (schema, definition.output_schema):
        if wrong := _not_a_schema(json.dumps(one)):
            return f"has a schema that is not JSON Schema 2020-12: {wrong}"
    if schema.get("type") != "object" or schema.get("additionalProperties") is not False:
        return "has an input schema that is not a closed object (additionalProperties must be false)"
    if unknown := set(definition.roles) - set(schema.get("properties", {})):
        return f"gives a role to {sorted(unknown)}, which it has no parameter for"
    return None


@lru_cache(maxsize=512)
def _not_a_schema(text: str) -> str | None:
    """Return why a text is no JSON Schema, or None. The check takes milliseconds, and one process may open many installations."""
    try:
        Draft202012Validator.check_schema(json.loads(text))
    except SchemaError as error:
        return error.message[:200]
    return None


class ActionCatalogue:
    """The actions by id. Filled while the process starts; only read afterwards."""

    def __init__(self) -> None:
        """Start empty."""
        self._actions: dict[str, Action] = {}
        self._definitions: tuple[ActionDefinition, ...] = ()

    def add(self, action: Action) -> None:
        """Add an action; raise ``ConfigurationError`` for a malformed or duplicate id or a schema that cannot be enforced."""
        definition = action.definition
        shown = definition.id[:MAX_ACTION_ID_CHARS]
        if not is_action_id(definition.id):
            raise ConfigurationError(
                f"The action id {shown!r} (from {_where(action)}) must be 'provider.name': lower-case letters, digits "
                f"and '_', at least one dot, at most {MAX_ACTION_ID_CHARS} characters."
            )
        if known := self._actions.get(definition.id):
            raise ConfigurationError(
                f"Two actions have the id '{shown}', one from {_where(known)} and one from {_where(action)}: rename one."
            )
        if problem := _schema_problem(definition):
            raise ConfigurationError(f"The action '{shown}' (from {_where(action)}) {problem}.")
        self._actions[definition.id] = action
        self._definitions = tuple(self._actions[action_id].definition for action_id in sorted(self._actions))

    def get(self, action_id: str) -> Action | None:
        """Return the action with exactly this id, enabled or not; None if there is none."""
        return self._actions.get(action_id)

    def definitions(self) -> tuple[ActionDefinition, ...]:
        """Return every definition, sorted by id."""
        return self._definitions
