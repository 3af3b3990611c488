"""``email.send``: one mail through the installation's mail server.

It is handed over at most once: what failed before the server took it may be tried again, and what was sent without an
answer is unknown and waits for a person.
"""

import asyncio
import ssl
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

from steward.action import ActionContext, ActionDefinition, ActionFailed, Effect, ParameterRole, RetryMode
from steward.actions import attachments as files
from steward.actions.addresses import ADDRESS_PATTERN, MAX_ADDRESS_CHARS, MailAddress, parse_address
from steward.actions.base import END, MAX_TEXT_CHARS, NO_NUL, ONE_LINE, BuiltinAction, invalid, object_schema
from steward.actions.file_labels import label_by
from steward.actions.mail_html import cleaned_html
from steward.actions.message import MAX_SUBJECT_CHARS, Envelope, Letter, build, checked_body, checked_subject
from steward.actions.smtp import ANSWER_S, SmtpAccount, deliver
from steward.actions.workspace_files import MAX_PATH_CHARS, WorkspaceFiles
from steward.clock import Clock, SystemClock
from steward.provenance import Label, at_least

MAX_RECIPIENTS: Final = 100
NO_SUBJECT: Final = "(no subject)"

_ADDRESS: Final = {
    "type": "string",
    "minLength": 3,
    "maxLength": MAX_ADDRESS_CHARS,
    "pattern": ADDRESS_PATTERN,
    "description": "An address such as office@example.com.",
}


def _addresses(description: str, least: int) -> dict[str, Any]:
    many = {"type": "array", "items": _ADDRESS, "minItems": least, "maxItems": MAX_RECIPIENTS}
    return {"anyOf": [_ADDRESS, many], "description": description}


_ATTACHMENT: Final = {
    **object_schema(
        {
            "filename": {
                "type": "string",
                "minLength": 1,
                "maxLength": MAX_PATH_CHARS,
                "pattern": ONE_LINE,
                "description": "Name shown to the reader; only its last part is kept. Default: the file's own.",
            },
            "content_type": {
                "type": "string",
                "pattern": ONE_LINE,
                "maxLength": 200,
                "description": "Such as application/pdf. Default: by the ending of the name.",
            },
            "content_base64": {
                "type": "string",
                "pattern": rf"^(?:[A-Za-z0-9+/]{{4}})*(?:[A-Za-z0-9+/]{{2}}==|[A-Za-z0-9+/]{{3}}=)?{END}",
                "description": "The content itself.",
            },
            "file": {
                "type": "string",
                "minLength": 1,
                "maxLength": MAX_PATH_CHARS,
                "pattern": ONE_LINE,
                "description": "A file in the workspace's folder instead, up to 10 MB.",
            },
        },
        (),
    ),
    "oneOf": [{"required": ["filename", "content_base64"]}, {"required": ["file"]}],
}

_INPUT: Final = object_schema(
    {
        "to": _addresses("Who gets it: one address or a list.", 1),
        "cc": _addresses("Who gets a copy that everyone can see.", 0),
        "bcc": _addresses("Who gets a copy that nobody else can see.", 0),
        "reply_to": _addresses("Where answers go, if not to the sender.", 0),
        "subject": {
            "type": "string",
            "maxLength": MAX_SUBJECT_CHARS,
            "pattern": ONE_LINE + r"(?![\s\S]*=\?)",
            "default": NO_SUBJECT,
            "description": "One line.",
        },
        "text": {
            "type": "string",
            "maxLength": MAX_TEXT_CHARS,
            "pattern": NO_NUL,
            "description": "The mail as plain text.",
        },
        "html": {
            "type": "string",
            "maxLength": MAX_TEXT_CHARS,
            "pattern": NO_NUL,
            "description": "The same as HTML, for readers that show it. Scripts, forms and uncommon styles are taken out; "
            "links and pictures are http, https or mailto.",
        },
        "attachments": {
            "type": "array",
            "items": _ATTACHMENT,
            "maxItems": files.MAX_ATTACHMENTS,
            "description": "Files to attach, together up to 10 MB.",
        },
    },
    ("to", "text"),
)

_OUTPUT: Final = object_schema(
    {
        "message_id": {"type": "string", "description": "Message-ID of the mail."},
        "accepted": {
            "type": "array",
            "items": {"type": "string"},
            "description": "Addresses the server accepted it for.",
        },
        "subject": {"type": "string", "description": "The subject as sent."},
    },
    ("message_id", "accepted", "subject"),
)


def _definition(*, enabled: bool) -> ActionDefinition:
    return ActionDefinition(
        id="email.send",
        title="Send an e-mail",
        description="Sends an e-mail to one or more addresses, with text, optionally HTML and attachments.",
        input_schema=_INPUT,
        output_schema=_OUTPUT,
        effect=Effect.WRITE,
        retry=RetryMode.NONE,
        roles={
            "to": ParameterRole.DESTINATION,
            "cc": ParameterRole.DESTINATION,
            "bcc": ParameterRole.DESTINATION,
            "reply_to": ParameterRole.DESTINATION,
            "subject": ParameterRole.CONTENT,
            "text": ParameterRole.CONTENT,
            "html": ParameterRole.CONTENT,
            "attachments": ParameterRole.OBJECT,
        },
        output_labels={"message_id": Label.SYSTEM, "accepted": Label.SYSTEM, "subject": Label.UNTRUSTED},
        primary_output="message_id",
        groups=frozenset({"external", "message"}),
        timeout_s=120.0,
        sentences=(
            "send [an] (email|mail|e-mail) to {to:emails} [with subject {subject:text}] (saying|with text|that says) {text:text}",
            "(email|mail) {text:text} to {to:emails} [with subject {subject:text}]",
            "(email|mail) {to:emails} (saying|that says) {text:text}",
        ),
        enabled=enabled,
        disabled_because="" if enabled else "Set SMTP_URL (and SMTP_FROM) to the mail server to send through.",
    )


def _each(params: Mapping[str, Any], name: str) -> tuple[MailAddress, ...]:
    """Return the addresses of a parameter, each once."""
    given: str | Sequence[str] = params.get(name, ())
    listed = [given] if isinstance(given, str) else given
    return tuple(dict.fromkeys(parse_address(text, f"An address in '{name}'") for text in listed))


class EmailSend(BuiltinAction):
    """Sends mail from the installation's own account."""

    def __init__(
        self,
        account: SmtpAccount | None,
        *,
        files: WorkspaceFiles | None = None,
        clock: Clock | None = None,
        tls_context: ssl.SSLContext | None = None,
        answer_s: float = ANSWER_S,
    ) -> None:
        """Take the account (None: the action is disabled) and the folders that attached files come from."""
        self.definition = _definition(enabled=account is not None)
        self._account = account
        self._files = files
        self._clock = clock or SystemClock()
        self._tls_context = tls_context
        self._answer_s = answer_s

    async def run(self, params: Mapping[str, Any], context: ActionContext) -> Any:
        """Return ``{message_id, accepted, subject}`` once the server took the mail for everyone.

        Raises ``ActionFailed`` if it was certainly not sent, ``OutcomeUnknown`` if it was sent and no answer came.
        """
        if self._account is None:
            raise ActionFailed("not_configured", self.definition.disabled_because)
        envelope = await asyncio.to_thread(self._compose, self._account, params, context)
        await deliver(self._account, envelope, tls_context=self._tls_context, answer_s=self._answer_s)
        return {
            "message_id": envelope.message_id,
            "accepted": [str(recipient) for recipient in envelope.recipients],
            "subject": params.get("subject", NO_SUBJECT),
        }

    def _compose(self, account: SmtpAccount, params: Mapping[str, Any], context: ActionContext) -> Envelope:
        html = params.get("html")
        letter = Letter(
            sender=account.sender,
            to=_each(params, "to"),
            cc=_each(params, "cc"),
            bcc=_each(params, "bcc"),
            reply_to=_each(params, "reply_to"),
            subject=checked_subject(params.get("subject", NO_SUBJECT)),
            text=checked_body(params["text"], "The text"),
            html=None
            if html is None
            else cleaned_html(checked_body(html, "The html"), links=context.labels.get("html") is not Label.UNTRUSTED),
            attachments=files.prepare(
                params.get("attachments", []), lambda path, most: self._file(path, most, context)
            ),
        )
        if not letter.to or len(letter.recipients) > MAX_RECIPIENTS:
            raise invalid(f"A mail goes to 1 to {MAX_RECIPIENTS} addresses, to, cc and bcc together.")
        return build(letter, key=f"{context.workspace_id}:{context.idempotency_key}", date=self._clock.now())

    def _file(self, path: str, max_bytes: int, context: ActionContext) -> bytes:
        content, label = self._labelled(path, max_bytes, context)
        if not at_least(label, context.labels.get("attachments", label)):
            raise ActionFailed("file_changed", "A file changed just before it was to be sent.", retryable=True)
        return content

    def _labelled(self, path: str, max_bytes: int, context: ActionContext) -> tuple[bytes, Label]:
        if self._files is None:
            raise invalid("Files of the workspace cannot be attached here.")
        content, mark = self._files.read_marked(context.workspace_id, path, max_bytes)
        return content, label_by(mark, content, context.actor_id)

    async def stored(self, params: Mapping[str, Any], context: ActionContext) -> Mapping[str, Label]:
        """Return how far the files to be attached can be trusted; one that cannot be read will not be sent either."""
        return await asyncio.to_thread(self._stored, params, context)

    def _stored(self, params: Mapping[str, Any], context: ActionContext) -> dict[str, Label]:
        found = {}
        for index, item in enumerate(params.get("attachments", ())):
            if isinstance(path := item.get("file"), str):
                with suppress(ActionFailed):
                    label = self._labelled(path, files.MAX_TOTAL_BYTES, context)[1]
                    found[f"attachments/{index}/file"] = label
        return found
