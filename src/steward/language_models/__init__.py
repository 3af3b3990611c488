"""Implementations of ``steward.language_model``: any provider's models, and the budget that is shared by all processes."""
