"""Who may do what: one question for every request, answered from values.

The caller is known by its certificate; what it is to the server (unknown, listed, registered, an
aggregator) is read from the store at each request, so that a device whose access is withdrawn is shut
out at once, on open connections too. Rules: CSIP IG 5.2, 6.1.2 to 6.1.7; IEEE 2030.5-2018 8.5.3; our
decisions 1 to 5. A resource that a caller may not see does not exist for it, whatever the method.
"""

from __future__ import annotations

from enum import Enum, auto

from attrs import frozen

from csipd.sep2.site import Audience, Party, Row


class Standing(Enum):
    """What the server knows of a certificate."""

    UNKNOWN = auto()  #: on no list
    LISTED = auto()  #: may register, and has not
    REGISTERED = auto()  #: has an EndDevice


class Barred(Enum):
    """Why a certificate that was a device's has no access now."""

    WITHDRAWN = auto()  #: the operator shut the device out
    REMOVED = auto()  #: the device was taken off the list, or is gone from the configuration
    REPLACED = auto()  #: the device has another certificate, and this one has ceased to work


@frozen
class Caller:
    """Who asks.

    :param lfdi: LFDI of the certificate, 40 upper-case hexadecimal digits
    :param sfdi: the SFDI that follows from it
    :param standing: what the server knows of it
    :param device: number of its EndDevice; set when it is registered
    :param aggregator: whether it manages a fleet
    :param managed: how many devices that has
    :param barred: why it has no access, where it was a device's once
    :param replaces: number of its device, on the first request by a certificate that replaces another
    :param groups: those that its device is in itself, now, in order
    :param own_program: whether its device's own program is shown
    :param category: the deviceCategory that its device has said; 0: none
    :param manager: the aggregator of its device's fleet, if it is in one
    """

    lfdi: str
    sfdi: int
    standing: Standing = Standing.UNKNOWN
    device: int | None = None
    aggregator: bool = False
    managed: int = 0
    barred: Barred | None = None
    replaces: int | None = None
    groups: tuple[int, ...] = ()
    own_program: bool = False
    category: int = 0
    manager: int | None = None


@frozen
class Policy:
    """How certificates come to be registered (CSIP IG 6.1.3, 6.1.4).

    :param in_band: devices register themselves by POST to the EndDeviceList
    :param anyone: any certificate from our roots may do so, listed or not
    :param aggregators_may_add: an aggregator may register LFDIs that nobody listed for it (decision 7)
    :param reserved: LFDIs that are no device's: the server's own and those of operators (decision 6)
    :param empty_list: who is not registered gets an empty EndDeviceList, in place of 404
    """

    in_band: bool = False
    anyone: bool = False
    aggregators_may_add: bool = False
    reserved: frozenset[str] = frozenset()
    empty_list: bool = False


@frozen
class Owner:
    """The EndDevice that a resource belongs to: its number, and its aggregator's if it has one."""

    device: int
    manager: int | None = None


def party(caller: Caller, owner: Owner | None) -> Party:
    """How the caller stands to a resource; nothing when it is a stranger to its owner."""
    if owner is None:
        return Party.CALLER
    if caller.device is None:
        return Party(0)
    if caller.device == owner.device:
        return Party.OWNER
    if caller.aggregator and caller.device == owner.manager:
        return Party.MANAGER
    return Party(0)


def may_see(caller: Caller, row: Row, owner: Owner | None, policy: Policy, reaches: bool = False) -> bool:
    """Whether the resource exists for this caller.

    :param owner: the EndDevice in its URI, if there is one and it exists
    :param reaches: whether the caller reaches what the number in its URI means: a DERProgram through an FSA
        of a device of its own, a mirror by ``may_mirror``, a usage point of a device that it ``acts_for``
    """
    registered = caller.standing is Standing.REGISTERED
    match row.audience:
        case Audience.ANYONE:
            return True
        case Audience.LISTED:
            registering = caller.standing is Standing.LISTED and policy.in_band
            return registered or registering or policy.empty_list
        case Audience.REGISTERED:
            return registered
        case Audience.DEVICE:
            return registered and owner is not None and bool(party(caller, owner))
        case Audience.OWNER:
            return registered and owner is not None and party(caller, owner) is Party.OWNER
        case Audience.PROGRAM | Audience.MIRROR | Audience.USAGE_POINT:
            return registered and reaches
        case Audience.NOBODY:
            return False


def may_mirror(caller: Caller, maker: int, device: Owner | None) -> bool:
    """Whether a caller may use a mirror of a device's readings: it made it, and the device is still its own.

    :param maker: number of the EndDevice that made the mirror
    :param device: whose readings they are, while it is an EndDevice
    """
    return maker == caller.device and acts_for(caller, device)


def acts_for(caller: Caller, device: Owner | None) -> bool:
    """Whether a caller speaks for a device: it is that one, or its aggregator now (CSIP IG 6.2.4).

    :param device: None: there is no such EndDevice
    """
    return device is not None and bool(party(caller, device))


def may_use(caller: Caller, row: Row, method: str, owner: Owner | None) -> bool:
    """Whether a method is offered to a caller that may see the resource."""
    return method in row.allow(party(caller, owner))
