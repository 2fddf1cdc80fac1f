"""The keys of the proxy."""

from __future__ import annotations

from csipd.config import HostPort, Proxy, ProxyMode, loads
from tests.config.support import ConfigCase, read

_FINGERPRINT = "AB" * 32


class ProxyTests(ConfigCase):
    """What they say, and what is wrong with them."""

    def test_nothing(self) -> None:
        """Without its keys there is none."""
        self.assertEqual(read("").proxy, Proxy(None, False, ProxyMode.HOP, ()))

    def test_all_keys(self) -> None:
        """Each key has its place; a fingerprint is read as openssl writes it, too."""
        written = ":".join(["ab"] * 32)
        found = read(f"proxy_hostname: proxy.example:8443\nproxy: true\nproxies: ['{written}']\n")
        self.assertEqual(
            found.proxy, Proxy(HostPort("proxy.example", 8443), True, ProxyMode.HOP, (_FINGERPRINT,))
        )
        self.assertEqual(found.warnings, ())

    def test_proxies_alone(self) -> None:
        """Proxies elsewhere are believed where none runs here."""
        self.assertEqual(read(f"proxies: [{_FINGERPRINT}]\n").proxy, Proxy(proxies=(_FINGERPRINT,)))

    def test_device_keys(self) -> None:
        """The keys of devices are for labs, which is warned of."""
        found = read("proxy_hostname: 127.0.0.1:8443\nproxy_mode: device_keys\n")
        self.assertIs(found.proxy.mode, ProxyMode.DEVICE_KEYS)
        (warning,) = found.warnings
        self.assertRegex(warning, "^c.yml:4: proxy_mode: .*for labs alone")

    def test_without_place(self) -> None:
        """A proxy has to listen somewhere."""
        needs = "expected proxy_hostname beside it, which says where the proxy listens"
        self.assert_wrong(
            "proxy: true\nproxy_mode: hop\n", f"c.yml:3: proxy: {needs}", f"c.yml:4: proxy_mode: {needs}"
        )
        self.assertEqual(read("proxy: false\n").proxy, Proxy())

    def test_wrong_values(self) -> None:
        """Words and fingerprints are read strictly."""
        self.assert_each_wrong("proxies", "a list", "x")
        self.assert_wrong(
            f"proxies: [abc, {_FINGERPRINT}, {_FINGERPRINT.lower()}]\n",
            "c.yml:3: proxies[0]: expected the SHA-256 fingerprint of a proxy's certificate,"
            " 64 hexadecimal digits, got 'abc'",
            "c.yml:3: proxies[2]: given twice",
        )
        self.assert_wrong(
            "proxy_hostname: a:1\nproxy_mode: device-key\n",
            "c.yml:4: proxy_mode: expected one of hop, device_keys, got 'device-key';"
            " did you mean 'device_keys'?",
        )

    def test_operator(self) -> None:
        """An operator's certificate is no proxy's."""
        self.assert_wrong(
            f"operators:\n- name: alice\n  fingerprint: {_FINGERPRINT}\nproxies: [{_FINGERPRINT}]\n",
            "c.yml:6: proxies: expected certificates of proxies, got that of an operator",
        )

    def test_server_of_its_name(self) -> None:
        """The proxy's certificate is called proxy, and so no server may be, nor any device."""
        self.assertEqual(loads("server: proxy\nport: 1\n").server, "proxy")
        (line,) = self.wrong("server: proxy\nport: 1\nproxy_hostname: a:1\n", minimal="")
        self.assertRegex(line, "^c.yml:1: server: expected another name than proxy,")

    def test_lab(self) -> None:
        """The proxy of a lab stays on its machine, too."""
        (line,) = self.wrong("lab: true\nproxy_hostname: 0.0.0.0:8443\n")
        self.assertRegex(line, "^c.yml:4: proxy_hostname: expected an address of this machine alone")
