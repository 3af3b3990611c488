"""A Python function's signature, read once as the schemas and roles of an action.

The rules: every parameter is named and annotated, none is ``*args``, ``**kwargs`` or positional-only, and a default is
plain JSON, so that the plan's digest covers it. A parameter annotated ``ActionContext`` receives the attempt's context
and is no parameter of the action.
"""

import inspect
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, create_model
from pydantic.errors import PydanticUserError
from pydantic.fields import FieldInfo

from steward.action import ActionContext, ActionFailed, ParameterRole
from steward.errors import ConfigurationError

_PREFIX = "p_"  # pydantic reserves some field names (schema, copy, …); parameters keep theirs as the alias


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """What an action's function takes and gives."""

    model: type[BaseModel]
    names: tuple[str, ...]
    """Parameters of the action, in order."""
    context_name: str | None
    """The parameter that receives the ``ActionContext``, if there is one."""
    roles: Mapping[str, ParameterRole]
    input_schema: Mapping[str, Any]
    output_schema: Mapping[str, Any]

    def arguments(self, params: Mapping[str, Any], context: ActionContext) -> dict[str, Any]:
        """Return keyword arguments for the function, converted to the annotated types and with defaults filled in.

        Raises ``ActionFailed`` (``invalid_params``) with what does not fit, never with the value itself.
        """
        try:
            values = self.model.model_validate(dict(params))
        except ValidationError as error:
            problem = error.errors(include_url=False, include_context=False, include_input=False)[0]
            place = ".".join(str(part) for part in problem["loc"])
            raise ActionFailed("invalid_params", f"{place}: {problem['msg']}") from None
        found = values.__dict__
        arguments = {name: found[_PREFIX + name] for name in self.names}
        if self.context_name:
            arguments[self.context_name] = context
        return arguments


def _role(name: str, annotation: Any) -> ParameterRole | None:
    """Return the one role marked on a parameter, None if there is no mark."""
    marks = [mark for mark in get_args(annotation)[1:] if isinstance(mark, ParameterRole)]
    if get_origin(annotation) is not Annotated or not marks:
        return None
    if len(set(marks)) > 1:
        raise ConfigurationError(f"parameter '{name}' has more than one role; keep one.")
    return marks[0]


def _require_usable(parameter: inspect.Parameter, hints: Mapping[str, Any]) -> None:
    if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
        raise ConfigurationError(f"parameter '{parameter.name}' must be a plain named one (no *args, **kwargs or '/').")
    if parameter.name not in hints:
        raise ConfigurationError(
            f"parameter '{parameter.name}' needs a type annotation, such as '{parameter.name}: str'."
        )


def _input_schema(model: type[BaseModel], names: tuple[str, ...]) -> dict[str, Any]:
    """Return the model's JSON Schema without pydantic's made-up titles; every default must be in it."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # pydantic warns, and leaves out, a default that JSON cannot hold
        try:
            schema = model.model_json_schema(by_alias=True)
        except (PydanticUserError, UserWarning) as error:
            raise ConfigurationError(f"its parameters cannot be described as JSON Schema: {error}") from error
    schema.pop("title", None)
    schema.setdefault("required", [])
    for name in names:
        described = schema["properties"][name]
        described.pop("title", None)
        if name not in schema["required"] and "default" not in described:
            raise ConfigurationError(
                f"the default of parameter '{name}' must be a plain JSON value, not made at run time."
            )
    return schema


def _output_schema(annotation: Any) -> dict[str, Any]:
    if annotation is inspect.Signature.empty:
        return {}
    try:
        schema = TypeAdapter(annotation).json_schema(mode="serialization")
    except PydanticUserError as error:
        raise ConfigurationError(f"its return annotation cannot be described as JSON Schema: {error}") from error
    schema.pop("title", None)
    return schema


def read_signature(function: Callable[..., Any]) -> Signature:
    """Return what ``function`` takes and gives; raise ``ConfigurationError`` with the rule that it breaks."""
    try:
        hints = get_type_hints(function, include_extras=True)
    except (NameError, TypeError) as error:
        raise ConfigurationError(f"its annotations cannot be resolved: {error}.") from error
    fields: dict[str, Any] = {}
    roles: dict[str, ParameterRole] = {}
    context_name = None
    for name, parameter in inspect.signature(function).parameters.items():
        _require_usable(parameter, hints)
        if hints[name] is ActionContext:
            context_name = name
            continue
        if role := _role(name, hints[name]):
            roles[name] = role
        fields[name] = (hints[name], _field(name, parameter))
    names = tuple(fields)
    try:
        model = create_model(
            "Parameters",
            __config__=ConfigDict(extra="forbid", hide_input_in_errors=True),
            **{_PREFIX + name: field for name, field in fields.items()},
        )
    except (PydanticUserError, TypeError) as error:
        raise ConfigurationError(f"its parameters cannot be described as JSON Schema: {error}") from error
    return Signature(
        model=model,
        names=names,
        context_name=context_name,
        roles=roles,
        input_schema=_input_schema(model, names),
        output_schema=_output_schema(hints.get("return", inspect.Signature.empty)),
    )


def _field(name: str, parameter: inspect.Parameter) -> Any:
    """Return the model field's right-hand side: required, or with the parameter's default."""
    if parameter.default is inspect.Parameter.empty:
        return Field(alias=name)
    if isinstance(parameter.default, FieldInfo):
        raise ConfigurationError(f"parameter '{name}': put Field(…) inside Annotated[…] and the default after '='.")
    return Field(default=parameter.default, alias=name)
