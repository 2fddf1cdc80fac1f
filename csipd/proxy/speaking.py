"""Who speaks for a device: the proxy's own certificate, which hands on the device's, or the device's own key.

As a hop the proxy has a few connections with the server, which all devices share, and says with each request
whose it is (RFC 9440). With devices' keys, for labs alone, each device's connection has one to the server
that is the device's own; its key has to lie here (decision 68).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, Final

from attrs import evolve
from cryptography.hazmat.primitives.serialization import Encoding
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from csipd.net.client_tls import ClientTLS
from csipd.net.hop import LONGEST, HandedOn, header_lines
from csipd.net.identity import Identity
from csipd.net.peer_log import PeerLog
from csipd.net.tls import TLSError
from csipd.proxy.context import Spokesman
from csipd.proxy.lane import OWN, READING, WRITING, Connecting, Lane, LaneLimits

#: Sides of TLS that are kept, of devices whose keys lie here.
_MOST_KEYS: Final = 1_000
_log = Logger()


class Hop:
    """The proxy speaks for all devices, on connections that they share.

    :param handshake: seconds for one with the server
    """

    def __init__(
        self, connecting: Connecting, clock: IReactorTime, peer_log: PeerLog, handshake: float
    ) -> None:
        self._peer_log = peer_log
        self.reading = Lane(connecting, clock, _with(READING, handshake), peer_log)
        self.writing = Lane(connecting, clock, _with(WRITING, handshake), peer_log)

    def speak_for(self, transport: Any, identity: Identity) -> Spokesman:
        """See `csipd.proxy.context.Speaking`."""
        chain = [one.to_cryptography() for one in transport.getHandle().get_verified_chain()]
        leaf, *above = (one.public_bytes(Encoding.DER) for one in chain)
        # The server has the root.
        lines = header_lines(HandedOn(leaf, tuple(above[:-1])))
        if len(lines) > LONGEST:
            # The server would refuse each request, and after the longest ones close everybody's connection.
            self._peer_log.warn(
                _log,
                identity.lfdi,
                "certificates too long to be handed on",
                "proxy: {lfdi}: its certificates are too long to be handed on: answered 403",
                lfdi=identity.lfdi,
            )
            return Spokesman(b"", None, None)
        return Spokesman(lines, self.reading, self.writing)

    def done_with(self, lane: Lane) -> None:
        """The lanes are everybody's."""

    def look(self, now: float) -> None:
        """Give up what has taken too long."""
        self.reading.look(now)
        self.writing.look(now)

    def close(self) -> None:
        """Close all connections with the server."""
        self.reading.close()
        self.writing.close()

    def reload(self) -> None:
        """Connections that are made from now on have the new files; those that are idle make way for them."""
        self.reading.renew()
        self.writing.renew()


class DeviceKeys:
    """Each device's connection has one to the server, made with the key of the device.

    :param connecting: how one connects as the holder of a side of TLS
    :param ids: of the devices whose keys lie here, by the SHA-256 of their certificates, upper-case hex
    :param tls: the side of TLS of a device that is known by its id. TLSError: its files cannot be used
    """

    def __init__(
        self,
        connecting: Callable[[Callable[[], ClientTLS]], Connecting],
        ids: Callable[[], Mapping[str, str]],
        tls: Callable[[str], ClientTLS],
        clock: IReactorTime,
        peer_log: PeerLog,
        handshake: float,
    ) -> None:
        self._connecting = connecting
        self._find_ids = ids
        self._ids = ids()
        self._tls = tls
        self._clock = clock
        self._peer_log = peer_log
        self._limits = _with(OWN, handshake)
        self._lanes: dict[Lane, None] = {}
        self._kept: OrderedDict[str, ClientTLS] = OrderedDict()

    def speak_for(self, transport: Any, identity: Identity) -> Spokesman:
        """See `csipd.proxy.context.Speaking`."""
        id = self._ids.get(identity.fingerprint)
        tls = None if id is None else self._tls_of(id, identity)
        if tls is None:
            self._peer_log.warn(
                _log,
                identity.lfdi,
                "no key of its own here",
                "proxy: {lfdi}: its key is not in tls_repository, so nobody can speak for it: answered 403",
                lfdi=identity.lfdi,
            )
            return Spokesman(b"", None, None)
        speaker = tls
        lane = Lane(self._connecting(lambda: speaker), self._clock, self._limits, self._peer_log)
        self._lanes[lane] = None
        return Spokesman(b"", lane, lane)

    def _tls_of(self, id: str, identity: Identity) -> ClientTLS | None:
        found = self._kept.get(id)
        if found is None:
            try:
                found = self._tls(id)
            except TLSError as error:
                self._peer_log.warn(
                    _log, identity.lfdi, "its key cannot be used", "proxy: {error}", error=str(error)
                )
                return None
            self._kept[id] = found
            if len(self._kept) > _MOST_KEYS:
                self._kept.popitem(last=False)
        return found

    def done_with(self, lane: Lane) -> None:
        """Close the connection of a device that is gone."""
        self._lanes.pop(lane, None)
        lane.close()

    def look(self, now: float) -> None:
        """Give up what has taken too long."""
        for lane in list(self._lanes):
            lane.look(now)

    def close(self) -> None:
        """Close all connections with the server."""
        for lane in list(self._lanes):
            lane.close()
        self._lanes.clear()

    def reload(self) -> None:
        """Look anew whose keys lie here."""
        self._kept.clear()
        self._ids = self._find_ids()


def _with(limits: LaneLimits, handshake: float) -> LaneLimits:
    return evolve(limits, handshake=handshake)
