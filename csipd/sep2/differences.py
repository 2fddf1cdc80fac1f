"""What differs between two states of a resource, in words: for the audit log."""

from __future__ import annotations

from collections.abc import Iterator

from csipd.sep2.schema import Element

#: Characters of one value that are shown.
_LONGEST = 80
_ABSENT = "-"


def described(element: Element) -> str:
    """Its values, each under the path of its element: ``opModMaxLimW 6000; rampTms 100``."""
    return "; ".join(f"{path} {value}" for path, value in _values(element, ""))


def differences(before: Element | None, after: Element | None) -> str:
    """From what to what: ``setMaxW/value 5000 -> 6000``, with a dash for what is not there."""
    old = {} if before is None else dict(_values(before, ""))
    new = {} if after is None else dict(_values(after, ""))
    return "; ".join(
        f"{path} {old.get(path, _ABSENT)} -> {new.get(path, _ABSENT)}"
        for path in {**new, **old}
        if old.get(path) != new.get(path)
    )


def _values(element: Element, path: str) -> Iterator[tuple[str, str]]:
    for name, value in vars(element).items():
        yield from _value(f"{path}{name}", value)


def _value(path: str, value: object) -> Iterator[tuple[str, str]]:
    if isinstance(value, Element):
        inner = dict(_values(value, f"{path}/"))
        # An element that is there and holds nothing is something, too.
        yield from inner.items() if inner else [(path, "present")]
    elif isinstance(value, tuple):
        for number, one in enumerate(value, 1):
            yield from _value(f"{path}[{number}]", one)
    else:
        shown = value.hex().upper() if isinstance(value, bytes) else str(value)
        yield path, shown if len(shown) <= _LONGEST else f"{shown[:_LONGEST]}..."
