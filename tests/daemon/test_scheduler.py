"""The scheduler tells of what the clock changes, when it changes: no more, no less, and by its own accord."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, fail
from twisted.internet.task import Clock
from twisted.logger import capturedLogs, globalLogPublisher
from twisted.logger import formatEvent as format_event
from twisted.trial.unittest import SynchronousTestCase

from csipd.daemon import scheduler as module
from csipd.daemon.changes import ChangeNotifier
from csipd.daemon.scheduler import TICK_SECONDS, Scheduler, TickResult, last_tick, tick
from csipd.db import controls, engine, facts, logevents, rates, retention
from csipd.db.audit import PLATFORM
from csipd.db.database import Database, Read, Remark, Transaction, Write
from csipd.db.fair_queue import SERVER, Share
from csipd.db.tables import audit
from csipd.db.tables import logevents as table
from csipd.der.retention import Retention
from csipd.refusals import Unavailable
from csipd.sep2 import codec
from tests.db.test_controls import control, event
from tests.support.bodies import MINIMAL
from tests.support.store import ISSUER, NOW, add_device, add_group, add_program, new_database, store

#: How late an event may be reported (s) while the clocks run as they should.
SOON = 0.1
HOUR = 3600
SWEEP = 900


class Shaky:
    """A database that can be made to fail."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.failure: Exception | None = None

    def write(self, operation: Write[Any], share: Share = SERVER) -> Deferred[Any]:
        return self._database.write(operation) if self.failure is None else fail(self.failure)

    def read(self, operation: Read[Any]) -> Deferred[Any]:
        return self._database.read(operation) if self.failure is None else fail(self.failure)


class Running:
    """A scheduler on a database, and what is heard of its changes."""

    def __init__(self, url: str, clock: Clock, wall: Callable[[], float], speed: float = 1) -> None:
        notifier = ChangeNotifier()
        self.said: list[str] = []
        self.whose: list[str] = []
        self.database = Database(url, None, notifier.publish, self.say)
        self.shaky = Shaky(self.database)
        self.scheduler = Scheduler(
            self.shaky,  # type: ignore[arg-type]  # it needs no more of a database
            clock,
            wall,
            speed=speed,
            sweep_seconds=SWEEP,
            log_events=10,
            retention=Retention(),
        )
        notifier.subscribe(self.scheduler.changed)
        notifier.subscribe(self.hear)
        self.heard: list[str] = []

    def say(self, remark: Remark) -> None:
        self.said.append(remark.line.format(**remark.values))
        self.whose.append(remark.peer)

    def hear(self, hrefs: Sequence[str]) -> None:
        self.heard += hrefs

    def notified(self) -> list[str]:
        """What was notified since the last call."""
        found, self.heard = self.heard, []
        return found

    def stop(self) -> None:
        if self.scheduler.running:
            self.scheduler.stopService()


class _Case(SynchronousTestCase):
    """With a scheduler that runs, and two programs."""

    #: How many seconds of the wall clock pass in one of the clock's.
    speed = 1

    def setUp(self) -> None:
        self.clock = Clock()
        #: What the wall clock shows more than it should.
        self.shift = 0.0
        self.url = new_database(self.mktemp())
        self.one = self.run_another(self.speed)
        self.mine, self.other = self.write(self.set_up)
        self.one.scheduler.startService()
        self.one.notified()

    def run_another(self, speed: float = 1) -> Running:
        made = Running(self.url, self.clock, self.wall, speed)
        self.addCleanup(made.database.stopService)
        self.addCleanup(made.stop)
        return made

    def wall(self) -> float:
        return NOW + self.shift + self.clock.seconds() * self.speed

    def set_up(self, transaction: Transaction) -> list[int]:
        group = add_group(transaction, "feeder")
        return [add_program(transaction, group, name) for name in ("mine", "other")]

    def write(self, operation: Write[Any]) -> Any:
        return self.successResultOf(self.one.database.write(operation))

    def adding(self, start: float, duration: int, program: int = 0, **more: Any) -> Write[Any]:
        """Make a control that begins so many seconds from NOW."""
        made = control(event(int(start), duration, created=int(self.wall()) - NOW, **more))
        return lambda transaction: controls.add(transaction, ISSUER, program or self.mine, made)

    def add(self, start: float, duration: int, program: int = 0, **more: Any) -> None:
        self.write(self.adding(start, duration, program, **more))
        self.one.notified()

    def until(self, moment: float) -> None:
        """Let time pass, in steps as short as any that matter, until so many seconds after the beginning."""
        while self.clock.seconds() < moment:
            self.clock.advance(min(0.05, moment - self.clock.seconds()))

    def lists(self, program: int = 0) -> list[str]:
        return [f"schedule {program or self.mine}"]


class TickTests(SynchronousTestCase):
    """One tick after another, whatever the clock shows."""

    @given(
        st.lists(st.tuples(st.integers(0, 30), st.integers(1, 20), st.integers(0, 1)), max_size=6),
        st.lists(st.integers(0, 55), min_size=2, max_size=8),
    )
    def test_what_passed(self, events: list[tuple[int, int, int]], looks: list[int]) -> None:
        """Each tells of exactly what began or ended since the last, forwards or backwards, and knows what is
        next; the first tells of nothing.
        """
        with store() as transaction:
            group = add_group(transaction, "feeder")
            programs = [add_program(transaction, group, name) for name in ("one", "two")]
            moments = set()
            for start, duration, which in events:
                controls.add(transaction, ISSUER, programs[which], control(event(start, duration)))
                moments |= {(start, programs[which]), (start + duration, programs[which])}
            last = looks[0]
            for now in looks:
                transaction.changed.clear()
                found = tick(transaction, NOW + now)
                passed = {p for moment, p in moments if min(last, now) < moment <= max(last, now)}
                following = min((NOW + moment for moment, _ in moments if moment > now), default=None)
                self.assertEqual(found, TickResult(len(passed), following))
                expected = [f"schedule {p}" for p in passed]
                self.assertEqual(sorted(transaction.changed), sorted(expected))
                self.assertEqual(last_tick(transaction.connection), NOW + now)
                last = now

    def test_never(self) -> None:
        """Before the first there was none."""
        with store() as transaction:
            self.assertIsNone(last_tick(transaction.connection))


class FastTests(_Case):
    """In a lab whose clock runs fast."""

    speed = 600

    def setUp(self) -> None:
        log: list[Any] = []
        globalLogPublisher.addObserver(log.append)
        self.addCleanup(globalLogPublisher.removeObserver, log.append)
        self.log = log
        super().setUp()

    def test_when_due(self) -> None:
        """Timers are set by its seconds: an event of an hour is told of to the second, six seconds long."""
        self.add(1200, 3600)
        for moment in (2.0, 8.0):
            self.until(moment - 0.005)
            self.assertEqual(self.one.notified(), [])
            self.until(moment + SOON)
            self.assertEqual(self.one.notified(), self.lists())

    def test_ticks(self) -> None:
        """What the store knows of the time is never older than ten minutes of it, and no step is seen."""
        self.until(30)
        last = self.successResultOf(self.one.database.read(last_tick))
        self.assertLessEqual(self.wall() - last, 600)
        self.assertEqual([one for one in self.log if "wall clock" in (one.get("log_format") or "")], [])

    def test_intervals(self) -> None:
        """What goes by an interval comes sooner by as much, but never all the time."""
        self.assertEqual([module.tick_seconds(speed) for speed in (1, 10, 30, 3600)], [30, 3, 1, 1])


class TellTests(_Case):
    """When others hear."""

    def test_when_due(self) -> None:
        """They hear of an event in the second in which it begins and in that in which it ends, once each."""
        self.add(100, 60)
        for moment in (100, 160):
            self.until(moment - 0.01)
            self.assertEqual(self.one.notified(), [])
            self.until(moment + SOON)
            self.assertEqual(self.one.notified(), self.lists())
        self.until(1000)
        self.assertEqual(self.one.notified(), [])

    def test_randomised(self) -> None:
        """It begins at its earliest start and ends at its latest end."""
        self.add(100, 60, randomize_start=-20, randomize_duration=30)
        for moment in (80, 190):
            self.until(moment - 0.01)
            self.assertEqual(self.one.notified(), [])
            self.until(moment + SOON)
            self.assertEqual(self.one.notified(), self.lists())

    def test_one_after_the_other(self) -> None:
        """Of several each is reported in its time, those of one second together."""
        self.add(10, 10)
        self.add(20, 5, self.other)
        self.add(11, 14)
        for moment, programs in ((10, [self.mine]), (11, [self.mine]), (20, [self.mine, self.other])):
            self.until(moment + SOON)
            expected = [fact for program in programs for fact in self.lists(program)]
            self.assertEqual(sorted(self.one.notified()), sorted(expected), moment)

    def test_nothing(self) -> None:
        """Where nothing begins or ends nothing is notified."""
        self.until(2 * TICK_SECONDS + 1)
        self.assertEqual(self.one.notified(), [])

    def test_far_ahead(self) -> None:
        """What is hours ahead is reported in its second, too."""
        self.add(3 * HOUR, 60)
        self.clock.pump([1] * (3 * HOUR - 1))
        self.assertEqual(self.one.notified(), [])
        self.until(3 * HOUR + SOON)
        self.assertEqual(self.one.notified(), self.lists())

    def test_fractions(self) -> None:
        """Whatever fraction of a second the wall clock is at, nothing is notified before its time."""
        self.shift = 0.7
        self.add(50, 60)
        self.until(49.29)
        self.assertEqual(self.one.notified(), [])
        self.until(49.3 + SOON)
        self.assertEqual(self.one.notified(), self.lists())

    def test_made_for_sooner(self) -> None:
        """A control that is made for sooner than all others is reported in its time."""
        self.add(1000, 60)
        self.until(5)
        self.add(10, 60)
        self.until(10 + SOON)
        self.assertEqual(self.one.notified(), self.lists())

    def test_made_while_a_tick_is_away(self) -> None:
        """So is one that is made while a tick is on its way, which knows nothing of it."""
        self.add(1000, 60)

        def meanwhile(transaction: Transaction) -> None:
            self.clock.advance(TICK_SECONDS)
            self.one.database.write(self.adding(TICK_SECONDS + 10, 60))

        self.write(meanwhile)
        self.one.notified()
        self.until(TICK_SECONDS + 10 + SOON)
        self.assertEqual(self.one.notified(), self.lists())

    def test_cancelled(self) -> None:
        """One that is cancelled was reported then."""
        self.add(10, 60)
        self.write(lambda t: controls.cancel(t, 1, False, None, NOW + 5))
        self.assertLessEqual(set(self.lists()), set(self.one.notified()))


class LogTests(_Case):
    """What the log says of events."""

    def test_events(self) -> None:
        """A line for each event when it begins and when it ends, with its modes (case C2)."""
        self.add(10, 20)
        self.until(60)
        href = f"/derp/{self.mine}/derc/1"
        self.assertEqual(
            self.one.said, [f"event {href} began: opModFixedW", f"event {href} ended: opModFixedW"]
        )

    def test_cancelled(self) -> None:
        """One that was cancelled before it began does not begin."""
        self.add(10, 20)
        self.write(lambda transaction: controls.cancel(transaction, 1, False, None, NOW + 5))
        self.until(60)
        self.assertEqual(self.one.said, [])

    def test_many(self) -> None:
        """Of very many at once some are named, and that there are more is said."""
        for _ in range(module._NAMED + 3):
            self.add(10, 20)
        self.until(20)
        self.assertEqual(len(self.one.said), module._NAMED + 1)
        self.assertIn("more events", self.one.said[-1])

    def test_of_the_bus(self) -> None:
        """What the bus commands, as often as it likes, has a line a minute; an operator's is named."""
        made = control(event(10, 20, created=int(self.wall()) - NOW))
        self.write(lambda transaction: controls.add(transaction, ISSUER, self.mine, made, PLATFORM))
        self.add(10, 30)
        self.until(20)
        self.assertEqual(sorted(self.one.whose), ["", PLATFORM])


class StopTests(_Case):
    """Stopping, and starting again."""

    def test_after_an_hour(self) -> None:
        """What began and ended while nothing ran is reported at the start, once, before anything else."""
        self.add(100, 60)
        self.add(200, 10_000, self.other)
        self.one.scheduler.stopService()
        self.until(10)
        self.clock.advance(HOUR)
        self.assertEqual(self.one.notified(), [])
        again = self.run_another()
        again.scheduler.startService()
        expected = sorted(self.lists() + self.lists(self.other))
        self.assertEqual(sorted(again.notified()), expected)
        self.until(HOUR + 2 * TICK_SECONDS)
        self.assertEqual(again.notified(), [])

    def test_first_start(self) -> None:
        """A store that was never looked at has nothing to catch up with."""
        other = Running(new_database(self.mktemp()), self.clock, self.wall)
        self.addCleanup(other.database.stopService)
        self.addCleanup(other.stop)
        other.scheduler.startService()
        self.assertEqual(other.notified(), [])
        self.assertEqual(self.successResultOf(other.database.read(last_tick)), NOW)

    def test_stopped(self) -> None:
        """When it is stopped nothing is left to happen, whatever changes and whatever comes back late."""
        self.add(100, 60)

        def meanwhile(transaction: Transaction) -> None:
            self.clock.advance(TICK_SECONDS)
            self.one.scheduler.stopService()

        self.write(meanwhile)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.write(self.adding(90, 60))
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.one.notified()
        self.until(200)
        self.assertEqual(self.one.notified(), [])

    def test_two_on_one_store(self) -> None:
        """Of two on one store one tells, whichever comes first, when it is due and after a stop."""
        self.add(100, 60)
        two = self.run_another()
        two.scheduler.startService()

        def heard(*instances: Any) -> list[str]:
            # One that writes after the other did cannot know what that changed, and drops everything besides.
            return [fact for each in instances for fact in each.notified() if fact != facts.EVERYTHING]

        for moment in (100, 160):
            self.until(moment + SOON)
            self.assertEqual(heard(self.one, two), self.lists())
        self.until(160 + 2 * TICK_SECONDS)
        self.assertEqual(heard(self.one, two), [])
        self.add(300, 60)
        for each in (self.one, two):
            each.scheduler.stopService()
        self.until(305)
        for each in (two, self.one):
            each.scheduler.startService()
        self.assertEqual((heard(two), heard(self.one)), (self.lists(), []))


class WallTests(_Case):
    """A wall clock that is set while timers run on."""

    def test_forward(self) -> None:
        """What was passed over is reported as soon as that is noticed, and what is next in its time."""
        self.add(1000, 60)
        self.add(1100, 1000, self.other)
        self.until(10)
        self.shift = 1015
        self.until(10 + TICK_SECONDS)
        self.assertEqual(self.one.notified(), self.lists(), "begun at 1000")
        self.until(1060 - 1015 + SOON)
        self.assertEqual(self.one.notified(), self.lists(), "ended")
        self.until(1100 - 1015 + SOON)
        self.assertEqual(self.one.notified(), self.lists(self.other))

    def test_back(self) -> None:
        """What is no longer so is reported as soon as that is noticed, and once more when it is so again."""
        self.add(100, 1000)
        self.until(100 + SOON)
        self.assertEqual(self.one.notified(), self.lists())
        self.shift = -50
        self.until(100 + SOON + TICK_SECONDS)
        self.assertEqual(self.one.notified(), self.lists(), "it has not begun yet")
        self.until(150 - 0.01)
        self.assertEqual(self.one.notified(), [])
        self.until(150 + SOON)
        self.assertEqual(self.one.notified(), self.lists())

    def test_steps_are_told(self) -> None:
        """Each step of the wall clock is one line in the log, which a slow clock is not (case F13)."""
        events: list[dict[str, Any]] = []
        globalLogPublisher.addObserver(events.append)
        self.addCleanup(globalLogPublisher.removeObserver, events.append)

        def lines() -> list[str]:
            found = [str(format_event(each)) for each in events if "wall clock" in str(each["log_format"])]
            events.clear()
            return found

        self.until(TICK_SECONDS)
        self.assertEqual(lines(), [])
        self.shift = -10
        self.until(3 * TICK_SECONDS)
        (line,) = lines()
        self.assertIn("set back by 10.0 s", line)
        self.shift = 3600
        self.until(5 * TICK_SECONDS)
        (line,) = lines()
        self.assertIn("set forward by 3610.0 s", line)
        for pulse in range(5, 15):
            self.shift += 0.4
            self.until((pulse + 1) * TICK_SECONDS)
        self.assertEqual(lines(), [])

    def test_back_before_it(self) -> None:
        """A timer that fires too early for the wall clock tells of nothing and is set anew."""
        self.add(40, 1000)
        self.shift = -3
        self.until(43 - 0.01)
        self.assertEqual(self.one.notified(), [])
        self.until(43 + SOON)
        self.assertEqual(self.one.notified(), self.lists())


class FailureTests(_Case):
    """A database that fails."""

    def test_unavailable(self) -> None:
        """While the database cannot be used nothing is lost: it is reported when it can be again."""
        self.add(100, 60)
        self.one.shaky.failure = Unavailable("disk full")
        self.until(100 + SWEEP)
        self.assertEqual(self.one.notified(), [])
        self.one.shaky.failure = None
        self.until(100 + SWEEP + TICK_SECONDS)
        self.assertEqual(self.one.notified(), self.lists())
        self.add(2000, 60)
        self.until(2000 + SOON)
        self.assertEqual(self.one.notified(), self.lists())

    def test_defect(self) -> None:
        """A failure that nobody foresaw is logged, and it goes on."""
        self.add(100, 60)
        self.one.shaky.failure = ZeroDivisionError("a defect")
        self.until(100 + TICK_SECONDS)
        self.assertEqual(self.one.notified(), [])
        self.assertGreater(len(self.flushLoggedErrors(ZeroDivisionError)), 2)
        self.one.shaky.failure = None
        self.until(100 + 2 * TICK_SECONDS)
        self.assertEqual(self.one.notified(), self.lists())

    def test_at_the_start(self) -> None:
        """It starts although the database cannot be used yet."""
        self.one.scheduler.stopService()
        self.add(10, 60)
        self.until(20)
        self.one.shaky.failure = Unavailable("locked")
        self.one.scheduler.startService()
        self.one.shaky.failure = None
        self.until(20 + TICK_SECONDS)
        self.assertEqual(self.one.notified(), self.lists())


class StoreTests(_Case):
    """The pulse looks after the store as well."""

    def test_a_deleted_database(self) -> None:
        """That the file of the database was deleted is noticed within a pulse, by whoever asks (case F10)."""
        file = engine.file_of(self.url)
        assert file is not None
        self.until(TICK_SECONDS)
        file.unlink()
        with capturedLogs() as log:
            self.clock.advance(TICK_SECONDS)
            self.clock.advance(TICK_SECONDS)
        lines = [line["line"] for line in log if "line" in line]
        self.assertEqual(lines, [f"the database cannot be used: {file}: was deleted"])


class SweepTests(_Case):
    """Log events."""

    def test_rate(self) -> None:
        """They are gone over at the start and then at their rate, with the number that is kept of them."""
        asked: list[tuple[float, int]] = []
        sweep = module.logevents.sweep

        def counted(transaction: Transaction, keep: int, after: int) -> logevents.SweepResult:
            asked.append((self.clock.seconds(), keep))
            return sweep(transaction, keep, after)

        self.patch(module.logevents, "sweep", counted)
        self.one.scheduler.stopService()
        self.one.scheduler.startService()
        self.clock.pump([SWEEP / 2] * 5)
        self.assertEqual(asked, [(0, 10), (SWEEP, 10), (2 * SWEEP, 10)])

    def test_rate_that_was_set(self) -> None:
        """A rate that an operator sets counts from then on, also after a restart, until it is unset."""
        asked: list[float] = []
        sweep = module.logevents.sweep

        def counted(transaction: Transaction, keep: int, after: int) -> logevents.SweepResult:
            asked.append(self.clock.seconds())
            return sweep(transaction, keep, after)

        self.patch(module.logevents, "sweep", counted)
        self.clock.advance(10)
        self.write(lambda transaction: rates.set_general(transaction, "LogEventList", 60))
        self.clock.pump([30] * 4)
        self.assertEqual(asked, [70, 130])
        self.one.scheduler.stopService()
        self.one.scheduler.startService()
        self.clock.pump([30] * 2)
        self.assertEqual(asked[2:], [130, 190])
        self.write(lambda transaction: rates.set_general(transaction, "LogEventList", None))
        self.clock.pump([SWEEP / 2] * 2)
        self.assertEqual(asked[4:], [190 + SWEEP])
        self.write(lambda transaction: rates.set_general(transaction, "DERList", 60))
        self.clock.pump([60] * 2)
        self.assertEqual(len(asked), 5)

    def test_what_is_too_old(self) -> None:
        """What is older than it is kept goes in portions, with pauses between them (decision 47)."""

        def write(transaction: Transaction) -> None:
            row = {"who": "w", "action": "a", "subject": "s", "detail": ""}
            old = [{**row, "at": NOW - 800 * 86_400} for _ in range(2500)]
            transaction.connection.execute(sa.insert(audit), [*old, {**row, "at": NOW}])

        def left(connection: sa.Connection) -> int:
            return connection.scalar(sa.select(sa.func.count()).select_from(audit)) or 0

        self.successResultOf(self.one.database.write(write))
        self.one.scheduler.stopService()
        self.one.scheduler.startService()
        found = []
        for _ in range(4):
            found.append(self.successResultOf(self.one.database.read(left)))
            self.clock.advance(1)
        self.assertEqual(found, [1501, 501, 1, 1])

    def test_a_clock_that_was_set_ahead(self) -> None:
        """While the wall clock is years ahead nothing is removed for its age; set right, all goes on."""

        def write(transaction: Transaction) -> None:
            row = {"who": "w", "action": "a", "subject": "s", "detail": ""}
            rows = [{**row, "at": NOW}, {**row, "at": NOW - 800 * 86_400}]
            transaction.connection.execute(sa.insert(audit), rows)

        def left(connection: sa.Connection) -> list[int]:
            return list(connection.scalars(sa.select(audit.c.at)))

        self.successResultOf(self.one.database.write(write))
        self.shift = 3e8
        self.clock.pump([SWEEP / 2] * 4)
        self.assertEqual(len(self.successResultOf(self.one.database.read(left))), 2)
        self.shift = 0.0
        self.clock.pump([SWEEP / 2] * 4)
        self.assertEqual(self.successResultOf(self.one.database.read(left)), [NOW])

    def test_no_removal_after_the_stop(self) -> None:
        """What waits for its turn when the scheduler stops is left for the next start."""
        more = retention.Removed({"audit": 1000}, more=True)
        self.patch(module.retention, "sweep", lambda *asked: more)
        self.clock.advance(SWEEP)
        self.assertTrue(self.clock.getDelayedCalls())
        self.one.scheduler.stopService()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_what_is_beyond(self) -> None:
        """What is beyond the number goes, at the next sweep."""

        def set_up(transaction: Transaction) -> None:
            device = add_device(transaction, 1)
            body = codec.encode(MINIMAL["LogEvent"])
            rows = [
                {
                    "device": device,
                    "created_time": NOW,
                    "event_id": number,
                    "pen": 1,
                    "profile": 2,
                    "function_set": 0,
                    "code": 2,
                    "hidden": False,
                    "classified": True,
                    "received": NOW,
                    "body": body,
                }
                for number in range(15)
            ]
            transaction.connection.execute(sa.insert(table), rows)

        self.write(set_up)
        count = sa.select(sa.func.count()).select_from(table)
        for moment, left in ((SWEEP - 1, 15), (SWEEP, 10)):
            self.clock.advance(moment - self.clock.seconds())
            self.assertEqual(self.write(lambda t: t.connection.scalar(count)), left)

    def test_portions(self) -> None:
        """Many are gone over in portions, with pauses between them; what waits at the stop is left."""
        asked: list[tuple[float, int]] = []

        def sweep(transaction: Transaction, keep: int, after: int) -> logevents.SweepResult:
            asked.append((self.clock.seconds(), after))
            return logevents.SweepResult(1, 0, 0, 0, after + 7 if after < 14 else None)

        self.patch(module.logevents, "sweep", sweep)
        self.clock.pump([SWEEP, 0.5, 0.5, 1.0])
        self.assertEqual(asked, [(SWEEP, 0), (SWEEP + 1, 7), (SWEEP + 2, 14)])
        self.clock.advance(SWEEP - 2)
        self.assertEqual(asked[3:], [(2 * SWEEP, 0)])
        self.one.scheduler.stopService()
        self.clock.advance(1)
        self.assertEqual(len(asked), 4)
