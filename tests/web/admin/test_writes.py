"""What is true of every write: it is logged, done once, done whole, and does no harm to another at once."""

from __future__ import annotations

import json
from typing import Any

import sqlalchemy as sa
from twisted.logger import capturedLogs

from csipd.db import audit, devices, replacement
from csipd.db.database import Transaction
from csipd.db.idempotency import REMEMBERED
from tests.support.memory_tls import Wire
from tests.support.operator import ALICE, BOB, JSON
from tests.support.world import NOW
from tests.web.admin.case import Case
from tests.web.admin.examples import CONTROL, CREATES, DEVICE, WRITES, Example, example

#: What is done by each write, as the audit log has it.
ACTIONS = {
    "addDevice": ("add", "/edev/13"),
    "changeDevice": ("change", "/edev/1"),
    "removeDevice": ("remove", "/edev/1"),
    "registerDevice": ("register", "/edev/3"),
    "withdrawDevice": ("withdraw", "/edev/1"),
    "readmitDevice": ("readmit", "/edev/11"),
    "addDeviceToGroup": ("move", "/edev/1"),
    "removeDeviceFromGroup": ("move", "/edev/1"),
    "moveDevice": ("move", "/edev/1"),
    "addGroup": ("add", "group 7"),
    "changeGroup": ("change", "group 4"),
    "removeGroup": ("remove", "group 6"),
    "addProgram": ("add", "/derp/8"),
    "changeProgram": ("change", "/derp/1"),
    "removeProgram": ("retire", "/derp/6"),
    "hideProgram": ("hide", "/derp/1000000000002"),
    "setDefault": ("set default", "/derp/1"),
    "clearDefault": ("clear default", "/derp/1"),
    "addCurve": ("add curve", "/derp/2"),
    "removeCurve": ("remove curve", "/derp/4"),
    "createControl": ("create", "/derp/1/derc/7"),
    "cancelControl": ("cancel", "/derp/4/derc/1"),
    "replaceCertificate": ("replace certificate", "/edev/1"),
    "sendNotification": ("notify", "/edev/4/sub/1"),
    "endSubscription": ("end subscription", "/edev/4/sub/1"),
    "dropSubscription": ("drop subscription", "/edev/4/sub/1"),
    "closeAlarm": ("close alarm", "/edev/2"),
    "changeGeneralRates": ("change", "pollRate of DERProgramList"),
    "changeGroupRates": ("change", "pollRate of DERProgramList of group 1"),
    "changeDeviceRates": ("change", "pollRate of DERProgramList of /edev/1"),
}


class AuditTests(Case):
    """Every write is a line in the audit log, with who and when."""

    def test_every_write(self) -> None:
        """Who, when, what and of what is logged, once for each write, and can be looked for."""
        self.assertEqual({operation.name for operation in WRITES}, ACTIONS.keys())
        for operation in WRITES:
            world, office = self.fresh()
            world.now += 7
            one = example(operation, world.numbers)
            answer = office.send(one.method, one.path, one.body, who=BOB)
            self.assertEqual(answer.status, operation.status, f"{one}: {answer}")
            # Of rates each that is set is one.
            line, *others = office.log()
            self.assertEqual(len(others), int(operation.name.endswith("Rates")), operation.name)
            found = (line.at, line.who, (line.action, line.subject))
            self.assertEqual(found, (NOW + 7, "bob", ACTIONS[operation.name]), operation.name)
            subject = line.subject.replace(" ", "%20")
            (shown,) = office.get(f"/audit?who=bob&subject={subject}")["items"]
            self.assertEqual((shown["number"], shown["at"], shown["action"]), (line.id, line.at, line.action))

    def test_in_their_order(self) -> None:
        """The log has the newest first, page by page, of one operator or of all."""
        for number in range(7):
            who = (ALICE, BOB)[number % 2]
            self.office.post("/groups", {"name": f"g{number}"}, who=who)
        mine = [one["detail"] for page in self.office.pages("/audit?who=alice", 3) for one in page]
        self.assertEqual(mine, ["g6", "g4", "g2", "g0"])
        pages = list(self.office.pages("/audit", 3))
        found = [one["number"] for page in pages for one in page]
        self.assertEqual(found, sorted(found, reverse=True))
        self.assertEqual([len(page) for page in pages][:2], [3, 3])
        self.assertEqual(self.office.get("/audit?who=nobody"), {"items": [], "total": 0})

    def test_names(self) -> None:
        """Subjects that are devices or programs, or below them, have their names (case B11)."""
        numbers = self.numbers
        self.office.post(f"/devices/{numbers.owner}/withdraw", expect=200)
        self.office.patch(f"/programs/{numbers.system}", {"primacy": 9})
        items = self.office.get("/audit?limit=2")["items"]
        self.assertEqual([one["subject_name"] for one in items], ["SY", "owner"])


class IdempotencyTests(Case):
    """A key makes a request happen once."""

    def again(self, one: Example, **how: Any) -> Any:
        return self.office.send(one.method, one.path, one.body, Idempotency_Key="k", **how)

    def test_every_creation(self) -> None:
        """The same request with the same key again is answered as the first time, and does nothing."""
        for operation in CREATES:
            self.world, self.office = self.fresh()
            one = example(operation, self.numbers)
            first = self.again(one)
            self.assertEqual(first.status, operation.status, f"{one}: {first}")
            self.world.now += 5
            before = self.everything()
            second = self.again(one)
            self.assertEqual((second.status, second.body), (first.status, first.body), operation.name)
            self.assertEqual(second.headers.get("location"), first.headers.get("location"))
            self.assertEqual(self.everything(), before)

    def test_another_request(self) -> None:
        """The same key with another request, be it body or path, is 422, and nothing is done."""
        self.office.post("/groups", {"name": "x"}, Idempotency_Key="k")
        before = self.everything()
        for path, body in (
            ("/groups", {"name": "y"}),
            ("/groups", {"name": "x", "level": 3}),
            ("/devices", DEVICE),
            ("/programs", {"description": "x", "primacy": 1, "group": 1}),
            (f"/devices/{self.numbers.owner}/withdraw", None),
        ):
            found = self.office.refused("POST", path, body, expect=422, Idempotency_Key="k")
            self.assertEqual(found, "the idempotency key k was used for another request", path)
        self.assertEqual(self.everything(), before)
        self.assertEqual(self.office.prepared, [])
        self.office.post("/groups", {"name": "y"}, Idempotency_Key="K")

    def test_another_operator(self) -> None:
        """Keys are each operator's own."""
        self.office.post("/groups", {"name": "x"}, Idempotency_Key="k")
        self.office.post("/groups", {"name": "y"}, who=BOB, Idempotency_Key="k")
        taken = self.office.refused(
            "POST", "/groups", {"name": "x"}, expect=409, who=BOB, Idempotency_Key="l"
        )
        self.assertEqual(taken, "there is a group x already")

    def test_refused(self) -> None:
        """What was refused may be asked again with the same key, and be done then."""
        body = {"description": "x", "primacy": 1, "group": 7}
        self.office.refused("POST", "/programs", body, Idempotency_Key="k")
        self.office.post("/groups", {"name": "seven"})
        self.office.post("/programs", body, Idempotency_Key="k")

    def test_a_day(self) -> None:
        """After a day a key is forgotten, and what is kept of it is gone from the database."""
        self.office.post("/groups", {"name": "x"}, Idempotency_Key="k")
        self.world.now += REMEMBERED - 1
        self.office.post("/groups", {"name": "x"}, Idempotency_Key="k")
        self.world.now += 1
        self.office.refused("POST", "/groups", {"name": "x"}, expect=409, Idempotency_Key="k")
        self.office.post("/groups", {"name": "z"}, Idempotency_Key="k")

    def test_not_for_others(self) -> None:
        """What makes nothing does not remember: it comes to the same anyway, or is asked anew."""
        path = f"/programs/{self.numbers.system}"
        self.office.patch(path, {"primacy": 3}, Idempotency_Key="k")
        self.office.patch(path, {"primacy": 4}, Idempotency_Key="k")
        preview = {"program": self.numbers.system, **CONTROL}
        self.office.post("/controls/preview", preview, expect=200, Idempotency_Key="k")
        self.office.post("/groups", {"name": "x"}, Idempotency_Key="k")


class TogetherTests(Case):
    """Two operators at once."""

    def both(self, one: Example, other: Example, **how: Any) -> list[tuple[int, Any]]:
        """What two requests are answered with that wait for the database together and go to it together."""
        who = (ALICE, BOB)
        asked: list[Any] = []

        def meanwhile(transaction: Transaction) -> None:
            for each, operator in zip((one, other), who, strict=True):
                asked.append(self.office.ask(each.method, each.path, each.body, who=operator, **how))
                self.office.wire(operator).pump()
                self.assertNoResult(asked[-1])

        self.world.write(meanwhile)
        answers = [self.office.wire(each).result(answer) for each, answer in zip(who, asked, strict=True)]
        return [(answer.status, json.loads(answer.body or b"{}")) for answer in answers]

    def test_same_name(self) -> None:
        """Of two who make what there can be only one of, one does."""
        for one, said in (
            (Example("POST", "/groups", {"name": "x"}), "there is a group x already"),
            (
                Example("POST", "/programs", {"description": "x", "primacy": 1, "group": 1}),
                "there is, or was, a program x",
            ),
            (Example("POST", "/devices", DEVICE), "there is a device new already: 13"),
        ):
            (first, _), (second, problem) = self.both(one, one)
            self.assertEqual((first, second, problem["detail"]), (201, 409, said))
        self.assertEqual([line.who for line in self.office.log()], ["alice"] * 3)

    def test_cancel(self) -> None:
        """Of two who cancel one control, one does."""
        one = Example("POST", f"/controls/{self.numbers.active}/cancel", {})
        (first, _), (second, problem) = self.both(one, one)
        self.assertEqual((first, second), (200, 409))
        self.assertEqual(problem["detail"], f"control {self.numbers.active} is cancelled already")
        self.assertEqual([line.who for line in self.office.log()], ["alice"])

    def test_cancel_and_supersede(self) -> None:
        """A control that is cancelled by one and superseded by another ends once, and the other holds."""
        cancel = Example("POST", f"/controls/{self.numbers.active}/cancel", {})
        body = {"program": self.numbers.point_1, "duration": 60, "base": {"opModFixedW": 1}}
        create = Example("POST", "/controls", body)
        for first, second in ((cancel, create), (create, cancel)):
            self.world, self.office = self.fresh()
            statuses = {status for status, _ in self.both(first, second)}
            self.assertLessEqual(statuses, {200, 201, 409})
            self.world.now += 1
            ended = self.office.get(f"/controls/{self.numbers.active}")["status"]
            self.assertIn(ended, ("cancelled", "superseded"))
            self.assertEqual(self.office.get("/controls/7")["status"], "active")
            (acting,) = [
                one
                for one in self.office.get(f"/devices/{self.numbers.owner}/state")["acting"]
                if one["mode"] == "opModFixedW"
            ]
            self.assertEqual(acting["control"], 7)

    def test_two_commands(self) -> None:
        """Of two commands of one second the later one wins."""
        one, other = (
            Example("POST", "/controls", {"program": 1, "duration": 60, "base": {"opModMaxLimW": value}})
            for value in (1, 2)
        )
        self.assertEqual([status for status, _ in self.both(one, other)], [201, 201])
        self.world.now += 1
        items = self.office.get("/controls?program=1")["items"]
        found = [(one["who"], one["status"]) for one in items if "who" in one]
        self.assertEqual(found, [("bob", "active"), ("alice", "superseded")])

    def test_withdraw_and_command(self) -> None:
        """Who is shut out in one write is not commanded in the next."""
        withdraw = Example("POST", f"/devices/{self.numbers.owner}/withdraw")
        command = Example("POST", "/controls", {"devices": [self.numbers.owner], **CONTROL})
        (first, _), (second, problem) = self.both(withdraw, command)
        self.assertEqual((first, second), (200, 400))
        flaw = f"{self.numbers.owner} is no registered device"
        self.assertEqual(problem["errors"], [{"pointer": "/devices/0", "detail": flaw}])

    def test_remove_and_use(self) -> None:
        """What one removes the other no longer uses, and what one uses the other does not remove."""
        remove = Example("DELETE", f"/groups/{self.office.empty}")
        use = Example("PUT", f"/devices/{self.numbers.owner}/groups", {"groups": [self.office.empty]})
        self.assertEqual([status for status, _ in self.both(remove, use)], [204, 400])
        self.world, self.office = self.fresh()
        self.assertEqual([status for status, _ in self.both(use, remove)], [200, 409])

    def test_one_key(self) -> None:
        """Two requests with one key, on their way together, are done once; each operator's key is its own."""
        one = Example("POST", "/groups", {"name": "x"})
        asked: list[Any] = []
        wires = [Wire.plain(self.office.site, self.world.clock) for _ in range(2)]
        for wire in wires:
            self.addCleanup(wire.hang_up)
        headers = {"Content-Type": JSON, "Idempotency-Key": "k"}

        def meanwhile(transaction: Transaction) -> None:
            for wire in wires:
                body = json.dumps(one.body).encode()
                asked.append(wire.client.request(one.method, f"/admin{one.path}", body, headers))
                wire.pump()

        self.world.write(meanwhile)
        first, second = (wire.result(each) for wire, each in zip(wires, asked, strict=True))
        self.assertEqual((first.status, second.status, second.body), (201, 201, first.body))
        self.assertEqual(len(self.office.log()), 1)
        (mine, _), (others, _) = self.both(
            *[Example("POST", "/groups", {"name": "y"})] * 2, Idempotency_Key="l"
        )
        self.assertEqual((mine, others), (201, 409))


class HalfTests(Case):
    """What goes wrong halfway leaves nothing behind."""

    def fail_with(self, error: Exception) -> None:
        def record(*args: Any) -> None:
            raise error

        self.patch(audit, "record", record)
        self.patch(devices, "record", record)
        self.patch(replacement, "record", record)

    def test_every_write(self) -> None:
        """A write that fails at its very end has changed nothing, and notified nobody."""
        full = sa.exc.OperationalError("insert", None, Exception("database or disk is full"))
        with capturedLogs():
            for error, status in ((ZeroDivisionError(), 500), (full, 503)):
                for operation in WRITES:
                    world, office = self.fresh()
                    one = example(operation, world.numbers)
                    self.world, self.office = world, office
                    before, reported = self.everything(), len(world.changed)
                    self.fail_with(error)
                    answer = office.send(one.method, one.path, one.body, Idempotency_Key="k")
                    self.assertEqual(answer.status, status, f"{one}: {answer}")
                    self.assertEqual(
                        (self.everything(), len(world.changed)), (before, reported), operation.name
                    )
        self.flushLoggedErrors(ZeroDivisionError)

    def test_alone(self) -> None:
        """A write that fails does so alone: those that came with it are done."""
        asked: list[Any] = []

        def meanwhile(transaction: Transaction) -> None:
            for name, who in (("x", ALICE), ("Feeder A", BOB)):
                asked.append(self.office.ask("POST", "/groups", {"name": name}, who=who))
                self.office.wire(who).pump()

        self.world.write(meanwhile)
        done = [
            self.office.wire(who).result(each).status for who, each in zip((ALICE, BOB), asked, strict=True)
        ]
        self.assertEqual(done, [201, 409])
        self.assertEqual([line.detail for line in self.office.log()], ["x"])
