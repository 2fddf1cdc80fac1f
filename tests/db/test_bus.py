"""Tests of what the GridAPPS-D bus commands: in the store, and as devices see it."""

from __future__ import annotations

import contextlib
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from csipd.db import (
    addressees,
    audit,
    bus,
    commands,
    controls,
    devices,
    documents,
    groups,
    program_contents,
    programs,
    relief,
    retention,
)
from csipd.db.bus import Outcome, Reason, Wanted
from csipd.db.commands import Command, Target
from csipd.db.responses import REPLY_TO
from csipd.db.tables import bus_messages, bus_wishes
from csipd.db.tables import controls as control_rows
from csipd.der.retention import Retention
from csipd.refusals import Conflict
from csipd.sep2 import codec
from csipd.sep2 import resources as r
from csipd.sep2.types import MODE, EventState
from tests.support.schema import validate
from tests.support.store import statements
from tests.support.world import NOW, OWNER, World

SECONDS = 1800


def watts(amount: int) -> r.ActivePower:
    return r.ActivePower(multiplier=0, value=amount)


class Case(SynchronousTestCase):
    """A world whose devices the bus commands."""

    def setUp(self) -> None:
        self.path = Path(self.mktemp())
        self.world = World(self.path)
        self.addCleanup(lambda: self.world.close())
        self.owner = self.world.numbers.owner
        self.own = programs.own_program(self.owner)

    def restart(self) -> None:
        """Close the server and open its store again."""
        now = self.world.now
        self.world.close()
        self.world = World(self.path)
        self.world.now = now

    def carry_out(self, *wanted: Wanted, keys: tuple[bytes, ...] = ()) -> list[Outcome]:
        own, now = self.world.server.own, int(self.world.now)
        return self.world.write(lambda t: bus.carry_out(t, own, wanted, keys, SECONDS, now))

    def command(self, name: str = "owner", **modes: Any) -> Outcome:
        return self.carry_out(Wanted(name, modes))[0]

    def set(self, name: str = "owner", **settings: Any) -> Outcome:
        return self.carry_out(Wanted(name, settings=settings))[0]

    def listed(self, program: int | None = None, who: Any = OWNER) -> list[r.DERControl]:
        """The controls of a program as its device is given them."""
        answer = self.world.get(who, f"/derp/{program or self.own}/derc?l=100")
        self.assertEqual(answer.status, 200)
        validate(answer.body)
        return list(codec.decode(answer.body, r.DERControlList).DERControl)

    def active(self) -> list[dict[str, Any]]:
        """The modes of those that are active."""
        return [
            vars(one.DERControlBase)
            for one in self.listed()
            if one.EventStatus.currentStatus == EventState.ACTIVE
        ]

    def operator(self, **modes: Any) -> int:
        """An operator commands the same device by name."""

        def make(transaction: Any) -> int:
            command = Command(r.DERControlBase(**modes), 86_400)
            target = Target(devices=(self.owner,))
            now = int(self.world.now)
            made, _ = commands.create(
                transaction, self.world.server.own, REPLY_TO, target, command, now, "admin"
            )
            return made[0].ids[1]

        return self.world.write(make)


class ControlTests(Case):
    """Controls that are made and ended."""

    def test_control(self) -> None:
        """A mode becomes a control of the device's own program: now, for its time, unrandomised."""
        outcome = self.command(opModTargetW=watts(1000))
        self.assertEqual((outcome.made, outcome.refused), (1, []))
        (control,) = self.listed()
        self.assertEqual(control.DERControlBase, r.DERControlBase(opModTargetW=watts(1000)))
        self.assertEqual((control.interval.start, control.interval.duration), (NOW, SECONDS))
        self.assertEqual((control.randomizeStart, control.randomizeDuration), (None, None))
        self.assertEqual((control.EventStatus.currentStatus, control.creationTime), (1, NOW))
        self.assertEqual((control.responseRequired, control.replyTo), (3, REPLY_TO))
        lines, _ = self.world.read(lambda c: audit.lines(c, limit=1))
        self.assertEqual((lines[0].who, lines[0].action), (audit.PLATFORM, "create"))
        self.assertIn("opModTargetW/value 1000", lines[0].detail)

    def test_underscore(self) -> None:
        """A device may be called by the mRID with its underscore."""
        self.world.write(lambda t: devices.update(t, self.owner, name="_owner"))
        self.assertEqual(self.command(opModConnect=True).made, 1)

    def test_one_control_of_all_modes(self) -> None:
        """A change makes one control of all modes that are in force, which supersedes the one before."""
        self.command(opModTargetW=watts(1000))
        self.world.now += 10
        self.assertEqual(self.command(opModConnect=True).made, 1)
        old, new = sorted(self.listed(), key=lambda one: one.creationTime)
        self.assertEqual(old.EventStatus.currentStatus, EventState.SUPERSEDED)
        self.assertEqual(new.DERControlBase, r.DERControlBase(opModConnect=True, opModTargetW=watts(1000)))

    def test_unchanged(self) -> None:
        """A value that is in force makes nothing, however it is written; after its end it does again."""
        self.command(opModTargetW=watts(1000))
        self.world.now += 5
        same = self.command(opModTargetW=r.ActivePower(multiplier=3, value=1))
        self.assertEqual((same.made, same.unchanged), (0, 1))
        self.assertEqual(len(self.listed()), 1)
        self.world.now += SECONDS
        self.assertEqual(self.command(opModTargetW=watts(1000)).made, 1)

    def test_taken_back(self) -> None:
        """A mode that is taken back ends, and the others go on; when none is left nothing is."""
        self.command(opModTargetW=watts(1000), opModConnect=True)
        self.world.now += 10
        outcome = self.command(opModTargetW=None)
        self.assertEqual((outcome.made, outcome.cancelled), (1, 1))
        self.world.now += 1
        self.assertEqual(self.active(), [{"opModConnect": True}])
        outcome = self.command(opModConnect=None)
        self.assertEqual((outcome.made, outcome.cancelled), (0, 1))
        self.world.now += 1
        self.assertEqual(self.active(), [])
        self.assertEqual(
            self.world.read(lambda c: c.scalar(sa.select(sa.func.count(bus_wishes.c.device)))), 0
        )
        # Once more takes back nothing.
        outcome = self.command(opModConnect=None)
        self.assertEqual((outcome.cancelled, outcome.unchanged, outcome.refused), (0, 1, []))

    def test_never_another_s(self) -> None:
        """What an operator commanded is not taken back, nor is it what later changes bring back."""
        self.command(opModTargetW=watts(1000), opModConnect=True)
        self.world.now += 10
        self.operator(opModTargetW=watts(500))
        self.world.now += 10
        self.assertEqual(self.command(opModTargetW=None).cancelled, 0)
        # The bus changes another mode: what the operator took stays the operator's.
        self.assertEqual(self.command(opModEnergize=True).made, 1)
        self.world.now += 1
        active = self.active()
        self.assertIn({"opModTargetW": watts(500)}, active)
        self.assertIn({"opModConnect": True, "opModEnergize": True}, active)
        # Said anew it is a command anew, as an operator's would be.
        self.assertEqual(self.command(opModTargetW=watts(1000)).made, 1)
        self.world.now += 1
        self.assertEqual(
            self.active(), [{"opModConnect": True, "opModEnergize": True, "opModTargetW": watts(1000)}]
        )

    def test_cancelled_by_an_operator(self) -> None:
        """An operator may cancel what the bus commanded; the next change does not bring it back."""
        self.command(opModTargetW=watts(1000))
        (control,) = self.listed()
        number = self.world.read(lambda c: controls.numbers_of(c, [control.mRID]))[control.mRID]
        self.world.now += 5
        now = int(self.world.now)
        self.world.write(lambda t: commands.cancel(t, number, False, None, now, "admin"))
        self.world.now += 5
        self.command(opModConnect=True)
        self.assertEqual(self.active(), [{"opModConnect": True}])

    def test_another_program(self) -> None:
        """Where a device's controls go elsewhere by now, the former one ends in the program that it is in."""
        self.command(opModTargetW=watts(1000))
        self.world.now += 10

        def move(transaction: Any) -> int:
            group = groups.put_group(
                transaction, "Alone", parent=None, level=6, assignment=self.world.numbers.topology
            )
            devices.join(transaction, self.owner, group, int(self.world.now))
            return programs.add(transaction, self.world.server.issuer, group, "Alone", 2)

        program = self.world.write(move)
        outcome = self.command(opModConnect=True)
        self.assertEqual((outcome.made, outcome.cancelled), (1, 1))
        self.world.now += 1
        self.assertEqual(self.active(), [])
        self.assertEqual(
            self.listed(program)[0].DERControlBase,
            r.DERControlBase(opModConnect=True, opModTargetW=watts(1000)),
        )

    def test_operator_in_another_program(self) -> None:
        """Where they go elsewhere, what an operator has commanded there since is not superseded with them."""
        self.command(opModTargetW=watts(1000), opModMaxLimW=5000)
        self.world.now += 10

        def move(transaction: Any) -> int:
            group = groups.put_group(
                transaction, "Alone", parent=None, level=6, assignment=self.world.numbers.topology
            )
            devices.join(transaction, self.owner, group, int(self.world.now))
            return programs.add(transaction, self.world.server.issuer, group, "Alone", 5)

        program = self.world.write(move)
        self.operator(opModTargetW=watts(1))
        self.world.now += 10
        self.command(opModConnect=True)
        self.world.now += 1
        self.assertEqual(self.active(), [])
        found = {
            (one.EventStatus.currentStatus, frozenset(vars(one.DERControlBase)))
            for one in self.listed(program)
        }
        both = frozenset({"opModConnect", "opModMaxLimW"})
        self.assertEqual(found, {(EventState.ACTIVE, frozenset({"opModTargetW"})), (EventState.ACTIVE, both)})

    def test_curve_that_is_gone(self) -> None:
        """A curve may be removed from where the bus found it: the device's own copy goes on."""
        program = self.world.numbers.feeder_a
        curve = r.DERCurve(
            mRID="0",
            creationTime=NOW,
            curveType=11,
            CurveData=(r.CurveData(xvalue=1, yvalue=1),),
            xMultiplier=0,
            yMultiplier=0,
            yRefType=3,
        )
        place = self.world.write(
            lambda t: programs.add_curve(t, self.world.server.issuer, program, curve, NOW)
        )
        self.command(opModVoltVar=r.DERCurveLink(href=place.href))
        self.world.now += 5
        self.world.write(lambda t: documents.delete(t, place))
        self.assertEqual(self.command(opModConnect=True).refused, [])
        (modes,) = self.active()
        self.assertEqual(set(modes), {"opModVoltVar", "opModConnect"})
        self.assertTrue(modes["opModVoltVar"].href.startswith(f"/derp/{self.own}/dc/"))
        self.world.now += 5
        self.assertEqual(self.command(opModVoltVar=None).made, 1)
        self.assertEqual(self.active(), [{"opModConnect": True}])

    def test_mode_that_is_no_longer_supported(self) -> None:
        """A mode that the device no longer supports ends as another is commanded."""
        self.command(opModConnect=True, opModMaxLimW=5000)
        able = addressees.abilities

        def unable(connection: Any, named: Any, needed: int) -> Any:
            without, silent = able(connection, named, needed)
            flag = MODE["opModConnect"].flag
            return (dict.fromkeys(named, ~flag) if needed & flag else without), silent

        self.patch(addressees, "abilities", unable)
        self.world.now += 5
        outcome = self.command(opModEnergize=True)
        self.assertIn("opModConnect cannot go on", outcome.refused[0][1])
        self.assertEqual(self.active(), [{"opModMaxLimW": 5000, "opModEnergize": True}])
        # What is refused ends nothing.
        self.assertEqual(len(self.command(opModConnect=False).refused), 1)
        self.assertEqual(self.active(), [{"opModMaxLimW": 5000, "opModEnergize": True}])

    def test_clock_set_back(self) -> None:
        """After the clock was set back a new value is in force all the same."""
        self.command(opModTargetW=watts(1000))
        self.world.now -= 100
        self.command(opModTargetW=watts(500))
        self.assertEqual(self.active(), [{"opModTargetW": watts(500)}])
        self.world.now += 200
        self.assertEqual(self.active(), [{"opModTargetW": watts(500)}])

    def test_restart(self) -> None:
        """What the bus has in force is known after a restart."""
        self.command(opModTargetW=watts(1000))
        self.restart()
        self.world.now += 10
        self.assertEqual(self.command(opModTargetW=watts(1000)).unchanged, 1)
        self.assertEqual(self.command(opModTargetW=None).cancelled, 1)


class RefusalTests(Case):
    """What cannot be."""

    def test_devices(self) -> None:
        """Unknown, unregistered, withdrawn and retired devices, and aggregators, are refused alone."""
        names = ("nobody", "listed", "withdrawn", "retired", "aggregator", "owner")
        *refused, fine = self.carry_out(*(Wanted(name, {"opModConnect": True}) for name in names))
        for outcome in refused:
            self.assertEqual([reason for reason, _ in outcome.refused], [Reason.DEVICE])
        self.assertEqual((fine.made, fine.refused), (1, []))

    def test_rules(self) -> None:
        """A value against the rules is refused with its reason, and the others of the device are not."""
        wrong = r.PowerFactorWithExcitation(displacement=95, excitation=True, multiplier=0)
        outcome = self.command(opModFixedPFInjectW=wrong, opModTargetW=watts(1000), rampTms=100)
        self.assertEqual(outcome.made, 1)
        self.assertEqual([reason for reason, _ in outcome.refused], [Reason.RULES])
        self.assertIn("opModFixedPFInjectW", outcome.refused[0][1])
        self.assertEqual(self.active(), [{"opModTargetW": watts(1000), "rampTms": 100}])

    def test_ramp_alone(self) -> None:
        """A ramp without a mode commands nothing."""
        outcome = self.command(rampTms=100)
        self.assertEqual((outcome.made, [reason for reason, _ in outcome.refused]), (0, [Reason.RULES]))

    def test_wrong_values_end_nothing(self) -> None:
        """A refused value leaves the former control as it is, also where another mode was to end."""
        self.command(opModTargetW=watts(1000), opModConnect=True)
        self.world.now += 10
        wrong = r.PowerFactorWithExcitation(displacement=95, excitation=True, multiplier=0)
        outcome = self.command(opModFixedPFInjectW=wrong)
        self.assertEqual((outcome.made, outcome.cancelled, len(outcome.refused)), (0, 0, 1))
        self.assertEqual(self.active(), [{"opModTargetW": watts(1000), "opModConnect": True}])
        outcome = self.command(opModFixedPFInjectW=wrong, opModConnect=None)
        self.assertEqual((outcome.made, outcome.cancelled, len(outcome.refused)), (1, 1, 1))


class SettingTests(Case):
    """Settings of the default."""

    def default(self) -> r.DefaultDERControl | None:
        answer = self.world.get(OWNER, f"/derp/{self.own}/dderc")
        if answer.status == 404:
            return None
        validate(answer.body)
        return codec.decode(answer.body, r.DefaultDERControl)

    def test_set(self) -> None:
        """A setting stands ahead of what follows from the device's other programs, and can be taken back."""
        self.command(opModConnect=True)
        before = self.default()
        assert before is not None
        self.assertEqual(self.set(setGradW=77, setSoftGradW=5).set, 1)
        found = self.default()
        assert found is not None
        self.assertEqual((found.setGradW, found.setSoftGradW), (77, 5))
        self.assertEqual(found.DERControlBase, before.DERControlBase)
        self.assertEqual(found.version, (before.version or 0) + 1)
        self.assertEqual(self.set(setGradW=77).unchanged, 1)
        self.restart()
        self.assertEqual(self.set(setGradW=None, setSoftGradW=None).set, 1)
        after = self.default()
        assert after is not None
        self.assertEqual(after.setGradW, before.setGradW)
        self.assertEqual(self.set(setGradW=None).unchanged, 1)

    def test_program_is_shown(self) -> None:
        """The device's own program is shown from its first setting on, with a link to the default."""
        self.assertNotIn(
            f"/derp/{self.own}/dderc".encode(), self.world.get(OWNER, f"/edev/{self.owner}/derp").body
        )
        self.set(setGradW=77)
        answer = self.world.get(OWNER, f"/derp/{self.own}")
        self.assertIn(b"DefaultDERControlLink", answer.body)

    def test_service_point(self) -> None:
        """The program of a device alone has the setting in its own default, where nobody else's is lost."""

        def move(transaction: Any) -> int:
            group = groups.put_group(
                transaction, "Alone", parent=None, level=6, assignment=self.world.numbers.topology
            )
            devices.join(transaction, self.owner, group, int(self.world.now))
            program = programs.add(transaction, self.world.server.issuer, group, "Alone", 2)
            default = r.DefaultDERControl(
                mRID="0", DERControlBase=r.DERControlBase(opModConnect=True), setGradW=50
            )
            program_contents.set_default(transaction, self.world.server.issuer, program, default, NOW)
            return program

        program = self.world.write(move)
        self.assertEqual(self.set(setSoftGradW=9).set, 1)
        # What the operator set is not the bus's to take back.
        self.assertEqual(self.set(setGradW=None).unchanged, 1)
        found = codec.decode(self.world.get(OWNER, f"/derp/{program}/dderc").body, r.DefaultDERControl)
        self.assertEqual((found.setGradW, found.setSoftGradW), (50, 9))
        self.assertEqual(found.DERControlBase, r.DERControlBase(opModConnect=True))
        self.set(setSoftGradW=None)
        found = codec.decode(self.world.get(OWNER, f"/derp/{program}/dderc").body, r.DefaultDERControl)
        self.assertEqual((found.setGradW, found.setSoftGradW), (50, None))
        # Nor is what the operator set in place of what the bus had set.
        self.set(setSoftGradW=9)
        operator_s = found.replace(setSoftGradW=11, href=None, version=None)
        self.world.write(
            lambda t: program_contents.set_default(t, self.world.server.issuer, program, operator_s, NOW)
        )
        self.assertEqual(self.set(setSoftGradW=None).unchanged, 1)
        found = codec.decode(self.world.get(OWNER, f"/derp/{program}/dderc").body, r.DefaultDERControl)
        self.assertEqual((found.setGradW, found.setSoftGradW), (50, 11))


class MessageTests(Case):
    """Messages that are known."""

    def known(self, *keys: bytes) -> set[bytes]:
        return self.world.read(lambda c: bus.known(c, keys))

    def test_known(self) -> None:
        """A message is known once it was carried out, for a day, also after a restart."""
        one, two = b"1" * 16, b"2" * 16
        self.assertEqual(self.known(one, two), set())
        self.carry_out(keys=(one, one))
        self.restart()
        self.assertEqual(self.known(one, two), {one})
        self.world.now += bus.KNOWN_SECONDS + 1
        self.carry_out(keys=(two,))
        self.assertEqual(self.known(one, two), {two})

    def test_bounded(self) -> None:
        """Of too many messages the oldest are forgotten."""
        for number in range(10):
            self.world.now += 1
            self.carry_out(keys=(b"%016d" % number,))
        self.world.write(lambda t: bus.forget(t, 4))
        kept = self.world.read(lambda c: c.scalars(sa.select(bus_messages.c.key).order_by("seen")).all())
        self.assertEqual(kept, [b"%016d" % number for number in range(6, 10)])
        self.assertEqual(self.world.write(lambda t: bus.forget(t, 4)), 0)


class ReliefTests(Case):
    """Controls that leave their list."""

    def commanded(self, times: int) -> None:
        for number in range(times):
            self.world.now += 1
            self.command(opModTargetW=watts(number))

    def row(self, number: int) -> Any:
        return self.world.read(
            lambda c: c.execute(sa.select(control_rows).where(control_rows.c.id == number)).one()
        )

    def test_bounded(self) -> None:
        """However often the bus commands, a list has few controls, and to command takes the same work."""
        work = []
        for times in (30, 90):
            self.commanded(times)
            self.assertLessEqual(len(self.listed()), 2 * relief.KEPT + 1)
            now = int(self.world.now) + 1

            def command(transaction: Any, now: int = now) -> int:
                wanted = [Wanted("owner", {"opModTargetW": watts(now)})]
                with statements(transaction) as said:
                    bus.carry_out(transaction, self.world.server.own, wanted, [b"1" * 16], SECONDS, now)
                return len(said)

            work.append(self.world.write(command))
        self.assertLessEqual(abs(work[0] - work[1]), relief.KEPT, work)
        self.assertLess(max(work), 40)

    def test_status_stays(self) -> None:
        """A control that left its list says by its href what it said before; operators see it superseded."""
        self.commanded(2)
        first = self.listed()[0]
        number = self.world.read(lambda c: controls.numbers_of(c, [first.mRID]))[first.mRID]
        before = self.world.get(OWNER, f"/derp/{self.own}/derc/{number}").body
        self.assertEqual(first.EventStatus.currentStatus, EventState.SUPERSEDED)
        self.commanded(20)
        self.assertIsNotNone(self.row(number).relieved)
        self.assertNotIn(first.mRID, [one.mRID for one in self.listed()])
        self.assertEqual(self.world.get(OWNER, f"/derp/{self.own}/derc/{number}").body, before)
        now = int(self.world.now)
        kept = self.world.read(lambda c: controls.commanded(c, number, now))
        assert kept is not None
        self.assertIs(kept.status.state, EventState.SUPERSEDED)

    def test_an_operator_s_stays(self) -> None:
        """What an operator's control lost is said of it for good: what took it stays in the list with it."""
        number = self.operator(opModTargetW=watts(1))
        self.commanded(3)
        before = self.world.get(OWNER, f"/derp/{self.own}/derc/{number}").body
        self.commanded(20)
        self.assertEqual(self.world.get(OWNER, f"/derp/{self.own}/derc/{number}").body, before)
        self.assertEqual(len(self.listed()), 24)

    def test_of_other_modes(self) -> None:
        """What took nothing from what an operator commanded leaves the list all the same."""
        number = self.operator(opModConnect=True)
        self.commanded(3)
        before = self.world.get(OWNER, f"/derp/{self.own}/derc/{number}").body
        self.commanded(100)
        self.assertEqual(self.world.get(OWNER, f"/derp/{self.own}/derc/{number}").body, before)
        self.assertLessEqual(len(self.listed()), 2 * relief.KEPT + 2)

    def test_no_room(self) -> None:
        """Where controls cannot leave the list the bus gets no more than there is room for."""
        self.operator(opModTargetW=watts(1))
        self.commanded(bus.MOST_LIVE + 5)
        self.assertEqual(len(self.listed()), bus.MOST_LIVE)
        self.world.now += 1
        outcome = self.command(opModTargetW=watts(7777))
        self.assertTrue(outcome.is_full)
        self.world.now += SECONDS
        self.assertEqual(self.command(opModTargetW=watts(7777)).made, 1)

    def test_cancelled_ones_stay(self) -> None:
        """A control that was cancelled stays in the list to its end, for every device to see."""
        self.commanded(1)
        self.world.now += 1
        self.command(opModTargetW=None)
        self.commanded(20)
        states = [one.EventStatus.currentStatus for one in self.listed()]
        self.assertEqual(states[0], EventState.CANCELLED)

    def test_removed(self) -> None:
        """What left its list is removed after a day; what is in lists is not."""
        self.commanded(20)
        last = self.listed()[-1].mRID
        self.world.now += retention.RELIEVED + 1
        now = int(self.world.now)
        removed = self.world.write(lambda t: retention.sweep(t, Retention(), now))
        self.assertGreaterEqual(removed.rows["relieved controls"], 20 - 2 * relief.KEPT - 1)
        self.assertEqual(len(self.world.read(lambda c: controls.numbers_of(c, [last]))), 1)


STEP = st.tuples(
    st.sampled_from(("bus", "bus", "bus", "bus", "operator", "cancel", "back", "wait")),
    st.sampled_from((("opModTargetW",), ("opModMaxLimW",), ("opModTargetW", "opModMaxLimW"))),
    st.sampled_from((1, 3, 40)),
)


class ReliefStories(SynchronousTestCase):
    """Random stories, told with controls that leave their lists and without."""

    @settings(max_examples=20, deadline=None)
    @given(st.lists(STEP, min_size=8, max_size=40))
    def test_nothing_else_changes(self, steps: list[tuple[str, tuple[str, ...], int]]) -> None:
        """What any control says by its href, and which are active, is the same whoever has left a list."""
        self.assertEqual(self.told(steps, 1), self.told(steps, 1000))

    def told(self, steps: list[tuple[str, tuple[str, ...], int]], kept: int) -> Any:
        self.patch(relief, "KEPT", kept)
        self.patch(relief, "_MORE", 0)
        with TemporaryDirectory() as folder:
            world = World(Path(folder) / "store")
            try:
                return self.tell(world, steps)
            finally:
                world.close()

    def tell(self, world: World, steps: list[tuple[str, tuple[str, ...], int]]) -> Any:
        device, own = world.numbers.owner, world.server.own
        program = programs.own_program(device)
        made: list[int] = []
        for number, (kind, names, seconds) in enumerate(steps):
            values: dict[str, Any] = {"opModTargetW": watts(number), "opModMaxLimW": number}
            base = {name: values[name] for name in names}
            now = int(world.now)
            match kind:
                case "bus" | "back":
                    wanted = [Wanted("owner", base if kind == "bus" else dict.fromkeys(names))]
                    world.write(lambda t, w=wanted, n=now: bus.carry_out(t, own, w, (), 60, n))
                case "operator":
                    command = Command(r.DERControlBase(**base), 20)
                    target = Target(devices=(device,))
                    places, _ = world.write(
                        lambda t, c=command, g=target, n=now: commands.create(
                            t, own, REPLY_TO, g, c, n, "admin"
                        )
                    )
                    made.append(places[0].ids[1])
                case "cancel" if made:
                    with contextlib.suppress(Conflict):
                        world.write(
                            lambda t, m=made[-1], n=now: commands.cancel(t, m, False, None, n, "admin")
                        )
            world.now += seconds
        with_all = world.read(lambda c: c.scalars(sa.select(control_rows.c.id)).all())
        hrefs = [f"/derp/{program}/derc/{number}" for number in sorted(with_all)]
        return [world.get(OWNER, href).body for href in (*hrefs, f"/derp/{program}/actderc?l=99")]
