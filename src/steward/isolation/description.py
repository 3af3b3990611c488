"""The published description as an attacker reads it: operations, and the slots of each into which a value can be put."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from steward.identity import Role, scopes_of
from steward.tenancy import TENANCIES, TENANCY_KEY

_METHODS: Final = frozenset({"get", "post", "put", "patch", "delete", "head", "options"})
_JSON: Final = "application/json"
STREAM: Final = "text/event-stream"
_PREFIX: Final = re.compile(r"\b([a-z]{2,8})_(?:…|[0-9a-z]{16,24}\b)")
"""An id, or its prefix, as descriptions and examples show it: ``plan_…``."""
_LONG: Final = 256
_PLAIN: Final = frozenset({"integer", "number", "boolean", "null"})
Path = tuple[str | int, ...]
"""Where a value stands in a body: names and positions."""


@dataclass(frozen=True, slots=True)
class Slot:
    """One place of a request that takes a value."""

    place: str
    """``path``, ``query``, ``header`` or ``body``."""
    name: str
    schema: Mapping[str, Any]
    path: Path = ()
    """In a body: where exactly."""

    @property
    def prefixes(self) -> tuple[str, ...]:
        """The prefixes of ids that its description and its examples show."""
        shown = [str(self.schema.get(key, "")) for key in ("description", "examples", "example", "pattern")]
        return tuple(dict.fromkeys(_PREFIX.findall(" ".join(shown))))

    @property
    def takes_text(self) -> bool:
        """Whether any text fits, as far as the schema says."""
        return self.schema.get("type") == "string" and not {"enum", "const"} & self.schema.keys()

    @property
    def is_handle(self) -> bool:
        """Whether it takes the name of something that is there, as opposed to content."""
        if self.place != "body" or self.prefixes or self.name.endswith("_id"):
            return True
        return "pattern" in self.schema or self.schema.get("maxLength", _LONG) < _LONG

    @property
    def is_fixed(self) -> bool:
        """Whether it takes one of a few words, or a kind of value that names nothing."""
        return bool({"enum", "const", "format"} & self.schema.keys()) or self.schema.get("type") in _PLAIN

    def __str__(self) -> str:
        """Return it as reports name it."""
        return f"{self.place}:{'/'.join(str(part) for part in self.path) or self.name}"


class Description:
    """One server's ``/openapi.json``."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        """Take the document."""
        self._document = document

    def operations(self) -> Iterator["Operation"]:
        """Yield every operation, in the order in which they are published."""
        for path, item in self._document.get("paths", {}).items():
            for method, operation in item.items():
                if method in _METHODS:
                    yield Operation(self, method.upper(), path, operation)

    def resolved(self, schema: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return a schema with its reference followed and, of several forms, the first that is not null."""
        while True:
            rest = {key: value for key, value in schema.items() if key not in {"$ref", "anyOf", "allOf"}}
            if "$ref" in schema:
                found = self._document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
            elif forms := schema.get("anyOf") or schema.get("allOf"):
                found = next((form for form in forms if form.get("type") != "null"), forms[0])
            else:
                return schema
            schema = {**found, **rest}


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path."""

    description: Description
    method: str
    path: str
    about: Mapping[str, Any]

    @property
    def name(self) -> str:
        """How reports name it."""
        return f"{self.method} {self.path}"

    @property
    def tenancy(self) -> str | None:
        """What it declares; None if that is nothing known."""
        declared = self.about.get(TENANCY_KEY)
        return declared if declared in TENANCIES else None

    @property
    def reads(self) -> bool:
        """Whether it is meant to change nothing."""
        return self.method in {"GET", "HEAD"}

    @property
    def streams(self) -> bool:
        """Whether it answers with events that go on for ever."""
        return any(STREAM in content and _JSON not in content for content in self._contents())

    @property
    def may_stream(self) -> bool:
        """Whether it answers with events to those who ask for them."""
        return any(STREAM in content and _JSON in content for content in self._contents())

    def _contents(self) -> list[Mapping[str, Any]]:
        return [answer.get("content", {}) for answer in self.about.get("responses", {}).values()]

    @property
    def body_schema(self) -> Mapping[str, Any] | None:
        """The schema of its JSON body; None if it takes none."""
        schema = self.about.get("requestBody", {}).get("content", {}).get(_JSON, {}).get("schema")
        return None if schema is None else self.description.resolved(schema)

    @property
    def body_required(self) -> bool:
        """Whether a request without a body is refused."""
        return bool(self.about.get("requestBody", {}).get("required"))

    def open_to(self, role: Role) -> bool:
        """Whether a role has the scopes that it needs."""
        needed = {scope for item in self.about.get("security", ()) for scopes in item.values() for scope in scopes}
        return needed <= {scope.value for scope in scopes_of(frozenset({role}))}

    def parameters(self) -> Iterator[Slot]:
        """Yield the slots outside the body."""
        for parameter in self.about.get("parameters", ()):
            schema = dict(self.description.resolved(parameter.get("schema", {})))
            schema.setdefault("description", parameter.get("description", ""))
            yield Slot(parameter["in"], parameter["name"], schema)

    def path_names(self) -> list[str]:
        """Return the names in the path."""
        return re.findall(r"{([^}]+)}", self.path)

    def needed(self) -> list[Slot]:
        """Return the slots outside the body that a request cannot leave out."""
        required = {item["name"] for item in self.about.get("parameters", ()) if item.get("required")}
        return [slot for slot in self.parameters() if slot.name in required or slot.place == "path"]

    def fields(self) -> Iterator[Slot]:
        """Yield every field of the body down to the leaves; a list's items stand at position 0."""
        if (schema := self.body_schema) is not None:
            yield from _fields(self.description, schema, ())


_DEEPEST: Final = 8


def _fields(description: Description, schema: Mapping[str, Any], path: Path) -> Iterator[Slot]:
    if len(path) > _DEEPEST:
        return
    for name, about in schema.get("properties", {}).items():
        yield from _field(description, name, about, (*path, name))


def _field(description: Description, name: str, about: Mapping[str, Any], path: Path) -> Iterator[Slot]:
    schema = description.resolved(about)
    if schema.get("type") == "object" and schema.get("properties"):
        yield from _fields(description, schema, path)
    elif schema.get("type") == "array" and isinstance(schema.get("items"), Mapping):
        yield from _field(description, name, schema["items"], (*path, 0))
    else:
        yield Slot("body", name, schema, path)
