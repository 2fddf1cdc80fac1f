"""What a request to the operator's API says, read strictly: path, query, body and idempotency key.

Whatever is wrong is a ``RequestRefused`` with its problem document, before any operation sees the request.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl

from csipd.refusals import Impossible
from csipd.sep2.schema import Element
from csipd.sep2.site import number
from csipd.web.admin import problems
from csipd.web.admin.operations import Operation, Parameter
from csipd.web.admin.problems import Problem
from csipd.web.errors import METHODS
from csipd.web.json_form import JSONProblem, from_json, loads
from csipd.web.server import Request

#: What a key may look like, for the description too.
KEY = r"[\x21-\x7e]{1,64}"
_INTEGER = re.compile(r"0|[1-9][0-9]{0,18}", re.ASCII)
_MOST_PARAMETERS = 50
_MOST_NAME = 64  # characters of an unknown name that are repeated


class RequestRefused(Exception):
    """A request that is answered with a problem before any operation sees it."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.detail)
        self.problem = problem


def not_allowed(request: Request, allow: Sequence[str]) -> RequestRefused:
    """The refusal of a method: 405 with Allow, or 501 if HTTP does not know it."""
    if request.method not in METHODS:
        return RequestRefused(problems.problem(501))
    request.setHeader(b"Allow", ", ".join(allow).encode())
    return RequestRefused(problems.problem(405, f"takes {', '.join(allow)}"))


def check_origin(request: Request) -> None:
    """Refuse what a page of another site has a browser send in the operator's name."""
    origin = request.header(b"Origin")
    if origin is not None and origin != f"https://{request.header(b'Host')}":
        raise RequestRefused(problems.problem(403, "the request comes from a page of another site"))


def numbers(request: Request, path: str, given: Mapping[str, str]) -> dict[str, int]:
    """The numbers in a path. Only the canonical spelling is a path: no needed escape, no trailing slash.

    :param path: as the operations have it, with the names of the numbers
    """
    found = {}
    for name, text in given.items():
        value = number(text) if text else None
        if value is None:
            raise RequestRefused(problems.problem(404, f"{name} is a number from 1 to {2**63 - 1}"))
        found[name] = value
    if request.path.decode("ascii", "replace") != path.format(**found):
        raise RequestRefused(problems.problem(404))
    return found


def query(request: Request, parameters: Sequence[Parameter]) -> dict[str, Any]:
    """The query parameters, with the defaults of those that were not given."""
    known = {parameter.name: parameter for parameter in parameters}
    found: dict[str, Any] = {parameter.name: parameter.default for parameter in parameters}
    flaws = []
    seen: set[str] = set()
    for name, text in _pairs(request):
        if name not in known or name in seen:
            flaws.append((name[:_MOST_NAME], "is unknown here" if name not in known else "is given twice"))
            continue
        seen.add(name)
        try:
            found[name] = _value(known[name], text)
        except ValueError as error:
            flaws.append((name, str(error)))
    if flaws:
        raise RequestRefused(problems.problem(400, "the query is refused", problems.in_query(flaws)))
    return found


def _pairs(request: Request) -> list[tuple[str, str]]:
    try:
        return parse_qsl(
            request.uri.partition(b"?")[2].decode("ascii"),
            keep_blank_values=True,
            max_num_fields=_MOST_PARAMETERS,
            errors="strict",
        )
    except ValueError:
        raise RequestRefused(problems.problem(400, "the query cannot be read")) from None


def _value(parameter: Parameter, text: str) -> Any:
    if parameter.kind is int:
        if not _INTEGER.fullmatch(text) or not parameter.least <= int(text) <= parameter.most:
            raise ValueError(f"is an integer from {parameter.least} to {parameter.most}")
        return int(text)
    if parameter.kind is bool:
        if text not in ("true", "false"):
            raise ValueError("is true or false")
        return text == "true"
    if parameter.words and text not in parameter.words:
        raise ValueError(f"is one of {', '.join(parameter.words)}")
    if not 0 < len(text) <= parameter.longest:
        raise ValueError(f"has 1 to {parameter.longest} characters")
    return parameter.read(text)


def body(request: Request, operation: Operation, content: bytes) -> Element | None:
    """The form that was sent, for an operation that takes one."""
    form = operation.takes
    if form is None:
        return None
    kind = request.header(b"Content-Type")
    if operation.body_optional and kind is None and not content:
        return form()
    if (kind or "").partition(";")[0].strip().lower() != "application/json":
        raise RequestRefused(problems.problem(415, "bodies are application/json"))
    try:
        data = loads(content.decode())
    except (ValueError, RecursionError):
        raise RequestRefused(problems.problem(400, "the body is not JSON (RFC 8259)")) from None
    try:
        return from_json(form, data)
    except JSONProblem as problem:
        raise RequestRefused(problems.of(Impossible(list(problem.problems)))) from None


def idempotency_key(request: Request, operation: Operation) -> str | None:
    """The key that a request to make something carries, if it does."""
    key = request.header(b"Idempotency-Key")
    if key is not None and not re.fullmatch(KEY, key):
        raise RequestRefused(problems.problem(400, "Idempotency-Key has 1 to 64 visible characters of ASCII"))
    return key if operation.creates else None
