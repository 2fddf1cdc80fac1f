"""How simulated devices misbehave, one way each: what operators have to notice, and a server to endure."""

from __future__ import annotations

from enum import Enum


class Behaviour(Enum):
    """What is wrong with a device, if anything."""

    GOOD = "good"
    #: Its clock is slow and does not follow the server's: it starts and ends everything late.
    LATE = "late"
    #: It falls silent: no polls, no reports, no readings, while its plant goes on as it was told last.
    SILENT = "silent"
    #: It answers as if it obeyed, and does what it likes.
    NON_COMPLIANT = "non-compliant"
    #: It does what it likes, and its meter shows what it was told to do.
    CHEATING_METER = "cheating meter"
    #: Its certificate is of a CA that nobody trusts.
    WRONG_CERTIFICATE = "wrong certificate"

    @property
    def obeys(self) -> bool:
        """Whether its plant does what it is told."""
        return self not in (Behaviour.NON_COMPLIANT, Behaviour.CHEATING_METER)


#: Seconds by which the clock of a late device is slow.
LATE_BY = 120
#: Seconds after which a silent device falls silent.
SILENT_AFTER = 300
