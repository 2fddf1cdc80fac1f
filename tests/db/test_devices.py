"""EndDevices: what a certificate is to the store, registration, fleets, withdrawal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from csipd.db import (
    addressees,
    device_list,
    devices,
    documents,
    fleet_list,
    group_counts,
    group_devices,
    registration,
)
from csipd.db.database import Transaction
from csipd.db.tables import audit
from csipd.db.tables import devices as table
from csipd.der.access import Caller, Owner, Policy, Standing
from csipd.refusals import BadRequest, Duplicate, Forbidden, Full, NotFound
from csipd.sep2 import identity
from csipd.sep2 import resources as r
from csipd.sep2.paging import Page
from csipd.sep2.site import ROWS, Place
from tests.support.store import NOW, add_device, add_group, lfdi, store

OUT_OF_BAND = Policy()
IN_BAND = Policy(in_band=True)
ANYONE = Policy(in_band=True, anyone=True)
POLICIES = (OUT_OF_BAND, IN_BAND, ANYONE)
MAY_ADD = Policy(in_band=True, aggregators_may_add=True)
#: What may have become of a device of a fleet.
STATES = ("shown", "listed", "withdrawn", "retired", "another's")


def end_device(number: int, **more: Any) -> r.EndDevice:
    """What the device of that number POSTs of itself."""
    name = lfdi(number)
    given: dict[str, Any] = {"lFDI": name, "sFDI": identity.sfdi(name), "changedTime": 0, **more}
    return r.EndDevice(**given)


class _Asking(SynchronousTestCase):
    """Questions to a store, and what may be done in it."""

    transaction: Transaction

    @property
    def connection(self) -> sa.Connection:
        return self.transaction.connection

    def caller(self, number: int, policy: Policy = IN_BAND) -> Caller:
        """What the certificate of that device is at this moment."""
        return devices.caller(self.connection, lfdi(number), identity.sfdi(lfdi(number)), policy)

    def register(self, who: int, body: r.EndDevice, policy: Policy = IN_BAND, now: int = NOW) -> Place:
        return registration.register(self.transaction, self.caller(who, policy), body, policy, now)

    def refused(self, why: type[Exception], who: int, body: r.EndDevice, policy: Policy = IN_BAND) -> Any:
        return self.assertRaises(why, self.register, who, body, policy)

    def log(self) -> list[tuple[str, str, str]]:
        """Who did what to whom, by the audit log."""
        query = sa.select(audit.c.who, audit.c.action, audit.c.subject).order_by(audit.c.id)
        return [tuple(row) for row in self.connection.execute(query)]

    def shown(self, who: int, part: Page = documents.ALL) -> tuple[int, list[int]]:
        """How many EndDevices a caller sees, and the numbers of those on a page."""
        total, members, _ = fleet_list.page(self.connection, self.caller(who), part)
        return total, [place.ids[0] for place, _ in members]


class _Case(_Asking):
    """With a store of its own."""

    def setUp(self) -> None:
        opened = store()
        self.transaction = opened.__enter__()
        self.addCleanup(opened.__exit__, None, None, None)


class StandingTests(_Case):
    """What a certificate is to the store."""

    def test_unknown(self) -> None:
        """A certificate on no list is unknown, unless anyone may register."""
        self.assertEqual(self.caller(1).standing, Standing.UNKNOWN)
        self.assertEqual(self.caller(1, ANYONE).standing, Standing.LISTED)
        self.assertIsNone(self.caller(1, ANYONE).device)

    def test_listed(self) -> None:
        """One that may register, and has not, is listed and has no EndDevice."""
        add_device(self.transaction, 1, registered=False)
        add_device(self.transaction, 2, registered=False, aggregator=True)
        for policy in POLICIES:
            caller = self.caller(1, policy)
            self.assertEqual((caller.standing, caller.device), (Standing.LISTED, None))
        self.assertTrue(self.caller(2).aggregator)

    def test_registered(self) -> None:
        """One that has registered is its EndDevice."""
        device, boss = add_device(self.transaction, 1), add_device(self.transaction, 2, aggregator=True)
        self.assertEqual(
            self.caller(1), Caller(lfdi(1), identity.sfdi(lfdi(1)), Standing.REGISTERED, device, False)
        )
        self.assertEqual((self.caller(2).device, self.caller(2).aggregator), (boss, True))

    def test_shut_out(self) -> None:
        """A withdrawn or retired one is unknown whatever it was, even where anyone may register."""
        for number, registered in enumerate((True, True, False, False)):
            device = add_device(self.transaction, number, registered=registered)
            if number % 2:
                devices.withdraw(self.transaction, lfdi(number), "operator", NOW)
            else:
                devices.update(self.transaction, device, retired=NOW)
            for policy in POLICIES:
                caller = self.caller(number, policy)
                self.assertEqual((caller.standing, caller.device), (Standing.UNKNOWN, None))
            self.refused(Forbidden, number, end_device(number), ANYONE)
            self.assertIsNone(devices.owner(self.connection, device))
            self.assertIsNone(devices.end_device(self.connection, device))
            self.assertIsNone(devices.registration(self.connection, device))

    def test_owner(self) -> None:
        """The owner of what lies below an EndDevice is the device and its aggregator."""
        boss = add_device(self.transaction, 1, aggregator=True)
        managed, direct = add_device(self.transaction, 2, manager=boss), add_device(self.transaction, 3)
        listed = add_device(self.transaction, 4, registered=False)
        found = [devices.owner(self.connection, device) for device in (boss, managed, direct, listed, 99)]
        self.assertEqual(found, [Owner(boss, boss), Owner(managed, boss), Owner(direct), None, None])

    def test_found_by_name_and_lfdi(self) -> None:
        """A device is found by either, and by nothing else."""
        device = add_device(self.transaction, 1)
        by_lfdi = devices.find(self.connection, lfdi(1))
        assert by_lfdi is not None
        self.assertEqual((by_lfdi.id, by_lfdi.registered, by_lfdi.admitted), (device, NOW, True))
        self.assertEqual(devices.find_by_name(self.connection, "dev1"), by_lfdi)
        self.assertIsNone(devices.find(self.connection, "dev1"))
        self.assertIsNone(devices.find_by_name(self.connection, lfdi(1)))


class SoughtTests(_Case):
    """Parts of a fleet's list that are sought behind an EndDevice (decision 55)."""

    def test_like_skipped(self) -> None:
        """They are those that an offset gives, also where many have one changedTime."""
        boss = add_device(self.transaction, 1, aggregator=True)
        for number in range(2, 14):
            device = add_device(self.transaction, number, manager=boss)
            devices.update(self.transaction, device, changed_time=NOW + number // 5)
        asker = self.caller(1)
        for limit in (1, 3, 20):
            for start in range(1, 14):
                _, _, before = fleet_list.page(self.connection, asker, Page(start - 1, 1))
                part = Page(start, limit)
                sought = fleet_list.page(self.connection, asker, part, before)
                self.assertEqual(sought, fleet_list.page(self.connection, asker, part))


class DirectTests(_Case):
    """A device registers itself (CSIP IG 6.1.4)."""

    def test_listed(self) -> None:
        """A listed device that POSTs its EndDevice gets one, as it says, with a DER."""
        add_device(self.transaction, 1, registered=False)
        place = self.register(1, end_device(1, deviceCategory=0x200000, postRate=60), now=NOW + 5)
        self.assertEqual(place.row.name, "EndDevice")
        self.assertEqual(
            devices.end_device(self.connection, place.ids[0]),
            r.EndDevice(
                lFDI=lfdi(1),
                sFDI=identity.sfdi(lfdi(1)),
                changedTime=NOW + 5,
                deviceCategory=0x200000,
                postRate=60,
                enabled=True,
            ),
        )
        self.assertEqual(self.caller(1).device, place.ids[0])
        self.assertEqual(documents.counts(self.connection, [f"{place.href}/der"]), {f"{place.href}/der": 1})
        self.assertEqual(self.log(), [(lfdi(1), "register", place.href)])

    def test_sfdi_is_enough(self) -> None:
        """A body without an LFDI speaks for the certificate that it comes with."""
        add_device(self.transaction, 1, registered=False)
        place = self.register(1, end_device(1).replace(lFDI=None))
        self.assertEqual(self.caller(1).device, place.ids[0])

    def test_silence_keeps_what_is_known(self) -> None:
        """What a body does not say stays as the list has it."""
        device = add_device(self.transaction, 1, registered=False)
        devices.update(self.transaction, device, device_category=64, post_rate=30)
        self.register(1, end_device(1))
        kept = devices.end_device(self.connection, device)
        assert kept is not None
        self.assertEqual((kept.deviceCategory, kept.postRate), (64, 30))

    def test_twice(self) -> None:
        """One that is registered already is told where, in every mode, and nothing changes."""
        for number, policy in enumerate(POLICIES):
            device = add_device(self.transaction, number)
            before = devices.end_device(self.connection, device)
            refusal = self.refused(Duplicate, number, end_device(number, deviceCategory=1), policy)
            self.assertEqual(refusal.href, f"/edev/{device}")
            self.assertEqual(devices.end_device(self.connection, device), before)

    def test_on_no_list(self) -> None:
        """A certificate on no list may register only where anyone may."""
        for policy in (OUT_OF_BAND, IN_BAND):
            self.refused(Forbidden, 1, end_device(1), policy)
        place = self.register(1, end_device(1), ANYONE)
        self.assertEqual(self.shown(1), (1, [place.ids[0]]))

    def test_out_of_band(self) -> None:
        """Where the operator registers, a listed device does not."""
        add_device(self.transaction, 1, registered=False)
        self.refused(Forbidden, 1, end_device(1), OUT_OF_BAND)

    def test_of_another(self) -> None:
        """Nobody registers with another's LFDI or SFDI, listed or not, registered or not."""
        add_device(self.transaction, 1)
        add_device(self.transaction, 2, registered=False)
        for other in (2, 3):
            for policy in POLICIES:
                self.refused(Forbidden, 1, end_device(other), policy)
        self.refused(Forbidden, 2, end_device(2, sFDI=identity.sfdi(lfdi(3))))
        self.refused(Forbidden, 2, end_device(2, lFDI=None, sFDI=identity.sfdi(lfdi(3))))

    def test_again_after_being_removed(self) -> None:
        """An EndDevice that its aggregator removed may be registered again, and is the one it was."""
        boss = add_device(self.transaction, 1, aggregator=True)
        device = add_device(self.transaction, 2, manager=boss)
        registration.unregister(self.transaction, device, lfdi(1), NOW)
        self.assertEqual(self.caller(2).standing, Standing.LISTED)
        self.assertEqual(self.register(2, end_device(2)).ids, (device,))
        here = f"/edev/{device}"
        self.assertEqual(self.log(), [(lfdi(1), "unregister", here), (lfdi(2), "register", here)])


class FleetTests(_Case):
    """An aggregator registers and removes the devices of its fleet (CSIP IG 6.1.5)."""

    def setUp(self) -> None:
        super().setUp()
        self.boss = add_device(self.transaction, 1, aggregator=True)

    def test_listed_for_it(self) -> None:
        """A device that is listed for an aggregator is registered by it."""
        device = add_device(self.transaction, 2, manager=self.boss, registered=False)
        self.assertEqual(self.register(1, end_device(2)).ids, (device,))
        self.assertEqual(devices.owner(self.connection, device), Owner(device, self.boss))

    def test_on_no_list(self) -> None:
        """An LFDI that nobody has, which need be no certificate's, becomes one of its fleet where the policy
        lets it (case A10)."""
        for policy in POLICIES:
            self.refused(Forbidden, 1, end_device(2), policy)
        place = self.register(1, end_device(2), MAY_ADD)
        self.assertEqual(devices.owner(self.connection, place.ids[0]), Owner(place.ids[0], self.boss))
        self.assertEqual(self.log(), [(lfdi(1), "register", place.href)])

    def test_second_claim(self) -> None:
        """What one aggregator has is refused to another, and so is a direct device."""
        add_device(self.transaction, 3, aggregator=True)
        self.register(1, end_device(2), MAY_ADD)
        add_device(self.transaction, 4, registered=False)
        for other in (1, 2, 4):
            self.refused(Forbidden, 3, end_device(other), MAY_ADD)

    def test_bounded(self) -> None:
        """The LFDIs that an aggregator adds have a bound, those that it unregistered among them; what is
        there already it may register again and again (case F7)."""
        self.patch(devices, "MOST_ADDED", 3)
        places = [self.register(1, end_device(number), MAY_ADD) for number in (2, 3, 4)]
        rows = self.connection.scalar(sa.select(sa.func.count()).select_from(table))
        self.refused(Full, 1, end_device(5), MAY_ADD)
        for _ in range(3):
            registration.unregister(self.transaction, places[0].ids[0], lfdi(1), NOW)
            self.refused(Full, 1, end_device(5), MAY_ADD)
            self.assertEqual(self.register(1, end_device(2), MAY_ADD), places[0])
        add_device(self.transaction, 6, manager=self.boss, registered=False)
        self.register(1, end_device(6), MAY_ADD)
        self.assertEqual(self.connection.scalar(sa.select(sa.func.count()).select_from(table)), rows + 1)

    def test_itself_first(self) -> None:
        """An aggregator that has not registered registers nobody, and learns of nobody."""
        add_device(self.transaction, 3, aggregator=True, registered=False)
        add_device(self.transaction, 4)
        for other in (1, 4, 5):
            self.refused(Forbidden, 3, end_device(other))
        place = self.register(3, end_device(3))
        self.assertEqual(documents.counts(self.connection, [f"{place.href}/der"]), {}, "it is no DER")

    def test_out_of_band(self) -> None:
        """Where the operator registers, an aggregator does not either."""
        add_device(self.transaction, 2, manager=self.boss, registered=False)
        for number in (2, 3):
            self.refused(Forbidden, 1, end_device(number), OUT_OF_BAND)

    def test_shut_out(self) -> None:
        """What the operator has withdrawn its aggregator does not bring back."""
        add_device(self.transaction, 2, manager=self.boss)
        devices.withdraw(self.transaction, lfdi(2), "operator", NOW)
        self.refused(Forbidden, 1, end_device(2))

    def test_removed(self) -> None:
        """An EndDevice that is removed is no longer shown, keeps its documents, and is not removed twice."""
        device = add_device(self.transaction, 2, manager=self.boss)
        self.assertEqual(self.shown(1)[0], 2)
        registration.unregister(self.transaction, device, lfdi(1), NOW)
        self.assertEqual(self.shown(1), (1, [self.boss]))
        self.assertRaises(NotFound, registration.unregister, self.transaction, device, lfdi(1), NOW)
        self.assertEqual(documents.counts(self.connection, [f"/edev/{device}/der"])[f"/edev/{device}/der"], 1)


class ListTests(_Case):
    """The EndDeviceList, which is another one for every caller."""

    def test_a_device_sees_itself(self) -> None:
        """A device sees its own EndDevice, managed or not, and no other."""
        boss = add_device(self.transaction, 1, aggregator=True)
        for number, manager in ((2, boss), (3, None)):
            device = add_device(self.transaction, number, manager=manager)
            for part, seen in (
                (documents.ALL, (1, [device])),
                (Page(start=1), (1, [])),
                (Page(limit=0), (1, [])),
                (Page(after=NOW - 1), (1, [device])),
                (Page(after=NOW), (0, [])),
            ):
                self.assertEqual(self.shown(number, part), seen)

    def test_without_an_end_device(self) -> None:
        """A caller without an EndDevice sees an empty list."""
        add_device(self.transaction, 1)
        add_device(self.transaction, 2, registered=False)
        for number in (2, 3):
            self.assertEqual(self.shown(number), (0, []))


class FleetListTests(_Asking):
    """The EndDeviceList of an aggregator."""

    @given(
        st.lists(st.tuples(st.integers(0, 3), st.sampled_from(STATES))),
        st.integers(0, 4),
        st.integers(0, 4),
        st.none() | st.integers(-1, 4),
    )
    def test_fleet(self, fleet: list[tuple[int, str]], start: int, limit: int, after: int | None) -> None:
        """An aggregator sees itself and its fleet, newest first, then by SFDI; counts and pages are right."""
        with store() as transaction:
            self.transaction = transaction
            boss = add_device(transaction, 0, aggregator=True)
            expected = [(-NOW, identity.sfdi(lfdi(0)), boss)]
            for number, (age, state) in enumerate(fleet, 1):
                device = add_device(
                    transaction,
                    number,
                    manager=None if state == "another's" else boss,
                    registered=state != "listed",
                    now=NOW + age,
                )
                if state == "withdrawn":
                    devices.withdraw(transaction, lfdi(number), "operator", NOW)
                elif state == "retired":
                    devices.update(transaction, device, retired=NOW)
                elif state == "shown":
                    expected.append((-NOW - age, identity.sfdi(lfdi(number)), device))
            moment = None if after is None else NOW + after
            expected = sorted(one for one in expected if moment is None or -one[0] > moment)
            wanted = [device for *_, device in expected[start : start + limit]]
            self.assertEqual(self.shown(0, Page(start, limit, moment)), (len(expected), wanted))
            if moment is None:
                count = fleet_list.count(self.connection, self.caller(0))
                self.assertEqual(count, len(expected))


class WithdrawalTests(_Case):
    """Shutting a device out (decision 5)."""

    def test_stays(self) -> None:
        """A withdrawal outlasts everything but the operator's word."""
        device = add_device(self.transaction, 1)
        self.assertTrue(devices.withdraw(self.transaction, lfdi(1), "alice", NOW))
        devices.update(self.transaction, device, retired=NOW)
        devices.update(self.transaction, device, retired=None, registered=NOW + 1)
        self.assertEqual(self.caller(1).standing, Standing.UNKNOWN)
        self.assertTrue(devices.readmit(self.transaction, lfdi(1), "bob", NOW + 2))
        self.assertEqual(self.caller(1).device, device)
        here = f"/edev/{device}"
        self.assertEqual(self.log(), [("alice", "withdraw", here), ("bob", "readmit", here)])

    def test_nothing_to_do(self) -> None:
        """What changes nothing (withdrawn twice, lifted without need, of a stranger) is not logged."""
        device = add_device(self.transaction, 1)
        self.assertFalse(devices.readmit(self.transaction, lfdi(1), "alice", NOW))
        self.assertFalse(devices.withdraw(self.transaction, lfdi(2), "alice", NOW))
        devices.withdraw(self.transaction, lfdi(1), "alice", NOW)
        self.assertFalse(devices.withdraw(self.transaction, lfdi(1), "bob", NOW + 1))
        self.assertEqual(self.log(), [("alice", "withdraw", f"/edev/{device}")])

    def test_retired(self) -> None:
        """A device that is retired is out of its groups from then on, and was in them before."""
        device = add_device(self.transaction, 1)
        group = add_group(self.transaction, "one")
        devices.join(self.transaction, device, group, NOW)
        devices.retire(self.transaction, device, NOW + 5)
        self.assertEqual(self.caller(1).standing, Standing.UNKNOWN)
        for at, there in ((None, []), (NOW + 4, [device]), (NOW + 5, [])):
            self.assertEqual(list(self.connection.scalars(group_devices.under(group, at))), there)
        self.assertEqual(group_counts.number_under(self.connection, group), 0)

    def test_some_under(self) -> None:
        """Of the devices under a group those are named that are shown, each once, and not too many."""
        top = add_group(self.transaction, "top")
        low = add_group(self.transaction, "low", parent=top)
        numbers = [add_device(self.transaction, number, registered=number != 3) for number in range(1, 7)]
        for device in numbers:
            devices.join(self.transaction, device, low, NOW)
        devices.join(self.transaction, numbers[0], top, NOW)
        devices.withdraw(self.transaction, lfdi(1), "operator", NOW)
        devices.join(self.transaction, numbers[1], top, NOW)
        devices.leave(self.transaction, numbers[5], low, NOW)
        shown = [numbers[1], numbers[3], numbers[4]]
        for group in (top, low):
            self.assertEqual(addressees.some_under(self.connection, group, 50), shown)
            some = addressees.some_under(self.connection, group, 2)
            self.assertEqual((len(some), len({*some, *shown})), (2, 3))

    def test_told(self) -> None:
        """Each change of a device's standing is told of: of its row, its aggregator's list and groups."""
        boss = add_device(self.transaction, 1, aggregator=True)
        device = add_device(self.transaction, 2, manager=boss)
        steps: tuple[Callable[[], object], ...] = (
            lambda: devices.withdraw(self.transaction, lfdi(2), "alice", NOW),
            lambda: devices.readmit(self.transaction, lfdi(2), "alice", NOW),
            lambda: registration.unregister(self.transaction, device, lfdi(1), NOW),
            lambda: devices.update(self.transaction, device, manager=None),
        )
        for step in steps:
            self.transaction.changed.clear()
            step()
            expected = {f"device {device}"}
            if step is not steps[-1]:  # then it was not in the fleet any more
                expected |= {f"fleet {boss}", f"fleet-groups {boss}"}
            self.assertEqual(set(self.transaction.changed), expected)


class ChangeTests(_Case):
    """PUT of an EndDevice (decision 3)."""

    def test_what_may_change(self) -> None:
        """deviceCategory and postRate do, and the moment of the change is shown."""
        device = add_device(self.transaction, 1)
        registration.change(self.transaction, device, end_device(1, deviceCategory=2, postRate=7), NOW + 9)
        changed = devices.end_device(self.connection, device)
        assert changed is not None
        self.assertEqual((changed.deviceCategory, changed.postRate, changed.changedTime), (2, 7, NOW + 9))

    def test_what_is_left_out(self) -> None:
        """What a PUT leaves out stays as the operator, or the device, set it (case A9)."""
        device = add_device(self.transaction, 1)
        devices.update(self.transaction, device, device_category=4, post_rate=60)
        registration.change(self.transaction, device, end_device(1), NOW + 1)
        changed = devices.end_device(self.connection, device)
        assert changed is not None
        self.assertEqual((changed.deviceCategory, changed.postRate), (4, 60))
        registration.change(self.transaction, device, end_device(1, deviceCategory=2), NOW + 2)
        changed = devices.end_device(self.connection, device)
        assert changed is not None
        self.assertEqual((changed.deviceCategory, changed.postRate), (2, 60))

    def test_wish(self) -> None:
        """A device's postRate counts until the operator sets one; then the operator's does (decision 42)."""
        device = add_device(self.transaction, 1)

        def rate() -> int | None:
            found = devices.end_device(self.connection, device)
            assert found is not None
            return found.postRate

        registration.change(self.transaction, device, end_device(1, postRate=30), NOW)
        self.assertEqual(rate(), 30)
        devices.update(self.transaction, device, post_rate=60)
        self.assertEqual(rate(), 60)
        registration.change(self.transaction, device, end_device(1, postRate=45), NOW)
        self.assertEqual(rate(), 60)
        (row,) = device_list.get(self.connection, [device])
        self.assertEqual((row.post_rate, row.wished_post_rate), (60, 45))

    def test_what_may_not(self) -> None:
        """Who it is does not change."""
        device = add_device(self.transaction, 1)
        before = devices.end_device(self.connection, device)
        for body in (
            end_device(2),
            end_device(1, lFDI=lfdi(2)),
            end_device(1, sFDI=identity.sfdi(lfdi(2))),
            end_device(2).replace(lFDI=None),
        ):
            self.assertRaises(BadRequest, registration.change, self.transaction, device, body, NOW + 1)
        self.assertEqual(devices.end_device(self.connection, device), before)


class RegistrationTests(_Case):
    """The PIN, and when a device was registered."""

    def test_configured(self) -> None:
        """A PIN that was given is served as it is, right check digit or not."""
        for number, pin in enumerate((111115, 12345, 0)):
            device = devices.add(self.transaction, lfdi(number), now=NOW, pin=pin)
            devices.make_end_device(self.transaction, device, NOW + 7)
            self.assertEqual(
                devices.registration(self.connection, device.id),
                r.Registration(dateTimeRegistered=NOW + 7, pIN=pin),
            )

    def test_drawn(self) -> None:
        """Without one a valid PIN is drawn, another for each device, and kept."""
        pins = set()
        for number in range(20):
            device = add_device(self.transaction, number)
            first, again = (devices.registration(self.connection, device) for _ in range(2))
            assert first is not None
            self.assertEqual(first, again)
            self.assertTrue(identity.pin_is_valid(first.pIN))
            pins.add(first.pIN)
        self.assertGreater(len(pins), 15)

    def test_its_own_rate(self) -> None:
        """A poll rate of the device's own is served; without one the Registration has none to give."""
        device = add_device(self.transaction, 1)
        plain = devices.registration(self.connection, device)
        assert plain is not None
        self.assertNotIn("pollRate", vars(plain))
        devices.update(self.transaction, device, poll_rate=60)
        self.assertEqual(devices.registration(self.connection, device), plain.replace(pollRate=60))


class DERTests(_Case):
    """The DERs of a device."""

    def number(self, device: int) -> int:
        place = Place(ROWS["DERList"], (device,))
        return documents.counts(self.connection, [place.href]).get(place.href, 0)

    def test_never_taken_away(self) -> None:
        """A device has so many DERs at least; fewer wanted takes none away."""
        device = add_device(self.transaction, 1)
        for wanted, there in ((3, 3), (1, 3), (4, 4)):
            devices.add_ders(self.transaction, device, wanted, NOW)
            self.assertEqual(self.number(device), there)

    def test_enrolled_again(self) -> None:
        """A device that is enrolled once more keeps the DERs it had, and gets no more."""
        device = add_device(self.transaction, 1)
        known = devices.find(self.connection, lfdi(1))
        assert known is not None
        devices.make_end_device(self.transaction, known, NOW + 1)
        self.assertEqual(self.number(device), 1)
