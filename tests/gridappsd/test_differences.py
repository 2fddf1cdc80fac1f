"""Tests of what is read of difference messages."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from csipd.gridappsd.differences import (
    MOST_DIFFERENCES,
    MOST_OCTETS,
    BadMessage,
    Difference,
    Fault,
    key_of,
    read,
)

MRID = "5dcc2d2a-8d3e-4a5b-8f4f-2d6b2f6f0b7e"


def difference(
    value: Any = 1, of: str = "_A", attribute: str = "DERControlBase.opModTargetW", **more: Any
) -> Any:
    """One difference."""
    return {"object": of, "attribute": attribute, "value": value, **more}


def message(forward: Any = (), reverse: Any = (), mrid: Any = MRID, **outer: Any) -> bytes:
    """A message of these differences."""
    inner = {
        "timestamp": 1_700_000_000,
        "difference_mrid": mrid,
        "reverse_differences": reverse,
        "forward_differences": forward,
    }
    return json.dumps({"command": "update", "input": {"message": inner, **outer}}).encode()


class MessageTests(SynchronousTestCase):
    """Whole messages."""

    def fault(self, body: bytes, simulation: str | None = None) -> Fault:
        return self.assertRaises(BadMessage, read, body, simulation).fault

    def test_forward(self) -> None:
        """Forward differences are read, with the object's mRID without its underscore."""
        found = read(message([difference(of="_A"), difference(2, of="B")]))
        attribute = "DERControlBase.opModTargetW"
        self.assertEqual(found.differences, (Difference("A", attribute, 1), Difference("B", attribute, 2)))
        self.assertEqual(found.key, key_of(MRID))
        self.assertEqual(len(found.key), 16)

    def test_forward_wins(self) -> None:
        """Of an attribute of an object the forward difference counts, of several the last one."""
        found = read(message([difference(2), difference(3, of="A")], [difference(1)]))
        self.assertEqual([one.value for one in found.differences], [3])

    def test_shapes(self) -> None:
        """A mode is the same in both shapes: a forward difference in one wins over a reverse in the other."""
        longer = "DERControl.DERControlBase.opModTargetW"
        found = read(message([difference(2)], [difference(1, attribute=longer)]))
        self.assertEqual(found.differences, (Difference("A", "DERControlBase.opModTargetW", 2),))
        found = read(message([difference(2, attribute=longer)]))
        self.assertEqual(found.differences, (Difference("A", "DERControlBase.opModTargetW", 2),))
        found = read(message([difference(2, attribute="DERControl.setGradW")]))
        self.assertEqual(found.differences[0].attribute, "DERControl.setGradW")

    def test_taken_back(self) -> None:
        """A reverse difference without a forward one, and null, take back; no other attribute does."""
        reverse = [difference(1, of="A"), difference(1, attribute="DERControlBase.opModConnect")]
        found = read(message([difference(None, of="B"), difference(5)], reverse))
        self.assertEqual(
            {(one.object, one.attribute.rpartition(".")[2]): one.value for one in found.differences},
            {("A", "opModTargetW"): 5, ("A", "opModConnect"): None, ("B", "opModTargetW"): None},
        )

    def test_object_id(self) -> None:
        """The object may be called object_id, or both with one value."""
        alone = {"object_id": "_A", "attribute": "DERControlBase.opModConnect", "value": True}
        self.assertEqual(read(message([alone])).differences[0].object, "A")
        self.assertEqual(read(message([{**alone, "object": "A"}])).differences[0].object, "A")
        found = read(message([{**alone, "object": "B"}]))
        self.assertEqual((found.differences, dict(found.refused)[Fault.DIFFERENCE][0]), ((), 1))

    def test_own_echo(self) -> None:
        """What csipd itself says on the bus is no command and no fault."""
        found = read(message([difference(attribute="DERStatus.stateOfChargeStatus")]))
        self.assertEqual((found.differences, found.refused, found.echoes), ((), {}, 1))

    def test_malformed(self) -> None:
        """What is no message is refused as a whole."""
        for body in (
            b"",
            b"{",
            b"\xff",
            b"[]",
            b"[" * 100_000,
            b'{"command": "update", "command": "update"}',
            b'{"command": "update"}',
            b'{"command": "update", "input": {}}',
            message({}),
            message([difference(float("nan"))]),
            message(mrid=None),
            message(mrid=""),
            message(mrid="\ud800"),
            message(mrid="x" * 129),
            message(mrid=7),
            message([1] * (MOST_DIFFERENCES + 1)),
            b" " * (MOST_OCTETS + 1),
            b'{"command": "update", "input": 1' + b"0" * 5000 + b"}",
        ):
            self.assertIs(self.fault(body), Fault.MALFORMED, body[:80])

    def test_other_commands(self) -> None:
        """Only updates are for csipd."""
        self.assertIs(self.fault(b'{"command": "pause"}'), Fault.COMMAND)
        self.assertIs(self.fault(b'{"command": ' + b"9" * 4000 + b"}"), Fault.COMMAND)
        self.assertIs(self.fault(b"{}"), Fault.COMMAND)

    def test_simulations(self) -> None:
        """A message of another simulation is not for csipd; one that names none is."""
        self.assertIs(self.fault(message([difference()], simulation_id="1"), "2"), Fault.SIMULATION)
        for outer in ({"simulation_id": "2"}, {"simulation_id": 2}, {"simulation_id": None}, {}):
            self.assertEqual(len(read(message([difference()], **outer), "2").differences), 1)
        self.assertEqual(len(read(message([difference()], simulation_id="1")).differences), 1)

    def test_malformed_differences(self) -> None:
        """One difference that is none does not touch the others, and is counted with what was wrong."""
        without = {"object": "A", "attribute": "DERControlBase.opModConnect"}
        bad = [
            7,
            None,
            {},
            without,
            difference(of=""),
            difference(of="_"),
            difference(of="\ud800"),
            difference(of="x" * 129),
            difference(attribute=""),
            difference(attribute=None),
            difference([1]),
            difference({"value": {}}),
            difference({"value": [1]}),
            difference({str(number): 1 for number in range(9)}),
            difference({"href": "x" * 257}),
            difference("x" * 257),
            difference(2**128),
        ]
        found = read(message([*bad, difference()]))
        self.assertEqual(len(found.differences), 1)
        number, why = found.refused[Fault.DIFFERENCE]
        self.assertEqual((number, why), (len(bad), "a difference is 7, expected an object"))


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(("A", "_A", "update", "DERControlBase.opModTargetW", "DERStatus.x")),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(("object", "object_id", "attribute", "value", "x")), inner, max_size=4
        )
    ),
    max_leaves=20,
)


class PropertyTests(SynchronousTestCase):
    """Whatever comes."""

    @given(st.binary(max_size=200))
    def test_octets(self, body: bytes) -> None:
        """Octets are a message or are refused; nothing else happens."""
        try:
            read(body)
        except BadMessage as bad:
            self.assertLess(len(str(bad)), 300)

    @given(JSON, JSON, JSON, JSON, st.sampled_from((None, "1")))
    def test_json(self, forward: Any, reverse: Any, mrid: Any, outer: Any, simulation: str | None) -> None:
        """JSON of about the right form is a message or refused; what is read of it is well formed."""
        try:
            found = read(message(forward, reverse, mrid, simulation_id=outer), simulation)
        except BadMessage as bad:
            self.assertLess(len(str(bad)), 300)
            return
        places = [(one.object, one.attribute) for one in found.differences]
        self.assertEqual(len(places), len(set(places)))
        for of, attribute in places:
            self.assertTrue(of.isprintable() and attribute.isprintable() and of and attribute)
        taken = sum(number for number, _ in found.refused.values()) + found.echoes + len(places)
        self.assertLessEqual(taken, len(forward or ()) + len(reverse or ()))
