"""Where actions may reach, and what must not be seen on the way."""

from typing import Final

from guard.mutation import Mutation

_ATTEMPT: Final = "src/steward/attempt.py"
_VAULT: Final = "src/steward/vault.py"

SECRETS_AND_WAYS_OUT: Final = (
    Mutation(
        name="private-addresses",
        removes="an action reaches public addresses only",
        file="src/steward/actions/guarded_http.py",
        find="if not exempt and not all(is_public(address) for address in addresses):",
        put="if not addresses:",
        tests=("tests/actions/test_guarded_http.py", "tests/actions/test_http_get.py"),
    ),
    Mutation(
        name="one-public-address-is-enough",
        removes="every address of a name must be public",
        file="src/steward/actions/guarded_http.py",
        find="if not exempt and not all(is_public(address) for address in addresses):",
        put="if not exempt and not any(is_public(address) for address in addresses):",
        tests=("tests/actions/test_guarded_http.py",),
    ),
    Mutation(
        name="redirects-unchecked",
        removes="each redirect is checked like the first address",
        file="src/steward/actions/guarded_http.py",
        find="            request = response.next_request\n",
        put="            request = response.next_request\n"
        "            client._transport._allowed |= {(host_of(request.url), None)}\n",
        tests=("tests/actions/test_guarded_http.py",),
    ),
    Mutation(
        name="line-breaks-in-headers",
        removes="no line break stands in a header",
        file="src/steward/actions/base.py",
        find="    if not re.match(ONE_LINE, value):\n",
        put="    if False:\n",
        tests=("tests/actions/test_email_input.py", "tests/actions/test_webhook.py", "tests/actions/test_files.py"),
    ),
    Mutation(
        name="paths-lead-out",
        removes="a file's path stays inside the workspace's folder",
        file="src/steward/actions/workspace_files.py",
        find='    if not name or name.startswith(".") or name.endswith((".", " ")) or name != name.strip():\n',
        put="    if not name:\n",
        tests=("tests/actions/test_files.py",),
    ),
    Mutation(
        name="links-are-followed",
        removes="no link is followed",
        file="src/steward/actions/workspace_files.py",
        find="_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC",
        put="_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC",
        tests=("tests/actions/test_files.py",),
    ),
    Mutation(
        name="results-in-clear",
        removes="results are shown redacted",
        file="src/steward/results.py",
        find="redact(result)",
        put="result",
        tests=("tests/worker/test_results.py",),
    ),
    Mutation(
        name="errors-in-clear",
        removes="what an action says about a failure is shown redacted",
        file=_ATTEMPT,
        find="JobError(code, redact_text(said), retryable)",
        put="JobError(code, said, retryable)",
        tests=("tests/worker/test_results.py",),
    ),
    Mutation(
        name="logs-in-clear",
        removes="log lines are redacted",
        file="src/steward/logs.py",
        find="    safe = redact(dict(line))\n",
        put="    safe = dict(line)\n",
        tests=("tests/test_logs.py",),
    ),
    Mutation(
        name="parameters-in-clear",
        removes="parameters are sealed at rest",
        file=_VAULT,
        find='keys.aead.encrypt(nonce, text, f"{workspace_id}/{purpose}".encode())',
        put="text",
        also=(
            (
                'keys.aead.encrypt(nonce, to_json(value), f"{workspace_id}/{purpose}".encode())\n            sealed',
                "to_json(value)\n            sealed",
            ),
            (
                'keys.aead.decrypt(nonce, sealed[_HEADER_BYTES:], f"{workspace_id}/{purpose}".encode())',
                "sealed[_HEADER_BYTES:]",
            ),
        ),
        tests=("tests/worker/test_results.py",),
    ),
    Mutation(
        name="secrets-in-previews",
        removes="secret parameters are masked in previews",
        file="src/steward/plan_check.py",
        find="REDACTED if name in definition.secrets else redact_under(name, value)",
        put="value",
        tests=("tests/test_plan_check.py", "tests/worker/test_results.py"),
    ),
    Mutation(
        name="any-html",
        removes="scripts are taken out of a mail's html",
        file="src/steward/actions/email.py",
        find='cleaned_html(checked_body(html, "The html"), links=context.labels.get("html") is not Label.UNTRUSTED)',
        put='checked_body(html, "The html")',
        tests=("tests/actions/test_email_html.py",),
    ),
    Mutation(
        name="any-link",
        removes="a mail's html links to known protocols only",
        file="src/steward/actions/mail_html.py",
        find='_PROTOCOLS: Final = {"http", "https", "mailto", "cid"}\n',
        put='_PROTOCOLS: Final = {"http", "https", "mailto", "cid", "tel", "data", "javascript"}\n',
        tests=("tests/actions/test_email_html.py",),
    ),
    Mutation(
        name="parameters-kept",
        removes="parameters go when a job is completed",
        file="src/steward/work_stores/sql/transitions.py",
        find="row.result_labels, row.error, row.params_sealed = encode_object(outcome.result_labels), None, None",
        put="row.result_labels, row.error = encode_object(outcome.result_labels), None",
        tests=("tests/contracts/test_settle.py::test_w21_parameters_are_dropped_when_no_longer_needed",),
    ),
    Mutation(
        name="answers-in-clear",
        removes="what a receiver answers is kept redacted and bounded",
        file="src/steward/actions/webhook.py",
        find="redact_text(text)[:_MAX_RESPONSE_CHARS]",
        put="text",
        tests=("tests/actions/test_webhook.py::test_w72_the_answer_is_bounded_and_redacted",),
    ),
    Mutation(
        name="any-attachment",
        removes="only files of listed types are sent",
        file="src/steward/actions/attachments.py",
        find="    if kind not in _TYPES:\n",
        put="    if False:\n",
        tests=("tests/actions/test_email_input.py::test_w74_attachment_types_are_checked",),
    ),
    Mutation(
        name="attachments-by-their-word",
        removes="an attachment begins as its type does",
        file="src/steward/actions/attachments.py",
        find="    if not honest:\n",
        put="    if False:\n",
        tests=("tests/actions/test_email_input.py::test_w74_attachment_types_are_checked",),
    ),
    Mutation(
        name="lenient-base64",
        removes="base64 is read strictly",
        file="src/steward/actions/attachments.py",
        find="    if content is None or base64.b64encode(content).decode() != text:\n",
        put="    if content is None:\n",
        tests=("tests/actions/test_email_input.py::test_w80_base64_is_read_strictly",),
    ),
)
