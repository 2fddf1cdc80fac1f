"""Where Notifications may go: every way to name a place that is not what it seems."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from csipd.der.receivers import LONGEST_URI, Forbidden, ReceiverPolicy, Target, parse

OPEN = ReceiverPolicy()
PUBLIC = "8.8.8.8"


def networks(*written: str) -> ReceiverPolicy:
    return ReceiverPolicy(networks=tuple(map(ip_network, written)))


class ReceiverCase(SynchronousTestCase):
    def forbidden(self, uri: str, policy: ReceiverPolicy = OPEN) -> str:
        return str(self.assertRaises(Forbidden, policy.target, uri))

    def assert_admits(self, policy: ReceiverPolicy, host: str, *addresses: str) -> None:
        for address in addresses:
            try:
                policy.admit(host, address)
            except Forbidden as error:
                self.fail(f"{host} at {address}: {error}")

    def assert_refuses(self, policy: ReceiverPolicy, host: str, *addresses: str) -> None:
        for address in addresses:
            try:
                policy.admit(host, address)
            except Forbidden:
                continue
            self.fail(f"{host} at {address} is admitted")


class WrittenTests(ReceiverCase):
    """What a notificationURI may look like."""

    def test_parts(self) -> None:
        """Host, port, path and query are taken apart; port and path have defaults."""
        self.assertEqual(parse("https://a.example/n/1?x=1"), Target(True, "a.example", 443, "/n/1?x=1"))
        self.assertEqual(parse("HTTPS://A.Example:8443"), Target(True, "a.example", 8443, "/"))
        self.assertEqual(parse("http://a.example?q"), Target(False, "a.example", 80, "/?q"))
        self.assertEqual(parse("https://[2001:DB8:0::1]:1/").host, "2001:db8::1")

    def test_authority(self) -> None:
        """The Host header names the port where it is not the scheme's own, and brackets IPv6."""
        for uri, wanted in (
            ("https://a.example/", "a.example"),
            ("https://a.example:443/", "a.example"),
            ("https://a.example:80/", "a.example:80"),
            ("http://a.example:80/", "a.example"),
            ("https://[2001:db8::1]:8443/", "[2001:db8::1]:8443"),
        ):
            self.assertEqual(parse(uri).authority, wanted)

    def test_no_uri(self) -> None:
        """What is relative, of another scheme, or holds what parsers read differently is refused."""
        for uri in (
            "",
            "/n",
            "//a.example/n",
            "a.example/n",
            "ftp://a.example/",
            "file:///etc/passwd",
            "gopher://a.example/",
            "https:a.example",
            "https://",
            "https:///n",
            "https://:443/",
            "https://user@a.example/",
            "https://user:secret@a.example/",
            "https://a.example@127.0.0.1/",
            "https://a.example\\@127.0.0.1/",
            "https://a.example#@127.0.0.1/",
            "https://a.example/n#part",
            "https://a.example/ n",
            "https://a.example/\r\nX: y",
            "https://a.example/n\n",
            " https://a.example/",
            "https://a.example /",
            "https://a%2eexample/",
            "https://a.ex\u0430mple/",
            "https://\u2460\u2461\u2466.0.0.1/",
            "https://a\u3002example/",
            "https://a..example/",
            "https://.example/",
            "https://-a.example/",
            "https://" + "a" * 64 + ".example/",
            "https://" + "a." * 130 + "example/",
            "https://[::1/",
            "https://[fe80::1%25eth0]/",
            "https://[1.2.3.4]/",
            "https://[::ffff:1:2:3:4:5:6:7]/",
            "https://::1/",
            "https://a.example/" + "x" * LONGEST_URI,
        ):
            self.forbidden(uri)

    def test_ports(self) -> None:
        """A port is 1 to 65535, in ASCII digits."""
        for port in ("0", "00", "65536", "99999", "+443", "-1", "443 ", "0x1bb", "\uff14\uff14\uff13", "4_4"):
            self.forbidden(f"https://a.example:{port}/")
        self.assertEqual(OPEN.target("https://a.example:65535/").port, 65535)
        self.forbidden("https://a.example:/")

    def test_numbers_for_hosts(self) -> None:
        """Addresses in decimal, octal, hexadecimal or with parts left out are refused, not understood."""
        for host in (
            "2130706433",
            "0x7f000001",
            "0x7f.0.0.1",
            "0177.0.0.1",
            "017700000001",
            "127.1",
            "127.0.1",
            "127.0.0.01",
            "8.8.8.8.8",
            "256.1.1.1",
            "a.example.0x",
            "a.1",
            "08.8.8.8",
        ):
            self.forbidden(f"https://{host}/")

    def test_last_dot(self) -> None:
        """A name with a last dot is the same name, and an address with one the same address."""
        self.assertEqual(OPEN.target("https://a.example./").host, "a.example")
        self.forbidden("https://127.0.0.1./")
        self.forbidden("https://localhost./")
        self.forbidden("https://a.example../")

    def test_idn(self) -> None:
        """A name of another alphabet is taken in its ASCII form alone."""
        self.assertEqual(OPEN.target("https://xn--bcher-kva.example/").host, "xn--bcher-kva.example")
        self.forbidden("https://b\u00fccher.example/")

    def test_https_only(self) -> None:
        """http is refused outside of a lab."""
        self.assertIn("https", self.forbidden("http://a.example/"))
        self.assertFalse(ReceiverPolicy(plain=True).target("http://a.example/").secure)

    def test_own_machine(self) -> None:
        """localhost, and every name below it, is this machine."""
        for host in ("localhost", "LOCALHOST", "a.localhost"):
            self.forbidden(f"https://{host}/")
            self.assertTrue(ReceiverPolicy(loopback=True).target(f"https://{host}/"))
            self.assertTrue(networks("127.0.0.0/8").target(f"https://{host}/"))

    def test_address_as_host(self) -> None:
        """An address is judged when somebody subscribes."""
        self.assertEqual(OPEN.target("https://8.8.8.8/").host, "8.8.8.8")
        for host in (
            "127.0.0.1",
            "10.1.2.3",
            "0.0.0.0",
            "169.254.169.254",
            "[::1]",
            "[::ffff:127.0.0.1]",
            "[::]",
        ):
            self.forbidden(f"https://{host}/")

    @given(st.text(max_size=60))
    def test_anything(self, written: str) -> None:
        """Whatever is written is a target or Forbidden, never another error."""
        for uri in (written, "https://" + written, f"https://a.example{written}"):
            try:
                target = OPEN.target(uri)
            except Forbidden:
                continue
            self.assertTrue(target.host.isascii() and target.path.startswith("/"))


class AddressTests(ReceiverCase):
    """What a name may lead to."""

    def test_public(self) -> None:
        """With nothing listed every public address will do."""
        self.assert_admits(OPEN, "a.example", PUBLIC, "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808")

    def test_not_public(self) -> None:
        """What is no public address is refused, in every form that one can be written in."""
        for ipv4 in (
            "127.0.0.1",
            "127.255.255.254",
            "10.0.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "100.64.0.1",
            "198.18.0.1",
            "192.0.2.1",
            "0.0.0.0",
            "0.1.2.3",
            "169.254.169.254",
            "224.0.0.1",
            "239.255.255.255",
            "255.255.255.255",
            "240.0.0.1",
        ):
            number = int(ip_address(ipv4))
            high, low = number >> 16, number & 0xFFFF
            forms = (
                ipv4,
                f"::ffff:{ipv4}",
                f"::{ipv4}",
                f"64:ff9b::{high:x}:{low:x}",
                f"64:ff9b:1::{high:x}:{low:x}",
                f"2002:{high:x}:{low:x}::1",
            )
            self.assert_refuses(OPEN, "a.example", *forms)
        self.assert_refuses(
            OPEN,
            "a.example",
            *("::", "::1", "fe80::1", "fe80::1%eth0", "fec0::1", "fc00::1", "fd12::1", "ff02::1"),
            *(
                "2001:db8::1",
                "2001::1",
                "100::1",
                "8.8.8.8%1",
                "",
                "a.example",
                "010.8.8.8",
                "2606:4700::1%e",
            ),
        )

    def test_what_an_address_means(self) -> None:
        """An IPv6 address that stands for an IPv4 address is judged as that, whatever Python holds of it."""
        self.assert_admits(OPEN, "a.example", "2002:808:808::1", "64:ff9b::808:808", "::ffff:8.8.8.8")
        policy = networks("10.1.0.0/16")
        self.assert_admits(policy, "a.example", "2002:a01:203::1", "64:ff9b::a01:203")
        self.assert_refuses(policy, "a.example", "2002:a02:203::1", "2002:808:808::1")

    def test_loopback(self) -> None:
        """A server that listens on loopback alone may notify there, and nowhere else besides."""
        policy = ReceiverPolicy(loopback=True)
        self.assert_admits(policy, "localhost", "127.0.0.1", "::1", "::ffff:127.0.0.1")
        self.assert_refuses(policy, "localhost", "10.0.0.1", "0.0.0.0", "::", "169.254.1.1")

    def test_networks(self) -> None:
        """A listed network admits what is in it, private or not, and nothing else."""
        policy = networks("10.1.0.0/16", "198.41.0.0/24", "fd00:1::/32")
        self.assert_admits(policy, "a.example", "10.1.2.3", "::ffff:10.1.2.3", "198.41.0.4", "fd00:1::9")
        self.assert_refuses(policy, "a.example", "10.2.0.1", PUBLIC, "fd00:2::1", "127.0.0.1")

    def test_wide_networks(self) -> None:
        """A network that reaches beyond a private range does not admit that; it was not meant."""
        policy = networks("0.0.0.0/0", "::/0", "8.0.0.0/6")
        self.assert_admits(policy, "a.example", PUBLIC, "2606:4700::1111")
        self.assert_refuses(policy, "a.example", "10.0.0.1", "127.0.0.1", "::1", "fd00::1", "192.168.0.1")

    def test_never(self) -> None:
        """Link-local, multicast and unspecified addresses are no receivers though a network lists them."""
        policy = networks("0.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "fe80::/10", "ff00::/8", "::/96")
        self.assert_refuses(
            policy, "a.example", "0.0.0.0", "169.254.169.254", "224.0.0.1", "fe80::1", "ff02::1", "::", "::2"
        )

    def test_names(self) -> None:
        """Listed names are let, others not, and a name alone admits no private range."""
        policy = ReceiverPolicy(names=frozenset(("a.example", "*.b.example")))
        for host in ("a.example", "x.b.example", "x.y.b.example", "A.Example."):
            self.assertTrue(policy.target(f"https://{host}/"))
        for host in ("b.example", "xa.example", "x.a.example", "xb.example", "a.example.evil.example"):
            self.forbidden(f"https://{host}/", policy)
            self.assert_refuses(policy, host, PUBLIC)
        self.assert_admits(policy, "a.example", PUBLIC)
        self.assert_refuses(policy, "a.example", "10.0.0.1", "127.0.0.1")
        self.forbidden("https://8.8.8.8/", policy)

    def test_names_and_networks(self) -> None:
        """With both listed either will do; a name that leads nowhere listed is found when it is resolved."""
        policy = ReceiverPolicy(frozenset(("a.example",)), (ip_network("10.0.0.0/8"),))
        self.assertTrue(policy.target("https://other.example/"))
        self.assert_admits(policy, "other.example", "10.0.0.1")
        self.assert_admits(policy, "a.example", PUBLIC, "10.0.0.1")
        self.assert_refuses(policy, "other.example", PUBLIC)


class AnswerTests(SynchronousTestCase):
    """Whose certificate may answer."""

    def test_subscriber_or_listed(self) -> None:
        """The subscriber, and who is listed for it and for nobody else; anybody with the check off."""
        policy = ReceiverPolicy(lfdis={"A" * 40: ("B" * 40,)})
        self.assertEqual(policy.may_answer("A" * 40), ("A" * 40, "B" * 40))
        self.assertEqual(policy.may_answer("C" * 40), ("C" * 40,))
        self.assertEqual(ReceiverPolicy(check_lfdi=False).may_answer("A" * 40), ())
