"""What is checked again just before the effect: who asked, what was checked, the real values, the policy."""

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import pytest

from steward.action import RetryMode
from steward.actions import Content, Destination, action
from steward.authenticators.api_key import mint_key, mint_successor
from steward.directory import LOCAL_ACTOR
from steward.errors import ConfigurationError
from steward.explain import explain_job
from steward.identity import Role, Scope
from steward.job import Difference, HeldFor, JobStatus
from steward.orchestrator import RequestedAction
from tests.conftest import FakeClock
from tests.installation import OTHER_SECRET, SECRET, Installation, installation, planned
from tests.worker.deeds import Deeds, note, post

pytestmark = pytest.mark.anyio
S = JobStatus


async def test_w130_a_revoked_key_runs_nothing_more(house: Installation) -> None:
    """Permission is judged when the job runs; what needs the step is cancelled with the reason."""
    done: list[Any] = []
    house.add(note(done))
    who = await house.member()
    submitted = await house.submit(planned("deeds.note", text="a"), planned("deeds.note", "s1", text="b"))
    await house.app.directory.revoke_key(who.actor_id, by=LOCAL_ACTOR)
    first, second = await house.run_until_settled(submitted.plan_id)
    assert (first.status, first.error and first.error.code) == (S.FAILED, "permission_revoked")
    assert (second.status, second.reason) == (S.CANCELLED, "It needs step s1, which ended as failed.")
    assert done == []
    told = explain_job(first, (first, second), house.app.clock.now())
    assert told["reason"]["text"].endswith("A retry fails again until they may; somebody else can ask for it anew.")
    assert told["who"].startswith("an admin of the workspace: ")


async def test_w130_a_key_that_expired_since_runs_nothing_more(house: Installation, clock: FakeClock) -> None:
    """Expiry counts like revocation."""
    done: list[Any] = []
    house.add(note(done))
    app = house.app
    await house.member()
    key, _ = mint_key(app.ids, app.clock, "acme", Role.DEVELOPER, "short", timedelta(minutes=5))
    await app.directory.add_key(key, by=LOCAL_ACTOR)
    submitted = await house.submit(planned("deeds.note", text="a"), who=key.principal)
    clock.advance(301)
    (job,) = await house.run_until_settled(submitted.plan_id)
    assert (job.status, job.error and job.error.code, done) == (S.FAILED, "permission_revoked", [])


async def test_w130_a_demoted_key_runs_nothing_more(house: Installation) -> None:
    """A viewer may not run actions, also not those that were asked for before."""
    done: list[Any] = []
    house.add(note(done))
    who = await house.member()
    submitted = await house.submit(planned("deeds.note", text="a"))
    await house.app.directory.change_key_role(who.actor_id, Role.VIEWER, by=LOCAL_ACTOR)
    (job,) = await house.run_until_settled(submitted.plan_id)
    assert (job.status, job.error and job.error.code, done) == (S.FAILED, "permission_revoked", [])


@pytest.mark.parametrize("change", ["disable", "remove", "demote"])
async def test_w130_a_member_who_may_no_longer_runs_nothing_more(house: Installation, change: str) -> None:
    """Disabled, forgotten or with fewer rights by now: what waits fails."""
    done: list[Any] = []
    house.add(note(done))
    await house.member()
    directory = house.app.directory
    who = (await directory.admit("acme", "alice", "Alice", frozenset({Role.DEVELOPER}), None)).principal
    submitted = await house.submit(planned("deeds.note", text="a"), who=who)
    if change == "disable":
        await directory.set_member("acme", "alice", by=LOCAL_ACTOR, disabled=True)
    elif change == "remove":
        await directory.remove_member("acme", "alice", by=LOCAL_ACTOR)
    else:
        await directory.admit("acme", "alice", "Alice", frozenset({Role.DEVELOPER}), frozenset({Scope.PREVIEW}))
    (job,) = await house.run_until_settled(submitted.plan_id, who)
    assert (job.status, job.error and job.error.code, done) == (S.FAILED, "permission_revoked", [])


@pytest.mark.parametrize("then", ["nothing", "revoke the new one", "demote the new one", "revoke the old one"])
async def test_what_a_rotated_key_asked_for_goes_on_while_its_successor_is_good(
    house: Installation, clock: FakeClock, then: str
) -> None:
    """The old key has expired; its work runs as its own, with what its successor may do now."""
    done: list[Any] = []
    house.add(note(done))
    app, who = house.app, await house.member()
    submitted = await house.submit(planned("deeds.note", text="a"))
    old = await app.directory.get_key(who.actor_id)
    assert old is not None
    new, _ = mint_successor(app.ids, app.clock, old, None)
    await app.directory.replace_key(old.key_id, new, timedelta(minutes=5), by=LOCAL_ACTOR)
    clock.advance(301)
    if then.startswith("revoke"):
        await app.directory.revoke_key(new.key_id if "new" in then else old.key_id, by=LOCAL_ACTOR)
    elif then.startswith("demote"):
        await app.directory.change_key_role(new.key_id, Role.VIEWER, by=LOCAL_ACTOR)
    (job,) = await house.run_until_settled(submitted.plan_id, new.principal)
    assert job.actor_id == old.key_id
    assert (job.status, done) == ((S.COMPLETED, ["a"]) if then == "nothing" else (S.FAILED, []))


@pytest.mark.parametrize("setting", [{"ACTION_DENYLIST": "deeds.*"}, {"ACTION_ALLOWLIST": " , "}])
async def test_w130_w145_an_action_denied_after_enqueue_does_not_run(
    tmp_path: Path, clock: FakeClock, setting: dict[str, str]
) -> None:
    """The lists are asked again at dispatch, and a blank allowlist allows nothing."""
    done: list[Any] = []
    async with installation(tmp_path, clock=clock) as before:
        before.add(note(done))
        who = await before.member()
        submitted = await before.submit(planned("deeds.note", text="a"))
    async with installation(tmp_path, clock=clock, env=setting) as after:
        after.add(note(done))
        (job,) = await after.run_until_settled(submitted.plan_id, who)
    assert (job.status, job.error and job.error.code, done) == (S.FAILED, "policy_denied", [])


async def test_an_action_that_is_gone_fails_its_jobs(tmp_path: Path, clock: FakeClock) -> None:
    """A module that is no longer loaded: the job says so, and the worker lives."""
    async with installation(tmp_path, clock=clock) as before:
        before.add(note([]))
        who = await before.member()
        submitted = await before.submit(planned("deeds.note", text="a"))
    async with installation(tmp_path, clock=clock) as after:
        (job,) = await after.run_until_settled(submitted.plan_id, who)
    assert (job.status, job.error and job.error.code) == (S.FAILED, "unknown_action")


async def test_a_changed_definition_holds_the_job_for_drift(tmp_path: Path, clock: FakeClock) -> None:
    """What was checked is not what would run: the job is held, says why, and has done nothing."""
    done: list[Any] = []
    async with installation(tmp_path, clock=clock) as before:
        before.add(note(done))
        who = await before.member()
        submitted = await before.submit(planned("deeds.note", text="a"))
    async with installation(tmp_path, clock=clock) as after:

        @action("deeds.note", effect="write", retry="none")
        async def changed(text: Annotated[str, Content]) -> None:
            """Do the same, but not so safely."""
            done.append(text)

        after.add(changed)
        (job,) = await after.run_until_settled(submitted.plan_id, who)
    assert (job.status, job.held_for, done) == (S.HELD, HeldFor.DRIFT, [])
    assert job.reason == (
        'The definition of deeds.note changed after this plan was checked. retry was "keyed" and is "none".'
    )
    assert job.attempts == 0
    assert job.differences == (Difference("retry", "keyed", "none"),)


async def test_what_was_secret_stays_so_when_an_action_no_longer_says_it(tmp_path: Path, clock: FakeClock) -> None:
    """A parameter that has another role now: the role is told, the value that was typed as a secret is not, wherever it stands."""
    async with installation(tmp_path, clock=clock) as before:
        before.add(post([]))
        who = await before.member()
        said = {"to": "office@example.com", "key": "correct-horse", "text": "It is correct-horse."}
        submitted = await before.submit(planned("deeds.post", **said))
    async with installation(tmp_path, clock=clock) as after:

        @action("deeds.post", effect="write", retry="keyed")
        async def changed(
            to: Annotated[str, Destination], key: Annotated[str, Content], text: Annotated[str, Content] = ""
        ) -> None:
            """Post with a key that anybody may see."""

        after.add(changed)
        (job,) = await after.run_until_settled(submitted.plan_id, who)
        assert (job.status, job.held_for) == (S.HELD, HeldFor.DRIFT)
        assert Difference("roles.key", "secret", "content") in job.differences
        assert not {"key", "text"} & {one.field for one in job.differences}
        assert "correct-horse" not in f"{job.reason} {job.differences}"


async def test_sealed_parameters_without_their_key_fail_the_job(tmp_path: Path, clock: FakeClock) -> None:
    """A secret key that was taken away leaves jobs that nobody can open; they fail and say so."""
    async with installation(tmp_path, clock=clock) as before:
        before.add(note([]))
        who = await before.member()
        submitted = await before.submit(planned("deeds.note", text="a"))
    async with installation(tmp_path, clock=clock, env={"STEWARD_SECRET_KEY": f"{OTHER_SECRET},{SECRET}"}):
        pass  # rotated too soon
    async with installation(tmp_path, clock=clock, env={"STEWARD_SECRET_KEY": OTHER_SECRET}) as after:
        after.add(note([]))
        (job,) = await after.run_until_settled(submitted.plan_id, who)
    assert (job.status, job.error and job.error.code) == (S.FAILED, "seal_broken")


async def test_a_key_that_the_database_was_not_begun_with_starts_nothing(tmp_path: Path, clock: FakeClock) -> None:
    """A mistyped secret key is named before it signs anything; with the right one all goes on, and every chain is sound."""
    async with installation(tmp_path, clock=clock):
        pass
    with pytest.raises(ConfigurationError, match="STEWARD_SECRET_KEY is none of the keys"):
        async with installation(tmp_path, clock=clock, env={"STEWARD_SECRET_KEY": OTHER_SECRET}):
            pass
    async with installation(tmp_path, clock=clock) as again:
        assert set(again.app.vault.public_keys) == set(await again.app.audit_log.public_keys())


async def test_a_result_that_cannot_be_opened_fails_the_step_that_needs_it(tmp_path: Path, clock: FakeClock) -> None:
    """Parameters sealed after a rotation, the earlier result before it, the old key gone: failed once, not lost."""
    done: list[Any] = []
    deeds = Deeds()
    async with installation(tmp_path, clock=clock) as before:
        before.add(note(done), deeds.read(result={"text": "hello"}))
        who = await before.member()
        submitted = await before.submit(
            planned("deeds.read"), planned("deeds.note", text={"$ref": "steps.s1.result.text"})
        )
        lease = await before.lease()
        from steward.job import Completed
        from steward.submission import sealed_result
        from steward.vault import Vault
        from steward.work_store import Settlement

        sealed = Vault([OTHER_SECRET]).seal(
            {"text": "hello"}, workspace_id="acme", purpose=sealed_result(submitted.plan_id, "s1")
        )
        await before.app.engine.dispatcher.settle([Settlement(lease.ref, Completed({"text": "hello"}, sealed))])
        _, job = await before.run_until_settled(submitted.plan_id, who)
    assert (job.status, job.error and job.error.code, job.attempts) == (S.FAILED, "seal_broken", 1)


async def test_w96_key_rotation_keeps_what_is_queued_running(tmp_path: Path, clock: FakeClock) -> None:
    """Under ``new,old`` a job sealed and digested under ``old`` runs, and a draft made under it can be executed."""
    done: list[Any] = []
    async with installation(tmp_path, clock=clock) as before:
        before.add(note(done))
        who = await before.member()
        queued = await before.submit(planned("deeds.note", text="queued"))
        draft = await before.plan("note something")
    rotated = {"STEWARD_SECRET_KEY": f"{OTHER_SECRET},{SECRET}"}
    async with installation(tmp_path, clock=clock, env=rotated) as after:
        after.add(note(done))
        executed = await after.execute(draft["plan_id"], who)
        for submitted in (queued, executed):
            (job,) = await after.run_until_settled(submitted.plan_id, who)
            assert job.status is S.COMPLETED
    assert sorted(done) == ["queued", "something"]


async def test_values_from_earlier_steps_must_fit_the_schema(house: Installation) -> None:
    """A path that leads nowhere is null; where the action takes no null the step fails, and nothing is sent."""
    done: list[Any] = []
    deeds = Deeds()
    house.add(note(done), deeds.read(result={"text": "hello"}))
    submitted = await house.submit(planned("deeds.read"), planned("deeds.note", text={"$ref": "steps.s1.result.no"}))
    _, job = await house.run_until_settled(submitted.plan_id)
    assert (job.status, job.error and job.error.code, done) == (S.FAILED, "invalid_params", [])
    assert job.error is not None
    assert "/text" in job.error.detail


async def test_a_result_that_looks_like_a_reference_is_a_value_like_any_other(house: Installation) -> None:
    """Whoever writes what a step reads cannot smuggle an expression in, or an object past a schema that wants text."""
    got: list[Any] = []

    @action("deeds.keep", effect="write", retry="keyed")
    async def keep(value: Annotated[Any, Content]) -> None:
        """Keep any value."""
        got.append(value)

    sly = {"doc": {"$ref": "steps.s1.result.doc"}, "schema": {"$schema": "x", "$defs": {"a": {"$ref": "#/b"}}}}
    deeds, done = Deeds(), []
    house.add(keep, note(done), deeds.read(result=sly))
    submitted = await house.submit(
        planned("deeds.read"),
        planned("deeds.keep", value={"$ref": "steps.s1.result"}),
        planned("deeds.note", text={"$ref": "steps.s1.result.doc"}),
    )
    _, kept, noted = await house.run_until_settled(submitted.plan_id)
    assert (kept.status, got) == (S.COMPLETED, [sly])
    assert (noted.status, noted.error and noted.error.code, done) == (S.FAILED, "invalid_params", [])


async def test_the_recorded_actor_is_whoever_executes(house: Installation) -> None:
    """W46: a plan drafted by one member and executed by another runs for the second."""
    done: list[Any] = []
    house.add(note(done))
    drafter, executor = await house.member(), await house.member(role=Role.ADMIN)
    draft = await house.plan("note hello", drafter)
    submitted = await house.execute(draft["plan_id"], executor)
    await house.app.directory.revoke_key(drafter.actor_id, by=LOCAL_ACTOR)
    (job,) = await house.run_until_settled(submitted.plan_id)
    assert (job.actor_id, job.status, done) == (executor.actor_id, S.COMPLETED, ["hello"])


async def test_a_viewer_who_somehow_submitted_still_runs_nothing(house: Installation) -> None:
    """The scope is asked for at dispatch too, not only at the door."""
    done: list[Any] = []
    house.add(note(done))
    viewer = await house.member(role=Role.VIEWER)
    submitted = await house.app.orchestrator.execute_actions(
        viewer,
        [RequestedAction(planned("deeds.note", text="a"))],
        run_at=None,
        idempotency_key=None,
        request_id="req-test",
    )
    (job,) = await house.run_until_settled(submitted.plan_id)
    assert (job.status, job.error and job.error.code, done) == (S.FAILED, "permission_revoked", [])


async def test_a_cancelled_job_is_not_dispatched(house: Installation) -> None:
    """A cancel between claim and dispatch is honoured, and the effect does not happen."""
    deeds = Deeds()
    house.add(deeds.write("deeds.do", RetryMode.NONE))
    await house.submit(planned("deeds.do", text="a"))
    lease = await house.lease()
    await house.app.engine.open(await house.member()).cancel_job(lease.job.job_id)
    outcome = await house.attempt(lease).run()
    assert type(outcome).__name__ == "Cancelled"
    assert deeds.done == []
