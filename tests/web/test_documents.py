"""Every document that is served is valid by the IEEE's schema, with the least and the most in it."""

from __future__ import annotations

import re
from itertools import count
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from lxml import etree
from twisted.trial.unittest import SynchronousTestCase

from csipd.db import controls, devices, documents, group_counts, groups, programs
from csipd.db.database import Transaction
from csipd.sep2 import codec
from csipd.sep2 import resources as r
from csipd.sep2.schema import fields
from csipd.sep2.site import ROWS, SERVED, Place
from tests.support.bodies import FULL, MINIMAL
from tests.support.client import Answer
from tests.support.courier import subscription
from tests.support.examples import fewer
from tests.support.instances import instances
from tests.support.metering import WATTS, meter, reading, reading_set, usage_point
from tests.support.schema import validate
from tests.support.walk import EVERYTHING, judge, walk
from tests.support.ways import both_ways
from tests.support.world import (
    AGGREGATOR,
    EVERYBODY,
    ISSUER,
    LISTED,
    NAMESPACE,
    NOW,
    OWNER,
    RIVAL,
    UNKNOWN,
    World,
    caller,
    end_device,
)

#: What a device PUTs, and where below its EndDevice.
PUT = {
    "DERAvailability": "der/1/dera",
    "DERCapability": "der/1/dercap",
    "DERSettings": "der/1/derg",
    "DERStatus": "der/1/ders",
    "Configuration": "cfg",
    "DeviceInformation": "di",
    "DeviceStatus": "dstat",
    "PowerStatus": "ps",
}
#: What is the server's to say in them.
SERVERS = {
    "href": None,
    "pollRate": None,
    "subscribable": None,
    "PriceResponseCfgListLink": None,
    "SupportedLocaleListLink": None,
    "TimeLink": None,
}
# One longer than a String32, of characters that take most octets.
LONG = "\U0001f50c & <" * 7


class DocumentCase(SynchronousTestCase):
    """A world."""

    def setUp(self) -> None:
        self.world = World(Path(self.mktemp()))
        self.addCleanup(self.world.close)
        self.numbers = self.world.numbers
        self.another = count(1)

    def own(self, resource: r.Resource) -> r.Resource:
        """A resource less what the server says in it."""
        names = {field.name for field in fields(type(resource))}
        return resource.replace(**{name: value for name, value in SERVERS.items() if name in names})


class PutTests(DocumentCase):
    """What devices PUT."""

    def put(self, name: str, resource: Any) -> None:
        """It is taken, given back as it was, and valid then."""
        path = f"/edev/{self.numbers.owner}/{PUT[name]}"
        if name == "DeviceInformation":
            resource = resource.replace(lFDI=OWNER.lfdi)
        answer = self.world.put(OWNER, path, resource)
        self.assertEqual(answer.status, 204, answer)
        got = self.world.get(OWNER, path)
        judge(path, got)
        self.assertEqual(self.own(codec.decode(got.body, type(resource))), self.own(resource))

    def test_least_and_most(self) -> None:
        """The least and the most that a device says is served as it was said, and valid."""
        for name in PUT:
            for body in (MINIMAL[name], FULL[name], MINIMAL[name]):
                self.put(name, body)

    @fewer(2)
    @given(st.sampled_from(sorted(PUT)).flatmap(lambda name: instances(getattr(r, name))))
    def test_anything(self, resource: Any) -> None:
        """So is anything that the model admits, whatever characters and numbers are in it."""
        self.put(type(resource).__name__, resource)

    @fewer(4)
    @given(st.sampled_from(sorted(PUT)).flatmap(lambda name: instances(getattr(r, name), likely=1.0)))
    def test_everything(self, resource: Any) -> None:
        """So is what has every field that there is."""
        self.put(type(resource).__name__, resource)


class BitMapTests(DocumentCase):
    """Bit maps as devices write them."""

    def put(self, name: str, change: Any, **digits: str) -> Answer:
        """PUT a document whose elements of these names hold these digits, as they are."""
        body = codec.encode(MINIMAL[name].replace(**change)).decode()
        for element, text in digits.items():
            body = re.sub(f"<{element}>[^<]*</{element}>", f"<{element}>{text}</{element}>", body)
        return self.world.put(OWNER, self.path(name), body.encode())

    def path(self, name: str) -> str:
        return f"/edev/{self.numbers.owner}/{PUT[name]}"

    def shown(self, name: str, element: str) -> str | None:
        text: str | None = self.world.document(OWNER, self.path(name)).findtext(f".//{{*}}{element}")
        return text

    def test_widths(self) -> None:
        """What a device put in so many octets comes back in as many, in upper case (cases A2, A19)."""
        connect = {"genConnectStatus": r.ConnectStatusType(dateTime=NOW, value=0)}
        cases = (
            ("DERCapability", "modesSupported", {}),
            ("DERSettings", "modesEnabled", {"modesEnabled": 0}),
            ("DERStatus", "alarmStatus", {"alarmStatus": 0}),
        )
        for name, element, change in cases:
            for put, back in (("03", "03"), ("00000003", "00000003"), ("0003", "0003"), ("3", "03")):
                self.assertEqual(self.put(name, change, **{element: put}).status, 204)
                self.assertEqual(self.shown(name, element), back)
        for put, back in (("1", "01"), ("07", "07"), ("1f", "1F")):
            self.assertEqual(self.put("DERStatus", connect, value=put).status, 204)
            self.assertEqual(self.shown("DERStatus", "value"), back)

    def test_operator_sees_the_number(self) -> None:
        """What a device supports is counted by number, however it is written (case A2)."""
        for put in ("03", "00000003"):
            self.assertEqual(self.put("DERCapability", {}, modesSupported=put).status, 204)
            group = self.world.read(lambda connection: groups.find(connection, "Campaign"))
            assert group is not None
            found = self.world.read(
                lambda connection, group=group: group_counts.abilities_under(connection, group)
            )
            self.assertEqual(found, {3: 1})

    def test_reserved_bits(self) -> None:
        """Bits that the standard reserves are refused, and the document stays as it was (case A21)."""
        connect = {"genConnectStatus": r.ConnectStatusType(dateTime=NOW, value=0)}
        store = {"storConnectStatus": r.ConnectStatusType(dateTime=NOW, value=0)}
        good = self.put("DERStatus", {"alarmStatus": 0}, alarmStatus="000007FF")
        self.assertEqual(good.status, 204)
        for change, digits in (
            ({"alarmStatus": 0}, {"alarmStatus": "00000800"}),
            ({"alarmStatus": 0}, {"alarmStatus": "FFFFFFFF"}),
            (connect, {"value": "20"}),
            (store, {"value": "FF"}),
        ):
            answer = self.put("DERStatus", change, **digits)
            self.assertEqual(answer.status, 400, digits)
            self.assertIn(b"<reasonCode>1</reasonCode>", answer.body)
        self.assertEqual(self.shown("DERStatus", "alarmStatus"), "000007FF")

    def test_modes_of_later_editions(self) -> None:
        """All bits of DERControlType have a meaning since the 2023 edition, and are taken (case A21)."""
        self.assertEqual(self.put("DERCapability", {}, modesSupported="FFFFFFFF").status, 204)
        self.assertEqual(self.shown("DERCapability", "modesSupported"), "FFFFFFFF")

    def test_category(self) -> None:
        """An EndDevice whose deviceCategory has bits that the standard has not is refused (case A21)."""
        path = f"/edev/{self.numbers.owner}"
        before = self.world.get(OWNER, path).body
        for category in (0xEFFFFFFF, 1 << 26, 1 << 31):
            answer = self.world.put(OWNER, path, end_device(OWNER).replace(deviceCategory=category))
            self.assertEqual(answer.status, 400, category)
            self.assertIn(b"<reasonCode>1</reasonCode>", answer.body)
        self.assertEqual(self.world.get(OWNER, path).body, before)
        every = end_device(OWNER).replace(deviceCategory=(1 << 26) - 1)
        self.assertEqual(self.world.put(OWNER, path, every).status, 204)

    def test_width_of_a_category(self) -> None:
        """A deviceCategory comes back in the octets in which it was put, for whoever reads it (case A2)."""
        path = f"/edev/{self.numbers.owner}"
        body = codec.encode(end_device(OWNER).replace(deviceCategory=0)).decode()
        for put, back in (("20", "20"), ("200000", "200000"), ("00200000", "00200000"), ("4", "04")):
            sent = body.replace(">00000000<", f">{put}<").encode()
            self.assertEqual(self.world.put(OWNER, path, sent).status, 204)
            self.assertEqual(self.world.document(OWNER, path).findtext("{*}deviceCategory"), back)
            (listed,) = self.world.document(OWNER, "/edev?l=255").iterfind("{*}EndDevice")
            self.assertEqual(listed.findtext("{*}deviceCategory"), back)

        def change(transaction: Transaction) -> None:
            devices.update(transaction, self.numbers.owner, device_category=0x20)

        self.world.write(change)
        self.assertEqual(self.world.document(OWNER, path).findtext("{*}deviceCategory"), "00000020")

    def test_kept_from_before(self) -> None:
        """A document that an earlier version took can still be read (case A21)."""

        def keep(transaction: Transaction) -> None:
            place = Place(ROWS["DERStatus"], (self.numbers.owner, 1))
            status = r.DERStatus(alarmStatus=0xFFFFFFFF, readingTime=NOW)
            documents.put(transaction, place, status, NOW, self.numbers.owner)

        self.world.write(keep)
        self.assertEqual(self.shown("DERStatus", "alarmStatus"), "FFFFFFFF")


class AbilityTests(DocumentCase):
    """What a device supports is kept for the operator as well (DERCapability)."""

    def test_counted(self) -> None:
        """A PUT of it counts in the groups that the device is in, the next PUT instead of it."""

        def abilities() -> dict[int, int]:
            def read(connection: Any) -> dict[int, int]:
                group = groups.find(connection, "Campaign")
                assert group is not None
                return group_counts.abilities_under(connection, group)

            return self.world.read(read)

        path = f"/edev/{self.numbers.owner}/{PUT['DERCapability']}"
        # It is served already, but it is not the device that has said it.
        self.assertEqual(abilities(), {-1: 1})
        for modes in (0x100000, 3, 0, 0x100000):
            body = FULL["DERCapability"].replace(modesSupported=modes)
            self.assertEqual(self.world.put(OWNER, path, body).status, 204)
            self.assertEqual(abilities(), {modes: 1})


class MadeTests(DocumentCase):
    """What the server makes, and the operator gives."""

    def judge_all(self, *callers: Any) -> dict[str, bytes]:
        """Everything that these callers are led to; by the name of its type and the path."""
        found = {}
        for who in callers:
            for path, answer in walk(self.world, who).items():
                if answer.status == 200:
                    judge(path, answer)
                    found[path] = answer.body
        return found

    def test_every_type(self) -> None:
        """Every type that is served is among the documents that are judged."""
        self.world.post(OWNER, "/rsps/1/rsp", r.Response(endDeviceLFDI=OWNER.lfdi, subject="A"))
        self.world.post(OWNER, f"/edev/{self.numbers.owner}/lel", FULL["LogEvent"])
        self.world.post(OWNER, f"/edev/{self.numbers.owner}/sub", subscription("/edev"))
        metered = meter("A1", WATTS, reading(5), reading_set("B1", [1, 2]))
        self.world.post(OWNER, "/mup", usage_point(OWNER, "F0", metered))
        found = self.judge_all(OWNER, AGGREGATOR)
        roots = {etree.fromstring(body).tag.removeprefix(NAMESPACE) for body in found.values()}
        self.assertEqual(roots, {row.resource_type.__name__ for row in SERVED.values()})

    def test_nothing_in_it(self) -> None:
        """A device without groups, reports or anything else has valid documents."""
        self.world.post(LISTED, "/edev", end_device(LISTED))
        found = self.judge_all(LISTED, UNKNOWN)
        device = f"/edev/{self.numbers.listed}"
        for path in (f"{device}/fsa{EVERYTHING}", f"/derp{EVERYTHING}", f"{device}/der/1/derp{EVERYTHING}"):
            self.assertEqual(etree.fromstring(found[path]).get("all"), "0", path)
        self.assertNotIn(b"CurrentDERProgramLink", found[f"{device}/der/1"])

    def test_bare_program(self) -> None:
        """A program without controls, curves or default, in an FSA of its own, is valid."""

        def set_up(transaction: Transaction) -> None:
            fsa = groups.assignment(transaction, LONG)
            group = groups.put_group(transaction, LONG, parent=None, level=None, assignment=fsa)
            programs.add(transaction, ISSUER, group, LONG, 255)
            devices.join(transaction, self.numbers.foreign, group, NOW)

        self.world.write(set_up)
        found = self.judge_all(RIVAL)
        descriptions = {
            element.text
            for body in found.values()
            for element in etree.fromstring(body).iter(f"{NAMESPACE}description")
        }
        self.assertIn(LONG[:32], descriptions)

    @fewer(4)
    @given(
        instances(r.DERControl, likely=0.9),
        instances(r.DefaultDERControl, likely=0.9),
        instances(r.DERCurve, likely=0.9),
        instances(r.EventStatus, likely=0.9),
        st.sampled_from(["it stands", "superseded", "cancelled", "cancelled, randomised"]),
    )
    def test_operators(self, control: Any, default: Any, curve: Any, status: Any, fate: str) -> None:
        """Any control, default and curve that the model admits is served valid, in lists and by itself,
        whatever becomes of the control.
        """
        base = _local(control.DERControlBase)
        control = control.replace(
            href=None,
            DERControlBase=base,
            creationTime=control.creationTime % NOW,
            # One that lasts no time is over when it is made: every door refuses it (sep2/rules/events.py).
            interval=control.interval.replace(
                start=NOW + control.interval.start % 1000, duration=max(control.interval.duration, 1)
            ),
        )
        default = default.replace(href=None, DERControlBase=_local(default.DERControlBase))

        def set_up(transaction: Transaction) -> list[str]:
            group = groups.find(transaction.connection, "Campaign")
            assert group is not None
            program = programs.add(transaction, ISSUER, group, f"program {next(self.another)}", 5)
            programs.set_default(transaction, ISSUER, program, default, NOW)
            made = controls.add(transaction, ISSUER, program, control)
            if fate == "superseded":
                controls.add(transaction, ISSUER, program, control)
            elif fate != "it stands":
                controls.cancel(transaction, made.ids[1], fate.endswith("randomised"), status.reason, NOW)
            return [
                f"/derp/{program}/derc?l=9",
                f"/derp/{program}/dc?l=9",
                made.href,
                programs.add_curve(transaction, ISSUER, program, curve.replace(href=None), NOW).href,
                f"/derp/{program}/dderc",
            ]

        for path in self.world.write(set_up):
            judge(path, self.world.get(OWNER, path))

    def test_everybodys(self) -> None:
        """Error documents are valid too, for everybody."""
        for who in (*EVERYBODY.values(), caller("anybody")):
            for method, path in (("GET", "/edev/99"), ("POST", "/dcap"), ("FOO", "/"), ("POST", "/edev")):
                answer = self.world.send(who, method, path, b"" if method == "POST" else None)
                self.assertGreaterEqual(answer.status, 400)
                validate(answer.body)


def _local(base: Any) -> Any:
    """A base whose curves are where there are some."""
    curve = r.DERCurveLink(href="/derp/2/dc/1")
    return base.replace(
        **{name: curve for name, value in vars(base).items() if isinstance(value, r.DERCurveLink)}
    )


both_ways(globals())
