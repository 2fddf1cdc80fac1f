"""What the configuration file said last time, and how what it says now differs."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from csipd.db import declarations
from csipd.db.declarations import Change, Entry
from tests.support.store import store

said = st.dictionaries(st.tuples(st.sampled_from("ab"), st.sampled_from("xyz\t")), st.sampled_from("123"))


class DifferenceTests(SynchronousTestCase):
    """One file after another."""

    @given(st.lists(said, max_size=4))
    def test_one_file_after_another(self, files: list[dict[Entry, str]]) -> None:
        """A file differs from the one before by what it adds, changes and drops, from itself by nothing."""
        with store() as transaction:
            before: dict[Entry, str] = {}
            for now in files:
                changes = declarations.differences(transaction.connection, now)
                both = {**before, **now}
                expected = {
                    Change(entry, before.get(entry), now.get(entry))
                    for entry in both
                    if before.get(entry) != now.get(entry)
                }
                self.assertEqual(set(changes), expected)
                self.assertEqual(len(changes), len(expected))
                declarations.remember(transaction, changes)
                self.assertEqual(declarations.differences(transaction.connection, now), [])
                before = now

    def test_order(self) -> None:
        """What is new and changed comes as the file has it; what is gone comes last."""
        with store() as transaction:
            first = {("a", "gone"): "1", ("a", "z"): "1", ("a", "b"): "1"}
            declarations.remember(transaction, declarations.differences(transaction.connection, first))
            then = {("a", "z"): "2", ("a", "new"): "1", ("a", "b"): "2"}
            changes = declarations.differences(transaction.connection, then)
            self.assertEqual([change.entry[1] for change in changes], ["z", "new", "b", "gone"])


class FactTests(SynchronousTestCase):
    """What the store is known by."""

    def test_drawn_once(self) -> None:
        """A fact is what was drawn for it first, whatever is drawn later."""
        with store() as transaction:
            first = [declarations.fact(transaction, name, drawn) for name, drawn in (("a", "1"), ("b", "2"))]
            again = [declarations.fact(transaction, name, "9") for name in "ab"]
            self.assertEqual((first, again), (["1", "2"], ["1", "2"]))
