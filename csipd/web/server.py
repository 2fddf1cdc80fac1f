"""The HTTP side of the server: requests whose caller is known, and the site that connections belong to.

An answer leaves whole and with its length, whoever wrote it and in how many pieces: some clients know no
chunked encoding. Whatever goes wrong ends in an ``Error`` document; a traceback is for the log.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from io import BytesIO
from typing import Any
from urllib.parse import unquote_to_bytes

from OpenSSL import SSL
from twisted.internet.interfaces import IAddress, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web import http, server
from twisted.web.error import UnsupportedMethod
from twisted.web.resource import IResource

from csipd.net.connections import Connections
from csipd.net.identity import Identify, Identity, identify_by
from csipd.net.limits import Limits
from csipd.net.throttle import Throttle
from csipd.sep2.identity import lfdi
from csipd.web.channel import BodyLimit, Channel, FastLane, patience
from csipd.web.errors import METHODS, Fault, fault


class Request(server.Request):
    """A request whose caller is known (`identity`), and whose answer leaves whole and with its length.

    What is written is kept until `finish`, unless the application has set Content-Length itself; if it sets
    Connection, the connection is closed behind the answer. Writing to or finishing a request whose client is
    gone does nothing. `head` is the key for the fast lane: the whole head of a request that the fast lane is
    asked about when it comes again, else None.
    """

    channel: Any
    defaultContentType = None
    identity: Identity
    head: bytes | None

    def __init__(self, channel: Channel, *args: Any, **kw: Any) -> None:
        super().__init__(channel, *args, **kw)
        self.identity = channel.identity
        self.head = channel.plain_head
        self._body: list[bytes] = []
        self._taken = 0

    def gotLength(self, length: int | None) -> None:
        self.content = BytesIO()

    def handleContentChunk(self, data: bytes) -> None:
        self._taken += len(data)
        if self._taken > self.channel.body_room:
            self.channel.refuse(http.REQUEST_ENTITY_TOO_LARGE)
        else:
            super().handleContentChunk(data)

    def getRequestHostname(self) -> bytes:
        """Nothing here depends on the name that a client calls the server by, so what it sent is not used."""
        return b"csipd"

    def process(self) -> None:
        site: Site = self.channel.site
        self.site = site
        self.setHeader(b"Date", site.date())
        self.prepath = []
        self.postpath = [unquote_to_bytes(segment) for segment in self.path[1:].split(b"/")]
        try:
            b"".join(self.postpath).decode()
        except UnicodeDecodeError:
            # Nothing has such a name. Klein would say so in its own words, and with a traceback in the log.
            self._fail(http.NOT_FOUND if self.method in METHODS else http.NOT_IMPLEMENTED)
            return
        try:
            self.render(site.getResourceFor(self))
        except Exception:
            self.processingFailed(Failure())

    def render(self, resrc: IResource) -> None:
        try:
            body = resrc.render(self)
        except UnsupportedMethod as unsupported:
            self.setHeader(b"Allow", b", ".join(unsupported.allowedMethods))
            self._fail(http.NOT_ALLOWED if self.method in METHODS else http.NOT_IMPLEMENTED)
            return
        if body is not server.NOT_DONE_YET:
            self.write(body)
            self.finish()

    def write(self, data: bytes) -> None:
        if self._disconnected:
            return
        if self.startedWriting or self.responseHeaders.hasHeader(b"Content-Length"):
            self._send(data)
        else:
            self._body.append(data)

    def _send(self, data: bytes) -> None:
        if not self.startedWriting:
            if self.responseHeaders.hasHeader(b"Connection"):
                self.channel.persistent = False
            elif not self.channel.persistent:
                self.setHeader(b"Connection", b"close")
        super().write(data)

    def finish(self) -> None:
        if self._disconnected:
            return
        if not self.startedWriting:
            body = b"".join(self._body)
            if self.code in http.NO_BODY_CODES:
                self.responseHeaders.removeHeader(b"Content-Length")
            elif not self.responseHeaders.hasHeader(b"Content-Length"):
                self.setHeader(b"Content-Length", b"%d" % len(body))
            self._send(body)
        super().finish()

    def processingFailed(self, reason: Failure) -> Failure:
        """Answer 500 with nothing but a reason code; the log has the traceback under an incident's number."""
        incident = secrets.token_hex(4)
        self._log.failure(
            "incident {incident}: {method} {uri} failed",
            failure=reason,
            incident=incident,
            method=self.method,
            uri=self.uri,
        )
        if self._disconnected or self.finished:
            return reason
        if self.startedWriting:
            self.channel.transport.abortConnection()
            return reason
        self._body.clear()
        self.responseHeaders.removeHeader(b"Content-Length")
        self._fail(http.INTERNAL_SERVER_ERROR)
        return reason

    def _fail(self, status: int) -> None:
        """Answer what no application answers."""
        kind, body = self.channel.site.fault(status)
        self.setResponseCode(status)
        self.setHeader(b"Content-Type", kind)
        self.write(body)
        self.finish()


class Site(server.Site):
    """The HTTP side of the server: gives each connection its channel, and each channel what it is to know.

    `clock` drives every deadline, `now` is the time of day that answers are dated with. `connections` is
    where live channels are found by LFDI. `fault` gives the document of what is refused before a resource is
    asked, or after one has failed. With `log_requests` each answer makes one debug line.
    """

    requestFactory = Request
    _log = Logger()

    def __init__(
        self,
        resource: IResource,
        *,
        clock: IReactorTime,
        now: Callable[[], float],
        limits: Limits,
        identify: Identify | None = None,
        fast_lane: FastLane | None = None,
        body_limit: BodyLimit | None = None,
        fault: Fault = fault,
        log_requests: bool = False,
    ) -> None:
        super().__init__(resource, timeout=None, reactor=clock, parsePOSTFormSubmission=False)
        self.clock = clock
        self.limits = limits
        self.identify = identify or identify_by(lfdi)
        self.fast_lane = fast_lane
        self.fault = fault
        self.connections = Connections(clock)
        self.patience = patience(limits)
        self._now = now
        self._body_limit = body_limit
        self._log_requests = log_requests
        self._throttle = Throttle(clock.seconds)
        self._date = (0, b"")

    # Twisted's own channel would not hear of the handshake.
    def buildProtocol(self, addr: IAddress | None) -> Channel:  # type: ignore[override]
        return Channel(self)

    def startFactory(self) -> None:
        """Keep no access log, and so none of the timers that Twisted dates its lines with."""

    def stopFactory(self) -> None:
        """Nothing was started."""

    def log(self, request: http.Request) -> None:
        if self._log_requests and isinstance(request, Request):
            self._log.debug(
                "{lfdi} {method} {uri} {code} {length}",
                lfdi=request.identity.lfdi,
                method=request.method.decode("ascii", "replace"),
                uri=request.uri.decode("ascii", "replace"),
                code=request.code,
                length=request.sentLength,
            )

    def date(self) -> bytes:
        """The time of day as a Date header has it, made once a second."""
        now = int(self._now())
        if self._date[0] != now:
            self._date = (now, http.datetimeToString(now))
        return self._date[1]

    def room_for_body(self, method: bytes, target: bytes) -> int:
        """The most bytes that a request's body may have."""
        own = self._body_limit(method, target) if self._body_limit is not None else None
        return self.limits.body_bytes if own is None else own

    def handshake_failed(self, peer: Any, reason: Failure) -> None:
        """Log that a peer did not get through the handshake, if it was OpenSSL that objected.

        What the verdict on a certificate was is in the log already, from where it was found.
        """
        error = reason.value
        if not isinstance(error, SSL.Error) or not error.args or not isinstance(error.args[0], list):
            return
        said = str(error.args[0][-1][-1]) if error.args[0] else "the peer went away"
        if said == "certificate verify failed":
            return
        held = self._throttle.admit()
        if held is not None:
            self._log.info(
                "TLS handshake with {peer} failed: {said} ({held} more since the last such line)",
                peer=getattr(peer, "host", peer),
                said=said,
                held=held,
            )
