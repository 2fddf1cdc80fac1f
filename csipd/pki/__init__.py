"""Keys and certificates: the folder they lie in, and a lab PKI made there with the `openssl` program.

repository = Repository(Path("tls"), Path("openssl.cnf"))
wanted = [root(), server("127.0.0.1"), operator(), device("dev1")]
made = run_now(repository.ensure(wanted, make=True))              # at start
signed = run_later(reactor, repository.sign(csr, device("dev9")))  # while the reactor runs
"""

from __future__ import annotations

from csipd.pki.contents import lfdi_from_file
from csipd.pki.processes import run_later, run_now
from csipd.pki.profiles import (
    CertificateSpec,
    OpenSSLCnfError,
    PKIError,
    aggregator,
    check_id,
    device,
    mca,
    mica,
    operator,
    proxy,
    root,
    server,
)
from csipd.pki.repository import IssuedKey, Repository

__all__ = [
    "CertificateSpec",
    "IssuedKey",
    "OpenSSLCnfError",
    "PKIError",
    "Repository",
    "aggregator",
    "check_id",
    "device",
    "lfdi_from_file",
    "mca",
    "mica",
    "operator",
    "proxy",
    "root",
    "run_later",
    "run_now",
    "server",
]
