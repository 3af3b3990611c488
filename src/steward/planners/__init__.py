"""Planners: ``sentences`` understands declared sentence templates, without a key; ``language_model`` asks a model."""
