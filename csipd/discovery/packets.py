"""What comes from the link and what goes there, without octets."""

from __future__ import annotations

from attrs import frozen

from csipd.discovery.records import Record


@frozen
class Question:
    """One question.

    :param unicast: the answer may come to the asker alone (the QU bit, RFC 6762 5.4)
    """

    name: str
    kind: int
    unicast: bool = False


@frozen
class Message:
    """What came.

    :param number: that the answer to a resolver which knows no mDNS repeats
    :param truncated: more known answers follow in another message
    :param records: of a response what it says; of a question the answers that are known
    :param proposed: what a probe would have for itself
    """

    number: int = 0
    response: bool = False
    truncated: bool = False
    questions: tuple[Question, ...] = ()
    records: tuple[Record, ...] = ()
    proposed: tuple[Record, ...] = ()


@frozen
class Peer:
    """Who sent a message: an address of the link, and a port."""

    address: str
    port: int


@frozen
class Packet:
    """What is sent.

    :param to: None: everybody on the link
    :param legacy: it goes to a resolver that knows no mDNS (RFC 6762 6.7)
    :param flush: unique records take the place of all others of their names and kinds
    """

    query: bool = False
    number: int = 0
    to: Peer | None = None
    legacy: bool = False
    flush: bool = True
    questions: tuple[Question, ...] = ()
    answers: tuple[Record, ...] = ()
    proposed: tuple[Record, ...] = ()
    beside: tuple[Record, ...] = ()
