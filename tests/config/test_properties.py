"""Whatever a file holds, it gives settings or a ConfigError."""

from __future__ import annotations

import re
from typing import Any

import yaml
from hypothesis import example, given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from csipd.config import (
    ConfigError,
    loads,
)
from csipd.config.canonical import canonical
from csipd.config.problems import SHOWN
from tests.config.support import BASE, MINIMAL, SEED, check_resources, documented, quick

LINES = SEED.read_text().splitlines()
WORDS = st.sampled_from(
    sorted(
        {word for line in LINES for word in re.findall(r"\w+", line)}
        | {"[", "{", "&a", "*a", "<<", "|", "0", "~"}
    )
)
KEYS = st.sampled_from(sorted({key for keys in documented().values() for key in keys}))
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | WORDS
TREES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=6),
    max_leaves=40,
)
MUTATIONS = st.lists(
    st.tuples(
        st.sampled_from(["drop", "double", "indent", "word", "cut"]), st.integers(0, len(LINES) - 1), WORDS
    ),
    max_size=6,
)


class PropertyTests(SynchronousTestCase):
    """Whatever a file holds, it gives settings or a ConfigError."""

    def survive(self, text: str) -> None:
        try:
            found = loads(text, "c.yml", BASE)
        except ConfigError as error:
            self.assertTrue(error.errors)
            self.assertEqual(len(str(error).splitlines()), min(len(error.errors), SHOWN + 1))
            for line in str(error).splitlines():
                self.assertTrue(line.startswith("c.yml:"), line)
        else:
            check_resources(found)
            for one in (*found.devices, *found.programs, *found.controls, *found.curves, *found.events):
                canonical(one)
            for warning in found.warnings:
                self.assertRegex(warning, r"^c\.yml:\d+: [^\n]*$")

    @quick
    @given(st.text())
    @example("a: &a [*a]")
    @example("%YAML 9999999999999999999999.1\n---\n")
    def test_text(self, text: str) -> None:
        """Random text never raises anything but ConfigError."""
        self.survive(text)

    @quick
    @given(MUTATIONS)
    def test_mutated_seed(self, mutations: list[tuple[str, int, str]]) -> None:
        """A seed with lines dropped, doubled, moved or with other words never raises anything else."""
        lines = [line for line in LINES if not line.lstrip().startswith("#")]
        for how, index, word in mutations:
            at = index % len(lines)
            match how:
                case "drop":
                    lines[at] = ""
                case "double":
                    lines.insert(at, lines[at])
                case "indent":
                    lines[at] = "  " + lines[at]
                case "word":
                    lines[at] = re.sub(r"\w+", word, lines[at], count=1 + index % 2)
                case "cut":
                    lines[at] = lines[at][: len(lines[at]) // 2]
        self.survive("\n".join(lines))

    @quick
    @given(st.dictionaries(KEYS, TREES, max_size=8))
    def test_trees(self, tree: dict[str, Any]) -> None:
        """Known keys with values of any shape never raise anything else."""
        self.survive(MINIMAL + yaml.safe_dump(tree, allow_unicode=True))

    @quick
    @given(st.integers(0, 999_999), st.integers(0, 6))
    def test_pins(self, pin: int, width: int) -> None:
        """A PIN is the number that its digits are in base ten, with whatever zeros before it."""
        found = loads(f"{MINIMAL}devices: [{{id: a, pin: {pin:0{width}d}}}]\n", "c.yml", BASE)
        self.assertEqual(found.devices[0].pin, pin)
