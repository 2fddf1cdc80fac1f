"""The operator's API against its own description, by what schemathesis makes of it.

Every operation is asked what fits its description, near what there is and far from it, and what does not. The
requests go through the real site in memory, and what is asked is the same in every run.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from io import BytesIO
from typing import Any

import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from openapi_spec_validator import OpenAPIV31SpecValidator
from requests import PreparedRequest, Response, Session
from requests.adapters import HTTPAdapter
from schemathesis import APIOperation, GenerationMode, checks
from schemathesis import Case as Asked
from urllib3.response import HTTPResponse

from csipd.sep2.types import MODE
from tests.support.operator import Office
from tests.support.world import UNKNOWN
from tests.web.admin.case import Case

BASE = "https://localhost"
#: Requests of each kind that an operation gets.
EXAMPLES = 6
CHECKS = [
    checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
    checks.negative_data_rejection,
]
SETTINGS = settings(
    max_examples=EXAMPLES,
    derandomize=True,
    database=None,
    deadline=None,
    phases=(Phase.generate,),
    suppress_health_check=list(HealthCheck),
)
CONFIG = {
    # It does not know by itself that a request may also be too large to be looked into.
    "checks": {"negative_data_rejection": {"expected-statuses": ["400", "404", "413", "414", "415"]}}
}
#: A mode that is no curve, for what is no mode.
NO_CURVE = MODE["opModConnect"]
#: Members of bodies that are numbers of what there is, or is not.
NUMBERS = ("group", "parent", "program", "manager")


class ToOffice(HTTPAdapter):
    """Carries what `requests` sends to an office in memory."""

    def __init__(self, office: Office) -> None:
        super().__init__()
        self._office = office

    def send(self, request: PreparedRequest, *args: Any, **kwargs: Any) -> Response:
        body = request.body or b""
        content = body.encode() if isinstance(body, str) else bytes(body)
        fields = {"Host": "localhost", **request.headers}
        head = [f"{request.method} {request.path_url} HTTP/1.1"]
        head += [f"{name}: {value}" for name, value in fields.items()]
        wire = self._office.wire()
        data = "\r\n".join((*head, "", "")).encode("latin-1") + content
        (answer,) = wire.results(wire.client.raw(data, bodiless=request.method == "HEAD"))
        raw = HTTPResponse(
            body=BytesIO(answer.body),
            headers=answer.headers,
            status=answer.status,
            reason=answer.reason,
            preload_content=False,
        )
        return self.build_response(request, raw)


def near(asked: Asked) -> None:
    """Let a request be about what there is: numbers are small, and a control is for one program."""

    def small(value: Any) -> Any:
        return value % 12 + 1 if type(value) is int else value

    asked.path_parameters = {name: small(value) for name, value in (asked.path_parameters or {}).items()}
    body = asked.body
    if not isinstance(body, dict):
        return
    if "base" in body:
        for name in ("group", "devices", "start"):
            body.pop(name, None)
        modes = {
            name: value for name, value in body["base"].items() if MODE.get(name, NO_CURVE).curve is None
        }
        body |= {"program": body.get("program", 1), "base": {"opModConnect": True, **modes}}
    for name in NUMBERS:
        if name in body:
            body[name] = small(body[name])
    if isinstance(body.get("groups"), list):
        body["groups"] = [small(value) for value in body["groups"]]


class ConformanceTests(Case):
    """Answers are what the description says, whatever is asked."""

    def schema(self) -> Any:
        """The description, as schemathesis reads it."""
        config = schemathesis.Config.from_dict(CONFIG)
        return schemathesis.openapi.from_dict(self.office.get("/openapi.json"), config=config)

    def ask_all(
        self, mode: GenerationMode, change: Callable[[Asked], None] = lambda asked: None
    ) -> dict[str, set[int]]:
        """Ask every operation, each in a utility of its own; the statuses that each was answered with."""
        statuses: dict[str, set[int]] = {}
        for found in self.schema().get_all_operations():
            operation = found.ok()
            if mode.is_positive or operation.body or list(operation.iter_parameters()):
                statuses[operation.label] = self.ask(operation, mode, change)
        return statuses

    def ask(self, operation: APIOperation, mode: GenerationMode, change: Callable[[Asked], None]) -> set[int]:
        _, office = self.fresh()
        office.issue(UNKNOWN)
        session = Session()
        self.addCleanup(session.close)
        session.mount(BASE, ToOffice(office))
        statuses: set[int] = set()

        @SETTINGS
        @given(operation.as_strategy(generation_mode=mode))
        def ask(asked: Asked) -> None:
            change(asked)
            answer = asked.call(base_url=BASE, session=session)
            statuses.add(answer.status_code)
            asked.validate_response(answer, checks=CHECKS)

        ask()
        return statuses

    def test_fitting(self) -> None:
        """What fits the description is taken, or refused in a way that it names."""
        self.ask_all(GenerationMode.POSITIVE)

    def test_near(self) -> None:
        """The same, of devices, groups, programs and controls that there are."""
        statuses = self.ask_all(GenerationMode.POSITIVE, near)
        done = [operation for operation, found in statuses.items() if min(found) < 300]
        # So that the answers that are looked at are not refusals alone.
        self.assertGreater(len(done), 30, statuses)

    def test_unfitting(self) -> None:
        """What does not fit the description is refused."""
        self.ask_all(GenerationMode.NEGATIVE)


class DescriptionTests(Case):
    """The description itself."""

    def test_valid(self) -> None:
        """It is OpenAPI 3.1 to the letter, and so are the schemas in it."""
        description = self.office.get("/openapi.json")
        self.assertEqual(list(OpenAPIV31SpecValidator(description).iter_errors()), [])
        self.assertEqual(description["openapi"], "3.1.0")
        self.assertEqual(description["info"]["version"], "1.2.3")
        self.assertNotIn("IEEE", json.dumps(description["components"]["schemas"]["Problem"]))
