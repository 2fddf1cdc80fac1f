"""How csipd gets to the bus: the configuration, with what stands in files of their own."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from attrs import field, frozen
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from csipd.config import Gridappsd, HostPort
from csipd.config.gridappsd import TOPIC_WORD

#: Octets of a file that holds one value, and of one with certificates.
_MOST: Final = 4096
_MOST_ROOTS: Final = 1 << 20
_PASSWORD: Final = r"[^\x00-\x1f\x7f]{1,200}"  # noqa: S105 - what one is made of


class AccessError(Exception):
    """What a file does not give; one line.

    :ivar key: of the section, which names the file
    """

    def __init__(self, key: str, message: str) -> None:
        super().__init__(message)
        self.key = key


@frozen
class Access:
    """How csipd gets to the bus.

    :param roots: those of the broker's certificate, each in PEM; None: this machine's
    :param open_to_others: files with secrets that more than their owner may read, by their keys
    """

    broker: HostPort
    username: str
    password: str = field(repr=False)
    token: bool
    tls: bool
    roots: tuple[bytes, ...] | None
    simulation_id: str | None
    feeder_id: str | None
    open_to_others: dict[str, Path]


def read_access(said: Gridappsd) -> Access | None:
    """Read the files that the configuration names; None: there is no bus.

    :raises AccessError: one of them does not give what it has to
    """
    if said.broker is None:
        return None
    of_topic = "1 to 100 of A-Z a-z 0-9 . _ -, first no dot"
    password, simulation, feeder = said.password_file, said.simulation_id_file, said.feeder_id_file
    return Access(
        broker=said.broker,
        username=said.username,
        password=said.password
        if password is None
        else _value("password_file", password, _PASSWORD, "a password of at most 200 characters"),
        token=said.token,
        tls=said.tls,
        roots=None if said.tls_ca is None else _roots(said.tls_ca),
        simulation_id=said.simulation_id
        if simulation is None
        else _value("simulation_id_file", simulation, TOPIC_WORD, of_topic),
        feeder_id=said.feeder_id
        if feeder is None
        else _value("feeder_id_file", feeder, TOPIC_WORD, of_topic),
        open_to_others={}
        if password is None or not password.stat().st_mode & 0o077
        else {"password_file": password},
    )


def _roots(path: Path) -> tuple[bytes, ...]:
    octets = _octets("tls_ca", path, _MOST_ROOTS)
    try:
        found = x509.load_pem_x509_certificates(octets)
    except ValueError:
        raise AccessError("tls_ca", f"expected certificates in PEM in {path}") from None
    return tuple(one.public_bytes(Encoding.PEM) for one in found)


def _value(key: str, path: Path, pattern: str, expected: str) -> str:
    """The one line of a file; what it holds is never told, since it may be a secret."""
    try:
        written = _octets(key, path, _MOST).decode().strip()
    except UnicodeDecodeError:
        raise AccessError(key, f"expected UTF-8 text in {path}") from None
    if not re.fullmatch(pattern, written):
        raise AccessError(key, f"expected {expected} alone in {path}")
    return written


def _octets(key: str, path: Path, most: int) -> bytes:
    try:
        with path.open("rb") as file:
            octets = file.read(most + 1)
    except OSError as error:
        raise AccessError(key, f"{path}: {error.strerror}; expected a file that csipd can read") from error
    if len(octets) > most:
        raise AccessError(key, f"expected at most {most} octets in {path}")
    return octets
