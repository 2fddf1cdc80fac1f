"""mRIDs: made from what a thing is and its number in the store, so that none is ever given twice.

An mRID is 128 bits, the low 32 of them the Private Enterprise Number of who made it (IEEE 2030.5-2018
10.1.4.1); the 96 above are ours to choose, all ones excepted. They hold the kind of thing, the number of
this store (drawn at random, for a utility that runs several under one PEN), and the thing's own number or
numbers. Numbers rise and are never used again, so mRIDs of one kind rise with time.

A store that was restored from a backup knows nothing of what was made after that backup. What it makes from
then on has another number of the store in its mRID; what is computed at each reading keeps the first one.
"""

from __future__ import annotations

from enum import IntEnum

from attrs import frozen


class Kind(IntEnum):
    """What an mRID names: its first octet. Never 255, and never to be renumbered."""

    PROGRAM = 1
    CONTROL = 2
    DEFAULT = 3
    CURVE = 4
    ASSIGNMENTS = 5
    OWN_PROGRAM = 6
    RESPONSES = 7


#: What is no row: its mRID is computed whenever it is shown, and has to stay the same for ever.
_COMPUTED = frozenset((Kind.DEFAULT, Kind.ASSIGNMENTS, Kind.OWN_PROGRAM, Kind.RESPONSES))


@frozen
class Issuer:
    """Who makes mRIDs.

    :param store: the first number of this store, below 2**24
    :param pen: IANA Private Enterprise Number, below 2**32
    :param since_restore: the number of the store in what is made since it was last restored from a backup,
        likewise; None: it never was
    """

    store: int
    pen: int
    since_restore: int | None = None

    def mrid(self, kind: Kind, number: int, part: int = 0) -> str:
        """The mRID of a thing, 32 upper-case hexadecimal digits.

        :param number: of the thing, below 2**40
        :param part: of the thing within that number, below 2**24: a curve of a program, an FSA of a device
        :raises OverflowError: for a number beyond its field, which would otherwise spill into its neighbour
        """
        if not (0 <= number < 2**40 and 0 <= part < 2**24):
            raise OverflowError(f"no mRID has room for {kind.name} {number}/{part}")
        store = self.store if kind in _COMPUTED or self.since_restore is None else self.since_restore
        return f"{kind:02X}{store:06X}{number:010X}{part:06X}{self.pen:08X}"
