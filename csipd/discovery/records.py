"""What is announced of a server: its names, and the DNS records that say where it is.

The server as such is one instance of ``_smartenergy._tcp``, and each function set that it serves is a subtype
with an instance of its own, which says in ``path`` where that function set begins. Only the first is found by
the service type, so whoever looks for servers sees each once (IEEE 2030.5-2018 7.5). Every instance's label
ends with the server's SFDI. Names are absolute, in the domain ``local.``, labels have no dots.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import IntEnum
from functools import cached_property
from ipaddress import IPv4Address, IPv6Address

from attrs import evolve, field, frozen

from csipd.sep2.identity import pretty_sfdi
from csipd.sep2.site import ROWS

Address = IPv4Address | IPv6Address

DOMAIN = "local."
SERVICE = f"_smartenergy._tcp.{DOMAIN}"
#: Who asks for it is told which types of services there are (RFC 6763 9).
ENUMERATION = f"_services._dns-sd._udp.{DOMAIN}"

#: Seconds: of what names a host or hangs on its name, and of all else (RFC 6762 10).
HOST_TTL = 120
OTHER_TTL = 4_500

#: The subtypes, and the resource that each function set begins with (IEEE 2030.5-2018 7.5).
SUBTYPES = {
    "bill": "CustomerAccountList",
    "derp": "DERProgramList",
    "dr": "DemandResponseProgramList",
    "edev": "EndDeviceList",
    "file": "FileList",
    "msg": "MessagingProgramList",
    "mup": "MirrorUsagePointList",
    "ppy": "PrepaymentList",
    "rsps": "ResponseSetList",
    "sdev": "SelfDevice",
    "tm": "Time",
    "tp": "TariffProfileList",
    "upt": "UsagePointList",
}


class Kind(IntEnum):
    """Types of records that are used here (RFC 1035 3.2.2)."""

    A = 1
    PTR = 12
    TXT = 16
    AAAA = 28
    SRV = 33
    NSEC = 47
    ANY = 255


@frozen
class Where:
    """What an SRV record says."""

    port: int
    host: str = field(eq=str.lower)
    priority: int = 0
    weight: int = 0


#: What a record says: a name (PTR), Where (SRV), octets (TXT, A, AAAA), the kinds that there are (NSEC).
Data = str | Where | bytes | tuple[int, ...]


def _folded(data: Data) -> Data:
    return data.lower() if isinstance(data, str) else data


@frozen
class Record:
    """One record of class IN. Two that say the same are equal, whatever their TTL.

    :param ttl: seconds; 0 says goodbye
    :param unique: nobody else may have records of this name and kind
    """

    name: str = field(eq=str.lower)
    kind: Kind
    data: Data = field(eq=_folded)
    ttl: int = field(eq=False)
    unique: bool = field(eq=False)

    @property
    def key(self) -> tuple[str, Kind]:
        """What it is asked for by; case does not matter in names."""
        return (self.name.lower(), self.kind)

    @property
    def order(self) -> tuple[int, bytes]:
        """By which two who want a name at once see whose it is (RFC 6762 8.2): kind and octets."""
        data = self.data
        if isinstance(data, Where):
            numbers = (data.priority, data.weight, data.port)
            return (self.kind, b"".join(one.to_bytes(2, "big") for one in numbers) + _labels(data.host))
        if isinstance(data, str):
            return (self.kind, _labels(data))
        return (self.kind, bytes(data))

    def lasting(self, seconds: int) -> Record:
        """The same record, for other seconds."""
        return evolve(self, ttl=seconds)


def _labels(name: str) -> bytes:
    """A name as it is on the wire, uncompressed; what is no name is cut."""
    return b"".join(bytes((len(one),)) + one for one in (part.encode()[:63] for part in name.split(".")))


@frozen
class Advertisement:
    """A server, as far as discovery tells of it.

    :param name: what its names begin with, letters, digits and dashes
    :param dcap: where DeviceCapability is
    :param http_port: of plain HTTP; None where there is none
    """

    name: str
    sfdi: int
    https_port: int
    dcap: str = "/dcap"
    http_port: int | None = None

    @property
    def host(self) -> str:
        """The host name."""
        return f"{self._label('')}.{DOMAIN}"

    @property
    def instance(self) -> str:
        """The name of the server as such."""
        return f"{self._label('')}.{SERVICE}"

    @property
    def port(self) -> int:
        """What SRV records say: plain HTTP's port where there is one (7.5)."""
        return self.https_port if self.http_port is None else self.http_port

    def numbered(self, number: int) -> Advertisement:
        """Under another name, where this one is somebody else's: 2, 3 and so on."""
        return self if number == 1 else evolve(self, name=f"{self.name}-{number}")

    def instances(self) -> Iterator[Instance]:
        """The server as such, then each subtype that it serves."""
        yield Instance(self.instance, None, self._text())
        for subtype, row in SUBTYPES.items():
            if ROWS[row].on:
                name = f"{self._label(f'{subtype}-')}.{SERVICE}"
                yield Instance(name, subtype, self._text(f"path={ROWS[row].uri}"))

    def _label(self, subtype: str) -> str:
        return f"{self.name}-{subtype}{pretty_sfdi(self.sfdi)}"

    def _text(self, *path: str) -> tuple[str, ...]:
        # level: documents have no extensions of the schema (S1 without them).
        return ("txtvers=1", f"dcap={self.dcap}", *path, f"https={self.https_port}", "level=-S1")


@frozen
class Instance:
    """One instance of the service.

    :param subtype: None for the server as such
    :param text: what its TXT record holds, in this order
    """

    name: str
    subtype: str | None
    text: tuple[str, ...]

    @property
    def type(self) -> str:
        """The name by which it is looked for."""
        return SERVICE if self.subtype is None else f"_{self.subtype}._sub.{SERVICE}"


def packed(text: Iterable[str]) -> bytes:
    """The strings of a TXT record as octets: each with its length before it (RFC 1035 3.3.14)."""
    return b"".join(bytes((len(one.encode()),)) + one.encode() for one in text)


@frozen
class Zone:
    """All records of a server on one link, of which none is there twice."""

    records: tuple[Record, ...] = ()

    @classmethod
    def of(cls, server: Advertisement, addresses: Iterable[Address]) -> Zone:
        """The records of a server that has these addresses on a link."""
        host = server.host
        records = [
            Record(host, Kind.A if one.version == 4 else Kind.AAAA, one.packed, HOST_TTL, True)
            for one in addresses
        ]
        where = Where(server.port, host)
        for one in server.instances():
            records += (
                Record(one.type, Kind.PTR, one.name, OTHER_TTL, False),
                Record(one.name, Kind.SRV, where, HOST_TTL, True),
                Record(one.name, Kind.TXT, packed(one.text), OTHER_TTL, True),
            )
        records.append(Record(ENUMERATION, Kind.PTR, SERVICE, OTHER_TTL, False))
        return cls(tuple(records))

    @cached_property
    def by_name(self) -> dict[str, tuple[Record, ...]]:
        """Records by their names in small letters."""
        found: dict[str, tuple[Record, ...]] = {}
        for record in self.records:
            found[record.key[0]] = (*found.get(record.key[0], ()), record)
        return found

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Names of which nobody else may have records, in small letters."""
        return tuple(dict.fromkeys(record.key[0] for record in self.records if record.unique))

    def unique(self, name: str) -> tuple[Record, ...]:
        """The records of a name that nobody else may have."""
        return tuple(record for record in self.by_name.get(name, ()) if record.unique)

    def answers(self, name: str, kind: int) -> tuple[Record, ...]:
        """What answers a question; of a name that is ours alone also that there is nothing (RFC 6762 6.1)."""
        there = self.by_name.get(name.lower(), ())
        found = tuple(record for record in there if kind in (record.kind, Kind.ANY))
        if found or not there or not there[0].unique:
            return found
        kinds = tuple(sorted({int(record.kind) for record in there}))
        return (Record(there[0].name, Kind.NSEC, kinds, there[0].ttl, True),)

    def beside(self, answers: Iterable[Record]) -> tuple[Record, ...]:
        """What goes with answers, since it is asked for next (RFC 6763 12)."""
        told = dict.fromkeys(answers)
        found: dict[Record, None] = {}
        wanted = list(told)
        while wanted:
            record = wanted.pop(0)
            leads = record.data if record.kind == Kind.PTR else None
            leads = record.data.host if isinstance(record.data, Where) else leads
            for one in self.by_name.get(leads.lower(), ()) if isinstance(leads, str) else ():
                if one.unique and one not in told and one not in found:
                    found[one] = None
                    wanted.append(one)
        return tuple(found)
