"""FSAs, programs and controls as devices find them: the set-ups of the conformance tests, by the clock."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lxml import etree
from twisted.trial.unittest import SynchronousTestCase

from csipd.db import devices, groups, own_programs, programs
from csipd.db.database import Transaction
from csipd.net.identity import Identity
from csipd.sep2 import resources as r
from tests.support.walk import judge
from tests.support.ways import both_ways
from tests.support.world import (
    AGGREGATOR,
    BARE,
    ISSUER,
    LISTED,
    MANAGED,
    NAMESPACE,
    NOW,
    OTHER,
    OWNER,
    RETIRED,
    RIVAL,
    UNKNOWN,
    WITHDRAWN,
    World,
    caller,
)

#: CSIP IG 4.3, the primacies of the test procedures.
LEVELS = (("SY", 10), ("ST", 9), ("SS", 8), ("FD", 7), ("SG", 6), ("TF", 5), ("SP", 4))
#: Every device's own program, by its description, of primacy 3.
OWN = programs.OWN_DESCRIPTION


class ProgramCase(SynchronousTestCase):
    """A world in which a device of the test procedures is set up."""

    def setUp(self) -> None:
        self.world = World(Path(self.mktemp()))
        self.addCleanup(self.world.close)
        self.numbers = self.world.numbers
        self.client = caller("the client of the procedures")

    def make_end_device(
        self, transaction: Transaction, who: Identity, *into: int, manager: int | None = None
    ) -> int:
        device = devices.add(transaction, who.lfdi, now=NOW, manager=manager)
        devices.make_end_device(transaction, device, NOW)
        for group in into:
            devices.join(transaction, device.id, group, NOW)
        return device.id

    def group(self, transaction: Transaction, name: str, fsa: str, above: int | None = None) -> int:
        assignment = groups.assignment(transaction, fsa)
        return groups.put_group(transaction, name, parent=above, level=None, assignment=assignment)

    def program(self, transaction: Transaction, group: int, description: str, primacy: int) -> int:
        return programs.add(transaction, ISSUER, group, description, primacy)

    def text(self, element: etree._Element, path: str) -> str | None:
        return element.findtext("/".join(NAMESPACE + name for name in path.split("/")))

    def texts(self, who: Identity, path: str, name: str) -> list[str | None]:
        return [self.text(member, name) for member in self.world.document(who, path)]

    def link(self, element: etree._Element, name: str) -> str:
        (found,) = element.findall(f"{NAMESPACE}{name}Link")
        href = found.get("href")
        assert href is not None
        return href

    def own(self, who: Identity) -> etree._Element:
        """The EndDevice that a caller finds by its LFDI."""
        (found,) = [
            device
            for device in self.world.document(who, "/edev?l=255")
            if self.text(device, "lFDI") == who.lfdi
        ]
        return found

    def programs_by_fsa(self, who: Identity, device: etree._Element) -> list[list[str | None]]:
        """The descriptions of the programs of each FSA, as a client walks to them."""
        fsas = self.world.document(who, self.link(device, "FunctionSetAssignmentsList") + "?l=255")
        return [self.texts(who, self.link(fsa, "DERProgramList") + "?l=255", "description") for fsa in fsas]


class TopologyTests(ProgramCase):
    """CORE-010, CORE-011, BASIC-002, UTIL-001."""

    def chain(self, transaction: Transaction, fsa_of: dict[str, str]) -> int:
        """Seven groups, one under the other, each with its program; the lowest."""
        above = None
        for name, primacy in LEVELS:
            above = self.group(transaction, f"the {name}", fsa_of.get(name, "all"), above)
            self.program(transaction, above, f"a {name}", primacy)
        assert above is not None
        return above

    def test_one_fsa(self) -> None:
        """One FSA holds the programs of all levels, that of highest priority first (P26)."""
        self.world.write(lambda t: self.make_end_device(t, self.client, self.chain(t, {})))
        expected = [f"a {name}" for name, _ in reversed(LEVELS)]
        self.assertEqual(self.programs_by_fsa(self.client, self.own(self.client)), [expected])
        self.assertEqual(
            self.texts(self.client, "/derp?l=255", "primacy"), [str(p) for _, p in reversed(LEVELS)]
        )

    def test_seven_fsas(self) -> None:
        """Seven FSAs of one program each are as good; FSAs are ordered by mRID, highest first. The device's
        own program, once it is used, is in the first that was made.
        """
        fsas = {name: f"the FSA of {name}" for name, _ in LEVELS}
        self.world.write(lambda t: self.make_end_device(t, self.client, self.chain(t, fsas)))
        device = self.own(self.client)
        expected = [[f"a {name}"] for name, _ in reversed(LEVELS)]
        self.assertEqual(self.programs_by_fsa(self.client, device), expected)
        number = int((device.get("href") or "").rpartition("/")[2])
        self.world.write(lambda t: own_programs.show(t, programs.own_program(number), NOW))
        self.assertEqual(self.programs_by_fsa(self.client, device), [*expected[:-1], [OWN, "a SY"]])
        mrids = self.texts(self.client, self.link(device, "FunctionSetAssignmentsList") + "?l=255", "mRID")
        self.assertEqual(mrids, sorted(mrids, key=str, reverse=True))
        self.assertEqual(len(set(mrids)), 7)

    def test_fifteen_fsas(self) -> None:
        """CORE-011: fifteen FSAs are read in pages of any size."""

        def set_up(transaction: Transaction) -> None:
            into = []
            for number in range(15):
                group = self.group(transaction, f"group {number}", f"fsa {number}")
                self.program(transaction, group, f"program {number}", number)
                into.append(group)
            self.make_end_device(transaction, self.client, *into)

        self.world.write(set_up)
        path = self.link(self.own(self.client), "FunctionSetAssignmentsList")
        whole = [fsa.get("href") for fsa in self.world.document(self.client, f"{path}?l=15")]
        self.assertEqual(len(set(whole)), 15)
        for size in (1, 4, 15):
            pages: list[str | None] = []
            for start in range(0, 15, size):
                document = self.world.document(self.client, f"{path}?s={start}&l={size}")
                self.assertEqual(document.get("all"), "15")
                pages += [fsa.get("href") for fsa in document]
            self.assertEqual(pages, whole)
        counts = []
        for fsa in self.world.document(self.client, f"{path}?l=15"):
            self.assertEqual(self.link(fsa, "Time"), "/tm")
            (link,) = fsa.findall(f"{NAMESPACE}DERProgramListLink")
            counts.append(link.get("all"))
        self.assertEqual(counts, ["1"] * 15)

    def test_aggregator(self) -> None:
        """UTIL-001: an aggregator finds for each of its devices the programs of all that is above it, and the
        device's own, which its list of all programs leaves out.
        """
        found = {
            self.text(device, "lFDI"): self.programs_by_fsa(AGGREGATOR, device)
            for device in self.world.document(AGGREGATOR, "/edev?l=255")
            if self.text(device, "lFDI") != AGGREGATOR.lfdi
        }
        self.assertEqual(found, {MANAGED.lfdi: [["SP1", "FDA", "SY"]], BARE.lfdi: [["FDB", "Spare", "SY"]]})
        self.assertEqual(
            self.texts(AGGREGATOR, "/derp?l=255", "description"), ["SP1", "FDB", "FDA", "Spare", "SY"]
        )

    def test_beside(self) -> None:
        """A group beside the topology has an FSA of its own."""
        self.assertEqual(self.programs_by_fsa(OWNER, self.own(OWNER)), [["Campaign"], ["SP1", "FDA", "SY"]])

    def test_moved(self) -> None:
        """MAINT-003, BASIC-003: a device that moves finds its new programs at once, and loses the old."""
        old = f"/derp/{self.numbers.point_1}"
        self.assertEqual(self.world.get(MANAGED, old).status, 200)

        def move(transaction: Transaction) -> None:
            device = self.numbers.managed
            for name, act in (("Point 1", devices.leave), ("Feeder B", devices.join)):
                group = groups.find(transaction.connection, name)
                assert group is not None
                act(transaction, device, group, NOW)

        self.world.write(move)
        self.assertEqual(self.programs_by_fsa(MANAGED, self.own(MANAGED)), [["FDB", "Spare", "SY"]])
        for who in (MANAGED, AGGREGATOR):
            self.assertEqual(self.world.get(who, old).status, 404)
        self.assertEqual(self.world.get(MANAGED, f"/derp/{self.numbers.feeder_b}/derc").status, 200)

    def test_primacy(self) -> None:
        """MAINT-005, CORE-013: programs are in the order of their primacy, a change of it included."""

        def set_up(transaction: Transaction) -> dict[int, int]:
            group = self.group(transaction, "ten", "ten")
            self.make_end_device(transaction, self.client, group)
            return {p: self.program(transaction, group, f"number {p}", p) for p in range(1, 11)}

        numbers = self.world.write(set_up)
        expected = list(range(1, 11))
        self.assertEqual(self.texts(self.client, "/derp?l=255", "primacy"), [str(p) for p in expected])

        def swap(transaction: Transaction) -> None:
            group = groups.find(transaction.connection, "ten")
            assert group is not None
            programs.change(transaction, numbers[1], group=group, primacy=2)
            programs.change(transaction, numbers[2], group=group, primacy=1)

        self.world.write(swap)
        self.assertEqual(
            self.texts(self.client, "/derp?l=4", "description"),
            ["number 2", "number 1", *(f"number {p}" for p in (3, 4))],
        )
        changed = self.world.document(self.client, f"/derp/{numbers[1]}")
        self.assertEqual((self.text(changed, "primacy"), self.text(changed, "version")), ("2", "1"))

    def test_equal_primacy(self) -> None:
        """Programs of one primacy are ordered by mRID, highest first: the newest, and the device's own, once
        it is used, before all.
        """

        def set_up(transaction: Transaction) -> None:
            group = self.group(transaction, "equals", "equals")
            self.make_end_device(transaction, self.client, group)
            for name in ("first", "second", "third"):
                self.program(transaction, group, name, 3)

        self.world.write(set_up)
        expected = ["third", "second", "first"]
        self.assertEqual(self.texts(self.client, "/derp?l=255", "description"), expected)
        device = self.own(self.client)
        number = int((device.get("href") or "").rpartition("/")[2])
        self.world.write(lambda t: own_programs.show(t, programs.own_program(number), NOW))
        expected.insert(0, OWN)
        self.assertEqual(self.texts(self.client, "/derp?l=255", "description"), expected)
        mrids = self.texts(self.client, "/derp?l=255", "mRID")
        self.assertEqual(mrids, sorted(mrids, key=str, reverse=True))


class OwnTests(ProgramCase):
    """The program that each device has of its own (decision 19)."""

    def test_seen_by(self) -> None:
        """It is the device's and its aggregator's, with all that is in it, and nobody else's."""
        for device, visible_to in (
            (self.numbers.managed, (MANAGED, AGGREGATOR)),
            (self.numbers.owner, (OWNER,)),
            (self.numbers.bare, (AGGREGATOR,)),
        ):
            program = programs.own_program(device)
            href = self.world.control(program)
            for who in (OWNER, OTHER, MANAGED, AGGREGATOR, RIVAL, LISTED, UNKNOWN):
                status = 200 if who in visible_to else 404
                for path in (f"/derp/{program}", f"/derp/{program}/derc", f"/derp/{program}/dc", href):
                    self.assertEqual(self.world.get(who, path).status, status, (who, path))

    def test_of_nobody(self) -> None:
        """Where there is no such device, or it is shut out, or an aggregator, there is no such program."""
        numbers = self.numbers
        for device in (9999, numbers.withdrawn, numbers.retired, numbers.listed, numbers.aggregator):
            path = f"/derp/{programs.own_program(device)}"
            for who in (AGGREGATOR, OWNER, WITHDRAWN, RETIRED, LISTED):
                self.assertEqual(self.world.get(who, path).status, 404, (who, path))

    def test_gone_with_its_device(self) -> None:
        """The aggregator does not see that of a device that was shut out, as it does not see the device."""
        program = programs.own_program(self.numbers.managed)
        self.world.write(lambda t: own_programs.show(t, program, NOW))
        path = f"/derp/{program}"
        self.assertEqual(self.world.get(AGGREGATOR, path).status, 200)
        self.world.write(lambda t: devices.withdraw(t, MANAGED.lfdi, "operator", NOW))
        for who in (AGGREGATOR, MANAGED):
            self.assertEqual(self.world.get(who, path).status, 404)

    def test_control(self) -> None:
        """What is commanded in it is found on the way that every device walks, and by its clock."""
        program = programs.own_program(self.numbers.owner)
        self.world.control(program, start=60, duration=60)
        self.assertEqual(
            self.texts(OWNER, "/derp?l=255", "description"), ["Campaign", OWN, "SP1", "FDA", "SY"]
        )
        for moment, listed, active in ((NOW, "1", "0"), (NOW + 60, "1", "1"), (NOW + 120, "0", "0")):
            self.world.now = moment
            (found,) = [
                member
                for member in self.world.document(OWNER, "/derp?l=255")
                if self.text(member, "description") == OWN
            ]
            links = {child.tag.removeprefix(NAMESPACE): child.get("all") for child in found}
            self.assertEqual(links["DERControlListLink"], listed)
            self.assertEqual(links["ActiveDERControlListLink"], active)

    def test_not_before_it_is_used(self) -> None:
        """No list, no link and no place has it before its first use; then all have it (cases A1, A8)."""
        device, der = self.numbers.managed, f"/edev/{self.numbers.managed}/der/1"
        program = programs.own_program(device)

        def seen() -> list[str | None]:
            found: list[str | None] = []
            for who in (MANAGED, AGGREGATOR):
                for path in ("/dcap", der, f"/edev/{device}/fsa/{self.numbers.topology}"):
                    document = self.world.document(who, path)
                    found += [
                        link.get("all")
                        for name in ("DERProgramListLink", "AssociatedDERProgramListLink")
                        for link in document.findall(f"{NAMESPACE}{name}")
                    ]
                for path in ("/derp", f"{der}/derp", f"/edev/{device}/fsa/{self.numbers.topology}/derp"):
                    members = self.texts(who, f"{path}?l=255", "description")
                    found += [str(members.count(OWN)), str(len(members))]
                found.append(str(self.world.get(who, f"/derp/{program}").status))
            return found

        before = seen()
        self.world.control(program, start=60)
        self.assertEqual(
            [(a, b) for a, b in zip(before, seen(), strict=True) if a == b], [], "everything counts it"
        )
        self.assertEqual((before.count("404"), seen().count("200")), (2, 2))

    def test_default(self) -> None:
        """Who takes the program of the lowest primacy finds what is in force in its default (case A1)."""
        numbers = self.numbers
        program = programs.own_program(numbers.owner)
        path = f"/derp/{program}/dderc"
        self.assertEqual(self.world.get(OWNER, path).status, 404)
        self.world.control(program, start=3600)
        (own,) = [p for p in self.world.document(OWNER, "/derp?l=9") if self.text(p, "description") == OWN]
        self.assertEqual(self.link(own, "DefaultDERControl"), path)
        found = self.world.document(OWNER, path)
        base = {
            child.tag.removeprefix(NAMESPACE): child for child in found.find(f"{NAMESPACE}DERControlBase")
        }
        self.assertEqual(set(base), {"opModConnect", "opModFixedW", "opModVoltVar"})
        self.assertEqual(base["opModVoltVar"].get("href"), f"/derp/{numbers.feeder_a}/dc/{numbers.curve}")
        self.assertEqual(self.world.get(OWNER, base["opModVoltVar"].get("href") or "").status, 200)
        self.assertEqual(self.text(found, "version"), "0")
        changed = r.DefaultDERControl(mRID="0", DERControlBase=r.DERControlBase(opModConnect=False))
        for version in ("1", "2"):
            self.world.write(lambda t: programs.set_default(t, ISSUER, numbers.point_1, changed, NOW))  # noqa: B023  (run at once)
            for who in (OWNER, OWNER):
                self.assertEqual(self.text(self.world.document(who, path), "version"), version)
            changed = changed.replace(DERControlBase=r.DERControlBase(opModConnect=True))
        self.assertEqual(self.world.get(OTHER, path).status, 404)


class ContentTests(ProgramCase):
    """CORE-012, BASIC-016: what a program holds."""

    def test_links(self) -> None:
        """A program links to its lists with their counts, and to its default if it has one."""
        numbers = self.numbers
        for program, active, controls, curves, default in (
            (numbers.system, 0, 1, 0, True),
            (numbers.feeder_a, 0, 0, 2, True),
            (numbers.point_1, 1, 2, 1, True),
            (numbers.campaign, 0, 0, 0, False),
        ):
            document = self.world.document(OWNER, f"/derp/{program}")
            counts = {
                link.tag.removeprefix(NAMESPACE): link.get("all")
                for link in document
                if link.get("href") is not None
            }
            expected = {
                "ActiveDERControlListLink": str(active),
                "DERControlListLink": str(controls),
                "DERCurveListLink": str(curves),
            }
            self.assertEqual(counts, expected | ({"DefaultDERControlLink": None} if default else {}))

    def test_curve(self) -> None:
        """A curve of ten points is given whole; curves are ordered newest first."""
        path = f"/derp/{self.numbers.feeder_a}/dc"
        document = self.world.document(OWNER, f"{path}/{self.numbers.curve}")
        self.assertEqual(len(document.findall(f"{NAMESPACE}CurveData")), 10)
        self.assertEqual(self.texts(OWNER, f"{path}?l=9", "description"), ["volt-watt", "volt-var"])

    def test_defaults(self) -> None:
        """Each program gives its own default, whose curves can be read."""
        sy = self.world.document(OWNER, f"/derp/{self.numbers.system}/dderc")
        self.assertEqual(self.text(sy, "DERControlBase/opModFixedW"), "10000")
        self.assertEqual(self.text(sy, "setGradW"), "10000")
        fa = self.world.document(OWNER, f"/derp/{self.numbers.feeder_a}/dderc")
        (curve,) = fa.iter(f"{NAMESPACE}opModVoltVar")
        judge(curve.get("href") or "", self.world.get(OWNER, curve.get("href") or ""))

    def test_default_changed(self) -> None:
        """A new default keeps the mRID and raises the version; one that is the same changes nothing."""
        path = f"/derp/{self.numbers.system}/dderc"
        before = self.world.document(OWNER, path)

        def put(fixed_w: int) -> etree._Element:
            base = r.DERControlBase(opModFixedW=fixed_w)
            default = r.DefaultDERControl(mRID="0", DERControlBase=base)
            self.world.write(lambda t: programs.set_default(t, ISSUER, self.numbers.system, default, NOW))
            return self.world.document(OWNER, path)

        for fixed_w, version in ((1, "1"), (1, "1"), (2, "2")):
            after = put(fixed_w)
            self.assertEqual(self.text(after, "mRID"), self.text(before, "mRID"))
            self.assertEqual(self.text(after, "version"), version)

    def test_current_program(self) -> None:
        """A DER's current program is the best with a control in force on that device, else none (case A7).

        One that was displaced there does not count, though its list shows it as active.
        """
        self.world.control(self.numbers.campaign, start=10, duration=20)
        for moment, of_owner, of_managed in (
            (NOW + 9, "SP1", "SP1"),
            (NOW + 10, "Campaign", "SP1"),
            (NOW + 29, "Campaign", "SP1"),
            (NOW + 30, None, "SP1"),
            (NOW + 599, None, "SP1"),
            (NOW + 600, None, None),
        ):
            self.world.now = moment
            for who, device, expected in (
                (OWNER, self.numbers.owner, of_owner),
                (MANAGED, self.numbers.managed, of_managed),
            ):
                der = f"/edev/{device}/der/1"
                links = self.world.document(who, der).findall(f"{NAMESPACE}CurrentDERProgramLink")
                self.assertEqual([link.get("href") for link in links], [f"{der}/cdp"] if expected else [])
                answer = self.world.get(who, f"{der}/cdp")
                self.assertEqual(answer.status, 200 if expected else 404, (moment, device))
                if expected:
                    document = self.world.document(who, f"{der}/cdp")
                    self.assertEqual(self.text(document, "description"), expected)
                    self.assertEqual(document.get("href"), f"{der}/cdp")


class ClockTests(ProgramCase):
    """CORE-022: a control's status, and the lists that it is in, by the clock."""

    def setUp(self) -> None:
        super().setUp()
        self.path = f"/derp/{self.numbers.campaign}"

    def at(self, moment: int) -> tuple[list[Any], list[Any]]:
        """The statuses in the list of controls and in that of active ones at a moment."""
        self.world.now = moment
        return (
            self.texts(OWNER, f"{self.path}/derc?l=255", "EventStatus/currentStatus"),
            self.texts(OWNER, f"{self.path}/actderc?l=255", "EventStatus/currentStatus"),
        )

    def test_life(self) -> None:
        """Scheduled, active from the second of its start, gone from the lists at its end."""
        self.world.control(self.numbers.campaign, start=180, duration=120)
        for moment, expected in (
            (NOW, (["0"], [])),
            (NOW + 179, (["0"], [])),
            (NOW + 180, (["1"], ["1"])),
            (NOW + 299, (["1"], ["1"])),
            (NOW + 300, ([], [])),
        ):
            self.assertEqual(self.at(moment), expected, moment)
            # The counts of the links go with them.
            document = self.world.document(OWNER, self.path)
            links = {child.tag.removeprefix(NAMESPACE): child.get("all") for child in document}
            self.assertEqual(links["DERControlListLink"], str(len(expected[0])))
            self.assertEqual(links["ActiveDERControlListLink"], str(len(expected[1])))

    def test_date_time(self) -> None:
        """dateTime is the moment of the last change of status: creation, then start, to the second."""
        href = self.world.control(self.numbers.campaign, start=180, duration=120)
        for moment, status, changed in (
            (NOW + 5, "0", NOW),
            (NOW + 200, "1", NOW + 180),
            (NOW + 400, "1", NOW + 180),
        ):
            self.world.now = moment
            document = self.world.document(OWNER, href)
            self.assertEqual(self.text(document, "EventStatus/currentStatus"), status)
            self.assertEqual(self.text(document, "EventStatus/dateTime"), str(changed))
            self.assertEqual(self.text(document, "EventStatus/potentiallySuperseded"), "false")

    def test_immediate(self) -> None:
        """One that begins when it is made is active from the first, and never was scheduled."""
        self.world.now += 7
        href = self.world.control(self.numbers.campaign, start=0)
        document = self.world.document(OWNER, href)
        self.assertEqual(self.text(document, "EventStatus/currentStatus"), "1")
        self.assertEqual(self.text(document, "EventStatus/dateTime"), str(NOW + 7))

    def test_randomized(self) -> None:
        """CORE-021: the bounds of randomisation count: active from the earliest start to the latest end."""
        self.world.control(self.numbers.campaign, start=100, duration=50, randomizeStart=-30)
        self.world.control(
            self.numbers.campaign, start=1000, duration=50, randomizeStart=20, randomizeDuration=10
        )
        for moment, (listed, active) in (
            (NOW + 69, (["0", "0"], [])),
            (NOW + 70, (["1", "0"], ["1"])),
            (NOW + 149, (["1", "0"], ["1"])),
            (NOW + 150, (["0"], [])),
            (NOW + 999, (["0"], [])),
            (NOW + 1000, (["1"], ["1"])),
            (NOW + 1079, (["1"], ["1"])),
            (NOW + 1080, ([], [])),
        ):
            self.assertEqual(self.at(moment), (listed, active), moment)

    def test_kept_a_day(self) -> None:
        """A control that is over answers at its own href for a day, then it is gone."""
        href = self.world.control(self.numbers.campaign, start=10, duration=20)
        for later, status in ((0, 200), (86_399, 200), (86_400, 404)):
            self.world.now = NOW + 30 + later
            self.assertEqual(self.world.get(OWNER, href).status, status, later)

    def test_order(self) -> None:
        """Controls are ordered by start, of those the newest first, of those the highest mRID first."""
        made = {}
        for name, now, start in (
            ("later", 0, 500),
            ("old", 0, 300),
            ("new", 10, 290),
            ("new too", 10, 290),
            ("soon", 10, 50),
        ):
            self.world.now = NOW + now
            made[self.world.control(self.numbers.campaign, start=start)] = name
        document = self.world.document(OWNER, f"{self.path}/derc?l=255")
        self.assertEqual(
            [made[control.get("href") or ""] for control in document],
            ["soon", "new too", "new", "old", "later"],
        )

    def test_after(self) -> None:
        """a keeps the controls that start later, strictly, and they alone are counted."""
        for start in (100, 200, 300):
            self.world.control(self.numbers.campaign, start=start)
        for after, left in ((0, 3), (99, 3), (100, 2), (299, 1), (300, 0)):
            document = self.world.document(OWNER, f"{self.path}/derc?a={NOW + after}&l=255")
            self.assertEqual((document.get("all"), document.get("results")), (str(left), str(left)))

    def test_twenty_four(self) -> None:
        """BASIC-015: two dozen controls at once."""
        for number in range(24):
            self.world.control(self.numbers.campaign, start=120 * (number + 1), duration=60)
        document = self.world.document(OWNER, f"{self.path}/derc?l=255")
        self.assertEqual(document.get("results"), "24")
        mrids = {self.text(control, "mRID") for control in document}
        self.assertEqual(len(mrids), 24)

    def test_clock_set_back(self) -> None:
        """Status follows the clock backwards too."""
        self.world.control(self.numbers.campaign, start=100, duration=100)
        self.assertEqual(self.at(NOW + 150), (["1"], ["1"]))
        self.assertEqual(self.at(NOW + 50), (["0"], []))

    def test_seen_by_those_under_the_group(self) -> None:
        """UTIL-004: a control is seen by exactly the devices under its program's group."""
        everybody = (OWNER, OTHER, MANAGED, AGGREGATOR)
        for program, visible_to in (
            (self.numbers.point_1, (OWNER, MANAGED, AGGREGATOR)),
            (self.numbers.feeder_b, (OTHER, AGGREGATOR)),
            (self.numbers.system, everybody),
            (self.numbers.campaign, (OWNER,)),
        ):
            href = self.world.control(program)
            for who in everybody:
                self.assertEqual(self.world.get(who, href).status, 200 if who in visible_to else 404)


both_ways(globals())
