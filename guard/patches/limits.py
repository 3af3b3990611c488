"""What keeps a workspace within the caps and budgets that it set."""

from typing import Final

from guard.mutation import Mutation

_CAPPED: Final = "src/steward/work_stores/sql/capped.py"
_CLAIM: Final = "src/steward/work_stores/sql/claim.py"
_SQL: Final = "src/steward/work_stores/sql/statements.py"
_LIMIT_SQL: Final = "src/steward/work_stores/sql/limit_statements.py"
_CAPS: Final = ("tests/contracts/test_caps.py",)
_BUDGETS: Final = ("tests/contracts/test_budgets.py",)

LIMITS: Final = (
    Mutation(
        name="money-is-not-reserved",
        removes="what a question to the language model may cost is taken from the money too, before it is asked",
        file="src/steward/language_models/sql_budget.py",
        find="            for limit in self._limits if found is None else ():",
        put="            for limit in self._limits[:1] if found is None else ():",
        tests=("tests/language_models/test_budget.py",),
    ),
    Mutation(
        name="unwanted-question-goes-on",
        removes="a planning that nobody waits for any more is stopped",
        file="src/steward/web/planning.py",
        find="        raise ClientDisconnect\n",
        put="        return await working\n",
        tests=("tests/web/test_planning.py",),
    ),
    Mutation(
        name="unsent-question-is-paid",
        removes="what was reserved for a question that was cancelled before it left is given back",
        file="src/steward/language_models/reserving.py",
        find="            await self._budget.settle(await making, Tokens())\n",
        put="            await making\n",
        tests=("tests/language_models/test_budget.py",),
    ),
    Mutation(
        name="money-that-is-spent-is-not-looked-at",
        removes="a question waits that costs more than is left",
        file="src/steward/language_models/sql_budget.py",
        find="    too_many = used + limit.measure(most) - limit.most",
        put="    too_many = limit.measure(most) - limit.most",
        tests=("tests/language_models/test_budget.py",),
    ),
    Mutation(
        name="a-cap-is-no-reason",
        removes="a job that a cap keeps is told the rule",
        file="src/steward/explain.py",
        find="    if status is JobStatus.PENDING and (rule := room.capped(job.action_id)) is not None:",
        put="    if status is JobStatus.RUNNING and (rule := room.capped(job.action_id)) is not None:",
        tests=("tests/worker/test_explain.py",),
    ),
    Mutation(
        name="nobody-brings-it-back",
        removes="a step that a failed one took along names it",
        file="src/steward/explain.py",
        find="    failed = _failed_need(job, plan_jobs) if taken_along else None",
        put="    failed = None",
        tests=("tests/worker/test_explain.py",),
    ),
    Mutation(
        name="sessions-without-limit",
        removes="sessions are opened so often and no more",
        file="src/steward/web/sessions.py",
        find="    count_request(request, RateRule.SESSION, principal)",
        put="    pass",
        tests=("tests/web/test_rate_limits.py::test_w121_sessions_are_opened_so_often_and_no_more",),
    ),
    Mutation(
        name="caps-not-asked",
        removes="a claim takes no more than a workspace's caps allow",
        file=_CLAIM,
        find="        if not caps.get(workspace_id)\n",
        put="        if True\n",
        tests=_CAPS,
    ),
    Mutation(
        name="worker-without-caps",
        removes="the worker claims with the caps that workspaces set",
        file="src/steward/worker.py",
        find="limit=free, caps=caps)",
        put="limit=free)",
        tests=("tests/worker/test_limits.py",),
    ),
    Mutation(
        name="starts-not-remembered",
        removes="what was started within a minute is counted",
        file=_CAPPED,
        find="    if room.counts_starts:\n",
        put="    if False:\n",
        tests=_CAPS,
    ),
    Mutation(
        name="nobody-woken",
        removes="a job that ends wakes whoever a cap keeps waiting",
        file="src/steward/work_stores/sql/transaction.py",
        find="(after.capped and workspace_id in self._made_room)",
        put="False",
        tests=_CAPS,
    ),
    Mutation(
        name="budget-not-reserved",
        removes="an effect goes on only within its workspace's budgets",
        file=_CLAIM,
        find="        elif spends and ref in spends and (refused := reserve(work, row, spends[ref])) is not None:\n",
        put="        elif spends and ref in spends and (refused := None) is not None:\n",
        tests=(*_BUDGETS, "tests/worker/test_limits.py"),
    ),
    Mutation(
        name="budget-back-in-doubt",
        removes="what may have happened stays spent",
        file="src/steward/work_stores/sql/transitions.py",
        find="    if certain and row.first_dispatched_at == row.dispatched_at:\n",
        put="    if row.first_dispatched_at == row.dispatched_at:\n",
        tests=_BUDGETS,
    ),
    Mutation(
        name="budget-never-back",
        removes="what provably did not happen is given back",
        file="src/steward/work_stores/sql/transitions.py",
        find="            give_back(work, row)\n",
        put="            pass\n",
        tests=_BUDGETS,
    ),
    Mutation(
        name="usage-of-any-workspace",
        removes="a workspace's usage is shown to its own credentials only",
        file="src/steward/web/usage.py",
        find="    if workspace != principal.workspace_id:\n",
        put="    if False:\n",
        tests=("tests/web/test_usage.py",),
    ),
    Mutation(
        name="starts-of-everybody",
        removes="starts of other workspaces are not counted",
        file=_LIMIT_SQL,
        find="_OWN = starts.c.workspace_id == W",
        put="_OWN = starts.c.until > 0",
        tests=_CAPS,
    ),
    Mutation(
        name="budget-of-everybody",
        removes="what others reserved is not counted",
        file=_LIMIT_SQL,
        find='(spendings.c.workspace_id == W, spendings.c.budget == bindparam("b"))',
        put='(spendings.c.budget == bindparam("b"),)',
        tests=_BUDGETS,
    ),
    Mutation(
        name="spent-by-everybody",
        removes="what others spent is not counted",
        file=_LIMIT_SQL,
        find='(spent.c.workspace_id == W, spent.c.budget == bindparam("b"))',
        put='(spent.c.budget == bindparam("b"),)',
        tests=_BUDGETS,
    ),
    Mutation(
        name="running-of-everybody",
        removes="running jobs of other workspaces are not counted",
        file=_SQL,
        find=".where(jobs.c.workspace_id == W, jobs.c.status == JobStatus.RUNNING)",
        put=".where(jobs.c.status == JobStatus.RUNNING)",
        tests=_CAPS,
    ),
    Mutation(
        name="capped-jobs-of-everybody",
        removes="a capped workspace is dealt its own jobs only",
        file=_SQL,
        find="_READY_HERE = (_PENDING, jobs.c.workspace_id == W)",
        put="_READY_HERE = (_PENDING,)",
        tests=_CAPS,
    ),
)
