"""How large and how long the parts of one connection may be.

Every buffer that the network fills and every wait that the network causes has its bound here. The values
are handed to the site; nothing else in the server counts bytes or seconds of a connection. How many
connections and requests one caller may have stands in `quotas`.
"""

from __future__ import annotations

from attrs import field, frozen
from attrs.validators import gt


@frozen
class ConnectionLimits:
    """The bounds of a connection and of a request. Times in seconds, sizes in bytes; all are above zero."""

    #: From the TCP connection to the end of the TLS handshake.
    handshake_seconds: float = field(default=10.0, validator=gt(0))
    #: Between two requests of one connection.
    idle_seconds: float = field(default=300.0, validator=gt(0))
    #: From the first byte of a request to its last: what cuts a client that sends a byte now and then.
    request_seconds: float = field(default=30.0, validator=gt(0))
    #: From a request's last byte to the end of its answer, as far as that is up to the server.
    answer_seconds: float = field(default=60.0, validator=gt(0))
    #: For the peer to take what is written, and to close what the server closed.
    drain_seconds: float = field(default=30.0, validator=gt(0))
    #: Request line and headers together.
    head_bytes: int = field(default=8 * 1024, validator=gt(0))
    header_lines: int = field(default=100, validator=gt(0))
    #: Path and query of a request (IEEE 2030.5-2018: URIs have at most 255).
    uri_bytes: int = field(default=255, validator=gt(0))
    #: A request's body.
    body_bytes: int = field(default=64 * 1024, validator=gt(0))
    #: The same where readings are sent; not less.
    reading_body_bytes: int = field(default=1024 * 1024, validator=gt(0))
    #: All bodies beyond ``body_bytes`` that are being taken in, of all callers.
    reading_bodies_bytes: int = field(default=64 * 1024 * 1024, validator=gt(0))
    #: Bytes taken in behind a request that is still being answered, before reading stops.
    pipelined_bytes: int = field(default=16 * 1024, validator=gt(0))
    #: Requests answered without a pause; behind the last the connection is closed, lest it starve the rest.
    pipelined_requests: int = field(default=100, validator=gt(0))
    #: Connections of all callers at once.
    connections: int = field(default=20_000, validator=gt(0))
