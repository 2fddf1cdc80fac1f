"""Whether the store can be used: one answer, whatever the driver or the disk says.

Three things make a store unusable. The driver reports an error that is not the statement's fault: a full
disk, a lock, a disk that fails. The files under the open connections were deleted or replaced: what is
written then would be lost at the next start. Or a read found damage: then nothing more is written until a
check of the whole file finds none. Each is ``Unavailable`` to the callers and one line in the log; so is the
recovery.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import sqlalchemy as sa

from csipd.db.engine import is_whole
from csipd.refusals import Unavailable

#: Seconds between two checks of a damaged database, at least; ten times as long as the last one took.
CHECK_SECONDS = 30
#: A fault that comes and goes is logged so often in so many seconds.
LINES = 3
LINES_SECONDS = 60
#: Characters of a reason.
_LONGEST_REASON = 200
#: Reasons whose last log line is remembered; the driver has a few dozen.
_REASONS = 100

#: Errors that are the statement's own fault, by the class that the driver gives them ...
_STATEMENT_ERRORS = (
    sa.exc.IntegrityError,
    sa.exc.DataError,
    sa.exc.ProgrammingError,
    sa.exc.NotSupportedError,
)
#: ... and by SQLite's name of them (https://sqlite.org/rescode.html), whatever their class.
_STATEMENT_CODES = frozenset(
    ("SQLITE_ERROR", "SQLITE_TOOBIG", "SQLITE_MISMATCH", "SQLITE_RANGE", "SQLITE_MISUSE")
)
#: The file holds something else than what was written.
_DAMAGE_CODES = ("SQLITE_CORRUPT", "SQLITE_NOTADB", "SQLITE_IOERR_SHORT_READ", "SQLITE_IOERR_CORRUPTFS")
#: The driver's own words for text that is none: it has no code for them.
_DAMAGE_WORDS = "Could not decode to UTF-8"

_FileId = tuple[int, int]


def is_outage(error: BaseException) -> bool:
    """Whether an error is the database's, and not that of the statement or of the code around it."""
    if not isinstance(error, sa.exc.DBAPIError) or isinstance(error, _STATEMENT_ERRORS):
        return False
    return _code(error) not in _STATEMENT_CODES


def is_damage(error: BaseException) -> bool:
    """Whether an error says that the file is damaged."""
    return _code(error).startswith(_DAMAGE_CODES) or _DAMAGE_WORDS in str(getattr(error, "orig", ""))


def reason_of(error: BaseException) -> str:
    """The driver's words in one short line, without what the database holds."""
    said = (str(getattr(error, "orig", None) or error).splitlines() or ["no reason is given"])[0]
    return said.partition(" with text ")[0][:_LONGEST_REASON]


def _code(error: BaseException) -> str:
    return getattr(getattr(error, "orig", None), "sqlite_errorname", None) or ""


def _identify(path: str) -> _FileId | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


class Health:
    """What is known of the store, shared by the threads that read and write.

    :param url: of the database; its files are watched where it is SQLite's
    :param monotonic: seconds, for the pace of checks and log lines
    :param log: called from either thread with a line, and whether it is of a failure
    """

    def __init__(self, url: str, monotonic: Callable[[], float], log: Callable[[str, bool], None]) -> None:
        place = sa.engine.make_url(url)
        watched = place.get_backend_name() == "sqlite" and place.database not in (None, "", ":memory:")
        self.file = Path(str(place.database)) if watched else None
        self._paths = [f"{self.file}{suffix}" for suffix in ("", "-wal", "-shm") if watched]
        self._id = _identify(self._paths[0]) if watched else None
        self._monotonic = monotonic
        self._log = log
        self._failing: dict[str, str] = {}
        self._logged: dict[str, tuple[float, int]] = {}
        self._told = False
        self._next_check = 0.0
        self.damage: str | None = None

    # The files.

    def companions(self) -> tuple[_FileId | None, ...]:
        """Which files SQLite keeps beside the database; to be asked right after a connection was opened."""
        return tuple(map(_identify, self._paths[1:]))

    def displaced(self, companions: tuple[_FileId | None, ...] | None) -> str | None:
        """Why the files are no longer those that were opened; None: they are.

        :param companions: as they were when the caller's connection was opened; None: it has none
        """
        if self.file is None:
            return None
        try:
            status = os.stat(self._paths[0])
        except OSError:
            return f"{self.file}: was deleted"
        if (status.st_dev, status.st_ino) != self._id:
            return f"{self.file}: was replaced by another file"
        if not status.st_size:
            return f"{self.file}: was emptied"
        if companions is not None and companions != self.companions():
            return f"{self.file}: its -wal or -shm was deleted or replaced; csipd has to be started anew"
        return None

    # Damage.

    def check_is_due(self) -> bool:
        """Whether a damaged database may be checked again: that reads all of it."""
        return self._monotonic() >= self._next_check

    def check(self, connection: sa.Connection) -> None:
        """Read the whole database, and note whether it is damaged still.

        :raises sa.exc.DBAPIError: it cannot even be read
        """
        began = self._monotonic()
        self._next_check = began + CHECK_SECONDS
        whole = is_whole(connection)
        ended = self._monotonic()
        self._next_check = ended + max(CHECK_SECONDS, 10 * (ended - began))
        if whole:
            self.damage = None

    # What the log says.

    def failed(self, side: str, reason: str, *, damage: bool = False) -> Unavailable:
        """Note that reading or writing failed, and log it once; gives what callers are answered with.

        :param side: what a connection is for: "reading", "writing"
        :param damage: nothing is to be written until a check has found none
        """
        if damage and self.damage is None:
            self.damage = reason
            self._next_check = self._monotonic() + CHECK_SECONDS
        known = reason in self._failing.values()
        self._failing[side] = reason
        if not known:
            self._log_unusable(reason)
        return Unavailable("the database cannot be used")

    def unreadable(self, reason: str) -> None:
        """Log that a row cannot be read; everything else can."""
        self._log_unusable(reason)

    def worked(self, side: str) -> None:
        """Note that reading or writing succeeded."""
        if not self._failing or self.damage is not None:
            return
        self._failing.pop(side, None)
        if not self._failing and self._told:
            self._told = False
            self._log("the database can be used again", False)

    def _log_unusable(self, reason: str) -> None:
        now = self._monotonic()
        since, lines = self._logged.get(reason, (now, 0))
        if now - since >= LINES_SECONDS:
            since, lines = now, 0
        if lines >= LINES:
            return
        if len(self._logged) >= _REASONS:
            self._logged.clear()
        self._logged[reason] = since, lines + 1
        self._told = bool(self._failing)
        stopped = "; nothing is written until it is mended" if self.damage is not None else ""
        self._log(f"the database cannot be used: {reason}{stopped}", True)
