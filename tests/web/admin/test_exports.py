"""Exports: answers in portions, as JSON and CSV, however long they are and whoever reads them."""

from __future__ import annotations

import csv
import json
from hashlib import sha256
from io import StringIO
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from twisted.internet.defer import fail

from csipd.daemon.services import ADMIN_LIMITS
from csipd.db.database import Transaction
from csipd.db.tables import alarms, responses
from csipd.net.identity import identify_by
from csipd.net.tls import ServerTLS, TLSSettings
from csipd.net.tls_factory import TLSFactory
from csipd.refusals import Unavailable
from csipd.sep2 import identity
from csipd.sep2 import resources as r
from csipd.web.admin import exports
from tests.support import pki
from tests.support.client import ClientTLS
from tests.support.memory_tls import Wire
from tests.support.operator import BOB, Office
from tests.support.store import lfdi
from tests.support.world import LAB, NOW, OWNER
from tests.web.admin.case import Case


class ExportCase(Case):
    """Responses, alarms and log events that there are many of."""

    def answer(self, path: str, **how: Any) -> Any:
        return self.office.send("GET", f"/exports/{path}", **how)

    def rows(self, path: str) -> list[dict[str, Any]]:
        """The rows of an export as JSON."""
        answer = self.answer(path)
        self.assertEqual((answer.status, answer.headers["content-type"]), (200, "application/json"))
        found = json.loads(answer.body)
        assert isinstance(found, list)
        return found

    def lines(self, path: str) -> list[dict[str, str]]:
        """The rows of an export as CSV."""
        answer = self.answer(path)
        self.assertEqual(answer.status, 200)
        self.assertTrue(answer.headers["content-type"].startswith("text/csv; charset=utf-8"))
        return list(csv.DictReader(StringIO(answer.body.decode(), newline="")))

    def many_responses(self, number: int, device: int | None = None) -> None:
        """One a second from now on."""
        of = device or self.numbers.owner
        rows = [
            {
                "control": self.numbers.active,
                "subject": "0" * 32,
                "lfdi": lfdi(of),
                "device": of,
                "status": 1,
                "received": NOW + second,
                "body": b"",
            }
            for second in range(number)
        ]

        def insert(transaction: Transaction) -> None:
            transaction.connection.execute(sa.insert(responses), rows)

        self.world.write(insert)
        self.world.database.lacks.clear()  # no device has asked for anything yet


class PeriodTests(ExportCase):
    """Which rows."""

    def test_responses(self) -> None:
        """A period has what came from its beginning until before its end, the oldest first."""
        self.many_responses(10)
        self.many_responses(10, self.numbers.other)
        self.world.now += 100
        found = self.rows(f"responses?since={NOW + 3}&until={NOW + 5}")
        self.assertEqual([one["received"] - NOW for one in found], [3, 3, 4, 4])
        for query in (f"device={self.numbers.other}", f"control={self.numbers.active}"):
            found = self.rows(f"responses?since={NOW + 8}&{query}")
            self.assertEqual({one["received"] - NOW for one in found}, {8, 9}, query)
        found = self.rows(f"responses?device={self.numbers.other}&control={self.numbers.active}")
        self.assertEqual(len(found), 10)
        self.assertEqual({one["device_name"] for one in found}, {"other"})
        self.assertEqual(self.rows(f"responses?control={self.numbers.ended}"), [])

    def test_ends(self) -> None:
        """Without an end it has what was there when it was asked for."""
        self.many_responses(3)
        self.assertEqual(len(self.rows("responses")), 1)
        self.world.now += 2
        self.assertEqual(len(self.rows("responses")), 3)

    def test_alarms(self) -> None:
        """Alarms are exported by when they were raised."""
        raised = self.office.get(f"/alarms?device={self.numbers.other}")["items"][0]["raised"]
        (found,) = self.rows(f"alarms?since={raised}&until={raised + 1}")
        self.assertEqual((found["device"], found["number"]), (self.numbers.other, self.office.alarm))
        self.assertNotIn("cleared", found)
        self.assertEqual(self.rows(f"alarms?since={raised + 1}"), [])
        self.assertEqual(len(self.rows(f"alarms?device={self.numbers.other}")), 1)
        self.assertEqual(self.rows(f"alarms?device={self.numbers.owner}"), [])

    def test_log_events(self) -> None:
        """Log events are exported by when they came; the log of a device has a period, too."""
        n = self.numbers
        events = [
            r.LogEvent(
                createdDateTime=NOW - 50,
                functionSet=11,
                logEventCode=0,
                logEventID=number,
                logEventPEN=37250,
                profileID=2,
                details="=1+1",
            )
            for number in range(3)
        ]
        for event in events:
            self.world.now += 10
            self.assertEqual(self.world.post(OWNER, f"/edev/{n.owner}/lel", event).status, 201)
        found = self.rows(f"logevents?since={NOW + 20}")
        self.assertEqual([(one["logEventID"], one["received"] - NOW) for one in found], [(1, 20), (2, 30)])
        self.assertEqual(len(self.rows(f"logevents?device={n.owner}&until={NOW + 20}")), 1)
        page = self.office.get(f"/devices/{n.owner}/logevents?since={NOW + 11}&until={NOW + 30}")
        self.assertEqual([one["event"]["logEventID"] for one in page["items"]], [1])
        self.assertEqual(page["total"], 1)
        first = self.lines("logevents?format=csv")[0]
        self.assertEqual(first["details"], "'=1+1", "no spreadsheet takes it for a formula")
        self.assertEqual(first["received"], "2026-01-01T00:00:10Z")
        self.assertEqual((first["hidden"], first["extendedData"]), ("false", ""))


class PortionTests(ExportCase):
    """How they come."""

    def test_same(self) -> None:
        """Both formats have the same rows, in however many portions they come."""
        self.many_responses(25)
        self.world.now += 100
        whole = self.rows("responses")
        self.patch(exports, "ROWS", 7)
        self.assertEqual(self.rows("responses"), whole)
        lines = self.lines("responses?format=csv")
        self.assertEqual([line["number"] for line in lines], [str(one["number"]) for one in whole])
        self.assertEqual(len(whole), 25)

    def test_reads(self) -> None:
        """Each portion is a read of its own, in the operators' lane."""
        self.many_responses(25)
        self.world.now += 100
        self.patch(exports, "ROWS", 10)
        shares = []
        read = self.world.back.read

        def count(operation: Any, share: Any) -> Any:
            shares.append(share.kind.name)
            return read(operation, share)

        self.patch(self.world.back, "read", count)
        self.rows("responses")
        self.assertEqual(shares, ["OPERATORS"] * 3)

    def test_empty(self) -> None:
        """Of nothing there is an empty array, and a line of names."""
        self.assertEqual(self.answer("responses").body, b"[]\n")
        (line, rest) = self.answer("responses?format=csv").body.split(b"\r\n")
        self.assertTrue(line.startswith(b"number,received,createdDateTime,device,"))
        self.assertEqual(rest, b"")

    def test_head(self) -> None:
        """HEAD has no body, and the connection goes on."""
        self.assertEqual(self.office.wire().result(self.office.ask("GET", "/exports/responses")).status, 200)
        wire = self.office.wire()
        data = b"HEAD /admin/exports/responses HTTP/1.1\r\nHost: localhost\r\n\r\n"
        wire.client.raw(data + data.replace(b"HEAD", b"GET"), bodiless=True)
        wire.pump()
        said = wire.client.received[-2000:].split(b"HTTP/1.1 200 OK")
        self.assertEqual(said[-1].partition(b"\r\n\r\n")[2], b"3\r\n[]\n\r\n0\r\n\r\n")
        self.assertEqual(said[-2].partition(b"\r\n\r\n")[2], b"")

    def test_slow_client(self) -> None:
        """A client that does not read holds up its own export alone, and no more than some portions wait."""
        self.many_responses(4000)
        self.world.now += 10_000
        self.patch(exports, "ROWS", 100)
        reads = []
        read = self.world.back.read

        def count(operation: Any, share: Any) -> Any:
            reads.append(share)
            return read(operation, share)

        self.patch(self.world.back, "read", count)
        wire = self.office.wire()
        wire.reading = False
        answer = self.office.ask("GET", "/exports/responses")
        wire.pump()
        held = len(reads)
        self.assertLess(held, 8)
        self.assertLess(wire.server_waiting, 200_000)
        self.assertNoResult(answer)
        # Others are answered meanwhile.
        self.assertEqual(self.office.send("GET", "/status", who=BOB).status, 200)
        # It takes longer than an answer may that comes at once: each portion has its own time.
        for _ in range(8):
            wire.advance(20)
            wire.take_once()
            self.assertLess(wire.server_waiting, 200_000)
        wire.reading = True
        self.assertEqual(len(json.loads(wire.result(answer).body)), 4000)

    def test_dead_client(self) -> None:
        """A client that takes nothing for so long is cut, and nothing more is read for it."""
        self.many_responses(4000)
        self.world.now += 10_000
        self.patch(exports, "ROWS", 100)
        wire = self.office.wire()
        wire.reading = False
        answer = self.office.ask("GET", "/exports/responses")
        wire.pump()
        wire.advance(ADMIN_LIMITS.drain_seconds + 1)
        wire.reading = True
        wire.pump()
        self.failureResultOf(answer)

    def test_refused(self) -> None:
        """What is wrong with the request, or with the store at its beginning, is a problem document."""
        self.assertEqual(self.office.refused("GET", "/exports/responses?format=xml")[0][0], "format")
        self.assertEqual(self.office.refused("GET", "/exports/responses?since=x")[0][0], "since")
        self.patch(self.world.back, "read", lambda operation, share: fail(Unavailable("the disk is gone")))
        answer = self.answer("responses")
        self.assertEqual((answer.status, answer.headers["retry-after"] != ""), (503, True))

    def test_cut(self) -> None:
        """Where the store fails in the midst of it nobody takes the answer for whole: it has no end."""
        self.many_responses(25)
        self.world.now += 100
        self.patch(exports, "ROWS", 10)
        read, reads = self.world.back.read, []

        def fails(operation: Any, share: Any) -> Any:
            reads.append(share)
            return read(operation, share) if len(reads) < 3 else fail(Unavailable("the disk is gone"))

        self.patch(self.world.back, "read", fails)
        wire = self.office.wire()
        answer = self.office.ask("GET", "/exports/responses")
        wire.pump()
        self.failureResultOf(answer)
        self.assertTrue(wire.closed)
        self.assertFalse(wire.client.received.endswith(b"0\r\n\r\n"))

    def test_bug(self) -> None:
        """A fault of the code in the midst of it cuts the answer, too, and is logged."""
        self.many_responses(25)
        self.world.now += 100
        self.patch(exports, "ROWS", 10)
        read, reads = self.world.back.read, []

        def fails(operation: Any, share: Any) -> Any:
            reads.append(share)
            return read(operation, share) if len(reads) < 3 else fail(ZeroDivisionError())

        self.patch(self.world.back, "read", fails)
        wire = self.office.wire()
        answer = self.office.ask("GET", "/exports/responses")
        wire.pump()
        self.failureResultOf(answer)
        self.assertTrue(wire.closed)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)


class TLSTests(ExportCase):
    """Over TLS, as they come."""

    def test_slow_client(self) -> None:
        """A client that reads now and then gets all of it, while little waits for it on the server's side."""
        folder = Path(self.mktemp())
        pki.write(folder, LAB, server=LAB.server("localhost"))
        settings = TLSSettings(
            private_key=folder / "private" / "server.pem",
            certificate=folder / "certs" / "server.crt",
            trust_roots=(folder / "certs" / "ca.crt",),
        )
        operator = LAB.admin()
        names = {sha256(operator.der).hexdigest().upper(): "alice"}
        office = Office(self.world, identify_by(identity.lfdi), names)
        self.addCleanup(office.close)
        factory = TLSFactory(
            ServerTLS(settings, now=lambda: self.world.now), office.site, clock=self.world.clock
        )
        wire = Wire.tls(factory, ClientTLS(operator, trust=LAB), self.world.clock)
        self.addCleanup(lambda: None if wire.closed else wire.hang_up())
        wire.client.takes_chunks = True
        wire.pump()
        self.many_responses(4000)
        self.world.now += 10_000
        answer = wire.client.get("/admin/exports/responses?format=csv")
        wire.reading = False
        for _ in range(100):
            wire.pump()
            self.assertLess(wire.server_waiting, 300_000)
            wire.take_once()
            if wire.client.is_idle:
                break
        self.assertEqual(wire.result(answer).body.count(b"\r\n"), 4001)


class WrittenTests(ExportCase):
    """Values in their form."""

    def test_texts(self) -> None:
        """Whatever is in a text comes back out of both formats."""

        def insert(transaction: Transaction) -> None:
            transaction.connection.execute(
                sa.insert(alarms).values(
                    device=self.numbers.owner,
                    function_set=11,
                    code=0,
                    raised=NOW - 10,
                    details='a "quoted", ü\nline',
                )
            )

        self.world.write(insert)
        path = f"alarms?device={self.numbers.owner}"
        self.assertEqual(self.rows(path)[0]["details"], 'a "quoted", ü\nline')
        self.assertEqual(self.lines(f"{path}&format=csv")[0]["details"], 'a "quoted", ü\nline')
