"""Makes the built-in actions from an installation's settings."""

from collections.abc import Mapping
from pathlib import Path

from steward.action import Action
from steward.actions.compute import Compute
from steward.actions.email import EmailSend
from steward.actions.files import FileList, FileRead, FileWrite
from steward.actions.guarded_http import GuardedHttp
from steward.actions.http_get import HttpGet
from steward.actions.llm import LlmExtract, LlmGenerate
from steward.actions.replan import PlanReplan
from steward.actions.smtp import smtp_account
from steward.actions.webhook import WebhookPost
from steward.actions.workspace_files import WorkspaceFiles
from steward.clock import Clock
from steward.language_model import LanguageModel


def builtin_actions(
    *,
    smtp_url: str | None,
    smtp_from: str | None,
    webhook_secrets: Mapping[str, str],
    http_allow_hosts: frozenset[str],
    files_root: Path,
    clock: Clock | None = None,
    model: LanguageModel | None = None,
) -> tuple[Action, ...]:
    """Return every built-in action; those that lack a setting are disabled and say which.

    Raises ``ConfigurationError`` naming SMTP_URL, SMTP_FROM, WEBHOOK_SECRETS or HTTP_ALLOW_HOSTS for a wrong value.
    """
    files = WorkspaceFiles(files_root)
    http = GuardedHttp(http_allow_hosts)
    account = smtp_account(smtp_url, smtp_from) if smtp_url else None
    return (
        EmailSend(account, files=files, clock=clock),
        WebhookPost(http, webhook_secrets, clock=clock),
        HttpGet(http),
        FileWrite(files),
        FileRead(files),
        FileList(files),
        Compute(),
        LlmExtract(model),
        LlmGenerate(model),
        PlanReplan(),
    )
