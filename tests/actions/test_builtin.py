"""The built-in actions as a set: declared soundly, the same in every process, and configured by their settings."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from steward.action import Action, ActionContext
from steward.actions import ActionCatalogue
from steward.actions.builtin import builtin_actions
from steward.actions.compute import Compute
from steward.actions.email import EmailSend
from steward.errors import ConfigurationError
from steward.language_model import LanguageModel, ModelAnswer, Question, Try, anything, unheard
from steward.provenance import Label
from tests.actions.conftest import fits
from tests.actions.servers import Mailbox, Site, mail_server, web_server

pytestmark = pytest.mark.anyio
NOTHING: dict[str, Any] = {
    "smtp_url": None,
    "smtp_from": None,
    "webhook_secrets": {},
    "http_allow_hosts": frozenset(),
    "files_root": Path("unused"),
}
IDS = [
    *("compute", "email.send", "file.list", "file.read", "file.write", "http.get"),
    *("llm.extract", "llm.generate", "plan.replan", "webhook.post"),
]
UNSAID = {"llm.extract"}
"""The type of what is extracted cannot be said in a sentence; whoever writes plans can give it."""
SLOT = re.compile(r"\{([a-z_]+):(email|emails|url|text|word|path|number|date|message)\}")


class SomeModel(LanguageModel):
    """A model that always says the same."""

    name = "some:model"

    async def ask(
        self, question: Question, fits: Callable[[Any], None] = anything, tell: Callable[[Try], None] = unheard
    ) -> ModelAnswer:
        """Say hello."""
        return ModelAnswer(value="Hello", tokens_in=1, tokens_out=1)

    async def aclose(self) -> None:
        """Have nothing to close."""


def by_id() -> dict[str, Action]:
    """Return the built-in actions of an installation without any setting."""
    return {action.definition.id: action for action in builtin_actions(**NOTHING)}


def test_the_catalogue_takes_them_all() -> None:
    """Ten actions, each with a sound id, schema and roles."""
    catalogue = ActionCatalogue()
    for action in builtin_actions(**NOTHING):
        catalogue.add(action)
    assert [definition.id for definition in catalogue.definitions()] == IDS


@pytest.mark.parametrize("name", IDS)
def test_every_schema_is_valid_closed_and_described(name: str) -> None:
    """JSON Schema 2020-12, no unknown parameters, a description for each, and defaults that fit."""
    definition = by_id()[name].definition
    schema = dict(definition.input_schema)
    Draft202012Validator.check_schema(schema)
    Draft202012Validator.check_schema(dict(definition.output_schema))
    assert schema["additionalProperties"] is False
    for parameter, described in schema["properties"].items():
        assert described["description"], parameter
        if "default" in described:
            Draft202012Validator(described).validate(described["default"])
    assert set(schema["required"]) <= set(schema["properties"])
    assert not fits(definition, {"surprise": 1})
    assert set(definition.roles) <= set(schema["properties"])
    if name == "plan.replan":  # it returns whatever steps return that are not known yet
        assert definition.output_schema["type"] == "array"
        return
    assert definition.output_schema["additionalProperties"] is False
    assert {path.split("[")[0].split(".")[0] for path in definition.output_labels} <= set(
        definition.output_schema["properties"]
    )
    assert definition.primary_output in definition.output_schema["properties"]


@pytest.mark.parametrize("name", IDS)
def test_every_pattern_refuses_a_trailing_newline(name: str) -> None:
    """Python's ``$`` would let one through, so no pattern ends in it."""
    patterns: list[str] = []

    def collect(node: Any) -> None:
        if isinstance(node, dict):
            if isinstance(node.get("pattern"), str):
                patterns.append(node["pattern"])
            for value in node.values():
                collect(value)
        elif isinstance(node, list):
            for value in node:
                collect(value)

    collect(by_id()[name].definition.input_schema)
    for pattern in patterns:
        re.compile(pattern)
        assert "$" not in pattern.replace(r"\$", "")


@pytest.mark.parametrize("name", IDS)
def test_sentences_use_the_actions_own_parameters(name: str) -> None:
    """Each template names at least one parameter, only existing ones, with slot types the planner knows."""
    definition = by_id()[name].definition
    assert bool(definition.sentences) is (name not in UNSAID)
    for sentence in definition.sentences:
        slots = SLOT.findall(sentence)
        assert slots
        assert len(slots) == sentence.count("{")
        assert {parameter for parameter, _ in slots} <= set(definition.input_schema["properties"])


@pytest.mark.slow
def test_definition_hashes_are_the_same_in_every_process() -> None:
    """A plan checked in one process is recognised in another, whatever its hash seed."""
    script = (
        "from pathlib import Path\nfrom steward.actions.builtin import builtin_actions\n"
        "for a in builtin_actions(smtp_url=None, smtp_from=None, webhook_secrets={}, http_allow_hosts=frozenset(), "
        "files_root=Path('unused')): print(a.definition.id, a.definition.definition_hash)"
    )
    here = "".join(f"{name} {action.definition.definition_hash}\n" for name, action in by_id().items())
    for seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": seed}
        )
        assert done.stdout == here


async def test_compute_returns_its_value(context: ActionContext) -> None:
    """Any JSON value comes back as it went in, under ``value``; nothing about it becomes more trusted."""
    for value in (None, 0, "x", [1, {"a": None}], {"b": [True]}):
        assert fits(Compute().definition, {"value": value})
        assert await Compute().run({"value": value}, context) == {"value": value}
    definition = Compute().definition
    assert definition.effect == "read"
    assert definition.role_of("value") == "content"
    assert definition.label_of("value") is Label.UNTRUSTED
    assert not fits(definition, {})


async def test_the_settings_reach_the_actions(tmp_path: Path, context: ActionContext) -> None:
    """A mail account, a secret, an allowed host, a folder and a language model make all of them work."""
    mailbox, site = Mailbox(), Site({"/": (200, {"content-type": "text/plain"}, b"page")})
    async with mail_server(mailbox) as smtp, web_server(site) as port:
        actions = {
            action.definition.id: action
            for action in builtin_actions(
                smtp_url=f"smtp://127.0.0.1:{smtp}",
                smtp_from="steward@example.org",
                webhook_secrets={"127.0.0.1": "whsec_" + "A" * 32},
                http_allow_hosts=frozenset({f"127.0.0.1:{port}"}),
                files_root=tmp_path / "files",
                model=SomeModel(),
            )
        }
        assert all(action.definition.enabled for action in actions.values())
        url = f"http://127.0.0.1:{port}/"
        page = (await actions["http.get"].run({"url": url}, context))["text"]
        await actions["file.write"].run({"path": "page.txt", "text": page}, context)
        await actions["email.send"].run(
            {"to": "office@example.com", "text": "See page.", "attachments": [{"file": "page.txt"}]}, context
        )
        await actions["webhook.post"].run({"url": url, "payload": {"text": "done"}}, context)
        assert await actions["llm.generate"].run({"instruction": "Greet."}, context) == {"text": "Hello"}
    mail = mailbox.arrived[0].content
    assert isinstance(mail, bytes)
    assert b'filename="page.txt"' in mail
    assert site.requests[-1].headers["webhook-signature"].startswith("v1,")
    assert (tmp_path / "files" / "acme" / "page.txt").read_text() == "page"


@pytest.mark.parametrize(
    ("setting", "names"),
    [
        ({"smtp_url": "http://x"}, "SMTP_URL"),
        ({"smtp_url": "smtp://127.0.0.1:25"}, "SMTP_FROM"),
        ({"webhook_secrets": {"x.example.com": "secret"}}, "WEBHOOK_SECRETS"),
        ({"http_allow_hosts": frozenset({"http://x"})}, "HTTP_ALLOW_HOSTS"),
    ],
)
def test_a_wrong_setting_stops_the_start_and_is_named(setting: dict[str, Any], names: str) -> None:
    """One sentence that names the variable."""
    with pytest.raises(ConfigurationError, match=names):
        builtin_actions(**{**NOTHING, **setting})


def test_only_mail_and_models_are_disabled_without_settings() -> None:
    """Everything else works at once."""
    disabled = [name for name, action in by_id().items() if not action.definition.enabled]
    assert disabled == ["email.send", "llm.extract", "llm.generate"]
    assert isinstance(by_id()["email.send"], EmailSend)
