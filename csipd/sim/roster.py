"""Which devices a fleet has: what was made for it at the server, kept in a folder with keys and certificates.

The folder has `fleet.jsonl`, a line for each thing that was made, and as in `tls_repository` `certs/NAME.crt`
and `private/NAME.pem`. A line is written as soon as its thing was made, so a run that is cut off leaves
nothing at the server that is not known here.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from attrs import asdict, define, field, frozen

from csipd.sim.tls import Credential


class RosterError(Exception):
    """What is in the folder cannot be used. One line."""


@frozen
class Feeder:
    """A group of the server with its program; the first one is above all others."""

    name: str
    group: int
    program: int


@frozen
class Member:
    """A device or an aggregator of the fleet.

    :param number: at the server
    :param feeder: its place among the feeders; 0 for an aggregator
    :param aggregator: the name of who speaks for it; empty: it has a certificate of its own
    """

    name: str
    number: int
    lfdi: str
    pin: int | None
    feeder: int
    aggregator: str = ""
    is_aggregator: bool = False


_KINDS: dict[str, type[Any]] = {"feeder": Feeder, "member": Member}


@define
class Roster:
    """What is in the folder."""

    folder: Path
    feeders: list[Feeder] = field(factory=list)
    members: list[Member] = field(factory=list)

    @classmethod
    def read(cls, folder: Path) -> Roster:
        """What was made so far: nothing if there is no such folder. RosterError."""
        found = cls(folder)
        try:
            lines = found._file.read_text().splitlines()
        except FileNotFoundError:
            return found
        except (OSError, ValueError) as error:
            raise RosterError(f"{found._file}: {error}") from None
        for number, line in enumerate(lines, 1):
            try:
                kind, values = json.loads(line)
                made = _KINDS[kind](**values)
            except (ValueError, TypeError, KeyError):
                raise RosterError(f"{found._file}:{number}: is no line of a simulated fleet") from None
            found._kept(made).append(made)
        return found

    @property
    def devices(self) -> list[Member]:
        """Those that are no aggregators, in the order in which they were made."""
        return [member for member in self.members if not member.is_aggregator]

    @property
    def aggregators(self) -> list[Member]:
        return [member for member in self.members if member.is_aggregator]

    def add(self, made: Feeder | Member) -> None:
        """Take down what was made. RosterError if it cannot be."""
        kind = "feeder" if isinstance(made, Feeder) else "member"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with self._file.open("a") as file:
                file.write(json.dumps([kind, asdict(made)]) + "\n")
        except OSError as error:
            raise RosterError(f"{self._file}: {error.strerror}") from None
        self._kept(made).append(made)

    def certificate(self, name: str) -> Path:
        return self.folder / "certs" / f"{name}.crt"

    def key(self, name: str) -> Path:
        return self.folder / "private" / f"{name}.pem"

    def keep(self, name: str, certificate: str, key: bytes) -> None:
        """Write a certificate, and its key for its owner alone. RosterError."""
        for path, content, mode, folder_mode in (
            (self.key(name), key, 0o600, 0o700),
            (self.certificate(name), certificate.encode(), 0o644, 0o755),
        ):
            try:
                path.parent.mkdir(mode=folder_mode, parents=True, exist_ok=True)
                # One of a fleet that is gone may be in the way.
                path.unlink(missing_ok=True)
                with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
                    file.write(content)
            except OSError as error:
                raise RosterError(f"{path}: {error.strerror}") from None

    def credential(self, name: str) -> Credential:
        """Certificate and key of a member. RosterError."""
        try:
            return Credential.read(self.certificate(name), self.key(name))
        except (OSError, ValueError) as error:
            raise RosterError(f"the certificate of {name} in {self.folder} cannot be read: {error}") from None

    def remove(self) -> None:
        """Remove the files of the fleet, and the folder if nothing else is in it."""
        for path in self._paths():
            path.unlink(missing_ok=True)
        for folder in (self.folder / "certs", self.folder / "private", self.folder):
            try:
                folder.rmdir()
            except OSError:
                continue  # it is not there, or something else is in it
        self.feeders, self.members = [], []

    def _paths(self) -> Iterator[Path]:
        for member in self.members:
            yield self.certificate(member.name)
            yield self.key(member.name)
        yield self._file

    @property
    def _file(self) -> Path:
        return self.folder / "fleet.jsonl"

    def _kept(self, made: Feeder | Member) -> list[Any]:
        return self.feeders if isinstance(made, Feeder) else self.members
