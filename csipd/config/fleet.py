"""``groups``, ``devices`` and ``aggregators`` of the file."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

from attrs import frozen

from csipd.config.codes import AGGREGATOR, CATEGORIES, OTHER_CLIENT, Level
from csipd.config.document import Node
from csipd.config.fields import (
    Fields,
    InvalidValue,
    address,
    code_of,
    did_you_mean,
    fixed_hex,
    host,
    integer,
    matching,
    name_of,
    once,
    scalar,
    text,
)
from csipd.config.model import capability
from csipd.config.programs import DESCRIPTION, program_of
from csipd.config.settings import DER, FSA, Aggregator, Device, Group, Program
from csipd.der import rates
from csipd.sep2.identity import LFDI_DIGITS, PIN_MAX
from csipd.sep2.rules import pin_flaws

#: A DER's groups, programs and FSAs at most (CSIP IG 4.3, P24, P27).
MOST: Final = 15

#: Seconds; UInt32 in the schema.
RATE: Final = integer(rates.LEAST, rates.MOST)

_NAME = text(64, "a name")
_ID = matching(
    r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}",
    "a name for files, 1 to 64 of A-Z a-z 0-9 . _ -, first no dot or dash",
)
_RESERVED = frozenset(("admin", "ca", "proxy"))
_CATEGORY = code_of(CATEGORIES, "a DeviceCategoryType")
_LFDI = fixed_hex(LFDI_DIGITS // 2, "an LFDI")
_PIN_DIGITS = re.compile("[0-9]{1,6}")

_OF_THE_MAKER = ("mfID", "mfModel", "mfSerNum", "mfHwVer", "swVer")
_OF_A_DER = ("ders", "nameplate", "programs", "fsas", "groups")


def pin(node: Node) -> int:
    """A registration PIN as it is written: leading zeros do not make it octal, quotes do not matter."""
    expected = f"an integer 0..{PIN_MAX}"
    written = scalar(node, expected).text
    if _PIN_DIGITS.fullmatch(written) is None:
        raise InvalidValue(expected)
    return int(written)


def checked_pin(entry: Fields, key: str, *, strict: bool) -> int | None:
    """The PIN that a key gives; what is wrong with it is reported.

    :param strict: whether a wrong check digit is an error
    """
    value = entry.get(key, pin, None)
    for flaw in pin_flaws(value, strict=strict):
        if flaw.doubtful:
            entry.warn(key, f"{flaw.message}; served as it is")
        else:
            entry.error(key, flaw.message)
    return value


def _level(node: Node) -> Level | None:
    names = ", ".join(level.name for level in Level)
    written = scalar(node, f"{names} or none").text
    if written.casefold() == "none":
        return None
    try:
        return Level[written.upper()]
    except KeyError:
        raise InvalidValue(f"{names} or none", did_you_mean(written, Level.__members__)) from None


def read_groups(top: Fields, programs: Collection[str]) -> tuple[Group, ...]:
    """The groups, each parent before or after its children; their tree and levels are checked."""
    entries = list(top.each("groups"))
    seen: dict[str, int] = {}
    owners: dict[str, str] = {}
    names = []
    for entry in entries:
        names.append(entry.need("name", _NAME, ""))
        once(entry, "name", names[-1], seen)
    group_of, program = name_of("name of a group", seen), program_of(programs)
    groups = []
    for entry, name in zip(entries, names, strict=True):
        group = Group(
            name=name,
            parent=entry.get("parent", group_of, None),
            level=entry.get("level", _level, None),
            fsa=entry.get("fsa", DESCRIPTION, None),
            programs=entry.listed("programs", program),
        )
        entry.close()
        for owned in group.programs:
            if owners.setdefault(owned, name) != name:
                entry.error("programs", f"{owned!r} belongs to group {owners[owned]!r} already")
        groups.append(group)
    _check_tree(entries, groups)
    return tuple(groups)


def _check_tree(entries: list[Fields], groups: list[Group]) -> None:
    by_name = {group.name: group for group in groups}
    for entry, group in zip(entries, groups, strict=True):
        if group.parent is None:
            continue
        above = by_name[group.parent]
        if group.level is not None and (above.level is None or above.level >= group.level):
            entry.error("parent", f"expected a group of a level above {group.level.name}")
        elif group.name in (other.name for other in ancestry(by_name, group.parent)):
            entry.error("parent", "expected a group that is not under this one")


def ancestry(groups: Mapping[str, Group], name: str) -> Iterator[Group]:
    """A group and those above it; ends where it would begin again."""
    passed: set[str] = set()
    current: str | None = name
    while current is not None and current not in passed:
        passed.add(current)
        yield groups[current]
        current = groups[current].parent


@frozen
class FleetContext:
    """What of the rest of the file is needed to read devices."""

    programs: tuple[Program, ...]
    fsas: tuple[FSA, ...]
    groups: tuple[Group, ...]
    reserved: Collection[str]  #: names of certificates that are not devices'
    strict_pins: bool
    poll_rate: int  #: of a Registration
    idle_timeout: int  #: of a connection
    default_der: bool  #: whether a device without ``ders`` gets one
    default_program: str | None  #: the program of every device with DERs


class Fleet:
    """Reads devices and aggregators; what must differ between them is noted here."""

    def __init__(self, context: FleetContext) -> None:
        self._context = context
        self._program_of = program_of([program.description for program in context.programs])
        self._fsa_of = name_of("description of an FSA", [fsa.description for fsa in context.fsas])
        self._group_of = name_of("name of a group", [group.name for group in context.groups])
        self._groups = {group.name: group for group in context.groups}
        self._programs_by_fsa = {fsa.description: fsa.programs for fsa in context.fsas}
        self._reserved = _RESERVED | {name.casefold() for name in context.reserved}
        self._ids: dict[str, int] = {}
        self._lfdis: dict[str, int] = {}

    def read(self, top: Fields) -> tuple[tuple[Device, ...], tuple[Aggregator, ...]]:
        devices, aggregators = [], []
        for entry in top.each("devices"):
            category = entry.get("deviceCategory", _CATEGORY, None)
            device = self._device(entry, category)
            entry.close()
            if category == AGGREGATOR:
                aggregators.append(self._as_aggregator(entry, device))
            else:
                devices.append(device)
        managed: dict[str, str] = {}
        known = [device.id for device in devices]
        for entry in top.each("aggregators"):
            aggregator = Aggregator(
                **self._party(entry), devices=entry.listed("devices", name_of("id of a device", known))
            )
            entry.close()
            for device_id in aggregator.devices:
                if managed.setdefault(device_id, aggregator.id) != aggregator.id:
                    entry.error("devices", f"{device_id!r} is managed by {managed[device_id]!r} already")
            aggregators.append(aggregator)
        return tuple(devices), tuple(aggregators)

    def _party(self, entry: Fields) -> dict[str, Any]:
        """What devices and aggregators have in common."""
        name = entry.need("id", _ID, "")
        if name.casefold() in self._reserved:
            entry.error(
                "id", f"expected another name than {name!r}, which is taken by a certificate of the server"
            )
        once(entry, "id", name, self._ids)
        lfdi = entry.get("lfdi", _LFDI, None)
        if lfdi is not None:
            once(entry, "lfdi", lfdi, self._lfdis)
        return {
            "id": name,
            "pin": self._pin(entry),
            "lfdi": lfdi,
            "poll_rate": self._rate(entry, "poll_rate", self._context.poll_rate),
            "post_rate": self._rate(entry, "post_rate", 900),
        }

    def _rate(self, entry: Fields, key: str, default: int) -> int:
        rate = entry.get(key, RATE, default)
        if entry.has(key) and rates.is_near(rate, self._context.idle_timeout):
            entry.warn(key, f"near idle_timeout, which is {self._context.idle_timeout} s; {rates.LOST_POLLS}")
        return rate

    def _pin(self, entry: Fields) -> int | None:
        return checked_pin(entry, "pin", strict=self._context.strict_pins)

    def _device(self, entry: Fields, category: int | None) -> Device:
        programs = entry.listed("programs", self._program_of)
        ders = self._ders(entry)
        default = self._context.default_program
        if default is not None and ders and default not in programs:
            programs += (default,)
        device = Device(
            **self._party(entry),
            deviceCategory=None
            if category is None or category in (AGGREGATOR, OTHER_CLIENT)
            else 1 << category,
            programs=programs,
            fsas=entry.listed("fsas", self._fsa_of),
            groups=entry.listed("groups", self._group_of),
            ders=ders,
            hostname=entry.get("hostname", host, None),
            ip=entry.get("ip", address, None),
        )
        self._check_membership(entry, device)
        return device

    def _ders(self, entry: Fields) -> tuple[DER, ...]:
        nameplate = entry.section("nameplate")
        ders = tuple(_der(item) for item in entry.each("ders"))
        if nameplate is None:
            if entry.has("ders") or not self._context.default_der:
                return ders
            return (DER(),)
        if entry.has("ders"):
            entry.error("nameplate", "expected either nameplate or ders, found both")
        return (_rated(nameplate),)

    def _check_membership(self, entry: Fields, device: Device) -> None:
        """A DER has at most 15 groups, programs and FSAs; it should stand in one place of each level."""
        groups = {
            group.name: group for name in device.groups for group in ancestry(self._groups, name)
        }.values()
        programs = {
            *device.programs,
            *(program for name in device.fsas for program in self._programs_by_fsa[name]),
            *(program for group in groups for program in group.programs),
        }
        for key, count in (("groups", len(groups)), ("programs", len(programs)), ("fsas", len(device.fsas))):
            if count > MOST:
                entry.error(key, f"expected at most {MOST} in all, got {count}")
        levels: dict[Level, str] = {}
        for group in groups:
            if group.level is not None and levels.setdefault(group.level, group.name) != group.name:
                other = levels[group.level]
                entry.warn(
                    "groups", f"in two groups of level {group.level.name}: {other!r} and {group.name!r}"
                )

    @staticmethod
    def _as_aggregator(entry: Fields, device: Device) -> Aggregator:
        """A device of category AGGREGATOR has no DERs or programs of its own (CSIP IG 6.1.7)."""
        for key in _OF_A_DER:
            if entry.has(key):
                entry.warn(key, "an aggregator has none of its own: ignored")
        return Aggregator(device.id, device.pin, device.lfdi, device.poll_rate, device.post_rate)


def _der(entry: Fields) -> DER:
    """A DER whose ratings stand under ``capabilities`` or beside it."""
    description = entry.get("description", DESCRIPTION, None)
    nested = entry.section("capabilities")
    if nested is None:
        return DER(description, _rated(entry).capability)
    entry.close()
    return DER(description, _rated(nested).capability)


def _rated(entry: Fields) -> DER:
    for key in _OF_THE_MAKER:
        if entry.has(key):
            entry.warn(key, "DeviceInformation comes from the device itself: ignored")
    der = DER(None, capability(entry))
    entry.close()
    return der
