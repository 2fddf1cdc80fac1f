"""One thing that is wrong with a value."""

from __future__ import annotations

from collections.abc import Iterable

from attrs import evolve, frozen

Step = str | int
#: A JSON pointer into what was given, and what is wrong there.
Problem = tuple[str, str]


@frozen
class Flaw:
    """What is wrong, where, and what was expected.

    :param path: names of elements and, for those that repeat, places counted from 0
    :param wrong: what was wrong, to follow the path as a sentence: "is 95"
    :param expected: what was expected, to follow the word "expected"
    :param doubtful: whether the standard lets it be, and a person is warned all the same
    """

    path: tuple[Step, ...]
    wrong: str
    expected: str
    doubtful: bool = False

    @property
    def pointer(self) -> str:
        """The path as a JSON pointer (RFC 6901): /CurveData/0/yvalue."""
        return "".join(f"/{step}" for step in self.path)

    @property
    def message(self) -> str:
        """What was wrong and what was expected."""
        return f"{self.wrong}, expected {self.expected}"

    def under(self, *steps: Step) -> Flaw:
        """The same of the value that has this one at `steps`."""
        return evolve(self, path=(*steps, *self.path))

    def __str__(self) -> str:
        return f"{self.pointer}: {self.message}" if self.path else self.message


def errors(flaws: Iterable[Flaw]) -> list[Problem]:
    """Those for which a value is refused, with pointers."""
    return [(flaw.pointer, flaw.message) for flaw in flaws if not flaw.doubtful]


def warnings(flaws: Iterable[Flaw]) -> list[str]:
    """Those of which a person is warned, one line each."""
    return [str(flaw) for flaw in flaws if flaw.doubtful]
