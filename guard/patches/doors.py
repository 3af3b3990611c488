"""What the web lets in: credentials, scopes, sizes, and one meaning for each body."""

from typing import Final

from guard.mutation import Mutation

DOORS: Final = (
    Mutation(
        name="any-secret",
        removes="the secret of a key is compared",
        file="src/steward/authenticators/api_key.py",
        find="        if key is None or not genuine:\n",
        put="        if key is None:\n",
        tests=("tests/test_authenticator.py", "tests/web/test_credentials.py"),
    ),
    Mutation(
        name="keys-never-expire",
        removes="an expired key is refused",
        file="src/steward/directory.py",
        find="return self.revoked_at is None and (self.expires_at is None or moment < self.expires_at)",
        put="return self.revoked_at is None",
        tests=("tests/test_authenticator.py", "tests/web/test_credentials.py"),
    ),
    Mutation(
        name="keys-never-revoked",
        removes="a revoked key is refused",
        file="src/steward/directory.py",
        find="return self.revoked_at is None and (self.expires_at is None or moment < self.expires_at)",
        put="return self.expires_at is None or moment < self.expires_at",
        tests=("tests/test_authenticator.py", "tests/web/test_credentials.py"),
    ),
    Mutation(
        name="scope-not-asked",
        removes="a route asks for its scope",
        file="src/steward/web/dependencies.py",
        find="        if not _holds(principal, scope):\n",
        put="        if False:\n",
        tests=("tests/web/test_credentials.py", "tests/web/test_plans.py"),
    ),
    Mutation(
        name="body-without-limit",
        removes="a body is bounded while it streams",
        file="src/steward/web/middleware.py",
        find="        if self._left < 0:\n",
        put="        if False:\n",
        tests=("tests/web/test_limits.py",),
    ),
    Mutation(
        name="declared-length-not-read",
        removes="a body is refused by its declared length, before it is sent",
        file="src/steward/web/middleware.py",
        find="        if self._declared > self._limit_bytes:\n",
        put="        if False:\n",
        tests=("tests/web/test_limits.py",),
    ),
    Mutation(
        name="streams-without-limit",
        removes="a workspace has only so many streams",
        file="src/steward/web/events.py",
        find="if self._open[workspace_id] >= self.per_workspace:",
        put="if False:",
        tests=("tests/web/test_events.py",),
    ),
    Mutation(
        name="double-names-in-json",
        removes="a body that names a field twice is refused",
        file="src/steward/web/strict_request.py",
        find="    if len(value) != len(pairs):\n",
        put="    if False:\n",
        tests=("tests/web/test_errors.py",),
    ),
    Mutation(
        name="limited-routes-not-counted",
        removes="a route that costs something is limited",
        file="src/steward/web/secured_route.py",
        find="        if rule is not None:\n",
        put="        if False:\n",
        tests=("tests/web/test_rate_limits.py",),
    ),
    Mutation(
        name="rate-limit-only-announced",
        removes="a request that is one too many is refused",
        file="src/steward/web/dependencies.py",
        find="    if verdict.refused is not None:\n",
        put="    if False:\n",
        tests=("tests/web/test_rate_limits.py",),
    ),
    Mutation(
        name="failed-logins-not-counted",
        removes="failed logins are limited by address",
        file="src/steward/web/problems.py",
        find="    return verdict.refused or error\n",
        put="    return error\n",
        tests=("tests/web/test_rate_limits.py",),
    ),
    Mutation(
        name="refusals-cost-quota",
        removes="a refused request is taken from no limit",
        file="src/steward/web/rate_limits.py",
        find="        for item, who in [] if full else asked:\n",
        put="        for item, who in asked:\n",
        tests=("tests/web/test_rate_limits.py",),
    ),
)
