"""``file.write``, ``file.read`` and ``file.list`` on a real folder."""

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from steward.action import Action, ActionContext, ActionFailed, Labelled
from steward.actions.files import MAX_FILE_BYTES, file_actions
from steward.errors import Invalid
from steward.plan import MAX_RESULT_BYTES
from steward.provenance import Label
from tests.actions.conftest import attempt, fits

pytestmark = pytest.mark.anyio


async def refusal(action: Action, params: dict[str, Any]) -> ActionFailed:
    """Run and return the ``ActionFailed`` that must come."""
    with pytest.raises(ActionFailed) as caught:
        await action.run(params, attempt())
    return caught.value


async def read_value(read: Action, params: dict[str, Any], context: ActionContext) -> Any:
    """Read, and return what was read without its labels."""
    result = await read.run(params, context)
    assert isinstance(result, Labelled)
    return result.value


def inside(root: Path) -> dict[str, bytes]:
    """Return every file under ``root``, drafts and links included, but for the marks that say where a text came from."""
    found = (path for path in root.rglob("*") if path.is_file() and path.suffix != ".mark")
    return {str(path.relative_to(root)): path.read_bytes() for path in found}


async def test_what_is_written_is_read_and_listed(tmp_path: Path, context: ActionContext) -> None:
    """Text comes back as it went in, folders are made on the way, and the results fit their schemas."""
    write, read, listing = file_actions(tmp_path / "files")
    text = "Grüße\r\n\ttab \0 end 👋\n"
    assert await write.run({"path": "notes/März/a b.txt", "text": text}, context) == {
        "path": "notes/März/a b.txt",
        "size": len(text.encode()),
    }
    result = await read_value(read, {"path": "notes/März/a b.txt"}, context)
    assert result == {"path": "notes/März/a b.txt", "text": text, "size": len(text.encode())}
    Draft202012Validator(dict(read.definition.output_schema)).validate(result)
    assert (await listing.run({}, context))["text"] == "notes/"
    listed = await listing.run({"path": "notes/März/"}, context)
    assert listed == {
        "files": [{"name": "a b.txt", "size": len(text.encode())}],
        "folders": [],
        "text": "a b.txt",
        "truncated": False,
    }
    Draft202012Validator(dict(listing.definition.output_schema)).validate(listed)


async def test_writing_again_replaces_the_whole_file_and_leaves_nothing_behind(
    tmp_path: Path, context: ActionContext
) -> None:
    """A repeat is the same as once; a shorter text leaves no rest; no draft stays; others cannot read it."""
    write, read, _ = file_actions(tmp_path)
    for text in ("a long first text", "short", "short"):
        await write.run({"path": "a.txt", "text": text}, context)
    assert (await read_value(read, {"path": "a.txt"}, context))["text"] == "short"
    assert inside(tmp_path) == {"acme/a.txt": b"short"}
    assert (tmp_path / "acme" / "a.txt").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "acme").stat().st_mode & 0o777 == 0o700


async def test_readers_never_see_half_a_file(tmp_path: Path, context: ActionContext) -> None:
    """While two texts take turns, every reader gets one of them whole."""
    write, read, _ = file_actions(tmp_path)
    texts = {letter: letter * 20_000 for letter in "ab"}
    await write.run({"path": "a.txt", "text": texts["a"]}, context)
    turns = [write.run({"path": "a.txt", "text": texts["ab"[turn % 2]]}, context) for turn in range(20)]
    looks = [read_value(read, {"path": "a.txt"}, context) for _ in range(20)]
    results = await asyncio.gather(*turns, *looks)
    assert {result["text"] for result in results[20:]} <= set(texts.values())


BAD_PATHS = [
    "..", "../other/a.txt", "a/../../other/a.txt", "a/..", ".", "./a.txt", "a/./b", "/etc/passwd", "//a", "a//b", "a/", "/",
    "a\\b.txt", "..\\a.txt", "C:\\a.txt", "C:a.txt", "a\0b", "a\nb", "a.txt\n", "a\x7fb", "a\u2028b", ".hidden", "a/.git/b",
    " a", "a ", "a.", "CON", "con.txt", "Nul", "aux.tar.gz", "COM1", "lpt9.txt", "a/PRN/b", "x\u202etxt.exe", "x" * 256,
    "ü" * 128, "a/" * 600 + "a", "/".join("abcdefghijklmnopq"), "\ud800", "~/a.txt.", "file:a",
]  # fmt: skip


@pytest.mark.parametrize("path", BAD_PATHS)
async def test_no_path_leads_out_or_is_oddly_written(path: str, tmp_path: Path) -> None:
    """Every action refuses every such path, and nothing is made, read or changed anywhere."""
    root = tmp_path / "root"
    (root / "acme").mkdir(parents=True)
    (root / "other").mkdir()
    (root / "other" / "a.txt").write_text("theirs")
    before = inside(tmp_path)
    write, read, listing = file_actions(root)
    for refused in (await refusal(write, {"path": path, "text": "x"}), await refusal(read, {"path": path})):
        assert refused.code in {"path_refused", "invalid_params"}
        assert not refused.retryable
    if path not in {"/", "a/"}:
        assert (await refusal(listing, {"path": path})).code in {"path_refused", "invalid_params"}
    assert inside(tmp_path) == before
    assert not (root / "acme" / "a").exists()


async def test_links_are_never_followed(tmp_path: Path) -> None:
    """A link to a file or folder outside is not read, written through, listed or walked over."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.txt").write_text("secret")
    home = tmp_path / "root" / "acme"
    home.mkdir(parents=True)
    (home / "file.txt").symlink_to(outside / "secret.txt")
    (home / "folder").symlink_to(outside)
    (home / "dangling").symlink_to(outside / "new.txt")
    write, read, listing = file_actions(tmp_path / "root")
    for path in ("file.txt", "folder/secret.txt", "dangling"):
        assert (await refusal(read, {"path": path})).code == "path_refused"
        assert (await refusal(write, {"path": path, "text": "x"})).code == "path_refused"
    assert (await refusal(write, {"path": "folder/sub/x.txt", "text": "x"})).code == "path_refused"
    assert (await refusal(listing, {"path": "folder"})).code == "path_refused"
    assert (await listing.run({}, attempt()))["text"] == ""
    assert inside(outside) == {"secret.txt": b"secret"}


async def test_a_workspace_folder_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    """Not even the workspace's own folder may point elsewhere."""
    (tmp_path / "root").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "root" / "acme").symlink_to(tmp_path / "elsewhere")
    write, _, listing = file_actions(tmp_path / "root")
    assert (await refusal(write, {"path": "a.txt", "text": "x"})).code == "path_refused"
    assert (await refusal(listing, {})).code == "path_refused"
    assert inside(tmp_path / "elsewhere") == {}


async def test_workspaces_do_not_see_each_other(tmp_path: Path) -> None:
    """The same path is another file in another workspace, and a malformed workspace has none."""
    write, read, listing = file_actions(tmp_path)
    await write.run({"path": "a.txt", "text": "mine"}, attempt("acme"))
    await write.run({"path": "a.txt", "text": "theirs"}, attempt("other"))
    assert (await read_value(read, {"path": "a.txt"}, attempt("acme")))["text"] == "mine"
    assert (await listing.run({}, attempt("third")))["files"] == []
    for name in ("..", ".", "", "a/b", "ACME", "acme\n"):
        with pytest.raises(Invalid):
            await read_value(read, {"path": "a.txt"}, attempt(name))


async def test_what_is_no_file_is_refused_without_hanging(tmp_path: Path) -> None:
    """Folders and pipes are not files, files are not folders, and missing ones are said to be missing."""
    home = tmp_path / "acme"
    (home / "folder").mkdir(parents=True)
    os.mkfifo(home / "pipe")
    (home / "file.txt").write_text("x")
    write, read, listing = file_actions(tmp_path)
    for path in ("folder", "pipe", "file.txt/a"):
        assert (await refusal(read, {"path": path})).code == "path_refused"
        assert (await refusal(write, {"path": path, "text": "x"})).code == "path_refused"
    assert (await refusal(listing, {"path": "file.txt"})).code == "path_refused"
    assert (await refusal(read, {"path": "missing.txt"})).code == "file_not_found"
    assert (await refusal(read, {"path": "missing/a.txt"})).code == "file_not_found"
    assert (await refusal(listing, {"path": "missing"})).code == "file_not_found"
    assert (await listing.run({}, attempt()))["text"] == "file.txt\nfolder/"


async def test_sizes_are_bounded(tmp_path: Path, context: ActionContext) -> None:
    """The documented largest text passes in and out as far as a result can carry it; more is a clear failure."""
    write, read, _ = file_actions(tmp_path)
    await write.run({"path": "full.txt", "text": "x" * MAX_FILE_BYTES}, context)
    assert (await refusal(write, {"path": "b.txt", "text": "x" * (MAX_FILE_BYTES + 1)})).code == "invalid_params"
    assert (await refusal(write, {"path": "b.txt", "text": "ü" * MAX_FILE_BYTES})).code == "invalid_params"
    home = tmp_path / "acme"
    (home / "large.txt").write_bytes(b"x" * (MAX_FILE_BYTES + 1))
    (home / "wide.txt").write_bytes(b"\x01" * 20_000)
    (home / "most.txt").write_bytes(b"x" * (MAX_FILE_BYTES - 100))
    for name in ("full.txt", "large.txt", "wide.txt"):
        assert (await refusal(read, {"path": name})).code == "file_too_large"
    result = await read_value(read, {"path": "most.txt"}, context)
    assert len(json.dumps(result).encode()) <= MAX_RESULT_BYTES


async def test_what_is_not_utf8_is_not_text(tmp_path: Path) -> None:
    """Bytes that are no text are refused, as is half a character on the way in."""
    (tmp_path / "acme").mkdir()
    (tmp_path / "acme" / "a.png").write_bytes(b"\x89PNG\xff")
    write, read, _ = file_actions(tmp_path)
    assert (await refusal(read, {"path": "a.png"})).code == "not_text"
    assert (await refusal(write, {"path": "a.txt", "text": "\ud800"})).code == "invalid_params"


async def test_a_full_folder_is_listed_as_far_as_it_fits(tmp_path: Path, context: ActionContext) -> None:
    """Sorted by name, without hidden files, cut with a note where a result would grow too large."""
    home = tmp_path / "acme"
    home.mkdir()
    for number in range(600):
        (home / f"{number:03}{'x' * 200}").touch()
    (home / ".draft.part").touch()
    listed = await file_actions(tmp_path)[2].run({}, context)
    names = [entry["name"] for entry in listed["files"]]
    assert names == sorted(names)
    assert names[0].startswith("000")
    assert listed["truncated"]
    assert len(json.dumps(listed, ensure_ascii=False).encode()) <= MAX_RESULT_BYTES


async def test_a_folder_that_cannot_be_made_is_a_clear_failure(tmp_path: Path) -> None:
    """A file where the files' root should be: nothing is written, and the failure says so."""
    (tmp_path / "root").write_text("in the way")
    write, _, _ = file_actions(tmp_path / "root")
    assert not (await refusal(write, {"path": "a.txt", "text": "x"})).retryable
    assert (tmp_path / "root").read_text() == "in the way"


def test_roles_and_labels() -> None:
    """What a file holds is untrusted; where something is written to is a destination."""
    write, read, listing = (action.definition for action in file_actions(Path("unused")))
    assert read.label_of("text") == listing.label_of("text") == listing.label_of("files") == Label.UNTRUSTED
    assert (write.role_of("path"), read.role_of("path"), listing.role_of("path")) == ("destination", "object", "object")
    assert (write.effect, write.retry, read.effect, listing.effect) == ("write", "keyed", "read", "read")
    assert fits(write, {"path": "a.txt", "text": ""})
    assert fits(listing, {})
    for wrong in ({"path": ""}, {"path": "a\n"}, {"path": "x" * 1025}, {"path": "a", "mode": "w"}, {"path": 1}):
        assert not fits(read, wrong)
