"""The published description: complete, honest about credentials and problems, and silent about what is not built."""

import json
from typing import Any

import pytest
from fastapi.routing import APIRoute
from jsonschema import Draft202012Validator

from steward.identity import Scope
from steward.tenancy import TENANCIES, TENANCY_KEY
from steward.web.dependencies import ADMIN_OR_OPERATOR, OPERATOR
from steward.web.secured_route import SecuredRoute
from tests.web.house import House

pytestmark = pytest.mark.anyio

STUDIO = {"/", "/studio/assets/{name}", "/studio/{screen}", "/studio/{screen}/{item}"}
STREAMED_TOO = {("post", "/ai/plan"), ("post", "/ai/plans/{plan_id}/revise")}
PUBLIC = {"/healthz", "/readyz", "/version", "/metrics", "/docs", *STUDIO}
IN_ITSELF = {"/session"}
"""Takes a credential and gives another one, or ends it."""
BUILT = {
    ("post", "/ai/plan"): "plans_create",
    ("post", "/ai/plans/{plan_id}/revise"): "plans_revise",
    ("post", "/ai/execute"): "plans_execute",
    ("get", "/ai/plans"): "plans_list",
    ("get", "/ai/plans/{plan_id}"): "plans_show",
    ("post", "/ai/plans/{plan_id}/cancel"): "plans_cancel",
    ("get", "/ai/plans/{plan_id}/explain"): "plans_explain",
    ("get", "/ai/approvals"): "approvals_list",
    ("get", "/ai/approvals/{approval_id}"): "approvals_show",
    ("post", "/ai/approvals/{approval_id}/approve"): "approvals_approve",
    ("post", "/ai/approvals/{approval_id}/reject"): "approvals_reject",
    ("get", "/ai/jobs"): "jobs_list",
    ("get", "/ai/jobs/{job_id}"): "jobs_show",
    ("post", "/ai/jobs/{job_id}/cancel"): "jobs_cancel",
    ("post", "/ai/jobs/{job_id}/retry"): "jobs_retry",
    ("post", "/ai/jobs/{job_id}/resolve"): "jobs_resolve",
    ("get", "/ai/jobs/{job_id}/explain"): "jobs_explain",
    ("get", "/ai/events"): "events_stream",
    ("get", "/actions"): "actions_list",
    ("post", "/actions/preview"): "actions_preview",
    ("post", "/actions/execute"): "actions_execute",
    ("get", "/audit"): "audit_list",
    ("get", "/audit/verify"): "audit_verify",
    ("get", "/audit/export"): "audit_export",
    ("get", "/policies"): "policies_list",
    ("get", "/policies/default"): "policies_default",
    ("put", "/policies/{name}"): "policies_put",
    ("delete", "/policies/{name}"): "policies_remove",
    ("post", "/policies/check"): "policies_check",
    ("post", "/policies/diff"): "policies_diff",
    ("get", "/workspaces"): "workspaces_list",
    ("post", "/workspaces"): "workspaces_create",
    ("get", "/workspaces/{workspace}"): "workspaces_show",
    ("get", "/workspaces/{workspace}/usage"): "workspaces_usage",
    ("put", "/workspaces/{workspace}/settings"): "workspaces_set",
    ("post", "/workspaces/{workspace}/keys"): "workspaces_key",
    ("get", "/members"): "members_list",
    ("put", "/members/{member}"): "members_set",
    ("delete", "/members/{member}"): "members_remove",
    ("get", "/keys"): "keys_list",
    ("post", "/keys"): "keys_create",
    ("post", "/keys/{key_id}/rotate"): "keys_rotate",
    ("put", "/keys/{key_id}/role"): "keys_role",
    ("delete", "/keys/{key_id}"): "keys_revoke",
    ("post", "/session"): "session_open",
    ("get", "/session"): "session_show",
    ("delete", "/session"): "session_end",
    ("get", "/schema/status"): "schema_status",
    ("post", "/mcp"): "mcp",
    ("post", "/schema/advance"): "schema_advance",
    ("post", "/schema/back"): "schema_back",
    ("post", "/schema/verify"): "schema_verify",
    ("get", "/healthz"): "health_live",
    ("get", "/readyz"): "health_ready",
    ("get", "/version"): "version_show",
    ("get", "/docs"): "docs_page",
    ("get", "/metrics"): "metrics_show",
    ("get", "/"): "studio_page",
    ("get", "/studio/assets/{name}"): "studio_asset",
    ("get", "/studio/{screen}"): "studio_screen",
    ("get", "/studio/{screen}/{item}"): "studio_item",
}


async def description(house: House) -> dict[str, Any]:
    """Return the description as a client gets it."""
    client = await house.client_with(None)
    answer = await client.get("/openapi.json")
    assert answer.status_code == 200
    return answer.json()


def operations(document: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    """Return every operation by method and path."""
    return {(method, path): operation for path, item in document["paths"].items() for method, operation in item.items()}


async def test_exactly_what_is_built_is_published_under_stable_names(house: House) -> None:
    """Every route, by its operation id, and no route of later work."""
    found = {key: operation["operationId"] for key, operation in operations(await description(house)).items()}
    assert found == BUILT


async def test_every_operation_states_its_credential_or_is_public(house: House) -> None:
    """A bearer credential with at least one known scope; without it only the short list of public paths."""
    document = await description(house)
    assert document["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"
    for (_, path), operation in operations(document).items():
        if path in PUBLIC | IN_ITSELF:
            assert "security" not in operation
            continue
        [requirement] = operation["security"]
        assert set(requirement) == {"bearer"}
        assert requirement["bearer"]
        assert set(requirement["bearer"]) <= {*(scope.value for scope in Scope), OPERATOR, ADMIN_OR_OPERATOR}


async def test_every_operation_declares_whose_things_it_is_about(house: House) -> None:
    """One of the four words, public exactly where no credential is asked for, and nothing of it inside the answers."""
    for (_, path), operation in operations(await description(house)).items():
        assert operation[TENANCY_KEY] in TENANCIES, path
        assert (operation[TENANCY_KEY] == "public") == (path in PUBLIC), path
        assert not any(TENANCY_KEY in answer for answer in operation["responses"].values()), path


async def test_every_route_that_is_not_public_stands_behind_the_doors(house: House) -> None:
    """No route can be reached around ``SecuredRoute``."""
    client = await house.client_with(None)
    for method, path in BUILT:
        if path in PUBLIC:
            continue
        answer = await client.request(method, path)
        assert answer.status_code == 401, path
    plain = [route for route in house.api.routes if isinstance(route, APIRoute) and not isinstance(route, SecuredRoute)]
    assert {route.path for route in plain} == PUBLIC | IN_ITSELF


async def test_every_operation_documents_its_answers_and_problems(house: House) -> None:
    """A summary, a description, an answer with a schema, and each error as the one problem schema."""
    document = await description(house)
    for (method, path), operation in operations(document).items():
        assert operation["summary"], path
        assert operation["description"], path
        assert operation["tags"], path
        statuses = set(operation["responses"])
        assert any(status.startswith("2") for status in statuses), path
        if path not in PUBLIC:
            assert {"400", "401", "403", "422", "500", "503"} <= statuses, path
            assert "404" in statuses or "{" not in path, path
            assert method == "get" or {"408", "413"} <= statuses, path
        for status, response in operation["responses"].items():
            if status.startswith("2"):
                assert len(response["content"]) == (2 if (method, path) in STREAMED_TOO else 1), path
                kinds = {"application/json", "text/event-stream", "text/plain", "text/html"}
                assert set(response["content"]) <= kinds or path in STUDIO, path
                assert all(content["schema"] for content in response["content"].values()), path
            else:
                [(media_type, content)] = response["content"].items()
                assert media_type == "application/problem+json", (path, status)
                assert content["schema"] == {"$ref": "#/components/schemas/Problem"}


async def test_every_reference_resolves_and_every_schema_is_one(house: House) -> None:
    """The document stands on its own: OpenAPI 3.1, JSON Schema 2020-12."""
    document = await description(house)
    assert document["openapi"].startswith("3.1")
    schemas = document["components"]["schemas"]
    for name, schema in schemas.items():
        Draft202012Validator.check_schema(schema)
        assert not name.startswith("HTTP"), "FastAPI's own error shape is not ours"
    text = json.dumps(document)
    for reference in text.split('"$ref": "#/components/schemas/')[1:]:
        assert reference.split('"')[0] in schemas


async def test_the_examples_fit_their_schemas(house: House) -> None:
    """What is shown as an example would be accepted."""
    document = await description(house)
    schemas = document["components"]["schemas"]
    shown = [(name, example) for name, schema in schemas.items() for example in schema.get("examples", ())]
    assert {"ExecuteBody", "Problem"} <= {name for name, _ in shown}
    for name, example in shown:
        root = {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
        Draft202012Validator(root).validate(example)


async def test_request_bodies_are_closed(house: House) -> None:
    """Every body that can be sent says that unknown fields are refused."""
    document = await description(house)
    bodies = [operation["requestBody"] for operation in operations(document).values() if "requestBody" in operation]
    assert len(bodies) == 26
    for body in bodies:
        schema = body["content"]["application/json"]["schema"]
        for option in schema.get("anyOf", [schema]):
            if "$ref" in option:
                name = option["$ref"].rsplit("/", 1)[1]
                assert document["components"]["schemas"][name]["additionalProperties"] is False, name
