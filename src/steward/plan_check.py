"""The check of a proposed plan, before anything runs: schemas, references, roles, policy, digest. No I/O.

The same functions run again in the worker, on the step it is about to dispatch: what is checked there is what was checked
here.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from steward.action import ActionDefinition, Catalogue, ParameterRole
from steward.dataflow import FOR_EACH, WHEN, Inputs, Source, gathered, parameter_at, require_types, result_shape, unseen
from steward.digest import sha256_of_ordered
from steward.errors import FieldProblem, Invalid, StewardError, UnknownAction
from steward.expression import is_reference
from steward.identity import Principal
from steward.plan import PlannedAction
from steward.policy import Ask, Decision, Policy
from steward.provenance import Label, join
from steward.quick_look import fits
from steward.redaction import REDACTED, mask_text, redact_under, texts_in
from steward.shape import Shape
from steward.vault import Vault

_MAX_PROBLEMS: Final = 20


class CheckedStep(NamedTuple):
    """One step that is well formed, with the decision on it. A tuple, since plans have many and none takes longer to make."""

    id: str
    definition: ActionDefinition
    description: str
    params: Mapping[str, Any]
    """Defaults filled in; references as written."""
    depends_on: tuple[str, ...]
    inputs: Mapping[str, Any]
    """Parameter path to ``{from, label}`` for every reference."""
    decision: Decision
    before: Ask | None
    """What asks because of what is known before the run: a yes to the plan answers it, and nothing of the plan starts without."""
    digests: tuple[str, ...]
    """One per secret key, the primary's first."""
    result: Shape
    """What it will return, as far as that is known."""
    when: Mapping[str, Any] | None = None
    for_each: Any = None
    control: Mapping[str, Any] = MappingProxyType({})
    """``when`` and ``for_each`` to ``{from, label}``: what decides whether and how often it runs."""
    authored_after: tuple[str, ...] = ()
    """Steps whose untrusted output had been read when this one was written."""

    @property
    def body(self) -> dict[str, Any]:
        """What a worker needs to know: the parameters, and under reserved names the condition and the list."""
        if self.when is None and self.for_each is None:
            return dict(self.params)
        around = {WHEN: self.when, FOR_EACH: self.for_each}
        return {**self.params, **{name: value for name, value in around.items() if value is not None}}

    @property
    def labels(self) -> dict[str, Any]:
        """Where everything comes from that the step looks at: its inputs, and what decides whether and how often it runs."""
        if not self.control:
            return dict(self.inputs)
        return {**self.inputs, **{f"${name}": origin for name, origin in self.control.items()}}

    @property
    def source(self) -> Source:
        """The step as later ones see it."""
        return Source(f"{self.id} ({self.definition.id})", self.result)

    def secrets(self) -> dict[str, Any]:
        """Return the parameters whose role is secret, in clear."""
        return {name: self.params[name] for name in self.definition.secrets if name in self.params}

    def preview(self) -> dict[str, Any]:
        """Return the parameters as people see them."""
        return preview(self.definition, self.params)


@dataclass(frozen=True)
class CheckedPlan:
    """A plan that could run, if no decision on a step is a denial."""

    steps: tuple[CheckedStep, ...]
    version: str
    """Of the rules that decided."""

    @property
    def digest(self) -> str:
        """SHA-256 (hex) over everything that will happen."""
        return self.digests[0]

    @cached_property
    def digests(self) -> tuple[str, ...]:
        """The digest under each secret key, the primary's first."""
        rounds = zip(*[step.digests for step in self.steps], strict=True) if self.steps else [()]
        return tuple([sha256_of_ordered({"steps": list(digests)}) for digests in rounds])

    @cached_property
    def _secrets(self) -> frozenset[str]:
        return frozenset(value for step in self.steps if step.definition.secrets for value in texts_in(step.secrets()))

    def without_secrets(self, text: str) -> str:
        """Return ``text`` with the secrets that the steps take masked: a sentence repeats what it is about."""
        return mask_text(text, self._secrets)


@lru_cache(maxsize=512)
def _validator(schema: bytes) -> Draft202012Validator:
    from pydantic_core import from_json  # noqa: PLC0415 - only on the first use of a schema

    return Draft202012Validator(from_json(schema))


def validator_of(definition: ActionDefinition) -> Draft202012Validator:
    """Return the (cached) validator of an action's parameters."""
    return _validator(definition.canonical_input_schema)


def with_defaults(definition: ActionDefinition, params: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``params`` with the schema's top-level defaults filled in."""
    defaults = definition.defaults
    if defaults.keys() <= params.keys():
        return dict(params)
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
    if fits(definition, params):
        return []
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
    plain, hidden = dict(params), definition.secrets & params.keys() if definition.secrets else ()
    macs = {name: vault.macs(plain.pop(name), workspace_id=workspace_id) for name in hidden}
    bound = {
        "account": definition.acting_as,
        "action": definition.id,
        "definition": definition.definition_hash,
        "depends_on": list(depends_on),
        "params": plain,
        "secrets": {},
        "step": step_id,
    }
    if not macs:  # the same under each key
        return (sha256_of_ordered(bound),) * vault.key_count
    return tuple(
        sha256_of_ordered({**bound, "secrets": {name: values[index] for name, values in macs.items()}})
        for index in range(vault.key_count)
    )


def preview(definition: ActionDefinition, params: Mapping[str, Any]) -> dict[str, Any]:
    """Return parameters as people see them: faithful, except that secrets are masked."""
    return {
        name: REDACTED if name in definition.secrets else redact_under(name, value) for name, value in params.items()
    }


def destinations(definition: ActionDefinition, params: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a decision may look at: the parameters by role, secrets left out."""
    if not definition.secrets:
        return dict(params)
    return {name: value for name, value in params.items() if name not in definition.secrets}


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
        earlier: Mapping[str, Source] | None = None,
        authored_after: tuple[str, ...] = (),
    ) -> CheckedPlan:
        """Return the plan as checked and decided by ``policy``; raise ``Invalid`` (or a narrower error) with pointers below ``at(index)``.

        ``earlier`` are steps of the same plan that were checked before. ``authored_after`` names steps whose output whoever
        wrote these steps had read: then nothing that is written out in them is trusted.
        """
        sources = dict(earlier or {})
        constants = Label.UNTRUSTED if authored_after else Label.TRUSTED
        inputs = Inputs(sources, constants=constants, author_read=", ".join(authored_after))
        checked: list[CheckedStep] = []
        for index, step in enumerate(steps):
            try:
                one = self._step(policy, principal, step, inputs, at(index), authored_after)
            except StewardError as error:
                error.facts.setdefault("step", step.id)
                raise
            checked.append(one)
            sources[step.id] = one.source
            inputs = inputs.for_the_next()
        return CheckedPlan(tuple(checked), policy.version)

    def _definition(self, step: PlannedAction, at: str) -> ActionDefinition:
        if (action := self._catalogue.get(step.action_id)) is None:
            raise UnknownAction(
                f"There is no action '{step.action_id}'.", errors=[FieldProblem(f"{at}/action_id", "unknown action")]
            )
        return action.definition

    def _step(  # noqa: PLR0917 - it carries where it is
        self,
        policy: Policy,
        principal: Principal,
        step: PlannedAction,
        inputs: Inputs,
        at: str,
        authored_after: tuple[str, ...],
    ) -> CheckedStep:
        definition = self._definition(step, at)
        params = with_defaults(definition, step.params)
        told = {"step": step.id, "authored_after": inputs.constants is Label.UNTRUSTED}
        listed = None if step.for_each is None else _listed(inputs, step.for_each, f"{at}/for_each")
        around = _around(step)
        control = (
            inputs.origins({name: value for name, value in around.items() if is_reference(value)}, at) if around else {}
        )
        if listed is not None:
            inputs = _for_one_of(listed, inputs, control)
        place = f"{at}/params"
        origins = inputs.origins(params, place)
        shapes = _shapes(definition, params, inputs, place)
        found = [f"{place}/{path}" for path in origins]
        problems = schema_problems(definition, params, place, open_places=found)
        if problems:
            raise Invalid(f"The parameters of {definition.id} do not fit its schema.", errors=problems)
        shown = destinations(definition, params)

        def decide(labels: Mapping[str, Any]) -> Decision:
            return policy.decide(principal, definition.id, shown, {"labels": labels, **told})

        decision = decide(origins)
        hidden = frozenset(origins) if listed is not None else unseen(params, origins)
        before = _before_the_run(definition, origins, hidden, decide, decision)
        returns = result_shape(definition, shapes)
        body = {**params, **{f"${name}": value for name, value in around.items()}} if around else params
        depends_on = tuple(map(str, step.depends_on))
        return CheckedStep(
            id=step.id,
            definition=definition,
            description=step.description or definition.title,
            params=params,
            depends_on=depends_on,
            inputs=origins,
            decision=decision,
            before=before,
            digests=step_digests(
                definition,
                step_id=step.id,
                params=body,
                depends_on=depends_on,
                vault=self._vault,
                workspace_id=principal.workspace_id,
            ),
            result=returns if listed is None else gathered(listed, [returns]),
            when=step.when,
            for_each=step.for_each,
            control=control,
            authored_after=authored_after,
        )


def _for_one_of(listed: Shape, inputs: Inputs, control: Mapping[str, dict[str, Any]]) -> Inputs:
    """Return what a step can refer to that runs once for each of a list; correct what decides how often it runs."""
    if "for_each" in control:  # what is in its elements does not
        control["for_each"]["label"] = join((listed.label, listed.chosen))
    words = control.get("for_each", {"from": "the plan"})["from"]
    return replace(inputs, item=Source(f"each of {words}", listed.element.tainted(listed.label, listed.chosen)))


def covers_all_but_content(definition: ActionDefinition, hidden: Collection[str]) -> bool:
    """Say whether a yes to the plan was given in sight of all that decides what the step does: only content was ``hidden``."""
    return all(definition.role_of(parameter_at(place)) is ParameterRole.CONTENT for place in hidden)


def _before_the_run(
    definition: ActionDefinition,
    origins: Mapping[str, Any],
    hidden: frozenset[str],
    decide: Callable[[Mapping[str, Any]], Decision],
    decision: Decision,
) -> Ask | None:
    """Return what asks because of what is known before the run.

    A step whose destination, amount or object nobody can see yet is asked about once, when its values are there.
    """
    if not isinstance(decision, Ask) or not hidden:
        return decision if isinstance(decision, Ask) else None
    if not covers_all_but_content(definition, hidden):
        return None
    known = decide({place: origin for place, origin in origins.items() if place not in hidden})
    return known if isinstance(known, Ask) else None


def _around(step: PlannedAction) -> dict[str, Any]:
    """Return what decides whether and how often a step runs."""
    if step.when is None and step.for_each is None:
        return {}
    return {name: value for name, value in (("when", step.when), ("for_each", step.for_each)) if value is not None}


def _listed(inputs: Inputs, value: Any, pointer: str) -> Shape:
    listed = inputs.shape(value, pointer)
    if "array" not in listed.types:
        sentence = "A step can run for each of a list only."
        raise Invalid(sentence, errors=[FieldProblem(pointer, sentence)], code="invalid_reference")
    return listed


def _shapes(definition: ActionDefinition, params: Mapping[str, Any], inputs: Inputs, place: str) -> dict[str, Shape]:
    """Return what each parameter is like; raise ``Invalid`` for one that can never fit the action's schema."""
    shapes = {}
    for name, value in params.items():
        if isinstance(value, str):  # as most are
            shapes[name] = inputs.written
            continue
        shapes[name] = inputs.shape(value, f"{place}/{name}")
        if is_reference(value):
            require_types(definition.taken, name, shapes[name], f"{place}/{name}")
    return shapes
