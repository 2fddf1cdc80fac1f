"""An aggregator: a station that speaks for others, and is told of changes instead of asking all the time.

It subscribes to the list of EndDevices, and for its devices to their FSALists, program lists,
DERControlLists and DefaultDERControls, a shared resource once (CSIP P31 to P33, P39). A notification has it
read what changed. Meanwhile it polls seldom; where it finds a change that it was not told of it goes back to
polling by pollRate, until it is told of something again (P52). Subscriptions are renewed twice a day.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

from csipd.sep2 import resources as r
from csipd.sep2.types import Encoding, NotificationStatus
from csipd.sim.asking import Refused
from csipd.sim.station import Station

#: Seconds between two renewals of a subscription.
RENEWAL: Final = 12 * 3600
#: How many times more seldom what is subscribed to is polled.
SELDOM: Final = 10
#: Members of a list that a notification is to hold.
LIMIT: Final = 255
#: Steps whose resources are subscribed to, in the order of a walk.
_TOLD: Final = ("edev", "fsa", "derp")


class Aggregator(Station):
    """A station with subscriptions."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, aggregator=True, **more)
        self._receiver: str | None = None
        #: What is subscribed to, and until when without renewal.
        self._subscribed: dict[str, float] = {}
        #: Whether notifications are to be relied on.
        self.is_told = False
        self._heard = False
        self._known: object = None
        self._has_cleared = False

    @property
    def is_settled(self) -> bool:
        """The same, and that it has subscribed where it can be told."""
        return super().is_settled and (self._receiver is None or self.is_told)

    def listen_at(self, uri: str) -> None:
        """Have notifications posted there; without, it only polls."""
        self._receiver = uri

    def steps(self) -> Sequence[tuple[str, Callable[[], Awaitable[float]]]]:
        return (*super().steps(), ("subscriptions", self._subscribe))

    async def _take(self, name: str, step: Callable[[], Awaitable[float]]) -> None:
        await super()._take(name, step)
        if name not in _TOLD or self._receiver is None:
            return
        self._begin("subscriptions")
        known = self._what_is_known()
        if self._known not in (None, known) and not self._heard:
            self.is_told = False  # something changed, and nobody said so
        self._known = known
        if name == _TOLD[-1]:
            self._heard = False
        if any(href not in self._subscribed for href in self._wanted()):
            self.due["subscriptions"] = self.clock.now()
        if self.is_told:
            now = self.clock.now()
            self.due[name] = now + SELDOM * (self.due[name] - now)

    def _what_is_known(self) -> object:
        """What subscriptions tell of, as it was read last."""
        return [
            (
                unit.lfdi,
                unit.device is not None,
                tuple((program.href, program.primacy, program.default) for program in unit.programs),
                tuple(control.mRID for program in unit.programs for control in program.controls),
            )
            for unit in self.units
        ]

    def _wanted(self) -> Mapping[str, str]:
        """The hrefs of what is to be subscribed to, each with the first step that reads it."""
        if self._capability is None or self._capability.EndDeviceListLink is None:
            return {}
        found = {self._capability.EndDeviceListLink.href: "edev"}
        for unit in self._met():
            assert unit.device is not None
            if unit.device.FunctionSetAssignmentsListLink is not None:
                found[unit.device.FunctionSetAssignmentsListLink.href] = "fsa"
            for assignments in unit.assignments:
                if assignments.DERProgramListLink is not None:
                    found[assignments.DERProgramListLink.href] = "derp"
            for href in unit.program_links:
                found[href] = "derp"
        return found

    async def _subscribe(self) -> float:
        """Subscribe to what is not subscribed to, and renew what is due."""
        if self.own is None or self.own.SubscriptionListLink is None:
            return RENEWAL
        assert self._receiver is not None
        if not self._has_cleared:
            await self._clear(self.own.SubscriptionListLink.href, self._receiver)
            self._has_cleared = True
        now = self.clock.now()
        wanted = self._wanted()
        self._subscribed = {href: until for href, until in self._subscribed.items() if href in wanted}
        for href in wanted:
            if self._subscribed.get(href, 0.0) > now:
                continue
            subscription = r.Subscription(
                subscribedResource=href,
                encoding=Encoding.XML,
                level="+S1",
                limit=LIMIT,
                notificationURI=self._receiver,
            )
            try:
                await self.send("POST", self.own.SubscriptionListLink.href, subscription)
            except Refused as error:
                if error.status >= 500:
                    raise
                # It does not let itself be subscribed to: it is polled. It is asked for again when due.
                self.counts.error(str(error))
                self._subscribed[href] = now + RENEWAL
                self.is_told = False
                return RENEWAL
            self._subscribed[href] = now + RENEWAL
        self.is_told = True
        return max(1.0, min(self._subscribed.values(), default=now + RENEWAL) - now)

    async def _clear(self, href: str, receiver: str) -> None:
        """Delete what a run before has subscribed to, whose receiver is gone."""
        _, found = await self.members(href, r.SubscriptionList)
        for one in found:
            if one.notificationURI != receiver and one.href is not None:
                answer = await self.client.request("DELETE", one.href)
                if not answer.is_good and answer.status != 404:
                    raise Refused("DELETE", "Subscription", answer.status)

    def receive(self, notification: r.Notification) -> bool:
        """Take in a notification; whether it was welcome."""
        self.counts.notifications += 1
        step = self._wanted().get(notification.subscribedResource)
        if step is None:
            return False
        self._heard = True
        if notification.status != NotificationStatus.NORMAL:
            self._subscribed.pop(notification.subscribedResource, None)
            self.soon("subscriptions")
        else:
            self.is_told = True
        # What follows from what changed is read anew, too.
        self.soon(*_TOLD[_TOLD.index(step) :])
        return True
