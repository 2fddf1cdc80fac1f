"""A client's notification receiver on the bench: HTTPS with the client's own certificate.

What comes in is taken apart by lxml alone, validated against the schema, and compared with what a GET of the
subscribed resource gives that client in the same moment: that they are equal is asked of every Notification
that any test sees. Only sockets are missing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from attrs import frozen
from lxml import etree

from tests.support.receivers import MemoryNetwork, Received, Receiver, receiver_tls, status
from tests.support.schema import validate

if TYPE_CHECKING:
    from tests.conformance.bench import Bench
    from tests.conformance.devices import Station

NS = {"s": "urn:ieee:std:2030.5:ns"}
_TYPE = "{http://www.w3.org/2001/XMLSchema-instance}type"
PORT = 8443


@frozen
class Told:
    """A Notification, `at` in seconds after the bench began.

    :param resource: subscribedResource
    :param subscription: path of the subscriptionURI
    :param kind: type of the resource that it carries; None where it has none
    """

    at: float
    resource: str
    subscription: str
    status: int
    kind: str | None
    document: etree._Element
    body: bytes


class Listener:
    """Takes the Notifications of a station.

    :param name: of the host, in the domain that the server's list admits
    :ivar told: what came, in order
    :ivar answer: what a Notification is answered with: a status
    :ivar hear: takes in what was answered so that it counts as delivered
    """

    def __init__(
        self, bench: Bench, station: Station, name: str, address: str, network: MemoryNetwork
    ) -> None:
        self.told: list[Told] = []
        self.answer: Callable[[Told], int] = lambda told: 201
        self.hear: Callable[[Told], None] = lambda told: None
        self.uri = f"https://{name}:{PORT}/ntfy"
        self._bench = bench
        self._station = station
        tls = receiver_tls(station.credential, station.trust, now=bench.wall())
        network.listen(address, PORT, Receiver(self._take), tls)

    def names(self, since: float = 0.0) -> list[tuple[float, str, int]]:
        """What came since so many minutes after T0: (minutes to the second, resource, status).

        Notifications that begin at once are some milliseconds apart.
        """
        later = (told for told in self.told if told.at >= 60 * since)
        return [(round(told.at) / 60, told.resource, told.status) for told in later]

    def _take(self, request: Received) -> bytes:
        assert request.target == "/ntfy", request
        assert request.headers["content-type"] == "application/sep+xml", request
        validate(request.body)
        document = etree.fromstring(request.body, etree.XMLParser(resolve_entities=False, no_network=True))
        uri = document.findtext("s:subscriptionURI", "", NS)
        base = self._bench.server.base_uri
        assert uri.startswith(f"{base}/edev/"), uri
        resource = document.find("s:Resource", NS)
        told = Told(
            self._bench.clock.seconds(),
            document.findtext("s:subscribedResource", "", NS),
            uri.removeprefix(base),
            int(document.findtext("s:status", "", NS)),
            None if resource is None else resource.get(_TYPE),
            document,
            request.body,
        )
        if resource is not None:
            self._compare(told, resource)
        self.told.append(told)
        answer = self.answer(told)
        if answer < 300:
            self.hear(told)
        return status(answer)

    def _limit(self, subscription: str) -> str:
        """That of a subscription, as it was POSTed last."""
        for exchange in reversed(self._station.log):
            if exchange.sent and exchange.answer.headers.get("location") == subscription:
                return etree.fromstring(exchange.sent).findtext("s:limit", "", NS)
        raise AssertionError(f"the station never made {subscription}")

    def _compare(self, told: Told, resource: etree._Element) -> None:
        """What a Notification carries is what a GET gives, with the subscription's limit."""
        assert told.kind is not None
        limit = f"?l={self._limit(told.subscription)}" if told.kind.endswith("List") else ""
        got = self._station.request("GET", f"{told.resource}{limit}")
        assert got.status == 200, got
        given = etree.fromstring(got.body)
        assert etree.QName(given).localname == told.kind, told.kind
        told_of = dict(resource.attrib)
        del told_of[_TYPE]
        assert told_of == dict(given.attrib), (told_of, dict(given.attrib))
        ours, theirs = ([_canonical(one) for one in whole] for whole in (resource, given))
        assert ours == theirs, (ours, theirs)


def _canonical(element: etree._Element) -> bytes:
    for link in element.iter(f"{{{NS['s']}}}SubscriptionListLink"):
        # Other subscriptions may end in the same moment, which is told to nobody.
        link.attrib.pop("all", None)
    return etree.tostring(element, method="c14n", exclusive=True)
