"""Why a request is refused, in terms that know no HTTP.

The layers below ``web`` raise these; one table in ``web/errors.py`` gives each its status code. The
message is for the log and the operator, never for the body of an answer: a device gets an ``Error``
document with a reasonCode (IEEE 2030.5-2018 5.5.2).
"""

from __future__ import annotations


class Refusal(Exception):
    """A request that is answered with a 4xx or 503 and changes nothing."""


class NotFound(Refusal):
    """No such resource, or none that this caller may know of (decision 2: the two look alike)."""


class NotAllowed(Refusal):
    """The resource exists for this caller but does not take this method."""

    def __init__(self, allow: tuple[str, ...]) -> None:
        super().__init__(f"takes {', '.join(allow)}")
        self.allow = allow


class Forbidden(Refusal):
    """The caller speaks for a device that is not its own, or may not register in band."""


class Duplicate(Refusal):
    """What is to be created exists; ``href`` is where."""

    def __init__(self, href: str) -> None:
        super().__init__(f"exists as {href}")
        self.href = href


class BadRequest(Refusal):
    """Well-formed, but the values are refused (reasonCode 1)."""


class BadDocument(BadRequest):
    """What was sent is no document that may be sent there.

    :param reason_code: of the Error (IEEE 2030.5-2018 5.5.2)
    """

    def __init__(self, reason: str, reason_code: int) -> None:
        super().__init__(reason)
        self.reason_code = reason_code


class WrongMediaType(Refusal):
    """What was sent is in a form that is not read here."""


class TooLarge(Refusal):
    """What was sent has more bytes than are taken there (reasonCode 2)."""


class Impossible(BadRequest):
    """What the operator asks for cannot be, for one or more reasons.

    :param flaws: for each a JSON pointer into what was asked for, and what is wrong there
    """

    def __init__(self, flaws: list[tuple[str, str]]) -> None:
        super().__init__("; ".join(f"{pointer}: {flaw}" for pointer, flaw in flaws))
        self.flaws = flaws


class Conflict(Refusal):
    """What is asked for does not fit the state that things are in now."""


class KeyReused(Conflict):
    """A key that stands for one request is sent with another."""


class Full(Refusal):
    """A bound is reached (reasonCode 2)."""


class Unavailable(Refusal):
    """The store cannot take or give anything at this moment; to be tried again later."""
