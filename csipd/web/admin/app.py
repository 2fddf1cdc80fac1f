"""The Klein app of the operator's API, made from the table of operations.

One way through for all of them: who asks (by the fingerprint of the certificate, never by a name in it), the
path's numbers, the query, the body, then the operation in one read or one write transaction. A write that
carries an idempotency key is answered, when it is repeated, with what it was answered before.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import Any
from urllib.parse import parse_qsl

import sqlalchemy as sa
from attrs import evolve, frozen
from klein import Klein
from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.iweb import IRequest
from twisted.web.resource import IResource
from werkzeug.exceptions import HTTPException

from csipd.db import audit
from csipd.db.database import Database, Transaction
from csipd.db.views import Server
from csipd.refusals import Impossible, NotAllowed, Refusal
from csipd.sep2.schema import Element
from csipd.sep2.site import number
from csipd.web.admin import problems
from csipd.web.admin.openapi import document
from csipd.web.admin.operations import Call, Made, Operation, Parameter, table
from csipd.web.admin.problems import Problem
from csipd.web.errors import METHODS
from csipd.web.json_form import JSONProblem, from_json, to_json
from csipd.web.server import Request

_JSON = b"application/json"
_KEY = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
#: Members of an answer that are given once and kept nowhere.
_SECRET = frozenset(("key",))
#: Where the description of the API is.
DESCRIPTION = "/admin/openapi.json"

Prepare = Callable[[Any], "Deferred[Any]"]


class Misfit(Exception):
    """A request that is answered with a problem before any operation sees it."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.detail)
        self.problem = problem


@frozen
class _Answer:
    """What an operation is answered with; ``kept`` is what may be kept of it for a repeated request."""

    status: int
    location: str | None
    body: bytes
    kept: bytes


class Admin:
    """The operator's API.

    :param database: where everything is read and written
    :param server: what the server says of itself
    :param wall: seconds since 1970
    :param operators: names of the operators by the SHA-256 fingerprints of their certificates
    :param prepare: what operations need done outside of the database, by name
    :param version: of csipd
    """

    _log = Logger()

    def __init__(
        self,
        database: Database,
        server: Server,
        wall: Callable[[], float],
        *,
        operators: Mapping[str, str],
        prepare: Mapping[str, Prepare],
        version: str,
    ) -> None:
        self._database = database
        self._server = server
        self._wall = wall
        self._operators = operators
        self._prepare = prepare
        self.operations = table()
        self._description = json.dumps(document(self.operations, version), indent=1).encode()
        self._klein = Klein()
        by_path: dict[str, dict[str, Operation]] = {}
        for operation in self.operations:
            by_path.setdefault(operation.path, {})[operation.method] = operation
        for path, methods in by_path.items():
            self._route(path, methods)
        self._klein.route(DESCRIPTION, endpoint=DESCRIPTION)(self._describe)
        self._klein.handle_errors(HTTPException)(_unrouted)

    def resource(self) -> IResource:
        """The root of the resource tree."""
        resource: IResource = self._klein.resource()
        return resource

    def _route(self, path: str, methods: Mapping[str, Operation]) -> None:
        def handle(request: Request, **numbers: str) -> Any:
            return self._handle(request, methods, numbers)

        rule = path.replace("{", "<").replace("}", ">")
        self._klein.route(rule, endpoint=path, strict_slashes=False)(handle)

    def _who(self, request: Request) -> str:
        who = self._operators.get(request.identity.fingerprint)
        expires = request.identity.not_after
        if who is None or (expires is not None and self._wall() > expires):
            self._log.info("{lfdi} asked for the operator's API", lfdi=request.identity.lfdi)
            raise Misfit(problems.problem(403, "the certificate is not an operator's"))
        return who

    def _describe(self, request: Request) -> bytes:
        try:
            self._who(request)
            if request.method not in (b"GET", b"HEAD"):
                raise Misfit(_not_allowed(request, ("GET", "HEAD")))
        except Misfit as misfit:
            return _give_problem(request, misfit.problem)
        request.setHeader(b"Content-Type", _JSON)
        return self._description

    def _handle(
        self, request: Request, methods: Mapping[str, Operation], numbers: Mapping[str, str]
    ) -> bytes | Deferred[bytes]:
        try:
            who = self._who(request)
            method = "GET" if request.method == b"HEAD" else request.method.decode("ascii", "replace")
            operation = methods.get(method)
            if operation is None:
                allow = tuple(methods) + (("HEAD",) if "GET" in methods else ())
                raise Misfit(_not_allowed(request, allow))
            call = Call(
                who=who,
                now=int(self._wall()),
                server=self._server,
                numbers=_numbers(request, operation.path, numbers),
                query=_query(request, operation.query),
            )
            content = request.content.read() if request.content is not None else b""
            if operation.takes is not None:
                call = evolve(call, body=_body(request, operation.takes, content))
            key = _idempotency_key(request, operation)
        except Misfit as misfit:
            return _give_problem(request, misfit.problem)
        answer = self._carry_out(operation, call, key, _digest(request, content))
        return answer.addCallbacks(_give, _refused, (request,), errbackArgs=(request,))

    def _carry_out(self, operation: Operation, call: Call, key: str | None, digest: str) -> Deferred[_Answer]:
        if not operation.writes:
            return self._database.read(lambda connection: _answer(operation, operation.run(connection, call)))
        if key is None:
            return self._prepared(operation, call).addCallback(self._write, operation, None, digest)

        # Looked up before anything is prepared for it: a repeated request makes no second key.
        def look_up(connection: sa.Connection) -> audit.Answer | None:
            return audit.remembered(connection, call.who, key, digest, call.now)

        def go_on(before: audit.Answer | None) -> Any:
            if before is not None:
                return _Answer(before.status, before.location, before.body, before.body)
            return self._prepared(operation, call).addCallback(self._write, operation, key, digest)

        return self._database.read(look_up).addCallback(go_on)

    def _prepared(self, operation: Operation, call: Call) -> Deferred[Call]:
        if operation.prepare is None:
            return succeed(call)
        prepared = self._prepare[operation.prepare](call.body)
        return prepared.addCallback(lambda found: evolve(call, prepared=found))

    def _write(self, call: Call, operation: Operation, key: str | None, digest: str) -> Deferred[_Answer]:
        def write(transaction: Transaction) -> _Answer:
            if key is not None:
                before = audit.remembered(transaction.connection, call.who, key, digest, call.now)
                if before is not None:
                    return _Answer(before.status, before.location, before.body, before.body)
            answer = _answer(operation, operation.run(transaction, call))
            if key is not None:
                kept = audit.Answer(answer.status, answer.location, answer.kept)
                audit.remember(transaction, call.who, key, digest, kept, call.now)
            return answer

        return self._database.write(write)


def fault(status: int) -> tuple[bytes, bytes]:
    """Media type and body of what is refused before any operation is asked: for the site."""
    return problems.CONTENT_TYPE, problems.problem(status).encode()


def _answer(operation: Operation, result: Element | Made | None) -> _Answer:
    location = result.location if isinstance(result, Made) else None
    form = result.form if isinstance(result, Made) else result
    if form is None:
        return _Answer(operation.status, None, b"", b"")
    document = to_json(form)
    kept = {name: value for name, value in document.items() if name not in _SECRET}
    return _Answer(operation.status, location, json.dumps(document).encode(), json.dumps(kept).encode())


def _give(answer: _Answer, request: Request) -> bytes:
    request.setResponseCode(answer.status)
    if answer.location is not None:
        request.setHeader(b"Location", answer.location.encode())
    if answer.body:
        request.setHeader(b"Content-Type", _JSON)
        # What devices and operators did is nobody else's, and may hold a key.
        request.setHeader(b"Cache-Control", b"no-store")
    return answer.body


def _refused(failure: Failure, request: Request) -> bytes:
    failure.trap(Refusal)
    refusal = failure.value
    assert isinstance(refusal, Refusal)
    if isinstance(refusal, NotAllowed):
        return _give_problem(request, _not_allowed(request, refusal.allow))
    return _give_problem(request, problems.of(refusal))


def _give_problem(request: IRequest, problem: Problem) -> bytes:
    request.setResponseCode(problem.status)
    request.setHeader(b"Content-Type", problems.CONTENT_TYPE)
    return problem.encode()


def _unrouted(request: IRequest, failure: Failure) -> bytes:
    status = 404 if request.method in METHODS else 501
    return _give_problem(request, problems.problem(status))


def _not_allowed(request: IRequest, allow: tuple[str, ...]) -> Problem:
    if request.method not in METHODS:
        return problems.problem(501)
    request.setHeader(b"Allow", ", ".join(allow).encode())
    return problems.problem(405, f"takes {', '.join(allow)}")


def _numbers(request: Request, path: str, given: Mapping[str, str]) -> dict[str, int]:
    found = {}
    for name, text in given.items():
        value = number(text) if text else None
        if value is None:
            raise Misfit(problems.problem(404, f"{name} is a number"))
        found[name] = value
    if request.path.decode("ascii", "replace") != path.format(**found):
        raise Misfit(problems.problem(404))
    return found


def _query(request: Request, parameters: tuple[Parameter, ...]) -> dict[str, Any]:
    try:
        given = parse_qsl(
            request.uri.partition(b"?")[2].decode("ascii"),
            keep_blank_values=True,
            strict_parsing=False,
            max_num_fields=50,
            errors="strict",
        )
    except ValueError:
        raise Misfit(problems.problem(400, "the query cannot be read")) from None
    known = {parameter.name: parameter for parameter in parameters}
    found: dict[str, Any] = {parameter.name: parameter.default for parameter in parameters}
    flaws = []
    seen: set[str] = set()
    for name, text in given:
        if name not in known or name in seen:
            flaws.append((name[:64], "is unknown here" if name not in known else "is given twice"))
            continue
        seen.add(name)
        try:
            found[name] = _value(known[name], text)
        except ValueError as error:
            flaws.append((name, str(error)))
    if flaws:
        raise Misfit(problems.problem(400, "query parameters", tuple(flaws)))
    return found


def _value(parameter: Parameter, text: str) -> Any:
    if parameter.kind is int:
        if not re.fullmatch(r"[0-9]{1,19}", text, re.ASCII) or not (
            parameter.least <= int(text) <= parameter.most
        ):
            raise ValueError(f"is an integer {parameter.least}..{parameter.most}")
        return int(text)
    if parameter.kind is bool:
        if text not in ("true", "false"):
            raise ValueError("is true or false")
        return text == "true"
    if parameter.words and text not in parameter.words:
        raise ValueError(f"is one of {', '.join(parameter.words)}")
    if not 0 < len(text) <= parameter.longest:
        raise ValueError(f"has 1 to {parameter.longest} characters")
    return text


def _body(request: Request, form: type[Element], content: bytes) -> Element:
    kind = (request.getHeader("content-type") or "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise Misfit(problems.problem(415, "bodies are application/json"))
    try:
        data = json.loads(content, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise Misfit(problems.problem(400, "the body is not JSON")) from None
    try:
        return from_json(form, data)
    except JSONProblem as problem:
        raise Misfit(problems.of(Impossible(list(problem.problems)))) from None


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _idempotency_key(request: Request, operation: Operation) -> str | None:
    key = request.getHeader("idempotency-key")
    if key is None or not (operation.writes and operation.method == "POST"):
        return None
    if not _KEY.fullmatch(key):
        raise Misfit(problems.problem(400, "Idempotency-Key has 1 to 64 letters, digits or _.:-"))
    return key


def _digest(request: Request, content: bytes) -> str:
    return sha256(b"\0".join((request.method, request.uri, content))).hexdigest()
