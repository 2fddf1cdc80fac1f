"""What the rest of this room asks of the bus, whether it is a broker's or one in memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

from attrs import Factory, frozen
from twisted.internet.defer import Deferred

from csipd.gridappsd.state import BusState as BusState

#: Octets of a message's body that is taken; a larger one is dropped and counted.
LARGEST: Final = 1 << 20


class NoAnswer(Exception):
    """A request that was not answered: the bus was down, or nobody answered in time."""


@frozen
class Message:
    """One message that came in.

    :param destination: that it was sent to, such as ``/topic/goss.gridappsd.IEEE_2030_5.input``
    :param body: at most `LARGEST` octets
    :param headers: as the broker gave them, the first where one came twice
    """

    destination: str
    body: bytes
    headers: Mapping[str, str] = Factory(dict)


Handler = Callable[[Message], None]


class Bus(Protocol):
    """A bus of topics and queues."""

    state: BusState

    def subscribe(self, destination: str, handler: Handler) -> None:
        """Have each message of a destination handed to ``handler``, over all reconnections.

        Several handlers of one destination are called in the order in which they came.
        """

    def send(self, destination: str, body: bytes, *, reply_to: str | None = None) -> bool:
        """Send a message. False: the bus is down or takes no more for now; it is dropped and counted."""

    def request(self, destination: str, body: bytes, seconds: float) -> Deferred[bytes]:
        """Send a message and wait for the answer to it; fails with `NoAnswer`."""

    def when_up(self, call: Callable[[], None]) -> None:
        """Have ``call`` called each time the bus comes up, and at once if it is."""

    def refuse(self, kind: str, line: str, /, **values: Any) -> None:
        """Count something that was refused; say so in the log once a minute for each kind.

        :param kind: a few words of a fixed vocabulary
        :param line: format of the line in the log, with its values
        """
