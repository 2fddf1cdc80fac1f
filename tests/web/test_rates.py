"""Rates that operators set while the server runs, as devices are shown them."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from csipd.db import groups, rates
from csipd.net.identity import Identity
from tests.support.ways import both_ways
from tests.support.world import (
    AGGREGATOR,
    BARE,
    LISTED,
    MANAGED,
    NOW,
    OTHER,
    OWNER,
    World,
    end_device,
)

KIND = "DERProgramList"


class RateTests(SynchronousTestCase):
    """Whose word counts, and that it is heard at once."""

    def setUp(self) -> None:
        self.world = World(Path(self.mktemp()), poll_rates={KIND: 600, "DeviceCapability": 901})
        self.addCleanup(self.world.close)
        self.numbers = self.world.numbers

    def general(self, seconds: int | None, resource: str = KIND) -> None:
        self.world.write(lambda transaction: rates.set_general(transaction, resource, seconds))

    def group(self, name: str, seconds: int | None, resource: str = KIND) -> None:
        number = self.world.read(lambda connection: groups.find(connection, name))
        assert number is not None
        self.world.write(lambda transaction: rates.set_of_group(transaction, resource, number, seconds))

    def device(self, number: int, seconds: int | None, resource: str = KIND) -> None:
        self.world.write(lambda transaction: rates.set_of_device(transaction, resource, number, seconds, NOW))

    def shown(self, who: Identity, path: str, name: str = "pollRate") -> int:
        return int(self.world.document(who, path).get(name) or 0)

    def programs(self, who: Identity, device: int) -> int:
        """pollRate of the lists of programs of a device's FSAs: all have one."""
        lists = [f"/edev/{device}/fsa/{self.numbers.topology}/derp", f"/edev/{device}/der/1/derp"]
        if who is not AGGREGATOR:
            lists.append("/derp")
        (found,) = {self.shown(who, path) for path in lists}
        return found

    def post_rate(self, who: Identity, device: int) -> int | None:
        """postRate of an EndDevice, alone and in its list."""
        name = "{urn:ieee:std:2030.5:ns}postRate"
        alone = self.world.document(who, f"/edev/{device}").findtext(name)
        listed = [
            one.findtext(name)
            for one in self.world.document(who, "/edev?l=20")
            if one.get("href") == f"/edev/{device}"
        ]
        self.assertEqual(listed, [alone])
        return None if alone is None else int(alone)

    def test_whose_counts(self) -> None:
        """The device's over its deepest group's over the general one over the configuration's."""
        owner, other = self.numbers.owner, self.numbers.other
        said = [(self.general, (500,)), (self.group, ("System", 400)), (self.group, ("Feeder A", 300))]
        expected = [(600, 600), (500, 500), (400, 400), (300, 400)]
        found = []
        for set_rate, arguments in [*said, (self.group, ("Point 1", 200)), (self.device, (owner, 100))]:
            found.append((self.programs(OWNER, owner), self.programs(OTHER, other)))
            set_rate(*arguments)  # type: ignore[operator]  # each takes its own
        found.append((self.programs(OWNER, owner), self.programs(OTHER, other)))
        self.assertEqual(found, [*expected, (200, 400), (100, 400)])
        self.device(owner, None)
        self.group("Point 1", None)
        self.group("Feeder A", None)
        self.group("System", None)
        self.assertEqual((self.programs(OWNER, owner), self.programs(OTHER, other)), (500, 500))
        self.general(None)
        self.assertEqual(self.programs(OWNER, owner), 600)

    def test_of_one_kind(self) -> None:
        """A rate is one resource's; what has none in the configuration either has the standard's."""
        self.general(60)
        der_list = f"/edev/{self.numbers.owner}/der"
        self.assertEqual(self.shown(OWNER, der_list), 900)
        self.general(77, "DERList")
        self.assertEqual((self.shown(OWNER, der_list), self.programs(OWNER, self.numbers.owner)), (77, 60))

    def test_of_all_kinds(self) -> None:
        """Whatever shows a pollRate shows the one that was set, be it kept or made anew."""
        device = self.numbers.owner
        paths = {
            "DeviceCapability": "/dcap",
            "Time": "/tm",
            "SelfDevice": "/sdev",
            "EndDeviceList": "/edev",
            "FunctionSetAssignmentsList": f"/edev/{device}/fsa",
            "DERList": f"/edev/{device}/der",
            "LogEventList": f"/edev/{device}/lel",
            "Registration": f"/edev/{device}/rg",
            "DeviceInformation": f"/edev/{device}/di",
            "DeviceStatus": f"/edev/{device}/dstat",
            "PowerStatus": f"/edev/{device}/ps",
            "Configuration": f"/edev/{device}/cfg",
            "ResponseSetList": "/rsps",
            KIND: "/derp",
        }
        for resource, path in paths.items():
            self.shown(OWNER, path)
            self.general(1234, resource)
            self.assertEqual(self.shown(OWNER, path), 1234, path)
            self.group("Point 1", 1235, resource)
            self.assertEqual(self.shown(OWNER, path), 1235, path)
            self.device(device, 1236, resource)
            self.assertEqual(self.shown(OWNER, path), 1236, path)

    def test_not_shared(self) -> None:
        """Devices that share the octets of a document do not where their rates differ."""
        self.assertEqual([self.shown(who, "/dcap") for who in (OWNER, MANAGED)], [901, 901])
        self.device(self.numbers.owner, 60, "DeviceCapability")
        self.group("Feeder B", 50, "DeviceCapability")
        everybody = (OWNER, MANAGED, OTHER, BARE, OWNER, AGGREGATOR, LISTED)
        found = [self.shown(who, "/dcap") for who in everybody]
        self.assertEqual(found, [60, 901, 50, 50, 60, 901, 901])

    def test_fleet(self) -> None:
        """An aggregator is shown its devices' rates, below their EndDevices, and its own elsewhere."""
        self.group("Point 1", 60)
        self.device(self.numbers.bare, 50)
        self.device(self.numbers.aggregator, 40, "EndDeviceList")
        self.assertEqual(self.programs(AGGREGATOR, self.numbers.managed), 60)
        self.assertEqual(self.programs(AGGREGATOR, self.numbers.bare), 50)
        self.assertEqual(self.shown(AGGREGATOR, "/edev"), 40)
        self.assertEqual(self.shown(MANAGED, "/edev"), 900)

    def test_moved(self) -> None:
        """A device that changes its groups, or whose group hangs elsewhere, has the rates of the new ones."""
        self.group("Feeder B", 50)
        owner = self.numbers.owner
        self.assertEqual(self.programs(OWNER, owner), 600)

        def hang(transaction: rates.Transaction) -> None:
            point, feeder = (groups.find(transaction.connection, name) for name in ("Point 1", "Feeder B"))
            assert point is not None
            groups.move(transaction, point, parent=feeder, level=6)

        self.world.write(hang)
        self.assertEqual(self.programs(OWNER, owner), 50)

    def test_post_rate(self) -> None:
        """A device's own postRate is a wish: whatever an operator has set wins (decision 42)."""
        owner, other = self.numbers.owner, self.numbers.other
        self.world.put(OWNER, f"/edev/{owner}", end_device(OWNER, postRate=77))
        self.assertEqual((self.post_rate(OWNER, owner), self.post_rate(OTHER, other)), (77, None))
        self.general(500, "EndDevice")
        self.assertEqual((self.post_rate(OWNER, owner), self.post_rate(OTHER, other)), (500, 500))
        self.group("Feeder A", 300, "EndDevice")
        self.assertEqual((self.post_rate(OWNER, owner), self.post_rate(OTHER, other)), (300, 500))
        self.device(owner, 100, "EndDevice")
        self.assertEqual(self.post_rate(OWNER, owner), 100)
        self.assertEqual(self.post_rate(AGGREGATOR, self.numbers.managed), 300)
        self.assertEqual(self.post_rate(AGGREGATOR, self.numbers.bare), 500)
        self.assertEqual(self.post_rate(MANAGED, self.numbers.managed), 300)
        for unset in (
            lambda: self.device(owner, None, "EndDevice"),
            lambda: self.group("Feeder A", None, "EndDevice"),
            lambda: self.general(None, "EndDevice"),
        ):
            unset()
        self.assertEqual((self.post_rate(OWNER, owner), self.post_rate(OTHER, other)), (77, None))


both_ways(globals())
