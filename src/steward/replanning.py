"""Planning further during a run: the planner is asked again, with what was read, and its steps become the step's children.

Whatever it answers, its author has read what others wrote, and no person has seen it: nothing that it says is trusted, its
steps are decided by that, and no yes to the plan is one to them. They are put in place in one operation or not at all, and
none of them plans further, so that every run ends.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from steward.action import ActionContext, ActionDefinition, ActionFailed, CannotTell, ProbeAnswer
from steward.dataflow import Source
from steward.errors import FarEndFailed, FarEndTimedOut, FieldProblem, Invalid, RateLimited, StewardError
from steward.identity import Principal
from steward.job import Expanded, Job, NewJob
from steward.plan import MAX_FURTHER, REPLAN, PlannedAction
from steward.plan_check import CheckedPlan, PlanCheck
from steward.planner import INPUTS, PlanningRequest, Proposal, actions_for
from steward.policy import Deny, Policy
from steward.provenance import Label
from steward.recorded import further_decided
from steward.rooms import Rooms
from steward.shape import Shape, literal
from steward.step_children import planned_children
from steward.step_values import Ready
from steward.work_store import Lease

_TEMPORARY: Final = (RateLimited, FarEndFailed, FarEndTimedOut)


@dataclass(frozen=True, slots=True)
class Replanning:
    """``plan.replan`` as a worker carries it out: an action whose result are further steps."""

    definition: ActionDefinition
    rooms: Rooms
    lease: Lease
    principal: Principal
    policy: Policy
    turn: Ready

    async def run(self, params: Mapping[str, Any], context: ActionContext) -> Expanded:  # noqa: ARG002 - the contract's
        """Return the steps, checked and decided; raise ``ActionFailed`` where there is no plan that may be carried out."""
        values: list[Any] = params["inputs"]
        proposal = await self._proposal(params["goal"], values)
        try:
            checked = self._checked(proposal.plan.steps, values)
        except StewardError as error:
            raise ActionFailed(error.stable_code, f"What was planned cannot be carried out: {error.detail}") from None
        self.rooms.recorder.note(further_decided(self.principal, self.job, checked, self.rooms.clock.now()))
        denied = next((step for step in checked.steps if isinstance(step.decision, Deny)), None)
        if denied is not None:
            raise ActionFailed(
                "policy_denied", f"{denied.definition.id} was planned, and is denied: {denied.decision.reason}"
            )
        return Expanded(self._children(checked))

    async def probe(self, params: Mapping[str, Any], context: ActionContext) -> ProbeAnswer:  # noqa: ARG002 - the contract's
        """Return that nobody can tell; it is never asked, as planning has no effect."""
        return CannotTell("Planning has no effect that could be asked about.")

    async def _proposal(self, goal: str, values: Sequence[Any]) -> Proposal:
        definitions = [one for one in self.rooms.catalogue.definitions() if one.id != REPLAN]
        actions, refused = actions_for(definitions, self.principal, self.policy)
        request = PlanningRequest(
            prompt=goal,
            actions=actions,
            refused=refused,
            now=self.job.enqueued_at,
            context=await self._context(),
            workspace_id=self.job.workspace_id,
            data=values,
            check=lambda steps: self._checked(steps, values),
        )
        try:
            proposal = await self.rooms.planner.propose(request)
        except _TEMPORARY as error:
            after = error.retry_after_s if isinstance(error, RateLimited) else None
            raise ActionFailed(error.stable_code, error.detail, retryable=True, retry_after_s=after) from None
        if proposal.denied:
            one = proposal.denied[0]
            raise ActionFailed("policy_denied", f"{one.definition.id} was meant, and is denied: {one.decision.reason}")
        if proposal.questions:
            asked = " ".join(question.text for question in proposal.questions)
            raise ActionFailed("needs_input", f"The goal lacks something that nobody can be asked for now: {asked}")
        return proposal

    @property
    def job(self) -> Job:
        """The step as claimed."""
        return self.lease.job

    async def _context(self) -> dict[str, Any]:
        """Return what the person said about the time, when the first steps were planned."""
        plan = await self.lease.store.get_plan(self.job.plan_id)
        if plan is None or plan.body_sealed is None:
            return {}
        body = self.rooms.vault.unseal(
            plan.body_sealed, workspace_id=self.job.workspace_id, purpose=f"plan/{plan.plan_id}"
        )
        zone = body["context"].get("time_zone")
        return {} if zone is None else {"time_zone": zone}

    def _checked(self, steps: Sequence[PlannedAction], values: Sequence[Any]) -> CheckedPlan:
        """Return the steps as checked and decided; raise ``Invalid`` for what may not be planned during a run."""
        if len(steps) > MAX_FURTHER:
            raise Invalid(f"At most {MAX_FURTHER} steps may be planned during a run, and these are {len(steps)}.")
        for index, step in enumerate(steps):
            if step.action_id == REPLAN or step.for_each is not None:
                sentence = "A step that is planned during a run plans no further ones, and runs once."
                raise Invalid(sentence, errors=[FieldProblem(f"/steps/{index}", sentence)])
        check = PlanCheck(self.rooms.catalogue, self.rooms.vault)
        read = Source(
            f"{INPUTS} (what was read)",
            Shape(label=Label.UNTRUSTED, fields={"value": literal(list(values), Label.UNTRUSTED)}, open=False),
        )
        return check.check(
            self.policy, self.principal, steps, earlier={INPUTS: read}, authored_after=self.authored_after
        )

    @property
    def authored_after(self) -> tuple[str, ...]:
        """What had been read before these steps were planned; at the least what this step was given."""
        return self.job.depends_on or (self.job.step_id,)

    @property
    def _words(self) -> str:
        said = (origin["from"] for place, origin in self.turn.origins.items() if place.startswith("inputs"))
        return ", ".join(dict.fromkeys(said)) or "the plan"

    def _children(self, checked: CheckedPlan) -> tuple[NewJob, ...]:
        compute = self.rooms.catalogue.get("compute")
        assert compute is not None, "it is built in"
        shape = literal(self.turn.params["inputs"], Label.UNTRUSTED)
        origins = {"value": {"from": self._words, "label": Label.UNTRUSTED}}
        handed = Ready({"value": self.turn.params["inputs"]}, origins, {"value": shape})
        return planned_children(
            self.job,
            checked,
            (compute.definition, handed),
            authored_after=self.authored_after,
            vault=self.rooms.vault,
            ids=self.rooms.ids,
        )
