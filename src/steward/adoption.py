"""A job that the older software left in its queue, made runnable: checked and sealed as if its action had been asked for now.

What may run is decided when it runs, by the rules of then, and for the actor whom the old record names; nothing is decided
here.
"""

from steward.action import Catalogue
from steward.errors import Invalid
from steward.expression import expressions
from steward.job import JobError, NewJob
from steward.key_schema import Adopt, QueuedJob
from steward.plan_check import schema_problems, step_digests, with_defaults
from steward.submission import sealed_params
from steward.vault import Vault

_STEP = "s1"


def adopter(catalogue: Catalogue, vault: Vault) -> Adopt:
    """Return what makes runnable jobs of those in the old queue, or says why one cannot run."""

    def adopt(queued: QueuedJob) -> NewJob | JobError:
        action = catalogue.get(queued.action_id)
        if action is None:
            return JobError("unknown_action", f"There is no action '{queued.action_id[:100]}' here.")
        definition = action.definition
        params = with_defaults(definition, queued.params)
        try:
            refers = any(True for _ in expressions(params))
        except Invalid:
            refers = True
        if refers or schema_problems(definition, params):
            return JobError("invalid_params", f"Its parameters do not fit the schema of {definition.id}.")
        purpose = sealed_params(queued.plan_id, _STEP)
        return NewJob(
            job_id=queued.job_id,
            step_id=_STEP,
            action_id=definition.id,
            definition_hash=definition.definition_hash,
            digest=step_digests(
                definition,
                step_id=_STEP,
                params=params,
                depends_on=(),
                vault=vault,
                workspace_id=queued.workspace_id,
            )[0],
            params_sealed=vault.seal(params, workspace_id=queued.workspace_id, purpose=purpose),
            depends_on=(),
            effect=definition.effect,
            retry=definition.retry,
            max_attempts=definition.max_attempts,
            key_valid_s=definition.key_valid_s,
        )

    return adopt
