"""The one action that an installation made for an audit has beside the built-in ones."""

from typing import Annotated

from steward.action import OutcomeUnknown
from steward.actions import Content, action


@action("isolation.doubt", effect="write", retry="none")
def doubt(text: Annotated[str, Content]) -> None:
    """End without anybody knowing whether it happened, so that there is something for a person to settle."""
    raise OutcomeUnknown("cannot_tell", f"Nobody answered {len(text)} characters.")
