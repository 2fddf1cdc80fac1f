"""The tests of what is answered run both ways: by the straight path, and through Twisted's parser and Klein.

At the end of a module of tests stands

    both_ways(globals())

which adds to each of its cases another one, of the same tests, whose servers have `straight_path: false`
(decision 49). A case with a property is passed over, since hypothesis runs a property for one class alone:
what it tries is a part of what tests/web/test_both_ways.py compares.
"""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

_straight = True


def goes_straight() -> bool:
    """Whether ordinary requests go the straight path where a test says nothing of it."""
    return _straight


class _ByKlein(SynchronousTestCase):
    """Runs its tests with the straight path switched off."""

    def run(self, result: Any) -> None:
        global _straight
        _straight = False
        try:
            super().run(result)
        finally:
            _straight = True


def both_ways(names: dict[str, Any]) -> None:
    """Add the cases of a module a second time, by Klein.

    :param names: of the module
    """
    module = names["__name__"]
    for name, case in list(names.items()):
        if not (isinstance(case, type) and issubclass(case, SynchronousTestCase)):
            continue
        tests = [getattr(case, each) for each in dir(case) if each.startswith("test")]
        if case.__module__ != module or not tests or any(hasattr(test, "hypothesis") for test in tests):
            continue
        doc = f"{case.__doc__} By Klein."
        names[f"{name}ByKlein"] = type(
            f"{name}ByKlein", (_ByKlein, case), {"__module__": module, "__doc__": doc}
        )
