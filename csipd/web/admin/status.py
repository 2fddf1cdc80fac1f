"""How the server is: ``/admin/status``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import sqlalchemy as sa

from csipd.daemon import scheduler
from csipd.daemon.lab import lab_line
from csipd.db import alarms, controls, device_list, mirrors, programs, subscription_list, tally
from csipd.discovery.state import DiscoveryState
from csipd.gridappsd.state import BusState
from csipd.sep2.schema import Element
from csipd.sep2.types import TimeType
from csipd.version import VERSION
from csipd.web.admin.forms import Count, Line
from csipd.web.admin.operations import Call, Operation


class KindCount(Element):
    """How much of one kind the GridAPPS-D bus brought, or was to be sent there."""

    kind: Line
    count: Count


class Bus(Element):
    """The GridAPPS-D bus, since the daemon's start."""

    lists: ClassVar[tuple[str, ...]] = ("refused", "commanded")

    broker: Line
    #: Absent while it is down.
    up_since: TimeType | None = None
    #: How often it came up.
    connections: Count
    #: Why it went down the last time, or could not come up, and when.
    last_error: Line | None = None
    last_error_at: TimeType | None = None
    #: Messages.
    received: Count
    sent: Count
    refused: tuple[KindCount, ...] = ()
    #: What was made of difference messages.
    commanded: tuple[KindCount, ...] = ()


class Announced(Element):
    """What clients find by mDNS."""

    lists: ClassVar[tuple[str, ...]] = ("links", "troubles")

    name: Line
    #: Where it is announced.
    links: tuple[Line, ...] = ()
    #: What keeps it from being announced where it is to be.
    troubles: tuple[Line, ...] = ()


class ServerState(Element):
    """How the server is."""

    version: Line
    #: What is to be known of this server before anything else: that it is a lab.
    warning: Line | None = None
    #: How many times as fast as the machine's the clock runs; of a lab alone.
    lab_speed: Count | None = None
    now: TimeType
    devices: Count
    registered: Count
    programs: Count
    controls_active: Count
    controls_scheduled: Count
    #: Given where more controls are not over than are counted: of the others, none is in the two numbers.
    controls_counted: Count | None = None
    alarms_open: Count
    #: Subscriptions with a Notification to send; those of which the last attempt failed; receivers that
    #: cannot be talked to. Each is counted up to a bound, and left out beyond it.
    notifications_pending: Count | None = None
    notifications_failing: Count | None = None
    receivers_failing: Count | None = None
    subscriptions: Count
    #: MirrorUsagePoints that devices have.
    mirrors: Count
    #: Raw readings, as counted when roll-ups were made last; one that was replaced may count twice.
    readings: Count
    #: Up to when the roll-ups of all readings are made: an hour or so ago, unless csipd is behind.
    rolled_up_to: TimeType | None = None
    #: Given where csipd is on the GridAPPS-D bus.
    bus: Bus | None = None
    #: Given where discovery is on.
    discovery: Announced | None = None
    next_transition: TimeType | None = None
    last_tick: TimeType | None = None
    #: When the certificate of the operator who asks ends; absent for one without end.
    your_certificate_ends: TimeType | None = None


def status(connection: sa.Connection, call: Call) -> ServerState:
    """How the server is."""
    standings = device_list.numbers_by_standing(connection)
    live = controls.numbers_now(connection, call.now)
    kept = tally.numbers(connection, (tally.SUBSCRIPTIONS, mirrors.NUMBER, tally.READINGS, tally.ROLLED_UP))
    speed = call.server.lab_speed
    return ServerState(
        version=VERSION,
        warning=None if speed is None else lab_line(speed),
        lab_speed=speed,
        now=call.now,
        devices=sum(number for standing, number in standings.items() if standing != "retired"),
        registered=standings["registered"],
        programs=programs.number(connection),
        controls_active=live.active,
        controls_scheduled=live.scheduled,
        controls_counted=live.counted,
        alarms_open=alarms.number_open(connection),
        notifications_pending=subscription_list.pending(connection).exact,
        notifications_failing=subscription_list.failing(connection).exact,
        receivers_failing=subscription_list.failing_receivers(connection).exact,
        subscriptions=kept[tally.SUBSCRIPTIONS],
        mirrors=kept[mirrors.NUMBER],
        readings=kept[tally.READINGS],
        rolled_up_to=kept[tally.ROLLED_UP] or None,
        bus=None if call.bus is None else _bus(call.bus),
        discovery=None if call.discovery is None else _announced(call.discovery),
        next_transition=controls.next_moment(connection, call.now),
        last_tick=scheduler.last_tick(connection),
        your_certificate_ends=call.certificate_ends,
    )


def _announced(state: DiscoveryState) -> Announced:
    return Announced(name=state.name, links=state.links, troubles=state.troubles)


def _bus(state: BusState) -> Bus:
    def moment(at: float | None) -> int | None:
        return None if at is None else int(at)

    return Bus(
        broker=state.broker,
        up_since=moment(state.up_since),
        connections=state.connections,
        last_error=state.last_error,
        last_error_at=moment(state.last_error_at),
        received=state.received,
        sent=state.sent,
        refused=_counts(state.refused),
        commanded=_counts(state.commanded),
    )


def _counts(by_kind: Mapping[str, int]) -> tuple[KindCount, ...]:
    return tuple(KindCount(kind=kind, count=count) for kind, count in sorted(by_kind.items()) if count)


OPERATIONS = (Operation("GET", "/admin/status", "status", "How the server is", status, gives=ServerState),)
