"""Odd moments and odd callers: a disk that is full, a clock that moves, tokens and origins that almost fit, a crowd with one code."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from joserfc import jwt

from steward.directory import LOCAL_ACTOR
from steward.errors import AuditUnavailable, StoreUnavailable
from steward.job import JobStatus
from steward.maintenance.archiver import Archiver
from steward.workspace import Budget, BudgetName, WorkspaceSettings
from tests.conftest import FakeClock
from tests.installation import installation, planned
from tests.redis_server import shared_server
from tests.security.issuer import AUDIENCE, Issuer, new_key
from tests.security.test_jwt import ask, by_hand, by_hand_signed_by
from tests.web.house import House, assert_problem, open_house
from tests.web.test_rate_limits import PLAN, assert_refused, house_with
from tests.web.test_sessions import OWN, browser, code_for
from tests.worker.deeds import note
from tests.worker.test_limits import letter, to

pytestmark = pytest.mark.anyio
STUDIO = "https://studio.example.com:8443"


async def test_a_full_disk_loses_nothing_and_work_goes_on_when_there_is_room(tmp_path: Path, clock: FakeClock) -> None:
    """What was answered is there, what was refused is not, and the audit is sound before and after."""
    done: list[Any] = []
    async with installation(tmp_path, clock=clock) as house:
        house.add(note(done))
        who, database = await house.member(), house.app.database

        async def allow_pages(many: int) -> None:
            await database.write(lambda c: c.exec_driver_sql(f"PRAGMA max_page_count = {many}").close())

        pages: int = await database.read(lambda c: c.exec_driver_sql("PRAGMA page_count").scalar_one())
        await allow_pages(pages + 8)
        accepted, refused = [], 0
        for number in range(60):
            try:
                accepted.append((await house.submit(planned("deeds.note", text=f"{number}" * 500))).plan_id)
            except StoreUnavailable:
                refused += 1
        assert refused > 40
        await allow_pages(1_000_000)
        accepted.append((await house.submit(planned("deeds.note", text="room"))).plan_id)
        plans = (await house.app.engine.open(who).list_plans(limit=100)).plans
        assert {plan.plan_id for plan in plans} == set(accepted)
        for plan_id in accepted:
            (job,) = await house.run_until_settled(plan_id)
            assert job.status is JobStatus.COMPLETED
        assert len(done) == len(accepted)
        await house.app.recorder.written()
        assert (await house.app.audit_log.verify("acme")).sound


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["best_effort", "required"])
async def test_w101_a_disk_that_is_full_for_the_audit_alone_loses_no_record(
    tmp_path: Path, clock: FakeClock, mode: str
) -> None:
    """Work that lives elsewhere goes on, or waits where the audit is required; with room again each record is there once."""
    done: list[Any] = []
    redis = shared_server()
    env = {"REDIS_URL": redis.url(redis.new_database()), "REDIS_EFFECT_SAFETY": "fast", "AUDIT_MODE": mode}
    async with installation(tmp_path, clock=clock, env=env) as house:
        house.add(note(done))
        await house.member()
        app, plans = house.app, list[str]()
        archiver = Archiver(app.engine.dispatcher, app.audit_log, app.catalogue, app.recorder)

        async def allow_pages(many: int) -> None:
            await app.database.write(lambda c: c.exec_driver_sql(f"PRAGMA max_page_count = {many}").close())

        async def fill() -> None:
            while True:
                plans.append((await house.submit(planned("deeds.note", text="x" * 500))).plan_id)
                await archiver.turn()

        await allow_pages(1)  # no more than there are
        with pytest.raises((StoreUnavailable, AuditUnavailable)):
            await fill()
        assert not app.recorder.well
        jobs = await house.run_until_settled(plans[-1])
        waits = mode == "required"
        assert [job.status for job in jobs] == [JobStatus.SCHEDULED if waits else JobStatus.COMPLETED]
        assert len(done) == (0 if waits else len(plans))
        await allow_pages(1_000_000)
        clock.advance(60)
        for plan_id in plans:
            (job,) = await house.run_until_settled(plan_id)
            assert job.status is JobStatus.COMPLETED
        await archiver.turn()
        await app.recorder.written()
        assert app.recorder.well
        assert (len(done), (await app.audit_log.verify("acme")).sound) == (len(plans), True)
        for kind in ("policy.decided", "plan.submitted", "job.completed"):
            found = (await app.audit_log.query("acme", limit=100, kind=kind)).records
            assert sorted(str(record.entry.plan_id) for record in found) == sorted(plans), kind


async def test_a_clock_that_is_set_back_spends_no_budget_twice(tmp_path: Path, clock: FakeClock) -> None:
    """What was spent at a later time still counts."""
    sent: list[str] = []
    async with installation(tmp_path, clock=clock) as house:
        house.add(letter(sent, []))
        await house.member()
        budgets: dict[BudgetName, Budget] = {"messages_out": Budget(limit=1, window_s=86_400)}
        await house.app.directory.change_settings("acme", WorkspaceSettings(budgets=budgets), by=LOCAL_ACTOR)
        for back_s in (0, 3_600, 90_000):
            clock.advance(-back_s)
            submitted = await house.submit(to(f"p{back_s}@x.example"))
            await house.run_until_settled(submitted.plan_id)
        assert sent == ["p0@x.example"]


async def test_w122_a_clock_that_jumps_shuts_nobody_out(tmp_path: Path, clock: FakeClock) -> None:
    """Set ahead by a day and back again: what was counted before still counts, and who waits as told is let in."""
    async with house_with(tmp_path, clock, "plan=2/minute") as house:
        client = await house.client()

        async def asked() -> list[int]:
            return [(await client.post("/ai/plan", json=PLAN)).status_code for _ in range(3)]

        assert await asked() == [200, 200, 429]
        clock.advance(86_400)
        assert await asked() == [200, 200, 429]
        clock.advance(-86_400)
        assert await asked() == [429, 429, 429]
        wait_s = assert_refused(await client.post("/ai/plan", json=PLAN), "plan")
        assert wait_s <= 2 * 60
        clock.advance(wait_s)
        assert (await client.post("/ai/plan", json=PLAN)).status_code == 200


async def test_tokens_that_almost_fit_are_refused(house: House, provider: Issuer) -> None:
    """Two keys of one name, headers that change what is signed, tokens within tokens, and very long ones: 401 each."""
    key, claims = provider.keys[0], provider.claims()
    nested = jwt.encode({"alg": "RS256", "kid": "one", "cty": "JWT"}, {**claims, "inner": provider.token()}, key)
    assert (await ask(house, nested)).status_code == 200, "what is inside means nothing"
    odd = [
        by_hand_signed_by(key, {"alg": "RS256", "kid": "one", "b64": False}, claims),
        by_hand_signed_by(key, {"alg": "RS256", "kid": "one", "crit": ["b64"], "b64": False}, claims),
        by_hand_signed_by(key, {"alg": "RS256", "kid": "one", "crit": []}, claims),
        by_hand_signed_by(key, {"alg": "RS256", "kid": "one", "cty": "JWT"}, provider.token()),
        by_hand_signed_by(key, {"alg": "RS256", "kid": "file:///etc/hostname"}, claims),
        by_hand_signed_by(key, {"alg": "RS256", "kid": provider.url}, claims),
        by_hand_signed_by(key, {"alg": "RS256", "kid": ["one"]}, claims),
        by_hand({"alg": "RS256", "kid": "one", "zip": "DEF"}, claims, b"x" * 256),
        f"{provider.token()}.{'a' * 100}.{'b' * 100}",
        "ey" + "J" * 60_000 + ".a.b",
        provider.token(aud=[]),
        provider.token(aud=["other", f"{AUDIENCE}x"]),
        provider.token(aud={AUDIENCE: True}),
        provider.token(aud=[[AUDIENCE]]),
    ]
    for number, token in enumerate(odd):
        answer = await ask(house, token)
        assert answer.status_code in {401, 431}, (number, answer.text)
    assert (await ask(house, provider.token(aud=["other", AUDIENCE]))).status_code == 200


async def test_two_keys_of_one_name_are_none(house: House, provider: Issuer) -> None:
    """Whichever of them signed: it cannot be told which one the provider meant."""
    provider.keys = [new_key("twin"), new_key("twin")]
    provider.publish()
    for key in provider.keys:
        assert_problem(await ask(house, provider.token(key=key)), 401, "unauthenticated")


async def test_w89_of_fifty_with_one_code_one_gets_a_session(tmp_path: Path, clock: FakeClock) -> None:
    """At the same moment; the others learn nothing but that it is worth nothing now."""
    async with open_house(tmp_path, clock=clock) as house:
        client, code = await browser(house), await code_for(house)
        answers = await asyncio.gather(*(client.post("/session", json={"code": code}, headers=OWN) for _ in range(50)))
        assert sorted(answer.status_code for answer in answers) == [200] + [401] * 49
        assert sum("set-cookie" in answer.headers for answer in answers) == 1


@pytest.mark.parametrize(
    "origin",
    [
        "https://studio.example.com",
        "https://studio.example.com:443",
        "https://studio.example.com:84430",
        "https://STUDIO.example.com:8443",
        "https://studio.example.com:8443.evil.example",
        "https://studio.example.com:8443@evil.example",
        "https://evilstudio.example.com:8443",
        "https://studio.example.com:8443/",
        "https://studio.example.com:8443, https://evil.example",
        "null",
        "*",
    ],
)
async def test_only_the_very_origin_is_allowed(tmp_path: Path, origin: str) -> None:
    """Not its other ports, spellings or neighbours; and never with credentials."""
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
    async with open_house(tmp_path, CORS_ALLOW_ORIGINS=STUDIO) as house:
        client = await house.client()
        for answer in (
            await client.options("/ai/plan", headers={"Origin": origin, **asked}),
            await client.get("/ai/jobs", headers={"Origin": origin}),
        ):
            assert "access-control-allow-origin" not in answer.headers
            assert "access-control-allow-credentials" not in answer.headers
