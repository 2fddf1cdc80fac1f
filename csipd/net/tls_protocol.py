"""One TLS connection: Twisted's, with a shorter way for what an ordinary request and its answer are.

Twisted asks OpenSSL for more after each record until it says that there is none, and then whether it has
something to send, and each of these two answers is an exception. Here the records of a read are counted
beforehand (`csipd.net.records`): where they came whole each is read once, and nothing is asked. An answer is
sealed and sent at once, in one piece. Anything else, a handshake, an alert, a record in pieces, an error,
goes Twisted's own way, read by read. The short way does with the same records what that does.

Relied upon of Twisted 26.10, and pinned by tests/net/test_tls_protocol.py: that a server's connection says
nothing before its peer does, that `dataReceived` leaves nothing unread, and that `write` keeps what OpenSSL
does not take in ``_appSendBuffer``.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IConsumer, IPushProducer
from twisted.internet.protocol import connectionDone
from twisted.protocols.tls import TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

from csipd.net import openssl
from csipd.net.records import WHOLE, Torn, after, application_records


# Twisted has each connection provide what its transport does, which is a twentieth of a handshake's cost.
# This is what a channel asks for.
@implementer(IConsumer, IPushProducer)
class TLSProtocol(TLSMemoryBIOProtocol):
    """One TLS connection, whose channel hears of each read of the socket."""

    transport: Any
    wrappedProtocol: Any
    _appSendBuffer: list[bytes]
    _torn: Torn = WHOLE

    def makeConnection(self, transport: Any) -> None:
        """Begin: as Twisted does, but for the interfaces, and the handshake, which is the peer's to begin."""
        self._tlsConnection = self.factory._creatorCallable(self)
        self._appSendBuffer = []
        # As the class has them. Python keeps the names that all have in one table, if they are there early.
        self._handshakeDone = False
        self._torn = WHOLE
        self.connected = 1
        self.transport = transport
        self.factory.registerProtocol(self)
        self.wrappedProtocol.makeConnection(self)

    def begin_handshake(self) -> None:
        """Say the first word, which is a client's to say."""
        self._checkHandshakeStatus()

    def dataReceived(self, data: bytes) -> None:
        self.wrappedProtocol.read_begins()
        records = application_records(data) if self._torn is WHOLE else 0
        if not records:
            self._torn = after(self._torn, data)
            super().dataReceived(data)
        elif not self._handshakeDone or self._appSendBuffer or self._lostTLSConnection:
            super().dataReceived(data)
        else:
            self._open(records, data)

    def _open(self, records: int, data: bytes) -> None:
        """Deliver what is in whole records of application data."""
        connection = self._tlsConnection
        openssl.receive(connection, data)
        for _ in range(records):
            plain = openssl.open_record(connection)
            if not plain:
                # A record without content, which OpenSSL passes over, or one that it refuses.
                self._flushReceiveBIO()
            elif not self._aborted:
                self.wrappedProtocol.dataReceived(plain)
            if self._lostTLSConnection:
                return

    def write(self, data: bytes) -> None:
        if not data:
            return
        if not self._handshakeDone or self._appSendBuffer or self._lostTLSConnection or self.disconnecting:
            super().write(data)
            return
        taken, sealed = openssl.seal(self._tlsConnection, data[: openssl.RECORD_BYTES])
        if taken < len(data):
            taken, sealed = self._seal_more(data, taken, sealed)
        if sealed:
            self.transport.write(sealed)
        if taken < len(data):
            super().write(data[taken:])

    def _seal_more(self, data: bytes, taken: int, sealed: bytes) -> tuple[int, bytes]:
        """Seal what does not fit into one record: how far OpenSSL took it, and all that is to be sent."""
        pieces = [sealed]
        more = taken
        while more and taken < len(data):
            more, sealed = openssl.seal(self._tlsConnection, data[taken : taken + openssl.RECORD_BYTES])
            taken += more
            pieces.append(sealed)
        return taken, b"".join(pieces)

    def has_unread(self) -> bool:
        """Whether something that the peer has sent waits to be read."""
        waits: bool = self.transport.has_unread()
        return waits

    def pauseProducing(self) -> None:
        self.transport.pauseProducing()

    def resumeProducing(self) -> None:
        self.transport.resumeProducing()

    def stopProducing(self) -> None:
        self.transport.stopProducing()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        # All that came was read when it came. Twisted would read again, for the reason that OpenSSL gives:
        # whoever has finished its handshake may leave as it likes.
        self._lostTLSConnection = self._lostTLSConnection or self._handshakeDone
        super().connectionLost(reason)
        # What was not sent goes now, and not when the garbage collector finds this circle.
        self._appSendBuffer = []
        self._producer = None
