"""What executing a checked plan puts into the store: jobs, idempotency claims, and the approval it may need. Pure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import repeat
from typing import Any, Final

from steward.approval import Approval, ApprovalStatus
from steward.errors import FieldProblem, IllegalTransition, Invalid, PlanExpired, PolicyDenied
from steward.identity import Role
from steward.ids import IdFactory, namesake
from steward.job import NewJob
from steward.plan import PlannedAction, PlanRecord, PlanStatus
from steward.plan_check import CheckedPlan, CheckedStep
from steward.policy import Deny, decision_document
from steward.vault import Vault
from steward.views import time_view
from steward.work_store import APPROVAL_S, IdempotencyClaim, Submission

_MAX_AHEAD: Final = timedelta(days=366)


@dataclass(frozen=True, slots=True)
class RequestedAction:
    """One action of an execute request that brings its own actions, with the client's own name for it."""

    action: PlannedAction
    client_request_id: str | None = None


def sealed_params(plan_id: str, step_id: str) -> str:
    """Return the vault purpose of a step's parameters."""
    return f"params/{plan_id}/{step_id}"


def sealed_result(plan_id: str, step_id: str) -> str:
    """Return the vault purpose of a step's full result."""
    return f"result/{plan_id}/{step_id}"


@dataclass(frozen=True, slots=True)
class Claims:
    """Makes the claims of one workspace's requests.

    A payload may hold secrets, and a plain digest of it could be guessed at, so a keyed one is kept; it is compared
    under every secret key, so that a retry is known again after a rotation.
    """

    vault: Vault
    workspace_id: str

    def of_request(self, key: str | None, payload: Callable[[], Mapping[str, Any]]) -> tuple[IdempotencyClaim, ...]:
        """Return the claim for a whole request, if the client named it: only then is its ``payload`` made."""
        return () if key is None else (IdempotencyClaim("request", key, self._digests(payload())),)

    def of_actions(self, actions: Sequence[RequestedAction], run_at: datetime | None) -> tuple[IdempotencyClaim, ...]:
        """Return a claim for each action that has a name of its own; raise ``Invalid`` when two have the same."""
        names = [requested.client_request_id for requested in actions if requested.client_request_id is not None]
        if len(set(names)) != len(names):
            raise Invalid("Two actions have the same client_request_id.", code="duplicate_client_request_id")
        return tuple(
            IdempotencyClaim(
                "action",
                requested.client_request_id,
                self._digests(
                    {
                        "action_id": requested.action.action_id,
                        "params": requested.action.params,
                        "run_at": time_view(run_at),
                    }
                ),
                step_index=index,
            )
            for index, requested in enumerate(actions)
            if requested.client_request_id is not None
        )

    def _digests(self, payload: Mapping[str, Any]) -> tuple[str, ...]:
        return self.vault.macs({"idempotent": dict(payload)}, workspace_id=self.workspace_id)


def refuse_denied(checked: CheckedPlan) -> None:
    """Raise ``PolicyDenied``, naming every denied step, if there is one."""
    denied = [(step, step.decision) for step in checked.steps if isinstance(step.decision, Deny)]
    if not denied:
        return
    step, decision = denied[0]
    raise PolicyDenied(
        f"Step {step.id} ({step.definition.id}) is denied: {decision.sentence}",
        facts={"step": step.id, "rule": decision.rule},
        errors=[FieldProblem(f"/steps/{checked.steps.index(refused)}", why.reason) for refused, why in denied],
    )


def require_draft(record: PlanRecord) -> None:
    """Raise why a plan cannot be executed if it is no draft: ``PolicyDenied`` where policy left it without a step."""
    if record.status is PlanStatus.EXPIRED:
        raise PlanExpired
    if record.status is PlanStatus.NEEDS_INPUT and (denied := record.document["meta"].get("denied")):
        raise PolicyDenied(record.document["explanation"], facts={"rule": denied[0]["rule"]})
    if record.status is not PlanStatus.DRAFT:
        raise IllegalTransition(f"A plan that is {record.status} cannot be executed.")


def build_submission(
    record: PlanRecord,
    checked: CheckedPlan,
    claims: tuple[IdempotencyClaim, ...],
    *,
    new: bool,
    run_at: datetime | None,
    vault: Vault,
    ids: IdFactory,
    now: datetime,
) -> Submission:
    """Return all that executing a checked plan puts in place; raise ``PolicyDenied`` if any step is denied.

    The only job of a ``new`` plan has its name, so that a store may keep both as one. The job of a plan that was kept as a draft
    has a later one: jobs are in line by their names.
    """
    refuse_denied(checked)
    if run_at is not None and run_at - now > _MAX_AHEAD:
        raise Invalid("run_at is more than a year ahead.", errors=[FieldProblem("/run_at", "too far ahead")])
    alone = new and len(checked.steps) == 1
    job_ids = [namesake(record.plan_id, "job")] if alone else ids.many("job", len(checked.steps))
    bodies = [(sealed_params(record.plan_id, step.id), step.body) for step in checked.steps]
    sealed = vault.seal_all(bodies, workspace_id=record.workspace_id)
    return Submission(
        plan=record,
        jobs=tuple(map(_job, checked.steps, job_ids, sealed, repeat(run_at))),
        idempotency=claims,
        approval=_approval(record, checked, ids, now),
    )


def _job(step: CheckedStep, job_id: str, params_sealed: bytes, run_at: datetime | None) -> NewJob:
    definition = step.definition
    return NewJob(
        job_id=job_id,
        step_id=step.id,
        action_id=definition.id,
        definition_hash=definition.definition_hash,
        digest=step.digests[0],
        params_sealed=params_sealed,
        depends_on=step.depends_on,
        effect=definition.effect,
        retry=definition.retry,
        max_attempts=definition.max_attempts,
        key_valid_s=definition.key_valid_s,
        not_before=None if step.depends_on else run_at,
        labels=step.labels,
        authored_after=step.authored_after,
    )


def _approval(record: PlanRecord, checked: CheckedPlan, ids: IdFactory, now: datetime) -> Approval | None:
    """Return the approval that a plan needs before it starts, if any step asks for one: the strictest of them all.

    What asks because of a value that is not known yet is asked about when it is: there is nothing to be seen before.
    """
    asking = [(step, step.before) for step in checked.steps if step.before is not None]
    if not asking:
        return None
    decision = asking[0][1]
    roles = {why.approver_role for _, why in asking} - {None}
    return Approval(
        approval_id=ids.new("appr"),
        workspace_id=record.workspace_id,
        plan_id=record.plan_id,
        job_id=None,
        digest=record.digest,
        status=ApprovalStatus.PENDING,
        reason=decision.reason,
        rule=decision.rule,
        detail={
            "intent": record.document["intent"],
            "steps": [
                {"id": step.id, "decision": decision_document(why), "rules": list(why.asking)} for step, why in asking
            ],
        },
        requested_by=record.actor_id,
        created_at=now,
        expires_at=now + timedelta(seconds=APPROVAL_S),
        another_person=any(why.another_person for _, why in asking),
        approver_role=Role.ADMIN
        if len(roles) > 1
        else next(iter(roles), None),  # only an admin has several roles for sure
    )
