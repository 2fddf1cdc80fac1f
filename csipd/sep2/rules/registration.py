"""What makes a registration PIN wrong (IEEE 2030.5-2018 6.3.5)."""

from __future__ import annotations

from csipd.sep2.identity import pin_is_valid
from csipd.sep2.rules.flaws import Flaw


def pin_flaws(pin: int | None, *, strict: bool = False) -> list[Flaw]:
    """What is wrong with a PIN's check digit.

    It guards against slips of whoever types a PIN, and nothing else fails by it: a wrong one is only doubtful
    unless the utility is `strict`.
    """
    if pin is None or pin_is_valid(pin):
        return []
    expected = "five digits and a check digit that makes the sum of all six a multiple of ten"
    return [Flaw(("pIN",), "has a wrong check digit", expected, doubtful=not strict)]
