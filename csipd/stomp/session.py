"""One connection to a broker as a state machine: octets and moments in, events and octets out.

Whoever has the connection feeds it what is read, takes events one at a time, writes what `take_output` gives,
and calls `tick` at `next_timer`. Moments are seconds of any clock that only goes forward. Whatever goes wrong
is one `SessionError`, after which nothing more is to be done but to close the connection.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from itertools import islice
from typing import Final

from attrs import frozen

from csipd.stomp.frames import BadFrame, Decoder, Frame, encode

#: Octets of what a broker says of an error that are repeated.
_MOST_SAID: Final = 200
#: Of the time in which a sign of life is due, after how much it is sent; how many may be missed.
_EARLY: Final = 0.75
_PATIENCE: Final = 2.0

_HEART_BEAT = re.compile("([0-9]{1,18}),([0-9]{1,18})")
_UNPRINTABLE = re.compile(r"[^\x20-\x7e\xa0-\U0010ffff]+")


class SessionError(Exception):
    """Why a connection is of no more use.

    :ivar kind: in a few words of a fixed vocabulary
    """

    def __init__(self, kind: str, reason: str) -> None:
        super().__init__(reason)
        self.kind = kind


@frozen
class Times:
    """How long what may take; seconds.

    :param connect: until the broker has answered CONNECT
    :param heart_beat: between signs of life, of either side; 0 for none
    :param receipt: until the broker has confirmed what it is asked to confirm
    :param frame: from a frame's first octet to its last
    """

    connect: float = 10.0
    heart_beat: float = 10.0
    receipt: float = 15.0
    frame: float = 60.0


@frozen
class Connected:
    """The broker has taken us in.

    :param server: what it calls itself, or nothing
    """

    server: str


@frozen
class Received:
    """A message.

    :param subscription: the id that was given to `Session.subscribe`
    :param dropped: octets of a body that was too large; ``body`` is empty then
    """

    subscription: str
    destination: str
    headers: Mapping[str, str]
    body: bytes
    dropped: int = 0


@frozen
class Confirmed:
    """What `Session` was asked to have confirmed is done; ``receipt`` is the id that it gave."""

    receipt: str


Event = Connected | Received | Confirmed


class Session:
    """The client's side of one connection.

    :param host: what the broker is called by, for its ``host`` header
    :param now: the moment of the connection
    :param most_body: octets of a body that is kept
    """

    def __init__(
        self,
        login: str,
        passcode: str,
        host: str,
        now: float,
        *,
        most_body: int,
        times: Times = Times(),
    ) -> None:
        """Begin with CONNECT.

        :raises ValueError: login, passcode or host cannot be sent
        """
        self._times = times
        #: What lets one in: a password, or a token that is the login alone.
        self._secret = passcode or login
        self._most_body = most_body
        self._larger: dict[str, int] = {}
        self._decoder = Decoder(self._most)
        self._output: list[bytes] = []
        self._size = 0
        self._connected = False
        self._receipts: dict[str, float] = {}
        self._last_receipt = 0
        self._connect_by = now + times.connect
        self._frame_by: float | None = None
        self._heard = self._written = now
        #: How often which side speaks; 0: it need not.
        self._speaks_every = self._hears_every = 0.0
        beat = round(times.heart_beat * 1000)
        self._put(
            "CONNECT",
            {
                "accept-version": "1.2",
                "host": host,
                "login": login,
                "passcode": passcode,
                "heart-beat": f"{beat},{beat}",
            },
        )

    @property
    def is_connected(self) -> bool:
        """Whether the broker has taken us in."""
        return self._connected

    @property
    def output_size(self) -> int:
        """Octets that wait for `take_output`."""
        return self._size

    def take_output(self, now: float) -> bytes:
        """The octets that are to be written now."""
        if not self._output:
            return b""
        output, self._output, self._size = b"".join(self._output), [], 0
        self._written = now
        return output

    def feed(self, octets: bytes, now: float) -> None:
        """Take in what was read; its events are taken by `next_event`."""
        self._heard = now
        self._decoder.feed(octets)

    def next_event(self, now: float) -> Event | None:
        """The next of what has happened, or None: more has to be read.

        :raises SessionError: the broker has refused something, or speaks no STOMP
        """
        try:
            while (frame := self._decoder.take()) is not None:
                self._frame_by = None
                event = self._event_of(frame)
                if event is not None:
                    return event
        except BadFrame as error:
            raise SessionError("no STOMP", f"the broker sent {error}") from None
        if not self._decoder.within_frame:
            self._frame_by = None
        elif self._frame_by is None:
            self._frame_by = now + self._times.frame
        return None

    def subscribe(self, subscription: str, destination: str, now: float, *, most_body: int = 0) -> str:
        """Ask for the messages of a destination.

        :param most_body: octets of a body that is kept, where it is more than for others
        :return: the receipt with which the broker confirms it
        """
        if most_body:
            self._larger[subscription] = most_body
        headers = {"id": subscription, "destination": destination, "ack": "auto"}
        return self._put_confirmed("SUBSCRIBE", headers, now)

    def unsubscribe(self, subscription: str, destination: str) -> None:
        """Ask for no more of them. Some brokers want to be told the destination, too."""
        self._larger.pop(subscription, None)
        self._put("UNSUBSCRIBE", {"id": subscription, "destination": destination})

    def send(self, destination: str, body: bytes, headers: Mapping[str, str]) -> None:
        """Send a message.

        :raises ValueError: a header cannot be sent
        """
        self._put("SEND", {"destination": destination, **headers}, body)

    def disconnect(self, now: float) -> str:
        """Say that no more will be sent; the receipt says that all was taken that was."""
        return self._put_confirmed("DISCONNECT", {}, now)

    def next_timer(self) -> float:
        """When `tick` is to be called, at the latest; infinity for never."""
        moments = list(islice(self._receipts.values(), 1))
        if not self._connected:
            moments.append(self._connect_by)
        if self._frame_by is not None:
            moments.append(self._frame_by)
        if self._speaks_every and not self._output:
            moments.append(self._written + self._speaks_every * _EARLY)
        if self._hears_every:
            moments.append(self._heard + self._hears_every * _PATIENCE)
        return min(moments, default=math.inf)

    def tick(self, now: float) -> None:
        """Do what is due.

        :raises SessionError: the broker is late with something
        """
        if not self._connected and now >= self._connect_by:
            waited = self._times.connect
            raise SessionError("no answer", f"the broker did not answer CONNECT within {waited:.0f} s")
        if self._hears_every and now >= self._heard + self._hears_every * _PATIENCE:
            raise SessionError("silence", f"the broker has been silent for {now - self._heard:.0f} s")
        if self._frame_by is not None and now >= self._frame_by:
            raise SessionError("no STOMP", f"the broker has not ended a frame in {self._times.frame:.0f} s")
        if any(now >= due for due in islice(self._receipts.values(), 1)):
            waited = self._times.receipt
            raise SessionError("no receipt", f"the broker has confirmed nothing for {waited:.0f} s")
        if self._speaks_every and not self._output and now >= self._written + self._speaks_every * _EARLY:
            self._add(b"\n")

    def _event_of(self, frame: Frame) -> Event | None:
        headers = frame.headers
        if frame.command == "ERROR":
            said = headers.get("message", "") or frame.body.decode("utf-8", "replace")
            # Brokers repeat by what one came in, which may be a token that lets others in.
            if self._secret:
                said = said.replace(self._secret, "***")
            raise SessionError("refused", f"the broker says: {_shown(said) or 'ERROR'}")
        if frame.command == "CONNECTED":
            return self._take_connected(headers)
        if not self._connected:
            raise SessionError("no STOMP", f"the broker sent {frame.command} before CONNECTED")
        if frame.command == "RECEIPT":
            receipt = headers.get("receipt-id", "")
            # One that nobody waits for is nothing to go by.
            return None if self._receipts.pop(receipt, None) is None else Confirmed(receipt)
        return Received(
            headers.get("subscription", ""),
            headers.get("destination", ""),
            headers,
            frame.body,
            frame.dropped,
        )

    def _take_connected(self, headers: Mapping[str, str]) -> Event:
        if self._connected:
            raise SessionError("no STOMP", "the broker sent CONNECTED twice")
        if headers.get("version") != "1.2":
            version = _shown(headers.get("version", "1.0"))[:20]
            raise SessionError("no STOMP", f"the broker speaks STOMP {version}, not 1.2")
        written = _HEART_BEAT.fullmatch(headers.get("heart-beat", "0,0"))
        if written is None:
            raise SessionError("no STOMP", "the broker sent a heart-beat header that is none")
        offers, wants = (int(number) / 1000 for number in written.groups())
        own = self._times.heart_beat
        self._speaks_every = max(own, wants) if own and wants else 0.0
        self._hears_every = max(own, offers) if own and offers else 0.0
        self._connected = True
        return Connected(_shown(headers.get("server", ""))[:80])

    def _most(self, command: str, headers: Mapping[str, str]) -> int:
        if command != "MESSAGE":
            return 1 << 16
        return self._larger.get(headers.get("subscription", ""), self._most_body)

    def _put_confirmed(self, command: str, headers: Mapping[str, str], now: float) -> str:
        self._last_receipt += 1
        receipt = f"r{self._last_receipt}"
        self._receipts[receipt] = now + self._times.receipt
        self._put(command, {**headers, "receipt": receipt})
        return receipt

    def _put(self, command: str, headers: Mapping[str, str], body: bytes = b"") -> None:
        self._add(encode(command, headers.items(), body))

    def _add(self, octets: bytes) -> None:
        self._output.append(octets)
        self._size += len(octets)


def _shown(said: str) -> str:
    """What a broker said, fit for one line of a log."""
    return _UNPRINTABLE.sub(" ", said[: _MOST_SAID * 4]).strip()[:_MOST_SAID]
