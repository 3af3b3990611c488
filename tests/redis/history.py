"""A little of everything in a store: every state of a job, plans that wait, run and ended, names, schedules, spending."""

from dataclasses import replace

from steward.approval import Verdict
from steward.job import HeldFor, Skipped
from steward.spending import Spending
from steward.workspace import Budget, Cap
from tests.contracts.builders import BETA, World, action_claim, again, done, doubt, failure, request_claim

SPENDING = Spending(budgets={"messages_out": Budget(limit=9, window_s=3600)})


async def live(world: World) -> None:
    """Make it."""
    await world.alpha.draft(world.plan())
    await world.submit(world.job("s1"), world.job("s2", "s1"), claims=[request_claim("r"), action_claim("a")])
    await world.submit(world.job(not_before=world.at(60)), who=BETA)
    await world.submit(approved=False)
    outcomes = (done(), failure(), doubt(), Skipped("no"), again(world.at(30)), again(world.at(0)))
    ended = await world.submit(*[world.job(f"s{n}") for n in range(len(outcomes))])
    for job_id, outcome in zip(ended.job_ids, outcomes, strict=True):
        await world.run(job_id, outcome)
    over = await world.submit(approved=False)
    await world.alpha.decide_approval(over.approval_id or "", "c" * 64, Verdict.REJECT, None)
    held = await world.submit()
    lease = await world.start(held.job_ids[0])
    await world.dispatcher.hold(lease.ref, HeldFor.APPROVAL, "look", world.approval(held.plan_id, held.job_ids[0]))
    running = await world.submit(world.job("s1"), world.job("s2", action_id="http.get"))
    leases = {lease.job.job_id: lease for lease in await world.claim()}
    ref = leases[running.job_ids[0]].ref
    await world.dispatcher.dispatch([ref], {ref: SPENDING})
    stale = replace(world.plan(), expires_at=world.at(-1))
    await world.alpha.draft(stale)
    await world.dispatcher.sweep()
    for _ in range(3):
        await world.submit(world.job(), who=BETA)
    await world.claim(1, caps={"beta": {"*": Cap(max_running=1, per_minute=5)}})
