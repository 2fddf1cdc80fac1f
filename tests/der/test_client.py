"""The device's side of the rules: what runs, and what is answered, against a server made by hand."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

from attrs import Factory, define
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from csipd.der.client import CAPACITY, RETENTION, Device, ProgramSeen, ResponseDue
from csipd.sep2 import resources as r
from csipd.sep2.types import MODE, DeviceCategory, EventState, ResponseStatus

LFDI = "3E4F45AB31EDFE5B67E343E5E4562E31984E23E5"
MINUTE = 60
ALL = 0x07  # what CSIP's tests ask for in responseRequired

# CSIP's topology, with its primacies; two branches below the feeder.
PRIMACY = {"SY": 10, "ST": 9, "SS": 8, "FD": 7, "SG": 6, "TFA": 5, "TFB": 5, "SP": 4}

PF, FIXED_W, MAX_W, VOLT_VAR = "opModFixedPFInjectW", "opModFixedW", "opModMaxLimW", "opModVoltVar"


def pf(displacement: int) -> r.PowerFactorWithExcitation:
    return r.PowerFactorWithExcitation(displacement=displacement, excitation=False, multiplier=-3)


def curve(href: str) -> r.DERCurveLink:
    return r.DERCurveLink(href=href)


@define
class Server:
    """Programs and their events, as documents; `now` is turned by the test."""

    now: int = 0
    primacy: dict[str, int] = Factory(lambda: dict(PRIMACY))
    defaults: dict[str, r.DefaultDERControl] = Factory(dict)
    controls: dict[str, tuple[str, r.DERControl]] = Factory(dict)

    def default(self, program: str, *, base: dict[str, Any] | None = None, **given: Any) -> str:
        number = 0xD000 + list(PRIMACY).index(program)
        made = r.DefaultDERControl(
            mRID=f"{number:X}", DERControlBase=r.DERControlBase(**(base or {})), **given
        )
        self.defaults[program] = made
        return made.mRID

    def control(
        self,
        program: str,
        start: int,
        duration: int,
        base: dict[str, Any],
        *,
        required: int = ALL,
        created: int | None = None,
        status: EventState = EventState.SCHEDULED,
        **given: Any,
    ) -> str:
        """Make a control that starts at `start`; its mRID."""
        made = r.DERControl(
            mRID=f"{len(self.controls) + 1:X}",
            replyTo="/rsps/1/r",
            responseRequired=required,
            creationTime=self.now if created is None else created,
            EventStatus=r.EventStatus(currentStatus=status, dateTime=self.now, potentiallySuperseded=False),
            interval=r.DateTimeInterval(duration=duration, start=start),
            DERControlBase=r.DERControlBase(**base),
            **given,
        )
        self.controls[made.mRID] = (program, made)
        return made.mRID

    def set_status(self, mrid: str, status: EventState) -> None:
        program, control = self.controls[mrid]
        shown = control.EventStatus.replace(currentStatus=status, dateTime=self.now)
        self.controls[mrid] = (program, control.replace(EventStatus=shown))

    def cancel(self, mrid: str) -> None:
        self.set_status(mrid, EventState.CANCELLED)

    def remove(self, mrid: str) -> None:
        del self.controls[mrid]

    def shows(self, *programs: str) -> tuple[ProgramSeen, ...]:
        """These programs as a device reads them now; what has ended is not in the lists (semantics 8.6)."""
        return tuple(
            ProgramSeen(
                f"/derp/{name}",
                self.primacy[name],
                tuple(
                    self._dressed(control)
                    for program, control in self.controls.values()
                    if program == name and self.now < control.interval.start + control.interval.duration
                ),
                self.defaults.get(name),
            )
            for name in programs
        )

    def _dressed(self, control: r.DERControl) -> r.DERControl:
        status = control.EventStatus
        if status.currentStatus == EventState.SCHEDULED and control.interval.start <= self.now:
            status = status.replace(currentStatus=EventState.ACTIVE, dateTime=control.interval.start)
        return control.replace(EventStatus=status)


@define
class Play:
    """A device under some programs of a server, polling; what it did second by second."""

    server: Server
    device: Device
    programs: tuple[str, ...]
    said: list[ResponseDue] = Factory(list)
    history: dict[str, list[tuple[int, str]]] = Factory(lambda: defaultdict(list))

    def read(self) -> None:
        self.said += self.device.read(self.server.now, self.server.shows(*self.programs))

    def watch(self) -> None:
        """Note every change of what holds a mode."""
        now = self.server.now
        self.said += self.device.advance(now)
        acting = self.device.modes(now)
        for mode in acting.keys() | self.history.keys():
            source = acting[mode].source if mode in acting else ""
            if not self.history[mode] or self.history[mode][-1][1] != source:
                self.history[mode].append((now, source))

    def answers(self, mrid: str) -> list[int]:
        return [due.status for due in self.said if due.subject == mrid]

    def timed(self, mrid: str) -> list[tuple[int, int]]:
        return [(due.status, due.at) for due in self.said if due.subject == mrid]


def play(
    *plays: Play,
    until: int,
    poll: int = 10,
    then: dict[int, Callable[[], object]] | None = None,
) -> None:
    """Turn the server's clock second by second; each device polls, and does so after each act in `then`."""
    server = plays[0].server
    then = then or {}
    for now in range(server.now, until + 1):
        server.now = now
        if now in then:
            then[now]()
        for one in plays:
            if now % poll == 0 or now in then:
                one.read()
            one.watch()


class Case(SynchronousTestCase):
    """One server, and devices under it."""

    def setUp(self) -> None:
        self.server = Server()

    def under(self, *programs: str, **options: Any) -> Play:
        return Play(self.server, Device(LFDI, **options), programs)

    def fleet(self) -> tuple[Play, Play]:
        """A DER in each branch, as an aggregator plays them."""
        a = self.under("SY", "FD", "TFA", superseded_early=ResponseStatus.ABORTED_PROGRAM)
        b = self.under("SY", "FD", "TFB", superseded_early=ResponseStatus.ABORTED_PROGRAM)
        return a, b

    def defaults(self, *programs: str) -> list[str]:
        return [self.server.default(name, base={PF: pf(950)}) for name in programs]


class OneControlTests(Case):
    """One control of one program: CORE-012, BASIC-002, 004 to 014, 017, 018."""

    def test_received_started_completed(self) -> None:
        """A control is answered 1 on receipt, 2 and 3 at the very seconds of its start and end."""
        (default,) = self.defaults("SP")
        control = self.server.control("SP", 5 * MINUTE, MINUTE, {PF: pf(900)})
        device = self.under("SY", "SP")
        play(device, until=8 * MINUTE, poll=7)
        self.assertEqual(device.timed(control), [(1, 0), (2, 300), (3, 360)])
        self.assertEqual(device.history[PF], [(0, default), (300, control), (360, default)])

    def test_every_mode_of_a_control(self) -> None:
        """All modes of one control hold together, each with its value (BASIC-004, 009, 012)."""
        base = {
            "opModEnergize": True,
            "opModFreqDroop": r.FreqDroopType(dBOF=60030, dBUF=59970, kOF=40, kUF=40, openLoopTms=600),
            "opModHVRTMustTrip": curve("/derp/SP/dc/1"),
            "opModMaxLimW": 6000,
            "rampTms": 500,
        }
        control = self.server.control("SP", 120, 60, base)
        device = self.under("SP")
        play(device, until=150)
        acting = device.device.modes(150)
        self.assertEqual({mode: acting[mode].value for mode in acting} | {"rampTms": 500}, base)
        self.assertEqual({one.source for one in acting.values()}, {control})
        self.assertEqual({one.rampTms for one in acting.values()}, {500})
        self.assertEqual({one.program for one in acting.values()}, {"/derp/SP"})
        play(device, until=200)
        self.assertEqual(device.answers(control), [1, 2, 3])
        self.assertEqual(device.device.modes(200), {})

    def test_no_default(self) -> None:
        """Without a default nothing holds a mode outside the control."""
        control = self.server.control("SP", 20, 20, {MAX_W: 6000})
        device = self.under("SP")
        play(device, until=60)
        self.assertEqual(device.history[MAX_W], [(20, control), (40, "")])
        self.assertIsNone(device.device.acting(MAX_W, 60))

    def test_late_start(self) -> None:
        """What is learnt while it is on starts at once, for the time that remains."""
        control = self.server.control("SP", 60, 300, {MAX_W: 6000})
        device = self.under("SP")
        self.server.now = 200
        play(device, until=400)
        self.assertEqual(device.timed(control), [(1, 200), (2, 200), (3, 360)])

    def test_removal_is_not_cancellation(self) -> None:
        """A control that vanishes from its list runs, and runs to its end (semantics 8.4.3)."""
        first = self.server.control("SP", 60, 60, {MAX_W: 6000})
        second = self.server.control("SP", 200, 60, {MAX_W: 5000})
        device = self.under("SP")

        def vanish() -> None:
            self.server.remove(first)
            self.server.remove(second)

        play(device, until=300, then={90: vanish})
        self.assertEqual(device.timed(first), [(1, 0), (2, 60), (3, 120)])
        self.assertEqual(device.timed(second), [(1, 0), (2, 200), (3, 260)])

    def test_status_comes_late(self) -> None:
        """A control starts by the clock, whether or not the list that was read last shows it as active."""
        control = self.server.control("SP", 60, 60, {MAX_W: 6000})
        device = self.under("SP")
        play(device, until=200, poll=1000)
        self.assertEqual(device.timed(control), [(1, 0), (2, 60), (3, 120)])


class ManyControlTests(Case):
    """Several controls without an overlap: BASIC-015, 016, 019, 020, CORE-013."""

    def test_twenty_four(self) -> None:
        """24 controls are kept; those that are cancelled meanwhile are answered 6 (BASIC-015)."""
        (default,) = self.defaults("SP")
        controls = [
            self.server.control("SP", 2 * MINUTE * (n + 1), MINUTE, {PF: pf(900 + n)}) for n in range(24)
        ]
        other = self.server.control("TFA", 2 * MINUTE * 26, MINUTE, {PF: pf(800)})
        device = self.under("TFA", "SP")

        def cancel() -> None:
            for control in controls[12:]:
                self.server.cancel(control)

        play(device, until=54 * MINUTE, poll=300, then={25 * MINUTE + 30: cancel})
        for control in controls[:12]:
            self.assertEqual(device.answers(control), [1, 2, 3])
        for control in controls[12:]:
            self.assertEqual(device.timed(control), [(1, 0), (6, 25 * MINUTE + 30)])
        self.assertEqual(device.answers(other), [1, 2, 3])
        self.assertEqual(
            device.history[PF][-3:], [(24 * MINUTE + MINUTE, default), (3120, other), (3180, default)]
        )

    def test_default_of_the_nearest(self) -> None:
        """Of two defaults that of the lower primacy holds (BASIC-016), each mode by itself."""
        near = self.server.default("SP", base={PF: pf(900)})
        far = self.server.default("SY", base={PF: pf(950), MAX_W: 5000})
        device = self.under("SY", "SP")
        device.read()
        self.assertEqual(
            {mode: one.source for mode, one in device.device.modes(0).items()}, {PF: near, MAX_W: far}
        )
        self.assertEqual(device.device.acting(PF, 0).value, pf(900))

    def test_two_in_turn(self) -> None:
        """Two controls with time between both run, the default between (BASIC-019)."""
        (default,) = self.defaults("SP")
        first = self.server.control("SP", 120, 60, {PF: pf(900)})
        second = self.server.control("SP", 240, 60, {PF: pf(800)})
        device = self.under("SP")
        play(device, until=400)
        self.assertEqual([device.answers(first), device.answers(second)], [[1, 2, 3], [1, 2, 3]])
        self.assertEqual(
            device.history[PF], [(0, default), (120, first), (180, default), (240, second), (300, default)]
        )

    def test_two_programs_in_turn(self) -> None:
        """Controls of two programs in turn both run, the nearer default whenever neither does (BASIC-020)."""
        _, near = self.defaults("SY", "SP")
        far = self.server.control("SY", 120, 60, {PF: pf(900)})
        close = self.server.control("SP", 240, 60, {PF: pf(800)})
        device = self.under("SY", "SP")
        play(device, until=400)
        self.assertEqual([device.answers(far), device.answers(close)], [[1, 2, 3], [1, 2, 3]])
        self.assertEqual(device.history[PF], [(0, near), (120, far), (180, near), (240, close), (300, near)])

    def test_ten_programs(self) -> None:
        """Ten programs with a control each, a minute apart, all run (CORE-013)."""
        self.server.primacy = {f"P{n}": n for n in range(1, 11)}
        controls = [self.server.control(f"P{n}", n * MINUTE, 30, {PF: pf(900 + n)}) for n in range(1, 11)]
        device = self.under(*self.server.primacy)
        play(device, until=11 * MINUTE)
        self.assertEqual([device.answers(control) for control in controls], [[1, 2, 3]] * 10)

    def test_adjacent(self) -> None:
        """Where one control ends in the second in which the next starts there is no gap between."""
        for created in (0, 100):  # whichever of the two is the better
            self.server = Server()
            (default,) = self.defaults("SP")
            first = self.server.control("SP", 60, 60, {PF: pf(900)}, created=created - 50)
            second = self.server.control("SP", 120, 60, {PF: pf(800)}, created=0)
            device = self.under("SP")
            play(device, until=200)
            self.assertEqual(device.history[PF], [(0, default), (60, first), (120, second), (180, default)])
            self.assertEqual([device.answers(first), device.answers(second)], [[1, 2, 3], [1, 2, 3]])


class OverlapTests(Case):
    """Two programs, overlapping controls of like modes, a direct DER: BASIC-021 to 023, CORE-023."""

    def test_nested_known_before(self) -> None:
        """A better control inside a longer one, known before: the longer never runs (BASIC-021)."""
        _, default = self.defaults("SY", "SP")
        far = self.server.control("SY", 120, 120, {PF: pf(900)})
        near = self.server.control("SP", 180, 60, {PF: pf(800)})
        device = self.under("SY", "SP")
        play(device, until=300)
        self.assertEqual(device.answers(far), [1, 7])
        self.assertEqual(device.answers(near), [1, 2, 3])
        self.assertEqual(device.history[PF], [(0, default), (180, near), (240, default)])
        self.assertNotIn(far, device.device.ran())

    def test_better_first(self) -> None:
        """The better control first, the other outlasting it: the other never runs (BASIC-022)."""
        _, default = self.defaults("SY", "SP")
        far = self.server.control("SY", 180, 120, {PF: pf(900)})
        near = self.server.control("SP", 120, 120, {PF: pf(800)})
        device = self.under("SY", "SP")
        play(device, until=400)
        self.assertEqual(device.timed(far), [(1, 0), (7, 0)])
        self.assertEqual(device.answers(near), [1, 2, 3])
        self.assertEqual(device.history[PF], [(0, default), (120, near), (240, default)])

    def test_created_during(self) -> None:
        """A better control made while the other runs ends it at its own start, for good (BASIC-023)."""
        _, default = self.defaults("SY", "SP")
        far = self.server.control("SY", 60, 240, {PF: pf(900)})
        near: list[str] = []
        device = self.under("SY", "SP")
        play(
            device,
            until=400,
            then={90: lambda: near.append(self.server.control("SP", 120, 120, {PF: pf(800)}))},
        )
        self.assertEqual(device.timed(far), [(1, 0), (2, 60), (7, 120)])
        self.assertEqual(device.timed(near[0]), [(1, 90), (2, 120), (3, 240)])
        self.assertEqual(device.history[PF], [(0, default), (60, far), (120, near[0]), (240, default)])

    def test_same_start(self) -> None:
        """Of controls that start together that of the lowest primacy runs, the others never (CORE-023)."""
        far = self.server.control("SY", 120, 60, {PF: pf(900)})
        mid = self.server.control("FD", 120, 60, {PF: pf(850)})
        near = self.server.control("SP", 120, 60, {PF: pf(800)})
        for early in (ResponseStatus.SUPERSEDED, ResponseStatus.ABORTED_PROGRAM):
            self.server.now = 0
            device = self.under("SY", "FD", "SP", superseded_early=early)
            play(device, until=200)
            self.assertEqual(device.answers(near), [1, 2, 3])
            self.assertEqual([device.answers(far), device.answers(mid)], [[1, early], [1, early]])

    def test_same_program(self) -> None:
        """Within a program the control made later wins, and the other is answered 7 in every case."""
        for early in (ResponseStatus.SUPERSEDED, ResponseStatus.ABORTED_PROGRAM):
            self.server = Server()
            later = self.server.control("SP", 120, 60, {PF: pf(900)}, created=-5)
            sooner = self.server.control("SP", 100, 60, {PF: pf(800)}, created=-6)
            device = self.under("SP", superseded_early=early)
            play(device, until=200)
            self.assertEqual([device.answers(sooner), device.answers(later)], [[1, 7], [1, 2, 3]])

    def test_same_creation(self) -> None:
        """Between controls made in the same second the greater mRID wins; equal primacy is no difference."""
        self.server.primacy["TFA"] = self.server.primacy["SP"]
        lesser = self.server.control("SP", 120, 60, {PF: pf(900)})
        greater = self.server.control("TFA", 100, 60, {PF: pf(800)})
        device = self.under("SP", "TFA")
        play(device, until=200)
        self.assertEqual([device.answers(lesser), device.answers(greater)], [[1, 7], [1, 2, 3]])

    def test_what_does_not_run_takes_nothing(self) -> None:
        """A control that loses itself does not keep another from running."""
        far = self.server.control("SY", 100, 200, {PF: pf(900)})  # 100 to 300
        mid = self.server.control("FD", 250, 200, {PF: pf(850)})  # 250 to 450, beats far
        near = self.server.control("SP", 400, 100, {PF: pf(800)})  # 400 to 500, beats mid
        device = self.under("SY", "FD", "SP")
        play(device, until=600)
        self.assertEqual(
            [device.answers(far), device.answers(mid), device.answers(near)], [[1, 2, 3], [1, 7], [1, 2, 3]]
        )

    def test_winner_is_cut_before(self) -> None:
        """A better control that was itself ended before the loser's start does not keep it from running."""
        mid = self.server.control("FD", 50, 250, {PF: pf(850)}, created=-10)
        far = self.server.control("SY", 200, 200, {PF: pf(900)}, created=-10)
        near: list[str] = []
        device = self.under("SY", "FD", "SP")
        play(
            device,
            until=450,
            then={60: lambda: near.append(self.server.control("SP", 100, 50, {PF: pf(800)}))},
        )
        self.assertEqual(device.timed(mid), [(1, 0), (2, 50), (7, 100)])
        self.assertEqual(device.timed(near[0]), [(1, 60), (2, 100), (3, 150)])
        self.assertEqual(device.timed(far), [(1, 0), (7, 0), (2, 200), (3, 400)])

    def test_winner_cancelled_before(self) -> None:
        """A winner that is cancelled before the loser is due gives it back, although 7 was said."""
        far = self.server.control("SY", 120, 120, {PF: pf(900)})
        near = self.server.control("SP", 180, 60, {PF: pf(800)})
        device = self.under("SY", "SP")
        play(device, until=300, then={100: lambda: self.server.cancel(near)})
        self.assertEqual(device.timed(far), [(1, 0), (7, 0), (2, 120), (3, 240)])
        self.assertEqual(device.timed(near), [(1, 0), (6, 100)])

    def test_winner_cancelled_after(self) -> None:
        """Once the loser was due, the winner's being cancelled brings it back no more."""
        far = self.server.control("SY", 120, 120, {PF: pf(900)})
        near = self.server.control("SP", 180, 60, {PF: pf(800)})
        device = self.under("SY", "SP")
        play(device, until=300, then={121: lambda: self.server.cancel(near)})
        self.assertEqual(device.answers(far), [1, 7])
        self.assertEqual(device.history[PF], [])

    def test_loser_cancelled(self) -> None:
        """One that was answered 7 ahead of its start is not answered 6 as well."""
        far = self.server.control("SY", 120, 120, {PF: pf(900)})
        self.server.control("SP", 180, 60, {PF: pf(800)})
        device = self.under("SY", "SP")
        play(device, until=300, then={100: lambda: self.server.cancel(far)})
        self.assertEqual(device.answers(far), [1, 7])

    def test_learnt_late_made_early(self) -> None:
        """By creationTime, not by when a device happened to poll, is a winner known before the start."""
        for created, expected in ((-1, [(1, 90), (7, 90)]), (70, [(1, 90), (2, 90), (7, 120)])):
            self.server = Server()
            far = self.server.control("SY", 60, 240, {PF: pf(900)}, created=-2)
            self.server.control("SP", 120, 60, {PF: pf(800)}, created=created)
            device = self.under("SY", "SP")
            self.server.now = 90
            play(device, until=400)
            self.assertEqual(device.timed(far), expected)

    def test_running_already(self) -> None:
        """One that is learnt while a better one runs does not start, whenever the better one was made."""
        far = self.server.control("SY", 60, 240, {PF: pf(900)})
        self.server.control("TFA", 80, 60, {PF: pf(800)}, created=70)
        device = self.under("SY", "TFA", superseded_early=ResponseStatus.ABORTED_PROGRAM)
        self.server.now = 90
        play(device, until=400)
        self.assertEqual(device.timed(far), [(1, 90), (14, 90)])

    def test_creation_in_the_future(self) -> None:
        """What is read before the loser's start is known before it, whatever its creationTime says."""
        far = self.server.control("SY", 60, 240, {PF: pf(900)})
        self.server.control("SP", 120, 60, {PF: pf(800)}, created=120)
        device = self.under("SY", "SP")
        play(device, until=400)
        self.assertEqual(device.answers(far), [1, 7])

    def test_superseded_twice(self) -> None:
        """One that said 7, was given back and then superseded while it ran does not say 7 again."""
        far = self.server.control("SY", 120, 120, {PF: pf(900)})
        near = self.server.control("SP", 180, 60, {PF: pf(800)})
        device = self.under("SY", "FD", "SP")
        play(
            device,
            until=300,
            then={
                100: lambda: self.server.cancel(near),
                130: lambda: self.server.control("FD", 200, 60, {PF: pf(850)}),
            },
        )
        self.assertEqual(device.timed(far), [(1, 0), (7, 0), (2, 120)])

    def test_lost_to_several(self) -> None:
        """One that loses one mode to its own program and one to another is answered for the other."""
        far = self.server.control("SY", 60, 60, {PF: pf(900), MAX_W: 5000}, created=-9)
        self.server.control("SY", 60, 60, {PF: pf(800)}, created=-8)
        self.server.control("TFA", 60, 60, {MAX_W: 4000})
        device = self.under("SY", "TFA", superseded_early=ResponseStatus.ABORTED_PROGRAM)
        play(device, until=200)
        self.assertEqual(device.answers(far), [1, 14])

    def test_primacy_changes(self) -> None:
        """When programs change places, what is not due yet is judged anew (MAINT-005)."""
        far = self.server.control("SY", 120, 120, {PF: pf(900)})
        near = self.server.control("SP", 180, 60, {PF: pf(800)})
        device = self.under("SY", "SP")
        play(device, until=300, then={100: lambda: self.server.primacy.update(SY=1)})
        self.assertEqual(device.answers(far), [1, 7, 2, 3])
        self.assertEqual(device.answers(near), [1, 7])


class UnlikeTests(Case):
    """Overlapping controls of unlike modes run side by side: BASIC-024 to 026, AGG-010 to 012."""

    def check(self, far: tuple[int, int], near: tuple[int, int], made: int = 0) -> None:
        far_default = self.server.default("SY", base={PF: pf(950)})
        near_default = self.server.default("SP", base={FIXED_W: 5000})
        one = self.server.control("SY", *far, {PF: pf(900)})
        two: list[str] = []
        device = self.under("SY", "SP")
        play(
            device,
            until=400,
            then={made: lambda: two.append(self.server.control("SP", *near, {FIXED_W: 6000}))},
        )
        self.assertEqual([device.answers(one), device.answers(two[0])], [[1, 2, 3], [1, 2, 3]])
        start, duration = far
        self.assertEqual(
            device.history[PF], [(0, far_default), (start, one), (start + duration, far_default)]
        )
        start, duration = near
        self.assertEqual(
            device.history[FIXED_W], [(0, near_default), (start, two[0]), (start + duration, near_default)]
        )

    def test_nested(self) -> None:
        """The nearer one inside the other (BASIC-024)."""
        self.check((120, 120), (180, 60))

    def test_near_first(self) -> None:
        """The nearer one first (BASIC-025)."""
        self.check((180, 120), (120, 120))

    def test_made_during(self) -> None:
        """The nearer one made while the other runs (BASIC-026)."""
        self.check((60, 240), (120, 120), made=90)

    def test_in_part(self) -> None:
        """A control that loses one of its modes, for good, keeps the other and completes."""
        default = self.server.default("SY", base={PF: pf(950)})
        far = self.server.control("SY", 60, 240, {PF: pf(900), MAX_W: 5000})
        near: list[str] = []
        device = self.under("SY", "SP")
        play(
            device,
            until=400,
            then={
                90: lambda: near.append(
                    self.server.control("SP", 120, 60, {PF: pf(800), VOLT_VAR: curve("/c")})
                )
            },
        )
        self.assertEqual(device.answers(far), [1, 2, 3])
        self.assertEqual(device.answers(near[0]), [1, 2, 3])
        self.assertEqual(device.history[PF], [(0, default), (60, far), (120, near[0]), (180, default)])
        self.assertEqual(device.history[MAX_W], [(60, far), (300, "")])

    def test_in_part_before(self) -> None:
        """One that loses a mode before its start starts with the rest of its modes."""
        far = self.server.control("SY", 60, 240, {PF: pf(900), MAX_W: 5000})
        near = self.server.control("SP", 120, 60, {PF: pf(800)})
        device = self.under("SY", "SP")
        play(device, until=100)
        self.assertEqual(device.device.running(), {far: frozenset({MAX_W})})
        play(device, until=400)
        self.assertEqual([device.answers(far), device.answers(near)], [[1, 2, 3], [1, 2, 3]])
        self.assertEqual(device.history[PF], [(120, near), (180, "")])

    def test_bit_by_bit(self) -> None:
        """One that loses its modes one after the other is superseded with the last."""
        far = self.server.control("SY", 60, 240, {PF: pf(900), MAX_W: 5000})
        device = self.under("SY", "FD", "SP")

        def make() -> None:
            self.server.control("FD", 120, 60, {PF: pf(850)})
            self.server.control("SP", 150, 60, {MAX_W: 4000})

        play(device, until=400, then={90: make})
        self.assertEqual(device.timed(far), [(1, 0), (2, 60), (7, 150)])


class CancelTests(Case):
    """EventStatus 2, 3 and 4: CORE-022."""

    def test_before_the_start(self) -> None:
        """Cancelled before its start, a control is answered 6 after 1; the others run (CORE-022)."""
        controls = [self.server.control("SP", 180 * n, 60, {PF: pf(900)}) for n in (1, 2, 3)]
        device = self.under("SP")
        play(device, until=700, then={65: lambda: self.server.cancel(controls[0])})
        self.assertEqual(device.timed(controls[0]), [(1, 0), (6, 65)])
        self.assertEqual([device.answers(control) for control in controls[1:]], [[1, 2, 3]] * 2)

    def test_while_running(self) -> None:
        """Cancelled while it runs, a control ends when that is read: 1, 2, 6."""
        (default,) = self.defaults("SP")
        control = self.server.control("SP", 60, 240, {PF: pf(900)})
        device = self.under("SP")
        play(device, until=400, then={100: lambda: self.server.cancel(control)})
        self.assertEqual(device.timed(control), [(1, 0), (2, 60), (6, 100)])
        self.assertEqual(device.history[PF], [(0, default), (60, control), (100, default)])

    def test_in_the_second_of_the_start(self) -> None:
        """A cancellation that is read in the second of the start counts for it."""
        control = self.server.control("SP", 60, 240, {PF: pf(900)})
        device = self.under("SP")
        play(device, until=100, then={60: lambda: self.server.cancel(control)})
        self.assertEqual(device.timed(control), [(1, 0), (6, 60)])

    def test_with_randomization(self) -> None:
        """With status 3 it ends a random time after the cancellation, by the greater of its two bounds."""
        asked: list[int] = []

        def draw(bound: int) -> int:
            asked.append(bound)
            return 25 if len(asked) == 3 else 0

        control = self.server.control("SP", 60, 240, {PF: pf(900)}, randomizeStart=-20, randomizeDuration=40)
        device = self.under("SP", draw=draw)
        play(device, until=99)
        self.server.now = 100
        self.server.set_status(control, EventState.CANCELLED_RANDOMIZED)
        self.server.now = 110
        play(device, until=400)
        self.assertEqual(asked, [-20, 40, 40])
        self.assertEqual(device.timed(control), [(1, 0), (2, 60), (6, 125)])

    def test_with_randomization_near_the_end(self) -> None:
        """A random end of a cancelled control is never after its own, nor after the start of a better one."""
        for bound, better, expected in ((60, None, 120), (60, 110, 110), (10, 120, 110)):
            self.server = Server()
            control = self.server.control("SP", 60, 60, {PF: pf(900)}, randomizeStart=-bound)
            device = self.under("SP", draw=lambda bound: max(0, bound))

            def act(control: str = control, better: int | None = better) -> None:
                self.server.set_status(control, EventState.CANCELLED_RANDOMIZED)
                if better is not None:
                    self.server.control("SP", better, 60, {PF: pf(800)})

            play(device, until=300, then={100: act})
            self.assertEqual(device.timed(control), [(1, 0), (2, 60), (6, expected)])

    def test_with_randomization_before_the_start(self) -> None:
        """With status 3 one that has not started does not start, even within its bounds."""
        control = self.server.control("SP", 60, 240, {PF: pf(900)}, randomizeDuration=60)
        device = self.under("SP", draw=lambda bound: bound)
        play(
            device,
            until=100,
            then={50: lambda: self.server.set_status(control, EventState.CANCELLED_RANDOMIZED)},
        )
        self.assertEqual(device.timed(control), [(1, 0), (6, 50)])

    def test_next_waits_for_a_random_end(self) -> None:
        """What a control that is being ended at random kept off starts when that has ended."""
        near = self.server.control("SP", 60, 240, {PF: pf(800)}, randomizeDuration=30)
        far = self.server.control("SY", 110, 200, {PF: pf(900)})
        device = self.under("SY", "SP", draw=lambda bound: bound)
        play(
            device,
            until=400,
            then={100: lambda: self.server.set_status(near, EventState.CANCELLED_RANDOMIZED)},
        )
        self.assertEqual(device.timed(near), [(1, 0), (2, 60), (6, 130)])
        self.assertEqual(device.timed(far), [(1, 0), (7, 0), (2, 130), (3, 310)])

    def test_first_seen_cancelled(self) -> None:
        """What is already over when it is first seen is answered 1 and how it ended, past its end as well."""
        expected = {EventState.CANCELLED: 6, EventState.CANCELLED_RANDOMIZED: 6, EventState.SUPERSEDED: 7}
        for state, answer in expected.items():
            mrid = self.server.control("SP", -10, 60, {PF: pf(900)}, status=state)
            shown = ProgramSeen("/derp/SP", 4, (self.server.controls[mrid][1],))
            for now in (0, 60):
                said = Device(LFDI).read(now, [shown])
                self.assertEqual([(due.status, due.at) for due in said], [(1, now), (answer, now)])

    def test_superseded_by_the_servers_word(self) -> None:
        """Status 4 ends a control, running or not, whose winner the device has not seen."""
        running = self.server.control("SP", 60, 240, {PF: pf(900)})
        waiting = self.server.control("SP", 200, 40, {MAX_W: 5000})
        device = self.under("SP")

        def supersede() -> None:
            self.server.set_status(running, EventState.SUPERSEDED)
            self.server.set_status(waiting, EventState.SUPERSEDED)

        play(device, until=300, then={100: supersede})
        self.assertEqual(device.timed(running), [(1, 0), (2, 60), (7, 100)])
        self.assertEqual(device.timed(waiting), [(1, 0), (7, 100)])

    def test_superseded_while_another_program_comes(self) -> None:
        """Status 4 ends a control at once even if one of another program would end it later."""
        control = self.server.control("SY", 60, 240, {PF: pf(900)})
        device = self.under("SY", "SP")

        def act() -> None:
            self.server.control("SP", 200, 60, {PF: pf(800)})
            self.server.set_status(control, EventState.SUPERSEDED)

        play(device, until=300, then={100: act})
        self.assertEqual(device.timed(control), [(1, 0), (2, 60), (7, 100)])

    def test_first_seen_superseded(self) -> None:
        """One that is first seen with status 4 does not start, not even until its winner does."""
        control = self.server.control("SP", 60, 240, {PF: pf(900)}, status=EventState.SUPERSEDED)
        self.server.control("SP", 100, 60, {PF: pf(800)}, created=70, randomizeStart=40)
        device = self.under("SP", draw=lambda bound: bound // 2)
        self.server.now = 110
        play(device, until=300)
        self.assertEqual(device.timed(control), [(1, 110), (7, 110)])

    def test_superseded_at_the_own_start_of_the_winner(self) -> None:
        """Status 4 comes at the winner's earliest start; the loser runs until it starts on this device."""
        running = self.server.control("SP", 60, 240, {PF: pf(900)}, created=-1)
        device = self.under("SP", draw=lambda bound: bound // 2)
        winner: list[str] = []
        play(
            device,
            until=300,
            then={
                70: lambda: winner.append(
                    self.server.control("SP", 100, 60, {PF: pf(800)}, randomizeStart=40)
                ),
                100: lambda: self.server.set_status(running, EventState.SUPERSEDED),
            },
        )
        self.assertEqual(device.timed(running), [(1, 0), (2, 60), (7, 120)])
        self.assertEqual(device.history[PF], [(60, running), (120, winner[0]), (180, "")])


class RandomTests(Case):
    """randomizeStart and randomizeDuration: CORE-021."""

    def test_starts(self) -> None:
        """Each control starts by the device's own offset, within its bound (CORE-021)."""
        bounds = (None, 30, -30)
        for portion, starts in ((0, (180, 360, 540)), (1, (180, 390, 510)), (0.5, (180, 375, 525))):
            self.server = Server()
            controls = [
                self.server.control("SP", 180 * (n + 1), 60, {PF: pf(900)}, randomizeStart=bound)
                for n, bound in enumerate(bounds)
            ]
            device = self.under("SP", draw=lambda bound, part=portion: int(bound * part))
            play(device, until=700)
            for control, start in zip(controls, starts, strict=True):
                self.assertEqual(device.timed(control), [(1, 0), (2, start), (3, start + 60)])

    def test_duration(self) -> None:
        """The duration is lengthened or shortened by the device's offset, but not to nothing."""
        longer = self.server.control("SP", 60, 60, {PF: pf(900)}, randomizeDuration=20)
        shorter = self.server.control("SP", 200, 60, {PF: pf(900)}, randomizeDuration=-20)
        least = self.server.control("SP", 300, 60, {PF: pf(900)}, randomizeDuration=-3600)
        device = self.under("SP", draw=lambda bound: bound)
        play(device, until=400)
        self.assertEqual(device.timed(longer)[1:], [(2, 60), (3, 140)])
        self.assertEqual(device.timed(shorter)[1:], [(2, 200), (3, 240)])
        self.assertEqual(device.timed(least)[1:], [(2, 300), (3, 301)])

    def test_successive(self) -> None:
        """Between successive controls the better one's own time holds: no overlap, and neither supersedes."""
        cases = [
            # rank of the first, its end's offset, the second's start's offset; when the second takes over
            ("worse", 0, 20, 140),
            ("worse", 0, -20, 100),
            ("worse", -20, 0, 120),
            ("worse", 20, 0, 120),
            ("better", 20, 0, 140),
            ("better", 20, -20, 140),
        ]
        for rank, end, start, boundary in cases:
            self.server = Server()
            first = self.server.control(
                "SP",
                60,
                60,
                {PF: pf(900)},
                created=5 * (rank == "better") - 10,
                randomizeDuration=end or None,
            )
            second = self.server.control(
                "SP", 120, 60, {PF: pf(800)}, created=-8, randomizeStart=start or None
            )
            device = self.under("SP", draw=lambda bound: bound)
            play(device, until=300)
            self.assertEqual(device.history[PF][:2], [(60, first), (boundary, second)], (rank, end, start))
            self.assertEqual([device.answers(first), device.answers(second)], [[1, 2, 3], [1, 2, 3]])

    def test_passed(self) -> None:
        """A better neighbour that by chance is over before the first one starts takes nothing from it."""
        first = self.server.control("SP", 60, 10, {PF: pf(900)}, created=-9)
        second = self.server.control("SP", 70, 10, {PF: pf(800)}, created=-8, randomizeStart=-20)
        device = self.under("SP", draw=lambda bound: bound)
        play(device, until=200)
        self.assertEqual(device.timed(second), [(1, 0), (2, 50), (3, 60)])
        self.assertEqual(device.timed(first), [(1, 0), (2, 60), (3, 70)])

    def test_apart_by_less_than_the_offsets(self) -> None:
        """One that chance prolongs into a better one's time completes where that starts."""
        first = self.server.control("SP", 60, 60, {PF: pf(900)}, created=-9, randomizeDuration=20)
        second = self.server.control("SP", 130, 60, {PF: pf(800)}, created=-8)
        device = self.under("SP", draw=lambda bound: bound)
        play(device, until=300)
        self.assertEqual(device.timed(first), [(1, 0), (2, 60), (3, 130)])
        self.assertEqual(device.answers(second), [1, 2, 3])

    def test_pushed_out(self) -> None:
        """A short control that a better neighbour leaves no time by chance does not start."""
        first = self.server.control("SP", 60, 10, {PF: pf(900)}, created=-9, randomizeStart=30)
        second = self.server.control("SP", 70, 60, {PF: pf(800)}, created=-8)
        device = self.under("SP", draw=lambda bound: bound)
        play(device, until=200)
        self.assertEqual([device.answers(first), device.answers(second)], [[1, 7], [1, 2, 3]])


class RefusalTests(Case):
    """What a device cannot follow, and what it is not asked to answer."""

    def answers_to(
        self, base: dict[str, Any], start: int = 60, duration: int = 60, **options: Any
    ) -> list[int]:
        control = self.server.control("SP", start, duration, base)
        device = self.under("SP", **options)
        device.said += device.device.read(
            self.server.now, [ProgramSeen("/derp/SP", 4, (self.server.controls[control][1],))]
        )
        device.said += device.device.advance(1000)
        return device.answers(control)

    def test_expired(self) -> None:
        """One whose end, by its interval or by chance, has passed on receipt is answered 254 and not run."""
        self.server.now = 120
        self.assertEqual(self.answers_to({PF: pf(900)}), [1, 254])
        for bound, now in ((20, 120), (-20, 100)):
            mrid = self.server.control("SP", 60, 60, {PF: pf(900)}, randomizeDuration=bound)
            shown = ProgramSeen("/derp/SP", 4, (self.server.controls[mrid][1],))
            device = Device(LFDI, draw=lambda bound: bound)
            self.assertEqual([due.status for due in device.read(now, [shown])], [1, 254])
            self.assertEqual(device.modes(now), {})

    def test_empty(self) -> None:
        """One that controls nothing is invalid: 253; a ramp time alone is nothing."""
        self.assertEqual(self.answers_to({}), [1, 253])
        self.assertEqual(self.answers_to({"rampTms": 100}), [1, 253])

    def test_no_duration(self) -> None:
        """One that lasts no second is invalid: 253."""
        self.assertEqual(self.answers_to({PF: pf(900)}, duration=0), [1, 253])

    def test_not_applicable(self) -> None:
        """One with nothing but modes that the device lacks or does not know is answered 252."""
        self.assertEqual(self.answers_to({PF: pf(900)}, supported=MODE[MAX_W].flag), [1, 252])
        self.assertEqual(self.answers_to({"extensions": ("<x xmlns='urn:x'/>",)}), [1, 252])

    def test_applicable_in_part(self) -> None:
        """Of a control or a default a device takes the modes that it has."""
        self.server.default("SP", base={PF: pf(950), MAX_W: 5000})
        control = self.server.control("SP", 60, 60, {PF: pf(900), MAX_W: 6000})
        device = self.under("SP", supported=MODE[MAX_W].flag)
        play(device, until=200)
        self.assertEqual(device.answers(control), [1, 2, 3])
        self.assertEqual(list(device.history), [MAX_W])

    def test_categories(self) -> None:
        """A control for other categories is ignored in silence; one for ours, or for all, is followed."""
        solar, storage = DeviceCategory.PHOTOVOLTAIC, DeviceCategory.OTHER_STORAGE
        controls = [
            self.server.control("SP", 60 * n, 30, {PF: pf(900)}, deviceCategory=category)
            for n, category in enumerate((None, solar, solar | storage, storage), 1)
        ]
        device = self.under("SP", categories=solar)
        unknown = self.under("SP")
        play(device, unknown, until=400)
        ran = [1, 2, 3]
        self.assertEqual([device.answers(control) for control in controls], [ran, ran, ran, []])
        self.assertEqual([unknown.answers(control) for control in controls], [ran, [], [], []])

    def test_other_categories_take_nothing(self) -> None:
        """A better control for other categories supersedes nothing here."""
        far = self.server.control("SY", 60, 60, {PF: pf(900)})
        self.server.control("SP", 60, 60, {PF: pf(800)}, deviceCategory=DeviceCategory.EVSE)
        device = self.under("SY", "SP", categories=DeviceCategory.PHOTOVOLTAIC)
        play(device, until=200)
        self.assertEqual(device.answers(far), [1, 2, 3])

    def test_only_what_is_asked_for(self) -> None:
        """Bit 0 asks for 1, bit 1 for the rest; bit 2, the user's, for nothing; without any all is silent."""
        expected = {0: [], 1: [1], 2: [2, 3], 3: [1, 2, 3], 4: [], 7: [1, 2, 3]}
        controls = {
            bits: self.server.control("SP", 60 * (bits + 1), 30, {PF: pf(900)}, required=bits)
            for bits in expected
        }
        device = self.under("SP")
        play(device, until=600)
        self.assertEqual({bits: device.answers(mrid) for bits, mrid in controls.items()}, expected)

    def test_nowhere_to_answer(self) -> None:
        """Without replyTo there is no answer, whatever is asked for."""
        program, control = self.server.controls[self.server.control("SP", 60, 60, {PF: pf(900)})]
        self.server.controls[control.mRID] = (program, control.replace(replyTo=None))
        device = self.under("SP")
        play(device, until=100)
        self.assertEqual(device.said, [])
        self.assertEqual(device.device.ran(), {control.mRID})

    def test_document(self) -> None:
        """A response says whose it is, what to, how and since when."""
        control = self.server.control("SP", 60, 60, {PF: pf(900)})
        device = self.under("SP")
        play(device, until=60)
        due = device.said[-1]
        self.assertEqual(due.replyTo, "/rsps/1/r")
        self.assertEqual(
            device.device.document(due),
            r.DERControlResponse(createdDateTime=60, endDeviceLFDI=LFDI, status=2, subject=control),
        )


class GroupTests(Case):
    """Devices that change their groups, and programs that come and go: BASIC-003, MAINT-003."""

    def test_change_of_group(self) -> None:
        """A device that changes its branch drops the old one's control and runs the new one's (BASIC-003)."""
        old = self.server.control("TFA", 15 * MINUTE, 5 * MINUTE, {PF: pf(900)})
        new = self.server.control("TFB", 4 * MINUTE, 2 * MINUTE, {PF: pf(800)})
        device = self.under("SY", "TFA")
        play(device, until=60)
        device.programs = ("SY", "TFB")
        play(device, until=25 * MINUTE)
        self.assertEqual(device.answers(old), [1, 14])
        self.assertEqual(device.answers(new), [1, 2, 3])
        self.assertEqual(device.history[PF], [(240, new), (360, "")])

    def test_leaving_while_it_runs(self) -> None:
        """What runs ends when the device leaves the program."""
        control = self.server.control("TFA", 60, 240, {PF: pf(900)})
        device = self.under("TFA")
        play(device, until=100)
        device.programs = ()
        play(device, until=400)
        self.assertEqual(device.timed(control), [(1, 0), (2, 60), (14, 100)])

    def test_coming_back(self) -> None:
        """A device that has come back before the start runs the control."""
        control = self.server.control("TFA", 60, 60, {PF: pf(900)})
        device = self.under("TFA")
        play(device, until=10)
        device.programs = ()
        play(device, until=30)
        device.programs = ("TFA",)
        play(device, until=200)
        self.assertEqual(device.answers(control), [1, 14, 2, 3])

    def test_program_under_another_href(self) -> None:
        """A control that is found under another program's href is the same control."""
        control = self.server.control("TFA", 60, 60, {PF: pf(900)})
        device = self.under("TFA")
        play(device, until=80)
        self.server.controls[control] = ("TFB", self.server.controls[control][1])
        device.programs = ("TFB",)
        play(device, until=200)
        self.assertEqual(device.timed(control), [(1, 0), (2, 60), (3, 120)])

    def test_default_changes(self) -> None:
        """A changed default holds as soon as it is read; one that is gone no more (CSIP G7, BASIC-007)."""
        self.server.default("SP", base={MAX_W: 5000}, setGradW=10000, setSoftGradW=200)
        device = self.under("SP")
        device.read()
        self.assertEqual(device.device.settings(), {"setGradW": 10000, "setSoftGradW": 200})
        self.server.default("SP", base={MAX_W: 4000}, setGradW=9000, setSoftGradW=400)
        device.read()
        self.assertEqual(device.device.settings(), {"setGradW": 9000, "setSoftGradW": 400})
        self.assertEqual(device.device.acting(MAX_W, 0).value, 4000)
        del self.server.defaults["SP"]
        device.read()
        self.assertEqual([device.device.settings(), device.device.modes(0)], [{}, {}])

    def test_settings_of_several(self) -> None:
        """Each setting is that of the program of lowest primacy which has it, 0 being a value like others."""
        self.server.default("SY", setGradW=10000, setESDelay=300)
        self.server.default("SP", setGradW=0)
        device = self.under("SY", "SP")
        device.read()
        self.assertEqual(device.device.settings(), {"setGradW": 0, "setESDelay": 300})


class FleetTests(Case):
    """An aggregator's DERs in two branches: UTIL-004, AGG-002 to 012."""

    def test_dispatch(self) -> None:
        """Exactly the devices under a program answer for its controls (UTIL-004, AGG-003)."""
        a, b = self.fleet()
        controls = {
            program: self.server.control(program, 120 * n, 60, {PF: pf(900)})
            for n, program in enumerate(("TFA", "FD", "SY"), 1)
        }
        play(a, b, until=500)
        self.assertEqual([a.answers(controls[name]) for name in ("TFA", "FD", "SY")], [[1, 2, 3]] * 3)
        self.assertEqual(
            [b.answers(controls[name]) for name in ("TFA", "FD", "SY")], [[], [1, 2, 3], [1, 2, 3]]
        )

    def test_defaults(self) -> None:
        """Each device follows the nearest default above it (AGG-002)."""
        far, near = self.defaults("SY", "TFA")
        a, b = self.fleet()
        play(a, b, until=0)
        self.assertEqual([a.history[PF], b.history[PF]], [[(0, near)], [(0, far)]])

    def test_no_overlap(self) -> None:
        """Controls of both programs in turn: both run where both apply (AGG-004 to 006)."""
        far, near = self.defaults("SY", "TFA")
        a, b = self.fleet()
        first = self.server.control("SY", 120, 60, {PF: pf(900)})
        second = self.server.control("TFA", 240, 60, {PF: pf(800)})
        play(a, b, until=400)
        self.assertEqual(a.history[PF], [(0, near), (120, first), (180, near), (240, second), (300, near)])
        self.assertEqual(b.history[PF], [(0, far), (120, first), (180, far)])
        self.assertEqual([a.answers(second), b.answers(second)], [[1, 2, 3], []])

    def test_system_first(self) -> None:
        """SY before TFA, both known before: 1 and 14 where TFA applies, before anything starts (AGG-007)."""
        far_default, near_default = self.defaults("SY", "TFA")
        a, b = self.fleet()
        far = self.server.control("SY", 120, 120, {PF: pf(900)})
        near = self.server.control("TFA", 180, 60, {PF: pf(800)})
        play(a, b, until=400)
        self.assertEqual(a.timed(far), [(1, 0), (14, 0)])
        self.assertEqual([a.answers(near), b.answers(near)], [[1, 2, 3], []])
        self.assertEqual(b.answers(far), [1, 2, 3])
        self.assertEqual(a.history[PF], [(0, near_default), (180, near), (240, near_default)])
        self.assertEqual(b.history[PF], [(0, far_default), (120, far), (240, far_default)])

    def test_transformer_first(self) -> None:
        """TFA before SY: after TFA its default holds, not SY that is still on (AGG-008)."""
        _, near_default = self.defaults("SY", "TFA")
        a, b = self.fleet()
        far = self.server.control("SY", 180, 120, {PF: pf(900)})
        near = self.server.control("TFA", 120, 120, {PF: pf(800)})
        play(a, b, until=400)
        self.assertEqual(a.timed(far), [(1, 0), (14, 0)])
        self.assertEqual([a.answers(near), b.answers(far)], [[1, 2, 3], [1, 2, 3]])
        self.assertEqual(a.history[PF], [(0, near_default), (120, near), (240, near_default)])

    def test_transformer_made_during(self) -> None:
        """TFA made after SY began: 7, not 14, since SY was running (AGG-009)."""
        _, near_default = self.defaults("SY", "TFA")
        a, b = self.fleet()
        far = self.server.control("SY", 60, 240, {PF: pf(900)})
        near: list[str] = []
        play(
            a,
            b,
            until=400,
            then={90: lambda: near.append(self.server.control("TFA", 120, 120, {PF: pf(800)}))},
        )
        self.assertEqual(a.timed(far), [(1, 0), (2, 60), (7, 120)])
        self.assertEqual([a.answers(near[0]), b.answers(far)], [[1, 2, 3], [1, 2, 3]])
        self.assertEqual(a.history[PF], [(0, near_default), (60, far), (120, near[0]), (240, near_default)])

    def test_unlike(self) -> None:
        """Unlike modes run together, whichever comes first and whenever it was made (AGG-010 to 012)."""
        for far, near, made in (
            ((120, 120), (180, 60), 0),
            ((180, 120), (120, 120), 0),
            ((60, 240), (120, 120), 90),
        ):
            self.server = Server()
            a, b = self.fleet()
            one = self.server.control("SY", *far, {PF: pf(900)})
            two: list[str] = []

            def make(near: tuple[int, int] = near, two: list[str] = two) -> None:
                two.append(self.server.control("TFA", *near, {FIXED_W: 6000}))

            play(a, b, until=400, then={made: make})
            ran = [1, 2, 3]
            self.assertEqual([a.answers(one), a.answers(two[0]), b.answers(one)], [ran, ran, ran])


class MemoryTests(Case):
    """What a device remembers, and the time it is told."""

    def test_finished_events_are_forgotten(self) -> None:
        """Some time after its end an event that is not listed any more is forgotten."""
        control = self.server.control("SP", 60, 60, {PF: pf(900)})
        device = self.under("SP")
        play(device, until=130)
        self.assertEqual(device.device.ran(), {control})
        self.server.now = 120 + RETENTION - 1
        device.read()
        self.assertEqual(device.device.ran(), {control})
        self.server.now += 1
        device.read()
        self.assertEqual(device.device.ran(), frozenset())

    def test_not_while_it_is_listed(self) -> None:
        """One that a server lists for ever is not taken for a new one."""
        control = self.server.control("SP", 60, 60, {PF: pf(900)})
        shown = [ProgramSeen("/derp/SP", 4, (self.server.controls[control][1],))]
        device = Device(LFDI)
        said = [due for now in range(0, 3 * RETENTION, 50) for due in device.read(now, shown)]
        self.assertEqual([due.status for due in said], [1, 2, 3])

    def test_capacity(self) -> None:
        """A program that lists more events than are remembered has the rest taken in as room is made."""
        controls = [self.server.control("SP", 60 * (n + 1), 30, {PF: pf(900)}) for n in range(CAPACITY + 20)]
        other = self.server.control("TFA", 60, 30, {MAX_W: 5000})
        device = self.under("SP", "TFA")
        play(device, until=60, poll=30)
        self.assertEqual(sum(due.status == 1 for due in device.said), CAPACITY + 1)
        play(device, until=60 * (len(controls) + 2), poll=30)
        self.assertEqual(
            [device.answers(control) for control in (*controls, other)], [[1, 2, 3]] * (CAPACITY + 21)
        )

    def test_capacity_of_what_is_listed(self) -> None:
        """What is over but still listed makes no room: it would be taken for new at the next reading."""
        controls = [
            self.server.control("SP", 60, 600, {PF: pf(900)}, status=EventState.CANCELLED)
            for _ in range(CAPACITY + 5)
        ]
        device = self.under("SP")
        play(device, until=100)
        self.assertEqual([device.answers(mrid) for mrid in controls], [[1, 6]] * CAPACITY + [[]] * 5)

    def test_time_does_not_go_back(self) -> None:
        """An earlier time than the last is taken for the last one."""
        control = self.server.control("SP", 60, 60, {PF: pf(900)})
        device = self.under("SP")
        play(device, until=100)
        self.assertEqual(device.device.advance(10), ())
        self.server.now = 10
        device.read()
        self.assertEqual(device.device.running(), {control: frozenset({PF})})
        self.assertEqual(device.device.acting(PF, 10).source, control)
        self.assertEqual(device.answers(control), [1, 2])

    def test_next_moment(self) -> None:
        """The next moment is told, and none when nothing is to come."""
        device = self.under("SP")
        self.assertIsNone(device.device.next_moment(0))
        self.server.control("SP", 60, 60, {PF: pf(900)}, randomizeStart=30)
        device.device = Device(LFDI, draw=lambda bound: bound // 2)
        device.read()
        self.assertEqual(device.device.next_moment(0), 75)
        device.device.advance(75)
        self.assertEqual(device.device.next_moment(75), 135)
        device.device.advance(135)
        self.assertIsNone(device.device.next_moment(135))

    def test_long_sleep(self) -> None:
        """A device whose time passes in one step does everything in its order, each at its own moment."""
        first = self.server.control("SP", 60, 60, {PF: pf(900)})
        second = self.server.control("SP", 120, 60, {PF: pf(800)})
        device = self.under("SP")
        device.read()
        said = device.device.advance(10_000)
        self.assertEqual(
            [(due.subject, due.status, due.at) for due in said],
            [(first, 2, 60), (first, 3, 120), (second, 2, 120), (second, 3, 180)],
        )


# Properties. Small numbers, so that events meet, touch and share their seconds.
MODES_USED = (PF, MAX_W)
END = 30


@define
class Given:
    """One control of a generated story."""

    program: str
    created: int
    start: int
    duration: int
    modes: tuple[str, ...]
    cancelled: int | None
    state: EventState


def stories(randomised: bool = False) -> st.SearchStrategy[list[Given]]:
    state = st.sampled_from([EventState.CANCELLED, EventState.CANCELLED_RANDOMIZED])
    one = st.builds(
        Given,
        st.sampled_from(["SY", "FD", "SP"]),
        st.integers(0, 12),
        st.integers(0, 20),
        st.integers(1, 8),
        st.sampled_from([(PF,), (MAX_W,), (PF, MAX_W)]),
        st.none() | st.integers(0, END),
        state if randomised else st.just(EventState.CANCELLED),
    )
    return st.lists(one, max_size=7)


def offsets() -> st.SearchStrategy[list[int]]:
    return st.lists(st.integers(-6, 6), min_size=14, max_size=14)


def tell(
    story: Sequence[Given],
    device: Device,
    bounds: Sequence[int] | None = None,
    extra: Sequence[int] = (),
    each: Callable[[Device, int], None] = lambda device, now: None,
) -> tuple[list[ResponseDue], list[dict[str, str]]]:
    """Play a story: the device reads when something changes and at `extra`; its answers, and what held."""
    server = Server()
    said: list[ResponseDue] = []
    held: list[dict[str, str]] = []
    names: dict[int, str] = {}
    for now in range(END + 10):
        server.now = now
        changed = now in extra
        for n, one in enumerate(story):
            if one.created == now and one.start + one.duration > now:
                random = {}
                if bounds:
                    random = {
                        "randomizeStart": bounds[2 * n] or None,
                        "randomizeDuration": bounds[2 * n + 1] or None,
                    }
                base = {mode: pf(900) if mode == PF else 5000 for mode in one.modes}
                names[n] = server.control(one.program, one.start, one.duration, base, **random)
                changed = True
        for n, one in enumerate(story):
            if one.cancelled == now and n in names:
                server.set_status(names[n], one.state)
                changed = True
        if changed or now == 0:
            said += device.read(now, server.shows("SY", "FD", "SP"))
        said += device.advance(now)
        held.append({mode: acting.source for mode, acting in device.modes(now).items()})
        each(device, now)
    return said, held


# After each status, what may follow; 7 and 14 may be taken back while the event is not due.
LEGAL = {0: {1}, 1: {2, 6, 7, 14, 254}, 2: {3, 6, 7, 14}, 7: {2}, 14: {2}, 3: set(), 6: set(), 254: set()}


class PropertyTests(SynchronousTestCase):
    """What is true of every story."""

    def check_story(self, story: Sequence[Given], bounds: Sequence[int] | None, extra: Sequence[int]) -> None:
        draw = (lambda bound: bound // 2) if bounds else (lambda bound: 0)

        def one_holder(device: Device, now: int) -> None:
            holders = [mode for modes in device.running().values() for mode in modes]
            self.assertEqual(len(holders), len(set(holders)))
            self.assertEqual(set(holders), set(device.modes(now)))

        said, held = tell(story, Device(LFDI, draw=draw), bounds, each=one_holder)
        for subject in {due.subject for due in said}:
            sequence = [due.status for due in said if due.subject == subject]
            self.assertEqual(len(sequence), len(set(sequence)))
            for before, after in zip([0, *sequence], sequence, strict=False):
                self.assertIn(after, LEGAL[before], sequence)
        self.assertEqual(tell(story, Device(LFDI, draw=draw), bounds, extra), (said, held))

    @settings(max_examples=150, deadline=None)
    @given(stories(), st.lists(st.integers(0, END)))
    def test_stories(self, story: list[Given], extra: list[int]) -> None:
        """One holder a mode, legal answers, each once; further polls change neither what runs nor answers."""
        self.check_story(story, None, extra)

    @settings(max_examples=150, deadline=None)
    @given(stories(randomised=True), offsets(), st.lists(st.integers(0, END)))
    def test_randomised_stories(self, story: list[Given], bounds: list[int], extra: list[int]) -> None:
        """The same with randomised starts, durations and cancellations."""
        self.check_story(story, bounds, extra)

    @settings(max_examples=150, deadline=None)
    @given(stories(randomised=True), offsets())
    def test_what_is_foretold_comes(self, story: list[Given], bounds: list[int]) -> None:
        """As long as nothing new is read, what a device says of times to come is what will be."""
        known = [one for one in story if one.start + one.duration > 0]
        for one in known:
            one.created, one.cancelled = 0, None
        device = Device(LFDI, draw=lambda bound: bound // 2)
        foretold: list[dict[str, str]] = []

        def foretell(device: Device, now: int) -> None:
            if now == 0:
                for moment in range(END + 10):
                    acting = device.modes(moment)
                    foretold.append({mode: one.source for mode, one in acting.items()})

        _, held = tell(known, device, bounds, each=foretell)
        self.assertEqual(foretold, held)

    @settings(max_examples=200, deadline=None)
    @given(stories())
    def test_against_a_plain_reading_of_the_rules(self, story: list[Given]) -> None:
        """What holds each mode, second by second, is what the rules say of that second, taken one by one."""
        _, held = tell(story, Device(LFDI))
        self.assertEqual(held, by_the_rules(story))


@define
class Claim:
    """One mode of one control, in the plain reading."""

    rank: tuple[int, int, int]
    created: int
    start: int
    end: int
    mode: str
    source: str
    cancelled: int | None
    state: str = "waiting"  # then "running", then "over"

    def meets(self, other: Claim) -> bool:
        return self.mode == other.mode and self.start < other.end and other.start < self.end


def by_the_rules(story: Sequence[Given]) -> list[dict[str, str]]:
    """What holds each mode in each second: semantics 8.5 and decision 17, without planning ahead."""
    made = [
        one for one in sorted(story, key=lambda one: one.created) if one.start + one.duration > one.created
    ]
    claims = [
        Claim(
            (-PRIMACY[one.program], one.created, n),
            one.created,
            one.start,
            one.start + one.duration,
            mode,
            f"{n:032X}",
            one.cancelled if one.cancelled is not None and one.cancelled >= one.created else None,
        )
        for n, one in enumerate(made, 1)
        for mode in one.modes
    ]

    def will_run(claim: Claim, known: list[Claim]) -> bool:
        """Whether one that still waits is going to run: no better one that meets it is there or to come."""
        return not any(
            other.rank > claim.rank and other.meets(claim) and stands(other, claim, known) for other in known
        )

    def stands(other: Claim, claim: Claim, known: list[Claim]) -> bool:
        """Whether a better one is there when `claim` is due, or is then going to come and known."""
        coming = (
            other.state == "waiting"
            and other.created < max(claim.start, claim.created)
            and will_run(other, known)
        )
        return (other.state == "running" or coming) and end_of(other, known) > claim.start

    def end_of(claim: Claim, known: list[Claim]) -> int:
        """When one that runs or is going to will end: with its time, or when a better one starts."""
        begins = max(claim.start, claim.created)
        cuts = [
            other.start
            for other in known
            if other.rank > claim.rank
            and other.meets(claim)
            and other.state == "waiting"
            and other.start > begins
            and will_run(other, known)
        ]
        return min([claim.end, *cuts])

    held: list[dict[str, str]] = []
    for now in range(END + 10):
        known = [claim for claim in claims if claim.created <= now]
        for claim in known:
            if claim.end <= now or (claim.cancelled is not None and claim.cancelled <= now):
                claim.state = "over"
        due = [claim for claim in known if claim.state == "waiting" and claim.start <= now]
        for claim in sorted(due, key=lambda claim: claim.rank, reverse=True):
            if will_run(claim, known):
                for other in known:
                    if other.state == "running" and other.mode == claim.mode:
                        other.state = "over"
                claim.state = "running"
            else:
                claim.state = "over"
        held.append({claim.mode: claim.source for claim in known if claim.state == "running"})
    return held
