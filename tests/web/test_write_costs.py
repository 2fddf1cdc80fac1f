"""What writes cost: statements, and steps of refusals beside those of what they refuse."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from csipd.db import audit, documents
from csipd.db.database import Transaction
from csipd.db.tree import context
from csipd.db.tree import write as writing
from csipd.refusals import Conflict
from csipd.sep2 import codec, site
from csipd.sep2 import resources as r
from csipd.sep2.site import ROWS
from tests.support.bodies import FULL, MINIMAL
from tests.support.metering import meter, reading, reading_set, usage_point
from tests.support.steps import steps
from tests.support.store import statements
from tests.support.world import AGGREGATOR, NOW, OTHER, OWNER, UNKNOWN, Identity, World

_KIND = re.compile(
    r"\s*(?:WITH.*\)\s*)?(SELECT|INSERT|UPDATE|DELETE)(?:.*?(?:FROM|INTO))?\s+(\w+)", re.DOTALL
)
#: DERStatus as a device that has nothing unusual to say puts it.
STATUS: r.DERStatus = FULL["DERStatus"].replace(manufacturerStatus=None)


def kind(statement: str) -> str:
    """What a statement does, and to which table: UPDATE devices."""
    found = _KIND.match(statement)
    assert found is not None, statement
    return f"{found[1]} {found[2]}"


class _Case(SynchronousTestCase):
    def setUp(self) -> None:
        self.world = World(Path(self.mktemp()))
        self.addCleanup(self.world.close)
        self.numbers = self.world.numbers


class StatementTests(_Case):
    """What is said to the database for a write, once it is known who asks."""

    def said(self, who: Identity, method: str, path: str, body: r.Resource) -> list[str]:
        place = site.locate(path)
        assert place is not None

        def write(transaction: Transaction) -> list[str]:
            connection = transaction.connection
            asked = context.identify(connection, self.world.server, who, place, int(self.world.now))
            with statements(transaction) as said:
                writing.write(transaction, asked, place, method, lambda: body)
            return [kind(each) for each in said]

        return self.world.write(write)

    def put(self, path: str, body: r.Resource, who: Identity = OWNER) -> list[str]:
        return self.said(who, "PUT", path, body)

    def der(self, name: str) -> str:
        return ROWS[name].href((self.numbers.owner, 1))

    def test_measured(self) -> None:
        """Of values that are measured the document is looked at once and written once, by whomever."""
        for name, field in (("DERStatus", "readingTime"), ("DERAvailability", "readingTime")):
            body = FULL[name].replace(**{field: NOW + 1})
            self.assertEqual(self.put(self.der(name), body), ["SELECT documents", "INSERT documents"], name)
        for name in ("PowerStatus", "DeviceStatus"):
            body = FULL[name].replace(changedTime=NOW + 1)
            path = ROWS[name].href((self.numbers.owner,))
            self.assertEqual(self.put(path, body), ["SELECT documents", "INSERT documents"], name)
        path = ROWS["DERStatus"].href((self.numbers.managed, 1))
        said = self.put(path, STATUS.replace(readingTime=NOW + 1), AGGREGATOR)
        self.assertEqual(said, ["SELECT documents", "INSERT documents"])

    def test_nothing_new(self) -> None:
        """A PUT of what is there already costs a look at it; an EndDevice, one more at what may change."""
        for name in ("DERStatus", "DERAvailability", "DERSettings"):
            self.assertEqual(self.put(self.der(name), FULL[name]), ["SELECT documents"], name)
        # The first time that a device says what it supports, that is kept by group.
        self.put(self.der("DERCapability"), FULL["DERCapability"])
        said = self.put(self.der("DERCapability"), FULL["DERCapability"])
        self.assertEqual(said, ["SELECT documents", "SELECT devices"])
        for name in ("PowerStatus", "DeviceStatus", "Configuration"):
            path = ROWS[name].href((self.numbers.owner,))
            self.assertEqual(self.put(path, FULL[name]), ["SELECT documents"], name)
        same = r.EndDevice(lFDI=OWNER.lfdi, sFDI=OWNER.sfdi, changedTime=NOW)
        self.assertEqual(self.put(f"/edev/{self.numbers.owner}", same), ["SELECT devices"] * 2)

    def test_first(self) -> None:
        """Where nothing was put yet it is seen that the DER is there, and the log has a line."""
        place = site.locate(self.der("DERStatus"))
        assert place is not None
        self.world.write(lambda transaction: documents.delete(transaction, place))
        expected = ["SELECT documents"] * 2 + ["INSERT documents", "INSERT audit", "DELETE audit"]
        self.assertEqual(self.put(self.der("DERStatus"), STATUS), expected)

    def test_told_by_the_log(self) -> None:
        """What the audit log tells of costs its line, and the oldest one beyond the number that is kept."""
        line = ["INSERT audit", "DELETE audit"]
        path = ROWS["Configuration"].href((self.numbers.owner,))
        for number in range(3):
            self.patch(audit, "LINES_OF_DEVICE", 1)
            body = FULL["Configuration"].replace(userDeviceName=f"a{number}")
            self.assertEqual(self.put(path, body), ["SELECT documents", "INSERT documents", *line])
        # Ratings and settings are judged together, and what a device supports is looked at.
        self.put(self.der("DERCapability"), FULL["DERCapability"])
        watts = r.ActivePower(multiplier=0, value=5001)
        for name, body, more in (
            ("DERSettings", FULL["DERSettings"].replace(updatedTime=NOW + 1), []),
            ("DERCapability", FULL["DERCapability"].replace(rtgMaxW=watts), ["SELECT devices"]),
        ):
            expected = ["SELECT documents", "INSERT documents", *line, "SELECT documents", *more]
            self.assertEqual(self.put(self.der(name), body), expected, name)

    def test_log_events(self) -> None:
        """A log event is sought, kept and makes room in one statement each; a known one is sought alone."""
        path = ROWS["LogEventList"].href((self.numbers.owner,))
        event = MINIMAL["LogEvent"].replace(profileID=1, createdDateTime=NOW)
        expected = ["SELECT logevents", "INSERT logevents", "DELETE logevents"]
        for number in range(3):
            this = event.replace(logEventID=number)
            self.assertEqual(self.said(OWNER, "POST", path, this), expected)
            self.assertEqual(self.said(OWNER, "POST", path, this), expected[:1])

    def test_alarms(self) -> None:
        """An alarm costs whose it is, what is known of it, its row and the number of those that are open."""
        path = ROWS["LogEventList"].href((self.numbers.owner,))
        event = MINIMAL["LogEvent"].replace(createdDateTime=NOW, functionSet=11, logEventCode=0)
        kept = ["SELECT logevents", "INSERT logevents", "SELECT devices", "SELECT alarms", "SELECT logevents"]
        self.assertEqual(
            self.said(OWNER, "POST", path, event),
            [*kept, "INSERT counts", "INSERT alarms", "DELETE logevents"],
        )
        over = event.replace(createdDateTime=NOW + 1, logEventCode=1)
        self.assertEqual(
            self.said(OWNER, "POST", path, over),
            [*kept, "UPDATE alarms", "DELETE alarms", "INSERT counts", "DELETE logevents"],
        )

    def test_readings(self) -> None:
        """One reading of a MeterReading that is known costs a look at its series, its row, and what is latest
        there: once what the mirror says is known, nothing else is asked."""
        self.world.post(OWNER, "/mup", usage_point(OWNER, "F0", meter("A1")))
        hot = ["SELECT series", "INSERT readings", "UPDATE series"]
        mirror = ["SELECT mirrors", "SELECT meter_readings"]
        for number in range(3):
            body = meter("A1", None, reading(number, NOW - 10 + number))
            expected = hot if number else [*mirror, *hot]
            self.assertEqual(self.said(OWNER, "POST", "/mup/1", body), expected, number)
        # Of a set each reading is a row, and nothing else is asked for each.
        for many in (2, 50):
            body = meter("A1", None, None, reading_set(f"B{many}", [1] * many, NOW - 600))
            said = self.said(OWNER, "POST", "/mup/1", body)
            self.assertEqual(said.count("INSERT readings"), many)
            self.assertLess(len(said) - many, 10)

    def test_responses(self) -> None:
        """An answer costs a look at those before, at what its event is to the device, and its row."""
        (event,) = self.world.document(OWNER, f"/derp/{self.numbers.point_1}/actderc").findall(
            "{*}DERControl"
        )
        mrid = event.findtext("{*}mRID")

        def said(status: int, subject: str | None = mrid) -> list[str]:
            answer = r.DERControlResponse(
                endDeviceLFDI=OWNER.lfdi, subject=subject, createdDateTime=NOW, status=status
            )
            return self.said(OWNER, "POST", "/rsps/1/rsp", answer)

        known = ["SELECT responses"]
        first = [*known, "SELECT controls", "SELECT reach", "INSERT responses"]
        self.assertEqual(said(1), first)
        self.assertEqual(said(1), known)
        self.assertEqual(said(2), [*first[:-1], "UPDATE responses", "INSERT responses"])
        self.assertEqual(
            said(1, "0" * 32), [*known, "SELECT controls", "SELECT responses", "INSERT responses"]
        )


class RefusalTests(_Case):
    """A refusal costs less than what it refuses would have."""

    def cost(self, ask: Callable[[], int], status: int) -> int:
        """Steps of a request; the first time things are made that are kept."""
        self.assertEqual(ask(), status)
        found: list[int] = []
        cost = steps(lambda: found.append(ask()))
        self.assertEqual(found, [status])
        return cost

    def test_steps(self) -> None:
        """Whatever is wrong with a PUT, it takes fewer steps than one that is right."""
        row = ROWS["DERStatus"]
        mine, anothers, nobodys = (
            row.href(ids)
            for ids in ((self.numbers.owner, 1), (self.numbers.other, 1), (self.numbers.owner, 7))
        )
        data = codec.encode(STATUS)
        at_first = data.replace(b"<alarmStatus>", b"<alarmStatus>x")
        at_last = data.replace(b"<storConnectStatus><dateTime>", b"<storConnectStatus><dateTime>x")
        reserved = codec.encode(STATUS.replace(alarmStatus=1 << 31))
        readings = iter(range(NOW, NOW + 10))

        def accepted() -> int:
            return self.world.put(OWNER, mine, STATUS.replace(readingTime=next(readings))).status

        # Without what it takes to make the document here.
        good = self.cost(accepted, 204) - steps(lambda: codec.encode(STATUS.replace(readingTime=NOW + 9)))

        def put(who: Identity, path: str, data: bytes, status: int, **headers: str | None) -> int:
            return self.cost(lambda: self.world.put(who, path, data, headers=headers).status, status)

        for name, cost in {
            "another's": put(OWNER, anothers, data, 404),
            "of no DER": put(OWNER, nobodys, data, 404),
            "by another": put(OTHER, mine, data, 404),
            "by nobody": put(UNKNOWN, mine, data, 404),
            "method": self.cost(lambda: self.world.post(OWNER, mine, data).status, 405),
            "media type": put(OWNER, mine, data, 415, **{"Content-Type": "text/plain"}),
            "too large": put(OWNER, mine, data + b" " * 70_000, 413),
            "cut off": put(OWNER, mine, data[:-3], 400),
            "of another type": put(OWNER, mine, codec.encode(MINIMAL["LogEvent"]), 400),
            "first value": put(OWNER, mine, at_first, 400),
            "last value": put(OWNER, mine, at_last, 400),
            "reserved bits": put(OWNER, mine, reserved, 400),
        }.items():
            self.assertLess(cost, good, name)

    def test_readers_turn(self) -> None:
        """That of which nothing can come, whoever asks, does not take the writers' turn."""
        self.patch(self.world.database, "write", self.fail)
        path = ROWS["DERStatus"].href((self.numbers.owner, 1))
        self.assertEqual(self.world.put(UNKNOWN, path, STATUS).status, 404)
        self.assertEqual(self.world.put(OWNER, path, codec.encode(STATUS) + b" " * 70_000).status, 413)
        plain: dict[str, str | None] = {"Content-Type": "text/plain"}
        self.assertEqual(self.world.put(OWNER, path, STATUS, headers=plain).status, 415)
        self.assertEqual(self.world.put(OTHER, path, STATUS, headers=plain).status, 404)
        for method in ("POST", "DELETE", "PATCH", "OPTIONS"):
            self.assertEqual(self.world.send(OWNER, method, path).status, 405, method)
            self.assertEqual(self.world.send(OTHER, method, path).status, 404, method)

    def test_who_asked_is_known(self) -> None:
        """Who was refused is known the next time: nothing was written before it was looked up."""
        place = site.locate(ROWS["DERStatus"].href((self.numbers.owner, 1)))
        assert place is not None
        asked: list[list[str]] = []

        def refuse(transaction: Transaction) -> None:
            with statements(transaction) as said:
                context.identify(transaction.connection, self.world.server, OWNER, place, NOW)
            asked.append([kind(each) for each in said])
            raise Conflict("no")

        for _ in range(2):
            self.assertRaises(Conflict, self.world.write, refuse)
        self.assertEqual([bool(said) for said in asked], [True, False])

    def test_nothing_is_written(self) -> None:
        """What is refused has changed nothing, and drops no answer."""
        path = ROWS["DERStatus"].href((self.numbers.owner, 1))
        self.world.changed.clear()
        for data in (codec.encode(STATUS)[:-3], codec.encode(STATUS.replace(alarmStatus=1 << 31))):
            self.assertEqual(self.world.put(OWNER, path, data).status, 400)
        self.assertEqual(self.world.put(OTHER, path, STATUS).status, 404)
        self.assertEqual(self.world.changed, [])
