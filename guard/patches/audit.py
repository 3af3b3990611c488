"""The audit: a chain that nobody can change, and no effect without a record where that is asked for."""

from typing import Final

from guard.mutation import Mutation

_CHECKING: Final = "src/steward/audit_logs/checking.py"
_TAMPERING: Final = ("tests/security/test_chain_tampering.py",)

_VOUCHERS: Final = ("tests/audit/test_vouchers.py",)

AUDIT: Final = (
    Mutation(
        name="cursor-by-anybody",
        removes="how far the archiver has come counts only as this installation signed it",
        file="src/steward/audit_logs/cursor.py",
        find="    return isinstance(row.position, int) and is_vouched(",
        put="    return True or is_vouched(",
        tests=_VOUCHERS,
    ),
    Mutation(
        name="views-may-vanish",
        removes="a view that is gone must have been erased on record",
        file=_CHECKING,
        find="        if self.bare:",
        put="        if False:",
        tests=(*_VOUCHERS, *_TAMPERING),
    ),
    Mutation(
        name="policies-by-anybody",
        removes="a policy counts only as it was put there by Steward",
        file="src/steward/database/policy_seal.py",
        find="        if there[name] != listed[name]:",
        put="        if False:",
        tests=("tests/policies/test_genuine.py",),
    ),
    Mutation(
        name="policies-may-vanish",
        removes="a list of policies that is gone is noticed",
        file="src/steward/database/policy_seal.py",
        find="    if listed is None and (lost or text is not None):",
        put="    if False:",
        tests=("tests/policies/test_genuine.py",),
    ),
    Mutation(
        name="a-list-is-made-again",
        removes="policies are signed for once, before there ever was a list",
        file="src/steward/audit_logs/adopting.py",
        find=" and check.floor == 0 and not check.listed:",
        put=":",
        tests=("tests/policies/test_adopting.py",),
        at_least=2,
    ),
    Mutation(
        name="erase-in-any-workspace",
        removes="views are erased in one workspace",
        file="src/steward/audit_logs/sql.py",
        find="delete(audit_views).where(audit_views.c.workspace_id == W, ",
        put="delete(audit_views).where(",
        tests=(
            *_VOUCHERS,
            "tests/security/test_chain_tampering.py::test_erasing_a_view_with_its_salt_leaves_the_chain_sound",
        ),
        at_least=3,
    ),
    Mutation(
        name="checkpoints-by-anybody",
        removes="a checkpoint counts only with the signature of a key that is trusted",
        file=_CHECKING,
        find="    return public_key is not None and is_signed(",
        put="    return True or is_signed(",
        tests=(*_TAMPERING, "tests/audit/test_log.py"),
    ),
    Mutation(
        name="keys-by-anybody",
        removes="a public key counts only if one that is trusted vouches for it",
        file="src/steward/database/public_keys.py",
        find="    return named and is_signed(",
        put="    return named or is_signed(",
        tests=_TAMPERING,
    ),
    Mutation(
        name="drop-without-looking",
        removes="only records that are sound are dropped by the retention",
        file="src/steward/audit_logs/dropping.py",
        find="        if not is_whole(row) or",
        put="        if False or",
        tests=("tests/audit/test_log.py",),
    ),
    Mutation(
        name="forget-before-archived",
        removes="work is not forgotten before the audit has it",
        file="src/steward/work_stores/sql/housekeeping.py",
        find="    if archived is not None:",
        put="    if False:",
        tests=("tests/audit/test_archiver.py",),
    ),
    Mutation(
        name="execute-without-the-audit",
        removes="where the audit is required nothing is done without it",
        file="src/steward/recorder.py",
        find="            raise AuditUnavailable from error",
        put="            return",
        tests=("tests/audit/test_recorder.py",),
    ),
    Mutation(
        name="records-of-any-workspace",
        removes="records are read of one workspace",
        file="src/steward/audit_logs/rows.py",
        find="    .where(audit_records.c.workspace_id == W)",
        put="    .where(W == W)",
        tests=("tests/audit/test_log.py",),
    ),
    Mutation(
        name="checkpoints-of-any-workspace",
        removes="checkpoints are read of one workspace",
        file="src/steward/audit_logs/rows.py",
        find="audit_checkpoints.c.workspace_id == W",
        put="W == W",
        tests=_TAMPERING,
    ),
    Mutation(
        name="head-of-any-workspace",
        removes="the end of a chain is that of one workspace",
        file="src/steward/audit_logs/rows.py",
        find="audit_heads.c.workspace_id == W",
        put="W == W",
        tests=_TAMPERING,
    ),
    Mutation(
        name="a-chain-ends-where-it-did",
        removes="where a chain ends is looked at under the lock, whatever was thought before",
        file="src/steward/database/audit_chain.py",
        find="    if found or end != tail.after:",
        put="    if found:",
        tests=("tests/audit/test_append.py",),
        at_least=2,
    ),
)
