"""The benchmark's own suites: environments, tools, tasks and checks of the package ``agentdojo``, without its model clients.

Its pipelines import the clients of four model providers. No model takes part here, so their module is left empty.
"""

import importlib.util
import sys
from types import ModuleType
from typing import Any, Final

VERSION: Final = "v1.2.2"
"""Of the tasks: the newest in the package."""
NAMES: Final = ("banking", "workspace")
_PIPELINES: Final = "agentdojo.agent_pipeline"


def suite(name: str) -> Any:
    """Return a suite of the package."""
    if _PIPELINES not in sys.modules:
        _leave_out_the_models()
    from agentdojo.task_suite.load_suites import get_suite  # noqa: PLC0415 - after the models are left out

    return get_suite(VERSION, name)


def in_order(tasks: dict[str, Any]) -> list[tuple[str, Any]]:
    """Return tasks by their number."""
    return sorted(tasks.items(), key=lambda item: int(item[0].rsplit("_", 1)[1]))


def _leave_out_the_models() -> None:
    found = importlib.util.find_spec("agentdojo")
    if found is None or found.submodule_search_locations is None:
        raise SystemExit("The package agentdojo is not here; `make safety` fetches it.")
    package, runner = ModuleType(_PIPELINES), ModuleType(f"{_PIPELINES}.ground_truth_pipeline")
    package.__path__ = [f"{place}/agent_pipeline" for place in found.submodule_search_locations]
    runner.GroundTruthPipeline = object  # type: ignore[attr-defined] - only the package's own self-test runs it
    sys.modules |= {module.__name__: module for module in (package, runner)}
