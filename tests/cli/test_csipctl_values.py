"""What operators write of controls and curves, and how values are shown."""

from __future__ import annotations

import json
from decimal import Decimal

import yaml
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from csipd.cli.ctl.values import (
    Amount,
    Unitless,
    curve_document,
    overlay,
    parse_category,
    parse_level,
    parse_mapping,
    parse_point,
    parse_settings,
    parse_value,
    resolve,
    show_category,
    show_level,
)
from csipd.sep2 import resources as r
from csipd.sep2.types import CurveType, DeviceCategory
from csipd.web.json_form import from_json

words = st.text("abcXYZ", min_size=1, max_size=8)
values = st.booleans() | st.integers(-(10**18), 10**18)
trees = st.recursive(
    values, lambda inner: st.dictionaries(words, inner, min_size=1, max_size=3), max_leaves=8
)
mappings = st.dictionaries(words, trees, max_size=4)


def leaves(tree: object, path: str = "") -> list[str]:
    """A tree as settings on a command line."""
    if not isinstance(tree, dict):
        return [f"{path}={json.dumps(tree)}"]
    return [
        line for name, inner in tree.items() for line in leaves(inner, f"{path}.{name}" if path else name)
    ]


class SettingTests(SynchronousTestCase):
    def test_values(self) -> None:
        """A word is true, false, a number, an amount with its unit, or text."""
        for text, value in {
            "6000": 6000,
            "-5": -5,
            "+5": 5,
            "true": True,
            "False": False,
            "60%": Amount("60%", Decimal(60), "%"),
            "-12.5 %": Amount("-12.5 %", Decimal("-12.5"), "%"),
            "3 kW": Amount("3 kW", Decimal(3), "kW"),
            "2.5": 2.5,
            "/derp/1/dc/2": "/derp/1/dc/2",
            "Volt-VAR 1": "Volt-VAR 1",
            "1e3": "1e3",
            "60 %%": "60 %%",
        }.items():
            self.assertEqual(parse_value(text), value, text)
            self.assertIs(type(parse_value(text)), type(value), text)

    def test_nested(self) -> None:
        """Dots lead into objects, and settings of one object come together."""
        settings = [
            "opModFixedPFInjectW.displacement=95",
            "rampTms=100",
            "opModFixedPFInjectW.excitation=true",
        ]
        self.assertEqual(
            parse_settings(settings),
            {"opModFixedPFInjectW": {"displacement": 95, "excitation": True}, "rampTms": 100},
        )

    def test_equals_in_the_value(self) -> None:
        """Only the first equals sign parts name and value."""
        self.assertEqual(parse_settings(["opModVoltVar=a=b"]), {"opModVoltVar": "a=b"})

    @given(mappings)
    def test_any_tree(self, tree: dict[str, object]) -> None:
        """Each tree of values can be said by settings."""
        self.assertEqual(parse_settings(leaves(tree)), tree)

    def test_refused(self) -> None:
        """What is no setting, is given twice, or is both a value and an object is refused."""
        for settings in (
            ["opModMaxLimW"],
            ["=5"],
            ["opModMaxLimW="],
            ["a..b=1"],
            ["a b=1"],
            [".a=1"],
            ["a=1", "a=2"],
            ["a=1", "a.b=2"],
            ["a.b=1", "a=2"],
            ["a.b=1", "a.b=1"],
        ):
            self.assertRaises(ValueError, parse_settings, settings)

    def test_overlay(self) -> None:
        """What is laid over wins value by value, and objects are joined."""
        base = {"a": 1, "b": {"c": 2, "d": 3}, "e": {"f": 4}}
        over = overlay(base, {"b": {"c": 5}, "e": 6, "g": 7})
        self.assertEqual(over, {"a": 1, "b": {"c": 5, "d": 3}, "e": 6, "g": 7})
        self.assertEqual(base["b"], {"c": 2, "d": 3})


class UnitTests(SynchronousTestCase):
    """Amounts with units, and numbers that want one (case B2)."""

    def test_units(self) -> None:
        """An amount with its unit is what the standard keeps, to the last digit."""
        for setting, value in {
            "opModMaxLimW=60%": {"opModMaxLimW": 6000},
            "opModFixedW=-12.5 %": {"opModFixedW": -1250},
            "opModFixedVar.value=0.01%": {"opModFixedVar": {"value": 1}},
            "rampTms=1.5s": {"rampTms": 150},
            "setGradW=0.27%/s": {"setGradW": 27},
            "setSoftGradW=1%": {"setSoftGradW": 100},
            "setESHighFreq=60.5Hz": {"setESHighFreq": 6050},
            "opModTargetW=3kW": {"opModTargetW": 3000},
            "opModTargetVar=-0.5 kvar": {"opModTargetVar": -500},
            "opModTargetW=2.5W": {"opModTargetW": 2.5},
            "vRef=95%": {"vRef": 9500},
            "description=60%": {"description": "60%"},
        }.items():
            self.assertEqual(resolve(parse_settings([setting])), (value, []), setting)

    def test_without(self) -> None:
        """A number that the standard counts in hundredths is reported with its meaning and a remedy."""
        values, unitless = resolve(
            parse_settings(["opModMaxLimW=60", "opModConnect=true", "opModFixedVar.value=5", "rampTms=3"])
        )
        self.assertEqual(values["opModMaxLimW"], 60)
        self.assertEqual(
            unitless,
            [Unitless("opModMaxLimW", 60), Unitless("opModFixedVar.value", 5), Unitless("rampTms", 3)],
        )
        self.assertEqual(
            unitless[0].warning,
            "opModMaxLimW=60 has no unit and means 0.6 %: for 60 % write opModMaxLimW=60%",
        )
        self.assertIn("0.05 %", unitless[1].warning)
        self.assertIn("0.03 s", unitless[2].warning)

    def test_others(self) -> None:
        """Another unit, or more digits than there are, is refused with what was expected."""
        for setting, expected in {
            "opModMaxLimW=60s": "expected a number of %",
            "opModMaxLimW=0.001%": "expected hundredths of % at the finest",
            "opModMaxLimW=60.5": "needs its unit: opModMaxLimW=60.5%",
            "opModTargetW=3kvar": "expected a number of W",
            "rampTms=5%": "expected a number of s",
        }.items():
            with self.assertRaisesRegex(ValueError, expected):
                resolve(parse_settings([setting]))

    def test_share(self) -> None:
        """What opModFixedVar is a share of goes by name or number, as in the configuration (case B1)."""
        for text in ("2", "SET_MAX_VAR", "setMaxVar"):
            settings = parse_settings((f"opModFixedVar.refType={text}", "opModFixedVar.value=10%"))
            self.assertEqual(resolve(settings)[0], {"opModFixedVar": {"refType": 2, "value": 1000}})
        wrong = parse_settings(("opModFixedVar.refType=SET_MAX_VA",))
        self.assertRaisesRegex(ValueError, "expected a DERUnitRefType", resolve, wrong)


class FileTests(SynchronousTestCase):
    def test_yaml(self) -> None:
        """A file says the same in the same words as --set, and quotes make text of anything."""
        text = "opModConnect: true\nopModMaxLimW: 60%\nopModVoltVar: '12'\n"
        text += "opModFixedVar: {refType: 2, value: -50}\n"
        self.assertEqual(
            resolve(parse_mapping(text, "base.yml"))[0],
            {
                "opModConnect": True,
                "opModMaxLimW": 6000,
                "opModVoltVar": "12",
                "opModFixedVar": {"refType": 2, "value": -50},
            },
        )

    @given(mappings)
    def test_json_and_yaml(self, tree: dict[str, object]) -> None:
        """Each tree of values is read as itself from JSON and from YAML."""
        self.assertEqual(parse_mapping(json.dumps(tree), "base.json"), tree)
        self.assertEqual(parse_mapping(yaml.safe_dump(tree), "base.yml"), tree)

    def test_lists(self) -> None:
        """Lists stay lists, and a name without a value is left out."""
        self.assertEqual(parse_mapping("a: [1, {b: 2}]\nc:\n", "x"), {"a": [1, {"b": 2}]})

    def test_refused(self) -> None:
        """What is no mapping, has a name twice or a tag in it is refused with file and line."""
        for text, line in (
            ("", "x.yml: "),
            ("- 1", "x.yml: "),
            ("a: 1\na: 2", "x.yml:2"),
            ("a: [", "x.yml:"),
            ("a: !!python/object:os.system 1", "x.yml:1"),
        ):
            said = str(self.assertRaises(ValueError, parse_mapping, text, "x.yml"))
            self.assertTrue(said.startswith(line), said)
            self.assertNotIn("\n", said)


class CodeTests(SynchronousTestCase):
    def test_categories(self) -> None:
        """deviceCategory is given by names, case and underscores aside, or by its eight digits."""
        for text, digits in {
            "PHOTOVOLTAIC": "00200000",
            "photovoltaic,EV": "00210000",
            "CombinedPvAndStorage": "00800000",
            "00a00000": "00A00000",
            "21": "00200000",
        }.items():
            self.assertEqual(parse_category(text), digits)

    def test_wrong_categories(self) -> None:
        """A name of no category is refused with a guess at what was meant, and one without a bit, too."""
        self.assertIn("PHOTOVOLTAIC", str(self.assertRaises(ValueError, parse_category, "PHOTOVOLTAC")))
        self.assertRaises(ValueError, parse_category, "AGGREGATOR")
        self.assertRaises(ValueError, parse_category, "")

    def test_shown_categories(self) -> None:
        """Bits are shown by their names; digits with a bit that has none stay digits."""
        self.assertEqual(show_category("00210000"), "ELECTRIC_VEHICLE, PHOTOVOLTAIC")
        self.assertEqual(show_category("80200000"), "80200000")
        self.assertEqual(show_category("00000000"), "00000000")
        self.assertEqual(show_category("nonsense"), "nonsense")

    @given(st.sets(st.sampled_from(list(DeviceCategory)), min_size=1))
    def test_categories_both_ways(self, kinds: set[DeviceCategory]) -> None:
        """What is shown for a category is read as the same one."""
        digits = f"{sum(kinds):08X}"
        self.assertEqual(parse_category(show_category(digits)), digits)

    def test_levels(self) -> None:
        """A level is given by name or number and shown by name; an unknown one is shown as it is."""
        self.assertEqual(
            [parse_level("feeder"), parse_level("ServiceTransformer"), parse_level("0")], [3, 5, 0]
        )
        self.assertRaises(ValueError, parse_level, "street")
        self.assertEqual([show_level(5), show_level(9)], ["service transformer", "9"])


class CurveTests(SynchronousTestCase):
    def test_points(self) -> None:
        """A point is two whole numbers, and a side where y is a power factor."""
        self.assertEqual(parse_point("92, -44"), {"xvalue": 92, "yvalue": -44})
        self.assertEqual(parse_point("50,95,true"), {"excitation": True, "xvalue": 50, "yvalue": 95})
        for text in ("", "1", "1,2,3", "1.5,2", "a,b", "1,2,true,4", "1,true"):
            self.assertRaises(ValueError, parse_point, text)

    def test_defaults(self) -> None:
        """Codes may be words, and what the schema wants besides is filled in."""
        curve = curve_document({"curveType": "opModVoltVar", "CurveData": [{"xvalue": 1, "yvalue": 2}]})
        self.assertEqual(
            curve,
            {
                "xMultiplier": 0,
                "yMultiplier": 0,
                "yRefType": 2,
                "curveType": 11,
                "CurveData": [{"xvalue": 1, "yvalue": 2}],
            },
        )

    def test_given_wins(self) -> None:
        """What is given is not filled in."""
        curve = curve_document(
            {
                "curveType": 12,
                "CurveData": [{}],
                "yRefType": "STAT_W_AVAIL",
                "yMultiplier": -2,
                "description": "x",
            }
        )
        self.assertEqual((curve["yRefType"], curve["yMultiplier"], curve["description"]), (7, -2, "x"))

    def test_incomplete(self) -> None:
        """A curve without type, without points, or of an unknown type is refused."""
        for given_ in (
            {"CurveData": [{}]},
            {"curveType": 11},
            {"curveType": "opModSomething", "CurveData": [{}]},
        ):
            self.assertRaises(ValueError, curve_document, given_)

    def test_every_type(self) -> None:
        """With defaults a curve of each type is what the API's form takes."""
        for kind in CurveType:
            side = ",true" if kind is CurveType.WATT_PF else ""
            curve = curve_document({"curveType": int(kind), "CurveData": [parse_point(f"1,2{side}")]})
            own = {"mRID": "0" * 32, "creationTime": 0}
            self.assertEqual(from_json(r.DERCurve, curve, own=own).curveType, kind)
