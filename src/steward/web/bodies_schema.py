"""What the API takes about the migration of keys."""

from typing import Annotated

from pydantic import Field

from steward.web.answers_schema import PhaseName
from steward.web.bodies import Body
from steward.workspace import WORKSPACE_ID


class AdvanceBody(Body):
    """The phase to go to."""

    to: PhaseName
    accept_invalid: Annotated[
        bool, Field(strict=True, description="Go on although there are old records that no workspace can be told of.")
    ] = False


class VerifyBody(Body):
    """What to compare."""

    workspace: Annotated[
        str | None, Field(pattern=f"^{WORKSPACE_ID}$", max_length=32, description="Only this workspace's jobs.")
    ] = None
