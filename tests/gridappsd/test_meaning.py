"""Tests of what differences mean."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from csipd.gridappsd.differences import Fault
from csipd.gridappsd.meaning import Attribute, Meaningless, attribute_of, value_of
from csipd.sep2 import codec
from csipd.sep2 import resources as r
from csipd.sep2.quantities import same
from csipd.sep2.schema import fields
from csipd.web.json_form import loads, to_json

BASE = "DERControlBase."
DROOP = {"dBOF": 36, "dBUF": 36, "kOF": 50, "kUF": 50, "openLoopTms": 500}
#: Of each field of a DERControlBase a value as an application sends it, and what it means.
VALUES: dict[str, tuple[str, Any]] = {
    "opModConnect": ("false", False),
    "opModEnergize": ("1", True),
    "opModFixedPFAbsorbW": (
        '{"displacement": 95, "excitation": true, "multiplier": -2}',
        r.PowerFactorWithExcitation(displacement=95, excitation=True, multiplier=-2),
    ),
    "opModFixedPFInjectW": (
        '{"displacement": 9, "excitation": false, "multiplier": -1}',
        r.PowerFactorWithExcitation(displacement=9, excitation=False, multiplier=-1),
    ),
    "opModFixedVar": ('{"refType": 1, "value": -4400}', r.FixedVar(refType=1, value=-4400)),
    "opModFixedW": ("-5000", -5000),
    "opModFreqDroop": (str(DROOP).replace("'", '"'), r.FreqDroopType(**DROOP)),
    "opModMaxLimW": ('{"multiplier": 2, "value": 50}', 5000),
    "opModTargetVar": ("-1.5e3", r.ReactivePower(multiplier=0, value=-1500)),
    "opModTargetW": ('{"multiplier": 5, "value": 1}', r.ActivePower(multiplier=5, value=1)),
    "rampTms": ("6000.0", 6000),
}


def meant(attribute: str, value: Any) -> tuple[Attribute, Any]:
    """What a difference means."""
    found = attribute_of(attribute)
    return found, value_of(found, value)


CURVES = [field.name for field in fields(r.DERControlBase) if field.type is r.DERCurveLink]


class ModeTests(SynchronousTestCase):
    """Modes of a control."""

    def mode(self, name: str, text: str) -> Any:
        return meant(BASE + name, loads(text))[1]

    def fault(self, attribute: str, text: str) -> Fault:
        return self.assertRaises(Meaningless, meant, attribute, loads(text)).fault

    def test_all_modes(self) -> None:
        """Each field of a DERControlBase is taken, by its own type, and can be taken back."""
        curves = {name: ('{"href": "/derp/1/dc/1"}', r.DERCurveLink(href="/derp/1/dc/1")) for name in CURVES}
        expected = VALUES | curves
        self.assertEqual({field.name for field in fields(r.DERControlBase)}, set(expected))
        for name, (text, value) in expected.items():
            self.assertEqual(meant(BASE + name, loads(text)), (Attribute(name), value), name)
            self.assertEqual(meant(BASE + name, None), (Attribute(name), None))
            codec.check(r.DERControlBase(**{name: value}))

    def test_settings(self) -> None:
        """What only a default has is a setting; the rest of a DERControl is not to be set."""
        found = meant("DERControl.setGradW", loads('{"multiplier": 1, "value": 9}'))
        self.assertEqual(found, (Attribute("setGradW", is_setting=True), 90))
        self.assertIsNone(meant("DERControl.setESHighVolt", None)[1])
        names = [field.name for field in fields(r.DefaultDERControl) if field.name.startswith("set")]
        self.assertEqual(len(names), 9)
        for name in names:
            self.assertEqual(meant(f"DERControl.{name}", 7)[1], 7)

    def test_unknown_attributes(self) -> None:
        """Attributes that there are not are refused, whatever they look like."""
        for attribute in (
            "DERControl.mRID",
            "DERControl.description",
            "DERControl.opModTargetW",
            "DERControl.DERControlBase",
            "DERControl.DERControlBase.",
            "DERControlBase.setGradW",
            "DERControlBase.DERControlBase.opModTargetW",
            "DERControlBase.__class__",
            "opModTargetW",
            "PowerElectronicsConnection.p",
            "DERStatus.inverterStatus",
            "x" * 128,
        ):
            self.assertIs(self.fault(attribute, "1"), Fault.ATTRIBUTE, attribute)
            self.assertIs(self.fault(attribute, "null"), Fault.ATTRIBUTE, attribute)

    def test_as_it_was_given(self) -> None:
        """A multiplier and a value stay as they are where the type can hold them, and become others else."""
        self.assertEqual(
            self.mode("opModTargetW", '{"multiplier": -1, "value": 7}'), r.ActivePower(multiplier=-1, value=7)
        )
        self.assertEqual(
            self.mode("opModTargetW", '{"multiplier": 0, "value": 50000}'),
            r.ActivePower(multiplier=1, value=5000),
        )
        self.assertEqual(
            self.mode("opModTargetW", '{"multiplier": 1.0, "value": 5.0}'),
            r.ActivePower(multiplier=0, value=50),
        )

    def test_rounding(self) -> None:
        """W and var of many digits are rounded to what their type can hold; the amount stays the same."""
        for text, multiplier, value in (
            ("3333.333333333333", 0, 3333),
            ("1234.5", -1, 12345),
            ("-0.1", -1, -1),
            ("99999.9999", 1, 10000),
            ("12345678", 3, 12346),
            ("1e-20", 0, 0),
            ("0", 0, 0),
        ):
            self.assertEqual(
                self.mode("opModTargetW", text), r.ActivePower(multiplier=multiplier, value=value), text
            )

    def test_nonsense(self) -> None:
        """Values of the wrong kind, size, sign or unit are refused."""
        for name, text in (
            ("opModConnect", "2"),
            ("opModConnect", '"true"'),
            ("opModConnect", "0.5"),
            ("opModMaxLimW", "0.5"),
            ("opModMaxLimW", "-1"),
            ("opModMaxLimW", "10001"),
            ("opModMaxLimW", "true"),
            ("opModFixedW", "10001"),
            ("opModFixedVar", "5000"),
            ("opModFixedVar", '{"multiplier": 0, "value": 5000}'),
            ("opModFixedPFInjectW", "0.95"),
            ("opModFreqDroop", '{"dBOF": 1}'),
            ("opModTargetW", '"1000"'),
            ("opModTargetW", "[]"),
            ("opModTargetW", "true"),
            ("opModTargetW", "1e14"),
            ("opModTargetW", "1e400000000"),
            ("opModTargetW", "9" * 4000),
            ("opModTargetW", '{"multiplier": 1e400000000, "value": 1}'),
            ("opModTargetW", '{"multiplier": 10, "value": 1}'),
            ("opModTargetW", '{"multiplier": 0.5, "value": 1}'),
            ("opModTargetW", '{"multiplier": 1, "value": 1, "unit": "kW"}'),
            ("opModTargetW", '{"value": 1}'),
            ("opModVoltVar", '"/derp/1/dc/1"'),
            ("opModVoltVar", '{"href": "\\ud800"}'),
            ("opModVoltVar", "{}"),
        ):
            self.assertIs(self.fault(BASE + name, text), Fault.VALUE, f"{name} {text[:60]}")

    def test_same(self) -> None:
        """Values are the same by what they command, not by how they are written."""
        self.assertTrue(same(r.ActivePower(multiplier=3, value=1), r.ActivePower(multiplier=0, value=1000)))
        self.assertFalse(same(r.ActivePower(multiplier=3, value=1), r.ReactivePower(multiplier=3, value=1)))
        self.assertFalse(same(1, True))
        self.assertFalse(same(None, 0))
        self.assertTrue(same(r.DERCurveLink(href="/a"), r.DERCurveLink(href="/a")))


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.decimals(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(("multiplier", "value", "refType", "href", "displacement", "excitation")),
            inner,
            max_size=3,
        )
    ),
    max_leaves=8,
)
NAMES = st.sampled_from([field.name for field in fields(r.DERControlBase)])


class PropertyTests(SynchronousTestCase):
    """Whatever comes."""

    @given(NAMES, JSON)
    def test_any_value(self, name: str, value: Any) -> None:
        """A value is refused, or one that its type can hold and that is read back from its JSON."""
        try:
            _, found = meant(BASE + name, value)
        except Meaningless as error:
            self.assertIs(error.fault, Fault.VALUE)
            self.assertLess(len(str(error)), 400)
            return
        if value is None:
            self.assertIsNone(found)
            return
        base = r.DERControlBase(**{name: found})
        codec.check(base)
        _, again = meant(BASE + name, to_json(base)[name])
        self.assertTrue(same(again, found))

    @given(st.decimals(Decimal("1e-5"), Decimal("3e13"), allow_nan=False), st.sampled_from((1, -1)))
    def test_amounts(self, amount: Decimal, sign: int) -> None:
        """An amount in W is off by a five thousandth of itself at most, and keeps its sign."""
        _, value = meant(BASE + "opModTargetW", sign * amount)
        held = Decimal(value.value).scaleb(value.multiplier)
        self.assertLessEqual(abs(held - sign * amount), max(amount / 5000, Decimal("1e-9")))
