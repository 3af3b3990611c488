"""What can be done in the world, declared as data: the contract every action fulfils.

An ``ActionDefinition`` says everything that planning, policy, preview and safe retries need to know without running the
action. ``steward.actions`` holds the built-in ones, the ``@action`` decorator and the catalogue.
"""

import re
from asyncio import Future
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache, cached_property
from typing import Any, Final, Protocol, TypeGuard, runtime_checkable

from steward.digest import canonical_json, sha256_of
from steward.provenance import Label
from steward.shape import Shape, shape_of

_ACTION_ID: Final = re.compile(r"compute|[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+")
MAX_ACTION_ID_CHARS: Final = 100


def is_action_id(value: object) -> bool:
    """Say whether ``value`` is ``provider.name`` in lower case (more dots allowed), or ``compute``, the whole string."""
    return isinstance(value, str) and len(value) <= MAX_ACTION_ID_CHARS and _ACTION_ID.fullmatch(value) is not None


class Effect(StrEnum):
    """Whether an action changes anything."""

    READ = "read"
    WRITE = "write"


class RetryMode(StrEnum):
    """How a repeat stays safe once an attempt may already have had its effect."""

    KEYED = "keyed"
    """The far end recognises the key: repeating with the same key is safe while the key is valid."""
    PROBE = "probe"
    """The far end can be asked whether it happened; it is asked before a repeat."""
    NONE = "none"
    """Neither: after a crash or time-out in mid-effect the outcome is unknown and a person decides."""


class ParameterRole(StrEnum):
    """What a parameter decides. An undeclared one counts as ``destination``, the role with the strictest rule."""

    DESTINATION = "destination"
    AMOUNT = "amount"
    OBJECT = "object"
    CONTENT = "content"
    TIME = "time"
    SECRET = "secret"  # noqa: S105 - the name of a role


@dataclass(frozen=True, kw_only=True)
class ActionDefinition:
    """One action, as data. The plan digest binds what ``definition_hash`` covers."""

    id: str
    """``provider.name``."""
    title: str
    """A few words for a table."""
    description: str
    """A sentence or two: what it does."""
    input_schema: Mapping[str, Any]
    """JSON Schema (2020-12) of the parameters: an object that allows no additional properties."""
    output_schema: Mapping[str, Any] = field(default_factory=dict)
    """JSON Schema of the result; empty: anything."""
    effect: Effect
    retry: RetryMode
    roles: Mapping[str, ParameterRole] = field(default_factory=dict)
    """Role of each top-level parameter; undeclared: ``destination``."""
    output_labels: Mapping[str, Label] = field(default_factory=dict)
    """Labels of the result by path, such as ``emails[].id``: each holds for what is below it too, until a longer path says
    otherwise; undeclared: untrusted. ``emails[?]`` is what decides which elements are there, and in which order: untrusted
    where others can add to them, as to an inbox."""
    passes: Mapping[str, str] = field(default_factory=dict)
    """Fields of the result that merely pass a parameter on, and which: such a field has the labels of that parameter."""
    made_of_params: bool = False
    """Whether the whole result is made of the parameters and of nothing else: then it is trusted as little as the least of them,
    and ``output_labels`` says nothing."""
    primary_output: str | None = None
    """The field of the result that "it" means in a sentence; None: the whole result."""
    reversibility: str = "irreversible"
    """Words a person reads in the preview: ``reversible``, ``irreversible``, ``no effect``."""
    acting_as: str | None = None
    """The account at the far end in whose name it acts, such as a sender's address; None: nobody's."""
    groups: frozenset[str] = frozenset()
    """Policy groups it belongs to beside its effect, such as ``external`` or ``money``."""
    timeout_s: float = 60.0
    """Longest one attempt may take, in seconds."""
    max_attempts: int = 5
    """Attempts before a job gives up."""
    key_valid_s: float = 24 * 3600.0
    """``keyed`` only: how long, in seconds from the first dispatch, the far end remembers the key."""
    sentences: tuple[str, ...] = ()
    """Templates that the built-in planner understands, such as ``send an email to {to:email} saying {text:text}``."""
    enabled: bool = True
    disabled_because: str = ""
    """When not enabled: a sentence saying which setting would enable it."""

    @property
    def provider(self) -> str:
        """The part of the id before the last dot's name: ``mcp.files`` of ``mcp.files.read``."""
        return self.id.rsplit(".", 1)[0]

    @property
    def is_irreversible(self) -> bool:
        """Whether what it did cannot be taken back."""
        return self.reversibility.startswith("irreversible")

    def role_of(self, parameter: str) -> ParameterRole:
        """Return the declared role of a top-level parameter, ``destination`` when undeclared."""
        return self.roles.get(parameter, ParameterRole.DESTINATION)

    def label_of(self, output_field: str) -> Label:
        """Return the declared label of a top-level result field, untrusted when undeclared."""
        return self.output_labels.get(output_field, self.output_labels.get("", Label.UNTRUSTED))

    @cached_property
    def canonical_input_schema(self) -> bytes:
        """The input schema in its canonical form: equal for equal schemas."""
        return canonical_json(self.input_schema)

    @cached_property
    def secrets(self) -> frozenset[str]:
        """The parameters whose role is secret."""
        return frozenset(name for name, role in self.roles.items() if role is ParameterRole.SECRET)

    @cached_property
    def objects(self) -> frozenset[str]:
        """The parameters whose role is object."""
        return frozenset(name for name, role in self.roles.items() if role is ParameterRole.OBJECT)

    @cached_property
    def labels_stand(self) -> bool:
        """Whether its result is labelled as declared, whatever parameters it takes, as long as somebody wrote them out."""
        return not (self.made_of_params or self.passes or self.objects)

    @cached_property
    def shown(self) -> Mapping[str, Any]:
        """What a plan document says of it in every step, as plain texts, which are written as JSON in a third of the time."""
        return {
            "effect": self.effect.value,
            "retry": self.retry.value,
            "reversibility": self.reversibility,
            "acting_as": self.acting_as,
        }

    @cached_property
    def defaults(self) -> Mapping[str, Any]:
        """The parameters that the input schema has a default for, with it."""
        properties = self.input_schema.get("properties", {})
        return {name: schema["default"] for name, schema in properties.items() if "default" in schema}

    @cached_property
    def taken(self) -> Shape:
        """What its parameters are like, as far as the input schema says."""
        return shape_of(self.input_schema, {})

    @cached_property
    def returned(self) -> Shape:
        """What its result is like, as far as the output schema and the declared labels say."""
        return shape_of(self.output_schema, self.output_labels)

    @cached_property
    def definition_hash(self) -> str:
        """SHA-256 (hex) over what a plan relies on: schemas, effect, retry mode, parameter roles, labels and account."""
        return sha256_of(
            {
                "id": self.id,
                "input_schema": self.input_schema,
                "output_schema": self.output_schema,
                "effect": self.effect,
                "retry": self.retry,
                "roles": dict(self.roles),
                "labels": dict(self.output_labels),
                "passes": dict(self.passes),
                "acting_as": self.acting_as,
                **({"made_of_params": True} if self.made_of_params else {}),
            }
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionContext:
    """What one attempt may know about itself."""

    workspace_id: str
    actor_id: str
    plan_id: str
    job_id: str
    step_id: str
    attempt: int
    """1 for the first."""
    idempotency_key: str
    """The same in every attempt of this job; give it to the far end of a ``keyed`` action."""
    request_id: str
    labels: Mapping[str, Label] = field(default_factory=dict)
    """How far each parameter can be trusted; trusted where nothing is said."""


@dataclass(frozen=True, slots=True)
class Labelled:
    """A result that knows better than its declaration where it came from: an action may return it instead of the value."""

    value: Any
    labels: Mapping[str, Label]
    """By path, as ``output_labels``; they stand instead of those."""


class ActionFailed(Exception):
    """The effect provably did not happen. Raise it from an action to say so.

    ``retryable``: whether trying again may help. ``retry_after_s``: the far end's own advice, if it gave one.
    Any *other* exception out of a write action means "it may have happened".
    """

    def __init__(self, code: str, detail: str, *, retryable: bool = False, retry_after_s: float | None = None) -> None:
        """Keep a stable snake_case ``code`` and a ``detail`` sentence that holds no secret."""
        self.code = code
        self.detail = detail
        self.retryable = retryable
        self.retry_after_s = retry_after_s
        super().__init__(f"{code}: {detail}")


class OutcomeUnknown(Exception):
    """The effect may or may not have happened, and asking again will not tell. ``evidence`` is safe to show."""

    def __init__(self, code: str, evidence: str) -> None:
        """Keep a stable ``code`` and the evidence a person will decide by."""
        self.code = code
        self.evidence = evidence
        super().__init__(f"{code}: {evidence}")


class StillRunning(Exception):
    """The action was cancelled, but its thread cannot be: it goes on until ``ended`` is done, with its result or error.

    Only an action that runs a plain function in a thread raises it.
    """

    def __init__(self, ended: Future[Any]) -> None:
        """Keep what becomes done when the thread ends."""
        self.ended = ended
        super().__init__("its thread goes on")


@dataclass(frozen=True, slots=True)
class Happened:
    """Probe answer: the effect took place; ``result`` is what the action would have returned."""

    result: Any


@dataclass(frozen=True, slots=True)
class DidNotHappen:
    """Probe answer: the effect did not take place, so a repeat is safe."""


@dataclass(frozen=True, slots=True)
class CannotTell:
    """Probe answer: nobody knows; ``reason`` is a sentence for the person who will decide."""

    reason: str


ProbeAnswer = Happened | DidNotHappen | CannotTell


class Action(Protocol):
    """Something that can be done. Implementations are stateless between calls and safe to call concurrently."""

    @property
    def definition(self) -> ActionDefinition:
        """The declaration; never changes while the process lives."""
        ...

    async def run(self, params: Mapping[str, Any], context: ActionContext) -> Any:
        """Do it and return a JSON value. ``params`` fit the input schema, defaults filled in.

        Raises ``ActionFailed`` (provably not done) or ``OutcomeUnknown``; anything else, and a time-out, counts as
        "may have happened" for a write. Must be cancellable if it is a coroutine.
        """
        ...

    async def probe(self, params: Mapping[str, Any], context: ActionContext) -> ProbeAnswer:
        """``probe`` actions only: say whether an earlier attempt of this job had its effect."""
        ...


@runtime_checkable
class TakesStored(Protocol):
    """An action whose parameters may name something that is stored, such as a file: that has a label of its own."""

    async def stored(self, params: Mapping[str, Any], context: ActionContext) -> Mapping[str, Label]:
        """Return the labels of what is stored under what the parameters name, by place such as ``attachments/0/file``."""
        ...


@cache
def _is_class_that_takes_stored(kind: type[Any]) -> bool:
    return issubclass(kind, TakesStored)


def takes_stored(action: Action) -> TypeGuard[TakesStored]:
    """Say whether an action names stored things; looked up once for a class, since a protocol is slow to compare with."""
    return _is_class_that_takes_stored(type(action))


class Catalogue(Protocol):
    """The actions of this installation."""

    def get(self, action_id: str) -> Action | None:
        """Return the action with exactly this id, enabled or not; None if there is none."""
        ...

    def definitions(self) -> tuple[ActionDefinition, ...]:
        """Return every definition, sorted by id."""
        ...
