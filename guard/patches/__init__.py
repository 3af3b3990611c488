"""The protections that the tests must not let go, by what they protect."""

from typing import Final

from guard.patches.approvals import APPROVALS
from guard.patches.audit import AUDIT
from guard.patches.carried import CARRIED
from guard.patches.doors import DOORS
from guard.patches.effects import EFFECTS
from guard.patches.identity import IDENTITY
from guard.patches.limits import LIMITS
from guard.patches.policies import POLICIES
from guard.patches.redis import REDIS
from guard.patches.schema import SCHEMA
from guard.patches.short_ways import SHORT_WAYS
from guard.patches.tenants import TENANTS
from guard.patches.ways_out import SECRETS_AND_WAYS_OUT

MUTATIONS: Final = (
    *TENANTS,
    *POLICIES,
    *EFFECTS,
    *APPROVALS,
    *AUDIT,
    *DOORS,
    *IDENTITY,
    *SECRETS_AND_WAYS_OUT,
    *LIMITS,
    *REDIS,
    *SCHEMA,
    *SHORT_WAYS,
    *CARRIED,
)
"""Every protection under guard."""
