"""Queries that a route reads by itself, for those that are asked most: as a model whose fields are the parameters.

FastAPI takes a query apart parameter by parameter and looks each time what kind each of them is; a model reads all of it in one
go. What is published of the parameters, and how a wrong one is refused, is the same.
"""

from typing import Any, Final, TypeVar

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError

from steward.web.openapi import REF

Query = TypeVar("Query", bound=BaseModel)
_PARAMETERS: Final = "parameters"


def taken(model: type[BaseModel]) -> dict[str, Any]:
    """Return the ``openapi_extra`` of a route that asks for ``query_of`` its request with this model."""
    found = model.model_json_schema(ref_template=REF)["properties"]
    return {
        _PARAMETERS: [
            {
                "name": name,
                "in": "query",
                "required": False,
                "schema": {key: value for key, value in schema.items() if (key, value) != ("default", None)},
                "description": schema["description"],
            }
            for name, schema in found.items()
        ]
    }


def names_taken(openapi_extra: dict[str, Any] | None) -> frozenset[str]:
    """Return the names of the parameters of such a route."""
    parameters = (openapi_extra or {}).get(_PARAMETERS, ())
    return frozenset(one["name"] for one in parameters if one["in"] == "query")


def query_of(request: Request, model: type[Query]) -> Query:
    """Return the query of a request; raise ``RequestValidationError`` as FastAPI does if a parameter does not fit."""
    try:
        return model.model_validate(dict(request.query_params))
    except ValidationError as error:
        raise RequestValidationError([{**one, "loc": ("query", *one["loc"])} for one in error.errors()]) from None
