"""What the tests of actions share: an attempt's context, a certificate authority, and a schema check."""

import ssl
from collections.abc import Callable
from typing import Any

import pytest
import trustme
from jsonschema import Draft202012Validator

from steward.action import ActionContext, ActionDefinition


@pytest.fixture
def context() -> ActionContext:
    """Return the context of a first attempt in workspace ``acme``."""
    return attempt()


def attempt(workspace_id: str = "acme", key: str = "job_1") -> ActionContext:
    """Return the context of an attempt."""
    return ActionContext(
        workspace_id=workspace_id,
        actor_id="office",
        plan_id="plan_1",
        job_id="job_1",
        step_id="s1",
        attempt=1,
        idempotency_key=key,
        request_id="req_1",
    )


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    """Return a certificate authority that exists for the tests only."""
    return trustme.CA()


@pytest.fixture(scope="session")
def trusting(authority: trustme.CA) -> ssl.SSLContext:
    """Return client settings that trust the tests' authority and nothing else."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority.configure_trust(context)
    return context


@pytest.fixture(scope="session")
def certified(authority: trustme.CA) -> Callable[..., ssl.SSLContext]:
    """Return a maker of server settings with a certificate for the given names."""

    def make(*names: str) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert(*names).configure_cert(context)
        return context

    return make


def fits(definition: ActionDefinition, params: Any) -> bool:
    """Say whether ``params`` pass the action's published schema, which is what the plan check enforces."""
    return Draft202012Validator(dict(definition.input_schema)).is_valid(params)
