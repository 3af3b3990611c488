"""Recovers lost leases and expires what nobody decided: half a lease is the longest they wait to be noticed."""

from steward.job import LEASE_S
from steward.maintenance import Duty
from steward.work_store import Dispatcher


def sweeper(dispatcher: Dispatcher) -> Duty:
    """Return the duty."""
    return Duty("sweeper", LEASE_S / 2, dispatcher.sweep)
