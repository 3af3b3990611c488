"""The service that the properties of this folder speak to: one per process, for the length of a run."""

from collections.abc import Iterator

import pytest

from tests.fuzz.service import Service, running_service


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Return a running service with two workspaces."""
    with running_service(tmp_path_factory.mktemp("fuzzed")) as running:
        yield running
