"""An answer, before it is of any connection, and its octets."""

from __future__ import annotations

from functools import cache

from attrs import define
from twisted.web.http import NO_BODY_CODES, RESPONSES


# On the way of every request, and a frozen class takes thrice as long to make. Nothing changes one.
@define(eq=True)
class Answer:
    """What a request is answered with.

    :param headers: in their order, without Date, Content-Length and Connection, which every answer has alike
    :param close: whether the connection ends with it
    """

    status: int
    headers: tuple[tuple[bytes, bytes], ...] = ()
    body: bytes = b""
    close: bool = False


def octets(answer: Answer, date: bytes, *, bodiless: bool = False, last: bool = False) -> bytes:
    """A whole answer as it goes over the wire.

    :param date: the value of the Date header
    :param bodiless: it answers a HEAD
    :param last: the connection ends with it though the answer does not say so
    """
    before, after = around_date(answer, last=last)
    return before + date + (after if bodiless else after + answer.body)


def around_date(answer: Answer, *, last: bool = False) -> tuple[bytes, bytes]:
    """The head of an answer, before and after the value of its Date header."""
    lines = [b"", b"Connection: close"] if answer.close else [b""]
    lines += [b"%b: %b" % header for header in answer.headers]
    if answer.status not in NO_BODY_CODES:
        lines.append(b"Content-Length: %d" % len(answer.body))
    if last and not answer.close:
        lines.append(b"Connection: close")
    lines += (b"", b"")
    return _start(answer.status), b"\r\n".join(lines)


@cache
def _start(status: int) -> bytes:
    return b"HTTP/1.1 %d %b\r\nDate: " % (status, RESPONSES[status])
