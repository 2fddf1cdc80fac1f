"""The Klein app, made from the resource table: one handler for every resource there is.

It translates. What a caller may see is asked of the database layer with the request itself, in one hop;
what comes back, or is refused, becomes a status, headers and a document. The order of refusals is the
same on every route: unknown method, unknown resource, resource that the caller may not see, method that it
may not use, media type, body, values.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Any

import sqlalchemy as sa
from attrs import frozen
from klein import Klein
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from twisted.web import http
from twisted.web.iweb import IRequest
from twisted.web.resource import IResource
from werkzeug.exceptions import HTTPException

from csipd.db.database import Database
from csipd.db.tree import access, context
from csipd.db.tree import read as reading
from csipd.db.tree import write as writing
from csipd.refusals import BadRequest, Refusal
from csipd.sep2 import codec, paging, site
from csipd.sep2 import resources as r
from csipd.sep2.site import Place, Row
from csipd.sep2.types import ReasonCode
from csipd.web.cache import Cache, scope
from csipd.web.errors import (
    CONTENT_TYPE,
    METHODS,
    answer_refusal,
    refuse,
    refuse_path,
)
from csipd.web.media import is_xml, wanted
from csipd.web.server import Request


@frozen
class _Document:
    """An encoded answer, until when it is true, and what it was made from.

    ``rights`` is the scope that the caller's rights hang on; None for a caller without an EndDevice.
    """

    body: bytes
    until: int | None
    scopes: frozenset[str]
    rights: str | None


class Application:
    """The resources of the standard, over HTTP.

    :param database: where everything is read and written
    :param server: what the server says of itself
    :param wall: seconds since 1970: what devices are told the time is
    :param cache: keeps answers for the fast lane; to be told of changes by whoever made it
    """

    def __init__(
        self, database: Database, server: context.Server, wall: Callable[[], float], cache: Cache
    ) -> None:
        self._database = database
        self._server = server
        self._wall = wall
        self._cache = cache
        self._klein = Klein()
        for row in site.SERVED.values():
            self._route(row)
        self._klein.handle_errors(HTTPException)(_unrouted)

    def resource(self) -> IResource:
        """The root of the resource tree."""
        resource: IResource = self._klein.resource()
        return resource

    def _route(self, row: Row) -> None:
        def handle(request: Request, **ids: str) -> Any:
            return self._handle(request, row, ids)

        # Endpoints of one name would silently serve each other's URLs: the row's name is unique.
        rule = row.uri.replace("{", "<").replace("}", ">")
        self._klein.route(rule, endpoint=row.name, strict_slashes=False)(handle)

    def _handle(self, request: Request, row: Row, ids: dict[str, str]) -> bytes | Deferred[bytes]:
        if request.method not in METHODS:
            return refuse(request, http.NOT_IMPLEMENTED)
        now = int(self._wall())
        expires = request.identity.not_after
        if expires is not None and now > expires:
            # The handshake saw to it that the certificate was good then; the connection outlived it.
            request.setHeader(b"Connection", b"close")
            return refuse(request, http.FORBIDDEN, ReasonCode.INVALID_VALUES)
        place = site.locate(request.path.decode("ascii", "replace"))
        if place is None or place.row is not row:
            # Another spelling of a path: a trailing slash, an escape, a leading zero.
            return refuse_path(request)
        if request.method in (b"GET", b"HEAD"):
            answer = self._get(request, place, now)
        else:
            answer = self._write(request, place, now)
        return answer.addErrback(_refused, request)

    def _get(self, request: Request, place: Place, now: int) -> Deferred[bytes]:
        method = request.method.decode()
        query = request.uri.partition(b"?")[2].decode("ascii", "replace")
        # A header that comes in several lines is one list (RFC 9110 5.2).
        takes = wanted(", ".join(request.requestHeaders.getRawHeaders("accept", ())))
        identity = request.identity

        def read(connection: sa.Connection) -> _Document:
            asked = context.identify(connection, self._server, identity, place, now)
            access.authorize(asked, place, method)
            part = _page(place, query, self._server.page_maximum)
            document = reading.read(asked, place, part)
            # What a device added to the base schema comes back to that device alone (decision 11).
            own = asked.owner is not None and asked.owner.device == asked.caller.device
            body = codec.encode(document, extensions=own and takes.extensions)
            device = asked.caller.device
            rights = None if device is None else scope(f"/edev/{device}")
            return _Document(body, asked.valid_until, frozenset(map(scope, asked.depends_on)), rights)

        moment = self._cache.moment

        def give(document: _Document) -> bytes | Deferred[bytes]:
            if document.rights and self._cache.changed_since(moment, [document.rights]):
                # What the caller may do changed while its answer was under way: ask again.
                return self._get(request, place, now)
            if not takes.xml:
                return refuse(request, http.NOT_ACCEPTABLE)
            request.setHeader(b"Content-Type", CONTENT_TYPE)
            if request.head is not None and document.rights:
                self._cache.keep(
                    moment,
                    identity.lfdi,
                    request.head,
                    _around_date(document.body),
                    _ends(document.until, identity.not_after),
                    document.scopes | {document.rights},
                )
            return document.body

        def update(failure: Failure) -> Deferred[bytes]:
            failure.trap(context.Outdated)
            outdated = failure.value
            assert isinstance(outdated, context.Outdated)
            updated = self._database.write(outdated.update)
            return updated.addCallback(lambda _: self._get(request, place, now))

        return self._database.read(read).addCallbacks(give, update)

    def _write(self, request: Request, place: Place, now: int) -> Deferred[bytes]:
        method = request.method.decode()
        identity = request.identity
        body, fault = _body(request, place.row)
        if fault is not None:
            status, reason = fault

            # Where the caller may not write, that is the answer, whatever it sent.
            def ask(connection: sa.Connection) -> None:
                asked = context.identify(connection, self._server, identity, place, now)
                access.authorize(asked, place, method)

            return self._database.read(ask).addCallback(lambda _: refuse(request, status, reason))

        def done(made: Place | None) -> bytes:
            if made is None:
                request.setResponseCode(http.NO_CONTENT)
            else:
                request.setResponseCode(http.CREATED)
                request.setHeader(b"Location", made.href.encode())
            return b""

        return self._database.write(
            lambda transaction: writing.write(transaction, self._server, identity, place, method, body, now)
        ).addCallback(done)


def _around_date(body: bytes) -> tuple[bytes, bytes]:
    """A whole answer of 200, before and after the value of its Date header."""
    after = b"\r\nContent-Type: %b\r\nContent-Length: %d\r\n\r\n%b" % (CONTENT_TYPE, len(body), body)
    return b"HTTP/1.1 200 OK\r\nDate: ", after


def _ends(*moments: float | None) -> float:
    return min((moment for moment in moments if moment is not None), default=inf)


def _page(place: Place, query: str, maximum: int) -> paging.Page:
    if not place.row.is_list:
        return paging.DEFAULT
    try:
        return paging.parse(query, maximum)
    except paging.BadQuery as error:
        raise BadRequest(str(error)) from error


def _body(request: Request, row: Row) -> tuple[r.Resource | None, tuple[int, int] | None]:
    """The decoded body of a write, or the status and reason code that it is refused with."""
    method = request.method.decode()
    expected = {"PUT": (row.resource_type,), "POST": row.posted}.get(method, ())
    if not expected or not row.parties(method):
        return None, None
    if not is_xml(request.getHeader("content-type")):
        return None, (http.UNSUPPORTED_MEDIA_TYPE, ReasonCode.INVALID_FORMAT)
    content = request.content.read() if request.content is not None else b""
    try:
        return codec.decode(content, *expected), None
    except codec.Refused as refused:
        return None, (http.BAD_REQUEST, refused.reason)


def _refused(failure: Failure, request: Request) -> bytes:
    failure.trap(Refusal)
    refusal = failure.value
    assert isinstance(refusal, Refusal)
    return answer_refusal(request, refusal)


def _unrouted(request: IRequest, failure: Failure) -> bytes:
    """No route leads there."""
    return refuse_path(request)
