"""Which data of time zones the daemon goes by, and whether they are old.

``zoneinfo`` takes the machine's data where there are some, and the tzdata package's otherwise. Governments
change their clocks at short notice: where the package knows more than the machine, local time may be an hour
off, and somebody should update the machine.
"""

from __future__ import annotations

import re
import zoneinfo
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

#: An edition of the time zone database: the year, and a letter that counts within it.
_EDITION = re.compile(r"\d{4}[a-z]{1,2}")
_HEAD_BYTES = 64


def warnings(zone: str, package: str | None = None, paths: Sequence[str] | None = None) -> list[str]:
    """A line for the log where the machine's data are older than the package's.

    :param zone: the zone that the server goes by; UTC's clocks are never changed
    :param package: the edition of the package ("2025b"); None: that of the one that is installed
    :param paths: where the machine's data are looked for; None: where ``zoneinfo`` does
    """
    if zone == "UTC" or zone.startswith("Etc/"):
        return []
    known = _packaged() if package is None else package
    folder, machine = _machine(zoneinfo.TZPATH if paths is None else paths)
    if machine is None or known is None or not older(machine, known):
        return []
    return [
        f"{folder}: the machine's time zones are of {machine}, those of the tzdata package of {known}: local "
        "time may be wrong where clocks were changed since; update the machine's tzdata"
    ]


def older(one: str, other: str) -> bool:
    """Whether an edition of the time zone database came out before another."""
    # By year, then by the letters, of which two come after one: 2025z, 2025za.
    return (one[:4], len(one), one) < (other[:4], len(other), other)


def _packaged() -> str | None:
    """The edition of the package: version 2025.2 is of 2025b."""
    try:
        year, number, *_ = version("tzdata").split(".")
    except (PackageNotFoundError, ValueError):
        return None
    return f"{year}{chr(ord('a') - 1 + int(number))}" if number.isdigit() else None


def _machine(paths: Sequence[str]) -> tuple[Path | None, str | None]:
    """The first folder that has data of time zones, and their edition if it is known."""
    for folder in map(Path, paths):
        if not folder.is_dir():
            continue
        for name in ("tzdata.zi", "+VERSION"):
            try:
                with (folder / name).open("rb") as file:
                    head = file.read(_HEAD_BYTES).decode("ascii", "replace")
            except OSError:
                continue
            found = _EDITION.search(head)
            if found:
                return folder, found.group()
        return folder, None
    return None, None
