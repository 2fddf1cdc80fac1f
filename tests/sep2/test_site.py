"""The resource table against the facts of the standard, and the way from paths to resources and back."""

from __future__ import annotations

import re
from pathlib import Path

from attrs import frozen
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from csipd.sep2 import resources as r
from csipd.sep2 import site
from csipd.sep2.schema import fields
from csipd.sep2.site import ROWS, SERVED, TABLE, Audience, Party, Place

METHODS = ("GET", "HEAD", "PUT", "POST", "DELETE")
#: Rows that are not in the WADL: the programs of one FSA, the latest Reading of a MeterReading.
PROGRAMS, LATEST = "FSADERProgramList", "LatestReading"
OURS = (PROGRAMS, LATEST)
#: Served in this release. The rest waits for function sets of their own.
ON = """
    DeviceCapability SelfDevice Time
    EndDeviceList EndDevice Registration DeviceStatus DeviceInformation SupportedLocaleList SupportedLocale
    PowerStatus Configuration
    FunctionSetAssignmentsList FunctionSetAssignments FSADERProgramList
    SubscriptionList Subscription
    MirrorUsagePointList MirrorUsagePoint
    UsagePointList UsagePoint AssociatedUsagePoint MeterReadingList MeterReading ReadingType LatestReading
    ReadingSetList ReadingSet ReadingList Reading
    ResponseSetList ResponseSet ResponseList Response PriceResponse TextResponse DERControlResponse
    FlowReservationResponseResponse DrResponse
    LogEventList LogEvent
    DERList DER AssociatedDERProgramList CurrentDERProgram
    DERSettings DERStatus DERAvailability DERCapability
    DERProgramList DERProgram ActiveDERControlList DERControlList DERControl DefaultDERControl
    DERCurveList DERCurve
"""


@frozen
class Fact:
    """What the WADL says of a resource."""

    name: str
    uri: str
    marks: str
    query: str
    type_name: str
    posted: str
    keys: tuple[str, ...]


def _fact(line: str) -> Fact:
    head, _, keys = line.partition(" : ")
    name, uri, marks, query, *more = head.split()
    given = {part[0]: part[1:] for part in more}
    return Fact(
        name, uri, marks, query.strip("-"), given.get("=", name), given.get("+", ""), tuple(keys.split())
    )


_LINES = (Path(__file__).parents[1] / "vectors" / "resources.txt").read_text().splitlines()
FACTS = [_fact(line) for line in _LINES if not line.startswith("#")]

numbers = st.one_of(st.integers(1, 9999), st.integers(1, 2**63 - 1))
rows = st.sampled_from(list(SERVED.values()))


@st.composite
def places(draw: st.DrawFn) -> Place:
    """Any place that there may be."""
    row = draw(rows)
    return Place(row, tuple(draw(numbers) for _ in range(row.uri.count("{"))))


class TableTests(SynchronousTestCase):
    """Each row says what the standard says."""

    def test_rows(self) -> None:
        """All 126 resources of the WADL are there with their URIs and marks, and one of ours."""
        self.assertEqual(len(FACTS), 126)
        ours = [(row.name, row.uri, row.marks) for row in TABLE if row.name not in OURS]
        self.assertEqual(sorted(ours), sorted((fact.name, fact.uri, fact.marks) for fact in FACTS))
        programs = ROWS[PROGRAMS]
        self.assertEqual((programs.uri, programs.marks), ("/edev/{id1}/fsa/{id2}/derp", "MMEEE"))
        self.assertEqual(len(TABLE), 128)

    def test_names(self) -> None:
        """No name comes twice, and a URI only where it is that of all the kinds of Response."""
        self.assertEqual(len({row.name for row in TABLE}), len(TABLE))
        kinds = [row.name for row in TABLE if row.uri == "/rsps/{id1}/rsp/{id2}"]
        self.assertEqual(len(kinds), 6)
        self.assertEqual(len({row.uri for row in TABLE}), len(TABLE) - 5)

    def test_types(self) -> None:
        """The document of each resource is of the type that the WADL names."""
        for fact in FACTS:
            self.assertIs(ROWS[fact.name].resource_type, getattr(r, fact.type_name), fact.name)
        self.assertIs(ROWS[PROGRAMS].resource_type, r.DERProgramList)
        self.assertIs(ROWS[LATEST].resource_type, r.Reading)

    def test_lists(self) -> None:
        """A list is a resource whose type is a list, which is one that takes a query."""
        for fact in FACTS:
            row = ROWS[fact.name]
            self.assertEqual(row.is_list, bool(fact.query), fact.name)
            self.assertEqual(row.is_list, issubclass(row.resource_type, r.List | r.SubscribableList))

    def test_members(self) -> None:
        """The members of a list are elements named as their type, whose row is found."""
        for row in TABLE:
            if row.is_list:
                name = row.resource_type.__name__.removesuffix("List")
                members = site.member(row)
                self.assertEqual(members.resource_type.__name__, name)
                self.assertIn(name, {field.name for field in fields(row.resource_type)})
                if members.uri.startswith(row.uri) and members.on:
                    self.assertIs(site.list_of(members), row)

    def test_orders(self) -> None:
        """Each list is ordered as the standard's tables have it."""
        for fact in FACTS:
            row = ROWS[fact.name]
            keys = tuple(("-" if key.descending else "") + ".".join(key.path) for key in row.keys)
            self.assertEqual(keys, fact.keys, fact.name)
        self.assertEqual(ROWS[PROGRAMS].keys, ROWS["DERProgramList"].keys)

    def test_keys(self) -> None:
        """Every ordering key is an element of the list's members."""
        for row in TABLE:
            for key in row.keys:
                cls = site.member(row).resource_type
                for name in key.path:
                    if name != "href":
                        (field,) = (field for field in fields(cls) if field.name == name)
                        cls = field.type

    def test_after(self) -> None:
        """The query parameter a works on lists whose first key is a time, and on no other."""
        for fact in FACTS:
            first = fact.keys[0].lstrip("-") if fact.keys else ""
            timed = bool(re.search(r"Time$|\.start$", first))
            self.assertEqual(ROWS[fact.name].timed, timed, fact.name)
        for name in ("EndDeviceList", "LogEventList", "DERControlList", "ActiveDERControlList"):
            self.assertTrue(ROWS[name].timed, name)

    def test_posts(self) -> None:
        """Where a POST is offered, it carries what the WADL says, a type that there is."""
        for fact in FACTS:
            row = ROWS[fact.name]
            self.assertEqual(bool(row.accepts), bool(row.post), fact.name)
            if row.accepts:
                self.assertIn(fact.posted, row.accepts)
                self.assertEqual([cls.__name__ for cls in row.posted], list(row.accepts))

    def test_errors_not_offered(self) -> None:
        """What the standard marks as an error is offered to nobody, on or off."""
        for row in TABLE:
            for party in (Party.OWNER, Party.MANAGER, Party.CALLER):
                offered = row.allow(party)
                self.assertEqual(offered[:2], ("GET", "HEAD"))
                for method, mark in zip(METHODS, row.marks, strict=True):
                    if mark == "E":
                        self.assertNotIn(method, offered, row.name)

    def test_mandatory_offered(self) -> None:
        """What the standard makes mandatory is offered to somebody, unless the resource is a client's."""
        for row in TABLE:
            if row.audience is Audience.NOBODY:
                self.assertFalse(row.on, row.name)
                continue
            offered = set(row.allow(Party.OWNER | Party.MANAGER | Party.CALLER))
            for method, mark in zip(METHODS, row.marks, strict=True):
                if mark == "M":
                    self.assertIn(method, offered, row.name)

    def test_discouraged_not_offered(self) -> None:
        """What the standard discourages is for the operator, never for devices."""
        for row in TABLE:
            offered = set(row.allow(Party.OWNER | Party.MANAGER | Party.CALLER))
            for method, mark in zip(METHODS, row.marks, strict=True):
                if mark == "D" and method not in ("GET", "HEAD"):
                    self.assertNotIn(method, offered, row.name)

    def test_on(self) -> None:
        """What is served is what this release says it serves; the first of several at a URI stands for it."""
        self.assertEqual({row.name for row in TABLE if row.on}, set(ON.split()))
        self.assertEqual(set(SERVED), {row.uri for row in TABLE if row.on})
        self.assertIs(SERVED["/rsps/{id1}/rsp/{id2}"], ROWS["Response"])

    def test_parents_on(self) -> None:
        """Nothing is served whose numbered parent is not."""
        for row in SERVED.values():
            segments = row.segments
            for end in range(1, len(segments)):
                if segments[end - 1][0] == "{":
                    self.assertIn("/" + "/".join(segments[:end]), SERVED, row.name)


class LinkTests(SynchronousTestCase):
    """Links follow from URIs and types."""

    def test_elements(self) -> None:
        """Every link that is derived is an element of the document that it is shown in, of its own type."""
        for row in TABLE:
            named = {field.name: field for field in fields(row.resource_type)}
            for child in site.children(row):
                field = named[child.link]
                self.assertIs(field.type, getattr(r, child.link))
                self.assertEqual(issubclass(field.type, r.ListLink), child.is_list, child.name)

    def test_reached(self) -> None:
        """Whatever is served can be reached: by a link, as the member of a list, or as the entry point."""
        linked = {child.name for row in SERVED.values() for child in site.children(row)}
        members = {site.member(row).name for row in SERVED.values() if row.is_list}
        for row in SERVED.values():
            self.assertTrue(row is ROWS["DeviceCapability"] or row.name in linked | members, row.name)

    def test_required(self) -> None:
        """A link that the schema requires of a document that is served leads to something that is served."""
        for row in SERVED.values():
            for field in fields(row.resource_type):
                if issubclass(field.type, r.Link) and field.required:
                    (child,) = (child for child in site.children(row) if child.link == field.name)
                    self.assertTrue(child.on, f"{row.name}: {field.name}")

    def test_program_list_of_an_fsa(self) -> None:
        """An FSA links to its own programs, a DER to those that it is under."""
        fsa = {child.name: child.link for child in site.children(ROWS["FunctionSetAssignments"])}
        self.assertEqual(fsa, {"FSADERProgramList": "DERProgramListLink"})
        der = {child.name: child.link for child in site.children(ROWS["DER"])}
        self.assertEqual(der["AssociatedDERProgramList"], "AssociatedDERProgramListLink")
        self.assertEqual(der["CurrentDERProgram"], "CurrentDERProgramLink")

    def test_latest_reading(self) -> None:
        """A MeterReading links to its latest Reading, what it means and its sets; a set to its readings."""
        links = {child.name: child.link for child in site.children(ROWS["MeterReading"]) if child.on}
        self.assertEqual(
            links,
            {
                "ReadingType": "ReadingTypeLink",
                "LatestReading": "ReadingLink",
                "ReadingSetList": "ReadingSetListLink",
            },
        )
        self.assertEqual([child.link for child in site.children(ROWS["ReadingSet"])], ["ReadingListLink"])

    def test_not_to_itself(self) -> None:
        """A list does not link to its members, nor the entry point to itself."""
        for row in TABLE:
            self.assertNotIn(row, site.children(row))
            if row.is_list:
                self.assertEqual(site.children(row), ())


class HrefTests(SynchronousTestCase):
    """Paths."""

    def test_short(self) -> None:
        """The href of a list stays under 45 characters among a million devices."""
        ids = (1_234_567, 99, 9, 9, 9)
        for row in TABLE:
            if row.is_list:
                self.assertLess(len(row.href(ids[: row.uri.count("{")])), 45, row.name)

    @given(places())
    def test_round_trip(self, place: Place) -> None:
        """A place is found at its href, which is within the standard's 255 octets."""
        self.assertEqual(site.locate(place.href), place)
        self.assertLessEqual(len(place.href), 255)

    @given(places(), st.data())
    def test_one_spelling(self, place: Place, data: st.DataObject) -> None:
        """Another spelling of a path is no path: slashes, leading zeros, signs, escapes, case, queries."""
        href = place.href
        at = data.draw(st.integers(1, len(href) - 1))
        others = [
            f"{href}/",
            f"/{href}",
            href[1:],
            href.upper(),
            f"{href}?s=0",
            f"{href}#",
            f"{href}.",
            f"{href[:at]}%{ord(href[at]):02x}{href[at + 1 :]}",
            re.sub(r"/(\d)", r"/0\1", href),
            re.sub(r"/(\d)", r"/+\1", href),
            re.sub(r"/(\d)", r"/-\1", href),
            re.sub(r"\d(?=/|$)", "٣", href),
            re.sub(r"/\d+", f"/{2**63}", href),
            re.sub(r"/\d+", "/0", href),
        ]
        for other in others:
            if other != href:
                self.assertIsNone(site.locate(other), other)

    @given(st.lists(st.one_of(st.text(max_size=4), st.sampled_from(["", "0", "1", "edev", "{id1}", "der"]))))
    def test_noise(self, segments: list[str]) -> None:
        """Whatever is found at a path has that path for its href."""
        path = "/".join(segments)
        found = site.locate(path)
        self.assertTrue(found is None or found.href == path)

    def test_placeholders(self) -> None:
        """A URI template is no path."""
        for row in TABLE:
            if "{" in row.uri:
                self.assertIsNone(site.locate(row.uri), row.uri)
            if "{id2}" in row.uri:
                self.assertIsNone(site.locate(row.uri.replace("{id1}", "1")), row.uri)

    def test_off(self) -> None:
        """Nothing is found at the path of a resource that is off."""
        for row in TABLE:
            if not row.on:
                self.assertIsNone(site.locate(row.href((1,) * row.uri.count("{"))), row.name)

    @given(st.text(max_size=24))
    def test_number(self, text: str) -> None:
        """A number in a URI is at least 1, fits 63 bits, and has one spelling."""
        value = site.number(text)
        canonical = re.fullmatch("[1-9][0-9]*", text, re.ASCII) and int(text) < 2**63
        self.assertEqual(value, int(text) if canonical else None)

    @given(st.integers(0, 2**70))
    def test_every_number(self, value: int) -> None:
        """The bounds of numbers in URIs are 1 and 2**63 - 1."""
        self.assertEqual(site.number(str(value)), value if 0 < value < 2**63 else None)

    def test_device(self) -> None:
        """What lies below an EndDevice belongs to it; programs belong to no device."""
        expected = {"/edev": None, "/edev/7": 7, "/edev/7/der/2/ders": 7, "/derp/7": None, "/tm": None}
        for path, device in expected.items():
            place = site.locate(path)
            assert place is not None
            self.assertEqual(place.device, device)

    def test_enclosing(self) -> None:
        """A resource lies in the nearest numbered one above it."""
        expected = {
            "/dcap": None,
            "/edev": None,
            "/edev/7": None,
            "/edev/7/rg": "/edev/7",
            "/edev/7/der": "/edev/7",
            "/edev/7/der/2": "/edev/7",
            "/edev/7/der/2/ders": "/edev/7/der/2",
            "/edev/7/fsa/3/derp": "/edev/7/fsa/3",
            "/edev/7/di/loc/4": "/edev/7",
            "/derp/5/derc/6": "/derp/5",
        }
        for path, around in expected.items():
            place = site.locate(path)
            assert place is not None
            found = site.enclosing(place)
            self.assertEqual(found and found.href, around, path)

    def test_what_encloses_others_stays(self) -> None:
        """A caller can take away nothing that others lie in, but an EndDevice, whose place is then no one's.

        So a document that is kept has around it what it lies in (db/tree/access.py).
        """
        around = set()
        for row in SERVED.values():
            place = site.enclosing(Place(row, tuple(range(1, row.depth + 1))))
            if place is not None:
                around.add(place.row)
        self.assertIn(ROWS["DER"], around)
        self.assertEqual({row.name for row in around if row.delete}, {"EndDevice"})


class BareTests(SynchronousTestCase):
    """What is kept of a resource that a client sent."""

    def bare(self, row: str, resource: r.Resource) -> r.Resource:
        return site.bare(ROWS[row], resource)

    def test_own_fields(self) -> None:
        """A client's href, pollRate and subscribable are dropped, its fields and extensions kept."""
        own = {"readingTime": 5, "extensions": ("<a xmlns='urn:x'/>",)}
        given = r.DERStatus(href="/elsewhere", subscribable=1, **own)
        self.assertEqual(self.bare("DERStatus", given), r.DERStatus(**own))
        sent = r.DeviceStatus(changedTime=5, pollRate=1)
        self.assertEqual(self.bare("DeviceStatus", sent), r.DeviceStatus(changedTime=5))

    def test_links(self) -> None:
        """Links that are the server's to make are dropped, as are those to nothing of their kind."""
        link = r.PriceResponseCfgListLink(href="/edev/1/cfg/prcfg", all=0)
        given = r.Configuration(currentLocale="en", userDeviceName="", PriceResponseCfgListLink=link)
        self.assertEqual(
            self.bare("Configuration", given), r.Configuration(currentLocale="en", userDeviceName="")
        )
        for href, kept in (
            ("/tm", True),
            ("/nowhere", False),
            ("https://else.where/tm", False),
            # Another's, which would not answer for whoever is shown the link.
            ("/edev/99/rg", False),
            ("/dcap", False),
        ):
            status = r.DeviceStatus(changedTime=5, TimeLink=r.TimeLink(href=href))
            bare = self.bare("DeviceStatus", status)
            assert isinstance(bare, r.DeviceStatus)
            self.assertEqual(bare.TimeLink is not None, kept, href)

    def test_untouched(self) -> None:
        """What needs nothing dropped is given back as it is."""
        status = r.DERStatus(readingTime=5)
        self.assertIs(self.bare("DERStatus", status), status)
