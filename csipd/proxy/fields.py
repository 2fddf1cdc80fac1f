"""Header lines: how strictly they are read, and which of them go on to the other side.

What two readers may read differently is refused rather than repaired: requests are smuggled past a proxy
where it and the server behind it do not agree about where one ends (RFC 9112 11.2). What concerns one
connection alone is left out (RFC 9110 7.6.1), and so is whatever says who asks or on whose behalf: that is
the proxy's to say, and a device's own word for it counts for nothing (decision 69).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from attrs import frozen

from csipd.net.http_grammar import HOST, LENGTH, NAME, VALUE

#: Via, as the proxy has it in each request that it hands on (RFC 9110 7.6.3).
VIA: Final = b"Via: 1.1 csipd\r\n"

#: Of one connection alone, or about how a message is framed, which is said anew.
_OF_CONNECTION: Final = frozenset(
    (
        b"connection",
        b"content-length",
        b"expect",
        b"http2-settings",
        b"keep-alive",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
        b"via",
    )
)
#: What a Connection header may name in vain: where a message ends, and whom it is for.
_NEVER_NAMED: Final = frozenset((b"host", b"content-length", b"transfer-encoding"))
#: Names that begin so are the proxy's to say, or another's on the way; ``_`` and ``-`` are one to some.
_OF_PROXIES: Final = (b"client-cert", b"forwarded", b"proxy-", b"x-")


class Malformed(Exception):
    """Header lines that cannot be read, or that can be read in more than one way; says what is wrong."""


@frozen
class Fields:
    """What the header lines of a message say.

    :param kept: those that go on, each with its CRLF
    :param length: Content-Length, None where there is none
    :param chunked: whether the body comes in chunks
    :param close: whether the connection ends with the message
    :param keep_alive: whether it says that it does not
    :param host: value of Host
    :param expects: value of Expect, in lower case
    """

    kept: bytes
    length: int | None
    chunked: bool
    close: bool
    keep_alive: bool
    host: bytes | None
    expects: bytes | None


def read_fields(block: bytes, most: int) -> Fields:
    """What a block of header lines says, each with its CRLF.

    :param most: lines
    :raises Malformed: it is not to be relied upon
    """
    lines = block.split(b"\r\n")[:-1]
    if len(lines) > most:
        raise Malformed("too many header lines")
    parsed: list[tuple[bytes, bytes, bytes]] = []
    for line in lines:
        name, colon, value = line.partition(b":")
        value = value.strip(b" \t")
        if not colon or not NAME.fullmatch(name) or not VALUE.fullmatch(value):
            raise Malformed("a header line that cannot be read")
        parsed.append((name.lower(), name, value))
    named = _tokens(value for key, _, value in parsed if key == b"connection")
    left_out = _OF_CONNECTION | (named - _NEVER_NAMED)
    kept = [
        b"%b: %b\r\n" % (name, value)
        for key, name, value in parsed
        if key not in left_out and not key.replace(b"_", b"-").startswith(_OF_PROXIES)
    ]
    length = _single(parsed, b"content-length")
    if length is not None and not LENGTH.fullmatch(length):
        raise Malformed("a Content-Length that is no number")
    coding = _single(parsed, b"transfer-encoding")
    if coding is not None and coding.lower() != b"chunked":
        raise Malformed("a Transfer-Encoding other than chunked")
    if coding is not None and length is not None:
        raise Malformed("Transfer-Encoding beside Content-Length")
    host = _single(parsed, b"host")
    if host is not None and not HOST.fullmatch(host):
        raise Malformed("a Host that is none")
    expects = _single(parsed, b"expect")
    return Fields(
        kept=b"".join(kept),
        length=None if length is None else int(length),
        chunked=coding is not None,
        close=b"close" in named,
        keep_alive=b"keep-alive" in named,
        host=host,
        expects=None if expects is None else expects.lower(),
    )


def _single(parsed: list[tuple[bytes, bytes, bytes]], wanted: bytes) -> bytes | None:
    """The value of a header of which there may be one."""
    values = [value for key, _, value in parsed if key == wanted]
    if len(values) > 1:
        raise Malformed(f"{wanted.decode('ascii')} twice")
    return values[0] if values else None


def _tokens(values: Iterable[bytes]) -> frozenset[bytes]:
    """The members of lists of tokens, in lower case."""
    return frozenset(token.strip(b" \t").lower() for value in values for token in value.split(b",")) - {b""}
