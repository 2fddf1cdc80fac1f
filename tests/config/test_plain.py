"""The keys of plain HTTP and of where devices begin."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from csipd.config import ConfigError, PlainHTTP, PlainMode, loads
from csipd.sep2.layout import Layout
from csipd.sep2.site import SERVED, TABLE, locate
from tests.config.support import BASE, ConfigCase, quick, read

segments = st.text("abz09._~-", min_size=1, max_size=8)


class PlainTests(ConfigCase):
    """http_port and http_mode."""

    def test_off(self) -> None:
        """Nobody listens without TLS unless a port is given."""
        self.assertIsNone(read("").plain)
        self.assert_wrong(
            "http_mode: redirect",
            "c.yml:3: http_mode: expected http_port beside it; without it there is no plain HTTP",
        )

    def test_modes(self) -> None:
        """A document, or a redirect; nothing is warned of."""
        self.assertEqual(read("http_port: 8080").plain, PlainHTTP(8080, PlainMode.DCAP))
        self.assertEqual(read("http_port: 80\nhttp_mode: redirect").plain, PlainHTTP(80, PlainMode.REDIRECT))
        self.assertEqual(read("http_port: 8080").warnings, ())
        self.assert_wrong(
            "http_port: 65536\nhttp_mode: all",
            "c.yml:3: http_port: expected an integer 0..65535, got '65536'",
            "c.yml:4: http_mode: expected one of dcap, redirect, got 'all'",
        )

    def test_unknown_port(self) -> None:
        """Nor can it lead to a port that is only known once it is had."""
        with self.assertRaises(ConfigError) as caught:
            loads("server: 127.0.0.1\nhttps_port: 0\nhttp_port: 80\n", "c.yml", BASE)
        self.assertEqual(
            str(caught.exception),
            "c.yml:3: http_port: expected an https_port that is known beforehand beside it, got 0: any free "
            "one",
        )

    def test_nameless(self) -> None:
        """What it answers leads to the server by a name, so there has to be one; the first one counts."""
        everywhere = "server: 0.0.0.0\nhttps_port: 443\nhttp_port: 80\n"
        with self.assertRaises(ConfigError) as caught:
            loads(everywhere, "c.yml", BASE)
        self.assertIn("c.yml:3: http_port: expected server_names beside it", str(caught.exception))
        named = loads(everywhere + "server_names: [csip.example.com, 192.0.2.1]\n", "c.yml", BASE)
        self.assertEqual(named.names, ("csip.example.com", "192.0.2.1", "0.0.0.0"))
        self.assertEqual(read("").names, ("127.0.0.1",))


class DcapPathTests(ConfigCase):
    """dcap_path."""

    def test_default(self) -> None:
        """DeviceCapability is where the standard's sample layout has it."""
        self.assertEqual(read("").dcap_path, "/dcap")
        self.assertEqual(read("dcap_path: /dcap").dcap_path, "/dcap")
        self.assertEqual(read("dcap_path: /sep2/dcap").dcap_path, "/sep2/dcap")

    def test_refused(self) -> None:
        """ERR-001: what is another resource's, could be one's, or has another spelling, is not taken.

        Clients take dots alone out of a path: at /../dcap they would ask for /dcap, and be sent there again.
        """
        for path in (
            *(
                "dcap",
                "/",
                "/.",
                "/..",
                "/../dcap",
                "/a/./dcap",
                "//dcap",
                "/dcap/",
                "/d cap",
                "/d%63ap",
                "/dcap?x",
                "/dcap#x",
                "http://a/dcap",
                "/é",
            ),
            *("/tm", "/edev", "/edev/0", "/edev/x", "/edev/12/fsa", "/tp", "/" + "x" * 63),
        ):
            with self.assertRaises(ConfigError) as caught:
                read(f'dcap_path: "{path}"')
            self.assertIn(
                "c.yml:3: dcap_path: expected a path of at most 63 characters", str(caught.exception)
            )

    @quick
    @given(st.lists(segments, min_size=1, max_size=5).map(lambda parts: "/" + "/".join(parts)))
    def test_layout(self, path: str) -> None:
        """Wherever it is moved to, it is found there, and everything else is where it was."""
        try:
            found = read(f'dcap_path: "{path}"').dcap_path
        except ConfigError:
            taken = [re.sub("{id.}", "[^/]+", row.uri) for row in TABLE if row.name != "DeviceCapability"]
            dots = {".", ".."}.intersection(path.split("/"))
            self.assertTrue(len(path) > 63 or dots or any(re.fullmatch(uri, path) for uri in taken))
            return
        layout = Layout(found)
        self.assertEqual(layout.locate(path), layout.dcap)
        self.assertEqual((layout.dcap.href, layout.dcap.row.name), (path, "DeviceCapability"))
        self.assertIsNone(layout.moved(layout.dcap))
        for uri, row in SERVED.items():
            there = locate(uri.format(id1=1, id2=2, id3=3, id4=4))
            assert there is not None
            self.assertEqual(layout.locate(there.href), layout.dcap if there.href == path else there)
            left = row.name == "DeviceCapability" and path != "/dcap"
            self.assertEqual(layout.moved(there), layout.dcap if left else None)
