"""Rates through the operator's API: set, shown, told of beforehand, and kept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from csipd.der.rates import RESOURCES
from tests.support.operator import Office
from tests.support.world import OTHER, OWNER, World
from tests.web.admin.case import Case

KIND = "DERProgramList"


def wanted(seconds: int, resource: str = KIND) -> dict[str, Any]:
    return {"rates": [{"resource": resource, "seconds": seconds}]}


class RateTests(Case):
    """``/admin/rates``."""

    def change(self, path: str, seconds: int, resource: str = KIND) -> dict[str, Any]:
        answer = self.office.send("PATCH", f"{path}/rates", wanted(seconds, resource))
        self.assertEqual(answer.status, 200, answer)
        return self.item(path, resource)

    def item(self, path: str, resource: str = KIND) -> dict[str, Any]:
        items = self.office.get(f"{path}/rates")["items"]
        self.assertEqual(tuple(one["resource"] for one in items), RESOURCES)
        (found,) = (one for one in items if one["resource"] == resource)
        return {name: value for name, value in found.items() if name not in ("resource", "attribute")}

    def preview(self, path: str, seconds: int, resource: str = KIND) -> list[str]:
        answer = self.office.send("POST", f"{path}/rates/preview", wanted(seconds, resource))
        self.assertEqual(answer.status, 200, answer)
        said: list[str] = json.loads(answer.body)["summary"]
        return said

    def shown(self, who: Any) -> int:
        return int(self.world.document(who, "/derp").get("pollRate") or 0)

    def test_set_and_unset(self) -> None:
        """A rate that is set counts at once and says whose word it is; unset, what is behind it counts."""
        device = f"/devices/{self.numbers.owner}"
        standard = {"seconds": 900, "source": "standard"}
        self.assertEqual(self.item(""), {**standard, "groups": 0, "devices": False})
        self.change("", 500)
        self.assertEqual(self.item(device), {"seconds": 500, "source": "general"})
        self.change("/groups/1", 400)
        of_group = {"seconds": 400, "source": "group", "group": 1, "group_name": "System"}
        self.assertEqual(self.item("/groups/4"), of_group)
        self.assertEqual(self.item(device), of_group)
        self.assertEqual(self.change(device, 100), {"seconds": 100, "source": "device"})
        self.assertEqual((self.shown(OWNER), self.shown(OTHER)), (100, 400))
        general = self.item("")
        self.assertEqual((general["seconds"], general["groups"], general["devices"]), (500, 1, True))
        self.assertEqual(self.change(device, 0), of_group)
        self.change("/groups/1", 0)
        self.assertEqual(self.change("", 0)["source"], "standard")
        self.assertEqual((self.shown(OWNER), self.shown(OTHER)), (900, 900))

    def test_lists(self) -> None:
        """What was set for groups and devices is listed by their numbers, page by page."""
        self.change("/groups/4", 300)
        self.change("/groups/2", 200)
        self.change("/groups/2", 100, "Time")
        first, second, third = self.numbers.owner, self.numbers.other, self.numbers.bare
        self.change(f"/devices/{first}", 60)
        self.change(f"/devices/{second}", 50, "EndDevice")
        self.change(f"/devices/{third}", 40, "Registration")
        self.change(f"/devices/{third}", 30, "DERList")
        groups = [one for page in self.office.pages("/rates/groups", 1) for one in page]
        self.assertEqual(
            [(one["number"], one["name"], len(one["rates"])) for one in groups],
            [(2, "Feeder A", 2), (4, "Point 1", 1)],
        )
        devices = [one for page in self.office.pages("/rates/devices", 1) for one in page]
        found = {
            one["number"]: {each["resource"]: each["seconds"] for each in one["rates"]} for one in devices
        }
        self.assertEqual(
            found, {first: {KIND: 60}, second: {"EndDevice": 50}, third: {"DERList": 30, "Registration": 40}}
        )
        self.assertEqual([one["number"] for one in devices], sorted(found))

    def test_preview(self) -> None:
        """Before it is set it is said whom it is for, what it was, and who keeps another."""
        device = f"/devices/{self.numbers.owner}"
        (said, told) = self.preview("", 300)
        self.assertIn("pollRate of DERProgramList will be 5 minutes, in place of 15 minutes.", said)
        self.assertTrue(said.startswith("All EndDevices ("), said)
        self.assertIn("within 15 minutes", told)
        self.change("/groups/4", 60)
        self.change(device, 30)
        general, feeder = self.preview("", 300), self.preview("/groups/2", 300)
        for sentences in (general, feeder):
            self.assertIn("1 group keep the rate that was set there: Point 1.", sentences[2])
            self.assertEqual(sentences[3], "A device for which one was set alone keeps it.")
        self.assertTrue(
            feeder[0].startswith("The EndDevices (2) in group Feeder A (2) and below it: "), feeder
        )
        self.assertIn("pollRate of DERProgramList stays 1 minute.", self.preview("/groups/4", 60)[0])
        (undone, _) = self.preview(device, 0)
        self.assertIn("will be 1 minute, in place of 30 seconds.", undone)
        self.assertIn("will be 15 minutes, in place of 1 minute.", self.preview("/groups/4", 0)[0])
        posted = self.preview("", 60, "EndDevice")[0]
        self.assertIn("postRate of EndDevice will be 1 minute, in place of none.", posted)

    def test_near_the_idle_timeout(self) -> None:
        """A poll that comes just as its connection closes is warned of, before and after."""
        self.assertIn("near idle_timeout, which is 172800 s", self.preview("", 172_000)[-1])
        self.office.send("PATCH", "/rates", wanted(172_000))
        (warning,) = self.office.get("/rates")["warnings"]
        self.assertIn("DERProgramList: near idle_timeout", warning)

    def test_refused(self) -> None:
        """Unknown resources, rates beyond a UInt32, one named twice, groups and devices there are not."""
        twice = {"rates": [*wanted(1)["rates"], *wanted(2)["rates"]]}
        for body in ({}, {"rates": []}, wanted(2**32), wanted(-1), wanted(60, "DERControl"), twice):
            for path in ("/rates", "/rates/preview", "/groups/1/rates"):
                method = "POST" if path.endswith("preview") else "PATCH"
                self.assertEqual(self.office.send(method, path, body).status, 400, body)
        for path in ("/groups/999", "/devices/999"):
            self.assertEqual(self.office.send("GET", f"{path}/rates").status, 404)
            self.assertEqual(self.office.send("PATCH", f"{path}/rates", wanted(60)).status, 404)
            self.assertEqual(self.office.send("POST", f"{path}/rates/preview", wanted(60)).status, 404)
        removed = f"/devices/{self.numbers.retired}/rates"
        self.assertEqual(self.office.send("PATCH", removed, wanted(60)).status, 409)

    def test_audit(self) -> None:
        """Each change has a line, from what to what; what was the same has none."""
        self.change("", 300)
        self.change("", 300)
        self.change("/groups/4", 60)
        self.change("/groups/4", 0)
        lines = self.office.get("/audit")["items"][:4]
        found = [(one["action"], one["subject"], one["detail"]) for one in lines]
        self.assertEqual(
            found[:3],
            [
                ("change", f"pollRate of {KIND} of group 4", "60 -> none"),
                ("change", f"pollRate of {KIND} of group 4", "none -> 60"),
                ("change", f"pollRate of {KIND}", "none -> 300"),
            ],
        )

    def test_restart(self) -> None:
        """What was set is there after a restart."""
        path = Path(self.mktemp())
        before = World(path)
        self.addCleanup(before.close)
        office = Office(before)
        self.addCleanup(office.close)
        office.patch("/groups/4/rates", wanted(60))
        again = World(path)
        self.addCleanup(again.close)
        self.assertEqual(again.document(OWNER, "/derp").get("pollRate"), "60")
