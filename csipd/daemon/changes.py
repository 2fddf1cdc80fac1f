"""Notifies those who keep something of what a commit changed.

The database calls ``publish`` after each commit, in the reactor's thread, before the write is answered. A
subscriber that fails is logged and does not keep the others from hearing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from twisted.logger import Logger

Subscriber = Callable[[Sequence[str]], None]


class ChangeNotifier:
    """Passes on the facts that a commit dropped."""

    _log = Logger()

    def __init__(self) -> None:
        self._subscribers: list[Subscriber] = []

    def subscribe(self, subscriber: Subscriber) -> None:
        """Notify this one of every change from now on, in the order of subscription."""
        self._subscribers.append(subscriber)

    def publish(self, facts: Sequence[str]) -> None:
        """Notify every subscriber that these facts (``csipd.db.facts``) are no longer true."""
        for subscriber in self._subscribers:
            try:
                subscriber(facts)
            except Exception:
                self._log.failure("a subscriber failed to take {number} changes", number=len(facts))
