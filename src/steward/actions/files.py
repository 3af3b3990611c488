"""``file.write``, ``file.read`` and ``file.list``: text files in the workspace's own folder."""

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from steward.action import ActionContext, ActionDefinition, ActionFailed, Effect, Labelled, ParameterRole, RetryMode
from steward.actions.base import MAX_TEXT_CHARS, ONE_LINE, BuiltinAction, invalid, object_schema, require_unicode
from steward.actions.file_labels import label_by, mark_of
from steward.actions.workspace_files import MAX_PATH_CHARS, WorkspaceFiles
from steward.plan import MAX_RESULT_BYTES
from steward.provenance import Label

MAX_FILE_BYTES: Final = 64 * 1024
_LIST_BYTES: Final = MAX_RESULT_BYTES - 4096

_PATH: Final = {
    "type": "string",
    "minLength": 1,
    "maxLength": MAX_PATH_CHARS,
    "pattern": ONE_LINE,
    "description": "Path inside the workspace's folder, such as notes/today.txt.",
}
_TEXT: Final = {"type": "string", "maxLength": MAX_TEXT_CHARS, "description": "The text of the file."}
_SIZE: Final = {"type": "integer", "description": "Size in bytes."}


def _size_as_json(value: Any) -> int:
    return len(json.dumps(value, ensure_ascii=False).encode())


class FileWrite(BuiltinAction):
    """Writes a text file; writing the same again changes nothing, so a repeat is safe."""

    definition = ActionDefinition(
        id="file.write",
        title="Write a file",
        description="Writes text to a file in the workspace's folder, replacing what was there.",
        input_schema=object_schema({"path": _PATH, "text": _TEXT}, ("path", "text")),
        output_schema=object_schema({"path": _PATH, "size": _SIZE}, ("path", "size")),
        effect=Effect.WRITE,
        retry=RetryMode.KEYED,
        roles={"path": ParameterRole.DESTINATION, "text": ParameterRole.CONTENT},
        output_labels={"path": Label.SYSTEM, "size": Label.SYSTEM},
        primary_output="path",
        reversibility="irreversible: replaces what was in the file",
        timeout_s=20.0,
        sentences=("(write|save) {text:text} to [the] [file] {path:path}",),
    )

    def __init__(self, files: WorkspaceFiles) -> None:
        """Take the folders to write in."""
        self._files = files

    async def run(self, params: Mapping[str, Any], context: ActionContext) -> Any:
        """Return ``{path, size}``; raise ``ActionFailed`` if nothing was written."""
        content = require_unicode(params["text"], "The text").encode()
        if len(content) > MAX_FILE_BYTES:
            raise invalid(f"The text is larger than {MAX_FILE_BYTES // 1024} KB.")
        mark = mark_of(content, context.labels.get("text", Label.TRUSTED), context.actor_id)
        await asyncio.to_thread(self._files.write, context.workspace_id, params["path"], content, mark)
        return {"path": params["path"], "size": len(content)}


class FileRead(BuiltinAction):
    """Reads a text file. Its text is what it was when it was written; of a file that nobody knows, untrusted."""

    definition = ActionDefinition(
        id="file.read",
        title="Read a file",
        description="Reads a text file in the workspace's folder.",
        input_schema=object_schema({"path": _PATH}, ("path",)),
        output_schema=object_schema({"path": _PATH, "text": _TEXT, "size": _SIZE}, ("path", "text", "size")),
        effect=Effect.READ,
        retry=RetryMode.NONE,
        roles={"path": ParameterRole.OBJECT},
        output_labels={"path": Label.SYSTEM, "text": Label.UNTRUSTED, "size": Label.SYSTEM},
        primary_output="text",
        reversibility="no effect",
        timeout_s=20.0,
        sentences=("read [the] [file] {path:path}",),
    )

    def __init__(self, files: WorkspaceFiles) -> None:
        """Take the folders to read in."""
        self._files = files

    async def run(self, params: Mapping[str, Any], context: ActionContext) -> Any:
        """Return ``{path, text, size}`` with its labels; raise ``ActionFailed`` if there is no such text file or it is too large."""
        path = params["path"]
        content, mark = await asyncio.to_thread(self._files.read_marked, context.workspace_id, path, MAX_FILE_BYTES)
        try:
            text = content.decode()
        except UnicodeDecodeError as error:
            raise ActionFailed("not_text", "The file is not text in UTF-8.") from error
        result = {"path": path, "text": text, "size": len(content)}
        if _size_as_json(result) > MAX_RESULT_BYTES:
            raise ActionFailed("file_too_large", "The file is larger than a step's result may be (64 KB as JSON).")
        return Labelled(result, {**self.definition.output_labels, "text": label_by(mark, content, context.actor_id)})


class FileList(BuiltinAction):
    """Lists a folder. Names are whoever's who wrote the files, so they are untrusted."""

    definition = ActionDefinition(
        id="file.list",
        title="List files",
        description="Lists the files and folders in the workspace's folder, or in a folder inside it.",
        input_schema=object_schema(
            {"path": {**_PATH, "minLength": 0, "default": "", "description": "A folder; blank: the workspace's own."}},
            (),
        ),
        output_schema=object_schema(
            {
                "files": {
                    "type": "array",
                    "items": object_schema({"name": {"type": "string"}, "size": _SIZE}, ("name", "size")),
                    "description": "Files by name.",
                },
                "folders": {"type": "array", "items": {"type": "string"}, "description": "Folders by name."},
                "text": {"type": "string", "description": "The same as text, one name a line; folders end in '/'."},
                "truncated": {"type": "boolean", "description": "Whether there are more than fit."},
            },
            ("files", "folders", "text", "truncated"),
        ),
        effect=Effect.READ,
        retry=RetryMode.NONE,
        roles={"path": ParameterRole.OBJECT},
        output_labels={"files[].size": Label.SYSTEM, "truncated": Label.SYSTEM},
        primary_output="text",
        reversibility="no effect",
        timeout_s=20.0,
        sentences=("list [the] files [in {path:path}]",),
    )

    def __init__(self, files: WorkspaceFiles) -> None:
        """Take the folders to list."""
        self._files = files

    async def run(self, params: Mapping[str, Any], context: ActionContext) -> Any:
        """Return ``{files, folders, text, truncated}``; raise ``ActionFailed`` if there is no such folder."""
        found = await asyncio.to_thread(self._files.entries, context.workspace_id, params.get("path", ""))
        files, folders, lines, room = [], [], [], _LIST_BYTES
        for entry in found:
            if entry.is_folder:
                folders.append(entry.name)
            else:
                files.append({"name": entry.name, "size": entry.size})
            lines.append(entry.name + "/" * entry.is_folder)
            room -= 2 * _size_as_json(entry.name) + 40  # the name stands in the list and in the text
            if room < 0:
                break
        return {"files": files, "folders": folders, "text": "\n".join(lines), "truncated": len(lines) < len(found)}


def file_actions(root: Path) -> tuple[FileWrite, FileRead, FileList]:
    """Return the three actions on the folders under ``root``."""
    files = WorkspaceFiles(root)
    return FileWrite(files), FileRead(files), FileList(files)
