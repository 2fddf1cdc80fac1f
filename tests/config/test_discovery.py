"""The keys of discovery."""

from __future__ import annotations

from csipd.config import Discovery
from tests.config.support import ConfigCase, read


class DiscoveryTests(ConfigCase):
    """What they say, and what is wrong with them."""

    def test_off(self) -> None:
        """It is off unless it is asked for, whatever else is there."""
        self.assertIsNone(read("").discovery)
        self.assertIsNone(read("mdns: false\nmdns_interfaces: [eth0]\n").discovery)

    def test_all_keys(self) -> None:
        """Interfaces are names or addresses; the name is csipd where none is given."""
        found = read("mdns: true\nmdns_interfaces: [eth0, 192.0.2.1, 'FE80:0::1']\nmdns_name: utility-7\n")
        self.assertEqual(found.discovery, Discovery(("eth0", "192.0.2.1", "fe80::1"), "utility-7"))
        self.assertEqual(
            read("mdns: true\nmdns_interfaces: [eth0]\n").discovery, Discovery(("eth0",), "csipd")
        )

    def test_without_interfaces(self) -> None:
        """Where it is to be found has to be said (decision 71)."""
        for none in ("", "mdns_interfaces: []\n"):
            self.assert_wrong(
                "mdns: true\n" + none,
                "c.yml:3: mdns: expected mdns_interfaces beside it, the interfaces to be found on,"
                " such as [eth0]",
            )

    def test_any_port(self) -> None:
        """A port that is announced is a fixed one."""
        (line,) = self.wrong("mdns: true\nmdns_interfaces: [lo]\n", "server: 127.0.0.1\nhttps_port: 0\n")
        self.assertEqual(
            line,
            "c.yml:2: https_port: expected a fixed https_port beside mdns: true, since it is announced,"
            " got 0",
        )
        (line,) = self.wrong("http_port: 0\nmdns: true\nmdns_interfaces: [lo]\n")
        self.assertIn("c.yml:3: http_port: expected a fixed http_port", line)

    def test_wrong_values(self) -> None:
        """Names that no interface, and no label of a host, can have."""
        what = "the name of an interface, such as eth0, or an address of it"
        for wrong in (
            "a/b",
            "x y",
            "eth0:1",
            "averyveryverylongname",
            "fe80::1%eth0",
            "0.0.0.0",
            "::",
            "224.0.0.251",
        ):
            self.assert_wrong(
                f"mdns_interfaces: ['{wrong}']\n",
                f"c.yml:3: mdns_interfaces[0]: expected {what}, got '{wrong}'",
            )
        self.assert_wrong(
            "mdns_interfaces: ['fe80::1', 'FE80:0::1']\n", "c.yml:3: mdns_interfaces[1]: given twice"
        )
        name = "a name of at most 40 letters, digits and dashes, which begins and ends without a dash"
        self.assert_each_wrong("mdns_name", name, "a.b", "-a", "a-", "a b", "x" * 41, "'é'")
        self.assert_each_wrong("mdns", "true or false", "1", "'yes'")
        self.assert_wrong("mdns_interfaces: [lo, lo]\n", "c.yml:3: mdns_interfaces[1]: given twice")
