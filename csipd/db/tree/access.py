"""The rights of a caller, with the facts that der/access.py decides from asked of the store."""

from __future__ import annotations

from csipd.db import documents
from csipd.db.chapters import source_of
from csipd.db.tree import metering
from csipd.db.tree.context import Context
from csipd.db.tree.reach import reaches
from csipd.der.access import Standing, may_see, may_use, party
from csipd.refusals import Forbidden, NotAllowed, NotFound
from csipd.sep2.site import Audience, Place, enclosing


def authorize(context: Context, place: Place, method: str) -> None:
    """Let a request through to a place, or say why not. Every read and write asks this.

    :raises NotFound: the place does not exist for the caller
    :raises NotAllowed: it does, and does not take this method from it
    :raises Forbidden: registration by a certificate that is on no list, or may not see the EndDeviceList
    """
    registering = place.row.name == "EndDeviceList" and method == "POST"
    if registering and context.caller.standing is Standing.UNKNOWN:
        # Though it may be shown an empty list.
        raise Forbidden(f"{context.caller.lfdi} is on no list")
    if not is_visible(context, place):
        if registering:
            raise Forbidden(f"{context.caller.lfdi} may not register")
        raise NotFound(place.href)
    if not may_use(context.caller, place.row, method, context.owner):
        raise NotAllowed(place.row.allow(party(context.caller, context.owner)))


def is_visible(context: Context, place: Place) -> bool:
    """Whether a place exists for the caller."""
    caller = context.caller
    if not may_see(caller, place.row, context.owner, context.server.policy, _reaches(context, place)):
        return False
    by_number = place.row.audience is not Audience.REGISTERED
    if not by_number and place.ids and not place.row.is_list:
        # Whose it is, its URI does not say.
        return source_of(place.row).present(context, [place.ids]) == [True]
    around = enclosing(place)
    # One number deep, an audience that goes by that number has answered for it: a device, a program.
    if around is None or (by_number and len(around.ids) < 2):
        return True
    if source_of(place.row).is_kept and context.cached(documents.stored_at, place.href) is not None:
        # Documents are kept in what is there, and who is let in goes on with this one.
        return True
    return source_of(around.row).present(context, [around.ids]) == [True]


def _reaches(context: Context, place: Place) -> bool:
    """Whether the caller reaches what the number in a URI means, where its audience goes by that."""
    match place.row.audience:
        case Audience.PROGRAM:
            return reaches(context, place.ids[0])
        case Audience.MIRROR:
            return metering.may_mirror(context, place.ids[0])
        case Audience.USAGE_POINT:
            return metering.may_see(context, place.ids[0])
    return False
