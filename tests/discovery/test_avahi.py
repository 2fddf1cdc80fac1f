"""The static service file for avahi."""

from __future__ import annotations

from lxml import etree
from twisted.trial.unittest import SynchronousTestCase

from csipd.discovery.avahi import service_file
from tests.discovery.test_records import SERVER


class ServiceFileTests(SynchronousTestCase):
    """What avahi is to announce."""

    def test_file(self) -> None:
        """One service with all function sets as subtypes, the port, and the TXT record with txtvers first."""
        group = etree.fromstring(service_file(SERVER).encode())
        self.assertEqual(group.findtext("name"), "csipd-001234567890")
        (service,) = group.findall("service")
        self.assertEqual(service.findtext("type"), "_smartenergy._tcp")
        self.assertEqual(
            [one.text for one in service.findall("subtype")],
            [
                f"_{one}._sub._smartenergy._tcp"
                for one in ("derp", "edev", "mup", "rsps", "sdev", "tm", "upt")
            ],
        )
        self.assertEqual(service.findtext("port"), "7443")
        self.assertEqual(
            [one.text for one in service.findall("txt-record")],
            ["txtvers=1", "dcap=/dcap", "https=7443", "level=-S1"],
        )
        self.assertEqual(
            [one.tag for one in service], ["type", *["subtype"] * 7, "port", *["txt-record"] * 4]
        )
        self.assertIn('<!DOCTYPE service-group SYSTEM "avahi-service.dtd">', service_file(SERVER))
