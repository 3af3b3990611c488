"""What the approval routes answer beside the approval itself, as models for the published schema."""

from steward.web.answers import Answer, Approval, Step


class ApprovedStep(Step):
    """One step as it is decided about; of a held step the parameters are the real values, redacted."""


class ApprovalDetail(Approval):
    """An approval with what is decided about: the steps of the plan, or the one step that is held."""

    prompt: str
    steps: list[ApprovedStep]


class ApprovalPage(Answer):
    """A page of approvals, newest first."""

    workspace_id: str
    approvals: list[Approval]
    count: int
    next_cursor: str | None
