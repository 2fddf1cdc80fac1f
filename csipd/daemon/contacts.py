"""Writes when devices were last heard of, once a minute and when the daemon stops (decision 43)."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any

from attrs import asdict
from twisted.application.service import Service
from twisted.internet.defer import Deferred, inlineCallbacks, succeed
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from csipd.db import contacts as stored
from csipd.db.database import Database
from csipd.net.connections import Connections
from csipd.net.contacts import Contact, Contacts
from csipd.refusals import Unavailable

#: Seconds between two writes; so much is lost at most when the machine fails.
EVERY = 60
#: Callers that are written by one statement, in a transaction of its own: devices do not wait for more.
PORTION = 2_000


class ContactWriter(Service):
    """Collects what is new about callers, and writes it in portions.

    :param clock: for the timer; monotonic
    :param connections: those that are open
    """

    name = "contacts"
    _log = Logger()

    def __init__(self, database: Database, contacts: Contacts, connections: Connections, clock: Any) -> None:
        self._database = database
        self._contacts = contacts
        self._connections = connections
        self._writing: Deferred[None] | None = None
        self._loop = LoopingCall(self.write)
        self._loop.clock = clock
        contacts.full = self._make_room

    def startService(self) -> None:
        super().startService()
        self._loop.start(EVERY, now=False)

    def stopService(self) -> Deferred[None]:
        super().stopService()
        if self._loop.running:
            self._loop.stop()
        before = succeed(None) if self._writing is None else self._writing
        done: Deferred[None] = Deferred()
        before.addBoth(lambda _: self.write().addBoth(lambda _: done.callback(None)))
        return done

    def write(self) -> Deferred[None]:
        """Write what is new. What cannot be written is tried again the next time."""
        if self._writing is not None:
            return succeed(None)
        done: Deferred[None] = Deferred()
        self._writing = done

        def finish(result: Any) -> Any:
            self._writing = None
            done.callback(None)
            return result

        if self._contacts.lost:
            self._log.warn("no room to note when {number} callers were heard of", number=self._contacts.lost)
            self._contacts.lost = 0
        written: Deferred[None] = self._write(self._contacts.collect(self._connections.identified()))
        return written.addBoth(finish)

    def _make_room(self) -> None:
        self.write().addErrback(lambda failure: self._log.failure("contacts", failure=failure))

    @inlineCallbacks
    def _write(self, new: list[Contact]) -> Any:
        for start in range(0, len(new), PORTION):
            rows = list(_rows(new[start : start + PORTION]))
            try:
                yield self._database.write(partial(stored.write, rows=rows))
            except Unavailable:
                # The database says so itself.
                self._contacts.give_back(new[start:])
                return


def _rows(contacts: Iterable[Contact]) -> Iterable[dict[str, Any]]:
    for contact in contacts:
        row = asdict(contact)
        row["at"] = int(contact.at)
        row["refused"] = None if contact.refused is None else int(contact.refused)
        yield row
