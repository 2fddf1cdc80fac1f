"""The operations of the operator's API, as data: routes, the OpenAPI document and the tests come from it.

What an operation does is a function of a transaction (or, for one that only reads, a connection) and a
``Call``. It gives a form, or a form and the href of what it made.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from attrs import field, frozen

from csipd.db.views import Server
from csipd.sep2 import resources as r
from csipd.sep2.schema import Element
from csipd.web.admin import forms as f


@frozen
class Made:
    """What was made, and where it is."""

    form: Element
    location: str


@frozen
class Parameter:
    """A query parameter: an integer in a range, a text, one of some words, or true and false.

    :param kind: ``int``, ``str`` or ``bool``
    """

    name: str
    kind: type
    description: str
    words: tuple[str, ...] = ()
    least: int = 0
    most: int = 2**63 - 1
    default: Any = None
    longest: int = 128


@frozen
class Call:
    """One request.

    :param who: the operator
    :param now: TimeType
    :param server: what the server says of itself
    :param numbers: those in the path, by name
    :param query: the query parameters, defaults filled in
    :param body: what was sent
    :param prepared: what the operation's ``prepare`` made of it
    """

    who: str
    now: int
    server: Server
    numbers: Mapping[str, int]
    query: Mapping[str, Any]
    body: Any = None
    prepared: Any = None


@frozen
class Operation:
    """One operation.

    :param name: operationId
    :param run: what it does; of a ``Transaction`` if it writes, else of a connection
    :param takes: the form of the body
    :param gives: the form of the answer; None for 204
    :param status: of the answer
    :param writes: whether it changes anything
    :param refuses: statuses that it may refuse with, besides those that every one may
    :param prepare: what has to be done first, outside of the database: gives a Deferred of ``Call.prepared``
    """

    method: str
    path: str
    name: str
    summary: str
    run: Callable[[Any, Call], Any]
    takes: type[Element] | None = None
    gives: type[Element] | None = None
    status: int = 200
    writes: bool = False
    query: tuple[Parameter, ...] = ()
    refuses: tuple[int, ...] = ()
    prepare: str | None = None
    tag: str = field(init=False)

    @tag.default
    def _tag(self) -> str:
        return self.path.split("/")[2]


_LIMIT = Parameter("limit", int, "the most items in one answer", least=1, most=500, default=50)
_AFTER = Parameter("after", int, "the next of the page before")
_PAGE = (_LIMIT, _AFTER)
#: What a page may ask for at most.
LARGEST_PAGE = _LIMIT.most


def table() -> tuple[Operation, ...]:
    """All operations. A function, since what they do is in modules that know this one."""
    from csipd.web.admin import controls, devices, programs, reports
    from csipd.web.admin import groups as g

    return (
        Operation("GET", "/admin/status", "status", "How the server is", reports.status, gives=f.ServerState),
        # Devices and aggregators
        Operation(
            "GET",
            "/admin/devices",
            "listDevices",
            "List devices and aggregators",
            devices.page,
            gives=f.DevicePage,
            query=(
                *_PAGE,
                Parameter("name", str, "what the name begins with"),
                Parameter("lfdi", str, "an LFDI, 40 hexadecimal digits"),
                Parameter("group", int, "number of a group that it is in or under"),
                Parameter("manager", int, "number of its aggregator"),
                Parameter(
                    "standing",
                    str,
                    "how it stands",
                    words=("registered", "listed", "withdrawn", "retired"),
                ),
            ),
            refuses=(404,),
        ),
        Operation(
            "POST",
            "/admin/devices",
            "addDevice",
            "List a device or an aggregator",
            devices.add,
            takes=f.NewDevice,
            gives=f.MadeDevice,
            status=201,
            writes=True,
            refuses=(404, 409, 503),
            prepare="certificate",
        ),
        Operation(
            "GET",
            "/admin/devices/{device}",
            "showDevice",
            "Show a device",
            devices.show,
            gives=f.Device,
            refuses=(404,),
        ),
        Operation(
            "PATCH",
            "/admin/devices/{device}",
            "changeDevice",
            "Change a device's PIN, category, rates or aggregator",
            devices.change,
            takes=f.ChangedDevice,
            gives=f.Device,
            writes=True,
            refuses=(404,),
        ),
        Operation(
            "DELETE",
            "/admin/devices/{device}",
            "removeDevice",
            "Remove a device; its history is kept",
            devices.remove,
            status=204,
            writes=True,
            refuses=(404,),
        ),
        Operation(
            "POST",
            "/admin/devices/{device}/register",
            "registerDevice",
            "Make a listed device an EndDevice",
            devices.register,
            gives=f.Device,
            writes=True,
            refuses=(404, 409),
        ),
        Operation(
            "POST",
            "/admin/devices/{device}/withdraw",
            "withdrawDevice",
            "Shut a device out until it is readmitted",
            devices.withdraw,
            gives=f.Device,
            writes=True,
            refuses=(404, 409),
        ),
        Operation(
            "POST",
            "/admin/devices/{device}/readmit",
            "readmitDevice",
            "Lift a withdrawal",
            devices.readmit,
            gives=f.Device,
            writes=True,
            refuses=(404, 409),
        ),
        Operation(
            "PUT",
            "/admin/devices/{device}/groups",
            "moveDevice",
            "Put a device into these groups and no others",
            devices.move,
            takes=f.Membership,
            gives=f.Device,
            writes=True,
            refuses=(404,),
        ),
        Operation(
            "GET",
            "/admin/devices/{device}/state",
            "deviceState",
            "What a device should be doing now and why, and what it last said",
            reports.state,
            gives=f.DeviceState,
            refuses=(404,),
        ),
        Operation(
            "GET",
            "/admin/devices/{device}/logevents",
            "deviceLog",
            "The log events of a device",
            reports.log_events,
            gives=f.LogEventPage,
            query=_PAGE,
            refuses=(404,),
        ),
        # Groups and topology
        Operation(
            "GET", "/admin/groups", "listGroups", "List groups", g.page, gives=f.GroupPage, query=_PAGE
        ),
        Operation(
            "POST",
            "/admin/groups",
            "addGroup",
            "Make a group",
            g.add,
            takes=f.NewGroup,
            gives=f.Group,
            status=201,
            writes=True,
            refuses=(404, 409),
        ),
        Operation(
            "GET", "/admin/groups/{group}", "showGroup", "Show a group", g.show, gives=f.Group, refuses=(404,)
        ),
        Operation(
            "PATCH",
            "/admin/groups/{group}",
            "changeGroup",
            "Hang a group elsewhere",
            g.change,
            takes=f.ChangedGroup,
            gives=f.Group,
            writes=True,
            refuses=(404, 409),
        ),
        Operation(
            "DELETE",
            "/admin/groups/{group}",
            "removeGroup",
            "Remove an empty group",
            g.remove,
            status=204,
            writes=True,
            refuses=(404, 409),
        ),
        Operation(
            "GET",
            "/admin/groups/{group}/devices",
            "listGroupDevices",
            "The devices in a group and under it",
            devices.under,
            gives=f.DevicePage,
            query=_PAGE,
            refuses=(404,),
        ),
        # Programs, their defaults and curves
        Operation(
            "GET",
            "/admin/programs",
            "listPrograms",
            "List programs of groups",
            programs.page,
            gives=f.ProgramPage,
            query=_PAGE,
        ),
        Operation(
            "POST",
            "/admin/programs",
            "addProgram",
            "Make a program",
            programs.add,
            takes=f.NewProgram,
            gives=f.Program,
            status=201,
            writes=True,
            refuses=(404, 409),
        ),
        Operation(
            "GET",
            "/admin/programs/{program}",
            "showProgram",
            "Show a program",
            programs.show,
            gives=f.Program,
            refuses=(404,),
        ),
        Operation(
            "PATCH",
            "/admin/programs/{program}",
            "changeProgram",
            "Change a program's primacy or group",
            programs.change,
            takes=f.ChangedProgram,
            gives=f.Program,
            writes=True,
            refuses=(404, 409),
        ),
        Operation(
            "DELETE",
            "/admin/programs/{program}",
            "removeProgram",
            "Retire a program",
            programs.remove,
            status=204,
            writes=True,
            refuses=(404, 409),
        ),
        Operation(
            "GET",
            "/admin/programs/{program}/default",
            "showDefault",
            "Show a program's DefaultDERControl",
            programs.show_default,
            gives=r.DefaultDERControl,
            refuses=(404,),
        ),
        Operation(
            "PUT",
            "/admin/programs/{program}/default",
            "setDefault",
            "Set a program's DefaultDERControl",
            programs.set_default,
            takes=f.NewDefaultControl,
            gives=r.DefaultDERControl,
            writes=True,
            refuses=(404,),
        ),
        Operation(
            "DELETE",
            "/admin/programs/{program}/default",
            "clearDefault",
            "Take a program's DefaultDERControl away",
            programs.clear_default,
            status=204,
            writes=True,
            refuses=(404,),
        ),
        Operation(
            "GET",
            "/admin/programs/{program}/curves",
            "listCurves",
            "The curves of a program",
            programs.curves,
            gives=f.CurvePage,
            refuses=(404,),
        ),
        Operation(
            "POST",
            "/admin/programs/{program}/curves",
            "addCurve",
            "Add a curve to a program",
            programs.add_curve,
            takes=f.NewCurve,
            gives=r.DERCurve,
            status=201,
            writes=True,
            refuses=(404,),
        ),
        Operation(
            "DELETE",
            "/admin/programs/{program}/curves/{curve}",
            "removeCurve",
            "Remove a curve that nothing uses",
            programs.remove_curve,
            status=204,
            writes=True,
            refuses=(404, 409),
        ),
        # Controls
        Operation(
            "GET",
            "/admin/controls",
            "listControls",
            "List controls, the latest start first",
            controls.page,
            gives=f.ControlPage,
            query=(
                *_PAGE,
                Parameter("program", int, "number of a program"),
                Parameter("status", str, "how it stands", words=controls.STATUSES),
                Parameter("since", int, "only those that end after this time"),
                Parameter("until", int, "only those that start before this time"),
            ),
        ),
        Operation(
            "POST",
            "/admin/controls",
            "createControl",
            "Make a control for a program, a group or named devices",
            controls.create,
            takes=f.NewControl,
            gives=f.MadeControls,
            status=201,
            writes=True,
            refuses=(404, 409),
        ),
        Operation(
            "POST",
            "/admin/controls/preview",
            "previewControl",
            "What a control would do, without making it",
            controls.preview,
            takes=f.NewControl,
            gives=f.Preview,
            refuses=(404,),
        ),
        Operation(
            "GET",
            "/admin/controls/{control}",
            "showControl",
            "Show a control",
            controls.show,
            gives=f.Control,
            refuses=(404,),
        ),
        Operation(
            "POST",
            "/admin/controls/{control}/cancel",
            "cancelControl",
            "Cancel a control",
            controls.cancel,
            takes=f.Cancellation,
            gives=f.Control,
            writes=True,
            refuses=(404, 409),
        ),
        Operation(
            "GET",
            "/admin/controls/{control}/answers",
            "controlAnswers",
            "How many have received, started, completed, and who is silent",
            reports.answers,
            gives=f.Answers,
            refuses=(404,),
        ),
        # Reports
        Operation(
            "GET",
            "/admin/responses",
            "listResponses",
            "Responses of devices, the newest first",
            reports.list_responses,
            gives=f.ResponsePage,
            query=(
                *_PAGE,
                Parameter("control", int, "number of a control"),
                Parameter("device", int, "number of a device"),
                Parameter("flagged", bool, "only those that need a look"),
            ),
        ),
        Operation(
            "GET",
            "/admin/alarms",
            "listAlarms",
            "Alarms, the newest first",
            reports.list_alarms,
            gives=f.AlarmPage,
            query=(
                *_PAGE,
                Parameter("device", int, "number of a device"),
                Parameter("open", bool, "only those that are open"),
            ),
        ),
        Operation(
            "GET",
            "/admin/audit",
            "listAudit",
            "The audit log, the newest first",
            reports.audit_log,
            gives=f.AuditPage,
            query=(
                *_PAGE,
                Parameter("who", str, "the operator, or an LFDI"),
                Parameter("subject", str, "what was changed"),
            ),
        ),
    )
