"""What differs between two states of a resource, in words: for the audit log."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from csipd.sep2.schema import Element

#: Characters of one value that are shown.
_LONGEST = 80
_ABSENT = "-"


def described(element: Element) -> str:
    """Its values, each under the path of its element: ``opModMaxLimW 6000; rampTms 100``."""
    return "; ".join(f"{path} {value}" for path, value in _values(vars(element), {}, ""))


def differences(before: Element | None, after: Element | None) -> str:
    """From what to what: ``setMaxW/value 5000 -> 6000``, with a dash for what is not there."""
    was = {} if before is None else vars(before)
    is_now = {} if after is None else vars(after)
    # Most of it is the same as a rule: only what is not is taken apart.
    old = dict(_values(was, is_now, ""))
    new = dict(_values(is_now, was, ""))
    return "; ".join(
        f"{path} {old.get(path, _ABSENT)} -> {new.get(path, _ABSENT)}"
        for path in {**new, **old}
        if old.get(path) != new.get(path)
    )


def _values(
    values: Mapping[str, object], others: Mapping[str, object], path: str
) -> Iterator[tuple[str, str]]:
    """The values of an element, less those that are among the others."""
    for name, value in values.items():
        if value != others.get(name):
            yield from _value(f"{path}{name}", value)


def _value(path: str, value: object) -> Iterator[tuple[str, str]]:
    if isinstance(value, Element):
        inner = dict(_values(vars(value), {}, f"{path}/"))
        # An element that is there and holds nothing is something, too.
        yield from inner.items() if inner else [(path, "present")]
    elif isinstance(value, tuple):
        for number, one in enumerate(value, 1):
            yield from _value(f"{path}[{number}]", one)
    else:
        shown = value.hex().upper() if isinstance(value, bytes) else str(value)
        yield path, shown if len(shown) <= _LONGEST else f"{shown[:_LONGEST]}..."
