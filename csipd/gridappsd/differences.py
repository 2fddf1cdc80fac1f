"""Difference messages of the bus: JSON to what each says of which object, strictly read.

    {"command": "update", "input": {"simulation_id": ..., "message": {
      "timestamp": ..., "difference_mrid": ..., "reverse_differences": [...],
      "forward_differences": [{"object": ..., "attribute": ..., "value": ...}]}}}

Of an attribute of an object a forward difference counts, and of several the last one. A reverse difference
without a forward one, or a forward one of null, takes back what was commanded (decision 72). What is wrong
with one difference does not touch the others of its message.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from enum import Enum
from hashlib import blake2b
from typing import Any, Final, TypeGuard

from attrs import field, frozen

from csipd.web import json_form

#: The longest message that is read (octets), and differences of one.
MOST_OCTETS: Final = 1 << 20
MOST_DIFFERENCES: Final = 10_000
#: The longest difference_mrid, name of an object or of an attribute (characters).
LONGEST_NAME: Final = 128
#: The most members of a value that is an object, and characters of a string in it. None has an object in it.
MOST_MEMBERS: Final = 8
LONGEST_TEXT: Final = 256
#: What csipd itself says on the bus begins so: whoever hands it back commands nothing.
_OURS: Final = "DERStatus."
#: The older server's name for a mode of a control is longer by this.
_LONGER: Final = "DERControl.DERControlBase."
_OBJECTS: Final = ("object", "object_id")


class Fault(Enum):
    """The kinds of what is refused, in the words of the log and of the counts."""

    MALFORMED = "malformed messages"
    COMMAND = "messages that are no update"
    SIMULATION = "messages of another simulation"
    DIFFERENCE = "malformed differences"
    ATTRIBUTE = "unknown attributes"
    VALUE = "values that the attribute cannot have"
    DEVICE = "unknown or unregistered devices"
    RULES = "commands against the rules"
    FULL = "commands beyond what there is room for"


class BadMessage(ValueError):
    """A message of which nothing can be used."""

    def __init__(self, fault: Fault, why: str) -> None:
        super().__init__(why)
        self.fault = fault


@frozen
class Difference:
    """What is to become of one attribute of one object.

    :param object: mRID in the CIM, without a leading underscore
    :param attribute: that of a mode as ``DERControlBase.<mode>``, whichever of the two shapes it came in
    :param value: as JSON has it, numbers with a point or exponent as Decimal; None: what was commanded ends
    """

    object: str
    attribute: str
    value: Any


@frozen
class DifferenceMessage:
    """What a message says.

    :param key: sixteen octets that stand for its difference_mrid
    :param differences: one at most for each attribute of an object
    :param refused: how many differences could not be read, by kind, and what was wrong with one of each
    :param echoes: how many were what csipd says itself
    """

    key: bytes
    differences: tuple[Difference, ...]
    refused: Mapping[Fault, tuple[int, str]] = field(factory=dict)
    echoes: int = 0


def read(body: bytes, simulation: str | None = None) -> DifferenceMessage:
    """Read a message.

    :param simulation: the simulation that csipd takes part in; a message of another one is not for it
    :raises BadMessage: nothing of it can be used
    """
    if len(body) > MOST_OCTETS:
        raise BadMessage(Fault.MALFORMED, f"has {len(body)} octets, {MOST_OCTETS} are read")
    try:
        data = json_form.loads(body.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        # A text of Python's own that holds what came is cut: it is for a line of the log.
        raise BadMessage(Fault.MALFORMED, f"is not JSON: {str(error)[:100]}") from None
    envelope = _object(data, "the message")
    if envelope.get("command") != "update":
        raise BadMessage(Fault.COMMAND, f"its command is {_shown(envelope.get('command'))}, not update")
    outer = _object(envelope.get("input"), "input")
    named = outer.get("simulation_id")
    if simulation is not None and named is not None and str(named) != simulation:
        raise BadMessage(Fault.SIMULATION, f"is of simulation {_shown(named)}, not {simulation}")
    message = _object(outer.get("message"), "input.message")
    mrid = message.get("difference_mrid")
    if not _is_name(mrid):
        raise BadMessage(Fault.MALFORMED, f"its difference_mrid is {_shown(mrid)}, expected an mRID")
    return _Reader(key_of(mrid)).read(message)


def key_of(mrid: str) -> bytes:
    """What stands for a difference_mrid: of one size, whatever was sent."""
    return blake2b(mrid.encode(), digest_size=16).digest()


class _Reader:
    """Reads the differences of one message."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._refused: Counter[Fault] = Counter()
        self._why: dict[Fault, str] = {}
        self._echoes = 0

    def read(self, message: Mapping[str, Any]) -> DifferenceMessage:
        found: dict[tuple[str, str], Any] = {}
        lists = [_list(message, name) for name in ("reverse_differences", "forward_differences")]
        if (number := sum(map(len, lists))) > MOST_DIFFERENCES:
            raise BadMessage(Fault.MALFORMED, f"has {number} differences, {MOST_DIFFERENCES} are read")
        reverse, forward = lists
        for item in reverse:
            if (place := self._place(item)) is not None:
                found[place] = None
        for item in forward:
            if (place := self._place(item)) is not None:
                if "value" not in item:
                    self._refuse("a forward difference without a value")
                elif not _is_flat(item["value"]):
                    self._refuse(f"the value of {place[1]} is too long or nested")
                else:
                    found[place] = item["value"]
        return DifferenceMessage(
            self._key,
            tuple(Difference(of, attribute, value) for (of, attribute), value in found.items()),
            {fault: (number, self._why[fault]) for fault, number in self._refused.items()},
            self._echoes,
        )

    def _place(self, item: Any) -> tuple[str, str] | None:
        """Object and attribute of a difference; None where it is refused, or is csipd's own."""
        if not isinstance(item, dict):
            self._refuse(f"a difference is {_shown(item)}, expected an object")
            return None
        attribute = item.get("attribute")
        if not _is_name(attribute):
            self._refuse(f"attribute is {_shown(attribute)}, expected a name")
            return None
        if attribute.startswith(_OURS):
            self._echoes += 1
            return None
        if attribute.startswith(_LONGER):
            attribute = attribute.removeprefix("DERControl.")
        named = {_bare(item[name]) for name in _OBJECTS if name in item and _is_name(item[name])}
        if len(named) != 1 or not (of := named.pop()):
            which = [item.get(name) for name in _OBJECTS]
            self._refuse(f"object is {_shown(which[0] if which[1] is None else which)}, expected one mRID")
            return None
        return of, attribute

    def _refuse(self, why: str) -> None:
        self._refused[Fault.DIFFERENCE] += 1
        self._why.setdefault(Fault.DIFFERENCE, why)


def _bare(name: str) -> str:
    return name.removeprefix("_")


def _is_name(value: Any) -> TypeGuard[str]:
    # What cannot be printed, half a character among it, neither the log nor the store could take.
    return isinstance(value, str) and 0 < len(value) <= LONGEST_NAME and value.isprintable()


def _is_flat(value: Any) -> bool:
    """Whether a value is one, or a small object of them, so that however many wait take little room."""
    if isinstance(value, dict):
        return len(value) <= MOST_MEMBERS and all(
            len(name) <= LONGEST_NAME and _is_scalar(one) for name, one in value.items()
        )
    return _is_scalar(value)


def _is_scalar(value: Any) -> bool:
    if isinstance(value, str):
        return len(value) <= LONGEST_TEXT
    if isinstance(value, int):
        return value.bit_length() <= 128
    return not isinstance(value, dict | list)


def _object(data: Any, what: str) -> Mapping[str, Any]:
    if not isinstance(data, dict):
        raise BadMessage(Fault.MALFORMED, f"{what} is {_shown(data)}, expected an object")
    return data


def _list(message: Mapping[str, Any], name: str) -> list[Any]:
    found = message.get(name)
    if found is None:
        return []
    if not isinstance(found, list):
        raise BadMessage(Fault.MALFORMED, f"{name} is {_shown(found)}, expected an array")
    return found


def _shown(value: Any) -> str:
    """What came in the place of what was expected, cut to what a line may hold."""
    match value:
        case None:
            return "missing"
        case dict():
            return "an object"
        case list():
            return "an array"
        case str():
            return repr(value[:40])
        case bool():
            return str(value).lower()
        case int() if value.bit_length() > 128:
            return "a number of very many digits"
    return str(value)[:40]
