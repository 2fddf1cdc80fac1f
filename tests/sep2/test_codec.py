"""The codec: what it reads, what it refuses and how, what it writes."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from functools import partial
from itertools import pairwise

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lxml import etree
from twisted.trial.unittest import SynchronousTestCase

from csipd.sep2 import codec
from csipd.sep2 import resources as r
from csipd.sep2.codec import NAMESPACE, BadValue, DocumentError, Malformed, check, decode, encode
from csipd.sep2.schema import Element, fields
from csipd.sep2.types import DeviceCategory, EventState, Hexadecimal, Range, ReasonCode, Text, UInt8
from tests.support.faults import DAMAGE, FAULTS
from tests.support.instances import CLASSES, instances
from tests.support.schema import Invalid, validate
from tests.support.steps import steps

XSI = "http://www.w3.org/2001/XMLSchema-instance"


def examples(number: int) -> settings:
    """So many examples, the same on every run."""
    return settings(
        max_examples=number,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )


def document(root: str, content: str = "", attributes: str = "") -> bytes:
    """The document of a root element in 2030.5's namespace."""
    return f'<{root} xmlns="{NAMESPACE}" {attributes}>{content}</{root}>'.encode()


def document_of(root: str, content: str) -> bytes:
    """The same as the codec writes it."""
    return f'<{root} xmlns="{NAMESPACE}">{content}</{root}>'.encode()


MRID = "<mRID>0FB7000000000000000000010000A00C</mRID>"
STATUS = (
    "<EventStatus><currentStatus>0</currentStatus><dateTime>1700000000</dateTime>"
    "<potentiallySuperseded>false</potentiallySuperseded></EventStatus>"
)
CONTROL = (
    f"{MRID}<creationTime>1700000000</creationTime>{STATUS}"
    "<interval><duration>60</duration><start>1700000120</start></interval>"
    "<DERControlBase><opModMaxLimW>6000</opModMaxLimW></DERControlBase>"
)
DEVICE = "<sFDI>167261211391</sFDI><changedTime>1700000000</changedTime>"
STATUS_VALUE = r.EventStatus(currentStatus=0, dateTime=1700000000, potentiallySuperseded=False)
CONTROL_VALUE = r.DERControl(
    mRID="0FB7000000000000000000010000A00C",
    creationTime=1700000000,
    EventStatus=STATUS_VALUE,
    interval=r.DateTimeInterval(duration=60, start=1700000120),
    DERControlBase=r.DERControlBase(opModMaxLimW=6000),
)


# Every bound of the schema's integers, and what lies on both sides of it.
NUMBERS = [
    str(sign * 2**bits + step)
    for bits in (7, 8, 15, 16, 31, 32, 47, 48, 63, 64)
    for sign in (1, -1)
    for step in (-1, 0, 1)
]
FORMS = [
    "",
    "0",
    "-0",
    "+5",
    "-5",
    " 5 ",
    "\t5\n",
    "5 5",
    "05",
    "5.0",
    "1e3",
    "0x5",
    "\u0665",
    "5_0",
    "9" * 5000,
]
FORMS += [
    "- 5",
    "--5",
    "+-5",
    "\xa05",
    "5\u2003",
    "true",
    "TRUE",
    " true ",
    "1 ",
    "0F",
    "0f0",
    "0 f",
    "0f00",
    "zz",
]
REFERENCES = [
    "",
    "/a",
    "a",
    "a:b",
    "/a:b",
    ":a",
    "1a:b",
    "a b",
    "%",
    "%41",
    "%4",
    "%zz",
    "/%41%",
    "a#b",
    "a#b#c",
]
REFERENCES += [
    "a?b?c",
    "a/b:c",
    "?a:b",
    "#a:b",
    "//",
    "//a:b",
    "http:",
    "x:",
    "[",
    "]",
    "{x}",
    "^",
    "`",
    "|",
    "\\",
]
REFERENCES += [
    "http://x",
    "http://x:80/",
    "http://x:a/",
    "http://[::1]/",
    "http://[::1",
    "http://u:p@h:1/",
    "\xe9",
]


def is_valid(data: bytes) -> bool:
    try:
        validate(data)
    except Invalid:
        return False
    return True


HEXADECIMAL = {field.name for cls in CLASSES for field in fields(cls) if isinstance(field.form, Hexadecimal)}


def padded(data: bytes) -> bytes:
    """A document with a zero before odd hexadecimal digits, as they are read (case A19)."""
    try:
        root = etree.fromstring(data)
    except etree.XMLSyntaxError:
        return data
    for element in root.iter(etree.Element):
        places: list[tuple[str, str | None]] = [("", element.text), *element.attrib.items()]
        for name, text in places:
            digits = (text or "").strip(" \t\r\n")
            if (name or etree.QName(element).localname) not in HEXADECIMAL or not len(digits) % 2:
                continue
            if re.fullmatch("[0-9A-Fa-f]+", digits) is None:
                continue
            if name:
                element.set(name, f"0{digits}")
            else:
                element.text = f"0{digits}"
    return etree.tostring(root)


class CodecTestCase(SynchronousTestCase):
    def refused(
        self,
        kind: type[DocumentError],
        data: bytes,
        cls: type[Element] = Element,
        path: str = "",
        message: str = "",
    ) -> DocumentError:
        """See that a document is refused in this way, at this path, with this in the message."""
        refused = self.assertRaises(DocumentError, decode, data, cls)
        self.assertIs(type(refused), kind, refused)
        if path:
            self.assertEqual(refused.path, path)
        self.assertIn(message, refused.message)
        return refused


class ReadingTests(CodecTestCase):
    """What a document becomes."""

    def test_control(self) -> None:
        """Elements become fields, and those that are absent are absent."""
        value = decode(document("DERControl", CONTROL), r.DERControl)
        self.assertEqual(value, CONTROL_VALUE)
        self.assertIsNone(value.deviceCategory)
        self.assertEqual(value.subscribable, 0)

    def test_attributes(self) -> None:
        """Attributes become fields of their own types."""
        attributes = 'href="/a" replyTo="/r" responseRequired="7f" subscribable="1"'
        value = decode(document("DERControl", CONTROL, attributes), r.DERControl)
        self.assertEqual((value.href, value.replyTo), ("/a", "/r"))
        self.assertEqual((value.responseRequired, value.subscribable), (0x7F, 1))

    def test_declaration_and_layout(self) -> None:
        """An XML declaration, a byte order mark, comments, instructions and blanks change nothing."""
        content = f"<!-- who --> {MRID}\n\t<?x y?><version> <![CDATA[3]]><!-- 0 --> </version>"
        data = b'\xef\xbb\xbf<?xml version="1.0" encoding="utf-8"?>' + document("IdentifiedObject", content)
        value = decode(data, r.IdentifiedObject)
        self.assertEqual(value.version, 3)

    def test_prefix(self) -> None:
        """A prefix on every element changes nothing."""
        data = f'<s:TimeLink xmlns:s="{NAMESPACE}" href="/tm"/>'.encode()
        self.assertEqual(decode(data, r.TimeLink), r.TimeLink(href="/tm"))

    def test_short_identifiers(self) -> None:
        """Leading zero octets and the case of hexadecimal digits do not matter."""
        value = decode(document("IdentifiedObject", "<mRID> a00c </mRID>"), r.IdentifiedObject)
        self.assertEqual(value.mRID, "0000000000000000000000000000A00C")
        content = (
            f"{MRID}<roleFlags>09</roleFlags><serviceCategoryKind>0</serviceCategoryKind><status>1</status>"
        )
        self.assertEqual(decode(document("UsagePointBase", content), r.UsagePointBase).roleFlags, 9)

    def test_widths(self) -> None:
        """A bit map comes back in the octets in which it was put, in upper case, equal by value (case A2)."""
        for put, back, value in (
            ("03", "03", 3),
            ("0003", "0003", 3),
            ("00000003", "00000003", 3),
            ("0a0", "00A0", 0xA0),
            (" ff ", "FF", 0xFF),
            ("", "", 0),
        ):
            status = decode(
                document("DERStatus", f"<alarmStatus>{put}</alarmStatus><readingTime>5</readingTime>"),
                r.DERStatus,
            )
            self.assertEqual(status, r.DERStatus(alarmStatus=value, readingTime=5))
            self.assertEqual(hash(status), hash(r.DERStatus(alarmStatus=value, readingTime=5)))
            written = encode(status)
            self.assertIn(f"<alarmStatus>{back}</alarmStatus>".encode(), written)
            self.assertEqual(encode(decode(written, r.DERStatus)), written)
            self.assertEqual(encode(status.replace(readingTime=5)), written)
            check(status)

    def test_odd_digits(self) -> None:
        """An odd number of hexadecimal digits is read as if a zero stood before it (case A19)."""
        state = "<dateTime>1</dateTime><value>{}</value>"
        for put, back in (("1", "01"), ("f", "0F")):
            value = decode(document("ConnectStatusType", state.format(put)), r.ConnectStatusType)
            self.assertEqual(value.value, int(put, 16))
            self.assertEqual(encode(value), document_of("ConnectStatusType", state.format(back)))
        mrid = decode(document("IdentifiedObject", "<mRID>abc</mRID>"), r.IdentifiedObject).mRID
        self.assertEqual(mrid, "ABC".zfill(32))
        self.refused(Malformed, document("ConnectStatusType", state.format("111")), message="3 digits")

    def test_text(self) -> None:
        """Strings keep every blank; an empty element is an empty string."""
        value = decode(document("IdentifiedObject", f"{MRID}<description> a  b </description>"), Element)
        self.assertEqual(value, r.IdentifiedObject(mRID=MRID[6:-7], description=" a  b "))
        value = decode(document("IdentifiedObject", f"{MRID}<description/>"), Element)
        self.assertEqual(value, r.IdentifiedObject(mRID=MRID[6:-7], description=""))

    def test_repeated(self) -> None:
        """Repeated elements become a tuple."""
        content = "".join(f"<DER><DERStatusLink href='/{n}'/></DER>" for n in range(3))
        value = decode(document("DERList", content, 'all="3" results="3"'), r.DERList)
        self.assertEqual(
            [der.DERStatusLink and der.DERStatusLink.href for der in value.DER], ["/0", "/1", "/2"]
        )

    def test_derived_root(self) -> None:
        """Where a class is expected, a root of a derived class is taken for what it is."""
        content = "<endDeviceLFDI>01</endDeviceLFDI><subject>02</subject>"
        self.assertIsInstance(
            decode(document("DERControlResponse", content), r.Response), r.DERControlResponse
        )
        self.assertIs(type(decode(document("Response", content), r.Response)), r.Response)

    def test_several_expected(self) -> None:
        """One of several classes may be expected."""
        reading = document("MirrorMeterReading", MRID)
        readings = document("MirrorMeterReadingList", "", 'all="0" results="0"')
        for data in (reading, readings):
            decode(data, r.MirrorMeterReading, r.MirrorMeterReadingList)

    def test_polymorphic(self) -> None:
        """xsi:type gives the class of a member, whatever its prefix; without it the declared one holds."""
        content = "<endDeviceLFDI>01</endDeviceLFDI><subject>02</subject>"
        data = document(
            "ResponseList",
            f'<Response xsi:type="DERControlResponse">{content}</Response>'
            f'<Response xsi:type="s:DrResponse">{content}<overrideDuration>5</overrideDuration></Response>'
            f"<Response>{content}</Response>",
            f'all="3" results="3" xmlns:xsi="{XSI}" xmlns:s="{NAMESPACE}"',
        )
        members = decode(data, r.ResponseList).Response
        self.assertEqual(
            [type(member) for member in members], [r.DERControlResponse, r.DrResponse, r.Response]
        )

    def test_stated_root(self) -> None:
        """xsi:type on a root gives its class too."""
        data = document("Resource", "", f'xmlns:xsi="{XSI}" xsi:type="SubscribableResource" subscribable="1"')
        self.assertEqual(decode(data, r.Resource), r.SubscribableResource(subscribable=1))

    def test_stated_own_type(self) -> None:
        """xsi:type that only repeats the type is let through anywhere a type has elements."""
        content = '<DERControlBase xsi:type="DERControlBase"/>'
        data = document("DefaultDERControl", MRID + content, f'xmlns:xsi="{XSI}"')
        self.assertEqual(decode(data, r.DefaultDERControl).DERControlBase, r.DERControlBase())

    def test_passed_over(self) -> None:
        """schemaVer, attributes of other namespaces and schema locations are passed over, on values too."""
        data = document(
            "EndDevice",
            '<sFDI schemaVer="2.2" x:y="z">167261211391</sFDI><changedTime>1</changedTime>',
            f'schemaVer="2.2" xmlns:xsi="{XSI}" xsi:schemaLocation="a b" xmlns:x="urn:x" x:y="z"',
        )
        self.assertEqual(decode(data, r.EndDevice), r.EndDevice(sFDI=167261211391, changedTime=1))

    def test_attribute_of_2023(self) -> None:
        """An attribute that the 2023 edition added is passed over, unless it takes back what it stands on."""
        content = MRID + "<roleFlags>00</roleFlags><serviceCategoryKind>0</serviceCategoryKind>"
        content += "<status>1</status><deviceLFDI>01</deviceLFDI>"
        decode(document("MirrorUsagePoint", content, 'subscribable="1"'), r.MirrorUsagePoint)
        self.refused(Malformed, document("DERCurveLink", "", 'href="/dc/1" disabled="true"'))


class ExtensionTests(CodecTestCase):
    """What the 2018 schema does not know."""

    GIVEN = (
        '<a:one xmlns:a="urn:a" b="c"><a:two>x &amp; y</a:two></a:one>',
        f'<connectStatus xmlns="{NAMESPACE}"><dateTime>1</dateTime><value>01</value></connectStatus>',
        '<three xmlns="urn:b"></three>',
    )

    def document(self) -> bytes:
        return document(
            "DERStatus",
            '<a:one b="c"><a:two>x &amp; y</a:two></a:one>'
            "<connectStatus><dateTime>1</dateTime><value>01</value></connectStatus>"
            "<readingTime>5</readingTime>"
            '<three xmlns="urn:b"/>',
            'xmlns:a="urn:a" xmlns:unused="urn:unused"',
        )

    def test_kept(self) -> None:
        """Elements of other namespaces and editions are kept, each a canonical document of its own."""
        value = decode(self.document(), r.DERStatus)
        self.assertEqual(value, r.DERStatus(readingTime=5, extensions=self.GIVEN))

    def test_dropped(self) -> None:
        """They are not written unless asked for."""
        written = encode(decode(self.document(), r.DERStatus))
        self.assertEqual(written, document("DERStatus", "<readingTime>5</readingTime>").replace(b" >", b">"))

    def test_given_back(self) -> None:
        """Asked for, they stand at the end of their element, and are read again as the same."""
        value = decode(self.document(), r.DERStatus)
        written = encode(value, extensions=True)
        self.assertTrue(written.endswith(f"</readingTime>{''.join(self.GIVEN)}</DERStatus>".encode()))
        self.assertEqual(decode(written, r.DERStatus), value)

    def test_anywhere(self) -> None:
        """They stand aside at any depth, in links too, on the value they were given in."""
        data = document("DER", '<DERStatusLink href="/s"><a xmlns="urn:a"/></DERStatusLink>')
        link = decode(data, r.DER).DERStatusLink
        self.assertEqual(link, r.DERStatusLink(href="/s", extensions=('<a xmlns="urn:a"></a>',)))

    def test_inherited(self) -> None:
        """A class has the additions of 2023 to its bases, and the reserved places of all."""
        data = document("EndDevice", f"<phase>1</phase>{DEVICE}<EndDevice_r2_3/><AbstractDevice_r2_3/>")
        self.assertEqual(len(decode(data, r.EndDevice).extensions), 3)

    def test_unknown(self) -> None:
        """What no edition has in this type is refused."""
        self.refused(
            Malformed, document("EndDevice", f"{DEVICE}<modesResponded/>"), path="/EndDevice/modesResponded"
        )

    def test_no_namespace(self) -> None:
        """An element of no namespace is no extension."""
        self.refused(Malformed, document("EndDevice", f'{DEVICE}<x xmlns=""/>'), message="no namespace")

    def test_not_in_values(self) -> None:
        """A simple element has no place for them."""
        self.refused(Malformed, document("Time", '<currentTime>1<a xmlns="urn:a"/></currentTime>'))

    def test_too_many(self) -> None:
        """More of them than are kept are refused."""
        few, many = (DEVICE + '<a xmlns="urn:a"/>' * number for number in (32, 33))
        decode(document("EndDevice", few), r.EndDevice)
        self.refused(BadValue, document("EndDevice", many), path="/EndDevice/a[33]")

    def test_too_large(self) -> None:
        """Larger ones than are kept are refused, whether by text, by elements or by names."""
        for content in ("x" * 9000, "<b/>" * 300, "<x:b/>" * 100):
            inside = f'{DEVICE}<a xmlns="urn:a">{content}</a>'
            data = document("EndDevice", inside, f'xmlns:x="urn:{"x" * 1000}"')
            self.refused(BadValue, data)

    def test_blanks_around(self) -> None:
        """Blanks around them are let through even in a link, where the schema allows none."""
        data = document("TimeLink", ' <a xmlns="urn:a"/> ', 'href="/tm"')
        self.assertEqual(decode(data, r.TimeLink).extensions, ('<a xmlns="urn:a"></a>',))

    def test_relative_namespace(self) -> None:
        """One whose namespace is no absolute URI has no canonical form, and is refused."""
        self.refused(BadValue, document("EndDevice", f'{DEVICE}<a xmlns="b"/>'), path="/EndDevice/a")

    def test_too_deep(self) -> None:
        """Deeper ones than are kept are refused."""
        for depth in (10, 100):
            data = document("EndDevice", f'{DEVICE}<a xmlns="urn:a">{"<b>" * depth}{"</b>" * depth}</a>')
            if depth == 10:
                decode(data, r.EndDevice)
            else:
                self.refused(BadValue, data)


class CostTests(CodecTestCase):
    """What a document costs is linear in its octets, and what is not is bounded (case F1)."""

    SIZES = (250, 500, 1000)

    def foreign(self, namespaces: int, elements: int, attributes: int = 0) -> bytes:
        """A DERStatus with so many namespaces, foreign elements, and foreign attributes."""
        declared = "".join(f' xmlns:n{n}="urn:{n}"' for n in range(namespaces))
        given = "".join(f' n0:a{n}=""' for n in range(attributes))
        content = "".join(f"<n{n % namespaces}:e/>" for n in range(elements))
        return document("DERStatus", f"{content}<readingTime>5</readingTime>", declared + given)

    def canonical_forms(self, data: bytes) -> int:
        """How many elements are brought into canonical form, nested ones too, until a document is refused."""
        canonical, done = codec._canonical, 0

        def counted(element: etree._Element) -> str:
            nonlocal done
            done += sum(1 for _ in element.iter())
            return canonical(element)

        self.patch(codec, "_canonical", counted)
        self.assertIsNotNone(outcome(data, r.DERStatus))
        return done

    def test_linear(self) -> None:
        """Twice as much of anything takes at most twice as many steps (case F1)."""
        kinds: dict[str, tuple[type[Element], Callable[[int], bytes]]] = {
            "extensions": (r.DERStatus, lambda n: self.foreign(1, n)),
            "namespaces and extensions": (r.DERStatus, lambda n: self.foreign(n, n)),
            "attributes": (r.DERStatus, lambda n: self.foreign(1, 0, n)),
            "unknown elements": (r.DERStatus, lambda n: document("DERStatus", "<x/>" * n)),
            "members": (r.DERList, lambda n: document("DERList", "<DER/>" * n, 'all="1" results="1"')),
            "members with an extension each": (
                r.DERList,
                lambda n: document("DERList", '<DER><x xmlns="urn:x"/></DER>' * n, 'all="1" results="1"'),
            ),
            "depth": (r.DERStatus, lambda n: document("DERStatus", "<x>" * n + "</x>" * n)),
            "digits": (r.DERStatus, lambda n: document("DERStatus", f"<readingTime>{'9' * n}</readingTime>")),
            "text": (r.TimeLink, lambda n: document("TimeLink", "", f'href="{"a b:" * n}"')),
        }
        for kind, (cls, make) in kinds.items():
            outcome(make(1), cls)  # classes are compiled when first used
            documents = [make(size) for size in self.SIZES]
            costs = [steps(partial(outcome, data, cls)) for data in documents]
            for less, more in pairwise(costs):
                self.assertLess(more, 2.2 * less, (kind, costs))

    def test_extensions_stop_at_the_bound(self) -> None:
        """The first extension too many is refused before it is looked at, however many follow (case F1)."""
        for elements in (100, 2000):
            self.assertEqual(self.canonical_forms(self.foreign(1, elements)), codec.MAX_EXTENSIONS)

    def test_extensions_of_a_document(self) -> None:
        """Values that each have few extensions do not add up to more than a document may have (case F1)."""
        member = '<DER><x xmlns="urn:x">' + "<y/>" * 100 + "</x></DER>"
        for times in (100, 200):
            data = document("DERList", member * times, 'all="1" results="1"')
            self.refused(BadValue, data, r.DERList, message="in a document")
        long = f'<DER><x xmlns="urn:x">{"y" * 8000}</x></DER>'
        decode(document("DERList", long * 8, 'all="1" results="1"'), r.DERList)
        self.refused(BadValue, document("DERList", long * 9, 'all="1" results="1"'), path="/DERList/DER[9]/x")

    def test_nothing_is_parsed_over_a_bound(self) -> None:
        """Too many attributes, namespaces or tags are refused before there is a tree (case F1)."""
        self.patch(codec.etree, "fromstring", lambda *_: self.fail("it was parsed"))
        over = {
            "attributes": self.foreign(1, 0, 6000),
            "namespaces, one an element": document(
                "DERStatus", "".join(f'<x xmlns="urn:{n}"/>' for n in range(codec.MAX_NAMESPACES + 1))
            ),
            "too long": document("DERStatus", f"<x xmlns='urn:{'x' * codec.MAX_NAMESPACE_OCTETS}'/>"),
            "tags": document("DERStatus", "<a/>" * codec.MAX_TAGS),
        }
        for message, data in over.items():
            self.refused(Malformed, data, r.DERStatus, message=message.partition(",")[0])

    def test_just_under_the_bounds(self) -> None:
        """As many attributes, namespaces and extensions as there may be are taken."""
        decode(self.foreign(1, 0, codec.MAX_ATTRIBUTES - 2), r.DERStatus)
        decode(self.foreign(codec.MAX_ATTRIBUTES - 1, codec.MAX_EXTENSIONS), r.DERStatus)
        same = document("DERStatus", '<x xmlns="urn:x"/>' * 32 + "<readingTime>5</readingTime>")
        self.assertEqual(len(decode(same, r.DERStatus).extensions), 32)

    def test_leading_zeros(self) -> None:
        """However many zeros lead an integer, it is read, and its sign with it."""
        content = DEVICE.replace("1700000000", f"-{'0' * 9000}17")
        self.assertEqual(decode(document("EndDevice", content), r.EndDevice).changedTime, -17)


class RefusalTests(CodecTestCase):
    """What is not taken, and what is said of it."""

    def test_reasons(self) -> None:
        """Malformed and BadValue carry the reason codes 0 and 1."""
        self.assertEqual(Malformed.reason, ReasonCode.INVALID_FORMAT)
        self.assertEqual(BadValue.reason, ReasonCode.INVALID_VALUES)

    def test_message(self) -> None:
        """A refusal names the element, counted among its like, or the attribute."""
        content = '<DER href="/1"/><DER href="/2"><DERStatusLink href="%"/></DER>'
        data = document("DERList", content, 'all="2" results="2"')
        refused = self.refused(Malformed, data, path="/DERList/DER[2]/DERStatusLink/@href")
        self.assertEqual(
            str(refused), "/DERList/DER[2]/DERStatusLink/@href: is '%', expected a URI reference (RFC 3986)"
        )

    def test_parts_of_a_refusal(self) -> None:
        """Path, what was wrong and what was expected are there one by one, in words (case C2)."""
        cases = {
            "<sFDI>1</sFDI>": (
                "/EndDevice/sFDI",
                "is 1",
                "an integer from 0 to 281474976710655: the leftmost 36 bits of an LFDI and then their check"
                " digit",
            ),
            "<sFDI>167261211391</sFDI>": (
                "/EndDevice",
                "has no changedTime",
                "one, as every EndDevice has",
            ),
            "<deviceCategory>zz</deviceCategory>": (
                "/EndDevice/deviceCategory",
                "is 'zz'",
                "at most 8 hexadecimal digits",
            ),
            f"{DEVICE}<sFDI>167261211391</sFDI>": ("/EndDevice/sFDI[2]", "stands twice", "one sFDI"),
        }
        for content, parts in cases.items():
            refused = self.assertRaises(DocumentError, decode, document("EndDevice", content), r.EndDevice)
            self.assertEqual((refused.path, refused.wrong, refused.expected), parts)
            self.assertEqual(str(refused), f"{parts[0]}: {parts[1]}, expected {parts[2]}")

    def test_refusal_is_one_line(self) -> None:
        """Whatever a peer sends, what is said of it is one line that can be printed (case C2)."""
        for text in ("a\nb", "\u2028", "\x85", "\u202e"):
            for data in (
                document("Time", f"<currentTime>{text}</currentTime>"),
                document("Time", f"<currentTime>1</currentTime>{text}x"),
                document("Time", "", f'x="{text}"'),
            ):
                refused = self.assertRaises(DocumentError, decode, data, r.Time)
                self.assertTrue(str(refused).isprintable(), str(refused))

    def test_message_is_short(self) -> None:
        """A refusal does not repeat all that it refuses."""
        refused = self.refused(Malformed, document("Time", f"<currentTime>{'x' * 10000}</currentTime>"))
        self.assertLess(len(str(refused)), 200)
        refused = self.refused(Malformed, document("Time", f"<{'x' * 10000}/>"))
        self.assertLess(len(str(refused)), 200)
        refused = self.refused(Malformed, document("x" * 10000))
        self.assertLess(len(str(refused)), 200)

    def test_not_xml(self) -> None:
        """What is not XML is malformed."""
        for data in (
            b"",
            b" ",
            b"{}",
            b"<a",
            b"<a></b>",
            b"\x00",
            b"<a>&b;</a>",
            b"\xff\xfe<\x00a\x00/\x00>\x00",
        ):
            self.refused(Malformed, data)

    def test_not_utf8(self) -> None:
        """Other encodings than UTF-8 are malformed, declared or not."""
        self.refused(Malformed, b'<?xml version="1.0" encoding="ISO-8859-1"?>' + document("Resource"))
        self.refused(Malformed, document("Resource").decode().encode("utf-16"))
        self.refused(
            Malformed,
            document("IdentifiedObject", f"{MRID}<description>\xe9</description>").decode().encode("latin-1"),
        )

    def test_document_type(self) -> None:
        """A document type declaration is refused before anything in it is read."""
        for inside in (
            "",
            "[<!ENTITY a 'aaaaaaaaaa'>]",
            "SYSTEM 'file:///etc/passwd'",
            "PUBLIC 'a' 'http://b'",
        ):
            data = f"<!DOCTYPE Resource {inside}>".encode() + document("Resource")
            self.refused(Malformed, data, message="document type")
            self.refused(
                Malformed, b"\xef\xbb\xbf<?xml version='1.0'?>\n<!--x-->" + data, message="document type"
            )

    def test_entity_bomb(self) -> None:
        """Entities that expand to ever more are never expanded."""
        entities = "".join(f"<!ENTITY e{n + 1} '{f'&e{n};' * 10}'>" for n in range(9))
        data = f"<!DOCTYPE a [<!ENTITY e0 'ha'>{entities}]>".encode() + document("Resource", "&e9;")
        self.refused(Malformed, data, message="document type")

    def test_size(self) -> None:
        """A document of more octets than are allowed is not parsed."""
        data = document("IdentifiedObject", MRID)
        decode(data, r.IdentifiedObject, max_bytes=len(data))
        self.assertRaises(Malformed, decode, data, r.IdentifiedObject, max_bytes=len(data) - 1)
        self.refused(Malformed, document("Resource", " " * (1 << 20)), message="octets")

    def test_depth(self) -> None:
        """Notifications within notifications come to an end, and so does any other nesting."""
        inside = ""
        around = "<subscribedResource>/a</subscribedResource>"
        for _ in range(20):
            inside = (
                f'{around}<Resource xsi:type="Notification">{inside or around}<status>0</status>'
                "<subscriptionURI>/b</subscriptionURI></Resource>"
            )
        data = document(
            "Notification",
            f"{inside}<status>0</status><subscriptionURI>/b</subscriptionURI>",
            f'xmlns:xsi="{XSI}"',
        )
        self.refused(Malformed, data, message="deep")
        self.refused(Malformed, document("Resource", "<Resource>" * 300 + "</Resource>" * 300))

    def test_root(self) -> None:
        """A root that is not expected, not known, or of another namespace is malformed."""
        self.refused(
            Malformed,
            document("EndDevice", DEVICE),
            r.DERControl,
            message="is EndDevice, expected DERControl",
        )
        self.refused(Malformed, document("Element"))
        self.refused(Malformed, document("TimeType", "1"))
        self.refused(Malformed, b"<EndDevice/>")
        self.refused(Malformed, b'<EndDevice xmlns="http://zigbee.org/sep"/>')

    def test_structure(self) -> None:
        """Missing, doubled, misplaced and unknown elements, stray text and stray attributes are malformed."""
        cases = {
            MRID: "has no creationTime",
            CONTROL + "<description/>": "out of order",
            MRID + CONTROL: "twice",
            CONTROL.replace("</mRID>", "</mRID><version>1</version><description/>"): "out of order",
            CONTROL + "<nonsense/>": "not an element of DERControl",
            CONTROL + "text": "followed by the text 'text'",
            "text" + CONTROL: "has the text 'text'",
            CONTROL.replace("<start>", "<start><a/>"): "expected text only",
            CONTROL.replace("<start>", '<start a="b">'): "unknown attribute 'a'",
            CONTROL.replace("<interval>", '<interval a="b">'): "unknown attribute 'a'",
            CONTROL.replace("<interval>", f'<interval xmlns:s="{NAMESPACE}" s:a="b">'): "unknown attribute",
        }
        for content, message in cases.items():
            self.assertFalse(is_valid(document("DERControl", content)))
            self.refused(Malformed, document("DERControl", content), message=message)

    def test_required_attributes(self) -> None:
        """A list without its counts and a link without its target are malformed."""
        self.refused(
            Malformed, document("DERList", "", 'all="0"'), path="/DERList", message="no attribute results"
        )
        self.refused(Malformed, document("TimeLink"), message="no attribute href")

    def test_nil(self) -> None:
        """Nothing may be nil."""
        for nil in ("true", "false"):
            content = DEVICE.replace("<changedTime>", f'<changedTime xsi:nil="{nil}">')
            self.refused(
                Malformed, document("EndDevice", content, f'xmlns:xsi="{XSI}"'), message="unknown attribute"
            )

    def test_stated_type(self) -> None:
        """xsi:type may name neither an unknown type, nor one of another family, nor of another namespace."""
        content = "<endDeviceLFDI>01</endDeviceLFDI><subject>02</subject>"
        for stated in ("Nonsense", "Time", "x:DrResponse", "", ":", "Resource"):
            data = document(
                "ResponseList",
                f'<Response xsi:type="{stated}">{content}</Response>',
                f'all="1" results="1" xmlns:xsi="{XSI}" xmlns:x="urn:x"',
            )
            self.refused(Malformed, data, path="/ResponseList/Response")

    def test_too_many(self) -> None:
        """An eleventh point of a curve is malformed."""
        head = f"{MRID}<creationTime>1</creationTime>"
        tail = "<curveType>0</curveType><xMultiplier>0</xMultiplier><yMultiplier>0</yMultiplier>"
        tail += "<yRefType>0</yRefType>"
        point = "<CurveData><xvalue>1</xvalue><yvalue>1</yvalue></CurveData>"
        decode(document("DERCurve", head + point * 10 + tail), r.DERCurve)
        self.refused(
            Malformed,
            document("DERCurve", head + point * 11 + tail),
            message="has 11 CurveData",
        )
        self.refused(Malformed, document("DERCurve", head + tail), message="has no CurveData")

    def test_texts(self) -> None:
        """What text a simple value may have is what the schema says, sign by sign and blank by blank."""
        places: dict[str, str] = {
            "Error": "<reasonCode>{}</reasonCode>",
            "ActivePower": "<multiplier>0</multiplier><value>{}</value>",
            "Temperature": "<multiplier>{}</multiplier><subject>1</subject><value>1</value>",
            "RealEnergy": "<multiplier>0</multiplier><value>{}</value>",
            "SignedRealEnergy": "<multiplier>0</multiplier><value>{}</value>",
            "DateTimeInterval": "<duration>1</duration><start>{}</start>",
            "CurveData": "<excitation>{}</excitation><xvalue>1</xvalue><yvalue>1</yvalue>",
            "ConnectStatusType": "<dateTime>1</dateTime><value>{}</value>",
            "ManufacturerStatusType": "<dateTime>1</dateTime><value>{}</value>",
            "IdentifiedObject": "<mRID>{}</mRID>",
            "DeviceStatus": "<changedTime>1</changedTime><opTime>{}</opTime>",
        }
        for root, content in places.items():
            for text in (*NUMBERS, *FORMS):
                data = document(root, content.format(text))
                self.assertEqual(outcome(data) is not Malformed, is_valid(padded(data)), data)

    def test_references(self) -> None:
        """What is a URI reference is what the schema's validator takes for one."""
        for text in REFERENCES:
            data = document("TimeLink", "", f'href="{text}"')
            self.assertEqual(outcome(data) is not Malformed, is_valid(data), data)

    def test_ranges(self) -> None:
        """Both ends of a range that the schema does not state are taken, the next numbers are BadValue."""
        seen = 0
        for cls in CLASSES:
            for field in fields(cls):
                for rule in field.constraints:
                    if isinstance(rule, Range) and not field.attribute:
                        seen += 1
                        self.check_range(cls, field.name, rule)
        self.assertGreater(seen, 40)

    def check_range(self, cls: type[Element], name: str, rule: Range) -> None:
        whole = etree.fromstring(encode(smallest(cls, name)))
        place = whole.find(f"{{{NAMESPACE}}}{name}")
        for number, taken in (
            (rule.least, True),
            (rule.most, True),
            (rule.least - 1, False),
            (rule.most + 1, False),
        ):
            place.text = str(number)
            data = etree.tostring(whole)
            if taken:
                self.assertEqual(getattr(decode(data, cls), name), number)
            elif is_valid(data):
                self.refused(BadValue, data, cls, path=f"/{cls.__name__}/{name}")
            else:
                self.refused(Malformed, data, cls)

    def test_lengths(self) -> None:
        """The longest text and the most octets are taken, one more is malformed."""
        seen = 0
        for cls in CLASSES:
            for field in fields(cls):
                match field.form:
                    case Text(longest) if longest is not None:
                        self.check_length(cls, field.name, "x", longest)
                        seen += 1
                    case Hexadecimal(octets) if not field.attribute:
                        self.check_length(cls, field.name, "FF", octets)
                        seen += 1
        self.assertGreater(seen, 90)

    def check_length(self, cls: type[Element], name: str, unit: str, most: int) -> None:
        whole = etree.fromstring(encode(smallest(cls, name)))
        place = whole.find(f"{{{NAMESPACE}}}{name}")
        place.text = unit * most
        decode(etree.tostring(whole), cls)
        place.text = unit * (most + 1)
        self.refused(
            Malformed, etree.tostring(whole), cls, path=f"/{cls.__name__}/{name}", message="expected at most"
        )

    def test_sfdi(self) -> None:
        """An SFDI without its check digit, or of more than 36 bits, is valid by the schema and refused."""
        for number in (167261211392, 687194767362, 2**48 - 1):
            data = document("EndDevice", DEVICE.replace("167261211391", str(number)))
            self.assertTrue(is_valid(data))
            self.refused(BadValue, data, path="/EndDevice/sFDI")

    def test_response_to_nowhere(self) -> None:
        """A control that wants a response and says not where is refused."""
        data = document("DERControl", CONTROL, 'responseRequired="01"')
        self.assertTrue(is_valid(data))
        self.refused(BadValue, data, path="/DERControl", message="replyTo")


def outcome(data: bytes, cls: type[Element] = Element) -> type[DocumentError] | None:
    """How a document is refused, or None."""
    try:
        decode(data, cls)
    except DocumentError as refused:
        return type(refused)
    return None


def smallest(cls: type[Element], name: str) -> Element:
    """A value with no more than it needs, and one named field."""
    value: list[Element] = []

    @examples(1)
    @given(instances(cls, likely=0), instances(cls, likely=1))
    def draw(least: Element, most: Element) -> None:
        value.append(least.replace(**{name: getattr(most, name)}))

    draw()
    return value[0]


class WritingTests(CodecTestCase):
    """What a value becomes."""

    def test_plain(self) -> None:
        """No declaration, one default namespace, no prefixes, schema order, nothing that was not given."""
        value = r.DERControl(
            DERControlBase=r.DERControlBase(opModMaxLimW=6000),
            interval=r.DateTimeInterval(start=1700000120, duration=60),
            EventStatus=STATUS_VALUE,
            creationTime=1700000000,
            mRID="0fb7000000000000000000010000a00c",
            href="/derp/1/derc/1",
        )
        expected = document("DERControl", CONTROL, 'href="/derp/1/derc/1"')
        self.assertEqual(encode(value), expected)

    def test_forms(self) -> None:
        """Bit maps have full width in upper case, booleans are words, empty elements are short."""
        value = r.DERProgramList(all=0, results=0, href="/derp", pollRate=900, subscribable=1)
        self.assertEqual(
            encode(value),
            f'<DERProgramList xmlns="{NAMESPACE}" href="/derp" subscribable="1" all="0" results="0" '
            'pollRate="900"/>'.encode(),
        )
        self.assertIn(
            b"<deviceCategory>00200000</deviceCategory>",
            encode(CONTROL_VALUE.replace(deviceCategory=1 << 21)),
        )

    def test_codes(self) -> None:
        """A code or flag that was given by name is written as its number."""
        value = CONTROL_VALUE.replace(
            EventStatus=STATUS_VALUE.replace(currentStatus=EventState.ACTIVE),
            deviceCategory=DeviceCategory.PHOTOVOLTAIC | DeviceCategory.OTHER_STORAGE,
        )
        written = encode(value)
        self.assertIn(b"<currentStatus>1</currentStatus>", written)
        self.assertIn(b"<deviceCategory>02200000</deviceCategory>", written)
        check(value)

    def test_escaped(self) -> None:
        """Text and attributes are escaped so that they are read as they were."""
        text = "a<b>&\"'\r\n\tc]]>"
        value = r.DERProgram(mRID="01", description=text, primacy=1, href='/a?b=1&c="d"')
        self.assertEqual(decode(encode(value), r.DERProgram), value)
        validate(encode(value))

    def test_polymorphic(self) -> None:
        """Members that may be of several types say which; other documents do not speak of types."""
        response = r.DERControlResponse(endDeviceLFDI="01", subject="02")
        written = encode(r.ResponseList(all=1, results=1, Response=(response,)))
        validate(written)
        self.assertIn(f'xmlns:xsi="{XSI}"'.encode(), written)
        self.assertIn(b'<Response xsi:type="DERControlResponse"><endDeviceLFDI>', written)
        self.assertNotIn(b"xsi", encode(response))

    def test_notification(self) -> None:
        """A notification holds the resource by its type."""
        value = r.Notification(
            subscribedResource="/edev/1/fsa",
            Resource=r.FunctionSetAssignmentsList(href="/edev/1/fsa", all=0, results=0),
            status=0,
            subscriptionURI="https://server.example/edev/9/sub/1",
        )
        written = encode(value)
        validate(written)
        self.assertIn(b'<Resource xsi:type="FunctionSetAssignmentsList" href=', written)
        self.assertEqual(decode(written, r.Notification), value)


class Numbers(Element):
    """Not of the standard, whose simple elements never repeat."""

    numbers: tuple[UInt8, ...] = ()


class CheckTests(CodecTestCase):
    """Values that were built rather than read."""

    def flawed(self, value: Element, path: str, message: str) -> None:
        refused = self.assertRaises(BadValue, check, value)
        self.assertEqual(refused.path, path)
        self.assertIn(message, refused.message)

    def test_good(self) -> None:
        """A good value passes."""
        check(CONTROL_VALUE)
        check(r.ResponseList(all=1, results=1, Response=(r.DrResponse(endDeviceLFDI="01", subject="02"),)))

    def test_simple(self) -> None:
        """Types, ranges, lengths, widths and characters of simple values are seen, at any depth."""
        interval = CONTROL_VALUE.interval
        base = CONTROL_VALUE.DERControlBase
        cases: list[tuple[dict[str, object], str, str]] = [
            ({"creationTime": "5"}, "/creationTime", "not of type int"),
            ({"creationTime": True}, "/creationTime", "not of type int"),
            ({"creationTime": 1 << 63}, "/creationTime", "expected an integer from"),
            (
                {"interval": interval.replace(duration=-1)},
                "/interval/duration",
                "expected an integer from 0",
            ),
            (
                {"DERControlBase": base.replace(opModMaxLimW=10001)},
                "/DERControlBase/opModMaxLimW",
                "0 to 10000",
            ),
            ({"DERControlBase": base.replace(opModConnect=1)}, "/DERControlBase/opModConnect", "type bool"),
            ({"randomizeStart": 3601}, "/randomizeStart", "3600"),
            ({"deviceCategory": 1 << 32}, "/deviceCategory", "8 hexadecimal digits"),
            ({"mRID": "xyz"}, "/mRID", "32 hexadecimal digits"),
            ({"mRID": "0" * 33}, "/mRID", "32 hexadecimal digits"),
            ({"description": "x" * 33}, "/description", "33 characters"),
            ({"description": "\x00"}, "/description", "XML cannot carry"),
            ({"description": "\ud800"}, "/description", "XML cannot carry"),
            ({"href": "%"}, "/@href", "URI reference"),
            ({"href": " /a"}, "/@href", "URI reference"),
            ({"responseRequired": 1}, "", "replyTo"),
        ]
        for change, path, message in cases:
            self.flawed(CONTROL_VALUE.replace(**change), f"/DERControl{path}", message)

    def test_repeated_simple(self) -> None:
        """Simple values may repeat in types that are not the standard's: each is seen."""
        check(Numbers(numbers=(0, 255)))
        self.flawed(Numbers(numbers=(0, 256)), "/Numbers/numbers[2]", "is 256, expected")
        self.flawed(Numbers(numbers=[0]), "/Numbers/numbers", "is list, expected tuple")
        self.flawed(r.EndDevice(sFDI=167261211392, changedTime=1), "/EndDevice/sFDI", "check digit")

    def test_complex(self) -> None:
        """Wrong classes and wrong numbers of elements are seen."""
        self.flawed(
            CONTROL_VALUE.replace(interval=STATUS_VALUE),
            "/DERControl/interval",
            "is EventStatus, expected DateTimeInterval",
        )
        self.flawed(CONTROL_VALUE.replace(interval=5), "/DERControl/interval", "is int, expected")
        point = r.CurveData(xvalue=1, yvalue=1)
        curve = r.DERCurve(
            mRID="01",
            creationTime=1,
            CurveData=(point,),
            curveType=0,
            xMultiplier=0,
            yMultiplier=0,
            yRefType=0,
        )
        check(curve)
        self.flawed(curve.replace(CurveData=(point,) * 11), "/DERCurve/CurveData", "11 members")
        self.flawed(curve.replace(CurveData=[point]), "/DERCurve/CurveData", "is list, expected tuple")
        bad = point.replace(yvalue="1")
        self.flawed(curve.replace(CurveData=(point, bad)), "/DERCurve/CurveData[2]/yvalue", "not of type int")

    def test_extensions(self) -> None:
        """Extensions must be what reading them would have kept."""
        check(CONTROL_VALUE.replace(extensions=('<a xmlns="urn:a"></a>',)))
        for extension in ('<a xmlns="urn:a"/>', "<a>", "<a></a>", f'<a xmlns="{NAMESPACE}"></a>', "x"):
            self.flawed(CONTROL_VALUE.replace(extensions=(extension,)), "/DERControl", "an extension")


class EveryClassTests(CodecTestCase):
    """What holds of every class."""

    def for_every_class(self, number: int, test: Callable[[Element], None]) -> None:
        for cls in CLASSES:
            examples(number)(given(instances(cls))(test))()

    def test_round_trip(self) -> None:
        """What is written is valid by the schema, passes the check, and is read as it was."""

        def round_trip(value: Element) -> None:
            data = encode(value)
            validate(data)
            check(value)
            self.assertEqual(decode(data, type(value)), value)
            self.assertEqual(encode(decode(data, type(value)), extensions=True), data)

        self.for_every_class(12, round_trip)

    def test_refused_as_by_the_schema(self) -> None:
        """Of documents with a fault put in, those are malformed that the schema refuses."""
        taken = refused = 0

        def with_faults(value: Element) -> None:
            nonlocal taken, refused
            chance = random.Random(repr(value))
            for fault in FAULTS:
                root = etree.fromstring(encode(value))
                fault(root, chance)
                data = etree.tostring(root)
                result = outcome(data)
                if is_valid(padded(data)):
                    taken += 1
                    self.assertIsNot(result, Malformed, data)
                else:
                    refused += 1
                    self.assertIsNotNone(result, data)

        self.for_every_class(4, with_faults)
        self.assertGreater(taken, 2000)
        self.assertGreater(refused, 5000)

    def test_bytes(self) -> None:
        """Of damaged documents nothing comes but a value or a refusal."""

        def damaged(value: Element) -> None:
            chance = random.Random(repr(value))
            data = bytearray(encode(value))
            for _ in range(10):
                at, length = chance.randrange(len(data)), chance.randrange(1, 4)
                data[at : at + length] = chance.choice(DAMAGE) or chance.randbytes(length)
                outcome(bytes(data))

        self.for_every_class(4, damaged)

    @examples(300)
    @given(
        st.one_of(st.binary(), st.text().map(str.encode), st.text().map(lambda text: document("Time", text)))
    )
    def test_any_bytes(self, data: bytes) -> None:
        """Of any bytes at all nothing comes but a value or a refusal."""
        outcome(data)
