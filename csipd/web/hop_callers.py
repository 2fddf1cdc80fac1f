"""Who is behind a proxy: the devices whose certificates it has handed on, as they were judged.

Who it is that header lines speak of is kept under their octets, so that a device whose request comes again is
found in a dictionary. What is kept is bounded, ends with a certificate, and is dropped where other files are
read.
"""

from __future__ import annotations

from collections.abc import Set

from attrs import define, field
from twisted.logger import Logger

from csipd.net.hop import HandedOn, HopRefused, Judge, Judged, read_lines
from csipd.net.origin import host_of, origin_of
from csipd.web.peer import Peer
from csipd.web.sitecontext import SiteContext

#: Octets of the headers of callers that are kept, each with what is kept of it.
LARGEST = 64 * 2**20
#: What a caller takes beside its headers.
_CALLER_BYTES = 1024
#: Refusals that are kept, and for how long (s): a certificate may begin to be good.
_MOST_REFUSED = 1024
_REFUSED_SECONDS = 60.0


@define(eq=False)
class Caller:
    """A device behind a proxy.

    :param until: when its certificate has to be judged anew, by the clock that devices see (epoch s)
    :param host: the address of the proxy
    :param last_used: when it last asked for something, by the clock of deadlines
    """

    until: float
    host: str
    last_used: float
    peer: Peer = field(init=False)


class HopCallers:
    """The devices that proxies have spoken for.

    Who it is that header lines speak of is kept under their octets, bounded, until `use` or the end of a
    certificate. When there is no more room the newest makes it, as in `csipd.net.certificate_cache`.

    :param fingerprints: of the certificates of proxies that are believed; the set may change
    :param largest: octets of headers that are kept at most
    """

    _log = Logger()

    def __init__(self, fingerprints: Set[str], largest: int = LARGEST) -> None:
        self.fingerprints = fingerprints
        self._judge: Judge = _nobody
        self._largest = largest
        self._octets = 0
        #: By the address of the proxy and the header lines.
        self.callers: dict[tuple[str, bytes], Caller] = {}
        # Why, of whom as far as that was said, and until when.
        self._refused: dict[bytes, tuple[str, str | None, float]] = {}

    def use(self, judge: Judge, context: SiteContext) -> None:
        """Have certificates judged by this from now on, those that were judged before too."""
        self._judge = judge
        self._refused.clear()
        for key in list(self.callers):
            self._drop(key, context)

    def find(self, block: bytes, proxy: Peer, context: SiteContext) -> Caller:
        """The device that header lines speak of.

        :param block: the lines as csipd's own proxy writes them, each with its CRLF
        :raises HopRefused: they speak of nobody who may be believed
        """
        key, now = (host_of(proxy.address), block), context.now()
        caller = self.callers.get(key)
        if caller is not None:
            if now < caller.until:
                return caller
            self._drop(key, context)
        refused = self._refused.get(block)
        if refused is not None and now < refused[2]:
            # An exception that is kept would gather what it was raised through, each time.
            raise HopRefused(*refused[:2])
        try:
            judged = self._read(block, proxy)
        except HopRefused as error:
            if len(self._refused) >= _MOST_REFUSED:
                self._refused.clear()
            self._refused[block] = error.reason, error.lfdi, now + _REFUSED_SECONDS
            raise
        return self._keep(key, judged, proxy, context)

    def log_refused(self, error: HopRefused, proxy: Peer) -> None:
        """Log that a request of a proxy says nothing good of whose it is."""
        proxy.log.warn(
            self._log,
            error.lfdi or proxy.identity.lfdi,
            f"by the proxy: {error.reason}",
            "request of the proxy at {host} refused: {who}{reason}",
            origin=origin_of(proxy.address),
            host=host_of(proxy.address),
            who=f"LFDI {error.lfdi}: " if error.lfdi else "",
            reason=error.reason,
        )

    def _read(self, block: bytes, proxy: Peer) -> Judged:
        """Who it is that header lines speak of. HopRefused."""
        handed_on = read_lines(block)
        try:
            judged = self._judge(handed_on)
        except HopRefused:
            raise
        except Exception:
            said = "a certificate could not be judged"
            proxy.log.failure(self._log, proxy.identity.lfdi, said, said, origin=origin_of(proxy.address))
            raise HopRefused(said) from None
        if judged.identity.fingerprint in self.fingerprints:
            raise HopRefused("the certificate of a proxy", judged.identity.lfdi)
        return judged

    def _keep(self, key: tuple[str, bytes], judged: Judged, proxy: Peer, context: SiteContext) -> Caller:
        size = len(key[1]) + _CALLER_BYTES
        while self.callers and self._octets + size > self._largest:
            self._drop(next(reversed(self.callers)), context)
        caller = Caller(judged.until, key[0], context.clock.seconds())
        account = context.connections.add_behind(caller, judged.identity.lfdi)
        caller.peer = Peer(judged.identity, account, proxy.address, context.peer_log, context.contacts)
        self.callers[key] = caller
        self._octets += size
        return caller

    def _drop(self, key: tuple[str, bytes], context: SiteContext) -> None:
        caller = self.callers.pop(key)
        self._octets -= len(key[1]) + _CALLER_BYTES
        context.connections.remove_behind(caller)
        if context.contacts is not None:
            context.contacts.closed(caller.peer.identity.lfdi, caller)


def _nobody(handed_on: HandedOn) -> Judged:
    raise HopRefused("a certificate that nobody judges yet")
