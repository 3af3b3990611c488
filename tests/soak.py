"""How often a test repeats: enough to notice in ``make test``, and as often as is promised in ``make soak``."""

import os


def rounds(usually: int, in_soak: int) -> int:
    """Return the number of rounds."""
    return in_soak if os.environ.get("SOAK") else usually
