"""The file's keys about the server itself: where it listens, its store and certificates, rates and limits."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from ipaddress import ip_address
from itertools import combinations
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

from attrs import evolve

from csipd.config.document import Node
from csipd.config.doors import HostPort, Proxy
from csipd.config.fields import (
    MISSING,
    Fields,
    InvalidValue,
    Reader,
    boolean,
    fixed_hex,
    host,
    integer,
    matching,
    once,
    scalar,
    text,
    word_of,
)
from csipd.config.fleet import RATE
from csipd.config.plain import dcap_path, read_plain
from csipd.config.proxy import host_port, read_proxy
from csipd.config.settings import (
    DeviceIssuer,
    LFDIMode,
    Limits,
    Operator,
    Origin,
    ServerMode,
    UnknownCertificate,
)
from csipd.der.metering import Metering
from csipd.der.rates import LOST_POLLS, is_near
from csipd.der.retention import Retention
from csipd.sep2.layout import Layout
from csipd.sep2.measurements import DerForward

#: What a server may listen on that no client can call it by.
EVERY_ADDRESS: Final = ("0.0.0.0", "::")  # noqa: S104 - names, no sockets

#: IANA Private Enterprise Number of mRIDs where the file gives none: RFC 5612 keeps it for examples.
EXAMPLE_PEN: Final = 32473

#: How many times as fast as the machine's a lab's clock may run: an hour in a second.
FASTEST: Final = 3600

#: Resources that carry pollRate: the key in the file, and the default in seconds.
POLL_RATES: Final = {
    "DeviceCapability": ("device_capability_poll_rate", 900),
    "EndDeviceList": ("end_device_list_poll_rate", 86_400),
    "FunctionSetAssignmentsList": ("function_set_assignments_list_poll_rate", 3600),
    "DERProgramList": ("der_program_list_poll_rate", 600),
    "DERList": ("der_list_poll_rate", 300),
    "LogEventList": ("log_event_list_poll_rate", 900),
    "MirrorUsagePointList": ("mirror_usage_point_post_rate", 300),
    "Registration": ("registration_poll_rate", 900),
    "Time": ("time_poll_rate", 900),
}

_LIMITS = {
    "handshake_timeout": (1, 300),
    "request_deadline": (1, 3600),
    "idle_timeout": (1, 604_800),
    "header_size": (1024, 65_536),
    "body_size": (1024, 16_777_216),
    "reading_body_size": (1024, 67_108_864),
    "reading_bodies": (1_048_576, 68_719_476_736),
    "uri_length": (64, 8192),
    "connections": (1, 1_000_000),
    "connections_per_device": (1, 100_000),
    "connections_per_aggregator": (1, 100_000),
    "requests_per_second": (1, 1_000_000),
    "requests_per_managed_device": (1, 1_000_000),
    "handshakes_per_second": (1, 1_000_000),
    "address_handshakes_per_second": (1, 1_000_000),
    "unfinished_handshakes": (10, 1_000_000),
    "listen_backlog": (1, 1_000_000),
    "answer_cache": (1_048_576, 1_099_511_627_776),
    "fact_cache": (1_048_576, 1_099_511_627_776),
}

_METERING = {
    "mirrors_per_device": (1, 10_000),
    "mirrors": (1, 100_000_000),
    "meter_readings_per_mirror": (1, 1000),
    "reading_sets": (1, 100_000),
    "least_post_rate": (1, 86_400),
    "ahead_seconds": (0, 31_536_000),
    "expiry_hours": (1, 8760),
}

#: Days for which something is kept: long enough for an event of the past to be looked into.
_RETENTION = {
    "controls_days": (1, 36_500),
    "audit_days": (30, 36_500),
    "alarms_days": (1, 36_500),
    "refusals_days": (1, 36_500),
    "readings_days": (1, 36_500),
    "five_minutes_days": (1, 36_500),
    "hours_days": (1, 36_500),
}

#: Keys of other servers' files that mean nothing here, and why.
_IGNORED = {
    "ui_port": "the operator's API is served on admin_port",
    "lfdi_client": "an LFDI comes from a device's certificate or its lfdi key",
    "ders": "the DERs of a device are listed under the device",
    "cleanse_storage": "csipd never deletes what it has stored",
}

#: Sections that name files.
_WITH_FILES = ("gridappsd",)

#: What the proxy's certificate is called, which no server may be.
_PROXY = "proxy"
_OF_THIS_MACHINE = "expected an address of this machine alone in a lab, such as 127.0.0.1"
_PORT = integer(0, 65_535)
_ACCOUNT = matching(r"[A-Za-z_][A-Za-z0-9_.-]{0,31}", "the name of an account")
_FINGERPRINT = fixed_hex(32, "the SHA-256 fingerprint of a certificate")


def path_under(base: Path) -> Reader[Path]:
    """A path of what is written, relative ones under ``base``, ``~`` written out."""
    return lambda node: base / _path(node)


def path_found(folders: tuple[Path, ...], made: Path | None = None) -> Reader[Path]:
    """A path of what is read: a relative one under the first folder that has it, ``~`` written out.

    Where none has it, it is the one that csipd will have ``made``, or else that in the last folder.
    """

    def read(node: Node) -> Path:
        return found_in(folders, _path(node), made)

    return read


def found_in(folders: tuple[Path, ...], path: Path, made: Path | None = None) -> Path:
    """Where a file is that is read. See :func:`path_found`."""
    candidates = [folder / path for folder in folders]
    there = (candidate for candidate in candidates if os.path.lexists(candidate))
    return next(there, made if made is not None and made in candidates else candidates[-1])


def _path(node: Node) -> Path:
    try:
        return Path(text(4096, "a path")(node)).expanduser()
    except RuntimeError:
        raise InvalidValue("a path under the home folder of a user who has one") from None


def time_zone(node: Node) -> ZoneInfo:
    """A time zone by its name in the IANA database."""
    expected = "the name of a time zone, such as America/Los_Angeles"
    written = scalar(node, expected).text
    try:
        return ZoneInfo(written)
    except (ValueError, OSError, KeyError):
        raise InvalidValue(expected) from None


def read_server(top: Fields, base: Path, file_folder: Path) -> dict[str, Any]:
    """The fields of :class:`~csipd.config.settings.Settings` that these keys give.

    :param base: the folder that relative paths of what is written start from
    :param file_folder: where the file is; what is read is looked for there first (decision 23)
    """
    path = path_under(base)
    folders = tuple(dict.fromkeys((file_folder, base)))
    _warn_of_unused_keys(top)
    tls_repository = top.get("tls_repository", path, base / "tls")
    own_root = tls_repository / "certs" / "ca.crt"
    rates = {name: top.get(key, RATE, default) for name, (key, default) in POLL_RATES.items()}
    limits = _read_limits(top)
    _warn_of_rates_near(top, rates, limits)
    listeners = _read_listeners(top)
    return {
        **listeners,
        "origins": _origins(top),
        "read_folders": folders,
        "server_policies": top.get("server_policies", boolean, True),
        "tls_repository": tls_repository,
        "openssl_cnf": top.get("openssl_cnf", path_found(folders), _default_openssl_cnf(folders)),
        "storage_path": top.get("storage_path", path, base / "var"),
        "trust_roots": top.listed("trust_roots", path_found(folders, own_root)) or (own_root,),
        "generate_admin_cert": top.get("generate_admin_cert", boolean, False),
        "operators": _read_operators(top, listeners["proxy"].proxies),
        "server_mode": top.get("server_mode", word_of(ServerMode), ServerMode.REGISTER_ACCESS_ONLY),
        "lfdi_mode": top.get("lfdi_mode", word_of(LFDIMode), LFDIMode.CERT_FINGERPRINT),
        "unknown_certificate": top.get(
            "unknown_certificate", word_of(UnknownCertificate), UnknownCertificate.NOT_FOUND
        ),
        "strict_pins": top.get("strict_pins", boolean, False),
        "accept_legacy_certs": top.get("accept_legacy_certs", boolean, False),
        "device_issuer": top.get("device_issuer", word_of(DeviceIssuer), DeviceIssuer.CA),
        "service_user": top.get("service_user", _ACCOUNT, None),
        "service_group": top.get("service_group", _ACCOUNT, None),
        "time_zone": top.get("time_zone", time_zone, ZoneInfo("UTC")),
        "time_quality": top.get("time_quality", integer(3, 7), 7),
        "pen": top.get("pen", integer(1, 2**32 - 1), EXAMPLE_PEN),
        "page_maximum": top.get("page_maximum", integer(255, 10_000), 500),
        "service_point_primacy": top.get("service_point_primacy", integer(0, 255), 3),
        "log_events_per_device": top.get("log_events_per_device", integer(10, 10_000), 100),
        "straight_path": top.get("straight_path", boolean, True),
        "aggregators_may_add": top.get("aggregators_may_add", boolean, False),
        "poll_rates": rates,
        "limits": limits,
        "metering": _read_metering(top, rates["MirrorUsagePointList"]),
        "retention": _read_retention(top),
        **_read_lab(top, listeners),
    }


def _origins(top: Fields) -> dict[str, Origin]:
    sections = [section for key in _WITH_FILES if (section := top.section(key)) is not None]
    return {path: Origin(line, text) for place in (top, *sections) for path, line, text in place.scalars()}


def _default_openssl_cnf(folders: tuple[Path, ...]) -> Path | None:
    found = found_in(folders, Path("openssl.cnf"))
    return found if found.exists() else None


def _warn_of_rates_near(top: Fields, rates: Mapping[str, int], limits: Limits) -> None:
    """A device that polls on a kept connection just as the server closes it loses the request."""
    idle = limits.idle_timeout
    near = [key for name, (key, _) in POLL_RATES.items() if is_near(rates[name], idle)]
    if near:
        top.warn(
            "limits" if top.has("limits") else near[0],
            f"idle_timeout is {idle} s, near {', '.join(near)}: {LOST_POLLS}",
        )


def _read_listeners(top: Fields) -> dict[str, Any]:
    older = top.get("server_hostname", host_port, None)
    server = top.get("server", host, None)
    https_port, port = (top.get(key, _PORT, None) for key in ("https_port", "port"))
    if None not in (https_port, port) and https_port != port:
        top.error("port", f"expected the same as https_port, which is {https_port}")
    https_port = port if https_port is None else https_port
    if older is not None:
        for key, value, other in (("server", server, older.host), ("https_port", https_port, older.port)):
            if value is not None and value != other:
                top.error("server_hostname", f"expected the same as {key}, which is {value}")
        server = older.host if server is None else server
        https_port = older.port if https_port is None else https_port
    elif not top.has("server_hostname"):
        if not top.has("server"):
            top.error("server", MISSING)
        if not top.has("https_port") and not top.has("port"):
            top.error("https_port", f"{MISSING} (port is another name of it)")
    proxy = read_proxy(top)
    admin = HostPort(top.get("admin_host", host, "127.0.0.1"), top.get("admin_port", _PORT, 7444))
    if server == _PROXY and proxy.listen is not None:
        name = "server" if top.has("server") else "server_hostname"
        top.error(name, f"expected another name than {_PROXY}, which is that of the proxy's certificate")
    names = top.listed("server_names", host)
    named = bool(names) or server not in EVERY_ADDRESS
    plain = read_plain(top, named=named, https_port=https_port)
    _check_clashes(top, server, https_port, None if plain is None else plain.port, proxy.listen, admin)
    if not named:
        top.warn(
            "server" if top.has("server") else "server_hostname",
            f"{server} is every address, and server_names does not say by which names and addresses clients "
            "reach the server: its certificate holds those of this machine alone",
        )
    return {
        "server": server,
        "server_names": names,
        "https_port": https_port,
        "plain": plain,
        "dcap_path": top.get("dcap_path", dcap_path, Layout().path),
        "proxy": proxy,
        "admin": admin,
    }


def _check_clashes(
    top: Fields,
    server: str | None,
    https_port: int | None,
    http_port: int | None,
    proxy: HostPort | None,
    admin: HostPort,
) -> None:
    listeners = {"proxy_hostname": proxy, "admin_port": admin}
    for key, port in (("http_port", http_port), ("https_port", https_port)):
        listeners[key] = None if server is None or port is None else HostPort(server, port)
    for (key, listener), (other_key, other) in combinations(listeners.items(), 2):
        if listener is not None and other is not None and listener.clashes(other):
            top.error(key, f"expected another port than {other_key}'s, got {listener} and {other}")


def _read_lab(top: Fields, listeners: Mapping[str, Any]) -> dict[str, Any]:
    """Whether this is a lab, and how fast its clock runs. It may not leave this machine (decision 67).

    What names stand for is seen at the start.
    """
    lab = top.get("lab", boolean, False)
    speed = top.get("lab_speed", integer(1, FASTEST), 1)
    if not lab:
        if top.has("lab_speed"):
            top.error("lab_speed", "expected lab: true beside it; without it the clock is this machine's")
        return {"lab": False, "lab_speed": 1}
    server = "server" if top.has("server") else "server_hostname"
    proxy: Proxy = listeners["proxy"]
    hosts = {server: listeners["server"], "admin_host": listeners["admin"].host}
    if proxy.listen is not None:
        hosts["proxy_hostname"] = proxy.listen.host
    for key, name in hosts.items():
        if name is not None and _leaves_machine(name):
            top.error(key, f"{_OF_THIS_MACHINE}, got {name}")
    for key in ("service_user", "service_group"):
        if top.has(key):
            top.error(key, "expected no such key beside lab: true: a lab is no service")
    return {"lab": True, "lab_speed": speed}


def _leaves_machine(name: str) -> bool:
    """Whether an address is of other machines as well; of a name that is not known here."""
    try:
        return not ip_address(name.partition("%")[0]).is_loopback
    except ValueError:
        return False


def _read_operators(top: Fields, proxies: Sequence[str]) -> tuple[Operator, ...]:
    names: dict[str, int] = {}
    fingerprints: dict[str, int] = {}
    operators = []
    for entry in top.each("operators"):
        operator = Operator(
            name=entry.need("name", text(64, "a name"), ""),
            fingerprint=entry.need("fingerprint", _FINGERPRINT, ""),
        )
        once(entry, "name", operator.name, names)
        once(entry, "fingerprint", operator.fingerprint, fingerprints)
        entry.close()
        operators.append(operator)
    if not fingerprints.keys().isdisjoint(proxies):
        top.error("proxies", "expected certificates of proxies, got that of an operator")
    return tuple(operators)


def _read_limits(top: Fields) -> Limits:
    section = top.section("limits")
    if section is None:
        return Limits()
    given = {
        name: section.get(name, integer(low, high), getattr(Limits(), name))
        for name, (low, high) in _LIMITS.items()
    }
    if given["reading_bodies"] < given["reading_body_size"]:
        # One of that size would never be taken in.
        section.error(
            "reading_bodies" if section.has("reading_bodies") else "reading_body_size",
            f"expected reading_bodies, which is {given['reading_bodies']}, to be at least reading_body_size, "
            f"which is {given['reading_body_size']}",
        )
    if section.has("connections_per_address"):
        section.warn(
            "connections_per_address",
            "ignored: connections are counted by device (connections_per_device), since many may share one "
            "address",
        )
    section.close()
    return Limits(**given)


def _read_metering(top: Fields, post_rate: int) -> Metering:
    usual = Metering(post_rate=post_rate)
    section = top.section("metering")
    if section is None:
        return usual
    given = {
        name: section.get(name, integer(low, high), getattr(usual, name))
        for name, (low, high) in _METERING.items()
    }
    der_forward = section.get("der_forward", word_of(DerForward), usual.der_forward)
    section.close()
    return evolve(usual, der_forward=der_forward, **given)


def _read_retention(top: Fields) -> Retention:
    section = top.section("retention")
    if section is None:
        return Retention()
    given = {
        name: section.get(name, integer(low, high), getattr(Retention(), name))
        for name, (low, high) in _RETENTION.items()
    }
    if given["hours_days"] < given["readings_days"]:
        # A reading that comes late has its day made again, of its hours.
        section.error("hours_days", f"expected at least readings_days, which is {given['readings_days']}")
    section.close()
    return Retention(**given)


def _warn_of_unused_keys(top: Fields) -> None:
    for key, reason in _IGNORED.items():
        if top.has(key):
            top.warn(key, f"ignored: {reason}")
