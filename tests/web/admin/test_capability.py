"""What a group can deliver now."""

from __future__ import annotations

import json
from typing import Any

from csipd.sep2 import resources as r
from csipd.web.admin import capability
from tests.support.world import MANAGED, NOW, OWNER
from tests.web.admin.case import Case


class CapabilityTests(Case):
    """Sums over a group."""

    def rows(self, group: int) -> dict[str, dict[str, Any]]:
        answer = self.office.send("GET", f"/exports/groups/{group}/capability")
        self.assertEqual(answer.status, 200)
        return {one["type"]: one for one in json.loads(answer.body)}

    def put(self, who: Any, path: str, body: r.Resource) -> None:
        self.assertLess(self.world.put(who, path, body).status, 300)

    def test_sums(self) -> None:
        """By kind and in all there are sums, of how many, and how old; small portions come to the same."""
        n = self.numbers
        settings = r.DERSettings(setGradW=1, setMaxW=r.ActivePower(multiplier=3, value=5), updatedTime=NOW)
        available = r.DERAvailability(readingTime=NOW, statWAvail=r.ActivePower(multiplier=0, value=700))
        battery = r.DERCapability(
            modesSupported=0,
            rtgMaxW=r.ActivePower(multiplier=3, value=3),
            rtgMaxWh=r.WattHour(multiplier=3, value=10),
            type=80,
        )
        self.put(OWNER, f"/edev/{n.owner}/der/1/derg", settings)
        self.put(MANAGED, f"/edev/{n.managed}/der/1/dercap", battery)
        self.put(MANAGED, f"/edev/{n.managed}/der/1/dera", available)
        self.world.now += 100
        self.put(OWNER, f"/edev/{n.owner}/der/1/dera", available)
        found = self.rows(n.feeder_a)
        storage, total = found["other storage"], found["all"]
        self.assertEqual((storage["devices"], storage["ders"], storage["rtgMaxW"]), (1, 1, 3000))
        self.assertEqual((storage["rtgMaxWh"], storage["capability_oldest"]), (10_000, 100))
        self.assertEqual((total["devices"], total["availability_ders"], total["statWAvail"]), (2, 2, 1400))
        self.assertEqual(
            (total["availability_youngest"], total["availability_oldest"]), (100, 100), "as it was read"
        )
        self.patch(capability, "DEVICES", 1)
        self.assertEqual(self.rows(n.feeder_a), found)

    def test_nobody(self) -> None:
        """A group of nobody can deliver nothing; one that is not there is not found."""
        found = self.rows(self.office.empty)
        self.assertEqual(list(found), ["all"])
        self.assertEqual((found["all"]["devices"], found["all"]["capability_ders"]), (0, 0))
        self.assertNotIn("rtgMaxW", found["all"])
        self.office.refused("GET", "/exports/groups/999/capability", expect=404)

    def test_only_those_that_are_let_in(self) -> None:
        """A device that was shut out can deliver nothing."""
        n = self.numbers
        before = self.rows(n.feeder_a)["all"]["devices"]
        self.office.post(f"/devices/{n.owner}/withdraw", expect=200)
        self.assertEqual(self.rows(n.feeder_a)["all"]["devices"], before - 1)
