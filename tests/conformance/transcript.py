"""What went over the wire, as lines that read like a test procedure.

    0:00  SP default: opModMaxLimW 5000
    0:30  SP in SP is scheduled: 2:00 to 3:00, opModMaxLimW 6000
    0:37  dev1 answers SP: 1 (received)
    2:00  SP is active since 2:00
    2:00  dev1, dev2 answer SP: 2 (started)
    3:00  SP is gone
    3:00  dev1, dev2 answer SP: 3 (completed)

The documents are taken apart by lxml alone, not by csipd's codec and model: a misreading that those two share
would not pass. A compound value stands there as its elements in their order. Times are minutes and seconds
after the start of the test.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from attrs import frozen
from lxml import etree

if TYPE_CHECKING:
    from tests.conformance.bench import Bench
    from tests.conformance.devices import Station

NS = {"s": "urn:ieee:std:2030.5:ns"}
STATUS = {
    "0": "scheduled",
    "1": "active",
    "2": "cancelled",
    "3": "cancelled with randomisation",
    "4": "superseded",
}
ANSWER = {
    1: "received",
    2: "started",
    3: "completed",
    6: "cancelled",
    7: "superseded",
    14: "given up for another program",
}
#: How often the observer reads everything (s).
GRID = 15


@frozen
class Seen:
    """A document that is new, or gone, `at` in seconds after the start."""

    at: float
    words: str


@frozen
class Answered:
    """A Response that was POSTed, `at` in seconds after the start."""

    at: float
    who: str
    what: str
    status: int


def written(seen: Iterable[Seen], answered: Iterable[Answered]) -> list[str]:
    """The transcript: at each second what documents say, then the answers.

    Devices that answer the same in the same second share a line; those lines go by status, then by name.
    """
    lines: dict[int, list[str]] = {}
    together: dict[tuple[int, str, int], set[str]] = {}
    for each in seen:
        lines.setdefault(int(each.at), []).append(each.words)
    for one in answered:
        together.setdefault((int(one.at), one.what, one.status), set()).add(one.who)
    for at, status, whose, what in sorted(
        (at, status, sorted(whose), what) for (at, what, status), whose in together.items()
    ):
        verb = "answers" if len(whose) == 1 else "answer"
        words = f"{', '.join(whose)} {verb} {what}: {status} ({ANSWER[status]})"
        lines.setdefault(at, []).append(words)
    return [f"{clock(at)}  {words}" for at in sorted(lines) for words in lines[at]]


def clock(seconds: float) -> str:
    """Minutes and seconds, as the procedures write times."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}:{rest:02}"


class Observer:
    """Reads what a device can see each quarter of a minute, and writes down what is new.

    :param station: registered, in the groups to be watched
    :param began: the start of the test (epoch s)
    """

    def __init__(self, bench: Bench, station: Station, began: int) -> None:
        self._bench = bench
        self._station = station
        self._began = began
        self._seen: dict[str, str] = {}
        self._described: dict[str, str] = {}
        self._more: dict[str, str] = {}
        self.seen: list[Seen] = []

    def look(self) -> None:
        """Read everything once."""
        at = self._bench.clock.seconds()
        present: dict[str, str] = {}
        for device in self._members("/edev?l=255", "EndDevice"):
            for fsa in self._follow(device, "FunctionSetAssignmentsListLink", "FunctionSetAssignments"):
                for program in self._follow(fsa, "DERProgramListLink", "DERProgram"):
                    self._look_at(program, present)
        for href, words in present.items():
            if self._seen.get(href) != words:
                self.seen.append(Seen(at, words if href in self._seen else self._first(href, words)))
        for href in self._seen:
            if href not in present:
                self.seen.append(Seen(at, f"{self._described[href]} is gone"))
        self._seen = present

    def _first(self, href: str, words: str) -> str:
        more = self._more.get(href)
        return f"{words}: {more}" if more else words

    def _look_at(self, program: etree._Element, present: dict[str, str]) -> None:
        name = _text(program, "description")
        for control in self._follow(program, "DERControlListLink", "DERControl"):
            href, label = control.get("href"), _text(control, "description")
            self._described[href] = label
            present[href] = f"{label}{'' if label == name else f' in {name}'} is {self._status(control)}"
            start, lasts = (int(_text(control, f"interval/s:{part}")) for part in ("start", "duration"))
            self._more[href] = (
                f"{clock(start - self._began)} to {clock(start + lasts - self._began)}, {self._base(control)}"
            )
        link = program.find("s:DefaultDERControlLink", NS)
        if link is not None:
            default = self._document(link.get("href"))
            href = default.get("href")
            self._described[href] = label = _text(default, "description") or f"{name} default"
            settings = [
                f"{etree.QName(each).localname} {each.text}"
                for each in default
                if etree.QName(each).localname.startswith("set")
            ]
            present[href] = f"{label}: {', '.join(filter(None, (self._base(default), *settings)))}"

    def _status(self, control: etree._Element) -> str:
        status = control.find("s:EventStatus", NS)
        assert status is not None
        word = STATUS[_text(status, "currentStatus")]
        if word != "scheduled":
            word += f" since {clock(int(_text(status, 'dateTime')) - self._began)}"
        return word + (
            ", potentially superseded" if _text(status, "potentiallySuperseded") in ("true", "1") else ""
        )

    def _base(self, event: etree._Element) -> str:
        base = event.find("s:DERControlBase", NS)
        assert base is not None
        return ", ".join(self._mode(mode) for mode in base)

    def _mode(self, mode: etree._Element) -> str:
        name, href = etree.QName(mode).localname, mode.get("href")
        if href is not None:
            curve = self._document(href)
            points = [
                f"({_text(point, 'xvalue')},{_text(point, 'yvalue')})"
                for point in curve.iterfind("s:CurveData", NS)
            ]
            return f"{name} {' '.join(points)}"
        if not len(mode):
            return f"{name} {mode.text}"
        return f"{name} {' '.join(part.text or '' for part in mode)}"

    def _follow(self, holder: etree._Element, link: str, kind: str) -> list[etree._Element]:
        found = holder.find(f"s:{link}", NS)
        if found is None or found.get("all") == "0":
            return []
        return self._members(f"{found.get('href')}?l=255", kind)

    def _members(self, path: str, kind: str) -> list[etree._Element]:
        document = self._document(path)
        members = document.findall(f"s:{kind}", NS)
        assert len(members) == int(document.get("all", "-1")) == int(document.get("results", "-1")), path
        return members

    def _document(self, path: str) -> etree._Element:
        answer = self._station.request("GET", path)
        assert answer.status == 200, f"{path}: {answer}"
        return etree.fromstring(answer.body, etree.XMLParser(resolve_entities=False, no_network=True))


def answers(
    stations: Iterable[Station], names: Mapping[str, str], labels: Mapping[str, str]
) -> list[Answered]:
    """Every Response that was POSTed, each station's in their order.

    :param names: of devices, by LFDI
    :param labels: of events, by mRID
    """
    found = []
    for station in stations:
        for exchange in station.log:
            if exchange.method == "POST" and exchange.sent and b"DERControlResponse" in exchange.sent:
                response = etree.fromstring(exchange.sent)
                status = int(_text(response, "status"))
                who = names[_text(response, "endDeviceLFDI").upper()]
                what = labels[_text(response, "subject").upper()]
                assert exchange.answer.status == 201, exchange
                found.append(Answered(exchange.at, who, what, status))
    return found


def labels_of(stations: Iterable[Station]) -> dict[str, str]:
    """What events are called, by mRID, from every list of them that anybody was given."""
    found: dict[str, str] = {}
    for station in stations:
        for exchange in station.log:
            if exchange.method == "GET" and b"<DERControl" in exchange.answer.body:
                document = etree.fromstring(exchange.answer.body)
                for control in document.iter(f"{{{NS['s']}}}DERControl"):
                    found[_text(control, "mRID").upper()] = _text(control, "description")
    return found


def _text(element: etree._Element, path: str) -> str:
    return element.findtext(f"s:{path}", "", NS)
