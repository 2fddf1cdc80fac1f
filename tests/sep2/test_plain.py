"""Plain documents: what they are, and that reading them without a tree makes no difference."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from csipd.sep2 import codec, plain
from csipd.sep2 import resources as r
from csipd.sep2.codec import NAMESPACE
from csipd.sep2.lexical import BadValue, DocumentError
from csipd.sep2.schema import Element
from tests.support.bodies import FULL
from tests.support.instances import CLASSES, instances

#: After the root element it changes nothing, but no document with it is plain.
COMMENT = b"<!---->"


def outcome(call: Callable[[], object]) -> tuple[object, ...]:
    """What a call gives, or how it refuses: all that anybody sees of it."""
    try:
        value = call()
    except DocumentError as refused:
        # Where the parser stumbles the comment has its part in what it says.
        wrong = refused.wrong.partition(": ")[0] if "well-formed" in refused.wrong else refused.wrong
        return type(refused), refused.path, wrong, refused.expected
    return type(value), value, repr(value)


def without_tree(data: bytes, kind: type[Element]) -> object:
    return plain.reader(kind, NAMESPACE)(data)


CURVE = r.DERCurve(
    mRID="0" * 32,
    creationTime=5,
    CurveData=(r.CurveData(xvalue=1, yvalue=2),),
    curveType=11,
    xMultiplier=0,
    yMultiplier=0,
    yRefType=3,
)

#: What may be put into a document, or in the place of something in it.
PIECES = st.sampled_from(
    [
        *(b"", b" ", b"\r\n", b"\t", b"<", b">", b"/", b'"', b"'", b"x", b"-1", b"0", b"99999999999"),
        *(b"&amp;", b"&#13;", b"<!---->", b"<?a?>", b"<![CDATA[1]]>", b"]]>", b"<x/>"),
        *(b"\xc3\xa9", b"\xff", b"\x00", b"\x0b", b"\x7f", b"<x:y xmlns:x='urn:x'/>"),
        *(b' href="/a"', b" href='/a'", b' schemaVer="2.0"', b' xmlns:x="urn:x"'),
    ]
)


@st.composite
def documents(draw: st.DrawFn) -> tuple[type[Element], bytes]:
    """Documents of all classes, some of them spoilt in one or two places, or with one part twice."""
    kind = draw(st.sampled_from(CLASSES))
    data = codec.encode(draw(instances(kind)), extensions=True)
    for _ in range(draw(st.integers(0, 2))):
        begin = draw(st.integers(0, len(data)))
        end = min(begin + draw(st.sampled_from([0, 0, 1, 2, 9, 40])), len(data))
        data = data[:begin] + draw(st.one_of(PIECES, st.just(data[begin:end] * 2))) + data[end:]
    return kind, data


class PlainTests(SynchronousTestCase):
    """Documents that are read by a pattern."""

    def test_what_devices_send(self) -> None:
        """What devices send again and again is plain, if it is written as csipd writes it."""
        names = ("DERStatus", "DERAvailability", "DERSettings", "DERCapability", "PowerStatus")
        for name in (*names, "DeviceStatus", "LogEvent", "DERControlResponse"):
            value = FULL[name].replace(extensions=())
            data = codec.encode(value).replace(b"&lt;&amp;&gt;", b"")
            self.assertIsNotNone(without_tree(data, type(value)), name)

    def test_spelling(self) -> None:
        """A declaration, blanks between elements and both kinds of an empty element make no difference."""
        status = r.DERStatus(readingTime=7, inverterStatus=r.InverterStatusType(dateTime=5, value=2))
        data = codec.encode(status)
        for spelt in (
            data,
            b'<?xml version="1.0"?>' + data,
            b'<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\r\n' + data + b"\r\n",
            data.replace(b"><", b">\n\t <"),
            data.replace(b':ns"', b':ns" xmlns:csipaus="https://csipaus.org/ns"'),
        ):
            self.assertEqual(without_tree(spelt, r.DERStatus), status)
        for spelt in (
            b"<DER xmlns='%b'/>",
            b'<DER xmlns="%b"></DER>',
            b'<DER xmlns="%b"> </DER>',
            b'<DER xmlns="%b"/>',
        ):
            found = without_tree(spelt % NAMESPACE.encode(), r.DER)
            self.assertEqual(found, None if b"'" in spelt else r.DER())

    def test_what_repeats(self) -> None:
        """Members of one name are plain, too, as many as there may be; a wrong one is named by its number."""

        def curve(points: int) -> bytes:
            data = tuple(r.CurveData(xvalue=number, yvalue=number) for number in range(points))
            return codec.encode(CURVE.replace(CurveData=data))

        for points in (1, 2, 10):
            found = without_tree(curve(points), r.DERCurve)
            assert isinstance(found, r.DERCurve)
            self.assertEqual(codec.encode(found), curve(points))
        self.assertIsNone(without_tree(curve(11), r.DERCurve))
        for old, points, path in (
            (b"<xvalue>0<", 1, "/CurveData"),
            (b"<xvalue>0<", 3, "/CurveData[1]"),
            (b"<xvalue>2<", 3, "/CurveData[3]"),
        ):
            refused: DocumentError = self.assertRaises(
                DocumentError, without_tree, curve(points).replace(old, b"<xvalue>x<"), r.DERCurve
            )
            self.assertEqual(refused.path, f"/DERCurve{path}/xvalue")

    def test_not_plain(self) -> None:
        """What could mean something else than it looks is left to the parser."""
        data = codec.encode(r.DERStatus(readingTime=7))
        self.assertIsNotNone(without_tree(data, r.DERStatus))
        for old, new in (
            (b"7", b"&#55;"),
            (b"7", b"<![CDATA[7]]>"),
            (b"7", b"7\r\n"),
            (b"7", b"\xd9\xa7"),
            (b"<readingTime>7</readingTime>", b"<readingTime/>"),
            (b"<readingTime>7</readingTime>", b""),
            (b"<readingTime>", b"<readingTime schemaVer='2.0'>"),
            (b"<DERStatus ", b"<DERStatus schemaVer='2.0' "),
            (b':ns"', b':ns" xmlns:a="urn:a" xmlns:a="urn:a"'),
            (b':ns"', b':ns" xmlns:xml="urn:a"'),
            (b"</DERStatus>", b"</DERStatus><!---->"),
            (b"</DERStatus>", b"<x:y xmlns:x='urn:x'/></DERStatus>"),
            (NAMESPACE.encode(), b"urn:x"),
            (b"<DERStatus", b"<!DOCTYPE a><DERStatus"),
        ):
            self.assertIn(old, data)
            self.assertIsNone(without_tree(data.replace(old, new, 1), r.DERStatus), new)

    def test_refusals(self) -> None:
        """A wrong value is refused under the path of its element or attribute."""
        data = codec.encode(FULL["DERStatus"].replace(manufacturerStatus=None))
        refused: DocumentError = self.assertRaises(
            DocumentError, without_tree, data.replace(b"<value>07<", b"<value>0x<", 1), r.DERStatus
        )
        self.assertEqual(refused.path, "/DERStatus/genConnectStatus/value")
        link = codec.encode(r.DERStatusLink(href="/a")).replace(b'"/a"', b'"%"')
        self.assertEqual(
            self.assertRaises(DocumentError, without_tree, link, r.DERStatusLink).path, "/DERStatusLink/@href"
        )
        asks = codec.encode(r.RespondableResource(responseRequired=1))
        self.assertEqual(
            self.assertRaises(BadValue, without_tree, asks, r.RespondableResource).path,
            "/RespondableResource",
        )

    def test_large(self) -> None:
        """A document of many members is read by its pattern; one of more tags than may be is refused."""
        reading = r.Reading(timePeriod=r.DateTimeInterval(duration=60, start=1_700_000_000), value=1)
        period = r.DateTimeInterval(duration=1, start=1)

        def posted(number: int) -> bytes:
            found = r.MirrorReadingSet(mRID="1", timePeriod=period, Reading=(reading,) * number)
            return codec.encode(r.MirrorMeterReading(mRID="2", MirrorReadingSet=(found,)))

        data = posted(2000)
        expected = codec.decode(data + COMMENT, r.MirrorMeterReading)
        self.patch(codec, "_decode_tree", lambda *_: self.fail("a tree was made"))
        self.assertGreater(len(data), codec.MAX_TAGS)
        self.assertEqual(codec.decode(data, r.MirrorMeterReading), expected)
        self.patch(codec, "MAX_TAGS", len(data) - 1)
        self.assertEqual(codec.decode(data, r.MirrorMeterReading), expected)
        self.patch(codec, "MAX_TAGS", data.count(b"<") - 1)
        with self.assertRaises(self.failureException):
            codec.decode(data, r.MirrorMeterReading)

    @given(documents())
    def test_no_difference(self, drawn: tuple[type[Element], bytes]) -> None:
        """A document is what it is, and refused for what it is, whether a tree is made of it or not."""
        kind, data = drawn
        self.assertEqual(
            outcome(lambda: codec.decode(data, kind)), outcome(lambda: codec.decode(data + COMMENT, kind))
        )

    @given(st.sampled_from(CLASSES).flatmap(lambda kind: instances(kind, likely=0.9)))
    def test_as_stored(self, value: Element) -> None:
        """What is read by a pattern is what was written."""
        found = without_tree(codec.encode(value), type(value))
        self.assertIn(found, (None, value))
