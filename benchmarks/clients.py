"""Devices that ask: on kept connections in waves, or many at once, each with its own certificate.

What they ask for is here, too, as the octets that a device sends.
"""

from __future__ import annotations

import errno
import select
import socket
import struct
import time
from collections.abc import Iterable, Sequence
from itertools import chain, islice

from OpenSSL import SSL

from benchmarks.fleets import Fleet
from benchmarks.stores import DER_STATUS, NOW
from csipd.sep2 import codec
from csipd.sep2 import resources as r
from tests.support.pki import Credential

#: Seconds that an answer may take.
TIMEOUT = 300
#: What a device asks for when it polls.
POLL = (
    "/dcap",
    "/tm",
    "/edev",
    "/edev/{}",
    "/edev/{}/fsa",
    "/edev/{}/der",
    "/edev/{}/rg",
    "/edev/{}/der/1/ders",
)
_DONE = (b"200", b"201", b"204")

# --- requests


def get(path: str) -> bytes:
    """A GET as a device sends it."""
    return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: application/sep+xml\r\n\r\n".encode()


def send_body(method: str, path: str, body: bytes, kind: str = "application/sep+xml") -> bytes:
    """A PUT or POST as a device sends it."""
    head = (
        f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {kind}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def status(number: int) -> bytes:
    """A DERStatus; another number is another one."""
    charge = r.StateOfChargeStatusType(dateTime=NOW + number, value=number % 10_000)
    return codec.encode(DER_STATUS.replace(readingTime=NOW + number, stateOfChargeStatus=charge))


def put_status(device: int, number: int) -> bytes:
    """A PUT of a device's DERStatus; another number is another one."""
    return send_body("PUT", f"/edev/{device}/der/1/ders", status(number))


# --- kept connections


class Connection:
    """A kept connection. Requests are octets; an answer is read before the next request is sent."""

    def __init__(self, port: int, fleet: Fleet, credential: Credential, source: str = "") -> None:
        plain = socket.create_connection(("127.0.0.1", port), None, (source, 0))
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # A timeout of Python's would make the socket one that does not block.
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", TIMEOUT, 0))
        self._tls = fleet.tls(credential, plain)
        self._tls.do_handshake()

    def send(self, request: bytes) -> None:
        self._tls.sendall(request)

    def receive(self, wanted: Sequence[bytes] = _DONE) -> bytes:
        """One whole answer; RuntimeError if its status is another than wanted."""
        data = b""
        while (size := size_of(data, wanted)) is None or len(data) < size:
            data += self._tls.recv(65_536)
        return data

    def receive_each(self, number: int) -> None:
        """So many answers that come one behind the other."""
        data = b""
        for _ in range(number):
            while (size := size_of(data, _DONE)) is None or len(data) < size:
                data += self._tls.recv(65_536)
            data = data[size:]

    def receive_chunks(self) -> int:
        """Take in an answer that comes in chunks; how many octets it has. RuntimeError if it is no 200."""
        data = self._tls.recv(65_536)
        if not data.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(data.decode("utf-8", "replace"))
        size = len(data)
        while not data.endswith(b"\r\n0\r\n\r\n"):
            more = self._tls.recv(65_536)
            size += len(more)
            data = data[-7:] + more
        return size

    def ask(self, request: bytes) -> bytes:
        """The body of the answer."""
        self.send(request)
        return self.receive().partition(b"\r\n\r\n")[2]

    def close(self) -> None:
        self._tls.close()


def size_of(data: bytes, wanted: Sequence[bytes]) -> int | None:
    """How long an answer is; None: its head is not complete. RuntimeError if its status is not wanted."""
    end = data.find(b"\r\n\r\n")
    if end < 0:
        return None
    head = data[:end].lower()
    if head[9:12] not in wanted:
        raise RuntimeError(data.decode("utf-8", "replace"))
    mark = head.find(b"content-length:")
    length = int(head[mark:].split(b"\r\n", 1)[0].split(b":")[1]) if mark >= 0 else 0
    return end + 4 + length


# --- many at once


class Visit:
    """A device that connects, asks one thing after the other, and leaves; or stays, if it is kept.

    :param source: the address that it calls from
    :param requests: what it asks for
    """

    __slots__ = ("_credential", "_data", "_fleet", "_next", "_plain", "_port", "_requests", "_source", "_tls")

    def __init__(
        self, port: int, fleet: Fleet, credential: Credential, source: str, requests: Sequence[bytes]
    ) -> None:
        self._port = port
        self._fleet = fleet
        self._credential = credential
        self._source = source
        self._plain: socket.socket
        self._tls: SSL.Connection | None = None
        self.ask(requests)

    def ask(self, requests: Sequence[bytes]) -> None:
        """What it asks for when it is run next."""
        self._requests = requests
        self._next = -1
        self._data = b""

    def begin(self) -> int:
        """Begin to connect, or to ask; gives the descriptor to watch."""
        if self._tls is not None:
            self._send()
            return self._plain.fileno()
        plain = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        plain.setblocking(False)
        plain.bind((self._source, 0))
        failed = plain.connect_ex(("127.0.0.1", self._port))
        if failed not in (0, errno.EINPROGRESS):
            raise OSError(failed, "connect")
        self._plain = plain
        return plain.fileno()

    def advance(self) -> int | None:
        """Go as far as it goes; gives the events to wait for, None once the last answer is there."""
        try:
            if self._tls is None:
                failed = self._plain.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                if failed:
                    raise OSError(failed, "connect")
                self._tls = self._fleet.tls(self._credential, self._plain)
            if self._next < 0:
                self._tls.do_handshake()
                if not self._requests:
                    return None
                self._send()
            while True:
                self._data += self._tls.recv(65_536)
                size = size_of(self._data, _DONE)
                if size is not None and len(self._data) >= size:
                    self._data = b""
                    if self._next == len(self._requests):
                        return None
                    self._send()
        except SSL.WantReadError:
            return select.EPOLLIN
        except SSL.WantWriteError:
            return select.EPOLLOUT

    def _send(self) -> None:
        self._next = max(self._next, 0)
        assert self._tls is not None
        request = self._requests[self._next]
        if self._tls.send(request) != len(request):
            raise RuntimeError("a request did not fit into the socket's buffer")
        self._next += 1

    @property
    def is_connected(self) -> bool:
        return self._tls is not None

    def close(self) -> None:
        """Leave, or make ready to come again."""
        (self._tls or self._plain).close()
        self._tls = None
        self.ask(self._requests)


def crowd(visits: Iterable[Visit], at_once: int, keep: bool = False, again: float | None = None) -> int:
    """Run visits, so many at once; how many connections there were. RuntimeError if an answer is no success.

    :param keep: whether they stay connected
    :param again: seconds after which those whose connection was cut come again; None: that is an error
    """
    coming, live, done = iter(visits), dict[int, Visit](), 0
    cut: list[tuple[float, Visit]] = []
    poll = select.epoll()
    try:
        while True:
            while cut and cut[0][0] <= time.monotonic():
                coming = chain((cut.pop(0)[1],), coming)
            for visit in islice(coming, at_once - len(live) - len(cut)):
                descriptor = visit.begin()
                live[descriptor] = visit
                poll.register(descriptor, select.EPOLLIN if visit.is_connected else select.EPOLLOUT)
            if not live and not cut:
                return done
            ready = poll.poll(max(cut[0][0] - time.monotonic(), 0) if cut else TIMEOUT)
            if not ready and not cut:
                raise RuntimeError(f"{len(live)} devices have waited {TIMEOUT} s for an answer")
            for descriptor, _ in ready:
                visit = live[descriptor]
                try:
                    events = visit.advance()
                except (OSError, SSL.Error):
                    if again is None:
                        raise
                    events = None
                    cut.append((time.monotonic() + again, visit))
                if events is not None:
                    poll.modify(descriptor, events)
                    continue
                poll.unregister(descriptor)
                del live[descriptor]
                done += 1
                if not keep or (cut and cut[-1][1] is visit):
                    visit.close()
    finally:
        poll.close()
