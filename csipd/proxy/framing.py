"""Where a request or an answer ends, and what is handed on of it: octets in, whole messages out.

Both readers take a stream in whatever pieces it comes, and give one message once all of it is there. A body
that came in chunks leaves with a length, so that the two sides of the proxy never have to agree about chunks.
Whatever is not plainly HTTP/1.1 is refused: see `csipd.proxy.fields`. Each of them has a short way for what
nearly everything is, a GET without a body and the answer of csipd to it; that it finds the same as the
long one is a test.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from attrs import define, field, frozen

from csipd.net.http_grammar import END_OF_HEAD, BadRequestLine, RequestLine, is_head
from csipd.proxy.fields import VIA, Fields, Malformed, read_fields

#: Header lines of an answer, and octets of its head.
_ANSWER_LINES: Final = 100
_ANSWER_HEAD: Final = 16 * 1024
#: Octets of the longest answer that is handed on: a list of all that a page may have is a tenth of it.
LONGEST_ANSWER: Final = 32 * 1024 * 1024

_METHOD: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,32}")
_STATUS_LINE: Final = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9]{2})(?: [\t\x20-\x7e\x80-\xff]*)?")
_CHUNK: Final = re.compile(rb"([0-9A-Fa-f]{1,8})(?:[ \t]*;[\t\x20-\x7e\x80-\xff]{0,256})?")
_TRAILER: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t\x20-\x7e\x80-\xff]*")
#: Octets of a chunk's line, and of all trailers.
_CHUNK_LINE: Final = 300
_TRAILERS: Final = 4096
#: A chunk costs as much as so many octets, however short it is.
_LEAST_CHUNK: Final = 16

#: The short way: a GET or HEAD on a path, and the head of an answer with a length as csipd writes it.
_ORDINARY: Final = re.compile(rb"(?:GET|(HEAD)) (/[\x21\x22\x24-\x7e]{0,254}) HTTP/1\.1\r\n")
_ORDINARY_ANSWER: Final = re.compile(
    rb"HTTP/1\.1 [2-5][0-9]{2} [A-Za-z '-]+\r\nDate: [\x20-\x7e]+\r\n"
    rb"(?:(?:Content-Type|Location|Allow): [\x20-\x7e]*\r\n)*"
    rb"Content-Length: ([0-9]{1,8})\r\n\r\n"
)
_LONGEST_ORDINARY: Final = 1024
_BLOCKS: Final = 1024


class BadRequest(Exception):
    """A request that is not handed on, and the status that it is answered with; the connection ends."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class BadAnswer(Exception):
    """What came from the server is no answer that could be handed on."""


# On the way of every request, and a frozen class takes thrice as long to make. Nothing changes one.
@define(eq=False)
class Request:
    """One whole request, as it is handed on.

    :param line: the request line with its CRLF
    :param rest: what follows the proxy's own header lines: those that are kept, the empty one, the body
    :param method: as it came
    :param target: path and query
    :param bodiless: whether its answer has no body, which is so of HEAD
    :param repeatable: whether it may be sent once more, where nobody knows whether it arrived
    :param last: whether the device's connection ends with it
    """

    line: bytes
    rest: bytes
    method: bytes
    target: bytes
    bodiless: bool
    repeatable: bool
    last: bool = False


@frozen
class Bounds:
    """How large a request may be, in octets; and lines.

    :param body: of a body; larger ones are refused with 413
    """

    head: int = 8 * 1024
    lines: int = 100
    uri: int = 255
    body: int = 1024 * 1024


def ordinary(data: bytes, most_uri: int) -> Request | None:
    """The GET or HEAD without a body that these octets are, all of it and no more; None: something else."""
    found = _ORDINARY.match(data)
    if found is None or len(data) > _LONGEST_ORDINARY:
        return None
    start = found.end()
    if data.find(END_OF_HEAD, start - 2) != len(data) - 4:
        return None
    rest = _ordinary_rest(data[start:-2])
    target = found[2]
    if rest is None or len(target) > most_uri:
        return None
    if found[1]:
        return Request(data[:start], rest, b"HEAD", target, True, True)
    return Request(data[:start], rest, b"GET", target, False, True)


@lru_cache(maxsize=_BLOCKS)
def _ordinary_rest(block: bytes) -> bytes | None:
    """What is handed on of a block of header lines; None where it says more than what is asked for."""
    try:
        fields = read_fields(block, _BLOCKS)
    except Malformed:
        return None
    unusual = fields.length is not None or fields.chunked or fields.close or fields.host is None
    return None if unusual or fields.expects is not None else VIA + fields.kept + b"\r\n"


@define(eq=False)
class _Body:
    """A body that is being read. Give it octets, and it says how many of them it took.

    :param missing: octets that are still to come; of the chunk at hand where it comes in chunks
    """

    chunked: bool
    missing: int
    most: int
    content: bytearray = field(factory=bytearray)
    done: bool = False
    _counted: int = 0
    _trailers: int = 0
    _part: str = "size"

    def take(self, data: bytes, at: int) -> int:
        """Read on from a place in the octets; the place behind what was taken. Malformed."""
        if not self.chunked:
            taken = min(len(data) - at, self.missing)
            self.content += data[at : at + taken]
            self.missing -= taken
            self.done = not self.missing
            return at + taken
        while not self.done:
            if self._part == "data":
                taken = min(len(data) - at, self.missing)
                self.content += data[at : at + taken]
                at += taken
                self.missing -= taken
                if self.missing:
                    return at
                self._part = "end"
            elif self._part == "end":
                if len(data) - at < 2:
                    if data[at:] not in (b"", b"\r"):
                        raise Malformed("a chunk that goes on behind its end")
                    return at
                if data[at : at + 2] != b"\r\n":
                    raise Malformed("a chunk that goes on behind its end")
                at += 2
                self._part = "size"
            else:
                end = data.find(b"\r\n", at, at + _CHUNK_LINE)
                if end < 0:
                    # Whether the beginning of a line could still become one is not known before its end.
                    if len(data) - at >= _CHUNK_LINE:
                        raise Malformed("a line of a chunked body that does not end")
                    return at
                self._line(data[at:end])
                at = end + 2
        return at

    def _line(self, line: bytes) -> None:
        if self._part == "size":
            found = _CHUNK.fullmatch(line)
            if found is None:
                raise Malformed("the size of a chunk cannot be read")
            self.missing = int(found[1], 16)
            self._counted += max(self.missing, _LEAST_CHUNK)
            if self._counted > self.most + _LEAST_CHUNK:
                raise TooLong
            self._part = "data" if self.missing else "trailers"
        elif not line:
            self.done = True
        else:
            self._trailers += len(line) + 2
            if self._trailers > _TRAILERS or not _TRAILER.fullmatch(line):
                raise Malformed("a trailer that cannot be read")


class TooLong(Exception):
    """A body is longer than it may be."""


class RequestReader:
    """Takes the requests out of what a device sends, one after the other.

    `feed` it, and ask it for the `next` one. What is fed before the last one was taken is kept.

    :param bounds: how large a request may be
    :param host: what stands in Host where a request of HTTP/1.0 has none
    """

    def __init__(self, bounds: Bounds, host: bytes) -> None:
        self._bounds = bounds
        self._host = host
        self._data = bytearray()
        self._searched = 0
        self._bodiless = False
        self._head: _Head | None = None
        self._body: _Body | None = None

    @property
    def waiting(self) -> int:
        """Octets that were fed and that no request was made of."""
        return len(self._data)

    @property
    def has_begun(self) -> bool:
        """Whether a request has begun and is not all there."""
        return self._head is not None or bool(self._data)

    @property
    def bodiless(self) -> bool:
        """Whether what was begun last is a HEAD, whatever is wrong with it: its answer has no body."""
        return self._bodiless

    @property
    def awaits_continue(self) -> bool:
        """Whether the device waits for 100 Continue before it sends the body of what has begun."""
        head, body = self._head, self._body
        return bool(
            head is not None
            and head.expects
            and body is not None
            and not body.content
            and not body.done
            and not self._data
        )

    @property
    def expected_body(self) -> int:
        """Octets of the body that has begun, or as many as it may have."""
        if self._body is None:
            return 0
        return self._bounds.body if self._body.chunked else len(self._body.content) + self._body.missing

    def feed(self, data: bytes) -> None:
        """Take in what was received."""
        self._data += data

    def next(self) -> Request | None:
        """The next request, once all of it is there. BadRequest: where another would begin is not known."""
        try:
            if self._head is None and not self._take_head():
                return None
            head, body = self._head, self._body
            assert head is not None
            if body is not None:
                taken = body.take(bytes(self._data), 0)
                del self._data[:taken]
                if not body.done:
                    return None
            self._head = self._body = None
            return head.request(None if body is None else bytes(body.content))
        except Malformed as error:
            raise BadRequest(400, str(error)) from None
        except TooLong:
            raise BadRequest(413, "a body that is too large") from None

    def clear(self) -> None:
        """Forget all that was fed."""
        self._data = bytearray()
        self._head = self._body = None

    def _take_head(self) -> bool:
        data = self._data
        # An empty line before a request is passed over (RFC 9112 2.2).
        while data.startswith(b"\r\n"):
            del data[:2]
            self._searched = 0
        self._bodiless = is_head(data)
        end = data.find(END_OF_HEAD, max(self._searched - 3, 0))
        bounds = self._bounds
        if end < 0 or end + len(END_OF_HEAD) > bounds.head:
            self._searched = len(data)
            if len(data) > bounds.head or end >= 0:
                begun = b"\r\n" in data[: bounds.uri + 64]
                raise BadRequest(400 if begun else 414, "a head that does not end")
            _refuse_early(data)
            return False
        octets = bytes(data[: end + 2])
        del data[: end + len(END_OF_HEAD)]
        self._searched = 0
        self._head = head = _Head.read(octets, bounds, self._host)
        fields = head.fields
        if fields.length is not None and fields.length > bounds.body:
            raise TooLong
        if fields.chunked or fields.length:
            self._body = _Body(fields.chunked, fields.length or 0, bounds.body)
        return True


def _refuse_early(data: bytearray) -> None:
    """Refuse what begins in a way that no request does, before the end of its head is waited for."""
    first = data[:1]
    # One that may still become an empty line is waited for.
    if first and data != b"\r" and not _METHOD.match(first):
        raise BadRequest(400, "no request begins so")


@frozen
class _Head:
    """The head of a request."""

    method: bytes
    target: bytes
    fields: Fields
    host: bytes
    last: bool
    expects: bool

    @classmethod
    def read(cls, octets: bytes, bounds: Bounds, host: bytes) -> _Head:
        """:param octets: request line and header lines, each with its CRLF"""
        line, _, block = octets.partition(b"\r\n")
        try:
            found = RequestLine.read(line, bounds.uri)
        except BadRequestLine as error:
            raise BadRequest(error.status, str(error)) from None
        if not _METHOD.fullmatch(found.method):
            raise BadRequest(400, "a request line that cannot be read")
        fields = read_fields(block, bounds.lines)
        is_1_0 = found.is_1_0
        if fields.host is None and not is_1_0:
            raise Malformed("no Host")
        if fields.chunked and is_1_0:
            raise Malformed("chunks in HTTP/1.0")
        if fields.expects not in (None, b"100-continue"):
            raise BadRequest(417, "it expects what nobody can meet")
        # As the server does, too: a client of that age would have to be told that it goes on.
        last = fields.close or is_1_0
        expects = fields.expects is not None and not is_1_0
        return cls(
            found.method, found.target, fields, b"" if fields.host is not None else host, last, expects
        )

    def request(self, body: bytes | None) -> Request:
        """The request, with its body."""
        fields = self.fields
        rest = [VIA, fields.kept]
        if self.host:
            rest.append(b"Host: %b\r\n" % self.host)
        if fields.length is not None or fields.chunked:
            rest.append(b"Content-Length: %d\r\n" % len(body or b""))
        rest += (b"\r\n", body or b"")
        return Request(
            b"%b %b HTTP/1.1\r\n" % (self.method, self.target),
            b"".join(rest),
            self.method,
            self.target,
            self.method == b"HEAD",
            self.method in (b"GET", b"HEAD") and not body,
            self.last,
        )


@frozen
class Answer:
    """One whole answer, as it is handed on.

    :param status: of it
    :param octets: all of it
    :param last: whether the server's connection ends with it
    """

    status: int
    octets: bytes
    last: bool


class AnswerReader:
    """Takes the answers out of what the server sends, in the order of the requests.

    :param most: octets of one body
    """

    def __init__(self, most: int = LONGEST_ANSWER) -> None:
        self._most = most
        self._data = bytearray()
        self._head: tuple[int, Fields, bytes] | None = None
        self._body: _Body | None = None

    @property
    def has_begun(self) -> bool:
        """Whether an octet of an answer has come that is not all there."""
        return bool(self._data) or self._head is not None

    def feed(self, data: bytes) -> None:
        """Take in what was received."""
        self._data += data

    def take_rest(self) -> bytes:
        """What was fed and stands behind the last answer; it is not read here any more."""
        rest, self._data = bytes(self._data), bytearray()
        return rest

    def next(self, *, bodiless: bool) -> Answer | None:
        """The next answer, once all of it is there. BadAnswer: nothing behind it can be read.

        :param bodiless: it answers a HEAD
        """
        try:
            while self._head is None:
                if not self._take_head(bodiless=bodiless):
                    return None
            body = self._body
            if body is not None:
                taken = body.take(bytes(self._data), 0)
                del self._data[:taken]
                if not body.done:
                    return None
        except Malformed as error:
            raise BadAnswer(str(error)) from None
        except TooLong:
            raise BadAnswer("an answer that is too long") from None
        status, fields, line = self._head
        self._head = self._body = None
        lines = [line, fields.kept]
        content = b"" if body is None else bytes(body.content)
        if bodiless and fields.length is not None:
            lines.append(b"Content-Length: %d\r\n" % fields.length)
        elif body is not None or (not bodiless and status not in (204, 304)):
            lines.append(b"Content-Length: %d\r\n" % len(content))
        return Answer(status, b"".join((*lines, b"\r\n", content)), fields.close)

    def _take_head(self, *, bodiless: bool) -> bool:
        data = self._data
        end = data.find(END_OF_HEAD, 0, _ANSWER_HEAD)
        if end < 0:
            if len(data) >= _ANSWER_HEAD:
                raise Malformed("a head that does not end")
            return False
        first, _, block = bytes(data[: end + 2]).partition(b"\r\n")
        del data[: end + len(END_OF_HEAD)]
        found = _STATUS_LINE.fullmatch(first)
        if found is None:
            raise Malformed("no status line")
        status = int(found[2])
        fields = read_fields(block, _ANSWER_LINES)
        if status < 200:
            if status == 101:
                raise Malformed("another protocol, which nobody asked for")
            return True  # only on its way: the answer follows
        if found[1] == b"0" and not fields.keep_alive:
            fields = Fields(fields.kept, fields.length, fields.chunked, True, False, None, None)
        if not bodiless and status not in (204, 304):
            if not fields.chunked and fields.length is None:
                raise Malformed("an answer without an end")
            if fields.length is not None and fields.length > self._most:
                raise TooLong
            if fields.chunked or fields.length:
                self._body = _Body(fields.chunked, fields.length or 0, self._most)
        elif status == 204 and fields.length and not bodiless:
            raise Malformed("a body where there is none")
        self._head = status, fields, b"HTTP/1.1 " + first[9:] + b"\r\n"
        return True


def ordinary_answer(data: bytes, at: int, *, bodiless: bool) -> int:
    """Where the answer that begins there ends, if it goes on as it is; -1: that is not known.

    The end may be behind that of the octets: then some are still to come.

    :param bodiless: it answers a HEAD
    """
    found = _ORDINARY_ANSWER.match(data, at)
    if found is None:
        return -1
    return found.end() if bodiless else found.end() + int(found[1])
