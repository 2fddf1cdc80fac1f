"""The Klein app, made from the resource table: one handler for every resource there is.

It translates. What a caller may see is asked of the database layer with the request itself, in one hop;
what comes back, or is refused, becomes a status, headers and a document. The order of refusals is the
same on every route (decision 35): 501 for an unknown method, 404 or 403 for what the caller may not see, 405,
413, 415, 400. So a body is not parsed before its sender is known to be allowed to send it: `_Body` is handed
to the write's transaction, which reads it when it has come so far.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import inf
from typing import Any

import sqlalchemy as sa
from attrs import define, frozen
from klein import Klein
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web import http
from twisted.web.iweb import IRequest
from twisted.web.resource import IResource
from werkzeug.exceptions import HTTPException

from csipd.db import devices
from csipd.db.database import Database, Transaction
from csipd.db.fair_queue import Share, device_share
from csipd.db.tree import access, context
from csipd.db.tree import read as reading
from csipd.db.tree import write as writing
from csipd.der.access import Barred, Caller, Standing
from csipd.net.identity import Identity
from csipd.net.quotas import CallerInfo
from csipd.refusals import (
    BadDocument,
    BadRequest,
    NotAllowed,
    NotFound,
    Refusal,
    TooLarge,
    Unavailable,
    WrongMediaType,
)
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


@frozen
class _Body:
    """What was sent with a request, not yet parsed.

    :param place: where it was sent to
    """

    place: Place
    method: str
    content_type: str | None
    content: bytes
    withheld: bool

    def read(self) -> r.Resource | None:
        """The document, for a caller that may send one there; None where none belongs to the method.

        :raises Refusal: it is too large, of another media type, or wrong
        """
        row = self.place.row
        expected = {"PUT": (row.resource_type,), "POST": row.posted}.get(self.method, ())
        if self.withheld:
            raise TooLarge(f"more bytes than {self.place.href} takes")
        if not expected:
            return None
        if not is_xml(self.content_type):
            raise WrongMediaType("Content-Type is not that of a document in XML")
        try:
            return codec.decode(self.content, *expected)
        except codec.DocumentError as refused:
            raise BadDocument(str(refused), refused.reason) from refused


@define
class _Exchange:
    """One request on its way.

    :param caller: who asked, once the store has said so
    """

    request: Request
    place: Place
    now: int
    caller: Caller | None = None

    @property
    def method(self) -> str:
        return self.request.method.decode()

    @property
    def share(self) -> Share:
        """On whose account the store works for it."""
        info = self.request.account.info
        return device_share(self.request.identity.lfdi, 0 if info is None else info.managed)


class Application:
    """The resources of the standard, over HTTP.

    What is refused makes a line in the log, at the rate that a peer has for one reason.

    :param database: where everything is read and written
    :param server: what the server says of itself
    :param wall: seconds since 1970: the time that devices are given
    :param cache: keeps answers for the fast path; whoever made it subscribes it to changes
    """

    _log = Logger()

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
        exchange = _Exchange(request, place, now)
        answer = self._get(exchange) if request.method in (b"GET", b"HEAD") else self._write(exchange)
        return answer.addBoth(self._learn, exchange).addErrback(self._refused, exchange)

    def look_up(self, identity: Identity) -> Deferred[CallerInfo]:
        """Who a caller is, for its quotas and before a body of its is read."""

        def ask(connection: sa.Connection) -> CallerInfo:
            return _info(devices.caller(connection, identity.lfdi, identity.sfdi, self._server.policy))

        return self._database.read(ask, device_share(identity.lfdi))

    def _get(self, exchange: _Exchange) -> Deferred[bytes]:
        request, place, now = exchange.request, exchange.place, exchange.now
        query = request.uri.partition(b"?")[2].decode("ascii", "replace")
        takes = wanted(request.header(b"Accept"))
        identity = request.identity

        def read(connection: sa.Connection) -> _Document:
            asked = context.identify(connection, self._server, identity, place, now)
            exchange.caller = asked.caller
            access.authorize(asked, place, exchange.method)
            part = _page(place, query, self._server.page_maximum)
            document = reading.read(asked, place, part)
            # What a device added to the base schema comes back to that device alone (decision 11).
            own = asked.owner is not None and asked.owner.device == asked.caller.device
            body = codec.encode(document, extensions=own and takes.extensions)
            device = asked.caller.device
            rights = None if device is None else scope(f"/edev/{device}")
            return _Document(body, asked.valid_until, frozenset(map(scope, asked.depends_on)), rights)

        generation = self._cache.generation

        def give(document: _Document) -> bytes | Deferred[bytes]:
            if document.rights and self._cache.changed_since(generation, [document.rights]):
                # What the caller may do changed while its answer was under way: ask again.
                return self._get(exchange)
            if not takes.xml:
                return refuse(request, http.NOT_ACCEPTABLE)
            request.setHeader(b"Content-Type", CONTENT_TYPE)
            if request.head is not None and document.rights:
                self._cache.keep(
                    generation,
                    identity.lfdi,
                    request.head,
                    _around_date(document.body),
                    _ends(document.until, identity.not_after),
                    document.scopes | {document.rights},
                )
            return document.body

        again = self._updating(exchange, lambda: self._get(exchange))
        return self._database.read(read, exchange.share).addCallbacks(give, again)

    def _updating(
        self, exchange: _Exchange, carry_out: Callable[[], Deferred[bytes]]
    ) -> Callable[[Failure], Deferred[bytes]]:
        """An errback that brings the store up to date where that has to come first, and carries out anew."""

        def update(failure: Failure) -> Deferred[bytes]:
            failure.trap(context.Outdated)
            outdated = failure.value
            assert isinstance(outdated, context.Outdated)
            return self._database.write(outdated.update, exchange.share).addCallback(lambda _: carry_out())

        return update

    def _write(self, exchange: _Exchange) -> Deferred[bytes]:
        request, place = exchange.request, exchange.place
        content = request.content.read() if request.content is not None else b""
        body = _Body(place, exchange.method, request.header(b"Content-Type"), content, request.body_withheld)
        return self._carry_out(exchange, body)

    def _carry_out(self, exchange: _Exchange, body: _Body) -> Deferred[bytes]:
        request, place, now = exchange.request, exchange.place, exchange.now
        identity, method = request.identity, exchange.method
        again = self._updating(exchange, lambda: self._carry_out(exchange, body))

        def identify(connection: sa.Connection) -> context.Context:
            asked = context.identify(connection, self._server, identity, place, now)
            exchange.caller = asked.caller
            return asked

        if body.withheld:
            # It changes nothing, whatever the answer: the writers' turn is not taken for it.
            def refused(connection: sa.Connection) -> bytes:
                access.authorize(identify(connection), place, method)
                body.read()
                return b""

            return self._database.read(refused, exchange.share).addErrback(again)

        def write(transaction: Transaction) -> Place | None:
            return writing.write(transaction, identify(transaction.connection), place, method, body.read)

        def done(made: Place | None) -> bytes:
            if made is None:
                request.setResponseCode(http.NO_CONTENT)
            else:
                request.setResponseCode(http.CREATED)
                request.setHeader(b"Location", made.href.encode())
                if place.row.name == "EndDeviceList":
                    request.info(self._log, "registered", "{peer} registered {href}", href=made.href)
            return b""

        return self._database.write(write, exchange.share).addCallbacks(done, again)

    def _learn(self, outcome: Any, exchange: _Exchange) -> Any:
        """Take what is known of the caller by now to its account, and say when it is on no list."""
        caller = exchange.caller
        if caller is not None:
            request = exchange.request
            info = _info(caller)
            request.account.learn(info)
            if not info.listed:
                reason, what = _NO_ACCESS[caller.barred]
                request.warn(
                    self._log,
                    reason,
                    "{peer}: {what}, asked for {method} {href}",
                    what=what,
                    method=exchange.method,
                    href=exchange.place.href,
                )
        return outcome

    def _refused(self, failure: Failure, exchange: _Exchange) -> bytes:
        failure.trap(Refusal)
        refusal = failure.value
        assert isinstance(refusal, Refusal)
        self._log_refusal(refusal, exchange)
        if not isinstance(refusal, Unavailable):
            exchange.request.note_refusal(f"{exchange.method} {exchange.place.href}: {_why(refusal)}")
        return answer_refusal(exchange.request, refusal)

    def _log_refusal(self, refusal: Refusal, exchange: _Exchange) -> None:
        """Log a refusal that its sender's maker or the operator would want to know the reason of.

        What is not there, or takes no such method, is what clients try as a rule.
        """
        registering = exchange.place.row.name == "EndDeviceList" and exchange.method == "POST"
        if isinstance(refusal, Unavailable) or not (registering or exchange.method in ("PUT", "POST")):
            return
        if isinstance(refusal, NotFound | NotAllowed) and not registering:
            return
        exchange.request.warn(
            self._log,
            # Rows are a fixed vocabulary, too: who sends several documents that are wrong has a line of each.
            "registration refused" if registering else f"{exchange.method} {exchange.place.row.name} refused",
            "{peer}: {method} {href} refused: {why}",
            method=exchange.method,
            href=exchange.place.href,
            why=str(refusal),
        )


#: Why a certificate has no access: the reason in the log, and what the line says.
_NO_ACCESS: Mapping[Barred | None, tuple[str, str]] = {
    None: ("on no list", "a good certificate that is on no list"),
    Barred.WITHDRAWN: ("access was withdrawn", "a device whose access was withdrawn"),
    Barred.REMOVED: ("was removed", "a device that was removed, or is gone from the configuration"),
    Barred.REPLACED: (
        "certificate was replaced",
        "a device with the certificate that another one has replaced",
    ),
}


def _why(refusal: Refusal) -> str:
    """The reason of a refusal, for the operator."""
    match refusal:
        case NotFound():
            return "there is no such resource for it"
        case NotAllowed():
            return f"the resource {refusal}"
        case _:
            return str(refusal)


def _info(caller: Caller) -> CallerInfo:
    return CallerInfo(caller.standing is not Standing.UNKNOWN, caller.aggregator, caller.managed)


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


def _unrouted(request: IRequest, failure: Failure) -> bytes:
    """No route leads there."""
    return refuse_path(request)
