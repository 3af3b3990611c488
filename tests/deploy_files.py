"""What is in ``deploy/``, read for tests."""

import re
from pathlib import Path
from typing import Any, Final

import yaml

DEPLOY: Final = Path(__file__).parent.parent / "deploy"
UNITS: Final = sorted((DEPLOY / "systemd").glob("*.service"))


def compose() -> dict[str, Any]:
    """Return the compose file."""
    return yaml.safe_load((DEPLOY / "compose.yaml").read_text())


def rules() -> list[dict[str, Any]]:
    """Return the alert rules."""
    return yaml.safe_load((DEPLOY / "prometheus" / "alerts.yaml").read_text())["groups"][0]["rules"]


def environment_example() -> dict[str, str]:
    """Return the variables of the example, with their values."""
    lines = (DEPLOY / "steward.env.example").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def unit(path: Path) -> dict[str, str]:
    """Return the last value of each setting of a systemd unit."""
    lines = (line for line in path.read_text().splitlines() if "=" in line and not line.startswith("#"))
    return dict(line.split("=", 1) for line in lines)


def selectors(expression: str) -> list[tuple[str, dict[str, tuple[str, str]]]]:
    """Return each metric that an expression names, with its matchers: label to operator and value."""
    found = re.findall(r"\b([a-z_]+_(?:total|bucket|count|sum|depth)|up)\b(?:\{([^}]*)\})?", expression)
    return [(name, {label: (how, what) for label, how, what in _MATCHER.findall(inside)}) for name, inside in found]


_MATCHER: Final = re.compile(r'(\w+)(=~|!~|!=|=)"([^"]*)"')
