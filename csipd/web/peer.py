"""Who is at the other end of a connection, and what is written down of it: lines in the log, refusals."""

from __future__ import annotations

import secrets
from typing import Any

from attrs import define, field
from twisted.logger import Logger, LogLevel
from twisted.python.failure import Failure

from csipd.db.fair_queue import Share, device_share, readings_share
from csipd.net.contacts import Contacts
from csipd.net.identity import Identity
from csipd.net.origin import host_of, origin_of
from csipd.net.peer_log import PeerLog
from csipd.net.quotas import Account

_log = Logger()


@define(eq=False)
class Peer:
    """The party at the other end of a connection, known by its certificate.

    :param account: what it has used of its quotas
    :param address: where it comes from
    :param log: writes the lines that it causes
    :param contacts: keeps when it was last refused something, where that is wanted
    """

    identity: Identity
    account: Account
    address: Any
    log: PeerLog
    contacts: Contacts | None = None
    _share: Share | None = field(default=None, init=False)
    _managed: int = field(default=0, init=False)

    @property
    def share(self) -> Share:
        """On whose account the store works for it."""
        info = self.account.info
        managed = 0 if info is None else info.managed
        if self._share is None or managed != self._managed:
            self._managed = managed
            self._share = device_share(self.identity.lfdi, managed)
        return self._share

    @property
    def readings_share(self) -> Share:
        """On whose account it stores many readings at once for it."""
        info = self.account.info
        return readings_share(self.identity.lfdi, 0 if info is None else info.managed)

    @property
    def name(self) -> str:
        """Who it is, for the log: LFDI and address."""
        return f"{self.identity.lfdi} at {host_of(self.address)}"

    def warn(self, log: Logger, reason: str, line: str, /, **values: Any) -> None:
        """Write a line about it, ``{peer}`` in it, at the rate that a peer has for one reason.

        :param reason: a few words from a fixed vocabulary
        """
        if self.log.admits(log, LogLevel.warn, self.identity.lfdi, reason, origin_of(self.address)):
            log.warn(line, peer=self.name, **values)

    def info(self, log: Logger, reason: str, line: str, /, **values: Any) -> None:
        """Write a line that is no warning, otherwise like `warn`."""
        if self.log.admits(log, LogLevel.info, self.identity.lfdi, reason, origin_of(self.address)):
            log.info(line, peer=self.name, **values)

    def note_refusal(self, reason: str) -> None:
        """Count that something was refused to it, for who looks at the device."""
        if self.contacts is not None:
            self.contacts.refused(self.identity.lfdi, host_of(self.address), reason)

    def failed(self, log: Logger, failure: Failure, method: bytes, target: bytes) -> None:
        """Write down that a request of its failed in the server: a traceback under an incident's number."""
        self.log.failure(
            log,
            self.identity.lfdi,
            f"a request failed: {failure.type.__name__ if failure.type else failure.value}",
            "incident {incident}: {peer}: {method} {uri} failed",
            failure,
            origin=origin_of(self.address),
            incident=secrets.token_hex(4),
            peer=self.name,
            method=method.decode("ascii", "replace"),
            uri=target.decode("ascii", "replace"),
        )

    def pretends(self) -> None:
        """Log that it says whose its request is, as a proxy does, and is none: that is passed over."""
        reason = "Client-Cert from somebody who is no proxy"
        self.warn(_log, reason, "{peer}: {reason}, ignored", reason=reason)

    def too_many_requests(self) -> None:
        """Log and count that it asks more often than its quota lets it."""
        reason = "more requests than its quota"
        self.note_refusal(reason)
        self.warn(_log, reason, "{peer}: {reason}, answered 503", reason=reason)

    def over_handshake_rate(self) -> None:
        """Log and count that it connects more often than its quota lets it."""
        reason = "more handshakes than its quota"
        self.note_refusal(reason)
        self.warn(_log, reason, "{peer}: {reason}, connection cut", reason=reason)

    def made_room(self) -> None:
        """Log that it has more connections than its quota and lost the longest idle."""
        reason = "more connections than its quota"
        line = "{peer}: {reason} of {number}, the longest idle is closed"
        self.info(_log, reason, line, reason=reason, number=self.account.most_connections)
