"""The tests of what is answered run both ways: by the straight path, and through Twisted's parser and Klein.

At the end of a module of tests stands

    both_ways(globals())

which adds to each of its cases another one, of the same tests, whose servers have `straight_path: false`
(decision 49). Before it may stand

    through_a_proxy(globals())

where all callers are behind one proxy, whose one connection carries everybody's requests (decision 69).

A case with a property is passed over, since hypothesis runs a property for one class alone: what it tries is
a part of what tests/web/test_both_ways.py compares.
"""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

_straight = True
_through_a_proxy = False


def goes_straight() -> bool:
    """Whether ordinary requests go the straight path where a test says nothing of it."""
    return _straight


def goes_through_a_proxy() -> bool:
    """Whether everybody comes through one proxy where a test says nothing of it."""
    return _through_a_proxy


class _ThroughAProxy(SynchronousTestCase):
    """Runs its tests with all callers behind one proxy, on one connection."""

    def run(self, result: Any) -> None:
        global _through_a_proxy
        _through_a_proxy = True
        try:
            super().run(result)
        finally:
            _through_a_proxy = False


class _ByKlein(SynchronousTestCase):
    """Runs its tests with the straight path switched off."""

    def run(self, result: Any) -> None:
        global _straight
        _straight = False
        try:
            super().run(result)
        finally:
            _straight = True


_through_a_proxy = False


def both_ways(names: dict[str, Any]) -> None:
    """Add the cases of a module a second time, by Klein.

    :param names: of the module
    """
    _add(names, _ByKlein, "By Klein.")


def through_a_proxy(names: dict[str, Any]) -> None:
    """Add the cases of a module once more, through a proxy; before `both_ways`, by both ways.

    :param names: of the module
    """
    _add(names, _ThroughAProxy, "Through a proxy.")


def _add(names: dict[str, Any], way: type[SynchronousTestCase], said: str) -> None:
    module = names["__name__"]
    for name, case in list(names.items()):
        if not (isinstance(case, type) and issubclass(case, SynchronousTestCase)):
            continue
        tests = [getattr(case, each) for each in dir(case) if each.startswith("test")]
        if case.__module__ != module or not tests or any(hasattr(test, "hypothesis") for test in tests):
            continue
        name += way.__name__.removeprefix("_")
        names[name] = type(name, (way, case), {"__module__": module, "__doc__": f"{case.__doc__} {said}"})
