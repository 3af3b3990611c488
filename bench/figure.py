"""What a measurement gives: a number with its unit, and what it is compared with, measured in the same run."""

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Figure:
    """One line of the table."""

    what: str
    value: float
    unit: str
    compared_with: str = ""
    other: float | None = None
    """The same, done in the way that it is compared with."""

    @property
    def ratio(self) -> float | None:
        """The number over the other one."""
        return self.value / self.other if self.other else None

    def as_dict(self) -> dict[str, Any]:
        """Return it for ``--json``."""
        return {**asdict(self), "ratio": self.ratio}


def median(values: Sequence[float]) -> float:
    """Return the middle one."""
    return statistics.median(values)


def percentile_99(values: Sequence[float]) -> float:
    """Return the value that one in a hundred exceeds."""
    return statistics.quantiles(values, n=100, method="inclusive")[98]
