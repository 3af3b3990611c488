"""What the API takes about policies."""

from typing import Annotated, Any, Final, Literal

from pydantic import ConfigDict, Field, model_validator

from steward.web.bodies import Body, Moment

MAX_POLICY_CHARS: Final = 8_000
POLICY_NAME: Final = r"^[a-z][a-z0-9_]{0,63}$"
_EXAMPLE: Final = 'forbid (principal, action == Action::"webhook.post", resource);'
PolicyText = Annotated[
    str, Field(min_length=1, max_length=MAX_POLICY_CHARS, examples=[_EXAMPLE], description="Cedar, `forbid` alone.")
]
RuleName = Annotated[str, Field(pattern=POLICY_NAME)]


class PolicyBody(Body):
    """The text of a policy."""

    text: PolicyText


class PolicyCheckBody(Body):
    """A call of which to say what would be decided."""

    action_id: Annotated[str, Field(max_length=200, examples=["http.get"])]
    role: Annotated[
        Literal["viewer", "developer", "approver", "auditor", "admin"] | None,
        Field(description="Decide as if you had this role and no other."),
    ] = None
    params: Annotated[dict[str, Any], Field(default_factory=dict, examples=[{"url": "https://example.com/"}])]


class PolicyDiffBody(Body):
    """A change to try on the past."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"text": _EXAMPLE, "since": "2026-01-31T09:30:00Z"}]},
    )

    name: Annotated[RuleName, Field(description="The policy that the text would replace, or a new one.")] = "tried"
    text: PolicyText | None = None
    switch_on: Annotated[
        list[RuleName], Field(default_factory=list, max_length=50, description="Optional rules, by name.")
    ]
    since: Annotated[Moment, Field(description="Decisions from then on are looked at.")]

    @model_validator(mode="after")
    def _some_change(self) -> "PolicyDiffBody":
        if self.text is None and not self.switch_on:
            raise ValueError("give text, switch_on, or both")
        return self
