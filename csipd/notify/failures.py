"""The ways in which a Notification does not arrive. Their texts are a line for the operator."""

from __future__ import annotations


class Undelivered(Exception):
    """It did not arrive, for a reason that is the subscription's own, and not its receiver's."""


class Unreachable(Undelivered):
    """It was not sent, because its receiver cannot be talked to; that is so for all that goes there."""


class Unanswered(Unreachable):
    """It was sent and not answered: it may have arrived."""


class ClosedInSilence(Unanswered):
    """The connection closed before anything was answered: on one that was kept that says little."""
