"""What was found out about certificates before, by their hash, up to a number of them.

A fleet comes again and again with the certificates that it had. What would follow from the same octets each
time is kept; what changes with time, dates above all, is not.
"""

from __future__ import annotations

from typing import Generic, TypeVar

V = TypeVar("V")

#: Certificates of which something is kept: 10 to 30 MB, if so many come.
MOST = 65_536


class CertificateCache(Generic[V]):
    """Values by the SHA-256 of what they follow from.

    When it is full the newest makes room. The oldest would be that which comes next, where a fleet that is
    larger polls in turn: none would ever be found.

    :param most: values kept
    """

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._values: dict[bytes, V] = {}

    def __len__(self) -> int:
        return len(self._values)

    def find(self, digest: bytes) -> V | None:
        """What is kept under a hash."""
        return self._values.get(digest)

    def keep(self, digest: bytes, value: V) -> None:
        """Keep a value."""
        if len(self._values) >= self._most and digest not in self._values:
            self._values.popitem()
        self._values[digest] = value
