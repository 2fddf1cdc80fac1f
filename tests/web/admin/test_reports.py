"""What the operator sees: how the server is, what devices do, answered, reported."""

from __future__ import annotations

from twisted.internet.task import Clock

from csipd.daemon.readings import PAUSE, ReadingSweeps
from csipd.daemon.scheduler import tick
from csipd.db import rollups
from csipd.der.retention import Retention
from csipd.gridappsd.state import BusState
from csipd.net.identity import Identity
from csipd.sep2 import resources as r
from csipd.sep2.types import MODE
from csipd.web.json_form import to_json
from tests.support.bodies import FULL
from tests.support.metering import WATTS, meter, reading_set, usage_point
from tests.support.world import MANAGED, NOW, OWNER
from tests.web.admin.case import Case
from tests.web.admin.examples import CONTROL


def log_event(code: int, at: int, number: int) -> r.LogEvent:
    """A log event of the DER function set (0 and 1: overcurrent comes and goes)."""
    return r.LogEvent(
        createdDateTime=at,
        functionSet=11,
        logEventCode=code,
        logEventID=number,
        logEventPEN=37250,
        profileID=2,
        details="in phase A",
    )


class _Reports(Case):
    def answer(self, who: Identity, control: int, status: int | None, at: int = NOW) -> None:
        """A device answers a control as devices do."""
        mrid = self.office.get(f"/controls/{control}")["control"]["mRID"]
        said = r.DERControlResponse(createdDateTime=at, endDeviceLFDI=who.lfdi, status=status, subject=mrid)
        self.assertEqual(self.world.post(who, "/rsps/1/rsp", said).status, 201)

    def report(self, who: Identity, number: int, event: r.LogEvent) -> None:
        answer = self.world.post(who, f"/edev/{number}/lel", event)
        self.assertEqual(answer.status, 201, str(answer))


class StatusTests(_Reports):
    """How the server is."""

    def test_counts(self) -> None:
        """It counts devices that are not removed, registered ones, programs, controls and open alarms."""
        status = self.office.get("/status")
        self.assertEqual(
            {name: value for name, value in status.items() if name not in ("version", "now")},
            {
                "devices": 11,
                "registered": 7,
                "programs": 6,
                "controls_active": 1,
                "controls_scheduled": 3,
                "alarms_open": 1,
                "notifications_pending": 0,
                "notifications_failing": 0,
                "receivers_failing": 0,
                "subscriptions": 1,
                "mirrors": 0,
                "readings": 0,
                "next_transition": NOW + 600,
            },
        )
        self.report(OWNER, self.numbers.owner, log_event(0, NOW, 1))
        self.office.post("/controls", {"program": 1, **CONTROL})
        self.office.post(f"/devices/{self.numbers.owner}/withdraw", expect=200)
        status = self.office.get("/status")
        found = [status[name] for name in ("devices", "registered", "controls_active", "alarms_open")]
        self.assertEqual(found, [11, 6, 2, 2])

    def test_kept_numbers(self) -> None:
        """Subscriptions and mirrors count as they are made and removed, readings when they are rolled up."""

        def shown() -> list[int | None]:
            status = self.office.get("/status")
            return [status.get(name) for name in ("subscriptions", "mirrors", "readings", "rolled_up_to")]

        n = self.numbers
        sets = reading_set("E1", [2900] * 6, NOW - 3600, 300)
        for who in (OWNER, MANAGED):
            made = self.world.post(who, "/mup", usage_point(who, "F0", meter("A1", WATTS, None, sets)))
            self.assertEqual(made.status, 201)
        wanted = r.Subscription(
            encoding=0,
            level="-S1",
            limit=1,
            notificationURI="https://receiver.example/notified",
            subscribedResource=f"/edev/{n.owner}/fsa",
        )
        kept = self.world.post(OWNER, f"/edev/{n.owner}/sub", wanted)
        self.assertEqual(kept.status, 201, kept.body)
        self.assertEqual(shown(), [2, 2, 0, None])
        clock = Clock()
        sweeps = ReadingSweeps(
            self.world.database, clock, lambda: float(self.world.now), retention=Retention()
        )
        self.patch(rollups, "SERIES_AT_ONCE", 1)
        sweeps.startService()
        self.addCleanup(sweeps.stopService)
        clock.pump([PAUSE] * 10)
        self.assertEqual(shown(), [2, 2, 12, (NOW - rollups.LAG) // 3600 * 3600])
        self.assertEqual(self.world.delete(OWNER, kept.headers["location"]).status, 204)
        self.assertEqual(self.world.delete(OWNER, made.headers["location"]).status, 404)
        self.assertEqual(self.world.delete(MANAGED, made.headers["location"]).status, 204)
        self.assertEqual(shown()[:2], [1, 1])

    def test_bus(self) -> None:
        """How the GridAPPS-D bus is, where there is one: up or down, what was said, what was refused."""
        self.assertNotIn("bus", self.office.get("/status"))
        state = self.office.bus = BusState(broker="broker.example.org:61613")
        self.assertEqual(
            self.office.get("/status")["bus"],
            {
                "broker": "broker.example.org:61613",
                "connections": 0,
                "received": 0,
                "sent": 0,
                "refused": [],
                "commanded": [],
            },
        )
        state.up_since, state.connections, state.received, state.sent = NOW - 60.5, 2, 30, 4
        state.last_error, state.last_error_at = "the connection was lost", NOW - 90.0
        state.refused.update({"unknown devices": 3, "malformed messages": 1})
        state.commanded["controls made"] = 7
        self.assertEqual(
            self.office.get("/status")["bus"],
            {
                "broker": "broker.example.org:61613",
                "up_since": NOW - 61,
                "connections": 2,
                "last_error": "the connection was lost",
                "last_error_at": NOW - 90,
                "received": 30,
                "sent": 4,
                "refused": [
                    {"kind": "malformed messages", "count": 1},
                    {"kind": "unknown devices", "count": 3},
                ],
                "commanded": [{"kind": "controls made", "count": 7}],
            },
        )

    def test_clock(self) -> None:
        """It has the server's time, and when the scheduler last looked at it."""
        self.world.write(lambda transaction: tick(transaction, NOW))
        self.world.now += 40
        status = self.office.get("/status")
        self.assertEqual((status["now"], status["last_tick"]), (NOW + 40, NOW))


class StateTests(_Reports):
    """What a device should be doing and why, and what it said."""

    def test_why(self) -> None:
        """A control or a default of some program holds each mode; what lost one says to whom (case B13)."""
        n = self.numbers
        state = self.office.get(f"/devices/{n.owner}/state")
        acting = {one["mode"]: one for one in state["acting"]}
        self.assertEqual(list(acting), [mode for mode in MODE if mode in acting])
        held = acting["opModFixedW"]
        self.assertEqual((held["control"], held["program"], held["source"]), (n.active, n.point_1, "control"))
        self.assertEqual(
            (held["value"], held["since"], held["until"]), ({"opModFixedW": 5000}, NOW - 300, NOW + 600)
        )
        default = acting["opModConnect"]
        self.assertEqual(
            (default["value"], default["source"], default["program"]),
            ({"opModConnect": True}, "default", n.point_1),
        )
        self.assertNotIn("control", default)
        curve = acting["opModVoltVar"]
        self.assertEqual(curve["value"], {"opModVoltVar": {"href": f"/derp/{n.feeder_a}/dc/{n.curve}"}})
        self.assertNotIn("passed", state)
        made = self.office.post(
            "/controls", {"devices": [n.owner], "duration": 60, "base": {"opModFixedW": 1}}
        )
        self.world.now += 1
        state = self.office.get(f"/devices/{n.owner}/state")
        (held,) = [one for one in state["acting"] if one["mode"] == "opModFixedW"]
        self.assertEqual((held["control"], held["value"]), (made["items"][0]["number"], {"opModFixedW": 1}))
        (passed,) = state["passed"]
        found = (passed["mode"], passed["control"], passed["by"])
        self.assertEqual(found, ("opModFixedW", n.active, made["items"][0]["number"]))

    def test_last_said(self) -> None:
        """Its last status, its open alarms and its responses are there."""
        n = self.numbers
        self.report(OWNER, n.owner, log_event(0, NOW, 1))
        self.answer(OWNER, n.active, 1)
        state = self.office.get(f"/devices/{n.owner}/state")
        (der,) = state["statuses"]
        self.assertEqual(der["der"], 1)
        for name, kind in (
            ("status", "DERStatus"),
            ("settings", "DERSettings"),
            ("availability", "DERAvailability"),
        ):
            expected = to_json(FULL[kind])
            self.assertEqual({key: der[name][key] for key in expected if key != "href"}, expected)
        self.assertEqual([one["logEventCode"] for one in state["alarms"]], [0])
        self.assertEqual([one["control"] for one in state["responses"]], [n.active])
        self.report(OWNER, n.owner, log_event(1, NOW + 1, 2))
        self.assertNotIn("alarms", self.office.get(f"/devices/{n.owner}/state"))

    def test_silent(self) -> None:
        """One that has said nothing, and is told nothing, has an empty state."""
        state = self.office.get(f"/devices/{self.numbers.listed}/state")
        self.assertEqual(state, {"device": self.numbers.listed, "device_name": "listed", "now": NOW})


class AnswerTests(_Reports):
    """Who has answered."""

    def test_counted(self) -> None:
        """Of the devices of a control it counts who has said what, and names those who owe an answer."""
        n = self.numbers
        path = f"/controls/{n.active}/answers"
        self.answer(OWNER, n.active, 1)
        self.answer(OWNER, n.active, 2)
        found = self.office.get(path)
        self.assertEqual((found["control"], found["asked"]), (n.active, 2))
        self.assertEqual((found["received"], found["started"], found["completed"]), (1, 1, 0))

    def test_listed(self) -> None:
        """Responses are listed by control and by device, and those that need a look apart, page by page."""
        n = self.numbers
        for status in (1, 2):
            self.answer(OWNER, n.active, status)
            self.answer(MANAGED, n.active, status)
        self.answer(OWNER, n.scheduled, 1)
        self.answer(OWNER, n.scheduled, None)
        every = [one for page in self.office.pages("/responses", 2) for one in page]
        self.assertEqual([one["number"] for one in every], [6, 5, 4, 3, 2, 1])

        def found(query: str) -> list[int]:
            return [one["number"] for page in self.office.pages(f"/responses?{query}", 1) for one in page]

        self.assertEqual(found(f"control={n.active}"), [4, 3, 2, 1])
        self.assertEqual(found(f"device={n.managed}"), [4, 2])
        self.assertEqual(found(f"device={n.owner}&control={n.scheduled}"), [6, 5])
        self.assertEqual((found("flagged=true"), found("flagged=false")), ([6], [5, 4, 3, 2, 1]))
        self.assertEqual(found("device=77"), [])
        first = every[-1]
        self.assertEqual((first["lFDI"], first["device"], first["status"]), (OWNER.lfdi, n.owner, 1))
        self.assertEqual((first["received"], first["createdDateTime"]), (NOW, NOW))

    def test_what_it_put(self) -> None:
        """DeviceInformation, DeviceStatus and PowerStatus that a device put are shown (case B7)."""
        n = self.numbers
        for path, body in (
            (
                "di",
                r.DeviceInformation(
                    lFDI=OWNER.lfdi,
                    functionsImplemented=1,
                    mfDate=NOW,
                    mfHwVer="1",
                    mfID=7,
                    mfModel="m",
                    mfSerNum="s",
                    primaryPower=1,
                    secondaryPower=0,
                    swActTime=NOW,
                    swVer="2",
                ),
            ),
            ("dstat", r.DeviceStatus(changedTime=NOW, onCount=2, opState=1, opTime=3)),
            ("ps", r.PowerStatus(batteryStatus=1, changedTime=NOW, currentPowerSource=1)),
        ):
            answer = self.world.put(OWNER, f"/edev/{n.owner}/{path}", body)
            self.assertEqual(answer.status, 204, f"{path} {answer}")
        state = self.office.get(f"/devices/{n.owner}/state")
        self.assertEqual(state["information"]["mfSerNum"], "s")
        self.assertEqual((state["device_status"]["onCount"], state["power_status"]["batteryStatus"]), (2, 1))


class LogTests(_Reports):
    """Log events and alarms."""

    def test_log_events(self) -> None:
        """The log events of a device are listed, the last to come first, also those that it deleted."""
        n = self.numbers
        for number in range(1, 4):
            self.report(OWNER, n.owner, log_event(0, NOW + number, number))
        self.report(MANAGED, n.managed, log_event(0, NOW, 1))
        href = self.world.document(OWNER, f"/edev/{n.owner}/lel")[0].get("href")
        assert href is not None
        self.assertEqual(self.world.delete(OWNER, href).status, 204)
        items = [one for page in self.office.pages(f"/devices/{n.owner}/logevents", 2) for one in page]
        self.assertEqual([one["event"]["logEventID"] for one in items], [3, 2, 1])
        self.assertEqual([one["hidden"] for one in items], [True, False, False])
        self.assertEqual(items[2]["event"]["details"], "in phase A")

    def test_alarms(self) -> None:
        """Alarms are listed by device, open and over, page by page."""
        n = self.numbers
        for number, (who, device, code) in enumerate(
            ((OWNER, n.owner, 0), (OWNER, n.owner, 1), (OWNER, n.owner, 2), (MANAGED, n.managed, 0)), 1
        ):
            self.report(who, device, log_event(code, NOW - 9 + number, number))

        def found(query: str) -> list[tuple[int, int]]:
            pages = self.office.pages(f"/alarms{query and '?'}{query}", 1)
            return [(one["device"], one["logEventCode"]) for page in pages for one in page]

        self.assertEqual(found(""), [(n.managed, 0), (n.owner, 2), (n.owner, 0), (n.other, 0)])
        self.assertEqual(found("open=true"), [(n.managed, 0), (n.owner, 2), (n.other, 0)])
        self.assertEqual(found("open=false"), [(n.owner, 0)])
        self.assertEqual(found(f"device={n.owner}&open=true"), [(n.owner, 2)])
        (over,) = self.office.get("/alarms?open=false")["items"]
        self.assertEqual((over["raised"], over["cleared"], over["details"]), (NOW - 8, NOW - 7, "in phase A"))

    def test_close(self) -> None:
        """An operator closes an alarm that its device does not clear, once, and is named there (case A12)."""
        n = self.numbers
        self.report(OWNER, n.owner, log_event(0, NOW + 7200, 1))
        (alarm,) = self.office.get(f"/alarms?open=true&device={n.owner}")["items"]
        self.assertEqual(alarm["raised"], NOW)
        path = f"/alarms/{alarm['number']}/close"
        closed = self.office.post(path, expect=200)
        self.assertEqual((closed["cleared"], closed["closed_by"]), (NOW, "alice"))
        self.assertEqual(self.office.get(f"/alarms?open=true&device={n.owner}"), {"items": [], "total": 0})
        self.assertEqual(self.office.send("POST", path).status, 409)
        self.assertEqual(self.office.send("POST", "/alarms/99/close").status, 404)
