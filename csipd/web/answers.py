"""An answer, before it is of any connection, and its octets."""

from __future__ import annotations

from functools import lru_cache

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
    return before + date + (after[: len(after) - len(answer.body)] if bodiless else after)


def around_date(answer: Answer, *, last: bool = False) -> tuple[bytes, bytes]:
    """A whole answer, before and after the value of its Date header."""
    before, middle, end = _frame(answer.status, answer.headers, answer.close, last)
    if answer.status in NO_BODY_CODES:
        return before, middle + end
    body = answer.body
    return before, b"%bContent-Length: %d\r\n%b%b" % (middle, len(body), end, body)


@lru_cache(maxsize=256)
def _frame(
    status: int, headers: tuple[tuple[bytes, bytes], ...], close: bool, last: bool
) -> tuple[bytes, bytes, bytes]:
    """The head of an answer: before the value of Date, between it and Content-Length, and behind that."""
    before = b"HTTP/1.1 %d %b\r\nDate: " % (status, RESPONSES[status])
    middle = b"".join(
        (
            b"\r\n",
            b"Connection: close\r\n" if close else b"",
            *(b"%b: %b\r\n" % header for header in headers),
        )
    )
    return before, middle, b"Connection: close\r\n\r\n" if last and not close else b"\r\n"
