"""What the approval routes take."""

from typing import Annotated

from pydantic import Field

from steward.plan import MAX_TEXT_CHARS
from steward.web.bodies import KEEPABLE, Body


class DecisionBody(Body):
    """A yes or no to exactly what was shown."""

    digest: Annotated[
        str,
        Field(
            min_length=1,
            max_length=128,
            description="`digest` of the approval as it was shown; another one is 409.",
            examples=["9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"],
        ),
    ]
    comment: Annotated[
        str | None,
        Field(
            max_length=MAX_TEXT_CHARS, pattern=KEEPABLE, description="Why; kept redacted.", examples=["Seen the offer."]
        ),
    ] = None
