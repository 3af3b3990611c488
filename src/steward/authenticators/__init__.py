"""Implementations of ``steward.authenticator.Authenticator``."""
