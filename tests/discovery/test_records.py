"""The names and records of a server (IEEE 2030.5-2018 7, semantics 12)."""

from __future__ import annotations

from ipaddress import ip_address

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from csipd.discovery.records import (
    ENUMERATION,
    SERVICE,
    SUBTYPES,
    Advertisement,
    Kind,
    Record,
    Where,
    Zone,
    packed,
)
from csipd.sep2.site import ROWS

SERVER = Advertisement("csipd", 1234567890, 7443)
ADDRESSES = (ip_address("192.0.2.1"), ip_address("fe80::1"))
ZONE = Zone.of(SERVER, ADDRESSES)
HOST = "csipd-001234567890.local."


def texts(record: Record) -> list[str]:
    """The strings of a TXT record."""
    assert isinstance(record.data, bytes)
    found, left = [], record.data
    while left:
        found.append(left[1 : 1 + left[0]].decode())
        left = left[1 + left[0] :]
    return found


class ZoneTests(SynchronousTestCase):
    """What is there, what answers what."""

    def test_one_generic(self) -> None:
        """The service type leads to one instance, the server as such (7.5)."""
        (pointer,) = ZONE.answers(SERVICE, Kind.PTR)
        self.assertEqual(pointer.data, f"csipd-001234567890.{SERVICE}")

    def test_subtypes(self) -> None:
        """Each function set that is served is a subtype with an instance of its own, and no other is."""
        found = {}
        for subtype in SUBTYPES:
            for pointer in ZONE.answers(f"_{subtype}._sub.{SERVICE}", Kind.PTR):
                self.assertEqual(pointer.data, f"csipd-{subtype}-001234567890.{SERVICE}")
                (text,) = ZONE.answers(str(pointer.data), Kind.TXT)
                found[subtype] = texts(text)
        self.assertEqual(set(found), {"derp", "edev", "mup", "rsps", "sdev", "tm", "upt"})
        for subtype, strings in found.items():
            path = f"path={ROWS[SUBTYPES[subtype]].uri}"
            self.assertEqual(strings, ["txtvers=1", "dcap=/dcap", path, "https=7443", "level=-S1"])

    def test_text_of_the_server(self) -> None:
        """txtvers is first; where DeviceCapability is, the port of https and the level are always said."""
        moved = Advertisement("csipd", 1, 8443, "/sep2/dcap", 8080)
        (text,) = Zone.of(moved, ADDRESSES).answers(moved.instance, Kind.TXT)
        self.assertEqual(texts(text), ["txtvers=1", "dcap=/sep2/dcap", "https=8443", "level=-S1"])

    def test_ports(self) -> None:
        """All SRV records are alike: plain HTTP's port where there is one, else that of https."""
        for server, port in ((SERVER, 7443), (Advertisement("csipd", 1234567890, 7443, http_port=80), 80)):
            records = Zone.of(server, ADDRESSES).records
            self.assertEqual({one.data for one in records if one.kind == Kind.SRV}, {Where(port, HOST)})

    def test_host(self) -> None:
        """The host has the addresses of the link; a kind that it has not is answered by what it has."""
        self.assertEqual(
            {one.data for one in ZONE.answers(HOST.upper(), Kind.ANY)}, {one.packed for one in ADDRESSES}
        )
        only4 = Zone.of(SERVER, ADDRESSES[:1])
        (nothing,) = only4.answers(HOST, Kind.AAAA)
        self.assertEqual((nothing.kind, nothing.data), (Kind.NSEC, (Kind.A,)))

    def test_unknown(self) -> None:
        """Of a name that is not the server's nothing is said, nor what a type of service lacks."""
        self.assertEqual(ZONE.answers("other.local.", Kind.ANY), ())
        self.assertEqual(ZONE.answers(SERVICE, Kind.SRV), ())

    def test_enumeration(self) -> None:
        """The service is among the types of services; subtypes are none (RFC 6763 9)."""
        self.assertEqual([one.data for one in ZONE.answers(ENUMERATION, Kind.PTR)], [SERVICE])

    def test_beside(self) -> None:
        """With a pointer go SRV, TXT and addresses, with SRV the addresses (RFC 6763 12)."""
        pointer = ZONE.answers(SERVICE, Kind.PTR)
        beside = ZONE.beside(pointer)
        self.assertEqual([one.kind for one in beside], [Kind.SRV, Kind.TXT, Kind.A, Kind.AAAA])
        self.assertEqual([one.kind for one in ZONE.beside(beside[:1])], [Kind.A, Kind.AAAA])
        self.assertEqual(ZONE.beside(ZONE.records), ())

    def test_equality(self) -> None:
        """Case of names and TTL make no other record; what it says does."""
        record = Record("A.local.", Kind.PTR, "B.local.", 1, False)
        self.assertEqual(record, Record("a.local.", Kind.PTR, "b.LOCAL.", 9, True))
        self.assertEqual(len({record, Record("a.local.", Kind.PTR, "b.local.", 9, True)}), 1)
        self.assertNotEqual(record, Record("a.local.", Kind.PTR, "c.local.", 1, False))
        self.assertEqual(Where(1, "A."), Where(1, "a."))

    @given(
        st.from_regex("[A-Za-z0-9]([A-Za-z0-9-]{0,38}[A-Za-z0-9])?", fullmatch=True),
        st.integers(0, 687194767359),
        st.integers(1, 99),
    )
    def test_labels(self, name: str, sfdi: int, number: int) -> None:
        """Whatever the name, and after however many conflicts: 63 octets at most, the SFDI at the end."""
        server = Advertisement(name, sfdi, 1).numbered(number)
        for full in (server.host, *(one.name for one in server.instances())):
            label = full.partition(".")[0]
            self.assertLessEqual(len(label), 63)
            self.assertTrue(label.endswith(f"-{sfdi:012d}"), label)

    def test_packed(self) -> None:
        """Each string has its length before it."""
        self.assertEqual(packed(["ab", ""]), b"\x02ab\x00")
