"""The trust roots: whether their files can be read, and whether a device's chain can end in them."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from csipd.config import Settings
from csipd.daemon.failures import StartError
from csipd.pki import PKIError
from csipd.pki.pem import read_certificates
from csipd.sep2.certificates import root_fault


def check_roots(settings: Settings, missing: Collection[Path], now: float) -> list[str]:
    """Read every trust root; a warning for each certificate in which no chain can end (case A16).

    :param missing: files that are still to be made
    :param now: the time of day (epoch s)
    :raises StartError: a file cannot be read, or holds no certificate
    """
    warnings = []
    for number, path in enumerate(settings.trust_roots):
        key = f"trust_roots[{number}]"
        if path in missing:
            continue
        try:
            certificates = read_certificates(path)
        except PKIError as error:
            raise StartError(settings.problem(key, f"{error}; expected certificates of roots")) from error
        except OSError as error:
            message = f"{path}: {error.strerror}{settings.looked_for(key)}; expected a PEM file of roots"
            raise StartError(settings.problem(key, message)) from error
        for place, certificate in enumerate(certificates, start=1):
            fault = root_fault(certificate.public_bytes(Encoding.DER)) or _date_fault(certificate, now)
            if fault is not None:
                which = f"certificate {place} of {path}" if len(certificates) > 1 else str(path)
                warnings.append(settings.problem(key, f"no device's chain can end in {which}: {fault}"))
    return warnings


def _date_fault(certificate: x509.Certificate, now: float) -> str | None:
    if certificate.not_valid_after_utc.timestamp() < now:
        return f"it has ended on {certificate.not_valid_after_utc.date().isoformat()}"
    if certificate.not_valid_before_utc.timestamp() > now:
        return f"it begins on {certificate.not_valid_before_utc.date().isoformat()}"
    return None
