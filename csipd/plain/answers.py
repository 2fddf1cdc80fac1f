"""What a request over plain HTTP is answered with, decided from the octets of its head (decision 70).

Nobody is known here, so there is nothing but where the server is: a DeviceCapability whose links are absolute
and lead to it over TLS, or a redirect there. Which name that has is the configuration's to say and never the
request's, since whoever chose its Host would choose where a device goes next.

A connection ends with its first answer. So it does not matter where a request ends, and nothing that stands
behind a head is looked at: what cannot be smuggled past it would be another request.
"""

from __future__ import annotations

from typing import Final

from attrs import Factory, field, frozen
from twisted.web import http

from csipd.config import PlainMode
from csipd.net.http_grammar import (
    END_OF_HEAD,
    HOST,
    LENGTH,
    NAME,
    VALUE,
    BadRequestLine,
    RequestLine,
    is_head,
)
from csipd.net.limits import ConnectionLimits
from csipd.sep2 import codec
from csipd.sep2 import resources as r
from csipd.sep2.layout import Layout
from csipd.sep2.site import ROWS
from csipd.web.answers import Answer
from csipd.web.errors import CONTENT_TYPE, METHODS, error, fault, method_not_allowed, moved
from csipd.web.media import wanted
from csipd.web.ordinary import canonical

#: Bounds of a head as the server has them by default.
_LIMITS: Final = ConnectionLimits()
#: Where DeviceCapability is as a rule, whatever the server's own layout.
_USUAL: Final = Layout().path

_ALLOWED: Final = ("GET", "HEAD")


class _Malformed(Exception):
    """A head that is no request's.

    :param status: what it is refused with
    """

    def __init__(self, status: int = http.BAD_REQUEST) -> None:
        super().__init__(status)
        self.status = status


@frozen
class Request:
    """What matters of a request.

    :param path: without needless escapes; ``accept`` is what the header says, None where there is none
    """

    method: bytes
    path: bytes
    accept: str | None

    @classmethod
    def read(cls, head: bytes) -> Request:
        """The request of a head, the empty line at its end included.

        :raises _Malformed: it is none
        """
        line, *lines = head.removesuffix(END_OF_HEAD).split(b"\r\n")
        try:
            found = RequestLine.read(line, _LIMITS.uri_bytes)
        except BadRequestLine as error:
            raise _Malformed(error.status) from None
        if len(lines) > _LIMITS.header_lines or not NAME.fullmatch(found.method):
            raise _Malformed
        fields = _fields(lines)
        _check(fields, old=found.is_1_0)
        accept = b", ".join(fields.get(b"accept", ())).decode("latin-1")
        return cls(found.method, canonical(found.target.partition(b"?")[0]), accept or None)


def _fields(lines: list[bytes]) -> dict[bytes, list[bytes]]:
    """The values of each header, by its name in lower case."""
    found: dict[bytes, list[bytes]] = {}
    for line in lines:
        name, colon, value = line.partition(b":")
        value = value.strip(b" \t")
        if not colon or not NAME.fullmatch(name) or not VALUE.fullmatch(value):
            raise _Malformed
        found.setdefault(name.lower(), []).append(value)
    return found


def _check(fields: dict[bytes, list[bytes]], *, old: bool) -> None:
    """See that a head names one host, and says in one way where its body ends.

    :param old: HTTP/1.0, which asks for no Host and knows no chunks
    """
    hosts = fields.get(b"host", [])
    if len(hosts) > 1 or not (hosts or old) or not all(HOST.fullmatch(host) for host in hosts):
        raise _Malformed
    lengths, codings = (fields.get(name) for name in (b"content-length", b"transfer-encoding"))
    if lengths is not None and (len(lengths) > 1 or not LENGTH.fullmatch(lengths[0])):
        raise _Malformed
    if codings is not None and (
        old or lengths is not None or [each.lower() for each in codings] != [b"chunked"]
    ):
        raise _Malformed


@frozen
class Signpost:
    """What shows the way.

    :param base: the server's scheme and authority, which paths are behind
    :param path: of its DeviceCapability
    """

    mode: PlainMode
    base: str
    path: str
    _document: Answer = field(init=False, default=Factory(lambda self: self._made(), takes_self=True))

    def _made(self) -> Answer:
        document = r.DeviceCapability(
            href=self.base + self.path, TimeLink=r.TimeLink(href=self.base + ROWS["Time"].uri)
        )
        return Answer(http.OK, ((b"Content-Type", CONTENT_TYPE),), codec.encode(document))

    def answer(self, head: bytes) -> tuple[Answer, bool]:
        """What a head is answered with, and whether that goes without its body: it is a HEAD's."""
        try:
            request = Request.read(head)
        except _Malformed as malformed:
            return fault(malformed.status), is_head(head)
        return self._answer(request), is_head(head)

    def _answer(self, request: Request) -> Answer:
        """In the order in which the server refuses (decision 35)."""
        if request.method not in METHODS:
            return error(http.NOT_IMPLEMENTED)
        here = request.path == self.path.encode()
        if not here and request.path != _USUAL.encode():
            return fault(http.NOT_FOUND)
        if request.method.decode() not in _ALLOWED:
            return method_not_allowed(_ALLOWED)
        if not here or self.mode is PlainMode.REDIRECT:
            return moved(self.base + self.path)
        return self._document if wanted(request.accept).xml else error(http.NOT_ACCEPTABLE)
