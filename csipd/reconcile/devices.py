"""Devices and aggregators of the file: who they are, who manages them, their DERs and their groups."""

from __future__ import annotations

from typing import Any

from attrs import evolve

from csipd.config.canonical import canonical
from csipd.config.settings import DEFAULT_POST_RATE
from csipd.db import devices, documents, groups
from csipd.reconcile.context import Context, ReconcileError, Rule, added_or_changed, kept
from csipd.refusals import Conflict
from csipd.sep2 import identity
from csipd.sep2 import resources as r
from csipd.sep2.site import ROWS, Place

_DERCAP = ROWS["DERCapability"]
#: Where in the row of a device is kept what the file says of it.
_COLUMNS = {
    "lfdi": "lfdi",
    "pin": "pin",
    "category": "device_category",
    "poll_rate": "poll_rate",
    "post_rate": "post_rate",
}


def put_device(context: Context, id: str, before: Any, after: Any) -> str:
    """List a device or an aggregator, and register it where the file does so.

    Only what the file says anew goes over what is there; where it says nothing, that stays.
    """
    news = {
        key: value
        for key, value in after.items()
        if value is not None and (before is None or before.get(key) != value)
    }
    lfdi = after["lfdi"]
    device = devices.find_by_name(context.connection, id)
    by_lfdi = devices.find(context.connection, lfdi)
    if device is None:
        # One that registered in band before the file knew it is taken over with all it has.
        device = by_lfdi or devices.add(
            context.transaction,
            lfdi,
            now=context.now,
            aggregator=after["aggregator"],
            pin=after["pin"],
            wished_post_rate=DEFAULT_POST_RATE,
        )
    elif "lfdi" in news and by_lfdi is not None and by_lfdi.id != device.id:
        raise ReconcileError(f"{id}: its LFDI {lfdi} is that of another device of the store")
    if "lfdi" in news and by_lfdi is not None and by_lfdi.lfdi != lfdi:
        # Its certificate was replaced since: the store's LFDI counts (decision 44).
        del news["lfdi"]
    values: dict[str, Any] = {"name": id, "retired": None, "changed_time": context.now}
    values.update({column: news[key] for key, column in _COLUMNS.items() if key in news})
    if "lfdi" in news:
        values["sfdi"] = identity.sfdi(lfdi)
    if after["aggregator"] != device.aggregator:
        device = evolve(device, aggregator=after["aggregator"])
        values["aggregator"] = device.aggregator
        values["manager"] = device.id if device.aggregator else None
    devices.update(context.transaction, device.id, **values)
    if news.get("registered") and device.registered is None:
        ders = 0 if device.aggregator else len(context.declared.devices[id].ders)
        devices.make_end_device(context.transaction, device, context.now, ders)
    return added_or_changed(before)


def remove_device(context: Context, id: str, _before: Any) -> str:
    """Retire a device: it is on no list, and keeps its number, settings and readings."""
    device = devices.find_by_name(context.connection, id)
    if device is not None:
        devices.update(context.transaction, device.id, retired=context.now, changed_time=context.now)
    return "retired"


def put_manager(context: Context, id: str, before: Any, after: Any) -> str:
    """Put a device into the fleet of an aggregator."""
    device = devices.find_by_name(context.connection, id)
    if device is not None:
        manager = device_number(context, after)
        devices.update(context.transaction, device.id, manager=manager, changed_time=context.now)
    return added_or_changed(before)


def remove_manager(context: Context, id: str, _before: Any) -> str:
    """Take a device out of its fleet; an aggregator manages itself."""
    device = devices.find_by_name(context.connection, id)
    if device is not None:
        manager = device.id if device.aggregator else None
        devices.update(context.transaction, device.id, manager=manager, changed_time=context.now)
    return "removed"


def put_ders(context: Context, id: str, before: Any, after: Any) -> str:
    """Give a device so many DERs at least."""
    devices.add_ders(context.transaction, device_number(context, id), after, context.now)
    return added_or_changed(before)


def put_capability(context: Context, key: str, before: Any, _after: Any) -> str:
    """Serve the file's DERCapability until the device has PUT its own (decision 26)."""
    place = _capability_place(context, key)
    if place is None or not _is_of_the_file(context, place, before):
        return "kept"
    id, _, number = key.partition("\t")
    capability = context.declared.devices[id].ders[int(number) - 1].capability
    assert isinstance(capability, r.DERCapability)
    documents.put(context.transaction, place, capability, context.now, place.ids[0])
    _update_modes(context, place)
    return added_or_changed(before)


def remove_capability(context: Context, key: str, before: Any) -> str:
    """No longer serve the file's DERCapability; the device's own stays."""
    place = _capability_place(context, key)
    if place is None or not _is_of_the_file(context, place, before):
        return "kept"
    documents.delete(context.transaction, place)
    _update_modes(context, place)
    return "removed"


def _update_modes(context: Context, place: Place) -> None:
    """What a device supports counts once it has said so itself, be it of another of its DERs."""
    if devices.has_modes(context.connection, place.ids[0], 0):
        devices.update_modes(context.transaction, place.ids[0])


def put_member(context: Context, key: str, before: Any, _after: Any) -> str:
    """Put a device into a group."""
    member = _member(context, key)
    if member is None:
        return "kept"
    try:
        devices.join(context.transaction, *member, context.now)
    except Conflict as refused:
        id, _, name = key.partition("\t")
        raise ReconcileError(f"{id} cannot be put into {name}: {refused}") from refused
    return added_or_changed(before)


def remove_member(context: Context, key: str, _before: Any) -> str:
    """Take a device out of a group."""
    member = _member(context, key)
    if member is None:
        return "kept"
    devices.leave(context.transaction, *member, context.now)
    return "removed"


def device_number(context: Context, id: str) -> int:
    """The number of a device whose statement was carried out before."""
    device = devices.find_by_name(context.connection, id)
    assert device is not None
    return device.id


def _capability_place(context: Context, key: str) -> Place | None:
    id, _, number = key.partition("\t")
    device = devices.find_by_name(context.connection, id)
    return None if device is None else Place(_DERCAP, (device.id, int(number)))


def _is_of_the_file(context: Context, place: Place, before: Any) -> bool:
    """Whether nothing is served at a place but what the file said last time."""
    present = documents.get(context.connection, place)
    return present is None or (before is not None and canonical(present) == before)


def _member(context: Context, key: str) -> tuple[int, int] | None:
    """The numbers of a device and a group; None if one of them is not there."""
    id, _, name = key.partition("\t")
    device = devices.find_by_name(context.connection, id)
    group = groups.find(context.connection, name)
    return None if device is None or group is None else (device.id, group)


RULES = {
    "device": Rule(put_device, remove_device),
    "manager": Rule(put_manager, remove_manager),
    "ders": Rule(put_ders, kept),
    "capability": Rule(put_capability, remove_capability),
    "member": Rule(put_member, remove_member),
}
