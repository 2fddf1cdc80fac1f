"""The Klein app of the operator's API, made from the table of operations.

One way through for all of them: who asks (by the fingerprint of the certificate, never by a name in it), the
path's numbers, the query, the body, then the operation in one read or one write transaction. A write that
carries an idempotency key is answered, when it is repeated, with what it was answered before.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Mapping
from functools import partial
from hashlib import sha256
from typing import Any

import sqlalchemy as sa
from attrs import evolve, frozen
from klein import Klein
from twisted.internet.defer import Deferred, inlineCallbacks, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.resource import IResource
from werkzeug.exceptions import HTTPException

from csipd.db import idempotency
from csipd.db.database import Database, Transaction
from csipd.db.fair_queue import Kind, Share
from csipd.db.tree.context import Server
from csipd.discovery.state import DiscoveryState
from csipd.gridappsd.state import BusState
from csipd.net.identity import Identity
from csipd.net.quotas import CallerInfo
from csipd.refusals import Refusal, Unavailable
from csipd.sep2.schema import Element
from csipd.web.admin import portions, problems, requests
from csipd.web.admin.openapi import DESCRIPTION, document
from csipd.web.admin.operations import Call, Created, Operation, Portion
from csipd.web.admin.portions import Outlet, Writer
from csipd.web.admin.problems import Problem
from csipd.web.admin.requests import RequestRefused
from csipd.web.admin.table import OPERATIONS
from csipd.web.answers import Answer
from csipd.web.errors import METHODS, RETRY_SECONDS
from csipd.web.json_form import to_json
from csipd.web.server import Request

_JSON = b"application/json"
#: When certificates without end do: 9999-12-31T23:59:59Z.
_NO_END = 253_402_300_799
#: Members of an answer that are given once and kept nowhere.
_SECRET = frozenset(("key",))

Prepare = Callable[[Any], "Deferred[Any]"]


@frozen
class _Request:
    """A request that was read.

    :param key: idempotency key; None: it has none
    :param digest: of the whole request
    """

    operation: Operation
    call: Call
    key: str | None
    digest: str

    @property
    def share(self) -> Share:
        """On whose account the store works for it."""
        return Share(Kind.OPERATORS, self.call.who)


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
    :param bus: says how the GridAPPS-D bus is; None: there is none
    :param discovery: says how discovery is; None: there is none
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
        bus: Callable[[], BusState] | None = None,
        discovery: Callable[[], DiscoveryState] | None = None,
    ) -> None:
        self._database = database
        self._server = server
        self._wall = wall
        self._operators = operators
        self._prepare = prepare
        self._bus = bus
        self._discovery = discovery
        self._description = json.dumps(document(OPERATIONS, version), indent=1).encode()
        self._klein = Klein()
        by_path: dict[str, dict[str, Operation]] = {}
        for operation in OPERATIONS:
            by_path.setdefault(operation.path, {})[operation.method] = operation
        for path, methods in by_path.items():
            self._route(path, methods)
        self._klein.route(DESCRIPTION, endpoint=DESCRIPTION)(self._describe)
        self._klein.handle_errors(HTTPException)(self._unrouted)

    def resource(self) -> IResource:
        """The root of the resource tree."""
        resource: IResource = self._klein.resource()
        return resource

    def look_up(self, identity: Identity) -> Deferred[CallerInfo]:
        """Whether a caller is an operator: a body of anybody else is not read."""
        return succeed(CallerInfo(listed=identity.fingerprint in self._operators))

    def _route(self, path: str, methods: Mapping[str, Operation]) -> None:
        def handle(request: Request, **numbers: str) -> Any:
            return self._handle(request, path, methods, numbers)

        rule = path.replace("{", "<").replace("}", ">")
        self._klein.route(rule, endpoint=path, strict_slashes=False)(handle)

    def _who(self, request: Request) -> str:
        """The name of the operator that asks; nobody else learns anything, not even what there is."""
        who = self._operators.get(request.peer.identity.fingerprint)
        expires = request.peer.identity.not_after
        if who is not None and (expires is None or self._wall() <= expires):
            return who
        request.peer.warn(
            self._log,
            "no operator" if who is None else "an operator's certificate that has ended",
            "{peer} {what} and asked for {method} {uri}",
            what="is no operator" if who is None else "shows an operator's certificate that has ended",
            method=request.method.decode("ascii", "replace"),
            uri=request.uri.decode("ascii", "replace"),
        )
        raise RequestRefused(problems.problem(403, "the certificate is not an operator's, or has ended"))

    def _describe(self, request: Request) -> bytes:
        try:
            self._who(request)
            if request.method not in (b"GET", b"HEAD"):
                raise requests.not_allowed(request, ("GET", "HEAD"))
            requests.query(request, ())
        except RequestRefused as refused:
            return _give_problem(request, refused.problem)
        request.setHeader(b"Content-Type", _JSON)
        return self._description

    def _unrouted(self, request: Any, failure: Failure) -> bytes:
        """No route leads there, which is for operators alone to know."""
        try:
            self._who(request)
            raise RequestRefused(problems.problem(404 if request.method in METHODS else 501))
        except RequestRefused as refused:
            return _give_problem(request, refused.problem)

    def _handle(
        self, request: Request, path: str, methods: Mapping[str, Operation], given: Mapping[str, str]
    ) -> bytes | Deferred[bytes]:
        try:
            who = self._who(request)
            asked = self._read(request, who, requests.numbers(request, path, given), methods)
        except RequestRefused as refused:
            return _give_problem(request, refused.problem)
        if asked.operation.streams:
            return self._stream(request, asked)
        answer = self._run_write(asked) if asked.operation.writes else self._run_read(asked)
        return answer.addCallbacks(_give, _refused, (request,), errbackArgs=(request,))

    def _read(
        self, request: Request, who: str, numbers: Mapping[str, int], methods: Mapping[str, Operation]
    ) -> _Request:
        """What a request asks for."""
        method = "GET" if request.method == b"HEAD" else request.method.decode("ascii", "replace")
        operation = methods.get(method)
        if operation is None:
            raise requests.not_allowed(request, (*methods, *(("HEAD",) if "GET" in methods else ())))
        if operation.writes:
            requests.check_origin(request)
        if request.withheld is not None:
            raise RequestRefused(problems.problem(413))
        content = request.content.read() if request.content is not None else b""
        call = Call(
            who=who,
            now=int(self._wall()),
            server=self._server,
            numbers=numbers,
            query=requests.query(request, operation.query),
            body=requests.body(request, operation, content),
            bus=None if self._bus is None else self._bus(),
            discovery=None if self._discovery is None else self._discovery(),
            certificate_ends=_end(request.peer.identity.not_after),
        )
        digest = sha256(b"\0".join((request.method, request.uri, content))).hexdigest()
        return _Request(operation, call, requests.idempotency_key(request, operation), digest)

    def _run_read(self, asked: _Request) -> Deferred[_Answer]:
        operation, call = asked.operation, asked.call
        return self._database.read(
            lambda connection: _answer(operation, operation.run(connection, call)), asked.share
        )

    @inlineCallbacks
    def _stream(self, request: Request, asked: _Request) -> Generator[Deferred[Any], Any, bytes]:
        """Answer in portions. What is refused before the first one is a problem; later the answer is cut."""
        form = asked.operation.gives
        assert form is not None
        rows = portions.writer(form, asked.call.query["format"])
        place: Any = None
        outlet: Outlet | None = None
        try:
            while True:
                read = partial(_portion, asked, rows, place)
                data, place = yield self._database.read(read, asked.share)
                if outlet is None:
                    outlet = Outlet(request)
                    request.setHeader(b"Content-Type", rows.media_type)
                    request.setHeader(b"Cache-Control", b"no-store")
                if place is None or request.method == b"HEAD":
                    request.stream(data)
                    return b""
                yield outlet.send(data)
        except Refusal:
            failure = Failure()
            if outlet is None:
                return _refused(failure, request)
            request.peer.warn(
                self._log,
                "an export was cut",
                "{peer}: the answer to {uri} was cut in the midst of it: {why}",
                uri=request.uri.decode("ascii", "replace"),
                why=str(failure.value),
            )
            request.cut()
            return b""
        finally:
            if outlet is not None:
                outlet.close()

    def _run_write(self, asked: _Request) -> Deferred[_Answer]:
        name, check = asked.operation.prepare, asked.operation.check
        if name is None:
            return self._database.write(lambda transaction: _carry_out(transaction, asked), asked.share)
        prepare = self._prepare[name]

        # Before anything is prepared: neither a repeated request nor one that is refused makes a certificate.
        def find_answer(connection: sa.Connection) -> tuple[_Answer | None, Any]:
            before = _remembered(connection, asked)
            wanted = None
            if before is None and check is not None:
                wanted = check(connection, asked.call)
            return before, asked.call.body if wanted is None else wanted

        def go_on(found: tuple[_Answer | None, Any]) -> _Answer | Deferred[_Answer]:
            before, wanted = found
            return before or prepare(wanted).addCallback(write)

        def write(found: Any) -> Deferred[_Answer]:
            ready = evolve(asked, call=evolve(asked.call, prepared=found))
            return self._database.write(lambda transaction: _carry_out(transaction, ready), asked.share)

        return self._database.read(find_answer, asked.share).addCallback(go_on)


def _end(not_after: float | None) -> int | None:
    """When a certificate ends (TimeType); the year 9999 is no end (RFC 5280 4.1.2.5)."""
    return None if not_after is None or not_after >= _NO_END else int(not_after)


def fault(status: int) -> Answer:
    """What is answered before any operation is asked, or after one has failed: for the site."""
    body = problems.problem(status).encode()
    return Answer(status, ((b"Content-Type", problems.CONTENT_TYPE),), body)


def _carry_out(transaction: Transaction, asked: _Request) -> _Answer:
    """Do what is asked, unless it was done before under the same key."""
    before = _remembered(transaction.connection, asked)
    if before is not None:
        return before
    call = asked.call
    answer = _answer(asked.operation, asked.operation.run(transaction, call))
    if asked.key is not None:
        kept = idempotency.StoredAnswer(answer.status, answer.location, answer.kept)
        idempotency.remember(transaction, call.who, asked.key, asked.digest, kept, call.now)
    return answer


def _remembered(connection: sa.Connection, asked: _Request) -> _Answer | None:
    if asked.key is None:
        return None
    found = idempotency.remembered(connection, asked.call.who, asked.key, asked.digest, asked.call.now)
    return None if found is None else _Answer(found.status, found.location, found.body, found.body)


def _answer(operation: Operation, result: Element | Created | None) -> _Answer:
    location = result.location if isinstance(result, Created) else None
    form = result.form if isinstance(result, Created) else result
    if form is None:
        return _Answer(operation.status, None, b"", b"")
    document = to_json(form)
    kept = {name: value for name, value in document.items() if name not in _SECRET}
    return _Answer(operation.status, location, json.dumps(document).encode(), json.dumps(kept).encode())


def _portion(asked: _Request, rows: Writer, place: Any, connection: sa.Connection) -> tuple[bytes, Any]:
    """The octets of the portion that begins at a place, and where the next one does; None: nowhere."""
    portion: Portion = asked.operation.run(connection, evolve(asked.call, place=place))
    data = rows.write(portion.items)
    return (data, portion.following) if portion.following is not None else (data + rows.end(), None)


def _give(answer: _Answer, request: Request) -> bytes:
    request.setResponseCode(answer.status)
    # What devices and operators did is nobody else's, and may hold a key.
    request.setHeader(b"Cache-Control", b"no-store")
    if answer.location is not None:
        request.setHeader(b"Location", answer.location.encode())
    if answer.body:
        request.setHeader(b"Content-Type", _JSON)
    return answer.body


def _refused(failure: Failure, request: Request) -> bytes:
    failure.trap(Refusal)
    refusal = failure.value
    assert isinstance(refusal, Refusal)
    if isinstance(refusal, Unavailable):
        request.setHeader(b"Retry-After", b"%d" % RETRY_SECONDS)
    return _give_problem(request, problems.of(refusal))


def _give_problem(request: Request, problem: Problem) -> bytes:
    request.setResponseCode(problem.status)
    request.setHeader(b"Content-Type", problems.CONTENT_TYPE)
    request.setHeader(b"Cache-Control", b"no-store")
    return problem.encode()
