"""What a configuration file declares, as statements: a kind, a key, and what is said of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

from attrs import frozen

from csipd.config import Aggregator, Control, Device, Event, Program, ServerMode, Settings
from csipd.config.canonical import canonical, event_key
from csipd.config.server import POLL_RATES
from csipd.config.settings import DEFAULT_POST_RATE
from csipd.db.declarations import Entry

#: The FSA of all topology groups (CSIP P26), and of programs that no FSA of the file names.
TOPOLOGY = "Topology"
PROGRAMS = "Programs"

#: ((kind, key), content). A key of several parts has tabs between them; the content can be written as JSON.
Statement = tuple[Entry, Any]


def certificate_holders(settings: Settings) -> tuple[Device | Aggregator, ...]:
    """All whom the file lists by a certificate or an LFDI."""
    return (*settings.devices, *settings.aggregators)


@frozen
class Declared:
    """What a file declares.

    :param lfdis: LFDI of each configured device and aggregator by its id
    """

    settings: Settings
    lfdis: Mapping[str, str]

    def statements(self) -> Iterator[Statement]:
        """All statements of the file, each once, in the file's order."""
        group_of = self._groups_of_programs()
        yield from self._rates()
        yield from self._groups()
        for program in self.settings.programs:
            yield from self._program(program, group_of[program.description])
        for device in self.settings.devices:
            yield from self._device(device, group_of)
        for aggregator in self.settings.aggregators:
            yield self._holder(aggregator, aggregator=True)
            for member in aggregator.devices:
                yield ("manager", member), aggregator.id
        for key in self.events:
            yield ("event", key), None

    @cached_property
    def curves(self) -> Mapping[str, Any]:
        """The curves by their descriptions."""
        return {curve.description: curve for curve in self.settings.curves}

    @cached_property
    def controls(self) -> Mapping[str, Control]:
        """The templates of controls by their descriptions."""
        return {control.description: control for control in self.settings.controls}

    @cached_property
    def programs(self) -> Mapping[str, Program]:
        """The programs by their descriptions."""
        return {program.description: program for program in self.settings.programs}

    @cached_property
    def events(self) -> Mapping[str, Event]:
        """The events by what they are known by."""
        return {event_key(event): event for event in self.settings.events}

    @cached_property
    def devices(self) -> Mapping[str, Device]:
        """The devices by their ids."""
        return {device.id: device for device in self.settings.devices}

    @property
    def usual_groups(self) -> tuple[str, ...]:
        """Names of the groups of a device with DERs that the file does not name: of the programs of its first
        FSA, and of the program that is every DER's.
        """
        group_of = self._groups_of_programs()
        first = self.settings.fsas[0].programs if self.settings.fsas else ()
        default = self.settings.default_program
        named = first if default is None else (*first, default)
        return tuple(dict.fromkeys(group_of[program] for program in named))

    def _rates(self) -> Iterator[Statement]:
        # Of a key that it does not have the file says nothing: defaults may be others in another release.
        for name, (key, _) in POLL_RATES.items():
            if key in self.settings.origins:
                yield ("rate", key), self.settings.poll_rates[name]

    def _groups(self) -> Iterator[Statement]:
        for group in self.settings.groups:
            shared = TOPOLOGY if group.level is not None else group.name
            yield (
                ("group", group.name),
                {
                    "parent": group.parent,
                    "level": None if group.level is None else group.level.value,
                    "assignment": group.fsa or shared,
                },
            )

    def _program(self, program: Program, group: str) -> Iterator[Statement]:
        if group == self._own_group(program):
            yield (
                ("group", group),
                {"parent": None, "level": None, "assignment": self._assignment(program)},
            )
        yield ("program", program.description), {"primacy": program.primacy, "group": group}
        for curve in program.curves:
            yield ("curve", f"{program.description}\t{curve}"), canonical(self.curves[curve])
        if program.default_control is not None:
            yield ("default", program.description), canonical(self.controls[program.default_control])

    def _device(self, device: Device, group_of: Mapping[str, str]) -> Iterator[Statement]:
        yield self._holder(device, aggregator=False)
        yield ("ders", device.id), len(device.ders)
        for number, der in enumerate(device.ders, 1):
            if der.capability is not None:
                yield ("capability", f"{device.id}\t{number}"), canonical(der.capability)
        in_fsas = {fsa.description: fsa.programs for fsa in self.settings.fsas}
        named = [*device.programs, *(program for fsa in device.fsas for program in in_fsas[fsa])]
        for group in dict.fromkeys((*device.groups, *(group_of[program] for program in named))):
            yield ("member", f"{device.id}\t{group}"), None

    def _holder(self, holder: Device | Aggregator, *, aggregator: bool) -> Statement:
        return (
            ("device", holder.id),
            {
                "lfdi": self.lfdis[holder.id],
                "aggregator": aggregator,
                "pin": holder.pin,
                "category": getattr(holder, "deviceCategory", None),
                "poll_rate": holder.poll_rate,
                "post_rate": None if holder.post_rate == DEFAULT_POST_RATE else holder.post_rate,
                "registered": self.settings.server_mode is ServerMode.CREATE_ON_START,
            },
        )

    def _groups_of_programs(self) -> dict[str, str]:
        """The group that each program goes to: the one that names it, or one of its own."""
        found = {program.description: self._own_group(program) for program in self.settings.programs}
        for group in self.settings.groups:
            found.update(dict.fromkeys(group.programs, group.name))
        return found

    def _own_group(self, program: Program) -> str:
        name = f"Program {program.description}"
        while name in self._group_names:
            name += "'"
        return name

    def _assignment(self, program: Program) -> str:
        for fsa in self.settings.fsas:
            if program.description in fsa.programs:
                return fsa.description
        return PROGRAMS

    @cached_property
    def _group_names(self) -> frozenset[str]:
        return frozenset(group.name for group in self.settings.groups)
