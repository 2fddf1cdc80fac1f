"""What a house takes over the day."""

from __future__ import annotations

import math

from attrs import field, frozen
from attrs.validators import ge, gt, le

from csipd.sim.sun import DAY


@frozen
class Load:
    """A house: a little all day, more in the morning, most in the evening.

    :param base_w: what always runs (W)
    :param evening_w: what the evening adds at its height (W); the morning adds half of it
    :param midnight: any moment of a midnight there (TimeType)
    :param factor: its power factor; it takes vars in
    """

    base_w: float = field(default=300.0, validator=ge(0.0))
    evening_w: float = field(default=1500.0, validator=ge(0.0))
    midnight: float = 0.0
    factor: float = field(default=0.97, validator=[gt(0.0), le(1.0)])

    def power(self, moment: float) -> complex:
        """What it takes at a moment: W + j var."""
        hour = (moment - self.midnight) % DAY / 3600
        w = self.base_w + self.evening_w * (_bump(hour, 19.5, 2.0) + 0.5 * _bump(hour, 7.5, 1.5))
        return complex(w, w * math.tan(math.acos(self.factor)))


def _bump(hour: float, height: float, width: float) -> float:
    """A hill over the hours of a day, 1 at its height."""
    distance = (hour - height + 12) % 24 - 12
    return math.exp(-((distance / width) ** 2))
