"""DNS messages: octets of the network to what they ask and say, and back. What is written down is zeroconf's.

This is the one module that needs the package, an extra of csipd's: `pip install csipd[mdns]`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import cast

from zeroconf import (  # type: ignore[attr-defined]  # exported, though its __all__ leaves them out
    DNSAddress,
    DNSIncoming,
    DNSNsec,
    DNSOutgoing,
    DNSPointer,
    DNSQuestion,
    DNSRecord,
    DNSService,
    DNSText,
)

from csipd.discovery.packets import Message, Packet, Question
from csipd.discovery.records import Kind, Record, Where

#: Octets of a message that is looked at (RFC 6762 17).
LARGEST = 9_000
#: Questions, and records, of a message that is looked at: far more than honest ones have.
_MOST_QUESTIONS = 40
_MOST_RECORDS = 300

_IN = 1
_TOP_BIT = 0x8000
_RESPONSE = 0x8000
_AUTHORITATIVE = 0x0400
_TRUNCATED = 0x0200
#: Opcode and response code; messages in which they are not 0 are ignored (RFC 6762 18.3, 18.11).
_NEITHER = 0x780F
_HEADER = 12


def read(octets: bytes) -> Message | None:
    """What a message says; None where it is none, or larger than is looked at."""
    if not _HEADER <= len(octets) <= LARGEST:
        return None
    number, flags, questions, *counts = (
        int.from_bytes(octets[at : at + 2], "big") for at in range(0, _HEADER, 2)
    )
    if flags & _NEITHER or questions > _MOST_QUESTIONS or sum(counts) > _MOST_RECORDS:
        return None
    # At least five octets a question and eleven a record.
    if _HEADER + 5 * questions + 11 * sum(counts) > len(octets):
        return None
    came = DNSIncoming(octets)
    if not came.valid:
        return None
    records = tuple(_records(came.answers()))
    response = bool(flags & _RESPONSE)
    proposes = not response and counts[1] > 0
    return Message(
        number=number,
        response=response,
        truncated=bool(flags & _TRUNCATED),
        questions=tuple(
            Question(one.name, one.type, bool(one.unique))
            for one in came.questions
            if one.class_ in (_IN, Kind.ANY)
        ),
        records=() if proposes else records,
        proposed=records if proposes else (),
    )


def _records(given: Sequence[DNSRecord]) -> Iterator[Record]:
    for one in given:
        if one.class_ != _IN:
            continue
        if isinstance(one, DNSPointer) and one.type == Kind.PTR:
            yield Record(one.name, Kind.PTR, one.alias, int(one.ttl), one.unique)
        elif isinstance(one, DNSService):
            yield Record(one.name, Kind.SRV, _where(one), int(one.ttl), one.unique)
        elif isinstance(one, DNSText):
            yield Record(one.name, Kind.TXT, one.text, int(one.ttl), one.unique)
        elif isinstance(one, DNSAddress):
            yield Record(one.name, Kind(one.type), one.address, int(one.ttl), one.unique)


def _where(one: DNSService) -> Where:
    return Where(one.port, one.server, one.priority, one.weight)


def write(packet: Packet) -> list[bytes]:
    """A packet's octets; several messages where it is larger than one may be."""
    flags = 0 if packet.query else _RESPONSE | _AUTHORITATIVE
    made = DNSOutgoing(flags, multicast=not packet.legacy)
    for question in packet.questions:
        made.add_question(
            DNSQuestion(question.name, question.kind, _IN | (_TOP_BIT if question.unicast else 0))
        )
    for record in packet.answers:
        made.add_answer_at_time(_written(record, packet.flush), 0)
    for record in packet.proposed:
        # Its method for these takes pointers alone; what it writes is any record.
        made.authorities.append(cast(DNSPointer, _written(record, False)))
    for record in packet.beside:
        made.add_additional_answer(_written(record, packet.flush))
    # zeroconf gives a number to the legacy ones alone; whoever is answered wants the one it sent (18.1).
    number = packet.number.to_bytes(2, "big")
    return [number + octets[2:] for octets in made.packets()]


def _written(record: Record, flush: bool) -> DNSRecord:
    """A record as zeroconf has it.

    :param flush: say that no other records of that name and kind count, where it is unique (RFC 6762 10.2)
    """
    kind = record.kind
    common = (record.name, int(kind), _IN | (_TOP_BIT if flush and record.unique else 0), record.ttl)
    data = record.data
    if isinstance(data, Where):
        return DNSService(*common, data.priority, data.weight, data.port, data.host)
    if isinstance(data, str):
        return DNSPointer(*common, data)
    if isinstance(data, tuple):
        return DNSNsec(*common, record.name, list(data))
    return DNSText(*common, data) if kind == Kind.TXT else DNSAddress(*common, data)
