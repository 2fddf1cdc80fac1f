"""File download (IEEE 2030.5-2018 9.8)."""

from __future__ import annotations

from csipd.sep2 import resources as r
from csipd.sep2.resources.base import Link, List, ListLink, Resource
from csipd.sep2.schema import Attribute
from csipd.sep2.types import (
    AnyURI,
    HexBinary16,
    HexBinary160,
    PENType,
    String16,
    String32,
    TimeType,
    UInt8,
    UInt16,
    UInt32,
)


class File(Resource):
    """A file, mostly firmware, and the devices it is for."""

    activateTime: TimeType | None = None
    fileURI: AnyURI
    lFDI: HexBinary160 | None = None
    mfHwVer: String32 | None = None
    mfID: PENType
    mfModel: String32
    mfSerNum: String32 | None = None
    mfVer: String16
    size: UInt32
    type: HexBinary16


class FileLink(Link):
    """To File."""


class FileList(List):
    """A page of a list of File."""

    pollRate: Attribute[UInt32] = 900
    File: tuple[r.File, ...] = ()


class FileListLink(ListLink):
    """To a list of File."""


class FileStatus(Resource):
    """How far a device has come in loading a file."""

    pollRate: Attribute[UInt32] = 900
    activateTime: TimeType | None = None
    FileLink: r.FileLink | None = None
    loadPercent: UInt8
    nextRequestAttempt: TimeType
    request503Count: UInt16
    requestFailCount: UInt16
    status: UInt8
    statusTime: TimeType


class FileStatusLink(Link):
    """To FileStatus."""
