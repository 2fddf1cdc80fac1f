"""The sun over a day, and clouds that come back the same for the same seed.

Nothing is kept from one moment to the next: the irradiance is a function of the moment, so a clock may run
fast, jump, or be asked twice.
"""

from __future__ import annotations

import math
from hashlib import blake2b
from typing import Final

from attrs import field, frozen
from attrs.validators import ge, gt, le

DAY: Final = 86400  # s
STANDARD: Final = 1000.0  # W/m2: the irradiance at which panels are rated
_CLOUDS: Final = (
    (900.0, 0.7),
    (120.0, 0.3),
)  # sizes of clouds: seconds from one to the next, share of the shade
_DARKEST: Final = 0.85  # the share of the light that the thickest cloud takes


@frozen
class Sun:
    """A day that comes back every 24 hours.

    :param noon: any moment at which the sun stands highest (TimeType)
    :param daylight: from sunrise to sunset (s)
    :param peak: the irradiance on a clear noon (W/m2)
    :param cloudiness: 0 a clear sky, 1 clouds all the time
    :param seed: which clouds
    """

    noon: float = DAY / 2
    daylight: float = field(default=12.0 * 3600, validator=[gt(0.0), le(float(DAY))])
    peak: float = field(default=STANDARD, validator=ge(0.0))
    cloudiness: float = field(default=0.0, validator=[ge(0.0), le(1.0)])
    seed: int = 0

    def clear(self, moment: float) -> float:
        """The irradiance of a clear sky (W/m2): a half wave from sunrise to sunset, 0 at night."""
        from_noon = (moment - self.noon + DAY / 2) % DAY - DAY / 2
        if abs(from_noon) >= self.daylight / 2:
            return 0.0
        return self.peak * math.cos(math.pi * from_noon / self.daylight)

    def irradiance(self, moment: float) -> float:
        """What is left of it under the clouds (W/m2)."""
        light = self.clear(moment)
        return light * (1.0 - _DARKEST * self._shade(moment)) if light and self.cloudiness else light

    def _shade(self, moment: float) -> float:
        """How thick the cloud before the sun is, 0..1."""
        thickness = sum(share * self._wave(moment, size) for size, share in _CLOUDS)
        return max(0.0, min(1.0, 3.0 * (thickness - 1.0 + self.cloudiness)))

    def _wave(self, moment: float, size: float) -> float:
        """A smooth curve through numbers 0..1 drawn by the seed, one each `size` seconds."""
        slot, within = divmod(moment, size)
        weight = (1.0 - math.cos(math.pi * within / size)) / 2
        return self._draw(size, int(slot)) * (1.0 - weight) + self._draw(size, int(slot) + 1) * weight

    def _draw(self, size: float, slot: int) -> float:
        digest = blake2b(f"{self.seed}/{size}/{slot}".encode(), digest_size=4).digest()
        return int.from_bytes(digest, "big") / 2**32
