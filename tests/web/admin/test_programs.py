"""Programs and primacy, default controls and curves."""

from __future__ import annotations

from typing import Any

from csipd.db import bus, programs
from csipd.web.admin import curves as curves_of_api
from tests.support.world import NOW, OWNER
from tests.web.admin.case import Case
from tests.web.admin.examples import CONTROL, CURVE

MODES = {"DERControlBase": {"opModMaxLimW": 5000}}


class ProgramTests(Case):
    """Programs."""

    def test_one(self) -> None:
        """A program is shown with what devices see of it, and whom it is for."""
        found = self.office.get(f"/programs/{self.numbers.feeder_a}")
        mrid = found.pop("mRID")
        self.assertEqual(
            found,
            {
                "number": self.numbers.feeder_a,
                "href": f"/derp/{self.numbers.feeder_a}",
                "description": "FDA",
                "primacy": 7,
                "group": 2,
                "group_name": "Feeder A",
                "version": 0,
            },
        )
        self.assertEqual(self.world.document(OWNER, found["href"]).findtext("{*}mRID"), mrid)
        self.assertEqual(self.office.refused("GET", "/programs/77", expect=404), "there is no program 77")

    def test_own(self) -> None:
        """Every device has a program of its own, which is not in the list; others have none."""
        number = programs.own_program(self.numbers.owner)
        found = self.office.get(f"/programs/{number}")
        self.assertEqual((found["device"], found["description"]), (self.numbers.owner, "Service point"))
        self.assertIs(found["shown"], False)
        self.assertEqual(self.world.get(OWNER, found["href"]).status, 404)
        control = self.world.control(number, start=60)
        self.assertIs(self.office.get(f"/programs/{number}")["shown"], True)
        refused = self.office.refused("POST", f"/programs/{number}/hide", expect=409)
        self.assertIn(f"control {control.rpartition('/')[2]}", refused)
        shown = self.world.document(OWNER, found["href"])
        self.assertEqual(shown.findtext("{*}mRID"), found["mRID"])
        self.assertEqual(shown.findtext("{*}primacy"), str(found["primacy"]))
        for nobody in (programs.own_program(77), 10**12, 2**41, 2**63 - 1):
            self.assertEqual(
                self.office.refused("GET", f"/programs/{nobody}", expect=404), f"there is no program {nobody}"
            )

    def test_hide(self) -> None:
        """The operator hides a device's own program, until it is used again (decision 39)."""
        number = programs.own_program(self.numbers.owner)
        for none in (number, self.numbers.system):
            self.office.refused("POST", f"/programs/{none}/hide", expect=404)
        self.world.control(number, start=-60, duration=60)
        self.office.call("POST", f"/programs/{number}/hide", expect=204)
        self.assertIs(self.office.get(f"/programs/{number}")["shown"], False)
        self.assertEqual(self.world.get(OWNER, f"/derp/{number}").status, 404)
        self.assertEqual([line.action for line in self.office.log()], ["hide"])

    def test_all(self) -> None:
        """The list has the programs of groups, also the retired ones, page by page."""
        found = [one for page in self.office.pages("/programs", 3) for one in page]
        self.assertEqual([one["number"] for one in found], [1, 2, 3, 4, 5, 6, 7])
        retired = [one["number"] for one in found if "retired" in one]
        self.assertEqual(retired, [self.numbers.gone])

    def test_add(self) -> None:
        """A new program is seen at once by all who are in its group."""
        body = {"description": "New", "primacy": 255, "group": 2}
        answer = self.office.send("POST", "/programs", body)
        made = self.office.get(answer.headers["location"].removeprefix("/admin"))
        self.assertEqual({name: made[name] for name in body}, body)
        self.assertEqual(self.world.get(OWNER, made["href"]).status, 200)

    def test_add_refused(self) -> None:
        """A program needs a name of its own and a group."""
        line = "is a line of text that neither begins nor ends with a blank"
        found = self.office.refused("POST", "/programs", {"description": "", "primacy": 1, "group": 77})
        self.assertEqual(found, [("/description", line), ("/group", "there is no group 77")])
        found = self.office.refused("POST", "/programs", {"description": "x", "primacy": 256, "group": 1})
        self.assertEqual(found, [("/primacy", "is 256, expected an integer from 0 to 255")])
        for taken in ("FDA", "Gone"):
            body = {"description": taken, "primacy": 1, "group": 1}
            found = self.office.refused("POST", "/programs", body, expect=409)
            self.assertEqual(found, f"there is, or was, a program {taken}")
        self.assertEqual(self.office.log(), [])

    def test_change(self) -> None:
        """Primacy and group change, and devices see it at once; what is not named stays."""
        path = f"/programs/{self.numbers.feeder_b}"
        self.assertEqual(self.office.patch(path, {"primacy": 3})["version"], 1)
        changed = self.office.patch(path, {"group": 2})
        self.assertEqual((changed["primacy"], changed["group"], changed["version"]), (3, 2, 2))
        self.assertEqual(self.world.document(OWNER, changed["href"]).findtext("{*}primacy"), "3")
        self.assertEqual(self.office.patch(path, {}), changed)
        self.assertEqual(self.office.patch(path, {"primacy": 3}), changed)
        said = [line.detail for line in self.office.log()]
        self.assertEqual(said, ["primacy 7 -> 3, group 3 -> 3", "primacy 3 -> 3, group 3 -> 2"])
        found = self.office.refused("PATCH", path, {"group": 77})
        self.assertEqual(found, [("/group", "there is no group 77")])
        self.office.refused("PATCH", "/programs/77", {"primacy": 1}, expect=404)
        self.office.refused("PATCH", f"/programs/{programs.own_program(1)}", {"primacy": 1}, expect=404)

    def test_retire_and_back(self) -> None:
        """A program is retired, once, and comes back by being changed."""
        path = f"/programs/{self.numbers.feeder_a}"
        self.office.delete(path)
        self.assertEqual(self.office.get(path)["retired"], NOW)
        self.assertEqual(self.world.get(OWNER, f"/derp/{self.numbers.feeder_a}").status, 404)
        found = self.office.refused("DELETE", path, expect=409)
        self.assertEqual(found, f"program {self.numbers.feeder_a} is retired already")
        self.assertNotIn("retired", self.office.patch(path, {}))
        self.assertEqual(self.world.get(OWNER, f"/derp/{self.numbers.feeder_a}").status, 200)
        self.assertEqual([line.action for line in self.office.log()], ["retire", "change"])

    def test_not_retired(self) -> None:
        """A program with controls that are not over stays until they are, or are cancelled."""
        path = f"/programs/{self.numbers.system}"
        has = f"program {self.numbers.system} has controls that are not over, such as 6"
        self.assertEqual(self.office.refused("DELETE", path, expect=409), has)
        self.world.now += 1800 + 300
        self.office.delete(path)
        path = f"/programs/{self.numbers.point_1}"
        self.office.refused("DELETE", path, expect=409)
        self.office.post(f"/controls/{self.numbers.scheduled}/cancel", expect=200)
        self.office.delete(path)
        self.office.refused("DELETE", "/programs/77", expect=404)

    def test_retired_takes_nothing(self) -> None:
        """A retired program gets neither a default nor curves nor controls."""
        gone = self.numbers.gone
        retired = f"program {gone} is retired"
        for method, path, body in (
            ("PUT", f"/programs/{gone}/default", MODES),
            ("POST", f"/programs/{gone}/curves", CURVE),
        ):
            self.assertEqual(self.office.refused(method, path, body, expect=409), retired)
        found = self.office.refused("POST", "/controls", {"program": gone, **CONTROL})
        self.assertEqual(found, [("/program", f"there is no program {gone}")])


class DefaultTests(Case):
    """Default controls."""

    def path(self, program: int) -> str:
        return f"/programs/{program}/default"

    def test_set(self) -> None:
        """A default is set anew with all that it says, and devices see it at once."""
        path = self.path(self.numbers.system)
        body = {
            "description": "limits",
            "DERControlBase": {"opModMaxLimW": 5000, "opModConnect": True},
            "setESDelay": 30000,
            "setESLowVolt": 9170,
            "setGradW": 27,
        }
        self.world.document(OWNER, f"/derp/{self.numbers.system}/dderc")
        for version in (1, 2):
            body["setGradW"] = version
            found = self.office.put(path, body)
            self.assertEqual({name: found[name] for name in body}, body)
            self.assertEqual(found["version"], version)
            self.assertEqual(found, self.office.get(path))
        shown = self.world.document(OWNER, f"/derp/{self.numbers.system}/dderc")
        self.assertEqual(shown.findtext("{*}DERControlBase/{*}opModMaxLimW"), "5000")
        self.assertEqual(shown.findtext("{*}setGradW"), "2")

    def test_curves(self) -> None:
        """A curve of the program and of the mode's type may be the default; others may not."""
        path = self.path(self.numbers.feeder_a)
        mine = f"/derp/{self.numbers.feeder_a}/dc/{self.numbers.curve}"
        others = f"/derp/{self.numbers.point_1}/dc/1"
        self.office.put(path, {"DERControlBase": {"opModVoltVar": {"href": mine}}})
        base = {"opModVoltVar": {"href": others}, "opModVoltWatt": {"href": mine}, "opModMaxLimW": 1}
        found = self.office.refused("PUT", path, {"DERControlBase": base})
        self.assertEqual(
            found,
            [
                (
                    "/DERControlBase/opModVoltVar",
                    f"points to {others}, expected a curve of program {self.numbers.feeder_a}",
                ),
                (
                    "/DERControlBase/opModVoltWatt",
                    f"points to {mine}, of curveType 11, expected a curve of curveType 12 (opModVoltWatt)",
                ),
            ],
        )

    def test_values(self) -> None:
        """Values are in their ranges."""
        for base in ({"opModMaxLimW": 10001}, {"opModFixedW": -10001}, {"opModNothing": 1}):
            ((pointer, _),) = self.office.refused("PUT", self.path(1), {"DERControlBase": base})
            self.assertEqual(pointer, f"/DERControlBase/{next(iter(base))}")
        self.assertEqual(self.office.log(), [])

    def test_clear(self) -> None:
        """A default that is taken away is gone for devices too, and there is nothing more to take away."""
        path = self.path(self.numbers.system)
        here = f"/derp/{self.numbers.system}/dderc"
        self.assertEqual(self.world.get(OWNER, here).status, 200)
        self.office.delete(path)
        self.assertEqual(self.world.get(OWNER, here).status, 404)
        none = f"program {self.numbers.system} has no default"
        for method in ("GET", "DELETE"):
            self.assertEqual(self.office.refused(method, path, expect=404), none)
        for number in (77, programs.own_program(77)):
            for method, body in (("GET", None), ("DELETE", None), ("PUT", MODES)):
                found = self.office.refused(method, self.path(number), body, expect=404)
                self.assertEqual(found, f"there is no program {number}")
        self.assertEqual([line.action for line in self.office.log()], ["clear default"])

    def test_of_a_device(self) -> None:
        """A device's own program has a default that follows from others': nobody sets it (case A1)."""
        number = self.numbers.owner
        own = programs.own_program(number)
        found = self.office.get(self.path(own))
        self.assertEqual(
            sorted(found["DERControlBase"]), ["opModConnect", "opModFixedW", "opModVoltVar"], found
        )
        for method, body in (("PUT", MODES), ("DELETE", None)):
            said = self.office.refused(method, self.path(own), body, expect=409)
            self.assertIn("follows from those of its other programs", said)
        self.office.put(f"/devices/{number}/groups", {"groups": []})
        self.office.refused("GET", self.path(own), expect=404)

    def test_of_the_bus(self) -> None:
        """What the bus set for a device alone an operator can take away: the rest follows as before."""
        own = programs.own_program(self.numbers.owner)
        before = self.office.get(self.path(own))
        wanted = [bus.Wanted("owner", settings={"setSoftGradW": 5})]
        self.world.write(lambda t: bus.carry_out(t, self.world.server.own, wanted, (), 60, NOW))
        self.assertEqual(self.office.get(self.path(own))["setSoftGradW"], 5)
        preview = self.office.post(f"{self.path(own)}/clear/preview", expect=200)
        self.assertIn("setSoftGradW 0.05 %/s", preview["summary"][0])
        self.office.delete(self.path(own))
        after = self.office.get(self.path(own))
        self.assertEqual({**after, "version": 0}, {**before, "version": 0})
        self.office.refused("DELETE", self.path(own), expect=409)
        self.assertEqual(self.office.log()[-1].action, "clear default")

    def test_of_nobody(self) -> None:
        """What is not registered, or an aggregator, has no use for a default of its own."""
        for device in (self.numbers.listed, self.numbers.aggregator, self.numbers.retired):
            path = self.path(programs.own_program(device))
            found = self.office.refused("PUT", path, MODES, expect=409)
            self.assertEqual(found, f"device {device} is not registered, or an aggregator")


class CurveTests(Case):
    """Curves."""

    def path(self, program: int) -> str:
        return f"/programs/{program}/curves"

    def add(self, **more: Any) -> dict[str, Any]:
        answer = self.office.send("POST", self.path(self.numbers.feeder_a), {**CURVE, **more})
        self.assertEqual(answer.status, 201, str(answer))
        number = answer.headers["location"].rpartition("/")[2]
        (found,) = [
            one
            for one in self.office.get(self.path(self.numbers.feeder_a))["items"]
            if one["href"].endswith(f"/dc/{number}")
        ]
        return found

    def test_add(self) -> None:
        """A curve is in the program's list at once, as it was given."""
        made = self.add()
        self.assertEqual({name: made[name] for name in CURVE}, CURVE)
        self.assertEqual((made["href"], made["creationTime"]), (f"/derp/{self.numbers.feeder_a}/dc/3", NOW))
        self.assertEqual(self.world.document(OWNER, made["href"]).findtext("{*}mRID"), made["mRID"])
        (line,) = self.office.get(f"/audit?subject=/derp/{self.numbers.feeder_a}")["items"]
        self.assertTrue(line["detail"].startswith(f"{made['href']}: mRID {made['mRID']}; "), line["detail"])

    def test_all(self) -> None:
        """The list is in the order of numbers, whatever devices see, page by page."""
        for _ in range(3):
            self.world.now += 1
            self.add()
        pages = list(self.office.pages(self.path(self.numbers.feeder_a), 2))
        self.assertEqual([len(page) for page in pages], [2, 2, 1])
        hrefs = [one["href"] for page in pages for one in page]
        self.assertEqual(hrefs, [f"/derp/{self.numbers.feeder_a}/dc/{number}" for number in range(1, 6)])
        self.assertEqual(self.office.get(self.path(self.numbers.spare)), {"items": [], "total": 0})

    def test_refused(self) -> None:
        """A curve has one to ten points, a type and multipliers of the standard."""
        point = CURVE["CurveData"][0]
        for name, value in (
            ("CurveData", []),
            ("CurveData", [point] * 11),
            ("curveType", 256),
            ("xMultiplier", 10),
            ("vRef", 10001),
            ("yRefType", None),
        ):
            found = self.office.refused("POST", self.path(1), {**CURVE, name: value})
            self.assertEqual([at for at, _ in found], [f"/{name}"])
        found = self.office.refused("POST", self.path(77), CURVE, expect=404)
        self.assertEqual(found, "there is no program 77")
        self.assertEqual(self.office.log(), [])

    def test_many(self) -> None:
        """A program has so many curves and no more."""
        self.patch(curves_of_api, "MOST_CURVES", 3)
        self.add()
        found = self.office.refused("POST", self.path(self.numbers.feeder_a), CURVE, expect=409)
        self.assertEqual(found, f"program {self.numbers.feeder_a} has 3 curves")

    def test_remove(self) -> None:
        """A curve that nothing uses goes; one of a default or of a control to come stays."""
        path = self.path(self.numbers.feeder_a)
        used = self.office.refused("DELETE", f"{path}/{self.numbers.curve}", expect=409)
        self.assertEqual(used, f"curve {self.numbers.curve} is in use")
        made = self.add()
        base = {"opModVoltVar": {"href": made["href"]}}
        self.office.post("/controls", {"program": self.numbers.feeder_a, "duration": 60, "base": base})
        self.assertEqual(self.office.refused("DELETE", f"{path}/3", expect=409), "curve 3 is in use")
        self.world.now += 60
        self.office.delete(f"{path}/3")
        self.assertEqual(self.world.get(OWNER, made["href"]).status, 404)
        for number in (3, 77):
            found = self.office.refused("DELETE", f"{path}/{number}", expect=404)
            self.assertEqual(found, f"program {self.numbers.feeder_a} has no curve {number}")
        self.office.refused("DELETE", f"{self.path(77)}/1", expect=404)
        self.assertEqual(self.add()["href"], f"/derp/{self.numbers.feeder_a}/dc/4")
