"""How discovery is: what operators are shown of it."""

from __future__ import annotations

from attrs import frozen


@frozen
class DiscoveryState:
    """How it is at a moment.

    :param name: of the server as such, as it is announced
    :param links: where it is announced
    :param troubles: what keeps it from being announced elsewhere, a line each
    """

    name: str
    links: tuple[str, ...] = ()
    troubles: tuple[str, ...] = ()
