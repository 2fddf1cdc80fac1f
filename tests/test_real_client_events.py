"""Events as a client that others wrote lives through them: py20305 against csipd, in real time.

Two clients, one in each edition that it speaks, poll a csipd process with the seed's configuration. The
operator commands through the API, over TLS, and then reads there what the clients have answered. Everything
happens side by side, each pair of events in modes of its own, so that it takes less than a minute.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from time import monotonic, time
from typing import Any

from py20305.client import CsipClient, TlsConfig
from twisted.trial.unittest import SynchronousTestCase

from csipd.cli.ctl.client import Client as Operator
from csipd.cli.ctl.https import Credentials, HTTPSTransport, Server
from csipd.sep2 import identity
from tests.support.daemon import TIMEOUT, Daemon, certificate_of, seed_place

#: Statuses of IEEE 2030.5-2018 Table 27.
RECEIVED, STARTED, COMPLETED, CANCELLED, SUPERSEDED = 1, 2, 3, 6, 7
#: Seconds between two polls of a client, and from a command to the start of its event: a poll lies between.
POLL, AHEAD = 10, 15
#: Whether each client speaks 2018's form, and its PIN.
CLIENTS = {"dev1": (True, 111115), "dev2": (False, 12345)}
BOTH_IN_PROGRAM = ("    nameplate:", "    programs:\n      - description: Program 1\n    nameplate:")


def both(*statuses: int) -> dict[int, list[int]]:
    """What each of the two devices has answered, if it is the same."""
    return {1: list(statuses), 2: list(statuses)}


class RealEventTests(SynchronousTestCase):
    """csipd with the seed's configuration, the operator, and two clients in Program 1."""

    def setUp(self) -> None:
        self.place = seed_place(Path(self.mktemp()), BOTH_IN_PROGRAM)
        self.daemon = Daemon(self, self.place)
        self.daemon.start("--no-validate")
        self.operator = self.make_operator()
        # What the clients have to say is for the tests to ask, not for their output.
        log, silent = logging.getLogger("py20305"), logging.NullHandler()
        log.addHandler(silent)
        self.addCleanup(log.removeHandler, silent)

    def make_operator(self) -> Operator:
        tls = self.place.tls
        transport = HTTPSTransport(
            Server("127.0.0.1", self.place.admin_port, "127.0.0.1"),
            Credentials(tls / "certs" / "ca.crt", tls / "certs" / "admin.crt", tls / "private" / "admin.pem"),
            timeout=TIMEOUT,
            monotonic=monotonic,
        )
        self.addCleanup(transport.close)
        return Operator(transport)

    def make_client(self, id: str) -> CsipClient:
        tls, (compat, pin) = self.place.tls, CLIENTS[id]
        return CsipClient(
            f"https://127.0.0.1:{self.place.port}",
            tls=TlsConfig(
                client_cert=tls / "certs" / f"{id}.crt",
                client_key=tls / "private" / f"{id}.pem",
                ca_cert=tls / "certs" / "ca.crt",
            ),
            server_2018_compat=compat,
            registration_pins={identity.lfdi(certificate_of(self.place, id)).lower(): pin},
        )

    def command(self, mode: str, value: Any, seconds: int, ahead: int = AHEAD, **whom: Any) -> list[int]:
        """Make an event of one mode, as a rule for Program 1; the numbers of its controls."""
        start = int(time()) + ahead
        content = {"start": start, "duration": seconds, "base": {mode: value}}
        made = self.operator.post("/controls", {**(whom or {"program": 1}), **content})
        return [item["number"] for item in made.value["items"]]

    def answered(self, control: int) -> dict[int, list[int]]:
        """The statuses that each device has given to a control, in the order in which they came."""
        found: dict[int, list[int]] = {}
        for item in self.responses(control):
            found.setdefault(item["device"], []).append(item["status"])
        return found

    def responses(self, control: int) -> list[dict[str, Any]]:
        """What the operator is shown of the answers to a control, as they came."""
        pages = self.operator.pages("/responses", {"control": control})
        return [item for page in pages for item in page.value.get("items", ())][::-1]

    async def heard(self, expected: dict[int, dict[int, list[int]]]) -> None:
        """Wait until devices have answered controls like this."""
        until = monotonic() + TIMEOUT
        while True:
            found = {control: await asyncio.to_thread(self.answered, control) for control in expected}
            if found == expected:
                return
            self.assertLess(monotonic(), until, f"{found} is not {expected}")
            await asyncio.sleep(0.5)

    def see_answers(self, control: int, status: str, **counts: int) -> None:
        """What a control has come to, and how many have said what; nobody is silent, nothing is flagged."""
        shown = self.operator.get(f"/controls/{control}").value
        self.assertEqual(shown["status"], status)
        answers = self.operator.get(f"/controls/{control}/answers").value
        self.assertEqual(
            {name: number for name, number in answers.items() if number}, {"control": control, **counts}
        )
        start = shown["control"]["interval"]["start"]
        for item in self.responses(control):
            self.assertNotIn("flagged", item)
            self.assertEqual(item["subject"], shown["control"]["mRID"])
            if item["status"] == STARTED:
                self.assertIn(item["createdDateTime"], range(start, start + POLL))

    async def run_clients(self, steps: Callable[[], Awaitable[None]]) -> None:
        """Take steps while both clients find themselves, poll, and follow what they are told."""
        async with AsyncExitStack() as stack:
            running = []
            for id in CLIENTS:
                client = await stack.enter_async_context(self.make_client(id))
                await client.connect()
                client.state.poll_rates["derp"] = POLL
                running.append(asyncio.create_task(client.run()))
            await steps()
        await asyncio.gather(*running)

    def test_lives_of_events(self) -> None:
        """Each event is answered with what became of it: run to its end, superseded, cancelled."""

        async def steps() -> None:
            (ran,) = self.command("opModFixedVar", {"refType": 1, "value": 5000}, 12)
            (lost,) = self.command("opModFixedW", -2000, 300)
            (outranked,) = self.command("opModTargetW", {"multiplier": 0, "value": 3000}, 300)
            (stopped,) = self.command("opModTargetVar", {"multiplier": 0, "value": 100}, 300)
            (averted,) = self.command("opModMaxLimW", 5000, 300, ahead=7200)
            await self.heard(
                {control: both(RECEIVED, STARTED) for control in (lost, outranked, stopped)}
                | {averted: both(RECEIVED)}
            )
            for control in (stopped, averted):
                self.operator.post(f"/controls/{control}/cancel", {"reason": "No need"})
            (later,) = self.command("opModFixedW", -1000, 8)
            mine = self.command("opModTargetW", {"multiplier": 0, "value": 1000}, 8, devices=[1, 2])
            whole = [RECEIVED, STARTED, COMPLETED]
            await self.heard(
                {control: both(*whole) for control in (ran, later)}
                | {control: both(RECEIVED, STARTED, SUPERSEDED) for control in (lost, outranked)}
                | {stopped: both(RECEIVED, STARTED, CANCELLED), averted: both(RECEIVED, CANCELLED)}
                | {control: {device: whole} for device, control in enumerate(mine, 1)}
            )
            for control in (ran, later):
                self.see_answers(control, "completed", asked=2, received=2, started=2, completed=2)
            self.see_answers(lost, "superseded", asked=2, received=2, started=2, superseded=2)
            # What another program takes shows in no EventStatus: that is each device's affair.
            self.see_answers(outranked, "active", asked=2, received=2, started=2, superseded=2)
            self.see_answers(stopped, "cancelled", asked=2, received=2, started=2, cancelled=2)
            self.see_answers(averted, "cancelled", asked=2, received=2, cancelled=2)
            for control in mine:
                self.see_answers(control, "completed", asked=1, received=1, started=1, completed=1)

        asyncio.run(self.run_clients(steps))
        self.assertEqual(self.daemon.stop(), 0)
