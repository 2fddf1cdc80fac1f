"""What a server does on one link: it makes sure of its names, announces them, answers, and says goodbye.

A state machine without sockets and clock: each call is told the time and gives what is to be sent. What it
sends of its own accord follows RFC 6762 8. What it is made to send is bounded: to everybody a record goes
once a second at most (6), so that all of them are a few kB/s however many ask; to one asker goes what its
allowance lets; and what is kept of askers is a short table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import Enum, auto
from typing import Final

from attrs import define, evolve

from csipd.discovery.packets import Message, Packet, Peer, Question
from csipd.discovery.records import ENUMERATION, Kind, Record, Zone

MDNS_PORT: Final = 5353

_PROBES: Final = 3
_PROBE_INTERVAL: Final = 0.25
#: Seconds before the first probe, at most, and those that a loser of a tie waits.
_PROBE_DELAY: Final = 0.25
_TIE_DELAY: Final = 1.0
#: Names in one probe, so that it is one message with all that it proposes.
_NAMES_A_PROBE: Final = 4
#: Seconds between announcements: twice as many as RFC 6762 8.3 asks for at the least.
_ANNOUNCEMENTS: Final = (1.0, 2.0, 4.0)
#: Seconds in which a record is sent to everybody once, and once where it defends a name (6).
_ONCE: Final = 1.0
_DEFENCE: Final = 0.25
#: Seconds for which an answer that others may have, too, waits for more to go with it.
_AGGREGATION: Final = (0.02, 0.12)
#: Seconds for which more known answers are waited for.
_TRUNCATION: Final = (0.4, 0.5)
#: Askers who have said that more follows, and known answers of each.
_WAITING: Final = 16
_KNOWN: Final = 500
#: Seconds that an answer lasts for a resolver which knows no mDNS (6.7).
_LEGACY_TTL: Final = 10
#: Seconds between two times that names are made sure of since somebody said they are another's.
_DISPUTE: Final = 10.0


class State(Enum):
    """How far a server is on a link."""

    SILENT = auto()  #: nothing to announce
    PROBING = auto()  #: it asks whether anybody has its names
    ANNOUNCED = auto()  #: the names are its own


@define
class _Waiting:
    """Questions of an asker whose known answers are still coming."""

    due: float
    message: Message
    peer: Peer


class Responder:
    """A server on one link.

    :param draw: a number from 0 to 1, by chance
    :param allow: whether a peer may be answered, it alone, at a moment
    :param own: whether a record is this server's on some other link: two of them may be the same network
    :ivar state: how far it is
    :ivar conflicted: somebody has the names; they are to be published under others
    """

    def __init__(
        self,
        draw: Callable[[], float],
        allow: Callable[[str, float], bool],
        own: Callable[[Record], bool],
    ) -> None:
        self.state = State.SILENT
        self.conflicted = False
        self._draw = draw
        self._allow = allow
        self._own = own
        self._zone = Zone()
        self._former: frozenset[Record] = frozenset()
        self._steps = 0
        self._step_due: float | None = None
        self._disputed = float("-inf")
        self._pending: dict[Record, float] = {}
        self._sent: dict[Record, float] = {}
        self._waiting: dict[str, _Waiting] = {}

    def has(self, record: Record) -> bool:
        """Whether a record is published here."""
        return record in self._zone.records

    @property
    def next_due(self) -> float | None:
        """When :meth:`due` has something to do; None where it waits for others."""
        moments = [*self._pending.values(), *(one.due for one in self._waiting.values())]
        if self._step_due is not None:
            moments.append(self._step_due)
        return min(moments, default=None)

    def publish(self, zone: Zone, now: float, delay: float = 0.0) -> list[Packet]:
        """Have these records from now on, and no others.

        :param delay: seconds before anybody is asked about new names
        """
        goodbye = self._goodbye(set(self._zone.records) - set(zone.records))
        renamed = zone.names != self._zone.names
        self._former = frozenset(self._zone.records)
        self._zone = zone
        self._pending.clear()
        self._waiting.clear()
        self._sent = {record: at for record, at in self._sent.items() if record in set(zone.records)}
        self.conflicted = False
        if not zone.records:
            self.state, self._step_due = State.SILENT, None
        elif renamed or self.state is not State.ANNOUNCED:
            self._probe(now + delay + self._draw() * _PROBE_DELAY)
        else:
            self._announce(now)
        return goodbye

    def connected_anew(self, now: float) -> None:
        """Begin again with the names that there are: the link was away, and may lead elsewhere now."""
        if self._zone.records:
            self._pending.clear()
            self._waiting.clear()
            self._sent.clear()
            self.conflicted = False
            self._probe(now + self._draw() * _PROBE_DELAY)

    def withdraw(self) -> list[Packet]:
        """Say goodbye, and have no records."""
        return self.publish(Zone(), 0.0)

    def received(self, message: Message, peer: Peer, now: float) -> list[Packet]:
        """Take in what a peer on the link said."""
        if self.state is State.SILENT or self.conflicted:
            return []
        if message.response:
            self._compare(message.records, now)
            return []
        if message.proposed and self.state is State.PROBING:
            self._contend(message.proposed, now)
        if self.state is not State.ANNOUNCED:
            return []
        waiting = self._waiting.get(peer.address)
        if waiting is not None and not message.questions:
            waiting.message = _joined(waiting.message, message)
            if not message.truncated:
                del self._waiting[peer.address]
                return self._answer(waiting.message, waiting.peer, now)
            return []
        if message.truncated and message.questions and peer.port == MDNS_PORT:
            if waiting is None and len(self._waiting) >= _WAITING:
                return []  # whoever is left out asks again
            self._waiting[peer.address] = _Waiting(now + self._between(_TRUNCATION), message, peer)
            return []
        return self._answer(message, peer, now)

    def due(self, now: float) -> list[Packet]:
        """Do what is due."""
        packets: list[Packet] = []
        for address, waiting in list(self._waiting.items()):
            if waiting.due <= now:
                del self._waiting[address]
                packets += self._answer(waiting.message, waiting.peer, now)
        if self._step_due is not None and self._step_due <= now:
            packets += self._step(now)
        ready = [record for record, at in self._pending.items() if at <= now]
        if ready:
            packets.append(self._to_all(ready, now))
        return packets

    # Names.

    def _probe(self, at: float) -> None:
        self.state, self._steps, self._step_due = State.PROBING, 0, at

    def _announce(self, at: float) -> None:
        self.state, self._steps, self._step_due = State.ANNOUNCED, 0, at

    def _step(self, now: float) -> list[Packet]:
        """The next probe or announcement."""
        if self.state is State.PROBING:
            if self._steps < _PROBES:
                self._steps += 1
                self._step_due = now + _PROBE_INTERVAL
                return self._probes()
            self._announce(now)
        interval = _ANNOUNCEMENTS[self._steps]
        self._steps += 1
        self._step_due = now + interval if self._steps < len(_ANNOUNCEMENTS) else None
        return [self._to_all(self._zone.records, now, beside=False)]

    def _probes(self) -> list[Packet]:
        names = self._zone.names
        packets = []
        for first in range(0, len(names), _NAMES_A_PROBE):
            some = names[first : first + _NAMES_A_PROBE]
            packets.append(
                Packet(
                    query=True,
                    questions=tuple(Question(name, Kind.ANY, unicast=True) for name in some),
                    proposed=tuple(record for name in some for record in self._zone.unique(name)),
                )
            )
        return packets

    def _compare(self, records: Iterable[Record], now: float) -> None:
        """See whether somebody says something else of our names."""
        if not any(self._contradicts(record) for record in records):
            return
        if self.state is State.PROBING and not self._steps:
            return  # who has the name will say so when asked
        if self.state is State.PROBING:
            self.conflicted = True
            self._step_due = None
        elif now - self._disputed >= _DISPUTE:
            # It may be an echo of what was ours before, or one who missed that it is ours: ask again (9).
            self._disputed = now
            self._probe(now + self._draw() * _PROBE_DELAY)

    def _contradicts(self, record: Record) -> bool:
        if record.ttl == 0:
            return False
        ours = [one for one in self._zone.unique(record.name.lower()) if one.kind == record.kind]
        return bool(ours) and record not in ours and record not in self._former and not self._own(record)

    def _contend(self, proposed: Iterable[Record], now: float) -> None:
        """Somebody wants names at the same time: whose records come first gives way for a while (8.2)."""
        theirs: dict[str, list[Record]] = {}
        for record in proposed:
            theirs.setdefault(record.name.lower(), []).append(record)
        for name, records in theirs.items():
            ours = sorted(record.order for record in self._zone.unique(name))
            if ours and ours < sorted(record.order for record in records):
                self._probe(now + _TIE_DELAY)
                return

    # Answers.

    def _answer(self, message: Message, peer: Peer, now: float) -> list[Packet]:
        """Answer questions: at once to one, or soon to everybody."""
        known = {record: record.ttl for record in message.records}
        alone: dict[Record, None] = {}
        answered = []
        defends = bool(message.proposed)
        legacy = peer.port != MDNS_PORT
        for question in message.questions:
            found = [
                record
                for record in self._zone.answers(question.name, question.kind)
                if known.get(record, 0) * 2 < record.ttl
            ]
            if found:
                answered.append(question)
            for record in found:
                if legacy or question.unicast:
                    alone[record] = None
                # Who hears everybody shall not know less than who asks (5.4).
                if not legacy and (not question.unicast or self._is_old(record, now)):
                    self._schedule(record, now, defends)
        packets = []
        allowed = bool(alone) and self._allow(peer.address, now)
        if defends and not allowed:
            # Whoever asks for a name is told whose it is, however many others ask at this moment.
            for record in alone:
                self._schedule(record, now, defends)
        if allowed:
            number = message.number
            packets.append(
                self._to_resolver(tuple(alone), number, answered, peer)
                if legacy
                else Packet(number=number, to=peer, answers=tuple(alone), beside=self._zone.beside(alone))
            )
        ready = [record for record, at in self._pending.items() if at <= now]
        if ready:
            packets.append(self._to_all(ready, now))
        return packets

    def _is_old(self, record: Record, now: float) -> bool:
        return now - self._sent.get(record, float("-inf")) > record.ttl / 4

    def _schedule(self, record: Record, now: float, defends: bool) -> None:
        """Have a record sent to everybody, as soon as it may be."""
        wait = 0.0 if record.unique or defends else self._between(_AGGREGATION)
        apart = _DEFENCE if defends else _ONCE
        at = max(now + wait, self._sent.get(record, float("-inf")) + apart)
        self._pending[record] = min(at, self._pending.get(record, at))

    def _to_resolver(
        self, answers: tuple[Record, ...], number: int, questions: Iterable[Question], peer: Peer
    ) -> Packet:
        """An answer in plain DNS; of the questions those come back that it answers, which have our names."""
        return Packet(
            number=number,
            to=peer,
            legacy=True,
            flush=False,
            questions=tuple(evolve(one, unicast=False) for one in questions),
            answers=_shortened(answers),
            beside=_shortened(self._zone.beside(answers)),
        )

    def _to_all(self, answers: Iterable[Record], now: float, *, beside: bool = True) -> Packet:
        answers = tuple(answers)
        for record in answers:
            self._pending.pop(record, None)
            self._sent[record] = now
        return Packet(answers=answers, beside=self._zone.beside(answers) if beside else ())

    def _goodbye(self, records: set[Record]) -> list[Packet]:
        """Take back what was said of these.

        What others say of the same names stays; and that there is this type of service others say, too.
        """
        gone = tuple(
            record.lasting(0)
            for record in self._zone.records
            if record in records and record in self._sent and record.name != ENUMERATION
        )
        return [Packet(answers=gone, flush=False)] if gone else []

    def _between(self, bounds: tuple[float, float]) -> float:
        low, high = bounds
        return low + self._draw() * (high - low)


def _joined(first: Message, more: Message) -> Message:
    return evolve(first, records=(first.records + more.records)[:_KNOWN])


def _shortened(records: Iterable[Record]) -> tuple[Record, ...]:
    return tuple(record.lasting(min(record.ttl, _LEGACY_TTL)) for record in records)
