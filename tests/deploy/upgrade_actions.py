"""An action that says who does it, and then waits at a gate, so that a test decides how long it takes."""

import os
from pathlib import Path

from steward.action import ActionContext
from steward.actions import action


@action("upgrade.step", effect="write", retry="none")
def step(ctx: ActionContext) -> str:
    """Report, wait to be let through, and end."""
    folder = Path(os.environ["REPORT_FOLDER"])
    with (folder / "reports").open("ab", buffering=0) as reports:
        reports.write(f"{os.getpid()} {ctx.job_id}\n".encode())
    with (folder / "gate").open("rb", buffering=0) as gate:
        gate.read(1)
    return "done"
