"""What the approval routes answer beside the approval itself, as models for the published schema."""

from steward.web.answers import Answer, Approval, Difference, Step


class ApprovedStep(Step):
    """One step as it is decided about; of a held step the parameters are the real values, redacted."""


class StepDifference(Difference):
    """One field of a step that is not as it was approved."""

    step: str


class ApprovalDetail(Approval):
    """An approval with what is decided about: the steps of the plan, or the one step that is held."""

    prompt: str
    steps: list[ApprovedStep]
    differences: list[StepDifference]
    """What has changed since, of steps that are held for drift because of it."""


class ApprovalPage(Answer):
    """A page of approvals, newest first."""

    workspace_id: str
    approvals: list[Approval]
    count: int
    next_cursor: str | None
