"""Makes requests from the description: what a client of a workspace would send, with a canary wherever one fits."""

import copy
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from steward.isolation.description import Operation, Slot
from steward.isolation.values import Canaries, Holdings

FAR_OFF: Final = "2199-01-01T00:00:00Z"
_PATHS: Final = 8
CALLERS_OWN: Final = frozenset({"workspace_id", "actor_id"})
"""What a client may repeat but never choose; left out unless it is the point of an attack."""
ASKS: Final = 'forbid (principal, action == Action::"http.get:unattended", resource);'
"""A policy: this one action waits for a person. Nothing of it is ever sent, since its address is refused."""
EXAMPLES: Final[Mapping[str, Any]] = {
    "action_id": "compute",
    "time_zone": "Europe/Paris",
    "expires_in": "30d",
}
"""Where only some values are taken and the schema does not say which: one that is, by the name of the field."""
ALTERNATIVES: Final = frozenset({"action", "provider"})
"""Other spellings of a field that is filled already."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request, ready to be sent with somebody's credential."""

    operation: Operation
    in_path: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Any = None

    def with_value(self, slot: Slot, value: Any) -> "Request":
        """Return it with one slot filled otherwise; what is missing on the way in a body is made."""
        match slot.place:
            case "path":
                return replace(self, in_path={**self.in_path, slot.name: str(value)})
            case "query":
                return replace(self, query={**self.query, slot.name: str(value)})
            case "header":
                return replace(self, headers={**self.headers, slot.name: str(value)})
            case _:
                return replace(self, body=_put(copy.deepcopy(self.body), slot.path, value))


def _put(body: Any, path: tuple[str | int, ...], value: Any) -> Any:
    if not path:
        return value
    head, *rest = path
    if isinstance(head, int):
        items = body if isinstance(body, list) and body else [None]
        return [_put(items[0], tuple(rest), value), *items[1:]]
    fields = dict(body) if isinstance(body, Mapping) else {}
    return {**fields, head: _put(fields.get(head), tuple(rest), value)}


class Forge:
    """Makes the requests of one workspace from what it holds."""

    def __init__(self, holdings: Holdings, canaries: Canaries) -> None:
        """Take what the workspace holds, and where its canaries come from."""
        self._holdings = holdings
        self._canaries = canaries
        self._by_example = False
        """Whether texts are made of the examples of their fields, with a canary as a comment."""

    def requests(self, operation: Operation) -> Iterator[Request]:
        """Yield requests that may be accepted, the most telling first; none if a part of the path is not known."""
        query = {
            slot.name: self._own(slot) or str(self._value(operation, slot))
            for slot in operation.needed()
            if slot.place == "query"
        }
        headers = {
            slot.name: self._canaries.new(f"{operation.name} {slot}")
            for slot in operation.parameters()
            if slot.place == "header" and slot.takes_text and not operation.reads
        }
        for in_path in self._paths(operation):
            for body in self._bodies(operation):
                yield Request(operation, in_path, query, headers, body)

    def _paths(self, operation: Operation) -> Iterator[dict[str, str]]:
        """Yield what may stand in the path: the newest of each, then the last of them older and older."""
        choices = [(slot.name, self._in_path(operation, slot)) for slot in operation.needed() if slot.place == "path"]
        if all(values for _, values in choices):
            newest = {name: values[0] for name, values in choices}
            yield newest
            if choices:
                name, values = choices[-1]
                yield from ({**newest, name: older} for older in values[1:_PATHS])

    def _in_path(self, operation: Operation, slot: Slot) -> list[str]:
        """Return what may stand in a path: what is there; where a request makes what it names, a new name before it."""
        known = self._all_own(slot)
        made = operation.method == "PUT" and not slot.prefixes
        return [self._canaries.new(f"{operation.name} {slot}"), *known] if made else known

    def _all_own(self, slot: Slot) -> list[str]:
        """Return the workspace's own values that belong in a slot."""
        return next((known for kind in kinds_of(slot) if (known := self._holdings.spare(kind))), [])

    def _own(self, slot: Slot) -> str | None:
        return next(iter(self._all_own(slot)), None)

    def _bodies(self, operation: Operation) -> Iterator[Any]:
        schema = operation.body_schema
        if schema is None:
            yield None
            return
        needed = frozenset(schema.get("required", ()))
        optional = [name for name in schema.get("properties", {}) if name not in needed | CALLERS_OWN | ALTERNATIVES]
        yield self._object(operation, schema, (), needed | frozenset(optional))
        self._by_example = True
        yield self._object(operation, schema, (), needed | frozenset(optional))
        self._by_example = False
        for name in optional:
            yield self._object(operation, schema, (), needed | {name})
        for example in schema.get("examples", ()):
            yield copy.deepcopy(example)
        yield self._object(operation, schema, (), needed)
        if not operation.body_required:
            yield None

    def _object(
        self, operation: Operation, schema: Mapping[str, Any], path: tuple[str | int, ...], names: frozenset[str]
    ) -> dict[str, Any]:
        return {
            name: self._value(operation, Slot("body", name, operation.description.resolved(about), (*path, name)))
            for name, about in schema.get("properties", {}).items()
            if name in names
        }

    def _value(self, operation: Operation, slot: Slot) -> Any:
        """Return a value that fits a slot, as far as the schema says: a canary if it can be one."""
        schema = slot.schema
        if slot.name in EXAMPLES or {"const", "enum"} & schema.keys():
            return EXAMPLES.get(slot.name) or schema.get("const") or schema["enum"][0]
        match schema.get("type"):
            case "object":
                return self._mapping(operation, slot)
            case "array":
                item = Slot("body", slot.name, operation.description.resolved(schema.get("items", {})), (*slot.path, 0))
                return [self._value(operation, item)]
            case "integer" | "number" | "boolean" as kind:
                return schema.get("default") or (kind != "boolean" and (schema.get("minimum") or 1))
            case _:
                return self._text(operation, slot)

    def _mapping(self, operation: Operation, slot: Slot) -> dict[str, Any]:
        schema = slot.schema
        if schema.get("properties"):
            needed = frozenset(schema.get("required", ()))
            lists = {name for name, about in schema["properties"].items() if about.get("type") == "array"} - needed
            names = frozenset(schema["properties"]) - CALLERS_OWN - ALTERNATIVES - lists
            return self._object(operation, schema, slot.path, names)
        values = schema.get("additionalProperties")
        if not isinstance(values, Mapping):
            return {"value": self._canaries.new(f"{operation.name} {slot}")}
        about = operation.description.resolved(values)
        names = schema.get("propertyNames", {}).get("enum") or [self._canaries.new(f"{operation.name} {slot}")]
        return {names[0]: self._value(operation, Slot("body", names[0], about, (*slot.path, names[0])))}

    def _text(self, operation: Operation, slot: Slot) -> str:
        schema = slot.schema
        if schema.get("format") == "date-time":
            return FAR_OFF
        if slot.name.endswith("_id") and (own := self._own(slot)):
            return own
        canary = self._canaries.new(f"{operation.name} {slot}")
        if self._by_example and schema.get("examples") and not slot.is_handle:
            return f"{schema['examples'][0]} // {canary}"
        pattern = schema.get("pattern")
        for candidate in (canary, f"{canary}@example.com", f"{canary}.example.com"):
            if pattern is None or re.search(pattern, candidate):
                return candidate
        shown = [schema.get("default"), *schema.get("examples", ())]
        return next((str(value) for value in shown if value), canary)


def kinds_of(slot: Slot) -> list[str]:
    """Return the kinds of values that belong in a slot, the surest first."""
    named = [*slot.prefixes, slot.name.removesuffix("_id")] if slot.name.endswith("_id") else [*slot.prefixes]
    kinds = [slot.name, *named] if slot.place != "path" else [f"{slot.name}_id", slot.name, *named]
    if slot.name == "cursor":
        kinds.append("next_cursor")
    if slot.name.lower() == "last-event-id":
        kinds += ["event_id", "evt"]
    if slot.name == "actor_id":
        kinds.append("key")
    return list(dict.fromkeys(kinds))
