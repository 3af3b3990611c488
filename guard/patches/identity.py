"""Who somebody is: tokens, sessions, what is remembered of a key, and that nobody gets above themselves."""

from typing import Final

from guard.mutation import Mutation

_TOKENS: Final = "tests/security/test_jwt.py"
_KEYS: Final = "tests/security/test_keys.py"
_MANAGEMENT: Final = "tests/web/test_management.py"
_CHANGES: Final = "tests/test_directory_changes.py"
_SESSIONS: Final = "tests/web/test_sessions.py"

IDENTITY: Final = (
    Mutation(
        name="remembered-after-a-change",
        removes="a process forgets at once what it has changed itself",
        file="src/steward/directories/sql/memory.py",
        find="        self._kept.pop(key, None)\n",
        put="",
        tests=(
            f"{_KEYS}::test_w54_a_revoked_key_never_gets_in_again",
            f"{_KEYS}::test_w54_demotion_disabling_and_settings_hold_at_once_here",
        ),
        at_least=2,
    ),
    Mutation(
        name="remembered-by-a-clock-set-back",
        removes="a clock that is set back keeps nothing alive",
        file="src/steward/directories/sql/memory.py",
        find="        self._elapsed += passed if passed >= 0 else TTL_S\n",
        put="        self._elapsed += passed\n",
        tests=(f"{_KEYS}::test_w54_a_clock_that_goes_back_keeps_no_key_alive",),
    ),
    Mutation(
        name="rotation-raises",
        removes="a key that is demoted while it is rotated gets no successor with its old role",
        file="src/steward/directories/sql/keys.py",
        find="            if old.role is not new.role:  # somebody has demoted it since ``new`` was made\n",
        put="            if False:\n",
        tests=(_CHANGES,),
    ),
    Mutation(
        name="foreign-key-managed",
        removes="an admin manages keys of the own workspace only",
        file="src/steward/directories/sql/keys.py",
        find="    if row is None or workspace_id not in {None, row.workspace_id}:\n",
        put="    if row is None:\n",
        tests=(f"{_MANAGEMENT}::test_w48_a_foreign_workspace_or_key_is_unknown", _CHANGES),
        at_least=2,
    ),
    Mutation(
        name="foreign-workspace-shown",
        removes="an admin sees the own workspace only",
        file="src/steward/web/workspaces.py",
        find="    within = principal.is_operator or workspace == principal.workspace_id\n",
        put="    within = True\n",
        tests=(f"{_MANAGEMENT}::test_w48_a_foreign_workspace_or_key_is_unknown",),
    ),
    Mutation(
        name="token-of-another-audience",
        removes="a token names this installation",
        file="src/steward/authenticators/jwt.py",
        find='            aud={"essential": True, "values": list(self._rules.audiences)},\n',
        put="",
        tests=(f"{_TOKENS}::test_w56_issuer_audience_and_times_are_checked",),
    ),
    Mutation(
        name="token-of-any-algorithm",
        removes="a token is signed in a way that the settings name",
        file="src/steward/authenticators/jwt.py",
        find='            header.get("alg") in self._rules.algorithms\n',
        put="            True\n",
        also=(
            (
                "jws.JWSRegistry(algorithms=rules.algorithms, strict_check_header=False)",
                'jws.JWSRegistry(algorithms=["none", "HS256", "RS256", "RS512"], strict_check_header=False)',
            ),
        ),
        tests=("tests/security/test_jwt.py::test_w56_the_confusion_set_is_refused",),
    ),
    Mutation(
        name="token-of-another-issuer",
        removes="a token is the issuer's",
        file="src/steward/authenticators/jwt.py",
        find='            iss={"essential": True, "value": self._rules.issuer},\n',
        put="",
        tests=(f"{_TOKENS}::test_w56_issuer_audience_and_times_are_checked",),
    ),
    Mutation(
        name="token-without-end",
        removes="a token must end",
        file="src/steward/authenticators/jwt.py",
        find='            exp={"essential": True},\n',
        put="",
        tests=(f"{_TOKENS}::test_w56_issuer_audience_and_times_are_checked",),
    ),
    Mutation(
        name="secret-in-a-key-set",
        removes="a secret in a public key set signs nothing, nor does a weak key",
        file="src/steward/authenticators/signing_keys.py",
        find='        if not isinstance(item, dict) or not _is_strong(item) or item.get("use", "sig") != "sig":\n',
        put="        if not isinstance(item, dict):\n",
        tests=("tests/security/test_signing_keys.py::test_a_key_set_holds_no_surprises",),
    ),
    Mutation(
        name="token-beyond-pinned-roles",
        removes="a token only narrows roles that an admin has set",
        file="src/steward/directories/sql/members.py",
        find="                return replace(known, scopes=scopes_of(known.roles) & granted, last_seen_at=now)\n",
        put="                return replace(known, scopes=granted, last_seen_at=now)\n",
        tests=(f"{_TOKENS}::test_an_admin_settles_what_a_token_may_do", _CHANGES),
    ),
    Mutation(
        name="session-from-another-page",
        removes="a session is for this server's own pages",
        file="src/steward/web/dependencies.py",
        find="            require_same_origin(request)\n",
        put="",
        tests=(
            f"{_SESSIONS}::test_a_session_changes_nothing_for_another_page",
            f"{_SESSIONS}::test_a_session_shows_nothing_to_another_page",
        ),
        at_least=2,
    ),
    Mutation(
        name="code-twice",
        removes="a one-time code works once",
        file="src/steward/directories/sql/tickets.py",
        find="            connection.execute(delete(tickets).where(*mine))\n",
        put="",
        tests=(f"{_SESSIONS}::test_a_code_works_once_within_minutes", _CHANGES),
        at_least=2,
    ),
)
