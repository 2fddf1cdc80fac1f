"""Rates: how often devices are to read and to post, and whose word on it counts (decision 42).

What an operator has set wins: for the device over its groups' over the general one. Of its groups, those
above the ones that it is in among them, the deepest counts. Where no operator has said anything, it is the
device's own wish for what has one, and then the configuration's or the standard's rate.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from attrs import field, frozen

from csipd.sep2.schema import fields
from csipd.sep2.site import SERVED

#: Seconds; a rate is a UInt32 in the schema.
LEAST: Final = 1
MOST: Final = 2**32 - 1

#: Resources with a postRate, by which devices post; of the others that have a rate it is a pollRate.
POSTED: Final = ("EndDevice", "MirrorUsagePoint")

#: A poll rate is near the time after which idle connections close where they differ by less than this factor.
_NEAR: Final = 1.25
#: What comes of that.
LOST_POLLS: Final = (
    "a poll on a kept connection may be lost as the server closes it; expected a far longer idle_timeout"
)

#: All resources that have a rate, by their classes' names.
RESOURCES: Final = tuple(
    sorted(
        {
            row.resource_type.__name__
            for row in SERVED.values()
            if any(item.name == "pollRate" for item in fields(row.resource_type))
        }.union(POSTED)
    )
)


def attribute(resource: str) -> str:
    """What the rate of a resource is called: pollRate or postRate."""
    return "postRate" if resource in POSTED else "pollRate"


def is_near(rate: int, idle_timeout: int) -> bool:
    """Whether a poll on a kept connection may come just as that is closed."""
    return idle_timeout / _NEAR <= rate <= idle_timeout * _NEAR


@frozen
class Commanded:
    """What operators have set for one kind of resource.

    :param general: for all devices (s)
    :param groups: by the number of a group, for the devices in it and below it (s)
    :param devices: whether there is a device that has its own
    """

    general: int | None = None
    groups: Mapping[int, int] = field(factory=dict)
    devices: bool = False


def deepest(rates: Mapping[int, int], parents: Mapping[int, int | None]) -> int | None:
    """The group whose rate counts for a device; None: none of its groups has one.

    That is the one with the most groups above it, and of several such the one with the shortest rate.

    :param rates: seconds by group
    :param parents: of all groups that the device is in, those above them among them
    """
    mine = [group for group in parents if group in rates]
    return max(mine, key=lambda group: (_depth(group, parents), -rates[group], -group), default=None)


def _depth(group: int, parents: Mapping[int, int | None]) -> int:
    depth, above = 0, parents[group]
    while above is not None:
        depth, above = depth + 1, parents.get(above)
    return depth
