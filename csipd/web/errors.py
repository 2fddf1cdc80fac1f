"""Errors as documents: the ``Error`` of IEEE 2030.5-2018 5.5, and which status goes with which refusal.

A device gets a status and a reason code, never a text: what went wrong in detail is in the server's log.
The codes are those of the standard's table; a client treats one it does not know as the first of its
class, so the two from outside of the table (414, 505) cost nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, lru_cache

from twisted.web.http import (
    BAD_GATEWAY,
    BAD_REQUEST,
    CONFLICT,
    FORBIDDEN,
    GATEWAY_TIMEOUT,
    INTERNAL_SERVER_ERROR,
    MOVED_PERMANENTLY,
    NOT_ALLOWED,
    NOT_FOUND,
    REQUEST_ENTITY_TOO_LARGE,
    SERVICE_UNAVAILABLE,
    UNSUPPORTED_MEDIA_TYPE,
)

from csipd.refusals import (
    BadDocument,
    BadRequest,
    Conflict,
    Duplicate,
    Forbidden,
    Full,
    NotAllowed,
    NotFound,
    Refusal,
    TooLarge,
    Unavailable,
    WrongMediaType,
)
from csipd.sep2 import codec
from csipd.sep2.resources import Error
from csipd.sep2.types import ReasonCode
from csipd.web.answers import Answer

CONTENT_TYPE = b"application/sep+xml"

#: Methods that HTTP knows (RFC 9110, RFC 5789): where one of them is not taken it is 405, any other 501.
METHODS = frozenset((b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"OPTIONS", b"PATCH", b"TRACE", b"CONNECT"))

#: When a client that met a temporary refusal may come back, in seconds.
RETRY_SECONDS = 60
#: When one may come back that asked more often than its quota lets it, in seconds.
SLOW_DOWN_SECONDS = 5

_REFUSALS: dict[type[Refusal], tuple[int, int]] = {
    NotFound: (NOT_FOUND, ReasonCode.INVALID_VALUES),
    NotAllowed: (NOT_ALLOWED, ReasonCode.INVALID_FORMAT),
    Forbidden: (FORBIDDEN, ReasonCode.INVALID_VALUES),
    Duplicate: (CONFLICT, ReasonCode.INVALID_VALUES),
    Conflict: (CONFLICT, ReasonCode.INVALID_VALUES),
    BadRequest: (BAD_REQUEST, ReasonCode.INVALID_VALUES),
    WrongMediaType: (UNSUPPORTED_MEDIA_TYPE, ReasonCode.INVALID_FORMAT),
    TooLarge: (REQUEST_ENTITY_TOO_LARGE, ReasonCode.RESOURCE_LIMIT),
    Full: (REQUEST_ENTITY_TOO_LARGE, ReasonCode.RESOURCE_LIMIT),
    Unavailable: (SERVICE_UNAVAILABLE, ReasonCode.RESOURCE_LIMIT),
}


@lru_cache(maxsize=64)
def error_document(reason_code: int, max_retry_seconds: int | None = None) -> bytes:
    """An ``Error`` in XML: when to try again, if that is known (seconds), and why."""
    return codec.encode(Error(maxRetryDuration=max_retry_seconds, reasonCode=reason_code))


@lru_cache(maxsize=64)
def error(
    status: int,
    reason_code: int = ReasonCode.INVALID_FORMAT,
    *,
    retry_seconds: int | None = None,
    close: bool = False,
) -> Answer:
    """An answer with an ``Error``; ``close``: the connection ends with it."""
    body = error_document(reason_code, retry_seconds)
    return Answer(status, ((b"Content-Type", CONTENT_TYPE),), body, close)


#: The answer of a status that no application gave.
Fault = Callable[[int], Answer]


@cache
def fault(status: int) -> Answer:
    """The ``Error`` of what is refused before a resource is asked, or after one has failed."""
    reasons = {
        NOT_FOUND: ReasonCode.INVALID_VALUES,
        FORBIDDEN: ReasonCode.INVALID_VALUES,
        REQUEST_ENTITY_TOO_LARGE: ReasonCode.RESOURCE_LIMIT,
        INTERNAL_SERVER_ERROR: ReasonCode.RESOURCE_LIMIT,
        # What stands between a device and the server got no answer of it.
        BAD_GATEWAY: ReasonCode.RESOURCE_LIMIT,
        GATEWAY_TIMEOUT: ReasonCode.RESOURCE_LIMIT,
        # Here it is the caller who asks too often; the store's own troubles are a Refusal.
        SERVICE_UNAVAILABLE: ReasonCode.REQUEST_FREQUENCY,
    }
    later = dict.fromkeys((INTERNAL_SERVER_ERROR, BAD_GATEWAY, GATEWAY_TIMEOUT), RETRY_SECONDS)
    retry = {**later, SERVICE_UNAVAILABLE: SLOW_DOWN_SECONDS}.get(status)
    return error(status, reasons.get(status, ReasonCode.INVALID_FORMAT), retry_seconds=retry)


def method_not_allowed(allow: tuple[str, ...]) -> Answer:
    """The answer to a method that HTTP knows and the resource does not take: 405 with Allow."""
    plain = error(NOT_ALLOWED)
    return Answer(NOT_ALLOWED, ((b"Allow", ", ".join(allow).encode()), *plain.headers), plain.body)


def moved(uri: str) -> Answer:
    """The answer where what is asked for is at another URI, for good: 301 with Location."""
    return Answer(MOVED_PERMANENTLY, ((b"Location", uri.encode()),))


def refused(refusal: Refusal) -> Answer:
    """The answer to what a layer below refused, with the headers that its status asks for."""
    if isinstance(refusal, NotAllowed):
        return method_not_allowed(refusal.allow)
    status, reason_code = next(_REFUSALS[kind] for kind in type(refusal).__mro__ if kind in _REFUSALS)
    if isinstance(refusal, BadDocument):
        reason_code = refusal.reason_code
    plain = error(status, reason_code, retry_seconds=RETRY_SECONDS if status == SERVICE_UNAVAILABLE else None)
    if isinstance(refusal, Duplicate):
        return Answer(status, ((b"Location", refusal.href.encode()), *plain.headers), plain.body)
    return plain
