"""A broker for tests in a process of its own: CoilMQ, with what it lacks for a bus.

    python -m tests.support.coil PORT [USER PASSWORD]...

It says its port on its first line. CoilMQ takes a ``host`` header of STOMP 1.2 only if it is the machine's
own name: here any is. It cannot read a frame whose head comes in two pieces, and keeps all it ever read: here
it reads frames that are there as a whole, and forgets them.
"""

from __future__ import annotations

import io
import logging
import sys
from typing import Any

from coilmq.auth.simple import SimpleAuthenticator
from coilmq.protocol import adaptor
from coilmq.queue import QueueManager
from coilmq.scheduler import FavorReliableSubscriberScheduler, RandomQueueScheduler
from coilmq.server.socket_server import StompRequestHandler, ThreadedStompServer
from coilmq.store.memory import MemoryQueue
from coilmq.topic import TopicManager
from coilmq.util.frames import BodyNotTerminated, FrameBuffer


class WholeFrames(FrameBuffer):
    """Frames that are there from their first octet to their last."""

    def extract_frame(self) -> Any:
        octets = self._buffer.getvalue()[self._pointer :].lstrip(b"\r\n")
        self._buffer, self._pointer = io.BytesIO(octets), 0
        try:
            frame = super().extract_frame() if b"\n\n" in octets else None
        except BodyNotTerminated:
            frame = None
        if frame is None:
            self._buffer, self._pointer = io.BytesIO(octets), 0
            self._buffer.seek(0, io.SEEK_END)
        return frame


class AnyHost:
    """A name that every name is equal to."""

    def __eq__(self, other: object) -> bool:
        return True

    def __ne__(self, other: object) -> bool:
        return False

    __hash__ = None


class Handler(StompRequestHandler):
    """A connection."""

    def setup(self) -> None:
        super().setup()
        self.buffer = WholeFrames()


class Server(ThreadedStompServer):
    """The broker."""

    daemon_threads = True
    block_on_close = False


def server(port: int, users: dict[str, str] | None = None) -> Server:
    """The broker, listening at a port of this machine (0: a free one).

    :param users: passwords by names; none: everybody is let in
    """
    logging.disable(logging.CRITICAL)
    adaptor.socket.getfqdn = AnyHost
    return Server(
        ("127.0.0.1", port),
        Handler,
        authenticator=SimpleAuthenticator(users) if users else None,
        queue_manager=QueueManager(
            store=MemoryQueue(),
            subscriber_scheduler=FavorReliableSubscriberScheduler(),
            queue_scheduler=RandomQueueScheduler(),
        ),
        topic_manager=TopicManager(),
    )


def main(port: int, users: dict[str, str]) -> None:
    """Serve until the process is killed."""
    made = server(port, users)
    sys.stdout.write(f"{made.server_address[1]}\n")
    sys.stdout.flush()
    made.serve_forever()


if __name__ == "__main__":
    main(int(sys.argv[1]), dict(zip(sys.argv[2::2], sys.argv[3::2], strict=True)))
