"""What a running ``steward up`` leaves in STEWARD_HOME for the other commands on this machine: its address and a key.

Both files are readable by their owner only.
"""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from steward.cli.exits import CommandFailed
from steward.private_file import read_private, replace_private

ADDRESS_FILE: Final = "up.json"
LOCK_FILE: Final = "up.lock"
KEY_FILE: Final = "local.key"
OPERATOR_FILE: Final = "operator.key"


@dataclass(frozen=True, slots=True)
class Address:
    """Where a Steward of this machine listens and a key that it accepts."""

    url: str
    api_key: str
    pid: int


def home_folder() -> Path:
    """Return STEWARD_HOME, without reading any other setting."""
    return Path(os.environ.get("STEWARD_HOME", "").strip() or ".steward").expanduser().absolute()


def read_address(home: Path) -> Address | None:
    """Return what the running (or badly ended) ``steward up`` of this home wrote, or None."""
    path = home / ADDRESS_FILE
    try:
        text = read_private(path)
        return None if text is None else Address(**json.loads(text))
    except (ValueError, TypeError) as error:
        raise CommandFailed(f"{path} is damaged.", "Remove it and start 'steward up' again.") from error
    except OSError as error:
        raise CommandFailed(f"{path} cannot be read: {error}.", "Use the account that runs 'steward up'.") from error


@contextmanager
def only_one(home: Path) -> Iterator[None]:
    """Hold the home of a ``steward up``; refuse when another one holds it, saying where that one listens."""
    with (home / LOCK_FILE).open("w", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            running = read_address(home)
            where = f" at {running.url}" if running else ""
            raise CommandFailed(
                f"Steward already runs from {home}{where}.", "Use that one, or set STEWARD_HOME to another folder."
            ) from error
        yield


def write_address(home: Path, address: Address) -> None:
    """Leave ``address`` for the other commands."""
    replace_private(home / ADDRESS_FILE, json.dumps(asdict(address)))


def remove_address(home: Path, pid: int) -> None:
    """Take away the address that process ``pid`` left, and no other's."""
    address = read_address(home)
    if address is not None and address.pid == pid:
        (home / ADDRESS_FILE).unlink(missing_ok=True)
