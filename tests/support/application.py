"""Another application on the bus, in a process of its own: the platform's own client, gridappsd-python.

    python -m tests.support.application PORT USER PASSWORD

It says {"ready": true} and does what it reads, a JSON object a line:

    {"subscribe": "/topic/a"}                     says {"topic", "headers", "message"} of each that comes
    {"send": "/topic/a", "message": {...}}
    {"send": "/topic/a", "message": {...}, "times": 1000}  with "number" in each, from 0
    {"ask": "/queue/a", "message": {...}}         says {"answer": ...}
    {"answer": "queue", "with": {...}}            answers each request that comes there; it takes the names
                                                  of queues without their /queue/
"""

from __future__ import annotations

import json
import sys
from threading import Event, Lock
from typing import Any

from gridappsd import GridAPPSD

_SAYING = Lock()


def say(**what: Any) -> None:
    """One line for the test."""
    with _SAYING:
        sys.stdout.write(json.dumps(what) + "\n")
        sys.stdout.flush()


class Echo:
    """What the client sends itself: when it is back, the broker has done all that it was sent before."""

    TOPIC = "/topic/echo"

    def __init__(self, application: GridAPPSD) -> None:
        self._application = application
        self._back = Event()
        application.subscribe(self.TOPIC, lambda headers, message: self._back.set())

    def wait(self) -> None:
        """Wait until the broker has done everything."""
        self._back.clear()
        self._application.send(self.TOPIC, {})
        self._back.wait(60)


def do(application: GridAPPSD, what: dict[str, Any]) -> None:
    """Do one thing."""
    if "subscribe" in what:
        topic = what["subscribe"]
        application.subscribe(
            topic, lambda headers, message: say(topic=topic, headers=headers, message=message)
        )
    elif "send" in what:
        for number in range(what.get("times", 1)):
            application.send(what["send"], {**what["message"], "number": number})
    elif "ask" in what:
        say(answer=application.get_response(what["ask"], what["message"], timeout=20))
    elif "answer" in what:
        application.subscribe(
            what["answer"], lambda headers, message: application.send(headers["reply-to"], what["with"])
        )


def main(port: str, user: str, password: str) -> None:
    """Do what is read until there is no more, and say of each that it is done."""
    application = GridAPPSD(username=user, password=password, stomp_address="127.0.0.1", stomp_port=int(port))
    echo = Echo(application)
    say(ready=True)
    for line in sys.stdin:
        do(application, json.loads(line))
        echo.wait()
        say(done=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
