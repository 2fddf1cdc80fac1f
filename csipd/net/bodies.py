"""How large a body may be, and room for the large ones: those with many readings.

What is sent to most places is small, and each connection may hold that much. A body that is larger than that
takes room which all connections share.
"""

from __future__ import annotations

from csipd.net.quotas import Account

#: One caller may use one part in so many of the room.
_PARTS = 4


class BodyRoom:
    """The room for large bodies that are being taken in.

    :param octets: of all of them together
    """

    def __init__(self, octets: int) -> None:
        self._octets = octets
        self._taken = 0

    def take(self, account: Account, octets: int) -> bool:
        """Take room for a body of a caller; False: there is none, or the caller has its part.

        A caller that has nothing there may take what is left, however small its part would be.
        """
        is_mine = account.large_bodies == 0 or (account.large_bodies + octets) * _PARTS <= self._octets
        if not is_mine or self._taken + octets > self._octets:
            return False
        self._taken += octets
        account.large_bodies += octets
        return True

    def give_back(self, account: Account, octets: int) -> None:
        """Give room back that was taken."""
        self._taken -= octets
        account.large_bodies -= octets
