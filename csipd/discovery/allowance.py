"""How much is answered to one asker alone: questions are small, answers are not, an address can be forged."""

from __future__ import annotations

from csipd.net.quotas import TokenBucket

#: Answers a second, to one address and to all, and how many at once.
_ONE = (5.0, 10.0)
_ALL = (20.0, 40.0)
#: Addresses that are counted apart.
_MOST = 256


class Allowance:
    """The answers that may still be sent."""

    def __init__(self) -> None:
        self._all = TokenBucket(*_ALL)
        self._each: dict[str, TokenBucket] = {}

    def spend(self, address: str, now: float) -> bool:
        """Whether an answer may go to an address; if so it is counted."""
        mine = self._each.pop(address, None) or TokenBucket(*_ONE)
        self._each[address] = mine  # the last in the order, which goes by use
        if len(self._each) > _MOST:
            del self._each[next(iter(self._each))]
        return mine.spend(now) and self._all.spend(now)
