"""Every resource, every method, every kind of caller, against a table; and all that a client is led to.

The table is written down here from the rules (CSIP IG 5.2, 6.1.2 to 6.1.7, IEEE 2030.5-2018 8.5.3 and the
decisions on access), not computed by what it judges.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import attrs
from attrs import frozen
from lxml import etree
from twisted.trial.unittest import SynchronousTestCase

from csipd.der.access import Policy
from csipd.net.identity import Identity
from csipd.sep2 import codec, site
from csipd.sep2 import resources as r
from tests.support.bodies import FULL, MINIMAL
from tests.support.client import Answer
from tests.support.metering import WATTS, meter, reading, reading_set, usage_point
from tests.support.schema import validate
from tests.support.subscribing import subscription
from tests.support.walk import EVERYTHING, is_list, judge, links, walk
from tests.support.ways import both_ways, through_a_proxy
from tests.support.world import (
    AGGREGATOR,
    ALLOW_ALL,
    EVERYBODY,
    IDLE,
    IN_BAND,
    LISTED,
    MANAGED,
    NAMESPACE,
    OTHER,
    OUT_OF_BAND,
    OWNER,
    RETIRED,
    RIVAL,
    UNKNOWN,
    WITHDRAWN,
    World,
    end_device,
)

#: What writes comes last, and what takes most away at the very end.
METHODS = ("GET", "HEAD", "OPTIONS", "PATCH", "FOO", "PUT", "POST", "DELETE")
EMPTY_LIST = Policy(empty_list=True)

#: The kinds of callers, as seen from a device of an aggregator that has a certificate of its own.
KINDS: Mapping[str, Identity] = {
    "unknown": UNKNOWN,
    "listed": LISTED,
    "idle": IDLE,
    "owner": MANAGED,
    "other": OTHER,
    "manager": AGGREGATOR,
    "rival": RIVAL,
    "withdrawn": WITHDRAWN,
    "retired": RETIRED,
}
REGISTERED = ("owner", "other", "manager", "rival")


@frozen
class Rule:
    """Who may do what with a resource.

    :param seen_by: the kinds of callers for which it exists
    :param takes: methods besides GET and HEAD
    :param from_manager: methods besides these from the aggregator of the device
    """

    visible_to: tuple[str, ...]
    takes: tuple[str, ...] = ()
    from_manager: tuple[str, ...] = ()

    def allow(self, kind: str) -> set[str]:
        return {"GET", "HEAD", *self.takes, *(self.from_manager if kind == "manager" else ())}


EVERYONE = Rule(tuple(KINDS))
ANY_REGISTERED = Rule(REGISTERED)
READ = Rule(("owner", "manager"))
REPORT = Rule(("owner", "manager"), ("PUT",))
# The programs that the managed device is under: Point 1, below Feeder A, below System.
OWN_PROGRAM = Rule(("owner", "manager"))
# In Feeder B: the other device, one of the aggregator without a certificate, one of the rival.
NEXT_DOOR = Rule(("other", "manager", "rival"))
# In Campaign: a direct device that is none of the callers here.
CLOSED = Rule(())
LIST_OF_DEVICES = "/edev"
RESPONSES = "/rsps/1/rsp"
MIRRORS = "/mup"

#: Paths, with the numbers of the world to be filled in.
TABLE: Mapping[str, Rule] = {
    "/dcap": EVERYONE,
    "/tm": EVERYONE,
    "/sdev": ANY_REGISTERED,
    LIST_OF_DEVICES: Rule((*REGISTERED, "listed", "idle"), ("POST",)),
    "/edev/{managed}": Rule(("owner", "manager"), ("PUT",), ("DELETE",)),
    "/edev/{managed}/rg": READ,
    "/edev/{managed}/dstat": REPORT,
    "/edev/{managed}/fsa": READ,
    "/edev/{managed}/fsa/{topology}": READ,
    "/edev/{managed}/fsa/{topology}/derp": READ,
    # The device's own, not its aggregator's.
    "/edev/{managed}/sub": Rule(("owner",), ("POST",)),
    "/edev/{managed}/sub/1": Rule(("owner",), ("PUT", "DELETE")),
    "/edev/{managed}/di": REPORT,
    "/edev/{managed}/di/loc": Rule(("owner", "manager"), ("POST",)),
    "/edev/{managed}/di/loc/1": Rule(("owner", "manager"), ("PUT", "DELETE")),
    "/edev/{managed}/ps": REPORT,
    "/edev/{managed}/cfg": REPORT,
    "/edev/{managed}/der": READ,
    "/edev/{managed}/der/1": READ,
    "/edev/{managed}/der/1/derp": READ,
    "/edev/{managed}/der/1/cdp": READ,
    "/edev/{managed}/der/1/upt": READ,
    "/edev/{managed}/der/1/dercap": REPORT,
    "/edev/{managed}/der/1/derg": REPORT,
    "/edev/{managed}/der/1/ders": REPORT,
    "/edev/{managed}/der/1/dera": REPORT,
    "/rsps": ANY_REGISTERED,
    "/rsps/1": ANY_REGISTERED,
    RESPONSES: Rule(REGISTERED, ("POST",)),
    "/rsps/1/rsp/1": READ,
    # Mirror 1 is the managed device's own, mirror 2 its aggregator's, of the same device.
    MIRRORS: Rule(REGISTERED, ("POST",)),
    "/mup/1": Rule(("owner",), ("PUT", "POST", "DELETE")),
    "/mup/2": Rule(("manager",), ("PUT", "POST", "DELETE")),
    "/upt": ANY_REGISTERED,
    "/upt/1": READ,
    "/upt/2": READ,
    "/upt/1/mr": READ,
    "/upt/1/mr/1": READ,
    "/upt/1/mr/1/rt": READ,
    "/upt/1/mr/1/r": READ,
    "/upt/1/mr/1/rs": READ,
    "/upt/1/mr/1/rs/1": READ,
    "/upt/1/mr/1/rs/1/r": READ,
    "/upt/1/mr/1/rs/1/r/1": READ,
    "/edev/{managed}/lel": Rule(("owner", "manager"), ("POST",)),
    "/edev/{managed}/lel/1": Rule(("owner", "manager"), ("DELETE",)),
    "/derp": ANY_REGISTERED,
    "/derp/{system}": ANY_REGISTERED,
    "/derp/{system}/derc": ANY_REGISTERED,
    "/derp/{system}/dderc": ANY_REGISTERED,
    "/derp/{feeder_a}/dc": OWN_PROGRAM,
    "/derp/{feeder_a}/dc/{curve}": OWN_PROGRAM,
    "/derp/{point_1}": OWN_PROGRAM,
    "/derp/{point_1}/actderc": OWN_PROGRAM,
    "/derp/{point_1}/derc": OWN_PROGRAM,
    "/derp/{point_1}/derc/{active}": OWN_PROGRAM,
    "/derp/{point_1}/derc/{ended}": OWN_PROGRAM,
    "/derp/{feeder_b}": NEXT_DOOR,
    "/derp/{feeder_b}/derc": NEXT_DOOR,
    "/derp/{campaign}": CLOSED,
    "/derp/{campaign}/derc": CLOSED,
    "/derp/{campaign}/dc": CLOSED,
    # The aggregator's own EndDevice, which none of its devices sees.
    "/edev/{aggregator}": Rule(("manager",), ("PUT",)),
    "/edev/{aggregator}/rg": Rule(("manager",)),
    "/edev/{aggregator}/sub": Rule(("manager",), ("POST",)),
    "/edev/{aggregator}/dstat": Rule(("manager",), ("PUT",)),
    "/edev/{aggregator}/di/loc": Rule(("manager",), ("POST",)),
    "/edev/{aggregator}/lel": Rule(("manager",), ("POST",)),
}

#: Kinds of resources that may be absent where their owner may look, and what they take.
ABSENT: Mapping[str, Rule] = {
    "/edev/{managed}/di/loc/99": Rule(("owner", "manager"), ("PUT", "DELETE")),
    "/edev/{managed}/sub/99": Rule(("owner",), ("PUT", "DELETE")),
    "/edev/{managed}/lel/99": Rule(("owner", "manager"), ("DELETE",)),
    "/edev/{managed}/der/2": READ,
    "/edev/{managed}/fsa/{campaigns}": READ,
    "/upt/1/mr/99": READ,
    "/upt/1/mr/1/rs/99": READ,
    "/upt/1/mr/1/rs/1/r/99": READ,
    # MeterReading 2 and ReadingSet 2 lie in UsagePoint 2.
    "/upt/1/mr/2": READ,
    "/upt/1/mr/1/rs/2": READ,
    "/derp/{point_1}/derc/{forgotten}": OWN_PROGRAM,
    "/derp/{system}/derc/{active}": ANY_REGISTERED,
    "/derp/{point_1}/dc/99": OWN_PROGRAM,
    "/derp/{feeder_b}/dderc": NEXT_DOOR,
    # CSIP IG 6.1.7: an aggregator is no DER.
    "/edev/{aggregator}/fsa": Rule(("manager",)),
    "/edev/{aggregator}/der": Rule(("manager",)),
    "/edev/{aggregator}/der/1": Rule(("manager",)),
}

#: What there is for nobody: no such number, what was retired, what lies below what is not there, what is off.
NOWHERE = (
    "/",
    "/nowhere",
    "/dcap/1",
    "/edev/0",
    "/edev/999999",
    "/edev/999999/rg",
    "/edev/{listed}",
    "/edev/{withdrawn}",
    "/edev/{withdrawn}/rg",
    "/edev/{retired}",
    "/edev/{retired}/der/1/ders",
    "/edev/{managed}/der/2/ders",
    "/edev/{managed}/der/2/derp",
    "/edev/{managed}/der/2/upt",
    "/edev/{managed}/fsa/{campaigns}/derp",
    "/edev/{aggregator}/fsa/{topology}/derp",
    "/edev/{aggregator}/der/1/ders",
    "/derp/{gone}",
    "/derp/{gone}/derc",
    "/derp/999999",
    "/derp/999999/dderc",
    "/mup/99",
    "/upt/99",
    "/upt/99/mr",
    "/upt/1/mr/2/rt",
    "/upt/1/mr/2/r",
    "/upt/1/mr/2/rs",
    "/upt/1/mr/2/rs/2",
    "/upt/1/mr/2/rs/2/r",
    "/upt/1/mr/2/rs/2/r/1",
    "/upt/1/mr/1/rs/2/r",
    "/upt/1/mr/1/rs/2/r/1",
    "/rsps/2",
    "/rsps/2/rsp",
    "/rsps/2/rsp/1",
    "/rsps/1/rsp/99",
    "/edev/{managed}/ns",
    "/edev/{managed}/frq",
    "/msg",
    "/tp",
    "/bill",
    "/ntfy",
)

#: POST of a caller's own EndDevice to the list, by policy and kind: 409 is for those that have one.
REGISTRATION: Mapping[Policy, Mapping[str, int]] = {
    IN_BAND: {"unknown": 403, "listed": 201, "idle": 201, "withdrawn": 403, "retired": 403},
    OUT_OF_BAND: {"unknown": 403, "listed": 403, "idle": 403, "withdrawn": 403, "retired": 403},
    ALLOW_ALL: {"unknown": 201, "listed": 201, "idle": 201, "withdrawn": 403, "retired": 403},
    EMPTY_LIST: {"unknown": 403, "listed": 403, "idle": 403, "withdrawn": 403, "retired": 403},
}
#: Who besides the registered may look at the list.
LOOKERS: Mapping[Policy, tuple[str, ...]] = {
    IN_BAND: ("listed", "idle"),
    OUT_OF_BAND: (),
    ALLOW_ALL: ("unknown", "listed", "idle"),
    EMPTY_LIST: ("unknown", "listed", "idle", "withdrawn", "retired"),
}


class WalkCase(SynchronousTestCase):
    """Worlds, and what they answer."""

    def make(self, policy: Policy = IN_BAND) -> World:
        world = World(Path(self.mktemp()), policy=policy)
        self.addCleanup(world.close)
        # A response, a log event and a subscription of the managed device: number 1 of each.
        world.post(MANAGED, RESPONSES, self.response(MANAGED))
        world.post(MANAGED, f"/edev/{world.numbers.managed}/lel", MINIMAL["LogEvent"])
        world.post(MANAGED, f"/edev/{world.numbers.managed}/sub", subscription("/edev"))
        # Mirrors 1 and 2 of it, each with a MeterReading and a ReadingSet of the mirror's number.
        for who in (MANAGED, AGGREGATOR):
            metered = meter("A1", WATTS, reading(5), reading_set("B1", [1, 2]))
            world.post(who, MIRRORS, usage_point(MANAGED, "F0", metered))
        world.changed.clear()
        return world

    def response(self, who: Identity) -> r.Resource:
        body: r.Resource = FULL["DERControlResponse"].replace(endDeviceLFDI=who.lfdi)
        return body

    def path(self, world: World, template: str) -> str:
        return template.format(**attrs.asdict(world.numbers))

    def body(self, world: World, path: str, who: Identity, method: str) -> bytes:
        """A body that would be right at a path, for those who may write there."""
        place = site.locate(path)
        name = place.row.resource_type.__name__ if place else "DERStatus"
        owner = AGGREGATOR if place and place.device == world.numbers.aggregator else MANAGED
        match name:
            case "EndDeviceList":
                return codec.encode(end_device(who))
            case "EndDevice":
                return codec.encode(end_device(owner))
            case "SubscriptionList" | "Subscription":
                # A PUT of the one there is; another one to be made.
                return codec.encode(subscription("/edev" if name == "Subscription" else "/derp"))
            case "SupportedLocaleList" | "LogEventList":
                return codec.encode(FULL[name.removesuffix("List")])
            case "ResponseList":
                return codec.encode(self.response(who))
            case "MirrorUsagePointList":
                return codec.encode(usage_point(who, "F1"))
            case "MirrorUsagePoint" if method == "PUT":
                return codec.encode(usage_point(MANAGED))
            case "MirrorUsagePoint":
                return codec.encode(meter("A2"))
            case "DeviceInformation":
                return codec.encode(FULL[name].replace(lFDI=owner.lfdi))
            case _ if name in FULL:
                return codec.encode(FULL[name])
            case _:
                return f'<{name} xmlns="{NAMESPACE.strip("{}")}"/>'.encode()

    def ask(self, world: World, who: Identity, method: str, path: str) -> Answer:
        """One request, right in all but its right to be made; what it gets has the form of an answer."""
        body = self.body(world, path, who, method) if method in ("PUT", "POST", "PATCH") else None
        answer = world.send(who, method, path, body)
        self.assertEqual(answer.headers.get("transfer-encoding"), None)
        if method == "HEAD" or answer.status in (201, 204):
            self.assertEqual(answer.body, b"")
        elif answer.status >= 400:
            self.assertEqual(answer.headers["content-type"], "application/sep+xml")
            validate(answer.body)
            self.assertEqual(etree.fromstring(answer.body).tag, f"{NAMESPACE}Error")
        return answer


class MatrixTests(WalkCase):
    """The table."""

    def assertStatus(self, answer: Answer, status: Iterable[int], what: object) -> None:
        self.assertIn(answer.status, tuple(status), f"{what}: {answer}")

    def assertAllow(self, answer: Answer, allow: set[str], what: object) -> None:
        self.assertEqual(answer.status, 405, f"{what}: {answer}")
        self.assertEqual(set(answer.headers["allow"].split(", ")), allow, what)

    def check(self, world: World, kind: str, method: str, template: str, rule: Rule, own: int) -> None:
        """Ask, and compare with the rule; `own` is what a POST of one's own EndDevice gets."""
        who, what = KINDS[kind], (kind, method, template)
        answer = self.ask(world, who, method, self.path(world, template))
        if method == "FOO":
            self.assertStatus(answer, [501], what)
        elif template == LIST_OF_DEVICES and method == "POST":
            self.assertStatus(answer, [own], what)
        elif kind not in rule.visible_to:
            self.assertStatus(answer, [404], what)
        elif method not in rule.allow(kind):
            self.assertAllow(answer, rule.allow(kind), what)
        else:
            expected = {"GET": 200, "HEAD": 200, "PUT": 204, "POST": 201, "DELETE": 204}
            self.assertStatus(answer, [expected[method]], what)

    def test_covered(self) -> None:
        """The table speaks of every resource that is served."""
        world = self.make()
        named = {site.locate(self.path(world, template)) for template in TABLE}
        self.assertNotIn(None, named)
        names = {place.row.name for place in named if place}
        self.assertEqual(names, {row.name for row in site.SERVED.values()})

    def test_matrix(self) -> None:
        """Each method on each resource from each kind of caller is answered as the table has it."""
        for kind in KINDS:
            world = self.make()
            own = REGISTRATION[IN_BAND].get(kind, 409)
            # What changes who is registered comes last, so that nobody is gone or new before its turn.
            last = [
                ("POST", LIST_OF_DEVICES),
                ("DELETE", "/mup/1"),
                ("DELETE", "/mup/2"),
                ("DELETE", "/edev/{managed}"),
            ]
            questions = [(method, template) for method in METHODS for template in TABLE]
            for method, template in sorted(
                questions, key=lambda each: last.index(each) + 1 if each in last else 0
            ):
                self.check(world, kind, method, template, TABLE[template], own)

    def test_policies(self) -> None:
        """How devices come to be registered makes a difference to the list of devices alone."""
        templates = (LIST_OF_DEVICES, "/dcap", "/tm", "/sdev", "/edev/{managed}", "/derp")
        for policy in (OUT_OF_BAND, ALLOW_ALL, EMPTY_LIST):
            for kind in KINDS:
                world = self.make(policy)
                own = REGISTRATION[policy].get(kind, 409)
                for method in ("GET", "HEAD", "OPTIONS", "PUT", "DELETE", "POST"):
                    for template in templates[1:]:
                        if (method, template) != ("DELETE", "/edev/{managed}"):
                            self.check(world, kind, method, template, TABLE[template], own)
                    rule = Rule((*REGISTERED, *LOOKERS[policy]), ("POST",))
                    self.check(world, kind, method, LIST_OF_DEVICES, rule, own)

    def test_absent(self) -> None:
        """What is not there is 404 to those who may look; a method that it would not take may be 405."""
        for kind, who in KINDS.items():
            world = self.make()
            for template, rule in ABSENT.items():
                for method in METHODS[:4] + METHODS[5:]:
                    answer = self.ask(world, who, method, self.path(world, template))
                    what = (kind, method, template)
                    if kind in rule.visible_to and method not in rule.allow(kind) and answer.status == 405:
                        self.assertAllow(answer, rule.allow(kind), what)
                    else:
                        self.assertStatus(answer, [404], what)
            self.assertEqual(world.changed, [])

    def test_nowhere(self) -> None:
        """Where there is nothing for anybody, every method known to HTTP is 404 from everybody."""
        for kind, who in KINDS.items():
            world = self.make()
            for template in NOWHERE:
                for method in METHODS:
                    answer = self.ask(world, who, method, self.path(world, template))
                    expected = 501 if method == "FOO" else 404
                    self.assertStatus(answer, [expected], (kind, method, template))
            self.assertEqual(world.changed, [])

    def test_refused_writes_change_nothing(self) -> None:
        """A request that is refused leaves no trace in the database."""
        world = self.make()
        before = world.read(lambda connection: list(connection.connection.iterdump()))
        for kind in ("unknown", "other", "rival", "withdrawn", "retired"):
            for template in TABLE:
                # Everybody who is registered may respond, and mirror what it meters.
                if template not in (RESPONSES, MIRRORS):
                    for method in ("PUT", "POST", "DELETE"):
                        self.ask(world, KINDS[kind], method, self.path(world, template))
        self.assertEqual(world.read(lambda connection: list(connection.connection.iterdump())), before)
        self.assertEqual(world.changed, [])

    def test_body_does_not_matter(self) -> None:
        """Who may not write is told that and nothing else, whatever its body is or is said to be."""
        world = self.make()
        bodies: tuple[tuple[bytes, str | None], ...] = (
            (b"", None),
            (b"<", "application/sep+xml"),
            (b"{}", "application/json"),
            (b"<a/>", "application/sep-exi"),
        )
        for kind in ("unknown", "other", "rival", "owner", "manager"):
            for template, rule in TABLE.items():
                for method in ("PUT", "POST"):
                    for body, media in bodies[: 2 if rule in (READ, CLOSED) else 4]:
                        answer = world.send(
                            KINDS[kind], method, self.path(world, template), body, {"Content-Type": media}
                        )
                        what = (kind, method, template, body)
                        if kind not in rule.visible_to:
                            refused = 403 if (template, method) == (LIST_OF_DEVICES, "POST") else 404
                            self.assertStatus(answer, [refused], what)
                        elif method not in rule.allow(kind):
                            self.assertAllow(answer, rule.allow(kind), what)
                        else:
                            self.assertStatus(answer, [400 if media == "application/sep+xml" else 415], what)
        self.assertEqual(world.changed, [])


#: Links to what a device is to PUT itself are shown before it has (resources of IEEE 2030.5-2018 that are
#: PUT as a whole), so that it knows where to.
FIRST_PUT = {
    "ConfigurationLink",
    "DERAvailabilityLink",
    "DERCapabilityLink",
    "DERSettingsLink",
    "DERStatusLink",
    "DeviceInformationLink",
    "DeviceStatusLink",
    "PowerStatusLink",
}


class FollowTests(WalkCase):
    """A client that follows every link it is shown."""

    def follow(self, world: World, who: Identity) -> dict[str, Answer]:
        """Judge all that a caller is led to."""
        answers = walk(world, who)
        shown = [
            link
            for path, answer in answers.items()
            if answer.status == 200
            for link in links(path, answer.body)
        ]
        to_be_put = {link.href for link in shown if link.name.removeprefix(NAMESPACE) in FIRST_PUT}
        for path, answer in answers.items():
            if answer.status == 404:
                self.assertIn(path, to_be_put)
            else:
                judge(path, answer)
        for link in shown:
            place = site.locate(link.href)
            assert place is not None, link
            # Where this leads, and whether it says so rightly.
            found = answers[link.href]
            if found.status == 200 and is_list(found.body) and link.name.endswith("ListLink"):
                self.assertEqual(str(link.all), etree.fromstring(found.body).get("all"), link)
            else:
                self.assertFalse(link.name.endswith("ListLink"), link)
                self.assertIsNone(link.all, link)
        return answers

    def test_everybody(self) -> None:
        """Whatever link anybody is shown answers for it, with a document that is right in every respect."""
        for policy in (IN_BAND, OUT_OF_BAND, ALLOW_ALL, EMPTY_LIST):
            world = self.make(policy)
            for name, who in EVERYBODY.items():
                # How one comes to be registered makes no difference to who is.
                if policy is not IN_BAND and name in (
                    "other",
                    "aggregator",
                    "managed",
                    "bare",
                    "rival",
                    "foreign",
                ):
                    continue
                answers = self.follow(world, who)
                self.assertIn("/tm", answers, name)

    def test_unknown(self) -> None:
        """Who is on no list is led to the time and nowhere else (decision 1)."""
        for policy in (IN_BAND, OUT_OF_BAND):
            world = self.make(policy)
            for who in (UNKNOWN, WITHDRAWN, RETIRED):
                self.assertEqual(set(self.follow(world, who)), {"/dcap", "/tm"})

    def test_listed(self) -> None:
        """Who is listed is led to an empty list of devices in band, and out of band to the time alone."""
        answers = self.follow(self.make(IN_BAND), LISTED)
        self.assertEqual(set(answers), {"/dcap", "/tm", "/edev", f"/edev{EVERYTHING}"})
        self.assertEqual(etree.fromstring(answers["/edev"].body).get("all"), "0")
        self.assertEqual(set(self.follow(self.make(OUT_OF_BAND), LISTED)), {"/dcap", "/tm"})

    def test_all_is_found(self) -> None:
        """What exists for a caller can be found by following links: all but controls that are over, and the
        locales of a device that has said nothing of itself."""
        world = self.make()
        for kind in REGISTERED:
            answers = walk(world, KINDS[kind])
            for template, rule in TABLE.items():
                hidden = "{ended}" in template or template == "/edev/{aggregator}/di/loc"
                seen = kind in rule.visible_to and not hidden
                self.assertEqual(self.path(world, template) in answers, seen, (kind, template))

    def test_only_own(self) -> None:
        """Devices see one EndDevice, their own; an aggregator itself and its fleet; nobody sees another's."""
        world, numbers = self.make(), self.make().numbers
        expected = {
            OWNER: {numbers.owner},
            OTHER: {numbers.other},
            MANAGED: {numbers.managed},
            AGGREGATOR: {numbers.aggregator, numbers.managed, numbers.bare},
            RIVAL: {numbers.rival, numbers.foreign},
        }
        for who, devices in expected.items():
            numbers_seen = {
                int(path.split("/")[2].partition("?")[0])
                for path in walk(world, who)
                if path.startswith("/edev/")
            }
            self.assertEqual(numbers_seen, devices)

    def test_head(self) -> None:
        """HEAD gives GET's headers, to the length of the body, and no body."""
        world = self.make()
        for who in (OWNER, AGGREGATOR, UNKNOWN):
            for path, answer in walk(world, who).items():
                head = world.send(who, "HEAD", path)
                self.assertEqual((head.status, head.body), (answer.status, b""), path)
                self.assertEqual(head.headers, answer.headers, path)

    def test_first_put(self) -> None:
        """Where a link leads to nothing yet, a PUT makes it; the way there is right for every such link."""
        world = self.make()
        empty = [path for path, answer in walk(world, AGGREGATOR).items() if answer.status == 404]
        aggregator = world.numbers.aggregator
        self.assertEqual(sorted(empty), [f"/edev/{aggregator}/{name}" for name in ("cfg", "di", "ps")])
        for path in empty:
            answer = self.ask(world, AGGREGATOR, "PUT", path)
            self.assertEqual(answer.status, 204, path)
            judge(path, world.get(AGGREGATOR, path))

    def test_aggregators_own(self) -> None:
        """An aggregator's own EndDevice has no FSA and no DERs; those of its fleet have both (IG 6.1.7)."""
        world = self.make()
        document = world.document(AGGREGATOR, "/edev?l=255")
        for device in document:
            names = {element.tag.removeprefix(NAMESPACE) for element in device}
            own = device.get("href") == f"/edev/{world.numbers.aggregator}"
            for name in ("FunctionSetAssignmentsListLink", "DERListLink"):
                self.assertEqual(name in names, not own, (name, device.get("href")))
            self.assertIn("RegistrationLink", names)


class ListTests(WalkCase):
    """What holds for every list there is."""

    def lists(self, world: World, who: Identity) -> dict[str, etree._Element]:
        found = {
            path: etree.fromstring(answer.body)
            for path, answer in walk(world, who).items()
            if path.endswith(EVERYTHING)
        }
        return {path.removesuffix(EVERYTHING): whole for path, whole in found.items()}

    def test_pages(self) -> None:
        """A list is the same read as a whole, by pages of any size, and one by one; its count stands."""
        world = self.make()
        for who in (OWNER, AGGREGATOR):
            for path, whole in self.lists(world, who).items():
                hrefs = [member.get("href") for member in whole]
                self.assertEqual(whole.get("all"), str(len(hrefs)), path)
                for size in (1, 2):
                    pages = []
                    for start in range(0, len(hrefs), size):
                        page = world.document(who, f"{path}?s={start}&l={size}")
                        self.assertEqual(page.get("all"), whole.get("all"))
                        pages += [member.get("href") for member in page]
                    self.assertEqual(pages, hrefs, path)

    def test_edges(self) -> None:
        """l=0 and s past the end give no members, and all members are still counted; no l gives one."""
        world = self.make()
        for path, whole in self.lists(world, AGGREGATOR).items():
            total = int(whole.get("all") or "")
            for query, results in (
                ("l=0", 0),
                (f"s={total}&l=9", 0),
                (f"s={2**63 - 1}&l=255", 0),
                ("", min(1, total)),
                ("l=1000", total),
                (f"a={-(2**62)}&l=255", total),
            ):
                page = world.document(AGGREGATOR, f"{path}?{query}")
                self.assertEqual(page.get("results"), str(results), (path, query))
                self.assertEqual((len(page), page.get("all")), (results, str(total)), (path, query))

    def test_after(self) -> None:
        """a leaves out what is not later where the order begins with a time, and nothing elsewhere."""
        world = self.make()
        # EndDevices by changedTime, controls by start, curves by creationTime, what devices tell by its time.
        timed = ("/edev", "/derc", "/actderc", "/dc", "/rsp", "/lel", "/rs")
        for path, whole in self.lists(world, AGGREGATOR).items():
            page = world.document(AGGREGATOR, f"{path}?a={2**62}&l=255")
            expected = "0" if path.endswith(timed) else whole.get("all")
            self.assertEqual((page.get("all"), page.get("results")), (expected, expected), path)

    def test_bad_queries(self) -> None:
        """A value that is no number in range is 400 on a list and nothing to a resource that is none."""
        world = self.make()
        lists = self.lists(world, OWNER)
        for path in walk(world, OWNER):
            for query in ("s=-1", "l=x", "a=", f"l={2**64}"):
                answer = world.get(OWNER, f"{path.partition('?')[0]}?{query}")
                if path.partition("?")[0] in lists:
                    self.assertEqual(answer.status, 400, (path, query))
                    self.assertIn(b"<reasonCode>1</reasonCode>", answer.body)
                else:
                    self.assertEqual(answer.status, 200, (path, query))


through_a_proxy(globals())
both_ways(globals())
