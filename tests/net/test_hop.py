"""What a proxy hands on of a device: one spelling is read, and nothing else."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from csipd.net.hop import CLIENT_CERT, CLIENT_CERT_CHAIN, LONGEST, HandedOn, HopRefused, header_lines, read

octets = st.binary(min_size=1, max_size=700)
certificates = st.builds(HandedOn, octets, st.lists(octets, max_size=3).map(tuple))


def values(lines: bytes) -> tuple[list[bytes], list[bytes]]:
    """The values in header lines, by name."""
    found: dict[bytes, list[bytes]] = {CLIENT_CERT: [], CLIENT_CERT_CHAIN: []}
    for line in lines.split(b"\r\n")[:-1]:
        name, _, value = line.partition(b": ")
        found[name].append(value)
    return found[CLIENT_CERT], found[CLIENT_CERT_CHAIN]


class HeaderTests(SynchronousTestCase):
    """The two headers of RFC 9440."""

    def assertRefused(self, reason: str, certs: list[bytes], chains: list[bytes]) -> None:
        error = self.assertRaises(HopRefused, read, certs, chains)
        self.assertIn(reason, error.reason)
        self.assertIsNone(error.lfdi)

    @given(certificates)
    def test_round_trip(self, handed_on: HandedOn) -> None:
        """What is written is read as it was."""
        self.assertEqual(read(*values(header_lines(handed_on))), handed_on)

    @given(certificates, st.sampled_from([b", ", b",", b" ,\t"]))
    def test_blanks(self, handed_on: HandedOn, comma: bytes) -> None:
        """Between the members of the list stand a comma and what blanks there are."""
        certs, chains = values(header_lines(handed_on))
        self.assertEqual(read(certs, [each.replace(b", ", comma) for each in chains]), handed_on)

    @given(st.lists(st.binary(max_size=60), max_size=2), st.lists(st.binary(max_size=60), max_size=2))
    def test_anything(self, certs: list[bytes], chains: list[bytes]) -> None:
        """Whatever comes is refused, or is the one way to write what it says."""
        try:
            found = read(certs, chains)
        except HopRefused:
            return
        again = values(header_lines(found))
        self.assertEqual(again[0], certs)
        self.assertEqual(b"".join(again[1]).split(), b" ".join(chains).replace(b",", b", ").split())

    @given(octets, st.data())
    def test_damage(self, der: bytes, data: st.DataObject) -> None:
        """An octet that is put in, taken out or changed never gives the same certificate."""
        (value,), _ = values(header_lines(HandedOn(der)))
        at = data.draw(st.integers(0, len(value) - 1))
        kind = data.draw(st.sampled_from(["in", "out", "other"]))
        octet = data.draw(st.binary(min_size=1, max_size=1))
        damaged = value[:at] + (b"" if kind == "out" else octet) + value[at + (kind != "in") :]
        if damaged == value:
            return
        try:
            found = read([damaged], [])
        except HopRefused:
            return
        self.assertNotEqual(found.leaf, der)

    def test_wrong(self) -> None:
        """What is refused, and why."""
        good = b":AAAA:"
        self.assertRefused("no Client-Cert", [], [])
        self.assertRefused("no Client-Cert", [], [good])
        self.assertRefused("more than one", [good, good], [])
        self.assertRefused("more than one", [good], [good, good])
        self.assertRefused("too long", [b":" + b"A" * LONGEST + b":"], [])
        self.assertRefused("too long", [good], [b":" + b"A" * LONGEST + b":"])
        self.assertRefused("too long", [good], [b", ".join([good] * 4)])
        for wrong in (
            b"",
            b"AAAA",
            b":AAAA",
            b"::",
            b":A:",
            b":AAA:",
            b":AAB=:",  # bits that say nothing are set
            b":AA-_:",
            b":AA AA:",
            b":AAAA:;a=1",
            b":AAAA:, :AAAA:",
            b'"AAAA"',
            b":AAAA:\r",
            b":AAAA:\xff",
            b"%3AAAAA%3A",
        ):
            self.assertRefused("malformed", [wrong], [])
            if wrong != b":AAAA:, :AAAA:":
                self.assertRefused("malformed", [good], [wrong])
        self.assertRefused("malformed", [good], [b":AAAA:,"])
        self.assertRefused("malformed", [good], [b":AAAA:,,:AAAA:"])
