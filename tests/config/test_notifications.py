"""The section ``notifications``."""

from __future__ import annotations

from ipaddress import ip_network

from csipd.config import HostPort, Notifications
from csipd.daemon.start import receiver_policy
from csipd.der.receivers import ReceiverPolicy
from csipd.der.subscribing import SubscriptionLimits
from tests.config.support import LFDI, ConfigCase, read


class NotificationsTests(ConfigCase):
    """Where Notifications may go, and what they may cost."""

    def test_defaults(self) -> None:
        """Without the section, and with an empty one, every public address will do."""
        self.assertEqual(read("").notifications, Notifications())
        self.assertEqual(read("notifications: {at_once: 200}\n").notifications, Notifications())
        self.assertEqual(read("").notifications.limits, SubscriptionLimits(True, 20, 1000, 8, 129_600))

    def test_whole(self) -> None:
        """Names are kept in lower case, networks apart from them."""
        found = read(
            f"""\
            notifications:
              allow: [Notify.Example.com., "*.fleet.example", 10.20.0.0/16, 192.0.2.7, "fd00::/8"]
              check_lfdi: false
              receivers:
                - subscriber: dev1
                  lfdis: [{LFDI}]
                - subscriber: {"ab" * 20}
                  lfdis: [{LFDI}]
              direct_subscriptions: false
              subscriptions_per_device: 5
              subscriptions_per_aggregator: 6
              subscriptions_per_managed_device: 0
              expiry: 86400
              at_once: 9
              connections: 10
              connections_per_receiver: 2
              connect_timeout: 3
              answer_timeout: 4
              idle_timeout: 5
            devices:
              - id: dev1
            """
        ).notifications
        self.assertEqual(
            found,
            Notifications(
                receivers=ReceiverPolicy(
                    names=frozenset(("notify.example.com", "*.fleet.example")),
                    networks=tuple(map(ip_network, ("10.20.0.0/16", "192.0.2.7/32", "fd00::/8"))),
                    check_lfdi=False,
                    lfdis={"dev1": (LFDI,), "AB" * 20: (LFDI,)},
                ),
                limits=SubscriptionLimits(False, 5, 6, 0, 86_400),
                at_once=9,
                connections=10,
                connections_per_receiver=2,
                connect_timeout=3,
                answer_timeout=4,
                idle_timeout=5,
            ),
        )

    def test_allow_wrong(self) -> None:
        """What is neither host nor network is an error in its line; host bits in a network get a hint."""
        expected = "expected a host name, *.domain, an address or a network such as 10.1.0.0/16, got "
        for wrong in (
            "https://a.example/",
            "a.*.example",
            "10.0.0.0/33",
            "127.1",
            "a.example:443",
            "*",
            "a b",
        ):
            self.assert_wrong(
                f'notifications:\n  allow:\n    - "{wrong}"\n',
                f"c.yml:5: notifications.allow[0]: {expected}{wrong!r}",
            )
        self.assert_wrong(
            "notifications:\n  allow: [10.1.2.3/16]\n",
            f"c.yml:4: notifications.allow[0]: {expected}'10.1.2.3/16'; the network is written 10.1.0.0/16",
        )

    def test_receivers_wrong(self) -> None:
        """A subscriber is an id of the file or an LFDI, each once, with LFDIs listed for it."""
        lines = self.wrong(
            f"""\
            notifications:
              receivers:
                - subscriber: dev2
                  lfdis: [{LFDI}]
                - subscriber: dev1
                - subscriber: dev1
                  lfdis: [12]
            devices:
              - id: dev1
            """
        )
        whom = "an LFDI, or the id of a device or aggregator in this file"
        at = "notifications.receivers"
        self.assertEqual(
            lines,
            [
                f"c.yml:5: {at}[0].subscriber: expected {whom}, got 'dev2'; did you mean 'dev1'?",
                f"c.yml:7: {at}[1].lfdis: expected the LFDIs that may answer for this subscriber, found none",
                f"c.yml:8: {at}[2].subscriber: 'dev1' is given twice, first in line 7",
                f"c.yml:9: {at}[2].lfdis[0]: expected an LFDI, 40 hexadecimal digits, got '12'",
            ],
        )

    def test_unknown_key(self) -> None:
        """A key that nobody knows is refused with the nearest one."""
        self.assert_wrong(
            "notifications:\n  alow: []\n",
            "c.yml:4: notifications.alow: unknown key; did you mean 'allow'?",
        )


class PolicyTests(ConfigCase):
    """What the daemon makes of it."""

    def test_policy(self) -> None:
        """Ids become LFDIs; who listens on loopback alone may notify loopback."""
        listed = f"{{subscriber: dev1, lfdis: [{LFDI}]}}"
        text = f"notifications: {{receivers: [{listed}]}}\ndevices: [{{id: dev1}}]\n"
        found = receiver_policy(read(text), {"dev1": "AB" * 20})
        self.assertEqual(found.may_answer("AB" * 20), ("AB" * 20, LFDI))
        self.assertTrue(found.loopback)

    def test_is_loopback(self) -> None:
        """By the address, or by the one name that says so."""
        for host, wanted in (
            ("127.0.0.1", True),
            ("::1", True),
            ("localhost", True),
            ("0.0.0.0", False),
            ("::", False),
            ("a.example", False),
        ):
            self.assertIs(HostPort(host, 1).is_loopback, wanted)
