"""What the operator's API takes and gives, declared as the information model is.

A form is an ``Element`` like any type of the standard, so reading, checking and describing it needs no code
of its own (csipd/web/json_form.py). Names in snake_case are the API's own; those of the standard are spelled
as there. Times are TimeType: seconds since 1970 in UTC. Devices, groups, programs, curves and controls go by
the numbers in their URIs.
"""

from __future__ import annotations

from typing import Annotated

from csipd.sep2 import resources as r
from csipd.sep2.schema import Element, Occurs
from csipd.sep2.types import (
    Boolean,
    DERCurveType,
    DERUnitRefType,
    DeviceCategoryType,
    HexBinary8,
    HexBinary160,
    Int16,
    Integer,
    OneHourRangeType,
    PerCent,
    PINType,
    PowerOfTenMultiplierType,
    PrimacyType,
    SFDIType,
    String32,
    String192,
    Text,
    TimeType,
    UInt8,
    UInt16,
    UInt32,
)
from csipd.web.admin import forms as f

#: A number in a URI.
Number = Annotated[int, Integer(1, 2**63 - 1)]
#: The number of what has none yet or no more of it, and counts.
Count = Annotated[int, Integer(0, 2**63 - 1)]
#: Names that the operator gives: of devices, groups.
Name = Annotated[str, Text(64)]
#: A place in the topology: 0 is the System, 6 a Service Point, nearest to a DER (CSIP IG 4.3).
Level = Annotated[int, Integer(0, 6)]
#: The most groups that a device may be put into.
MOST_GROUPS = 15
#: The most devices that a control may name; more are reached by a group.
MOST_DEVICES = 1000
#: A line for a person.
Line = Annotated[str, Text(1024)]
#: Certificates, keys and signing requests in PEM.
PEM = Annotated[str, Text(65_536)]


# Devices


class NewDevice(Element):
    """A device or aggregator to be listed.

    Its LFDI is given, or follows from the certificate that is made for it: from a signing request (csr), or
    with a key that is made too, handed out once and kept nowhere. Its name has letters, digits, dots, dashes
    and underscores. ``registered`` says whether it becomes an EndDevice at once; by default it does where
    devices do not register themselves (server_mode).
    """

    name: Name
    lFDI: HexBinary160 | None = None
    csr: PEM | None = None
    make_key: Boolean | None = None
    aggregator: Boolean | None = None
    manager: Number | None = None
    pIN: PINType | None = None
    deviceCategory: DeviceCategoryType | None = None
    pollRate: UInt32 | None = None
    postRate: UInt32 | None = None
    groups: Annotated[tuple[Number, ...], Occurs(0, MOST_GROUPS)] = ()
    ders: UInt8 | None = None
    registered: Boolean | None = None


class ChangedDevice(Element):
    """What is to be different about a device; what is not named stays. A manager of 0 is none."""

    pIN: PINType | None = None
    deviceCategory: DeviceCategoryType | None = None
    pollRate: UInt32 | None = None
    postRate: UInt32 | None = None
    manager: Count | None = None


class Membership(Element):
    """The groups that a device is to be in, and no others; those above them follow."""

    groups: Annotated[tuple[Number, ...], Occurs(0, MOST_GROUPS)] = ()


class Device(Element):
    """A device as the operator sees it."""

    number: Number
    href: Line
    name: Line | None = None
    lFDI: HexBinary160
    sFDI: SFDIType
    pIN: PINType | None = None
    aggregator: Boolean
    manager: Number | None = None
    standing: Line
    registered: TimeType | None = None
    retired: TimeType | None = None
    withdrawn: TimeType | None = None
    changedTime: TimeType
    deviceCategory: DeviceCategoryType | None = None
    pollRate: UInt32 | None = None
    postRate: UInt32 | None = None
    groups: tuple[Number, ...] = ()


class MadeDevice(Element):
    """A device that was listed, with the certificate and key that were made for it."""

    device: f.Device
    certificate: PEM | None = None
    key: PEM | None = None


class DevicePage(Element):
    """Devices in the order of their numbers; ``next`` is what to give as ``after`` for those that follow."""

    items: tuple[f.Device, ...] = ()
    next: Number | None = None


# What a device does


class Acting(Element):
    """What holds one control mode of a device, and why."""

    mode: Line
    value: Line
    source: Line
    program: Number
    control: Number | None = None
    since: TimeType | None = None
    until: TimeType | None = None


class Passed(Element):
    """An event that does not hold a mode although its time has come, and why."""

    mode: Line
    control: Number
    program: Number
    reason: Line
    by: Number | None = None


class DeviceState(Element):
    """What a device should be doing now, and what it last said of itself."""

    device: Number
    now: TimeType
    acting: tuple[f.Acting, ...] = ()
    passed: tuple[f.Passed, ...] = ()
    statuses: tuple[f.DERReport, ...] = ()
    alarms: tuple[f.Alarm, ...] = ()
    responses: tuple[f.Response, ...] = ()


class DERReport(Element):
    """What a device last reported of one of its DERs."""

    der: Number
    capability: r.DERCapability | None = None
    settings: r.DERSettings | None = None
    status: r.DERStatus | None = None
    availability: r.DERAvailability | None = None


class Alarm(Element):
    """An alarm of a device: raised by a LogEvent, open until the LogEvent of its return to normal."""

    number: Number
    device: Number
    name: Line
    functionSet: UInt8
    logEventCode: UInt8
    raised: TimeType
    cleared: TimeType | None = None
    details: String32 | None = None


class AlarmPage(Element):
    """Alarms, the newest first."""

    items: tuple[f.Alarm, ...] = ()
    next: Number | None = None


class LogEventShown(Element):
    """A log event of a device."""

    number: Number
    device: Number
    event: r.LogEvent
    hidden: Boolean


class LogEventPage(Element):
    """Log events, the newest first."""

    items: tuple[f.LogEventShown, ...] = ()
    next: Number | None = None


# Groups and programs


class NewGroup(Element):
    """A group of devices: a node of the topology (level), or one beside it."""

    name: Name
    parent: Number | None = None
    level: Level | None = None
    fsa: String32 | None = None


class ChangedGroup(Element):
    """What is to be different about a group: where it hangs. A parent of 0 is none."""

    parent: Count | None = None
    level: Level | None = None


class Group(Element):
    """A group, and how many EndDevices are in it and below it; one that is in two of these counts twice."""

    number: Number
    name: Line
    parent: Number | None = None
    level: Level | None = None
    fsa: Line
    programs: tuple[Number, ...] = ()
    devices: Count


class GroupPage(Element):
    """Groups in the order of their numbers."""

    items: tuple[f.Group, ...] = ()
    next: Number | None = None


class NewProgram(Element):
    """A DERProgram for all who are in a group."""

    description: String32
    primacy: PrimacyType
    group: Number


class ChangedProgram(Element):
    """What is to be different about a program."""

    primacy: PrimacyType | None = None
    group: Number | None = None


class Program(Element):
    """A DERProgram as the operator sees it. A device's own program has the device in place of a group."""

    number: Number
    href: Line
    mRID: Line
    description: Line
    primacy: PrimacyType
    group: Number | None = None
    device: Number | None = None
    version: UInt16
    retired: TimeType | None = None


class ProgramPage(Element):
    """Programs in the order of their numbers."""

    items: tuple[f.Program, ...] = ()
    next: Number | None = None


class NewDefaultControl(Element):
    """What a program's devices are to do when no event holds a mode; ramp rates and enter service too."""

    description: String32 | None = None
    DERControlBase: r.DERControlBase
    setESDelay: UInt32 | None = None
    setESHighFreq: UInt16 | None = None
    setESHighVolt: Int16 | None = None
    setESLowFreq: UInt16 | None = None
    setESLowVolt: Int16 | None = None
    setESRampTms: UInt32 | None = None
    setESRandomDelay: UInt32 | None = None
    setGradW: UInt16 | None = None
    setSoftGradW: UInt16 | None = None


class NewCurve(Element):
    """A curve of up to ten points; multipliers are powers of ten."""

    description: String32 | None = None
    autonomousVRefEnable: Boolean | None = None
    autonomousVRefTimeConstant: UInt32 | None = None
    CurveData: Annotated[tuple[r.CurveData, ...], Occurs(1, 10)]
    curveType: DERCurveType
    openLoopTms: UInt16 | None = None
    rampDecTms: UInt16 | None = None
    rampIncTms: UInt16 | None = None
    rampPT1Tms: UInt16 | None = None
    vRef: PerCent | None = None
    xMultiplier: PowerOfTenMultiplierType
    yMultiplier: PowerOfTenMultiplierType
    yRefType: DERUnitRefType


class CurvePage(Element):
    """The curves of a program in the order of their numbers, with their hrefs."""

    items: tuple[r.DERCurve, ...] = ()
    next: Number | None = None


# Controls


class NewControl(Element):
    """A DERControl to be made: for a program, a group, or named devices - one of the three.

    It starts at once where no start is given. Modes that are curves name them by href.
    """

    program: Number | None = None
    group: Number | None = None
    devices: Annotated[tuple[Number, ...], Occurs(0, MOST_DEVICES)] = ()
    description: String32 | None = None
    start: TimeType | None = None
    duration: UInt32
    randomizeStart: OneHourRangeType | None = None
    randomizeDuration: OneHourRangeType | None = None
    deviceCategory: DeviceCategoryType | None = None
    responseRequired: HexBinary8 | None = None
    base: r.DERControlBase


class Superseded(Element):
    """An event that a new one would take modes from."""

    control: Number
    program: Number
    modes: tuple[Line, ...] = ()
    wholly: Boolean


class Preview(Element):
    """What a control would do, before it is made."""

    devices: Count
    sample: tuple[Number, ...] = ()
    programs: tuple[Number, ...] = ()
    supersedes: tuple[f.Superseded, ...] = ()
    superseded_by: tuple[f.Superseded, ...] = ()
    warnings: tuple[Line, ...] = ()


class Control(Element):
    """A DERControl as the operator sees it: the document as devices see it, and its place."""

    number: Number
    program: Number
    href: Line
    status: Line
    control: r.DERControl
    superseded_by: tuple[Number, ...] = ()
    who: Line | None = None


class MadeControls(Element):
    """The controls that were made: one, or one for each device's own program."""

    items: tuple[f.Control, ...] = ()
    warnings: tuple[Line, ...] = ()


class ControlPage(Element):
    """Controls, the latest start first."""

    items: tuple[f.Control, ...] = ()
    next: Number | None = None


class Cancellation(Element):
    """How a control is to be cancelled: at once, or by each device at a random moment."""

    randomized: Boolean | None = None
    reason: String192 | None = None


class Response(Element):
    """What a device answered to an event."""

    number: Number
    device: Number | None = None
    lFDI: HexBinary160
    control: Number | None = None
    subject: Line
    status: UInt8 | None = None
    meaning: Line
    createdDateTime: TimeType | None = None
    received: TimeType
    flagged: Line | None = None


class ResponsePage(Element):
    """Responses, the newest first."""

    items: tuple[f.Response, ...] = ()
    next: Number | None = None


class Answers(Element):
    """How many devices of an event have said what, and who has said nothing in time."""

    control: Number
    asked: Count
    received: Count
    started: Count
    completed: Count
    opted_out: Count
    cancelled: Count
    superseded: Count
    rejected: Count
    silent: Count
    silent_sample: tuple[Number, ...] = ()


# The rest


class AuditLine(Element):
    """Who changed what, and when."""

    number: Number
    at: TimeType
    who: Line
    action: Line
    subject: Line
    detail: Line


class AuditPage(Element):
    """The audit log, the newest first."""

    items: tuple[f.AuditLine, ...] = ()
    next: Number | None = None


class ServerState(Element):
    """How the server is."""

    version: Line
    now: TimeType
    devices: Count
    registered: Count
    programs: Count
    controls_active: Count
    controls_scheduled: Count
    alarms_open: Count
    next_transition: TimeType | None = None
    last_tick: TimeType | None = None
