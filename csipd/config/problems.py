"""What is wrong with a configuration, or worth saying about it: one line each.

A reader of the file reports every problem to one :class:`Problems` and goes on, so that a user sees
all the errors of a file at once and not only the first.
"""

from __future__ import annotations

from attrs import Factory, define, frozen

#: Errors that one message shows; the rest is counted.
SHOWN = 50


@frozen(order=True)
class Problem:
    """One error or warning; ``str()`` is one line, ``etc/config.yml:12: devices[0].pin: expected ...``.

    :param file: the file's name as the user gave it
    :param line: counted from 1; 0 where no line is meant
    :param key: the path of the key, such as ``devices[0].pin``; empty where no key is meant
    :param message: what was expected, in one line
    """

    file: str
    line: int
    key: str
    message: str

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.line else self.file
        return ": ".join(part for part in (where, self.key, self.message) if part)


class ConfigError(Exception):
    """A configuration that cannot be used; ``str()`` gives a line for each error, in the file's order.

    :ivar errors: every error found
    """

    def __init__(self, errors: tuple[Problem, ...]) -> None:
        super().__init__(errors)
        self.errors = errors

    def __str__(self) -> str:
        lines = [str(error) for error in self.errors[:SHOWN]]
        if len(self.errors) > SHOWN:
            lines.append(f"{self.errors[0].file}: and {len(self.errors) - SHOWN} more")
        return "\n".join(lines)


@define
class Problems:
    """The errors and warnings of one file.

    :param accepted: lines of which nothing is warned: they say so themselves
    """

    file: str
    accepted: frozenset[int] = frozenset()
    _errors: dict[Problem, None] = Factory(dict)
    _warnings: dict[Problem, None] = Factory(dict)

    def error(self, line: int, key: str, message: str) -> None:
        self._errors[self.problem(line, key, message)] = None

    def warn(self, line: int, key: str, message: str) -> None:
        if line in self.accepted:
            return
        self._warnings[self.problem(line, key, message)] = None

    def problem(self, line: int, key: str, message: str) -> Problem:
        """One of this file. Keys may hold anything: what would break the line is escaped."""
        return Problem(self.file, line, _printable(key), _printable(message))

    @property
    def warnings(self) -> tuple[str, ...]:
        """One line for each warning, in the file's order."""
        return tuple(str(warning) for warning in sorted(self._warnings))

    def check(self) -> None:
        """Raise :exc:`ConfigError` when there was any error."""
        if self._errors:
            raise ConfigError(tuple(sorted(self._errors)))


def _printable(text: str) -> str:
    return text if text.isprintable() else text.encode("unicode_escape").decode()


def shown(text: str) -> str:
    """What a user wrote, quoted, on one line and no longer than a message can bear."""
    return repr(text if len(text) <= 60 else text[:57] + "...")
