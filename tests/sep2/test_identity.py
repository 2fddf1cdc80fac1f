"""LFDI, SFDI and PIN: the standard's worked examples, the edges, and what must hold for every value."""

from __future__ import annotations

from hashlib import sha256

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from csipd.sep2 import identity

WORKED = "3E4F45AB31EDFE5B67E343E5E4562E31984E23E5"

lfdis = st.binary(min_size=20, max_size=20).map(lambda octets: octets.hex().upper())


class FingerprintTests(SynchronousTestCase):
    """From certificate to LFDI to SFDI."""

    def test_lfdi_is_the_left_of_the_fingerprint(self) -> None:
        """The LFDI is the leftmost 160 bits of SHA-256 over the DER, upper case."""
        self.assertEqual(identity.lfdi(b"abc"), "BA7816BF8F01CFEA414140DE5DAE2223B00361A3")

    def test_worked_sfdi(self) -> None:
        """The standard's own example gives the standard's own SFDI."""
        self.assertEqual(identity.sfdi(WORKED), 167261211391)

    def test_sfdi_of_any_spelling(self) -> None:
        """An SFDI may be taken from an LFDI as a person writes it."""
        self.assertEqual(identity.sfdi(identity.pretty_lfdi(WORKED).lower()), 167261211391)

    def test_sfdi_edges(self) -> None:
        """36 bits of zeros and of ones give the smallest and the largest SFDI."""
        self.assertEqual(identity.sfdi("0" * 40), 0)
        self.assertEqual(identity.sfdi("F" * 40), 687194767357)

    @given(st.binary(max_size=200))
    def test_every_certificate_has_a_valid_sfdi(self, der: bytes) -> None:
        """Whatever the bytes, the LFDI starts the fingerprint, and the SFDI is valid and starts the LFDI."""
        lfdi = identity.lfdi(der)
        self.assertEqual(lfdi, sha256(der).hexdigest().upper()[:40])
        self.assertEqual(identity.sfdi(lfdi) // 10, int(lfdi[:9], 16))
        self.assertTrue(identity.sfdi_is_valid(identity.sfdi(lfdi)))


class CheckDigitTests(SynchronousTestCase):
    """The digit that SFDI and PIN end in."""

    def test_worked(self) -> None:
        """The check digits of the worked examples come out."""
        worked = {16726121139: 1, 68719476735: 7, 12345: 5, 11111: 5, 0: 0}
        self.assertEqual({n: identity.check_digit(n) for n in worked}, worked)

    def test_negative(self) -> None:
        """A negative number has no check digit and never carries one."""
        self.assertRaises(ValueError, identity.check_digit, -1)
        self.assertFalse(identity.has_check_digit(-10))

    @given(st.integers(min_value=0, max_value=10**12))
    def test_sum_is_a_multiple_of_ten(self, n: int) -> None:
        """With its check digit, the digits of any number add up to a multiple of ten."""
        self.assertEqual(sum(map(int, str(identity.with_check_digit(n)))) % 10, 0)

    @given(st.integers(min_value=0, max_value=10**12), st.integers(min_value=1, max_value=9))
    def test_another_last_digit_is_seen(self, n: int, change: int) -> None:
        """Any other last digit is refused."""
        right = identity.with_check_digit(n)
        wrong = right - right % 10 + (right + change) % 10
        self.assertTrue(identity.has_check_digit(right))
        self.assertFalse(identity.has_check_digit(wrong))

    def test_sfdi_has_an_upper_end(self) -> None:
        """A number beyond 36 bits is no SFDI, even with a right check digit."""
        self.assertFalse(identity.sfdi_is_valid(identity.with_check_digit(1 << 36)))
        self.assertFalse(identity.sfdi_is_valid(687194767359))


class PinTests(SynchronousTestCase):
    """Registration PINs."""

    def test_examples(self) -> None:
        """The PINs of the standard and of the test procedures are valid; the sample's 12345 is not."""
        self.assertTrue(all(map(identity.pin_is_valid, (123455, 111115, 0))))
        self.assertFalse(any(map(identity.pin_is_valid, (12345, 111111, 1, -1, 1_000_009))))

    def test_drawn(self) -> None:
        """A new PIN is the number drawn and its check digit, out of all five digit numbers."""
        asked: list[int] = []
        pin = identity.new_pin(lambda n: asked.append(n) or 12345)  # type: ignore[func-returns-value]
        self.assertEqual((pin, asked), (123455, [100000]))

    @given(st.integers(min_value=0, max_value=99999))
    def test_every_draw_is_valid(self, drawn: int) -> None:
        """Whatever is drawn, the PIN is valid."""
        self.assertTrue(identity.pin_is_valid(identity.new_pin(lambda n: drawn)))


class SpellingTests(SynchronousTestCase):
    """What people write and read."""

    def test_pretty(self) -> None:
        """People see groups of four hex digits, twelve decimal digits, and a code of SFDI and PIN."""
        self.assertEqual(identity.pretty_lfdi(WORKED), "3E4F-45AB-31ED-FE5B-67E3-43E5-E456-2E31-984E-23E5")
        self.assertEqual(identity.pretty_sfdi(42), "000000000042")
        self.assertEqual(identity.registration_code(167261211391, 0), "167261211391-000000")

    @given(lfdis)
    def test_what_is_shown_can_be_typed(self, lfdi: str) -> None:
        """The pretty form, lower case and with blanks around it, is read back as the same LFDI."""
        self.assertEqual(identity.parse_lfdi(f" {identity.pretty_lfdi(lfdi).lower()}\n"), lfdi)

    def test_refused(self) -> None:
        """Too short, too long, not hex, or digits of other scripts are no LFDI."""
        rest = WORKED[2:]
        for text in ("", rest, "3E0" + rest, "3G" + rest, "3\u0663" + rest, "0x" + rest):
            self.assertRaises(ValueError, identity.parse_lfdi, text)
