"""Puts Studio into what is built for others: a wheel carries the page, so that whoever installs it needs no node.

An editable install gets none; there ``make studio`` builds it. From a source distribution, which carries the page already,
a wheel is built without node.
"""

import importlib.util
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class StudioHook(BuildHookInterface):
    """Builds Studio before the files are collected."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002 - the hook's signature
        """Build it, unless what lies there was built from the same sources."""
        if version == "editable":
            return
        path = Path(self.root) / "studio" / "build.py"
        spec = importlib.util.spec_from_file_location("studio_build", path)
        assert spec is not None
        assert spec.loader is not None
        studio = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(studio)
        studio.build()
