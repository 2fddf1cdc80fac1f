"""Values as JSON, and the JSON Schemas that say what it may be."""

from __future__ import annotations

import copy
import functools
import json
from collections.abc import Callable, Iterator
from decimal import Decimal
from functools import partial
from itertools import pairwise
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from twisted.trial.unittest import SynchronousTestCase

from csipd.sep2 import resources as r
from csipd.sep2.codec import MAX_DEPTH, BadValue, Malformed, check, decode, encode
from csipd.sep2.schema import Element, fields
from csipd.sep2.types import EventState, ResponseRequired
from csipd.web.admin.alarms import LogEventShown
from csipd.web.admin.controls import Cancellation, Control, NewControl
from csipd.web.admin.membership import Membership
from csipd.web.admin.responses import Response
from csipd.web.json_form import MAX_PROBLEMS, JSONProblem, from_json, loads, schema_of, schemas_for, to_json
from tests.support.forms import FORMS
from tests.support.instances import CLASSES, instances
from tests.support.steps import steps

BOTH = st.one_of(st.sampled_from(CLASSES), st.sampled_from(FORMS))

CONTROL = r.DERControl(
    href="/derp/1/derc/2",
    replyTo="/rsps/1/rsp",
    responseRequired=ResponseRequired.RECEIVED | ResponseRequired.SPECIFIC,
    mRID="0A",
    creationTime=1_700_000_000,
    EventStatus=r.EventStatus(
        currentStatus=EventState.ACTIVE, dateTime=1_700_000_000, potentiallySuperseded=False
    ),
    interval=r.DateTimeInterval(duration=3600, start=1_700_000_000),
    DERControlBase=r.DERControlBase(
        opModConnect=True,
        opModTargetW=r.ActivePower(multiplier=3, value=-5),
        opModVoltVar=r.DERCurveLink(href="/derp/1/dc/1"),
    ),
    deviceCategory=0x00400000,
)
CONTROL_JSON = {
    "href": "/derp/1/derc/2",
    "replyTo": "/rsps/1/rsp",
    "responseRequired": "03",
    "mRID": "0000000000000000000000000000000A",
    "creationTime": 1_700_000_000,
    "EventStatus": {"currentStatus": 1, "dateTime": 1_700_000_000, "potentiallySuperseded": False},
    "interval": {"duration": 3600, "start": 1_700_000_000},
    "DERControlBase": {
        "opModConnect": True,
        "opModTargetW": {"multiplier": 3, "value": -5},
        "opModVoltVar": {"href": "/derp/1/dc/1"},
    },
    "deviceCategory": "00400000",
}
EVENT = dict.fromkeys(
    ["createdDateTime", "functionSet", "logEventCode", "logEventID", "logEventPEN", "profileID"], 0
)
RESPONSE = {"endDeviceLFDI": "0" * 40, "subject": "0" * 32}

# JSON of any shape, with the names of the model among its keys and what lies on the edge of some type.
NAMES = st.sampled_from(
    sorted({field.name for cls in CLASSES for field in fields(cls)} | {"xsi:type", "a/~b"})
)
EDGES: list[Any] = [0, 1, -1, 255, 256, 65535, 65536, 10000, 10001, 3601, 2**31, 2**48, 2**63, 0.5, -0.25]
EDGES += ["", "0", "00", "03", "ff", "FFFFFFFF", "0" * 32, "g" * 32, "0" * 40, "00\n", "x" * 33, "x" * 192]
EDGES += [
    " a",
    "a b",
    "a  b",
    "%",
    "%41",
    "a:b",
    "1:b",
    "//h:x",
    "[",
    "a#b#c",
    "\x01",
    "\ufffe",
    "\U0001f50c",
]
EDGES += ["Time", "DERControlResponse", {"multiplier": 0, "value": 1}, {"href": "/a"}, [0], [{}], [0] * 11]
LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats().filter(lambda number: not number.is_integer()),
    st.text(),
    st.sampled_from(EDGES).map(copy.deepcopy),
)
ANY_JSON = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES | st.text(), inner, max_size=4),
    max_leaves=12,
)


def examples(number: int) -> settings:
    """So many examples, the same on every run."""
    return settings(
        max_examples=number,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )


@functools.cache
def validator(cls: type[Element]) -> Draft202012Validator:
    """What a client would hold its JSON against: the schema of a class, in a document like OpenAPI's."""
    components = {"schemas": schemas_for(cls)}
    return Draft202012Validator({"$ref": f"#/components/schemas/{cls.__name__}", "components": components})


def problems(cls: type[Element], data: object) -> list[tuple[str, str]]:
    """What is wrong with JSON."""
    try:
        from_json(cls, data)
    except JSONProblem as problem:
        return list(problem.problems)
    return []


def places(data: Any) -> Iterator[tuple[Any, Any]]:
    """Every member of JSON, as its container and its key there."""
    keys = data if isinstance(data, dict) else range(len(data)) if isinstance(data, list) else ()
    for key in keys:
        yield data, key
        yield from places(data[key])


@st.composite
def spoiled(draw: st.DrawFn, cls: type[Element]) -> Any:
    """JSON of a value of a class, with up to three members of it dropped, added or changed."""
    data = copy.deepcopy({"whole": to_json(draw(instances(cls)))})
    for _ in range(draw(st.integers(1, 3))):
        container, key = draw(st.sampled_from(list(places(data))))
        match draw(st.sampled_from(["drop", "add", "change", "change", "double"])):
            case "drop" if container is not data:
                del container[key]
            case "add" if isinstance(container[key], dict):
                container[key][draw(NAMES)] = draw(LEAVES)
            case "double" if isinstance(container[key], list):
                container[key] *= draw(st.sampled_from([0, 2, 11]))
            case _:
                container[key] = draw(ANY_JSON)
    return data["whole"]


def step(data: Any, token: str) -> Any:
    """One step of a JSON pointer; KeyError where nothing is there."""
    token = token.replace("~1", "/").replace("~0", "~")
    return data[int(token)] if isinstance(data, list) else data[token]


class JSONTestCase(SynchronousTestCase):
    def refused(self, cls: type[Element], data: object, *expected: tuple[str, str], **given: Any) -> None:
        problem = self.assertRaises(JSONProblem, from_json, cls, data, **given)
        self.assertEqual(list(problem.problems), list(expected))


class RoundTripTests(JSONTestCase):
    """Values to JSON and back."""

    def test_shape(self) -> None:
        """Names are the standard's in its order, bit maps hexadecimal, and only what was given is there."""
        found = to_json(CONTROL)
        self.assertEqual(found, CONTROL_JSON)
        self.assertEqual(json.dumps(found), json.dumps(CONTROL_JSON))
        self.assertEqual(from_json(r.DERControl, CONTROL_JSON), CONTROL)

    def test_enumerations(self) -> None:
        """Members of enumerations become plain numbers."""
        status = to_json(
            r.EventStatus(currentStatus=EventState.ACTIVE, dateTime=0, potentiallySuperseded=True)
        )
        self.assertIs(type(status["currentStatus"]), int)

    def test_lists(self) -> None:
        """What repeats is an array, and a quantity in it an object like any."""
        points = tuple(r.CurveData(xvalue=x, yvalue=-x) for x in (1, 2))
        curve = r.DERCurve(
            mRID="1", creationTime=0, CurveData=points, curveType=11, xMultiplier=0, yMultiplier=0, yRefType=3
        )
        shown = to_json(curve)
        self.assertEqual(shown["CurveData"], [{"xvalue": 1, "yvalue": -1}, {"xvalue": 2, "yvalue": -2}])
        self.assertEqual(from_json(r.DERCurve, shown), curve)

    def test_repeated_simple(self) -> None:
        """Numbers may repeat in the forms of the operator's API."""
        self.assertEqual(to_json(Membership(groups=(3, 4))), {"groups": [3, 4]})
        self.assertEqual(from_json(Membership, {"groups": [3, 4]}), Membership(groups=(3, 4)))
        self.assertEqual(from_json(Membership, {"groups": []}), Membership())

    def test_polymorphic(self) -> None:
        """Where any derived type may stand the object names its class, also one with an element `type`."""
        responses = r.ResponseList(
            all=1, results=1, Response=(r.DERControlResponse(endDeviceLFDI="0", subject="0"),)
        )
        shown = to_json(responses)
        self.assertEqual(shown["Response"], [{"xsi:type": "DERControlResponse", **RESPONSE}])
        self.assertEqual(from_json(r.ResponseList, shown), responses)
        notification = r.Notification(
            subscribedResource="/a",
            status=0,
            subscriptionURI="/b",
            Resource=r.DERCapability(modesSupported=0, rtgMaxW=r.ActivePower(multiplier=0, value=1), type=4),
        )
        shown = to_json(notification)
        self.assertEqual((shown["Resource"]["xsi:type"], shown["Resource"]["type"]), ("DERCapability", 4))
        self.assertEqual(from_json(r.Notification, shown), notification)
        validator(r.Notification).validate(shown)

    def test_hexadecimal(self) -> None:
        """Digits of either case are taken, and given in upper case."""
        data = {**RESPONSE, "endDeviceLFDI": "ab" * 20}
        self.assertEqual(to_json(from_json(r.Response, data))["endDeviceLFDI"], "AB" * 20)

    def test_extensions(self) -> None:
        """Extensions are left out."""
        value = r.Time(currentTime=0, dstEndTime=0, dstOffset=0, dstStartTime=0, quality=7, tzOffset=0)
        with_extension = value.replace(extensions=('<a xmlns="urn:a"></a>',))
        self.assertEqual(to_json(with_extension), to_json(value))

    def for_every_class(self, number: int, test: Callable[[Element], None]) -> None:
        for cls in CLASSES + FORMS:
            examples(number)(given(instances(cls))(test))()

    def test_every_class(self) -> None:
        """Values of every class survive JSON text and back, and the schema of their class takes them."""

        def round_trip(value: Element) -> None:
            shown = to_json(value)
            self.assertEqual(from_json(type(value), json.loads(json.dumps(shown))), value)
            validator(type(value)).validate(shown)

        self.for_every_class(4, round_trip)


class TextTests(JSONTestCase):
    """The text of JSON."""

    def test_numbers_are_exact(self) -> None:
        """A number with a point or exponent is what was written: 1e-400 W is not 0 W (case F17)."""
        self.assertEqual(loads('{"a": [0.1, 1e2, 7]}'), {"a": [Decimal("0.1"), Decimal("1E+2"), 7]})
        exactly = r.ActivePower(multiplier=-9, value=1)
        self.assertEqual(from_json(r.ActivePower, loads("1e-9")), exactly)
        for text in (
            "1e-400",
            "-1e-400",
            "1e-10",
            "1e400",
            "1e-99999999",
            "1e99999999",
            "0.1" + "0" * 400 + "1",
        ):
            wrong = self.assertRaises(JSONProblem, from_json, r.ActivePower, loads(text))
            self.assertEqual(len(wrong.problems), 1, text)
        self.assertRaises(ValueError, loads, "1e-99999999999999999999")

    def test_not_json(self) -> None:
        """Constants that are not JSON, names that stand twice and other text raise ValueError."""
        for text in ("NaN", "-Infinity", '{"a": 1, "a": 1}', "", "{", "'a'"):
            self.assertRaises(ValueError, loads, text)


class CostTests(JSONTestCase):
    """What reading costs."""

    def test_linear(self) -> None:
        """Twice as much of anything takes at most twice as many steps, right or wrong (case F1)."""
        kinds: dict[str, tuple[type[Element], Callable[[int], Any]]] = {
            "unknown names": (r.DERControlBase, lambda n: {f"x{one}": 1 for one in range(n)}),
            "members": (
                r.DERControlList,
                lambda n: {"all": 1, "results": 1, "DERControl": [CONTROL_JSON] * n},
            ),
            "wrong members": (r.DERControlList, lambda n: {"all": 1, "results": 1, "DERControl": [{}] * n}),
            "wrong numbers": (Membership, lambda n: {"groups": ["x"] * n}),
            "digits": (r.ActivePower, lambda n: loads("0." + "1" * n)),
            "reference": (r.TimeLink, lambda n: {"href": "a b:%" * n}),
        }
        for kind, (cls, make) in kinds.items():
            problems(cls, make(1))  # classes are read when first used
            values = [make(size) for size in (250, 500, 1000)]
            costs = [steps(partial(problems, cls, value)) for value in values]
            for less, more in pairwise(costs):
                self.assertLess(more, 2.2 * less, (kind, costs))


class RefusalTests(JSONTestCase):
    """JSON that is not a value."""

    def test_everything_is_told(self) -> None:
        """All that is wrong is reported, with a pointer to each, and nothing else."""
        data = copy.deepcopy(CONTROL_JSON)
        data["mRID"] = "xyz"
        data["creationTime"] = "now"
        data["EventStatus"]["potentiallySuperseded"] = 0
        del data["interval"]["start"]
        data["interval"]["duration"] = -1
        data["DERControlBase"]["opModMaxLimW"] = 10_001
        data["DERControlBase"]["opModVoltVar"]["href"] = "%"
        data["DERControlBase"]["a/~b"] = {}
        data["randomizeStart"] = None
        data["description"] = "x" * 33
        self.refused(
            r.DERControl,
            data,
            ("/mRID", "is 'xyz', expected 32 hexadecimal digits"),
            ("/creationTime", f"is 'now', expected an integer from {-(2**63)} to {2**63 - 1}"),
            ("/EventStatus/potentiallySuperseded", "is 0, expected true or false"),
            ("/interval/duration", "is -1, expected an integer from 0 to 4294967295"),
            ("/interval/start", "is required"),
            ("/DERControlBase/opModVoltVar/href", "is '%', expected a URI reference (RFC 3986)"),
            (
                "/DERControlBase/opModMaxLimW",
                "is 10001, expected an integer from 0 to 10000 (hundredths of a percent)",
            ),
            ("/DERControlBase/a~1~0b", "is not known here"),
            ("/randomizeStart", "is null, expected an integer from -3600 to 3600"),
            ("/description", "has 33 characters, expected at most 32 characters"),
        )

    def test_types(self) -> None:
        """Truth is no number, a number with a point no integer, a number no text, and nothing is null."""
        cases: list[tuple[type[Element], str, list[Any], str]] = [
            (r.DERControlBase, "rampTms", [True, 1.0, "1", None, [1], 2**70], "an integer from 0 to 65535"),
            (r.DERControlBase, "opModConnect", [1, 0.0, "true", None], "true or false"),
            (r.LogEvent, "details", [1, None, ["a"], {}], "a string"),
            (NewControl, "deviceCategory", [1, "1", "0000000g", "0x000001", None], "8 hexadecimal digits"),
            (r.DERControlBase, "opModVoltVar", ["/dc/1", None, []], "an object"),
            (
                r.DERControlBase,
                "opModTargetW",
                ["5", True, None],
                "a number, or an object of multiplier, value",
            ),
            (r.DERProgramList, "DERProgram", [{}, None, ()], "an array"),
        ]
        for cls, name, values, expected in cases:
            for value in values:
                reported = dict(problems(cls, {name: value}))[f"/{name}"]
                self.assertRegex(reported, f"^is .+, expected {expected}", value)
        for data in (None, True, 0, 1.5, "a", []):
            ((at, reported),) = problems(r.DERControlBase, data)
            self.assertEqual(at, "")
            self.assertRegex(reported, "^is .+, expected an object of opModConnect, ")

    def test_members(self) -> None:
        """Too few or too many members are reported, and each that is wrong by its place."""
        curve = {"mRID": "0" * 32, "creationTime": 0, "curveType": 0, "yRefType": 0}
        curve |= {"xMultiplier": 0, "yMultiplier": 0}
        points = [{"xvalue": 0, "yvalue": 0}] * 11
        count = ("/CurveData", "expected 1 to 10 members")
        self.refused(r.DERCurve, {**curve, "CurveData": []}, count)
        self.refused(r.DERCurve, {**curve, "CurveData": points}, count)
        self.refused(
            r.DERCurve,
            {**curve, "CurveData": [{"xvalue": 0}, 5]},
            ("/CurveData/0/yvalue", "is required"),
            ("/CurveData/1", "is 5, expected an object of excitation, xvalue, yvalue"),
        )
        self.refused(
            Membership, {"groups": [1, 0]}, ("/groups/1", f"is 0, expected an integer from 1 to {2**63 - 1}")
        )

    def test_rules(self) -> None:
        """What only the standard's text demands is seen: check digits, what goes with what."""
        device = {"changedTime": 0, "sFDI": 167261211392}
        wrong = f"is 167261211392, expected an integer from 0 to {2**48 - 1}"
        wrong += ": the leftmost 36 bits of an LFDI and then their check digit"
        self.refused(r.EndDevice, device, ("/sFDI", wrong))
        page = {"all": 1, "results": 1, "DERControl": [{**CONTROL_JSON}]}
        del page["DERControl"][0]["replyTo"]
        flaw = "wants a response but says not where (replyTo)"
        self.refused(r.DERControlList, page, ("/DERControl/0", flaw))

    def test_polymorphic(self) -> None:
        """The class must be named, be known, and be one that may stand in the place."""
        page = {"all": 1, "results": 1}
        wrong = "expected the name of a type of Response"
        for stated in ("Time", "Nothing", "Element", 5, None, ["Response"]):
            data = {**page, "Response": [{"xsi:type": stated, **RESPONSE}]}
            self.refused(r.ResponseList, data, ("/Response/0/xsi:type", wrong))
            self.assertFalse(validator(r.ResponseList).is_valid(data))
        unnamed = ("/Response/0/xsi:type", "is required")
        self.refused(r.ResponseList, {**page, "Response": [RESPONSE]}, unnamed)
        self.assertFalse(validator(r.ResponseList).is_valid({**page, "Response": [RESPONSE]}))
        self.refused(
            r.ResponseList,
            {**page, "Response": [RESPONSE, 5]},
            unnamed,
            ("/Response/1", "is 5, expected an object"),
        )
        self.refused(r.Response, {"xsi:type": "Response", **RESPONSE}, ("/xsi:type", "is not known here"))

    def test_what_was_meant(self) -> None:
        """A name that is nearly one of the model is guessed at; of several that are unknown the first."""
        wrong = {"opModMaxLimitW": 1, "opModMaxLimitX": 1, "opModFixedVar": {"value": 10_001, "refType": 1}}
        self.refused(
            r.DERControlBase,
            wrong,
            ("/opModMaxLimitW", "is not known here; did you mean 'opModMaxLimW'?"),
            ("/opModMaxLimitX", "is not known here"),
            (
                "/opModFixedVar/value",
                "is 10001, expected an integer from -10000 to 10000 (hundredths of a percent)",
            ),
        )

    def test_depth(self) -> None:
        """Nothing nests deeper than in XML."""
        value: Element = r.NotificationList(all=0, results=0)
        for depth in range(2, MAX_DEPTH + 2):
            if isinstance(value, r.NotificationList):
                value = r.Notification(
                    subscribedResource="/a", status=0, subscriptionURI="/b", Resource=value
                )
            else:
                value = r.NotificationList(all=1, results=1, Notification=(value,))
            if depth <= MAX_DEPTH:
                self.assertEqual(from_json(type(value), to_json(value)), value)
                self.assertEqual(decode(encode(value), type(value)), value)
        (problem,) = problems(type(value), to_json(value))
        self.assertEqual(problem[1], "is nested more than 16 deep")
        self.assertEqual(problem[0].count("/Resource"), 8)
        self.assertRaises(Malformed, decode, encode(value), type(value))

    def test_bounded(self) -> None:
        """However much is wrong, so many problems are reported, and of long names the beginning."""
        reported = problems(NewControl, {"devices": ["a"] * 5000, "duration": 60, "base": {}})
        self.assertEqual(len(reported), MAX_PROBLEMS)
        self.assertTrue(reported[-1][0].startswith("/devices/"))
        self.refused(Membership, {"~" * 5000: 0}, ("/" + "~0" * 64, "is not known here"))

    def test_as_text(self) -> None:
        """The problems are what the exception says."""
        problem = self.assertRaises(JSONProblem, from_json, Cancellation, {"randomized": 1, "x": 1})
        self.assertEqual(str(problem), "/randomized: is 1, expected true or false; /x: is not known here")
        problem = self.assertRaises(JSONProblem, from_json, Cancellation, None)
        self.assertEqual(str(problem), "the whole: is null, expected an object of randomized, reason")

    @examples(400)
    @given(st.data())
    def test_any_json(self, data: st.DataObject) -> None:
        """Any JSON gives a value that the codec takes, or JSONProblem with pointers to what is wrong."""
        cls = data.draw(BOTH)
        whole = data.draw(ANY_JSON | spoiled(cls))
        try:
            check(from_json(cls, whole))
        except JSONProblem as problem:
            self.assertTrue(problem.problems)
            for pointer, message in problem.problems:
                at, *steps = pointer.split("/")
                self.assertEqual(at, "")
                there = functools.reduce(step, steps[:-1], whole)
                if message == "is required":
                    self.assertNotIn(steps[-1], there)
                elif steps and len(steps[-1]) < 64:
                    step(there, steps[-1])


class OwnTests(JSONTestCase):
    """Fields that are not the client's to give."""

    GIVEN = {name: CONTROL_JSON[name] for name in ("interval", "DERControlBase")}
    OWN = {"mRID": "1", "creationTime": 5, "EventStatus": CONTROL.EventStatus}

    def test_own(self) -> None:
        """The server's own fields complete what the client gave."""
        made = from_json(r.DERControl, self.GIVEN, own=self.OWN)
        self.assertEqual(
            made, r.DERControl(**self.OWN, interval=CONTROL.interval, DERControlBase=CONTROL.DERControlBase)
        )

    def test_not_to_be_given(self) -> None:
        """What is the server's, or left, is unknown in JSON."""
        data = {**self.GIVEN, "mRID": "0" * 32, "href": "/a"}
        wrong = [("/mRID", "is not known here"), ("/href", "is not known here")]
        self.refused(r.DERControl, data, *wrong, own=self.OWN, leave=["href"])

    def test_together(self) -> None:
        """What must go together may come from both sides."""
        data = {**self.GIVEN, "responseRequired": "01"}
        self.assertEqual(from_json(r.DERControl, data, own={**self.OWN, "replyTo": "/r"}).responseRequired, 1)
        self.refused(r.DERControl, data, ("", "wants a response but says not where (replyTo)"), own=self.OWN)

    def test_defects_of_the_caller(self) -> None:
        """A required field left and not given is TypeError, a wrong one BadValue: no client can help it."""
        self.assertRaises(TypeError, from_json, r.DERControl, self.GIVEN, leave=self.OWN)
        own = {**self.OWN, "creationTime": "now"}
        self.assertRaises(BadValue, from_json, r.DERControl, self.GIVEN, own=own)


class QuantityTests(JSONTestCase):
    """Quantities as plain numbers."""

    def test_plain(self) -> None:
        """A plain number becomes a value and a power of ten, exactly, wherever a quantity stands."""
        base = from_json(r.DERControlBase, {"opModTargetW": -239.5, "opModTargetVar": 3})
        self.assertEqual(base.opModTargetW, r.ActivePower(multiplier=-1, value=-2395))
        self.assertEqual(base.opModTargetVar, r.ReactivePower(multiplier=0, value=3))
        self.assertEqual(from_json(r.PowerFactor, 0.9), r.PowerFactor(multiplier=-1, displacement=9))
        self.assertEqual(from_json(r.ActivePower, json.loads("5e4")), r.ActivePower(multiplier=1, value=5000))

    def test_wrong(self) -> None:
        """One that the type cannot hold exactly is refused, of whatever size."""
        expected = "expected a number that is -32768..32767 times a power of ten, exactly"
        for text in ("40001", "0.00000000015", "1e300", "NaN", "Infinity", "-Infinity", "9" * 4000):
            self.refused(r.DERControlBase, {"opModTargetW": json.loads(text)}, ("/opModTargetW", expected))
        self.refused(r.PowerFactor, 1.5, ("", "expected a power factor 0..1"))

    def test_not_for_others(self) -> None:
        """A number is no value of a type with more to it than a multiplier."""
        for cls, parts in (
            (r.UnitValueType, "multiplier, unit, value"),
            (r.PowerFactorWithExcitation, "displacement, excitation, multiplier"),
            (r.FixedVar, "refType, value"),
        ):
            self.refused(cls, 5, ("", f"is 5, expected an object of {parts}"))


class SchemaTests(JSONTestCase):
    """JSON Schemas."""

    def test_of_a_class(self) -> None:
        """Types, bounds, what is required, references, and the first line of the docstring."""
        found = schema_of(r.DERCurve, leave=["href", "mRID", "description", "version"])
        multiplier = {"type": "integer", "minimum": -9, "maximum": 9}
        self.assertEqual(found["description"], (r.DERCurve.__doc__ or "").splitlines()[0])
        self.assertIs(found["additionalProperties"], False)
        self.assertEqual(
            found["required"],
            ["creationTime", "CurveData", "curveType", "xMultiplier", "yMultiplier", "yRefType"],
        )
        properties = found["properties"]
        self.assertEqual(
            list(properties)[:3], ["autonomousVRefEnable", "autonomousVRefTimeConstant", "creationTime"]
        )
        self.assertEqual(properties["autonomousVRefEnable"], {"type": "boolean"})
        self.assertEqual(properties["xMultiplier"], multiplier)
        self.assertEqual(properties["vRef"], {"type": "integer", "minimum": 0, "maximum": 10000})
        items = {"$ref": "#/components/schemas/CurveData"}
        self.assertEqual(
            properties["CurveData"], {"type": "array", "items": items, "minItems": 1, "maxItems": 10}
        )
        self.assertEqual(properties["openLoopTms"], {"type": "integer", "minimum": 0, "maximum": 65535})
        self.assertEqual(
            schema_of(r.DERControl)["properties"]["deviceCategory"],
            {"type": "string", "pattern": "^[0-9A-Fa-f]{8}$", "maxLength": 8},
        )

    def test_text(self) -> None:
        """Text is bounded, and may hold what XML can carry."""
        for text, valid in (("x" * 32, True), ("x" * 33, False), ("\t\r\n\U0001f50c", True), ("\x0b", False)):
            data = {"number": 1, "device": 1, "hidden": False, "event": {**EVENT, "details": text}}
            self.assertEqual(validator(LogEventShown).is_valid(data), valid)
            self.assertEqual(not problems(LogEventShown, data), valid)

    def test_quantities(self) -> None:
        """A quantity is an object or a number no greater than its type can hold, power factors at most 1."""
        for cls, least, most in (
            (r.ActivePower, -32768e9, 32767e9),
            (r.WattHour, 0, 65535e9),
            (r.PowerFactor, 0, 1),
        ):
            for number in (least, most):
                validator(cls).validate(number)
                from_json(cls, number)
            for number in (least * 1.01 - 0.01, most * 1.01):
                self.assertFalse(validator(cls).is_valid(number))
                self.assertTrue(problems(cls, number))

    def test_components(self) -> None:
        """The schemas of all classes are valid, describe themselves, and all that they refer to is there."""
        for classes in (CLASSES, FORMS, (Control,)):
            components = schemas_for(*classes)
            self.assertEqual(list(components), sorted(components))
            self.assertLessEqual({cls.__name__ for cls in classes}, set(components))
            Draft202012Validator.check_schema({"$defs": components})
            for name, schema in components.items():
                self.assertTrue(schema["description"], name)
            references = {data[key] for data, key in places(components) if key == "$ref"}
            self.assertLessEqual(references, {f"#/components/schemas/{name}" for name in components})
        self.assertNotIn("EndDevice", components)

    def test_one_name_one_class(self) -> None:
        """Two classes of one name cannot be components of one document."""
        self.assertRaises(ValueError, schemas_for, Response, r.Response)

    def test_left(self) -> None:
        """What is left is no property and not required."""
        own = ["mRID", "creationTime", "EventStatus", "href", "replyTo"]
        found = schema_of(r.DERControl, leave=own)
        self.assertFalse(set(own) & (set(found["properties"]) | set(found["required"])))
        self.assertNotIn("anyOf", found)

    def test_what_it_cannot_say(self) -> None:
        """The schema says in words only: check digits, exactness of plain numbers, no point in integers."""
        device = {"changedTime": 0, "sFDI": 167261211392}
        for cls, data in ((r.EndDevice, device), (r.ActivePower, 40001), (Membership, {"groups": [1.0]})):
            self.assertTrue(validator(cls).is_valid(data))
            self.assertTrue(problems(cls, data))
        self.assertIn("check digit", schema_of(r.EndDevice)["properties"]["sFDI"]["description"])

    @examples(600)
    @given(st.data())
    def test_agreement(self, data: st.DataObject) -> None:
        """Schema and reader agree on JSON that was spoiled, but for what a schema cannot say."""
        cls = data.draw(BOTH)
        whole = data.draw(spoiled(cls))
        reported = problems(cls, whole)
        if all("check digit" in message or "exactly" in message for _, message in reported) and reported:
            return
        self.assertEqual(validator(cls).is_valid(whole), not reported, reported)

    @examples(300)
    @given(st.text("a0:/?#[]@%f \té.\x01\ufffe\n", max_size=8) | st.text(max_size=8))
    def test_references(self, text: str) -> None:
        """Schema and reader agree on which text is a URI reference."""
        reported = problems(r.TimeLink, {"href": text})
        self.assertEqual(validator(r.TimeLink).is_valid({"href": text}), not reported, reported)
