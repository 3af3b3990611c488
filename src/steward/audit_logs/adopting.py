"""Signs for policies that were put before there were signatures, where the chain tells of every one of them.

A database of an earlier version holds policies and no signed list, which would close every workspace that has, or had, some.
A chain that is sound, whole from its first record, and tells of just these policies is as good a witness as a signature, so
what it tells is signed, and that is recorded. It is done once for a workspace: where a record tells that there was a list, one
that is gone was taken away. Whatever the chain does not tell of stays unsigned, and its workspace closed.
"""

from datetime import datetime

from sqlalchemy import Connection

from steward.audit import AuditEntry, AuditKind
from steward.audit_logs.checking import Check, Trouble
from steward.database.audit_chain import append
from steward.database.engine import Database
from steward.database.policy_seal import SIGNED, digest_of, own_policies, relist_all, without_list
from steward.database.public_keys import trusted_keys
from steward.vault import Vault


def adopt(database: Database, vault: Vault, at: datetime) -> None:
    """Sign for the policies of workspaces that never had a signed list. Usually there is nothing to do."""
    if database.read_sync(lambda connection: _told(connection, vault)):
        database.run_sync(lambda connection: [_sign(connection, vault, one, at) for one in _told(connection, vault)])


def _told(connection: Connection, vault: Vault) -> list[str]:
    """Return the workspaces whose chain tells of just the policies that are found, and of no list."""
    found = without_list(connection)
    trusted = trusted_keys(connection, vault) if found else {}
    told = []
    for workspace_id in found:
        check = Check(connection, workspace_id, trusted)
        try:
            check.follow()
        except Trouble:
            continue
        texts = {row.name: row.text for row in own_policies(connection, workspace_id, trusted).rows}
        there = {name: text for name, (_, text) in check.policies.items() if text is not None}
        if texts == there and check.floor == 0 and not check.listed:
            told.append(workspace_id)
    return told


def _sign(connection: Connection, vault: Vault, workspace_id: str, at: datetime) -> None:
    rows = own_policies(connection, workspace_id, {}).rows
    digests = {row.name: digest_of(row.name, row.text, row.changed_by, row.changed_at) for row in rows}
    relist_all(connection, vault, workspace_id, digests)
    entry = AuditEntry(
        workspace_id=workspace_id,
        kind=AuditKind.POLICIES_SIGNED,
        at=at,
        actor_id=None,
        result="signed",
        facts={"policies": sorted(digests), **SIGNED},
    )
    append(connection, [entry])
