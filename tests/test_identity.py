"""Roles and the scopes that they carry."""

import pytest

from steward.identity import ROLE_SCOPES, Principal, Role, Scope, scopes_of

TABLE = {
    Role.VIEWER: {"actions:preview"},
    Role.DEVELOPER: {"actions:preview", "actions:execute", "connections:manage"},
    Role.APPROVER: {"actions:preview", "approvals:decide"},
    Role.AUDITOR: {"audit:read"},
    Role.ADMIN: {str(scope) for scope in Scope},
    Role.OPERATOR: {"audit:read"},  # of the installation's own chain
}


@pytest.mark.parametrize("role", list(Role))
def test_w138_each_role_has_its_scopes(role: Role) -> None:
    """As the contract lists them, no more and no less."""
    assert ROLE_SCOPES[role] == TABLE[role]


def test_roles_add_up() -> None:
    """Somebody with several roles may do what any of them may."""
    assert scopes_of(frozenset({Role.VIEWER, Role.AUDITOR})) == {Scope.PREVIEW, Scope.AUDIT}
    assert scopes_of(frozenset()) == frozenset()


def test_a_principal_may_only_what_its_credential_carries() -> None:
    """Roles alone give nothing: the scopes of the credential decide."""
    bare = Principal("key_1", "acme", frozenset({Role.ADMIN}))
    assert not any(bare.may(scope) for scope in Scope)
    assert Principal("key_1", "acme", frozenset(), frozenset({Scope.EXECUTE})).may(Scope.EXECUTE)


def test_an_operator_is_nobody_in_a_workspace() -> None:
    """The role runs the installation and carries no scope of a tenant."""
    assert Principal("key_1", "system", frozenset({Role.OPERATOR})).is_operator
    assert not Principal("key_1", "acme", frozenset({Role.ADMIN}), frozenset(Scope)).is_operator
