"""What becomes of a result: kept in full under seal for the steps that need it, and redacted for people. Pure."""

from collections.abc import Mapping
from typing import Any, Final

from pydantic_core import from_json, to_json

from steward.action import ActionDefinition, Effect
from steward.job import Completed, Failed, Job, JobError
from steward.plan import MAX_RESULT_BYTES
from steward.provenance import Label
from steward.quickly import quickly
from steward.redaction import mask, redact
from steward.submission import sealed_result
from steward.vault import Vault

_make_completed: Final = quickly(Completed)


def completed(
    job: Job,
    definition: ActionDefinition,
    result: Any,
    labels: Mapping[str, Label],
    *,
    vault: Vault,
    secrets: frozenset[str],
) -> Completed | Failed:
    """Return the outcome of an action that returned; what cannot be kept fails a read, and leaves a note of a write."""
    try:
        text = _as_json(result)
        result = from_json(text, allow_inf_nan=False)  # as it will be read again
    except ValueError:
        if definition.effect is Effect.READ:
            return Failed(JobError("result_too_large", f"The result is not JSON of at most {MAX_RESULT_BYTES} bytes."))
        result = {"note": f"Done; its result was not JSON of at most {MAX_RESULT_BYTES} bytes and was not kept."}
        text = to_json(result)
    purpose = sealed_result(job.plan_id, job.step_id)
    return _make_completed(
        result=mask(redact(result), secrets),
        result_sealed=vault.seal_json(text, workspace_id=job.workspace_id, purpose=purpose),
        result_labels=labels,
    )


def _as_json(value: Any) -> bytes:
    """Return ``value`` as JSON; raise ``ValueError`` for what JSON cannot carry or what is too large."""
    text = to_json(value)
    if len(text) > MAX_RESULT_BYTES:
        raise ValueError("too large")
    return text
