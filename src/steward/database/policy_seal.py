"""Which policies a workspace has, signed, so that nobody with access to the database alone can change, add or remove one.

The signed list stands beside the workspace: the name of each policy and the digest of what was put there. It is written in
the transaction that changes a policy. A list that is gone is noticed too where the audit knows that there must be one.
"""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from pydantic_core import from_json
from sqlalchemy import Connection, bindparam, exists, or_, select, update

from steward.audit import AuditKind
from steward.database.public_keys import is_vouched, trusted_keys, vouch
from steward.database.sql import Sql
from steward.database.tables import audit_records, policies, workspaces
from steward.digest import canonical_json, sha256_of
from steward.vault import Vault

SIGNED: Final = {"signed": True}
"""What a record of a policy says since there is a list: from then on one that is gone was taken away."""
_W: Final = bindparam("w")
_recorded: Final = exists().where(
    audit_records.c.workspace_id == workspaces.c.workspace_id, audit_records.c.kind == AuditKind.POLICY_CHANGED
)
_FOUND: Final = (
    select(
        workspaces.c.policies_signed,
        (workspaces.c.policies_signed.is_(None) & _recorded).label("lost"),
        policies.c.name,
        policies.c.text,
        policies.c.changed_by,
        policies.c.changed_at,
    )
    .select_from(workspaces.outerjoin(policies, policies.c.workspace_id == workspaces.c.workspace_id))
    .where(workspaces.c.workspace_id == _W)
    .order_by(policies.c.name)
)
_WITHOUT_LIST: Final = (
    select(workspaces.c.workspace_id)
    .where(workspaces.c.policies_signed.is_(None))
    .where(or_(_recorded, exists().where(policies.c.workspace_id == workspaces.c.workspace_id)))
    .order_by(workspaces.c.workspace_id)
)
_LIST: Final = select(workspaces.c.policies_signed).where(workspaces.c.workspace_id == _W).with_for_update()
_KEEP: Final = update(workspaces).where(workspaces.c.workspace_id == _W).values(policies_signed=bindparam("signed"))


class OwnPolicies(NamedTuple):
    """The policies of a workspace as they are found."""

    rows: tuple[Any, ...]
    doubt: str
    """A sentence about the first one that is not as it was put there; blank: all are."""


def digest_of(name: str, text: str, changed_by: str, changed_at: int) -> str:
    """Return what stands in the signed list for a policy."""
    return sha256_of({"name": name, "text": text, "changed_by": changed_by, "changed_at": changed_at})


def own_policies(connection: Connection, workspace_id: str, trusted: Mapping[str, str]) -> OwnPolicies:
    """Return what is found, by name, and whether it is what was put there."""
    found = Sql(connection).all(_FOUND, {"w": workspace_id})
    rows: tuple[Any, ...] = tuple(row for row in found if row.name is not None)
    text, lost = (found[0].policies_signed, found[0].lost) if found else (None, False)
    listed = _listed(workspace_id, text, trusted)
    if listed is None and (lost or text is not None):
        return OwnPolicies(rows, "The list of the policies that belong here is gone, or was changed.")
    return OwnPolicies(rows, _doubt(rows, listed or {}))


def with_rotated_keys(connection: Connection, vault: Vault, workspace_id: str) -> OwnPolicies:
    """Return what is found; the keys of earlier secret keys are only read if those given do not suffice."""
    found = own_policies(connection, workspace_id, vault.public_keys)
    return own_policies(connection, workspace_id, trusted_keys(connection, vault)) if found.doubt else found


def relist(connection: Connection, vault: Vault, workspace_id: str, name: str, digest: str | None) -> bool:
    """Sign the list anew with this digest under a name (None: without it); return whether the name was listed before.

    The others stay as they are listed, so that signing never makes good what somebody else put there.
    """
    text = connection.execute(_LIST, {"w": workspace_id}).scalar()
    listed = _listed(workspace_id, text, trusted_keys(connection, vault)) or {}
    known = listed.pop(name, None) is not None
    if digest is not None:
        listed[name] = digest
    relist_all(connection, vault, workspace_id, listed)
    return known


def relist_all(connection: Connection, vault: Vault, workspace_id: str, listed: Mapping[str, str]) -> None:
    """Sign this list: name to digest."""
    signed = {"policies": dict(listed), "voucher": vouch(vault, _statement(workspace_id, listed))}
    connection.execute(_KEEP, {"w": workspace_id, "signed": canonical_json(signed).decode()})


def without_list(connection: Connection) -> list[str]:
    """Return the workspaces that have, or had, policies and no list."""
    return list(connection.execute(_WITHOUT_LIST).scalars())


def _statement(workspace_id: str, listed: Mapping[str, str]) -> dict[str, Any]:
    return {"type": "steward-policies", "workspace_id": workspace_id, "policies": dict(listed)}


def _listed(workspace_id: str, text: Any, trusted: Mapping[str, str]) -> dict[str, str] | None:
    """Return the list that was signed; None if there is none that counts."""
    try:
        signed = from_json(text)
        listed, voucher = dict(signed["policies"]), signed["voucher"]
        return listed if is_vouched(_statement(workspace_id, listed), voucher, trusted) else None
    except Exception:  # noqa: BLE001 - whatever cannot even be read was not written by us
        return None


def _doubt(rows: tuple[Any, ...], listed: Mapping[str, str]) -> str:
    there = {row.name: digest_of(row.name, row.text, row.changed_by, row.changed_at) for row in rows}
    for name in sorted({*there, *listed}):
        if name not in there:
            return f"The policy '{name}' is gone, and nobody removed it."
        if name not in listed:
            return f"The policy '{name}' was not put there by Steward."
        if there[name] != listed[name]:
            return f"The policy '{name}' was changed, and not by Steward."
    return ""
