"""What readings come to in five minutes, an hour and a day (decision 58): pure.

Instantaneous readings give a mean weighted by time, the least and the greatest; registers that count on give
how far they came, and how often they were set back; what came in a period is added up. Five minutes are made
of readings, longer steps of the shorter ones. A step of time in which nothing was read has none.

Days are those of UTC. In the server's own zone they would overlap or leave gaps each time that the zone or
its rule is changed; hours are kept for years, and add up to the days of any zone.

A reading counts where its period begins. It says how things stand until the next one of its block and tier
does, for as long as its period at most; one without a period, or of a moment, for ``HOLD`` seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from attrs import define, frozen

from csipd.sep2.measurements import Behaviour

#: Lengths of steps (s).
MINUTES, HOUR, DAY = 300, 3600, 86_400
#: The steps, each with the one that it is made of; None: of readings.
STEPS: Mapping[int, int | None] = {MINUTES: None, HOUR: MINUTES, DAY: HOUR}
#: For how long (s) a reading of a moment is taken to hold: three times the usual postRate.
HOLD = 900
#: What fits into a column of the store: sums of absurd numbers end there.
_LEAST, _GREATEST = -(2**63), 2**63 - 1

#: consumptionBlock and touTier: each pair is a register of its own.
Register = tuple[int, int]


@frozen
class Point:
    """A reading, as far as it counts.

    :param start: of its period (TimeType), ``duration`` (s); 0 or less: of a moment
    """

    start: int
    duration: int
    value: int
    block: int = 0
    tier: int = 0

    @property
    def register(self) -> Register:
        """Which register was read."""
        return self.block, self.tier


@frozen
class Bucket:
    """What the readings of a step of time come to.

    :param start: TimeType, a multiple of ``step`` (s)
    :param readings: how many there were
    :param mean: of instantaneous readings, over ``seconds`` of the step; ``least`` and ``greatest`` likewise,
        with what held from before as far as it does
    :param first: what a register showed first, ``last`` and last; ``resets``: how often it had fallen
    :param total: what came: how far a register rose since the reading before the step, or the sum of periods
    """

    step: int
    start: int
    block: int
    tier: int
    readings: int
    mean: float | None = None
    seconds: int | None = None
    least: int | None = None
    greatest: int | None = None
    first: int | None = None
    last: int | None = None
    resets: int | None = None
    total: int | None = None

    @property
    def register(self) -> Register:
        """Which register was read."""
        return self.block, self.tier


def floor(moment: int, step: int) -> int:
    """When the step begins that a moment (TimeType) is in."""
    return moment - moment % step


def of_points(
    behaviour: Behaviour, points: Iterable[Point], before: Mapping[Register, Point]
) -> list[Bucket]:
    """The five-minute steps of some readings, in the order of time.

    :param points: in the order of time, all that there are of each step
    :param before: the last reading of each register before these
    """
    last = dict(before)
    open_: dict[Register, _Growing] = {}
    done: list[Bucket] = []
    for point in points:
        register = point.register
        growing = open_.get(register)
        start = floor(point.start, MINUTES)
        if growing is None or growing.start != start:
            if growing is not None:
                done.append(growing.bucket(behaviour))
            growing = open_[register] = _Growing(start, *register)
            if (held := last.get(register)) is not None:
                growing.begin(behaviour, held)
        growing.add(behaviour, point)
        last[register] = point
    done += (growing.bucket(behaviour) for growing in open_.values())
    return sorted(done, key=_order)


def merge(step: int, parts: Iterable[Bucket]) -> list[Bucket]:
    """Longer steps of shorter ones, in the order of time.

    :param parts: in the order of time, all that there are of each step
    """
    whole: dict[tuple[int, int, int], Bucket] = {}
    for part in parts:
        key = (floor(part.start, step), part.block, part.tier)
        so_far = whole.get(key)
        whole[key] = _joined(step, key[0], so_far, part)
    return sorted(whole.values(), key=_order)


def _order(bucket: Bucket) -> tuple[int, int, int]:
    return bucket.start, bucket.block, bucket.tier


@define
class _Growing:
    """Five minutes that are being filled with readings of one register."""

    start: int
    block: int
    tier: int
    readings: int = 0
    weighted: int = 0
    seconds: int = 0
    least: int | None = None
    greatest: int | None = None
    first: int = 0
    last: int = 0
    resets: int = 0
    total: int = 0
    # The reading that holds, and from when.
    _held: Point | None = None
    _since: int = 0

    def begin(self, behaviour: Behaviour, held: Point) -> None:
        """Begin with what the last reading before said."""
        self.last = held.value
        if behaviour is Behaviour.INSTANTANEOUS:
            self._held, self._since = held, self.start
        elif behaviour is Behaviour.CUMULATIVE:
            self._held = held

    def add(self, behaviour: Behaviour, point: Point) -> None:
        """Count one more reading."""
        value = point.value
        if behaviour is Behaviour.INSTANTANEOUS:
            if self._held is not None:
                self._hold(point.start)
            self._span(value)
            self._since = point.start
        elif behaviour is Behaviour.CUMULATIVE:
            if self._held is not None:
                if value >= self.last:
                    self.total += value - self.last
                else:
                    self.resets += 1
            if not self.readings:
                self.first = value
            self.last = value
        else:
            self.total += value
        self._held = point
        self.readings += 1

    def _hold(self, until: int) -> None:
        """Count what holds, up to a moment."""
        held = self._held
        assert held is not None
        ends = held.start + (held.duration if held.duration > 0 else HOLD)
        seconds = min(ends, until) - self._since
        if seconds > 0:
            self.weighted += held.value * seconds
            self.seconds += seconds
            self._span(held.value)

    def _span(self, value: int) -> None:
        self.least = _of_both(min, self.least, value)
        self.greatest = _of_both(max, self.greatest, value)

    def bucket(self, behaviour: Behaviour) -> Bucket:
        """What it has come to."""
        begun = (MINUTES, self.start, self.block, self.tier, self.readings)
        if behaviour is Behaviour.INSTANTANEOUS:
            self._hold(self.start + MINUTES)
            return Bucket(
                *begun,
                mean=self.weighted / self.seconds,
                seconds=self.seconds,
                least=self.least,
                greatest=self.greatest,
            )
        total = _bounded(self.total)
        if behaviour is Behaviour.CUMULATIVE:
            return Bucket(*begun, first=self.first, last=self.last, resets=self.resets, total=total)
        return Bucket(*begun, total=total)


def _joined(step: int, start: int, so_far: Bucket | None, part: Bucket) -> Bucket:
    """A longer step with one more of the steps that it is made of."""
    if so_far is None:
        so_far = Bucket(step, start, part.block, part.tier, 0, first=part.first)
    mean, seconds = so_far.mean, so_far.seconds
    if part.mean is not None and part.seconds is not None:
        whole = (seconds or 0) + part.seconds
        mean = part.mean if mean is None else mean + (part.mean - mean) * part.seconds / whole
        seconds = whole
    return Bucket(
        step,
        start,
        part.block,
        part.tier,
        so_far.readings + part.readings,
        mean=mean,
        seconds=seconds,
        least=_of_both(min, so_far.least, part.least),
        greatest=_of_both(max, so_far.greatest, part.greatest),
        first=so_far.first,
        last=part.last,
        resets=_of_both(_sum, so_far.resets, part.resets),
        total=_of_both(_sum, so_far.total, part.total),
    )


def _of_both(what: Callable[[int, int], int], one: int | None, other: int | None) -> int | None:
    if one is None or other is None:
        return other if one is None else one
    return what(one, other)


def _sum(one: int, other: int) -> int:
    return _bounded(one + other)


def _bounded(number: int) -> int:
    return max(_LEAST, min(number, _GREATEST))
