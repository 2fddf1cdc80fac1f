"""What one event loses to a better one, on a device that has to follow both: for people, before and after.

The rules are those of programs.py, asked here about two events alone.
"""

from __future__ import annotations

from attrs import frozen

from csipd.der.programs import EndReason, ProgramEvent, mode_outcomes
from csipd.sep2.types import MODE


@frozen
class LostModes:
    """What an event loses.

    :param modes: the control modes, in the order of the standard
    :param wholly: whether they are all that it has, for every category that it addresses
    :param ends: when it loses them (TimeType); None: it never holds them, not even before or after the other
    :param uncovered: seconds of its period in which neither it nor the better one holds them
    """

    modes: tuple[str, ...]
    wholly: bool
    ends: int | None
    uncovered: int


def loss(loser: ProgramEvent, winner: ProgramEvent) -> LostModes | None:
    """What `loser` loses to `winner`; None where it keeps all that it has.

    An event that has begun ends when the better one begins, and does not resume; one that has not begun by
    the time a better one is known never runs, not even in the part of its period that the other leaves
    (CSIP G13; decision 17).
    """
    modes: list[str] = []
    ends: int | None = None
    uncovered = 0
    mine, its = loser.event, winner.event
    for mode in MODE:
        if mode not in mine.modes & its.modes or not mine.categories & its.categories:
            continue
        outcome = next(one for one in mode_outcomes([loser, winner], mode) if one.candidate is loser)
        if outcome.by is not winner or outcome.end not in (EndReason.SUPERSEDED, EndReason.NEVER):
            continue
        modes.append(mode)
        held = 0 if outcome.begin is None or outcome.until is None else outcome.until - outcome.begin
        taken = max(0, min(mine.end, its.end) - max(loser.begins, winner.begins))
        uncovered = max(uncovered, mine.end - loser.begins - held - taken)
        ends = outcome.until if outcome.begin is not None else ends
    if not modes:
        return None
    wholly = set(modes) == mine.modes and not mine.categories & ~its.categories
    return LostModes(tuple(modes), wholly, ends, uncovered)
