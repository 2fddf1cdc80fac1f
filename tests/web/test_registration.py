"""How devices come to be registered, in and out of band (CSIP IG 6.1.2 to 6.1.7, IEEE 2030.5-2018 8.5.3)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from attrs import evolve
from lxml import etree
from twisted.trial.unittest import SynchronousTestCase

from csipd.db import devices
from csipd.der.access import Policy
from csipd.net.identity import Identity
from csipd.sep2.identity import pin_is_valid
from tests.support.client import Answer
from tests.support.schema import validate
from tests.support.walk import judge
from tests.support.ways import both_ways
from tests.support.world import (
    AGGREGATOR,
    ALLOW_ALL,
    BARE,
    FOREIGN,
    IDLE,
    IN_BAND,
    LISTED,
    MANAGED,
    NAMESPACE,
    NOW,
    OTHER,
    OUT_OF_BAND,
    OWNER,
    PIN,
    REGISTERED,
    RETIRED,
    RIVAL,
    UNKNOWN,
    UNREGISTERED,
    WITHDRAWN,
    World,
    caller,
    end_device,
)

XMLNS = 'xmlns="urn:ieee:std:2030.5:ns"'
EMPTY_LIST = Policy(empty_list=True)


class RegistrationCase(SynchronousTestCase):
    """A world with a policy, and what is often asked of it."""

    policy = IN_BAND

    def setUp(self) -> None:
        self.path = Path(self.mktemp())
        self.world = self.make()
        self.numbers = self.world.numbers

    def make(self, policy: Policy | None = None) -> World:
        world = World(self.path, policy=policy or self.policy)
        self.addCleanup(world.close)
        return world

    def register(self, who: Identity, whom: Identity | None = None, **more: Any) -> Answer:
        """POST of an EndDevice: the caller's own, or another's."""
        return self.world.post(who, "/edev", end_device(whom or who, **more))

    def assertRegistered(self, answer: Answer, who: Identity, whom: Identity | None = None) -> str:
        """It is registered now, and its document right; its place."""
        self.assertEqual((answer.status, answer.body), (201, b""), answer)
        location = answer.headers["location"]
        got = self.world.get(who, location)
        judge(location, got)
        device = etree.fromstring(got.body)
        self.assertEqual(self.text(device, "lFDI"), (whom or who).lfdi)
        self.assertEqual(self.text(device, "sFDI"), str((whom or who).sfdi))
        self.assertEqual(self.text(device, "enabled"), "true")
        self.assertIn(location, self.seen(who))
        return location

    def assertForbidden(self, answer: Answer) -> None:
        self.assertEqual(answer.status, 403, answer)
        validate(answer.body)
        self.assertNotIn("location", answer.headers)

    def assertUntouched(self) -> None:
        """Nothing was written."""
        self.assertEqual(self.world.changed, [])

    def text(self, element: etree._Element, name: str) -> str | None:
        return element.findtext(NAMESPACE + name)

    def seen(self, who: Identity) -> list[str | None]:
        """The hrefs of the EndDevices that a caller sees."""
        return [device.get("href") for device in self.world.document(who, "/edev?l=255")]

    def pin(self, who: Identity, location: str) -> int:
        return int(self.text(self.world.document(who, f"{location}/rg"), "pIN") or -1)

    def count(self, who: Identity) -> str | None:
        """What the entry point says of the list of devices; None if it does not speak of it."""
        link = self.world.document(who, "/dcap").find(f"{NAMESPACE}EndDeviceListLink")
        return None if link is None else link.get("all")


class InBandTests(RegistrationCase):
    """IG 6.1.4: the operator lists LFDIs, devices register themselves."""

    def test_walk(self) -> None:
        """An empty list, a POST, then itself alone, with the PIN that it was listed with."""
        self.assertEqual(self.count(LISTED), "0")
        document = self.world.document(LISTED, "/edev")
        self.assertEqual((document.get("all"), document.get("results")), ("0", "0"))
        location = self.assertRegistered(self.register(LISTED), LISTED)
        self.assertEqual(self.count(LISTED), "1")
        self.assertEqual(self.seen(LISTED), [location])
        self.assertEqual(self.pin(LISTED, location), PIN)
        for name in ("der", "fsa", "dstat"):
            self.assertIn(self.world.get(LISTED, f"{location}/{name}").status, (200, 404))
        self.assertEqual(self.world.document(LISTED, f"{location}/der").get("all"), "1")

    def test_server_sets(self) -> None:
        """changedTime, enabled and links are the server's; category and rate the device's."""
        self.world.now += 50
        sent = f"""<EndDevice {XMLNS} href="/edev/1"><DERListLink href="/x" all="3"/>
            <deviceCategory>00040000</deviceCategory><lFDI>{LISTED.lfdi.lower()}</lFDI>
            <sFDI>{LISTED.sfdi}</sFDI><changedTime>1</changedTime><enabled>false</enabled>
            <postRate>300</postRate></EndDevice>"""
        answer = self.world.post(LISTED, "/edev", sent.encode())
        location = self.assertRegistered(answer, LISTED)
        self.assertEqual(location, f"/edev/{self.numbers.listed}")
        device = self.world.document(LISTED, location)
        self.assertEqual(self.text(device, "changedTime"), str(NOW + 50))
        self.assertEqual(int(self.text(device, "deviceCategory") or "0", 16), 0x40000)
        self.assertEqual(self.text(device, "postRate"), "300")
        self.assertEqual(device.find(f"{NAMESPACE}DERListLink").get("href"), f"{location}/der")
        registered = self.world.document(LISTED, f"{location}/rg")
        self.assertEqual(self.text(registered, "dateTimeRegistered"), str(NOW + 50))

    def test_only_sfdi(self) -> None:
        """The SFDI alone is enough: the LFDI is that of the certificate."""
        sent = f"<EndDevice {XMLNS}><sFDI>{LISTED.sfdi}</sFDI><changedTime>0</changedTime></EndDevice>"
        self.assertRegistered(self.world.post(LISTED, "/edev", sent.encode()), LISTED)

    def test_later_edition(self) -> None:
        """A client of the 2023 edition registers as well."""
        sent = (
            f'<EndDevice {XMLNS} schemaVer="2.2"><lFDI>{LISTED.lfdi}</lFDI><sFDI>{LISTED.sfdi}</sFDI>'
            "<changedTime>0</changedTime></EndDevice>"
        )
        self.assertRegistered(self.world.post(LISTED, "/edev", sent.encode()), LISTED)

    def test_of_another(self) -> None:
        """Another's LFDI or SFDI is 403, registered or not, and tells nothing of it."""
        for whom in (OTHER, UNREGISTERED, UNKNOWN, WITHDRAWN, AGGREGATOR):
            for who in (LISTED, OWNER):
                self.assertForbidden(self.register(who, whom))
                mixed = end_device(who)
                self.assertForbidden(self.world.post(who, "/edev", mixed.replace(lFDI=whom.lfdi)))
                self.assertForbidden(self.world.post(who, "/edev", mixed.replace(sFDI=whom.sfdi)))
                self.assertForbidden(self.world.post(who, "/edev", mixed.replace(lFDI=None, sFDI=whom.sfdi)))
        self.assertUntouched()

    def test_malformed(self) -> None:
        """An LFDI that is no hex, an SFDI without its check digit, none at all: 400."""
        for lfdi, sfdi, reason in (
            ("G" * 40, str(LISTED.sfdi), 0),
            ("A" * 42, str(LISTED.sfdi), 0),
            (LISTED.lfdi, str(LISTED.sfdi + 1), 1),
            (LISTED.lfdi, "x", 0),
            (LISTED.lfdi, "-1", 0),
        ):
            sent = (
                f"<EndDevice {XMLNS}><lFDI>{lfdi}</lFDI><sFDI>{sfdi}</sFDI><changedTime>0</changedTime>"
                "</EndDevice>"
            )
            answer = self.world.post(LISTED, "/edev", sent.encode())
            self.assertEqual(answer.status, 400, answer)
            self.assertIn(f"<reasonCode>{reason}</reasonCode>".encode(), answer.body)
        sent = f"<EndDevice {XMLNS}><lFDI>{LISTED.lfdi}</lFDI><changedTime>0</changedTime></EndDevice>"
        self.assertEqual(self.world.post(LISTED, "/edev", sent.encode()).status, 400)
        self.assertUntouched()

    def test_duplicate(self) -> None:
        """One that is registered gets 409 with its place, and nothing changes (8.5.3)."""
        for _ in range(2):
            answer = self.register(OWNER, postRate=7)
            self.assertEqual(answer.status, 409, answer)
            self.assertEqual(answer.headers["location"], f"/edev/{self.numbers.owner}")
            validate(answer.body)
        self.assertUntouched()
        location = self.assertRegistered(self.register(LISTED), LISTED)
        again = self.register(LISTED)
        self.assertEqual((again.status, again.headers["location"]), (409, location))

    def test_not_on_the_list(self) -> None:
        """Who is on no list, shut out or gone from the configuration is 403, and the list 404 to it."""
        for who in (UNKNOWN, WITHDRAWN, RETIRED):
            self.assertEqual(self.world.get(who, "/edev").status, 404)
            self.assertIsNone(self.count(who))
            self.assertForbidden(self.register(who))
        self.assertUntouched()

    def test_by_lfdi(self) -> None:
        """Authorisation goes by the LFDI: to have the SFDI of one that is listed is worth nothing (P17)."""
        twin = Identity(
            lfdi=LISTED.lfdi[:9] + "0" * 31, sfdi=LISTED.sfdi, not_after=None, fingerprint="0" * 64
        )
        self.assertForbidden(self.register(twin))
        self.assertEqual(self.world.get(twin, "/edev").status, 404)
        self.assertUntouched()


class OutOfBandTests(RegistrationCase):
    """IG 6.1.3: the operator registers devices beforehand."""

    policy = OUT_OF_BAND

    def test_own(self) -> None:
        """A device finds exactly itself."""
        self.assertEqual(self.count(OWNER), "1")
        self.assertEqual(self.seen(OWNER), [f"/edev/{self.numbers.owner}"])

    def test_not_on_file(self) -> None:
        """Who is not on file, or listed only, gets 404 for the list, 403 for a POST, and no link to it."""
        for who in (UNKNOWN, LISTED, UNREGISTERED, IDLE, WITHDRAWN, RETIRED):
            self.assertEqual(self.world.get(who, "/edev").status, 404)
            self.assertIsNone(self.count(who))
            self.assertForbidden(self.register(who))
        self.assertUntouched()

    def test_duplicate(self) -> None:
        """One's own EndDevice is 409 with its place in this mode too, an aggregator's device's likewise."""
        answer = self.register(OWNER)
        self.assertEqual((answer.status, answer.headers["location"]), (409, f"/edev/{self.numbers.owner}"))
        answer = self.register(AGGREGATOR, MANAGED)
        self.assertEqual((answer.status, answer.headers["location"]), (409, f"/edev/{self.numbers.managed}"))

    def test_aggregator(self) -> None:
        """An aggregator adds nothing to its fleet in this mode."""
        for whom in (UNREGISTERED, UNKNOWN, OTHER, FOREIGN):
            self.assertForbidden(self.register(AGGREGATOR, whom))
        self.assertUntouched()


class EmptyListTests(RegistrationCase):
    """The switch for those who are not registered: an empty list in place of 404 (8.5.3)."""

    policy = EMPTY_LIST

    def test_empty(self) -> None:
        """Whoever is not registered finds a link and an empty list, and may still not register."""
        for who in (UNKNOWN, LISTED, WITHDRAWN, RETIRED):
            self.assertEqual(self.count(who), "0")
            answer = self.world.get(who, "/edev?l=9")
            judge("/edev", answer)
            self.assertEqual(etree.fromstring(answer.body).get("all"), "0")
            self.assertForbidden(self.register(who))
        self.assertUntouched()


class AllowAllTests(RegistrationCase):
    """Any certificate from our roots may register, and sees only itself (decision 4)."""

    policy = ALLOW_ALL

    def test_stranger(self) -> None:
        """A stranger registers like one that is listed, gets a PIN of its own, and sees itself alone."""
        self.assertEqual(self.count(UNKNOWN), "0")
        location = self.assertRegistered(self.register(UNKNOWN), UNKNOWN)
        self.assertEqual(self.seen(UNKNOWN), [location])
        self.assertTrue(pin_is_valid(self.pin(UNKNOWN, location)))
        self.assertEqual(self.world.get(UNKNOWN, f"/edev/{self.numbers.owner}").status, 404)
        self.assertEqual(self.world.get(UNKNOWN, f"/derp/{self.numbers.system}").status, 404)
        self.assertEqual(self.world.document(UNKNOWN, f"{location}/fsa").get("all"), "0")
        self.assertEqual(self.world.document(UNKNOWN, "/derp").get("all"), "0")

    def test_drawn(self) -> None:
        """PINs that nobody chose are drawn one by one, and stay what they are, over restarts too."""
        strangers = [caller(f"stranger {number}") for number in range(6)]
        places = [self.assertRegistered(self.register(who), who) for who in strangers]
        pins = [self.pin(who, place) for who, place in zip(strangers, places, strict=True)]
        self.assertTrue(all(map(pin_is_valid, pins)))
        self.assertGreater(len(set(pins)), 1)
        self.world.close()
        self.world = self.make()
        self.assertEqual([self.pin(who, place) for who, place in zip(strangers, places, strict=True)], pins)

    def test_shut_out(self) -> None:
        """A withdrawal holds against this too, as does being gone from the configuration (decision 5)."""
        for who in (WITHDRAWN, RETIRED):
            self.assertEqual(self.world.get(who, "/edev").status, 404)
            self.assertForbidden(self.register(who))
        self.register(UNKNOWN)
        self.world.withdraw(UNKNOWN)
        self.assertForbidden(self.register(UNKNOWN))
        self.assertEqual(self.world.get(UNKNOWN, "/edev").status, 404)

    def test_of_another(self) -> None:
        """Nobody registers for another."""
        for whom in (LISTED, OWNER, caller("somebody else")):
            self.assertForbidden(self.register(UNKNOWN, whom))
        self.assertUntouched()


class ListedFleetTests(RegistrationCase):
    """An aggregator that may not add devices itself."""

    def test_unlisted(self) -> None:
        """What nobody listed is 403 and leaves nothing; what was listed for it registers (case A10)."""
        new = caller("a device that nobody listed")
        self.assertForbidden(self.register(AGGREGATOR, new))
        self.assertUntouched()
        self.assertRegistered(self.register(AGGREGATOR, UNREGISTERED), AGGREGATOR, UNREGISTERED)


class ReservedTests(RegistrationCase):
    """The server's certificate and those of operators, where anyone may register."""

    policy = evolve(ALLOW_ALL, aggregators_may_add=True, reserved=frozenset([UNKNOWN.lfdi]))

    def test_not_a_device(self) -> None:
        """They are strangers: nothing but the entry point and the clock, and no registration (case F15)."""
        self.assertEqual(self.world.get(UNKNOWN, "/tm").status, 200)
        self.assertEqual(self.world.get(UNKNOWN, "/edev").status, 404)
        self.assertForbidden(self.register(UNKNOWN))
        self.assertForbidden(self.register(AGGREGATOR, UNKNOWN))
        self.assertUntouched()
        self.assertRegistered(self.register(caller("anyone else")), caller("anyone else"))


class AggregatorTests(RegistrationCase):
    """IG 6.1.5, 6.1.7, 5.2.2: an aggregator and its fleet, to which it may add devices that nobody listed."""

    policy = evolve(IN_BAND, aggregators_may_add=True)

    def fleet(self) -> set[str | None]:
        return set(self.seen(AGGREGATOR))

    def test_listed_device(self) -> None:
        """An aggregator registers a device that was listed for it; that device's certificate then sees it."""
        location = self.assertRegistered(self.register(AGGREGATOR, UNREGISTERED), AGGREGATOR, UNREGISTERED)
        self.assertEqual(self.count(AGGREGATOR), "4")
        self.assertEqual(self.seen(UNREGISTERED), [location])
        self.assertEqual(self.pin(AGGREGATOR, location), PIN)
        self.assertEqual(self.pin(UNREGISTERED, location), PIN)
        device = self.world.document(AGGREGATOR, location)
        for name in ("FunctionSetAssignmentsListLink", "DERListLink", "RegistrationLink"):
            self.assertIsNotNone(device.find(NAMESPACE + name))

    def test_device_itself(self) -> None:
        """A device that was listed for an aggregator may register itself, and belongs to it."""
        location = self.assertRegistered(self.register(UNREGISTERED), UNREGISTERED)
        self.assertIn(location, self.fleet())
        self.assertEqual(self.world.get(RIVAL, location).status, 404)

    def test_without_certificate(self) -> None:
        """A device that nobody listed, whose LFDI is of no certificate, comes in by its aggregator."""
        lfdi = "00112233445566778899AABBCCDDEEFF00112233"
        whom = Identity(lfdi=lfdi, sfdi=_sfdi(lfdi), not_after=None, fingerprint="")
        location = self.assertRegistered(self.register(AGGREGATOR, whom), AGGREGATOR, whom)
        pin = self.pin(AGGREGATOR, location)
        self.assertTrue(pin_is_valid(pin))
        self.assertEqual(self.pin(AGGREGATOR, location), pin)
        self.assertIn(location, self.fleet())
        again = self.register(AGGREGATOR, whom)
        self.assertEqual((again.status, again.headers["location"]), (409, location))

    def test_second_aggregator(self) -> None:
        """What one aggregator has, no other gets (decision 7), registered or only listed."""
        for whom in (MANAGED, BARE, UNREGISTERED, AGGREGATOR):
            self.assertForbidden(self.register(RIVAL, whom))
        new = caller("claimed by two")
        self.assertRegistered(self.register(AGGREGATOR, new), AGGREGATOR, new)
        self.world.changed.clear()
        self.assertForbidden(self.register(RIVAL, new))
        self.assertUntouched()

    def test_direct_device(self) -> None:
        """A direct device is not drawn into a fleet, whether registered, listed or shut out."""
        for whom in (OWNER, LISTED, WITHDRAWN, RETIRED):
            self.assertForbidden(self.register(AGGREGATOR, whom))
        self.assertUntouched()

    def test_mismatch(self) -> None:
        """The SFDI has to be that of the LFDI, whoever sends it."""
        self.assertForbidden(
            self.world.post(AGGREGATOR, "/edev", end_device(UNREGISTERED).replace(sFDI=MANAGED.sfdi))
        )
        # Without an LFDI it speaks for itself.
        alone = end_device(UNREGISTERED).replace(lFDI=None)
        self.assertForbidden(self.world.post(AGGREGATOR, "/edev", alone))
        self.assertUntouched()

    def test_itself_first(self) -> None:
        """An aggregator registers itself before its devices, which tell it nothing until then."""
        for whom in (MANAGED, OWNER, UNKNOWN):
            self.assertForbidden(self.register(IDLE, whom))
        self.assertUntouched()
        location = self.assertRegistered(self.register(IDLE), IDLE)
        self.assertEqual(self.seen(IDLE), [location])
        self.assertEqual(self.world.get(IDLE, f"{location}/der").status, 404)
        new = caller("a first device")
        self.assertRegistered(self.register(IDLE, new), IDLE, new)
        self.assertEqual(self.count(IDLE), "2")

    def test_duplicate(self) -> None:
        """A device that is registered is 409 with its place, itself too."""
        for whom, number in ((MANAGED, self.numbers.managed), (AGGREGATOR, self.numbers.aggregator)):
            answer = self.register(AGGREGATOR, whom)
            self.assertEqual((answer.status, answer.headers["location"]), (409, f"/edev/{number}"))

    def test_delete(self) -> None:
        """MAINT-002: what an aggregator deletes is gone for it and for the device; it may come back."""
        path = f"/edev/{self.numbers.managed}"
        pin = self.pin(AGGREGATOR, path)
        programs = self.world.document(MANAGED, "/derp").get("all")
        deleted = self.world.delete(AGGREGATOR, path)
        self.assertIn(deleted.status, (200, 204))
        for who in (AGGREGATOR, MANAGED):
            for place in (path, f"{path}/rg", f"{path}/der/1/ders"):
                self.assertEqual(self.world.get(who, place).status, 404)
        self.assertEqual(self.count(AGGREGATOR), "2")
        self.assertNotIn(path, self.fleet())
        self.assertEqual(self.count(MANAGED), "0")
        self.assertEqual(self.world.get(MANAGED, "/derp").status, 404)
        self.assertEqual(self.world.delete(AGGREGATOR, path).status, 404)
        back = self.assertRegistered(self.register(AGGREGATOR, MANAGED), AGGREGATOR, MANAGED)
        self.assertEqual(back, path)
        self.assertEqual(self.pin(MANAGED, path), pin)
        self.assertEqual(self.world.document(MANAGED, "/derp").get("all"), programs)

    def test_delete_of_others(self) -> None:
        """Nobody deletes itself, nor what is another's."""
        for who, number, status in (
            (AGGREGATOR, self.numbers.aggregator, 405),
            (MANAGED, self.numbers.managed, 405),
            (OWNER, self.numbers.owner, 405),
            (AGGREGATOR, self.numbers.foreign, 404),
            (AGGREGATOR, self.numbers.owner, 404),
            (RIVAL, self.numbers.managed, 404),
        ):
            self.assertEqual(self.world.delete(who, f"/edev/{number}").status, status)
        self.assertUntouched()

    def test_programs_of_the_fleet(self) -> None:
        """An aggregator reaches the programs of its fleet as long as somebody there is in them."""
        feeder_b = f"/derp/{self.numbers.feeder_b}"
        self.assertEqual(self.world.get(AGGREGATOR, feeder_b).status, 200)
        self.world.delete(AGGREGATOR, f"/edev/{self.numbers.bare}")
        self.assertEqual(self.world.get(AGGREGATOR, feeder_b).status, 404)
        self.assertRegistered(self.register(AGGREGATOR, BARE), AGGREGATOR, BARE)
        self.assertEqual(self.world.get(AGGREGATOR, feeder_b).status, 200)

    def test_shut_out(self) -> None:
        """A device of its fleet that the operator shut out stays so, whatever the aggregator does."""
        self.world.withdraw(MANAGED)
        self.assertEqual(self.count(AGGREGATOR), "2")
        self.assertForbidden(self.register(AGGREGATOR, MANAGED))
        self.assertEqual(self.world.get(AGGREGATOR, f"/edev/{self.numbers.managed}").status, 404)

    def test_aggregator_shut_out(self) -> None:
        """An aggregator that is shut out has no fleet; its devices go on by themselves."""
        self.world.withdraw(AGGREGATOR)
        self.assertEqual(self.world.get(AGGREGATOR, "/edev").status, 404)
        self.assertForbidden(self.register(AGGREGATOR, UNREGISTERED))
        self.assertEqual(self.world.get(AGGREGATOR, f"/edev/{self.numbers.managed}").status, 404)
        self.assertEqual(self.seen(MANAGED), [f"/edev/{self.numbers.managed}"])

    def test_first_seen(self) -> None:
        """The newest of a fleet comes first in its list."""
        self.world.now += 5
        location = self.assertRegistered(self.register(AGGREGATOR, UNREGISTERED), AGGREGATOR, UNREGISTERED)
        self.assertEqual(self.seen(AGGREGATOR)[0], location)


class RegistrationDocumentTests(RegistrationCase):
    """Registration: what an installer compares."""

    def test_fields(self) -> None:
        """It holds when the device was registered and its PIN, and may have a rate of its own."""
        path = f"/edev/{self.numbers.owner}/rg"
        answer = self.world.get(OWNER, path)
        judge(path, answer)
        document = etree.fromstring(answer.body)
        self.assertEqual(
            [(child.tag.removeprefix(NAMESPACE), child.text) for child in document],
            [("dateTimeRegistered", str(REGISTERED - 3)), ("pIN", str(PIN))],
        )
        self.assertEqual(document.get("pollRate"), "900")
        owner = self.numbers.owner
        self.world.write(lambda transaction: devices.update(transaction, owner, poll_rate=60, pin=0))
        document = self.world.document(OWNER, path)
        self.assertEqual((document.get("pollRate"), self.text(document, "pIN")), ("60", "0"))


def _sfdi(lfdi: str) -> int:
    """By hand: the leftmost 36 bits, then what makes the digits' sum a multiple of ten."""
    number = int(lfdi[:9], 16)
    return number * 10 + (10 - sum(map(int, str(number))) % 10) % 10


both_ways(globals())
