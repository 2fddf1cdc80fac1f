"""The operator's API over a small utility (world.py), and two operators who call it.

self.world = World(Path(self.mktemp()))
self.office = Office(self.world)
made = self.office.post("/groups", {"name": "Feeder C"}, expect=201)
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import sqlalchemy as sa
from attrs import evolve
from twisted.internet.defer import Deferred, succeed

from csipd.daemon.services import ADMIN_LIMITS
from csipd.db import audit, facts, groups, own_programs, programs, subscriptions, tally
from csipd.db.audit import AuditEntry
from csipd.db.database import Transaction
from csipd.db.subscriptions import Look, Wanted
from csipd.db.tables import alarms
from csipd.gridappsd.state import BusState
from csipd.net.identity import Identify, Identity
from csipd.net.quotas import Quotas
from csipd.web.admin.app import Admin, fault
from csipd.web.admin.issuing import Issued
from csipd.web.server import Site
from tests.support.client import Answer
from tests.support.memory_tls import Wire
from tests.support.world import BOUNDLESS, NOW, World, caller

ALICE = caller("an operator")
BOB = caller("another operator")
#: An operator whose certificate ended a second before the world begins.
GONE = evolve(caller("an operator who is gone"), not_after=NOW - 1.0)
NAMES = {ALICE.fingerprint: "alice", BOB.fingerprint: "bob", GONE.fingerprint: "gone"}

JSON = "application/json"
PROBLEM = "application/problem+json"
#: What a certificate, and a key, look like to those who do not look into them.
CERTIFICATE = "-----BEGIN CERTIFICATE-----\nof a device\n-----END CERTIFICATE-----\n"
KEY = "-----BEGIN PRIVATE KEY-----\nknown to nobody else\n-----END PRIVATE KEY-----\n"


class Office:
    """The operator's API.

    :param identify: how connections with TLS are told who is there
    :param names: of the operators by the fingerprints of their certificates
    """

    def __init__(
        self,
        world: World,
        identify: Identify | None = None,
        names: Mapping[str, str] = NAMES,
        quotas: Quotas = BOUNDLESS,
    ) -> None:
        self.world = world
        #: How the GridAPPS-D bus is, where there is one.
        self.bus: BusState | None = None
        #: A group that nothing is in.
        self.empty: int = world.write(_empty_group)
        own = programs.own_program(world.numbers.other)
        world.write(lambda transaction: own_programs.show(transaction, own, NOW))
        #: An alarm that is open.
        self.alarm: int = world.write(lambda transaction: _open_alarm(transaction, world.numbers.other))
        #: A subscription of an aggregator.
        self.subscription: int = world.write(_subscribe(world.numbers.aggregator))
        #: Bodies for which certificates were asked for, and how that is answered.
        self.prepared: list[Any] = []
        self.prepare: Callable[[Any], Deferred[Issued | None]] = self._no_certificate
        back: Any = world.back
        self.admin = Admin(
            back,
            world.server,
            lambda: world.now,
            operators=names,
            prepare={"certificate": self._certificate},
            version="1.2.3",
            bus=lambda: self.bus,
        )
        self.site = Site(
            self.admin.resource(),
            clock=world.clock,
            now=lambda: world.now,
            limits=ADMIN_LIMITS,
            quotas=quotas,
            look_up=self.admin.look_up,
            identify=identify or (lambda transport: self._asks),
            fault=fault,
        )
        self._asks = ALICE
        self._wires: dict[Identity, Wire] = {}
        self._opened = max((line.id for line in self._lines()), default=0)

    def close(self) -> None:
        """Let go of connections."""
        for wire in self._wires.values():
            wire.hang_up()

    def _certificate(self, body: Any) -> Deferred[Issued | None]:
        self.prepared.append(body)
        return self.prepare(body)

    @staticmethod
    def _no_certificate(body: Any) -> Deferred[Issued | None]:
        return succeed(None)

    def issue(self, who: Identity, key: str | None = None) -> None:
        """Let the next certificates be those of a device, with a key or without."""
        self.prepare = lambda body: succeed(Issued(who.lfdi, CERTIFICATE, key))

    # --- calling

    def wire(self, who: Identity = ALICE) -> Wire:
        """The connection of a caller: one each, kept alive, made anew when it was closed."""
        wire = self._wires.get(who)
        if wire is None or wire.closed:
            self._asks = who
            wire = self._wires[who] = Wire.plain(self.site, self.world.clock)
            wire.client.takes_chunks = True
        return wire

    def ask(
        self, method: str, path: str, body: Any = None, *, who: Identity = ALICE, **headers: str | None
    ) -> Deferred[Answer]:
        """Send a request and leave its answer to come. Headers by their names with underscores."""
        content = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        more: Any = {"Accept": JSON} | ({} if content is None else {"Content-Type": JSON})
        more |= {name.replace("_", "-"): value for name, value in headers.items()}
        return self.wire(who).client.request(method, f"/admin{path}", content, more)

    def send(
        self, method: str, path: str, body: Any = None, *, who: Identity = ALICE, **headers: str | None
    ) -> Answer:
        """What one request is answered with."""
        return self.wire(who).result(self.ask(method, path, body, who=who, **headers))

    def call(
        self, method: str, path: str, body: Any = None, *, expect: int = 200, **how: Any
    ) -> dict[str, Any]:
        """The document that a request is answered with, which has to be of this status.

        With ``status`` and ``title`` in it where it is a problem.
        """
        answer = self.send(method, path, body, **how)
        assert answer.status == expect, f"{method} {path}: {answer}"
        kind = answer.headers.get("content-type")
        assert kind == (JSON if expect < 300 and answer.body else PROBLEM if answer.body else None), answer
        found: dict[str, Any] = json.loads(answer.body) if answer.body else {}
        assert expect < 400 or (found["status"], found["type"]) == (expect, "about:blank"), found
        return found

    def get(self, path: str, **how: Any) -> dict[str, Any]:
        return self.call("GET", path, **how)

    def post(self, path: str, body: Any = None, *, expect: int = 201, **how: Any) -> dict[str, Any]:
        return self.call("POST", path, body, expect=expect, **how)

    def patch(self, path: str, body: Any, **how: Any) -> dict[str, Any]:
        return self.call("PATCH", path, body, **how)

    def put(self, path: str, body: Any, **how: Any) -> dict[str, Any]:
        return self.call("PUT", path, body, **how)

    def delete(self, path: str, *, expect: int = 204, **how: Any) -> dict[str, Any]:
        return self.call("DELETE", path, expect=expect, **how)

    def refused(self, method: str, path: str, body: Any = None, *, expect: int = 400, **how: Any) -> Any:
        """What is wrong by a problem document: its errors where it has any, else its detail."""
        found = self.call(method, path, body, expect=expect, **how)
        if "errors" not in found:
            return found.get("detail")
        return [(one.get("pointer", one.get("parameter")), one["detail"]) for one in found["errors"]]

    def pages(self, path: str, limit: int) -> Iterator[list[Any]]:
        """The items of a list, a page after the other to the end."""
        after = ""
        while True:
            page = self.get(f"{path}{'&' if '?' in path else '?'}limit={limit}{after}")
            items = page.get("items", [])
            assert len(items) <= limit, f"{path}: {len(items)} items"
            yield items
            if "next" not in page:
                return
            after = f"&after={page['next']}"

    # --- what became of it

    def log(self) -> list[AuditEntry]:
        """What the audit log has since the office opened, the oldest first."""
        return [line for line in self._lines() if line.id > self._opened]

    def _lines(self) -> list[AuditEntry]:
        return self.world.read(lambda connection: audit.lines(connection, limit=10_000)[0])[::-1]


def _empty_group(transaction: Transaction) -> int:
    assignment = groups.assignment(transaction, "Topology")
    return groups.put_group(transaction, "Empty", parent=1, level=3, assignment=assignment)


def _subscribe(aggregator: int) -> Callable[[Transaction], int]:
    wanted = Wanted("/edev", "/edev", "https://a.example/notify", "a.example", 443, "-S1", 10)
    look = Look(b"", frozenset((facts.fleet(aggregator),)))
    return lambda transaction: subscriptions.add(transaction, aggregator, wanted, look, NOW + 86_400, NOW)


def _open_alarm(transaction: Transaction, device: int) -> int:
    number: int | None = transaction.connection.scalar(
        sa.insert(alarms)
        .values(device=device, function_set=11, code=0, raised=NOW - 60)
        .returning(alarms.c.id)
    )
    assert number is not None
    tally.change(transaction, tally.OPEN_ALARMS, 1)
    return number
