"""What is kept has an age, and nothing grows by repetition."""

from __future__ import annotations

from decimal import Decimal

import sqlalchemy as sa
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from csipd.db import (
    audit,
    controls,
    delivery_rounds,
    der_reports,
    devices,
    groups,
    old_readings,
    rates,
    registration,
    retention,
    rollups,
    segments,
    series,
    subscriptions,
    tally,
)
from csipd.db.retention import Removed
from csipd.db.series import Sample
from csipd.db.tables import (
    abilities,
    alarms,
    contacts,
    deliveries,
    device_rates,
    fleets,
    former_settings,
    late_hours,
    memberships,
    metadata,
    readings,
    receivers,
    responses,
    watched,
)
from csipd.db.tables import audit as audit_table
from csipd.db.tables import controls as controls_table
from csipd.db.tables import rates as rates_table
from csipd.db.tables import rollups as rollups_table
from csipd.db.tables import series as series_table
from csipd.db.tables import subscriptions as subscriptions_table
from csipd.der.retention import Retention
from csipd.sep2 import resources as r
from tests.support.store import ISSUER, NOW, add_device, add_group, add_program, lfdi, store

DAY = 86_400
KEPT = Retention()


class _Case(SynchronousTestCase):
    def setUp(self) -> None:
        opened = store()
        self.transaction = opened.__enter__()
        self.addCleanup(opened.__exit__, None, None, None)
        self.connection = self.transaction.connection

    def number(self, table: sa.Table) -> int:
        return self.connection.scalar(sa.select(sa.func.count()).select_from(table)) or 0

    def rows(self) -> int:
        """The rows of all tables together."""
        return sum(map(self.number, metadata.sorted_tables))

    def sweep(self, now: int) -> Removed:
        return retention.sweep(self.transaction, KEPT, now)

    def control(self, program: int, start: int) -> int:
        document = r.DERControl(
            mRID="0",
            creationTime=start,
            EventStatus=r.EventStatus(currentStatus=0, dateTime=start, potentiallySuperseded=False),
            interval=r.DateTimeInterval(start=start, duration=600),
            DERControlBase=r.DERControlBase(opModMaxLimW=50),
        )
        return controls.add(self.transaction, ISSUER, program, document).ids[1]

    def response(self, device: int, control: int, number: int) -> None:
        values = {
            "control": control,
            "subject": f"{control:032X}",
            "lfdi": lfdi(1),
            "device": device,
            "status": 1,
            "received": NOW,
            "created_time": NOW + number,
            "body": b"",
        }
        self.connection.execute(sa.insert(responses).values(**values))


class AgeTests(_Case):
    """What goes, and when."""

    def test_controls(self) -> None:
        """A control goes 400 days after its end, with all Responses to it and none to another."""
        device = add_device(self.transaction, 1)
        program = add_program(self.transaction, add_group(self.transaction, "G"), "P")
        old, young = self.control(program, NOW), self.control(program, NOW + 3 * DAY)
        for number in range(3):
            self.response(device, old, number)
            self.response(device, young, number)
        self.assertEqual(self.sweep(NOW + 600 + 400 * DAY), Removed({}, more=False))
        self.assertEqual(self.sweep(NOW + 601 + 400 * DAY), Removed({"controls": 4}, more=False))
        self.assertEqual(list(self.connection.scalars(sa.select(controls_table.c.id))), [young])
        self.assertEqual(self.number(responses), 3)

    def test_at_most_so_many(self) -> None:
        """One transaction removes a bounded number of rows, a control last of all that belongs to it."""
        device = add_device(self.transaction, 1)
        program = add_program(self.transaction, add_group(self.transaction, "G"), "P")
        control = self.control(program, NOW)
        for number in range(25):
            self.response(device, control, number)
        self.patch(retention, "AT_ONCE", 10)
        later = NOW + 500 * DAY
        found = [self.sweep(later) for _ in range(4)]
        expected = [Removed({"controls": 10}, True)] * 2 + [
            Removed({"controls": 6}, False),
            Removed({}, False),
        ]
        self.assertEqual(found, expected)
        self.assertEqual((self.number(responses), self.number(controls_table)), (0, 0))

    def test_alarms(self) -> None:
        """An alarm goes two years after it was over; one that is open stays, however old."""
        device = add_device(self.transaction, 1)
        row = {"device": device, "function_set": 11, "code": 0, "raised": NOW - 10}
        self.connection.execute(
            sa.insert(alarms),
            [{**row, "cleared": NOW}, {**row, "cleared": NOW + DAY}, {**row, "cleared": None}],
        )
        self.assertEqual(self.sweep(NOW + 731 * DAY + 1), Removed({"alarms": 1}, more=False))
        self.assertEqual(self.sweep(NOW + 7310 * DAY), Removed({"alarms": 1}, more=False))

    def test_refusals(self) -> None:
        """What a device was refused is forgotten after 30 days; when it was heard of last is not."""
        device, other = (add_device(self.transaction, number) for number in (1, 2))
        row = {"at": NOW, "host": "192.0.2.1", "refusals": 3, "reason": "404"}
        self.connection.execute(
            sa.insert(contacts),
            [{**row, "device": device, "refused": NOW}, {**row, "device": other, "refused": NOW + DAY}],
        )
        self.assertEqual(self.sweep(NOW + 30 * DAY + 1), Removed({"refusals": 1}, more=False))
        found = {line.device: tuple(line) for line in self.connection.execute(sa.select(contacts))}
        self.assertEqual(found[device], (device, NOW, "192.0.2.1", 0, None, None))
        self.assertEqual(found[other], (other, NOW, "192.0.2.1", 3, NOW + DAY, "404"))
        self.assertEqual(self.sweep(NOW + 30 * DAY + 1), Removed({}, more=False))

    def test_audit(self) -> None:
        """A line of the audit log goes after two years."""
        for at in (NOW, NOW + DAY):
            audit.record(self.transaction, at, "alice", "add", "x")
        self.assertEqual(self.sweep(NOW + 731 * DAY + 1), Removed({"audit": 1}, more=False))
        self.assertEqual([line.at for line in audit.lines(self.connection)[0]], [NOW + DAY])

    def test_audit_by_number(self) -> None:
        """Devices' lines have a bound together, and do not drive out anybody else's."""
        self.patch(retention, "MOST_AUDIT_LINES", 5)
        for number in range(8):
            audit.record(self.transaction, NOW, "alice", "add", f"{number}")
        for device in range(9):
            audit.record(self.transaction, NOW, lfdi(device), "put", "x", device=device)
        self.assertEqual(self.sweep(NOW), Removed({"audit": 3 + 4}, more=False))
        left = [(line.who, line.subject) for line in audit.lines(self.connection)[0]]
        self.assertEqual(left[:5], [(lfdi(device), "x") for device in (8, 7, 6, 5, 4)])
        self.assertEqual(left[5:], [("alice", f"{number}") for number in (7, 6, 5, 4, 3)])

    def test_audit_of_the_bus(self) -> None:
        """Lines of the bus have a bound of their own among those of operators, whom they do not drive out."""
        self.patch(retention, "MOST_AUDIT_LINES", 5)
        self.patch(retention, "MOST_PLATFORM_LINES", 2)
        for number in range(4):
            audit.record(self.transaction, NOW, "alice", "add", f"{number}")
        for number in range(9):
            audit.record(self.transaction, NOW, audit.PLATFORM, "create", f"{number}")
        self.assertEqual(self.sweep(NOW), Removed({"audit": 7}, more=False))
        left = [(line.who, line.subject) for line in audit.lines(self.connection)[0]]
        self.assertEqual(left[:2], [(audit.PLATFORM, f"{number}") for number in (8, 7)])
        self.assertEqual(left[2:], [("alice", f"{number}") for number in (3, 2, 1, 0)])

    def test_memberships(self) -> None:
        """A membership that has ended is kept as long as a control that is kept may be for its device."""
        device = add_device(self.transaction, 1)
        group = add_group(self.transaction, "G")
        program = add_program(self.transaction, group, "P")
        devices.join(self.transaction, device, group, NOW - 1000)
        devices.leave(self.transaction, device, group, NOW + 60)
        self.control(program, NOW)
        self.assertEqual(self.sweep(NOW + 100 * DAY), Removed({}, more=False))
        later = NOW + 601 + 400 * DAY
        self.assertEqual(self.sweep(later), Removed({"controls": 1, "memberships": 1}, more=False))

    def test_memberships_of_readings(self) -> None:
        """One stays as long as there is anything that was read while it held, or before it ended."""
        device = add_device(self.transaction, 1)
        group = add_group(self.transaction, "G")
        devices.join(self.transaction, device, group, NOW - 1000)
        devices.leave(self.transaction, device, group, NOW + 60)
        segments.open_segment(self.transaction, 1, device, r.ReadingType(uom=38), True, NOW)
        self.assertEqual(self.sweep(NOW + 4000 * DAY), Removed({}, more=False))
        segments.end(self.transaction, 1, NOW)
        old_readings.remove(self.transaction, KEPT, NOW)
        self.assertEqual(self.sweep(NOW + 4000 * DAY), Removed({"memberships": 1}, more=False))

    def test_memberships_that_hold(self) -> None:
        """One that has not ended stays, and so does one that has just ended."""
        device = add_device(self.transaction, 1)
        groups = [add_group(self.transaction, name) for name in "AB"]
        for group in groups:
            devices.join(self.transaction, device, group, NOW)
        devices.leave(self.transaction, device, groups[0], NOW + 60)
        self.assertEqual(self.sweep(NOW + 60), Removed({}, more=False))
        self.assertEqual(self.number(memberships), 2)


class RepetitionTests(_Case):
    """A peer that repeats something leaves no more behind than once (case F7)."""

    def grown(self, rounds: int, step: object) -> int:
        """How many rows there are more after so many rounds than after two."""
        assert callable(step)
        for number in range(2):
            step(number)
        before = self.rows()
        for number in range(2, 2 + rounds):
            step(number)
        return self.rows() - before

    def test_modes(self) -> None:
        """A new modesSupported each time leaves no row behind (case F7)."""
        group = add_group(self.transaction, "G")
        device = add_device(self.transaction, 1)
        devices.join(self.transaction, device, group, NOW)

        def step(number: int) -> None:
            devices.update(self.transaction, device, modes=number)

        self.assertEqual(self.grown(50, step), 0)
        found = self.connection.execute(sa.select(abilities)).all()
        self.assertEqual([tuple(row) for row in found], [(group, 51, 0, 1)])

    def test_registered_in_turn(self) -> None:
        """An aggregator that registers and unregisters a device in turn leaves a bounded number (case F7)."""
        group = add_group(self.transaction, "G")
        manager = add_device(self.transaction, 1, aggregator=True)
        device = add_device(self.transaction, 2, manager=manager)
        devices.join(self.transaction, device, group, NOW)
        self.patch(audit, "LINES_OF_DEVICE", 2)

        def step(number: int) -> None:
            registration.unregister(self.transaction, device, lfdi(1), NOW)
            known = devices.find(self.connection, lfdi(2))
            assert known is not None
            devices.make_end_device(self.transaction, known, NOW)

        self.assertEqual(self.grown(50, step), 0)

    def test_fleets(self) -> None:
        """A fleet that left a group leaves no row behind."""
        group = add_group(self.transaction, "G")
        manager = add_device(self.transaction, 1, aggregator=True)
        device = add_device(self.transaction, 2, manager=manager)
        devices.join(self.transaction, device, group, NOW)
        devices.leave(self.transaction, device, group, NOW + 1)
        self.assertEqual((self.number(fleets), self.number(abilities)), (0, 0))

    def test_what_was_delivered(self) -> None:
        """Totals of a control are one row for each mode, however often it is gone over, and go with it."""
        program = add_program(self.transaction, add_group(self.transaction, "G"), "P")
        number = self.control(program, NOW)
        nothing = {"opModMaxLimW": delivery_rounds.Sums({}, Decimal(0), Decimal(0))}

        def step(now: int) -> None:
            delivery_rounds.keep_totals(self.transaction, number, nothing, NOW + now, final=False)

        self.assertEqual(self.grown(20, step), 0)
        self.assertEqual(self.number(deliveries), 1)
        self.sweep(NOW + 600 + 400 * DAY + 1)
        self.assertEqual((self.number(deliveries), self.number(controls_table)), (0, 0))
        step(99)
        self.assertEqual(self.number(deliveries), 0, "a round that was at work leaves none behind")

    def test_late_hours(self) -> None:
        """Hours that came late are made again and forgotten, also of series that are removed."""
        device = add_device(self.transaction, 1)
        segment = segments.open_segment(self.transaction, 1, device, r.ReadingType(uom=38), True, NOW)
        number = segment.number
        day = [Sample(NOW + 3600 * hour, 60, hour) for hour in range(48)]

        def post(later: int) -> None:
            present = segments.of_number(self.transaction.connection, number)
            moved = [evolve(one, value=later) for one in day]
            series.store(self.transaction, present, moved, NOW + 49 * 3600)

        def roll() -> None:
            for make in (rollups.roll, rollups.roll_late):
                rounds, after = rollups.Rounds(), 0
                while after is not None:
                    after = rounds(make(self.transaction, NOW + 50 * 3600, after))

        def step(later: int) -> None:
            post(later)
            self.assertLessEqual(self.number(late_hours), 48)
            roll()
            self.assertEqual(self.number(late_hours), 0)

        post(0)
        roll()
        self.assertEqual(self.grown(3, step), 0)
        post(9)
        self.assertEqual(self.number(late_hours), 48)
        self.connection.execute(sa.update(series_table).values(doomed=True))
        while old_readings.remove_doomed(self.transaction).following is not None:
            pass
        left = [self.number(table) for table in (late_hours, series_table, readings, rollups_table)]
        self.assertEqual(left, [0, 0, 0, 0])

    def test_former_settings(self) -> None:
        """Of each DER so many former settings are kept, and none for longer than a control."""
        device = add_device(self.transaction, 1)
        self.patch(der_reports, "MOST_FORMER", 2)

        def settings(watts: int) -> r.DERSettings:
            power = r.ActivePower(multiplier=0, value=watts)
            return r.DERSettings(setGradW=100, setMaxW=power, updatedTime=NOW)

        def step(number: int) -> None:
            before, after = settings(number), settings(number + 1)
            der_reports.keep_former(self.transaction, device, 1, before, after, NOW + number)

        self.assertEqual(self.grown(20, step), 0)
        self.assertEqual(self.number(former_settings), 2)
        self.sweep(NOW + 401 * DAY)
        self.assertEqual(self.number(former_settings), 0)

    def test_rates(self) -> None:
        """There are as many rates as groups and devices have one: of a group that is removed none is left."""
        device = add_device(self.transaction, 1)
        parent = add_group(self.transaction, "G")

        def step(number: int) -> None:
            group = add_group(self.transaction, f"G{number}", parent)
            for seconds in (60, 120, 300):
                rates.set_general(self.transaction, "DERProgramList", seconds)
                rates.set_of_group(self.transaction, "DERProgramList", group, seconds)
                rates.set_of_device(self.transaction, "DERProgramList", device, seconds, NOW)
            groups.remove(self.transaction, group)

        self.assertEqual(self.grown(10, step), 0)
        self.assertEqual((self.number(rates_table), self.number(device_rates)), (1, 1))
        rates.set_of_device(self.transaction, "DERProgramList", device, None, NOW)
        rates.set_general(self.transaction, "DERProgramList", None)
        self.assertEqual((self.number(rates_table), self.number(device_rates)), (0, 0))

    def test_lines_of_a_device(self) -> None:
        """What one device does again and again drives out its own lines, and nobody else's (case F7, B9)."""
        audit.record(self.transaction, NOW, "alice", "add", "x")
        audit.record(self.transaction, NOW, lfdi(2), "put", "x", device=2)

        def step(number: int) -> None:
            for _ in range(audit.LINES_OF_DEVICE // 2):
                audit.record(self.transaction, NOW, lfdi(1), "put", f"{number}", device=1)

        self.assertEqual(self.grown(3, step), 0)
        self.assertEqual(self.number(audit_table), audit.LINES_OF_DEVICE + 2)

    def test_long_details(self) -> None:
        """What a line says has a bound."""
        audit.record(self.transaction, NOW, "alice", "add", "x", "y" * 100_000)
        (line,) = audit.lines(self.connection)[0]
        self.assertEqual(len(line.detail), audit.LONGEST_DETAIL)


class ReceiverTests(SynchronousTestCase):
    """Receivers of Notifications go with their subscriptions."""

    @given(st.lists(st.tuples(st.integers(0, 5), st.integers(1, 3), st.integers(1, 3)), max_size=25))
    def test_receivers(self, steps: list[tuple[int, int, int]]) -> None:
        """Whatever becomes of subscriptions, the receivers are those that they go to."""
        with store() as transaction:
            connection = transaction.connection
            device = add_device(transaction, 1)
            look = subscriptions.Look(b"", frozenset(["device 1"]))
            now = NOW
            for what, which, host in steps:
                now += 3600
                name = f"r{host}.example"
                wanted = subscriptions.Wanted(
                    f"/derp/{which}", f"/derp/{which}", f"https://{name}/", name, 443, "-S1", 1
                )
                found = connection.scalars(
                    sa.select(subscriptions_table.c.id).limit(1).offset(which - 1)
                ).first()
                if what == 0 or found is None:
                    known = subscriptions_table.c.href == wanted.href, subscriptions_table.c.uri == wanted.uri
                    live = sa.select(subscriptions_table.c.id).where(
                        *known, subscriptions_table.c.cancelled.is_(None)
                    )
                    if connection.scalar(live) is None:
                        subscriptions.add(transaction, device, wanted, look, now + 9_000, now)
                elif what == 1:
                    subscriptions.remove(transaction, found)
                elif what == 2:
                    subscriptions.cancel(transaction, found, now)
                elif what == 3:
                    moved = evolve(wanted, href=f"/derp/{found}", uri=f"https://{name}/{found}/{now}")
                    subscriptions.change(transaction, device, found, moved, None, now + 9_000)
                else:
                    subscriptions.expire(transaction, now, 10)
                kept = set(connection.scalars(sa.select(receivers.c.id)))
                used = set(connection.scalars(sa.select(subscriptions_table.c.receiver)))
                self.assertEqual(kept, used)
                live_now = sa.select(sa.func.count()).where(subscriptions_table.c.cancelled.is_(None))
                number = tally.numbers(connection, [tally.SUBSCRIPTIONS])[tally.SUBSCRIPTIONS]
                self.assertEqual(number, connection.scalar(live_now))
            subscriptions.expire(transaction, now + 10**6, 100)
            subscriptions.expire(transaction, now + 10**7, 100)
            left = [
                connection.scalar(sa.select(sa.func.count()).select_from(t)) for t in (receivers, watched)
            ]
            self.assertEqual(left, [0, 0])
