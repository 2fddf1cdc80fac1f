"""Errors of the operator's API: problem documents (RFC 9457), and which refusal is which."""

from __future__ import annotations

import json
from collections.abc import Iterable
from itertools import islice
from typing import Any

from attrs import frozen

from csipd.refusals import (
    BadRequest,
    Conflict,
    Forbidden,
    Full,
    Impossible,
    KeyReused,
    NotAllowed,
    NotFound,
    Refusal,
    Unavailable,
)

CONTENT_TYPE = b"application/problem+json"

_STATUSES: dict[type[Refusal], tuple[int, str]] = {
    NotFound: (404, "Not found"),
    NotAllowed: (405, "Method not allowed"),
    Forbidden: (403, "Forbidden"),
    Conflict: (409, "Does not fit the present state"),
    KeyReused: (422, "Idempotency key used for another request"),
    BadRequest: (400, "Refused values"),
    Full: (409, "A limit is reached"),
    Unavailable: (503, "Not available now"),
}

#: Titles of what the web layer refuses by itself.
_TITLES = {
    400: "Malformed request",
    403: "Forbidden",
    404: "Not found",
    405: "Method not allowed",
    413: "Request too large",
    414: "URI too long",
    415: "Not JSON",
    500: "Internal error",
    501: "Unknown method",
    503: "Too many requests",
    505: "HTTP version not supported",
}
#: The most flaws that are listed; ten thousand devices may have one each.
_MOST = 100

#: What is wrong at one place: where (``pointer`` or ``parameter``), and ``detail``.
Error = dict[str, str]


@frozen
class Problem:
    """A problem document."""

    status: int
    title: str
    detail: str = ""
    errors: tuple[Error, ...] = ()

    def encode(self) -> bytes:
        """As ``application/problem+json``."""
        document: dict[str, Any] = {"type": "about:blank", "title": self.title, "status": self.status}
        if self.detail:
            document["detail"] = self.detail
        if self.errors:
            document["errors"] = list(self.errors)
        return json.dumps(document).encode()


def problem(status: int, detail: str = "", errors: tuple[Error, ...] = ()) -> Problem:
    """The problem of a status that the web layer gives by itself."""
    return Problem(status, _TITLES.get(status, "Error"), detail, errors)


def in_query(flaws: Iterable[tuple[str, str]]) -> tuple[Error, ...]:
    """What is wrong with query parameters, by name."""
    return tuple({"parameter": name, "detail": flaw} for name, flaw in islice(flaws, _MOST))


def of(refusal: Refusal) -> Problem:
    """The problem that a refusal of a layer below is answered with."""
    status, title = next(_STATUSES[kind] for kind in type(refusal).__mro__ if kind in _STATUSES)
    if isinstance(refusal, Impossible):
        flaws = refusal.flaws[:_MOST]
        return Problem(status, title, "", tuple({"pointer": at, "detail": flaw} for at, flaw in flaws))
    return Problem(status, title, str(refusal))
