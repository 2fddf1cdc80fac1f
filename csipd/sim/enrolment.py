"""How simulated devices come to be known: through the operator's API, as an operator would do it.

A group with a program is made for the whole fleet and one for each of its feeders, an aggregator where one is
wanted, and the devices, each with a certificate for which it made the key itself; those of an aggregator have
none. What was made is in the roster, so that a second run makes only what is missing, and `remove_devices`
and `retire_programs` undo it: but for groups and retired programs, which the server keeps with the history of
what was commanded to them, and which are used again.

Numbers alone say nothing: those of another server's devices are the same. What is taken away is asked for
first, and nothing of others is taken over because it is called as the fleet is.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, Protocol

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from csipd.sim.neighbourhood import HOUSES, category
from csipd.sim.roster import Feeder, Member, Roster

#: Primacy of the program of the whole fleet, and of those of its feeders, which win.
FLEET_PRIMACY: Final = 20
FEEDER_PRIMACY: Final = 15
#: Levels of their groups: a substation, and feeders.
_SUBSTATION, _FEEDER = 2, 3


class Foreign(Exception):
    """What stands at the server is not this fleet's, and is left alone. One line."""


class API(Protocol):
    """The operator's API. What it refuses is raised as an exception with its reason."""

    def get(self, path: str) -> Any: ...

    def post(self, path: str, content: dict[str, Any] | None = None) -> Any: ...

    def patch(self, path: str, content: dict[str, Any]) -> Any: ...

    def delete(self, path: str) -> Any: ...

    def pages(self, path: str, query: Mapping[str, Any]) -> Iterator[Any]: ...


def missing(roster: Roster, name: str, devices: int, aggregated: int) -> Iterator[Callable[[API], None]]:
    """What is to be done so that the fleet has so many devices of its own and so many of an aggregator.

    :param name: what all names begin with
    """
    count = devices + aggregated
    feeders = -(-count // HOUSES)
    for number in range(len(roster.feeders), feeders + 1):
        yield lambda api, number=number: _make_feeder(api, roster, name, number)  # type: ignore[misc]
    direct = [member for member in roster.devices if not member.aggregator]
    managed = [member for member in roster.devices if member.aggregator]
    if aggregated and not roster.aggregators:
        yield lambda api: _make_aggregator(api, roster, f"{name}-aggregator")
    # One after the other along the street, those of the aggregator spread among the rest.
    wanted = [False] * (devices - len(direct)), [True] * (aggregated - len(managed))
    for is_managed in _spread(*wanted):
        yield lambda api, is_managed=is_managed: _make_device(api, roster, name, is_managed)  # type: ignore[misc]


def remove_devices(roster: Roster) -> Iterator[Callable[[API], None]]:
    """What is to be done so that no device of the fleet takes part any more. Foreign: who has its number."""
    for member in reversed(roster.members):
        yield lambda api, member=member: _remove_device(api, member)  # type: ignore[misc]


def retire_programs(roster: Roster) -> Iterator[Callable[[API], None]]:
    """What is to be done so that no program of the fleet is shown. Foreign: what has its number."""
    for feeder in reversed(roster.feeders):
        yield lambda api, feeder=feeder: _retire_program(api, feeder)  # type: ignore[misc]


def _is_member(found: Mapping[str, Any], member: Member) -> bool:
    return found.get("lFDI") == member.lfdi


def _remove_device(api: API, member: Member) -> None:
    path = f"/devices/{member.number}"
    found = api.get(path).value
    if not _is_member(found, member):
        raise Foreign(f"device {member.number} is {found.get('name')}, and not {member.name} of this fleet")
    if found.get("standing") != "retired":
        api.delete(path)


def _retire_program(api: API, feeder: Feeder) -> None:
    path = f"/programs/{feeder.program}"
    found = api.get(path).value
    if (found.get("description"), found.get("group")) != (feeder.name, feeder.group):
        raise Foreign(
            f"program {feeder.program} is {found.get('description')}, and not {feeder.name} of this fleet"
        )
    if "retired" not in found:
        api.delete(path)


def _spread(few: list[bool], many: list[bool]) -> list[bool]:
    """Two lists as one, the members of each at even distances."""
    places = [((place + 0.5) / len(each), value) for each in (few, many) for place, value in enumerate(each)]
    return [value for _, value in sorted(places)]


def _make_feeder(api: API, roster: Roster, name: str, number: int) -> None:
    called = f"{name} feeder {number}" if number else name
    above = {"parent": roster.feeders[0].group, "level": _FEEDER} if number else {"level": _SUBSTATION}
    group = _group_left(api, called)
    if group is None:
        group = api.post("/groups", {"name": called, **above}).value["number"]
    values = {"primacy": FEEDER_PRIMACY if number else FLEET_PRIMACY, "group": group}
    program = _find(api, "/programs", "description", called)
    if program is None:
        made = api.post("/programs", {"description": called, **values}).value["number"]
    else:
        if "retired" not in program and program["group"] != group:
            raise Foreign(f"there is a program {called} already, which is not of this fleet: {_OTHER_NAME}")
        made = program["number"]
        api.patch(f"/programs/{made}", values)
    roster.add(Feeder(called, group, made))


_OTHER_NAME: Final = "--name has this one called otherwise"


def _group_left(api: API, called: str) -> int | None:
    """The number of a group that was made for a fleet before: nobody is in it."""
    found = _find(api, "/groups", "name", called)
    if found is None:
        return None
    number: int = found["number"]
    for page in api.pages(f"/groups/{number}/devices", {"limit": 1}):
        if page.value["items"]:
            raise Foreign(
                f"there is a group {called} already, with devices that are not of this fleet: {_OTHER_NAME}"
            )
    return number


def _find(api: API, path: str, key: str, name: str) -> dict[str, Any] | None:
    """What is called so in a list: it may be left of a fleet before."""
    for page in api.pages(path, {}):
        for item in page.value["items"]:
            if item[key] == name:
                found: dict[str, Any] = item
                return found
    return None


def _make_aggregator(api: API, roster: Roster, name: str) -> None:
    key, request = _request()
    made = api.post("/devices", {"name": name, "aggregator": True, "csr": request}).value
    roster.keep(name, made["certificate"], key)
    device = made["device"]
    roster.add(Member(name, device["number"], device["lFDI"], device.get("pIN"), 0, is_aggregator=True))


def _make_device(api: API, roster: Roster, name: str, is_managed: bool) -> None:
    place = len(roster.devices)
    called = f"{name}-{place + 1:04}"
    feeder = place // HOUSES + 1
    content: dict[str, Any] = {
        "name": called,
        "groups": [roster.feeders[feeder].group],
        "deviceCategory": f"{category(place):08X}",
        "ders": 1,
    }
    key = b""
    if is_managed:
        # A device of an aggregator may have no certificate at all: its LFDI is drawn (CSIP IG 5.2.2).
        content |= {"lFDI": os.urandom(20).hex().upper(), "manager": roster.aggregators[0].number}
    else:
        key, content["csr"] = _request()
    made = api.post("/devices", content).value
    device = made["device"]
    if not is_managed:
        roster.keep(called, made["certificate"], key)
    roster.add(
        Member(
            called,
            device["number"],
            device["lFDI"],
            device.get("pIN"),
            feeder,
            aggregator=roster.aggregators[0].name if is_managed else "",
        )
    )


def _request() -> tuple[bytes, str]:
    """A new key, and a signing request for it, both in PEM. The key does not leave this machine."""
    key = ec.generate_private_key(ec.SECP256R1())
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return private, request.public_bytes(Encoding.PEM).decode()
