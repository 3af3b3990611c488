"""Idempotency claims: the same request twice is one piece of work, and a key never stands for two."""

from typing import Literal

import pytest

from steward.errors import IdempotencyKeyReused, IdempotencyMixed, IllegalTransition
from steward.job import Expanded, JobStatus
from steward.work_store import RETENTION_S, IdempotencyClaim
from tests.contracts.builders import ALPHA, BETA, World, action_claim, again, request_claim

pytestmark = pytest.mark.anyio


async def test_w13_the_same_request_again_gets_the_original_ids(world: World) -> None:
    """A repeat under a known request key carries the original's ids in the same positions, and nothing is added."""
    claims = [request_claim("k1")]
    first = await world.submit(world.job("s1"), world.job("s2", "s1"), claims=claims, approved=False)
    before = await world.visible()
    repeat = await world.submit(world.job("s1"), world.job("s2", "s1"), claims=claims, approved=False)
    assert repeat.duplicate
    assert (repeat.plan_id, repeat.job_ids) == (first.plan_id, first.job_ids)
    assert (repeat.approval_id, repeat.queue_depth) == (first.approval_id, first.queue_depth)
    assert await world.visible() == before


async def test_the_same_actions_again_get_the_original_ids(world: World) -> None:
    """All action claims known: the original's ids come back, position by position."""
    claims = [action_claim("a", 0), action_claim("b", 1)]
    first = await world.submit(world.job("s1"), world.job("s2"), claims=claims)
    repeat = await world.submit(world.job("s1"), world.job("s2"), claims=claims)
    assert (repeat.plan_id, repeat.job_ids, repeat.duplicate) == (first.plan_id, first.job_ids, True)
    assert await world.alpha.queue_depth() == 2


@pytest.mark.parametrize("claim", [request_claim, action_claim])
async def test_w14_w63_a_key_with_another_payload_is_refused(world: World, claim: type) -> None:
    """The same key with another digest raises IdempotencyKeyReused and nothing is put in place."""
    await world.submit(claims=[claim("k1", payload="a")])
    before = await world.visible()
    with pytest.raises(IdempotencyKeyReused):
        await world.submit(claims=[claim("k1", payload="b")])
    assert await world.visible() == before


async def test_known_and_new_keys_together_are_refused(world: World) -> None:
    """Some action keys known and some new raises IdempotencyMixed; neither key nor job of the new one stays."""
    await world.submit(claims=[action_claim("a")])
    before = await world.visible()
    with pytest.raises(IdempotencyMixed):
        await world.submit(world.job("s1"), world.job("s2"), claims=[action_claim("a", 0), action_claim("b", 1)])
    assert await world.visible() == before
    assert not (await world.submit(claims=[action_claim("b", payload="other")])).duplicate


async def test_an_action_without_a_name_counts_as_new(world: World) -> None:
    """One action known and another that has no key cannot be told from a new one: refused, nothing put in place."""
    await world.submit(claims=[action_claim("a")])
    before = await world.visible()
    with pytest.raises(IdempotencyMixed):
        await world.submit(world.job("s1"), world.job("s2"), claims=[action_claim("a", 0)])
    assert await world.visible() == before


async def test_actions_first_sent_apart_are_known_together(world: World) -> None:
    """A key for every action, each known from another request: each position names its own original job."""
    one = await world.submit(claims=[action_claim("a")])
    two = await world.submit(claims=[action_claim("b")])
    both = await world.submit(world.job("s1"), world.job("s2"), claims=[action_claim("a", 0), action_claim("b", 1)])
    assert both.duplicate
    assert both.job_ids == (*one.job_ids, *two.job_ids)


async def test_a_repeat_after_an_expansion_gets_the_original_ids_only(world: World) -> None:
    """Children that a step became meanwhile are no part of the answer to the repeat."""
    first = await world.submit(world.job("s1"), world.job("s2"), claims=[request_claim("k")])
    lease = await world.start(first.job_ids[0])
    await world.settle(lease, Expanded((world.job("s1[0]", parent_step_id="s1"),)))
    assert (await world.submit(claims=[request_claim("k")])).job_ids == first.job_ids


async def test_another_payload_is_said_before_a_mixture(world: World) -> None:
    """A key used for something else is the first thing that is looked at."""
    await world.submit(claims=[action_claim("a")])
    with pytest.raises(IdempotencyKeyReused):
        await world.submit(
            world.job("s1"), world.job("s2"), claims=[action_claim("a", 0, "other"), action_claim("b", 1)]
        )


async def test_a_known_request_decides_although_an_action_key_is_new(world: World) -> None:
    """The request claim alone is enough to know the request again."""
    first = await world.submit(claims=[request_claim("r")])
    repeat = await world.submit(claims=[request_claim("r"), action_claim("new")])
    assert (repeat.plan_id, repeat.duplicate) == (first.plan_id, True)


async def test_requests_and_actions_are_separate_namespaces(world: World) -> None:
    """The same characters as a request key and as an action key are two keys."""
    first = await world.submit(claims=[request_claim("k", "a")])
    second = await world.submit(claims=[action_claim("k", 0, "b")])
    assert not second.duplicate
    assert second.plan_id != first.plan_id


async def test_w20_workspaces_are_separate_namespaces(world: World) -> None:
    """The same key in two workspaces makes two plans, whatever the payloads, and goes on to name each its own."""
    mine = await world.submit(claims=[request_claim("k", "a"), action_claim("k", 0, "a")])
    theirs = await world.submit(who=BETA, claims=[request_claim("k", "b"), action_claim("k", 0, "b")])
    assert not theirs.duplicate
    assert theirs.plan_id != mine.plan_id
    for who, original, payload in ((ALPHA, mine, "a"), (BETA, theirs, "b")):
        for claim in (request_claim("k", payload), action_claim("k", 0, payload)):
            repeat = await world.submit(who=who, claims=[claim])
            assert (repeat.plan_id, repeat.job_ids, repeat.duplicate) == (original.plan_id, original.job_ids, True)


@pytest.mark.parametrize("other", ["foo:k1", "k1 ", " k1", "K1", "k", "k11", "k%", "k_", "*", "k1\u200b", "\uff4b1"])
async def test_w64_keys_match_exactly(world: World, other: str) -> None:
    """A key that merely resembles a known one is another key."""
    await world.submit(claims=[request_claim("k1")])
    assert not (await world.submit(claims=[request_claim(other)])).duplicate
    assert (await world.submit(claims=[request_claim("k1")])).duplicate


async def test_a_plan_known_by_id_takes_the_request_claim_too(world: World) -> None:
    """Executing an executed plan under a request key records that key for it."""
    plan = world.plan()
    first = await world.submit(plan=plan)
    assert (await world.submit(plan=plan, claims=[request_claim("late")])).duplicate
    repeat = await world.submit(claims=[request_claim("late")])
    assert (repeat.plan_id, repeat.job_ids, repeat.duplicate) == (first.plan_id, first.job_ids, True)
    with pytest.raises(IdempotencyKeyReused):
        await world.submit(claims=[request_claim("late", "other")])


async def test_claims_are_looked_at_before_the_plan_id(world: World) -> None:
    """A key used for something else is refused although the plan id is known."""
    plan = world.plan()
    await world.submit(plan=plan, claims=[request_claim("k")])
    with pytest.raises(IdempotencyKeyReused):
        await world.submit(plan=plan, claims=[request_claim("k", "other")])


async def test_a_refused_submission_leaves_its_key_free(world: World) -> None:
    """A key belongs to a submission only if that was put in place."""
    draft = world.plan()
    await world.alpha.draft(draft)
    await world.alpha.cancel_plan(draft.plan_id)
    with pytest.raises(IllegalTransition):
        await world.submit(plan=draft, claims=[request_claim("k", "a")])
    assert not (await world.submit(claims=[request_claim("k", "b")])).duplicate


async def test_a_key_lives_as_long_as_its_job(world: World) -> None:
    """A key is known until its plan is purged, and free from then on."""
    first = await world.submit(claims=[request_claim("k"), action_claim("a")])
    await world.run(first.job_ids[0])
    world.clock.advance(RETENTION_S - 60)
    assert await world.dispatcher.purge(RETENTION_S) == 0
    assert (await world.submit(claims=[request_claim("k")])).job_ids == first.job_ids
    world.clock.advance(120)
    assert await world.dispatcher.purge(RETENTION_S) == 1
    assert not (await world.submit(claims=[request_claim("k", "other"), action_claim("a", 0, "other")])).duplicate


async def test_w65_a_repeat_after_a_retryable_failure_finds_work_that_goes_on(world: World) -> None:
    """A failed attempt is not the end: the repeat names the same job, which is still going to be tried."""
    first = await world.submit(claims=[request_claim("k")])
    await world.run(first.job_ids[0], again(world.at(5)))
    assert (await world.submit(claims=[request_claim("k")])).job_ids == first.job_ids
    assert (await world.job_of(first.job_ids[0])).status is JobStatus.SCHEDULED
    world.clock.advance(6)
    assert (await world.run(first.job_ids[0])).status is JobStatus.COMPLETED


@pytest.mark.parametrize("namespace", ["request", "action"])
async def test_a_payload_is_known_by_any_of_its_digests(world: World, namespace: Literal["request", "action"]) -> None:
    """The first digest is kept; a retry that has it anywhere among its own, as after a rotation of keys, is known."""
    old, new, other = "a" * 64, "b" * 64, "c" * 64
    first = await world.submit(claims=[IdempotencyClaim(namespace, "mine", (old, other))])
    again = await world.submit(claims=[IdempotencyClaim(namespace, "mine", (new, old))])
    assert (again.duplicate, again.job_ids) == (True, first.job_ids)
    with pytest.raises(IdempotencyKeyReused):
        await world.submit(claims=[IdempotencyClaim(namespace, "mine", (new, other))])
