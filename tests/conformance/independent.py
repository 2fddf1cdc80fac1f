"""A client that others wrote, on the bench's clock: py20305, whole, but for its sockets and its waiting.

Its discovery, polling, event processing, timers and XML are its own; it knows nothing of csipd's model or
rules. What is replaced: the HTTP session (requests go through a `Station`, over the bench's TLS, validated
and logged) and time (`time.time`, `time.monotonic`, and an event loop that turns the bench's clock where
another would wait).
"""

from __future__ import annotations

import asyncio
import logging
import selectors
from collections.abc import Awaitable, Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TypeVar
from unittest import mock

from lxml import etree
from py20305.client import CsipClient, TlsConfig
from py20305.connectors.base import BaseConnector
from py20305.events.dispatch import NullDispatcher
from py20305.readings import DirectConnectorSource
from py20305.subscription import SubscriptionManager
from py20305.subscription.notification_server import parse_notification, validate_notification
from py20305.telemetry import TelemetryManager

from tests.conformance.devices import Station
from tests.conformance.listener import Listener, Told

T = TypeVar("T")

#: No wait is longer, so that everybody else on the bench acts on time.
_LONGEST = 1.0
#: By when a client has read its programs twice (minutes).
_SETTLED = 0.7


class _NoWait(selectors.SelectSelector):
    """A selector that lets time pass by hand instead of waiting."""

    def __init__(self, passing: Callable[[float], None]) -> None:
        super().__init__()
        self._passing = passing

    def select(self, timeout: float | None = None) -> list[Any]:
        wait = _LONGEST if timeout is None else min(timeout, _LONGEST)
        if wait > 0:
            self._passing(wait)
        # Only the loop's own wake-up socket is registered.
        return super().select(0)


class TurnedLoop(asyncio.SelectorEventLoop):
    """An event loop whose time is the bench's, and passes as fast as it can.

    :param seconds: the bench's clock
    :param passing: lets so many seconds pass for everybody
    """

    def __init__(self, seconds: Callable[[], float], passing: Callable[[float], None]) -> None:
        self._seconds = seconds
        super().__init__(_NoWait(passing))
        # A timer is due when its moment has come, not a clock's resolution before.
        self._clock_resolution = 1e-9

    def time(self) -> float:
        return self._seconds()


class _Answered:
    """An answer as aiohttp gives it."""

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status = status
        self.headers = {name.title(): value for name, value in headers.items()}
        self._body = body

    async def read(self) -> bytes:
        return self._body

    async def text(self) -> str:
        return self._body.decode()

    async def __aenter__(self) -> _Answered:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass


class _Session:
    """The part of aiohttp's session that py20305 uses, by way of a station."""

    closed = False

    def __init__(self, station: Station, base: str) -> None:
        self._station = station
        self._base = base

    def request(self, method: str, url: str, data: bytes | None = None, **_: Any) -> _Answered:
        assert url.startswith(self._base), url
        answer = self._station.request(method, url.removeprefix(self._base), data)
        return _Answered(answer.status, answer.headers, answer.body)

    def get(self, url: str, **how: Any) -> _Answered:
        return self.request("GET", url, **how)

    def post(self, url: str, data: bytes, **how: Any) -> _Answered:
        return self.request("POST", url, data, **how)

    def put(self, url: str, data: bytes, **how: Any) -> _Answered:
        return self.request("PUT", url, data, **how)

    async def close(self) -> None:
        pass


class _Recorder(NullDispatcher):  # type: ignore[misc]
    """Takes down whose values the client put into force, by the names that they have on the wire."""

    def __init__(self, acted: Callable[[str, str], None]) -> None:
        self._acted = acted

    async def apply_control(self, device_href: str, derc: Any, curves: Any) -> None:
        self._acted(device_href, str(derc.description))

    async def apply_default_control(self, device_href: str, dderc: Any, curves: Any, **_: Any) -> None:
        self._acted(device_href, str(dderc.description))


class _Meter(BaseConnector):  # type: ignore[misc]
    """What the device measures: W and var that it feeds in, Hz, V."""

    def __init__(self, values: Mapping[str, float]) -> None:
        self.values = values

    async def fetch_monitoring(self) -> dict[str, Any]:
        return dict(self.values)


class Independent:
    """A direct client for one device.

    :param station: carries its requests; the certificate is the device's
    :param keys: a folder with the device's certificate and key, as ``pki.write`` makes it
    :param name: of the device there
    :param pin: what its installer was given
    """

    def __init__(
        self, station: Station, keys: Path, name: str, pin: int, seconds: Callable[[], float]
    ) -> None:
        self.station = station
        self.name = name
        #: (minutes after T0, whose control or default it put into force).
        self.acted: list[tuple[float, str]] = []
        #: The same by EndDevice, for an aggregator.
        self._acted_on: dict[str, list[tuple[float, str]]] = {}
        self._seconds = seconds
        base = "https://localhost:7443"
        tls = TlsConfig(
            client_cert=keys / "certs" / f"{name}.crt",
            client_key=keys / "private" / f"{name}.pem",
            ca_cert=keys / "certs" / "ca.crt",
        )
        self._client = CsipClient(
            base,
            tls=tls,
            server_2018_compat=True,
            dispatcher=_Recorder(self._note),
            registration_pins={station.credential.lfdi.lower(): pin},
        )
        http = self._client.http
        # The handshake is the station's: no chain is left to be looked at.
        http._ssl = False
        session = _Session(station, base)
        http._get_session = lambda: session
        self._running: asyncio.Task[None] | None = None
        self._telemetry: TelemetryManager | None = None
        # What is done about Notifications: tasks are kept by whoever made them.
        self._handling: list[asyncio.Task[None]] = []

    def _note(self, device: str, whose: str) -> None:
        line = (round(self._seconds() / 60, 2), whose)
        self.acted.append(line)
        self._acted_on.setdefault(device, []).append(line)

    @property
    def forced(self) -> list[str]:
        """Whose values were in force one after the other, once it had read everything twice.

        While it finds its way it forces each default that it comes by, the better one last.
        """
        return _settled(self.acted)

    def forced_on(self, lfdi: str) -> list[str]:
        """The same of the device of its fleet that has an LFDI."""
        (href,) = {
            device.get("href")
            for exchange in self.station.log
            if b"<EndDeviceList" in exchange.answer.body
            for device in etree.fromstring(exchange.answer.body).iterfind("{*}EndDevice")
            if device.findtext("{*}lFDI") == lfdi
        }
        return _settled(self._acted_on[href])

    async def start(self) -> None:
        """Find everything, and follow it from now on."""
        await self._client.connect()
        self._running = asyncio.create_task(self._client.run())

    def listen(self, listener: Listener, loop: asyncio.AbstractEventLoop) -> None:
        """Subscribe to all that it can, and be told there, once it begins.

        Its own listener has a socket; what that makes of a Notification is done here, by the same functions.
        """
        self._client.attach_subscriptions(
            SubscriptionManager(self._client.http, listener.uri, server_2018_compat=True)
        )

        def answer(told: Told) -> int:
            notification = parse_notification(told.body)
            if not validate_notification(notification, told.body):
                return 400
            self._handling.append(loop.create_task(self._client._handle_notification(notification)))
            return 201

        listener.answer = answer

    async def meter(self, values: Mapping[str, float], wall: Callable[[], float]) -> None:
        """Mirror what the device measures from now on, by its own telemetry.

        :param values: W, Var, Hz and V; may change as time goes
        :param wall: the bench's clock (epoch s)
        """
        meter = _Meter(values)

        def resolve(_: str) -> BaseConnector:
            return meter

        (href,) = self._client.state.end_devices
        self._telemetry = TelemetryManager(
            self._client.http,
            "/mup",
            resolve,
            source=DirectConnectorSource(resolve, clock=wall),
        )
        self._telemetry.start_metering(self.station.credential.lfdi, 300, log_event_list_href=f"{href}/lel")

    async def burst(self) -> int:
        """POST log events as BASIC-027 asks it to; how many were taken."""
        assert self._telemetry is not None
        posted: int = await self._telemetry.post_log_event_burst(self.station.credential.lfdi)
        return posted

    async def stop(self) -> None:
        if self._telemetry is not None:
            await self._telemetry.shutdown()
        await self._client.shutdown()
        if self._running is not None:
            await self._running


def _settled(acted: list[tuple[float, str]]) -> list[str]:
    settled = sum(at < _SETTLED for at, _ in acted)
    every = [whose for _, whose in acted[max(0, settled - 1) :]]
    return [whose for whose, before in zip(every, ["", *every], strict=False) if whose != before]


class Independents:
    """The clients of others on a bench, and the loop that they share.

    :param seconds: the bench's clock
    :param wall: what it says the time is (epoch s)
    :param passing: lets so many seconds pass for everybody else
    """

    def __init__(
        self, seconds: Callable[[], float], wall: Callable[[], float], passing: Callable[[float], None]
    ) -> None:
        self._seconds = seconds
        self._wall = wall
        self._members: list[Independent] = []
        self.loop = TurnedLoop(seconds, passing)
        # What it has to say is for the tests to ask, not for their output.
        self._log, self._silent = logging.getLogger("py20305"), logging.NullHandler()
        self._log.addHandler(self._silent)

    def add(self, member: Independent) -> None:
        """Let a client begin."""
        self._members.append(member)
        self._run(member.start())

    def do(self, steps: Awaitable[T]) -> T:
        """What a client is told to do besides, and what comes of it."""
        result: T = self._run(steps)
        return result

    def run(self, until: float) -> None:
        """Let them live up to a moment of the bench's clock (s)."""
        if until > self._seconds():
            self._run(asyncio.sleep(until - self._seconds()))

    def close(self) -> None:
        for member in self._members:
            self._run(member.stop())
        self.loop.close()
        self._log.removeHandler(self._silent)

    def _run(self, steps: Any) -> Any:
        with ExitStack() as stack:
            stack.enter_context(mock.patch("time.time", self._wall))
            stack.enter_context(mock.patch("time.monotonic", self._seconds))
            return self.loop.run_until_complete(steps)
