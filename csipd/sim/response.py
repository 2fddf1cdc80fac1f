"""How quickly something follows: the open loop response of a control function, as IEEE 1547-2018 means it."""

from __future__ import annotations

from attrs import define


@define
class Lag:
    """A value that closes 90 % of its distance to where it should be within the open loop response time."""

    value: float

    def follow(self, target: float, seconds: float, open_loop: float) -> float:
        """The value after a lapse.

        :param open_loop: the response time (s); 0: at once
        """
        if open_loop <= 0.0:
            self.value = target
        else:
            self.value = target + (self.value - target) * 10.0 ** (-seconds / open_loop)
        return self.value
