"""What keeps one workspace's work from another."""

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
    "tests/web/test_events.py::test_another_workspaces_events_do_not_show",
)

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
        find='PLAN = select(plans).where(plans.c.workspace_id == W, plans.c.plan_id == bindparam("plan_id"))',
        put='PLAN = select(plans).where(plans.c.plan_id == bindparam("plan_id"))',
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
        find='.where(literal_column("+jobs.workspace_id") == W, jobs.c.plan_id == bindparam("plan_id"))',
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
        find='.where(literal_column("+events.workspace_id") == W, events.c.plan_id == bindparam("plan_id"))',
        put='.where(events.c.plan_id == bindparam("plan_id"))',
        tests=_EVENTS,
        at_least=2,
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
        put="_follow(services.engine.open(type(principal)(principal.actor_id, 'beta', principal.roles,"
        " principal.scopes)), start, bells, credential)",
        tests=("tests/web/test_events.py::test_another_workspaces_events_do_not_show",),
    ),
    Mutation(
        name="malformed-is-told-from-unknown",
        removes="foreign, unknown and malformed are the same 404",
        file="src/steward/web/dependencies.py",
        find="        raise NotFound\n",
        put='        raise BadRequest("That is not an id.")\n',
        tests=("tests/web/test_credentials.py",),
    ),
    Mutation(
        name="workspace-from-the-request",
        removes="a workspace in the request must be the credential's own",
        file="src/steward/web/secured_route.py",
        find="if isinstance(claimed, str) and claimed != getattr(principal, name):",
        put="if not isinstance(claimed, str | None) and claimed != getattr(principal, name):",
        tests=("tests/web/test_credentials.py",),
    ),
    Mutation(
        name="cursor-of-any-workspace",
        removes="a cursor is bound to its workspace",
        file=_VAULT,
        find='return hmac.new(keys.cursor, workspace_id.encode() + b"\\0" + body, hashlib.sha256)',
        put='return hmac.new(keys.cursor, b"\\0" + body, hashlib.sha256)',
        tests=("tests/test_vault.py", "tests/web/test_jobs.py"),
    ),
    Mutation(
        name="cursor-of-any-filter",
        removes="a cursor is bound to its filters",
        file="src/steward/web/cursors.py",
        find='if payload.get("l") != listing or payload.get("f") != dict(filters):',
        put='if payload.get("l") != listing:',
        tests=("tests/web/test_jobs.py",),
    ),
    Mutation(
        name="seal-of-any-workspace",
        removes="what is sealed opens in its own workspace only",
        file=_VAULT,
        find='to_json(value), f"{workspace_id}/{purpose}".encode())',
        put='to_json(value), f"/{purpose}".encode())',
        also=(('sealed[_HEADER_BYTES:], f"{workspace_id}/{purpose}"', 'sealed[_HEADER_BYTES:], f"/{purpose}"'),),
        tests=("tests/test_vault.py",),
    ),
)
