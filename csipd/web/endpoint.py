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
from functools import cache, partial
from math import inf
from typing import NoReturn

import sqlalchemy as sa
from attrs import define
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web import http

from csipd.db.database import Database, Transaction
from csipd.db.fair_queue import Share, device_share
from csipd.db.tree import access, context
from csipd.db.tree import read as reading
from csipd.db.tree import write as writing
from csipd.db.tree.chapter import Outcome, Overwritten
from csipd.der.access import Barred, Caller, Standing
from csipd.net.identity import Identity
from csipd.net.quotas import CallerInfo
from csipd.refusals import (
    BadDocument,
    BadRequest,
    NotAllowed,
    NotFound,
    Refusal,
    Unavailable,
    WrongMediaType,
)
from csipd.sep2 import codec, paging
from csipd.sep2 import resources as r
from csipd.sep2.site import Place, Row
from csipd.sep2.types import ReasonCode
from csipd.web.answers import Answer, around_date
from csipd.web.cache import Cache
from csipd.web.errors import CONTENT_TYPE, METHODS, error, moved, refused
from csipd.web.media import is_xml, wanted
from csipd.web.peer import Peer

_METHODS = frozenset(method.decode() for method in METHODS)
_CONTENT_TYPE = ((b"Content-Type", CONTENT_TYPE),)
#: A body of readings that is larger has the share of those that come in bulk (octets).
_MANY_READINGS = 8 * 1024
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
    :param body: or why one that was announced was not taken in: the answer, where nothing comes before it
    :param key: what a GET's answer may be kept under: its whole head; None: it may not be kept
    """

    peer: Peer
    method: str
    place: Place | None
    query: str = ""
    accept: str | None = None
    content_type: str | None = None
    body: bytes | Refusal = b""
    key: bytes | None = None


#: Answers a request.
Answerer = Callable[[Ask], "Answer | Deferred[Answer]"]


@define(eq=False)
class _Document:
    """An encoded answer, until when it is true, and what it was made from.

    :param depends_on: facts (``csipd.db.facts``)
    :param rights: the one that the caller's rights hang on; None for a caller without an EndDevice
    :param common: whether it is the same for everybody
    """

    body: bytes
    until: int | None
    depends_on: set[str]
    rights: str | None
    common: bool


class _Moved(Exception):
    """The caller may see what it asks for, which is at another path."""

    def __init__(self, to: Place) -> None:
        super().__init__(to.href)
        self.to = to


@define(eq=False)
class _Exchange:
    """One request on its way.

    :param now: TimeType
    :param generation: of the cache, when the store was asked
    :param caller: who asked, once the store has said so
    """

    ask: Ask
    place: Place
    now: int
    generation: int = 0
    caller: Caller | None = None


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
        return self._read(exchange) if ask.method in ("GET", "HEAD") else self._write(exchange)

    def look_up(self, identity: Identity) -> Deferred[CallerInfo]:
        """Who a caller is, for its quotas and before a body of its is read."""

        def ask(connection: sa.Connection) -> CallerInfo:
            return _info(context.find_caller(connection, self._server, identity))

        return self._database.read(ask, device_share(identity.lfdi))

    # --- reads

    def _read(self, exchange: _Exchange) -> Deferred[Answer]:
        exchange.generation = self._cache.generation
        document = self._database.read(partial(self._document, exchange), exchange.ask.peer.share)
        return document.addCallbacks(
            self._give, self._failed, callbackArgs=(exchange,), errbackArgs=(exchange, self._read)
        )

    def _document(self, exchange: _Exchange, connection: sa.Connection) -> _Document:
        """What a GET is answered with; in the reading thread."""
        ask, place = exchange.ask, exchange.place
        asked = self._identify(exchange, connection)
        access.authorize(asked, place, ask.method)
        layout = self._server.layout
        if layout.has_moved and (to := layout.moved(place)) is not None:
            raise _Moved(to)
        part = _page(place, ask.query, self._server.page_maximum)
        # What a device added to the base schema comes back to that device alone (decision 11).
        own = asked.owner is not None and asked.owner.device == asked.caller.device
        body = reading.read(asked, place, part, extensions=own and wanted(ask.accept).extensions)
        common = reading.is_common(asked, place)
        return _Document(body, asked.valid_until, asked.depends_on, asked.rights, common)

    def _give(self, document: _Document, exchange: _Exchange) -> Answer | Deferred[Answer]:
        """The answer to a GET, which is kept where it may be."""
        self._learn(exchange)
        ask, generation, rights = exchange.ask, exchange.generation, document.rights
        if rights and self._cache.changed_since(generation, (rights,)):
            # What the caller may do changed while its answer was under way: ask again.
            return self._read(exchange)
        if not wanted(ask.accept).xml:
            return error(http.NOT_ACCEPTABLE)
        answer = Answer(http.OK, _CONTENT_TYPE, document.body)
        # One that was made for a time that is still to come, the clock being set back meanwhile, is not kept.
        if ask.key is not None and rights and exchange.now <= self._wall():
            identity = ask.peer.identity
            until = _first(document.until, identity.not_after)
            around = around_date(answer)
            ends = _first(None, identity.not_after)
            self._cache.know(generation, identity.lfdi, rights, ends)
            self._cache.keep(
                generation,
                identity.lfdi,
                ask.key,
                around,
                until,
                document.depends_on - {rights} if document.common else document.depends_on,
                common=document.common,
            )
        return answer

    # --- writes

    def _write(self, exchange: _Exchange) -> Deferred[Answer]:
        share = _share(exchange.ask, exchange.place)
        made: Deferred[Outcome]
        if _never_writes(exchange.ask, exchange.place):
            # The writers' turn is not taken for it.
            made = self._database.read(partial(self._refuse, exchange), share)
        else:
            made = self._database.write(partial(self._carry_out, exchange), share)
        return made.addCallbacks(
            self._done, self._failed, callbackArgs=(exchange,), errbackArgs=(exchange, self._write)
        )

    def _carry_out(self, exchange: _Exchange, transaction: Transaction) -> Outcome:
        """Write what is asked for; in the writing thread."""
        ask, place = exchange.ask, exchange.place
        asked = self._identify(exchange, transaction.connection)
        return writing.write(transaction, asked, place, ask.method, partial(_read_body, ask, place))

    def _refuse(self, exchange: _Exchange, connection: sa.Connection) -> NoReturn:
        """Find out why a request is refused of which nothing can come; in the reading thread."""
        asked = self._identify(exchange, connection)
        access.authorize(asked, exchange.place, exchange.ask.method)
        _read_body(exchange.ask, exchange.place)
        # Better a 500 than a 204 for what was not written.
        raise AssertionError("nothing was to come of it, and nothing refuses it")

    def _done(self, made: Outcome, exchange: _Exchange) -> Answer:
        """The answer to a write, which is committed."""
        self._learn(exchange)
        if made is None:
            return _NO_CONTENT
        if isinstance(made, Overwritten):
            return Answer(http.NO_CONTENT, _location(made.place))
        if exchange.place.row.name == "EndDeviceList":
            exchange.ask.peer.info(self._log, "registered", "{peer} registered {href}", href=made.href)
        return Answer(http.CREATED, _location(made))

    # --- both

    def _identify(self, exchange: _Exchange, connection: sa.Connection) -> context.Context:
        """Who asks; in the thread of the store."""
        identity = exchange.ask.peer.identity
        asked = context.identify(connection, self._server, identity, exchange.place, exchange.now)
        exchange.caller = asked.caller
        return asked

    def _failed(
        self, failure: Failure, exchange: _Exchange, again: Callable[[_Exchange], Deferred[Answer]]
    ) -> Answer | Deferred[Answer] | Failure:
        """What becomes of a request that could not be carried out.

        :param again: carries it out anew, once the store was brought up to date where that has to come first
        """
        self._learn(exchange)
        why = failure.value
        if isinstance(why, context.Outdated):
            updated = self._database.write(why.update, exchange.ask.peer.share)
            return updated.addCallbacks(
                lambda _: again(exchange), self._failed, errbackArgs=(exchange, again)
            )
        if isinstance(why, _Moved):
            return moved(why.to.href)
        if not isinstance(why, Refusal):
            return failure
        self._log_refusal(why, exchange)
        if not isinstance(why, Unavailable):
            exchange.ask.peer.note_refusal(f"{exchange.ask.method} {exchange.place.href}: {_why(why)}")
        return refused(why)

    def _learn(self, exchange: _Exchange) -> None:
        """Take what is known of the caller by now to its account, and say when it is on no list."""
        caller = exchange.caller
        if caller is None:
            return
        peer = exchange.ask.peer
        listed = caller.standing is not Standing.UNKNOWN
        known = peer.account.info
        if known is None or (known.listed, known.aggregator, known.managed) != (
            listed,
            caller.aggregator,
            caller.managed,
        ):
            peer.account.learn(_info(caller))
        if not listed:
            reason, what = _NO_ACCESS[caller.barred]
            peer.warn(
                self._log,
                reason,
                "{peer}: {what}, asked for {method} {href}",
                what=what,
                method=exchange.ask.method,
                href=exchange.place.href,
            )

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


def _location(place: Place) -> tuple[tuple[bytes, bytes], ...]:
    return ((b"Location", place.href.encode()),)


def _share(ask: Ask, place: Place) -> Share:
    """On whose account a write is carried out: many readings at once delay nobody's other requests."""
    many = place.row.bulky and isinstance(ask.body, bytes) and len(ask.body) > _MANY_READINGS
    return ask.peer.readings_share if many else ask.peer.share


def _never_writes(ask: Ask, place: Place) -> bool:
    """Whether nothing can come of a write, whoever asks.

    Its body was not taken in, or is of a wrong type, or the method is nobody's: `access.authorize` or
    `_read_body` refuses it.
    """
    if isinstance(ask.body, Refusal) or not place.row.parties(ask.method):
        return True
    return bool(_taken(place.row, ask.method)) and not is_xml(ask.content_type)


@cache
def _taken(row: Row, method: str) -> tuple[type[r.Resource], ...]:
    """Of which classes a document is that a method takes; none: it takes no document."""
    return {"PUT": (row.resource_type,), "POST": row.posted}.get(method, ())


def _read_body(ask: Ask, place: Place) -> r.Resource | None:
    """The document that was sent, for a caller that may send one; None where none belongs to the method.

    :raises Refusal: it was not taken in, is of another media type, or wrong
    """
    expected = _taken(place.row, ask.method)
    if isinstance(ask.body, Refusal):
        raise ask.body
    if not expected:
        return None
    if not is_xml(ask.content_type):
        raise WrongMediaType("Content-Type is not that of a document in XML")
    try:
        # How large it may be was seen to before it was taken in.
        return codec.decode(ask.body, *expected, max_bytes=max(len(ask.body), codec.MAX_BYTES))
    except codec.DocumentError as wrong:
        refusal = BadDocument(str(wrong), wrong.reason)
    # Not its cause as well: that has hold of all that was parsed.
    raise refusal


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


def _first(moment: float | None, other: float | None) -> float:
    """The first of two moments, where there are any."""
    if moment is None:
        return inf if other is None else other
    return moment if other is None or moment < other else other


def _page(place: Place, query: str, maximum: int) -> paging.Page:
    if not place.row.is_list:
        return paging.DEFAULT
    try:
        return paging.parse(query, maximum)
    except paging.BadQuery as error:
        raise BadRequest(str(error)) from error
