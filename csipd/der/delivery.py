"""What a device was commanded, what its readings say that it delivered, and whether that is obedience.

Decision 59: generation is positive; shares are those of the DERSettings as they were; what was delivered is
the mean over the effective interval less the ramp, weighted by time; it may miss what was commanded by two
hundredths of setMaxW. Who gives no readings is said to give none, and is never counted as obeying.

A reading is a mean over its period: one that straddles the begin or the end of the interval has in it what
the device did when nobody commanded it. So only readings count that lie wholly within. Where there are none,
also when those of the end have had their time to come, what became of the command is uncertain.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from enum import Enum

from attrs import field, frozen

from csipd.der.rollups import HOLD, HOUR
from csipd.sep2 import resources as r

#: Hundredths of a percent in a whole.
_WHOLE = 10_000
#: How far what is delivered may be from what is commanded, as a share of setMaxW.
TOLERANCE = Decimal("0.02")
#: Ramps are taken to last no longer (s): the slowest gradients would leave nothing to judge.
_LONGEST_RAMP = 600
#: Readings of a control's end have at least so long to come (s).
_LAG = 900
#: refType of a FixedVar (IEEE 2030.5-2018 10.10, type DERUnitRefType).
_OF_MAX_W, _OF_MAX_VAR, _OF_AVAILABLE = 1, 2, 3


class Verdict(Enum):
    """What became of a command on a device."""

    OBEYED = "obeyed"
    NOT_OBEYED = "not obeyed"
    NO_READINGS = "no readings"
    NOT_YET = "not yet"  #: its time, less the ramp, has not come
    NO_SETTINGS = "no settings"  #: nobody knows what its share is of
    DECLINED = "declined"  #: the device said that it does not follow
    OVERRIDDEN = "overridden"  #: another control or default held the mode on this device
    UNCERTAIN = "uncertain"  #: no reading lies wholly within its time


@frozen
class Ratings:
    """What shares are of, of all DERs of a device together (W, var); None: it has not said.

    :param gradient: setGradW (hundredths of a percent a second)
    :param available_var: statVarAvail
    """

    max_w: Decimal | None = None
    max_charge_w: Decimal | None = None
    max_var: Decimal | None = None
    max_var_negative: Decimal | None = None
    available_var: Decimal | None = None
    gradient: int | None = None


@frozen
class Command:
    """What a control has a device do to one quantity.

    :param mode: the control mode
    :param quantity: ``active_power`` or ``reactive_power``
    :param amount: in W or var, generation positive; None: a share of what the device has not said
    :param limits: whether it is a most, and not what is to be met
    """

    mode: str
    quantity: str
    amount: Decimal | None
    limits: bool


#: The modes that limit or set active or reactive power, and which.
QUANTITIES = {
    "opModConnect": "active_power",
    "opModEnergize": "active_power",
    "opModFixedVar": "reactive_power",
    "opModFixedW": "active_power",
    "opModMaxLimW": "active_power",
    "opModTargetVar": "reactive_power",
    "opModTargetW": "active_power",
}


def commands(base: r.DERControlBase, ratings: Ratings, ders: int = 1) -> list[Command]:
    """What a DERControlBase has a device do that readings can be held against, in the order of the standard.

    To be connected or energized is no command about power: to be neither is.

    :param ders: how many DERs the device has: each is commanded by itself
    """
    found = []
    for mode, quantity in QUANTITIES.items():
        value = getattr(base, mode)
        if value is None or value is True:
            continue
        amount = _amount(mode, value, ratings, max(ders, 1))
        found.append(Command(mode, quantity, amount, mode == "opModMaxLimW"))
    return found


def _amount(mode: str, value: object, ratings: Ratings, ders: int) -> Decimal | None:
    match value:
        case bool():
            return Decimal(0)
        case r.ActivePower() | r.ReactivePower():
            return Decimal(value.value).scaleb(value.multiplier) * ders
        case r.FixedVar():
            of = {
                _OF_MAX_W: ratings.max_w,
                _OF_MAX_VAR: _var_rating(value.value, ratings),
                _OF_AVAILABLE: ratings.available_var,
            }
            return _share(value.value, of.get(value.refType))
        case int() if value < 0:
            return _share(value, ratings.max_w if ratings.max_charge_w is None else ratings.max_charge_w)
        case int():
            return _share(value, ratings.max_w)
    raise TypeError(f"{mode} is {value!r}")


def _var_rating(share: int, ratings: Ratings) -> Decimal | None:
    if share < 0 and ratings.max_var_negative is not None:
        return abs(ratings.max_var_negative)
    return ratings.max_var


def _share(hundredths: int, of: Decimal | None) -> Decimal | None:
    return None if of is None else of * hundredths / _WHOLE


@frozen
class Interval:
    """A time (TimeType): from then until before then; it may be empty."""

    begin: int
    end: int

    @property
    def seconds(self) -> int:
        return max(self.end - self.begin, 0)

    def within(self, other: Interval) -> Interval:
        """What both have in common."""
        return Interval(max(self.begin, other.begin), min(self.end, other.end))


def judged(
    begin: int,
    end: int,
    *,
    randomize_start: int = 0,
    randomize_duration: int = 0,
    ramp_hundredths: int | None = None,
    gradient: int | None = None,
) -> Interval:
    """The interval that is judged: what is sure to be inside it, whatever a device draws, less the ramp.

    :param begin: when the device was to start it, ``end`` when it was over (TimeType), both without chance
    :param randomize_start: and ``randomize_duration``: as the control says (s)
    :param ramp_hundredths: rampTms of the control (hundredths of a second)
    :param gradient: setGradW of the device (hundredths of a percent a second)
    """
    if ramp_hundredths is not None:
        ramp = -(-ramp_hundredths // 100)
    elif gradient:
        ramp = -(-_WHOLE // gradient)
    else:
        ramp = 0
    first = begin + max(randomize_start, 0) + min(ramp, _LONGEST_RAMP)
    # A device that began early ends early.
    return Interval(first, end + min(randomize_start, 0) + min(randomize_duration, 0))


def known_by(made: int, found: int | None, heard: int | None, *, reads: int, finds: int) -> int:
    """When a device is sure to know of a control: when it said so, and at the latest when it has polled.

    :param made: when the control was made (TimeType)
    :param found: when its program came to be one of the device's, if it has not always been
    :param heard: when the device answered to the control first, if it did
    :param reads: how long it may be until it reads its programs again (s)
    :param finds: how long it may be until it finds another program among them (s)
    """
    first, latest = made, made + reads
    if found is not None:
        first, latest = max(first, found), max(latest, found + finds + reads)
    return latest if heard is None else min(max(heard, first), latest)


@frozen
class Point:
    """A reading in its unit: when its period begins (TimeType), how long that is (s), and what was read.

    :param slack: by so much (s) its period may have begun sooner or ended later
    """

    start: int
    duration: int | None
    value: Decimal
    slack: int = 0

    @property
    def end(self) -> int:
        """When its period ends: one of a moment has none."""
        return self.start + max(self.duration or 0, 0)

    def is_within(self, interval: Interval) -> bool:
        """Whether nothing of its period is outside."""
        return (
            interval.begin <= self.start - self.slack
            and self.start < interval.end
            and self.end + self.slack <= interval.end
        )


def mean(points: Iterable[Point], interval: Interval) -> Decimal | None:
    """What readings say on average over an interval, each weighted by the time that it holds in it.

    A reading holds until the next one, for as long as its period at most; one of a moment for ``HOLD``.

    :param points: in the order of time; those from before the interval may hold into it
    :return: None: none of them says anything of it
    """
    known = list(points)
    total, weight = Decimal(0), 0
    for place, point in enumerate(known):
        until = point.end if point.end > point.start else point.start + HOLD
        if place + 1 < len(known):
            until = min(until, known[place + 1].start)
        held = min(until, interval.end) - max(point.start, interval.begin)
        if held > 0:
            total += point.value * held
            weight += held
    return total / weight if weight else None


@frozen
class Said:
    """What a device's meters say of an interval.

    :param mean: of all of them together (W, var); None: one of them says nothing
    :param certain: whether it is made of readings that lie wholly within
    :param newest: when the newest reading is, of the meter that is the furthest behind (TimeType); None:
        one of them has none
    :param period: how long the period of the newest is (s); the longest of several meters'
    """

    mean: Decimal | None = None
    certain: bool = False
    newest: int | None = None
    period: int = 0


def said(meters: Sequence[Sequence[Point]], interval: Interval) -> Said:
    """What readings say of an interval: those that lie wholly within, and only without them all others.

    :param meters: the readings of each, in the order of time, generation positive. Where one of several gives
        none there are none: a part is not the whole
    """
    if not meters or not all(meters):
        return Said()
    # A reading of a period is as new as its end: of one of a postRate the start is a postRate older.
    newest = min(points[-1].end for points in meters)
    period = max(points[-1].end - points[-1].start for points in meters)
    inside = [[point for point in points if point.is_within(interval)] for points in meters]
    parts = [mean(points, interval) for points in inside]
    certain = None not in parts
    if not certain:
        parts = [mean(points, interval) for points in meters]
    known = [part for part in parts if part is not None]
    if len(known) < len(parts):
        return Said(newest=newest, period=period)
    return Said(sum(known, Decimal(0)), certain, newest, period)


def time_to_come(post_rate: int) -> int:
    """How long after a control's end its readings may still come (s), of who posts so often."""
    return max(_LAG, 2 * post_rate)


@frozen
class Delivery:
    """What a command came to on a device.

    :param delivered: the mean of its readings (W, var); None: there are none, or its time has not come
    :param tolerance: how far it may be off (W, var)
    """

    command: Command
    verdict: Verdict
    delivered: Decimal | None = None
    tolerance: Decimal | None = None
    interval: Interval = field(default=Interval(0, 0), kw_only=True)


def judge(
    command: Command,
    interval: Interval,
    ratings: Ratings,
    heard: Said,
    *,
    post_rate: int,
    now: int,
    declined: bool = False,
) -> Delivery:
    """What became of a command.

    :param interval: that is judged
    :param heard: what the device's readings of the quantity say of it
    :param post_rate: how often the device is to post (s)
    :param declined: whether the device said that it does not follow
    """
    tolerance = None if ratings.max_w is None else ratings.max_w * TOLERANCE
    passed = Interval(interval.begin, min(interval.end, now))
    delivered = heard.mean

    def found(verdict: Verdict, delivered: Decimal | None = delivered) -> Delivery:
        return Delivery(command, verdict, delivered, tolerance, interval=passed)

    if declined:
        return found(Verdict.DECLINED)
    if not passed.seconds:
        return found(Verdict.NOT_YET, None)
    # Readings of the last two post rates may still be on their way, also those of who has not read yet that
    # it is to post more often, and goes on with means as long as before.
    post_rate = max(post_rate, min(heard.period, HOUR))
    wait = 2 * post_rate
    if heard.newest is None or heard.newest < passed.end - wait:
        is_silent = passed.seconds >= post_rate or heard.newest is None
        return found(Verdict.NO_READINGS if is_silent else Verdict.NOT_YET, None)
    may_come = now < interval.end + wait
    if delivered is None:
        return found(Verdict.NOT_YET if may_come else Verdict.NO_READINGS)
    if command.amount is None or tolerance is None:
        return found(Verdict.NO_SETTINGS)
    if not heard.certain:
        return found(Verdict.NOT_YET if may_come else Verdict.UNCERTAIN)
    miss = delivered - command.amount
    obeyed = miss <= tolerance and (command.limits or miss >= -tolerance)
    return found(Verdict.OBEYED if obeyed else Verdict.NOT_OBEYED)
