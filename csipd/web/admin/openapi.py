"""The OpenAPI 3.1 document of the operator's API, made from the table of operations and the forms."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from csipd.web.admin.operations import Operation, Parameter
from csipd.web.admin.problems import CONTENT_TYPE as PROBLEM
from csipd.web.json_form import schemas_for

_NUMBER = re.compile(r"\{(\w+)\}")
#: Statuses that every operation may answer with, besides its own.
_ALWAYS = (400, 403, 503)
#: And those with a body.
_WITH_BODY = (413, 415)


def document(operations: Sequence[Operation], version: str) -> dict[str, Any]:
    """The whole description."""
    forms = {form for op in operations for form in (op.takes, op.gives) if form is not None}
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "csipd operator's API",
            "version": version,
            "description": "How an operator commands and watches an IEEE 2030.5 / CSIP utility server.",
            "license": {"name": "BSD-3-Clause", "identifier": "BSD-3-Clause"},
        },
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
    parameters = [_path_parameter(name) for name in _NUMBER.findall(operation.path)]
    parameters += [_query_parameter(parameter) for parameter in operation.query]
    if operation.method == "POST" and operation.writes:
        parameters.append(_IDEMPOTENCY)
    responses = {str(operation.status): _success(operation)}
    refuses = {*_ALWAYS, *operation.refuses, *(_WITH_BODY if operation.takes else ())}
    if operation.method == "POST" and operation.writes:
        refuses |= {409, 422}
    for status in sorted(refuses):
        responses[str(status)] = {
            "description": "Refused.",
            "content": {PROBLEM.decode(): {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
    described: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "tags": [operation.tag],
        "responses": responses,
    }
    if parameters:
        described["parameters"] = parameters
    if operation.takes is not None:
        schema = {"$ref": f"#/components/schemas/{operation.takes.__name__}"}
        described["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
    return described


def _success(operation: Operation) -> dict[str, Any]:
    described: dict[str, Any] = {"description": operation.summary + "."}
    if operation.gives is not None:
        schema = {"$ref": f"#/components/schemas/{operation.gives.__name__}"}
        described["content"] = {"application/json": {"schema": schema}}
    if operation.status == 201:
        described["headers"] = {
            "Location": {"required": True, "description": "Where it is.", "schema": {"type": "string"}}
        }
    return described


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


_IDEMPOTENCY: dict[str, Any] = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "The same key with the same request again gives the first answer and does nothing.",
    "schema": {"type": "string", "pattern": "^[A-Za-z0-9_.:-]{1,64}$"},
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
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["pointer", "detail"],
                "properties": {"pointer": {"type": "string"}, "detail": {"type": "string"}},
            },
        },
    },
}
