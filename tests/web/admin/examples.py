"""For every operation of the operator's API a request that succeeds in a world as it begins."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from attrs import frozen

from csipd.db.programs import own_program
from csipd.db.tree.context import Server
from csipd.web.admin.operations import Call, Operation
from csipd.web.admin.table import OPERATIONS
from csipd.web.json_form import from_json
from tests.support.world import NOW, Numbers

#: An LFDI that nobody has.
NEW_LFDI = "3E4F45AB31EDFE5B67E343E5E4562E31984E23E5"

DEVICE: dict[str, Any] = {"name": "new", "lFDI": NEW_LFDI}
CURVE: dict[str, Any] = {
    "description": "volt-var 2",
    "CurveData": [{"xvalue": 92, "yvalue": 44}, {"xvalue": 108, "yvalue": -44}],
    "curveType": 11,
    "xMultiplier": 0,
    "yMultiplier": 0,
    "yRefType": 3,
}
CONTROL: dict[str, Any] = {"duration": 600, "base": {"opModMaxLimW": 6000}}
RATES: dict[str, Any] = {
    "rates": [
        {"resource": "DERProgramList", "seconds": 300},
        {"resource": "EndDevice", "seconds": 60},
        {"resource": "Time", "seconds": 0},
    ]
}


@frozen
class Example:
    """A request: path below /admin, and body."""

    method: str
    path: str
    body: Any = None


#: What goes into the path, and the body, by the operation's name.
_SPECIAL: Mapping[str, Callable[[Numbers], tuple[dict[str, int], Any]]] = {
    "addDevice": lambda n: ({}, DEVICE),
    "showDevice": lambda n: ({"device": n.owner}, None),
    "changeDevice": lambda n: ({"device": n.owner}, {"pollRate": 77}),
    "removeDevice": lambda n: ({"device": n.owner}, None),
    "registerDevice": lambda n: ({"device": n.listed}, None),
    "withdrawDevice": lambda n: ({"device": n.owner}, {"reason": "stolen"}),
    "readmitDevice": lambda n: ({"device": n.withdrawn}, None),
    "replaceCertificate": lambda n: ({"device": n.owner}, {"lFDI": NEW_LFDI}),
    "moveDevice": lambda n: ({"device": n.owner}, {"groups": [2]}),
    "previewMoveDevice": lambda n: ({"device": n.owner}, {"groups": [2]}),
    "addDeviceToGroup": lambda n: ({"device": n.owner, "group": 3}, None),
    "removeDeviceFromGroup": lambda n: ({"device": n.owner, "group": 4}, None),
    "previewRemoveDevice": lambda n: ({"device": n.owner}, None),
    "previewWithdrawDevice": lambda n: ({"device": n.owner}, None),
    "deviceState": lambda n: ({"device": n.owner}, None),
    "deviceLog": lambda n: ({"device": n.owner}, None),
    "deviceReadings": lambda n: ({"device": n.owner}, None),
    "groupReadings": lambda n: ({"group": 1}, None),
    "exportDeviceReadings": lambda n: ({"device": n.owner}, None),
    "exportGroupReadings": lambda n: ({"group": 1}, None),
    "exportCapability": lambda n: ({"group": 1}, None),
    "exportGroupSums": lambda n: ({"group": 1}, None),
    "addGroup": lambda n: ({}, {"name": "Feeder C", "parent": 1, "level": 3}),
    "showGroup": lambda n: ({"group": 1}, None),
    "changeGroup": lambda n: ({"group": 4}, {"parent": 3}),
    "previewChangeGroup": lambda n: ({"group": 4}, {"parent": 3}),
    "removeGroup": lambda n: ({"group": 6}, None),
    "previewRemoveGroup": lambda n: ({"group": 6}, None),
    "listGroupDevices": lambda n: ({"group": 1}, None),
    **{f"{does}GeneralRates": lambda n: ({}, RATES) for does in ("change", "preview")},
    "showGroupRates": lambda n: ({"group": 1}, None),
    "changeGroupRates": lambda n: ({"group": 1}, RATES),
    "previewGroupRates": lambda n: ({"group": 1}, RATES),
    "showDeviceRates": lambda n: ({"device": n.owner}, None),
    "changeDeviceRates": lambda n: ({"device": n.owner}, RATES),
    "previewDeviceRates": lambda n: ({"device": n.owner}, RATES),
    "addProgram": lambda n: ({}, {"description": "New", "primacy": 5, "group": 3}),
    "showProgram": lambda n: ({"program": n.system}, None),
    "changeProgram": lambda n: ({"program": n.system}, {"primacy": 11}),
    "previewChangeProgram": lambda n: ({"program": n.system}, {"primacy": 11}),
    "removeProgram": lambda n: ({"program": n.spare}, None),
    "hideProgram": lambda n: ({"program": own_program(n.other)}, None),
    "previewRemoveProgram": lambda n: ({"program": n.spare}, None),
    "previewDefault": lambda n: ({"program": n.system}, {"DERControlBase": {"opModMaxLimW": 5000}}),
    "previewClearDefault": lambda n: ({"program": n.system}, None),
    "showDefault": lambda n: ({"program": n.system}, None),
    "setDefault": lambda n: ({"program": n.system}, {"DERControlBase": {"opModMaxLimW": 5000}}),
    "clearDefault": lambda n: ({"program": n.system}, None),
    "listCurves": lambda n: ({"program": n.feeder_a}, None),
    "addCurve": lambda n: ({"program": n.feeder_a}, CURVE),
    "removeCurve": lambda n: ({"program": n.point_1, "curve": 1}, None),
    "createControl": lambda n: ({}, {"program": n.system, **CONTROL}),
    "previewControl": lambda n: ({}, {"program": n.system, **CONTROL}),
    "showControl": lambda n: ({"control": n.active}, None),
    "cancelControl": lambda n: ({"control": n.active}, {}),
    "closeAlarm": lambda n: ({"alarm": 1}, None),
    "showSubscription": lambda n: ({"subscription": 1}, None),
    "sendNotification": lambda n: ({"subscription": 1}, None),
    "endSubscription": lambda n: ({"subscription": 1}, None),
    "dropSubscription": lambda n: ({"subscription": 1}, None),
    "previewCancelControl": lambda n: ({"control": n.active}, {}),
    "controlDelivery": lambda n: ({"control": n.active}, None),
    "exportDelivery": lambda n: ({"control": n.active}, None),
    "controlAnswers": lambda n: ({"control": n.active}, None),
}


def example(operation: Operation, numbers: Numbers) -> Example:
    """A request for an operation; one that needs nothing is only its path."""
    ids, body = _SPECIAL.get(operation.name, lambda n: ({}, None))(numbers)
    path = operation.path.removeprefix("/admin").format(**ids)
    return Example(operation.method, path, body)


WRITES = tuple(operation for operation in OPERATIONS if operation.writes)
CREATES = tuple(operation for operation in OPERATIONS if operation.creates)


#: A value of each query parameter of the lists.
VALUES: Mapping[str, Callable[[Numbers], Any]] = {
    "control": lambda n: n.active,
    "device": lambda n: n.owner,
    "flagged": lambda n: True,
    "group": lambda n: 1,
    "lfdi": lambda n: NEW_LFDI,
    "manager": lambda n: n.aggregator,
    "name": lambda n: "dev",
    "meter": lambda n: "premises",
    "open": lambda n: True,
    "quantity": lambda n: "voltage",
    "program": lambda n: n.system,
    "silent_since": lambda n: NOW,
    "since": lambda n: NOW,
    "standing": lambda n: "registered",
    "state": lambda n: "failing",
    "status": lambda n: "scheduled",
    "step": lambda n: "hour",
    "subject": lambda n: f"/edev/{n.owner}",
    "until": lambda n: NOW + 10**6,
    "who": lambda n: "alice",
}


def calls(operation: Operation, numbers: Numbers, server: Server) -> list[Call]:
    """An operation's request with nothing asked in its query, with each one thing, and with all of them."""
    ids, body = _SPECIAL.get(operation.name, lambda n: ({}, None))(numbers)
    form = operation.takes
    content = None if form is None else from_json(form, {} if body is None else body)
    plain = {parameter.name: parameter.default for parameter in operation.query}
    named = [name for name in plain if name not in ("limit", "after", "zone", "format")]
    given = {name: VALUES[name](numbers) for name in named}
    asked = [{}, *({name: value} for name, value in given.items()), *([given] if len(given) > 1 else [])]
    return [
        Call(who="alice", now=NOW, server=server, numbers=ids, query={**plain, **some}, body=content)
        for some in asked
    ]
