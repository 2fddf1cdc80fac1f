"""The way to the server: one kept connection over mutual TLS, by the standard library."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Mapping
from http.client import HTTPConnection, HTTPException, HTTPResponse, IncompleteRead
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from attrs import frozen

from csipd.cli.ctl.client import Answer
from csipd.cli.ctl.errors import ServerFailed, Unreachable
from csipd.config.fields import is_host

DEFAULT_PORT = 7444

ANSWER_LIMIT = 64 << 20
"""Octets of the longest answer; a page of five hundred states is far below."""

_CHUNK = 1 << 16

Take = Callable[[bytes], None]

# How a kept connection looks that the other side has closed.
_GONE = (ConnectionError, ssl.SSLEOFError, ssl.SSLZeroReturnError)


@frozen
class Server:
    """Where the operator's API listens, and the name that its certificate must hold."""

    host: str
    port: int
    name: str

    def __str__(self) -> str:
        return (
            f"https://[{self.host}]:{self.port}" if ":" in self.host else f"https://{self.host}:{self.port}"
        )


@frozen
class Credentials:
    """The files of TLS: whom to trust, and who we are."""

    ca: Path
    certificate: Path
    key: Path


def parse_server(url: str, name: str | None = None) -> Server:
    """`https://HOST[:PORT]` -> Server. ValueError for anything else."""
    expected = f"{url[:80]!r} is not of the form https://HOST[:PORT]"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise ValueError(expected) from None
    extra = parts.path.rstrip("/") or parts.query or parts.fragment or "@" in parts.netloc
    if parts.scheme != "https" or extra or port == 0 or not host or not is_host(host):
        raise ValueError(expected)
    return Server(host, port or DEFAULT_PORT, name or host)


def reachable(host: str) -> str:
    """An address by which a listener on `host` is reached from this machine."""
    try:
        address = ip_address(host)
    except ValueError:
        return host
    return host if not address.is_unspecified else "127.0.0.1" if address.version == 4 else "::1"


def make_context(credentials: Credentials) -> ssl.SSLContext:
    """TLS 1.2 with our certificate, to servers that a certificate of `ca` vouches for. Raises Unreachable."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_2
    for path in (credentials.ca, credentials.certificate, credentials.key):
        try:
            path.open("rb").close()
        except OSError as error:
            raise Unreachable(
                f"{path}: {error.strerror}; --tls, or --ca, --cert and --key, say where certificates are"
            ) from None
    try:
        context.load_verify_locations(credentials.ca)
    except (ssl.SSLError, OSError):
        raise Unreachable(f"{credentials.ca}: holds no certificate in PEM") from None
    try:
        context.load_cert_chain(credentials.certificate, credentials.key)
    except (ssl.SSLError, OSError):
        raise Unreachable(
            f"{credentials.certificate} and {credentials.key} are no certificate and its key, in PEM"
        ) from None
    return context


class HTTPSTransport:
    """Carries requests over one connection as long as the server keeps it open."""

    def __init__(
        self,
        server: Server,
        credentials: Credentials,
        *,
        timeout: float,
        monotonic: Callable[[], float],
    ) -> None:
        """`timeout` is in seconds: for connecting, for each wait, and for a whole answer."""
        self._server = server
        self._credentials = credentials
        self._timeout = timeout
        self._monotonic = monotonic
        self._context: ssl.SSLContext | None = None
        self._connection: HTTPConnection | None = None
        self._taken = False  # whether something of the answer in progress was handed over

    def send(self, method: str, target: str, headers: Mapping[str, str], body: bytes | None) -> Answer:
        """One request. Only what does no harm twice is repeated, where a kept connection turns out closed."""
        return self._carry(method, target, headers, body, None)

    def stream(self, target: str, headers: Mapping[str, str], take: Callable[[bytes], None]) -> Answer:
        """GET, and hand the body of a good answer over as it comes, however long that takes in all."""
        return self._carry("GET", target, headers, None, take)

    def _carry(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes | None, take: Take | None
    ) -> Answer:
        kept = self._connection is not None
        harmless = method == "GET"
        try:
            try:
                return self._send(method, target, headers, body, take)
            except _GONE:
                # What was handed over cannot be taken back.
                if not kept or self._taken or not (harmless or "Idempotency-Key" in headers):
                    raise
            return self._send(method, target, headers, body, take)
        except TimeoutError:
            what = f"no answer within {self._timeout:g} s"
        except OSError as error:
            what = f"the connection was lost ({reason(error)})"
        except HTTPException as error:
            raise ServerFailed(f"{self._server} does not speak HTTP: {type(error).__name__}") from None
        doubt = "" if harmless else "; look before you repeat it: it may have been done"
        raise Unreachable(f"{self._server}: {what}{doubt}")

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _send(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes | None, take: Take | None
    ) -> Answer:
        self._taken = False
        if self._connection is None:
            self._connection = self._connect()
        done = False
        try:
            self._connection.request(method, target, body, dict(headers))
            with self._connection.getresponse() as response:
                good = 200 <= response.status < 300
                content = (
                    self._read(response) if take is None or not good else self._hand_over(response, take)
                )
                kind = response.headers.get_content_type() if "Content-Type" in response.headers else ""
                done = not response.will_close
                return Answer(response.status, kind, content)
        except IncompleteRead:
            raise ConnectionResetError("the answer was cut off") from None
        finally:
            if not done:
                self.close()

    def _read(self, response: HTTPResponse) -> bytes:
        content = bytearray()
        deadline = self._monotonic() + self._timeout
        while part := response.read1(_CHUNK):
            content += part
            if len(content) > ANSWER_LIMIT:
                raise ServerFailed(f"{self._server}: an answer of more than {ANSWER_LIMIT} octets")
            if self._monotonic() > deadline:
                raise TimeoutError
        if response.length:  # read1 does not mind an end before its time
            raise ConnectionResetError("the answer was cut off")
        return bytes(content)

    def _hand_over(self, response: HTTPResponse, take: Take) -> bytes:
        while part := response.read1(_CHUNK):
            self._taken = True
            take(part)
        if response.length:
            raise ConnectionResetError("the answer was cut off")
        return b""

    def _connect(self) -> HTTPConnection:
        server = self._server
        if self._context is None:
            self._context = make_context(self._credentials)
        connection = HTTPConnection(server.host, server.port, timeout=self._timeout)
        connection.auto_open = 0  # a connection that is gone is this class's affair
        try:
            raw = socket.create_connection((server.host, server.port), self._timeout)
            try:
                raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                connection.sock = self._context.wrap_socket(raw, server_hostname=server.name)
            except BaseException:
                raw.close()
                raise
        except TimeoutError:
            raise Unreachable(f"{server}: cannot be reached within {self._timeout:g} s") from None
        except OSError as error:
            raise Unreachable(f"{server}: {reason(error)}") from None
        return connection


def reason(error: OSError) -> str:
    """Why there is no connection, as one says it."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return f"no TLS with it: {(error.reason or 'unknown').replace('_', ' ').lower()}"
    if isinstance(error, ConnectionRefusedError):
        return "nothing listens there"
    return str(error.strerror or error).lower()
