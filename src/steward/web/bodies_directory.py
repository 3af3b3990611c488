"""What the API takes to manage workspaces, members, keys and sessions. Nothing here can name an operator."""

from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from steward.display_name import MAX_NAME_CHARS
from steward.web.bodies import Body
from steward.workspace import WORKSPACE_ID, WorkspaceSettings

_MAX_VALIDITY_S: Final = 3660 * 24 * 3600
_MAX_OVERLAP_S: Final = 30 * 24 * 3600
_DAY_S: Final = 24 * 3600
TenantRole = Annotated[
    Literal["viewer", "developer", "approver", "auditor", "admin"], Field(description="What it may do.")
]
"""The roles within a workspace. An operator's key is made on the machine itself."""
_MAX_ROLES: Final = 5
Name = Annotated[str, Field(min_length=1, max_length=MAX_NAME_CHARS, description="For people; one line.")]
Validity = Annotated[
    int | None, Field(ge=1, le=_MAX_VALIDITY_S, description="Seconds for which it is valid; for ever unless given.")
]


class WorkspaceBody(Body):
    """A workspace to make."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"id": "acme", "name": "Acme Ltd"}]})

    id: Annotated[str, Field(pattern=f"^{WORKSPACE_ID}$", description="1 to 32 of `a-z 0-9 _ -`.")]
    name: Annotated[Name | None, Field(description="The id unless given.")] = None


class SettingsBody(Body):
    """A workspace's settings, all of them: what is left out is as if never set."""

    settings: Annotated[WorkspaceSettings, Field(strict=False)]


class KeyBody(Body):
    """A key to make."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"role": "developer", "name": "night shift"}]})

    role: TenantRole
    name: Annotated[Name | None, Field(description="The role unless given.")] = None
    owner: Annotated[
        str | None,
        Field(min_length=1, max_length=64, description="The member it is for; your own person unless given."),
    ] = None
    expires_in_s: Validity = None


class RotateBody(Body):
    """How a key is replaced by a new one."""

    overlap_s: Annotated[
        int, Field(ge=0, le=_MAX_OVERLAP_S, description="Seconds for which the old key still works.")
    ] = _DAY_S
    expires_in_s: Annotated[Validity, Field(description="As long as the old one was meant to be, unless given.")] = None


class RoleBody(Body):
    """Another role for a key."""

    role: TenantRole


class MemberBody(Body):
    """What is settled about a member; what is left out stays as it is. At least one thing."""

    name: Name | None = None
    roles: Annotated[
        list[TenantRole] | None,
        Field(max_length=_MAX_ROLES, description="From now on its token can only narrow these."),
    ] = None
    disabled: Annotated[bool | None, Field(description="Whether its tokens are refused.")] = None

    @model_validator(mode="after")
    def _something(self) -> "MemberBody":
        if self.name is None and self.roles is None and self.disabled is None:
            raise ValueError("give at least one of name, roles and disabled")
        return self


class SessionBody(BaseModel):
    """A one-time code to open a session with. It alone says who it is, so nothing else does."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    code: Annotated[str, Field(min_length=1, max_length=64, description="As `steward up` prints it.")]
