"""A planner turns a sentence into a proposed plan, or into questions.

It never sees what a step returned, but where a plan says so itself: then it is asked again, during the run, with just those values.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, Protocol

from steward.action import ActionDefinition
from steward.identity import Principal
from steward.plan import PlannedAction, PlanResult, Question
from steward.policy import Deny, Policy

INPUTS: Final = "inputs"
"""What a plan that is made during a run calls the values it is made from, among the steps."""


@dataclass(frozen=True, slots=True)
class RefusedAction:
    """An action that the actor may not run, and why."""

    definition: ActionDefinition
    decision: Deny


class Phase(StrEnum):
    """What a planning is at."""

    READING = "reading_catalogue"
    ASKING = "asking_model"
    CHECKING = "checking"
    REPAIRING = "repairing"
    """A model is asked again, since what it answered could not be used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a planning is. Nothing in it comes from the sentence or from an answer."""

    phase: Phase
    attempt: int = 0
    """Which question to a model it is about, from 1; 0: none has been asked."""
    tokens_in: int = 0
    """That a model has read for it so far."""
    tokens_out: int = 0

    def as_dict(self) -> dict[str, Any]:
        """Return ``{phase, attempt, tokens_in, tokens_out}``."""
        return asdict(self)


Tell = Callable[[Progress], None]
"""Is told how far a planning is, and returns at once."""


def untold(progress: Progress) -> None:
    """Tell nobody."""


def unchecked(steps: Sequence[PlannedAction]) -> None:
    """Take any steps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanningRequest:
    """What a planner may know."""

    prompt: str
    """At most ``MAX_PROMPT_CHARS`` characters, not blank."""
    actions: Sequence[ActionDefinition]
    """The enabled actions that the actor may run, no others."""
    refused: Sequence[RefusedAction] = ()
    """The other actions: never part of a plan, but a planner may say that one of them was meant and why it may not run."""
    now: datetime
    """For "tomorrow"; aware, UTC."""
    context: Mapping[str, Any] = field(default_factory=dict)
    """Answers to earlier questions (``answers``: question param to text) and ``time_zone`` (an IANA name)."""
    workspace_id: str = ""
    """Whose request it is."""
    data: Sequence[Any] | None = None
    """Of a plan that is made during a run: the values that were read for it, which anybody may have written. Its steps may read them
    as ``steps.inputs.result.value``."""
    check: Callable[[Sequence[PlannedAction]], object] = unchecked
    """Raises ``Invalid`` for steps that could not be carried out: whoever can mend them may ask before proposing."""
    tell: Tell = untold
    """Is told how far it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """A plan that can be checked, or one without steps and the questions that stand in its way."""

    plan: PlanResult
    """No steps when there are questions or when nothing was understood."""
    questions: tuple[Question, ...] = ()
    denied: tuple[RefusedAction, ...] = ()
    """What was meant but may not run; then there is no plan, and the question says so."""
    secrets: tuple[str, ...] = ()
    """Texts of the sentence that were meant as secrets, also where there is no step yet; masked wherever it is shown."""
    model: str | None = None
    tokens_in: int = 0
    tokens_out: int = 0


def actions_for(
    definitions: Sequence[ActionDefinition], principal: Principal, policy: Policy
) -> tuple[list[ActionDefinition], list[RefusedAction]]:
    """Return the actions that somebody may plan with, and those that they may not run."""
    decided = [(definition, policy.decide(principal, definition.id, {}, {})) for definition in definitions]
    return (
        [definition for definition, decision in decided if not isinstance(decision, Deny)],
        [RefusedAction(definition, decision) for definition, decision in decided if isinstance(decision, Deny)],
    )


class Planner(Protocol):
    """Proposes plans."""

    @property
    def name(self) -> str:
        """What ``meta.planner`` says."""
        ...

    async def propose(self, request: PlanningRequest) -> Proposal:
        """Return a proposal whose steps use only ``request.actions``; never raises because of what the sentence says.

        One that asks a far end may raise ``RateLimited``, ``FarEndFailed`` or ``FarEndTimedOut``.
        """
        ...
