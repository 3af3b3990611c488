"""Who somebody is where another person must approve: people are compared, not credentials.

A person may act with a token, with a key, and with a second key. A key counts as the member that it names as its owner. Where
a credential does not tell whose it is, nobody can say that two are different people, so that counts as a no.
"""

from typing import Final

from steward.approval import Verdict
from steward.directory import Directory
from steward.errors import AnotherPersonRequired
from steward.identity import Principal
from steward.work_store import WorkStore

_YOURS: Final = (
    "Another person must approve this, and it cannot be told whose key this is: it names no owner. Use a key that does "
    "('steward keys create --owner'), or a token."
)
_THEIRS: Final = (
    "Another person must approve this, and it cannot be told who asked for it: that key names no owner. Ask again with a key "
    "that does ('steward keys create --owner'), or a token."
)


async def ids_of_person(
    directory: Directory, store: WorkStore, principal: Principal, approval_id: str, verdict: Verdict
) -> frozenset[str]:
    """Return every id under which whoever decides acts.

    Raises ``AnotherPersonRequired`` if another person must say yes and it cannot be told who one of those concerned is.
    """
    approval = await store.get_approval(approval_id)
    if approval is not None and approval.another_person and verdict is Verdict.APPROVE:
        if await directory.person_of(principal.actor_id) is None:
            raise AnotherPersonRequired(_YOURS)
        plan = await store.get_plan(approval.plan_id)
        for actor_id in {approval.requested_by, approval.requested_by if plan is None else plan.actor_id}:
            if await directory.person_of(actor_id) is None:
                raise AnotherPersonRequired(_THEIRS)
    return await directory.same_person(principal.actor_id)
