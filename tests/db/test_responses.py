"""Responses in the store: who may give them, who sees them, and what the operator counts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from attrs import define, field
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from csipd.db import (
    controls,
    devices,
    facts,
    programs,
    rates,
    response_counts,
    response_history,
    response_list,
    responses,
)
from csipd.db.controls import StoredControl
from csipd.db.database import Transaction
from csipd.db.response_counts import ResponseCounts
from csipd.der import responses as rules
from csipd.der.access import Caller, Standing
from csipd.der.responses import ResponseKind
from csipd.refusals import BadRequest, Forbidden, Full
from csipd.sep2 import resources as r
from csipd.sep2.mrid import Kind
from csipd.sep2.paging import Page
from csipd.sep2.site import locate
from tests.support.store import ISSUER, NOW, add_device, add_group, add_program, lfdi, statements, store

EVERY = Page(limit=500)
POLL = 600
LATE = NOW + 100_000


@define
class Bench:
    """A utility: a feeder below a system with a program each, devices, an aggregator with a fleet.

    Devices 1 and 2 are at the feeder, 3 and 4 in the system, 3 and 9 of the aggregator's, 9 in no group.
    """

    transaction: Transaction
    system: int
    feeder: int
    above: int
    program: int
    numbers: dict[int, int] = field(factory=dict)

    def caller(self, device: int, aggregator: bool = False) -> Caller:
        number = self.numbers[device]
        owner = devices.owner(self.transaction.connection, number)
        manager = None if owner is None else owner.manager
        return Caller(lfdi(device), 0, Standing.REGISTERED, number, aggregator, manager=manager)

    def event(
        self,
        program: int | None = None,
        *,
        start: int = NOW + 1000,
        duration: int = 600,
        created: int = NOW,
        required: int = 3,
        **more: Any,
    ) -> tuple[int, str]:
        """A control: its number and mRID."""
        made = r.DERControl(
            mRID="0",
            creationTime=created,
            EventStatus=r.EventStatus(currentStatus=0, dateTime=created, potentiallySuperseded=False),
            interval=r.DateTimeInterval(duration=duration, start=start),
            DERControlBase=r.DERControlBase(opModFixedW=1),
            replyTo=responses.REPLY_TO,
            responseRequired=required,
            **more,
        )
        place = controls.add(self.transaction, ISSUER, program or self.program, made)
        return place.ids[1], ISSUER.mrid(Kind.CONTROL, place.ids[1])

    def kept(self, number: int, now: int) -> StoredControl:
        found = controls.find(self.transaction.connection, number, now)
        assert found is not None
        return found

    def say(
        self,
        device: int,
        subject: str,
        status: int | None = 1,
        *,
        by: Caller | None = None,
        now: int = NOW,
        created: int | None = NOW,
    ) -> int:
        """Post a response; its number."""
        body = r.DERControlResponse(
            createdDateTime=created, endDeviceLFDI=lfdi(device), status=status, subject=subject
        )
        place = responses.post(self.transaction, by or self.caller(device), body, now)
        assert place.href == f"{responses.REPLY_TO}/{place.ids[1]}"
        return place.ids[1]

    def seen(self, asker: Caller) -> list[int]:
        """Numbers of the responses in the list of a caller."""
        total, members, _ = response_list.page(self.transaction.connection, asker, EVERY)
        assert total == len(members) == response_list.count(self.transaction.connection, asker)
        return [place.ids[1] for place, _ in members]

    def flags(self) -> list[str | None]:
        return [one.flagged for one in response_history.listed(self.transaction.connection)[0]][::-1]

    def answers(self, number: int, now: int) -> ResponseCounts:
        connection = self.transaction.connection
        (found,) = response_counts.answers(connection, [self.kept(number, now)], POLL, now)
        return found


@contextmanager
def bench() -> Iterator[Bench]:
    with store() as transaction:
        system = add_group(transaction, "System", level=0)
        feeder = add_group(transaction, "Feeder", system, level=3)
        above, program = (
            add_program(transaction, group, name) for group, name in ((system, "SY"), (feeder, "FD"))
        )
        b = Bench(transaction, system, feeder, above, program)
        b.numbers[8] = add_device(transaction, 8, aggregator=True, now=NOW - 100)
        for device in (1, 2, 3, 4, 9):
            manager = b.numbers[8] if device in (3, 9) else None
            b.numbers[device] = add_device(transaction, device, manager=manager, now=NOW - 100)
        for device, group in ((1, feeder), (2, feeder), (3, system), (4, system)):
            devices.join(transaction, b.numbers[device], group, NOW - 100)
        transaction.changed.clear()
        yield b


class PostTests(SynchronousTestCase):
    """Giving responses."""

    def test_where(self) -> None:
        """Events are answered to a place that takes responses."""
        place = locate(responses.REPLY_TO)
        assert place is not None
        self.assertEqual((place.row.name, place.ids), ("ResponseList", (responses.SET,)))

    def test_as_given(self) -> None:
        """A response is given back as it was given, of whatever kind, extensions too."""
        with bench() as b:
            _, mrid = b.event()
            given = r.DrResponse(
                createdDateTime=NOW,
                endDeviceLFDI=lfdi(1),
                status=2,
                subject=mrid,
                overrideDuration=7,
                extensions=('<a xmlns="urn:x"></a>',),
            )
            place = responses.post(b.transaction, b.caller(1), given, NOW)
            found = response_list.get(b.transaction.connection, b.caller(1), place.ids[1])
            self.assertEqual(found, given)
            self.assertEqual(b.transaction.changed[-1], facts.responses(b.numbers[1]))

    def test_in_the_history(self) -> None:
        """The operator sees who said what to which event, when, and what it means."""
        with bench() as b:
            number, mrid = b.event()
            said = b.say(1, mrid, 4, now=NOW + 5)
            (found,) = response_history.listed(b.transaction.connection)[0]
            self.assertEqual(
                found,
                response_history.StoredResponse(
                    said, number, mrid, lfdi(1), b.numbers[1], 4, NOW, NOW + 5, None
                ),
            )
            self.assertEqual(found.meaning, "user opted out")

    def test_for_whom(self) -> None:
        """A device answers for itself, an aggregator for itself and its fleet; for others it is forbidden."""
        with bench() as b:
            _, mrid = b.event(b.above)
            aggregator = b.caller(8, aggregator=True)
            b.say(1, mrid)
            b.say(3, mrid)
            for device in (3, 8, 9):
                b.say(device, mrid, 2, by=aggregator)
            with self.assertRaises(Forbidden):
                b.say(1, mrid, 2, by=b.caller(2))
            with self.assertRaises(Forbidden):
                b.say(1, mrid, 2, by=aggregator)
            with self.assertRaises(Forbidden):
                b.say(8, mrid, 2, by=b.caller(3))

    def test_for_nobody(self) -> None:
        """Nobody answers for what is no EndDevice: unheard of, only listed, shut out."""
        with bench() as b:
            _, mrid = b.event()
            aggregator = b.caller(8, aggregator=True)
            add_device(b.transaction, 10, manager=b.numbers[8], registered=False)
            devices.withdraw(b.transaction, lfdi(9), "operator", NOW)
            for device in (9, 10, 11):
                with self.assertRaises(Forbidden):
                    b.say(device, mrid, by=aggregator)

    def test_twice(self) -> None:
        """What a device has said already is not doubled, whoever says it."""
        with bench() as b:
            _, mrid = b.event(b.above)
            for status in (1, None, 251):
                said = b.say(3, mrid, status)
                b.transaction.changed.clear()
                again = b.say(3, mrid, status, by=b.caller(8, aggregator=True), now=NOW + 9)
                self.assertEqual(again, said)
                self.assertEqual(b.say(3, mrid, status, created=None), said)
                self.assertEqual(b.transaction.changed, [])
            self.assertEqual(len(b.seen(b.caller(3))), 3)

    def test_in_and_out(self) -> None:
        """A device that opts out, in, out and in again is kept with each of them (case A3)."""
        for times in ((NOW, NOW + 1, NOW + 2, NOW + 3, NOW + 4), (None,) * 5):
            with bench() as b:
                number, mrid = b.event()
                said = [
                    b.say(1, mrid, status, created=created, now=NOW + 5)
                    for status, created in zip((1, 4, 5, 4, 5), times, strict=True)
                ]
                self.assertEqual(len(set(said)), 5)
                self.assertEqual(len(b.seen(b.caller(1))), 5)
                counted = b.answers(number, NOW + 5).said
                self.assertEqual((counted[ResponseKind.RECEIVED], counted[ResponseKind.OPTED_OUT]), (1, 0))
                b.say(1, mrid, 4, created=NOW + 6, now=NOW + 6)
                self.assertEqual(b.answers(number, NOW + 6).said[ResponseKind.OPTED_OUT], 1)

    def test_late(self) -> None:
        """An answer that comes late does not say where the device stands, nor one dated ahead (case A3)."""
        with bench() as b:
            number, mrid = b.event()
            b.say(1, mrid, 5, created=NOW + 10, now=NOW + 11)
            b.say(1, mrid, 4, created=NOW + 9, now=NOW + 12)
            self.assertEqual(b.answers(number, NOW + 12).said[ResponseKind.OPTED_OUT], 0)
            b.say(2, mrid, 4, created=NOW + 7200, now=NOW + 10)
            b.say(2, mrid, 5, created=NOW + 11, now=NOW + 11)
            self.assertEqual(b.answers(number, NOW + 12).said[ResponseKind.OPTED_OUT], 0)

    def test_bounded(self) -> None:
        """So many are kept of a device to one event; there is room for others besides (case F6)."""
        with bench() as b:
            _, mrid = b.event()
            _, other = b.event()
            for n in range(responses.MOST_TO_EVENT):
                b.say(1, mrid, 4 + n % 2, created=NOW + n, now=NOW + 100)
            with self.assertRaises(Full):
                b.say(1, mrid, 3, created=NOW + 100, now=NOW + 100)
            # A repeat is no more than there is already.
            b.say(1, mrid, 4, created=NOW, now=NOW + 101)
            b.say(1, other)
            b.say(2, mrid)

    def test_status(self) -> None:
        """A status that means nothing is refused; whose Response it is, is asked first (case A4)."""
        with bench() as b:
            _, mrid = b.event()
            for status in (0, 15, 16, 200, 250, 255):
                with self.assertRaises(BadRequest):
                    b.say(1, mrid, status)
            with self.assertRaises(Forbidden):
                b.say(1, mrid, 15, by=b.caller(2))
            self.assertEqual(b.seen(b.caller(1)), [])

    def test_not_twice(self) -> None:
        """Another status, event or device is another response."""
        with bench() as b:
            _, one = b.event(b.above)
            _, other = b.event(b.above)
            said = {b.say(1, one), b.say(1, one, 2), b.say(1, other), b.say(2, one), b.say(1, "F" * 32)}
            self.assertEqual(len(said), 5)

    def test_flagged(self) -> None:
        """What is strange about a response is noted; it is kept all the same."""
        with bench() as b:
            number, mrid = b.event()
            own, own_mrid = b.event(programs.own_program(b.numbers[2]))
            b.say(1, mrid)
            b.say(1, "F" * 32)
            b.say(4, mrid)
            b.say(1, mrid, None)
            b.say(1, own_mrid)
            b.say(2, own_mrid)
            others = "the event is not for this device"
            self.assertEqual(
                b.flags(),
                [
                    None,
                    "the event is not known",
                    others,
                    "there is no status",
                    others,
                    None,
                ],
            )
            found = response_history.listed(b.transaction.connection)[0][::-1]
            self.assertEqual([one.control for one in found], [number, None, number, number, own, own])

    def test_moved(self) -> None:
        """An event was for those who were in its group when it was made or at any time since."""
        with bench() as b:
            devices.leave(b.transaction, b.numbers[1], b.feeder, NOW + 50)
            devices.join(b.transaction, b.numbers[4], b.feeder, NOW + 60)
            _, before = b.event(created=NOW)
            _, after = b.event(created=NOW + 55)
            for device, subject in ((1, before), (1, after), (4, before)):
                b.say(device, subject, now=NOW + 70)
            self.assertEqual(b.flags(), [None, "the event is not for this device", None])

    def test_capped(self) -> None:
        """What is said to events that are not known has a bound; it keeps nothing else out (case A5)."""
        self.patch(responses, "MOST_UNADDRESSED", 3)
        with bench() as b:
            _, mrid = b.event(b.above)
            _, other = b.event(programs.own_program(b.numbers[2]))
            for n in range(3):
                b.say(1, f"{n:032X}")
            with self.assertRaises(Full):
                b.say(1, f"{9:032X}")
            with self.assertRaises(Full):
                b.say(1, other)
            b.say(1, f"{1:032X}")
            for status in (1, None, 251):
                b.say(1, mrid, status)
            b.say(2, f"{9:032X}")
            self.assertEqual(len(b.seen(b.caller(1))), 6)

    def test_capped_apart(self) -> None:
        """What an event for the device asks for does not count to what is kept of others (case A5)."""
        self.patch(responses, "MOST_UNADDRESSED", 3)
        with bench() as b:
            for _ in range(4):
                b.say(1, b.event()[1], None)
            for n in range(3):
                b.say(1, f"{n:032X}")

    def test_room_again(self) -> None:
        """After a month what was flagged makes room; what was right never goes."""
        self.patch(responses, "MOST_UNADDRESSED", 3)
        with bench() as b:
            _, mrid = b.event(b.above)
            fine = b.say(1, mrid)
            for n in range(3):
                b.say(1, f"{n:032X}", now=NOW + n)
            month = NOW + 1 + responses.UNADDRESSED_KEPT
            with self.assertRaises(Full):
                b.say(1, f"{9:032X}", now=month - 1)
            b.say(1, f"{9:032X}", now=month)
            self.assertEqual(len(b.seen(b.caller(1))), 4)
            self.assertIn(fine, b.seen(b.caller(1)))


class ListTests(SynchronousTestCase):
    """The ResponseList, which each caller sees its own part of."""

    def test_whose(self) -> None:
        """A device sees its own, an aggregator its fleet's, nobody another's."""
        with bench() as b:
            _, mrid = b.event(b.above)
            said = {device: b.say(device, mrid) for device in (1, 2, 3, 8, 9)}
            aggregator = b.caller(8, aggregator=True)
            for asker, own in ((b.caller(1), {1}), (b.caller(3), {3}), (aggregator, {3, 8, 9})):
                self.assertEqual(set(b.seen(asker)), {said[device] for device in own})
                for device, number in said.items():
                    found = response_list.get(b.transaction.connection, asker, number)
                    self.assertEqual(found is not None, device in own)
            devices.update(b.transaction, b.numbers[3], manager=None)
            self.assertEqual(set(b.seen(aggregator)), {said[8], said[9]})

    @given(
        st.lists(
            st.tuples(st.none() | st.integers(0, 3), st.sampled_from([3, 9]), st.integers(1, 3)),
            unique_by=lambda one: one[1:],
        ),
        st.integers(0, 7),
        st.integers(0, 7),
        st.none() | st.integers(-1, 4),
    )
    def test_order(
        self, given: list[tuple[int | None, int, int]], start: int, limit: int, after: int | None
    ) -> None:
        """The newest come first, those without a time last, and then by LFDI; pages are parts of that."""
        with bench() as b:
            _, mrid = b.event(b.above)
            sent = {}
            for created, device, status in given:
                number = b.say(device, mrid, status, created=created)
                sent[number] = (-(created or 0), lfdi(device), -number)
            wanted = sorted(
                (n for n, key in sent.items() if after is None or -key[0] > after), key=sent.__getitem__
            )
            asker = b.caller(8, aggregator=True)
            total, members, _ = response_list.page(b.transaction.connection, asker, Page(start, limit, after))
            self.assertEqual(total, len(wanted))
            self.assertEqual([place.ids[1] for place, _ in members], wanted[start : start + limit])


class HistoryTests(SynchronousTestCase):
    """What the operator reads."""

    def test_filters(self) -> None:
        """Responses are read from the last on, of one event or device, flagged or not, page by page."""
        with bench() as b:
            number, mrid = b.event(b.above)
            first = b.say(1, mrid)
            strange = b.say(1, "F" * 32)
            other = b.say(2, mrid)
            last = b.say(1, mrid, 2)

            def found(**which: Any) -> list[int]:
                return [one.number for one in response_history.listed(b.transaction.connection, **which)[0]]

            self.assertEqual(found(), [last, other, strange, first])
            self.assertEqual(found(control=number), [last, other, first])
            self.assertEqual(found(device=b.numbers[1]), [last, strange, first])
            self.assertEqual(found(flagged=True), [strange])
            self.assertEqual(found(flagged=False, device=b.numbers[1]), [last, first])
            self.assertEqual(found(limit=2), [last, other])
            self.assertEqual(found(limit=2, before=other), [strange, first])
            self.assertEqual(found(control=99), [])


class AnswerTests(SynchronousTestCase):
    """Who has answered an event."""

    def counts(self, found: ResponseCounts) -> dict[str, int]:
        return {one.value: number for one, number in found.said.items() if number}

    def test_counted(self) -> None:
        """Each device counts once for each kind of thing that it said; those who owe an answer are named."""
        with bench() as b:
            number, mrid = b.event(b.above)
            for device, said in ((1, (1, 2, 3)), (2, (1, 11, 5)), (3, (1, 2, 14)), (4, ())):
                for status in said:
                    b.say(device, mrid, status)
            found = b.answers(number, LATE)
            self.assertEqual((found.control, found.asked), (number, 4))
            self.assertEqual(
                self.counts(found), {"received": 3, "started": 2, "completed": 1, "superseded": 1}
            )
            self.assertEqual(set(found.said), set(ResponseKind))
            silent = sorted((b.numbers[2], b.numbers[4]))
            self.assertEqual((found.silent, list(found.sample)), (2, silent))

    def test_in_time(self) -> None:
        """Nobody is silent before an answer is due and two poll rates and the randomisation have passed."""
        with bench() as b:
            number, mrid = b.event(b.program, randomizeStart=300)
            b.say(1, mrid)
            for now, silent in ((NOW + 2 * POLL, []), (NOW + 2 * POLL + 1, [2])):
                self.assertEqual(b.answers(number, now).sample, tuple(b.numbers[d] for d in silent))
            due = NOW + 1300 + 2 * POLL
            for now, silent in ((due, [2]), (due + 1, [1, 2])):
                self.assertEqual(b.answers(number, now).sample, tuple(b.numbers[d] for d in silent))

    def test_own_rates(self) -> None:
        """A device has two polls at the rate that counts for it: its own, a group's or the general one."""
        with bench() as b:
            number, _ = b.event(b.above, start=NOW + 10**6)
            connection = b.transaction.connection
            feeder, system = (programs.group_of(connection, one) for one in (b.program, b.above))

            def silent(after: int) -> list[int]:
                found = b.answers(number, NOW + after + 1).sample
                return sorted(device for device, known in b.numbers.items() if known in found)

            self.assertEqual((silent(2 * POLL - 1), silent(2 * POLL)), ([], [1, 2, 3, 4]))
            rates.set_of_group(b.transaction, "DERProgramList", system, 100)
            self.assertEqual((silent(199), silent(200)), ([], [1, 2, 3, 4]))
            rates.set_of_group(b.transaction, "DERProgramList", feeder, 1000)
            self.assertEqual((silent(199), silent(200), silent(2000)), ([], [3, 4], [1, 2, 3, 4]))
            rates.set_of_device(b.transaction, "DERProgramList", b.numbers[1], 10, NOW)
            rates.set_of_device(b.transaction, "DERProgramList", b.numbers[3], 5000, NOW)
            rates.set_of_device(b.transaction, "DERList", b.numbers[4], 1, NOW)
            self.assertEqual((silent(19), silent(20), silent(200)), ([], [1], [1, 4]))
            self.assertEqual((silent(2000), silent(10_000)), ([1, 2, 4], [1, 2, 3, 4]))

    def test_strangers(self) -> None:
        """What those say that were not asked does not count."""
        with bench() as b:
            number, mrid = b.event(b.program)
            for device in (3, 4, 9):
                b.say(device, mrid, by=b.caller(8, aggregator=True) if device == 9 else None)
            found = b.answers(number, NOW)
            self.assertEqual((found.asked, self.counts(found)), (2, {}))

    def test_own_program(self) -> None:
        """An event of a device's own program was for that device."""
        with bench() as b:
            number, mrid = b.event(programs.own_program(b.numbers[9]))
            found = b.answers(number, LATE)
            self.assertEqual((found.asked, found.sample), (1, (b.numbers[9],)))
            b.say(9, mrid, 6)
            found = b.answers(number, LATE)
            self.assertEqual((found.silent, self.counts(found)), (0, {"cancelled": 1}))

    def test_who_is_asked(self) -> None:
        """Those are asked that were there when the event began: members, registered, neither gone nor shut
        out."""
        with bench() as b:
            number, _ = b.event(b.program, start=NOW + 1000)
            begins = NOW + 1000
            move, leave = devices.join, devices.leave
            move(b.transaction, b.numbers[3], b.feeder, begins)
            move(b.transaction, b.numbers[4], b.feeder, begins + 1)
            leave(b.transaction, b.numbers[1], b.feeder, begins)
            move(b.transaction, b.numbers[8], b.feeder, NOW)
            asked = [2, 3]

            def check() -> None:
                self.assertEqual(b.answers(number, LATE).sample, tuple(b.numbers[d] for d in asked))

            check()
            leave(b.transaction, b.numbers[2], b.feeder, begins + 1)
            check()
            devices.withdraw(b.transaction, lfdi(2), "operator", begins + 1)
            check()
            devices.update(b.transaction, b.numbers[3], retired=begins)
            asked.remove(3)
            check()
            devices.update(b.transaction, b.numbers[3], retired=None, registered=begins + 1)
            check()

    def test_categories(self) -> None:
        """Of an event for some categories only devices of these are counted and silent; one of unknown
        category once it answers, since it knows that it was meant (case A22)."""
        with bench() as b:
            number, mrid = b.event(b.above, deviceCategory=6)
            for device, category in ((1, 4), (2, 1), (3, 0), (4, None)):
                devices.update(b.transaction, b.numbers[device], device_category=category)
            found = b.answers(number, LATE)
            self.assertEqual((found.asked, found.silent, found.sample), (1, 1, (b.numbers[1],)))
            b.say(4, mrid, 1)
            found = b.answers(number, LATE)
            self.assertEqual((found.asked, found.sample), (2, (b.numbers[1], b.numbers[4])))
            self.assertEqual(self.counts(found), {"received": 1})

    def test_not_required(self) -> None:
        """Nobody is silent who was not to say anything."""
        with bench() as b:
            number, _ = b.event(b.above, required=0)
            found = b.answers(number, LATE)
            self.assertEqual((found.asked, found.silent, found.sample), (4, 0, ()))

    def test_several(self) -> None:
        """Several events are counted each by itself, in the order in which they were asked for."""
        with bench() as b:
            one, mrid = b.event(b.above)
            other, _ = b.event(b.program)
            b.say(1, mrid, 2)
            kept = [b.kept(number, NOW) for number in (other, one)]
            found = response_counts.answers(b.transaction.connection, kept, POLL, NOW)
            self.assertEqual([answer.control for answer in found], [other, one])
            self.assertEqual([answer.asked for answer in found], [2, 4])
            self.assertEqual([answer.said[ResponseKind.STARTED] for answer in found], [0, 1])

    def test_sample(self) -> None:
        """Some of the silent ones are named, all are counted, and many need no more statements than few."""
        self.patch(response_counts, "SAMPLE", 2)
        with bench() as b:
            number, _ = b.event(b.above)
            kept = b.kept(number, LATE)

            def ask() -> tuple[ResponseCounts, int]:
                with statements(b.transaction) as said:
                    (found,) = response_counts.answers(b.transaction.connection, [kept], POLL, LATE)
                return found, len(said)

            few, needed = ask()
            for device in range(20, 50):
                b.numbers[device] = add_device(b.transaction, device, now=NOW - 100)
                devices.join(b.transaction, b.numbers[device], b.system, NOW - 100)
            many, still = ask()
            self.assertEqual((few.silent, many.silent), (4, 34))
            self.assertEqual((few.sample, many.sample), (tuple(sorted(few.sample)), few.sample))
            self.assertEqual(len(few.sample), 2)
            self.assertEqual(needed, still)

    @given(
        st.lists(
            st.lists(st.sampled_from([*rules.MEANINGS, None]), max_size=6),
            min_size=2,
            max_size=2,
        ),
        st.integers(0, 3),
        st.none() | st.tuples(st.integers(0, 2000), st.booleans()),
        st.integers(0, 4000),
    )
    def test_as_the_rules_say(
        self, said: list[list[int | None]], required: int, cancelled: tuple[int, bool] | None, after: int
    ) -> None:
        """Whoever said whatever, silent are those that the rule for one device calls so."""
        with bench() as b:
            number, mrid = b.event(b.program, randomizeStart=200, required=required)
            if cancelled is not None:
                controls.cancel(b.transaction, number, cancelled[1], None, NOW + cancelled[0])
            for device, given in enumerate(said, 1):
                for moment, status in enumerate(given):
                    b.say(device, mrid, status, created=NOW + moment, now=NOW + 10)
            now = NOW + after
            kept = b.kept(number, now)
            silent = [
                b.numbers[device]
                for device, given in enumerate(said, 1)
                if rules.silent(given, kept.event, kept.status, required, POLL, now)
            ]
            found = b.answers(number, now)
            self.assertEqual((found.asked, found.silent, list(found.sample)), (2, len(silent), silent))
            for kind, devices_in_it in found.said.items():
                expected = sum(kind in rules.stands(given) for given in said)
                self.assertEqual(devices_in_it, expected)
