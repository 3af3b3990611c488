"""Implementations of ``steward.policy.Policy``."""
