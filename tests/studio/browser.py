"""The browser that these tests look through: Debian's Chromium, installed where it may be."""

import os
import shutil
import subprocess
from typing import Final

import pytest

_NAMES: Final = ("chromium", "chromium-browser", "google-chrome")
_HOW: Final = "The tests of Studio need Chromium: as root, 'apt-get update && apt-get install --yes chromium'."
_INSTALL_S: Final = 300


def chromium() -> str:
    """Return the path of Chromium, installing it from the system's packages if this account may."""
    if not (found := _found()) and os.geteuid() == 0 and shutil.which("apt-get"):
        for command in (["update"], ["install", "--yes", "--no-install-recommends", "chromium"]):
            subprocess.run(
                ["apt-get", "--quiet", "--quiet", *command],
                env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
                stdout=subprocess.DEVNULL,
                timeout=_INSTALL_S,
                check=False,
            )
        found = _found()
    if not found:
        pytest.fail(_HOW, pytrace=False)
    return found


def _found() -> str | None:
    return next((path for name in _NAMES if (path := shutil.which(name))), None)
