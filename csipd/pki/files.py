"""Files that hold keys and certificates: bounded, created once, never overwritten, given away with care."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from stat import S_ISREG

from csipd.pki.processes import ProgramFailed
from csipd.pki.profiles import PKIError

FILE_LIMIT = 1 << 18
"""Bytes of the longest file that is read."""


@contextmanager
def as_pki_error() -> Iterator[None]:
    """Turn what the system says of a file, and what becomes of a program, into a PKIError."""
    try:
        yield
    except ProgramFailed as error:
        raise PKIError(str(error)) from error
    except OSError as error:
        raise PKIError(f"{error.filename}: {error.strerror}") from error


def is_there(path: Path) -> bool:
    """Whether a file exists and says something: a run that was cut off may have left it empty."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return False
    if not S_ISREG(status.st_mode) or status.st_size > FILE_LIMIT:
        return True
    return bool(path.read_bytes().strip(b"\0"))


def create(path: Path, content: bytes, mode: int) -> Path:
    """Write a new file, with its mode from the start. PKIError if there is one of that name already."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    try:
        file = os.open(path, flags, mode)
    except FileExistsError:
        if path.is_symlink() or is_there(path):
            raise PKIError(f"{path} exists, and is not overwritten") from None
        path.unlink()
        file = os.open(path, flags, mode)
    try:
        with open(file, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
    except OSError as error:
        path.unlink()
        error.filename = str(path)  # a write, as to a full disk, does not know where
        raise
    return path


def read(path: Path) -> bytes:
    """A whole file; PKIError if it is too long to be one of ours."""
    with path.open("rb") as stream:
        content = stream.read(FILE_LIMIT + 1)
    if len(content) > FILE_LIMIT:
        raise PKIError(f"{path}: longer than {FILE_LIMIT} bytes")
    return content


def give(top: Path, paths: Sequence[Path], folders: Iterable[str], uid: int, gid: int) -> None:
    """Make a user the owner of the folder `top`, of `folders` in it, and of those `paths` that lie in them.

    The user may own the folders already, and have put into them what it would like to be given. So symbolic
    links are left alone, and a file that has another (hard) link is a PKIError. What is not there is skipped.
    """
    with _opened(str(top), os.O_DIRECTORY, None) as above:
        if above is None:
            return
        os.fchown(above, uid, gid)
        for folder in folders:
            with _opened(folder, os.O_DIRECTORY | os.O_NOFOLLOW, above) as inside:
                if inside is None:
                    continue
                os.fchown(inside, uid, gid)
                for path in paths:
                    if path.parent == top / folder:
                        _set_owner_of_file(path, inside, uid, gid)


def _set_owner_of_file(path: Path, inside: int, uid: int, gid: int) -> None:
    with _opened(path.name, os.O_NOFOLLOW, inside) as file:
        if file is None:
            return
        status = os.fstat(file)
        if not S_ISREG(status.st_mode) or status.st_nlink != 1:
            raise PKIError(f"{path} is no file with one name only, and is not given to another user")
        os.fchown(file, uid, gid)


@contextmanager
def _opened(name: str, flags: int, inside: int | None) -> Iterator[int | None]:
    """A descriptor; None for what is not there, or is a symbolic link (which O_NOFOLLOW refuses)."""
    try:
        file = os.open(name, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | flags, dir_fd=inside)
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ELOOP, errno.ENOTDIR):
            raise
        yield None
        return
    try:
        yield file
    finally:
        os.close(file)
