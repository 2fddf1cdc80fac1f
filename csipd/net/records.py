"""Where a stream of TLS records has got to: which octets are whole records of application data.

A record is a type, a version, a length, and so many octets (RFC 5246 6.2.1). Nothing here decrypts or judges;
it is OpenSSL that refuses what is wrong.
"""

from __future__ import annotations

import sys

from attrs import frozen

#: Octets before a record's own: type, version, length.
_HEAD = 5
_APPLICATION_DATA = 23
# change_cipher_spec, alert, handshake, application_data: all that TLS 1.2 has.
_TYPES = range(20, 24)
_MAJOR_VERSION = 3
# How much is missing of what is no record: more than ever comes.
_ENDLESS = sys.maxsize


@frozen
class Torn:
    """What a read has left unfinished.

    :param head: the beginning of a record's head, less than 5 octets
    :param missing: octets that the last record lacks; none, where there is a ``head``
    """

    head: bytes = b""
    missing: int = 0


#: Between two records.
WHOLE = Torn()


def application_records(data: bytes) -> int:
    """How many records of application data these octets are, if they are whole ones and nothing else; else 0.

    :param data: what came after the end of a record
    """
    count = at = 0
    size = len(data)
    while at + _HEAD <= size and data[at] == _APPLICATION_DATA:
        at += _HEAD + (data[at + 3] << 8) + data[at + 4]
        count += 1
    return count if at == size else 0


def after(torn: Torn, data: bytes) -> Torn:
    """What is left unfinished when these octets follow.

    Once something came that is no record of TLS 1.2 it stays unfinished for ever.
    """
    if torn.head:
        data = torn.head + data
    at = torn.missing
    while at + _HEAD <= len(data):
        if data[at] not in _TYPES or data[at + 1] != _MAJOR_VERSION:
            return Torn(missing=_ENDLESS)
        at += _HEAD + (data[at + 3] << 8) + data[at + 4]
    if at > len(data):
        return Torn(missing=at - len(data))
    return Torn(head=data[at:]) if at < len(data) else WHOLE
