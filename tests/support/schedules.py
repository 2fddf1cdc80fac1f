"""Schedules of events at random, dense enough for everything to meet everything.

Each event is read off a few octets, one for each fact; so thousands of schedules are drawn in seconds, and a
failing one shrinks to few and plain events (an octet 0 is the plainest value).
"""

from __future__ import annotations

from itertools import compress

from attrs import evolve
from hypothesis import strategies as st

from csipd.der.events import ALL_CATEGORIES, Event
from csipd.der.programs import ProgramEvent

MODES = ("opModFixedW", "opModFixedPFInjectW", "opModMaxLimW", "opModVoltVar")

#: By this second all is over, and all that can be commanded has been.
END = 85

_FACTS = 10
_MRIDS = (
    (1, 2),
    (2, 1),
    (3, 1, 2),
    (1, 4, 3, 2),
    (5, 2, 4, 1, 3),
    (3, 6, 2, 1, 4, 5),
    (2, 7, 1, 6, 4, 3, 5),
    (8, 1, 3, 2, 6, 7, 4, 5),
)


def _bound(octet: int) -> int:
    """0 for most; else -8 to 8."""
    return octet % 17 - 8 if octet > 160 else 0


def _event(mrid: int, facts: bytes, modes: int, bare: bool) -> Event:
    created, start, duration, mask, addressed, categories, shift, stretch, cancelled, after = facts
    created %= 21
    mask = mask % 2**modes if bare else 1 + mask % (2**modes - 1)
    is_cancelled = cancelled > 180
    return Event(
        mrid=str(mrid),
        created=created,
        start=created + (start + 12) % 40 - 12,
        duration=1 + duration % 20,
        modes=frozenset(compress(MODES, (mask >> i & 1 for i in range(modes)))),
        categories=1 + categories % 7 if addressed > 127 else ALL_CATEGORIES,
        randomize_start=_bound(shift),
        randomize_duration=_bound(stretch),
        cancelled=created + after % 40 if is_cancelled else None,
        randomized=is_cancelled and cancelled % 2 == 1,
    )


@st.composite
def schedules(draw: st.DrawFn, bare: bool = False) -> list[Event]:
    """The events of one program, in no order: 2 to 8 of them, with 1 to 4 modes.

    :param bare: whether some may have no mode at all
    """
    modes = draw(st.integers(1, 4))
    mrids = draw(st.sampled_from(_MRIDS))
    octets = draw(st.binary(min_size=_FACTS * len(mrids), max_size=_FACTS * len(mrids)))
    return [_event(mrid, octets[i * _FACTS : (i + 1) * _FACTS], modes, bare) for i, mrid in enumerate(mrids)]


@st.composite
def candidates(draw: st.DrawFn) -> list[ProgramEvent]:
    """The events of 1 to 4 programs, of which some may have the same primacy, in no order."""
    events = draw(schedules())
    primacies = draw(st.sampled_from(((1,), (1, 2), (2, 1), (1, 1), (2, 1, 3), (1, 2, 1), (3, 1, 4, 2))))
    octets = draw(st.binary(min_size=len(events), max_size=len(events)))
    programs = [octet % len(primacies) for octet in octets]
    return [
        ProgramEvent(event, primacies[program], program)
        for event, program in zip(events, programs, strict=True)
    ]


def moments() -> st.SearchStrategy[list[int]]:
    """Moments at which somebody looks, one after another."""
    return st.binary(min_size=1, max_size=12).map(lambda octets: sorted({octet % END for octet in octets}))


def commanded(event: Event, now: int) -> Event:
    """The event without a cancellation that is to come."""
    if event.cancelled is None or event.cancelled <= now:
        return event
    return evolve(event, cancelled=None, randomized=False)


def known(events: list[Event], now: int) -> list[Event]:
    """What anybody can know of a program at a moment."""
    return [commanded(event, now) for event in events if event.created <= now]


def known_candidates(candidates: list[ProgramEvent], now: int) -> list[ProgramEvent]:
    """What anybody can know of the programs of a device at a moment."""
    return [evolve(o, event=commanded(o.event, now)) for o in candidates if o.event.created <= now]
