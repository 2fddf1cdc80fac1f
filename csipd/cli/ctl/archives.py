"""The file that ``csipctl backup`` writes: a tar, compressed by gzip, whose last member says what is in it.

It is written to be opened with ``tar`` by hand as well. Read here it is taken for hostile: regular files of
known names alone, each and all of them bounded, none written outside of the folder that is named, and nothing
used before all of it agrees with what the last member says.
"""

from __future__ import annotations

import gzip
import json
import os
import re
import tarfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from attrs import Factory, define, frozen

#: What the archive calls the database and its last member.
DATABASE = "csipd.sqlite"
_MANIFEST = "manifest.json"
#: Its version: a csipd reads those up to its own.
_FORMAT = 1

_NAME = re.compile(r"csipd\.sqlite|(configuration|tls)(/[^/\x00-\x1f\x7f]{1,90}){1,3}")
_LONGEST_NAME = 100  # octets: what a header of tar holds
_FILE_LIMIT = 1 << 20
_MOST_FILES = 1_000_000
_MANIFEST_LIMIT = 1 << 28
_BLOCK = tarfile.BLOCKSIZE
_CHUNK = 1 << 20

#: Called with each number of octets that was worked off.
Advance = Callable[[int], None]


class ArchiveError(Exception):
    """The file is no backup of csipd, or a broken one; one line."""


@define
class Manifest:
    """What is in an archive.

    :param made: when (s since 1970)
    :param version: of csipd
    :param keys: whether private keys are among the files
    :param files: SHA-256 of each by name, in hexadecimal digits
    """

    made: int
    version: str
    keys: bool
    files: dict[str, str] = Factory(dict)


@frozen
class Source:
    """A file to be written into an archive under a name."""

    name: str
    path: Path


def write(target: BinaryIO, manifest: Manifest, sources: list[Source], advance: Advance) -> None:
    """Write an archive, and its manifest behind the files.

    :raises ArchiveError: a file changes while it is read, or its name does not fit
    :raises OSError: a file cannot be read, or the archive not be written
    """
    with (
        gzip.GzipFile("", "wb", 3, target, manifest.made) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.GNU_FORMAT) as archive,
    ):
        for source in sources:
            if not _NAME.fullmatch(source.name) or len(os.fsencode(source.name)) > _LONGEST_NAME:
                raise ArchiveError(f"{source.path}: its name is too long or odd for a backup")
            with _opened(source.path) as file:
                hashing = _Hashing(file, advance)
                info = _header(source.name, os.fstat(file.fileno()).st_size, manifest.made)
                try:
                    archive.addfile(info, hashing)
                except OSError as error:
                    if error.errno is not None:
                        raise
                    raise ArchiveError(f"{source.path}: was cut short while it was read") from None
            manifest.files[source.name] = hashing.digest()
        said = {"format": _FORMAT, "made": manifest.made, "version": manifest.version}
        content = json.dumps({**said, "keys": manifest.keys, "files": manifest.files}, indent=1).encode()
        archive.addfile(_header(_MANIFEST, len(content), manifest.made), BytesIO(content))


def _header(name: str, size: int, made: int) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size, info.mode, info.mtime = size, 0o600, made
    return info


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    with open(descriptor, "rb") as file:
        yield file


class _Hashing:
    """A file that is hashed while it is read."""

    def __init__(self, file: BinaryIO, advance: Advance) -> None:
        self._file = file
        self._advance = advance
        self._hash = sha256()

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self._hash.update(data)
        self._advance(len(data))
        return data

    def digest(self) -> str:
        return self._hash.hexdigest()


def extract(source: BinaryIO, folder: Path, largest: int, advance: Advance) -> Manifest:
    """Unpack an archive into a folder that is empty, and see that all of it is there as it was written.

    :param largest: octets that all files together may have
    :param advance: called with the archive's own octets
    :raises ArchiveError: it is none, or broken
    :raises OSError: a file cannot be written
    """
    found: dict[str, str] = {}
    manifest = None
    with _as_archive_error(), gzip.GzipFile(fileobj=_Counting(source, advance), mode="rb") as packed:
        while (info := _next(packed)) is not None:
            if manifest is not None:
                raise ArchiveError("there is something behind its end")
            if info.name == _MANIFEST:
                if info.size > _MANIFEST_LIMIT:
                    raise ArchiveError("its list of files is too long")
                manifest = _manifest(_exactly(packed, info.size))
                _exactly(packed, -info.size % _BLOCK)
                continue
            if not _NAME.fullmatch(info.name) or _leads_elsewhere(info.name) or info.name in found:
                raise ArchiveError(f"{info.name[:80]!r} does not belong into it")
            largest -= info.size
            if largest < 0 or len(found) >= _MOST_FILES:
                raise ArchiveError("there is no room for all that is in it")
            if info.name != DATABASE and info.size > _FILE_LIMIT:
                raise ArchiveError(f"{info.name} is larger than any such file is")
            found[info.name] = _unpack(packed, info, folder / info.name)
        # To its very end, where gzip keeps a sum over all of it.
        if packed.read(_CHUNK).strip(b"\0") or packed.read(1):
            raise ArchiveError("there is something behind its end")
    if manifest is None:
        raise ArchiveError("its end is missing")
    for name in {*manifest.files, *found}:
        if manifest.files.get(name) != found.get(name):
            raise ArchiveError(f"{name} is not as it was written")
    if DATABASE not in found:
        raise ArchiveError("there is no database in it")
    return manifest


def _next(packed: BinaryIO | gzip.GzipFile) -> tarfile.TarInfo | None:
    """The header of the next member; None at the end, which is a block of zeros."""
    block = _exactly(packed, _BLOCK)
    if not block.strip(b"\0"):
        return None
    info = tarfile.TarInfo.frombuf(block, "utf-8", "strict")
    if info.type not in (tarfile.REGTYPE, tarfile.AREGTYPE) or info.size < 0:
        raise ArchiveError(f"{info.name[:80]!r} is no file")
    return info


def _leads_elsewhere(name: str) -> bool:
    return any(part in (".", "..") for part in name.split("/"))


def _unpack(packed: gzip.GzipFile, info: tarfile.TarInfo, path: Path) -> str:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    hashed = sha256()
    with open(os.open(path, flags, 0o600), "wb") as file:
        left = info.size
        while left:
            data = _exactly(packed, min(left, _CHUNK))
            hashed.update(data)
            file.write(data)
            left -= len(data)
        file.flush()
        os.fsync(file.fileno())
    _exactly(packed, -info.size % _BLOCK)
    return hashed.hexdigest()


def _exactly(packed: BinaryIO | gzip.GzipFile, size: int) -> bytes:
    data = packed.read(size)
    if len(data) != size:
        raise ArchiveError("it is cut short")
    return data


def _manifest(content: bytes) -> Manifest:
    said = json.loads(content)
    if said["format"] > _FORMAT:
        raise ArchiveError(f"it was written by a later csipd ({str(said['version'])[:40]})")
    files = {str(name): str(digest) for name, digest in said["files"].items()}
    return Manifest(int(said["made"]), str(said["version"])[:40], bool(said["keys"]), files)


@contextmanager
def _as_archive_error() -> Iterator[None]:
    """What the libraries say of something that is no archive, in one kind of error."""
    try:
        yield
    except (gzip.BadGzipFile, EOFError, zlib.error, tarfile.TarError):
        raise ArchiveError("it is no archive of csipctl backup, or broken") from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise ArchiveError("its list of files makes no sense") from None


class _Counting:
    """The archive itself, which reports how much of it was read."""

    def __init__(self, file: BinaryIO, advance: Advance) -> None:
        self._file = file
        self._advance = advance

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self._advance(len(data))
        return data

    def seek(self, offset: int) -> int:
        return self._file.seek(offset)
