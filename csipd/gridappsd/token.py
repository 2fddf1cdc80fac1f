"""The token that the platform wants of its clients in place of a password.

It is asked for on a connection of its own, made with name and password: a message to a topic, with a queue
for the answer. The platform's clients do the same (docs/gridappsd.md).
"""

from __future__ import annotations

import re
from base64 import b64encode
from typing import Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from csipd.gridappsd.connection import Connection
from csipd.gridappsd.topics import TOKEN_REQUEST
from csipd.stomp.session import Received

#: Octets of a token.
_MOST: Final = 8192
#: How long it is waited for (s).
_PATIENCE: Final = 10.0
_TOKEN = re.compile(rb"[\x21-\x7e]{1,%d}" % _MOST)


class NoConnection(Exception):
    """Why there is no connection or no token.

    :ivar kind: in a few words of a fixed vocabulary
    """

    def __init__(self, kind: str, reason: str) -> None:
        super().__init__(reason)
        self.kind = kind


def request(username: str, password: str) -> bytes:
    """What the token is asked for with."""
    return b64encode(f"{username}:{password}".encode())


def read_token(body: bytes) -> str:
    """The token of an answer.

    :raises NoConnection: it is none
    """
    body = body.strip()
    if not _TOKEN.fullmatch(body):
        raise NoConnection("no token", "what the platform answered is no token")
    return body.decode("ascii")


class TokenRequest:
    """Asks for a token on a connection that it is the user of.

    :ivar connection: to be set before the broker can have answered
    :ivar token: fires with the token once the connection has ended, or fails with `NoConnection`
    """

    connection: Connection

    def __init__(self, username: str, password: str, answers_to: str, clock: IReactorTime) -> None:
        """Ask.

        :param answers_to: the name of a queue, of nobody else
        """
        self.token: Deferred[str] = Deferred()
        self._question = request(username, password)
        self._answers_to = answers_to
        self._clock = clock
        self._found: str | NoConnection | None = None
        self._timer: IDelayedCall | None = None

    def connected(self) -> None:
        session, now = self.connection.session, self._clock.seconds()
        session.subscribe("token", f"/queue/{self._answers_to}", now)
        session.send(TOKEN_REQUEST, self._question, {"reply-to": self._answers_to})
        self._timer = self._clock.callLater(_PATIENCE, self._give_up)

    def received(self, message: Received) -> None:
        if self._found is not None:
            return
        try:
            self._found = read_token(message.body)
        except NoConnection as error:
            self._found = error
        self.connection.end()

    def confirmed(self, receipt: str) -> None:
        """The queue is there; the answer is waited for."""

    def lost(self, kind: str, reason: str) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        if isinstance(self._found, str):
            self.token.callback(self._found)
        else:
            self.token.errback(self._found or NoConnection(kind, reason))

    def _give_up(self) -> None:
        self._found = NoConnection("no token", f"nobody gave a token within {_PATIENCE:.0f} s")
        self.connection.end()
