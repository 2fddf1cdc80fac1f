"""What is an ordinary request, decided from octets: what the straight path takes, and what it leaves alone.

One whole request of HTTP/1.1 whose headers ask for nothing but an answer, with its body in hand. Whatever is
unusual, doubtful or wrong is not ordinary: Twisted's parser is asked then, which knows what to say. So the
two never disagree about where a request ends: what is taken here is what both read alike, and it ends where
the octets at hand end.
"""

from __future__ import annotations

import re
from functools import lru_cache
from urllib.parse import unquote_to_bytes

from attrs import define, frozen

from csipd.net.hop import CLIENT_CERT, CLIENT_CERT_CHAIN
from csipd.net.http_grammar import END_OF_HEAD, HOST, NAME, VALUE
from csipd.net.limits import ConnectionLimits
from csipd.sep2.site import locate

#: A head longer than this is worth the long way. It also bounds what is kept of heads.
LONGEST_HEAD = 1024
# Blocks of header lines whose meaning is kept; a client sends the same ones each time.
_BLOCKS = 1024

# A path without escapes and empty segments, of which there is but one spelling.
_REQUEST_LINE = re.compile(
    rb"(GET|HEAD|PUT|POST|DELETE) (((?:/[\w.~-]+)+)(?:\?([\x21\x22\x24-\x7e]*))?) HTTP/1\.1\r\n", re.ASCII
)
#: An escape of a character that needs none (RFC 3986 2.3).
_NEEDLESS_ESCAPE = re.compile(rb"%(?:2[DdEe]|3[0-9]|4[1-9A-Fa-f]|5[0-9Aa]|5[Ff]|6[1-9A-Fa-f]|7[0-9Aa]|7[Ee])")
_LENGTH = re.compile(rb"[1-9][0-9]{0,8}")
#: Headers that say where a body ends in other ways, or want something before it is sent.
_UNUSUAL = frozenset((b"transfer-encoding", b"expect", b"upgrade"))
#: Headers by which a proxy says whose a request is (`csipd.net.hop`).
_CLIENT_CERT = frozenset((CLIENT_CERT.lower(), CLIENT_CERT_CHAIN.lower()))
#: Headers of which there may be one.
_SINGLE = frozenset((b"host", b"content-length", b"content-type"))


@frozen
class Fields:
    """What the header lines of an ordinary request say.

    :param lines: how many there are
    :param length: of the body; 0: there is none
    :param client_cert: whether they say whose the request is, as a proxy's do
    """

    lines: int
    accept: str | None
    content_type: str | None
    length: int
    client_cert: bool


# On the way of every request, and a frozen class takes thrice as long to make. Nothing changes one.
@define(eq=False)
class Ordinary:
    """An ordinary request.

    :param target: path and query, as they came
    :param missing: how many octets of the body are still to come; until then there is no ``body``
    """

    method: str
    target: bytes
    path: str
    query: str
    fields: Fields
    body: bytes
    missing: int


def most_octets(limits: ConnectionLimits, path: bytes) -> int:
    """How large a body may be that is sent to a path: readings may be many."""
    place = locate(path.decode("latin-1"))
    return limits.reading_body_bytes if place is not None and place.row.bulky else limits.body_bytes


def canonical(path: bytes) -> bytes:
    """A path without needless escapes: with them it is another spelling of the same (RFC 3986 6.2.2.2)."""
    return _NEEDLESS_ESCAPE.sub(lambda found: unquote_to_bytes(found[0]), path)


def parse(data: bytes, limits: ConnectionLimits) -> Ordinary | None:
    """The request that `data` is, or None if it is not ordinary.

    `data` is what was received since the last request ended. It is one head, and the body that this announces
    or the beginning of it; with anything behind that it is not ordinary.
    """
    line = _REQUEST_LINE.match(data)
    if line is None:
        return None
    start = line.end()
    end = data.find(END_OF_HEAD, start - 2, LONGEST_HEAD)
    if end < 0:
        return None
    fields = _fields(data[start : end + 2])
    end += 4
    method, target, path, query = line.groups()
    if (
        fields is None
        or fields.lines > limits.header_lines
        or end > limits.head_bytes
        or len(target) > limits.uri_bytes
        or (fields.length > limits.body_bytes and fields.length > most_octets(limits, path))
        # What has a body is sent with one, and nothing else is.
        or (method in (b"PUT", b"POST")) is (fields.length == 0)
    ):
        return None
    missing = fields.length - (len(data) - end)
    if missing < 0:
        return None
    return Ordinary(
        method.decode(),
        target,
        path.decode(),
        query.decode() if query else "",
        fields,
        data[end:] if not missing and fields.length else b"",
        missing,
    )


@lru_cache(maxsize=_BLOCKS)
def _fields(block: bytes) -> Fields | None:
    """What a block of header lines says, each with its CRLF; None: something unusual.

    The value of a header that comes in several lines is one list (RFC 9110 5.2). Octets are read as ISO
    8859-1, in which every one is a character.
    """
    found: dict[bytes, bytes] = {}
    lines = block.split(b"\r\n")[:-1]
    for line in lines:
        name, colon, value = line.partition(b":")
        value = value.strip(b" \t")
        if not colon or not NAME.fullmatch(name) or not VALUE.fullmatch(value):
            return None
        name = name.lower()
        before = found.get(name)
        if name in _UNUSUAL or (before is not None and name in _SINGLE):
            return None
        found[name] = value if before is None else before + b", " + value
    host = found.get(b"host")
    length = found.get(b"content-length")
    if (
        host is None
        or not HOST.fullmatch(host)
        or (length is not None and not _LENGTH.fullmatch(length))
        or b"close" in found.get(b"connection", b"").lower()
    ):
        return None
    return Fields(
        len(lines),
        _text(found.get(b"accept")),
        _text(found.get(b"content-type")),
        0 if length is None else int(length),
        not _CLIENT_CERT.isdisjoint(found),
    )


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode("latin-1")
