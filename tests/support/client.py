"""A small HTTP/1.1 client for tests, strict where a poor device would be.

It speaks over any transport: memory, memory with TLS, a socket. One connection, kept alive; requests may be
sent before the last answer has come and are answered in order. What it does not forgive: an answer without
Content-Length, chunked answers (but where `takes_chunks` is set), bytes that belong to no request.

    client = yield connect(reactor, port, ClientTLS(device, trust=lab))
    answer = yield client.get("/dcap")
    (answer,) = client.raw(b"GET / HTTP/1.1\\r\\n\\r\\n")
"""

from __future__ import annotations

from typing import Any

from attrs import define, frozen
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from OpenSSL import SSL, crypto
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

from tests.support.pki import Authority, Credential

CCM8 = "ECDHE-ECDSA-AES128-CCM8"
SEP_XML = "application/sep+xml"


class BadAnswer(Exception):
    """Something that a strict client cannot read."""


@frozen
class Answer:
    """What came back. Header names are in lower case."""

    status: int
    reason: str
    fields: tuple[tuple[str, str], ...]
    body: bytes = b""

    @property
    def headers(self) -> dict[str, str]:
        """The headers; BadAnswer if one came twice."""
        headers = dict(self.fields)
        if len(headers) != len(self.fields):
            raise BadAnswer(f"a header that comes twice: {self.fields}")
        return headers

    def __str__(self) -> str:
        return f"{self.status} {self.reason} {self.headers} {self.body!r}"


@define(eq=False)
class _Expected:
    """A request that waits for its answer: whether that has a body, and who wants it."""

    bodiless: bool
    deferred: Deferred[Answer]


class Client(Protocol):
    """One connection. `lost` is why it ended, `interim` how many 1xx answers there were.

    `takes_chunks` says whether answers may come in chunks: no device is sent such a one.
    """

    takes_chunks = False

    def __init__(self) -> None:
        self.lost: Failure | None = None
        self.interim = 0
        self.received = b""
        self._buffer = b""
        self._expected: list[_Expected] = []
        self._closed: list[Deferred[BaseException | None]] = []

    def get(self, path: str, headers: dict[str, str] | None = None) -> Deferred[Answer]:
        return self.request("GET", path, headers=headers)

    def head(self, path: str, headers: dict[str, str] | None = None) -> Deferred[Answer]:
        return self.request("HEAD", path, headers=headers)

    def put(self, path: str, body: bytes, headers: dict[str, str] | None = None) -> Deferred[Answer]:
        return self.request("PUT", path, body, headers)

    def post(self, path: str, body: bytes, headers: dict[str, str] | None = None) -> Deferred[Answer]:
        return self.request("POST", path, body, headers)

    def delete(self, path: str, headers: dict[str, str] | None = None) -> Deferred[Answer]:
        return self.request("DELETE", path, headers=headers)

    def request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
        first: bytes = b"",
    ) -> Deferred[Answer]:
        """Send a request; headers given as None in `headers` are left out.

        :param first: whole header lines that come before all others
        """
        fields: dict[str, str | None] = {"Host": "localhost", "Accept": SEP_XML}
        if body is not None:
            fields |= {"Content-Type": SEP_XML, "Content-Length": str(len(body))}
        fields |= headers or {}
        lines = [f"{name}: {value}" for name, value in fields.items() if value is not None]
        sent = f"{method} {path} HTTP/1.1\r\n".encode() + first
        sent += "\r\n".join((*lines, "", "")).encode() + (body or b"")
        (answer,) = self._send(sent, 1, bodiless=method == "HEAD")
        return answer

    def raw(self, data: bytes, answers: int = 1, *, bodiless: bool = False) -> list[Deferred[Answer]]:
        """Send bytes as they are and expect so many answers; `bodiless` when they are to HEAD."""
        return self._send(data, answers, bodiless=bodiless)

    def send(self, data: bytes) -> None:
        """Send bytes that are a part of something."""
        self.transport.write(data)

    def when_closed(self) -> Deferred[BaseException | None]:
        """Fires with the reason when the connection is gone."""
        deferred: Deferred[BaseException | None] = Deferred()
        if self.lost is not None:
            deferred.callback(self.lost.value)
        else:
            self._closed.append(deferred)
        return deferred

    def close(self) -> Deferred[BaseException | None]:
        """Close the connection, and say when it is closed."""
        if self.lost is None:
            self.transport.loseConnection()
        return self.when_closed()

    def _send(self, data: bytes, answers: int, *, bodiless: bool) -> list[Deferred[Answer]]:
        expected = [_Expected(bodiless, Deferred()) for _ in range(answers)]
        if self.lost is not None:
            for each in expected:
                each.deferred.errback(self.lost)
        else:
            self._expected += expected
            self.transport.write(data)
        return [each.deferred for each in expected]

    def dataReceived(self, data: bytes) -> None:
        self.received += data
        self._buffer += data
        while self._expected:
            try:
                parsed = _parse(self._buffer, self._expected[0].bodiless, self.takes_chunks)
            except BadAnswer:
                self._expected.pop(0).deferred.errback(Failure())
                self.transport.abortConnection()
                return
            if parsed is None:
                return
            answer, self._buffer = parsed
            if answer.status < 200:
                self.interim += 1
            else:
                self._expected.pop(0).deferred.callback(answer)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.lost = reason
        expected, self._expected = self._expected, []
        closed, self._closed = self._closed, []
        for each in expected:
            each.deferred.errback(reason)
        for waiting in closed:
            waiting.callback(reason.value)

    @property
    def is_idle(self) -> bool:
        """Whether it waits for no answer."""
        return not self._expected

    def leftovers(self) -> bytes:
        """What came and belongs to no request."""
        return self._buffer


def _parse(data: bytes, bodiless: bool, takes_chunks: bool) -> tuple[Answer, bytes] | None:
    """The first answer in `data` and what follows it, or None if it is not all there."""
    head, end, rest = data.partition(b"\r\n\r\n")
    if not end:
        return None
    status_line, *lines = head.decode("ascii").split("\r\n")
    version, status, reason = status_line.split(" ", 2)
    if version not in ("HTTP/1.1", "HTTP/1.0"):
        raise BadAnswer(f"starts with {status_line!r}")
    fields = tuple(
        (name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines)
    )
    answer = Answer(int(status), reason, fields)
    length = answer.headers.get("content-length")
    if "transfer-encoding" in answer.headers:
        if not takes_chunks:
            raise BadAnswer(f"chunked: {answer}")
        return (answer, rest) if bodiless else _chunks(answer, rest)
    if answer.status < 200 or answer.status in (204, 304):
        return (answer, rest) if length is None else _bad(f"a length where there is no body: {answer}")
    if length is None:
        raise BadAnswer(f"without Content-Length: {answer}")
    size = 0 if bodiless else int(length)
    if len(rest) < size:
        return None
    return Answer(answer.status, reason, fields, rest[:size]), rest[size:]


def _chunks(answer: Answer, rest: bytes) -> tuple[Answer, bytes] | None:
    """An answer in chunks, and what follows it; None if the last one is not there."""
    if answer.headers["transfer-encoding"] != "chunked" or "content-length" in answer.headers:
        raise BadAnswer(f"a body without one clear end: {answer}")
    body = []
    while True:
        line, end, rest = rest.partition(b"\r\n")
        if not end or len(rest) < (size := int(line, 16)) + 2:
            return None
        if rest[size : size + 2] != b"\r\n":
            raise BadAnswer(f"a chunk that goes on behind its end: {rest[:size]!r}")
        body.append(rest[:size])
        rest = rest[size + 2 :]
        if not size:
            return Answer(answer.status, answer.reason, answer.fields, b"".join(body)), rest


def _bad(reason: str) -> Any:
    raise BadAnswer(reason)


@implementer(IOpenSSLClientConnectionCreator)
class ClientTLS:
    """The client's side of TLS: who it is, whom it trusts, and what it offers.

    `credential` None shows no certificate. `present` is the chain sent above the leaf in DER, as a rule what
    the credential has without the root. `ciphers` is an OpenSSL list, `versions` the lowest and the highest.
    """

    def __init__(
        self,
        credential: Credential | None,
        *,
        trust: Authority,
        ciphers: str = CCM8,
        versions: tuple[int, int] = (SSL.TLS1_2_VERSION, SSL.TLS1_2_VERSION),
        curve: ec.EllipticCurve | None = None,
        present: tuple[bytes, ...] | None = None,
    ) -> None:
        self.credential, self.present = credential, present
        context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        context.set_min_proto_version(versions[0])
        context.set_max_proto_version(versions[1])
        store: Any = context.get_cert_store()
        store.add_cert(crypto.X509.from_cryptography(trust.credential.certificate))
        context.set_verify(SSL.VERIFY_PEER, lambda connection, certificate, error, depth, ok: bool(ok))
        if credential is not None:
            context.use_certificate(credential.certificate)
            context.use_privatekey(credential.key)
            for der in credential.above[:-1] if present is None else present:
                context.add_extra_chain_cert(x509.load_der_x509_certificate(der))
        if curve is not None:
            context.set_tmp_ecdh(curve)
        context.set_mode(0x8)  # SSL_MODE_NO_AUTO_CHAIN: nothing is sent that was not asked for above
        context.set_cipher_list(f"{ciphers}:@SECLEVEL=0".encode())
        self._context = context
        self.connections: list[SSL.Connection] = []
        #: A session to be resumed by the next connection, if the server agrees.
        self.session: SSL.Session | None = None

    def clientConnectionForTLS(self, tlsProtocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        connection = SSL.Connection(self._context, None)
        if self.session is not None:
            connection.set_session(self.session)
        self.connections.append(connection)
        return connection

    @property
    def last(self) -> SSL.Connection:
        """The connection made last, to ask what was agreed on."""
        return self.connections[-1]


def connect(reactor: Any, port: int, tls: ClientTLS, host: str = "127.0.0.1") -> Deferred[Client]:
    """A client on a socket, with TLS."""
    factory = TLSMemoryBIOFactory(tls, True, Factory.forProtocol(Client), reactor)
    connected = TCP4ClientEndpoint(reactor, host, port).connect(factory)
    return connected.addCallback(lambda wrapper: wrapper.wrappedProtocol)
