"""Behind a proxy everything is as on connections of one's own, whoever asks what in which order.

Requests of several devices come on one connection, cut into reads anyhow, with answers under way, writes
among them, and things that the operator does. Each is answered in its turn with what its device would have
been answered on a connection of its own, by each way that a request may go; what is stored is the same.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from attrs import evolve, frozen
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from csipd.net.identity import Identity
from csipd.refusals import Refusal
from csipd.sep2 import codec
from tests.support import raw_requests
from tests.support.actions import ACTIONS
from tests.support.bodies import FULL, MINIMAL
from tests.support.client import Answer
from tests.support.examples import fewer
from tests.support.raw_requests import plain, written
from tests.support.scripts import content
from tests.support.world import (
    AGGREGATOR,
    MANAGED,
    OTHER,
    OWNER,
    PROXY,
    UNKNOWN,
    WITHDRAWN,
    World,
    behind,
    handed_on,
)
from tests.web.test_both_ways import USUAL

_STATUSES = ("/edev/1/der/1/ders", "/edev/5/der/1/ders")
_DOCUMENTS = (codec.encode(FULL["DERStatus"]), codec.encode(MINIMAL["DERStatus"]), b"<nothing/>")

callers = st.sampled_from([OWNER] * 3 + [OTHER, AGGREGATOR, MANAGED, UNKNOWN, WITHDRAWN])
requests = st.one_of(
    st.sampled_from([plain(path) for path in (*USUAL, *_STATUSES, "/edev/99")]),
    st.sampled_from([plain(path) for path in ("/edev?l=9", *_STATUSES)]),
    st.sampled_from([plain(path, "HEAD") for path in ("/edev?l=9", *_STATUSES)]),
    st.builds(written, st.just("PUT"), st.sampled_from(_STATUSES), st.sampled_from(_DOCUMENTS)),
    st.sampled_from([plain("/dcap", "OPTIONS"), plain("/edev/1/lel/1", "DELETE"), plain("/derp?l=x")]),
    st.sampled_from([plain(path)[:-2] + b"X-A: b\r\n\r\n" for path in USUAL]),
    # Chunked, which goes the long way.
    st.sampled_from(_STATUSES).map(
        lambda path: (
            b"PUT %b HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n"
            b"Content-Type: application/sep+xml\r\n\r\n%x\r\n%b\r\n0\r\n\r\n"
            % (path.encode(), len(_DOCUMENTS[0]), _DOCUMENTS[0])
        )
    ),
)


def _last(who: Identity, request: bytes) -> bytes:
    """A request whose certificate stands behind its other headers."""
    head, end, body = request.partition(b"\r\n\r\n")
    return head + b"\r\n" + handed_on(who) + end[2:] + body


def _otherwise(who: Identity, request: bytes) -> bytes:
    """A request whose certificate is spelled in another way."""
    return _last(who, request).replace(b"Client-Cert: ", b"CLIENT-cert:\t ")


SPELLINGS: Sequence[Callable[[Identity, bytes], bytes]] = (behind, behind, behind, _last, _otherwise)


@frozen
class Ask:
    """A request of a device, as the proxy spells it."""

    who: Identity
    request: bytes
    spelling: int

    @property
    def octets(self) -> bytes:
        """What the proxy sends."""
        return SPELLINGS[self.spelling](self.who, self.request)


asks = st.builds(Ask, callers, requests, st.integers(0, len(SPELLINGS) - 1))


@frozen
class Batch:
    """Requests that are sent together, whether their answers are held for a while, what is done before.

    :param cuts: where the octets are cut into reads, modulo their number
    """

    asks: tuple[Ask, ...]
    cuts: tuple[int, ...]
    held: bool
    action: str | None
    which: int


batches = st.builds(
    Batch,
    st.lists(asks, min_size=1, max_size=8).map(tuple),
    st.lists(st.integers(0, 100_000), max_size=5).map(tuple),
    st.booleans(),
    st.none() | st.sampled_from(sorted(ACTIONS)),
    st.integers(0, 39),
)


def _without_close(answer: Answer) -> Answer:
    return evolve(answer, fields=tuple(pair for pair in answer.fields if pair != ("connection", "close")))


class SameTests(SynchronousTestCase):
    """Through a proxy, and directly."""

    def make(self, **how: Any) -> World:
        path = Path(self.mktemp())
        path.parent.mkdir(parents=True, exist_ok=True)
        world = World(path, **how)
        self.addCleanup(world.close)
        return world

    def do(self, world: World, batch: Batch) -> None:
        if batch.action is not None:
            with contextlib.suppress(Refusal):
                world.write(lambda transaction: ACTIONS[batch.action](transaction, world, batch.which))

    def through(self, world: World, batch: Batch) -> list[Answer]:
        """The answers on the proxy's one connection."""
        wire = world.wire(PROXY)
        expected: list[Any] = []
        for each in batch.asks:
            expected += wire.client.raw(b"", bodiless=each.request.startswith(b"HEAD"))
        data = b"".join(each.octets for each in batch.asks)
        cuts = sorted({cut % len(data) for cut in batch.cuts} | {0, len(data)})
        if batch.held:
            world.back.hold()
        for start, end in pairwise(cuts):
            wire.client.send(data[start:end])
            wire.pump()
        world.back.release()
        return wire.results(expected)

    def directly(self, world: World, batch: Batch) -> list[Answer]:
        """The answers on connections of the devices' own, one request after the other.

        A body of unknown length that its sender may not send ends every connection: nothing follows on it.
        """
        found: list[Answer] = []
        for each in batch.asks:
            wire = world.wire(each.who)
            found += wire.results(wire.client.raw(each.request, bodiless=each.request.startswith(b"HEAD")))
            if b"chunked" in each.request and "connection" in found[-1].headers:
                break
        return found

    @fewer(2)
    @given(
        st.lists(batches, min_size=1, max_size=6),
        st.sampled_from([{}, {"answers": 0}, {"straight": False}]),
    )
    def test_as_directly(self, script: list[Batch], way: dict[str, Any]) -> None:
        """Everybody is answered what it would be on a connection of its own, and nothing else."""
        through, direct = self.make(**way), self.make(**way)
        for batch in script:
            for world in (through, direct):
                self.do(world, batch)
            expected = self.directly(direct, batch)
            asked = evolve(batch, asks=batch.asks[: len(expected)])
            found = self.through(through, asked)
            for ask, one, other in zip(asked.asks, found, expected, strict=True):
                # A body that its sender may not send ends its connection, but not that of all.
                self.assertEqual(_without_close(one), _without_close(other), ask)
        self.assertEqual(content(through), content(direct))

    @given(
        st.lists(st.tuples(callers, raw_requests.request(USUAL)), min_size=1, max_size=4),
        st.sampled_from([{}, {"straight": False}]),
        st.integers(0, len(SPELLINGS) - 1),
    )
    def test_odd(self, asked: list[tuple[Identity, bytes]], way: dict[str, Any], spelling: int) -> None:
        """Whatever is odd about a request, it is answered as directly, or refused; and so is what follows."""
        through, direct = self.make(**way), self.make(**way)
        for who, request in asked:
            one, other = through.open(PROXY), direct.open(who)
            one.client.send(SPELLINGS[spelling](who, request))
            other.client.send(request)
            one.pump()
            other.pump()
            found, expected = one.client.received, other.client.received
            head = request.partition(b"\r\n\r\n")[0]
            # A head that is somewhat too large is taken: the proxy may add something to it.
            if found != expected and len(head) < 8000 and head.count(b"\r\n") < 95:
                self.assertNotIn(b"HTTP/1.1 2", found)
            # One whose body is shorter than it says has no answer, and what is sent next belongs to it.
            if found and not one.closed:
                # Whoever comes next is nobody as long as the proxy does not say who.
                before = len(found)
                one.client.send(plain("/edev?l=9"))
                one.pump()
                self.assertNotIn(b"HTTP/1.1 2", one.client.received[before:])
