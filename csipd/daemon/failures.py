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
def attributed_to(settings: Settings, key: str) -> Iterator[None]:
    """Turn what goes wrong inside into a StartError about a key of the configuration."""
    try:
        yield
    except OpenSSLCnfError as error:
        missing = isinstance(error.__cause__, FileNotFoundError)
        where = settings.looked_for("openssl_cnf") if missing else ""
        message = f"{error}{where}; expected a configuration of openssl"
        raise StartError(settings.problem("openssl_cnf", message)) from error
    except StoreError as error:
        message = f"{error}; expected a database of this csipd that nobody else holds"
        raise StartError(settings.problem(key, message)) from error
    except (PKIError, TLSError) as error:
        raise StartError(settings.problem(key, str(error))) from error
    except ReconcileError as error:
        raise StartError(settings.problem("devices", str(error), "aggregators")) from error
    except OSError as error:
        where = f"{error.filename}: " if error.filename is not None else ""
        message = f"{where}{error.strerror}; expected files and folders that csipd can read and write"
        raise StartError(settings.problem(key, message)) from error
