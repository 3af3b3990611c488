"""A policy tried on the past: what would have been decided otherwise, found by deciding every recorded case again."""

import random
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from steward.audit import RecordedDecision
from steward.errors import Invalid
from steward.identity import Principal, Role, scopes_of
from steward.policies.cedar import CedarPolicy
from steward.policy_desk import MAX_EXAMINED, PolicyDesk
from steward.policy_diff import MAX_EXAMPLES, PolicyDiff
from tests.installation import Installation, installation
from tests.policies.office import ACTIONS, mail, person, policy

pytestmark = pytest.mark.anyio
START = datetime(2026, 3, 1, tzinfo=UTC)
BEFORE = {"quiet": 'forbid (principal in Role::"viewer", action in Action::"message", resource);'}
AFTER = {
    "quiet": 'forbid (principal, action in Action::"message", resource) when { context.recipients > 2 };',
    "money": 'forbid (principal, action in Action::"money:unattended", resource) when { context has amount && context.amount > 50 };',
}


def history(seed: int, count: int, rules: CedarPolicy) -> list[RecordedDecision]:
    """Make up what was decided by these rules, over a month."""
    chance, made = random.Random(seed), []
    for number in range(count):
        role = chance.choice([Role.DEVELOPER, Role.VIEWER, Role.ADMIN])
        who = person(role, name=f"key_{chance.randrange(5)}")
        definition = chance.choice(ACTIONS).definition
        people = [f"p{n}@{chance.choice(['acme', 'far'])}.example" for n in range(chance.randrange(1, 5))]
        params = mail(*people) if "to" in definition.roles else {"amount": chance.randrange(100), "iban": "DE00"}
        decision = rules.decide(who, definition.id, params, {})
        made.append(
            RecordedDecision(
                at=START + timedelta(minutes=number),
                actor_id=who.actor_id,
                roles=tuple(sorted(who.roles)),
                plan_id=f"plan_{number % 40}",
                step="s1",
                action_id=definition.id,
                effect=decision.effect,
                rule=decision.rule,
                version=rules.version,
                facts=decision.facts,
            )
        )
    return made


@pytest.mark.parametrize("seed", range(5))
def test_a_diff_equals_deciding_every_case_again(seed: int) -> None:
    """Newly denied, newly asked and newly allowed, counted by action and by both rules: exactly as by brute force."""
    before, after = policy("ask_before_external", texts=BEFORE), policy(texts=AFTER)
    past = history(seed, 600, before)
    expected: Counter[tuple[str, ...]] = Counter()
    for case in past:
        roles = frozenset(Role(role) for role in case.roles)
        now = after.decide_on(
            Principal(case.actor_id or "", "acme", roles, scopes_of(roles)), case.action_id, case.facts
        )
        if now.effect != case.effect:
            expected[case.action_id, case.effect, now.effect, case.rule, now.rule] += 1
    diff = PolicyDiff("acme", after)
    diff.examine(past[:300])
    diff.examine(past[300:])
    found = diff.differences()
    assert {(one.action_id, one.was, one.becomes, one.was_rule, one.rule): one.count for one in found} == expected
    assert {one.becomes for one in found} == {"deny", "ask", "allow"}
    order = [("deny", "ask", "allow").index(one.becomes) for one in found]
    assert order == sorted(order)
    assert diff.examined == 600
    for one in found:
        assert len(one.plan_ids) == min(MAX_EXAMPLES, len(set(one.plan_ids)))
        assert one.reason


def test_the_same_rules_would_have_decided_the_same() -> None:
    """The facts that are recorded are enough to decide again, whatever was asked."""
    rules = policy("ask_before_external", "another_person_approves_money", texts=BEFORE | AFTER)
    diff = PolicyDiff("acme", rules)
    diff.examine(history(9, 400, rules))
    assert diff.differences() == ()


def test_a_record_that_cannot_be_decided_again_counts_as_denied() -> None:
    """Facts of a version that knew others: no guess is made about them."""
    (case,) = history(1, 1, policy())
    odd = RecordedDecision(
        **{name: getattr(case, name) for name in case.__slots__}
        | {"facts": {"mood": 3}, "effect": "allow", "action_id": "email.send"}
    )
    diff = PolicyDiff("acme", policy())
    diff.examine([odd])
    (one,) = diff.differences()
    assert (one.becomes, one.rule) == ("deny", "policy_error")


# -- at the desk -----------------------------------------------------------------------------------------------------


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[Installation]:
    """Open an installation."""
    async with installation(tmp_path) as opened:
        yield opened


def desk_over(house: Installation, past: list[RecordedDecision]) -> PolicyDesk:
    """Return a desk that looks back on ``past``."""

    async def decisions(workspace_id: str, since: datetime) -> AsyncIterator[RecordedDecision]:
        assert workspace_id == "acme"
        for case in past:
            if case.at >= since:
                yield case

    app = house.app
    return PolicyDesk(
        policies=app.policies, directory=app.directory, catalogue=app.catalogue, decisions=decisions, clock=app.clock
    )


async def looks(house: Installation, count: int) -> list[RecordedDecision]:
    """Return so many recorded looks at a page, all allowed."""
    who = await house.member()
    decision = (await house.app.policies.of("acme")).decide(who, "http.get", {"url": "https://far.example/"}, {})
    common: dict[str, Any] = {"actor_id": who.actor_id, "roles": ("developer",), "plan_id": None, "step": "s1"}
    common |= {"action_id": "http.get", "effect": "allow", "rule": "catalogue", "version": "x", "facts": decision.facts}
    return [RecordedDecision(at=START + timedelta(seconds=number), **common) for number in range(count)]


async def test_the_desk_looks_back_to_a_moment_and_changes_nothing(house: Installation) -> None:
    """Only what was decided since then is examined, and the tried policy is not in force."""
    who = await house.member()
    desk = desk_over(house, await looks(house, 350))
    text = 'forbid (principal, action == Action::"http.get", resource);'
    report = await desk.diff(who, texts={"tried": text}, switch_on=[], since=START + timedelta(seconds=100))
    assert (report.examined, report.complete) == (250, True)
    (one,) = report.differences
    assert (one.was, one.becomes, one.rule, one.count) == ("allow", "deny", "workspace/tried", 250)
    policy_now = await house.app.policies.of("acme")
    assert policy_now.decide(who, "http.get", {}, {}).effect == "allow"


async def test_an_optional_rule_can_be_tried_before_it_is_switched_on(house: Installation) -> None:
    """By name; a name that is none is refused."""
    who, past = await house.member(), await looks(house, 3)
    report = await desk_over(house, past).diff(who, texts={}, switch_on=["reads_only"], since=START)
    assert (report.examined, report.differences) == (3, ())
    with pytest.raises(Invalid, match="no optional rule 'members_run_actions'"):
        await desk_over(house, past).diff(who, texts={}, switch_on=["members_run_actions"], since=START)


async def test_a_long_past_is_looked_at_in_part_and_says_so(house: Installation) -> None:
    """No request takes for ever."""
    who, (one,) = await house.member(), await looks(house, 1)
    desk = desk_over(house, [one] * (MAX_EXAMINED + 1))
    report = await desk.diff(who, texts={}, switch_on=["reads_only"], since=START)
    assert (report.examined, report.complete) == (MAX_EXAMINED, False)
