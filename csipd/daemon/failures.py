"""Why a start fails: one line, which names file, line and key of the configuration where one is to blame."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from csipd.config import Settings
from csipd.db.engine import StoreError
from csipd.net.tls import TLSError
from csipd.pki import OpenSSLCnfError, PKIError
from csipd.reconcile.context import ReconcileError


class StartError(Exception):
    """The daemon cannot start; one line that says why."""


@contextmanager
def blaming(settings: Settings, key: str) -> Iterator[None]:
    """Turn what goes wrong inside into a StartError about a key of the configuration."""
    try:
        yield
    except OpenSSLCnfError as error:
        where = settings.looked_for("openssl_cnf")
        raise StartError(settings.problem("openssl_cnf", f"{error}{where}")) from error
    except (PKIError, TLSError, StoreError) as error:
        raise StartError(settings.problem(key, str(error))) from error
    except ReconcileError as error:
        raise StartError(f"{settings.file}: {error}") from error
    except OSError as error:
        where = f"{error.filename}: " if error.filename is not None else ""
        raise StartError(settings.problem(key, f"{where}{error.strerror}")) from error
