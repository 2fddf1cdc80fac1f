"""The three-way merge at the start: last time's file, this file, the database (decision 23)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from csipd.config import Settings
from csipd.db import audit, declarations, devices, former
from csipd.db.database import Transaction
from csipd.db.declarations import Change
from csipd.reconcile import devices as device_rules
from csipd.reconcile import events, groups, programs, rates
from csipd.reconcile.context import WHO, Context, Rule
from csipd.reconcile.statements import Declared
from csipd.sep2.mrid import Issuer

#: The rule of each kind of statement. Their order is that of work: each kind needs only those before it.
RULES: Mapping[str, Rule] = {
    **rates.RULES,
    **groups.RULES,
    **programs.RULES,
    **device_rules.RULES,
    **events.RULES,
}
_ORDER = {kind: place for place, kind in enumerate(RULES)}


def reconcile(
    transaction: Transaction,
    settings: Settings,
    lfdis: Mapping[str, str],
    issuer: Issuer,
    now: int,
) -> list[str]:
    """Bring about what the file declares.

    :param lfdis: LFDI of each configured device and aggregator by its id
    :param now: TimeType
    :return: what was changed, a line each, for the log
    :raises ReconcileError: the file and the database contradict each other
    """
    context = Context(transaction, Declared(settings, lfdis), issuer, now)
    said = {entry: json.dumps(content, sort_keys=True) for entry, content in context.declared.statements()}
    changes = declarations.differences(transaction.connection, said)
    lines = _rename_devices(context, changes)
    if lines:
        changes = declarations.differences(transaction.connection, said)
    # What comes before what goes: a device never loses its last group on the way to another.
    for change in sorted(changes, key=lambda change: (change.after is None, _ORDER[change.entry[0]])):
        lines.append(_carry_out(context, change))
    declarations.remember(transaction, changes)
    return lines + _overruled(context)


def _overruled(context: Context) -> list[str]:
    """What the file says of certificates that were replaced since: a line for each, at every start."""
    lfdis = context.declared.lfdis
    replaced = former.among(context.connection, list(lfdis.values()))
    return [
        f"{id}: the configuration's LFDI {lfdi} is overruled: the certificate was replaced, and that of "
        f"/edev/{replaced[lfdi]} counts; give the new one as lfdi: there"
        for id, lfdi in lfdis.items()
        if lfdi in replaced
    ]


def _carry_out(context: Context, change: Change) -> str:
    kind, key = change.entry
    rule = RULES[kind]
    before, after = _content(change.before), _content(change.after)
    verb = (
        rule.remove(context, key, before) if change.after is None else rule.put(context, key, before, after)
    )
    return _record(context, verb, kind, key, _differences(before, after))


def _differences(before: Any, after: Any) -> str:
    """What the file says now and said last time, for the audit log; PINs are not told."""
    if isinstance(before, dict | None) and isinstance(after, dict | None) and (before or after):
        old, new = before or {}, after or {}
        names = [name for name in {**old, **new} if old.get(name) != new.get(name)]
        return "; ".join(
            name if name == "pin" else f"{name} {_value(old.get(name))} -> {_value(new.get(name))}"
            for name in names
        )
    return "" if before is None and after is None else f"{_value(before)} -> {_value(after)}"


def _value(value: Any) -> str:
    return value if isinstance(value, str) else "none" if value is None else json.dumps(value)


def _content(written: str | None) -> Any:
    return None if written is None else json.loads(written)


def _rename_devices(context: Context, changes: Sequence[Change]) -> list[str]:
    """Follow devices to the ids that the file gives them now: the certificate says who they are.

    What the file said of the old id it has then said of the new one.
    """
    gone = {change.entry[1] for change in changes if change.after is None and change.entry[0] == "device"}
    lines = []
    for change in changes:
        kind, id = change.entry
        if kind != "device" or change.before is not None or change.after is None:
            continue
        device = devices.find(context.connection, context.declared.lfdis[id])
        if device is None or device.name not in gone:
            continue
        if devices.find_by_name(context.connection, id) is not None:
            continue
        declarations.rename(context.transaction, tuple(device_rules.RULES), device.name, id)
        devices.update(context.transaction, device.id, name=id, changed_time=context.now)
        lines.append(_record(context, "renamed", kind, f"{device.name}\t{id}"))
    return lines


def _record(context: Context, verb: str, kind: str, key: str, detail: str = "") -> str:
    """Write a change into the audit log; the line that says so."""
    subject = f"{kind} {key}".replace("\t", " / ")
    audit.record(context.transaction, context.now, WHO, verb, subject, detail)
    return f"{verb} {subject}"
