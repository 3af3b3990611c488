"""What an expression makes of the labels it reads: the same rules before the run, on schemas, and during it, on values.

An expression never makes a value more trusted than what it was made of, with one exception that is the point of having it:
``only`` picks the one element that meets a condition, or fails. What a provider minted of the one object that the user named
is *entailed* by the user's words; nobody can slip in another one without the step failing.

Choosing counts. An element that was picked by a condition, an order or a position is trusted no more than what decided
that, because whoever can write what is compared decides what is picked.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from steward.errors import FieldProblem, Invalid
from steward.provenance import Label, join
from steward.shape import ANY_TYPE, Shape, literal, merged

Node = Mapping[str, Any]

_NUMBER: Final = frozenset({"number", "null"})
_TEXT: Final = frozenset({"string", "null"})
_TRUTH: Final = frozenset({"boolean", "null"})
_RETURNS: Final = {
    **dict.fromkeys(("abs", "avg", "ceil", "floor", "multiply", "round", "subtract", "sum", "to_number"), _NUMBER),
    **dict.fromkeys(("join", "to_string", "type", "add_days", "add_minutes", "day_of", "time_of"), _TEXT),
    **dict.fromkeys(("contains", "starts_with", "ends_with"), _TRUTH),
    "days_between": _NUMBER,
}
"""What functions return that make one new value of everything they are given."""


@dataclass(frozen=True, slots=True)
class Flow:
    """Works out what one expression is like; ``problem`` is where to say so when it cannot be right."""

    pointer: str
    strict: bool = True
    """Whether a field that cannot be there is a mistake (before the run) or simply null (during it)."""

    def of(self, node: Node, scope: Shape) -> Shape:
        """Return what the expression is like, evaluated on what ``scope`` is like; raise ``Invalid`` if it cannot work."""
        handler = _HANDLERS.get(node["type"])
        if handler is None:
            raise self.wrong(f"'{node['type']}' is not understood here.")
        return handler(self, node, scope)

    def wrong(self, sentence: str) -> Invalid:
        """Return the error that says what is wrong with the expression."""
        return Invalid(sentence, errors=[FieldProblem(self.pointer, sentence)], code="invalid_reference")


# -- paths -----------------------------------------------------------------------------------------------------------


def _field(flow: Flow, node: Node, scope: Shape) -> Shape:
    found = scope.get(node["value"])
    if found is not None:
        return found
    if flow.strict:
        known = ", ".join(sorted(scope.fields))
        raise flow.wrong(
            f"There is no field '{node['value'][:40]}' here; {f'there are {known}' if known else 'it has none'}."
        )
    return Shape(label=scope.label, types=frozenset({"null"}))


def _one_after_the_other(flow: Flow, node: Node, scope: Shape) -> Shape:
    for child in node["children"]:
        scope = flow.of(child, scope)
    return scope


def _current(flow: Flow, node: Node, scope: Shape) -> Shape:
    return scope


def _index(flow: Flow, node: Node, scope: Shape) -> Shape:
    return _picked(_array(flow, scope, "a position"))


def _slice(flow: Flow, node: Node, scope: Shape) -> Shape:
    array = _array(flow, scope, "a slice")
    label = join((array.label, array.chosen))
    return replace(array, label=label, chosen=Label.TRUSTED, items=array.element.settle())


def _array(flow: Flow, scope: Shape, what: str) -> Shape:
    if "array" not in scope.types and flow.strict:
        raise flow.wrong(f"{what.capitalize()} can be taken of a list only, and this is {_words(scope.types)}.")
    return scope


def _picked(array: Shape) -> Shape:
    return array.element.tainted(array.label, array.chosen).settle()


# -- projections -----------------------------------------------------------------------------------------------------


def _projection(flow: Flow, node: Node, scope: Shape) -> Shape:
    base = _array(flow, flow.of(node["children"][0], scope), "'[*]'")
    return _array_like(base, flow.of(node["children"][1], base.element))


def _filter(flow: Flow, node: Node, scope: Shape) -> Shape:
    left, right, condition = node["children"]
    base = _array(flow, flow.of(left, scope), "a filter")
    decides = flow.of(condition, base.element).whole
    return _array_like(base, flow.of(right, base.element), decides)


def _flatten(flow: Flow, node: Node, scope: Shape) -> Shape:
    base = _array(flow, flow.of(node["children"][0], scope), "'[]'")
    inner = base.element
    if "array" not in inner.types:
        return base
    flat = merged(
        [inner.element, *([] if inner.types == {"array"} else [replace(inner, types=inner.types - {"array"})])]
    )
    return replace(_array_like(base, flat), label=join((base.label, inner.label, inner.chosen)))


def _values(flow: Flow, node: Node, scope: Shape) -> Shape:
    base = flow.of(node["children"][0], scope)
    if "object" not in base.types and flow.strict:
        raise flow.wrong(f"'*' can be taken of an object only, and this is {_words(base.types)}.")
    inner = _values_of(base)
    return Shape(label=base.label, types=_or_null("array"), items=flow.of(node["children"][1], inner).settle())


# -- values ----------------------------------------------------------------------------------------------------------


def _literal(flow: Flow, node: Node, scope: Shape) -> Shape:
    return literal(node["value"])


def _made_of_all(flow: Flow, node: Node, scope: Shape) -> Shape:
    parts = [flow.of(child, scope) for child in node["children"]]
    return Shape(label=join(part.whole for part in parts), types=_TRUTH).made_from(*parts)


def _alternative(flow: Flow, node: Node, scope: Shape) -> Shape:
    """One of two values, by the first of them."""
    left, right = (flow.of(child, scope) for child in node["children"])
    return merged((left, right)).tainted(left.whole)


def _list_of(flow: Flow, node: Node, scope: Shape) -> Shape:
    parts = [flow.of(child, scope) for child in node["children"]]
    made = Shape(label=Label.TRUSTED, types=_or_null("array"), items=merged(parts).settle())
    return made.tainted(*_if_null(scope))


def _object_of(flow: Flow, node: Node, scope: Shape) -> Shape:
    fields = {child["value"]: flow.of(child["children"][0], scope) for child in node["children"]}
    made = Shape(label=Label.TRUSTED, types=_or_null("object"), fields=fields, open=False)
    return made.tainted(*_if_null(scope))


# -- functions -------------------------------------------------------------------------------------------------------


def _function(flow: Flow, node: Node, scope: Shape) -> Shape:
    name, given = node["value"], node["children"]
    special = _FUNCTIONS.get(name)
    by = [child["children"][0] for child in given if child["type"] == "expref"]
    args = [flow.of(child, scope) for child in given if child["type"] != "expref"]
    if special is not None:
        try:
            return special(flow, args, by)
        except IndexError:
            raise flow.wrong(f"{name}() is given too little.") from None
    array = next((one for one in args if "array" in one.types), None)
    decides = [flow.of(one, array.element).whole for one in by] if array is not None else []
    label = join([one.whole for one in args] + decides)
    return Shape(label=label, types=_RETURNS.get(name, ANY_TYPE)).made_from(*args)


def _sorted(flow: Flow, args: Sequence[Shape], by: Sequence[Node]) -> Shape:
    array = _array(flow, args[0], "an order")
    decides = [flow.of(one, array.element).whole for one in by] or [array.whole]
    return replace(array, chosen=join((array.chosen, *decides)))


def _extreme(flow: Flow, args: Sequence[Shape], by: Sequence[Node]) -> Shape:
    return _picked(_sorted(flow, args, by))


def _only(flow: Flow, args: Sequence[Shape], by: Sequence[Node]) -> Shape:
    """Return the one element: whatever it was picked by, there was no choice."""
    array = _array(flow, args[0], "only()")
    return array.element.tainted(array.label).entailed()


def _lookup(flow: Flow, args: Sequence[Shape], by: Sequence[Node]) -> Shape:
    """Return the one element whose key is a value: named by that value."""
    array, value = _array(flow, args[0], "lookup()"), args[1]
    flow.of(by[0], array.element)
    return array.element.tainted(array.label).entailed().tainted(value.whole)


def _difference(flow: Flow, args: Sequence[Shape], by: Sequence[Node]) -> Shape:
    array = _array(flow, args[0], "difference()")
    return replace(array, label=join((array.whole, args[1].whole)))


def _group_count(flow: Flow, args: Sequence[Shape], by: Sequence[Node]) -> Shape:
    array = _array(flow, args[0], "group_count()")
    key = flow.of(by[0], array.element)
    number = Shape(label=join((array.label, array.chosen, key.whole)), types=_NUMBER)
    group = Shape(label=Label.TRUSTED, types=frozenset({"object"}), fields={"key": key, "count": number}, open=False)
    return Shape(label=array.label, types=_or_null("array"), items=group.settle(), chosen=number.label)


def _urls(flow: Flow, args: Sequence[Shape], by: Sequence[Node]) -> Shape:
    label = args[0].whole
    made = Shape(label=label, types=_or_null("array"), items=Shape(label=label, types=frozenset({"string"})))
    return made.made_from(args[0])


def _mapped(flow: Flow, args: Sequence[Shape], by: Sequence[Node]) -> Shape:
    array = _array(flow, args[0], "map()")
    return _array_like(array, flow.of(by[0], array.element))


def _first_there_is(flow: Flow, args: Sequence[Shape], by: Sequence[Node]) -> Shape:
    return merged(args).tainted(*(one.whole for one in args[:-1]))


def _to_array(flow: Flow, args: Sequence[Shape], by: Sequence[Node]) -> Shape:
    given = args[0]
    if given.types == {"array"}:
        return given
    wrapped = Shape(label=Label.TRUSTED, types=_or_null("array"), items=given.settle())
    return merged((given, wrapped)) if "array" in given.types else wrapped


def _merge(flow: Flow, args: Sequence[Shape], by: Sequence[Node]) -> Shape:
    fields: dict[str, Shape] = {}
    for one in args:
        fields = {**fields, **one.fields}
    hidden = [one.label for one in args if one.open]
    made = Shape(label=join(one.label for one in args), types=_or_null("object"), fields=fields, open=bool(hidden))
    return made.tainted(*hidden).made_from(*(one for one in args if one.open))


def _keys(flow: Flow, args: Sequence[Shape], by: Sequence[Node]) -> Shape:
    label = args[0].label
    made = Shape(label=label, types=_or_null("array"), items=Shape(label=label, types=frozenset({"string"})))
    return made.made_from(args[0])


def _all_values(flow: Flow, args: Sequence[Shape], by: Sequence[Node]) -> Shape:
    return Shape(label=args[0].label, types=_or_null("array"), items=_values_of(args[0]).settle())


def _length(flow: Flow, args: Sequence[Shape], by: Sequence[Node]) -> Shape:
    counted = args[0]
    label = join((counted.label, counted.chosen)) if counted.types <= _or_null("array") else counted.whole
    return Shape(label=label, types=_NUMBER).made_from(counted)


def _array_like(base: Shape, items: Shape, *decides: Label) -> Shape:
    """Return the array that is made of another, element by element; where one becomes null, it is left out."""
    left_out = [items.whole] if "null" in items.types and items.types != ANY_TYPE else []
    return Shape(
        label=base.label, types=_or_null("array"), items=items, chosen=join((base.chosen, *decides, *left_out))
    )


def _values_of(shape: Shape) -> Shape:
    rest = [Shape(label=shape.label)] if shape.open else []
    return merged([*shape.fields.values(), *rest])


def _if_null(scope: Shape) -> tuple[Label, ...]:
    """Return what decides whether something is made at all of what may be null."""
    return (scope.label,) if "null" in scope.types and scope.types != ANY_TYPE else ()


def _or_null(kind: str) -> frozenset[str]:
    return frozenset({kind, "null"})


def _words(types: frozenset[str]) -> str:
    return " or ".join(sorted(types)) or "nothing"


_HANDLERS: Final[Mapping[str, Callable[[Flow, Node, Shape], Shape]]] = {
    "field": _field,
    "subexpression": _one_after_the_other,
    "index_expression": _one_after_the_other,
    "pipe": _one_after_the_other,
    "current": _current,
    "identity": _current,
    "index": _index,
    "slice": _slice,
    "projection": _projection,
    "filter_projection": _filter,
    "flatten": _flatten,
    "value_projection": _values,
    "literal": _literal,
    "comparator": _made_of_all,
    "not_expression": _made_of_all,
    "or_expression": _alternative,
    "and_expression": _alternative,
    "multi_select_list": _list_of,
    "multi_select_dict": _object_of,
    "function_expression": _function,
}
_FUNCTIONS: Final[Mapping[str, Callable[[Flow, Sequence[Shape], Sequence[Node]], Shape]]] = {
    "sort": _sorted,
    "sort_by": _sorted,
    "max": _extreme,
    "min": _extreme,
    "max_by": _extreme,
    "min_by": _extreme,
    "best": _extreme,
    "only": _only,
    "lookup": _lookup,
    "difference": _difference,
    "group_count": _group_count,
    "urls": _urls,
    "map": _mapped,
    "not_null": _first_there_is,
    "to_array": _to_array,
    "merge": _merge,
    "keys": _keys,
    "values": _all_values,
    "length": _length,
}
