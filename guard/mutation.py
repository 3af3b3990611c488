"""What a mutation is: one protection, the change that takes it away, and the tests that must notice."""

from dataclasses import dataclass
from pathlib import Path


class Misplaced(ValueError):
    """A patch no longer fits its file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutation:
    """One protection taken away."""

    name: str
    removes: str
    """The protection, in a few words."""
    file: str
    find: str
    """Stands exactly once in the file."""
    put: str
    tests: tuple[str, ...]
    """Files or tests that must notice."""
    also: tuple[tuple[str, str], ...] = ()
    """Further changes to the same file, where one alone would only break it."""
    at_least: int = 1
    """How many tests must notice: what keeps tenants apart is tested more than once."""

    def applied(self, root: Path) -> str:
        """Return the file's text below ``root`` with the protection gone; raise ``Misplaced`` if the patch does not fit."""
        text = (root / self.file).read_text(encoding="utf-8")
        for find, put in ((self.find, self.put), *self.also):
            if text.count(find) != 1:
                raise Misplaced(f"{self.name}: its text stands {text.count(find)} times in {self.file}, not once.")
            if find == put:
                raise Misplaced(f"{self.name}: it changes nothing.")
            text = text.replace(find, put)
        return text
