"""The ways in which a Notification does not arrive."""

from __future__ import annotations


class Undelivered(Exception):
    """It did not arrive, for a reason that is the subscription's own; others at the receiver may fare better.

    The text is one line for the operator.
    """


class Unreachable(Undelivered):
    """It did not arrive because its receiver cannot be talked to, which is so for all that goes there."""


class Unanswered(Unreachable):
    """The connection closed before anything was answered: on one that was kept that says little."""
