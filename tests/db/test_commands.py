"""What the operator commands: what is refused, what comes of the rest, and that nothing is ever half done."""

from __future__ import annotations

from datetime import UTC
from typing import Any

import sqlalchemy as sa
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from csipd.db import audit, commands, controls, devices, documents, programs
from csipd.db import schedules as stored
from csipd.db.commands import Command, Effect, Overlap, Target
from csipd.db.database import Database, Transaction, Write
from csipd.db.tables import metadata
from csipd.der.events import statuses
from csipd.der.wording import moment_text
from csipd.refusals import Conflict, Full, Impossible, NotFound
from csipd.sep2 import resources as r
from csipd.sep2 import rules
from csipd.sep2.site import ROWS, Place
from csipd.sep2.types import EventState
from tests.db.test_controls import VALUES
from tests.support import schedules
from tests.support.examples import fewer
from tests.support.schedules import END
from tests.support.store import (
    ISSUER,
    NOW,
    add_device,
    add_group,
    add_program,
    lfdi,
    new_database,
    store,
)

OWN = programs.OwnPrograms(ISSUER, 3)
REPLY_TO = "/rsps/1/rsp"
LIMIT = r.DERControlBase(opModMaxLimW=5000)
VOLT_VAR, VOLT_WATT = 11, 12


def command(duration: int = 600, start: int | None = 60, **more: Any) -> Command:
    """A command to limit the power, from a minute from NOW on; start is counted from NOW."""
    at = None if start is None else NOW + start
    return Command(**{"base": LIMIT, "duration": duration, "start": at, **more})


def base(*modes: str) -> r.DERControlBase:
    return r.DERControlBase(**{mode: VALUES[mode] for mode in modes})


def dump(connection: sa.Connection) -> dict[str, list[Any]]:
    """Everything that is stored."""
    return {
        name: [tuple(row) for row in connection.execute(sa.select(table))]
        for name, table in metadata.tables.items()
    }


def reported(overlap: Overlap) -> tuple[int, int, tuple[str, ...], bool]:
    """What an overlap says of the controls themselves."""
    return overlap.other, overlap.program, overlap.modes, overlap.wholly


class World:
    """A small utility: a program for all, one for a feeder; two devices in the feeder, one in no group."""

    def __init__(self, transaction: Transaction) -> None:
        self.transaction = transaction
        self.connection = transaction.connection
        self.system = add_group(transaction, "system")
        self.feeder = add_group(transaction, "feeder", parent=self.system)
        self.beside = add_group(transaction, "beside", assignment="Beside")
        self.for_all = add_program(transaction, self.system, "for all", 9)
        self.of_feeder = add_program(transaction, self.feeder, "of the feeder", 5)
        self.one, self.two, self.alone = (add_device(transaction, number) for number in (1, 2, 3))
        for device in (self.one, self.two):
            devices.join(transaction, device, self.feeder, NOW)

    def supports(self, device: int, modes: int) -> None:
        """A device says what it supports."""
        devices.update(self.transaction, device, modes=modes)

    def curve(self, program: int, kind: int = VOLT_VAR, y: int = 0, made: int = NOW) -> str:
        """The href of a new curve of a program."""
        curve = r.DERCurve(
            mRID="0",
            creationTime=made,
            CurveData=(r.CurveData(xvalue=0, yvalue=y),),
            curveType=kind,
            xMultiplier=0,
            yMultiplier=0,
            yRefType=2,
        )
        return programs.add_curve(self.transaction, ISSUER, program, curve, NOW).href


class _Case(SynchronousTestCase):
    """With a store of its own."""

    def setUp(self) -> None:
        opened = store()
        self.transaction = opened.__enter__()
        self.addCleanup(opened.__exit__, None, None, None)
        self.connection = self.transaction.connection
        self.world = World(self.transaction)

    def preview(self, target: Target, wanted: Command, now: int = NOW) -> Effect:
        return commands.preview(self.connection, OWN, target, wanted, now)

    def create(self, target: Target, wanted: Command, now: int = NOW) -> list[int]:
        """Makes what is previewed; the numbers of the controls."""
        expected = self.preview(target, wanted, now)
        places, effect = commands.create(self.transaction, OWN, REPLY_TO, target, wanted, now, "ann")
        self.assertEqual(effect, expected)
        self.assertEqual([place.ids[0] for place in places], list(effect.programs))
        return [place.ids[1] for place in places]

    def refused(self, target: Target, wanted: Command, *flaws: tuple[str, str], now: int = NOW) -> None:
        """It is refused with all these flaws, wanted or only looked at, and nothing is changed or told."""
        self.transaction.changed.clear()
        before = dump(self.connection)
        for ask in (
            lambda: self.preview(target, wanted, now),
            lambda: commands.create(self.transaction, OWN, REPLY_TO, target, wanted, now, "ann"),
        ):
            refusal: Impossible = self.assertRaises(Impossible, ask)
            self.assertEqual(refusal.flaws, list(flaws))
        self.assertEqual(dump(self.connection), before)
        self.assertEqual(self.transaction.changed, [])

    def shown(self, number: int, now: int = NOW) -> r.DERControl:
        kept = controls.find(self.connection, number, now)
        assert kept is not None
        (found,) = controls.shown(self.connection, [kept])
        return found

    def log(self) -> list[tuple[int, str, str, str, str]]:
        """The audit log, the newest first."""
        return [
            (line.at, line.who, line.action, line.subject, line.detail)
            for line in audit.lines(self.connection)[0]
        ]


class RefusalTests(_Case):
    """What cannot be."""

    def setUp(self) -> None:
        super().setUp()
        self.target = Target(program=self.world.of_feeder)

    def test_past(self) -> None:
        """What would be over at once is refused; what would be over in a second is not."""
        for start in (-600, -601, -10_000):
            wrong = f"is {NOW + start}: the event would be over already, expected an end after {NOW}"
            self.refused(self.target, command(start=start), ("/start", wrong))
        (late,) = self.create(self.target, command(start=-599))
        self.assertEqual(self.shown(late).EventStatus.currentStatus, EventState.ACTIVE)
        (brief,) = self.create(self.target, command(1, start=None))
        self.assertEqual(self.shown(brief).interval.start, NOW)

    def test_far(self) -> None:
        """Nothing ends after the last moment that there is, begins before 1970, or lasts 136 years (F17)."""
        last = command(start=rules.LATEST - 600 - NOW)
        self.create(self.target, last)
        late = f"expected an event that ends by {rules.LATEST}, the end of 9999"
        beyond = evolve(last, start=rules.LATEST - 599)
        self.refused(self.target, beyond, ("/start", f"is {rules.LATEST - 599}, {late}"))
        early = command(2**32 - 1, start=-5 - NOW)
        self.refused(
            self.target,
            early,
            ("/duration", f"is {2**32 - 1}, expected at most {rules.LONGEST} s (ten years)"),
            ("/start", "is -5, expected a time after 1970, in seconds"),
        )

    def test_nothing(self) -> None:
        """What controls nothing, lasts no time or addresses nobody is refused."""
        nothing = ("/base", "controls nothing, expected at least one mode")
        self.refused(self.target, command(base=r.DERControlBase()), nothing)
        self.refused(self.target, command(base=r.DERControlBase(rampTms=100)), nothing)
        self.refused(
            self.target, command(0), ("/duration", "is 0, expected an event that lasts at least a second")
        )
        nobody = "is 00000000 and addresses no device, expected at least one bit, or none at all"
        self.refused(self.target, command(category=0), ("/deviceCategory", nobody))

    def test_values(self) -> None:
        """What the standard has no room for is refused where it stands."""
        for wanted, pointer in (
            (command(base=r.DERControlBase(opModMaxLimW=10_001)), "/base/opModMaxLimW"),
            (command(randomize_start=3601), "/randomizeStart"),
            (command(randomize_duration=-3601), "/randomizeDuration"),
            (command(2**32), "/duration"),
            (command(description="x" * 33), "/description"),
        ):
            refusal: Impossible = self.assertRaises(Impossible, self.preview, self.target, wanted)
            self.assertEqual([place for place, _ in refusal.flaws], [pointer])

    def test_several(self) -> None:
        """All that is wrong is said at once."""
        self.world.supports(self.world.one, 0)
        self.refused(
            Target(devices=(self.world.one,)),
            command(base=r.DERControlBase(opModMaxLimW=1, opModVoltVar=r.DERCurveLink(href="/tm"))),
            ("/start", f"is {NOW + 60}: the event would be over already, expected an end after {NOW + 660}"),
            ("/base/opModVoltVar", "points to /tm, expected a curve of a program"),
            ("/devices", f"device dev1 ({self.world.one}) does not support opModMaxLimW, opModVoltVar"),
            now=NOW + 660,
        )

    def test_program(self) -> None:
        """There has to be such a program: not retired, nor the own one of what is no EndDevice."""
        programs.retire(self.transaction, self.world.for_all, NOW)
        boss = add_device(self.transaction, 4, aggregator=True)
        listed = add_device(self.transaction, 5, registered=False)
        devices.withdraw(self.transaction, lfdi(2), "operator", NOW)
        nobodys = [programs.own_program(device) for device in (boss, listed, self.world.two, 99)]
        for program in (self.world.for_all, 99, 0, -1, 10**12, *nobodys):
            expected = ("/program", f"there is no program {program}")
            self.refused(Target(program=program), command(), expected)

    def test_group(self) -> None:
        """A group that is named has to be there, and to have one program, those that are retired aside."""
        self.refused(Target(group=99), command(), ("/group", "there is no group 99"))
        only = "a group with one program is needed, it has"
        self.refused(Target(group=self.world.beside), command(), ("/group", f"{only} none"))
        program = self.world.of_feeder
        second = add_program(self.transaction, self.world.feeder, "another", 1)
        feeder = Target(group=self.world.feeder)
        self.refused(feeder, command(), ("/group", f"{only} {program}, {second}"))
        programs.retire(self.transaction, second, NOW)
        self.assertEqual(self.preview(feeder, command()).programs, (program,))

    def test_devices(self) -> None:
        """Devices that are named have to be EndDevices, each named once."""
        boss = add_device(self.transaction, 4, aggregator=True)
        listed = add_device(self.transaction, 5, registered=False)
        devices.withdraw(self.transaction, lfdi(2), "operator", NOW)
        one, two = self.world.one, self.world.two
        wrong = (boss, listed, two, 99)
        self.refused(
            Target(devices=(one, *wrong)),
            command(),
            *(
                (f"/devices/{place}", f"{device} is no registered device")
                for place, device in enumerate(wrong, 1)
            ),
        )
        self.refused(Target(devices=(one, one)), command(), ("/devices", "names a device twice"))

    def test_curves(self) -> None:
        """A curve has to be there and fit its mode by its type."""
        fits = self.world.curve(self.world.of_feeder)
        other = self.world.curve(self.world.of_feeder, VOLT_WATT)
        none = "expected a curve of a program"
        for href, flaw in (
            (other, f", of curveType {VOLT_WATT}, expected a curve of curveType 11 (opModVoltVar)"),
            (f"{other}9", f", {none}"),
            (f"/derp/{self.world.of_feeder}", f", {none}"),
            (f"https://elsewhere{fits}", f", {none}"),
            ("", f", {none}"),
        ):
            flaw = f"points to {href}{flaw}"
            wanted = r.DERControlBase(opModVoltVar=r.DERCurveLink(href=href))
            self.refused(self.target, command(base=wanted), ("/base/opModVoltVar", flaw))
        self.create(self.target, command(base=r.DERControlBase(opModVoltVar=r.DERCurveLink(href=fits))))

    def test_full(self) -> None:
        """A program has no more than so many controls that are not over; where one is full none gets any."""
        self.patch(controls, "MOST_LIVE", 2)
        one, two = self.world.one, self.world.two
        for _ in range(2):
            self.create(Target(devices=(two,)), command())
        before = dump(self.connection)
        for target in (Target(devices=(one, two)), Target(program=programs.own_program(two))):
            self.preview(target, command())
            self.assertRaises(Full, self.create, target, command())
        self.assertEqual(dump(self.connection), before)
        end = NOW + 660
        self.create(Target(devices=(two,)), command(start=end - NOW), end)


class AbilityTests(_Case):
    """What those that are addressed support (decision 19)."""

    def setUp(self) -> None:
        super().setUp()
        # The bits of opModMaxLimW and opModFixedW (DERControlType).
        self.limit, self.fixed = (commands.MODE[mode].flag for mode in ("opModMaxLimW", "opModFixedW"))

    def test_named(self) -> None:
        """A mode that a named device does not support is refused, said for each; silence is a warning."""
        one, two, alone = self.world.one, self.world.two, self.world.alone
        self.world.supports(one, self.fixed)
        self.world.supports(two, 0)
        devices.join(self.transaction, alone, self.world.beside, NOW)
        named = Target(devices=(one, two, alone))
        both = command(base=base("opModFixedW", "opModMaxLimW"))
        self.refused(
            named,
            both,
            ("/devices", f"device dev1 ({one}) does not support opModMaxLimW"),
            ("/devices", f"device dev2 ({two}) does not support opModFixedW, opModMaxLimW"),
        )
        own = Target(program=programs.own_program(one))
        self.refused(own, command(), ("/devices", f"device dev1 ({one}) does not support opModMaxLimW"))
        for device in (one, two):
            self.world.supports(device, self.limit | self.fixed)
        self.assertEqual(self.preview(named, both).warnings, ("1 device has not said what it supports",))
        self.assertEqual(self.preview(own, both).warnings, ())

    def test_group(self) -> None:
        """For a group it is a warning, with how many they are, those in groups below it among them."""
        self.world.supports(self.world.one, self.fixed)
        for target in (
            Target(program=self.world.for_all),
            Target(group=self.world.system),
            Target(group=self.world.feeder),
        ):
            self.assertEqual(
                sorted(self.preview(target, command()).warnings),
                ["1 device does not support opModMaxLimW", "1 device has not said what it supports"],
            )
        self.world.supports(self.world.two, self.limit)
        self.world.supports(self.world.one, self.limit | self.fixed)
        self.assertEqual(self.preview(Target(group=self.world.feeder), command()).warnings, ())


class CreateTests(_Case):
    """What comes of a command."""

    def test_program(self) -> None:
        """The control is as it was commanded, made now, and devices are to answer as is wanted."""
        wanted = command(
            600,
            90,
            randomize_start=-30,
            randomize_duration=60,
            category=5,
            response_required=7,
            description="noon",
        )
        (number,) = self.create(Target(program=self.world.of_feeder), wanted)
        expected = r.DERControl(
            mRID=self.shown(number).mRID,
            description="noon",
            version=0,
            creationTime=NOW,
            EventStatus=r.EventStatus(currentStatus=0, dateTime=NOW, potentiallySuperseded=False),
            interval=r.DateTimeInterval(duration=600, start=NOW + 90),
            randomizeStart=-30,
            randomizeDuration=60,
            deviceCategory=5,
            replyTo=REPLY_TO,
            responseRequired=7,
            DERControlBase=LIMIT,
        )
        self.assertEqual(self.shown(number), expected)
        self.assertEqual(controls.whose(self.connection, [number]), {number: "ann"})
        said = f"opModMaxLimW 5000; from {moment_text(NOW + 90, UTC)} to {moment_text(NOW + 690, UTC)}"
        href = f"/derp/{self.world.of_feeder}/derc/{number}"
        self.assertEqual(self.log(), [(NOW, "ann", "create", href, said)])
        self.assertIn(f"controls {self.world.of_feeder}", self.transaction.changed)

    def test_no_responses(self) -> None:
        """Where no answer is wanted devices are not told where to send it."""
        (number,) = self.create(Target(program=self.world.of_feeder), command(response_required=0))
        found = self.shown(number)
        self.assertEqual((found.replyTo, found.responseRequired), (None, 0))

    def test_at_once(self) -> None:
        """Without a start it begins in the second in which it is given."""
        (number,) = self.create(Target(group=self.world.feeder), command(start=None), NOW + 7)
        found = self.shown(number, NOW + 7)
        self.assertEqual((found.interval.start, found.EventStatus.dateTime), (NOW + 7, NOW + 7))
        self.assertEqual(found.EventStatus.currentStatus, EventState.ACTIVE)

    def test_devices(self) -> None:
        """Each of the devices that are named gets it in its own program, in the order of their names."""
        wanted = (self.world.two, self.world.one)
        numbers = self.create(Target(devices=wanted), command())
        expected = [programs.own_program(device) for device in wanted]
        found = [controls.find(self.connection, number, NOW) for number in numbers]
        self.assertEqual([kept.program for kept in found if kept], expected)
        self.assertEqual(len(self.log()), 2)
        effect = self.preview(Target(devices=wanted), command())
        self.assertEqual((effect.programs, effect.devices, effect.sample), (tuple(expected), 2, wanted))

    def test_sample(self) -> None:
        """Of many devices some are named, and all are counted."""
        self.patch(commands, "SAMPLE", 2)
        more = [add_device(self.transaction, number) for number in range(10, 14)]
        for device in more:
            devices.join(self.transaction, device, self.world.system, NOW)
        for target, number in (
            (Target(devices=tuple(more)), 4),
            (Target(program=self.world.for_all), 6),
            (Target(group=self.world.system), 6),
        ):
            effect = self.preview(target, command())
            self.assertEqual((effect.devices, len(effect.sample)), (number, 2))

    def test_category(self) -> None:
        """Devices that an event's deviceCategory does not address are not counted (case A22)."""
        one, two, more = self.world.one, self.world.two, add_device(self.transaction, 30)
        devices.join(self.transaction, more, self.world.feeder, NOW)
        devices.update(self.transaction, one, device_category=6)
        devices.update(self.transaction, two, device_category=8)
        wanted = command(category=2)
        others = "1 device of another category will not follow it"
        unknown = "1 device of unknown category: each decides by itself"
        for target in (Target(group=self.world.feeder), Target(devices=(one, two, more))):
            effect = self.preview(target, wanted)
            self.assertEqual((effect.devices, effect.sample), (2, (one, more)))
            self.assertEqual(effect.warnings[:2], (others, unknown))
            self.assertEqual(self.preview(target, command()).devices, 3)
        effect = self.preview(Target(devices=(two,)), wanted)
        self.assertEqual((effect.devices, effect.sample, effect.warnings[:1]), (0, (), (others,)))

    def test_without_fsa(self) -> None:
        """A device that is in no FSA could not find its control: it is refused (decision 39)."""
        alone = self.world.alone
        flaw = f"device dev3 ({alone}) is in no group, so it has no FSA to find a control by"
        self.refused(Target(devices=(self.world.one, alone)), command(), ("/devices/1", flaw))
        self.refused(Target(program=programs.own_program(alone)), command(), ("/program", flaw))

    def test_shows_the_own_program(self) -> None:
        """The first control for a named device shows its own program, and only its own (case A1)."""
        one, two = self.world.one, self.world.two
        self.assertEqual(programs.shown(self.connection, [one, two]), set())
        self.preview(Target(devices=(one,)), command())
        self.assertEqual(programs.shown(self.connection, [one, two]), set())
        self.create(Target(devices=(one,)), command())
        self.assertEqual(programs.shown(self.connection, [one, two]), {one})

    def test_service_point(self) -> None:
        """A device that is alone in a SERVICE_POINT group is commanded in its program (decision 39)."""
        one, two = self.world.one, self.world.two
        point = add_group(self.transaction, "point", parent=self.world.feeder, level=6)
        program = add_program(self.transaction, point, "of the point", 2)
        devices.join(self.transaction, one, point, NOW)
        (first, second) = self.create(Target(devices=(one, two)), command())
        for number, expected in ((first, program), (second, programs.own_program(two))):
            found = controls.find(self.connection, number, NOW)
            self.assertEqual(found and found.program, expected)
        self.assertEqual(programs.shown(self.connection, [one, two]), {two})

    def test_looked_at(self) -> None:
        """Looking at what would be changes nothing."""
        href = self.world.curve(self.world.for_all)
        before = dump(self.connection)
        self.transaction.changed.clear()
        wanted = r.DERControlBase(opModVoltVar=r.DERCurveLink(href=href))
        self.preview(Target(devices=(self.world.one,)), command(base=wanted))
        self.assertEqual(dump(self.connection), before)
        self.assertEqual(self.transaction.changed, [])


class CurveTests(_Case):
    """Controls whose modes are curves (CSIP 6.1.8.3: of their own program)."""

    def link(self, target: Target, href: str) -> str:
        """The curve that a control which is commanded with one has."""
        wanted = r.DERControlBase(opModVoltVar=r.DERCurveLink(href=href), opModMaxLimW=1)
        (number,) = self.create(target, command(base=wanted))
        made = self.shown(number).DERControlBase
        self.assertEqual(made.opModMaxLimW, 1)
        assert made.opModVoltVar is not None
        return made.opModVoltVar.href

    def curves(self, program: int) -> dict[str, r.Resource]:
        _, members = documents.page(self.connection, Place(ROWS["DERCurveList"], (program,)), documents.ALL)
        return {place.href: curve for place, curve in members}

    def test_of_the_program(self) -> None:
        """A curve of the program itself is used as it is."""
        href = self.world.curve(self.world.of_feeder)
        self.assertEqual(self.link(Target(program=self.world.of_feeder), href), href)
        self.assertEqual(list(self.curves(self.world.of_feeder)), [href])

    def test_of_another_program(self) -> None:
        """A curve of another program is copied to the program that commands it, once for the same points."""
        program = self.world.of_feeder
        href = self.world.curve(self.world.for_all)
        original = self.curves(self.world.for_all)[href]
        copy = self.link(Target(program=program), href)
        self.assertEqual(self.link(Target(group=self.world.feeder), href), copy)
        (kept,) = self.curves(program).items()
        self.assertEqual(kept[0], copy)
        self.assertNotEqual(kept[1].mRID, original.mRID)
        self.assertEqual(kept[1].replace(mRID=original.mRID), original)
        # One that the operator changes since is not what was copied.
        place = Place(ROWS["DERCurve"], (self.world.for_all, 1))
        assert isinstance(original, r.DERCurve)
        changed = original.replace(CurveData=(r.CurveData(xvalue=5, yvalue=5),))
        programs.change_curve(self.transaction, place, changed, NOW)
        other = self.link(Target(program=program), href)
        self.assertNotEqual(other, copy)
        self.assertEqual(self.curves(program)[other].CurveData, changed.CurveData)
        self.assertEqual(self.curves(program)[copy], kept[1], "what was commanded with it stays what it was")
        # Changed back it is the first again, though its version is another.
        programs.change_curve(self.transaction, place, original, NOW)
        self.assertEqual(self.link(Target(program=program), href), copy)

    def test_of_devices(self) -> None:
        """Each device that is named gets the curve in its own program."""
        href = self.world.curve(self.world.for_all)
        named = (self.world.one, self.world.two)
        wanted = command(base=r.DERControlBase(opModVoltVar=r.DERCurveLink(href=href)))
        for number, device in zip(self.create(Target(devices=named), wanted), named, strict=True):
            link = self.shown(number).DERControlBase.opModVoltVar
            assert link is not None
            self.assertEqual(list(self.curves(programs.own_program(device))), [link.href])

    def test_of_a_retired_program(self) -> None:
        """A curve stays one when its program is retired: it is copied all the same."""
        href = self.world.curve(self.world.for_all)
        programs.retire(self.transaction, self.world.for_all, NOW)
        copy = self.link(Target(program=self.world.of_feeder), href)
        self.assertEqual(list(self.curves(self.world.of_feeder)), [copy])


class OverlapTests(_Case):
    """What a command would take from others, and others from it."""

    def make(self, target: Target, *modes: str, start: int = 60, **more: Any) -> int:
        return self.create(target, command(start=start, base=base(*modes), **more))[0]

    def effect(self, target: Target, *modes: str, start: int = 60, now: int = NOW, **more: Any) -> Effect:
        return self.preview(target, command(start=start, base=base(*modes), **more), now)

    def test_of_the_program(self) -> None:
        """It takes the modes in common from those of its program at the same time, wholly or in part."""
        here = Target(program=self.world.of_feeder)
        program = self.world.of_feeder
        both = self.make(here, "opModFixedW", "opModMaxLimW")
        single = self.make(here, "opModMaxLimW", start=700)
        self.make(here, "opModFixedW", start=700)
        self.make(Target(program=self.world.of_feeder), "opModMaxLimW", start=3000)
        effect = self.effect(here, "opModMaxLimW", start=600)
        self.assertEqual(
            list(map(reported, effect.supersedes)),
            [(both, program, ("opModMaxLimW",), False), (single, program, ("opModMaxLimW",), True)],
        )
        self.assertEqual(effect.superseded_by, ())
        inverters = self.effect(here, "opModFixedW", "opModMaxLimW", category=1)
        (overlap,) = inverters.supersedes
        self.assertEqual(reported(overlap), (both, program, ("opModFixedW", "opModMaxLimW"), False))

    def test_neighbours(self) -> None:
        """One that begins when another ends takes nothing from it."""
        here = Target(program=self.world.of_feeder)
        first = self.make(here, "opModFixedW")
        for start, taken in ((-540, []), (-539, [first]), (659, [first]), (660, [])):
            effect = self.effect(here, "opModFixedW", start=start)
            self.assertEqual([one.other for one in effect.supersedes], taken, start)

    def test_by_primacy(self) -> None:
        """It takes from programs of lower rank and gives to those of higher; between equals the new wins."""
        for_all, of_feeder = Target(program=self.world.for_all), Target(program=self.world.of_feeder)
        equal = add_program(self.transaction, self.world.feeder, "equal", 5)
        devices.join(self.transaction, self.world.alone, self.world.beside, NOW)
        low, middle = self.make(for_all, "opModFixedW"), self.make(of_feeder, "opModFixedW")
        own = self.make(Target(devices=(self.world.one,)), "opModFixedW")
        named = Target(devices=(self.world.one,))
        for target, takes, gives in (
            (for_all, [low], [middle]),
            (of_feeder, [low, middle], []),
            (Target(program=equal), [low, middle], []),
            (named, [low, middle, own], []),
            (Target(devices=(self.world.two,)), [low, middle], []),
            (Target(devices=(self.world.alone,)), [], []),
        ):
            effect = self.effect(target, "opModFixedW")
            self.assertEqual(sorted(one.other for one in effect.supersedes), takes)
            self.assertEqual(sorted(one.other for one in effect.superseded_by), gives)

    def test_closed(self) -> None:
        """What is cancelled, superseded or over has nothing left to take."""
        here = Target(program=self.world.of_feeder)
        self.make(here, "opModFixedW", start=10)
        second = self.make(here, "opModFixedW", start=10)
        third = self.make(here, "opModFixedW", start=20)
        controls.cancel(self.transaction, third, False, None, NOW + 1)
        effect = self.effect(here, "opModFixedW", start=30, now=NOW + 15)
        self.assertEqual([one.other for one in effect.supersedes], [second])
        after = self.effect(here, "opModFixedW", start=650, now=NOW + 640)
        self.assertEqual(after.supersedes, ())

    def test_elsewhere(self) -> None:
        """What is in programs that none of its devices is in is not looked at."""
        self.make(Target(program=self.world.of_feeder), "opModFixedW")
        apart = add_program(self.transaction, self.world.beside, "apart", 1)
        self.assertEqual(self.effect(Target(program=apart), "opModFixedW").supersedes, ())


class ForetoldTests(SynchronousTestCase):
    """What is foretold comes about."""

    @fewer(2)
    @given(schedules.schedules(), st.integers(0, END), st.integers(0, 20), st.integers(1, 30), st.data())
    def test_within_a_program(
        self, events: list[Any], delay: int, start: int, duration: int, data: st.DataObject
    ) -> None:
        """Those of its program that a control supersedes, or takes a part from, were foretold; those that are
        to lose all do so when it begins at the latest.
        """
        modes = data.draw(st.sets(st.sampled_from(schedules.MODES[:3]), min_size=1))
        with store() as transaction:
            program = add_program(transaction, add_group(transaction, "feeder"), "mine")
            for one in sorted(events, key=lambda event: event.created):
                if one.modes - {"opModVoltVar"}:
                    self.lay(transaction, program, one)
            now = NOW + delay
            target, wanted = Target(program=program), command(duration, delay + start, base=base(*modes))
            before = stored.of(transaction.connection, [program], now)
            made, effect = commands.create(transaction, OWN, REPLY_TO, target, wanted, now, "ann")
            self.assertEqual(effect.superseded_by, ())
            found = stored.of(transaction.connection, [program], now)[program].all
            new = found[made[0].ids[1]].event
            taken = {one.other: one for one in effect.supersedes}
            history = [
                statuses([kept.event for kept in found.values()], moment)
                for moment in range(now, NOW + END + 60)
            ]
            for number, was in before[program].all.items() if before else ():
                open = was.status.state in (EventState.SCHEDULED, EventState.ACTIVE)
                if not open or (was.event.cancelled is not None and was.event.cancelled > now):
                    self.assertFalse(number in taken and not open)
                    continue
                course = [status[was.event.mrid] for status in history]
                if any(new.mrid in status.superseded_by for status in course):
                    self.assertIn(number, taken)
                if number not in taken:
                    continue
                self.assertEqual(set(taken[number].modes), new.modes & was.event.modes)
                if taken[number].wholly:
                    self.assertIs(course[max(new.begins - now, 0)].state, EventState.SUPERSEDED)
                else:
                    self.assertIsNotNone(course[0].partly_since)

    def lay(self, transaction: Transaction, program: int, event: Any) -> None:
        """A control of an event, cancelled when the event is."""
        modes = event.modes - {"opModVoltVar"}
        control = r.DERControl(
            mRID="0",
            creationTime=NOW + event.created,
            EventStatus=r.EventStatus(currentStatus=0, dateTime=0, potentiallySuperseded=False),
            interval=r.DateTimeInterval(duration=event.duration, start=NOW + event.start),
            randomizeStart=event.randomize_start,
            randomizeDuration=event.randomize_duration,
            DERControlBase=base(*modes),
            deviceCategory=event.categories,
        )
        made = controls.add(transaction, ISSUER, program, control)
        if event.cancelled is not None:
            controls.cancel(transaction, made.ids[1], event.randomized, None, NOW + event.cancelled)


class CancelTests(_Case):
    """Cancelling."""

    def setUp(self) -> None:
        super().setUp()
        self.target = Target(program=self.world.of_feeder)
        (self.number,) = self.create(self.target, command())

    def cancel(self, number: int, now: int, randomized: bool = False) -> None:
        commands.cancel(self.transaction, number, randomized, "a mistake", now, "bob")

    def refused(  # type: ignore[override]  # of another kind here
        self, why: type[Exception], number: int, now: int, randomized: bool = False
    ) -> str:
        before = dump(self.connection)
        self.transaction.changed.clear()
        refusal = self.assertRaises(why, self.cancel, number, now, randomized)
        self.assertEqual(dump(self.connection), before)
        self.assertEqual(self.transaction.changed, [])
        return str(refusal)

    def test_scheduled_and_active(self) -> None:
        """What is to begin or has begun is cancelled, and the log has by whom and why."""
        href = f"/derp/{self.world.of_feeder}/derc/"
        (other,) = self.create(self.target, command(base=base("opModFixedW")))
        for number, now in ((self.number, NOW + 59), (other, NOW + 659)):
            self.cancel(number, now)
            status = self.shown(number, now).EventStatus
            self.assertEqual(
                (status.currentStatus, status.dateTime, status.reason),
                (EventState.CANCELLED, now, "a mistake"),
            )
            self.assertEqual(self.log()[0], (now, "bob", "cancel", f"{href}{number}", "a mistake"))
            self.assertIn(f"controls {self.world.of_feeder}", self.transaction.changed)

    def test_again(self) -> None:
        """What is cancelled is not cancelled again, not in the second in which it was made either."""
        self.cancel(self.number, NOW)
        for now in (NOW, NOW + 1, NOW + 700):
            said = self.refused(Conflict, self.number, now)
            self.assertEqual(said, f"control {self.number} is cancelled already")

    def test_over(self) -> None:
        """What is over is not cancelled: to the second, randomisation included."""
        (number,) = self.create(self.target, command(randomize_start=10, randomize_duration=20, start=700))
        self.assertEqual(self.refused(Conflict, self.number, NOW + 660), f"control {self.number} is over")
        self.assertEqual(self.refused(Conflict, number, NOW + 1330), f"control {number} is over")
        self.cancel(number, NOW + 1329)

    def test_superseded(self) -> None:
        """What is superseded is not cancelled; what is only going to be is."""
        self.create(self.target, command(start=100), NOW + 1)
        said = self.refused(Conflict, self.number, NOW + 100)
        self.assertEqual(said, f"control {self.number} is superseded already")
        self.cancel(self.number, NOW + 99)

    def test_randomised(self) -> None:
        """It is cancelled with randomisation only where it has any."""
        said = self.refused(Conflict, self.number, NOW + 5, randomized=True)
        self.assertEqual(said, f"control {self.number} has no randomisation to be cancelled with")
        for more in ({"randomize_start": -5}, {"randomize_duration": 5}):
            (number,) = self.create(self.target, command(base=base("opModFixedW"), **more))
            self.cancel(number, NOW + 5, randomized=True)
            state = self.shown(number, NOW + 5).EventStatus.currentStatus
            self.assertEqual(state, EventState.CANCELLED_RANDOMIZED)
            said = self.refused(Conflict, number, NOW + 6)
            self.assertEqual(said, f"control {number} is cancelled randomized already")

    def test_not_there(self) -> None:
        """What is not there is not cancelled."""
        self.assertEqual(self.refused(NotFound, 99, NOW), "no control 99")

    def test_clock_set_back(self) -> None:
        """What was made before the clock was set back can be cancelled at once, once (case F13)."""
        self.cancel(self.number, NOW - 10)
        said = self.refused(Conflict, self.number, NOW - 9)
        self.assertEqual(said, f"control {self.number} is cancelled already")
        self.assertEqual(self.shown(self.number, NOW).EventStatus.currentStatus, EventState.CANCELLED)


class TogetherTests(SynchronousTestCase):
    """Two operators at once, whose commands leave in one group, and what fails half way."""

    def setUp(self) -> None:
        self.published: list[str] = []
        self.database = Database(new_database(self.mktemp()), None, self.published.extend)
        self.addCleanup(self.database.stopService)
        self.world = self.done(World)
        self.published.clear()

    def done(self, operation: Write[Any]) -> Any:
        return self.successResultOf(self.database.write(operation))

    def together(self, *operations: Write[Any]) -> list[Deferred[Any]]:
        """Carry out operations in one group: they are asked for while another is away."""
        answers: list[Deferred[Any]] = []

        def meanwhile(transaction: Transaction) -> None:
            answers.extend(self.database.write(operation) for operation in operations)

        self.done(meanwhile)
        return answers

    def dump(self) -> dict[str, list[Any]]:
        found: dict[str, list[Any]] = self.successResultOf(self.database.read(dump))
        return found

    def creating(self, who: str, target: Target, now: int = NOW) -> Write[Any]:
        return lambda transaction: commands.create(transaction, OWN, REPLY_TO, target, command(), now, who)

    def test_the_last_place(self) -> None:
        """Of two who ask for the last place in a program one gets it."""
        self.patch(controls, "MOST_LIVE", 1)
        target = Target(program=self.world.of_feeder)
        first, second = self.together(self.creating("ann", target), self.creating("bob", target))
        (place,), _ = self.successResultOf(first)
        self.failureResultOf(second, Full)
        self.assertEqual([row[3:5] for row in self.dump()["audit"]], [("create", place.href)])

    def test_one_cancellation(self) -> None:
        """Of two who cancel a control one does, and the log has that one."""
        (place,), _ = self.done(self.creating("ann", Target(program=self.world.of_feeder)))

        def cancelling(who: str) -> Write[None]:
            return lambda t: commands.cancel(t, place.ids[1], False, who, NOW + 1, who)

        first, second = self.together(cancelling("ann"), cancelling("bob"))
        self.successResultOf(first)
        self.failureResultOf(second, Conflict)
        self.assertEqual([row[2:4] for row in self.dump()["audit"]], [("ann", "create"), ("ann", "cancel")])

    def test_each_sees_the_other(self) -> None:
        """Of two who command the same the second is told that it takes from the first."""
        target = Target(program=self.world.of_feeder)
        first, second = self.together(self.creating("ann", target), self.creating("bob", target))
        (one,), before = self.successResultOf(first)
        _, after = self.successResultOf(second)
        self.assertEqual(before.supersedes, ())
        self.assertEqual([overlap.other for overlap in after.supersedes], [one.ids[1]])

    def test_nothing_half_made(self) -> None:
        """What fails half way leaves nothing, neither in the store nor told, and what came with it stays."""
        before = self.dump()
        add, made = controls.add, []

        def failing(*args: Any) -> Place:
            if made:
                raise OverflowError("no room")
            made.append(add(*args))
            return made[0]

        self.patch(controls, "add", failing)
        answer = self.database.write(self.creating("ann", Target(devices=(self.world.two, self.world.one))))
        self.failureResultOf(answer, OverflowError)
        self.assertEqual(len(made), 1)
        self.assertEqual(self.dump(), before)
        self.assertEqual(self.published, [])
        self.patch(controls, "add", add)
        named = Target(devices=(self.world.one, 99))
        good, bad = self.together(
            self.creating("ann", Target(program=self.world.of_feeder)), self.creating("bob", named)
        )
        self.successResultOf(good)
        self.failureResultOf(bad, Impossible)
        self.assertEqual(len(self.dump()["controls"]), 1)
