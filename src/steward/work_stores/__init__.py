"""Engines behind the work store contract, a folder each."""
