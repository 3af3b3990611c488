"""A planner turns a sentence into a proposed plan, or into questions. It never sees what a step returned."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from steward.action import ActionDefinition
from steward.plan import PlannedAction, PlanResult, Question
from steward.policy import Deny


@dataclass(frozen=True, slots=True)
class RefusedAction:
    """An action that the actor may not run, and why."""

    definition: ActionDefinition
    decision: Deny


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
    check: Callable[[Sequence[PlannedAction]], object] = unchecked
    """Raises ``Invalid`` for steps that could not be carried out: whoever can mend them may ask before proposing."""


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
