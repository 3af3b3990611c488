"""What every attempt works with: the rooms of the house that a worker may enter, and the door to the dispatcher."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from steward.action import Catalogue
from steward.clock import Clock
from steward.directory import Directory
from steward.ids import IdFactory
from steward.policy import Policies
from steward.recorder import Recorder
from steward.spending import Spending
from steward.standing import Standings
from steward.together import Together
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
    dispatch: Together[tuple[LeaseRef, Spending | None], Answer] = field(init=False)
    """The dispatcher's verb for one attempt; those that are due at the same moment share a call."""
    standings: Standings = field(init=False)

    def __post_init__(self) -> None:
        """Gather dispatches, and what attempts ask about their actors."""
        object.__setattr__(self, "dispatch", Together(self._dispatch_all))
        object.__setattr__(self, "standings", Standings(self.directory, self.policies))

    async def _dispatch_all(self, asked: Sequence[tuple[LeaseRef, Spending | None]]) -> Sequence[Answer]:
        spends = {ref: spending for ref, spending in asked if spending is not None}
        return await self.dispatcher.dispatch([ref for ref, _ in asked], spends)
