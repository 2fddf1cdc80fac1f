"""The client's side of HTTP/1.1 over one kept connection, strict in what it reads.

A server that answers without a length, with two lengths, in pieces, with more than was asked for, or with a
body that is no document of the standard is at fault, and its connection is closed: `Unanswered`. What is
answered with a status that was not hoped for is an answer like any other.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from attrs import frozen
from OpenSSL import SSL
from twisted.internet.defer import Deferred, DeferredLock, TimeoutError
from twisted.internet.error import ConnectError, ConnectionClosed
from twisted.internet.interfaces import IHandshakeListener, IStreamClientEndpoint
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from csipd.sim.counts import Counts

SEP_XML: Final = "application/sep+xml"
#: Octets of the longest head, and of the longest body.
HEAD_LIMIT: Final = 16 << 10
BODY_LIMIT: Final = 4 << 20
#: Seconds that connecting, and an answer, may take.
TIMEOUT: Final = 30.0

_STATUS_LINE = re.compile(rb"HTTP/1\.1 ([1-5][0-9]{2})(?: [\t\x20-\x7e\x80-\xff]*)?")
_HEADER = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\t\x20-\x7e\x80-\xff]*?)[ \t]*")
_LENGTH = re.compile(rb"[0-9]{1,9}")


class Unanswered(Exception):
    """No answer, or none that can be used; says why."""


@frozen
class Answer:
    """What came back: status, headers by lower-case name, body."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b""

    @property
    def location(self) -> str | None:
        """Where what was made, or has moved, is."""
        return self.headers.get("location")

    @property
    def is_good(self) -> bool:
        return 200 <= self.status < 300


class _Parser:
    """Takes one answer out of octets as they come."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._head: tuple[int, dict[str, str], int] | None = None

    @property
    def has_begun(self) -> bool:
        return bool(self._data) or self._head is not None

    def take(self, data: bytes) -> Answer | None:
        """The answer, once it is there. Unanswered if it is none."""
        self._data += data
        while self._head is None:
            end = self._data.find(b"\r\n\r\n")
            if end < 0:
                if len(self._data) > HEAD_LIMIT:
                    raise Unanswered("a head that does not end")
                return None
            head = _head(bytes(self._data[:end]))
            del self._data[: end + 4]
            if head[0] >= 200:  # what is below is only on its way
                self._head = head
        status, headers, length = self._head
        if len(self._data) < length:
            return None
        if len(self._data) > length:
            raise Unanswered("more octets than the answer has")
        return Answer(status, headers, bytes(self._data))


def _head(octets: bytes) -> tuple[int, dict[str, str], int]:
    """Status, headers and length of the body."""
    first, *lines = octets.split(b"\r\n")
    found = _STATUS_LINE.fullmatch(first)
    if found is None:
        raise Unanswered("an answer that is no HTTP/1.1")
    status = int(found[1])
    headers: dict[str, str] = {}
    for line in lines:
        field = _HEADER.fullmatch(line)
        if field is None:
            raise Unanswered("a header that cannot be read")
        name = field[1].decode("ascii").lower()
        if name in headers:
            raise Unanswered(f"two headers {name}")
        headers[name] = field[2].decode("latin-1")
    if "transfer-encoding" in headers:
        raise Unanswered("an answer in pieces (Transfer-Encoding)")
    length = headers.get("content-length")
    if status < 200 or status == 204:
        if length not in (None, "0"):
            raise Unanswered(f"a body with status {status}")
        return status, headers, 0
    if length is None or not _LENGTH.fullmatch(length.encode("latin-1")):
        raise Unanswered("an answer without a length")
    if int(length) > BODY_LIMIT:
        raise Unanswered("an answer that is too long")
    if int(length) and headers.get("content-type", "").partition(";")[0].strip() != SEP_XML:
        raise Unanswered("a body that is no document of the standard")
    return status, headers, int(length)


@implementer(IHandshakeListener)
class _Connection(Protocol):
    """One connection, with at most one request on its way."""

    transport: Any

    def __init__(self) -> None:
        #: Fires once the handshake is done, or fails with Unanswered.
        self.ready: Deferred[None] = Deferred(lambda _: self._abort())
        self.is_open = False
        self._parser = _Parser()
        self._waiting: Deferred[Answer] | None = None

    def handshakeCompleted(self) -> None:
        self.is_open = True
        self.ready.callback(None)

    def ask(self, octets: bytes) -> Deferred[Answer]:
        """Send a request. Fails with Unanswered, or with _Gone if the connection was closed before."""
        self._parser = _Parser()
        self._waiting = Deferred(lambda _: self._abort())
        waiting = self._waiting
        self.transport.write(octets)
        return waiting

    def close(self) -> None:
        """Let it go; who waits for an answer is told that there is none."""
        if self.is_open:
            self.transport.loseConnection()

    def dataReceived(self, data: bytes) -> None:
        if self._waiting is None:  # octets that belong to no request
            self._abort()
            return
        try:
            answer = self._parser.take(data)
        except Unanswered:
            waiting, self._waiting = self._waiting, None
            self._abort()
            waiting.errback(Failure())
            return
        if answer is None:
            return
        if answer.headers.get("connection", "").lower() == "close":
            self.is_open = False
            self.transport.loseConnection()
        waiting, self._waiting = self._waiting, None
        waiting.callback(answer)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.is_open = False
        if not self.ready.called:
            self.ready.errback(Unanswered(f"no connection: {why(reason)}"))
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.errback(Unanswered(why(reason)) if self._parser.has_begun else _Gone(why(reason)))

    def _abort(self) -> None:
        self.is_open = False
        self._waiting = None
        self.transport.abortConnection()


class _Gone(Unanswered):
    """The connection was closed before an octet of the answer came."""


class HTTPClient:
    """Asks one server, over one kept connection that is opened when it is needed.

    Requests go one after the other, in the order in which they were asked. Where the kept connection turns
    out to have been closed one is asked once more, also a POST, which may have been carried out: what devices
    post is known again by its mRID, its time or what it subscribes to.

    :param endpoint: connects to the server, TLS included
    :param clock: real time
    :param host: what stands in Host
    :param counts: what connections and failures are added to
    """

    def __init__(
        self,
        endpoint: IStreamClientEndpoint,
        clock: Any,
        host: str,
        counts: Counts,
        timeout: float = TIMEOUT,
    ) -> None:
        self._endpoint = endpoint
        self._clock = clock
        self._host = host
        self._counts = counts
        self._timeout = timeout
        self._connection: _Connection | None = None
        self._lock = DeferredLock()
        self._closed = False

    async def request(self, method: str, path: str, body: bytes | None = None) -> Answer:
        """What a request is answered with. Unanswered."""
        octets = self._octets(method, path, body)
        await self._lock.acquire()
        try:
            kept = self._connection is not None and self._connection.is_open
            try:
                return await self._ask(octets)
            except _Gone:
                # Nothing was answered: a kept connection that the server had closed meanwhile.
                if not kept:
                    raise
                return await self._ask(octets)
        finally:
            self._lock.release()

    def close(self) -> None:
        """Close the connection, and open no other."""
        self._closed = True
        if self._connection is not None:
            self._connection.close()

    async def _ask(self, octets: bytes) -> Answer:
        connection = await self._connected()
        asked = connection.ask(octets)
        asked.addTimeout(self._timeout, self._clock)
        try:
            return await asked
        except TimeoutError:
            raise Unanswered("no answer in time") from None
        except Unanswered as error:
            if isinstance(error, _Gone) and not connection.is_open:
                self._connection = None
            raise

    async def _connected(self) -> _Connection:
        self._check_open()
        if self._connection is not None and self._connection.is_open:
            return self._connection
        try:
            connection = await self._connect()
        except Unanswered:
            self._counts.failed_connections += 1
            raise
        self._counts.connections += 1
        self._connection = connection
        if self._closed:
            connection.close()
        self._check_open()
        return connection

    def _check_open(self) -> None:
        if self._closed:
            raise Unanswered("closed")

    async def _connect(self) -> _Connection:
        connecting: Deferred[Any] = self._endpoint.connect(Factory.forProtocol(_Connection))
        try:
            connection: _Connection = await connecting.addTimeout(self._timeout, self._clock)
            await connection.ready.addTimeout(self._timeout, self._clock)
        except TimeoutError:
            raise Unanswered("no connection in time") from None
        except (ConnectError, ConnectionClosed, OSError) as error:
            raise Unanswered(f"no connection: {why(Failure(error))}") from None
        return connection

    def _octets(self, method: str, path: str, body: bytes | None) -> bytes:
        head = f"{method} {path} HTTP/1.1\r\nHost: {self._host}\r\nAccept: {SEP_XML}\r\n"
        if body is None:
            return f"{head}\r\n".encode("ascii")
        return f"{head}Content-Type: {SEP_XML}\r\nContent-Length: {len(body)}\r\n\r\n".encode("ascii") + body


def why(reason: Failure) -> str:
    """Why a connection was lost or not made, in few words: what OpenSSL says is one of its own."""
    error = reason.value
    if isinstance(error, SSL.Error):
        said = [part[-1] for part in error.args[0]] if error.args and error.args[0] else []
        return f"TLS: {said[0]}" if said else "TLS was cut off"
    return {"ConnectionDone": "closed", "ConnectionLost": "cut off", "ConnectionAborted": "given up"}.get(
        type(error).__name__, type(error).__name__
    )
