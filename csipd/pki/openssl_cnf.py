"""What an operator's openssl.cnf decides about certificates, where the 2030.5 profile is silent.

Three things are read from it: the digest and the days of the default CA, and the defaults of the subject.
All else (folders, serial numbers, extensions, random files) is decided by csipd, so that a file written for
another server, which keeps its certificates in somebody's HOME, does no harm. The syntax is that of OpenSSL's
config(5) without `.include`, whose lines are skipped.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from attrs import frozen

DIGESTS = ("sha256", "sha384", "sha512")

_SECTION = re.compile(r"\[\s*([^\]]*?)\s*\]")
_ENTRY = re.compile(r"(?:(\w+)\s*::\s*)?([^\s=]+)\s*=\s*(.*)")
_VARIABLE = re.compile(r"\$(?:\{([\w:]+)\}|\(([\w:]+)\)|(\w+(?:::\w+)?))")
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "b": "\b"}
_DEEPEST = 10  # references within references: a file that refers to itself must end
_LONGEST = 4096


class OpenSSLConfigError(Exception):
    """One line: what is wrong with the file, and where."""


@frozen
class OpenSSLDefaults:
    """What openssl.cnf decides. As it stands here: what is taken where a file says nothing."""

    digest: str = "sha256"
    days: int = 365
    subject: tuple[tuple[str, str], ...] = ()
    """Names of attributes (long or short, as OpenSSL knows them) and values, in the order of the file and
    without commonName, which is the holder's."""


def read_defaults(text: str, environment: Mapping[str, str]) -> OpenSSLDefaults:
    """The defaults that an openssl.cnf holds. `environment` answers its `$ENV::` references.

    Raises OpenSSLConfigError.
    """
    file = _File(text, environment)
    authority = file.get("ca", "default_ca") or "CA_default"
    digest = file.get(authority, "default_md") or file.get("req", "default_md") or "default"
    digest = digest.lower().replace("-", "")
    if digest == "default":
        digest = OpenSSLDefaults().digest
    if digest not in DIGESTS:
        raise OpenSSLConfigError(f"default_md: one of {', '.join(DIGESTS)} is expected, not {digest}")
    days = file.get(authority, "default_days") or str(OpenSSLDefaults().days)
    if not re.fullmatch(r"0*[1-9][0-9]{0,6}", days, re.ASCII):
        raise OpenSSLConfigError(f"default_days: a number of days is expected, not {days}")
    return OpenSSLDefaults(digest=digest, days=int(days), subject=tuple(_subject(file)))


def _subject(file: _File) -> Iterator[tuple[str, str]]:
    """Either the values themselves (prompt = no) or what OpenSSL would offer at its prompts."""
    section = file.get("req", "distinguished_name")
    if section is None:
        return
    suffix = "" if file.get("req", "prompt") == "no" else "_default"
    for name in file.names(section):
        attribute = re.sub(r"^[0-9]+\.", "", name.removesuffix(suffix))
        if not name.endswith(suffix) or attribute in ("commonName", "CN"):
            continue
        value = file.get(section, name)
        if value:
            yield attribute, value


class _File:
    """Sections of raw values, understood when asked for: what csipd does not need may refer to anything."""

    def __init__(self, text: str, environment: Mapping[str, str]) -> None:
        self._sections: dict[str, dict[str, str]] = {"default": {}}
        self._environment = environment
        section = "default"
        for number, line in _lines(text):
            if line.startswith("."):
                continue
            if heading := _SECTION.match(line):
                section = heading[1]
                self._sections.setdefault(section, {})
            elif entry := _ENTRY.match(line):
                self._sections.setdefault(entry[1] or section, {})[entry[2]] = entry[3]
            else:
                raise OpenSSLConfigError(f"line {number}: neither a [section] nor name = value")

    def names(self, section: str) -> tuple[str, ...]:
        """The names of a section, in the order of the file."""
        return tuple(self._sections.get(section, ()))

    def get(self, section: str, name: str, depth: int = 0) -> str | None:
        """The value of a name, with its references followed; None if it is not there."""
        raw = self._sections.get(section, {}).get(name)
        return None if raw is None else self._value(raw, section, f"[{section}] {name}", depth)

    def _value(self, raw: str, section: str, where: str, depth: int) -> str:
        """Take off quotes, escapes and comment, and put in what variables stand for."""
        value, quote, at = "", "", 0
        while at < len(raw):
            sign = raw[at]
            if sign == "\\" and at + 1 < len(raw):
                at += 1
                value += raw[at] if quote else _ESCAPES.get(raw[at], raw[at])
            elif sign == quote:
                quote = ""
            elif quote:
                value += sign
            elif sign in "'\"`":
                quote = sign
            elif sign == "#":
                break
            elif variable := _VARIABLE.match(raw, at) if sign == "$" else None:
                name = next(filter(None, variable.groups()))
                value += self._variable(name, section, where, depth)
                at = variable.end() - 1
            else:
                value += sign
            at += 1
        if len(value) > _LONGEST:
            raise OpenSSLConfigError(f"{where}: longer than {_LONGEST} characters")
        return value.rstrip()

    def _variable(self, name: str, section: str, where: str, depth: int) -> str:
        place, _, bare = name.rpartition("::")
        if place == "ENV":
            found = self._environment.get(bare)
        elif depth == _DEEPEST:
            raise OpenSSLConfigError(f"{where}: too many references, ${name} the last of them")
        else:
            found = self.get(place or section, bare, depth + 1)
            if found is None:
                found = self.get("default", bare, depth + 1)
        if found is None:
            raise OpenSSLConfigError(f"{where}: ${name} stands for nothing")
        return found


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """The lines that say something, with their numbers; those that end in a backslash go on in the next."""
    begun, start = "", 0
    for number, line in enumerate(text.splitlines(), start=1):
        start = start if begun else number
        joined = begun + line
        if joined.endswith("\\") and not joined.endswith("\\\\"):
            begun = joined[:-1]
            continue
        begun = ""
        stripped = joined.strip()
        if stripped and not stripped.startswith("#"):
            yield start, stripped
