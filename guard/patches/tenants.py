"""What keeps one workspace from another: each is missed by at least three tests, or the guard fails."""

from typing import Final

from guard.mutation import Mutation

_STATEMENTS: Final = "src/steward/work_stores/sql/statements.py"
_VAULT: Final = "src/steward/vault.py"
_TENANCY: Final = (
    "tests/contracts/test_tenancy.py",
    "tests/web/test_credentials.py",
    "tests/test_orchestrator_tenancy.py",
)
_LISTINGS: Final = (
    *_TENANCY,
    "tests/contracts/test_listing.py::test_w47_no_combination_returns_a_foreign_job",
    "tests/contracts/test_listing.py::test_plans_are_walked_like_jobs",
    "tests/contracts/test_listing.py::test_w38_a_small_workspace_among_many_foreign_jobs",
    "tests/web/test_jobs.py::test_w1_w42_the_listing_has_the_callers_jobs_and_every_field",
)
_EVENTS: Final = (
    *_TENANCY,
    "tests/contracts/test_events.py::test_workspaces_count_for_themselves",
    "tests/contracts/test_events.py::test_a_plan_filter_narrows_and_still_moves_on",
    "tests/contracts/test_events.py::test_w47_another_workspaces_plan_is_a_filter_that_lets_nothing_through",
    "tests/web/test_events.py::test_another_workspaces_events_do_not_show",
)

_COUNTS: Final = ("tests/contracts/test_tenancy.py", "tests/contracts/test_tenancy_counts.py")
_DUE: Final = tuple(
    f"tests/contracts/test_tenancy_counts.py::{name}"
    for name in (
        "test_what_falls_due_is_counted_for_its_own_workspace",
        "test_what_falls_due_together_is_each_once",
        "test_what_falls_due_is_released_in_its_own_log",
    )
)
_LINE: Final = (*_COUNTS, "tests/contracts/test_claim.py")
_STREAMS: Final = (
    "tests/web/test_events.py::test_another_workspaces_events_do_not_show",
    "tests/security/test_tenancy.py::test_a_stream_from_the_beginning_is_ones_own",
    "tests/security/test_tenancy.py::test_a_foreign_event_id_shows_nothing_of_its_owner",
)
_SHAPES: Final = (
    "tests/web/test_credentials.py::test_w48_foreign_unknown_and_malformed_are_the_same_answer",
    "tests/security/test_tenancy.py::test_what_is_no_id_of_a_job_is_unknown",
    "tests/security/test_tenancy.py::test_what_is_no_id_of_a_plan_is_unknown",
)
_SEALS: Final = (
    "tests/test_vault.py::test_w49_sealed_bytes_moved_elsewhere_do_not_open",
    "tests/security/test_tenancy.py::test_what_is_sealed_opens_in_its_own_workspace_only",
    "tests/security/test_tenancy.py::test_a_plan_that_is_moved_to_another_workspace_does_not_run",
)
_CURSORS: Final = (
    "tests/test_vault.py::test_a_cursor_of_another_workspace_or_key_is_refused",
    "tests/web/test_jobs.py::test_w41_a_cursor_that_was_not_given_out_is_refused",
    "tests/security/test_tenancy.py::test_a_foreign_cursor_is_a_wrong_one",
)
_NAMED: Final = (
    "tests/web/test_credentials.py::test_w46_a_workspace_or_actor_that_is_not_the_callers_is_refused",
    "tests/security/test_tenancy.py::test_w46_a_query_in_anothers_name_is_refused",
    "tests/security/test_tenancy.py::test_w46_a_body_in_anothers_name_is_refused",
)
_MEMBERS: Final = ("tests/security/test_directory_tenancy.py",)
_DIRECTORY: Final = "src/steward/directories/sql"
_FOLDERS: Final = ("tests/security/test_tenancy.py", "tests/actions/test_files.py")

TENANTS: Final = (
    Mutation(
        name="jobs-of-any-workspace",
        removes="a job is looked up inside its workspace",
        file=_STATEMENTS,
        find='JOB = select(jobs).where(jobs.c.workspace_id == W, jobs.c.job_id == bindparam("job_id"))',
        put='JOB = select(jobs).where(jobs.c.job_id == bindparam("job_id"))',
        tests=_TENANCY,
        at_least=3,
    ),
    Mutation(
        name="plans-of-any-workspace",
        removes="a plan is looked up inside its workspace",
        file=_STATEMENTS,
        find='PLANS = select(plans).where(plans.c.workspace_id == W, among(plans.c.plan_id, "ids"))',
        put='PLANS = select(plans).where(among(plans.c.plan_id, "ids"))',
        tests=(
            "tests/contracts/test_tenancy.py",
            "tests/test_orchestrator_tenancy.py::test_w48_w49_foreign_and_unknown_plans_are_the_same",
        ),
        at_least=3,
    ),
    Mutation(
        name="plan-jobs-of-any-workspace",
        removes="a plan's jobs are looked up inside the workspace",
        file=_STATEMENTS,
        find='select(jobs).where(jobs.c.workspace_id == W, jobs.c.plan_id == bindparam("plan_id")).order_by(',
        put='select(jobs).where(jobs.c.plan_id == bindparam("plan_id")).order_by(',
        tests=_TENANCY,
        at_least=3,
    ),
    Mutation(
        name="list-jobs-of-all",
        removes="a listing of jobs is of one workspace",
        file=_STATEMENTS,
        find='_NEWEST = (jobs.c.workspace_id == W, jobs.c.job_id < bindparam("after"))',
        put='_NEWEST = (jobs.c.job_id < bindparam("after"),)',
        tests=_LISTINGS,
        at_least=3,
    ),
    Mutation(
        name="list-plan-jobs-of-all",
        removes="a listing of one plan's jobs is of one workspace",
        file=_STATEMENTS,
        find='.where(unindexed(jobs.c.workspace_id) == W, jobs.c.plan_id == bindparam("plan_id"))',
        put='.where(jobs.c.plan_id == bindparam("plan_id"))',
        tests=_LISTINGS,
        at_least=3,
    ),
    Mutation(
        name="list-plans-of-all",
        removes="a listing of plans is of one workspace",
        file=_STATEMENTS,
        find='_OLDER_PLANS = (plans.c.workspace_id == W, plans.c.plan_id < bindparam("after"))',
        put='_OLDER_PLANS = (plans.c.plan_id < bindparam("after"),)',
        tests=_LISTINGS,
        at_least=3,
    ),
    Mutation(
        name="events-of-all",
        removes="a log of events is of one workspace",
        file=_STATEMENTS,
        find='_LATER = (events.c.workspace_id == W, events.c.sequence > bindparam("after"))',
        put='_LATER = (events.c.sequence > bindparam("after"),)',
        tests=_EVENTS,
        at_least=3,
    ),
    Mutation(
        name="plan-events-of-all",
        removes="a log of one plan's events is of one workspace",
        file=_STATEMENTS,
        find='.where(unindexed(events.c.workspace_id) == W, events.c.plan_id == bindparam("plan_id"))',
        put='.where(events.c.plan_id == bindparam("plan_id"))',
        tests=_EVENTS,
        at_least=3,
    ),
    Mutation(
        name="approvals-of-any-workspace",
        removes="an approval is looked up inside its workspace",
        file=_STATEMENTS,
        find='APPROVAL = select(approvals).where(approvals.c.workspace_id == W, approvals.c.approval_id == bindparam("approval_id"))',
        put='APPROVAL = select(approvals).where(approvals.c.approval_id == bindparam("approval_id"))',
        tests=_TENANCY,
        at_least=3,
    ),
    Mutation(
        name="names-of-any-workspace",
        removes="an idempotency key is known in its workspace only",
        file=_STATEMENTS,
        find="CLAIMED = select(idempotency).where(\n    idempotency.c.workspace_id == W,\n",
        put="CLAIMED = select(idempotency).where(\n",
        tests=(
            "tests/contracts/test_tenancy.py::test_two_workspaces_with_the_same_names_do_not_mix",
            "tests/contracts/test_tenancy.py::test_w46_w49_the_workspace_comes_from_the_principal",
            "tests/contracts/test_idempotency.py::test_w20_workspaces_are_separate_namespaces",
            "tests/test_orchestrator_tenancy.py::test_w20_one_key_in_two_workspaces_makes_two_jobs",
            "tests/web/test_plans.py::test_w20_the_same_request_id_in_two_workspaces_makes_two_jobs",
        ),
        at_least=3,
    ),
    Mutation(
        name="stream-of-a-foreign-workspace",
        removes="a stream follows the caller's own workspace",
        file="src/steward/web/events.py",
        find="_follow(work_of(services, principal), start, bells, credential)",
        put="_follow(services.engine.open(type(principal)(principal.actor_id, 'acme' if principal.workspace_id == 'beta' else 'beta', principal.roles,"
        " principal.scopes)), start, bells, credential)",
        tests=_STREAMS,
        at_least=3,
    ),
    Mutation(
        name="malformed-is-told-from-unknown",
        removes="foreign, unknown and malformed are the same 404",
        file="src/steward/web/dependencies.py",
        find="        raise NotFound\n",
        put='        raise BadRequest("That is not an id.")\n',
        tests=_SHAPES,
        at_least=3,
    ),
    Mutation(
        name="workspace-from-the-request",
        removes="a workspace in the request must be the credential's own",
        file="src/steward/web/secured_route.py",
        find="if isinstance(claimed, str) and claimed != getattr(principal, name):",
        put="if not isinstance(claimed, str | None):",
        tests=_NAMED,
        at_least=3,
    ),
    Mutation(
        name="cursor-of-any-workspace",
        removes="a cursor is bound to its workspace",
        file=_VAULT,
        find='return hmac.digest(keys.cursor, workspace_id.encode() + b"\\0" + body, "sha256")',
        put='return hmac.digest(keys.cursor, b"\\0" + body, "sha256")',
        tests=_CURSORS,
        at_least=3,
    ),
    Mutation(
        name="seal-of-any-workspace",
        removes="what is sealed opens in its own workspace only",
        file=_VAULT,
        find='encrypt(nonce, text, f"{workspace_id}/{purpose}".encode())',
        put='encrypt(nonce, text, f"/{purpose}".encode())',
        also=(
            (
                'to_json(value), f"{workspace_id}/{purpose}".encode())\n            sealed',
                'to_json(value), f"/{purpose}".encode())\n            sealed',
            ),
            ('sealed[_HEADER_BYTES:], f"{workspace_id}/{purpose}"', 'sealed[_HEADER_BYTES:], f"/{purpose}"'),
        ),
        tests=_SEALS,
        at_least=3,
    ),
    Mutation(
        name="depth-of-any-workspace",
        removes="a workspace's depth and the end of its log are its own",
        file=_STATEMENTS,
        find="QUEUE = select(queues).where(queues.c.workspace_id == W)",
        put="QUEUE = select(queues)",
        tests=_COUNTS,
        at_least=3,
    ),
    Mutation(
        name="list-approvals-of-all",
        removes="an inbox is of one workspace",
        file=_STATEMENTS,
        find="        approvals.c.workspace_id == W,\n",
        put="",
        tests=_COUNTS,
        at_least=3,
    ),
    Mutation(
        name="plan-approvals-of-all",
        removes="a plan's approvals are looked up inside the workspace",
        file=_STATEMENTS,
        find='.where(approvals.c.workspace_id == W, approvals.c.plan_id == bindparam("plan_id"))',
        put='.where(approvals.c.plan_id == bindparam("plan_id"))',
        tests=_COUNTS,
        at_least=3,
    ),
    Mutation(
        name="drafts-of-all-make-room",
        removes="a workspace's drafts make room for its own alone",
        file=_STATEMENTS,
        find=".where(plans.c.workspace_id == W, _UNUSED)",
        put=".where(_UNUSED)",
        tests=("tests/contracts/test_tenancy_counts.py", "tests/contracts/test_submit.py"),
        at_least=3,
    ),
    Mutation(
        name="ready-jobs-of-any-workspace",
        removes="a claim takes a workspace's share from its own jobs",
        file=_STATEMENTS,
        find=".where(jobs.c.workspace_id == W, jobs.c.status == JobStatus.PENDING)",
        put=".where(jobs.c.status == JobStatus.PENDING)",
        tests=_LINE,
        at_least=3,
    ),
    Mutation(
        name="due-jobs-of-any-workspace",
        removes="what falls due is made ready in its own workspace's turn",
        file=_STATEMENTS,
        find='.where(_SCHEDULED, jobs.c.workspace_id == W, jobs.c.not_before <= bindparam("now"))',
        put='.where(_SCHEDULED, jobs.c.not_before <= bindparam("now"))',
        tests=_DUE,
        at_least=3,
    ),
    Mutation(
        name="rows-at-hand-of-any-workspace",
        removes="a row that a transaction holds already is given out inside its workspace",
        file="src/steward/work_stores/sql/transaction.py",
        find="return row if row.workspace_id == workspace_id else None",
        put="return row",
        tests=("tests/security/test_rows_at_hand.py",),
        at_least=3,
    ),
    Mutation(
        name="keys-of-any-workspace",
        removes="keys are listed by workspace",
        file=f"{_DIRECTORY}/keys.py",
        find="            statement = statement.where(api_keys.c.workspace_id == workspace_id)\n",
        put="            pass\n",
        tests=(*_MEMBERS, "tests/test_directory.py"),
        at_least=3,
    ),
    Mutation(
        name="foreign-keys-can-be-changed",
        removes="a key is revoked, demoted and replaced inside its workspace",
        file=f"{_DIRECTORY}/keys.py",
        find="if row is None or workspace_id not in {None, row.workspace_id}:",
        put="if row is None:",
        tests=(*_MEMBERS, "tests/test_directory.py", "tests/web/test_management.py"),
        at_least=3,
    ),
    Mutation(
        name="members-of-any-workspace",
        removes="members are listed by workspace",
        file=f"{_DIRECTORY}/members.py",
        find="select(members).where(members.c.workspace_id == workspace_id)",
        put="select(members)",
        tests=_MEMBERS,
        at_least=3,
    ),
    Mutation(
        name="namesakes-are-one",
        removes="a member is one in its workspace only",
        file=f"{_DIRECTORY}/members.py",
        find="return members.c.workspace_id == workspace_id, members.c.actor_id == actor_id",
        put="return members.c.actor_id == actor_id, members.c.actor_id == actor_id",
        tests=_MEMBERS,
        at_least=3,
    ),
    Mutation(
        name="settings-of-all",
        removes="settings are changed in one workspace",
        file=f"{_DIRECTORY}/workspaces.py",
        find="mine = workspaces.c.workspace_id == workspace_id",
        put="mine = workspaces.c.workspace_id != ''",
        tests=(*_MEMBERS, "tests/test_directory.py"),
        at_least=3,
    ),
    Mutation(
        name="one-folder-for-all",
        removes="each workspace has a folder of its own",
        file="src/steward/actions/workspace_files.py",
        find="home = self._root / require_workspace_id(workspace_id)",
        put='home = self._root / (require_workspace_id(workspace_id) and "all")',
        tests=_FOLDERS,
        at_least=3,
    ),
    Mutation(
        name="any-workspace-is-there",
        removes="a workspace is looked up by its id",
        file=f"{_DIRECTORY}/shelf.py",
        find='select(workspaces).where(workspaces.c.workspace_id == bindparam("w"))',
        put="select(workspaces)",
        tests=(*_MEMBERS, "tests/test_directory.py"),
        at_least=3,
    ),
    Mutation(
        name="a-key-acts-anywhere",
        removes="who a key is now is asked in its own workspace",
        file=f"{_DIRECTORY}/directory.py",
        find="if key is None or key.workspace_id != workspace_id or key.revoked_at is not None:",
        put="if key is None or key.revoked_at is not None:",
        tests=(*_MEMBERS, "tests/test_directory.py"),
        at_least=3,
    ),
)
