"""The protections that the tests must not let go, by what they protect."""

from typing import Final

from guard.patches.approvals import APPROVALS
from guard.patches.audit import AUDIT
from guard.patches.doors import DOORS
from guard.patches.effects import EFFECTS
from guard.patches.policies import POLICIES
from guard.patches.tenants import TENANTS
from guard.patches.ways_out import SECRETS_AND_WAYS_OUT

MUTATIONS: Final = (*TENANTS, *POLICIES, *EFFECTS, *APPROVALS, *AUDIT, *DOORS, *SECRETS_AND_WAYS_OUT)
"""Every protection under guard."""
