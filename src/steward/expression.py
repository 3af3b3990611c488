"""References from one step's parameters to the results of earlier steps.

A parameter value is a literal or ``{"$ref": "<path>"}``, where the path is JMESPath of the narrow form
``steps.<step id>.result`` followed by field names and indexes, such as ``steps.s1.result.items[0].name``. An object with
any other key that starts with ``$`` is refused: those names are reserved for the rest of the plan language.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import jmespath
from jmespath.exceptions import JMESPathError

from steward.errors import FieldProblem, Invalid

REF: Final = "$ref"
MAX_EXPRESSION_CHARS: Final = 500
_PLAIN_NODES: Final = frozenset({"field", "subexpression", "index_expression", "index"})


@dataclass(frozen=True, slots=True)
class Reference:
    """One reference found in a step's parameters."""

    parameter: str
    """The top-level parameter it feeds, whose role decides whether it may."""
    pointer: str
    """JSON pointer of the place inside the parameters."""
    expression: str
    """The JMESPath as written."""
    step_id: str
    """The earlier step whose result it reads."""
    field: str | None
    """The first field of that result, which carries the declared label; None: the whole result."""


def is_reference(value: Any) -> bool:
    """Say whether ``value`` is an expression object (it has a key starting with ``$``) rather than a literal."""
    return isinstance(value, Mapping) and any(isinstance(key, str) and key.startswith("$") for key in value)


def _path(node: Mapping[str, Any]) -> list[str | int]:
    """Flatten a JMESPath tree of plain field and index steps into a list; raise ``ValueError`` for anything else."""
    if node["type"] not in _PLAIN_NODES:
        raise ValueError(node["type"])
    if node["type"] in {"field", "index"}:
        return [node["value"]]
    return [part for child in node["children"] for part in _path(child)]


def _parse(parameter: str, pointer: str, value: Mapping[str, Any]) -> Reference:
    expression = value.get(REF)
    if set(value) != {REF} or not isinstance(expression, str) or len(expression) > MAX_EXPRESSION_CHARS:
        raise Invalid(
            errors=[FieldProblem(pointer, 'The only expression is {"$ref": "steps.<id>.result…"}.')],
            code="invalid_reference",
        )
    try:
        path = _path(jmespath.compile(expression).parsed)
    except (JMESPathError, ValueError, RecursionError) as error:
        raise Invalid(
            errors=[FieldProblem(pointer, "A reference is 'steps.<id>.result' and then field names and indexes.")],
            code="invalid_reference",
        ) from error
    if len(path) < 3 or path[0] != "steps" or path[2] != "result" or not isinstance(path[1], str):  # noqa: PLR2004
        raise Invalid(
            errors=[FieldProblem(pointer, "A reference starts with 'steps.<id>.result'.")],
            code="invalid_reference",
        )
    first = path[3] if len(path) > 3 and isinstance(path[3], str) else None  # noqa: PLR2004
    return Reference(parameter, pointer, expression, path[1], first)


def _escaped(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")


def references(params: Mapping[str, Any], at: str = "") -> Iterator[Reference]:
    """Yield every reference inside ``params``, in order; raise ``Invalid`` (``invalid_reference``) for a malformed one.

    ``at`` is the JSON pointer of ``params`` itself, put before each reference's pointer.
    """

    def walk(parameter: str, pointer: str, value: Any) -> Iterator[Reference]:
        if is_reference(value):
            yield _parse(parameter, pointer, value)
        elif isinstance(value, Mapping):
            for key, item in value.items():
                yield from walk(parameter, f"{pointer}/{_escaped(key)}", item)
        elif isinstance(value, list):
            for index, item in enumerate(value):
                yield from walk(parameter, f"{pointer}/{index}", item)

    for name, value in params.items():
        yield from walk(name, f"{at}/{_escaped(name)}", value)


def resolve(value: Any, results: Mapping[str, Any]) -> Any:
    """Return ``value`` with every reference replaced by what it names in ``results`` (step id to result).

    A path that leads nowhere resolves to None, as JMESPath has it; the action's schema then decides whether that is
    acceptable.
    """
    if is_reference(value):
        scope = {"steps": {step_id: {"result": result} for step_id, result in results.items()}}
        return jmespath.search(value[REF], scope)
    if isinstance(value, Mapping):
        return {key: resolve(item, results) for key, item in value.items()}
    if isinstance(value, list):
        return [resolve(item, results) for item in value]
    return value
