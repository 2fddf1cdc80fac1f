"""Rates that operators set: what is kept of them, and whose counts."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from csipd.db import devices, facts, groups, rates
from csipd.der.rates import Commanded, attribute, deepest, is_near
from csipd.refusals import Full
from tests.db.test_notifications import NotificationCase
from tests.support.store import NOW, add_device, add_group, store

KIND = "DERProgramList"


@st.composite
def trees(draw: st.DrawFn) -> tuple[dict[int, int | None], dict[int, int]]:
    """Groups with what each hangs below, and the rates of some of them."""
    parents: dict[int, int | None] = {}
    for number in range(1, draw(st.integers(1, 12)) + 1):
        parents[number] = draw(st.none() | st.sampled_from(sorted(parents))) if parents else None
    given = draw(st.dictionaries(st.integers(1, 15), st.integers(1, 5), max_size=8))
    return parents, given


class DeepestTests(SynchronousTestCase):
    """Which group's rate counts."""

    @given(trees())
    def test_rule(self, tree: tuple[dict[int, int | None], dict[int, int]]) -> None:
        """None has one that is deeper, nor one as deep that is shorter; others' groups do not count."""
        parents, by_group = tree

        def path(group: int) -> list[int]:
            above = parents[group]
            return [group] if above is None else [*path(above), group]

        found = deepest(by_group, parents)
        mine = parents.keys() & by_group.keys()
        self.assertEqual(found is None, not mine)
        for other in mine if found is not None else ():
            self.assertGreaterEqual(len(path(found)), len(path(other)))
            if len(path(found)) == len(path(other)):
                self.assertLessEqual(by_group[found], by_group[other])

    def test_words(self) -> None:
        """What a rate is called, and when it is near the time after which connections close."""
        self.assertEqual([attribute(one) for one in (KIND, "EndDevice")], ["pollRate", "postRate"])
        near = [is_near(rate, 1000) for rate in (799, 800, 1000, 1250, 1251)]
        self.assertEqual(near, [False, True, True, True, False])


class StoreTests(SynchronousTestCase):
    """What is kept."""

    def test_general_and_groups(self) -> None:
        """What is set is kept, said of the one before, and unset; the facts of that resource are dropped."""
        with store() as transaction:
            connection = transaction.connection
            group = add_group(transaction, "feeder")
            self.assertEqual(rates.commanded(connection, KIND), Commanded())
            transaction.changed.clear()
            self.assertIs(rates.set_general(transaction, KIND, 60), None)
            self.assertEqual(list(transaction.changed), [facts.rates(KIND)])
            self.assertEqual(rates.set_general(transaction, KIND, 70), 60)
            self.assertIs(rates.set_of_group(transaction, KIND, group, 30), None)
            self.assertEqual(rates.commanded(connection, KIND), Commanded(70, {group: 30}))
            self.assertEqual(rates.commanded(connection, "Time"), Commanded())
            transaction.changed.clear()
            self.assertEqual(rates.set_general(transaction, KIND, 70), 70)
            self.assertEqual(list(transaction.changed), [])
            self.assertEqual(rates.set_of_group(transaction, KIND, group, None), 30)
            self.assertEqual(rates.set_general(transaction, KIND, None), 70)
            self.assertEqual(rates.commanded(connection, KIND), Commanded())

    def test_device(self) -> None:
        """A device's own drops its own facts; those of all only with the first that there is, or the last."""
        with store() as transaction:
            connection = transaction.connection
            one, other = (add_device(transaction, number) for number in (1, 2))
            steps = [
                (one, 60, None, True),
                (one, 70, 60, False),
                (other, 80, None, False),
                (one, None, 70, False),
                (other, None, 80, True),
            ]
            for device, seconds, before, all_of_them in steps:
                transaction.changed.clear()
                self.assertEqual(rates.set_of_device(transaction, KIND, device, seconds, NOW), before)
                expected = {facts.own_rates(device), *([facts.rates(KIND)] if all_of_them else [])}
                self.assertEqual(set(transaction.changed), expected)
                self.assertEqual(rates.own(connection, device).get(KIND), seconds)
                self.assertEqual(
                    rates.commanded(connection, KIND).devices, (device, seconds) != (other, None)
                )
            self.assertEqual(rates.own_of_each(connection, KIND, [one, other]), {})

    def test_in_the_row_of_a_device(self) -> None:
        """postRate of an EndDevice and pollRate of a Registration stand with the device."""
        with store() as transaction:
            device = add_device(transaction, 1)
            for resource, column in (("EndDevice", "post_rate"), ("Registration", "poll_rate")):
                self.assertIs(rates.set_of_device(transaction, resource, device, 60, NOW), None)
                self.assertEqual(devices.setting(transaction.connection, device, column), 60)
                self.assertEqual(rates.set_of_device(transaction, resource, device, None, NOW), 60)
                self.assertIs(devices.setting(transaction.connection, device, column), None)
            self.assertEqual(rates.own(transaction.connection, device), {})

    def test_deepest(self) -> None:
        """Of a device's groups and those above them the deepest counts."""
        with store() as transaction:
            system = add_group(transaction, "system")
            feeder = groups.put_group(
                transaction, "feeder", parent=system, level=None, assignment=_assignment(transaction)
            )
            beside = add_group(transaction, "beside")
            of = rates.of_set
            connection = transaction.connection
            self.assertEqual(of(connection, {system: 9, feeder: 8, beside: 7}, [feeder]), (feeder, 8))
            self.assertEqual(of(connection, {system: 9, beside: 7}, [feeder]), (system, 9))
            self.assertEqual(of(connection, {system: 9, beside: 7}, [feeder, beside]), (beside, 7))
            self.assertIs(of(connection, {feeder: 8}, [system]), None)
            self.assertIs(of(connection, {feeder: 8}, []), None)

    def test_bounded(self) -> None:
        """So many groups have one of their own, and no more; those that have may be given another."""
        self.patch(rates, "MOST_GROUPS", 1)
        with store() as transaction:
            one, other = (add_group(transaction, name) for name in ("one", "other"))
            rates.set_of_group(transaction, KIND, one, 60)
            self.assertRaises(Full, rates.set_of_group, transaction, KIND, other, 60)
            rates.set_of_group(transaction, KIND, one, 70)
            rates.set_of_group(transaction, "Time", other, 70)

    def test_group_that_goes(self) -> None:
        """What was set for a group goes with it."""
        with store() as transaction:
            group = add_group(transaction, "feeder")
            rates.set_of_group(transaction, KIND, group, 60)
            transaction.changed.clear()
            groups.remove(transaction, group)
            self.assertIn(facts.rates(KIND), transaction.changed)
            self.assertEqual(rates.commanded(transaction.connection, KIND), Commanded())


def _assignment(transaction: rates.Transaction) -> int:
    return groups.assignment(transaction, "Topology")


class SubscriberTests(NotificationCase):
    """Who subscribes to what shows a rate is told when it changes, and nobody else."""

    def test_told(self) -> None:
        """A list's own pollRate, an EndDevice's postRate; by group and by device those alone whose it is."""
        managed, bare, world = self.numbers.managed, self.numbers.bare, self.world
        programs = f"/edev/{managed}/fsa/{self.numbers.topology}/derp"
        for path in (
            programs,
            f"/edev/{managed}/fsa",
            f"/edev/{bare}/fsa",
            f"/edev/{managed}",
            "/edev",
            "/derp",
        ):
            self.subscribe(path)
        self.assertEqual(self.told(), [])
        point = world.read(lambda connection: groups.find(connection, "Point 1"))
        assert point is not None
        general, of_group, of_device = rates.set_general, rates.set_of_group, rates.set_of_device
        steps = (
            (lambda t: of_group(t, KIND, point, 60), [programs]),
            (lambda t: general(t, KIND, 50), ["/derp"]),
            (lambda t: of_group(t, KIND, point, 50), [programs]),
            (lambda t: of_group(t, KIND, point, None), []),
            (lambda t: general(t, "DERList", 50), []),
            (lambda t: of_device(t, "FunctionSetAssignmentsList", bare, 60, NOW), [f"/edev/{bare}/fsa"]),
            (
                lambda t: general(t, "FunctionSetAssignmentsList", 70),
                [f"/edev/{managed}/fsa"],
            ),
            (lambda t: of_group(t, "EndDevice", point, 40), ["/edev", f"/edev/{managed}"]),
            (lambda t: general(t, "EndDeviceList", 40), ["/edev"]),
        )
        for number, (change, expected) in enumerate(steps):
            self.later(60)
            self.told()
            self.later(60)
            world.write(change)
            told = {one.subscribed: one.resource for one in self.courier.deliver()}
            self.assertEqual(sorted(told), sorted(expected), number)
            if number == 0:
                resource = told[programs]
                assert resource is not None
                self.assertEqual(resource.get("pollRate"), "60")
