"""What the file says of the doors beside that of devices: the proxy, plain HTTP, discovery, the bus.

Each may be off, and is unless the file has its key.
"""

from __future__ import annotations

from enum import Enum
from ipaddress import ip_address
from pathlib import Path
from re import Pattern

from attrs import field, frozen


@frozen
class HostPort:
    """Where to listen; port 0 is any that is free."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def clashes(self, other: HostPort) -> bool:
        """Whether both cannot be listened on at once, as far as the names tell."""
        if self.port != other.port or not self.port:
            return False
        return self.host == other.host or _is_any(self.host) or _is_any(other.host)

    @property
    def is_loopback(self) -> bool:
        """Whether what listens there is reached from this machine alone, as far as the name tells."""
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"


def _is_any(host: str) -> bool:
    try:
        return ip_address(host).is_unspecified
    except ValueError:
        return False


class ProxyMode(Enum):
    """How the proxy speaks for devices."""

    HOP = "hop"  #: with a certificate of its own; it hands on the certificates of devices
    DEVICE_KEYS = "device_keys"  #: with the devices' own keys, out of tls_repository: for labs


@frozen
class Proxy:
    """A proxy in front of the server, and which proxies the server believes.

    :param listen: where it listens, None for none
    :param inside: whether it runs inside the daemon, not as a program of its own
    :param proxies: fingerprints of proxies' certificates beside the one that is made here: SHA-256, 64
        upper-case digits
    """

    listen: HostPort | None = None
    inside: bool = False
    mode: ProxyMode = ProxyMode.HOP
    proxies: tuple[str, ...] = ()


class PlainMode(Enum):
    """What plain HTTP answers at DeviceCapability's path (decision 70)."""

    DCAP = "dcap"  #: a DeviceCapability that leads to the server over TLS
    REDIRECT = "redirect"  #: 301 to it


@frozen
class PlainHTTP:
    """A listener without TLS, at the address of devices.

    :param port: 0: any that is free
    """

    port: int
    mode: PlainMode = PlainMode.DCAP


@frozen
class Discovery:
    """How clients find the server on a link, by DNS-SD over multicast DNS.

    :param interfaces: names of interfaces, or addresses of theirs
    :param name: what names of hosts and instances begin with; the server's SFDI follows
    """

    interfaces: tuple[str, ...]
    name: str = "csipd"


class SignOfPower(Enum):
    """Which flow is positive in PowerElectronicsConnection.p and .q on the GridAPPS-D bus."""

    LOAD = "load"  #: what is consumed, as in CIM
    GENERATOR = "generator"  #: what is delivered, as in IEEE 2030.5


class Report(Enum):
    """What is told of devices on the GridAPPS-D bus."""

    STATE_OF_CHARGE = "state_of_charge"  #: as the older server in Python told it
    STATUS = "status"  #: differences of DERStatus, as its successor in Go tells them
    ANALOG_VALUES = "analog_values"  #: each mirrored reading


@frozen
class Gridappsd:
    """The GridAPPS-D bus and the platform's model; times in seconds.

    :param broker: where the broker listens; None: no bus
    :param password_file: a file that the password stands in alone, in the place of ``password``
    :param token: whether the platform is asked for a token, which takes the password's place
    :param tls_ca: PEM file with the roots of the broker's certificate; None: those of this machine
    :param service_name: under which the topics of input and output are
    :param simulation_id_file: a file that the id stands in alone, in the place of ``simulation_id``
    :param feeder_id: mRID of the model; its file likewise
    :param default_pin: of devices of the model; None: drawn for each
    :param houses: what a name of a house with an inverter is matched by, and ``utilities`` of larger ones
    :param model_dict_file: the model's CIM dictionary; None: it is asked for on the bus
    :param reports: which reports are sent
    :param publish_interval: how often what changed is told
    :param p_sign: which flow is positive in PowerElectronicsConnection.p and .q
    :param control_seconds: how long a control lasts that comes of a command
    """

    broker: HostPort | None = None
    username: str = "system"
    password: str = field(default="manager", repr=False)
    password_file: Path | None = None
    token: bool = True
    tls: bool = False
    tls_ca: Path | None = None
    service_name: str = "IEEE_2030_5"
    simulation_id: str | None = None
    simulation_id_file: Path | None = None
    model_name: str | None = None
    feeder_id: str | None = None
    feeder_id_file: Path | None = None
    default_pin: int | None = field(default=None, repr=False)
    houses: Pattern[str] | None = None
    utilities: Pattern[str] | None = None
    model_dict_file: Path | None = None
    #: Those that who listened to the older server can read.
    reports: frozenset[Report] = frozenset((Report.STATE_OF_CHARGE, Report.ANALOG_VALUES))
    publish_interval: int = 3
    p_sign: SignOfPower = SignOfPower.LOAD
    control_seconds: int = 1800

    @property
    def has_model(self) -> bool:
        """Whether a model is named at all."""
        named = (self.model_dict_file, self.feeder_id, self.feeder_id_file, self.model_name)
        return any(one is not None for one in named)
