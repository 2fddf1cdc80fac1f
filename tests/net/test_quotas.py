"""Quotas: buckets, and what an account makes of what is known of its caller."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from csipd.net.quotas import Account, CallerInfo, Quotas, TokenBucket


def spent(bucket: TokenBucket, now: float, most: int = 100_000) -> int:
    """How many can be taken out at once."""
    for number in range(most):
        if not bucket.spend(now):
            return number
    return most


class BucketTests(SynchronousTestCase):
    """A rate with a burst."""

    def test_burst(self) -> None:
        """A full one gives its burst at once, and then what the rate fills in."""
        bucket = TokenBucket(2.0, 10)
        self.assertEqual([spent(bucket, now) for now in (0, 0, 1, 1.5, 3, 100, 100)], [10, 0, 2, 1, 3, 10, 0])

    def test_full(self) -> None:
        """It is full again when what was taken out has been filled in."""
        bucket = TokenBucket(2.0, 2)
        self.assertTrue(bucket.is_full(0))
        spent(bucket, 0)
        self.assertFalse(bucket.is_full(0.9))
        self.assertTrue(bucket.is_full(1.0))

    @given(st.floats(0.5, 1000), st.integers(1, 500), st.lists(st.floats(0, 2), max_size=30))
    def test_sustained(self, rate: float, burst: int, pauses: list[float]) -> None:
        """Over any time it gives no more than its burst and what the rate fills in."""
        bucket, now, given_out = TokenBucket(rate, burst), 1000.0, 0
        for pause in pauses:
            now += pause
            given_out += spent(bucket, now)
        self.assertLessEqual(given_out, burst + rate * (now - 1000) + 1)


class AccountTests(SynchronousTestCase):
    """The table, by default: decision 36."""

    def test_device(self) -> None:
        """A device has 20 connections and 200 requests a second."""
        account = Account("A", Quotas())
        self.assertEqual(account.most_connections, 20)
        self.assertEqual((spent(account.requests, 0), spent(account.requests, 10.0)), (1000, 1000))
        self.assertEqual(sum(spent(account.requests, 10 + n / 10) for n in range(1, 11)), 200)

    def test_aggregator(self) -> None:
        """An aggregator has 200 connections and 2 requests a second more for each managed device."""
        account = Account("A", Quotas())
        account.learn(CallerInfo(listed=True, aggregator=True, managed=400))
        self.assertEqual(account.most_connections, 200)
        self.assertEqual(spent(account.requests, 0), 5000)
        self.assertEqual(sum(spent(account.requests, n / 10) for n in range(1, 11)), 1000)
        self.assertEqual(spent(account.handshakes, 0), 2000)

    def test_what_was_spent_stays_spent(self) -> None:
        """Learning who the caller is gives nothing back."""
        account = Account("A", Quotas())
        spent(account.requests, 0)
        account.learn(CallerInfo(listed=True))
        self.assertEqual(spent(account.requests, 0), 0)

    def test_unused(self) -> None:
        """An account may be forgotten when nothing of its quotas is used."""
        account = Account("A", Quotas())
        self.assertTrue(account.is_unused(0))
        account.requests.spend(0)
        self.assertFalse(account.is_unused(0))
        self.assertTrue(account.is_unused(1))
