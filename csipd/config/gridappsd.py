"""The section ``gridappsd`` and the two keys beside it: the bus, and the model that devices come from.

Nothing is connected unless ``gridappsd.address`` is given. Variables of the environment that the platform's
clients know override address, port, user and password, with a warning, and only where there is an address.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final, TypeVar

from csipd.config.document import Node, Scalar
from csipd.config.doors import Gridappsd, HostPort, Report, SignOfPower
from csipd.config.fields import (
    Fields,
    InvalidValue,
    Reader,
    boolean,
    host,
    integer,
    matching,
    scalar,
    text,
    word_of,
)
from csipd.config.fleet import checked_pin
from csipd.config.server import path_found

T = TypeVar("T")
D = TypeVar("D")

#: Where STOMP is spoken, by the platform's brokers.
STOMP_PORT: Final = 61613

#: A word of a topic's name: neither a wildcard (``*``, ``>``) nor a blank.
TOPIC_WORD: Final = r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,99}"

_TOPIC_WORD = matching(TOPIC_WORD, "1 to 100 of A-Z a-z 0-9 . _ -, first no dot")
# The user's name is a part of destinations and, before a colon, of what the token is asked for with.
_USER = matching(r"[A-Za-z0-9_][A-Za-z0-9_.@-]{0,63}", "a user's name, 1 to 64 of A-Z a-z 0-9 . _ @ -")
_OF_THE_BUS = ("port", "username", "password", "password_file", "token", "tls", "tls_ca")
_ENVIRONMENT = {
    "address": "GRIDAPPSD_ADDRESS",
    "port": "GRIDAPPSD_PORT",
    "username": "GRIDAPPSD_USER",
    "password": "GRIDAPPSD_PASSWORD",
}


def read_gridappsd(
    top: Fields,
    base: Path,
    folders: tuple[Path, ...],
    environment: Mapping[str, str],
    *,
    strict_pins: bool,
) -> Gridappsd:
    """Read the section.

    :param base: the folder that names of files that need not be there yet start from
    :param folders: where files are looked for that are only read
    :param environment: variables of the process
    """
    usual = Gridappsd()
    service_name = top.get("service_name", _TOPIC_WORD, usual.service_name)
    simulation_id = top.get("simulation_id", _TOPIC_WORD, None)
    section = top.section("gridappsd")
    if section is None:
        return Gridappsd(service_name=service_name, simulation_id=simulation_id)
    found_path = path_found(folders)
    reads = _Overridden(section, environment if section.has("address") else {})
    address = reads.get("address", host, None)
    port = reads.get("port", integer(1, 65_535), STOMP_PORT)
    password_file = section.get("password_file", found_path, None)
    if password_file is not None and section.has("password"):
        section.error("password_file", "expected either it or password")
    tls = section.get("tls", boolean, False)
    if section.has("tls_ca") and not tls:
        section.error("tls_ca", "expected tls: true beside it")
    if address is None:
        for key in _OF_THE_BUS:
            if section.has(key):
                section.warn(key, "not used: there is no bus without address")
    elif not tls and not HostPort(address, port).is_loopback:
        section.warn("address", f"without tls: true password and commands go to {address} in the clear")
    if section.has("field_bus_def"):
        section.warn("field_bus_def", "ignored: csipd is on the platform's bus alone, not on a field bus")
    found = Gridappsd(
        broker=None if address is None else HostPort(address, port),
        username=reads.get("username", _USER, usual.username),
        password=reads.get("password", text(200, "a password"), usual.password),
        password_file=None if "password" in reads.overridden else password_file,
        token=section.get("token", boolean, usual.token),
        tls=tls,
        tls_ca=section.get("tls_ca", found_path, None),
        service_name=service_name,
        simulation_id=simulation_id,
        simulation_id_file=section.get("simulation_id_file", found_path, None),
        model_name=section.get("model_name", text(200, "a name"), None),
        feeder_id=section.get("feeder_id", _TOPIC_WORD, None),
        feeder_id_file=section.get("feeder_id_file", found_path, None),
        default_pin=checked_pin(section, "default_pin", strict=strict_pins),
        houses=section.get("house_named_inverters_regex", _pattern, None),
        utilities=section.get("utility_named_inverters_regex", _pattern, None),
        model_dict_file=section.get("model_dict_file", found_path, None),
        reports=_reports(section, usual.reports),
        publish_interval=section.get("publish_interval_seconds", integer(1, 86_400), usual.publish_interval),
        p_sign=section.get("p_sign", word_of(SignOfPower), usual.p_sign),
        control_seconds=section.get("control_seconds", integer(1, 31_536_000), usual.control_seconds),
    )
    for key, where in (("feeder_id", section), ("simulation_id", top)):
        if where.has(key) and section.has(f"{key}_file"):
            where.warn(key, f"not used: {section.key(key)}_file is read in its place")
    section.close()
    return found


class _Overridden:
    """Keys of the section, and variables that override them.

    :ivar overridden: the keys for which a variable was taken
    """

    def __init__(self, section: Fields, environment: Mapping[str, str]) -> None:
        self._section = section
        self._environment = environment
        self.overridden: set[str] = set()

    def get(self, key: str, read: Reader[T], default: D) -> T | D:
        """What the variable says, where there is one that is not empty, else the file."""
        said = self._section.get(key, read, default)
        variable = _ENVIRONMENT[key]
        written = self._environment.get(variable)
        if not written:
            return said
        # The platform's clients take an address with or without its scheme.
        node = Scalar(self._section.line_of(key), written.removeprefix("tcp://"), quoted=False)
        try:
            found = read(node)
        except InvalidValue as wrong:
            self._section.error(key, f"{variable} of the environment: expected {wrong.expected}")
            return default
        self.overridden.add(key)
        self._section.warn(key, f"{variable} of the environment is taken in its place")
        return found


def _reports(section: Fields, usual: frozenset[Report]) -> frozenset[Report]:
    """An empty list is none; a list that is not there is the usual ones."""
    found = section.listed("publish", word_of(Report))
    return frozenset(found) if section.has("publish") else usual


def _pattern(node: Node) -> re.Pattern[str]:
    """A regular expression, of bounded length."""
    expected = "a regular expression of at most 200 characters, in one line"
    written = scalar(node, expected).text
    if not 0 < len(written) <= 200 or not written.isprintable():
        raise InvalidValue(expected)
    try:
        return re.compile(written)
    except (re.error, OverflowError, RecursionError) as error:
        raise InvalidValue("a regular expression", str(error)) from None
