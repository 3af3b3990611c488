"""How a command ends: the exit codes of the contract, and the one exception that carries a sentence and what to do next."""

from enum import IntEnum


class ExitCode(IntEnum):
    """What the shell is told."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    REFUSED = 3
    """By policy."""
    WAITING = 4
    """For an approval."""
    INTERRUPTED = 130
    """By Ctrl-C, as shells have it."""


class CommandFailed(Exception):
    """The command cannot go on. ``sentence`` says what is wrong, ``advice`` what to do next (may be blank)."""

    def __init__(self, sentence: str, advice: str = "", code: ExitCode = ExitCode.FAILED) -> None:
        """Keep both and the exit code."""
        self.sentence = sentence
        self.advice = advice
        self.code = code
        super().__init__(sentence)


class Unreachable(CommandFailed):
    """Nobody answers where the server should be."""
