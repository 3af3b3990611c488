"""Implementations of ``steward.directory.Directory``."""
