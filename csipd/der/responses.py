"""What devices answer to events: what a Response says, whether it may be given, and when it is overdue.

A Response names an event (subject), a device and a status (IEEE 2030.5-2018 8.8, Table 27). Each status
brings its device to a stage of the event: it has the event, it has started, it is done with it. What the
event asks for (responseRequired) and where it stands say which stage every device should have reported by
now; one that has not is silent.

A device may say the same more than once: it opts out, in, and out again. Each is a Response of its own, kept
apart by createdDateTime, and the last of them says where the device stands (decisions 7 and 38).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum, IntEnum

from attrs import frozen

from csipd.der.events import Event, Status
from csipd.sep2.types import EventState, ResponseRequired, ResponseStatus


class ResponseKind(Enum):
    """What the operator counts devices by."""

    RECEIVED = "received"
    STARTED = "started"
    COMPLETED = "completed"
    OPTED_OUT = "opted_out"
    CANCELLED = "cancelled"
    SUPERSEDED = "superseded"
    REJECTED = "rejected"


class Stage(IntEnum):
    """How far a device says that it has come with an event."""

    NOTHING = 0
    RECEIVED = 1
    STARTED = 2
    ENDED = 3


@frozen
class Meaning:
    """What a status says.

    :param name: for people
    """

    name: str
    kind: ResponseKind
    stage: Stage


_S = ResponseStatus

#: The statuses of IEEE 2030.5-2018 Table 27.
MEANINGS: Mapping[int, Meaning] = {
    _S.RECEIVED: Meaning("received", ResponseKind.RECEIVED, Stage.RECEIVED),
    _S.STARTED: Meaning("started", ResponseKind.STARTED, Stage.STARTED),
    _S.COMPLETED: Meaning("completed", ResponseKind.COMPLETED, Stage.ENDED),
    _S.USER_OPT_OUT: Meaning("user opted out", ResponseKind.OPTED_OUT, Stage.ENDED),
    _S.USER_OPT_IN: Meaning("user opted in", ResponseKind.RECEIVED, Stage.RECEIVED),
    _S.CANCELLED: Meaning("cancelled", ResponseKind.CANCELLED, Stage.ENDED),
    _S.SUPERSEDED: Meaning("superseded", ResponseKind.SUPERSEDED, Stage.ENDED),
    _S.PARTIAL_OPT_OUT: Meaning("completed in part, user opted out", ResponseKind.OPTED_OUT, Stage.ENDED),
    _S.PARTIAL_OPT_IN: Meaning("completed in part, user opted in", ResponseKind.COMPLETED, Stage.ENDED),
    _S.COMPLETED_NO_PARTICIPATION: Meaning("over without participation", ResponseKind.OPTED_OUT, Stage.ENDED),
    _S.USER_ACKNOWLEDGED: Meaning("user acknowledged", ResponseKind.RECEIVED, Stage.RECEIVED),
    _S.CANNOT_BE_DISPLAYED: Meaning("cannot be displayed", ResponseKind.REJECTED, Stage.ENDED),
    _S.ABORTED_SERVER: Meaning("aborted for another server's", ResponseKind.SUPERSEDED, Stage.ENDED),
    _S.ABORTED_PROGRAM: Meaning("aborted for another program's", ResponseKind.SUPERSEDED, Stage.ENDED),
    _S.NOT_SUPPORTED: Meaning("not supported", ResponseKind.REJECTED, Stage.ENDED),
    _S.REJECTED_NOT_APPLICABLE: Meaning("rejected, not applicable", ResponseKind.REJECTED, Stage.ENDED),
    _S.REJECTED_INVALID: Meaning("rejected, invalid", ResponseKind.REJECTED, Stage.ENDED),
    _S.REJECTED_EXPIRED: Meaning("rejected, already over", ResponseKind.REJECTED, Stage.ENDED),
}


def meaning(status: int | None) -> str:
    """What a status says, for people; also for one that the standard does not know."""
    if status is None:
        return "says nothing"
    known = MEANINGS.get(status)
    return f"unknown ({status})" if known is None else known.name


def may_give(status: int | None) -> bool:
    """Whether a device may give a status: 1 to 14, 251 to 254, or none (IEEE 2030.5-2018 Table 27)."""
    return status is None or status in MEANINGS


def kind_of(status: int | None) -> ResponseKind | None:
    """What a device that gave this status counts as; None for a status that is not known."""
    known = None if status is None else MEANINGS.get(status)
    return None if known is None else known.kind


def stage(status: int | None) -> Stage:
    """How far a status brings a device. One that is not known shows at least that it has the event."""
    known = None if status is None else MEANINGS.get(status)
    return Stage.RECEIVED if known is None else known.stage


class Subject(Enum):
    """What the subject of a Response is to its device."""

    ADDRESSED = "an event for it"
    OTHERS = "an event for others"
    UNKNOWN = "no event"


def flag(subject: Subject, status: int | None) -> str | None:
    """Why the operator should look at a Response that is kept all the same (decision 7); None: no reason."""
    reasons = []
    if subject is Subject.UNKNOWN:
        reasons.append("the event is not known")
    elif subject is Subject.OTHERS:
        reasons.append("the event is not for this device")
    if status is None:
        reasons.append("there is no status")
    return ", ".join(reasons) or None


@frozen
class ReceivedResponse:
    """A Response of a device to an event.

    :param number: by which Responses are numbered as they are received
    :param created: createdDateTime, if the device gave one (TimeType)
    :param received: TimeType
    """

    number: int
    status: int | None
    created: int | None
    received: int

    @property
    def order(self) -> tuple[int, int, int]:
        """By this the later of two is found: a clock that runs ahead does not make it so."""
        at = self.received if self.created is None else min(self.created, self.received)
        return at, self.received, self.number


def latest(answers: Sequence[ReceivedResponse]) -> ReceivedResponse | None:
    """Of a device's answers to one event the one that says where it stands."""
    return max(answers, key=lambda answer: answer.order, default=None)


def repeated(
    answers: Sequence[ReceivedResponse], status: int | None, created: int | None
) -> ReceivedResponse | None:
    """The answer that a Response says once more; None: it is another one (decision 38).

    :param answers: all that the device gave to this event
    """
    if created is None:
        last = latest(answers)
        return last if last is not None and last.status == status else None
    return next((one for one in answers if one.status == status and one.created == created), None)


#: Poll rates that a device has for each answer (decision 20).
POLLS = 2


def required(event: Event, status: Status, asked: int, poll_rate: int, now: int) -> Stage:
    """The stage that every device should have reported by a moment (decision 20).

    A device has two poll rates for each answer, and the randomisation where what it reports is randomised.

    :param status: of the event at that moment
    :param asked: responseRequired
    :param poll_rate: of the lists that devices read events from (s)
    """
    grace = POLLS * poll_rate
    return next((stage for stage, moment in due(event, status, asked) if moment + grace < now), Stage.NOTHING)


def due(event: Event, status: Status, asked: int) -> list[tuple[Stage, int]]:
    """When each stage is reached, as far as it is to be reported; the furthest first.

    :param status: of the event now
    :param asked: responseRequired
    """
    found = []
    if asked & ResponseRequired.SPECIFIC:
        over, begun = _over(event, status)
        found.append((Stage.ENDED, over))
        if begun:
            starts = max(event.start + max(0, event.randomize_start), event.created)
            found.append((Stage.STARTED, starts))
    if asked & ResponseRequired.RECEIVED:
        found.append((Stage.RECEIVED, event.created))
    return found


def _over(event: Event, status: Status) -> tuple[int, bool]:
    """The last moment at which a device is done with an event, and whether any was to start it."""
    spread = max(abs(event.randomize_start), abs(event.randomize_duration))
    match status.state:
        case EventState.CANCELLED:
            # At once: nothing of the end is left to chance.
            return status.since, status.since > event.begins
        case EventState.CANCELLED_RANDOMIZED | EventState.SUPERSEDED:
            return status.since + spread, status.since > event.begins
        case _:
            return event.latest, True


def stands(said: Sequence[int | None]) -> frozenset[ResponseKind]:
    """What a device counts as.

    That it received and started an event stays true. How an event ended for it is for the last status to
    say: who opts in again has not opted out.

    :param said: the statuses that it gave, the one that says where it stands last
    """
    found = [kind_of(status) for status in said if stage(status) < Stage.ENDED] + [
        kind_of(one) for one in said[-1:]
    ]
    return frozenset(one for one in found if one is not None)


def reached(said: Sequence[int | None]) -> Stage:
    """How far a device says that it has come.

    :param said: the statuses that it gave, the one that says where it stands last
    """
    stages = [stage(status) for status in said]
    return max([one for one in stages if one < Stage.ENDED] + stages[-1:], default=Stage.NOTHING)


def silent(
    said: Sequence[int | None], event: Event, status: Status, asked: int, poll_rate: int, now: int
) -> bool:
    """Whether a device owes an answer to an event whose time has passed.

    :param said: the statuses that it gave, the one that says where it stands last
    """
    return reached(said) < required(event, status, asked, poll_rate, now)
