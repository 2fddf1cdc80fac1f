"""The description of the operator's API is the table of operations, and the table is what is served."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

from csipd.web.admin.openapi import DESCRIPTION
from csipd.web.admin.table import OPERATIONS
from csipd.web.json_form import MAX_PROBLEMS
from tests.support.forms import FORMS
from tests.web.admin.case import Case
from tests.web.admin.examples import example


class DescriptionTests(Case):
    """What stands in it."""

    def setUp(self) -> None:
        super().setUp()
        self.description = self.office.get("/openapi.json")

    def described(self, name: str) -> dict[str, Any]:
        (found,) = [
            operation
            for path in self.description["paths"].values()
            for operation in path.values()
            if operation["operationId"] == name
        ]
        assert isinstance(found, dict)
        return found

    def test_all(self) -> None:
        """Every operation of the table, and the description itself, is there, each by a name of its own."""
        found = {
            (path, method.upper(), one["operationId"])
            for path, methods in self.description["paths"].items()
            for method, one in methods.items()
        }
        expected = {(one.path, one.method, one.name) for one in OPERATIONS}
        self.assertEqual(found, expected | {(DESCRIPTION, "GET", "describe")})
        self.assertEqual(len({name for _, _, name in found}), len(found))

    def test_page(self) -> None:
        """The page of the API has a line for every operation, and for no other."""
        text = (Path(__file__).parents[3] / "docs" / "api.md").read_text()
        lines = re.findall(r"^\| (GET|POST|PUT|PATCH|DELETE) (/admin/\S+) \|", text, re.MULTILINE)
        expected = {(one.method, one.path) for one in OPERATIONS} | {("GET", DESCRIPTION)}
        self.assertEqual(sorted(lines), sorted(expected))

    def test_security(self) -> None:
        """A certificate is what all of it needs."""
        self.assertEqual(self.description["security"], [{"operator": []}])
        schemes = self.description["components"]["securitySchemes"]
        self.assertEqual(schemes["operator"]["type"], "mutualTLS")

    def test_refusals(self) -> None:
        """Each operation names the statuses that it refuses with, each a problem document."""
        for one in OPERATIONS:
            statuses = {int(status) for status in self.described(one.name)["responses"]} - {one.status}
            expected = {400, 403, 414, 503} | ({404} if one.numbers else set())
            expected |= {413, 415} if one.takes else set()
            expected |= {409, 422} if one.creates else set()
            self.assertEqual(statuses - {409}, expected - {409}, one.name)
            self.assertTrue(expected <= statuses, one.name)
            for status in statuses:
                content = self.described(one.name)["responses"][str(status)]["content"]
                self.assertEqual(list(content), ["application/problem+json"])

    def test_keys(self) -> None:
        """What makes something takes an idempotency key, and nothing else does."""
        for one in OPERATIONS:
            headers = [
                p["name"] for p in self.described(one.name).get("parameters", ()) if p["in"] == "header"
            ]
            self.assertEqual(headers, ["Idempotency-Key"] if one.creates else [], one.name)

    def test_pages(self) -> None:
        """Every list has pages: limit, after; in its answer items (also none), next and total (case B13)."""
        for one in OPERATIONS:
            if one.gives is None or not one.gives.__name__.endswith("Page"):
                continue
            names = [parameter["name"] for parameter in self.described(one.name)["parameters"]]
            self.assertTrue({"limit", "after"} <= set(names), one.name)
            schema = self.description["components"]["schemas"][one.gives.__name__]
            self.assertEqual(set(schema["properties"]), {"items", "next", "total", "more_than"}, one.name)
            self.assertEqual(schema["required"], ["items"], one.name)

    def test_bounded(self) -> None:
        """Nothing that can be sent is without bound: arrays and texts have a most."""
        schemas = self.description["components"]["schemas"]
        seen: set[str] = set()

        def look(schema: Any, where: str) -> None:
            if isinstance(schema, list):
                for one in schema:
                    look(one, where)
                return
            if not isinstance(schema, dict):
                return
            name = schema.get("$ref", "").rpartition("/")[2]
            if name and name not in seen and name != "AnyURI":
                seen.add(name)
                look(schemas[name], name)
            kind = schema.get("type")
            self.assertFalse(kind == "array" and "maxItems" not in schema, f"{where}: {schema}")
            self.assertFalse(
                kind == "string" and not schema.keys() & {"maxLength", "enum"}, f"{where}: {schema}"
            )
            self.assertFalse(kind == "integer" and "maximum" not in schema, f"{where}: {schema}")
            for key, value in schema.items():
                look(value, f"{where}/{key}")

        for one in OPERATIONS:
            if one.takes is not None:
                look(schemas[one.takes.__name__], one.takes.__name__)

    def test_body(self) -> None:
        """A body is required unless it may be left out."""
        for one in OPERATIONS:
            body = self.described(one.name).get("requestBody")
            self.assertEqual(body is not None, one.takes is not None, one.name)
            if body is not None:
                self.assertEqual(body["required"], not one.body_optional, one.name)

    def test_answers(self) -> None:
        """What the operations answer with fits the schemas that they name."""
        schemas = self.description["components"]
        for one in OPERATIONS:
            if one.gives is None:
                continue
            _, office = self.fresh()
            asked = example(one, self.numbers)
            answer = office.send(asked.method, asked.path, asked.body)
            content = self.described(one.name)["responses"][str(answer.status)]["content"]
            schema = {**content["application/json"]["schema"], "components": schemas}
            Draft202012Validator(schema).validate(json.loads(answer.body))

    def test_problems(self) -> None:
        """Problem documents fit their schema, of one flaw or of very many."""
        schema = {**self.description["components"]["schemas"]["Problem"]}
        for method, path, body in (
            ("GET", "/devices/77", None),
            ("GET", "/devices?limit=x&nonsense=1", None),
            ("POST", "/groups", {}),
            ("POST", "/controls", {"devices": ["x"] * 1000, "duration": 1, "base": {}}),
        ):
            answer = self.office.send(method, path, body)
            problem = json.loads(answer.body)
            Draft202012Validator(schema).validate(problem)
            self.assertEqual(problem["status"], answer.status)
            self.assertLessEqual(len(problem.get("errors", ())), MAX_PROBLEMS)

    def test_forms_used(self) -> None:
        """Every form is one that some operation takes or gives, or a part of one."""
        own = {form.__name__ for form in FORMS}
        self.assertGreater(len(own), 30)
        self.assertEqual(own - self.description["components"]["schemas"].keys(), set())
