"""The storage folder: whether it can be had, who may read what is in it, and its lock.

The lock gives the folder to one daemon (decision 45): a second one would not hear of what the first changes.
It is the folder's own, goes with the process, however that ends, and passes through the fork.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Mapping
from pathlib import Path
from tempfile import mkdtemp

from csipd.config import Settings
from csipd.daemon.failures import StartError, attributed_to

_KEY = "storage_path"
_DATABASE = "csipd.sqlite"
#: Names of the database and what belongs to it.
FILES = f"{_DATABASE}*"
# A file system that cannot make a file without a name says so in one of these ways.
_NO_NAMELESS = (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL, errno.ENOENT)


def is_locked(folder: Path) -> bool:
    """Whether a daemon runs with this storage folder."""
    try:
        os.close(_take(folder))
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def lock(settings: Settings) -> int:
    """Keep the storage folder for this daemon, as long as the descriptor that is given is open.

    :raises StartError: another daemon has it
    """
    folder = settings.storage_path
    with attributed_to(settings, _KEY):
        try:
            return _take(folder)
        except BlockingIOError as error:
            raise StartError(
                settings.problem(_KEY, f"another csipd runs and keeps its state in {folder}")
            ) from error


def try_folder(settings: Settings, key: str, folder: Path) -> None:
    """See that a folder is there or can be made, and can be written to; nothing is left behind.

    :raises StartError: it cannot
    """
    expected = "expected a folder that csipd can make and write to"
    place = folder
    with attributed_to(settings, key):
        while not os.path.lexists(place):
            place = place.parent
        if not place.is_dir():
            raise StartError(settings.problem(key, f"{place} is no folder; {expected}"))
        try:
            _try_to_write(place)
        except OSError as error:
            what = "be written to" if place == folder else f"be made in {place}"
            raise StartError(
                settings.problem(key, f"{folder} cannot {what} ({error.strerror}); {expected}")
            ) from error


def warnings(settings: Settings) -> list[str]:
    """A line where the folder lets others than its owner in."""
    folder = settings.storage_path
    try:
        mode = folder.stat().st_mode & 0o777
    except OSError:
        return []
    if not mode & 0o077:
        return []
    message = f"{folder} is open to others (mode {mode:04o}; 0700 would be right); the database in it is not"
    return [settings.problem(_KEY, message)]


def copies(folder: Path) -> dict[Path, int]:
    """The copies that migrations kept of the database, and when each was written (ns)."""
    return {path: path.stat().st_mtime_ns for path in folder.glob(f"{_DATABASE}.[0-9]*[0-9]")}


def take_back_migration(folder: Path, before: Mapping[Path, int]) -> None:
    """Put the database back as it was before a migration, from the copy that was kept since.

    :param before: the `copies` that there were then
    """
    for path, written in copies(folder).items():
        if before.get(path) != written:
            for beside in ("-wal", "-shm"):
                (folder / f"{_DATABASE}{beside}").unlink(missing_ok=True)
            path.replace(folder / _DATABASE)


def give(folder: Path, user: tuple[int, int]) -> None:
    """Make a user the owner of the folder and of the database in it."""
    for path in (folder, *folder.glob(FILES)):
        os.chown(path, *user, follow_symlinks=False)


def _take(folder: Path) -> int:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise
    return descriptor


def _try_to_write(folder: Path) -> None:
    """Make a file without a name, which nobody ever sees, or where there is no such thing a folder."""
    nameless = getattr(os, "O_TMPFILE", None)
    if nameless is not None:
        try:
            os.close(os.open(folder, nameless | os.O_WRONLY | os.O_CLOEXEC, 0o600))
        except OSError as error:
            if error.errno not in _NO_NAMELESS:
                raise
        else:
            return
    Path(mkdtemp(prefix=".csipd-", dir=folder)).rmdir()
