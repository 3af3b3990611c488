"""Each workspace's own folder of files, with no way out of it.

A path is names separated by ``/``. Each name is checked, and each folder on the way is opened through the one before it
without following links, so neither a link nor a folder swapped at the wrong moment leads elsewhere. A file is replaced
in one step: readers see the old one or the new one. This module works on bytes; what they mean is the actions' matter.
"""

import contextlib
import errno
import hashlib
import os
import re
import secrets
import stat
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from steward.action import ActionFailed
from steward.actions.base import require_one_line
from steward.workspace import require_workspace_id

MAX_PATH_CHARS: Final = 1024
_MAX_NAME_BYTES: Final = 255
_MAX_MARK_BYTES: Final = 1024
_MAX_DEPTH: Final = 16
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # NONBLOCK: opening a pipe must not hang
_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_DEVICE: Final = re.compile(r"(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\..*)?", re.IGNORECASE)
_TURNED: Final = re.compile("[\u202a-\u202e\u2066-\u2069]")
"""Characters that turn the reading direction, and so can make a name look like another."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One file or folder in a folder."""

    name: str
    is_folder: bool
    size: int
    """Bytes; 0 for a folder."""


def path_refused(detail: str) -> ActionFailed:
    """Return the refusal of a path: nothing was touched."""
    return ActionFailed("path_refused", detail)


def require_name(name: str, what: str) -> str:
    """Return ``name`` if it is a plain file name on any system; raise ``ActionFailed`` with the rule that it breaks."""
    require_one_line(name, what)
    if not name or name.startswith(".") or name.endswith((".", " ")) or name != name.strip():
        raise path_refused(f"{what} is blank, or begins or ends with a dot or a space.")
    if len(name.encode()) > _MAX_NAME_BYTES:
        raise path_refused(f"{what} holds a name longer than {_MAX_NAME_BYTES} bytes.")
    if "\\" in name or ":" in name or _TURNED.search(name) or _DEVICE.fullmatch(name):
        raise path_refused(f"{what} holds a backslash, a colon, a hidden character or a reserved name.")
    return name


def _names(path: str) -> list[str]:
    """Return the names in ``path``; raise ``ActionFailed`` unless it lies inside the folder and is plainly written."""
    if len(path) > MAX_PATH_CHARS:
        raise path_refused(f"The path is longer than {MAX_PATH_CHARS} characters.")
    if path.startswith("/"):
        raise path_refused("The path must be relative to the workspace's folder: leave out the '/' at its beginning.")
    names = path.split("/")
    if len(names) > _MAX_DEPTH:
        raise path_refused(f"The path is more than {_MAX_DEPTH} folders deep.")
    return [require_name(name, "The path") for name in names]


def _failed(error: OSError) -> ActionFailed:
    """Return what an error of the file system means for the step."""
    if isinstance(error, FileNotFoundError):
        return ActionFailed("file_not_found", "There is no such file or folder in the workspace's folder.")
    if error.errno in {errno.ELOOP, errno.ENOTDIR, errno.EISDIR}:
        return path_refused(
            "The path leads over a link, or a file stands where a folder should, or the other way round."
        )
    again = error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.EIO}
    return ActionFailed("file_system_failed", f"The file system refused: {error.strerror}.", retryable=again)


@contextlib.contextmanager
def _opened(name: str | Path, flags: int, parent: int | None = None) -> Generator[int]:
    """Open for the length of the block; an error of the file system inside becomes ``ActionFailed``."""
    try:
        opened = os.open(name, flags, mode=0o600, dir_fd=parent)
        try:
            yield opened
        finally:
            os.close(opened)
    except OSError as error:
        raise _failed(error) from error


class WorkspaceFiles:
    """The folders of all workspaces under one root. Safe to use from several threads and processes."""

    def __init__(self, root: Path) -> None:
        """Take the root; it is made when something is first written."""
        self._root = root

    @contextlib.contextmanager
    def _folder(self, workspace_id: str, names: list[str], *, make: bool = False) -> Generator[int]:
        home = self._root / require_workspace_id(workspace_id)
        with contextlib.ExitStack() as stack:
            try:
                if make:
                    home.mkdir(mode=0o700, parents=True, exist_ok=True)
            except OSError as error:
                raise _failed(error) from error
            folder = stack.enter_context(_opened(home, _FOLDER))
            for name in names:
                if make:
                    with contextlib.suppress(FileExistsError):
                        os.mkdir(name, mode=0o700, dir_fd=folder)
                folder = stack.enter_context(_opened(name, _FOLDER, folder))
            yield folder

    def read(self, workspace_id: str, path: str, max_bytes: int) -> bytes:
        """Return the file's bytes; raise ``ActionFailed`` (``file_too_large``) if it is larger than ``max_bytes``."""
        return self.read_marked(workspace_id, path, max_bytes)[0]

    def read_marked(self, workspace_id: str, path: str, max_bytes: int) -> tuple[bytes, bytes | None]:
        """Return the file's bytes as ``read`` does, and the mark beside it, if there is one."""
        *folders, name = _names(path)
        with self._folder(workspace_id, folders) as folder:
            content = _content(folder, name, max_bytes)
            try:
                mark = _content(folder, _mark_name(name), _MAX_MARK_BYTES)
            except ActionFailed:
                mark = None
        return content, mark

    def write(self, workspace_id: str, path: str, content: bytes, mark: bytes | None = None) -> None:
        """Make ``content`` the file's whole content, in one step and on the disk; missing folders are made.

        ``mark`` is kept beside it, and is there before it: a mark may be of a content that never came, and not the reverse.
        """
        *folders, name = _names(path)
        with self._folder(workspace_id, folders, make=True) as folder:
            with contextlib.suppress(FileNotFoundError):
                if not stat.S_ISREG(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
                    raise path_refused("Something other than a file stands at this path.")
            if mark is not None:
                _replace(folder, _mark_name(name), mark)
            _replace(folder, name, content, last=True)

    def entries(self, workspace_id: str, path: str) -> list[Entry]:
        """Return the files and folders in a folder, by name; blank is the workspace's own, which need not exist yet."""
        names = _names(path.removesuffix("/")) if path.removesuffix("/") else []
        try:
            with self._folder(workspace_id, names) as folder, os.scandir(folder) as found:
                listed = [_entry(entry) for entry in found]
        except ActionFailed as error:
            if names or error.code != "file_not_found":
                raise
            return []
        return sorted((entry for entry in listed if entry), key=lambda entry: entry.name)


def _mark_name(name: str) -> str:
    """Return the name of a file's mark; no path can name it, since names do not begin with a dot."""
    return f".{hashlib.sha256(name.encode()).hexdigest()}.mark"


def _content(folder: int, name: str, max_bytes: int) -> bytes:
    with _opened(name, _FILE, folder) as opened:
        if not stat.S_ISREG(os.fstat(opened).st_mode):
            raise path_refused("The path does not name a file.")
        with os.fdopen(opened, "rb", closefd=False) as file:
            content = file.read(max_bytes + 1)
    if len(content) > max_bytes:
        raise ActionFailed("file_too_large", f"The file is larger than {max_bytes // 1024} KB.")
    return content


def _replace(folder: int, name: str, content: bytes, *, last: bool = False) -> None:
    """Put a file in place in one step; with the ``last`` one all of them are on the disk."""
    draft = f".{secrets.token_hex(8)}.part"  # no path can name it either
    try:
        with _opened(draft, _NEW, folder) as opened, os.fdopen(opened, "wb", closefd=False) as file:
            file.write(content)
            file.flush()
            os.fsync(opened)
        os.replace(draft, name, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(draft, dir_fd=folder)
        raise
    if last:
        os.fsync(folder)


def _entry(found: os.DirEntry[str]) -> Entry | None:
    """Return what a path can name, or None: a link, a draft, an odd name, or what has gone meanwhile."""
    try:
        require_name(found.name, "The path")
        state = found.stat(follow_symlinks=False)
    except (ActionFailed, FileNotFoundError):
        return None
    if stat.S_ISDIR(state.st_mode):
        return Entry(found.name, is_folder=True, size=0)
    return Entry(found.name, is_folder=False, size=state.st_size) if stat.S_ISREG(state.st_mode) else None
