"""Log events and alarms in the store."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa
from attrs import define, field
from hypothesis import given
from hypothesis import strategies as st
from twisted.logger import formatEvent as format_event
from twisted.trial.unittest import SynchronousTestCase

from csipd.db import alarms, audit, logevents
from csipd.db.database import Transaction
from csipd.db.logevents import SweepResult
from csipd.db.tables import alarms as alarm_table
from csipd.db.tables import counts
from csipd.db.tables import logevents as table
from csipd.refusals import Conflict, NotFound
from csipd.sep2 import resources as r
from csipd.sep2.paging import Page
from tests.support.store import NOW, add_device, store

ALL = Page(limit=500)
KEEP = 10
#: Codes of function set 11: raised, and normal again.
HIGH, NORMAL = 2, 3


def event(number: int = 1, at: int = NOW, **more: Any) -> r.LogEvent:
    """A log event that raises nothing."""
    given = {"functionSet": 19, "logEventCode": 0, "logEventPEN": 40732, "profileID": 2, **more}
    return r.LogEvent(createdDateTime=at, logEventID=number, **given)


@define
class Bench:
    """A store with two devices, and short ways to log."""

    transaction: Transaction
    device: int
    other: int
    _numbers: Iterator[int] = field(factory=lambda: iter(range(1, 10**6)))

    @property
    def connection(self) -> sa.Connection:
        return self.transaction.connection

    def post(
        self, logged: r.LogEvent, device: int | None = None, keep: int = KEEP, received: int = NOW
    ) -> int:
        """Post a log event; its number."""
        place = logevents.post(self.transaction, device or self.device, logged, keep, received)
        assert place.row.name == "LogEvent" and place.ids[0] == (device or self.device)
        return place.ids[1]

    def signal(
        self, code: int, at: int, function_set: int = 11, *, received: int = NOW + 10**7, **more: Any
    ) -> int:
        """Post a log event of an alarm, unlike any other, long after what it tells of."""
        logged = event(next(self._numbers), at, functionSet=function_set, logEventCode=code, **more)
        return self.post(logged, received=received)

    def shown(self, device: int | None = None) -> list[int]:
        """Numbers of the log events in the list of a device."""
        total, members = logevents.page(self.connection, device or self.device, ALL)
        assert (
            total
            == len(members)
            == logevents.counts(self.connection, [device or self.device]).get(device or self.device, 0)
        )
        return [place.ids[1] for place, _ in members]

    def known(self, device: int | None = None) -> list[int]:
        """Numbers of those in the operator's history."""
        return [one.number for one in logevents.listed(self.connection, device=device or self.device)[0]]

    def lasted(self, **which: Any) -> list[tuple[int, int | None]]:
        """When each alarm was raised and cleared."""
        found = alarms.listed(self.connection, **which)[0]
        return sorted(((one.raised, one.cleared) for one in found), key=lambda times: times[0])


@contextmanager
def bench() -> Iterator[Bench]:
    with store() as transaction:
        one, other = (add_device(transaction, number) for number in (1, 2))
        transaction.changed.clear()
        yield Bench(transaction, one, other)


class ListTests(SynchronousTestCase):
    """The list of a device."""

    def test_as_given(self) -> None:
        """A log event is given back as it was given, extensions too, by its number and in the list."""
        with bench() as b:
            given = event(details="x", extendedData=7, extensions=('<a xmlns="urn:x"></a>',))
            number = b.post(given)
            self.assertEqual(logevents.get(b.connection, b.device, number), given)
            (logged,) = logevents.listed(b.connection, device=b.device)[0]
            self.assertEqual((logged.event, logged.hidden, logged.received), (given, False, NOW))

    def test_whose(self) -> None:
        """A log event is its device's alone."""
        with bench() as b:
            mine, others = b.post(event()), b.post(event(), b.other)
            self.assertNotEqual(mine, others)
            self.assertEqual((b.shown(), b.shown(b.other)), ([mine], [others]))
            self.assertIsNone(logevents.get(b.connection, b.device, others))
            self.assertEqual(
                logevents.counts(b.connection, [b.device, b.other, 99]), {b.device: 1, b.other: 1}
            )

    @given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), max_size=8), st.data())
    def test_order(self, given: list[tuple[int, int]], data: st.DataObject) -> None:
        """The newest comes first, by createdDateTime and then logEventID, and pages are parts of that."""
        with bench() as b:
            sent = {b.post(event(number, at)): (at, number) for at, number in dict.fromkeys(given)}
            after = data.draw(st.none() | st.integers(-1, 5))
            wanted = sorted(
                (n for n, key in sent.items() if after is None or key[0] > after), key=sent.get, reverse=True
            )
            start, limit = data.draw(st.integers(0, 9)), data.draw(st.integers(0, 9))
            total, members = logevents.page(b.connection, b.device, Page(start, limit, after))
            self.assertEqual(total, len(wanted))
            self.assertEqual([place.ids[1] for place, _ in members], wanted[start : start + limit])

    def test_twice(self) -> None:
        """What was posted before is the one that there is, and is told to nobody."""
        with bench() as b:
            number = b.post(event())
            b.transaction.changed.clear()
            self.assertEqual(b.post(event(details="said again")), number)
            self.assertEqual(b.shown(), [number])
            self.assertEqual(b.transaction.changed, [])

    def test_not_twice(self) -> None:
        """A log event that differs in anything that makes it what it is is another."""
        with bench() as b:
            numbers = {
                b.post(one)
                for one in (
                    event(),
                    event(2),
                    event(at=NOW + 1),
                    event(logEventPEN=37244),
                    event(profileID=1),
                    event(functionSet=18),
                    event(logEventCode=1),
                )
            }
            self.assertEqual(len(numbers), 7)

    def test_oldest_goes(self) -> None:
        """When there is no more room what came first goes, from the list and for good."""
        with bench() as b:
            numbers = [b.post(event(n, NOW + n)) for n in range(KEEP)]
            other = b.post(event(), b.other)
            b.transaction.changed.clear()
            last = b.post(event(KEEP, NOW + KEEP))
            self.assertEqual(b.shown(), [last, *reversed(numbers[1:])])
            self.assertEqual(b.known(), [last, *reversed(numbers[1:])])
            self.assertEqual(b.shown(b.other), [other])
            here = f"/edev/{b.device}/lel"
            expected = {f"list {here}", f"document {here}/{last}", f"document {here}/{numbers[0]}"}
            self.assertEqual(set(b.transaction.changed), expected)

    def test_wrong_clock(self) -> None:
        """What a device has just told stays, even if its clock says that it was long ago."""
        with bench() as b:
            for n in range(KEEP):
                b.post(event(n, NOW + n))
            early = b.post(event(99, 0))
            self.assertEqual(len(b.shown()), KEEP)
            self.assertEqual(b.shown()[-1], early)


class HidingTests(SynchronousTestCase):
    """Log events that their device deletes."""

    def test_hidden(self) -> None:
        """What is deleted is out of the list and stays in the operator's history, marked."""
        with bench() as b:
            one, two = b.post(event(1)), b.post(event(2))
            b.transaction.changed.clear()
            logevents.hide(b.transaction, b.device, one, KEEP)
            here = f"/edev/{b.device}/lel"
            self.assertEqual(b.transaction.changed, [f"list {here}", f"document {here}/{one}"])
            self.assertEqual(b.shown(), [two])
            self.assertIsNone(logevents.get(b.connection, b.device, one))
            found = logevents.listed(b.connection, device=b.device)[0]
            self.assertEqual([(x.number, x.hidden) for x in found], [(two, False), (one, True)])

    def test_not_there(self) -> None:
        """What is not in the list of the device is not found: deleted already, another's, never there."""
        with bench() as b:
            one = b.post(event())
            for device, number in ((b.other, one), (b.device, 99)):
                self.assertRaises(NotFound, logevents.hide, b.transaction, device, number, KEEP)
            logevents.hide(b.transaction, b.device, one, KEEP)
            self.assertRaises(NotFound, logevents.hide, b.transaction, b.device, one, KEEP)

    def test_posted_again(self) -> None:
        """What is posted again after it was deleted is in the list again, as what it was."""
        with bench() as b:
            one = b.post(event())
            logevents.hide(b.transaction, b.device, one, KEEP)
            b.transaction.changed.clear()
            self.assertEqual(b.post(event()), one)
            self.assertEqual(b.shown(), [one])
            here = f"/edev/{b.device}/lel"
            self.assertEqual(b.transaction.changed, [f"list {here}", f"document {here}/{one}"])

    def test_room(self) -> None:
        """What is deleted takes no room in the list, and the history of it is bounded too."""
        with bench() as b:
            numbers = [b.post(event(n)) for n in range(KEEP)]
            for number in numbers[:3]:
                logevents.hide(b.transaction, b.device, number, KEEP)
            more = [b.post(event(100 + n)) for n in range(3)]
            self.assertEqual(sorted(b.known()), numbers + more)
            for n in range(3 * KEEP):
                logevents.hide(b.transaction, b.device, b.post(event(1000 + n)), KEEP)
            self.assertEqual(len(b.shown()), KEEP - 1)
            self.assertEqual(len(b.known()), 2 * KEEP - 1)


class AlarmTests(SynchronousTestCase):
    """What log events make of alarms."""

    def test_raised_and_cleared(self) -> None:
        """An alarm is open from the time that its log event tells, until the one of its end tells."""
        with bench() as b:
            b.signal(HIGH, NOW - 50, details="241 V")
            (alarm,) = alarms.listed(b.connection)[0]
            self.assertEqual(
                (alarm.device, alarm.function_set, alarm.code, alarm.raised, alarm.cleared, alarm.details),
                (b.device, 11, HIGH, NOW - 50, None, "241 V"),
            )
            self.assertEqual(alarm.name, "over voltage")
            self.assertEqual(alarms.number_open(b.connection), 1)
            b.signal(NORMAL, NOW - 20)
            (over,) = alarms.listed(b.connection)[0]
            self.assertEqual((over.number, over.cleared, over.details), (alarm.number, NOW - 20, "241 V"))
            self.assertEqual(alarms.number_open(b.connection), 0)

    def test_logged(self) -> None:
        """An alarm that is raised or cleared has a line: which device, what; escaped (case C2)."""
        with bench() as b:
            b.signal(HIGH, NOW - 50, details="241 V\nfake line")
            b.signal(NORMAL, NOW - 20)
            remarks = b.transaction.remarks
            lines = [
                format_event({"log_format": each.line, "peer": each.peer, **each.values}) for each in remarks
            ]
            lfdi = remarks[0].peer
            self.assertEqual(
                [line.partition(") ")[2] for line in lines],
                ["raised an alarm: over voltage, '241 V\\nfake line'", "cleared an alarm: over voltage"],
            )
            self.assertTrue(all(f"(LFDI {lfdi})" in line for line in lines), lines)

    def test_not_doubled(self) -> None:
        """An alarm that is open is not opened again, and one that is over may come again."""
        with bench() as b:
            for code, at in ((HIGH, 1), (HIGH, 2), (NORMAL, 3), (NORMAL, 4), (HIGH, 5)):
                b.signal(code, at)
            self.assertEqual(b.lasted(), [(1, 3), (5, None)])

    def test_posted_twice(self) -> None:
        """The same log event posted again does nothing to alarms."""
        with bench() as b:
            raised = event(1, 1, functionSet=11, logEventCode=HIGH)
            b.post(raised)
            b.signal(NORMAL, 2)
            b.post(raised)
            self.assertEqual(b.lasted(), [(1, 2)])

    def test_only_cleared(self) -> None:
        """An end without a beginning makes no alarm; it is in the log."""
        with bench() as b:
            number = b.signal(NORMAL, 5)
            self.assertEqual(b.lasted(), [])
            self.assertEqual(b.shown(), [number])

    def test_apart(self) -> None:
        """Alarms of other codes, function sets and devices have nothing to do with each other."""
        with bench() as b:
            b.signal(HIGH, 1)
            b.signal(4, 2)
            b.signal(0, 3, function_set=0)
            b.post(event(77, 4, functionSet=11, logEventCode=HIGH), b.other)
            b.signal(NORMAL, 5)
            self.assertEqual(b.lasted(device=b.device), [(1, 5), (2, None), (3, None)])
            self.assertEqual(b.lasted(device=b.other), [(4, None)])

    def test_no_alarms(self) -> None:
        """What a vendor's profile says, and codes of other function sets, raise nothing."""
        with bench() as b:
            b.signal(HIGH, 1, profileID=1)
            b.signal(HIGH, 2, function_set=19)
            self.assertEqual(b.lasted(), [])

    def test_software_fault(self) -> None:
        """A fault of which no end is ever told is over when it is reported."""
        with bench() as b:
            for at in (1, 2):
                b.signal(2, at, function_set=0)
            self.assertEqual(b.lasted(), [(1, 1), (2, 2)])
            self.assertEqual(alarms.number_open(b.connection), 0)

    @given(
        st.permutations([(HIGH, 1), (NORMAL, 3), (HIGH, 5), (HIGH, 6), (NORMAL, 8), (NORMAL, 9), (HIGH, 10)])
    )
    def test_any_order(self, signals: list[tuple[int, int]]) -> None:
        """Log events that arrive late or in another order make the alarms that their times tell of."""
        with bench() as b:
            for code, at in signals:
                b.signal(code, at)
            self.assertEqual(b.lasted(), [(1, 3), (5, 8), (10, None)])

    def test_dated_ahead(self) -> None:
        """A date later than the receipt counts as the receipt: a clear of now ends the alarm, and later pairs
        are alarms of their own (case A12)."""
        with bench() as b:
            b.signal(HIGH, NOW + 7200, received=NOW)
            self.assertEqual(b.lasted(open=True), [(NOW, None)])
            b.signal(NORMAL, NOW, received=NOW)
            self.assertEqual(b.lasted(), [(NOW, NOW)])
            b.signal(HIGH, NOW + 10, received=NOW + 11)
            b.signal(NORMAL, NOW + 20, received=NOW + 21)
            self.assertEqual(b.lasted(), [(NOW, NOW), (NOW + 10, NOW + 20)])

    def test_cleared_ahead(self) -> None:
        """A clear that is dated ahead ends the alarm when it comes, and none that begins later (case A12)."""
        with bench() as b:
            b.signal(HIGH, NOW, received=NOW)
            b.signal(NORMAL, NOW + 7200, received=NOW + 5)
            b.signal(HIGH, NOW + 10, received=NOW + 10)
            self.assertEqual(b.lasted(), [(NOW, NOW + 5), (NOW + 10, None)])

    def test_two_clocks(self) -> None:
        """A clear that is dated a little before the receipt of an alarm dated ahead is that alarm's, one of
        long before is not (case A12)."""
        for before, ends in ((1, NOW), (60, NOW), (61, None)):
            with bench() as b:
                b.signal(HIGH, NOW + 7200, received=NOW)
                b.signal(NORMAL, NOW - before, received=NOW + 1)
                self.assertEqual(b.lasted(), [(NOW, ends)])
        with bench() as b:
            b.signal(HIGH, NOW, received=NOW)
            b.signal(NORMAL, NOW - 1, received=NOW + 1)
            self.assertEqual(b.lasted(), [(NOW, None)])

    def test_taken_up_ahead(self) -> None:
        """What the sweep takes up goes by the same times (case A12)."""
        with bench() as b:
            b.signal(NORMAL, NOW + 5, received=NOW + 5)
            b.signal(HIGH, NOW + 7200, received=NOW)
            b.connection.execute(sa.delete(alarm_table))
            b.connection.execute(sa.update(table).values(classified=False))
            logevents.sweep(b.transaction, KEEP)
            self.assertEqual(b.lasted(), [(NOW, NOW + 5)])

    def test_closed(self) -> None:
        """An operator closes an alarm, which is in the audit log; raised again, it is another (case A12)."""
        with bench() as b:
            b.signal(HIGH, NOW - 50)
            (alarm,) = alarms.listed(b.connection)[0]
            closed = alarms.close(b.transaction, alarm.number, "ada", NOW)
            self.assertEqual((closed.raised, closed.cleared, closed.closed_by), (NOW - 50, NOW, "ada"))
            self.assertEqual(alarms.number_open(b.connection), 0)
            (line,) = audit.lines(b.connection, who="ada")[0]
            self.assertEqual((line.action, line.subject), ("close alarm", f"/edev/{b.device}"))
            self.assertRaises(Conflict, alarms.close, b.transaction, alarm.number, "ada", NOW)
            self.assertRaises(NotFound, alarms.close, b.transaction, 99, "ada", NOW)
            b.signal(HIGH, NOW - 40)
            self.assertEqual(b.lasted(), [(NOW - 50, NOW)])
            b.signal(HIGH, NOW + 1)
            self.assertEqual(b.lasted(), [(NOW - 50, NOW), (NOW + 1, None)])

    def test_cleared_after_all(self) -> None:
        """A device's own clear of before the operator's counts, and the operator is no longer named."""
        with bench() as b:
            b.signal(HIGH, NOW - 50)
            (alarm,) = alarms.listed(b.connection)[0]
            alarms.close(b.transaction, alarm.number, "ada", NOW)
            b.signal(NORMAL, NOW - 20)
            (found,) = alarms.listed(b.connection)[0]
            self.assertEqual((found.cleared, found.closed_by), (NOW - 20, None))

    def test_hidden_count(self) -> None:
        """A log event that its device deleted still tells of its time."""
        with bench() as b:
            logevents.hide(b.transaction, b.device, b.signal(NORMAL, 3), KEEP)
            b.signal(HIGH, 1)
            self.assertEqual(b.lasted(), [(1, 3)])

    def test_outlives_the_log(self) -> None:
        """An alarm stays open when the log event that raised it is gone."""
        with bench() as b:
            b.signal(HIGH, 1)
            for n in range(2 * KEEP):
                b.post(event(1000 + n))
            self.assertEqual(b.lasted(open=True), [(1, None)])

    def test_bounded(self) -> None:
        """Of the alarms of a device that are over the last are kept; none that is open ever goes."""
        self.patch(alarms, "MOST_OVER", 3)
        with bench() as b:
            b.signal(4, 0)
            for at in range(1, 12, 2):
                b.signal(HIGH, at)
                b.signal(NORMAL, at + 1)
            self.assertEqual(b.lasted(open=True), [(0, None)])
            self.assertEqual(len(b.lasted(open=False)), 3)
            self.assertEqual(b.lasted()[-1], (11, 12))

    def test_bounded_when_closed(self) -> None:
        """Those that the operator closes count among them."""
        self.patch(alarms, "MOST_OVER", 3)
        with bench() as b:
            for at in range(NOW, NOW + 120, 10):
                b.signal(HIGH, at)
                (alarm,) = alarms.listed(b.connection, open=True)[0]
                alarms.close(b.transaction, alarm.number, "ada", at + 5)
            self.assertEqual(len(b.lasted(open=False)), 3)


class SweepTests(SynchronousTestCase):
    """What the scheduler does."""

    def miss(self, b: Bench, logged: r.LogEvent) -> None:
        """Have a log event of which nobody has looked at."""
        number = b.post(logged)
        b.connection.execute(sa.update(table).where(table.c.id == number).values(classified=False))
        b.connection.execute(sa.delete(alarm_table))
        b.connection.execute(sa.delete(counts))

    def test_nothing_to_do(self) -> None:
        """Where everything is in its place a sweep changes nothing and counts what is there."""
        with bench() as b:
            self.assertEqual(logevents.sweep(b.transaction, KEEP), SweepResult(0, 0, 0, 0))
            b.signal(HIGH, 1)
            logevents.hide(b.transaction, b.device, b.post(event()), KEEP)
            b.transaction.changed.clear()
            self.assertEqual(logevents.sweep(b.transaction, KEEP), SweepResult(2, 0, 0, 1))
            self.assertEqual(b.transaction.changed, [])

    def test_portions(self) -> None:
        """One sweep goes over some devices, as many as have so many, and says where the next one goes on."""
        self.patch(logevents, "_LOOKED_AT", 2)
        with bench() as b:
            for device in (b.device, b.other):
                for number in range(3):
                    b.post(event(number, number), device)
            first = logevents.sweep(b.transaction, 2)
            self.assertEqual(first, SweepResult(2, 1, 0, 0, b.device))
            # Of those that are left, the first device has no more than it may.
            self.assertEqual(len(logevents.listed(b.connection, device=b.other)[0]), 3)
            second = logevents.sweep(b.transaction, 2, b.device)
            self.assertEqual(second, SweepResult(2, 1, 0, 0, b.other))
            self.assertEqual(logevents.sweep(b.transaction, 2, b.other), SweepResult(0, 0, 0, 0))

    def test_missed(self) -> None:
        """What was not looked at is, in the order of what it tells, once."""
        with bench() as b:
            self.miss(b, event(2, 8, functionSet=11, logEventCode=NORMAL))
            self.miss(b, event(1, 5, functionSet=11, logEventCode=HIGH, details="x"))
            self.miss(b, event(3, 9, functionSet=11, logEventCode=HIGH))
            self.assertEqual(logevents.sweep(b.transaction, KEEP), SweepResult(3, 0, 3, 1))
            self.assertEqual(b.lasted(), [(5, 8), (9, None)])
            self.assertEqual(logevents.sweep(b.transaction, KEEP), SweepResult(3, 0, 0, 1))

    def test_fewer_are_kept(self) -> None:
        """After the number was lowered what came first goes, of what is shown and of what is hidden."""
        with bench() as b:
            numbers = [b.post(event(n), keep=50) for n in range(40)]
            for number in numbers[:20]:
                logevents.hide(b.transaction, b.device, number, 50)
            other = b.post(event(), b.other)
            b.transaction.changed.clear()
            self.assertEqual(logevents.sweep(b.transaction, KEEP), SweepResult(21, 20, 0, 0))
            self.assertEqual(sorted(b.known()), numbers[10:20] + numbers[30:])
            self.assertEqual(sorted(b.shown()), numbers[30:])
            self.assertEqual(b.shown(b.other), [other])
            gone = {f"document /edev/{b.device}/lel/{number}" for number in numbers[20:30]}
            self.assertEqual(set(b.transaction.changed), {f"list /edev/{b.device}/lel", *gone})

    def test_by_an_index(self) -> None:
        """What was missed is found without looking at what was not."""
        with bench() as b:
            plan = b.connection.execute(
                sa.text("EXPLAIN QUERY PLAN SELECT id FROM logevents WHERE classified = 0")
            )
            self.assertIn("ix_logevents_unclassified", str(plan.all()))
            said = str(sa.not_(table.c.classified).compile(b.connection))
            self.assertEqual(said, "logevents.classified = 0")


class HistoryTests(SynchronousTestCase):
    """What the operator reads."""

    def test_log_pages(self) -> None:
        """The log of a device is read from its end, a page at a time."""
        with bench() as b:
            numbers = [b.post(event(n, NOW - n)) for n in range(5)]
            found: list[int] = []
            before = None
            while page := logevents.listed(b.connection, device=b.device, before=before, limit=2)[0]:
                found += [one.number for one in page]
                before = found[-1]
            self.assertEqual(found, numbers[::-1])
            self.assertEqual(logevents.listed(b.connection, device=b.other)[0], [])

    def test_alarm_pages(self) -> None:
        """Alarms are read from the last on, of all or one device, open or over or both."""
        with bench() as b:
            for code in (0, 2, 4):
                b.signal(code, code)
            b.signal(NORMAL, 9)
            b.post(event(77, 4, functionSet=11, logEventCode=HIGH), b.other)

            def codes(**which: Any) -> list[tuple[int, int]]:
                return [(one.device, one.code) for one in alarms.listed(b.connection, **which)[0]]

            mine = [(b.device, 4), (b.device, 2), (b.device, 0)]
            self.assertEqual(codes(), [(b.other, 2), *mine])
            self.assertEqual(codes(device=b.device), mine)
            self.assertEqual(codes(device=b.device, open=True), [mine[0], mine[2]])
            self.assertEqual(codes(open=False), [mine[1]])
            last = alarms.listed(b.connection, limit=2)[0][-1]
            self.assertEqual(codes(before=last.number), mine[1:])
