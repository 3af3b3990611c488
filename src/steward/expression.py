"""Expressions: values of a plan that are worked out from the results of earlier steps.

A value is a literal, ``{"$ref": "<JMESPath>"}`` or ``{"$template": "Hi {name}", "vars": {"name": …}}``. A path starts with
``steps.<step id>.result``, with ``item`` (inside a step that runs for each of a list) or with ``ctx`` (who runs the plan, and
when). An object with any other key that starts with ``$`` is refused: those names are reserved for the plan language.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from string import Formatter
from typing import Any, Final

import jmespath
from jmespath.exceptions import JMESPathError
from pydantic_core import to_json

from steward.errors import FieldProblem, Invalid
from steward.flow import Flow
from steward.functions import FUNCTIONS, MAX_TEXT, ExpressionFailed, evaluate
from steward.provenance import Label, at_least, join
from steward.shape import Shape, json_type, literal, merged

REF: Final = "$ref"
TEMPLATE: Final = "$template"
VARS: Final = "vars"
ROOTS: Final = frozenset({"steps", "item", "ctx"})
MAX_EXPRESSION_CHARS: Final = 500
MAX_TEMPLATE_CHARS: Final = 4_000
_START: Final = "An expression starts with 'steps.<id>.result', 'item' or 'ctx'."


@dataclass(frozen=True, slots=True)
class Parsed:
    """One JMESPath expression, read once."""

    tree: Mapping[str, Any]
    steps: tuple[str, ...]
    """Steps whose results it reads, in the order of first mention."""
    roots: frozenset[str]
    """Which of ``ROOTS`` it starts from."""


@dataclass(frozen=True, slots=True)
class Expression:
    """One expression found in a step's parameters."""

    parameter: str
    """The top-level parameter it feeds, whose role says what it decides."""
    pointer: str
    """JSON pointer of the place inside the parameters."""
    value: Mapping[str, Any]
    """As written."""
    steps: tuple[str, ...]
    """The earlier steps it reads, in the order of first mention."""
    roots: frozenset[str]


def is_reference(value: Any) -> bool:
    """Say whether ``value`` is an expression object (it has a key starting with ``$``) rather than a literal."""
    if isinstance(value, str) or not isinstance(value, Mapping):  # most are texts, which is told much sooner
        return False
    return any(isinstance(key, str) and key.startswith("$") for key in value)


# -- reading ----------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=2048)
def parse(text: str) -> Parsed:
    """Return an expression as read; raise ``ValueError``, with a sentence, for one that cannot be right anywhere."""
    try:
        tree = jmespath.compile(text).parsed
        steps: dict[str, None] = {}
        roots: set[str] = set()
        _look(tree, steps, roots, at_root=True)
    except (JMESPathError, RecursionError) as error:
        raise ValueError("It is not a JMESPath expression.") from error
    return Parsed(tree, tuple(steps), frozenset(roots))


def _look(node: Mapping[str, Any], steps: dict[str, None], roots: set[str], *, at_root: bool) -> None:
    """Note what an expression starts from, wherever it looks at the whole scope rather than at a part of something."""
    kind, children = node["type"], [child for child in node["children"] if isinstance(child, Mapping)]
    if kind == "function_expression":
        _require_function(node)
    if at_root and kind in {"field", "subexpression"}:
        children = _start(_chain(node), steps, roots)
        at_root = False
    elif at_root and kind in {"current", "identity"}:
        raise ValueError(_START)
    inner_root = at_root and kind != "expref"
    stays = _LOOKS_AT_SCOPE.get(kind, len(children))
    for position, child in enumerate(children):
        _look(child, steps, roots, at_root=inner_root and position < stays)


_RESULT: Final = {"type": "field", "children": [], "value": "result"}
_PICKS: Final = frozenset(
    {"subexpression", "projection", "filter_projection", "index_expression", "flatten", "value_projection"}
)
_LOOKS_AT_SCOPE: Final = dict.fromkeys(
    ("projection", "value_projection", "filter_projection", "index_expression", "pipe"), 1
)
"""How many of a node's children look at what it looks at itself; the others look at what those found. Unlisted: all."""


def _chain(node: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    if node["type"] != "subexpression":
        return [node]
    first, *rest = node["children"]
    return [*_chain(first), *rest]


def _start(chain: list[Mapping[str, Any]], steps: dict[str, None], roots: set[str]) -> list[Mapping[str, Any]]:
    """Check how a path starts and return what follows of it, none of which looks at the scope."""
    first = chain[0]
    if first["type"] != "field":
        _look(first, steps, roots, at_root=True)
        return chain[1:]
    root = first["value"]
    if root not in ROOTS:
        raise ValueError(_START)
    roots.add(root)
    if root != "steps":
        return chain[1:]
    named, read = (*chain[1:3], None, None)[:2]
    if named is None or read is None or named["type"] != "field" or _leftmost(read) != _RESULT:
        raise ValueError("Of a step its result can be read: 'steps.<id>.result'.")
    steps[named["value"]] = None
    return chain[2:]


def _leftmost(node: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what a path begins with, whatever is then picked of it."""
    while node["type"] in _PICKS:
        node = node["children"][0]
    return node


def _require_function(node: Mapping[str, Any]) -> None:
    known = FUNCTIONS.FUNCTION_TABLE.get(node["value"])
    if known is None:
        raise ValueError(f"There is no function '{node['value'][:40]}'.")
    wanted = known["signature"]
    given = node["children"]
    variadic = bool(wanted) and wanted[-1].get("variadic")
    if len(given) < len(wanted) or (len(given) > len(wanted) and not variadic):
        raise ValueError(f"{node['value']}() takes {len(wanted)} argument{'s' if len(wanted) != 1 else ''}.")
    for child, types in zip(given, wanted, strict=False):
        if (child["type"] == "expref") != (types["types"] == ["expref"]):
            raise ValueError(f"{node['value']}() takes an expression like &name in another place.")


def _wrong(pointer: str, sentence: str) -> Invalid:
    return Invalid(sentence, errors=[FieldProblem(pointer, sentence)], code="invalid_reference")


def _parsed(text: Any, pointer: str) -> Parsed:
    if not isinstance(text, str) or len(text) > MAX_EXPRESSION_CHARS:
        raise _wrong(pointer, f"An expression is a text of at most {MAX_EXPRESSION_CHARS} characters.")
    try:
        return parse(text)
    except ValueError as error:
        raise _wrong(pointer, str(error)) from error


def _placeholders(template: Any, pointer: str) -> list[tuple[str, str | None]]:
    """Return a template as pairs of text and the name that follows it."""
    if not isinstance(template, str) or len(template) > MAX_TEMPLATE_CHARS:
        raise _wrong(pointer, f"A template is a text of at most {MAX_TEMPLATE_CHARS} characters.")
    try:
        found = list(Formatter().parse(template))
    except ValueError as error:
        raise _wrong(pointer, "A brace in a template is written twice: '{{'.") from error
    if any(spec or conversion for _, _, spec, conversion in found):
        raise _wrong(pointer, "A place in a template is a name in braces and nothing else: '{name}'.")
    return [(text, name) for text, name, _, _ in found]


def _read(parameter: str, pointer: str, value: Mapping[str, Any]) -> Expression:
    if set(value) == {REF}:
        parsed = _parsed(value[REF], pointer)
        return Expression(parameter, pointer, value, parsed.steps, parsed.roots)
    if not set(value) <= {TEMPLATE, VARS} or TEMPLATE not in value:
        raise _wrong(pointer, 'The expressions are {"$ref": "…"} and {"$template": "…", "vars": {…}}.')
    named = value.get(VARS, {})
    if not isinstance(named, Mapping):
        raise _wrong(pointer, "'vars' is an object: a value for each name in the template.")
    places = {name for _, name in _placeholders(value[TEMPLATE], pointer) if name is not None}
    if places != set(named):
        raise _wrong(pointer, "Every name in the template has a value in 'vars', and every value a name.")
    inner = [
        found for name, one in named.items() for found in _walk(parameter, f"{pointer}/{VARS}/{_escaped(name)}", one)
    ]
    steps = dict.fromkeys(step for found in inner for step in found.steps)
    return Expression(parameter, pointer, value, tuple(steps), frozenset().union(*(found.roots for found in inner)))


def _escaped(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")


def _walk(parameter: str, pointer: str, value: Any) -> Iterator[Expression]:
    if isinstance(value, str):
        return
    if is_reference(value):
        yield _read(parameter, pointer, value)
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _walk(parameter, f"{pointer}/{_escaped(key)}", item)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _walk(parameter, f"{pointer}/{index}", item)


def expressions(params: Mapping[str, Any], at: str = "") -> Iterator[Expression]:
    """Yield every expression inside ``params``, in order; raise ``Invalid`` (``invalid_reference``) for a malformed one.

    ``at`` is the JSON pointer of ``params`` itself, put before each expression's pointer.
    """
    for name, value in params.items():
        if not isinstance(value, str):  # as most are
            yield from _walk(name, f"{at}/{_escaped(name)}", value)


# -- before the run ---------------------------------------------------------------------------------------------------


def shape_in(value: Any, scope: Shape, pointer: str, *, constants: Label = Label.TRUSTED, strict: bool = True) -> Shape:
    """Return what a parameter's value is like, expressions in it worked out on what ``scope`` is like.

    ``constants`` is the label of what is written out. Raises ``Invalid`` for an expression that cannot work.
    """
    if is_reference(value):
        if REF in value:
            return Flow(pointer, strict).of(parse(value[REF]).tree, scope)
        parts = [
            shape_in(one, scope, pointer, constants=constants, strict=strict) for one in value.get(VARS, {}).values()
        ]
        made = Shape(label=join([constants, *(part.whole for part in parts)]), types=frozenset({"string"}))
        return made.made_from(*parts)
    if isinstance(value, Mapping):
        fields = {
            name: shape_in(one, scope, f"{pointer}/{_escaped(name)}", constants=constants, strict=strict)
            for name, one in value.items()
        }
        return Shape(label=constants, types=frozenset({"object"}), fields=fields, open=False)
    if isinstance(value, list):
        found = [
            shape_in(one, scope, f"{pointer}/{at}", constants=constants, strict=strict) for at, one in enumerate(value)
        ]
        items = merged(found) if found else None
        if items is not None and not at_least(items.whole, Label.ENTAILED):
            items = items.settle()  # its author put each in its place
        return Shape(label=constants, types=frozenset({"array"}), items=items)
    return literal(value, constants)


# -- during the run ---------------------------------------------------------------------------------------------------


def resolve(value: Any, scope: Mapping[str, Any]) -> Any:
    """Return ``value`` with every expression worked out on ``scope``: ``{steps: {id: {result}}, item?, ctx?}``.

    A path that leads nowhere gives None, as JMESPath has it; the action's schema then decides whether that is acceptable.
    Raises ``ExpressionFailed`` for what has no value, such as ``only`` of two.
    """
    if is_reference(value):
        return evaluate(parse(value[REF]).tree, scope) if REF in value else _filled(value, scope)
    if isinstance(value, Mapping):
        return {key: resolve(item, scope) for key, item in value.items()}
    if isinstance(value, list):
        return [resolve(item, scope) for item in value]
    return value


def _filled(value: Mapping[str, Any], scope: Mapping[str, Any]) -> str:
    named = {name: _as_text(resolve(one, scope)) for name, one in value.get(VARS, {}).items()}
    text = "".join(
        before + ("" if name is None else named[name]) for before, name in _placeholders(value[TEMPLATE], "")
    )
    if len(text) > MAX_TEXT:
        raise ExpressionFailed("The text gets too long.")
    return text


def _as_text(value: Any) -> str:
    """Return a value as it stands in a sentence: texts as they are, nothing for null, a list of plain values by commas."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(json_type(one) in _PLAIN for one in value):
        return ", ".join(_as_text(one) for one in value)
    return to_json(value).decode()


_PLAIN: Final = frozenset({"string", "number", "boolean"})
