"""Steward: plain language becomes a checked plan, a preview, and durable work that is never blindly done twice."""
