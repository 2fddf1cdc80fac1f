"""What a client tells of a unit: what it is and how it does, what it measures, and what it logs.

The documents are made by ``reports`` and ``metering``; here they are sent, and what was sent is noted.
"""

from __future__ import annotations

from typing import Any, Final

from csipd.sep2 import resources as r
from csipd.sim import metering, reports
from csipd.sim.asking import Asking, Refused
from csipd.sim.http import Unanswered
from csipd.sim.unit import Unit

#: Seconds after which a mirror's postRate is read again: the utility may have changed it.
RATE_READ_AGAIN: Final = 300


async def of_der(asking: Asking, unit: Unit, der: r.DER, now: int) -> None:
    """PUT what it is and how it is set where that was not said before, and how it does each time."""
    if unit.output is None:
        return
    orders = unit.orders(now)
    if unit.settings is None:
        await _put(asking, der.DERCapabilityLink, reports.capability(unit.plant))
    settings = reports.settings(unit.plant, orders, now)
    if unit.settings is None or settings.replace(updatedTime=unit.settings.updatedTime) != unit.settings:
        await _put(asking, der.DERSettingsLink, settings)
        unit.settings = settings
    unit.status = reports.status(unit.plant, unit.output, orders, now, unit.status)
    await _put(asking, der.DERStatusLink, unit.status)
    await _put(asking, der.DERAvailabilityLink, reports.availability(unit.plant, unit.output, now))


async def _put(asking: Asking, link: Any, document: r.Resource) -> None:
    if link is not None:
        await asking.send("PUT", link.href, document)
        asking.counts.puts += 1


async def readings(asking: Asking, href: str, unit: Unit, measured: metering.Measured) -> None:
    """POST what a unit's meter has measured; its mirror is made where there is none.

    :param href: of the MirrorUsagePointList
    """
    if unit.mirror is not None:
        try:
            await asking.send("POST", unit.mirror, metering.meter_readings(unit.lfdi, measured))
        except Refused as error:
            if error.status != 404:
                raise
            unit.mirror = None  # it expired, or was deleted: it is made anew
    now = measured.start + measured.duration
    if unit.mirror is None:
        unit.mirror, unit.post_rate = await _mirror(asking, href, unit, measured)
        unit.post_rate_read = now
    elif now >= unit.post_rate_read + RATE_READ_AGAIN:
        unit.post_rate = (await asking.get(unit.mirror, r.MirrorUsagePoint)).postRate
        unit.post_rate_read = now
    asking.counts.readings += len(metering.QUANTITIES)


async def _mirror(
    asking: Asking, href: str, unit: Unit, measured: metering.Measured
) -> tuple[str, int | None]:
    """Make the mirror of a unit's meter; where it is, and how often it is to be posted to."""
    made = await asking.send("POST", href, metering.usage_point(unit.lfdi, measured))
    if made.location is None:
        raise Unanswered("a MirrorUsagePoint was made, and no Location says where")
    mirror = await asking.get(made.location, r.MirrorUsagePoint)
    return made.location, mirror.postRate


async def log_events(asking: Asking, unit: Unit) -> None:
    """POST what a unit has logged, in its order."""
    assert unit.device is not None
    link = unit.device.LogEventListLink
    while unit.log and link is not None:
        await asking.send("POST", link.href, unit.log[0])
        unit.log.popleft()
        asking.counts.log_events += 1
