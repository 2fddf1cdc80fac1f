"""What is logged of handshakes that fail."""

from __future__ import annotations

from typing import Any

from OpenSSL import SSL
from twisted.logger import Logger
from twisted.python.failure import Failure

from csipd.net.origin import host_of, origin_of
from csipd.net.peer_log import PeerLog


def log_failed_handshake(peer_log: PeerLog, log: Logger, peer: Any, reason: Failure) -> None:
    """Log that a peer did not get through the handshake, if it was OpenSSL that objected.

    What the verdict on a certificate was is in the log already, from where it was found.

    :param peer: its address
    """
    error = reason.value
    if not isinstance(error, SSL.Error) or not error.args or not isinstance(error.args[0], list):
        return
    said = str(error.args[0][-1][-1]) if error.args[0] else "the peer went away"
    if said == "certificate verify failed":
        return
    peer_log.info(
        log,
        host_of(peer),
        f"TLS handshake failed: {said}",
        "TLS handshake with {host} failed: {said}",
        origin=origin_of(peer),
        host=host_of(peer),
        said=said,
    )
