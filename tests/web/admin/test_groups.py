"""Groups and the topology."""

from __future__ import annotations

from typing import Any

from tests.support.world import OWNER
from tests.web.admin.case import Case


class ShowTests(Case):
    """The list, and one of it."""

    def test_one(self) -> None:
        """A group shows where it hangs, its programs, and how many EndDevices are under it (case B11)."""
        self.assertEqual(
            self.office.get("/groups/2"),
            {
                "number": 2,
                "name": "Feeder A",
                "parent": 1,
                "parent_name": "System",
                "level": 3,
                "fsa": "Topology",
                "programs": [self.numbers.feeder_a],
                "program_names": ["FDA"],
                "devices": 2,
            },
        )
        campaign = self.office.get("/groups/5")
        self.assertEqual((campaign["fsa"], campaign["devices"]), ("Campaigns", 1))
        self.assertFalse({"parent", "level"} & campaign.keys())
        self.assertEqual(self.office.refused("GET", "/groups/77", expect=404), "there is no group 77")

    def test_all(self) -> None:
        """The list has them all in the order of their numbers, page by page."""
        found = [one for page in self.office.pages("/groups", 4) for one in page]
        self.assertEqual([one["number"] for one in found], [1, 2, 3, 4, 5, 6])
        self.assertEqual(found, [self.office.get(f"/groups/{number}") for number in range(1, 7)])


class AddTests(Case):
    """Making groups."""

    def add(self, **body: Any) -> dict[str, Any]:
        answer = self.office.send("POST", "/groups", body)
        self.assertEqual(answer.status, 201, str(answer))
        made = self.office.get(answer.headers["location"].removeprefix("/admin"))
        self.assertEqual(made["devices"], 0)
        return made

    def test_in_the_topology(self) -> None:
        """A group with a level is a node of the topology, in the FSA of all of them."""
        made = self.add(name="Point 2", parent=3, level=6)
        self.assertEqual((made["parent"], made["level"], made["fsa"]), (3, 6, "Topology"))
        self.office.put(f"/devices/{self.numbers.owner}/groups", {"groups": [made["number"]]})
        self.assertEqual(self.world.get(OWNER, f"/derp/{self.numbers.feeder_b}").status, 200)

    def test_beside_it(self) -> None:
        """A group without a level has an FSA of its own, or the one that is named."""
        self.assertEqual(self.add(name="Campaign 2", fsa="Campaigns")["fsa"], "Campaigns")
        self.assertEqual(self.add(name="Trial", parent=5)["fsa"], "Trial")
        # The 32 characters that an FSA's description has room for.
        self.assertEqual(self.add(name="x" * 31 + " " + "y" * 32)["fsa"], "x" * 31)

    def test_refused(self) -> None:
        """What cannot be is refused with all that is wrong with it."""
        line = "is a line of text that neither begins nor ends with a blank"
        for body, expected in (
            ({"name": ""}, [("/name", line)]),
            ({"name": " x", "fsa": "a\nb"}, [("/name", line), ("/fsa", line)]),
            ({"name": "x", "parent": 77}, [("/parent", "there is no group 77")]),
            ({"name": "x", "parent": 4, "level": 6}, [("/parent", "is not of a level above")]),
            ({"name": "x", "parent": 5, "level": 6}, [("/parent", "is not of a level above")]),
            ({"name": "x", "level": 7}, [("/level", "is 7, expected an integer from 0 to 6")]),
            ({"name": "x" * 65}, [("/name", "has 65 characters, the most is 64")]),
        ):
            found = self.office.refused("POST", "/groups", body)
            self.assertEqual([at for at, _ in found], [at for at, _ in expected], body)
            if len(body.get("name", "")) < 65:
                self.assertEqual(found, expected)
        there = self.office.refused("POST", "/groups", {"name": "Feeder A"}, expect=409)
        self.assertEqual(there, "there is a group Feeder A already")
        self.assertEqual(self.office.log(), [])


class ChangeTests(Case):
    """Hanging groups elsewhere."""

    def test_moved(self) -> None:
        """What is under a group that hangs elsewhere sees other programs at once."""
        self.assertEqual(self.world.get(OWNER, f"/derp/{self.numbers.feeder_b}").status, 404)
        changed = self.office.patch("/groups/4", {"parent": 3})
        self.assertEqual((changed["parent"], changed["level"]), (3, 6))
        self.assertEqual(self.world.get(OWNER, f"/derp/{self.numbers.feeder_b}").status, 200)
        self.assertEqual(self.world.get(OWNER, f"/derp/{self.numbers.feeder_a}").status, 404)
        (line,) = self.office.log()
        self.assertEqual(line.detail, "below 2, level 6 -> below 3, level 6")

    def test_to_the_top(self) -> None:
        """A parent of 0 is none; a group beside the topology gets a level."""
        self.assertNotIn("parent", self.office.patch("/groups/4", {"parent": 0}))
        self.assertEqual(self.office.patch("/groups/5", {"level": 4, "parent": 2})["level"], 4)

    def test_nothing(self) -> None:
        """Where nothing is to be different nothing is done."""
        for body in ({}, {"parent": 2}, {"level": 6}):
            self.assertEqual(self.office.patch("/groups/4", body), self.office.get("/groups/4"))
        self.assertEqual(self.office.patch("/groups/1", {"parent": 0}), self.office.get("/groups/1"))
        self.assertEqual(self.office.log(), [])

    def test_refused(self) -> None:
        """No group hangs below itself, and a level is always above those right below it."""
        for path, body, expected in (
            ("/groups/4", {"parent": 77}, [("/parent", "there is no group 77")]),
            ("/groups/4", {"parent": 5}, [("/parent", "is not of a level above")]),
            ("/groups/2", {"level": 6}, [("/level", "a group right below has level 6")]),
            ("/groups/2", {"level": 0}, [("/parent", "is not of a level above")]),
        ):
            self.assertEqual(self.office.refused("PATCH", path, body), expected)
        campaign = self.office.post("/groups", {"name": "below the campaign", "parent": 5})["number"]
        for parent in (5, campaign):
            found = self.office.refused("PATCH", "/groups/5", {"parent": parent}, expect=409)
            self.assertTrue(found.startswith("group Campaign (5) cannot hang below group "), found)
            self.assertIn(f"({parent}), which is itself or under it", found)
        self.assertEqual(self.office.refused("PATCH", "/groups/77", {}, expect=404), "there is no group 77")
        self.assertEqual([line.action for line in self.office.log()], ["add"])


class RemoveTests(Case):
    """Removing groups."""

    def test_empty(self) -> None:
        """A group that nothing was ever in is gone, and its number is not used again."""
        path = f"/groups/{self.office.empty}"
        self.office.delete(path)
        self.assertEqual(self.office.send("GET", path).status, 404)
        self.assertEqual(self.office.refused("DELETE", path, expect=404), "there is no group 6")
        self.assertEqual(self.office.post("/groups", {"name": "Empty"})["number"], 7)

    def test_not_empty(self) -> None:
        """What has, or had, groups, programs or devices in it stays."""
        number = self.office.empty
        for path, said in (("/groups/1", "programs"), ("/groups/2", "programs"), ("/groups/4", "programs")):
            self.assertIn(said, self.office.refused("DELETE", path, expect=409))
        owner = f"/devices/{self.numbers.owner}/groups"
        self.office.put(owner, {"groups": [number]})
        self.office.put(owner, {"groups": [5]})
        self.assertIn(
            "group Empty (6) has devices, or had",
            self.office.refused("DELETE", f"/groups/{number}", expect=409),
        )
        parent = self.office.post("/groups", {"name": "above"})["number"]
        self.office.post("/groups", {"name": "below", "parent": parent})
        self.assertIn("groups", self.office.refused("DELETE", f"/groups/{parent}", expect=409))
