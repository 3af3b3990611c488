"""What was counted while keys were moved under load, and how it is shown."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

from rich.console import Console
from rich.table import Table

from chaos.onlookers import Onlookers


@dataclass(slots=True)
class Report:
    """What was counted. Everything in ``problems`` is a sentence, and there must be none."""

    seed: int
    rounds: int
    """How many were asked for."""
    played: int = 0
    planted: int = 0
    invalid: int = 0
    moves: int = 0
    kills: dict[str, int] = field(default_factory=dict)
    reads: int = 0
    walks: int = 0
    writes: int = 0
    again: int = 0
    missed: int = 0
    twice: int = 0
    left_out: int = 0
    stale: int = 0
    lost: int = 0
    repeated: int = 0
    compared: int = 0
    missing: int = 0
    different: int = 0
    retired: int = 0
    seconds: float = 0.0
    problems: list[str] = field(default_factory=list)

    def demand(self, so: bool, sentence: str) -> None:
        """Note ``sentence`` as a problem unless it is so."""
        if not so:
            self.problems.append(sentence)

    def add(self, watched: Onlookers) -> None:
        """Count what those who looked on in a workspace did and saw."""
        self.reads += watched.done["reads"]
        self.walks += watched.done["walks"]
        self.writes += watched.done["writes"]
        self.again += watched.again
        self.missed += watched.missed
        self.twice += watched.twice
        self.left_out += watched.left_out
        self.stale += watched.stale
        self.problems += watched.problems

    def line(self, seconds: float, watching: Sequence[Onlookers]) -> str:
        """Return the sentence about a round that has ended, while these still look on."""
        problems = len(self.problems) + sum(len(watched.problems) for watched in watching)
        return f"Round {self.played} of {self.rounds}: {seconds:.1f} s, problems so far: {problems}."


def show(report: Report) -> None:
    """Print what was counted, and the problems."""
    title = f"Moving keys {report.played} times there and back, seed {report.seed}, {report.seconds:.0f} s"
    table = Table("what", title=title)
    table.add_column("count", justify="right")
    for name, value in asdict(report).items():
        if isinstance(value, int) and name not in {"seed", "rounds", "played"}:
            table.add_row(name.replace("_", " "), str(value))
    for name, count in report.kills.items():
        table.add_row(f"killed: {name}", str(count))
    console = Console(width=110)
    console.print(table)
    console.print(f"Problems: {len(report.problems)}.")
    for problem in report.problems:
        console.print(f"- {problem}", markup=False)
