"""The grammar of HTTP/1.1 in one place, for whatever here reads requests (RFC 9110, RFC 9112).

Servers and proxies that read the same octets differently are what requests are smuggled through. So the
straight path, Twisted's parser, the proxy and plain HTTP all ask the patterns and the request line here.
"""

from __future__ import annotations

import re
from typing import Final

from attrs import frozen

END_OF_HEAD: Final = b"\r\n\r\n"
#: A header's name, and its value without the blanks around it; a method is as a name.
NAME: Final = re.compile(rb"[!#$%&'*+.^_`|~\w-]+", re.ASCII)
VALUE: Final = re.compile(rb"[\t\x20-\x7e\x80-\xff]*")
#: The value of a Host header, and of a Content-Length that anybody could mean.
HOST: Final = re.compile(rb"[\w.~%!$&'()*+,;=:\[\]-]*", re.ASCII)
LENGTH: Final = re.compile(rb"[0-9]{1,18}")

#: A path and a query as they may stand in a request line.
_TARGET: Final = re.compile(rb"/[\x21\x22\x24-\x7e]*")
#: In the place of a path, the URI of it: what stands before the path. No host, no URI (RFC 9110 4.2).
_ABSOLUTE_FORM: Final = re.compile(rb"https?://(?:[^/?#@]*@)?[^/?#@:][^/?#@]*(?=[/?#]|\Z)", re.IGNORECASE)
_VERSION: Final = re.compile(rb"HTTP/[0-9]\.[0-9]")
_VERSIONS: Final = (b"HTTP/1.1", b"HTTP/1.0")


def is_head(octets: bytes | bytearray) -> bool:
    """Whether what came is of a HEAD, however wrong the rest of it: no answer to one has a body."""
    method = NAME.match(octets)
    return method is not None and method[0] == b"HEAD"


class BadRequestLine(Exception):
    """A line that no request begins with; says what is wrong.

    :param status: that it is refused with
    """

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


@frozen
class RequestLine:
    """How a request begins.

    :param method: as it came
    :param target: path and query; the path of a URI that stood in its place
    :param is_1_0: whether it is one of HTTP/1.0
    """

    method: bytes
    target: bytes
    is_1_0: bool

    @classmethod
    def read(cls, line: bytes, most_uri: int) -> RequestLine:
        """Read a line, without its CRLF. What its method may be is the reader's to say.

        :param most_uri: octets of the target
        :raises BadRequestLine: 400, 414 or 505
        """
        method, *rest = line.split(b" ")
        if len(rest) != 2:
            raise BadRequestLine(400, "a request line that cannot be read")
        target, version = rest
        if version not in _VERSIONS:
            known = _VERSION.fullmatch(version)
            raise BadRequestLine(505 if known else 400, "a version that is not HTTP/1.1")
        absolute = _ABSOLUTE_FORM.match(target)
        if absolute is not None:
            target = target[absolute.end() :]
            target = target if target.startswith(b"/") else b"/" + target
        if len(target) > most_uri:
            raise BadRequestLine(414, "a URI that is too long")
        if not _TARGET.fullmatch(target):
            raise BadRequestLine(400, "a URI that is none")
        return cls(method, target, version == b"HTTP/1.0")
