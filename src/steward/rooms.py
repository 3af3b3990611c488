"""What every attempt works with: the rooms of the house that a worker may enter, and the door to the dispatcher."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from steward.action import ActionDefinition, Catalogue
from steward.clock import Clock
from steward.directory import Directory
from steward.ids import IdFactory
from steward.planner import Planner
from steward.policy import Policies
from steward.recorder import Recorder
from steward.spending import Spending, spending_of
from steward.standing import Standings
from steward.time_limit import Limits
from steward.together import Together
from steward.usage import settings_of
from steward.vault import Vault
from steward.work_store import Answer, Dispatcher, LeaseRef


@dataclass(frozen=True, slots=True, kw_only=True)
class Rooms:
    """What attempts need; the same for all of them."""

    dispatcher: Dispatcher
    catalogue: Catalogue
    policies: Policies
    directory: Directory
    vault: Vault
    clock: Clock
    recorder: Recorder
    ids: IdFactory
    planner: Planner
    dispatch: Together[tuple[LeaseRef, Spending | None], Answer] = field(init=False)
    """The dispatcher's verb for one attempt; those that are due at the same moment share a call."""
    standings: Standings = field(init=False)
    limits: Limits = field(init=False, default_factory=Limits)

    def __post_init__(self) -> None:
        """Gather dispatches, and what attempts ask about their actors."""
        object.__setattr__(self, "dispatch", Together(self._dispatch_all))
        object.__setattr__(self, "standings", Standings(self.directory, self.policies))

    async def spending(
        self, workspace_id: str, definition: ActionDefinition, params: Mapping[str, Any]
    ) -> Spending | None:
        """Return what an effect takes from the workspace's budgets; recipients only as keyed hashes."""
        settings = await settings_of(self.directory, workspace_id)
        macs = partial(self.vault.macs, workspace_id=workspace_id)
        return spending_of(definition, params, settings, lambda text: macs({"recipient": text}))

    async def dispatch_alone(self, asked: tuple[LeaseRef, Spending | None]) -> Answer:
        """Return the same for an attempt that has no company: at once, and not a turn of the event loop later."""
        (answer,) = await self._dispatch_all((asked,))
        return answer

    async def _dispatch_all(self, asked: Sequence[tuple[LeaseRef, Spending | None]]) -> Sequence[Answer]:
        spends = {ref: spending for ref, spending in asked if spending is not None}
        return await self.dispatcher.dispatch([ref for ref, _ in asked], spends)
