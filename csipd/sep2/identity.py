"""Who a device is in numbers: LFDI, SFDI, PIN, and the check digit that the last two carry.

The LFDI and SFDI are cut from the fingerprint of a certificate and say nothing that the certificate does not.
The functions take and give plain values, so that every layer above may use them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from hashlib import sha256

LFDI_DIGITS = 40
SFDI_BITS = 36
PIN_MAX = 999_999

_SEPARATORS = re.compile(r"[\s:-]+")
_LFDI = re.compile(rf"[0-9A-F]{{{LFDI_DIGITS}}}")


def lfdi(der: bytes) -> str:
    """The long-form device identifier of a certificate, 40 upper case hex digits.

    `der` is the whole DER encoding of the leaf that was presented. IEEE 2030.5-2018 6.3.3.
    """
    return sha256(der).hexdigest()[:LFDI_DIGITS].upper()


def sfdi(lfdi: str) -> int:
    """The short-form device identifier that belongs to an LFDI: its leftmost 36 bits and a check digit.

    ValueError if `lfdi` is not an LFDI. IEEE 2030.5-2018 6.3.4.
    """
    return with_check_digit(int(parse_lfdi(lfdi)[: SFDI_BITS // 4], 16))


def check_digit(n: int) -> int:
    """The digit that makes the sum of all decimal digits of `n` and itself a multiple of ten.

    ValueError if `n` is negative. IEEE 2030.5-2018 6.3.4.
    """
    if n < 0:
        raise ValueError(f"a number with a check digit is not negative: {n}")
    return -sum(int(digit) for digit in str(n)) % 10


def with_check_digit(n: int) -> int:
    """`n` with its check digit written behind it: 12345 gives 123455."""
    return n * 10 + check_digit(n)


def has_check_digit(n: int) -> bool:
    """Whether the last decimal digit of `n` is the check digit of those before it."""
    return n >= 0 and with_check_digit(n // 10) == n


def sfdi_is_valid(sfdi: int) -> bool:
    """Whether a number can be an SFDI: 36 bits and a right check digit."""
    return has_check_digit(sfdi) and sfdi // 10 < 1 << SFDI_BITS


def pin_is_valid(pin: int) -> bool:
    """Whether a number can be a registration PIN: five digits and a check digit. IEEE 2030.5-2018 6.3.5."""
    return has_check_digit(pin) and pin <= PIN_MAX


def new_pin(randbelow: Callable[[int], int]) -> int:
    """A PIN drawn with `randbelow(n)`, which gives a number from 0 to n - 1 (secrets.randbelow)."""
    return with_check_digit(randbelow(10**5))


def parse_lfdi(text: str) -> str:
    """The LFDI that a person or a file wrote, in the one form used inside: 40 upper case hex digits.

    Case does not matter, nor do blanks, dashes and colons between digits. ValueError for anything else, and
    for digits that are missing: what a person left out cannot be guessed.
    """
    digits = _SEPARATORS.sub("", text).upper()
    if not _LFDI.fullmatch(digits):
        raise ValueError(f"an LFDI has {LFDI_DIGITS} hex digits, not {text[:64]!r}")
    return digits


def pretty_lfdi(lfdi: str) -> str:
    """An LFDI for people: groups of four digits, 3E4F-45AB-... IEEE 2030.5-2018 6.3.3."""
    digits = parse_lfdi(lfdi)
    return "-".join(digits[i : i + 4] for i in range(0, LFDI_DIGITS, 4))


def pretty_sfdi(sfdi: int) -> str:
    """An SFDI for people and DNS-SD names: twelve digits with leading zeros. IEEE 2030.5-2018 6.3.4."""
    return f"{sfdi:012d}"


def registration_code(sfdi: int, pin: int) -> str:
    """What is printed for an installer: SFDI, then PIN, both in full length. IEEE 2030.5-2018 6.3.6."""
    return f"{pretty_sfdi(sfdi)}-{pin:06d}"
