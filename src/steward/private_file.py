"""Small files that only their owner may read: keys and addresses that this machine keeps for itself.

A file appears whole or not at all, with mode 0600 from its first moment.
"""

import os
import tempfile
from pathlib import Path


def read_private(path: Path) -> str | None:
    """Return the text of ``path``, or None if there is none; raise ``PermissionError`` if others may read it."""
    try:
        with path.open(encoding="utf-8") as file:
            if os.fstat(file.fileno()).st_mode & 0o077:
                raise PermissionError(f"{path} can be read by others; run 'chmod 600' on it")
            return file.read()
    except FileNotFoundError:
        return None


def place_private(path: Path, text: str) -> None:
    """Put a new file in place; leave one that is there already, so that of racing processes the first wins."""
    temporary = _written(path, text)
    try:
        os.link(temporary, path)
    except FileExistsError:
        return
    finally:
        temporary.unlink()


def replace_private(path: Path, text: str) -> None:
    """Put a file in place, over the one that may be there."""
    temporary = _written(path, text)
    try:
        temporary.replace(path)
    except OSError:
        temporary.unlink()
        raise


def _written(path: Path, text: str) -> Path:
    """Return a temporary file beside ``path`` that holds ``text`` on disk."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")  # made with mode 0600
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    return Path(name)
