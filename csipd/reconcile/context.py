"""What every rule of the reconciliation is given."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from attrs import frozen

from csipd.db.database import Transaction
from csipd.reconcile.statements import Declared
from csipd.sep2.mrid import Issuer

#: Who the audit log names for changes that the file makes.
WHO = "configuration"


class ReconcileError(Exception):
    """The file and the database contradict each other; one line."""


@frozen
class Context:
    """Where a statement is carried out.

    :param declared: the whole file, for what a statement refers to
    :param now: TimeType
    """

    transaction: Transaction
    declared: Declared
    issuer: Issuer
    now: int

    @property
    def connection(self) -> sa.Connection:
        """The connection of the transaction, for reading."""
        return self.transaction.connection


@frozen
class Rule:
    """How one kind of statement is carried out. Both answers are a verb, for the log: "added", "kept".

    :param put: given the key, what the file said last time (None: nothing) and what it says now
    :param remove: given the key and what the file said last time, when it no longer says anything
    """

    put: Callable[[Context, str, Any, Any], str]
    remove: Callable[[Context, str, Any], str]


def added_or_changed(before: Any) -> str:
    """The verb for a statement that was brought about."""
    return "added" if before is None else "changed"


def kept(_context: Context, _key: str, _before: Any) -> str:
    """What the file no longer speaks of stays as it is."""
    return "kept"
