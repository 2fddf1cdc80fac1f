"""What the daemon's rounds keep of what was delivered: totals of controls, and alarms.

A control is gone over device by device, a portion at a time (`csipd.daemon.rounds`); what devices deliver
says ``csipd.db.delivery``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from attrs import frozen

from csipd.db import alarms
from csipd.db.database import Transaction
from csipd.db.delivery import DeviceDelivery
from csipd.db.delivery_time import Control
from csipd.db.prepared import Prepared
from csipd.db.tables import alarms as alarm_table
from csipd.db.tables import controls as control_table
from csipd.db.tables import deliveries
from csipd.db.upsert import insert
from csipd.der import alarms as rules
from csipd.der.alarms import AlarmPeriod
from csipd.der.delivery import QUANTITIES, Verdict, time_to_come
from csipd.der.metering import Metering

#: Controls that ended longer ago are not taken up any more (s).
_TOO_OLD = 86_400

_OPEN = Prepared(
    sa.select(
        alarm_table.c.id,
        alarm_table.c.device,
        alarm_table.c.code,
        alarm_table.c.raised,
        alarm_table.c.details,
    ).where(
        alarm_table.c.device.in_(sa.bindparam("devices", expanding=True)),
        alarm_table.c.function_set == rules.OWN,
        alarm_table.c.cleared.is_(None),
    )
)


@frozen
class Total:
    """What all devices of a control came to in one mode, when they were last gone over.

    :param at: TimeType; ``final``: after the control's end
    :param verdicts: how many devices by verdict
    :param commanded: and ``delivered``: sums over those that have both (W, var)
    """

    mode: str
    at: int
    final: bool
    verdicts: Mapping[Verdict, int]
    commanded: float
    delivered: float

    @property
    def quantity(self) -> str:
        """What the mode commands."""
        return QUANTITIES[self.mode]


def totals(connection: sa.Connection, control: int) -> list[Total]:
    """What a control came to in all when it was last gone over, mode by mode."""
    rows = connection.execute(sa.select(deliveries).where(deliveries.c.control == control)).all()
    return [
        Total(
            row.mode,
            row.at,
            row.final,
            {verdict: getattr(row, verdict.name.lower()) for verdict in Verdict},
            row.commanded,
            row.delivered,
        )
        for row in rows
    ]


@frozen
class Sums:
    """What a part of a control's devices came to in one mode."""

    verdicts: Mapping[Verdict, int]
    commanded: Decimal
    delivered: Decimal


def summed(found: Iterable[DeviceDelivery], before: Mapping[str, Sums]) -> dict[str, Sums]:
    """What devices came to, by mode, with what came before."""
    sums = dict(before)
    for one in found:
        delivery = one.delivery
        mode = delivery.command.mode
        known = sums[mode]
        verdicts = {**known.verdicts, delivery.verdict: known.verdicts.get(delivery.verdict, 0) + 1}
        both = delivery.command.amount is not None and delivery.delivered is not None
        sums[mode] = Sums(
            verdicts,
            known.commanded + ((delivery.command.amount or 0) if both else 0),
            known.delivered + ((delivery.delivered or 0) if both else 0),
        )
    return sums


def no_sums(control: Control) -> dict[str, Sums]:
    """The sums of no device: also of a control that is for nobody it is kept that it was gone over."""
    return {mode: Sums({}, Decimal(0), Decimal(0)) for mode in control.modes}


def keep_totals(
    transaction: Transaction, control: int, sums: Mapping[str, Sums], at: int, *, final: bool
) -> None:
    """Keep what all devices of a control came to, unless it is gone."""
    connection = transaction.connection
    if connection.scalar(sa.select(control_table.c.id).where(control_table.c.id == control)) is None:
        return
    for mode, one in sums.items():
        values: dict[str, Any] = {
            "at": at,
            "final": final,
            "devices": sum(one.verdicts.values()),
            "commanded": float(one.commanded),
            "delivered": float(one.delivered),
            **{verdict.name.lower(): one.verdicts.get(verdict, 0) for verdict in Verdict},
        }
        statement = insert(connection.dialect.name, deliveries).values(control=control, mode=mode, **values)
        connection.execute(
            statement.on_conflict_do_update(
                index_elements=[deliveries.c.control, deliveries.c.mode], set_=values
            )
        )


def due(connection: sa.Connection, now: int, most: int) -> list[int]:
    """The controls that are to be gone over: those that run, and those that are over and were not since."""
    power = sa.or_(*(control_table.c.modes.contains(mode) for mode in QUANTITIES))
    done = sa.select(deliveries.c.control).where(
        deliveries.c.control == control_table.c.id, deliveries.c.final
    )
    query = (
        sa.select(control_table.c.id)
        .where(
            control_table.c.latest > now - _TOO_OLD,
            control_table.c.earliest <= now,
            # Seconds of a control that the bus commanded anew: nothing can be read off them.
            control_table.c.relieved.is_(None),
            sa.or_(control_table.c.cancelled.is_(None), control_table.c.cancelled > control_table.c.earliest),
            power,
            sa.not_(done.exists()),
        )
        .order_by(control_table.c.latest)
        .limit(most)
    )
    return list(connection.scalars(query))


def is_final(control: Control, metering: Metering, now: int) -> bool:
    """Whether all readings of a control have had their time to come, at the general post rate."""
    return now >= control.end + time_to_come(metering.post_rate)


@frozen
class AlarmDue:
    """An alarm that is to be raised (``number`` is None), or cleared."""

    device: int
    code: int
    number: int | None


def alarm_changes(
    connection: sa.Connection, found: Sequence[DeviceDelivery], control: Control, *, final: bool
) -> list[AlarmDue]:
    """Which alarms of devices that were gone over are to be raised and cleared.

    A control that is over, be it for a device alone, is no longer disobeyed, and clears what was raised for
    it. Readings are missing of a device that had given some of the quantity: one that was never metered is
    named where what was delivered is asked for.
    """
    wanted: dict[tuple[int, int], bool] = defaultdict(bool)
    for one in found:
        verdict, is_over = one.delivery.verdict, final or one.is_over
        if verdict in (Verdict.NOT_YET, Verdict.UNCERTAIN) and not is_over:
            continue
        disobeys = verdict is Verdict.NOT_OBEYED and not is_over
        wanted[one.device, rules.NOT_OBEYED] |= disobeys
        missing = verdict is Verdict.NO_READINGS and one.metered and not is_over
        wanted[one.device, rules.MISSING_READINGS] |= missing
    devices = sorted({device for device, _ in wanted})
    open_now = {(row.device, row.code): row for row in _OPEN.all(connection, {"devices": devices})}
    changes = []
    for (device, code), is_so in sorted(wanted.items()):
        row = open_now.get((device, code))
        if is_so and row is None:
            changes.append(AlarmDue(device, code, None))
        elif not is_so and row is not None and row.details == _details(control):
            # What was raised for another control, that one clears.
            changes.append(AlarmDue(device, code, row.id))
    return changes


def _details(control: Control) -> str:
    return f"control {control.kept.number}"


def change_alarms(transaction: Transaction, changes: Sequence[AlarmDue], control: Control, now: int) -> None:
    """Raise and clear alarms, unless that was done meanwhile."""
    devices = sorted({one.device for one in changes})
    rows = _OPEN.all(transaction.connection, {"devices": devices})
    open_now = {(row.device, row.code): row for row in rows}
    for one in changes:
        row = open_now.get((one.device, one.code))
        if one.number is None and row is None:
            alarms.open(transaction, one.device, rules.OWN, one.code, AlarmPeriod(now), _details(control))
        elif one.number is not None and row is not None and row.id == one.number:
            # The clock may have been set back since.
            alarms.clear(transaction, row.id, one.device, AlarmPeriod(min(row.raised, now), now))
