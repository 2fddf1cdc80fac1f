"""What a caller's PUT, POST or DELETE does to the tree.

One way in for every function set: the caller has to see the place, the method has to be offered to it, the
body has to be right; then the tree of documents takes it, or the rule of ours that stands in the table
below. What a refused request asked for leaves no trace: its transaction is rolled back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from csipd.db import devices, documents, logevents, responses, views
from csipd.db.database import Transaction
from csipd.db.views import Identity, Server, View
from csipd.der.access import party
from csipd.refusals import BadRequest, Forbidden, NotAllowed, NotFound
from csipd.sep2 import resources as r
from csipd.sep2.site import Place, bare, list_of, member


def admit(view: View, place: Place, method: str) -> None:
    """Let a request through to a place, or say why not. The same question for every route.

    :raises NotFound: the place does not exist for the caller
    :raises NotAllowed: it does, and does not take this method from it
    :raises Forbidden: registration by a certificate that may not even see the EndDeviceList
    """
    if not views.visible(view, place):
        if place.row.name == "EndDeviceList" and method == "POST":
            raise Forbidden(f"{view.caller.lfdi} may not register")
        raise NotFound(place.href)
    allow = place.row.allow(party(view.caller, view.owner))
    if method not in allow:
        raise NotAllowed(allow)


def edit(
    transaction: Transaction,
    server: Server,
    identity: Identity,
    place: Place,
    method: str,
    body: r.Resource | None,
    now: int,
) -> Place | None:
    """Carry out a write.

    :param body: the decoded body of a PUT or POST
    :return: the place of what a POST made
    """
    view = views.look(transaction.connection, server, identity, place, now)
    admit(view, place, method)
    rule = _RULES.get((place.row.name, method), _DOCUMENTS[method])
    return rule(transaction, view, place, body)


Rule = Callable[[Transaction, View, Place, "r.Resource | None"], "Place | None"]


def _put(transaction: Transaction, view: View, place: Place, body: r.Resource | None) -> None:
    """Keep what was put. The first PUT makes the resource, unless it is a list's member."""
    assert body is not None
    kept = bare(place.row, body)
    members = list_of(place.row)
    if members is None:
        documents.put(transaction, place, kept, view.now, place.device)
    elif not documents.replace(transaction, members, place, kept, view.now):
        raise NotFound(place.href)
    _touch_parents(transaction, view, place)


def _post(transaction: Transaction, view: View, place: Place, body: r.Resource | None) -> Place:
    assert body is not None
    kept = bare(member(place.row), body)
    made = documents.post(transaction, place, kept, view.now, place.device)
    _touch_parents(transaction, view, place)
    return made


def _delete(transaction: Transaction, view: View, place: Place, body: r.Resource | None) -> None:
    if not documents.delete(transaction, place):
        raise NotFound(place.href)
    _touch_parents(transaction, view, place)


def _register(transaction: Transaction, view: View, place: Place, body: r.Resource | None) -> Place:
    assert isinstance(body, r.EndDevice)
    return devices.register(transaction, view.caller, body, view.server.policy, view.now)


def _change_end_device(transaction: Transaction, view: View, place: Place, body: r.Resource | None) -> None:
    assert isinstance(body, r.EndDevice)
    devices.change(transaction, place.ids[0], body, view.now)


def _unregister(transaction: Transaction, view: View, place: Place, body: r.Resource | None) -> None:
    devices.unregister(transaction, place.ids[0], view.caller.lfdi, view.now)


def _put_device_information(
    transaction: Transaction, view: View, place: Place, body: r.Resource | None
) -> None:
    """A DeviceInformation names its device, which has to be the one that it is put to."""
    assert isinstance(body, r.DeviceInformation)
    end_device = devices.end_device(transaction.connection, place.ids[0])
    if end_device is None or body.lFDI != end_device.lFDI:
        raise BadRequest("lFDI is not that of the EndDevice")
    _put(transaction, view, place, body)


def _respond(transaction: Transaction, view: View, place: Place, body: r.Resource | None) -> Place:
    assert body is not None
    kept = bare(member(place.row), body)
    assert isinstance(kept, r.Response)
    return responses.post(transaction, view.caller, kept, view.now)


def _log(transaction: Transaction, view: View, place: Place, body: r.Resource | None) -> Place:
    assert body is not None
    kept = bare(member(place.row), body)
    assert isinstance(kept, r.LogEvent)
    return logevents.post(transaction, place.ids[0], kept, view.server.log_events, view.now)


def _hide_log_event(transaction: Transaction, view: View, place: Place, body: r.Resource | None) -> None:
    device, number = place.ids
    logevents.hide(transaction, device, number, view.server.log_events)


def _put_capability(transaction: Transaction, view: View, place: Place, body: r.Resource | None) -> None:
    """What a device supports is kept by group too: the operator's controls are checked against it."""
    _put(transaction, view, place, body)
    devices.able(transaction, place.ids[0])


_DOCUMENTS: Mapping[str, Rule] = {"PUT": _put, "POST": _post, "DELETE": _delete}

#: Where more is asked than keeping a document.
_RULES: Mapping[tuple[str, str], Rule] = {
    ("EndDeviceList", "POST"): _register,
    ("EndDevice", "PUT"): _change_end_device,
    ("EndDevice", "DELETE"): _unregister,
    ("DeviceInformation", "PUT"): _put_device_information,
    ("DERCapability", "PUT"): _put_capability,
    ("ResponseList", "POST"): _respond,
    ("LogEventList", "POST"): _log,
    ("LogEvent", "DELETE"): _hide_log_event,
}


def _touch_parents(transaction: Transaction, view: View, place: Place) -> None:
    """Counts and links of what lies above are shown in other documents, an aggregator's list among them."""
    if view.owner is not None and view.owner.manager is not None:
        transaction.touch(f"/edev/{view.owner.manager}")
