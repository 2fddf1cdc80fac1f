"""Who may know of what, and who may write it: the rules of decisions 1 to 4, from values alone."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from csipd.der.access import Caller, Owner, Policy, Standing, acts_for, may_mirror, may_see, may_use, party
from csipd.sep2.site import ROWS, Audience, Party, Row

DEVICE, FLEET_DEVICE, MANAGER, STRANGER = 7, 8, 3, 9
IN_BAND, OUT_OF_BAND = Policy(in_band=True), Policy()
EMPTY_LIST = Policy(empty_list=True)


def someone(
    standing: Standing = Standing.REGISTERED, device: int | None = None, aggregator: bool = False
) -> Caller:
    return Caller("A" * 40, 0, standing, device, aggregator)


UNKNOWN = someone(Standing.UNKNOWN)
LISTED = someone(Standing.LISTED)
OWNER = someone(device=DEVICE)
AGGREGATOR = someone(device=MANAGER, aggregator=True)
OTHER = someone(device=STRANGER)
DIRECT, MANAGED = Owner(DEVICE), Owner(FLEET_DEVICE, MANAGER)

callers = st.one_of(
    st.builds(someone, st.sampled_from([Standing.UNKNOWN, Standing.LISTED]), st.none(), st.booleans()),
    st.builds(someone, st.just(Standing.REGISTERED), st.integers(1, 5), st.booleans()),
)
owners = st.none() | st.builds(Owner, st.integers(1, 5), st.none() | st.integers(1, 5))
policies = st.builds(Policy, st.booleans(), st.booleans(), st.booleans())
rows = st.sampled_from(list(ROWS.values()))


class PartyTests(SynchronousTestCase):
    """How a caller stands to a resource."""

    def test_parties(self) -> None:
        """A device owns what is its own, an aggregator manages its fleet and owns its own EndDevice."""
        self.assertIs(party(OWNER, DIRECT), Party.OWNER)
        self.assertIs(party(AGGREGATOR, MANAGED), Party.MANAGER)
        self.assertIs(party(AGGREGATOR, Owner(MANAGER, MANAGER)), Party.OWNER)
        self.assertIs(party(someone(device=FLEET_DEVICE), MANAGED), Party.OWNER)
        self.assertIs(party(OTHER, None), Party.CALLER)

    def test_strangers(self) -> None:
        """Everybody else is nobody to a device."""
        for caller in (UNKNOWN, LISTED, OTHER, AGGREGATOR):
            self.assertFalse(party(caller, DIRECT))
        for caller in (UNKNOWN, LISTED, OTHER, OWNER, someone(device=MANAGER)):
            self.assertFalse(party(caller, MANAGED), caller)

    def test_acts_for(self) -> None:
        """A device speaks for itself, an aggregator for its fleet too, and nobody for others."""
        device = Caller("A" * 40, 1, Standing.REGISTERED, 1)
        aggregator = Caller("B" * 40, 2, Standing.REGISTERED, 2, aggregator=True)
        listed = Caller("C" * 40, 3, Standing.LISTED)
        for caller, owner, may in (
            (device, Owner(1), True),
            (device, Owner(1, 2), True),
            (device, Owner(3), False),
            (device, Owner(3, 1), False),
            (device, None, False),
            (aggregator, Owner(2, 2), True),
            (aggregator, Owner(3, 2), True),
            (aggregator, Owner(3, 4), False),
            (aggregator, Owner(3), False),
            (aggregator, None, False),
            (listed, Owner(1), False),
        ):
            self.assertIs(acts_for(caller, owner), may, (caller, owner))

    def test_mirrors(self) -> None:
        """A mirror is used by who made it, and by it only while the device is itself or in its fleet."""
        device = Caller("A" * 40, 1, Standing.REGISTERED, 1)
        aggregator = Caller("B" * 40, 2, Standing.REGISTERED, 2, aggregator=True)
        for caller, maker, owner, may in (
            (device, 1, Owner(1), True),
            (device, 1, Owner(1, 2), True),
            (device, 2, Owner(1, 2), False),
            (aggregator, 2, Owner(1, 2), True),
            (aggregator, 1, Owner(1, 2), False),
            (aggregator, 2, Owner(1, 4), False),
            (aggregator, 2, Owner(1), False),
            (aggregator, 2, None, False),
        ):
            self.assertIs(may_mirror(caller, maker, owner), may, (caller, maker, owner))


class SeeTests(SynchronousTestCase):
    """What exists for whom."""

    def assertSeen(
        self, name: str, expected: dict[Caller, bool], policy: Policy, owner: Owner | None = None
    ) -> None:
        for caller, seen in expected.items():
            self.assertEqual(may_see(caller, ROWS[name], owner, policy), seen, (name, caller, policy))

    def test_entry(self) -> None:
        """The entry point and the time are for any certificate that TLS let in."""
        for policy in (IN_BAND, OUT_OF_BAND):
            everyone = dict.fromkeys((UNKNOWN, LISTED, OWNER, AGGREGATOR), True)
            self.assertSeen("DeviceCapability", everyone, policy)
            self.assertSeen("Time", everyone, policy)

    def test_end_device_list(self) -> None:
        """The EndDeviceList is for the registered, in band for the listed, for the rest if so configured."""
        registered = {OWNER: True, AGGREGATOR: True, OTHER: True}
        self.assertSeen("EndDeviceList", registered | {UNKNOWN: False, LISTED: True}, IN_BAND)
        self.assertSeen("EndDeviceList", registered | {UNKNOWN: False, LISTED: False}, OUT_OF_BAND)
        self.assertSeen("EndDeviceList", registered | {UNKNOWN: True, LISTED: True}, EMPTY_LIST)

    def test_device(self) -> None:
        """What belongs to a device is for it and its aggregator."""
        mine = {OWNER: True, AGGREGATOR: False, OTHER: False, UNKNOWN: False, LISTED: False}
        fleets = {OWNER: False, AGGREGATOR: True, OTHER: False, UNKNOWN: False, LISTED: False}
        for name in ("EndDevice", "Registration", "FunctionSetAssignmentsList", "DERStatus", "LogEventList"):
            self.assertSeen(name, mine, IN_BAND, DIRECT)
            self.assertSeen(name, fleets, IN_BAND, MANAGED)

    def test_owner_only(self) -> None:
        """Subscriptions are for their owner alone: an aggregator has its own."""
        self.assertSeen("SubscriptionList", {OWNER: True, OTHER: False, AGGREGATOR: False}, IN_BAND, DIRECT)
        self.assertSeen("SubscriptionList", {AGGREGATOR: False}, IN_BAND, MANAGED)
        self.assertSeen("SubscriptionList", {AGGREGATOR: True}, IN_BAND, Owner(MANAGER, MANAGER))

    def test_programs(self) -> None:
        """A program is for those whom an FSA leads to it."""
        for caller, reached, seen in (
            (OWNER, True, True),
            (OWNER, False, False),
            (AGGREGATOR, True, True),
            (LISTED, True, False),
            (UNKNOWN, True, False),
        ):
            self.assertEqual(may_see(caller, ROWS["DERProgram"], None, IN_BAND, reached), seen)

    def test_nobodys(self) -> None:
        """What is another party's resource is for nobody."""
        self.assertSeen("NotificationList", dict.fromkeys((OWNER, AGGREGATOR, UNKNOWN), False), IN_BAND)

    @given(callers, rows, owners, policies, st.booleans())
    def test_unregistered(
        self, caller: Caller, row: Row, owner: Owner | None, policy: Policy, reached: bool
    ) -> None:
        """Who is not registered sees the entry point, the time, at most the empty list, and nothing else."""
        if caller.standing is not Standing.REGISTERED:
            seen = may_see(caller, row, owner, policy, reached)
            if row.name not in ("DeviceCapability", "Time", "EndDeviceList"):
                self.assertFalse(seen)

    @given(callers, rows, owners, policies, st.booleans())
    def test_strangers(
        self, caller: Caller, row: Row, owner: Owner | None, policy: Policy, reached: bool
    ) -> None:
        """What belongs to a device is seen by nobody who is nothing to it, whatever the policy."""
        stranger = owner is None or not party(caller, owner)
        if row.uri.startswith("/edev/") and stranger:
            self.assertFalse(may_see(caller, row, owner, policy, reached))

    @given(callers, rows, owners, policies, st.booleans())
    def test_anyone(
        self, caller: Caller, row: Row, owner: Owner | None, policy: Policy, reached: bool
    ) -> None:
        """That anyone may register opens nothing to anyone (decision 4)."""
        closed = Policy(policy.in_band, False, policy.empty_list)
        self.assertEqual(
            may_see(caller, row, owner, policy, reached), may_see(caller, row, owner, closed, reached)
        )


class UseTests(SynchronousTestCase):
    """Which methods are offered."""

    def test_methods(self) -> None:
        """A device and its aggregator report; only the aggregator removes a device; programs are read."""
        expected = {
            ("EndDevice", OWNER, DIRECT): {"GET", "HEAD", "PUT"},
            ("EndDevice", AGGREGATOR, MANAGED): {"GET", "HEAD", "PUT", "DELETE"},
            ("EndDevice", AGGREGATOR, Owner(MANAGER, MANAGER)): {"GET", "HEAD", "PUT"},
            ("EndDeviceList", LISTED, None): {"GET", "HEAD", "POST"},
            ("Registration", OWNER, DIRECT): {"GET", "HEAD"},
            ("Registration", AGGREGATOR, MANAGED): {"GET", "HEAD"},
            ("DERStatus", OWNER, DIRECT): {"GET", "HEAD", "PUT"},
            ("DERStatus", AGGREGATOR, MANAGED): {"GET", "HEAD", "PUT"},
            ("FunctionSetAssignmentsList", OWNER, DIRECT): {"GET", "HEAD"},
            ("DERControlList", OWNER, None): {"GET", "HEAD"},
            ("DERProgram", AGGREGATOR, None): {"GET", "HEAD"},
            ("DefaultDERControl", OWNER, None): {"GET", "HEAD"},
            ("Time", OWNER, None): {"GET", "HEAD"},
            ("LogEventList", OWNER, DIRECT): {"GET", "HEAD", "POST"},
            ("SupportedLocale", OWNER, DIRECT): {"GET", "HEAD", "PUT", "DELETE"},
        }
        for (name, caller, owner), offered in expected.items():
            for method in ("GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS", "PATCH", "FOO"):
                use = may_use(caller, ROWS[name], method, owner)
                self.assertEqual(use, method in offered, (name, method))

    @given(callers, rows, st.builds(Owner, st.integers(1, 5), st.none() | st.integers(1, 5)))
    def test_strangers_write_nothing(self, caller: Caller, row: Row, owner: Owner) -> None:
        """Who is nothing to a device is offered no writing method on what is its own."""
        if not party(caller, owner):
            for method in ("PUT", "POST", "DELETE"):
                self.assertFalse(may_use(caller, row, method, owner))

    def test_operators_own(self) -> None:
        """No device is offered to write what is the operator's."""
        for row in ROWS.values():
            if row.audience is Audience.PROGRAM or row.name in ("Registration", "SelfDevice", "Time"):
                self.assertEqual(row.allow(Party.OWNER | Party.MANAGER | Party.CALLER), ("GET", "HEAD"))
