"""How a language model is chosen: what stops a start, what is never loaded, and what is never shown."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from steward.bootstrap import build_model, build_telemetry
from steward.errors import ConfigurationError
from steward.language_models import any_provider
from steward.language_models.any_provider import ModelAddress
from steward.settings import Settings
from tests.installation import SECRET
from tests.language_models.provider import KEY


def load(home: Path, **env: str) -> Settings:
    """Return settings of ``env`` with what is always needed."""
    return Settings.load({"STEWARD_HOME": str(home), "STEWARD_SECRET_KEY": SECRET, **env})


@pytest.mark.parametrize(
    ("model", "variable"),
    [
        ("openai:a", "OPENAI_API_KEY"),
        ("anthropic:a", "ANTHROPIC_API_KEY"),
        ("google:a", "GOOGLE_API_KEY"),
    ],
)
def test_a_missing_key_stops_the_start_and_is_named(tmp_path: Path, model: str, variable: str) -> None:
    """Each provider has a key of its own; another one's does not do."""
    others = {f"{name}_API_KEY": KEY for name in ("OPENAI", "ANTHROPIC", "GOOGLE") if not variable.startswith(name)}
    with pytest.raises(ConfigurationError, match=f"^{variable} is not set"):
        load(tmp_path, AI_MODEL=model, **others)
    assert load(tmp_path, AI_MODEL=model, **{variable: KEY}).ai_key == KEY


def test_a_server_of_ones_own_needs_no_key(tmp_path: Path) -> None:
    """With an address, openai means the protocol."""
    settings = load(tmp_path, AI_MODEL="openai:llama3.3:70b", AI_BASE_URL="http://localhost:11434/v1/")
    assert settings.ai_model == ("openai", "llama3.3:70b")
    assert settings.ai_base_url == "http://localhost:11434/v1"


def test_no_key_is_shown(tmp_path: Path) -> None:
    """Neither of the settings nor of the address made of them."""
    settings = load(tmp_path, AI_MODEL="openai:a", OPENAI_API_KEY=KEY, ANTHROPIC_API_KEY=KEY, GOOGLE_API_KEY=KEY)
    assert KEY not in repr(settings)
    assert KEY not in repr(ModelAddress(provider="openai", model="a", key=KEY))


def test_missing_libraries_stop_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With one sentence that says what to install."""
    monkeypatch.setattr(any_provider, "find_spec", lambda name: None)
    unused: Any = None
    settings, telemetry = load(tmp_path, AI_MODEL="openai:a", OPENAI_API_KEY=KEY), build_telemetry(load(tmp_path))
    with pytest.raises(ConfigurationError, match=r"steward\[ai\]"):
        build_model(settings, unused, unused, telemetry)


def test_the_libraries_are_loaded_with_the_first_question() -> None:
    """They take seconds, which no start has."""
    script = (
        "import steward.bootstrap\nimport sys\nprint([name for name in sys.modules if name.startswith('pydantic_ai')])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("given", ["AI_PRICE_READ", "AI_PRICE_WRITTEN"])
def test_a_limit_in_money_needs_prices(tmp_path: Path, given: str) -> None:
    """What a token costs is not guessed: the start is refused and names what lacks."""
    with pytest.raises(ConfigurationError, match="AI_PRICE_") as caught:
        load(tmp_path, AI_MAX_COST_PER_DAY="5", **{given: "1.25"})
    assert given not in str(caught.value)
