"""canonical() and event_key(): whether what the file says has changed."""

from __future__ import annotations

from csipd.config.canonical import canonical, event_key
from tests.config.support import PROGRAMS, ConfigCase, read


class CanonicalTests(ConfigCase):
    """canonical(): a text that depends on nothing but what a value holds."""

    def test_forms(self) -> None:
        """Keys are sorted, defaults are left out, words of the file are those of the file."""
        found = read(PROGRAMS + "devices: [{id: a, pin: 111115}]\ngroups: [{name: g, level: FEEDER}]\n")
        self.assertEqual(canonical(found.devices[0]), '{"ders":[{}],"id":"a","pin":111115}')
        self.assertEqual(canonical(found.groups[0]), '{"level":3,"name":"g"}')
        control = next(control for control in found.controls if control.description == "C1")
        self.assertEqual(canonical(control), '{"description":"C1","modes":{"opModMaxLimW":5000}}')

    def test_only_content_counts(self) -> None:
        """Comments, order of keys, quotes and what stands beside it do not change a text; content does."""
        one = read("devices: [{id: a, pin: 111115}]\n").devices[0]
        same = read(
            'devices:\n  - {id: b}\n  # here\n  - pin: "111115"\n    id: a\n    post_rate: 900\n'
        ).devices[1]
        other = read("devices: [{id: a, pin: 0}]\n").devices[0]
        self.assertEqual(canonical(one), canonical(same))
        self.assertNotEqual(canonical(one), canonical(other))

    def test_event_outlives_programs(self) -> None:
        """An event is known by the same key when further programs come to name its control."""
        text = PROGRAMS + "events: [{control: C1}]\n"
        more = text.replace("programs:\n", "programs:\n  - {description: P0, primacy: 3, controls: [C1]}\n")
        self.assertEqual(*(event_key(read(each).events[0]) for each in (text, more)))
        other = text.replace("C1}]", "C1, duration: 60}]")
        self.assertNotEqual(event_key(read(text).events[0]), event_key(read(other).events[0]))
