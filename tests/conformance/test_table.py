"""docs/conformance.md names every test of the procedures once, and no test that there is not."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

import tests.conformance

DOCUMENT = Path(__file__).parents[2] / "docs" / "conformance.md"
_ROW = re.compile(r"^\| ([A-Z]+-\d{3}[A-G]?) \| [^|]+ \| ([Xo-]) \| ([^|]+) \|$", re.MULTILINE)
_TEST = re.compile(r"`(tests\.[\w.]+)`")
_LATER = "a later issue: "


def _numbered(family: str, *numbers: int) -> list[str]:
    return [f"{family}-{number:03}" for number in numbers]


#: The ids of v1.3, in its order.
IDS = [
    *_numbered("COMM", 1, 2, 3),
    *(f"COMM-004{letter}" for letter in "ABCDEFG"),
    *_numbered("CORE", *range(1, 6), *range(9, 15), 18, 19, 21, 22, 23),
    *_numbered("BASIC", *range(1, 30)),
    *_numbered("UTIL", *range(1, 5)),
    *_numbered("AGG", *range(1, 13)),
    *_numbered("ERR", 1, 2),
    *_numbered("MAINT", *range(1, 6)),
]


def found(name: str) -> Any:
    """What a dotted name stands for: a module, and in it a class, and in that a method."""
    module, case, method = name.rsplit(".", 2)
    return getattr(getattr(import_module(module), case), method)


class TableTests(SynchronousTestCase):
    """The table, against the procedures and against the tests."""

    def setUp(self) -> None:
        self.rows = _ROW.findall(DOCUMENT.read_text(encoding="utf-8"))

    def test_complete(self) -> None:
        """Every id is there, once, in the order of the procedures."""
        self.assertEqual([row[0] for row in self.rows], IDS)

    def test_named(self) -> None:
        """Every row names tests that there are, or what it waits for."""
        for number, _, where in self.rows:
            named = _TEST.findall(where)
            self.assertTrue(named or _LATER in where, number)
            for name in named:
                self.assertTrue(callable(found(name)), name)

    def test_nothing_left_out(self) -> None:
        """Every test of the package that is called after an id is named in the row of that id."""
        rows = {number.lower().replace("-", "_"): where for number, _, where in self.rows}
        tested = 0
        for module in iter_modules(tests.conformance.__path__, "tests.conformance."):
            for case in vars(import_module(module.name)).values():
                if not (isinstance(case, type) and case.__module__ == module.name):
                    continue
                for name in vars(case):
                    number = name.removeprefix("test_")
                    if number in rows and number != name:
                        tested += 1
                        self.assertIn(f"`{module.name}.{case.__name__}.{name}`", rows[number])
        self.assertGreater(tested, 60)
