"""OpenSSL's calls that a request or a handshake takes, without what pyOpenSSL lays around each.

pyOpenSSL allocates a buffer for each read and looks for an error after each call, also after those that went
well. A GET of what is cached costs 6 us so, and 3 us as it is done here, of 25 in all. What goes well is told
by its return value; whoever gets anything else makes the same call again by way of pyOpenSSL, which finds out
what it is. It makes an object for each certificate of a chain that it passes, too, and 26 us of a handshake.

pyOpenSSL 26.4 has no public names for these. tests/net/test_openssl.py pins what is relied upon.
"""

from __future__ import annotations

from typing import Any

from OpenSSL import SSL

#: The most plain octets of one record (RFC 5246 6.2.1).
RECORD_BYTES = 2**14
# A sealed record is longer by its head, nonce and tag.
_SEALED_BYTES = 2**15

_openssl: Any = vars(SSL)["_lib"]
_ffi: Any = vars(SSL)["_ffi"]
# One for all connections: what is in them is copied out before anything else is done.
_plain: Any = _ffi.new("char[]", RECORD_BYTES)
_sealed: Any = _ffi.new("char[]", _SEALED_BYTES)
_buffer: Any = _ffi.buffer
_from_x509: Any = _openssl.BIO_new(_openssl.BIO_s_mem())
_bio_write: Any = _openssl.BIO_write
_bio_read: Any = _openssl.BIO_read
_ssl_read: Any = _openssl.SSL_read
_ssl_write: Any = _openssl.SSL_write


def receive(connection: Any, data: bytes) -> None:
    """Hand over what came from the peer.

    :param connection: a ``SSL.Connection`` over memory BIOs, as in all of these
    """
    _bio_write(connection._into_ssl, data, len(data))


def open_record(connection: Any) -> bytes:
    """The plain octets of the next record; none where there is nothing, or an error."""
    size = _ssl_read(connection._ssl, _plain, RECORD_BYTES)
    return _buffer(_plain, size)[:] if size > 0 else b""


def seal(connection: Any, data: bytes) -> tuple[int, bytes]:
    """How many octets of at most `RECORD_BYTES` were taken, and what to send for them.

    Fewer are taken of those for a peer that wants short records; none where there is an error, or a wait.
    """
    taken = _ssl_write(connection._ssl, data, len(data))
    if taken <= 0:
        return 0, b""
    size = _bio_read(connection._from_ssl, _sealed, _SEALED_BYTES)
    return taken, _buffer(_sealed, size)[:]


def peer_certificate(connection: Any) -> bytes:
    """What the peer of a finished handshake presented, in DER. ValueError if that is nothing."""
    certificate = _openssl.SSL_get_peer_certificate(connection._ssl)
    if certificate == _ffi.NULL:
        raise ValueError("the peer has presented no certificate")
    try:
        return _der(certificate)
    finally:
        _openssl.X509_free(certificate)


def built_chain(store_context: Any) -> list[bytes]:
    """The chain that OpenSSL has put together, in DER, leaf first.

    Where it is verified that is all of it, up to its root; before, as far as it got.

    :param store_context: ``X509_STORE_CTX *``, as a verify callback has it
    """
    # A stack of references of our own.
    stack = _openssl.X509_STORE_CTX_get1_chain(store_context)
    chain = []
    for number in range(_openssl.sk_X509_num(stack)):
        certificate = _openssl.sk_X509_value(stack, number)
        chain.append(_der(certificate))
        _openssl.X509_free(certificate)
    _openssl.sk_X509_free(stack)
    return chain


def trust_for_clients(store: Any) -> None:
    """Have a ``crypto.X509Store`` ask of chains what a handshake asks of a client's: its purpose."""
    if _openssl.X509_STORE_set_purpose(store._store, _openssl.X509_PURPOSE_SSL_CLIENT) != 1:
        raise MemoryError("a purpose cannot be set")


def _der(certificate: Any) -> bytes:
    """A certificate's octets. MemoryError: OpenSSL has no room for them."""
    if _openssl.i2d_X509_bio(_from_x509, certificate) != 1:
        raise MemoryError("a certificate cannot be copied")
    size = _bio_read(_from_x509, _sealed, _SEALED_BYTES)
    der: bytes = _buffer(_sealed, max(size, 0))[:]
    while size == _SEALED_BYTES:
        size = _bio_read(_from_x509, _sealed, _SEALED_BYTES)
        der += _buffer(_sealed, max(size, 0))[:]
    return der
