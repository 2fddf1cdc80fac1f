"""Errors of the operator's API: problem documents (RFC 9457), and which refusal is which."""

from __future__ import annotations

import json
from typing import Any

from attrs import frozen

from csipd.refusals import (
    BadRequest,
    Conflict,
    Duplicate,
    Forbidden,
    Full,
    Impossible,
    Misused,
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
    Duplicate: (409, "Exists already"),
    Conflict: (409, "Does not fit the present state"),
    Misused: (422, "Idempotency key used for another request"),
    BadRequest: (400, "Refused values"),
    Full: (409, "A limit is reached"),
    Unavailable: (503, "The database cannot be used"),
}

#: Titles of what the web layer refuses by itself.
TITLES = {
    400: "Malformed request",
    401: "No operator's certificate",
    403: "Forbidden",
    404: "Not found",
    405: "Method not allowed",
    413: "Request too large",
    414: "URI too long",
    415: "Not JSON",
    500: "Internal error",
    501: "Unknown method",
    503: "Not available now",
    505: "HTTP version not supported",
}


@frozen
class Problem:
    """A problem document.

    :param errors: for refused values a JSON pointer into what was sent, and what is wrong there
    """

    status: int
    title: str
    detail: str = ""
    errors: tuple[tuple[str, str], ...] = ()

    def encode(self) -> bytes:
        """As ``application/problem+json``."""
        document: dict[str, Any] = {"type": "about:blank", "title": self.title, "status": self.status}
        if self.detail:
            document["detail"] = self.detail
        if self.errors:
            document["errors"] = [{"pointer": pointer, "detail": flaw} for pointer, flaw in self.errors]
        return json.dumps(document).encode()


def problem(status: int, detail: str = "", errors: tuple[tuple[str, str], ...] = ()) -> Problem:
    """The problem of a status that the web layer gives by itself."""
    return Problem(status, TITLES.get(status, "Error"), detail, errors)


def of(refusal: Refusal) -> Problem:
    """The problem that a refusal of a layer below is answered with."""
    status, title = next(_STATUSES[kind] for kind in type(refusal).__mro__ if kind in _STATUSES)
    errors = tuple(refusal.flaws) if isinstance(refusal, Impossible) else ()
    return Problem(status, title, str(refusal), errors)
