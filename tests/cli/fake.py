"""csipd's operator API as `csipctl` sees it, without a server: what is answered, and what was asked.

    api = FakeAPI()
    api.answers("GET", "/devices/1", device())        # a form of the API
    done = api.run("devices", "show", "1")

Answers are made from the API's own forms, so they have its shapes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit
from zoneinfo import ZoneInfo

from attrs import frozen
from click.testing import CliRunner, Result

from csipd.cli.csipctl import csipctl
from csipd.cli.ctl.client import JSON, PROBLEM, Answer
from csipd.cli.ctl.https import Credentials, Server
from csipd.cli.ctl.session import Machine
from csipd.sep2 import resources as r
from csipd.sep2.schema import Element
from csipd.web.admin.controls import Control, Preview, Superseded
from csipd.web.admin.devices import Device
from csipd.web.admin.groups import Group
from csipd.web.admin.programs import Program
from csipd.web.admin.responses import Answers
from csipd.web.json_form import to_json

ZONE = ZoneInfo("America/Los_Angeles")
NOW = 1_782_914_400  # 2026-07-01 07:00:00 in ZONE
LFDI = "3E4F45AB31EDFE5B67E343E5E4562E31984E23E5"
SFDI = 167261211391
MRID = "0" * 31 + "1"

StoredResponse = Answer | Exception


@frozen
class Request:
    """What was asked of the API; `query` has the last value of each name."""

    method: str
    path: str
    query: dict[str, str]
    content: Any
    headers: Mapping[str, str]


class FakeAPI:
    """A transport that knows what to answer, and a machine whose clock stands still."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.slept: list[float] = []
        self.connections: list[tuple[Server, Credentials, float]] = []
        self.closed = 0
        #: How a stream ends before its time.
        self.cut: Exception | None = None
        self.on_sleep: Callable[[], None] = lambda: None
        self._answers: dict[tuple[str, str], list[StoredResponse]] = {}

    # As a transport.
    def send(self, method: str, target: str, headers: Mapping[str, str], body: bytes | None) -> Answer:
        parts = urlsplit(target)
        path = parts.path.removeprefix("/admin")
        query = {name: values[-1] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
        content = None if body is None else json.loads(body)
        self.requests.append(Request(method, path, query, content, dict(headers)))
        said = self._answers.get((method, path))
        if said is None:
            raise AssertionError(f"nobody said what to answer to {method} {path}")
        one = said.pop(0) if len(said) > 1 else said[0]
        if isinstance(one, Exception):
            raise one
        return one

    def stream(self, target: str, headers: Mapping[str, str], take: Callable[[bytes], None]) -> Answer:
        answer = self.send("GET", target, headers, None)
        if answer.status >= 300:
            return answer
        for start in range(0, len(answer.body), 10):
            take(answer.body[start : start + 10])
        if self.cut:
            raise self.cut
        return Answer(answer.status, answer.media_type, b"")

    def close(self) -> None:
        self.closed += 1

    # For tests.
    def answers(
        self, method: str, path: str, *values: Element | Mapping[str, Any] | StoredResponse | None
    ) -> None:
        """Answer so to each request of that method and path: one value after the other, the last for ever."""
        self._answers[method, path] = [_answer(value) for value in values]

    def refuses(self, method: str, path: str, status: int, detail: str, *errors: tuple[str, str]) -> None:
        """Answer with a problem document; errors are pointers and what is wrong there."""
        problem = {"type": "about:blank", "title": "Refused", "status": status, "detail": detail}
        listed = [{"pointer": pointer, "detail": wrong} for pointer, wrong in errors]
        body = json.dumps({**problem, **({"errors": listed} if listed else {})}).encode()
        self._answers[method, path] = [Answer(status, PROBLEM, body)]

    def run(self, *arguments: str, input: str = "", env: Mapping[str, str] | None = None) -> Result:
        """One run of csipctl."""
        machine = Machine(connect=self._connect, now=lambda: NOW + 0.5, sleep=self._sleep, zone=ZONE)
        # What says how csipctl or rich behave in the shell of whoever runs the tests does not count here.
        clean = dict.fromkeys(("FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "NO_COLOR", "COLUMNS"))
        return CliRunner(env={**clean, **(env or {})}).invoke(
            csipctl, arguments, input=input, obj=machine, catch_exceptions=False, prog_name="csipctl"
        )

    def asked(self) -> list[str]:
        """Method and path of each request."""
        return [f"{one.method} {one.path}" for one in self.requests]

    def _connect(self, server: Server, credentials: Credentials, timeout: float) -> FakeAPI:
        self.connections.append((server, credentials, timeout))
        return self

    def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.on_sleep()


def _answer(value: Element | Mapping[str, Any] | StoredResponse | None) -> StoredResponse:
    match value:
        case None:
            return Answer(204, "", b"")
        case Answer() | Exception():
            return value
        case Element():
            return Answer(200, JSON, json.dumps(to_json(value)).encode())
    return Answer(200, JSON, json.dumps(dict(value)).encode())


# Forms with what they need.


def device(number: int = 1, name: str = "dev1", **more: Any) -> Device:
    fields = {
        "href": f"/edev/{number}",
        "lFDI": LFDI,
        "sFDI": SFDI,
        "aggregator": False,
        "standing": "registered",
        "changedTime": NOW,
    }
    return Device(number=number, name=name, **{**fields, **more})


def group(number: int = 1, name: str = "feeder-1", **more: Any) -> Group:
    return Group(number=number, name=name, **{"fsa": "topology", "devices": 2, **more})


def program(number: int = 1, description: str = "Feeder 1", **more: Any) -> Program:
    fields = {"href": f"/derp/{number}", "mRID": MRID, "primacy": 7, "version": 0}
    audience = {} if "device" in more else {"group": 1}
    return Program(number=number, description=description, **{**fields, **audience, **more})


def curve(number: int = 1, description: str = "Volt-VAR 1", kind: int = 11, program: int = 1) -> r.DERCurve:
    return r.DERCurve(
        href=f"/derp/{program}/dc/{number}",
        mRID=MRID,
        description=description,
        creationTime=NOW,
        CurveData=(r.CurveData(xvalue=92, yvalue=44), r.CurveData(xvalue=108, yvalue=-44)),
        curveType=kind,
        xMultiplier=0,
        yMultiplier=-1,
        yRefType=2,
    )


def control(
    number: int = 12,
    status: str = "scheduled",
    base: r.DERControlBase | None = None,
    start: int = NOW + 3600,
    duration: int = 7200,
    **more: Any,
) -> Control:
    event = r.DERControl(
        href=f"/derp/1/derc/{number}",
        mRID=MRID,
        description=f"control {number}",
        replyTo="/rsps/1/rsp",
        responseRequired=3,
        creationTime=NOW,
        EventStatus=r.EventStatus(currentStatus=0, dateTime=NOW, potentiallySuperseded=False),
        interval=r.DateTimeInterval(duration=duration, start=start),
        DERControlBase=base or r.DERControlBase(opModMaxLimW=6000),
        **more,
    )
    return Control(
        number=number, program=1, href=f"/derp/1/derc/{number}", status=status, control=event, who="admin"
    )


def answers(control: int = 12, **counts: int) -> Answers:
    names = (
        "asked",
        "received",
        "started",
        "completed",
        "opted_out",
        "cancelled",
        "superseded",
        "rejected",
        "silent",
    )
    return Answers(control=control, **{name: counts.get(name, 0) for name in names})


def pages(page: Callable[..., Element], *items: Iterable[Element]) -> list[Element]:
    """A list in pages: each but the last names what follows, the number of its last item or a greater one."""
    made = []
    last = 0
    for place, some in enumerate(items):
        listed = tuple(some)
        last = listed[-1].number if listed else last + 500
        more = {"next": last} if place < len(items) - 1 else {}
        made.append(page(items=listed, **more))
    return made


def preview(**values: Any) -> Preview:
    """A preview of a control, which says little."""
    given = {"summary": ("3 devices will do it.",), "start": NOW, "end": NOW + 3600, "devices": 1, **values}
    return Preview(**given)


def superseded(number: int, **values: Any) -> Superseded:
    """A control in conflict with another, from now on for an hour."""
    usual = {"control": number, "program": 1, "program_name": "Feeder 1", "start": NOW, "end": NOW + 3600}
    return Superseded(**{**usual, "modes": ("opModMaxLimW",), "wholly": True, **values})
