"""Attachments of a mail: decoded strictly, named plainly, and of the type they claim to be."""

import base64
import binascii
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from steward.action import ActionFailed
from steward.actions.base import invalid, require_one_line
from steward.actions.workspace_files import require_name

MAX_ATTACHMENTS: Final = 10
MAX_TOTAL_BYTES: Final = 10 * 1024 * 1024
MAX_NAME_CHARS: Final = 255

_ZIP: Final = (b"PK\x03\x04",)
_OLE: Final = (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",)
_OFFICE: Final = "application/vnd.openxmlformats-officedocument."
_OPEN: Final = "application/vnd.oasis.opendocument."


@dataclass(frozen=True, slots=True)
class _Type:
    """A type that may be attached: the name endings it is guessed from, and how its bytes begin (none: it is text)."""

    endings: tuple[str, ...]
    beginnings: tuple[bytes, ...] = ()


_TYPES: Final[Mapping[str, _Type]] = {
    "application/pdf": _Type((".pdf",), (b"%PDF-",)),
    "image/png": _Type((".png",), (b"\x89PNG\r\n\x1a\n",)),
    "image/jpeg": _Type((".jpg", ".jpeg"), (b"\xff\xd8\xff",)),
    "image/gif": _Type((".gif",), (b"GIF87a", b"GIF89a")),
    "image/webp": _Type((".webp",), (b"RIFF",)),
    _OFFICE + "wordprocessingml.document": _Type((".docx",), _ZIP),
    _OFFICE + "spreadsheetml.sheet": _Type((".xlsx",), _ZIP),
    _OFFICE + "presentationml.presentation": _Type((".pptx",), _ZIP),
    _OPEN + "text": _Type((".odt",), _ZIP),
    _OPEN + "spreadsheet": _Type((".ods",), _ZIP),
    _OPEN + "presentation": _Type((".odp",), _ZIP),
    "application/msword": _Type((".doc",), _OLE),
    "application/vnd.ms-excel": _Type((".xls",), _OLE),
    "application/vnd.ms-powerpoint": _Type((".ppt",), _OLE),
    "text/plain": _Type((".txt", ".log")),
    "text/csv": _Type((".csv",)),
    "text/markdown": _Type((".md",)),
    "text/calendar": _Type((".ics",)),
    "application/json": _Type((".json",)),
    "application/xml": _Type((".xml",)),
    "text/xml": _Type(()),
}
_ENDINGS: Final = {ending: name for name, kind in _TYPES.items() for ending in kind.endings}
_BLOCKED: Final = frozenset([
    "app", "bat", "bin", "cmd", "com", "cpl", "dll", "docm", "dotm", "exe", "hta", "htm", "html", "img", "inf", "iso",
    "jar", "js", "jse", "lnk", "mht", "mhtml", "msc", "msi", "msp", "pif", "pptm", "ps1", "py", "rar", "reg", "scr",
    "sh", "svg", "sys", "url", "vb", "vbe", "vbs", "vhd", "wsf", "wsh", "xhtml", "xlam", "xlsm", "zip", "7z", "gz",
    "tar", "deb", "rpm",
])  # fmt: skip


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file ready to be attached."""

    filename: str
    content_type: str
    content: bytes


def _filename(given: str) -> str:
    """Return the last part of the given name; raise ``ActionFailed`` for one that no file should have."""
    require_one_line(given, "A filename")
    name = given.replace("\\", "/").rpartition("/")[2]
    if len(name) > MAX_NAME_CHARS or "=?" in name:
        raise invalid(f"A filename is longer than {MAX_NAME_CHARS} characters or holds '=?'.")
    try:
        require_name(name, "A filename")
    except ActionFailed as error:
        raise invalid(error.detail) from None
    if name.rpartition(".")[2].lower() in _BLOCKED:
        raise ActionFailed("attachment_refused", "Files with this ending are not sent.")
    return name


def _content_type(given: str | None, filename: str) -> str:
    """Return the type in lower case without parameters, guessed from the name if none is given."""
    if given is None:
        name = "." + filename.rpartition(".")[2].lower()
        kind = _ENDINGS.get(name, "")
    else:
        kind = require_one_line(given, "A content type").partition(";")[0].strip().lower()
    if kind not in _TYPES:
        raise ActionFailed("attachment_refused", "Files of this type are not sent.")
    return kind


def _decoded(text: str) -> bytes:
    """Return the bytes of standard base64 in its one proper spelling: padded, no blanks, no stray bits."""
    try:
        content = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        content = None
    if content is None or base64.b64encode(content).decode() != text:
        raise invalid("content_base64 is not proper base64.")
    return content


def _require_honest(content: bytes, kind: str) -> None:
    """Raise ``ActionFailed`` unless the bytes begin as their type does; text holds no NUL, as programs do."""
    beginnings = _TYPES[kind].beginnings
    honest = content.startswith(beginnings) if beginnings else b"\0" not in content
    if kind == "image/webp":
        honest = honest and content[8:12] == b"WEBP"
    if not honest:
        raise ActionFailed("attachment_refused", f"An attachment is not what its type {kind} says.")


def prepare(items: list[Mapping[str, Any]], read_file: Callable[[str, int], bytes]) -> tuple[Attachment, ...]:
    """Return the attachments; ``read_file(path, max_bytes)`` gives a workspace file.

    Raises ``ActionFailed`` for anything malformed, of a type that is not sent, or together larger than 10 MB.
    """
    if len(items) > MAX_ATTACHMENTS:
        raise invalid(f"A mail takes at most {MAX_ATTACHMENTS} attachments.")
    ready, room = [], MAX_TOTAL_BYTES
    for item in items:
        inline, path = item.get("content_base64"), item.get("file")
        if (inline is None) == (path is None):
            raise invalid("An attachment has either content_base64 or file.")
        name = item.get("filename", path)
        if name is None:
            raise invalid("An attachment with content_base64 needs a filename.")
        filename = _filename(name)
        kind = _content_type(item.get("content_type"), filename)
        content = _decoded(inline) if inline is not None else read_file(str(path), room)
        room -= len(content)
        if room < 0:
            raise invalid(f"The attachments are together larger than {MAX_TOTAL_BYTES // 1024 // 1024} MB.")
        _require_honest(content, kind)
        ready.append(Attachment(filename, kind, content))
    return tuple(ready)
