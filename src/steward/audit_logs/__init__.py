"""Implementations of the audit log."""
