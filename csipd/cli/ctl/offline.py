"""What ``csipctl`` does without the server: certificates, and csipd's configuration."""

from __future__ import annotations

import os
from hashlib import sha256
from pathlib import Path

import click
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from csipd import config
from csipd.cli.ctl.client import Value
from csipd.cli.ctl.errors import Code, Failure
from csipd.cli.ctl.options import pass_session
from csipd.cli.ctl.output import Facts, Grid
from csipd.cli.ctl.session import Session
from csipd.sep2.certificates import CertificateError, CertificateFacts, describe
from csipd.sep2.identity import pin_is_valid, pretty_lfdi, pretty_sfdi, registration_code, with_check_digit

_FILE_LIMIT = 1 << 18
_NO_END = 9999
_SOON = 90 * 86_400
"""Seconds before its end at which a certificate is pointed out, as the server does in its log."""


@click.command("lfdi")
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--pin", type=click.IntRange(0, 999_999), help="Check this PIN, and show the registration code."
)
@pass_session
def lfdi(session: Session, files: tuple[Path, ...], pin: int | None) -> None:
    """Show LFDI and SFDI of certificates.

    They are in PEM or DER; no server is asked. Of a PEM file with several certificates it is the first that
    counts, as for a device that presents it. The fingerprint (SHA-256) is what `operators:` in the
    configuration wants.

    \b
    Examples:
      csipctl lfdi tls/certs/dev1.crt
      csipctl lfdi tls/certs/dev1.crt --pin 111115
      csipctl --json lfdi tls/certs/*.crt
    """
    items = [_identity(file, pin) for file in files]
    if session.out.as_json:
        session.out.json({"items": items})
    else:
        for place, item in enumerate(items):
            session.out.show(*([""] if place else []), _identity_facts(item))
    if pin is not None and not pin_is_valid(pin):
        right = with_check_digit(pin // 10)
        raise Failure(f"the last digit of PIN {pin:06d} is no check digit: {right:06d} would be right")


def _identity(file: Path, pin: int | None) -> Value:
    der, facts = read_certificate(file)
    return {
        "file": str(file),
        "lFDI": facts.lfdi,
        "sFDI": facts.sfdi,
        "fingerprint": sha256(der).hexdigest().upper(),
        **({} if pin is None else _checked(facts.sfdi, pin)),
    }


def _checked(sfdi: int, pin: int) -> Value:
    """A PIN, and where its check digit is right the code that an installer is given."""
    code = {"registration_code": registration_code(sfdi, pin)} if pin_is_valid(pin) else {}
    return {"pIN": pin, "pin_is_valid": bool(code), **code}


def _identity_facts(item: Value) -> Facts:
    return Facts(
        (
            ("File", item["file"]),
            ("LFDI", pretty_lfdi(item["lFDI"])),
            ("SFDI", pretty_sfdi(item["sFDI"])),
            ("Fingerprint", item["fingerprint"]),
            ("PIN", _pin_line(item)),
            ("Registration code", item.get("registration_code", "")),
        )
    )


def _pin_line(item: Value) -> str:
    if "pIN" not in item:
        return ""
    return (
        f"{item['pIN']:06d} ({'its check digit is right' if item['pin_is_valid'] else 'WRONG check digit'})"
    )


@click.command("check-config")
@click.argument("file", type=click.Path(path_type=Path))
@pass_session
def check_config(session: Session, file: Path) -> None:
    """Show all that is wrong with a configuration of csipd.

    The exit code is 1 where it cannot be used and 0 where it can.
    Nothing else is looked at. `twistd csipd --config FILE --check` also tries ports, certificates, database.

    \b
    Examples:
      csipctl check-config /etc/csipd/config.yml
    """
    errors: list[str] = []
    warnings: list[str] = []
    try:
        warnings += config.load(file).warnings
    except config.ConfigError as error:
        errors += map(str, error.errors)
    if session.out.as_json:
        session.out.json({"errors": errors, "warnings": warnings})
    else:
        for line in errors:
            session.out.show(f"error: {line}")
        for line in warnings:
            session.out.show(f"warning: {line}")
        if not errors:
            session.out.show(f"{file}: can be used")
    click.get_current_context().exit(Code.REFUSED if errors else Code.DONE)


@click.group("certs")
def certs() -> None:
    """Keys and certificates here: list, renew.

    They are in the folder of --tls, or in tls_repository of --config. No server is asked.
    """


@certs.command("list")
@pass_session
def list_certs(session: Session) -> None:
    """List the certificates in the folder: whose they are, when they end, their LFDIs.

    \b
    Examples:
      csipctl certs list
      csipctl --tls /etc/csipd/tls certs list
    """
    folder = session.tls / "certs"
    if not folder.is_dir():
        raise Failure(f"{folder}: there is no such folder; --tls or --config says which")
    items = [_listed(file, session.now()) for file in sorted(folder.glob("*.crt"))]
    if session.out.as_json:
        session.out.json({"items": items})
        return
    rows = tuple(
        (
            item["id"],
            ", ".join(item["names"]) or item["subject"],
            _end(session, item),
            pretty_lfdi(item["lFDI"]),
            item["issuer"],
        )
        for item in items
    )
    session.out.show(Grid(("Id", "Subject or names", "Ends", "LFDI", "Issuer"), rows))


def _listed(file: Path, now: float) -> Value:
    _, facts = read_certificate(file)
    endless = facts.not_after.year >= _NO_END
    return {
        "id": file.name.removesuffix(".crt"),
        "subject": facts.subject,
        "names": list(facts.names),
        "issuer": facts.issuer,
        "lFDI": facts.lfdi,
        "sFDI": facts.sfdi,
        **({} if endless else {"ends": int(facts.not_after.timestamp())}),
        "ends_soon": not endless and facts.not_after.timestamp() - now < _SOON,
    }


def _end(session: Session, item: Value) -> str:
    if "ends" not in item:
        return "never"
    return f"{session.when(item['ends'])}{' (soon)' if item['ends_soon'] else ''}"


@certs.command("renew")
@click.argument("whose", metavar="server|proxy|operator", type=click.Choice(("server", "proxy", "operator")))
@click.option(
    "--openssl-cnf",
    type=click.Path(path_type=Path),
    help="openssl.cnf for digest and days; that of --config, or ./openssl.cnf if it is there.",
)
@pass_session
def renew_cert(session: Session, whose: str, openssl_cnf: Path | None) -> None:
    """Make a new certificate for the key of the server, the proxy or the operator, in the place of the old.

    The old one is kept in issued/. For server and proxy --config is needed: it says by which names clients
    call them.
    Run it where the folder is, as its owner or as root, who then leaves the new files to the owner.

    \b
    Examples:
      csipctl --config /etc/csipd/config.yml certs renew server
      csipctl --tls /etc/csipd/tls certs renew operator
    """
    # Only this command needs the server's own parts, which take longer to load than others to run.
    from csipd import pki
    from csipd.daemon.certificates import certificates

    settings = session.settings
    if whose == "operator":
        wanted = pki.operator()
    elif settings is None:
        raise click.UsageError(
            f"For the {whose}'s certificate give --config: it has the names that go into it."
        )
    else:
        id = pki.proxy(()).id if whose == "proxy" else settings.server
        found = [one for one in certificates(settings) if one.id == id]
        if not found:
            raise Failure(f"{settings.file}: without proxy_hostname the proxy has no certificate")
        (wanted,) = found
    if openssl_cnf is None:
        openssl_cnf = settings.openssl_cnf if settings else Path("openssl.cnf")
        openssl_cnf = openssl_cnf if openssl_cnf is not None and openssl_cnf.exists() else None
    try:
        repository = pki.Repository(session.tls, openssl_cnf)
        renewed = pki.run_now(repository.renew(wanted))
        owner = session.tls.stat()
        if os.geteuid() == 0 and owner.st_uid:
            repository.set_owner([wanted], owner.st_uid, owner.st_gid)
    except pki.PKIError as error:
        raise Failure(str(error)) from None
    _, facts = read_certificate(renewed)
    if session.out.as_json:
        session.out.json(_listed(renewed, session.now()))
    else:
        session.out.show(f"Made {renewed}, which ends: {_end(session, _listed(renewed, session.now()))}")
    session.out.note(_next_step(whose, facts))


def _next_step(whose: str, facts: CertificateFacts) -> str:
    if whose == "server":
        return (
            "The server still shows the old one. Tell it to read its files anew, which breaks no connection:"
            " systemctl reload csipd, or kill -HUP with its process id."
        )
    if whose == "proxy":
        return (
            "Tell the server to read its files anew, then the proxy, if it is a program of its own: systemctl"
            " reload csipd, or kill -HUP with its process id. That breaks no connection, and the server knows"
            " the old one until its next start."
        )
    return (
        "The server knows the old one by its fingerprint, and this one once it reads its files anew, which"
        " breaks no connection: systemctl reload csipd, or kill -HUP with its process id."
    )


def read_certificate(file: Path) -> tuple[bytes, CertificateFacts]:
    """The first certificate of a file, in DER, and what it says. Failure where it has none."""
    try:
        with file.open("rb") as stream:
            content = stream.read(_FILE_LIMIT)
    except OSError as error:
        raise Failure(f"{file}: {error.strerror}") from None
    try:
        if b"-----BEGIN CERTIFICATE-----" in content:
            content = x509.load_pem_x509_certificate(content).public_bytes(Encoding.DER)
        return content, describe(content)
    except (CertificateError, ValueError):
        raise Failure(f"{file}: no certificate in PEM or DER is in it") from None
