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
        tests=(_KEYS,),
        at_least=2,
    ),
    Mutation(
        name="remembered-by-a-clock-set-back",
        removes="a clock that is set back keeps nothing alive",
        file="src/steward/directories/sql/memory.py",
        find="        self._elapsed += passed if passed >= 0 else TTL_S\n",
        put="        self._elapsed += passed\n",
        tests=(_KEYS,),
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
        tests=(_MANAGEMENT, _CHANGES),
        at_least=2,
    ),
    Mutation(
        name="foreign-workspace-shown",
        removes="an admin sees the own workspace only",
        file="src/steward/web/workspaces.py",
        find="    within = principal.is_operator or workspace == principal.workspace_id\n",
        put="    within = True\n",
        tests=(_MANAGEMENT,),
    ),
    Mutation(
        name="token-of-another-audience",
        removes="a token names this installation",
        file="src/steward/authenticators/jwt.py",
        find='            aud={"essential": True, "values": list(self._rules.audiences)},\n',
        put="",
        tests=(_TOKENS,),
    ),
    Mutation(
        name="token-of-another-issuer",
        removes="a token is the issuer's",
        file="src/steward/authenticators/jwt.py",
        find='            iss={"essential": True, "value": self._rules.issuer},\n',
        put="",
        tests=(_TOKENS,),
    ),
    Mutation(
        name="token-without-end",
        removes="a token must end",
        file="src/steward/authenticators/jwt.py",
        find='            exp={"essential": True},\n',
        put="",
        tests=(_TOKENS,),
    ),
    Mutation(
        name="secret-in-a-key-set",
        removes="a secret in a public key set signs nothing, nor does a weak key",
        file="src/steward/authenticators/signing_keys.py",
        find='        if not isinstance(item, dict) or not _is_strong(item) or item.get("use", "sig") != "sig":\n',
        put="        if not isinstance(item, dict):\n",
        tests=(_TOKENS,),
    ),
    Mutation(
        name="token-beyond-pinned-roles",
        removes="a token only narrows roles that an admin has set",
        file="src/steward/directories/sql/members.py",
        find="                return replace(known, scopes=scopes_of(known.roles) & granted, last_seen_at=now)\n",
        put="                return replace(known, scopes=granted, last_seen_at=now)\n",
        tests=(_TOKENS,),
    ),
    Mutation(
        name="session-from-another-page",
        removes="a session is for this server's own pages",
        file="src/steward/web/dependencies.py",
        find="            require_same_origin(request)\n",
        put="",
        tests=(_SESSIONS,),
        at_least=2,
    ),
    Mutation(
        name="code-twice",
        removes="a one-time code works once",
        file="src/steward/directories/sql/tickets.py",
        find="            connection.execute(delete(tickets).where(*mine))\n",
        put="",
        tests=(_SESSIONS,),
        at_least=2,
    ),
)
