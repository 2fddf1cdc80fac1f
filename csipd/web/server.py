"""The HTTP side of the server: requests whose caller is known, and the site that connections belong to.

An answer leaves whole and with its length, whoever wrote it and in how many pieces: some clients know no
chunked encoding. The exception is what operators ask for in portions (`Request.stream`). Whatever goes wrong
ends in an ``Error`` document; a traceback is for the log.
"""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from typing import Any
from urllib.parse import unquote_to_bytes

from twisted.internet.interfaces import IAddress, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web import http, server
from twisted.web.error import UnsupportedMethod
from twisted.web.resource import IResource

from csipd.net.connections import Connections
from csipd.net.contacts import Contacts
from csipd.net.identity import Identify, identify_by
from csipd.net.limits import ConnectionLimits
from csipd.net.peer_log import PeerLog
from csipd.net.quotas import LookUp, Quotas
from csipd.refusals import Refusal
from csipd.sep2.identity import lfdi
from csipd.sep2.site import Place, locate
from csipd.web.answers import Answer
from csipd.web.channel import Channel
from csipd.web.endpoint import Answerer
from csipd.web.errors import METHODS, Fault, fault
from csipd.web.ordinary import canonical
from csipd.web.peer import Peer
from csipd.web.sitecontext import FindAnswer, Proxies, SiteContext

#: A chunk of a body counts as at least so many octets.
_LEAST_CHUNK = 16


class Request(server.Request):
    """A request whose caller is known (`peer`), and whose answer leaves whole and with its length.

    What is written is kept until `finish`, unless the application has set Content-Length itself; if it sets
    Connection, the connection is closed behind the answer. Writing to or finishing a request whose client is
    gone does nothing. `withheld` says why a body that was announced was not taken in: it is too large, or its
    sender may not send one or cannot be looked up. `barred`: a proxy has sent it without saying whose it is.
    """

    channel: Any
    defaultContentType = None
    peer: Peer
    withheld: Refusal | None = None
    barred = False

    def __init__(self, channel: Channel, *args: Any, **kw: Any) -> None:
        super().__init__(channel, *args, **kw)
        self.peer = channel.peer
        self._body: list[bytes] = []
        self._taken = 0

    def gotLength(self, length: int | None) -> None:
        self.content = BytesIO()

    def handleContentChunk(self, data: bytes) -> None:
        if self.withheld is not None:
            return
        # A chunk has its cost, however short it is.
        self._taken += max(len(data), _LEAST_CHUNK) if self.channel.length is None else len(data)
        why_not = self.channel.why_not_more(self._taken)
        if why_not is None:
            super().handleContentChunk(data)
        else:
            self.channel.stop_body(self, why_not)

    def header(self, name: bytes) -> str | None:
        """The value of a header; of one that comes in several lines, one list (RFC 9110 5.2).

        Its bytes are read as ISO 8859-1, in which every octet is a character: nothing that a client sends in
        a header fails to be read, and what is not ASCII is equal to nothing that is looked for.
        """
        values = self.requestHeaders.getRawHeaders(name)
        return None if values is None else ", ".join(value.decode("latin-1") for value in values)

    def take(self, answer: Answer) -> bytes:
        """Set status and headers of an answer, and give the body that is to be written."""
        self.setResponseCode(answer.status)
        if answer.close:
            self.setHeader(b"Connection", b"close")
        for name, value in answer.headers:
            self.setHeader(name, value)
        return answer.body

    def getRequestHostname(self) -> bytes:
        """Nothing here depends on the name that a client calls the server by, so what it sent is not used."""
        return b"csipd"

    def process(self) -> None:
        site: Site = self.channel.site
        self.site = site
        self.setHeader(b"Date", site.date())
        if self.barred:
            self._fail(http.FORBIDDEN)
            return
        if not self.peer.account.requests.spend(site.clock.seconds()):
            self.peer.too_many_requests()
            self._fail(http.SERVICE_UNAVAILABLE)
            return
        # Two spellings of one path (RFC 3986 6.2.2.2).
        self.path = canonical(self.path)
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

    def stream(self, data: bytes) -> None:
        """Send a portion of an answer at once, in chunks: its length is not known before its end."""
        if self._disconnected:
            return
        if self.method == b"HEAD" and self.clientproto == b"HTTP/1.1":
            # As Twisted does for a GET.
            self.setHeader(b"Transfer-Encoding", b"chunked")
        self.channel.answer_goes_on()
        self._send(data)

    def cut(self) -> None:
        """Give up an answer of which a portion has left: without its last chunk nobody takes it for whole."""
        if not self._disconnected:
            self.channel.transport.abortConnection()

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
        self.peer.failed(self._log, reason, self.method, self.uri)
        if self._disconnected or self.finished:
            return reason
        if self.startedWriting:
            self.cut()
            return reason
        self._body.clear()
        self.responseHeaders.removeHeader(b"Content-Length")
        self._fail(http.INTERNAL_SERVER_ERROR)
        return reason

    def _fail(self, status: int) -> None:
        """Answer what no application answers."""
        self.write(self.take(self.channel.context.fault(status)))
        self.finish()


class Site(server.Site):
    """The HTTP side of the server: gives each connection its channel, and each channel what it is to know.

    `clock` drives every deadline, `now` is the time of day that answers are dated with. `connections` is
    where live channels are found by LFDI. `endpoint` answers ordinary requests without the resource tree, and
    `find_answer` finds what it answered before; without it every request goes the long way, through the tree.
    `look_up` finds who a caller is before its body is read.
    `fault` gives the document of what is refused before a resource is asked, or after one has failed. With
    `log_requests` each answer makes one debug line. `peer_log` writes the lines that peers cause.
    `contacts` keeps when callers were last heard of. `locate` finds the place at a path for the endpoint.
    `proxies` are those who may speak for others.
    """

    requestFactory = Request
    noisy = False
    _log = Logger()

    def __init__(
        self,
        resource: IResource,
        *,
        clock: IReactorTime,
        now: Callable[[], float],
        limits: ConnectionLimits,
        quotas: Quotas = Quotas(),  # noqa: B008 - frozen
        identify: Identify | None = None,
        endpoint: Answerer | None = None,
        find_answer: FindAnswer | None = None,
        look_up: LookUp | None = None,
        fault: Fault = fault,
        log_requests: bool = False,
        peer_log: PeerLog | None = None,
        contacts: Contacts | None = None,
        locate: Callable[[str], Place | None] = locate,
        proxies: Proxies | None = None,
    ) -> None:
        super().__init__(resource, timeout=None, reactor=clock, parsePOSTFormSubmission=False)
        self.clock = clock
        self.connections = Connections(clock, quotas, limits.connections)
        self.context = SiteContext(
            clock=clock,
            now=now,
            limits=limits,
            connections=self.connections,
            identify=identify or identify_by(lfdi),
            fault=fault,
            peer_log=PeerLog(clock) if peer_log is None else peer_log,
            endpoint=endpoint,
            find_answer=find_answer,
            look_up=look_up,
            contacts=contacts,
            locate=locate,
            proxies=proxies,
            log_requests=log_requests,
        )

    # Twisted's own channel would not hear of the handshake.
    def buildProtocol(self, addr: IAddress | None) -> Channel:  # type: ignore[override]
        return Channel(self, self.context)

    def startFactory(self) -> None:
        """Keep no access log, and so none of the timers that Twisted dates its lines with."""

    def stopFactory(self) -> None:
        """Nothing was started."""

    def log(self, request: http.Request) -> None:
        if isinstance(request, Request):
            self.context.log_answer(
                request.peer, request.method, request.uri, request.code, request.sentLength
            )

    @property
    def peer_log(self) -> PeerLog:
        """Writes the lines that peers cause."""
        return self.context.peer_log

    def date(self) -> bytes:
        """The time of day as a Date header has it."""
        return self.context.date()
