"""The platform's token service, in a process of its own: it answers whoever knows the password.

    python -m tests.support.fake_platform PORT USER PASSWORD TOKEN

It says "ready" each time it is there for them, and comes back when its broker does.
"""

from __future__ import annotations

import sys
import time
from base64 import b64decode
from threading import Event
from typing import Any

import stomp

REQUESTS = "/topic/pnnl.goss.token.topic"


class TokenService(stomp.ConnectionListener):
    """Answers requests for a token until its connection is lost."""

    def __init__(self, port: int, user: str, password: str, token: str) -> None:
        self._credentials = f"{user}:{password}".encode()
        self._token = token
        self._lost = Event()
        self._connection = stomp.Connection12([("127.0.0.1", port)], heartbeats=(10_000, 10_000))
        self._connection.set_listener("", self)
        self._connection.connect(user, password, wait=True)
        self._connection.subscribe(REQUESTS, 1)
        # Confirmed, the subscription is there.
        self._ready = Event()
        self._connection.send("/topic/ready", "", headers={"receipt": "ready"})
        self._ready.wait(20)

    def run(self) -> None:
        """Answer."""
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        self._lost.wait()

    def on_receipt(self, frame: Any) -> None:
        self._ready.set()

    def on_message(self, frame: Any) -> None:
        if b64decode(frame.body) == self._credentials:
            self._connection.send(f"/queue/{frame.headers['reply-to']}", self._token)

    def on_disconnected(self) -> None:
        self._lost.set()


def main(port: str, user: str, password: str, token: str) -> None:
    """Serve until the process is killed."""
    while True:
        try:
            TokenService(int(port), user, password, token).run()
        except (stomp.exception.StompException, OSError):
            time.sleep(0.2)


if __name__ == "__main__":
    main(*sys.argv[1:])
