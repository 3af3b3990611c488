"""What is known of a value before it is there: its JSON types, its fields, and for each part where it came from.

A shape is made of a schema with declared labels (before the run), or of a value with stored ones (during it). Labels are
declared by path, ``emails[].id``, and hold for everything below until a longer path says otherwise; undeclared means
untrusted. ``emails[?]`` is what decides which elements are there, and in which order: picking one by its place is trusted no
more than that, while naming one is not affected by others beside it.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, Final

from steward.provenance import Label, join

ANY_TYPE: Final = frozenset({"null", "boolean", "number", "string", "array", "object"})
_NAMES: Final = {"integer": "number"}
MEMBERS: Final = "[?]"
"""After the path of an array: what decides which elements are in it, and in which order."""
SETTLED: Final = "[!]"
"""After the path of what was picked by a place or an order: naming what it is in does not name it, nor anything in it."""
_MAX_DEPTH: Final = 12
"""Of a schema that refers to itself, and of what is told apart inside a value."""
_MAX_LABELS: Final = 200
"""Labels that are kept with one value; past that the least of them stands for all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What a value is like. ``label`` is that of the value itself: of an array, of which elements are in it."""

    label: Label
    types: frozenset[str] = ANY_TYPE
    fields: Mapping[str, "Shape"] = field(default_factory=dict)
    """Of an object: what each known field is like."""
    open: bool = True
    """Of an object: whether it may have fields beside those, which have its own label."""
    items: "Shape | None" = None
    """Of an array: what its elements are like; None: not known, they have its own label."""
    chosen: Label = Label.TRUSTED
    """Of an array: what decided which of the original elements are here, and in which order."""
    settled: bool = False
    """Whether it was picked by a place or an order: naming what it is in does not name it."""

    @property
    def element(self) -> "Shape":
        """What an element is like, however it was picked."""
        return Shape(label=self.label, settled=self.settled) if self.items is None else self.items

    @property
    def placed(self) -> bool:
        """Whether anything in it was picked by a place or an order."""
        if self.settled or not (self.fields or self.items):
            return self.settled
        inside = (*self.fields.values(), *(() if self.items is None else (self.items,)))
        return any(part.placed for part in inside)

    @property
    def whole(self) -> Label:
        """The least trusted label of anything in it."""
        return join(self._labels())

    def _labels(self) -> Iterator[Label]:
        yield self.label
        yield self.chosen
        for part in self.fields.values():
            yield part.whole
        if self.items is not None:
            yield self.items.whole

    def tainted(self, *labels: Label) -> "Shape":
        """Return it with nothing in it trusted more than ``labels``."""
        least = join(labels)
        if least is Label.TRUSTED:
            return self
        return replace(
            self,
            label=join((self.label, least)),
            fields={name: part.tainted(least) for name, part in self.fields.items()},
            items=None if self.items is None else self.items.tainted(least),
        )

    def entailed(self) -> "Shape":
        """Return it as (part of) the one object that the user named: what its provider minted is entailed."""
        if self.settled:
            return self
        return replace(
            self,
            label=Label.ENTAILED if self.label is Label.SYSTEM else self.label,
            chosen=Label.ENTAILED if self.chosen is Label.SYSTEM else self.chosen,
            fields={name: part.entailed() for name, part in self.fields.items()},
            items=None if self.items is None else self.items.entailed(),
        )

    def settle(self) -> "Shape":
        """Return it as picked by a place or an order."""
        return replace(
            self,
            settled=True,
            fields={name: part.settle() for name, part in self.fields.items()},
            items=None if self.items is None else self.items.settle(),
        )

    def made_from(self, *parts: "Shape") -> "Shape":
        """Return it as made from these: what is made of something that was picked by a place was so itself."""
        return self.settle() if any(part.placed for part in parts) else self

    def get(self, name: str) -> "Shape | None":
        """Return what the field ``name`` is like; None: there is no such field."""
        if "object" not in self.types:
            return None
        known = self.fields.get(name)
        if known is not None:
            return known
        return Shape(label=self.label, settled=self.settled) if self.open else None


def merged(shapes: Iterable[Shape]) -> Shape:
    """Return what a value is like that is one of these; of none, nothing at all (null)."""
    found = list(shapes)
    if not found:
        return Shape(label=Label.TRUSTED, types=frozenset({"null"}))
    if len(found) == 1:
        return found[0]
    names = {name for one in found for name in one.fields}
    arrays = [one for one in found if "array" in one.types]
    objects = [one for one in found if "object" in one.types]
    return Shape(
        label=join(one.label for one in found),
        types=frozenset().union(*(one.types for one in found)),
        fields={name: merged(part for one in objects if (part := one.get(name)) is not None) for name in sorted(names)},
        open=any(one.open for one in objects),
        items=merged(one.element for one in arrays) if any(one.items is not None for one in arrays) else None,
        chosen=join(one.chosen for one in found),
        settled=any(one.settled for one in found),
    )


def shape_of(schema: Any, labels: Mapping[str, Label], default: Label = Label.UNTRUSTED) -> Shape:
    """Return what a value that fits a JSON Schema is like, with the labels that are declared for its parts."""
    root = schema if isinstance(schema, Mapping) else {}
    return _of_schema(root, root, labels, "", labels.get("", default), 0)


def _of_schema(  # noqa: PLR0917 - it carries where it is
    schema: Any, root: Mapping[str, Any], labels: Mapping[str, Label], path: str, label: Label, depth: int
) -> Shape:
    if depth > _MAX_DEPTH:
        return Shape(label=_below(labels, path, label))
    schema = schema if isinstance(schema, Mapping) else {}
    if "$ref" in schema:
        return _of_schema(_pointed_at(root, schema["$ref"]), root, labels, path, label, depth + 1)
    for word in ("anyOf", "oneOf"):
        if word in schema:
            return merged(_of_schema(one, root, labels, path, label, depth + 1) for one in schema[word])

    def part(inner: Any, place: str) -> Shape:
        return _of_schema(inner, root, labels, place, labels.get(place, label), depth + 1)

    named = schema.get("type", ())
    types = frozenset(_NAMES.get(one, one) for one in ([named] if isinstance(named, str) else named)) or ANY_TYPE
    fields = {
        name: part(inner, f"{path}.{name}" if path else name) for name, inner in schema.get("properties", {}).items()
    }
    for name in _named(labels, path) - fields.keys():
        fields[name] = part(None, f"{path}.{name}" if path else name)
    listed = any(place.startswith(f"{path}[]") for place in labels)
    if listed and not named:
        types = frozenset({"array", "null"})
    has_items = listed or "items" in schema
    return Shape(
        label=label,
        types=types,
        fields=fields,
        open=schema.get("additionalProperties", not schema.get("properties"))
        is not False,  # what is declared is what there is
        items=part(schema.get("items"), f"{path}[]") if has_items and "array" in types else None,
        chosen=labels.get(path + MEMBERS, Label.TRUSTED),
    )


def _named(labels: Mapping[str, Label], path: str) -> set[str]:
    """Return the fields of what is at a path that labels are declared for."""
    prefix = f"{path}." if path else ""
    below = (place.removeprefix(prefix) for place in labels if place.startswith(prefix))
    return {re.split(r"[.\[]", rest, maxsplit=1)[0] for rest in below} - {""}


def _below(labels: Mapping[str, Label], path: str, label: Label) -> Label:
    """Return the least trusted label at or below a path that is looked at no further."""
    return join((label, *(one for place, one in labels.items() if place.startswith(path))))


def _pointed_at(root: Mapping[str, Any], reference: Any) -> Any:
    """Return the part of a schema that a local reference names; anything for one that names nothing here."""
    found: Any = root
    if not isinstance(reference, str) or not reference.startswith("#"):
        return {}
    for name in reference.removeprefix("#").split("/")[1:]:
        found = found.get(name.replace("~1", "/").replace("~0", "~"), {}) if isinstance(found, Mapping) else {}
    return found


def shape_of_value(value: Any, labels: Mapping[str, Label], default: Label = Label.UNTRUSTED) -> Shape:
    """Return what a value is like that is there, with the labels that were stored for its parts."""
    return _of_value(value, labels, "", labels.get("", default), 0, settled=False)


def literal(value: Any, label: Label = Label.TRUSTED) -> Shape:
    """Return what a constant is like: of one label throughout."""
    return shape_of_value(value, {}, label)


def text(label: Label = Label.TRUSTED) -> Shape:
    """Return what a constant is like that is a text."""
    return _plain("string", label, False)


def _of_value(value: Any, labels: Mapping[str, Label], path: str, label: Label, depth: int, *, settled: bool) -> Shape:
    kind = json_type(value)
    settled = settled or path + SETTLED in labels
    if depth > _MAX_DEPTH:
        hidden = settled or any(place.startswith(path) and place.endswith(SETTLED) for place in labels)
        return Shape(label=_below(labels, path, label), types=frozenset({kind}), settled=hidden)
    if isinstance(value, Mapping):
        fields = {}
        for name, inner in value.items():
            place = _place(path, name)
            # A name that could be read as a path stands for itself only: it has the label of what it is in.
            fields[name] = (
                _of_value(inner, {}, "", label, depth + 1, settled=settled)
                if place is None
                else _of_value(inner, labels, place, labels.get(place, label), depth + 1, settled=settled)
            )
        return Shape(label=label, types=frozenset({kind}), fields=fields, open=False, settled=settled)
    if isinstance(value, list):
        place = f"{path}[]"
        below = labels.get(place, label)
        parts = (_of_value(inner, labels, place, below, depth + 1, settled=settled) for inner in value)
        items = merged(parts) if value else None
        chosen = labels.get(path + MEMBERS, Label.TRUSTED)
        return Shape(label=label, types=frozenset({kind}), items=items, chosen=chosen, settled=settled)
    return _plain(kind, label, settled)


@lru_cache(maxsize=64)
def _plain(kind: str, label: Label, settled: bool) -> Shape:
    """Return what a text, number, truth value or null is like."""
    return Shape(label=label, types=frozenset({kind}), settled=settled)


def _place(path: str, name: str) -> str | None:
    """Return the path of a field; None: its name cannot be part of one."""
    if not name or any(mark in name for mark in ".[]"):
        return None
    return f"{path}.{name}" if path else name


def json_type(value: Any) -> str:
    """Return the JSON type of a value."""
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int() | float():
            return "number"
        case str():
            return "string"
        case list() | tuple():
            return "array"
        case _:
            return "object"


def labels_in(shape: Shape) -> dict[str, Label]:
    """Return the labels of a shape by path, as they are declared and stored: a longer path only where it differs."""
    found: dict[str, Label] = {}
    _collect(shape, "", found, None, settled=False)
    if len(found) <= _MAX_LABELS:
        return found
    return {"": shape.whole, **({SETTLED: shape.whole} if shape.placed else {})}


def _collect(shape: Shape, path: str, found: dict[str, Label], above: Label | None, *, settled: bool) -> None:
    unnamed = [part for name, part in shape.fields.items() if _place(path, name) is None]
    own = join((shape.label, *(part.whole for part in unnamed)))
    if own is not above:
        found[path] = own
    if shape.chosen is not Label.TRUSTED:
        found[path + MEMBERS] = shape.chosen
    if not settled and (shape.settled or any(part.placed for part in unnamed)):
        found[path + SETTLED], settled = own, True
    for name, part in shape.fields.items():
        place = _place(path, name)
        if place is not None:
            _collect(part, place, found, own, settled=settled)
    if shape.items is not None:
        _collect(shape.items, f"{path}[]", found, own, settled=settled)
