"""The OpenAPI 3.1 document of the operator's API, made from the table of operations and the forms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from csipd.web.admin.operations import Operation, Parameter
from csipd.web.admin.problems import CONTENT_TYPE as PROBLEM
from csipd.web.admin.requests import KEY
from csipd.web.json_form import schemas_for

#: Where the document is.
DESCRIPTION = "/admin/openapi.json"

#: Statuses that every operation may answer with, besides its own.
_ALWAYS = (400, 403, 414, 503)
#: And those with a body, those with a number in their path, and those that make something.
_WITH_BODY = (413, 415)
_WITH_NUMBER = (404,)
_CREATING = (409, 422)

_REFUSALS = {
    400: "The request or values in it are refused; nothing was done.",
    403: "The certificate is not an operator's.",
    404: "There is no such thing.",
    409: "It does not fit the present state; nothing was done.",
    413: "The body is too large.",
    414: "Path and query are too long.",
    415: "The body is not JSON.",
    422: "The idempotency key was used for another request.",
    503: "The database or the issuer of certificates cannot be used now; nothing was done.",
}


def document(operations: Sequence[Operation], version: str) -> dict[str, Any]:
    """The whole description."""
    forms = {form for op in operations for form in (op.takes, op.gives) if form is not None}
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation)
    paths[DESCRIPTION] = {"get": _ITSELF}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "csipd operator's API",
            "version": version,
            "description": "How an operator commands and watches an IEEE 2030.5 / CSIP utility server.",
            "license": {"name": "BSD-3-Clause", "identifier": "BSD-3-Clause"},
        },
        "servers": [{"url": "/", "description": "The listener that this description comes from."}],
        "security": [{"operator": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "operator": {"type": "mutualTLS", "description": "An operator's certificate."}
            },
            "schemas": {**schemas_for(*sorted(forms, key=lambda form: form.__name__)), "Problem": _PROBLEM},
        },
    }


def _operation(operation: Operation) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "tags": [operation.tag],
        "responses": {str(operation.status): _success(operation)} | _refusals(_refuses(operation)),
    }
    parameters = [_path_parameter(name) for name in operation.numbers]
    parameters += [_query_parameter(parameter) for parameter in operation.query]
    if operation.creates:
        parameters.append(_IDEMPOTENCY)
    if parameters:
        described["parameters"] = parameters
    if operation.takes is not None:
        described["requestBody"] = {
            "required": not operation.body_optional,
            "content": {"application/json": {"schema": _reference(operation.takes.__name__)}},
        }
    return described


def _refuses(operation: Operation) -> set[int]:
    """The statuses that an operation may refuse with."""
    statuses = {*_ALWAYS, *operation.refuses}
    if operation.takes is not None:
        statuses |= {*_WITH_BODY}
    if operation.numbers:
        statuses |= {*_WITH_NUMBER}
    if operation.creates:
        statuses |= {*_CREATING}
    return statuses


def _refusals(statuses: set[int]) -> dict[str, Any]:
    content = {PROBLEM.decode(): {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {
        str(status): {"description": _REFUSALS[status], "content": content} for status in sorted(statuses)
    }


def _success(operation: Operation) -> dict[str, Any]:
    described: dict[str, Any] = {"description": operation.summary + "."}
    if operation.streams:
        assert operation.gives is not None
        rows = {"type": "array", "items": _reference(operation.gives.__name__)}
        described["description"] += _IN_PORTIONS
        described["content"] = {
            "application/json": {"schema": rows},
            "text/csv": {"schema": {"type": "string"}},
        }
    elif operation.gives is not None:
        described["content"] = {"application/json": {"schema": _reference(operation.gives.__name__)}}
    if operation.status == 201:
        described["headers"] = {
            "Location": {"required": True, "description": "Where it is.", "schema": {"type": "string"}}
        }
    return described


def _reference(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def _path_parameter(name: str) -> dict[str, Any]:
    schema = {"type": "integer", "minimum": 1, "maximum": 2**63 - 1}
    return {"name": name, "in": "path", "required": True, "schema": schema}


def _query_parameter(parameter: Parameter) -> dict[str, Any]:
    schema: dict[str, Any]
    if parameter.kind is int:
        schema = {"type": "integer", "minimum": parameter.least, "maximum": parameter.most}
    elif parameter.kind is bool:
        schema = {"type": "boolean"}
    elif parameter.words:
        schema = {"type": "string", "enum": list(parameter.words)}
    else:
        schema = {"type": "string", "minLength": 1, "maxLength": parameter.longest}
    if parameter.default is not None:
        schema["default"] = parameter.default
    return {
        "name": parameter.name,
        "in": "query",
        "description": parameter.description,
        "schema": schema,
    }


_IN_PORTIONS = (
    " It comes in portions (chunked). Whole is what has HTTP's last chunk, and as JSON its closing bracket;"
    " a connection that ends before has cut it."
)

_IDEMPOTENCY: dict[str, Any] = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "The same key with the same request again gives the first answer and does nothing.",
    "schema": {"type": "string", "pattern": f"^{KEY}$"},
}

_ERROR: dict[str, Any] = {
    "type": "object",
    "description": "What is wrong in the body (JSON pointer, RFC 6901) or with a query parameter.",
    "required": ["detail"],
    "properties": {
        "pointer": {"type": "string"},
        "parameter": {"type": "string"},
        "detail": {"type": "string"},
    },
}

_PROBLEM: dict[str, Any] = {
    "type": "object",
    "description": "A problem document (RFC 9457).",
    "required": ["type", "title", "status"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "errors": {"type": "array", "items": _ERROR},
    },
}

_ITSELF: dict[str, Any] = {
    "operationId": "describe",
    "summary": "This description",
    "tags": ["description"],
    "responses": {
        "200": {
            "description": "This description.",
            "content": {"application/json": {"schema": {"type": "object"}}},
        }
    }
    | _refusals({400, 403, 414}),
}
