"""The endpoint: what a request is answered with, whichever way it came and whoever writes the answer.

`Endpoint.answer` is a function of who asks, the method, the place, the few headers that matter and the body
(decision 49). Klein's handler (`app`) is an adapter of it. It translates: what a caller may see is asked of
the database layer with the request itself, in one hop; what comes back, or is refused, becomes an `Answer`.
The order of refusals is the same everywhere (decision 35): 501 for an unknown method, 404 or 403 for what
the caller may not see, 405, 413, 415, 400. So a body is not parsed before its sender is known to be allowed
to send it: `_read_body` is handed to the write's transaction, which calls it when it has come so far.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from math import inf
from typing import Any

import sqlalchemy as sa
from attrs import define, frozen
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web import http

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
from csipd.sep2 import codec, paging
from csipd.sep2 import resources as r
from csipd.sep2.site import Place
from csipd.sep2.types import ReasonCode
from csipd.web.answers import Answer, around_date
from csipd.web.cache import Cache
from csipd.web.errors import CONTENT_TYPE, METHODS, error, refused
from csipd.web.media import is_xml, wanted
from csipd.web.peer import Peer

_METHODS = frozenset(method.decode() for method in METHODS)
_CONTENT_TYPE = ((b"Content-Type", CONTENT_TYPE),)
_NO_CONTENT = Answer(http.NO_CONTENT)


# On the way of every request: frozen classes take thrice as long to make.
@define(eq=False)
class Ask:
    """A request, as far as an answer hangs on it.

    :param peer: who asks
    :param method: as the request line has it
    :param place: what is asked for; None: there is nothing at that path
    :param query: behind the question mark
    :param accept: what may be answered, None: anything; ``content_type`` is that of the body
    :param body: None: one was announced and not taken in: its sender may send none here, or none so large
    :param key: what a GET's answer may be kept under: its whole head; None: it may not be kept
    """

    peer: Peer
    method: str
    place: Place | None
    query: str = ""
    accept: str | None = None
    content_type: str | None = None
    body: bytes | None = b""
    key: bytes | None = None


#: Answers a request.
Answerer = Callable[[Ask], "Answer | Deferred[Answer]"]


@frozen
class _Document:
    """An encoded answer, until when it is true, and what it was made from.

    :param depends_on: facts (``csipd.db.facts``)
    :param rights: the one that the caller's rights hang on; None for a caller without an EndDevice
    """

    body: bytes
    until: int | None
    depends_on: set[str]
    rights: str | None


@define(eq=False)
class _Exchange:
    """One request on its way.

    :param now: TimeType
    :param caller: who asked, once the store has said so
    """

    ask: Ask
    place: Place
    now: int
    caller: Caller | None = None

    @property
    def share(self) -> Share:
        """On whose account the store works for it."""
        peer = self.ask.peer
        info = peer.account.info
        return device_share(peer.identity.lfdi, 0 if info is None else info.managed)


class Endpoint:
    """The resources of the standard.

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

    def answer(self, ask: Ask) -> Answer | Deferred[Answer]:
        """What a request is answered with."""
        if ask.method not in _METHODS:
            return error(http.NOT_IMPLEMENTED)
        now = int(self._wall())
        expires = ask.peer.identity.not_after
        if expires is not None and now > expires:
            # The handshake saw to it that the certificate was good then; the connection outlived it.
            return error(http.FORBIDDEN, ReasonCode.INVALID_VALUES, close=True)
        if ask.place is None:
            return error(http.NOT_FOUND, ReasonCode.INVALID_VALUES)
        exchange = _Exchange(ask, ask.place, now)
        answer = self._read(exchange) if ask.method in ("GET", "HEAD") else self._write(exchange)
        return answer.addBoth(self._learn, exchange).addErrback(self._refused, exchange)

    def look_up(self, identity: Identity) -> Deferred[CallerInfo]:
        """Who a caller is, for its quotas and before a body of its is read."""

        def ask(connection: sa.Connection) -> CallerInfo:
            return _info(devices.caller(connection, identity.lfdi, identity.sfdi, self._server.policy))

        return self._database.read(ask, device_share(identity.lfdi))

    def _read(self, exchange: _Exchange) -> Deferred[Answer]:
        ask, place, now = exchange.ask, exchange.place, exchange.now
        takes = wanted(ask.accept)
        identity = ask.peer.identity

        def read(connection: sa.Connection) -> _Document:
            asked = context.identify(connection, self._server, identity, place, now)
            exchange.caller = asked.caller
            access.authorize(asked, place, ask.method)
            part = _page(place, ask.query, self._server.page_maximum)
            # What a device added to the base schema comes back to that device alone (decision 11).
            own = asked.owner is not None and asked.owner.device == asked.caller.device
            body = reading.read(asked, place, part, extensions=own and takes.extensions)
            return _Document(body, asked.valid_until, asked.depends_on, asked.rights)

        generation = self._cache.generation

        def give(document: _Document) -> Answer | Deferred[Answer]:
            if document.rights and self._cache.changed_since(generation, [document.rights]):
                # What the caller may do changed while its answer was under way: ask again.
                return self._read(exchange)
            if not takes.xml:
                return error(http.NOT_ACCEPTABLE)
            answer = Answer(http.OK, _CONTENT_TYPE, document.body)
            if ask.key is not None and document.rights:
                before, after = around_date(answer)
                self._cache.keep(
                    generation,
                    identity.lfdi,
                    ask.key,
                    (before, after + document.body),
                    _ends(document.until, identity.not_after),
                    document.depends_on,
                )
            return answer

        again = self._updating(exchange, self._read)
        return self._database.read(read, exchange.share).addCallbacks(give, again)

    def _updating(
        self, exchange: _Exchange, carry_out: Callable[[_Exchange], Deferred[Answer]]
    ) -> Callable[[Failure], Deferred[Answer]]:
        """An errback that brings the store up to date where that has to come first, and carries out anew."""

        def update(failure: Failure) -> Deferred[Answer]:
            failure.trap(context.Outdated)
            outdated = failure.value
            assert isinstance(outdated, context.Outdated)
            updated = self._database.write(outdated.update, exchange.share)
            return updated.addCallback(lambda _: carry_out(exchange))

        return update

    def _write(self, exchange: _Exchange) -> Deferred[Answer]:
        ask, place, now = exchange.ask, exchange.place, exchange.now
        again = self._updating(exchange, self._write)
        body = partial(_read_body, ask, place)

        def identify(connection: sa.Connection) -> context.Context:
            asked = context.identify(connection, self._server, ask.peer.identity, place, now)
            exchange.caller = asked.caller
            return asked

        if ask.body is None:
            # It changes nothing, whatever the answer: the writers' turn is not taken for it.
            def refuse(connection: sa.Connection) -> Answer:
                access.authorize(identify(connection), place, ask.method)
                body()
                return _NO_CONTENT

            return self._database.read(refuse, exchange.share).addErrback(again)

        def write(transaction: Transaction) -> Place | None:
            return writing.write(transaction, identify(transaction.connection), place, ask.method, body)

        def done(made: Place | None) -> Answer:
            if made is None:
                return _NO_CONTENT
            if place.row.name == "EndDeviceList":
                ask.peer.info(self._log, "registered", "{peer} registered {href}", href=made.href)
            return Answer(http.CREATED, ((b"Location", made.href.encode()),))

        return self._database.write(write, exchange.share).addCallbacks(done, again)

    def _learn(self, outcome: Any, exchange: _Exchange) -> Any:
        """Take what is known of the caller by now to its account, and say when it is on no list."""
        caller = exchange.caller
        if caller is not None:
            peer = exchange.ask.peer
            info = _info(caller)
            peer.account.learn(info)
            if not info.listed:
                reason, what = _NO_ACCESS[caller.barred]
                peer.warn(
                    self._log,
                    reason,
                    "{peer}: {what}, asked for {method} {href}",
                    what=what,
                    method=exchange.ask.method,
                    href=exchange.place.href,
                )
        return outcome

    def _refused(self, failure: Failure, exchange: _Exchange) -> Answer:
        failure.trap(Refusal)
        refusal = failure.value
        assert isinstance(refusal, Refusal)
        self._log_refusal(refusal, exchange)
        if not isinstance(refusal, Unavailable):
            exchange.ask.peer.note_refusal(f"{exchange.ask.method} {exchange.place.href}: {_why(refusal)}")
        return refused(refusal)

    def _log_refusal(self, refusal: Refusal, exchange: _Exchange) -> None:
        """Log a refusal that its sender's maker or the operator would want to know the reason of.

        What is not there, or takes no such method, is what clients try as a rule.
        """
        method, place = exchange.ask.method, exchange.place
        registering = place.row.name == "EndDeviceList" and method == "POST"
        if isinstance(refusal, Unavailable) or not (registering or method in ("PUT", "POST")):
            return
        if isinstance(refusal, NotFound | NotAllowed) and not registering:
            return
        exchange.ask.peer.warn(
            self._log,
            # Rows are a fixed vocabulary, too: who sends several documents that are wrong has a line of each.
            "registration refused" if registering else f"{method} {place.row.name} refused",
            "{peer}: {method} {href} refused: {why}",
            method=method,
            href=place.href,
            why=str(refusal),
        )


def _read_body(ask: Ask, place: Place) -> r.Resource | None:
    """The document that was sent, for a caller that may send one; None where none belongs to the method.

    :raises Refusal: it is too large, of another media type, or wrong
    """
    expected = {"PUT": (place.row.resource_type,), "POST": place.row.posted}.get(ask.method, ())
    if ask.body is None:
        raise TooLarge(f"more bytes than {place.href} takes")
    if not expected:
        return None
    if not is_xml(ask.content_type):
        raise WrongMediaType("Content-Type is not that of a document in XML")
    try:
        return codec.decode(ask.body, *expected)
    except codec.DocumentError as wrong:
        raise BadDocument(str(wrong), wrong.reason) from wrong


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


def _ends(*moments: float | None) -> float:
    return min((moment for moment in moments if moment is not None), default=inf)


def _page(place: Place, query: str, maximum: int) -> paging.Page:
    if not place.row.is_list:
        return paging.DEFAULT
    try:
        return paging.parse(query, maximum)
    except paging.BadQuery as error:
        raise BadRequest(str(error)) from error
