"""Files reconciled with the database: decision by decision, and against a database that is new.

Files are written here as the mappings that YAML would give; what they bring about is read back in their own
words: devices, FSAs, groups and programs by name.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import contextmanager
from copy import deepcopy
from hashlib import sha256
from typing import Any

import sqlalchemy as sa
import yaml
from attrs import frozen
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from csipd.config import Settings, loads
from csipd.db import controls, devices, documents, groups, programs, rates, registration, replacement
from csipd.db.database import Transaction
from csipd.db.tables import audit, metadata
from csipd.db.tables import devices as device_table
from csipd.db.tables import groups as group_table
from csipd.db.tables import programs as program_table
from csipd.der.access import Caller, Policy, Standing
from csipd.reconcile.context import WHO, ReconcileError
from csipd.reconcile.reconciliation import reconcile
from csipd.reconcile.statements import certificate_holders
from csipd.sep2 import identity
from csipd.sep2 import resources as r
from csipd.sep2.site import ROWS, Place
from tests.config.support import SEED
from tests.support.store import ISSUER, NOW, store
from tests.support.world import der_control

Document = dict[str, Any]

#: What devices' own programs have in common.
OWN = programs.OwnPrograms(ISSUER, 3)

SERVER: Document = {"server": "127.0.0.1", "https_port": 7443}
OUT_OF_BAND = {**SERVER, "server_mode": "enddevices_create_on_start"}
NAMEPLATE = {"modesSupported": "7", "type": 4, "rtgMaxW": 6000}
VOLT_VAR = {"description": "Volt-Var", "curveType": "opModVoltVar", "CurveData": [{"xvalue": 1, "yvalue": 2}]}

#: A file with one of everything: a child before its parent, a program of a group, of an FSA, of a device.
WHOLE: Document = {
    **OUT_OF_BAND,
    "curves": [VOLT_VAR],
    "controls": [
        {"description": "Limit", "setESDelay": 30, "base": {"opModMaxLimW": 9500, "opModVoltVar": "Volt-Var"}}
    ],
    "programs": [
        {"description": "Own", "primacy": 89, "default_control": "Limit", "curves": ["Volt-Var"]},
        {"description": "Of the feeder", "primacy": 5},
        {"description": "Of the FSA", "primacy": 7},
    ],
    "fsas": [{"description": "Special", "programs": ["Of the FSA"]}],
    "groups": [
        {"name": "Feeder", "level": "FEEDER", "parent": "Substation", "programs": ["Of the feeder"]},
        {"name": "Substation", "level": "SUBSTATION"},
        {"name": "Campaign"},
    ],
    "devices": [
        {
            "id": "dev1",
            "deviceCategory": "PHOTOVOLTAIC_SYSTEM",
            "pin": 111115,
            "programs": ["Own"],
            "groups": ["Feeder"],
            "ders": [NAMEPLATE],
        },
        {"id": "dev2", "pin": 123455, "fsas": ["Special"]},
    ],
    "aggregators": [{"id": "agg", "devices": ["dev2"]}],
}


def lfdi(id: str) -> str:
    """The LFDI of the certificate with which a test's device of that id comes."""
    return sha256(id.encode()).hexdigest()[:40].upper()


def read(document: Document) -> Settings:
    return loads(yaml.safe_dump(document, sort_keys=False))


@frozen
class Asked:
    """Who asks: what a certificate says."""

    lfdi: str


class Store:
    """A store, and the files that the daemon is started with one after the other."""

    def __init__(self, transaction: Transaction) -> None:
        self.transaction = transaction
        self.connection = transaction.connection
        self.now = NOW

    def start(self, document: Document) -> list[str]:
        """Start with that file; the lines that tell what was changed."""
        return self.start_with(read(document))

    def start_with(self, found: Settings) -> list[str]:
        self.now += 1
        self.transaction.changed.clear()
        lfdis = {one.id: one.lfdi or lfdi(one.id) for one in certificate_holders(found)}
        return reconcile(self.transaction, found, lfdis, ISSUER, self.now)

    def dump(self) -> dict[str, list[tuple[Any, ...]]]:
        """Everything that is stored."""
        return {
            name: [tuple(row) for row in self.connection.execute(sa.select(table))]
            for name, table in metadata.tables.items()
        }

    def row(self, id: str) -> Any:
        """The row of a device."""
        query = sa.select(device_table).where(device_table.c.name == id)
        return self.connection.execute(query).one_or_none()

    def number(self, id: str) -> int:
        number: int = self.row(id).id
        return number

    def caller(self, name: str, policy: Policy | None = None) -> Caller:
        """What a certificate is, by its LFDI."""
        return devices.caller(self.connection, name, identity.sfdi(name), policy or Policy())

    def shown(self, id: str) -> bool:
        """Whether there is an EndDevice of that device."""
        return devices.end_device(self.connection, self.number(id)) is not None

    def manager(self, id: str) -> str | None:
        number = self.row(id).manager
        query = sa.select(device_table.c.name).where(device_table.c.id == number)
        return self.connection.scalar(query)

    def fsas(self, id: str) -> dict[str, list[str]]:
        """The FSAs of a device, each with its programs in their order."""
        device = self.number(id)
        found = groups.programs_of(self.connection, device)
        return {
            name: [self.program(one) for one, assignment in found if assignment == number]
            for number, name in groups.assignments_of(self.connection, device)
        }

    def reached(self, id: str) -> list[str]:
        """The programs that the fleet of an aggregator is in."""
        found = groups.programs_of_fleet(self.connection, self.number(id))
        return [self.program(one) for one, _ in found]

    def program(self, number: int) -> str:
        query = sa.select(program_table.c.description).where(program_table.c.id == number)
        return str(self.connection.scalar(query))

    def program_number(self, description: str) -> int:
        number = programs.find(self.connection, description)
        assert number is not None
        return number

    def primacy(self, description: str) -> int | None:
        """The primacy of a program, if it is not retired."""
        number = programs.find(self.connection, description)
        found = programs.get(self.connection, [] if number is None else [number], OWN)
        return found[number].primacy if number in found else None

    def default(self, program: str) -> Any:
        return self.get("DefaultDERControl", self.program_number(program))

    def curves(self, program: str) -> dict[str, r.DERCurve]:
        """The curves of a program by their descriptions."""
        place = Place(ROWS["DERCurveList"], (self.program_number(program),))
        _, members = documents.page(self.connection, place, documents.ALL)
        found = {}
        for _, curve in members:
            assert isinstance(curve, r.DERCurve) and curve.description is not None
            found[curve.description] = curve
        return found

    def ders(self, id: str) -> int:
        """How many DERs a device has."""
        place = Place(ROWS["DERList"], (self.number(id),))
        return documents.counts(self.connection, [place.href]).get(place.href, 0)

    def capability(self, id: str, number: int = 1) -> Any:
        return self.get("DERCapability", self.number(id), number)

    def put_capability(self, id: str, capability: r.DERCapability) -> None:
        """As the device itself does."""
        device = self.number(id)
        documents.put(
            self.transaction, Place(ROWS["DERCapability"], (device, 1)), capability, self.now, device
        )

    def get(self, row: str, *ids: int) -> Any:
        return documents.get(self.connection, Place(ROWS[row], ids))

    def log(self) -> list[Any]:
        """The audit log."""
        return list(self.connection.execute(sa.select(audit).order_by(audit.c.id)))


@contextmanager
def opened() -> Any:
    with store() as transaction:
        yield Store(transaction)


def capability(watts: int) -> r.DERCapability:
    return r.DERCapability(modesSupported=7, rtgMaxW=r.ActivePower(multiplier=0, value=watts), type=4)


class _Case(SynchronousTestCase):
    def setUp(self) -> None:
        context = opened()
        self.store: Store = context.__enter__()
        self.addCleanup(context.__exit__, None, None, None)
        self.file = deepcopy(WHOLE)

    def start(self) -> list[str]:
        return self.store.start(self.file)

    def entry(self, kind: str, name: str) -> Document:
        """An entry of the file by its name."""
        found: Document = next(
            one for one in self.file[kind] if name in (one.get("id"), one.get("name"), one.get("description"))
        )
        return found

    def drop(self, kind: str, name: str) -> None:
        """Take an entry out of the file."""
        self.file[kind].remove(self.entry(kind, name))


class FirstTests(_Case):
    """A file over a database that is new."""

    def test_devices(self) -> None:
        """Out of band each device exists from the start, with what the file says of it."""
        self.start()
        row = self.store.row("dev1")
        self.assertEqual((row.lfdi, row.sfdi, row.pin), (lfdi("dev1"), identity.sfdi(lfdi("dev1")), 111115))
        self.assertEqual((row.device_category, row.poll_rate), (1 << 21, 900))
        self.assertEqual((row.post_rate, row.wished_post_rate), (None, 900))
        self.assertEqual((row.registered, row.aggregator, row.manager), (self.store.now, False, None))
        self.assertEqual(self.store.caller(lfdi("dev1")).device, row.id)
        self.assertEqual([self.store.ders(id) for id in ("dev1", "dev2")], [1, 1])
        self.assertEqual(self.store.capability("dev1"), capability(6000))

    def test_programs(self) -> None:
        """Programs are in the FSA of their group, in the FSA that names them, or in the one for all."""
        self.start()
        expected = {"Topology": ["Of the feeder"], "Programs": ["Own"]}
        self.assertEqual(self.store.fsas("dev1"), expected)
        self.assertEqual(self.store.fsas("dev2"), {"Special": ["Of the FSA"]})
        self.assertEqual(self.store.primacy("Own"), 89)

    def test_default_and_curves(self) -> None:
        """A program's default control points to the program's own copy of each curve."""
        self.file["programs"].append({**self.entry("programs", "Own"), "description": "Other"})
        self.start()
        for program in ("Own", "Other"):
            number = self.store.program_number(program)
            default = self.store.default(program)
            self.assertEqual((default.description, default.setESDelay), ("Limit", 30))
            self.assertEqual(
                default.DERControlBase,
                r.DERControlBase(opModMaxLimW=9500, opModVoltVar=r.DERCurveLink(href=f"/derp/{number}/dc/1")),
            )
            curve = self.store.curves(program)["Volt-Var"]
            self.assertEqual(curve.CurveData, (r.CurveData(xvalue=1, yvalue=2),))
            self.assertEqual(curve.creationTime, self.store.now, "when it was first seen")

    def test_parents(self) -> None:
        """A group may stand in the file before the one above it, and reaches what that one has."""
        self.file["programs"].append({"description": "Of the substation", "primacy": 9})
        self.entry("groups", "Substation")["programs"] = ["Of the substation"]
        self.start()
        self.assertEqual(self.store.fsas("dev1")["Topology"], ["Of the feeder", "Of the substation"])

    def test_groups(self) -> None:
        """Topology groups share an FSA; each other group has its own, unless the file names one for it."""
        self.entry("devices", "dev1")["groups"] = ["Substation", "Feeder", "Campaign"]
        self.start()
        self.assertEqual(set(self.store.fsas("dev1")), {"Topology", "Campaign", "Programs"})
        self.entry("groups", "Campaign")["fsa"] = "Special"
        self.entry("groups", "Feeder")["fsa"] = "Special"
        self.start()
        self.assertEqual(set(self.store.fsas("dev1")), {"Topology", "Special", "Programs"})
        self.assertEqual(self.store.fsas("dev1")["Special"], ["Of the feeder"])

    def test_aggregator(self) -> None:
        """An aggregator manages itself and its devices, and has no DER."""
        self.start()
        self.assertEqual([self.store.manager(id) for id in ("agg", "dev2", "dev1")], ["agg", "agg", None])
        self.assertEqual(self.store.ders("agg"), 0)
        self.assertTrue(self.store.caller(lfdi("agg")).aggregator)
        self.assertEqual(self.store.reached("agg"), ["Of the FSA"])

    def test_aggregator_by_category(self) -> None:
        """A device of category AGGREGATOR is one."""
        self.file["devices"].append({"id": "boss", "deviceCategory": "AGGREGATOR"})
        self.start()
        self.assertEqual((self.store.row("boss").aggregator, self.store.manager("boss")), (True, "boss"))

    def test_given_lfdi(self) -> None:
        """A device whose certificate was not made here is known by the LFDI that the file gives."""
        self.entry("devices", "dev1")["lfdi"] = lfdi("elsewhere")
        self.start()
        row = self.store.row("dev1")
        self.assertEqual((row.lfdi, row.sfdi), (lfdi("elsewhere"), identity.sfdi(lfdi("elsewhere"))))

    def test_in_band(self) -> None:
        """In band devices are listed, with the PIN and DERs that they will have, and have no EndDevice."""
        self.file["server_mode"] = "enddevices_register_access_only"
        self.start()
        for id in ("dev1", "dev2", "agg"):
            self.assertEqual(self.store.caller(lfdi(id)).standing, Standing.LISTED)
            self.assertFalse(self.store.shown(id))
        asker = self.store.caller(lfdi("dev1"))
        body = r.EndDevice(lFDI=lfdi("dev1"), sFDI=identity.sfdi(lfdi("dev1")), changedTime=0)
        made = registration.register(
            self.store.transaction, asker, body, Policy(in_band=True), self.store.now
        )
        self.assertEqual(made.ids, (self.store.number("dev1"),))
        self.assertEqual((self.store.ders("dev1"), self.store.capability("dev1")), (1, capability(6000)))
        shown = devices.registration(self.store.connection, made.ids[0])
        assert shown is not None
        self.assertEqual(shown.pIN, 111115)
        self.assertEqual(self.store.fsas("dev1"), {"Topology": ["Of the feeder"], "Programs": ["Own"]})

    def test_lines(self) -> None:
        """Every statement is a line for the log, and an entry of the audit log in the file's name."""
        lines = self.start()
        self.assertEqual(
            sorted(lines),
            sorted(
                [
                    *(f"added group {name}" for name in ("Feeder", "Substation", "Campaign")),
                    *(f"added group Program {name}" for name in ("Own", "Of the FSA")),
                    *(f"added program {name}" for name in ("Own", "Of the feeder", "Of the FSA")),
                    "added curve Own / Volt-Var",
                    "added default Own",
                    *(f"added device {id}" for id in ("dev1", "dev2", "agg")),
                    *(f"added ders {id}" for id in ("dev1", "dev2")),
                    "added capability dev1 / 1",
                    "added manager dev2",
                    "added member dev1 / Feeder",
                    "added member dev1 / Program Own",
                    "added member dev2 / Program Of the FSA",
                ]
            ),
        )
        log = self.store.log()
        self.assertEqual({(line.at, line.who) for line in log}, {(self.store.now, WHO)})
        self.assertEqual([f"{line.action} {line.subject}" for line in log], lines)
        self.assertIn(("added", "device dev1"), [(line.action, line.subject) for line in log])

    def test_seed(self) -> None:
        """The file that csipd was ordered with is taken up, and a second start changes nothing."""
        found = loads(SEED.read_text())
        self.assertTrue(self.store.start_with(found))
        self.assertEqual(self.store.fsas("dev1"), {"Programs": ["Program 1"]})
        default = self.store.default("Program 1")
        self.assertEqual(default.DERControlBase, r.DERControlBase(opModConnect=True, opModMaxLimW=9500))
        self.assertEqual(list(self.store.curves("Program 1")), ["Curve 1"])
        self.assertEqual([self.store.ders(id) for id in ("dev1", "dev2")], [2, 1])
        self.assertEqual([self.store.row(id).pin for id in ("dev1", "dev2")], [111115, 12345])
        before = self.store.dump()
        self.assertEqual(self.store.start_with(found), [])
        self.assertEqual(self.store.dump(), before)


class UnchangedTests(_Case):
    """A file that says what it said before."""

    def test_the_same_file(self) -> None:
        """The same file changes nothing, says nothing and tells nobody, however many starts there are."""
        self.start()
        before = self.store.dump()
        for _ in range(2):
            self.assertEqual(self.start(), [])
            self.assertEqual(self.store.transaction.changed, [])
            self.assertEqual(self.store.dump(), before)

    def test_the_same_in_other_words(self) -> None:
        """The order of entries and keys, and defaults that are written out, make no difference."""
        self.start()
        before = self.store.dump()
        for kind in ("devices", "programs", "groups"):
            self.file[kind] = [dict(reversed(one.items())) for one in reversed(self.file[kind])]
        self.entry("devices", "dev2")["poll_rate"] = 900
        self.assertEqual(self.start(), [])
        self.assertEqual(self.store.dump(), before)

    def test_an_operators_changes_stay(self) -> None:
        """What an operator changed stays while the file's own line is what it was."""
        self.start()
        transaction, number = self.store.transaction, self.store.number
        program = self.store.program_number("Own")
        group = groups.find(self.store.connection, "Campaign")
        assert group is not None
        programs.change(transaction, program, group=group, primacy=1)
        programs.set_default(transaction, ISSUER, program, None, NOW)
        feeder = groups.find(self.store.connection, "Feeder")
        assert feeder is not None
        devices.leave(transaction, number("dev1"), feeder, NOW)
        devices.join(transaction, number("dev2"), feeder, NOW)
        devices.update(transaction, number("dev2"), manager=None, pin=987654)
        before = self.store.dump()
        self.assertEqual(self.start(), [])
        self.assertEqual(self.store.dump(), before)
        self.file["devices"].append({"id": "dev3"})
        lines = self.start()
        self.assertEqual(sorted(lines), ["added ders dev3", "added device dev3"])
        self.assertEqual(self.store.primacy("Own"), 1)
        self.assertEqual(self.store.fsas("dev1"), {"Programs": []})
        self.assertEqual(self.store.fsas("dev2")["Topology"], ["Of the feeder"])
        self.assertEqual((self.store.manager("dev2"), self.store.row("dev2").pin), (None, 987654))

    def test_one_line_of_an_entry(self) -> None:
        """A changed line of an entry is brought about; what the entry's other lines say is left alone."""
        self.start()
        device = self.store.number("dev1")
        devices.update(self.store.transaction, device, pin=987654, device_category=4, post_rate=5)
        self.entry("devices", "dev1")["poll_rate"] = 60
        self.assertEqual(self.start(), ["changed device dev1"])
        row = self.store.row("dev1")
        self.assertEqual((row.poll_rate, row.pin, row.device_category, row.post_rate), (60, 987654, 4, 5))

    def test_audit_has_the_values(self) -> None:
        """The audit log says from what to what the file changed; of a PIN, that it did (case B9)."""
        self.start()
        entry = self.entry("devices", "dev1")
        entry["pin"] = 123455
        entry["poll_rate"] = 60
        self.start()
        line = self.store.log()[-1]
        self.assertEqual((line.action, line.subject), ("changed", "device dev1"))
        self.assertEqual(set(line.detail.split("; ")), {"pin", "poll_rate 900 -> 60"})
        self.assertNotIn("123455", line.detail)

    def test_an_aggregators_removal_stays(self) -> None:
        """A device that its aggregator removed is not brought back by a start, nor by another line."""
        self.start()
        registration.unregister(self.store.transaction, self.store.number("dev2"), lfdi("agg"), NOW)
        self.assertEqual(self.start(), [])
        self.entry("devices", "dev2")["poll_rate"] = 60
        self.start()
        self.assertFalse(self.store.shown("dev2"))

    def test_a_withdrawal_stays(self) -> None:
        """What the operator withdrew stays so, whatever the file says or ceases to say (decision 5)."""
        self.start()
        devices.withdraw(self.store.transaction, lfdi("dev1"), "operator", NOW)
        entry = self.entry("devices", "dev1")
        steps: list[Callable[[], object]] = [
            lambda: None,
            lambda: entry.update(poll_rate=60),
            lambda: self.file["devices"].remove(entry),
            lambda: self.file["devices"].append(entry),
        ]
        for step in steps:
            step()
            self.start()
            self.assertEqual(self.store.caller(lfdi("dev1")).standing, Standing.UNKNOWN)
        devices.readmit(self.store.transaction, lfdi("dev1"), "operator", NOW)
        self.assertEqual(self.store.caller(lfdi("dev1")).device, self.store.number("dev1"))

    def test_a_drawn_pin_stays(self) -> None:
        """A device without a PIN in the file gets one, and keeps it while the file gives none."""
        del self.entry("devices", "dev1")["pin"]
        self.start()
        drawn = self.store.row("dev1").pin
        self.assertTrue(identity.pin_is_valid(drawn))
        self.entry("devices", "dev1")["poll_rate"] = 60
        self.start()
        self.assertEqual(self.store.row("dev1").pin, drawn)
        self.entry("devices", "dev1")["pin"] = 222220
        self.start()
        del self.entry("devices", "dev1")["pin"]
        self.start()
        self.assertEqual(self.store.row("dev1").pin, 222220)


class ChangedTests(_Case):
    """A file that says something else: its word goes over an operator's."""

    def setUp(self) -> None:
        super().setUp()
        self.start()

    def test_program(self) -> None:
        """A program gets the file's primacy, whatever the operator made of it; its version rises."""
        number = self.store.program_number("Own")
        programs.change(self.store.transaction, number, group=self.group("Program Own"), primacy=1)
        self.entry("programs", "Own")["primacy"] = 90
        self.assertEqual(self.start(), ["changed program Own"])
        found = programs.get(self.store.connection, [number], OWN)[number]
        self.assertEqual((found.primacy, found.version), (90, 2))

    def group(self, name: str) -> int:
        number = groups.find(self.store.connection, name)
        assert number is not None
        return number

    def test_program_of_another_group(self) -> None:
        """A program that moves to another group is seen by those, and its devices follow it there."""
        self.entry("groups", "Campaign")["programs"] = ["Own"]
        self.start()
        expected = {"Topology": ["Of the feeder"], "Campaign": ["Own"]}
        self.assertEqual(self.store.fsas("dev1"), expected)

    def test_group_of_another_parent(self) -> None:
        """A group that gets another parent takes its members with it."""
        self.file["programs"].append({"description": "Of the system", "primacy": 1})
        self.file["groups"].append({"name": "System", "level": "SYSTEM", "programs": ["Of the system"]})
        self.entry("groups", "Substation")["parent"] = "System"
        lines = self.start()
        self.assertIn("changed group Substation", lines)
        self.assertEqual(self.store.fsas("dev1")["Topology"], ["Of the system", "Of the feeder"])

    def test_fsa_of_a_program(self) -> None:
        """A program that the file puts into an FSA leaves the one for all."""
        self.entry("fsas", "Special")["programs"].append("Own")
        self.assertEqual(
            sorted(self.start()), ["added member dev2 / Program Own", "changed group Program Own"]
        )
        self.assertEqual(self.store.fsas("dev1"), {"Topology": ["Of the feeder"], "Special": ["Own"]})
        self.assertEqual(self.store.fsas("dev2"), {"Special": ["Of the FSA", "Own"]})

    def test_curve(self) -> None:
        """A curve that gets other points stays the curve it was, made when it was; its version rises."""
        before = self.store.curves("Own")["Volt-Var"]
        self.file["curves"][0]["CurveData"][0]["yvalue"] = 7
        self.assertEqual(self.start(), ["changed curve Own / Volt-Var"])
        after = self.store.curves("Own")["Volt-Var"]
        self.assertEqual(after, before.replace(version=1, CurveData=(r.CurveData(xvalue=1, yvalue=7),)))

    def test_default(self) -> None:
        """A default control that changes keeps its mRID, and its version rises."""
        before = self.store.default("Own")
        self.file["controls"][0]["setESDelay"] = 31
        self.assertEqual(self.start(), ["changed default Own"])
        self.assertEqual(self.store.default("Own"), before.replace(version=1, setESDelay=31))

    def test_device(self) -> None:
        """What the file says anew of a device is so, whatever it or the operator made of it."""
        device = self.store.number("dev1")
        devices.update(self.store.transaction, device, pin=987654, device_category=4)
        self.entry("devices", "dev1").update(pin=222220, deviceCategory="FUEL_CELL", post_rate=5)
        self.assertEqual(self.start(), ["changed device dev1"])
        row = self.store.row("dev1")
        self.assertEqual((row.pin, row.device_category, row.post_rate), (222220, 1 << 20, 5))
        self.assertEqual(row.changed_time, self.store.now)

    def test_lfdi(self) -> None:
        """A device with a new certificate is the device it was; the old certificate is nobody's."""
        before = self.store.row("dev1")
        self.entry("devices", "dev1")["lfdi"] = lfdi("another certificate")
        self.assertEqual(self.start(), ["changed device dev1"])
        after = self.store.row("dev1")
        self.assertEqual((after.id, after.registered), (before.id, before.registered))
        self.assertEqual(after.sfdi, identity.sfdi(lfdi("another certificate")))
        self.assertEqual(self.store.caller(lfdi("another certificate")).device, before.id)
        self.assertEqual(self.store.caller(lfdi("dev1")).standing, Standing.UNKNOWN)

    def test_lfdi_of_another(self) -> None:
        """An LFDI that another device of the store has is refused with a line that says whose it would be."""
        self.entry("devices", "dev1")["lfdi"] = lfdi("dev2")
        self.drop("aggregators", "agg")
        self.drop("devices", "dev2")
        message = str(self.assertRaises(ReconcileError, self.start))
        self.assertNotIn("\n", message)
        for part in ("dev1", lfdi("dev2")):
            self.assertIn(part, message)

    def test_service_point_in_use(self) -> None:
        """A device is not put under live controls of another's service point: they are named (case A1)."""
        self.entry("groups", "Feeder")["level"] = "SERVICE_POINT"
        self.start()
        program = programs.find(self.store.connection, "Of the feeder")
        assert program is not None
        made = der_control(self.store.now, self.store.now + 60, 600)
        number = controls.add(self.store.transaction, ISSUER, program, made).ids[1]
        self.entry("devices", "dev2")["groups"] = ["Feeder"]
        with self.store.connection.begin_nested() as part:
            message = str(self.assertRaises(ReconcileError, self.start))
            part.rollback()
        self.assertNotIn("\n", message)
        for word in ("dev2", "Feeder", f"control {number}"):
            self.assertIn(word, message)
        controls.cancel(self.store.transaction, number, False, None, self.store.now)
        self.assertEqual(len(self.start()), 1)

    def test_ders(self) -> None:
        """More DERs are made; fewer take none away, but the file's word on them goes."""
        entry = self.entry("devices", "dev1")
        entry["ders"] = [NAMEPLATE, {**NAMEPLATE, "rtgMaxW": 7000}]
        self.assertEqual(sorted(self.start()), ["added capability dev1 / 2", "changed ders dev1"])
        self.assertEqual((self.store.ders("dev1"), self.store.capability("dev1", 2)), (2, capability(7000)))
        entry["ders"] = [NAMEPLATE]
        self.assertEqual(sorted(self.start()), ["changed ders dev1", "removed capability dev1 / 2"])
        self.assertEqual((self.store.ders("dev1"), self.store.capability("dev1", 2)), (2, None))

    def test_member(self) -> None:
        """A device is moved from group to group, and that it was there stays known."""
        self.entry("devices", "dev1")["groups"] = ["Campaign"]
        lines = ["added member dev1 / Campaign", "removed member dev1 / Feeder"]
        self.assertEqual(sorted(self.start()), lines)
        self.assertEqual(self.store.fsas("dev1"), {"Campaign": [], "Programs": ["Own"]})
        rows = self.store.dump()["memberships"]
        feeder, device = self.group("Feeder"), self.store.number("dev1")
        left = [(since, until) for _, who, what, since, until in rows if (who, what) == (device, feeder)]
        self.assertEqual(left, [(self.store.now - 1, self.store.now)])

    def test_manager(self) -> None:
        """A device goes from one aggregator to another, to none, and back."""
        self.file["aggregators"].append({"id": "rival", "devices": ["dev1"]})
        self.entry("aggregators", "agg")["devices"] = []
        self.assertEqual(
            sorted(self.start()), ["added device rival", "added manager dev1", "removed manager dev2"]
        )
        self.assertEqual([self.store.manager(id) for id in ("dev1", "dev2")], ["rival", None])
        self.entry("aggregators", "agg")["devices"] = ["dev1"]
        self.entry("aggregators", "rival")["devices"] = []
        self.assertEqual(self.start(), ["changed manager dev1"])
        self.assertEqual(self.store.manager("dev1"), "agg")

    def test_mode(self) -> None:
        """Where registration becomes the operator's, those that are listed get their EndDevices."""
        self.file["devices"].append({"id": "dev3"})
        self.file["server_mode"] = "enddevices_register_access_only"
        self.start()
        self.assertFalse(self.store.shown("dev3"))
        self.assertTrue(self.store.shown("dev1"), "what is registered stays so")
        self.file["server_mode"] = "enddevices_create_on_start"
        self.start()
        self.assertTrue(self.store.shown("dev3"))

    def test_device_becomes_aggregator(self) -> None:
        """An id that the file makes an aggregator is one, and may be made a device again."""
        entry = self.entry("devices", "dev1")
        self.drop("devices", "dev1")
        self.file["aggregators"].append({"id": "dev1", "pin": 111115})
        self.start()
        self.assertEqual((self.store.row("dev1").aggregator, self.store.manager("dev1")), (True, "dev1"))
        self.assertTrue(self.store.caller(lfdi("dev1")).aggregator)
        self.drop("aggregators", "dev1")
        self.file["devices"].append(entry)
        self.start()
        self.assertEqual((self.store.row("dev1").aggregator, self.store.manager("dev1")), (False, None))
        self.assertEqual(self.store.fsas("dev1"), {"Topology": ["Of the feeder"], "Programs": ["Own"]})

    def test_managed_device_becomes_aggregator(self) -> None:
        """One that an aggregator managed manages itself when it is one."""
        self.drop("devices", "dev2")
        self.entry("aggregators", "agg")["devices"] = []
        self.file["aggregators"].append({"id": "dev2", "pin": 123455})
        self.start()
        self.assertEqual((self.store.row("dev2").aggregator, self.store.manager("dev2")), (True, "dev2"))


class GoneTests(_Case):
    """What the file no longer speaks of, and speaks of again."""

    def setUp(self) -> None:
        super().setUp()
        self.start()

    def test_device(self) -> None:
        """A device goes without being forgotten, and comes back with all it had."""
        before, entry = self.store.row("dev1"), self.entry("devices", "dev1")
        device = before.id
        documents.put(
            self.store.transaction,
            Place(ROWS["DERStatus"], (device, 1)),
            r.DERStatus(readingTime=1),
            NOW,
            device,
        )
        self.drop("devices", "dev1")
        self.assertEqual(
            sorted(self.start()),
            [
                "kept ders dev1",
                "removed capability dev1 / 1",
                "removed member dev1 / Feeder",
                "removed member dev1 / Program Own",
                "retired device dev1",
            ],
        )
        self.assertEqual(self.store.row("dev1").retired, self.store.now)
        self.assertEqual(self.store.caller(lfdi("dev1")).standing, Standing.UNKNOWN)
        self.assertEqual(self.start(), [])
        self.file["devices"].append(entry)
        self.start()
        after = self.store.row("dev1")
        self.assertEqual((after.id, after.registered, after.pin), (before.id, before.registered, before.pin))
        self.assertEqual(self.store.caller(lfdi("dev1")).device, device)
        self.assertEqual(self.store.fsas("dev1"), {"Topology": ["Of the feeder"], "Programs": ["Own"]})
        self.assertEqual(self.store.get("DERStatus", device, 1), r.DERStatus(readingTime=1))
        self.assertEqual((self.store.ders("dev1"), self.store.capability("dev1")), (1, capability(6000)))

    def test_aggregator(self) -> None:
        """Without its aggregator a device is nobody's, and it is its aggregator's when that is back."""
        entry = self.entry("aggregators", "agg")
        self.drop("aggregators", "agg")
        self.start()
        self.assertIsNone(self.store.manager("dev2"))
        self.assertTrue(self.store.shown("dev2"))
        self.assertEqual(self.store.caller(lfdi("agg")).standing, Standing.UNKNOWN)
        self.file["aggregators"].append(entry)
        self.start()
        self.assertEqual((self.store.manager("dev2"), self.store.manager("agg")), ("agg", "agg"))
        self.assertEqual(self.store.reached("agg"), ["Of the FSA"])

    def test_program(self) -> None:
        """A program goes from every list, and comes back under its number with its default and curves."""
        number, entry = self.store.program_number("Own"), self.entry("programs", "Own")
        mrid = self.store.default("Own").mRID
        self.drop("programs", "Own")
        self.entry("devices", "dev1")["programs"] = []
        self.start()
        self.assertIsNone(self.store.primacy("Own"))
        self.assertEqual(self.store.fsas("dev1"), {"Topology": ["Of the feeder"]})
        self.file["programs"].append(entry)
        self.entry("devices", "dev1")["programs"] = ["Own"]
        self.start()
        self.assertEqual((self.store.program_number("Own"), self.store.primacy("Own")), (number, 89))
        default, curve = self.store.default("Own"), self.store.curves("Own")["Volt-Var"]
        self.assertEqual(default.mRID, mrid)
        place = programs.find_curve(self.store.connection, number, "Volt-Var")
        assert place is not None
        self.assertEqual(default.DERControlBase.opModVoltVar, r.DERCurveLink(href=place.href))
        self.assertEqual(curve.CurveData, (r.CurveData(xvalue=1, yvalue=2),))

    def test_default_and_curve(self) -> None:
        """A program may lose its default and its curve, and get them back."""
        entry = self.entry("programs", "Own")
        before = dict(entry)
        del entry["default_control"], entry["curves"]
        self.assertEqual(sorted(self.start()), ["removed curve Own / Volt-Var", "removed default Own"])
        self.assertEqual((self.store.default("Own"), self.store.curves("Own")), (None, {}))
        entry.update(before)
        self.assertEqual(sorted(self.start()), ["added curve Own / Volt-Var", "added default Own"])
        self.assertEqual(list(self.store.curves("Own")), ["Volt-Var"])

    def test_group(self) -> None:
        """A group stays in the store for what an operator may have put there; the file's members leave it."""
        self.drop("groups", "Feeder")
        del self.entry("devices", "dev1")["groups"]
        self.assertIn("kept group Feeder", self.start())
        self.assertEqual(self.store.fsas("dev1"), {"Programs": ["Own"]})
        names = list(self.store.connection.scalars(sa.select(group_table.c.name)))
        self.assertIn("Feeder", names)
        self.assertEqual(self.store.primacy("Of the feeder"), 5, "its program has a group of its own now")

    def test_removed_by_the_operator_meanwhile(self) -> None:
        """What is to go and is gone already is no error."""
        place = programs.find_curve(self.store.connection, self.store.program_number("Own"), "Volt-Var")
        assert place is not None
        documents.delete(self.store.transaction, place)
        documents.delete(self.store.transaction, Place(ROWS["DERCapability"], (self.store.number("dev1"), 1)))
        self.file = {**OUT_OF_BAND}
        lines = self.start()
        self.assertIn("removed curve Own / Volt-Var", lines)
        self.assertEqual(self.start(), [])


class CapabilityTests(_Case):
    """A DERCapability of the file is served until the device has PUT its own (decision 26)."""

    def setUp(self) -> None:
        super().setUp()
        self.start()

    def say(self, watts: int | None) -> list[str]:
        """The file says another capability, or none."""
        entry = self.entry("devices", "dev1")
        entry["ders"] = [{} if watts is None else {**NAMEPLATE, "rtgMaxW": watts}]
        return self.start()

    def test_the_files_own(self) -> None:
        """While the device has said nothing the file's word holds."""
        self.assertEqual(self.say(7000), ["changed capability dev1 / 1"])
        self.assertEqual(self.store.capability("dev1"), capability(7000))
        self.assertEqual(self.say(None), ["removed capability dev1 / 1"])
        self.assertIsNone(self.store.capability("dev1"))

    def test_what_is_supported(self) -> None:
        """The file's word counts for what a device supports once the device has said something itself."""
        device = self.store.row("dev1").id
        known = (devices.has_modes(self.store.connection, device, modes) for modes in (0, 1 << 20))
        self.say(7000)
        self.assertEqual([*known], [False, False])
        devices.update(self.store.transaction, device, modes=1 << 3)
        self.say(8000)
        supported = capability(8000).modesSupported
        self.assertTrue(devices.has_modes(self.store.connection, device, supported))
        self.assertFalse(devices.has_modes(self.store.connection, device, ~supported & 0xFFFFFFFF))

    def test_the_devices_own(self) -> None:
        """What the device has PUT stands against every later word of the file."""
        self.store.put_capability("dev1", capability(5000))
        for watts in (7000, None, 8000, 9000):
            self.say(watts)
            self.assertEqual(self.store.capability("dev1"), capability(5000))

    def test_device_gone_and_back(self) -> None:
        """It stands too when the device was gone from the file for a while."""
        self.store.put_capability("dev1", capability(5000))
        entry = self.entry("devices", "dev1")
        self.drop("devices", "dev1")
        self.start()
        self.file["devices"].append(entry)
        self.start()
        self.assertEqual(self.store.capability("dev1"), capability(5000))


class TakenOverTests(_Case):
    """A device that the store knew before the file did, by its LFDI."""

    def register(self, name: str, policy: Policy | None = None, **given: Any) -> int:
        """A certificate registers itself, where anyone may."""
        policy = policy or Policy(in_band=True, anyone=True)
        body = r.EndDevice(lFDI=lfdi(name), sFDI=identity.sfdi(lfdi(name)), changedTime=0, **given)
        place = registration.register(
            self.store.transaction, self.store.caller(lfdi(name), policy), body, policy, self.store.now
        )
        return place.ids[0]

    def test_registered_in_band(self) -> None:
        """One that registered in band is taken over with all it has; the file adds what it says."""
        device = self.register("dev1", deviceCategory=4)
        del self.entry("devices", "dev1")["deviceCategory"]
        self.start()
        row = self.store.row("dev1")
        self.assertEqual((row.id, row.registered, row.pin), (device, NOW, 111115))
        self.assertEqual(row.device_category, 4, "of which the file says nothing")
        self.assertEqual(self.store.fsas("dev1"), {"Topology": ["Of the feeder"], "Programs": ["Own"]})

    def test_registered_by_an_aggregator(self) -> None:
        """One that an aggregator registered stays in its fleet."""
        self.start()
        asker = self.store.caller(lfdi("agg"))
        body = r.EndDevice(lFDI=lfdi("dev3"), sFDI=identity.sfdi(lfdi("dev3")), changedTime=0)
        policy = Policy(in_band=True, aggregators_may_add=True)
        made = registration.register(self.store.transaction, asker, body, policy, self.store.now)
        self.file["devices"].append({"id": "dev3", "groups": ["Feeder"]})
        self.start()
        self.assertEqual((self.store.number("dev3"), self.store.manager("dev3")), (made.ids[0], "agg"))
        self.assertIn("Of the feeder", self.store.reached("agg"))

    def test_replaced_certificate(self) -> None:
        """A file that names a certificate that was replaced is overruled, and that is said at every start
        (case B5)."""
        self.start()
        number = self.store.number("dev1")
        old, new = lfdi("dev1"), lfdi("dev1 renewed")
        replacement.replace(self.store.transaction, number, new, "ada", self.store.now)
        self.entry("devices", "dev1")["pin"] = 222226
        for _ in range(2):
            lines = self.start()
            self.assertTrue(any(old in line and "overruled" in line for line in lines), lines)
            self.assertEqual(self.store.row("dev1").lfdi, new)
            self.assertEqual(self.store.number("dev1"), number)

    def test_as_an_aggregator(self) -> None:
        """One that registered as a device is an aggregator when the file says so."""
        device = self.register("agg")
        self.start()
        row = self.store.row("agg")
        self.assertEqual((row.id, row.aggregator, row.manager), (device, True, device))

    def test_under_another_name(self) -> None:
        """A device that gets another id in the file stays what it was, and goes where the file has it."""
        self.start()
        device, entry = self.store.number("dev2"), self.entry("devices", "dev2")
        entry.update(id="renamed", lfdi=lfdi("dev2"), fsas=[], programs=["Own"])
        self.entry("aggregators", "agg")["devices"] = []
        self.start()
        self.assertEqual(self.store.number("renamed"), device)
        self.assertIsNone(self.store.row("dev2"))
        self.assertTrue(self.store.shown("renamed"))
        self.assertEqual(self.store.fsas("renamed"), {"Programs": ["Own"]})
        self.assertIsNone(self.store.manager("renamed"))


class NameTests(_Case):
    """Names that could be taken for one another."""

    def test_group_named_like_a_programs_own(self) -> None:
        """A group of the file whose name is that of a program's own group is the file's."""
        self.file["groups"].append({"name": "Program Own", "fsa": "Mine", "programs": ["Own"]})
        self.start()
        self.assertEqual(self.store.fsas("dev1"), {"Topology": ["Of the feeder"], "Mine": ["Own"]})
        self.assertEqual(self.start(), [])

    def test_fsa_named_like_ours(self) -> None:
        """An FSA of the file may have the name of one of ours: then it is the same."""
        self.file["fsas"].append({"description": "Topology", "programs": ["Own"]})
        self.start()
        self.assertEqual(self.store.fsas("dev1"), {"Topology": ["Of the feeder", "Own"]})


def subset(names: tuple[str, ...]) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from(names), unique=True, max_size=len(names))


@st.composite
def files(draw: st.DrawFn) -> Document:
    """Files of a few names, so that they have much in common with each other."""
    parts = draw(subset(("P1", "P2", "P3")))
    programs = []
    for place, name in enumerate(parts):
        curves = draw(subset(("Volt-Var", "Other")))
        controls = ["Plain"] + ["Curved"] * ("Volt-Var" in curves)
        programs.append(
            {
                "description": name,
                "primacy": place + len(parts) * draw(st.integers(0, 1)),
                "default_control": draw(st.sampled_from([None, *controls])),
                "curves": curves,
            }
        )
    free, owned = list(parts), []
    names = draw(st.permutations(("G1", "G2", "G3")))[: draw(st.integers(0, 3))]
    for place, name in enumerate(names):
        mine = draw(subset(tuple(free))) if free else []
        free = [one for one in free if one not in mine]
        owned.append(
            {
                "name": name,
                "parent": draw(st.sampled_from([None, *names[:place]])),
                "fsa": draw(st.sampled_from([None, "F1", "X"])),
                "programs": mine,
            }
        )
    fsas = [
        {"description": name, "programs": draw(subset(tuple(parts))) if parts else []}
        for name in draw(subset(("F1", "F2")))
    ]
    ids = draw(subset(("d1", "d2", "d3")))
    found = [
        {
            "id": id,
            "pin": draw(st.sampled_from([111115, 222220])),
            "deviceCategory": draw(st.sampled_from(["FUEL_CELL", "PHOTOVOLTAIC_SYSTEM"])),
            "poll_rate": draw(st.sampled_from([60, 900])),
            "programs": draw(subset(tuple(parts))) if parts else [],
            "fsas": [one["description"] for one in fsas if draw(st.booleans())],
            "groups": [name for name in names if draw(st.booleans())],
            "ders": draw(st.lists(st.sampled_from([{}, NAMEPLATE, {**NAMEPLATE, "rtgMaxW": 1}]), max_size=2)),
        }
        for id in ids
    ]
    unmanaged, bosses = list(ids), []
    for id in draw(subset(("a1", "a2"))):
        mine = draw(subset(tuple(unmanaged))) if unmanaged else []
        unmanaged = [one for one in unmanaged if one not in mine]
        bosses.append({"id": id, "pin": 111115, "devices": mine})
    return {
        **OUT_OF_BAND,
        "curves": [
            {**VOLT_VAR, "creationTime": draw(st.sampled_from([5, 6]))},
            {**VOLT_VAR, "description": "Other", "creationTime": 7},
        ],
        "controls": [
            {"description": "Plain", "base": {"opModMaxLimW": draw(st.sampled_from([1, 2]))}},
            {"description": "Curved", "base": {"opModVoltVar": "Volt-Var"}},
        ],
        "programs": programs,
        "groups": owned,
        "fsas": fsas,
        "devices": found,
        "aggregators": bosses,
    }


def picture(state: Store, document: Document) -> dict[str, Any]:
    """What devices and operators see of a store that was last started with that file, by names."""
    seen: dict[str, Any] = {}
    query = sa.select(device_table.c.name).where(device_table.c.retired.is_(None))
    seen["there"] = set(state.connection.scalars(query))
    for entry in (*document["devices"], *document["aggregators"]):
        id = entry["id"]
        row = state.row(id)
        seen[id] = (
            (row.lfdi, row.pin, row.device_category, row.poll_rate, row.post_rate, row.aggregator),
            (row.registered is not None, state.manager(id), state.shown(id), state.fsas(id)),
            [state.capability(id, number) for number in (1, 2)],
            # None is taken away: more than the file says may have stayed.
            state.ders(id) >= len(entry.get("ders", ())),
        )
    for entry in document["aggregators"]:
        seen[entry["id"], "reaches"] = state.reached(entry["id"])
    active = sa.select(program_table.c.description).where(program_table.c.retired.is_(None))
    for name in sorted(state.connection.scalars(active)):
        seen[name] = (state.primacy(name), _plain(state, name))
    return seen


def _plain(state: Store, program: str) -> Any:
    """A program's curves and default, less the numbers and versions that tell how they came about."""
    curves = {name: curve.replace(mRID="", version=None) for name, curve in state.curves(program).items()}
    default = state.default(program)
    if default is None:
        return curves, None
    link = default.DERControlBase.opModVoltVar
    place = programs.find_curve(state.connection, state.program_number(program), "Volt-Var")
    assert link is None or (place is not None and link.href == place.href), "its own curve"
    base = default.DERControlBase.replace(opModVoltVar=link and "linked")
    return curves, default.replace(mRID="", version=None, DERControlBase=base)


class HistoryTests(SynchronousTestCase):
    """Files one after the other."""

    @settings(max_examples=40)
    @given(st.lists(files(), min_size=2, max_size=4))
    def test_the_last_file_counts(self, history: list[Document]) -> None:
        """Where nobody but the file has a say, what is seen is what its last version gives a new store."""
        with opened() as state:
            for document in history:
                state.start(document)
            found = picture(state, history[-1])
            self.assertEqual(state.start(history[-1]), [])
        with opened() as fresh:
            fresh.start(history[-1])
            self.assertEqual(found, picture(fresh, history[-1]))


class RateTests(SynchronousTestCase):
    """Rates of the file against those that operators set."""

    def general(self, store: Store) -> dict[str, int | None]:
        kinds = ("DERList", "MirrorUsagePointList", "MirrorUsagePoint")
        return {kind: rates.commanded(store.connection, kind).general for kind in kinds}

    def test_line_that_changes(self) -> None:
        """An operator's rate stays until the file's own line of it changes, comes or goes (decision 23)."""
        with opened() as store:
            file: Document = {**SERVER, "der_list_poll_rate": 100}

            def set_rates() -> None:
                for kind in self.general(store):
                    rates.set_general(store.transaction, kind, 60)
                group = groups.assignment(store.transaction, "Topology")
                number = groups.put_group(
                    store.transaction, "pilot", parent=None, level=None, assignment=group
                )
                rates.set_of_group(store.transaction, "DERList", number, 7)

            self.assertEqual(store.start(file), ["added rate der_list_poll_rate"])
            set_rates()
            every = {"DERList": 60, "MirrorUsagePointList": 60, "MirrorUsagePoint": 60}
            self.assertEqual(store.start({**file, "time_zone": "UTC"}), [])
            self.assertEqual(self.general(store), every)
            said = store.start({**file, "der_list_poll_rate": 200})
            self.assertEqual(said, ["changed rate der_list_poll_rate"])
            self.assertEqual(self.general(store), {**every, "DERList": None})
            rates.set_general(store.transaction, "DERList", 60)
            self.assertEqual(store.start(SERVER), ["removed rate der_list_poll_rate"])
            self.assertEqual(self.general(store), {**every, "DERList": None})
            said = store.start({**SERVER, "mirror_usage_point_post_rate": 300})
            self.assertEqual(said, ["added rate mirror_usage_point_post_rate"])
            self.assertEqual(set(self.general(store).values()), {None})
            self.assertEqual(list(rates.commanded(store.connection, "DERList").groups.values()), [7])
