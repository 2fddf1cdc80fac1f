"""What a receiver answers: HTTP/1.1 responses, read strictly and within bounds (RFC 9112).

The status is all that is wanted. It is known when the head is; the rest is read only so that the connection
can be used again, and where it is long or without end it is not read at all. Nothing here knows of time: who
feeds it has a deadline.
"""

from __future__ import annotations

import re
from enum import Enum, auto
from typing import Final

#: Octets of a head, interim ones included.
HEAD_BYTES: Final = 8192
#: Octets of a body that are read for the sake of the connection.
BODY_BYTES: Final = 16_384
# Interim responses, of which any number may come.
_MOST_INTERIM = 8
_STATUS = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9]{2})(?: [\t\x20-\x7e\x80-\xff]*)?")
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[\t ]*([\t\x20-\x7e\x80-\xff]*)")
_LENGTH = re.compile(rb"[0-9]{1,19}")
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,8})[\t ]*(?:;[\t\x20-\x7e\x80-\xff]*)?")


class BadAnswer(Exception):
    """What came is no HTTP response; the text says what of it."""


class Rest(Enum):
    """What is to come after the head."""

    NONE = auto()  #: nothing: the connection may be used again
    LEFT = auto()  #: something that is still to be read
    CLOSE = auto()  #: nothing that is worth reading: the connection is to be closed


class AnswerParser:
    """Reads one response, as it comes.

    :ivar came: whether anything came
    :ivar status: 200 to 599; None until the head is there
    :ivar rest: what is to come once it is
    """

    def __init__(self) -> None:
        self.came = False
        self.status: int | None = None
        self.rest = Rest.LEFT
        self._head = b""
        self._interim = 0
        self._body: _Sized | _Chunked = _Sized(0)

    def feed(self, data: bytes) -> None:
        """Take in what came.

        :raises BadAnswer: it is no response
        """
        self.came = True
        if self.status is None:
            data = self._take_heads(data)
        if self.status is not None and data:
            # Nothing was asked for what comes behind the end.
            self.rest = self._body.feed(data) if self.rest is Rest.LEFT else Rest.CLOSE

    def _take_heads(self, data: bytes) -> bytes:
        """Read heads until there is a final one; what is behind it."""
        self._head += data
        while True:
            end = self._head.find(b"\r\n\r\n")
            if not self._head.startswith(b"HTTP/1."[: len(self._head)]):
                raise BadAnswer("no HTTP/1.1")
            if max(end, len(self._head) if end < 0 else 0) > HEAD_BYTES:
                raise BadAnswer(f"a head of more than {HEAD_BYTES} octets")
            if end < 0:
                return b""
            head, self._head = self._head[:end], self._head[end + 4 :]
            self._take_head(head)
            if self.status is not None:
                rest, self._head = self._head, b""
                return rest

    def _take_head(self, head: bytes) -> None:
        first, *lines = head.split(b"\r\n")
        found = _STATUS.fullmatch(first)
        if found is None:
            raise BadAnswer("no HTTP/1.1")
        status = int(found[2])
        fields: dict[bytes, list[bytes]] = {}
        for line in lines:
            pair = _FIELD.fullmatch(line)
            if pair is None:
                raise BadAnswer("a head with a line that is no field")
            fields.setdefault(pair[1].lower(), []).append(pair[2].strip().lower())
        if status < 200:
            self._interim += 1
            if status == 101 or self._interim > _MOST_INTERIM:
                raise BadAnswer(f"status {status}")
            return
        if status > 599:
            raise BadAnswer(f"status {status}")
        self.status = status
        self.rest = self._rest_of(status, found[1] == b"1", fields)

    def _rest_of(self, status: int, keeps: bool, fields: dict[bytes, list[bytes]]) -> Rest:
        options = b",".join(fields.get(b"connection", ())).replace(b" ", b"").split(b",")
        if not keeps or b"close" in options or b"upgrade" in options:
            return Rest.CLOSE
        codings, lengths = fields.get(b"transfer-encoding"), fields.get(b"content-length")
        if status in (204, 304):
            return Rest.NONE
        if codings is not None:
            if lengths is not None or codings != [b"chunked"]:
                return Rest.CLOSE
            self._body = _Chunked()
            return Rest.LEFT
        if lengths is None or len(set(lengths)) > 1 or _LENGTH.fullmatch(lengths[0]) is None:
            return Rest.CLOSE
        size = int(lengths[0])
        if not size:
            return Rest.NONE
        self._body = _Sized(size)
        return Rest.LEFT if size <= BODY_BYTES else Rest.CLOSE


class _Sized:
    """A body of so many octets."""

    def __init__(self, size: int) -> None:
        self._left = size

    def feed(self, data: bytes) -> Rest:
        self._left -= len(data)
        if self._left > 0:
            return Rest.LEFT
        return Rest.CLOSE if self._left else Rest.NONE


class _Chunked:
    """A body in chunks, with or without trailer fields (RFC 9112 7.1)."""

    def __init__(self) -> None:
        self._came = 0
        self._buffer = b""
        # What is left of a chunk, and of the line end behind it.
        self._left = 0
        self._last = False

    def feed(self, data: bytes) -> Rest:
        self._came += len(data)
        self._buffer += data
        if self._came > BODY_BYTES:
            return Rest.CLOSE
        while True:
            if self._left:
                taken = min(self._left, len(self._buffer))
                ends = self._buffer[max(0, taken - 2) : taken] if taken == self._left else b"\r\n"
                if not b"\r\n".endswith(ends):
                    return Rest.CLOSE
                self._buffer = self._buffer[taken:]
                self._left -= taken
            line, end, behind = self._buffer.partition(b"\r\n")
            if self._left or not end:
                return Rest.LEFT
            self._buffer = behind
            if self._last:
                if not line:
                    return Rest.CLOSE if behind else Rest.NONE
                continue
            size = _CHUNK.fullmatch(line)
            if size is None:
                return Rest.CLOSE
            self._left = int(size[1], 16)
            self._last = not self._left
            self._left += 2 if self._left else 0
