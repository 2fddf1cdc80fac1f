"""What a configuration file says, as values.

Names of the file's keys are kept: snake_case for csipd's own, the standard's spelling for the
standard's (``deviceCategory``, ``randomizeStart``). Durations are seconds, times are seconds since
1970-01-01T00:00:00Z, paths are absolute. Entries refer to each other by their names or descriptions,
and every such reference is known to lead somewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from attrs import Factory, field, frozen

from csipd.config.codes import Level
from csipd.config.doors import Discovery, Gridappsd, HostPort, PlainHTTP, Proxy
from csipd.config.problems import Problem
from csipd.der.metering import Metering
from csipd.der.receivers import ReceiverPolicy
from csipd.der.retention import Retention
from csipd.der.subscribing import SubscriptionLimits
from csipd.sep2 import resources as r
from csipd.sep2.types import MODE


class ServerMode(Enum):
    """How certificates come to be registered (CSIP IG 6.1.3, 6.1.4; decision 4)."""

    CREATE_ON_START = "enddevices_create_on_start"  #: out of band: configured devices exist from the start
    REGISTER_ACCESS_ONLY = "enddevices_register_access_only"  #: in band, for those that are configured
    ALLOW_ALL_ACCESS = "enddevices_allow_all_access"  #: in band, for every certificate from our roots


class LFDIMode(Enum):
    """What an LFDI is computed from."""

    CERT_FINGERPRINT = "lfdi_mode_from_cert_fingerprint"  #: IEEE 2030.5-2018 6.3.4
    FILE = "lfdi_mode_from_file"  #: the text of combined/<id>-combined.pem


class DeviceIssuer(Enum):
    """Which CA of the lab PKI issues devices' certificates: how long their chains are."""

    CA = "ca"  #: the root itself: chains of two
    MICA = "mica"  #: a manufacturer issuing CA under the root: chains of three
    MCA = "mca"  #: a MICA under a manufacturer CA under the root: chains of four


class UnknownCertificate(Enum):
    """What a certificate on no list gets from the EndDeviceList (decision 1)."""

    NOT_FOUND = "not_found"
    EMPTY_LIST = "empty_list"


#: EndDevice.postRate (s) where neither the file nor the device says another.
DEFAULT_POST_RATE = 900


@frozen
class Limits:
    """Bounds on what a peer may cost; times in seconds, sizes in octets."""

    handshake_timeout: int = 10
    request_deadline: int = 30  #: from a request's first octet to its last
    idle_timeout: int = 172_800  #: twice the largest poll rate by default, that of EndDeviceList
    header_size: int = 8192
    body_size: int = 65_536
    reading_body_size: int = 1_048_576  #: of a MirrorMeterReading or a list of them
    reading_bodies: int = 67_108_864  #: of all those together that are being taken in
    uri_length: int = 255  #: IEEE 2030.5-2018 wants no more
    connections: int = 20_000
    # What one caller may use of the server; the rates are sustained ones.
    connections_per_device: int = 20
    connections_per_aggregator: int = 200
    requests_per_second: int = 200
    requests_per_managed_device: int = 2  #: that an aggregator has more
    handshakes_per_second: int = 20  #: finished ones of one device
    address_handshakes_per_second: int = 100  #: connections begun from one IP address
    unfinished_handshakes: int = 1_000  #: at once
    listen_backlog: int = 4_096  #: connections that wait to be accepted
    answer_cache: int = 67_108_864  #: octets of answers that are kept, by caller
    fact_cache: int = 67_108_864  #: octets of what answers are made from


@frozen
class Notifications:
    """Where Notifications may go and what sending them may cost; times in seconds.

    :param receivers: as far as the section says; ``lfdis`` are by a device's id in the file, or an LFDI
    :param limits: how many subscriptions there may be, and how long one lasts
    """

    receivers: ReceiverPolicy = Factory(ReceiverPolicy)
    limits: SubscriptionLimits = Factory(SubscriptionLimits)
    at_once: int = 200  #: Notifications that are under way
    connections: int = 2_000  #: to all receivers, in use or kept for the next Notification
    connections_per_receiver: int = 8  #: to one host and port
    connect_timeout: int = 10  #: from the look-up of the name to the end of the handshake
    answer_timeout: int = 10  #: from a Notification's first octet to the answer's last
    idle_timeout: int = 60  #: a kept connection without Notifications is closed


@frozen
class Operator:
    """One who may use the operator's API.

    :param name: for the audit log
    :param fingerprint: SHA-256 of the certificate, 64 upper-case digits
    """

    name: str
    fingerprint: str


@frozen
class DER:
    """One DER of a device; ``capability`` is None where the file does not give all that it needs."""

    description: str | None = None
    capability: r.DERCapability | None = None


@frozen
class Device:
    """One end device.

    :param id: also the name of its certificate and files
    :param deviceCategory: bit map of DeviceCategoryType; None where it has no bit (OTHER_CLIENT)
    :param pin: with its check digit; None: to be drawn
    :param lfdi: 40 upper-case digits, where its certificate is not made here; None: from its certificate
    :param poll_rate: of its Registration
    :param post_rate: of its EndDevice; the default is only what it has until it wishes for another
    :param programs: descriptions of programs of its own
    :param fsas: descriptions of those it is given
    :param groups: names of the groups it is put in; those above them are not listed
    """

    id: str
    deviceCategory: int | None = None
    pin: int | None = field(default=None, repr=False)
    lfdi: str | None = None
    poll_rate: int = 900
    post_rate: int = DEFAULT_POST_RATE
    programs: tuple[str, ...] = ()
    fsas: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    ders: tuple[DER, ...] = ()
    hostname: str | None = None
    ip: str | None = None


@frozen
class Aggregator:
    """One aggregator: an end device without DERs that manages others; ``devices`` are their ids."""

    id: str
    pin: int | None = field(default=None, repr=False)
    lfdi: str | None = None
    poll_rate: int = 900
    post_rate: int = DEFAULT_POST_RATE
    devices: tuple[str, ...] = ()


@frozen
class Curve:
    """One curve; ``values`` are the elements of DERCurve that the file gives or that have a default."""

    description: str
    values: Mapping[str, Any]

    def curve(self, mRID: str, first_seen: int) -> r.DERCurve:
        """The resource; ``first_seen`` is its creationTime where the file gives none."""
        return r.DERCurve(
            **{"creationTime": first_seen, **self.values}, mRID=mRID, description=self.description
        )


@frozen
class Control:
    """A template for DERControls and DefaultDERControls.

    :param modes: the elements of its DERControlBase that are not links
    :param curves: for each mode that is a link, the description of the curve
    :param settings: the elements that only a DefaultDERControl has
    """

    description: str
    modes: Mapping[str, Any] = Factory(dict)
    curves: Mapping[str, str] = Factory(dict)
    settings: Mapping[str, Any] = Factory(dict)

    @property
    def schedulable(self) -> bool:
        """Whether a DERControl made from it would control anything."""
        return bool(self.curves) or any(name in MODE for name in self.modes)

    def base(self, href: Callable[[str], str]) -> r.DERControlBase:
        """What a DERControl carries; ``href`` gives the place of the program's curve of a description."""
        links: dict[str, Any] = {mode: r.DERCurveLink(href=href(c)) for mode, c in self.curves.items()}
        return r.DERControlBase(**self.modes, **links)

    def default(self, mRID: str, href: Callable[[str], str]) -> r.DefaultDERControl:
        """The DefaultDERControl of a program that names this control as its default."""
        return r.DefaultDERControl(
            mRID=mRID, description=self.description, DERControlBase=self.base(href), **self.settings
        )


@frozen
class Program:
    """One DERProgram; its default control, controls and curves are descriptions."""

    description: str
    primacy: int
    default_control: str | None = None
    controls: tuple[str, ...] = ()
    curves: tuple[str, ...] = ()

    def names(self, control: str) -> bool:
        """Whether events of that control may be scheduled in this program (decision 25)."""
        return control == self.default_control or control in self.controls


@frozen
class FSA:
    """One named FunctionSetAssignments; ``programs`` are descriptions."""

    description: str
    programs: tuple[str, ...] = ()


@frozen
class Group:
    """One group of devices (CSIP IG 4.3).

    :param parent: name of the group above it
    :param level: its place in the topology; None for a group beside it
    :param fsa: groups that name the same FSA share it
    :param programs: descriptions of the programs that go to all in it; a program has one group
    """

    name: str
    parent: str | None = None
    level: Level | None = None
    fsa: str | None = None
    programs: tuple[str, ...] = ()


@frozen
class Event:
    """One event to be scheduled, known by its content.

    :param control: description of the template
    :param program: as the file names it; None: every program that names the control
    :param programs: descriptions of the programs in which it is scheduled
    :param start: None: ``delay`` seconds after the entry is first seen
    :param responseRequired: bit map, HexBinary8
    """

    control: str
    program: str | None
    programs: tuple[str, ...]
    start: int | None = None
    delay: int = 0
    duration: int = 3600
    randomizeStart: int | None = None
    randomizeDuration: int | None = None
    responseRequired: int = 3


#: Where the daemon is started by etc/init.d/csipd and csipd.service, unless they are told otherwise.
WORKING_FOLDER = Path("/var/lib/csipd")


@frozen
class Origin:
    """Where a value stands in the file, and what was written there."""

    line: int
    text: str


@frozen
class Settings:
    """A whole configuration.

    :param file: its name, as in the messages
    :param warnings: one line each, in the form of the errors
    :param origins: where the file's outermost keys stand, and members of lists such as ``trust_roots[0]``
    :param read_folders: where files with relative names are looked for, the first that has one
    :param server: host name or address to listen on, and the server certificate's name
    :param server_names: further names and addresses of the server's certificate
    :param server_policies: whether the server's certificate holds certificatePolicies
    :param openssl_cnf: None where the file names none and there is none beside it
    :param plain: the listener without TLS; None for none
    :param dcap_path: where DeviceCapability is
    :param proxy: 2030_5_proxy, and which proxies are believed
    :param admin: where the operator's API listens
    :param trust_roots: PEM files; a device's chain ends in one of their certificates
    :param pen: IANA Private Enterprise Number in the mRIDs that are made
    :param poll_rates: seconds by the name of the resource that carries pollRate
    :param service_point_primacy: of the program that each device has of its own
    :param log_events_per_device: how many log events are kept for each
    :param straight_path: whether ordinary requests are answered without Twisted's parser and Klein, and
        repeated ones from what is kept
    :param notifications: where they may go and what they may cost
    :param discovery: where the server is announced; None: nowhere
    :param default_program: description of the program that each device with DERs has; None: there is none
    :param gridappsd: the bus that commands come from and reports go to, and the model that devices come from
    :param aggregators_may_add: an aggregator may register LFDIs that nobody listed for it
    :param metering: what is taken of readings
    :param lab: whether this is a lab, on this machine alone, which may do what production refuses
    :param lab_speed: how many times as fast as the machine's its clock runs; 1 where it is none
    """

    file: str
    warnings: tuple[str, ...]
    origins: Mapping[str, Origin] = field(eq=False, repr=False)
    read_folders: tuple[Path, ...] = field(eq=False)
    server: str
    server_names: tuple[str, ...]
    server_policies: bool
    https_port: int
    plain: PlainHTTP | None
    dcap_path: str
    proxy: Proxy
    admin: HostPort
    tls_repository: Path
    openssl_cnf: Path | None
    storage_path: Path
    trust_roots: tuple[Path, ...]
    generate_admin_cert: bool
    operators: tuple[Operator, ...]
    server_mode: ServerMode
    lfdi_mode: LFDIMode
    unknown_certificate: UnknownCertificate
    strict_pins: bool
    accept_legacy_certs: bool
    device_issuer: DeviceIssuer
    service_user: str | None
    service_group: str | None
    time_zone: ZoneInfo
    time_quality: int
    pen: int
    page_maximum: int
    service_point_primacy: int
    log_events_per_device: int
    straight_path: bool
    aggregators_may_add: bool
    poll_rates: Mapping[str, int]
    metering: Metering
    limits: Limits
    retention: Retention
    lab: bool
    lab_speed: int
    notifications: Notifications = field(kw_only=True)
    gridappsd: Gridappsd = field(kw_only=True)
    curves: tuple[Curve, ...] = field(kw_only=True)
    controls: tuple[Control, ...] = field(kw_only=True)
    programs: tuple[Program, ...] = field(kw_only=True)
    default_program: str | None = field(kw_only=True)
    fsas: tuple[FSA, ...] = field(kw_only=True)
    groups: tuple[Group, ...] = field(kw_only=True)
    devices: tuple[Device, ...] = field(kw_only=True)
    aggregators: tuple[Aggregator, ...] = field(kw_only=True)
    events: tuple[Event, ...] = field(kw_only=True)
    discovery: Discovery | None = field(kw_only=True)

    @property
    def names(self) -> tuple[str, ...]:
        """The names and addresses by which clients call the server: the first is the one to give them."""
        return tuple(dict.fromkeys((*self.server_names, self.server)))

    def problem(self, key: str, message: str, *others: str) -> str:
        """A line about a key, as those of the configuration itself: ``config.yml:12: openssl_cnf: ...``.

        :param others: further names of the key, of which the first that the file has is named
        """
        found = next((name for name in (key, *others) if name in self.origins), key)
        line = self.origins[found].line if found in self.origins else 0
        return str(Problem(self.file, line, found, message))

    def looked_for(self, key: str) -> str:
        """Where a file that is read was looked for, as a clause: nothing for an absolute name."""
        written = self.origins.get(key)
        if written is None or Path(written.text).expanduser().is_absolute():
            return ""
        return f" (looked in {' and in '.join(map(str, self.read_folders))})"

    def find_tls_repository(self) -> Path:
        """Where the folder of keys and certificates is, for whoever only reads it.

        A relative one lies where the daemon was started, which another program does not know: it is looked
        for beside the configuration file too, and in the folder that the init script and systemd start in.
        """
        written = self.origins.get("tls_repository")
        name = Path(written.text if written is not None and written.text else "tls").expanduser()
        candidates = [folder / name for folder in (*self.read_folders, WORKING_FOLDER)]
        return next((path for path in candidates if path.is_dir()), self.tls_repository)
