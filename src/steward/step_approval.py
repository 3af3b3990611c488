"""Whether a person's yes covers a step as it is now, just before its effect, and what to ask where none does.

Plan approval covers what was known before the run; a value that was computed since is asked about by itself. Such a yes
binds the plan, the step and the resolved parameters, so it holds for exactly this value and no other.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from steward.action import ActionDefinition, ParameterRole
from steward.approval import Approval, ApprovalStatus, role_suffices
from steward.differences import between
from steward.digest import sha256_of
from steward.ids import IdFactory
from steward.job import Difference, Job
from steward.plan import PlanRecord
from steward.plan_check import covers_all_but_content, preview
from steward.policy import Ask, decision_document
from steward.redaction import mask, mask_text, redact, redact_text
from steward.step_values import PLANNED, Ready
from steward.vault import Vault
from steward.work_store import APPROVAL_S


@dataclass(frozen=True, slots=True)
class Changed:
    """What was approved is not what would run: the values are others."""

    differences: tuple[Difference, ...]
    """Which, as far as people may see them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepNow:
    """A step with its real values, and the rule that asks."""

    job: Job
    plan: PlanRecord
    definition: ActionDefinition
    turn: Ready
    """Its values, secrets in clear, and where they come from."""
    decision: Ask
    secrets: frozenset[str]
    """Texts to be masked wherever they are repeated."""

    def digests(self, vault: Vault) -> tuple[str, ...]:
        """Return the SHA-256 (hex) of plan, step and values under each secret key; ``Invalid`` for what JSON cannot hold."""
        role_of, workspace_id = self.definition.role_of, self.job.workspace_id
        secret = {name for name in self.turn.params if role_of(name) is ParameterRole.SECRET}
        macs = {name: vault.macs(self.turn.params[name], workspace_id=workspace_id) for name in secret}
        plain = {name: value for name, value in self.turn.params.items() if name not in secret}
        return tuple(
            sha256_of(
                {
                    "plan": self.plan.digest,
                    "step": self.job.step_id,
                    "params": plain,
                    "secrets": {name: values[index] for name, values in macs.items()},
                    **({"planned": self.job.digest} if self._unplanned else {}),
                }
            )
            for index in range(vault.key_count)
        )

    def needs(
        self, approvals: Sequence[Approval], vault: Vault, ids: IdFactory, now: datetime
    ) -> Approval | Changed | None:
        """Return None if one of the plan's ``approvals`` (newest first) covers the step, else what must be asked.

        An approval for other values of this step means that they changed after somebody looked.
        """
        fresh = [approval for approval in approvals if self._still_holds(approval, now)]
        if any(self._covered_by_plan(approval) for approval in fresh):
            return None
        digests = self.digests(vault)
        given = [one for one in approvals if one.job_id == self.job.job_id and one.status is ApprovalStatus.APPROVED]
        if given and given[0].digest not in digests:
            return Changed(between(given[0].detail["steps"][0]["params"], self._preview()))
        return (
            None
            if given and given[0] in fresh and self._strict_enough(given[0])
            else self._question(digests[0], ids, now)
        )

    def _still_holds(self, approval: Approval, now: datetime) -> bool:
        """Say whether a yes is recent enough for one more try: it may have waited to begin, but does not last for ever then."""
        if approval.decided_at is None:
            return False
        since = max(approval.decided_at, self.job.started_at or now)
        return now <= since + (approval.expires_at - approval.created_at)

    def _covered_by_plan(self, approval: Approval) -> bool:
        """Say whether a yes to the plan was also one to this: every value was in it.

        Content may have been made since, as long as every rule that asks had asked about this step without it.
        """
        if approval.job_id is not None or approval.status is not ApprovalStatus.APPROVED or self._unplanned:
            return False
        return self._seen(approval) and approval.digest == self.plan.digest and self._strict_enough(approval)

    @property
    def _unplanned(self) -> bool:
        """Whether it was planned during the run: then it is no part of what the plan's digest stands for."""
        return PLANNED in self.job.labels

    def _seen(self, approval: Approval) -> bool:
        if not self.turn.unseen:
            return True
        asked = (
            one for one in approval.detail.get("steps", ()) if one["id"] in {self.job.step_id, self.job.parent_step_id}
        )
        answered = {rule for one in asked for rule in one.get("rules", ())}
        return set(self.decision.asking) <= answered and covers_all_but_content(self.definition, self.turn.unseen)

    def _strict_enough(self, approval: Approval) -> bool:
        """Say whether whoever said yes had to be whom the rule now wants."""
        roles = frozenset() if approval.approver_role is None else frozenset({approval.approver_role})
        alone = self.decision.another_person and not approval.another_person
        return not alone and role_suffices(roles, self.decision.approver_role)

    def _question(self, digest: str, ids: IdFactory, now: datetime) -> Approval:
        shown = {
            **self._planned(),
            "id": self.job.step_id,
            "params": self._preview(),
            "inputs": redact(dict(self.turn.origins)),
            "decision": {**decision_document(self.decision), "reason": self.reason},
        }
        return Approval(
            approval_id=ids.new("appr"),
            workspace_id=self.job.workspace_id,
            plan_id=self.job.plan_id,
            job_id=self.job.job_id,
            digest=digest,
            status=ApprovalStatus.PENDING,
            reason=self.reason,
            rule=self.decision.rule,
            detail={"intent": self.plan.document.get("intent", ""), "steps": [shown]},
            requested_by=self.job.actor_id,
            created_at=now,
            expires_at=now + timedelta(seconds=APPROVAL_S),
            another_person=self.decision.another_person,
            approver_role=self.decision.approver_role,
        )

    def _planned(self) -> Mapping[str, Any]:
        """Return the step as it stands in the plan document; a child of an expanded step stands there as its parent."""
        if self._unplanned:
            return self.job.labels[PLANNED]
        planned = self.job.parent_step_id or self.job.step_id
        return next(step for step in self.plan.document["steps"] if step["id"] == planned)

    @property
    def reason(self) -> str:
        """The rule's reason, fit to be shown: it may speak of the value."""
        return redact_text(mask_text(self.decision.reason, self.secrets))

    def _preview(self) -> dict[str, Any]:
        return mask(preview(self.definition, self.turn.params), self.secrets)
