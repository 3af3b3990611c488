"""What policies can talk about: the packaged schema, and every action of the catalogue with its groups and its twin.

An action's *unattended twin* is the same action done without a person having looked. Whoever forbids the twin alone asks
for an approval; see ADR 0010.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from typing import Final

from cedarpy import Schema

from steward.action import ActionDefinition
from steward.digest import sha256_of
from steward.errors import ConfigurationError
from steward.ids import is_word

UNATTENDED: Final = "unattended"
BASE_GROUPS: Final = frozenset({"read", "write", "external", "message", "money"})
_TAKES: Final = "appliesTo { principal: [Actor], resource: [Workspace], context: Facts }"


def twin(name: str) -> str:
    """Return the name of the unattended twin of an action or group."""
    return f"{name}:{UNATTENDED}"


def is_twin(name: str) -> bool:
    """Say whether a name of an action or group stands for unattended ones alone."""
    return name == UNATTENDED or name.endswith(f":{UNATTENDED}")


def packaged(name: str) -> str:
    """Return the text of one of the packaged policy files."""
    return files("steward.policies").joinpath("default", name).read_text(encoding="utf-8")


@dataclass(frozen=True, eq=False)
class Language:
    """The schema for one set of actions."""

    definitions: Sequence[ActionDefinition]

    @cached_property
    def text(self) -> str:
        """The whole schema; raises ``ConfigurationError`` for a group whose name is taken or malformed."""
        return packaged("steward.cedarschema") + "\n" + "\n".join(self._lines()) + "\n"

    @cached_property
    def schema(self) -> Schema:
        """The schema, parsed."""
        return Schema.from_str(self.text)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of the schema."""
        return sha256_of(self.text)

    def _lines(self) -> Iterator[str]:
        groups = {definition.id: sorted(_groups(definition)) for definition in self.definitions}
        for group in sorted({name for names in groups.values() for name in names} - BASE_GROUPS):
            yield f'action "{group}";'
            yield f'action "{twin(group)}" in ["{UNATTENDED}"];'
        for action_id, names in groups.items():
            yield f'action "{action_id}" in [{_list(names)}] {_TAKES};'
            yield f'action "{twin(action_id)}" in [{_list([twin(name) for name in names])}] {_TAKES};'


def _list(names: Sequence[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)


def _groups(definition: ActionDefinition) -> Iterator[str]:
    """Yield what an action belongs to: its effect, its declared groups, and its provider on every level."""
    yield definition.effect.value
    for group in definition.groups:
        if group in {"read", "write", UNATTENDED, "compute"} or not is_word(group):
            raise ConfigurationError(
                f"The action '{definition.id}' has the policy group {group[:80]!r}: a group is a-z, 0-9 and _, and "
                f"'read', 'write', '{UNATTENDED}' and 'compute' are taken."
            )
        yield group
    parts = definition.id.split(".")[:-1]
    yield from (".".join(parts[: level + 1]) + ".*" for level in range(len(parts)))
