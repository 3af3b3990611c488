"""Planners: ``sentences`` understands declared sentence templates, without a model and without a key."""
