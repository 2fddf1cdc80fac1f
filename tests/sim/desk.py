"""The operator's desk of a lab: the API in memory, as csipctl's client sees it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from twisted.internet.defer import Deferred, succeed

from csipd.cli.ctl.client import Answer, Client
from csipd.daemon.services import ADMIN_LIMITS
from csipd.sep2 import identity
from csipd.web.admin.app import Admin, fault
from csipd.web.admin.issuing import Issued
from csipd.web.server import Site
from tests.conformance.bench import LAB, Bench
from tests.support.memory_tls import Wire
from tests.support.pki import BEGIN, FOREVER
from tests.support.world import BOUNDLESS, caller

OPERATOR = caller("an operator")


class Desk:
    """The API over a bench's database. `client` asks it and waits for the answer."""

    def __init__(self, bench: Bench) -> None:
        admin = Admin(
            bench.database,
            bench.server,
            bench.wall,
            operators={OPERATOR.fingerprint: "alice"},
            prepare={"certificate": _certificate},
            version="1.2.3",
        )
        site = Site(
            admin.resource(),
            clock=bench.clock,
            now=bench.wall,
            limits=ADMIN_LIMITS,
            quotas=BOUNDLESS,
            look_up=admin.look_up,
            identify=lambda transport: OPERATOR,
            fault=fault,
        )
        self._bench = bench
        self._site = site
        self._wire: Wire | None = None
        self.client = Client(self)

    def send(self, method: str, target: str, headers: Mapping[str, str], body: bytes | None) -> Answer:
        """What csipctl's transport does."""
        if self._wire is not None and not self._wire.closed:
            self._wire.pump()
        if self._wire is None or self._wire.closed:
            self._wire = Wire.plain(self._site, self._bench.clock)
        found = self._wire.result(self._wire.client.request(method, target, body, dict(headers)))
        return Answer(found.status, found.headers.get("content-type", "").partition(";")[0], found.body)

    def close(self) -> None:
        if self._wire is not None and not self._wire.closed:
            self._wire.hang_up()


def _certificate(body: Any) -> Deferred[Issued | None]:
    """A certificate for a signing request, of the tests' own CA."""
    if not body.csr:
        return succeed(None)
    request = x509.load_pem_x509_csr(body.csr.encode())
    issuer = LAB.credential
    model = LAB.aggregator(body.name) if body.aggregator else LAB.device(body.name)
    builder = (
        x509.CertificateBuilder()
        .subject_name(model.certificate.subject)
        .issuer_name(issuer.certificate.subject)
        .public_key(request.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(BEGIN)
        .not_valid_after(FOREVER)
    )
    for extension in model.certificate.extensions:
        builder = builder.add_extension(extension.value, extension.critical)
    made = builder.sign(issuer.key, hashes.SHA256())
    lfdi = identity.lfdi(made.public_bytes(Encoding.DER))
    return succeed(Issued(lfdi, made.public_bytes(Encoding.PEM).decode()))
