"""Devices and aggregators: list, add, change, register, withdraw, readmit, move, remove."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

from attrs import evolve
from twisted.internet.defer import fail
from twisted.logger import capturedLogs

from csipd.db import contacts, device_list, group_devices, listing, tally
from csipd.net.identity import Identity
from csipd.refusals import Conflict, Impossible
from csipd.sep2 import identity
from csipd.web.admin.issuing import Issued
from tests.support.operator import BOB, CERTIFICATE, KEY, Office
from tests.support.world import (
    AGGREGATOR,
    ALLOW_ALL,
    IN_BAND,
    LISTED,
    MANAGED,
    NOW,
    OTHER,
    OUT_OF_BAND,
    OWNER,
    PIN,
    REGISTERED,
    RETIRED,
    UNKNOWN,
    WITHDRAWN,
    World,
    caller,
    end_device,
)
from tests.web.admin.case import Case
from tests.web.admin.examples import DEVICE, NEW_LFDI


class ListTests(Case):
    """The list, and one of it."""

    def found(self, query: str) -> list[str]:
        """The names of the devices that a query finds, over pages of two."""
        found = [one["name"] for page in self.office.pages(f"/devices{query}", 2) for one in page]
        self.assertEqual(found, [one["name"] for one in self.office.get(f"/devices{query}").get("items", [])])
        return found

    def test_filters(self) -> None:
        """Each filter takes what it says, page by page to the end, and all of them together what all do."""
        everybody = self.found("")
        self.assertEqual(len(everybody), 12)
        self.assertEqual(self.found("?name=O"), ["other", "owner"])
        self.assertEqual(self.found("?name=%25"), [])
        self.assertEqual(self.found(f"?lfdi={OWNER.lfdi.lower()}"), ["owner"])
        self.assertEqual(self.found(f"?lfdi={identity.pretty_lfdi(OWNER.lfdi)}"), ["owner"])
        self.assertEqual(self.found(f"?lfdi={NEW_LFDI}"), [])
        fleet = ["aggregator", "managed", "bare", "unregistered"]
        self.assertEqual(self.found(f"?manager={self.numbers.aggregator}"), fleet)
        self.assertEqual(self.found("?group=3"), ["other", "bare", "foreign"])
        self.assertEqual(self.found("?group=77"), [])
        below = ["owner", "other", "managed", "bare", "foreign", "withdrawn", "retired"]
        self.assertEqual(self.found("?group=1"), below)
        self.assertEqual(self.found("?group=1&name=o&standing=registered"), ["other", "owner"])
        self.assertEqual(self.found("?group=1&standing=withdrawn"), ["withdrawn"])

    def test_looking(self) -> None:
        """Where few of very many fit, pages are short or empty, and all that fit come to the end, once."""
        queries = (
            "?group=1&name=o",
            "?group=1&standing=withdrawn",
            "?group=1",
            f"?silent_since={NOW}&standing=registered",
        )
        every = {query: self.office.get(f"/devices{query}&limit=500")["items"] for query in queries}
        self.patch(listing, "MOST_LOOKED_AT", 3)
        self.patch(device_list, "_LOOKED_AT_OF_GROUP", 2)
        for merged, limit in itertools.product((group_devices.MOST_MERGED, 2), (1, 2, 500)):
            self.patch(group_devices, "MOST_MERGED", merged)
            for query, expected in every.items():
                pages = list(self.office.pages(f"/devices{query}", limit))
                self.assertEqual([one for page in pages for one in page], expected, query)

    def test_after_no_name(self) -> None:
        """In the order of names a page begins after a device that has one."""
        found = self.office.refused("GET", "/devices?name=o&after=77")
        self.assertEqual(found, "there is no device 77 with a name to go on from")

    def test_totals(self) -> None:
        """How many there are is said where it is kept, or can be counted without reading too many."""

        def said(query: str) -> tuple[int | None, int | None]:
            page = self.office.get(f"/devices{query}{'&' if query else '?'}limit=1")
            return page.get("total"), page.get("more_than")

        queries = ("", "?standing=withdrawn", "?group=1", "?name=o", "?group=1&name=o", "?silent_since=0")
        self.assertEqual([said(query) for query in queries], [(n, None) for n in (12, 1, 7, 2, 2, 12)])
        self.patch(tally, "MOST_COUNTED", 1)
        found = [said(query) for query in queries]
        more = (None, 1)
        self.assertEqual(found, [(12, None), (1, None), more, more, (None, None), (None, None)])

    def test_standings(self) -> None:
        """Everybody stands in one way."""
        found = {name: self.found(f"?standing={name}") for name in ("listed", "withdrawn", "retired")}
        expected = {
            "listed": ["listed", "unregistered", "idle"],
            "withdrawn": ["withdrawn"],
            "retired": ["retired"],
        }
        self.assertEqual(found, expected)
        self.assertEqual(len(self.found("?standing=registered")), 7)
        for one in self.office.get("/devices")["items"]:
            self.assertIn(one["name"], self.found(f"?standing={one['standing']}"))

    def test_one(self) -> None:
        """A device is shown with all that is known of it; what is not known is left out."""
        self.assertEqual(
            self.office.get(f"/devices/{self.numbers.owner}"),
            {
                "number": self.numbers.owner,
                "href": f"/edev/{self.numbers.owner}",
                "name": "owner",
                "lFDI": OWNER.lfdi,
                "sFDI": OWNER.sfdi,
                "pIN": PIN,
                "aggregator": False,
                "standing": "registered",
                "registered": REGISTERED - 3,
                "changedTime": REGISTERED - 3,
                "groups": [4, 5],
                "group_names": ["Point 1", "Campaign"],
            },
        )
        managed = self.office.get(f"/devices/{self.numbers.managed}")
        self.assertEqual((managed["manager"], managed["aggregator"]), (self.numbers.aggregator, False))
        aggregator = self.office.get(f"/devices/{self.numbers.aggregator}")
        self.assertTrue(aggregator["aggregator"])
        self.assertNotIn("manager", aggregator)
        self.assertEqual(self.office.get(f"/devices/{self.numbers.retired}")["standing"], "retired")
        self.assertEqual(self.office.refused("GET", "/devices/77", expect=404), "there is no device 77")

    def test_of_a_group(self) -> None:
        """The devices of a group are those in it and below it."""
        found = [one["name"] for page in self.office.pages("/groups/3/devices", 2) for one in page]
        self.assertEqual(found, ["other", "bare", "foreign"])
        self.assertEqual(self.office.get(f"/groups/{self.office.empty}/devices"), {"items": [], "total": 0})
        self.assertEqual(self.office.refused("GET", "/groups/77/devices", expect=404), "there is no group 77")


class AddTests(Case):
    """Putting somebody on the list."""

    def add(self, **more: Any) -> dict[str, Any]:
        made: dict[str, Any] = self.office.post("/devices", {**DEVICE, **more})["device"]
        self.assertEqual(made, self.office.get(f"/devices/{made['number']}"))
        return made

    def refused(self, body: dict[str, Any], *expected: tuple[str, str]) -> None:
        self.assertEqual(self.office.refused("POST", "/devices", body), list(expected))
        self.assertEqual((self.office.log(), self.office.prepared), ([], []))

    def test_bare(self) -> None:
        """A device by its LFDI is registered at once where that is said, has a DER, and gets a PIN."""
        answer = self.office.send("POST", "/devices", {**DEVICE, "registered": True})
        self.assertEqual(answer.headers["location"], "/admin/devices/13")
        made = self.office.get("/devices/13")
        self.assertEqual((made["standing"], made["registered"], made["lFDI"]), ("registered", NOW, NEW_LFDI))
        self.assertTrue(identity.pin_is_valid(made["pIN"]))
        self.assertNotIn("groups", made)
        who = Identity(NEW_LFDI, identity.sfdi(NEW_LFDI), None, "")
        self.assertEqual(self.world.document(who, "/edev/13/der").get("all"), "1")

    def test_everything(self) -> None:
        """All that may be said of a device is kept."""
        said = {
            "manager": self.numbers.aggregator,
            "pIN": 12344,
            "deviceCategory": "00200000",
            "pollRate": 60,
            "postRate": 61,
            "groups": [5, 2],
        }
        made = self.add(**said, ders=3, registered=True)
        self.assertEqual({name: made[name] for name in said}, {**said, "groups": [2, 5]})
        who = Identity(NEW_LFDI, identity.sfdi(NEW_LFDI), None, "")
        self.assertEqual(self.world.document(who, f"{made['href']}/der").get("all"), "3")
        self.assertEqual(self.world.get(AGGREGATOR, made["href"]).status, 200)

    def test_listed_only(self) -> None:
        """A device that is only listed registers itself, and has as many DERs as were said."""
        made = self.add(registered=False, ders=2)
        self.assertEqual(made["standing"], "listed")
        self.assertNotIn("registered", made)
        who = Identity(NEW_LFDI, identity.sfdi(NEW_LFDI), None, "")
        self.assertEqual(self.world.post(who, "/edev", end_device(who)).headers["location"], made["href"])
        self.assertEqual(self.office.get(f"/devices/{made['number']}")["standing"], "registered")
        self.assertEqual(self.world.document(who, f"{made['href']}/der").get("all"), "2")

    def test_as_the_mode_says(self) -> None:
        """Where nothing is said a device is registered unless devices register themselves."""
        for policy, standing in ((IN_BAND, "listed"), (ALLOW_ALL, "listed"), (OUT_OF_BAND, "registered")):
            world = World(Path(self.mktemp()), policy=policy)
            self.addCleanup(world.close)
            office = Office(world)
            self.addCleanup(office.close)
            self.assertEqual(office.post("/devices", DEVICE)["device"]["standing"], standing)

    def test_audit(self) -> None:
        """The audit log has the values: LFDI, groups by name, rates; no PIN (cases B9, B11)."""
        self.add(groups=[3, 5], pollRate=60, pIN=123455)
        (line,) = self.office.log()
        expected = f"new; LFDI {NEW_LFDI}; pollRate 60; group Feeder B (3); group Campaign (5)"
        self.assertEqual((line.action, line.detail), ("add", expected))

    def test_aggregator(self) -> None:
        """An aggregator has neither a manager nor groups nor DERs."""
        made = self.add(aggregator=True, ders=0, groups=[])
        self.assertTrue(made["aggregator"])
        fleet = self.office.post("/devices", {"name": "x", "lFDI": "AB" * 20, "manager": made["number"]})
        self.assertEqual(fleet["device"]["manager"], made["number"])
        log = self.office.log()
        wrong = {"manager": self.numbers.aggregator, "groups": [1], "ders": 1}
        none = "an aggregator has none"
        body = {"name": "y", "lFDI": "CD" * 20, "aggregator": True, **wrong}
        found = self.office.refused("POST", "/devices", body)
        self.assertEqual(found, [(f"/{name}", none) for name in wrong])
        self.assertEqual(self.office.log(), log)

    def test_impossible(self) -> None:
        """What cannot be is refused with all that is wrong, before any certificate is made."""
        manager = self.numbers.owner
        self.refused(
            {**DEVICE, "make_key": True, "manager": manager, "groups": [1, 77, 78]},
            ("", "one of lFDI, csr, make_key is needed, and no other of them"),
            ("/manager", f"{manager} is no aggregator"),
            ("/groups/1", "there is no group 77"),
            ("/groups/2", "there is no group 78"),
        )
        one = ("", "one of lFDI, csr, make_key is needed, and no other of them")
        for sources in ({}, {"csr": "x", "make_key": True}, {"make_key": False}, {"csr": ""}):
            self.refused({"name": "new", **sources}, one)
        self.refused({**DEVICE, "groups": list(range(1, 17))}, ("/groups", "expected 0 to 15 members"))
        self.refused({"lFDI": NEW_LFDI}, ("/name", "is required"))

    def test_there_already(self) -> None:
        """An LFDI or a name that is taken is 409, and says by name whose (B11); nothing is made for it."""
        for body, expected in (
            ({**DEVICE, "name": "owner"}, f"there is a device owner already: {self.numbers.owner}"),
            (
                {"name": "x", "lFDI": OWNER.lfdi},
                f"{OWNER.lfdi} is on the list already: device owner ({self.numbers.owner})",
            ),
            (
                {"name": "x", "lFDI": WITHDRAWN.lfdi},
                f"{WITHDRAWN.lfdi} is on the list already: device withdrawn ({self.numbers.withdrawn})",
            ),
        ):
            self.assertEqual(self.office.refused("POST", "/devices", body, expect=409), expected)
        self.assertEqual((self.office.log(), self.office.prepared), ([], []))

    def test_certificate(self) -> None:
        """Where a certificate was made, the device is the one of that certificate, and gets it."""
        self.office.issue(UNKNOWN)
        made = self.office.post("/devices", {"name": "new", "csr": "a request", "registered": True})
        self.assertEqual((made["device"]["lFDI"], made["certificate"]), (UNKNOWN.lfdi, CERTIFICATE))
        self.assertNotIn("key", made)
        self.assertEqual([body.csr for body in self.office.prepared], ["a request"])
        self.assertEqual(self.world.get(UNKNOWN, made["device"]["href"]).status, 200)

    def test_key(self) -> None:
        """A key that was made goes out once, and is neither in the database nor in the log."""
        self.office.issue(UNKNOWN, KEY)
        body = {"name": "new", "make_key": True}
        with capturedLogs() as captured:
            made = self.office.post("/devices", body, Idempotency_Key="once")
            again = self.office.post("/devices", body, Idempotency_Key="once")
        self.assertEqual((made["key"], made["certificate"]), (KEY, CERTIFICATE))
        self.assertEqual(again, {name: value for name, value in made.items() if name != "key"})
        self.assertEqual(len(self.office.prepared), 1)
        self.assertNotIn(KEY, str(list(captured)))
        database = Path(str(self.world.read(lambda connection: connection.engine.url.database)))
        content = b"".join(file.read_bytes() for file in database.parent.glob(f"{database.name}*"))
        self.assertIn(b"of a device", content)
        for secret in (b"PRIVATE KEY", b"known to nobody"):
            self.assertNotIn(secret, content)
            self.assertNotIn(secret.decode(), repr(Issued(UNKNOWN.lfdi, CERTIFICATE, KEY)))

    def test_no_certificate(self) -> None:
        """Where no certificate could be made there is no device."""
        for refusal, status, found in (
            (Impossible([("/csr", "is none")]), 400, [("/csr", "is none")]),
            (Conflict("the CA is away"), 409, "the CA is away"),
        ):
            self.office.prepare = lambda body, refusal=refusal: fail(refusal)
            body = {"name": "new", "csr": "a request"}
            self.assertEqual(self.office.refused("POST", "/devices", body, expect=status), found)
        self.assertEqual(self.office.log(), [])
        self.assertEqual(self.office.get("/devices?name=new"), {"items": [], "total": 0})

    def test_taken_meanwhile(self) -> None:
        """What was free when a certificate was asked for and is taken when it comes is refused, whole."""
        self.office.issue(OWNER)
        found = self.office.refused(
            "POST", "/devices", {"name": "new", "csr": "x", "groups": [2]}, expect=409
        )
        self.assertIn("is on the list already", found)
        self.assertEqual(self.office.log(), [])
        self.assertEqual(self.office.get("/devices?name=new"), {"items": [], "total": 0})


class ChangeTests(Case):
    """Changing what is known of a device."""

    def test_each(self) -> None:
        """What is named changes, at once for the device too, and the rest stays."""
        path = f"/devices/{self.numbers.owner}"
        said = {"pIN": 987655, "deviceCategory": "00200000", "pollRate": 60, "postRate": 61}
        self.world.now += 5
        for name, value in said.items():
            before = self.office.get(path)
            changed = self.office.patch(path, {name: value})
            self.assertEqual(changed, {**before, name: value, "changedTime": NOW + 5})
            self.assertEqual(changed, self.office.get(path))
        registration = self.world.document(OWNER, f"/edev/{self.numbers.owner}/rg")
        self.assertEqual(registration.findtext("{*}pIN"), "987655")
        self.assertEqual(
            [line.detail for line in self.office.log()],
            ["pIN", "deviceCategory None -> 2097152", "pollRate None -> 60", "postRate None -> 61"],
        )

    def test_nothing(self) -> None:
        """Where nothing is named nothing changes, and nothing is logged."""
        path = f"/devices/{self.numbers.owner}"
        self.world.now += 5
        self.assertEqual(self.office.patch(path, {}), self.office.get(path))
        self.assertEqual(self.office.get(path)["changedTime"], REGISTERED - 3)
        self.assertEqual(self.office.log(), [])

    def test_manager(self) -> None:
        """A device goes from fleet to fleet, and out of every one."""
        path, fleet = f"/devices/{self.numbers.managed}", f"/edev/{self.numbers.managed}"
        self.assertEqual(self.world.get(AGGREGATOR, fleet).status, 200)
        self.assertEqual(
            self.office.patch(path, {"manager": self.numbers.rival})["manager"], self.numbers.rival
        )
        self.assertEqual(self.world.get(AGGREGATOR, fleet).status, 404)
        self.assertNotIn("manager", self.office.patch(path, {"manager": 0}))
        self.assertEqual(self.world.get(MANAGED, fleet).status, 200)

    def test_no_aggregator(self) -> None:
        """Only an aggregator manages, and none has a manager."""
        path = f"/devices/{self.numbers.owner}"
        for number in (self.numbers.other, 77):
            found = self.office.refused("PATCH", path, {"manager": number})
            self.assertEqual(found, [("/manager", f"{number} is no aggregator")])
        path = f"/devices/{self.numbers.aggregator}"
        found = self.office.refused("PATCH", path, {"manager": self.numbers.rival, "pollRate": 5})
        self.assertEqual(found, [("/manager", "an aggregator has none")])
        self.assertEqual(self.office.log(), [])
        self.assertEqual(self.office.patch(path, {"manager": 0}), self.office.get(path))
        self.assertEqual(self.world.get(AGGREGATOR, f"/edev/{self.numbers.managed}").status, 200)

    def test_values(self) -> None:
        """A PIN has six digits, rates fit, a category has eight hexadecimal digits."""
        path = f"/devices/{self.numbers.owner}"
        for name, value in (
            ("pIN", 1_000_000),
            ("pIN", "111115"),
            ("pollRate", -1),
            ("pollRate", 0),
            ("postRate", 0),
            ("postRate", 2**32),
            ("deviceCategory", "200000"),
            ("deviceCategory", 5),
        ):
            ((pointer, _),) = self.office.refused("PATCH", path, {name: value})
            self.assertEqual(pointer, f"/{name}")
        self.assertEqual(self.office.log(), [])


class StandingTests(Case):
    """Registering, shutting out, letting in again, removing."""

    def tell(self, number: int, what: str, standing: str) -> None:
        self.assertEqual(self.office.post(f"/devices/{number}/{what}", expect=200)["standing"], standing)

    def not_now(self, number: int, what: str, why: str) -> None:
        self.assertEqual(self.office.refused("POST", f"/devices/{number}/{what}", expect=409), why)

    def test_register(self) -> None:
        """A listed device becomes an EndDevice with a DER, once."""
        number = self.numbers.listed
        self.tell(number, "register", "registered")
        self.assertEqual(self.world.document(LISTED, f"/edev/{number}/der").get("all"), "1")
        self.not_now(number, "register", f"device listed ({number}) is registered already")

    def test_withdraw_at_once(self) -> None:
        """Withdrawal shuts out at once whoever has an open connection and answers in the fast path."""
        paths = ("/dcap", f"/edev/{self.numbers.owner}", f"/edev/{self.numbers.owner}/fsa")
        for path in paths:
            before = self.world.hits
            answers = [self.world.get(OWNER, path) for _ in range(2)]
            self.assertEqual((answers[0].status, answers[1].body), (200, answers[0].body))
            self.assertEqual(self.world.hits, before + 1, path)
        wire = self.world.wire(OWNER)
        self.tell(self.numbers.owner, "withdraw", "withdrawn")
        hits = self.world.hits
        for path in paths[1:]:
            self.assertEqual(self.world.get(OWNER, path).status, 404)
        self.assertIsNone(self.world.document(OWNER, "/dcap").find("{*}EndDeviceListLink"))
        self.assertEqual(self.world.hits, hits)
        self.assertIs(self.world.wire(OWNER), wire)
        self.not_now(
            self.numbers.owner, "withdraw", f"device owner ({self.numbers.owner}) is withdrawn already"
        )
        self.tell(self.numbers.owner, "readmit", "registered")
        self.assertEqual([self.world.get(OWNER, path).status for path in paths], [200] * 3)
        self.not_now(self.numbers.owner, "readmit", f"device owner ({self.numbers.owner}) is not withdrawn")

    def test_under_way(self) -> None:
        """An answer that was under way when its device was shut out is not given."""
        self.world.back.hold()
        wire = self.world.wire(OWNER)
        asked = wire.client.get(f"/edev/{self.numbers.owner}")
        wire.pump()
        held, self.world.back._waiting = self.world.back._waiting, None
        self.tell(self.numbers.owner, "withdraw", "withdrawn")
        self.world.back._waiting = held
        self.world.back.release()
        self.assertEqual(wire.result(asked).status, 404)

    def test_listed_and_withdrawn(self) -> None:
        """One that is shut out stays so, whatever else becomes of it."""
        number = self.numbers.listed
        self.tell(number, "withdraw", "withdrawn")
        self.tell(number, "register", "withdrawn")
        self.assertEqual(self.world.get(LISTED, f"/edev/{number}").status, 404)
        self.tell(number, "readmit", "registered")
        self.assertEqual(self.world.get(LISTED, f"/edev/{number}").status, 200)

    def test_remove(self) -> None:
        """A device that was removed is a stranger in no group, and nothing more can be done to it."""
        number = self.numbers.owner
        path = f"/devices/{number}"
        self.office.delete(path)
        self.assertEqual(self.world.get(OWNER, f"/edev/{number}").status, 404)
        shown = self.office.get(path)
        self.assertEqual((shown["standing"], shown["retired"], shown["name"]), ("retired", NOW, "owner"))
        self.assertNotIn("groups", shown)
        self.assertEqual(self.office.get("/groups/4")["devices"], 1)
        removed = f"device owner ({number}) was removed: add it again"
        for method, rest, body in (
            ("DELETE", "", None),
            ("PATCH", "", {"pIN": 5}),
            ("PUT", "/groups", {"groups": [1]}),
            ("POST", "/register", None),
            ("POST", "/withdraw", None),
            ("POST", "/readmit", None),
        ):
            self.assertEqual(self.office.refused(method, path + rest, body, expect=409), removed)
        self.assertEqual(self.office.get(f"{path}/state")["device"], number)
        self.assertEqual([line.action for line in self.office.log()], ["remove"])

    def test_add_again(self) -> None:
        """One that was removed comes back with all that is kept of it, under another name and alone: its
        category and rates too (case B6)."""
        number = self.numbers.owner
        settings = {"deviceCategory": "00000004", "pollRate": 77, "postRate": 88}
        self.office.patch(f"/devices/{number}", settings)
        before = tuple(settings.values())
        self.office.delete(f"/devices/{number}")
        self.world.now += 60
        body = {"name": "back", "lFDI": OWNER.lfdi, "groups": [3], "registered": True}
        back = self.office.post("/devices", body)["device"]
        self.assertEqual((back["number"], back["name"], back["groups"]), (number, "back", [3]))
        self.assertEqual((back["registered"], back["pIN"]), (NOW + 60, PIN))
        self.assertNotIn("retired", back)
        self.assertEqual((back["deviceCategory"], back["pollRate"], back["postRate"]), before)
        self.assertEqual(self.world.get(OWNER, f"/edev/{number}/di").status, 200)
        self.assertEqual(self.office.get("/groups/3")["devices"], 4)

    def test_last_contact(self) -> None:
        """When a device was heard of, from where and what it was refused is shown, and who is silent is found
        (case B7)."""
        row = {"lfdi": OWNER.lfdi, "at": NOW - 5, "host": "192.0.2.7"}
        row |= {
            "refusals": 3,
            "refused": NOW - 9,
            "reason": "PUT /edev/1/di: lFDI is not that of the EndDevice",
        }
        self.world.write(lambda transaction: contacts.write(transaction, [row]))
        shown = self.office.get(f"/devices/{self.numbers.owner}")["contact"]
        del row["lfdi"]
        self.assertEqual(shown, row)
        self.assertNotIn("contact", self.office.get(f"/devices/{self.numbers.other}"))

        def silent(moment: int) -> set[int]:
            pages = self.office.pages(f"/devices?standing=registered&silent_since={moment}", 50)
            return {one["number"] for page in pages for one in page}

        self.assertNotIn(self.numbers.owner, silent(NOW - 5))
        self.assertIn(self.numbers.other, silent(NOW - 5))
        self.assertIn(self.numbers.owner, silent(NOW - 4))

    def test_replace_certificate(self) -> None:
        """A device gets another certificate by LFDI, by a signing request or with a key (case B5)."""
        path = f"/devices/{self.numbers.owner}/certificate"
        before = self.office.get(f"/devices/{self.numbers.owner}")
        made = self.office.post(path, {"lFDI": NEW_LFDI}, expect=200)
        changed = ("lFDI", "sFDI", "changedTime")
        self.assertEqual(made["device"]["lFDI"], NEW_LFDI)
        for name in before:
            if name not in changed:
                self.assertEqual(made["device"][name], before[name], name)
        new = caller("made for the owner")
        self.office.issue(new, KEY)
        made = self.office.post(path, {"make_key": True, "now": True}, expect=200)
        self.assertEqual(made["device"]["lFDI"], new.lfdi)
        self.assertEqual((made["certificate"], made["key"]), (CERTIFICATE, KEY))
        self.assertEqual(self.office.prepared[-1].name, before["name"])
        self.assertEqual(self.world.get(OWNER, "/edev").status, 404)
        self.assertEqual(self.world.get(new, "/edev").status, 200)
        # By the LFDI that it had it is found.
        (found,) = self.office.get(f"/devices?lfdi={OWNER.lfdi}")["items"]
        self.assertEqual(found["number"], self.numbers.owner)

    def test_replace_refused(self) -> None:
        """What cannot become its certificate is refused, before any is made (case B5)."""
        path = f"/devices/{self.numbers.owner}/certificate"
        for body, status in (
            ({}, 400),
            ({"lFDI": NEW_LFDI, "make_key": True}, 400),
            ({"lFDI": OWNER.lfdi}, 409),
            ({"lFDI": MANAGED.lfdi}, 409),
        ):
            self.assertEqual(self.office.send("POST", path, body).status, status, body)
        self.assertEqual(self.office.send("POST", "/devices/77/certificate", {"make_key": True}).status, 404)
        self.assertEqual(self.office.prepared, [])
        self.office.post(path, {"lFDI": NEW_LFDI}, expect=200)
        taken = {"name": "another", "lFDI": OWNER.lfdi}
        reason = self.office.refused("POST", "/devices", taken, expect=409)
        self.assertIn("before its certificate was replaced", reason)

    def test_reserved(self) -> None:
        """The LFDI of the server or of an operator is refused for a device (case F15)."""
        reserved = frozenset([DEVICE["lFDI"]])
        self.patch(self.world, "server", evolve(self.world.server, policy=evolve(IN_BAND, reserved=reserved)))
        office = Office(self.world)
        self.addCleanup(office.close)
        ((pointer, _),) = office.refused("POST", "/devices", DEVICE)
        self.assertEqual(pointer, "/lFDI")

    def test_place_taken(self) -> None:
        """One that was removed leaves its name to the one that takes its place."""
        self.office.delete(f"/devices/{self.numbers.owner}")
        made = self.office.post("/devices", {**DEVICE, "name": "owner"})["device"]
        self.assertNotEqual(made["number"], self.numbers.owner)
        self.assertNotIn("name", self.office.get(f"/devices/{self.numbers.owner}"))
        found = self.office.get("/devices?name=owner")["items"]
        self.assertEqual([one["number"] for one in found], [made["number"]])

    def test_withdrawn_and_removed(self) -> None:
        """A withdrawal outlasts being removed and coming back; only the operator's word lifts it."""
        number = self.numbers.owner
        self.tell(number, "withdraw", "withdrawn")
        self.office.delete(f"/devices/{number}")
        self.office.refused("DELETE", f"/devices/{number}", expect=409)
        body = {"name": "owner", "lFDI": OWNER.lfdi, "registered": True}
        back = self.office.post("/devices", body)["device"]
        self.assertEqual((back["number"], back["standing"]), (number, "withdrawn"))
        self.assertEqual(self.world.get(OWNER, f"/edev/{number}").status, 404)
        self.tell(number, "readmit", "registered")

    def test_retired_by_the_file(self) -> None:
        """One that is gone from the configuration may be added by the operator."""
        body = {"name": "retired", "lFDI": RETIRED.lfdi, "pIN": 5, "registered": True}
        back = self.office.post("/devices", body)["device"]
        self.assertEqual(
            (back["number"], back["standing"], back["pIN"]), (self.numbers.retired, "registered", 5)
        )

    def test_nobody(self) -> None:
        """What is done to a device that there is not is 404."""
        for method, rest, body in (
            ("GET", "", None),
            ("DELETE", "", None),
            ("PATCH", "", {"pIN": 5}),
            ("PUT", "/groups", {"groups": [1]}),
            ("POST", "/register", None),
            ("POST", "/withdraw", None),
            ("POST", "/readmit", None),
            ("GET", "/state", None),
            ("GET", "/logevents", None),
        ):
            found = self.office.refused(method, f"/devices/77{rest}", body, expect=404)
            self.assertEqual(found, "there is no device 77", f"{method} {rest}")
        self.assertEqual(self.office.log(), [])


class MoveTests(Case):
    """From group to group."""

    def move(self, *wanted: int) -> list[int]:
        path = f"/devices/{self.numbers.owner}/groups"
        found: list[int] = self.office.put(path, {"groups": list(wanted)}).get("groups", [])
        return found

    def test_moved(self) -> None:
        """A device is in the groups that are named and in no others, and sees their programs at once."""
        programs = f"/edev/{self.numbers.owner}/fsa"
        self.assertEqual(self.world.document(OWNER, programs).get("all"), "2")
        self.world.now += 10
        self.assertEqual(self.move(3, 5), [3, 5])
        self.assertEqual(self.world.get(OWNER, f"/derp/{self.numbers.feeder_b}").status, 200)
        self.assertEqual(self.world.get(OWNER, f"/derp/{self.numbers.point_1}").status, 404)
        self.assertEqual(self.move(3, 3), [3])
        self.assertEqual(self.move(), [])
        self.assertEqual(self.world.document(OWNER, programs).get("all"), "0")
        at = self.world.read(lambda connection: list(connection.scalars(group_devices.under(4, NOW))))
        self.assertIn(self.numbers.owner, at)
        self.assertEqual(
            [line.detail for line in self.office.log()],
            [
                "Point 1 (4), Campaign (5) -> Feeder B (3), Campaign (5)",
                "Feeder B (3), Campaign (5) -> Feeder B (3)",
                "Feeder B (3) -> no group",
            ],
        )

    def test_there_already(self) -> None:
        """Where a device is already it is not moved to, and nothing is logged."""
        self.assertEqual(self.move(5, 4), [4, 5])
        self.assertEqual(self.office.log(), [])

    def test_refused(self) -> None:
        """A group that there is not moves a device nowhere; an aggregator is in none."""
        path = f"/devices/{self.numbers.owner}/groups"
        found = self.office.refused("PUT", path, {"groups": [1, 77]})
        self.assertEqual(found, [("/groups/1", "there is no group 77")])
        self.assertEqual(self.office.get(f"/devices/{self.numbers.owner}")["groups"], [4, 5])
        path = f"/devices/{self.numbers.aggregator}/groups"
        found = self.office.refused("PUT", path, {"groups": [1]})
        self.assertEqual(found, [("/groups", "an aggregator is in no group; its devices are")])
        self.office.put(path, {"groups": []})
        self.assertEqual(self.office.log(), [])

    def test_who(self) -> None:
        """The operator who did it stands in the log."""
        self.office.put(f"/devices/{self.numbers.other}/groups", {"groups": [2]}, who=BOB)
        (line,) = self.office.log()
        self.assertEqual((line.who, line.subject), ("bob", f"/edev/{self.numbers.other}"))
        self.assertEqual(self.world.get(OTHER, f"/derp/{self.numbers.feeder_a}").status, 200)
