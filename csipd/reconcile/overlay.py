"""Laying the configuration file over the database at start, in one transaction.

The file is first taken apart into small statements ("device dev1 has this PIN", "dev1 is in this group"),
then compared with those it made last time (db/declarations.py). Only what differs is carried out, so that
what devices and operators made meanwhile stays. Nothing is deleted: a device that is gone from the file is
retired and comes back with its readings and settings when the file speaks of it again; a program likewise.
docs/operating.md has the rule in the operator's words.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

from attrs import define, evolve, field, frozen

from csipd.config import Aggregator, Control, Device, Event, Program, ServerMode, Settings
from csipd.config.canonical import canonical, event_key
from csipd.db import audit, controls, declarations, devices, documents, groups, programs
from csipd.db.database import Transaction
from csipd.db.declarations import Change, Entry
from csipd.db.responses import REPLY_TO
from csipd.sep2 import identity
from csipd.sep2 import resources as r
from csipd.sep2.mrid import Issuer
from csipd.sep2.site import ROWS, Place

#: The FSA of all topology groups (CSIP P26), and of programs that no FSA of the file names.
TOPOLOGY = "Topology"
PROGRAMS = "Programs"

#: Who the audit log names for changes that the file makes.
WHO = "configuration"

_DERCAP = ROWS["DERCapability"]


def lay(
    transaction: Transaction,
    settings: Settings,
    lfdis: Mapping[str, str],
    issuer: Issuer,
    now: int,
) -> list[str]:
    """Bring about what the file declares.

    :param lfdis: LFDI of each configured device and aggregator by its id
    :return: what was changed, a line each, for the log
    """
    declared = _Declared(settings, lfdis)
    said = {entry: json.dumps(content, sort_keys=True) for entry, content in declared.statements()}
    laying = _Laying(transaction, declared, issuer, now)
    changes = declarations.differences(transaction.connection, said)
    told = laying.rename(changes)
    if told:
        changes = declarations.differences(transaction.connection, said)
    # Groups before programs before devices before memberships, and what goes after all that comes.
    for change in sorted(changes, key=lambda change: (change.after is None, _ORDER.index(change.entry[0]))):
        told.append(laying.carry_out(change))
    declarations.remember(transaction, changes)
    return told


#: Kinds of statements, each needing only those before it.
_ORDER = (
    "group",
    "program",
    "curve",
    "default",
    "device",
    "manager",
    "ders",
    "capability",
    "member",
    "event",
)
#: Those whose key begins with the id of a device.
_OF_A_DEVICE = ("device", "manager", "ders", "capability", "member")
#: Where in the row of a device is kept what the file says of it.
_COLUMNS = {
    "lfdi": "lfdi",
    "pin": "pin",
    "category": "device_category",
    "poll_rate": "poll_rate",
    "post_rate": "post_rate",
}


@frozen
class _Declared:
    """What a file declares, as statements: ((kind, key), content)."""

    settings: Settings
    lfdis: Mapping[str, str]

    def statements(self) -> Iterator[tuple[Entry, Any]]:
        group_of = self._groups_of_programs()
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
        for program in self.settings.programs:
            own = self._own_group(program)
            if group_of[program.description] == own:
                yield (
                    ("group", own),
                    {
                        "parent": None,
                        "level": None,
                        "assignment": self._assignment(program),
                    },
                )
            yield (
                ("program", program.description),
                {
                    "primacy": program.primacy,
                    "group": group_of[program.description],
                },
            )
            yield from self._parts(program)
        for device in self.settings.devices:
            yield from self._device(device, group_of)
        for aggregator in self.settings.aggregators:
            yield from self._listed(aggregator, True)
            for member in aggregator.devices:
                yield ("manager", member), aggregator.id
        for key in self.events:
            yield ("event", key), None

    def _parts(self, program: Program) -> Iterator[tuple[Entry, Any]]:
        for curve in program.curves:
            yield ("curve", f"{program.description}\t{curve}"), canonical(self.curves[curve])
        if program.default_control is not None:
            yield ("default", program.description), canonical(self.controls[program.default_control])

    def _device(self, device: Device, group_of: Mapping[str, str]) -> Iterator[tuple[Entry, Any]]:
        yield from self._listed(device, False)
        yield ("ders", device.id), len(device.ders)
        for number, der in enumerate(device.ders, 1):
            if der.capability is not None:
                yield ("capability", f"{device.id}\t{number}"), canonical(der.capability)
        in_fsas = {fsa.description: fsa.programs for fsa in self.settings.fsas}
        named = [*device.programs, *(program for fsa in device.fsas for program in in_fsas[fsa])]
        for group in dict.fromkeys((*device.groups, *(group_of[program] for program in named))):
            yield ("member", f"{device.id}\t{group}"), None

    def _listed(self, device: Device | Aggregator, aggregator: bool) -> Iterator[tuple[Entry, Any]]:
        yield (
            ("device", device.id),
            {
                "lfdi": self.lfdis[device.id],
                "aggregator": aggregator,
                "pin": device.pin,
                "category": getattr(device, "deviceCategory", None),
                "poll_rate": device.poll_rate,
                "post_rate": device.post_rate,
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
        while name in self.group_names:
            name += "'"
        return name

    def _assignment(self, program: Program) -> str:
        for fsa in self.settings.fsas:
            if program.description in fsa.programs:
                return fsa.description
        return PROGRAMS

    @cached_property
    def group_names(self) -> frozenset[str]:
        return frozenset(group.name for group in self.settings.groups)

    @cached_property
    def curves(self) -> Mapping[str, Any]:
        return {curve.description: curve for curve in self.settings.curves}

    @cached_property
    def controls(self) -> Mapping[str, Control]:
        return {control.description: control for control in self.settings.controls}

    @cached_property
    def events(self) -> Mapping[str, Event]:
        """The events by what they are known by."""
        return {event_key(event): event for event in self.settings.events}

    @cached_property
    def devices(self) -> Mapping[str, Device]:
        return {device.id: device for device in self.settings.devices}


@define
class _Laying:
    """Carries out changes, one kind of statement each."""

    transaction: Transaction
    declared: _Declared
    issuer: Issuer
    now: int
    _kinds: Mapping[str, Callable[[str, Any, Any], str]] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._kinds = {kind: getattr(self, f"_{kind}") for kind in _ORDER}

    def carry_out(self, change: Change) -> str:
        """Bring a statement about, and say what was done."""
        kind, key = change.entry
        before = None if change.before is None else json.loads(change.before)
        after = None if change.after is None else json.loads(change.after)
        gone = change.after is None
        done = self._kinds[kind](key, before, _GONE if gone else after)
        return self._tell(done, kind, key)

    def rename(self, changes: Sequence[Change]) -> list[str]:
        """Follow devices to the ids that the file gives them now: the certificate says who they are.

        What the file said of the old id it has then said of the new one.
        """
        gone = {change.entry[1] for change in changes if change.after is None and change.entry[0] == "device"}
        told = []
        for change in changes:
            kind, id = change.entry
            if kind != "device" or change.before is not None or change.after is None:
                continue
            device = devices.find(self.transaction.connection, self.declared.lfdis[id])
            if device is None or device.name not in gone:
                continue
            if devices.find_by_name(self.transaction.connection, id) is not None:
                continue
            declarations.rename(self.transaction, _OF_A_DEVICE, device.name, id)
            devices.alter(self.transaction, device.id, name=id, changed_time=self.now)
            told.append(self._tell("renamed", kind, f"{device.name}\t{id}"))
        return told

    def _tell(self, done: str, kind: str, key: str) -> str:
        line = f"{done} {kind} {key}".replace("\t", " / ")
        audit.record(self.transaction, self.now, WHO, done, f"{kind} {key}", line)
        return line

    def _group(self, name: str, before: Any, after: Any) -> str:
        if after is _GONE:
            # Its members and programs have statements of their own, and go by those.
            return "kept"
        parent = None if after["parent"] is None else self._group_number(after["parent"])
        assignment = groups.assignment(self.transaction, after["assignment"])
        groups.put_group(self.transaction, name, parent=parent, level=after["level"], assignment=assignment)
        return _done(before)

    def _program(self, description: str, before: Any, after: Any) -> str:
        number = programs.find(self.transaction.connection, description)
        if after is _GONE:
            if number is not None:
                programs.retire(self.transaction, number, self.now)
            return "retired"
        group = self._group_number(after["group"])
        if number is None:
            programs.add(self.transaction, self.issuer, group, description, after["primacy"])
        else:
            programs.change(self.transaction, number, group=group, primacy=after["primacy"])
        return _done(before)

    def _curve(self, key: str, before: Any, after: Any) -> str:
        program, description = self._program_number(key), key.partition("\t")[2]
        place = programs.find_curve(self.transaction.connection, program, description)
        if after is _GONE:
            if place is not None:
                documents.delete(self.transaction, place)
            return "removed"
        said = self.declared.curves[description]
        if place is None:
            curve = said.curve("0", self.now)
            programs.add_curve(self.transaction, self.issuer, program, curve, self.now)
        else:
            present = documents.get(self.transaction.connection, place)
            assert isinstance(present, r.DERCurve)
            curve = said.curve("0", present.creationTime)
            programs.change_curve(self.transaction, place, curve, self.now)
        return _done(before)

    def _default(self, description: str, before: Any, after: Any) -> str:
        program = self._program_number(description)
        if after is _GONE:
            programs.set_default(self.transaction, self.issuer, program, None, self.now)
            return "removed"
        (named,) = (p for p in self.declared.settings.programs if p.description == description)
        control = self.declared.controls[named.default_control or ""]
        default = control.default("0", lambda curve: self._curve_href(program, curve))
        programs.set_default(self.transaction, self.issuer, program, default, self.now)
        return _done(before)

    def _device(self, id: str, before: Any, after: Any) -> str:
        connection = self.transaction.connection
        device = devices.find_by_name(connection, id)
        if after is _GONE:
            if device is not None:
                devices.alter(self.transaction, device.id, retired=self.now, changed_time=self.now)
            return "retired"
        # Only what the file says anew goes over what is there; where it says nothing, that stays.
        news = {
            key: value
            for key, value in after.items()
            if value is not None and (before is None or before.get(key) != value)
        }
        lfdi = after["lfdi"]
        by_lfdi = devices.find(connection, lfdi)
        if device is None:
            # One that registered in band before the file knew it is taken over with all it has.
            device = by_lfdi or devices.add(
                self.transaction, lfdi, now=self.now, aggregator=after["aggregator"], pin=after["pin"]
            )
        elif "lfdi" in news and by_lfdi is not None and by_lfdi.id != device.id:
            raise OverlayError(f"{id}: its LFDI {lfdi} is that of another device of the store")
        values: dict[str, Any] = {"name": id, "retired": None, "changed_time": self.now}
        values.update({column: news[key] for key, column in _COLUMNS.items() if key in news})
        if "lfdi" in news:
            values["sfdi"] = identity.sfdi(lfdi)
        if after["aggregator"] != device.aggregator:
            device = evolve(device, aggregator=after["aggregator"])
            values["aggregator"] = device.aggregator
            values["manager"] = device.id if device.aggregator else None
        devices.alter(self.transaction, device.id, **values)
        if news.get("registered") and device.registered is None:
            ders = 0 if device.aggregator else len(self.declared.devices[id].ders)
            devices.enrol(self.transaction, device, self.now, ders)
        return _done(before)

    def _manager(self, id: str, before: Any, after: Any) -> str:
        device = devices.find_by_name(self.transaction.connection, id)
        if device is not None:
            own = device.id if device.aggregator else None
            manager = own if after is _GONE else self._device_number(after)
            devices.alter(self.transaction, device.id, manager=manager, changed_time=self.now)
        return "removed" if after is _GONE else _done(before)

    def _ders(self, id: str, before: Any, after: Any) -> str:
        if after is _GONE:
            return "kept"
        devices.add_ders(self.transaction, self._device_number(id), after, self.now)
        return _done(before)

    def _capability(self, key: str, before: Any, after: Any) -> str:
        id, _, number = key.partition("\t")
        device = devices.find_by_name(self.transaction.connection, id)
        if device is None:
            return "kept"
        place = Place(_DERCAP, (device.id, int(number)))
        present = documents.get(self.transaction.connection, place)
        if present is not None and (before is None or canonical(present) != before):
            # What the device has PUT itself stands (decision 26).
            return "kept"
        if after is _GONE:
            documents.delete(self.transaction, place)
            return "removed"
        capability = self.declared.devices[id].ders[int(number) - 1].capability
        assert isinstance(capability, r.DERCapability)
        documents.put(self.transaction, place, capability, self.now, device.id)
        return _done(before)

    def _member(self, key: str, before: Any, after: Any) -> str:
        id, _, name = key.partition("\t")
        device = devices.find_by_name(self.transaction.connection, id)
        group = groups.find(self.transaction.connection, name)
        if device is None or group is None:
            return "kept"
        if after is _GONE:
            devices.leave(self.transaction, device.id, group, self.now)
            return "removed"
        devices.join(self.transaction, device.id, group, self.now)
        return _done(before)

    def _event(self, key: str, before: Any, after: Any) -> str:
        """Schedule an event the first time that the file has it. One that is gone from the file stays."""
        if after is _GONE:
            return "kept"
        event = self.declared.events[key]
        start = self.now + event.delay if event.start is None else event.start
        if start + event.duration <= self.now:
            return "not scheduled, for it is over,"
        template = self.declared.controls[event.control]
        for description in event.programs:
            program = self._program_number(description)

            def href(curve: str, program: int = program) -> str:
                return self._curve_href(program, curve)

            control = r.DERControl(
                mRID="0",
                description=event.control,
                creationTime=self.now,
                EventStatus=r.EventStatus(currentStatus=0, dateTime=self.now, potentiallySuperseded=False),
                interval=r.DateTimeInterval(duration=event.duration, start=start),
                randomizeDuration=event.randomizeDuration,
                randomizeStart=event.randomizeStart,
                DERControlBase=template.base(href),
            )
            if event.responseRequired:
                control = control.replace(replyTo=REPLY_TO, responseRequired=event.responseRequired)
            controls.add(self.transaction, self.issuer, program, control, WHO)
        return "scheduled"

    def _group_number(self, name: str) -> int:
        number = groups.find(self.transaction.connection, name)
        if number is None:
            # A parent that the file names further down: its own statement gives it its place.
            assignment = groups.assignment(self.transaction, TOPOLOGY)
            number = groups.put_group(self.transaction, name, parent=None, level=None, assignment=assignment)
        return number

    def _program_number(self, key: str) -> int:
        number = programs.find(self.transaction.connection, key.partition("\t")[0])
        assert number is not None
        return number

    def _device_number(self, id: str) -> int:
        device = devices.find_by_name(self.transaction.connection, id)
        assert device is not None
        return device.id

    def _curve_href(self, program: int, curve: str) -> str:
        place = programs.find_curve(self.transaction.connection, program, curve)
        assert place is not None
        return place.href


class OverlayError(Exception):
    """The file and the database contradict each other; one line."""


class _Gone:
    """The file no longer makes a statement (its content may be null)."""


_GONE = _Gone()


def _done(before: Any) -> str:
    return "added" if before is None else "changed"


def identities(settings: Settings) -> Sequence[Device | Aggregator]:
    """All whom the file lists by a certificate or an LFDI."""
    return (*settings.devices, *settings.aggregators)
