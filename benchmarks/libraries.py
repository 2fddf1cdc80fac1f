"""What a handshake costs in OpenSSL alone: `python -m benchmarks.libraries`.

nginx runs on the distribution's OpenSSL, csipd on the one that comes with the cryptography package: what a
handshake costs more with the one than with the other is no merit of either server. Both make the same one in
memory, without sockets: TLS 1.2, ECDHE-ECDSA-AES128-CCM8, a client certificate. The distribution's is reached
through Python's ssl module, which is linked to it; the other through pyOpenSSL. What is counted is the
server's half.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from cryptography.hazmat.primitives.asymmetric import ec
from OpenSSL import SSL

from benchmarks.figures import NGINX, Row, Table, in_turns
from benchmarks.fleets import CIPHERS, Fleet
from tests.support.pki import Credential

HANDSHAKE = "handshake in memory, the server's half"
ROWS = (HANDSHAKE,)
CSIPD = "csipd"
_TURNS, _EACH = 15, 40


def measure() -> Row:
    """Microseconds of the server's half with csipd's library and with nginx's, in turns."""
    fleet = Fleet.make(1)
    with TemporaryDirectory() as folder:
        server, client = _file(Path(folder), fleet.server), _file(Path(folder), fleet.devices[0])
        root = Path(folder) / "root.pem"
        root.write_bytes(fleet.authority.cert_pem)
        bundled = _bundled(server, client, root)
        distribution = _distribution(server, client, root)
        bundled()
        distribution()
        work = {CSIPD: lambda: _average(bundled), NGINX: lambda: _average(distribution)}
        return Row(HANDSHAKE, in_turns(_TURNS, work), 1)


def difference(row: Row) -> float:
    """How many microseconds more nginx's library takes."""
    return row.figure(NGINX) - row.figure(CSIPD)


def versions() -> str:
    """Which libraries these are."""
    return f"csipd: {SSL.SSLeay_version(0).decode()}; nginx: {ssl.OPENSSL_VERSION}"


def _average(handshake: Callable[[], int]) -> float:
    return sum(handshake() for _ in range(_EACH)) / _EACH / 1000


def _file(folder: Path, credential: Credential) -> Path:
    path = folder / credential.lfdi
    path.write_bytes(credential.chain_pem + credential.key_pem)
    return path


def _bundled(server: Path, client: Path, root: Path) -> Callable[[], int]:
    """A handshake by pyOpenSSL's library: nanoseconds of its server's half."""

    def context(own: Path, verify: int) -> SSL.Context:
        made = SSL.Context(SSL.TLS_METHOD)
        made.set_max_proto_version(SSL.TLS1_2_VERSION)
        made.set_cipher_list(CIPHERS.encode())
        made.set_tmp_ecdh(ec.SECP256R1())
        made.use_certificate_chain_file(str(own))
        made.use_privatekey_file(str(own))
        made.load_verify_locations(str(root))
        made.set_verify(verify)
        made.set_options(SSL.OP_NO_TICKET)
        return made

    ours = context(server, SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT)
    theirs = context(client, SSL.VERIFY_PEER)

    def step(side: SSL.Connection) -> bool:
        try:
            side.do_handshake()
        except SSL.WantReadError:
            return False
        return True

    def pass_on(one: SSL.Connection, other: SSL.Connection) -> None:
        with suppress(SSL.WantReadError):
            other.bio_write(one.bio_read(65_536))

    def handshake() -> int:
        used, done = 0, [False, False]
        asked = SSL.Connection(theirs)
        asked.set_connect_state()
        began = time.thread_time_ns()
        asking = SSL.Connection(ours)
        asking.set_accept_state()
        used += time.thread_time_ns() - began
        while not all(done):
            done[0] = step(asked)
            pass_on(asked, asking)
            began = time.thread_time_ns()
            done[1] = step(asking)
            used += time.thread_time_ns() - began
            pass_on(asking, asked)
        return used

    return handshake


def _distribution(server: Path, client: Path, root: Path) -> Callable[[], int]:
    """A handshake by the library that Python's ssl module is linked to: nanoseconds of its server's half."""

    def context(kind: int, own: Path) -> ssl.SSLContext:
        made = ssl.SSLContext(kind)
        made.check_hostname = False
        made.verify_mode = ssl.CERT_REQUIRED
        made.maximum_version = ssl.TLSVersion.TLSv1_2
        made.set_ciphers(CIPHERS)
        made.set_ecdh_curve("prime256v1")
        made.load_cert_chain(own)
        made.load_verify_locations(root)
        made.options |= ssl.OP_NO_TICKET
        return made

    ours, theirs = context(ssl.PROTOCOL_TLS_SERVER, server), context(ssl.PROTOCOL_TLS_CLIENT, client)

    def step(side: ssl.SSLObject) -> bool:
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            return False
        return True

    def handshake() -> int:
        used, done = 0, [False, False]
        up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
        asked = theirs.wrap_bio(down, up, server_side=False)
        began = time.thread_time_ns()
        asking = ours.wrap_bio(up, down, server_side=True)
        used += time.thread_time_ns() - began
        while not all(done):
            done[0] = step(asked)
            began = time.thread_time_ns()
            done[1] = step(asking)
            used += time.thread_time_ns() - began
        return used

    return handshake


def main() -> None:
    print(versions())
    Table(ROWS, (CSIPD, NGINX)).add(measure())


if __name__ == "__main__":
    main()
