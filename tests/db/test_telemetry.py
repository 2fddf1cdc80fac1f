"""Who was in a group when, against a count of seconds; and how readings are paged."""

from __future__ import annotations

from itertools import pairwise

import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from csipd.db import group_devices, group_history, segments, series, telemetry
from csipd.db.database import Transaction
from csipd.db.series import Sample
from csipd.db.tables import memberships
from csipd.db.telemetry import Whose
from csipd.sep2 import resources as r
from csipd.sep2.measurements import DerForward
from tests.support.store import NOW, add_device, add_group, store

#: Group 0 is above 1 and 2; 3 stands apart.
_GROUPS = 4
_DEVICES = 4
_SECONDS = 12
#: Of a device: group, when it came, and when it left, if it did. As the store has them: whoever is in a group
#: now is there once.
STAYS = st.lists(
    st.tuples(
        st.integers(0, _DEVICES - 1),
        st.integers(0, _GROUPS - 1),
        st.integers(0, _SECONDS),
        st.one_of(st.none(), st.integers(0, _SECONDS)),
    ),
    max_size=10,
    unique_by=lambda stay: stay if stay[3] is not None else stay[:2],
)
WATTS = r.ReadingType(uom=38, flowDirection=19)


class MemberTests(SynchronousTestCase):
    """Spans of devices in groups."""

    def laid_out(
        self, transaction: Transaction, stays: list[tuple[int, int, int, int | None]]
    ) -> tuple[list[int], list[int]]:
        """Devices and groups, and who was where."""
        devices = [add_device(transaction, number) for number in range(_DEVICES)]
        top = add_group(transaction, "top")
        groups = [top, *(add_group(transaction, f"g{n}", top) for n in (1, 2)), add_group(transaction, "g3")]
        rows = [
            {
                "device": devices[device],
                "group": groups[group],
                "since": NOW + since,
                "until": None if until is None else NOW + max(since, until),
            }
            for device, group, since, until in stays
        ]
        if rows:
            transaction.connection.execute(sa.insert(memberships), rows)
        return devices, groups

    @settings(max_examples=40, deadline=None)
    @given(STAYS, st.integers(0, _SECONDS), st.integers(0, _SECONDS), st.booleans(), st.integers(1, 5))
    def test_members(
        self,
        stays: list[tuple[int, int, int, int | None]],
        since: int,
        length: int,
        many_groups: bool,
        limit: int,
    ) -> None:
        """A device is there in each second of its spans and in no other, page by page, in whatever tree."""
        until = since + length
        with store() as transaction:
            devices, groups = self.laid_out(transaction, stays)
            # Of many groups they are looked for in another way.
            self.patch(group_devices, "MOST_MERGED", 1 if many_groups else 1000)
            found: dict[int, set[int]] = {}
            after: int | None = 0
            while after is not None:
                spans, after = group_history.members(
                    transaction.connection, groups[0], NOW + since, NOW + until, after, limit
                )
                for device, some in spans.items():
                    self.assertNotIn(device, found, "each comes once")
                    self.assertEqual(some, sorted(some))
                    self.assertTrue(all(one[1] < next_[0] for one, next_ in pairwise(some)))
                    found[device] = {second for start, end in some for second in range(start, end)}
        expected: dict[int, set[int]] = {}
        for device, group, start, end in stays:
            if group != 3:
                last = until if end is None else min(max(start, end), until)
                seconds = {NOW + second for second in range(max(start, since), last)}
                if seconds:
                    expected.setdefault(devices[device], set()).update(seconds)
        self.assertEqual(found, expected)

    @settings(max_examples=30, deadline=None)
    @given(STAYS, st.integers(1, 7), st.integers(1, 3))
    def test_portions(self, stays: list[tuple[int, int, int, int | None]], limit: int, at_once: int) -> None:
        """Portions of any size have the readings of the time in the group, each once, by device and time."""
        with store() as transaction:
            devices, groups = self.laid_out(transaction, stays)
            for number, device in enumerate(devices):
                segment = segments.open_segment(transaction, number + 1, device, WATTS, True, NOW)
                samples = [Sample(NOW + second, 1, second) for second in range(_SECONDS)]
                series.store(transaction, segment, samples, NOW + _SECONDS)
            spans, _ = group_history.members(transaction.connection, groups[0], NOW, NOW + _SECONDS, 0, 100)
            self.patch(group_history, "DEVICES", at_once)
            found: list[tuple[int, int]] = []
            place = None
            while True:
                rows, place = telemetry.portion(
                    transaction.connection,
                    Whose(group=groups[0], unit=38),
                    NOW,
                    NOW + _SECONDS,
                    None,
                    place,
                    limit,
                    der_forward=DerForward.GENERATION,
                )
                self.assertLessEqual(len(rows), limit)
                found += [(row.series.device, row.at) for row in rows]
                if place is None:
                    break
            self.patch(group_history, "DEVICES", 100)
        expected = [
            (device, second) for device, some in spans.items() for span in some for second in range(*span)
        ]
        self.assertEqual(found, expected)
