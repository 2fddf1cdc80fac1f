"""The tree of documents against a model of it in lists and dictionaries."""

from __future__ import annotations

from functools import cmp_to_key
from operator import attrgetter
from types import SimpleNamespace
from typing import Any

from attrs import Factory, define
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from csipd.db import documents
from csipd.db.database import Transaction
from csipd.refusals import NotFound
from csipd.sep2 import resources as r
from csipd.sep2.ordering import order_key, time_key
from csipd.sep2.paging import Page
from csipd.sep2.site import ROWS, TABLE, Place, Row, member
from tests.support.instances import instances
from tests.support.store import NOW, add_device, statements, store

LISTS = [row for row in TABLE if row.is_list]
STATUS = ROWS["DERStatus"]
DERS = ROWS["DERList"]


def compare(row: Row, one: tuple[int, Any], other: tuple[int, Any]) -> int:
    """How the standard orders two members of a list, given as (number, resource)."""
    for key in row.keys:
        if key.path == ("href",):
            a, b = one[0], other[0]
        else:
            a, b = (attrgetter(".".join(key.path))(member) for _, member in (one, other))
        if a != b:
            return 1 if (a > b) != key.descending else -1
    return one[0] - other[0]


@st.composite
def two_members(draw: st.DrawFn) -> tuple[Row, r.Resource, r.Resource]:
    """Two members of any list of the standard, which share none, some or all of the keys of its order."""
    row = draw(st.sampled_from(LISTS))
    kind = member(row).resource_type
    one, other = draw(instances(kind, 2.0)), draw(instances(kind, 2.0))  # nothing left out
    for key in row.keys[: draw(st.integers(0, len(row.keys)))]:
        if key.path != ("href",):
            top = key.path[0]
            other = other.replace(**{top: getattr(one, top)})
    return row, one, other


def with_keys(row: Row, value: Any) -> Any:
    """What order keys see of a member of which every key has this value."""
    return SimpleNamespace(**{key.path[0]: value for key in row.keys})


class OrderTests(SynchronousTestCase):
    """The text that stands for the order of a list: of every list that the standard has."""

    @settings(max_examples=200)
    @given(two_members(), st.integers(1, 2**63 - 2), st.integers(1, 1000))
    def test_keys_sort_as_the_standard_says(
        self, members: tuple[Row, r.Resource, r.Resource], number: int, apart: int
    ) -> None:
        """The texts of any two members compare as the members do."""
        row, one, other = members
        later = min(number + apart, 2**63 - 1)
        before = compare(row, (number, one), (later, other)) < 0
        self.assertEqual(order_key(row, one, number) < order_key(row, other, later), before)

    def test_absent_keys(self) -> None:
        """A member that lacks the elements of its list's order has a place in it all the same."""
        for row in LISTS:
            bare = with_keys(row, None)
            self.assertLess(order_key(row, bare, 1), order_key(row, bare, 2))
            self.assertEqual(time_key(row, bare), 0 if row.timed else None)

    def test_numbers_of_64_bits(self) -> None:
        """Unsigned numbers of 64 bits sort among themselves: an EUI-64 is one."""
        row = ROWS["LLInterfaceList"]
        keys = [order_key(row, with_keys(row, n), 1) for n in (0, 1, 2**63 - 1, 2**63, 2**64 - 1)]
        self.assertEqual(keys, sorted(keys))


class LogEvents:
    """Newest first, then by number: a list that `a` filters."""

    place = Place(ROWS["LogEventList"], (1,))
    members = st.builds(
        lambda time, number, text: r.LogEvent(
            createdDateTime=time,
            details=text,
            functionSet=0,
            logEventCode=0,
            logEventID=number,
            logEventPEN=37244,
            profileID=2,
        ),
        st.integers(NOW, NOW + 3) | st.integers(-(2**63), 2**63 - 1),
        st.integers(0, 3),
        st.sampled_from(["", "é<&>"]),
    )


class Files:
    """Ordered by texts, one of them descending."""

    place = Place(ROWS["FileList"])
    members = st.builds(
        lambda maker, model, version: r.File(
            fileURI="/x", mfID=maker, mfModel=model, mfVer=version, size=1, type=0
        ),
        st.integers(0, 1),
        st.text("a!~é", max_size=3),
        st.text("a!~é", max_size=3),
    )


class DERs:
    """Ordered by number alone."""

    place = Place(DERS, (1,))
    members = st.just(r.DER())


KINDS = (LogEvents, Files, DERs)


@define
class Model:
    """A list as one would write it down: members by number, and the number given last."""

    place: Place
    members: dict[int, r.Resource] = Factory(dict)
    last: int = 0

    def page(self, part: Page) -> tuple[int, list[tuple[Place, r.Resource]]]:
        row = self.place.row
        found = sorted(self.members.items(), key=cmp_to_key(lambda one, other: compare(row, one, other)))
        if part.after is not None and row.timed:
            time = attrgetter(".".join(row.keys[0].path))
            found = [(number, one) for number, one in found if time(one) > part.after]
        wanted = found[part.start : part.start + part.limit]
        return len(found), [(self.at(number), one) for number, one in wanted]

    def at(self, number: int) -> Place:
        return Place(member(self.place.row), (*self.place.ids, number))


pages = st.builds(
    Page, st.integers(0, 6), st.integers(0, 6), st.none() | st.integers(NOW - 1, NOW + 3) | st.just(2**63 - 1)
)
steps = st.lists(
    st.sampled_from(KINDS).flatmap(
        lambda kind: st.tuples(
            st.just(kind), st.sampled_from(("post", "post", "replace", "delete")), kind.members
        )
    ),
    max_size=20,
)


class ListTests(SynchronousTestCase):
    """Lists of documents, whatever is done to them."""

    @given(steps, st.data())
    def test_lists_are_as_if_written_down(
        self, taken: list[tuple[type[LogEvents], str, r.Resource]], data: st.DataObject
    ) -> None:
        """Orders, counts, pages and numbers are those of a plain list, and none is given twice."""
        models = {kind: Model(kind.place) for kind in KINDS}
        with store() as transaction:
            add_device(transaction, 1, aggregator=True)
            for kind, what, resource in taken:
                self.take(transaction, models[kind], what, resource, data)
            for model in models.values():
                part = data.draw(pages)
                self.assertEqual(documents.page(transaction.connection, model.place, part), model.page(part))
                self.assertEqual(
                    documents.page(transaction.connection, model.place, documents.ALL),
                    model.page(documents.ALL),
                )
                href = model.place.href
                counts = documents.counts(transaction.connection, [href, "/none"])
                self.assertEqual(counts.get(href, 0), len(model.members))
                self.assertEqual(documents.next_number(transaction.connection, model.place), model.last + 1)

    def take(
        self, transaction: Transaction, model: Model, what: str, resource: r.Resource, data: st.DataObject
    ) -> None:
        transaction.changed.clear()
        if what == "post":
            made = documents.post(transaction, model.place, resource, NOW, None)
            model.last += 1
            model.members[model.last] = resource
            self.assertEqual(made, model.at(model.last))
            self.assertEqual(set(transaction.changed), {f"list {model.place.href}", f"document {made.href}"})
            return
        number = data.draw(st.integers(1, model.last + 1))
        place = model.at(number)
        there = number in model.members
        if what == "replace":
            same = model.members.get(number) == resource
            if there:
                written = documents.replace(transaction, model.place.row, place, resource, NOW)
                self.assertEqual(written is None, same)
                model.members[number] = resource
            else:
                arguments = (transaction, model.place.row, place, resource, NOW)
                self.assertRaises(NotFound, documents.replace, *arguments)
            if same:
                self.assertEqual(transaction.changed, [])
                return
        else:
            self.assertIs(documents.delete(transaction, place), there)
            model.members.pop(number, None)
        if there:
            self.assertEqual(set(transaction.changed), {f"list {model.place.href}", f"document {place.href}"})
        self.assertEqual(documents.get(transaction.connection, place), model.members.get(number))


class SingleTests(SynchronousTestCase):
    """Documents that are no list's members."""

    place = Place(STATUS, (1, 1))

    def test_put(self) -> None:
        """The first PUT makes a document, the next replaces it, and each is reported."""
        with store() as transaction:
            device = add_device(transaction, 1)
            for reading in (1, 2):
                transaction.changed.clear()
                documents.put(transaction, self.place, r.DERStatus(readingTime=reading), NOW, device)
                self.assertEqual(transaction.changed, [f"document {self.place.href}"])
                found = documents.get(transaction.connection, self.place)
                self.assertEqual(found, r.DERStatus(readingTime=reading))

    def test_the_same_again(self) -> None:
        """What is the same already is neither written nor told of (case F7)."""
        with store() as transaction:
            status = r.DERStatus(readingTime=1)
            first = documents.put(transaction, self.place, status, NOW, None)
            transaction.changed.clear()
            with statements(transaction) as said:
                self.assertIsNone(documents.put(transaction, self.place, status, NOW + 1, None))
            self.assertEqual([line.split()[0] for line in said], ["SELECT"])
            self.assertEqual(transaction.changed, [])
            assert first is not None
            again = documents.put(transaction, self.place, r.DERStatus(readingTime=2), NOW, None)
            assert again is not None
            self.assertEqual((first.before, again.before), (None, first.after))

    @given(instances(r.DERStatus))
    def test_kept_as_given(self, status: r.DERStatus) -> None:
        """What was put is what is got."""
        with store() as transaction:
            documents.put(transaction, self.place, status, NOW, add_device(transaction, 1))
            self.assertEqual(documents.get(transaction.connection, self.place), status)

    def test_delete(self) -> None:
        """A document that was deleted is gone, and counts in no list."""
        with store() as transaction:
            documents.put(transaction, self.place, r.DERStatus(readingTime=1), NOW, None)
            self.assertTrue(documents.delete(transaction, self.place))
            self.assertFalse(documents.delete(transaction, self.place))
            self.assertIsNone(documents.get(transaction.connection, self.place))

    def test_present(self) -> None:
        """Of many hrefs those are given back at which there is something."""
        with store() as transaction:
            documents.put(transaction, self.place, r.DERStatus(readingTime=1), NOW, None)
            hrefs = [self.place.href, "/edev/1/der/2/ders"]
            self.assertEqual(documents.present(transaction.connection, hrefs), {self.place.href})

    def test_two_lists_do_not_touch(self) -> None:
        """Lists of the same kind under two devices count and number their members apart."""
        with store() as transaction:
            one, other = Place(DERS, (1,)), Place(DERS, (2,))
            for place in (one, one, other):
                documents.post(transaction, place, r.DER(), NOW, None)
            counts = documents.counts(transaction.connection, [one.href, other.href])
            self.assertEqual(counts, {one.href: 2, other.href: 1})
            self.assertEqual(documents.next_number(transaction.connection, other), 2)
