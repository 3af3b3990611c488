"""What is told while a plan is being made, as a model for the published schema."""

from typing import Annotated

from pydantic import Field

from steward.planner import Phase
from steward.web.answers import Answer


class PlanProgress(Answer):
    """The ``data`` of an event ``progress``: how far the making of a plan is."""

    phase: Phase
    attempt: Annotated[int, Field(ge=0)]
    """Which question to the language model it is about, from 1; 0: none has been asked."""
    tokens_in: Annotated[int, Field(ge=0)]
    """That the language model has read for it so far."""
    tokens_out: Annotated[int, Field(ge=0)]
