"""mRIDs: made from what a thing is and its number in the store, so that none is ever given twice.

An mRID is 128 bits, the low 32 of them the Private Enterprise Number of who made it (IEEE 2030.5-2018
10.1.4.1); the 96 above are ours to choose, all ones excepted. They hold the kind of thing, the number of
this store (drawn once, for a utility that runs several under one PEN), and the thing's own number or
numbers. Numbers rise and are never used again, so mRIDs of one kind rise with time.
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


@frozen
class Issuer:
    """Who makes mRIDs.

    :param store: the number of this store, below 2**24
    :param pen: IANA Private Enterprise Number, below 2**32
    """

    store: int
    pen: int

    def mrid(self, kind: Kind, number: int, part: int = 0) -> str:
        """The mRID of a thing, 32 upper-case hexadecimal digits.

        :param number: of the thing, below 2**40
        :param part: of the thing within that number, below 2**24: a curve of a program, an FSA of a device
        :raises OverflowError: for a number beyond its field, which would otherwise spill into its neighbour
        """
        if not (0 <= number < 2**40 and 0 <= part < 2**24):
            raise OverflowError(f"no mRID has room for {kind.name} {number}/{part}")
        return f"{kind:02X}{self.store:06X}{number:010X}{part:06X}{self.pen:08X}"
