"""What is told on the bus of what devices report, and what that costs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, fail
from twisted.trial.unittest import SynchronousTestCase

from csipd.config.doors import Report
from csipd.db import devices
from csipd.db.fair_queue import SERVER, Share
from csipd.db.tables import documents
from csipd.gridappsd import publishing, reports
from csipd.gridappsd.publishing import Publisher
from csipd.refusals import Unavailable
from csipd.sep2 import resources as r
from csipd.sep2.measurements import DerForward
from tests.support.bodies import AT, FULL
from tests.support.bus import MemoryBus
from tests.support.metering import WATTS, meter, reading, usage_point
from tests.support.world import NOW, OTHER, OWNER, World

TOPIC = "/topic/goss.gridappsd.IEEE_2030_5.output"
INTERVAL = 10.0
#: The other devices of the world that have reported something, by their names there.
OTHERS = ("managed", "bare", "foreign")
#: What nobody in the world has said so far.
STATUS: r.DERStatus = FULL["DERStatus"].replace(readingTime=AT + 1)


class Counted:
    """A store whose reads are counted, or fail."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.reads = 0
        self.failure: Exception | None = None

    def read(self, operation: Any, share: Share = SERVER) -> Deferred[Any]:
        self.reads += 1
        if self.failure is not None:
            return fail(self.failure)
        return self._world.database.read(operation, share)


class _Case(SynchronousTestCase):
    def setUp(self) -> None:
        self.world = World(Path(self.mktemp()))
        self.addCleanup(self.world.close)
        self.store = Counted(self.world)
        self.bus = MemoryBus(up=False)
        for who, name in ((self.world.numbers.owner, "_A"), (self.world.numbers.other, "_B")):
            self.world.write(lambda transaction, w=who, n=name: devices.update(transaction, w, name=n))

    def begin(self, *forms: Report, up: bool = True) -> Publisher:
        """A publisher that has told all there was when the bus came up."""
        mrids = count(1)
        store: Any = self.store
        made = Publisher(
            store,
            self.bus,
            self.world.clock,
            lambda: self.world.now,
            topic=TOPIC,
            forms=forms or tuple(Report),
            interval=INTERVAL,
            der_forward=DerForward.GENERATION,
            simulation_id=None,
            name_of={"_A": "house_a"}.get,
            new_mrid=lambda: f"m{next(mrids)}",
        )
        self.world.notifier.subscribe(made.changed)
        made.startService()
        self.addCleanup(made.stopService)
        # What a turn has published is told before it ends.
        self.world.clock.advance(INTERVAL / 2)
        if up:
            self.bus.come_up()
            self.turn()
            self.bus.sent.clear()
        return made

    def turn(self, intervals: int = 1) -> None:
        """Let time pass."""
        self.world.clock.pump([publishing.PAUSE] * int(intervals * INTERVAL / publishing.PAUSE))

    def said(self) -> list[Any]:
        """What was told since it was asked for last."""
        sent, self.bus.sent = self.bus.sent, []
        self.assertEqual({one.destination for one in sent} - {TOPIC}, set())
        return [json.loads(one.body) for one in sent]

    def who(self) -> list[str]:
        """Of whom was told since it was asked for last, in order."""
        return [subject for told in self.said() for subject in told]

    def status(self, who: Any, number: int, **more: Any) -> None:
        """A device reports."""
        answer = self.world.put(who, f"/edev/{number}/der/1/ders", STATUS.replace(**more))
        self.assertIn(answer.status, (201, 204))

    def charge(self, percent: float) -> r.StateOfChargeStatusType:
        return r.StateOfChargeStatusType(dateTime=AT, value=int(percent * 100))


class PublisherTests(_Case):
    """The service, with a store and a bus in memory."""

    def test_state_of_charge(self) -> None:
        """What was reported is told once, by the device's mRID, with its name in the model."""
        self.begin(Report.STATE_OF_CHARGE)
        numbers = self.world.numbers
        self.status(OWNER, numbers.owner)
        self.status(OTHER, numbers.other, stateOfChargeStatus=self.charge(12.5))
        self.assertEqual(self.said(), [])
        self.turn()
        (told,) = self.said()
        self.assertEqual(
            told,
            {
                "_A": reports.state_of_charge("_A", "house_a", STATUS),
                "_B": {**told["_A"], "mRID": "_B", "name": "_B", "value": 1250},
            },
        )
        self.turn(3)
        self.assertEqual(self.said(), [])

    def test_newest_alone(self) -> None:
        """Of many reports of an interval the last is told."""
        self.begin(Report.STATE_OF_CHARGE)
        for percent in (30, 40, 50):
            self.status(OWNER, self.world.numbers.owner, stateOfChargeStatus=self.charge(percent))
        self.turn()
        (told,) = self.said()
        self.assertEqual(told["_A"]["value"], 5000)

    def test_status_differences(self) -> None:
        """Once the bus is up all of a status is told, then what has changed of it."""
        self.begin(Report.STATUS, up=False)
        self.bus.come_up()
        self.turn()
        (told,) = self.said()
        message = told["input"]["message"]
        self.assertEqual((message["timestamp"], message["difference_mrid"]), (NOW, "m1"))
        self.assertEqual([one["object"] for one in message["forward_differences"][:8]], ["_A"] * 7 + ["_B"])
        self.status(OWNER, self.world.numbers.owner, stateOfChargeStatus=self.charge(20))
        self.turn()
        (told,) = self.said()
        self.assertEqual(
            told["input"]["message"]["forward_differences"],
            [
                {"object": "_A", "attribute": "DERStatus.readingTime", "value": AT + 1},
                {"object": "_A", "attribute": "DERStatus.stateOfChargeStatus", "value": 20.0},
            ],
        )

    def test_told_of_few(self) -> None:
        """Of devices of which it is forgotten what was told all is told again; nothing grows."""
        self.patch(publishing, "MOST_TOLD", 1)
        publisher = self.begin(Report.STATUS)
        numbers = self.world.numbers
        for _ in range(2):
            self.status(OWNER, numbers.owner)
            self.status(OTHER, numbers.other)
            self.turn()
        self.said()
        self.assertEqual(len(publisher._told), 1)
        self.status(OTHER, numbers.other, stateOfChargeStatus=self.charge(1))
        self.turn()
        self.status(OWNER, numbers.owner, stateOfChargeStatus=self.charge(1))
        self.turn()
        found = [len(told["input"]["message"]["forward_differences"]) for told in self.said()]
        self.assertEqual(sorted(found), [1, 7])

    def test_readings(self) -> None:
        """A reading that is posted is an AnalogValue, generation positive, whatever else the device has."""
        answer = self.world.post(OWNER, "/mup", usage_point(OWNER, "F0", meter("A1"), meter("A2")))
        href = answer.headers["location"]
        self.begin(Report.ANALOG_VALUES)
        self.world.post(OWNER, href, meter("A1", None, reading(4200)))
        self.turn()
        (told,) = self.said()
        (value,) = told.values()
        self.assertEqual(list(told), [reports.value_mrid("_A", value["aliasName"])])
        self.assertEqual(
            (value["value"], value["timeStamp"], value["name"]), (4200, AT, "house_a active_power")
        )
        self.assertEqual(value["Analog"]["PowerSystemResource"], "_A")
        self.assertEqual(self.world.get(OWNER, value["identifier"]).status, 200)

    def test_readings_of_premises(self) -> None:
        """What premises take is negative, in the plain unit."""
        kilo = WATTS.replace(powerOfTenMultiplier=3)
        point = usage_point(OWNER, "F1", meter("A1", kilo), roleFlags=0x1)
        href = self.world.post(OWNER, "/mup", point).headers["location"]
        self.begin(Report.ANALOG_VALUES)
        self.world.post(OWNER, href, meter("A1", None, reading(3)))
        self.turn()
        (told,) = self.said()
        (value,) = told.values()
        self.assertEqual((value["value"], value["MeasurementValueSource"]), (-3000, "premises"))

    def test_nothing_changed(self) -> None:
        """Where nothing was reported nothing is read, and what other writes change is none of this."""
        self.begin()
        self.store.reads = 0
        numbers = self.world.numbers
        self.world.put(OWNER, f"/edev/{numbers.owner}/der/1/dera", FULL["DERAvailability"])
        self.world.put(OWNER, f"/edev/{numbers.owner}/der/1/dercap", FULL["DERCapability"])
        self.turn(5)
        self.assertEqual((self.store.reads, self.said()), (0, []))

    def test_cost_is_of_the_change(self) -> None:
        """A change costs as many reads whether there are few devices or many."""
        self.begin()
        found = []
        for more in (0, 300):
            self.world.write(lambda transaction, m=more: add_devices(transaction, m))
            self.store.reads = 0
            self.status(OWNER, self.world.numbers.owner, stateOfChargeStatus=self.charge(more / 10))
            self.assertEqual(self.store.reads, 0)
            self.turn()
            found.append(self.store.reads)
        self.assertEqual(found, [1, 1])

    def test_told_once(self) -> None:
        """What changes as the bus comes up is told once; so is a reading after which an older one comes."""
        href = self.world.post(OWNER, "/mup", usage_point(OWNER, "F0", meter("A1"))).headers["location"]
        self.begin(Report.STATE_OF_CHARGE, Report.ANALOG_VALUES, up=False)
        self.bus.come_up()
        self.status(OWNER, self.world.numbers.owner)
        self.world.post(OWNER, href, meter("A1", None, reading(4200, AT)))
        self.turn()
        told = [subject for message in self.said() for subject in message]
        self.assertEqual(sorted(told), sorted(set(told)))
        self.world.post(OWNER, href, meter("A1", None, reading(4100, AT - 60)))
        self.turn()
        self.assertEqual(self.said(), [])
        self.world.post(OWNER, href, meter("A1", None, reading(4200, AT + 60)))
        self.turn()
        self.assertEqual(len(self.said()), 1)

    def test_when_the_bus_comes_up(self) -> None:
        """All is told once the bus is up, in portions, and again after it was down."""
        self.patch(publishing, "PORTION", 1)
        numbers = self.world.numbers
        self.status(OWNER, numbers.owner)
        self.status(OTHER, numbers.other)
        self.begin(Report.STATE_OF_CHARGE, up=False)
        self.turn()
        self.assertEqual(self.said(), [])
        for _ in range(2):
            self.bus.come_up()
            self.turn()
            self.assertEqual(self.who(), ["_A", "_B", *OTHERS])
            self.turn()
            self.assertEqual(self.said(), [])
            self.bus.go_down()

    def test_full_bus(self) -> None:
        """What the bus does not take is told later, with what it has become."""
        self.begin(Report.STATE_OF_CHARGE, Report.STATUS)
        self.bus.full = True
        self.status(OWNER, self.world.numbers.owner)
        self.turn(2)
        self.status(OWNER, self.world.numbers.owner, stateOfChargeStatus=self.charge(33))
        self.bus.full = False
        self.turn()
        charge, status = self.said()
        self.assertEqual(charge["_A"]["value"], 3300)
        self.assertEqual(
            [one["value"] for one in status["input"]["message"]["forward_differences"]], [AT + 1, 33.0]
        )

    def test_full_bus_as_it_comes_up(self) -> None:
        """What was not taken of all is told once it is."""
        self.status(OWNER, self.world.numbers.owner)
        self.begin(Report.STATE_OF_CHARGE, up=False)
        self.bus.full = True
        self.bus.come_up()
        self.turn(2)
        self.bus.full = False
        self.turn()
        self.assertEqual(self.who(), ["_A", "_B", *OTHERS])

    def test_unusable_store(self) -> None:
        """What cannot be read is told once it can be; what is wrong with the code is logged."""
        self.begin(Report.STATE_OF_CHARGE)
        self.status(OWNER, self.world.numbers.owner)
        for failure in (Unavailable("gone"), ZeroDivisionError()):
            self.store.failure = failure
            self.turn()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.store.failure = None
        self.turn()
        self.assertEqual(self.who(), ["_A"])

    def test_damaged(self) -> None:
        """What is damaged in the store is left out and counted; all others are told of."""
        self.begin(Report.STATE_OF_CHARGE, up=False)
        href = f"/edev/{self.world.numbers.other}/der/1/ders"
        damage = sa.update(documents).where(documents.c.href == href).values(body=b"<DERStatus")
        self.world.damage(lambda transaction: transaction.connection.execute(damage))
        self.bus.come_up()
        self.turn()
        self.assertEqual(self.who(), ["_A", *OTHERS])
        self.world.notifier.publish([f"document {href}"])
        self.status(OWNER, self.world.numbers.owner)
        self.turn(2)
        self.assertEqual(self.who(), ["_A"])
        self.assertEqual(self.bus.state.refused, {"damaged reports": 2})

    def test_too_much_has_changed(self) -> None:
        """Beyond a number of changes all devices are gone over: nothing is lost, nothing grows."""
        self.patch(publishing, "MOST_CHANGED", 10)
        publisher = self.begin(Report.STATE_OF_CHARGE)
        self.status(OWNER, self.world.numbers.owner)
        publisher.changed([f"document /edev/{number}/der/1/ders" for number in range(1000, 1100)])
        feed = publisher._statuses
        assert feed is not None
        self.assertLessEqual(len(feed.changed), 11)
        self.turn()
        self.assertEqual(self.who(), ["_A"])

    def test_another_process_wrote(self) -> None:
        """What changed behind csipd's back is told, whatever it was."""
        publisher = self.begin(Report.STATE_OF_CHARGE)
        self.status(OWNER, self.world.numbers.owner)
        self.turn()
        self.said()
        publisher.changed(["everything"])
        self.turn()
        self.assertEqual(self.who(), ["_A", "_B", *OTHERS])

    def test_shut_out(self) -> None:
        """Of a device that was withdrawn nothing is told."""
        self.begin()
        self.status(OWNER, self.world.numbers.owner)
        self.world.withdraw(OWNER)
        self.turn()
        self.assertEqual(self.said(), [])

    def test_without_a_name(self) -> None:
        """A device that nobody named is known by its LFDI."""
        self.world.write(lambda transaction: devices.update(transaction, self.world.numbers.owner, name=None))
        self.begin(Report.STATE_OF_CHARGE)
        self.status(OWNER, self.world.numbers.owner)
        self.turn()
        (told,) = self.said()
        self.assertEqual(list(told), [OWNER.lfdi])

    def test_first_der(self) -> None:
        """A device's first DER speaks for it, as in both forms there is no place for more."""
        number = self.world.numbers.owner
        self.world.write(lambda transaction: devices.add_ders(transaction, number, 2, NOW))
        self.begin(Report.STATE_OF_CHARGE)
        self.world.put(
            OWNER, f"/edev/{number}/der/2/ders", STATUS.replace(stateOfChargeStatus=self.charge(1))
        )
        self.turn()
        self.assertEqual(self.said(), [])
        self.status(OWNER, number, stateOfChargeStatus=self.charge(2))
        self.turn()
        (told,) = self.said()
        self.assertEqual(told["_A"]["value"], 200)

    def test_stops(self) -> None:
        """Between two portions too."""
        self.patch(publishing, "PORTION", 1)
        publisher = self.begin(Report.STATE_OF_CHARGE)
        self.status(OWNER, self.world.numbers.owner)
        self.status(OTHER, self.world.numbers.other)
        self.world.clock.advance(INTERVAL / 2)
        self.assertEqual(len(self.said()), 1)
        publisher.stopService()
        names = {call.func.__qualname__ for call in self.world.clock.getDelayedCalls()}
        self.assertEqual(names, {"Connections._check_deadlines"})
        self.turn(2)
        self.assertEqual(self.said(), [])


#: What happens to a bus and its devices: a report of one of two devices, time, and what becomes of the bus.
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("report"), st.booleans(), st.integers(0, 100)),
        st.just(("turn",)),
        st.tuples(st.sampled_from(("up", "down", "full", "free", "unusable", "usable"))),
    ),
    max_size=25,
)


class StoryTests(_Case):
    """Whatever happens, who listens ends up with what devices said last."""

    @settings(max_examples=30, deadline=None)
    @given(STEPS, st.integers(1, 3), st.sampled_from((1, 1000)), st.booleans())
    def test_stories(self, steps: list[tuple[Any, ...]], portion: int, most: int, up: bool) -> None:
        """Reports, a broker that comes and goes and is slow, a store that cannot be used, in any order."""
        self.setUp()
        self.patch(publishing, "PORTION", portion)
        self.patch(publishing, "MOST_CHANGED", most)
        self.patch(publishing, "MOST_TOLD", most)
        self.begin(Report.STATE_OF_CHARGE, Report.STATUS, up=False)
        if up:
            self.bus.come_up()
            self.turn()
        numbers = self.world.numbers
        said = {"_A": 9000, "_B": 9000}
        for what, *more in steps:
            if what == "report":
                first, percent = more
                who, number = (OWNER, numbers.owner) if first else (OTHER, numbers.other)
                self.status(who, number, stateOfChargeStatus=self.charge(percent))
                said["_A" if first else "_B"] = percent * 100
            elif what == "turn":
                self.turn()
            elif what == "up" and self.bus.state.up_since is None:
                self.bus.come_up()
            elif what == "down":
                self.bus.go_down()
            elif what in ("full", "free"):
                self.bus.full = what == "full"
            elif what in ("unusable", "usable"):
                self.store.failure = Unavailable("gone") if what == "unusable" else None
        self.bus.full, self.store.failure = False, None
        if self.bus.state.up_since is None:
            self.bus.come_up()
        self.turn(3)
        charges: dict[str, int] = {}
        percents: dict[str, float] = {}
        for message in self.said():
            if "command" not in message:
                charges |= {subject: value["value"] for subject, value in message.items()}
                continue
            for one in message["input"]["message"]["forward_differences"]:
                if one["attribute"].endswith("stateOfChargeStatus"):
                    percents[one["object"]] = one["value"]
        for subject, value in said.items():
            self.assertEqual((charges[subject], percents[subject]), (value, value / 100))
        self.turn()
        self.assertEqual(self.said(), [])


def add_devices(transaction: Any, number: int) -> Sequence[int]:
    """More devices, which report nothing."""
    from tests.support.store import add_device

    return [add_device(transaction, 10_000 + place) for place in range(number)]
