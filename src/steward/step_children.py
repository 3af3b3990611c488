"""The jobs that a step becomes which runs for each of a list. Pure."""

from collections.abc import Sequence

from steward.action import ActionDefinition
from steward.ids import IdFactory
from steward.job import Job, NewJob
from steward.plan_check import step_digests
from steward.step_values import Ready
from steward.submission import sealed_params
from steward.vault import Vault


def children(
    job: Job, definition: ActionDefinition, turns: Sequence[Ready], *, vault: Vault, ids: IdFactory
) -> tuple[NewJob, ...]:
    """Return a job for each turn, in order: its values are in place, and are values only."""
    made = []
    for index, turn in enumerate(turns):
        step_id = f"{job.step_id}[{index}]"
        digests = step_digests(
            definition,
            step_id=step_id,
            params=turn.params,
            depends_on=(),
            vault=vault,
            workspace_id=job.workspace_id,
        )
        purpose = sealed_params(job.plan_id, step_id)
        made.append(
            NewJob(
                job_id=ids.new("job"),
                step_id=step_id,
                action_id=definition.id,
                definition_hash=definition.definition_hash,
                digest=digests[0],
                params_sealed=vault.seal(turn.params, workspace_id=job.workspace_id, purpose=purpose),
                depends_on=(),
                effect=definition.effect,
                retry=definition.retry,
                max_attempts=definition.max_attempts,
                key_valid_s=definition.key_valid_s,
                labels=turn.origins,
                authored_after=job.authored_after,
                parent_step_id=job.step_id,
            )
        )
    return tuple(made)
