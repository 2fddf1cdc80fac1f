"""Frames of STOMP 1.2 to octets and back, bounded in everything that the other side decides.

Octets go in as they come, frames are taken out one at a time, so that whoever takes them decides how many it
handles at once. What is kept of them is at most one frame that is not complete and what came behind it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from attrs import Factory, frozen

#: Octets of a command with its headers, and how many headers there may be.
MOST_HEAD: Final = 65_536
MOST_HEADERS: Final = 100
#: Octets that a frame may announce; so many are passed over where a body is not wanted.
MOST_ANNOUNCED: Final = 1 << 30

#: What a server sends.
SERVER_COMMANDS: Final = ("CONNECTED", "MESSAGE", "RECEIPT", "ERROR")

_ENDS_OF_LINES = re.compile(rb"[\r\n]+")
_END_OF_HEAD = re.compile(rb"\n\r?\n")
_LENGTH = re.compile("[0-9]{1,10}")
_ESCAPE = re.compile(r"\\(.?)", re.DOTALL)
_ESCAPED = {"\\": "\\\\", "\r": "\\r", "\n": "\\n", ":": "\\c"}
_UNESCAPED = {written[1]: character for character, written in _ESCAPED.items()}
_TO_ESCAPE = re.compile(r"[\\\r\n:]")
#: Frames whose headers are written without escapes, as in STOMP 1.0.
_PLAIN = frozenset(("CONNECT", "CONNECTED"))


class BadFrame(Exception):
    """Octets that are no frame, in words that do not repeat them."""


@frozen
class Frame:
    """One frame.

    :param headers: of one that is repeated the first, which counts
    :param dropped: octets of a body that was too large to be kept; ``body`` is empty then
    """

    command: str
    headers: Mapping[str, str] = Factory(dict)
    body: bytes = b""
    dropped: int = 0


def encode(command: str, headers: Iterable[tuple[str, str]], body: bytes = b"") -> bytes:
    """One frame as octets; a body is sent with its length.

    :raises ValueError: for a header that cannot be written
    """
    lines = [command]
    for name, value in headers:
        if "\0" in name or "\0" in value:
            raise ValueError(f"{name[:40]!r} cannot be sent: it has an octet of value 0")
        if command not in _PLAIN:
            name, value = _escape(name), _escape(value)
        elif "\n" in value or "\r" in value:
            raise ValueError(f"{name[:40]!r} cannot be sent with {command}: it has a line break")
        lines.append(f"{name}:{value}")
    if body:
        lines.append(f"content-length:{len(body)}")
    return "\n".join((*lines, "", "")).encode() + body + b"\0"


def _escape(text: str) -> str:
    return _TO_ESCAPE.sub(lambda found: _ESCAPED[found.group()], text)


def _unescape(text: str) -> str:
    if "\\" not in text:
        return text
    try:
        return _ESCAPE.sub(lambda found: _UNESCAPED[found.group(1)], text)
    except KeyError:
        raise BadFrame("an escape in a header that STOMP has not") from None


@frozen
class _Head:
    command: str
    headers: Mapping[str, str]
    length: int | None  #: of the body; None: it ends at the first octet of value 0
    most: int  #: octets of the body that are kept


class Decoder:
    """Takes in octets, gives frames.

    :param most_body: how large a body may be for the frame of a command and headers; of a larger one only
        the size is told
    :param commands: which there may be; what cannot become one of them is no frame from its first octet on
    """

    def __init__(
        self,
        most_body: Callable[[str, Mapping[str, str]], int],
        commands: Iterable[str] = SERVER_COMMANDS,
    ) -> None:
        self._most_body = most_body
        self._commands = [command.encode() for command in commands]
        self._longest = max(map(len, self._commands)) + 1
        self._buffer = bytearray()
        #: Octets of the buffer in which what is looked for is not.
        self._looked_at = 0
        self._head: _Head | None = None
        #: Octets of the body that are gone already, of one that is too large.
        self._passed = 0

    @property
    def within_frame(self) -> bool:
        """Whether a frame has begun that has not ended; to be asked when no more can be taken."""
        return self._head is not None or bool(self._buffer)

    def feed(self, octets: bytes) -> None:
        """Take in octets."""
        self._buffer += octets

    def take(self) -> Frame | None:
        """The next frame, or None: more octets are needed.

        :raises BadFrame: what came is no frame; nothing more can be made of the connection
        """
        if self._head is None:
            self._head = self._take_head()
            if self._head is None:
                return None
        if self._head.length is None:
            frame = self._take_to_zero(self._head)
        else:
            frame = self._take_length(self._head, self._head.length)
        if frame is not None:
            self._head, self._passed, self._looked_at = None, 0, 0
        return frame

    def _take_head(self) -> _Head | None:
        buffer = self._buffer
        if not self._looked_at:
            # Ends of lines between frames are signs of life.
            if (ends := _ENDS_OF_LINES.match(buffer)) is not None:
                del buffer[: ends.end()]
            if not buffer:
                return None
            self._check_command()
        found = _END_OF_HEAD.search(buffer, max(self._looked_at - 2, 0))
        if found is None:
            if len(buffer) > MOST_HEAD:
                raise BadFrame(f"more than {MOST_HEAD} octets of headers")
            self._check_command()
            # The first octet is looked at in any case, so this is never 0 again.
            self._looked_at = len(buffer)
            return None
        if found.start() > MOST_HEAD:
            raise BadFrame(f"more than {MOST_HEAD} octets of headers")
        head = self._parse_head(bytes(buffer[: found.start()]))
        del buffer[: found.end()]
        self._looked_at = 0
        return head

    def _check_command(self) -> None:
        line, end, _ = bytes(self._buffer[: self._longest + 1]).partition(b"\n")
        line = line.removesuffix(b"\r")
        if not any(line == known if end else known.startswith(line) for known in self._commands):
            raise BadFrame("a command that a broker does not send")

    def _parse_head(self, octets: bytes) -> _Head:
        if b"\0" in octets:
            raise BadFrame("an octet of value 0 among headers")
        try:
            command, *lines = [line.removesuffix("\r") for line in octets.decode().split("\n")]
        except UnicodeDecodeError:
            raise BadFrame("headers that are not UTF-8") from None
        if len(lines) > MOST_HEADERS:
            raise BadFrame(f"more than {MOST_HEADERS} headers")
        headers: dict[str, str] = {}
        for line in lines:
            name, colon, value = line.partition(":")
            if not colon or not name:
                raise BadFrame("a header without a name or a colon")
            if command not in _PLAIN:
                name, value = _unescape(name), _unescape(value)
            headers.setdefault(name, value)
        written = headers.get("content-length")
        length = None
        if written is not None:
            if not _LENGTH.fullmatch(written) or int(written) > MOST_ANNOUNCED:
                raise BadFrame("a content-length that is no size of a body")
            length = int(written)
        return _Head(command, headers, length, self._most_body(command, headers))

    def _take_length(self, head: _Head, length: int) -> Frame | None:
        buffer = self._buffer
        if length > head.most:
            passed = min(len(buffer), length - self._passed)
            del buffer[:passed]
            self._passed += passed
            length_here = 0 if self._passed == length else None
        else:
            length_here = length if len(buffer) >= length else None
        if length_here is None or len(buffer) == length_here:
            return None
        if buffer[length_here]:
            raise BadFrame("a body that does not end where its content-length says")
        body = bytes(buffer[:length_here])
        del buffer[: length_here + 1]
        return Frame(head.command, head.headers, body, self._passed)

    def _take_to_zero(self, head: _Head) -> Frame | None:
        buffer = self._buffer
        end = buffer.find(b"\0", self._looked_at)
        here = len(buffer) if end < 0 else end
        if self._passed or here > head.most:
            del buffer[:here]
            self._passed += here
            self._looked_at = 0
            if self._passed > MOST_ANNOUNCED:
                raise BadFrame("a frame without an end")
            here = 0
        else:
            self._looked_at = here
        if end < 0:
            return None
        body = bytes(buffer[:here])
        del buffer[: here + 1]
        return Frame(head.command, head.headers, body, self._passed)
