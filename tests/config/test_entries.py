"""entries(): whether an entry of the file has changed."""

from __future__ import annotations

from textwrap import dedent

from csipd.config import (
    entries,
)
from tests.config.support import PROGRAMS, ConfigCase, read


class EntryTests(ConfigCase):
    """entries(): whether an entry of the file has changed."""

    def test_kinds(self) -> None:
        """Every declared entry has a text."""
        found = read(
            PROGRAMS
            + dedent(
                """\
                devices: [{id: a, pin: 111115}]
                aggregators: [{id: b, devices: [a]}]
                groups: [{name: g, level: FEEDER}]
                fsas: [{description: F, programs: [P1]}]
                events: [{control: C1, start: 5}]
                """
            )
        )
        texts = entries(found)
        self.assertEqual(texts["device", "a"], '{"ders":[{}],"id":"a","pin":111115}')
        self.assertEqual(texts["aggregator", "b"], '{"devices":["a"],"id":"b"}')
        self.assertEqual(texts["group", "g"], '{"level":3,"name":"g"}')
        self.assertEqual(texts["fsa", "F"], '{"description":"F","programs":["P1"]}')
        self.assertEqual(texts["control", "C1"], '{"description":"C1","modes":{"opModMaxLimW":5000}}')
        self.assertIn('"CurveData":[{"xvalue":1,"yvalue":1}]', texts["curve", "VV"])
        self.assertIn(("program", "P1"), texts)
        (event,) = (text for (kind, _), text in texts.items() if kind == "event")
        self.assertEqual(event, '{"control":"C1","delay":5}')

    def test_only_content_counts(self) -> None:
        """Comments, order of keys, quotes and other entries do not change a text; its own content does."""
        one = entries(read("devices: [{id: a, pin: 111115}]\n"))
        same = entries(
            read('devices:\n  - {id: b}\n  # here\n  - pin: "111115"\n    id: a\n    post_rate: 900\n')
        )
        other = entries(read("devices: [{id: a, pin: 0}]\n"))
        self.assertEqual(one["device", "a"], same["device", "a"])
        self.assertNotEqual(one["device", "a"], other["device", "a"])

    def test_event_outlives_programs(self) -> None:
        """An event stays the same entry when further programs come to name its control."""
        text = PROGRAMS + "events: [{control: C1}]\n"
        more = text.replace("programs:\n", "programs:\n  - {description: P0, primacy: 3, controls: [C1]}\n")
        keys = [{key for key in entries(read(t)) if key[0] == "event"} for t in (text, more)]
        self.assertEqual(*keys)
