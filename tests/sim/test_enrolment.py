"""How a fleet comes to be known: the roster in its folder, and what is made at the server for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from csipd.cli.ctl.errors import Failure
from csipd.sim import enrolment
from csipd.sim.neighbourhood import HOUSES
from csipd.sim.roster import Feeder, Member, Roster, RosterError
from tests.sim.desk import Desk
from tests.sim.lab import Lab


class EnrolmentTests(SynchronousTestCase):
    """Through the operator's API."""

    def setUp(self) -> None:
        self.lab = Lab(Path(self.mktemp()))
        self.addCleanup(self.lab.close)
        self.desk = Desk(self.lab)
        self.addCleanup(self.desk.close)
        self.folder = Path(self.mktemp())

    def enrol(self, devices: int, aggregated: int = 0) -> Roster:
        """Make what is missing, with a roster that was read anew."""
        roster = Roster.read(self.folder)
        for step in enrolment.missing(roster, "sim", devices, aggregated):
            step(self.desk.client)
        return roster

    def take_away(self, roster: Roster) -> list[str]:
        """Have the server rid of a fleet; what was left alone because it is not the fleet's."""
        foreign = []
        for step in (*enrolment.remove_devices(roster), *enrolment.retire_programs(roster)):
            try:
                step(self.desk.client)
            except enrolment.Foreign as error:
                foreign.append(str(error))
        return foreign

    def get(self, path: str) -> Any:
        return self.desk.client.get(path).value

    def listed(self, path: str, **query: Any) -> list[Any]:
        return [item for page in self.desk.client.pages(path, query) for item in page.value["items"]]

    def test_what_is_made(self) -> None:
        """A group with a program above, one for each feeder, an aggregator, and devices in their feeders."""
        roster = self.enrol(HOUSES - 1, 2)
        groups = {group["name"]: group for group in self.listed("/groups")}
        self.assertEqual(list(groups), ["sim", "sim feeder 1", "sim feeder 2"])
        self.assertEqual(groups["sim feeder 2"]["parent"], groups["sim"]["number"])
        self.assertEqual([groups[name]["devices"] for name in groups], [41, 40, 1])
        self.assertEqual([feeder.name for feeder in roster.feeders], list(groups))
        self.assertEqual([group["program_names"] for group in groups.values()], [[name] for name in groups])
        devices = {device["name"]: device for device in self.listed("/devices")}
        self.assertEqual(len(devices), 42)
        managed = [device for device in devices.values() if device.get("manager_name") == "sim-aggregator"]
        self.assertEqual(len(managed), 2)
        self.assertEqual(devices["sim-0004"]["deviceCategory"], "00800000")

    def test_certificates(self) -> None:
        """Who speaks for itself has a certificate by which the server knows it, and a key that is private."""
        roster = self.enrol(2, 1)
        for member in roster.members:
            if member.aggregator:
                self.assertFalse(roster.key(member.name).exists())
                continue
            self.assertEqual(roster.credential(member.name).lfdi, member.lfdi)
            self.assertEqual(self.get(f"/devices/{member.number}")["lFDI"], member.lfdi)
            self.assertEqual(roster.key(member.name).stat().st_mode & 0o777, 0o600)
            self.assertEqual(roster.key(member.name).parent.stat().st_mode & 0o777, 0o700)

    def test_only_what_is_missing(self) -> None:
        """A second time nothing is made; a larger fleet adds to it, and renames nobody."""
        before = self.enrol(2)
        self.assertEqual(self.enrol(2).members, before.members)
        self.assertEqual(list(enrolment.missing(Roster.read(self.folder), "sim", 1, 0)), [])
        after = self.enrol(3, 1)
        self.assertEqual(after.members[:2], before.members)
        self.assertEqual([member.name for member in after.devices], [f"sim-000{n}" for n in (1, 2, 3, 4)])

    def test_cut_off(self) -> None:
        """What was made before a run was cut off is known, and the next run goes on from there."""
        steps = enrolment.missing(Roster.read(self.folder), "sim", 3, 0)
        for _ in range(4):
            next(steps)(self.desk.client)
        self.assertEqual(len(Roster.read(self.folder).devices), 2)
        self.assertEqual(len(self.enrol(3).devices), 3)

    def test_taken_away(self) -> None:
        """Afterwards no device is there, no program shown, no file left; and the same can be made again."""
        for _ in range(2):
            roster = self.enrol(2, 1)
            self.take_away(roster)
            roster.remove()
            self.assertEqual({one["standing"] for one in self.listed("/devices")}, {"retired"})
            self.assertTrue(all("retired" in one for one in self.listed("/programs")))
            self.assertFalse(self.folder.exists())

    def test_numbers_of_another_server(self) -> None:
        """Who has the numbers of a fleet of another server is left alone: production, say."""
        self.lab.make_end_device("AB" * 20, "inverter")
        device = self.listed("/devices")[0]["number"]
        group = self.desk.client.post("/groups", {"name": "feeder"}).value["number"]
        made = {"description": "Limits", "primacy": 3, "group": group}
        program = self.desk.client.post("/programs", made).value["number"]
        before = self.listed("/devices"), self.listed("/programs")
        roster = Roster.read(self.folder)
        roster.add(Member("sim-0001", device, "CD" * 20, 111115, 1))
        roster.add(Feeder("sim", group, program))
        foreign = self.take_away(roster)
        self.assertEqual(len(foreign), 2, foreign)
        self.assertIn("is inverter, and not sim-0001 of this fleet", foreign[0])
        self.assertIn("is Limits, and not sim of this fleet", foreign[1])
        self.assertEqual((self.listed("/devices"), self.listed("/programs")), before)

    def test_taken_away_twice(self) -> None:
        """What was cut off while it took the fleet away is gone through once more."""
        roster = self.enrol(1)
        self.assertEqual(self.take_away(roster) + self.take_away(roster), [])

    def test_the_name_of_a_group_with_devices(self) -> None:
        """A group in which others are is not taken for the fleet's, nor its program changed."""
        group = self.desk.client.post("/groups", {"name": "sim"}).value["number"]
        content = {"name": "inverter", "lFDI": "AB" * 20, "groups": [group], "ders": 1}
        self.desk.client.post("/devices", content)
        with self.assertRaisesRegex(enrolment.Foreign, "there is a group sim already, with devices"):
            self.enrol(1)

    def test_the_name_of_a_program(self) -> None:
        """A program of another group keeps its group and its primacy."""
        group = self.desk.client.post("/groups", {"name": "feeder"}).value["number"]
        made = {"description": "sim", "primacy": 3, "group": group}
        program = self.desk.client.post("/programs", made).value["number"]
        before = self.get(f"/programs/{program}")
        with self.assertRaisesRegex(enrolment.Foreign, "there is a program sim already"):
            self.enrol(1)
        self.assertEqual(self.get(f"/programs/{program}"), before)

    def test_a_name_that_is_taken(self) -> None:
        """Devices of others are not touched: it is refused, and says by what."""
        self.lab.make_end_device("AB" * 20, "sim-0001")
        with self.assertRaisesRegex(Failure, "there is a device sim-0001 already"):
            self.enrol(1)


class RosterTests(SynchronousTestCase):
    """What is in the folder."""

    def test_no_folder(self) -> None:
        """Where there is none there is no fleet."""
        self.assertEqual(Roster.read(Path(self.mktemp())).members, [])

    def test_what_is_kept(self) -> None:
        """What is added is read back."""
        roster = Roster.read(Path(self.mktemp()))
        feeder, member = Feeder("sim", 1, 2), Member("sim-0001", 3, "AB" * 20, 111115, 1)
        roster.add(feeder)
        roster.add(member)
        found = Roster.read(roster.folder)
        self.assertEqual((found.feeders, found.members), ([feeder], [member]))

    def test_what_cannot_be_read(self) -> None:
        """A line that is none of a fleet is told of with its number."""
        folder = Path(self.mktemp())
        Roster.read(folder).add(Feeder("sim", 1, 2))
        for line in ("nonsense", '["ship", {}]', '["feeder", {"name": 1}]', "[]", "7"):
            file = folder / "fleet.jsonl"
            file.write_text(file.read_text().splitlines()[0] + f"\n{line}\n")
            with self.assertRaisesRegex(RosterError, "fleet.jsonl:2: is no line of a simulated fleet"):
                Roster.read(folder)

    def test_other_files_stay(self) -> None:
        """What somebody else put into the folder is not removed."""
        roster = Roster.read(Path(self.mktemp()))
        roster.add(Feeder("sim", 1, 2))
        (roster.folder / "notes").write_text("mine")
        roster.remove()
        self.assertEqual([path.name for path in roster.folder.iterdir()], ["notes"])
