"""The check of a proposed plan, before anything runs: schemas, references, roles, policy, digest. No I/O.

The same functions run again in the worker, on the step it is about to dispatch: what is checked there is what was checked
here.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from steward.action import ActionDefinition, Catalogue, ParameterRole
from steward.digest import sha256_of
from steward.errors import FieldProblem, Invalid, StewardError, UnknownAction, UntrustedDestination
from steward.expression import Reference, is_reference, references
from steward.identity import Principal
from steward.plan import PlannedAction
from steward.policy import Decision, Policy
from steward.provenance import Label
from steward.redaction import REDACTED, mask_text, redact, texts_in
from steward.vault import Vault

_MAY_TAKE_RESULTS: Final = frozenset({ParameterRole.CONTENT, ParameterRole.OBJECT})
_MAX_PROBLEMS: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedStep:
    """One step that is well formed, with the decision on it."""

    id: str
    definition: ActionDefinition
    description: str
    params: Mapping[str, Any]
    """Defaults filled in; references as written."""
    depends_on: tuple[str, ...]
    inputs: Mapping[str, Any]
    """Parameter path to ``{from, label}`` for every reference."""
    decision: Decision
    digests: tuple[str, ...]
    """One per secret key, the primary's first."""

    def secrets(self) -> dict[str, Any]:
        """Return the parameters whose role is secret, in clear."""
        role_of = self.definition.role_of
        return {name: value for name, value in self.params.items() if role_of(name) is ParameterRole.SECRET}

    def preview(self) -> dict[str, Any]:
        """Return the parameters as people see them: faithful, except that secrets are masked."""
        return {
            name: REDACTED if self.definition.role_of(name) is ParameterRole.SECRET else redact({name: value})[name]
            for name, value in self.params.items()
        }


@dataclass(frozen=True, slots=True)
class CheckedPlan:
    """A plan that could run, if no decision on a step is a denial."""

    steps: tuple[CheckedStep, ...]
    version: str
    """Of the rules that decided."""

    @property
    def digest(self) -> str:
        """SHA-256 (hex) over everything that will happen."""
        return self.digests[0]

    @property
    def digests(self) -> tuple[str, ...]:
        """The digest under each secret key, the primary's first."""
        rounds = zip(*(step.digests for step in self.steps), strict=True)
        return tuple(sha256_of({"steps": list(digests)}) for digests in rounds) or (sha256_of({"steps": []}),)

    def without_secrets(self, text: str) -> str:
        """Return ``text`` with the secrets that the steps take masked: a sentence repeats what it is about."""
        return mask_text(text, {value for step in self.steps for value in texts_in(step.secrets())})


@lru_cache(maxsize=512)
def _validator(schema: bytes) -> Draft202012Validator:
    from pydantic_core import from_json  # noqa: PLC0415 - only on the first use of a schema

    return Draft202012Validator(from_json(schema))


def validator_of(definition: ActionDefinition) -> Draft202012Validator:
    """Return the (cached) validator of an action's parameters."""
    return _validator(definition.canonical_input_schema)


def with_defaults(definition: ActionDefinition, params: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``params`` with the schema's top-level defaults filled in."""
    properties = definition.input_schema.get("properties", {})
    defaults = {name: schema["default"] for name, schema in properties.items() if "default" in schema}
    return {**{name: value for name, value in defaults.items() if name not in params}, **params}


def _pointer(at: str, error: ValidationError) -> str:
    parts = (str(part).replace("~", "~0").replace("/", "~1") for part in error.absolute_path)
    return at + "".join(f"/{part}" for part in parts)


def _sentence(error: ValidationError) -> str:
    """Return what is wrong without repeating the value, which may be long or secret."""
    match error.validator:
        case "required":
            return f"{error.message.split(' ', 1)[0]} is required."
        case "additionalProperties":
            known = error.schema.get("properties", {}) if isinstance(error.schema, Mapping) else {}
            return f"It has a field that is not known here; known are {', '.join(sorted(known)) or 'none'}."
        case "type":
            return f"It must be of type {error.validator_value}."
        case "pattern" | "format" | "anyOf" | "oneOf":
            return "It does not have the form that this action takes."
        case "enum" | "const":
            return f"It must be one of {error.validator_value}."
        case _:
            return f"It breaks the rule {error.validator}: {error.validator_value}."


def schema_problems(
    definition: ActionDefinition, params: Mapping[str, Any], at: str = "", *, open_places: Collection[str] = ()
) -> list[FieldProblem]:
    """Return what does not fit the action's schema, at most twenty problems.

    ``open_places`` are the pointers of references not yet resolved, which stand for any value.
    """
    problems = []
    for error in validator_of(definition).iter_errors(dict(params)):
        pointer = _pointer(at, error)
        if any(place == pointer or place.startswith(pointer + "/") for place in open_places) and (
            is_reference(error.instance) or error.validator in {"anyOf", "oneOf", "allOf", "not", "if"}
        ):
            continue  # judged again with the real value, before dispatch
        problems.append(FieldProblem(pointer, _sentence(error)))
        if len(problems) == _MAX_PROBLEMS:
            break
    return problems


def _check_reference(
    reference: Reference, definition: ActionDefinition, earlier: Mapping[str, CheckedStep]
) -> dict[str, str]:
    role = definition.role_of(reference.parameter)
    if role not in _MAY_TAKE_RESULTS:
        raise UntrustedDestination(
            f"'{reference.parameter}' of {definition.id} decides the {role} of the action, so it cannot come from what "
            "an earlier step returned; write it out.",
            errors=[FieldProblem(reference.pointer, f"a {role} parameter takes no reference")],
        )
    source = earlier[reference.step_id].definition
    fields = source.output_schema.get("properties")
    if reference.field is not None and fields is not None and reference.field not in fields:
        raise Invalid(
            f"{source.id} returns no field '{reference.field[:40]}'; it returns {', '.join(sorted(fields))}.",
            errors=[FieldProblem(reference.pointer, "no such field")],
            code="invalid_reference",
        )
    label = Label.UNTRUSTED if reference.field is None else source.label_of(reference.field)
    return {"from": f"{reference.step_id} ({source.id})", "label": label}


def step_digests(
    definition: ActionDefinition,
    *,
    step_id: str,
    params: Mapping[str, Any],
    depends_on: Sequence[str],
    vault: Vault,
    workspace_id: str,
) -> tuple[str, ...]:
    """Return the step's SHA-256 (hex) under each secret key: a secret enters as an HMAC, never in clear."""
    secret = {name: value for name, value in params.items() if definition.role_of(name) is ParameterRole.SECRET}
    macs = {name: vault.macs(value, workspace_id=workspace_id) for name, value in secret.items()}
    plain = {name: value for name, value in params.items() if name not in secret}
    return tuple(
        sha256_of(
            {
                "step": step_id,
                "action": definition.id,
                "definition": definition.definition_hash,
                "params": plain,
                "secrets": {name: values[index] for name, values in macs.items()},
                "depends_on": list(depends_on),
                "account": definition.acting_as,
            }
        )
        for index in range(vault.key_count)
    )


def destinations(definition: ActionDefinition, params: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a decision may look at: the parameters by role, secrets left out."""
    return {name: value for name, value in params.items() if definition.role_of(name) is not ParameterRole.SECRET}


class PlanCheck:
    """Checks proposed plans against one catalogue."""

    def __init__(self, catalogue: Catalogue, vault: Vault) -> None:
        """Use these."""
        self._catalogue = catalogue
        self._vault = vault

    def check(
        self,
        policy: Policy,
        principal: Principal,
        steps: Sequence[PlannedAction],
        *,
        at: Callable[[int], str] = "/steps/{}".format,
    ) -> CheckedPlan:
        """Return the plan as checked and decided by ``policy``; raise ``Invalid`` (or a narrower error) with pointers below ``at(index)``."""
        checked: dict[str, CheckedStep] = {}
        for index, step in enumerate(steps):
            try:
                checked[step.id] = self._step(policy, principal, step, checked, at(index))
            except StewardError as error:
                error.facts.setdefault("step", step.id)
                raise
        return CheckedPlan(tuple(checked.values()), policy.version)

    def _step(
        self, policy: Policy, principal: Principal, step: PlannedAction, earlier: Mapping[str, CheckedStep], at: str
    ) -> CheckedStep:
        action = self._catalogue.get(step.action_id)
        if action is None:
            raise UnknownAction(
                f"There is no action '{step.action_id}'.", errors=[FieldProblem(f"{at}/action_id", "unknown action")]
            )
        definition = action.definition
        params = with_defaults(definition, step.params)
        place = f"{at}/params"
        found = {reference.pointer: reference for reference in references(params, place)}
        inputs = {
            pointer.removeprefix(place + "/"): _check_reference(reference, definition, earlier)
            for pointer, reference in found.items()
        }
        problems = schema_problems(definition, params, place, open_places=found)
        if problems:
            raise Invalid(f"The parameters of {definition.id} do not fit its schema.", errors=problems)
        return CheckedStep(
            id=step.id,
            definition=definition,
            description=step.description or definition.title,
            params=params,
            depends_on=tuple(str(dependency) for dependency in step.depends_on),
            inputs=inputs,
            decision=policy.decide(
                principal, definition.id, destinations(definition, params), {"labels": inputs, "step": step.id}
            ),
            digests=step_digests(
                definition,
                step_id=step.id,
                params=params,
                depends_on=[str(dependency) for dependency in step.depends_on],
                vault=self._vault,
                workspace_id=principal.workspace_id,
            ),
        )
