"""The folder of keys and certificates, and what the real `openssl` program makes in it."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import TypeVar

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtensionOID, SignatureAlgorithmOID
from twisted.internet import reactor
from twisted.internet.defer import gatherResults
from twisted.trial.unittest import SynchronousTestCase, TestCase

from csipd.pki import (
    CertificateSpec,
    IssuedKey,
    PKIError,
    Repository,
    aggregator,
    device,
    lfdi_from_file,
    mca,
    mica,
    operator,
    root,
    run_later,
    run_now,
    server,
)
from csipd.pki.processes import Run, Step, Steps
from csipd.sep2.certificates import (
    ANY_POLICY,
    GENERIC_DEVICE,
    SERVICE_PROVIDER,
    TEST,
    HardwareModule,
    check_chain,
    describe,
)
from csipd.sep2.identity import lfdi
from tests.pki.test_openssl_cnf import OLD_SERVER
from tests.support import pki

T = TypeVar("T")

FOREVER = b"\x18\x0f99991231235959Z"  # GeneralizedTime in DER


def watched(steps: Steps[T], look: Callable[[Step], object]) -> Steps[T]:
    """The same steps; `look` sees each before it is taken, and once more when all are done."""
    try:
        step = next(steps)
        while True:
            look(step)
            step = steps.send((yield step))
    except StopIteration as end:
        result: T = end.value
        return result
    finally:
        steps.close()


@contextmanager
def umask(mask: int) -> Iterator[None]:
    """The process's umask for a while."""
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


class RepositoryCase(SynchronousTestCase):
    """A repository that does not exist yet, and ways to look into it."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.repository = Repository(self.folder, None)

    def make(self, *wanted: CertificateSpec) -> list[str]:
        """Make what is wanted; the names of what was made, below the folder."""
        made = run_now(self.repository.ensure(wanted, make=True))
        return [str(path.relative_to(self.folder)) for path in made]

    def certificates(self, id: str) -> list[x509.Certificate]:
        """The certificates in the file of an id."""
        return x509.load_pem_x509_certificates(self.repository.certificate(id).read_bytes())

    def der(self, id: str) -> bytes:
        """The certificate of an id in DER."""
        return self.certificates(id)[0].public_bytes(serialization.Encoding.DER)

    def refused(self, steps: Steps[T], *words: str) -> None:
        """Assert that steps end in a PKIError of one line with these words."""
        message = str(self.assertRaises(PKIError, run_now, steps))
        self.assertEqual([word for word in words if word not in message], [], message)
        self.assertNotIn("\n", message)

    def content(self) -> dict[str, bytes]:
        """Every file of the repository but those the program works with."""
        files = {
            str(path.relative_to(self.folder)): path for path in self.folder.rglob("*") if path.is_file()
        }
        return {name: path.read_bytes() for name, path in files.items() if not name.startswith("openssl/")}


class ProfileTests(RepositoryCase):
    """The certificates, to the letter of the profile."""

    def extensions(self, id: str) -> dict[x509.ObjectIdentifier, bool]:
        """The extensions of a certificate and whether each is critical."""
        return {each.oid: each.critical for each in self.certificates(id)[0].extensions}

    def extension(self, id: str, kind: type[x509.ExtensionType]) -> x509.ExtensionType:
        """The value of one extension."""
        value: x509.ExtensionType = self.certificates(id)[0].extensions.get_extension_for_class(kind).value
        return value

    def test_device(self) -> None:
        """A device: no subject, no end, its policy, a HardwareModuleName, critical where they have to be."""
        self.make(device("dev1"))
        facts = describe(self.der("dev1"))
        self.assertEqual(facts.subject, "")
        self.assertEqual(facts.hardware_module, HardwareModule("1.3.6.1.4.1.32473.1.1", b"dev1"))
        self.assertEqual((facts.policies, facts.version), ((GENERIC_DEVICE,), 3))
        self.assertEqual((facts.key, facts.is_ca, facts.names), ("EC secp256r1", False, ()))
        self.assertEqual(
            self.extensions("dev1"),
            {
                ExtensionOID.KEY_USAGE: True,
                ExtensionOID.CERTIFICATE_POLICIES: True,
                ExtensionOID.SUBJECT_ALTERNATIVE_NAME: True,
                ExtensionOID.SUBJECT_KEY_IDENTIFIER: False,
                ExtensionOID.AUTHORITY_KEY_IDENTIFIER: False,
            },
        )
        usage = pki.key_usage("digital_signature", "key_agreement")
        self.assertEqual(self.extension("dev1", x509.KeyUsage), usage)
        algorithm = self.certificates("dev1")[0].signature_algorithm_oid
        self.assertEqual(algorithm, SignatureAlgorithmOID.ECDSA_WITH_SHA256)
        self.assertEqual(self.der("dev1").count(FOREVER), 1)

    def test_root(self) -> None:
        """A root: a CA for any policy, with key identifier, signing certificates and CRLs, without end."""
        self.make(root())
        self.assertEqual(
            self.extensions("ca"),
            {
                ExtensionOID.BASIC_CONSTRAINTS: True,
                ExtensionOID.KEY_USAGE: True,
                ExtensionOID.CERTIFICATE_POLICIES: True,
                ExtensionOID.SUBJECT_KEY_IDENTIFIER: False,
            },
        )
        self.assertEqual(self.extension("ca", x509.BasicConstraints), x509.BasicConstraints(True, None))
        self.assertEqual(self.extension("ca", x509.KeyUsage), pki.key_usage("key_cert_sign", "crl_sign"))
        self.assertEqual(describe(self.der("ca")).policies, (ANY_POLICY,))
        self.assertEqual(self.der("ca").count(FOREVER), 1)

    def test_key_identifiers(self) -> None:
        """Key identifiers have the eight octets of the second method, and point to the issuer's."""
        self.make(device("dev1"))
        for id in ("ca", "dev1"):
            key = serialization.load_pem_private_key(self.repository.key(id).read_bytes(), None)
            identifier = self.extension(id, x509.SubjectKeyIdentifier)
            self.assertEqual(identifier, x509.SubjectKeyIdentifier(pki.key_identifier(key)))
        issuer = serialization.load_pem_private_key(self.repository.key("ca").read_bytes(), None)
        pointer = x509.AuthorityKeyIdentifier(pki.key_identifier(issuer), None, None)
        self.assertEqual(self.extension("dev1", x509.AuthorityKeyIdentifier), pointer)

    def test_long_chain(self) -> None:
        """Below MCA and MICA a certificate comes with both, and OpenSSL and the profile accept the chain."""
        made = self.make(device("dev1", issuer=mica(mca())))
        self.assertEqual(
            [name for name in made if name.startswith("certs")],
            ["certs/ca.crt", "certs/mca.crt", "certs/mica.crt", "certs/dev1.crt"],
        )
        self.assertEqual(self.extension("mica", x509.BasicConstraints), x509.BasicConstraints(True, 0))
        self.assertEqual(self.extension("mca", x509.BasicConstraints), x509.BasicConstraints(True, None))
        self.assertEqual(self.extension("mica", x509.KeyUsage), pki.key_usage("key_cert_sign"))
        presented = self.certificates("dev1")
        self.assertEqual(len(presented), 3)
        chain = [
            each.public_bytes(serialization.Encoding.DER) for each in (*presented, *self.certificates("ca"))
        ]
        check_chain(chain)
        leaf, ca = str(self.repository.certificate("dev1")), str(self.repository.certificate("ca"))
        command = ["openssl", "verify", "-x509_strict", "-CAfile", ca, "-untrusted", leaf, leaf]
        self.assertIn(b"OK", subprocess.run(command, capture_output=True, check=True).stdout)

    def test_server(self) -> None:
        """A server: its host as subject, every name it is reached by in a critical subjectAltName, no end."""
        self.make(server("192.0.2.1", ["gateway.example", "::1", "gateway.example"]))
        facts = describe(self.der("192.0.2.1"))
        self.assertEqual(facts.subject, "CN=192.0.2.1")
        self.assertEqual(facts.names, ("gateway.example", "192.0.2.1", "::1"))
        self.assertIs(self.extensions("192.0.2.1")[ExtensionOID.SUBJECT_ALTERNATIVE_NAME], True)
        self.assertEqual((facts.policies, self.der("192.0.2.1").count(FOREVER)), ((GENERIC_DEVICE,), 1))

    def test_server_everywhere(self) -> None:
        """A server that listens everywhere has the names it is told, and not the address that means all."""
        self.make(server("0.0.0.0", ["localhost"]))
        self.assertEqual(describe(self.der("0.0.0.0")).names, ("localhost",))

    def test_server_without_policies(self) -> None:
        """A server's certificate may go without certificatePolicies, which mbedTLS refuses (case A20)."""
        self.make(server("localhost"))
        without = server("localhost", policies=False)
        (line,) = self.repository.warnings([without])
        self.assertIn("holds certificatePolicies", line)
        run_now(self.repository.renew(without))
        self.assertNotIn(ExtensionOID.CERTIFICATE_POLICIES, self.extensions("localhost"))
        self.assertIn(ExtensionOID.KEY_USAGE, self.extensions("localhost"))
        self.assertEqual(self.repository.warnings([without]), [])

    def test_long_host_name(self) -> None:
        """A host name too long for a commonName stands in subjectAltName alone."""
        host = f"{'a' * 40}.{'b' * 40}.example"
        self.make(server(host))
        facts = describe(self.der(host))
        self.assertEqual((facts.subject, facts.names), ("", (host,)))

    def test_aggregator(self) -> None:
        """An aggregator: a device with a subject and the policy of service providers."""
        self.make(aggregator("fleet"))
        facts = describe(self.der("fleet"))
        self.assertEqual((facts.common_name, facts.policies), ("fleet", (GENERIC_DEVICE, SERVICE_PROVIDER)))
        self.assertEqual(facts.hardware_module, HardwareModule("1.3.6.1.4.1.32473.1.1", b"fleet"))

    def test_variants(self) -> None:
        """A test device carries the test policy; the type of hardware is the repository's."""
        self.repository = Repository(self.folder, None, hardware="1.3.6.1.4.1.99999.7")
        self.make(device("dev1", test=True))
        facts = describe(self.der("dev1"))
        self.assertEqual(facts.policies, (GENERIC_DEVICE, TEST))
        self.assertEqual(facts.hardware_module, HardwareModule("1.3.6.1.4.1.99999.7", b"dev1"))
        self.assertRaises(PKIError, Repository, self.folder, None, hardware="1.2\n[ x ]")

    def test_serial_numbers(self) -> None:
        """Serial numbers are random and long."""
        self.make(device("dev1"), device("dev2"))
        serials = {self.certificates(id)[0].serial_number for id in ("ca", "dev1", "dev2")}
        self.assertEqual(len(serials), 3)
        self.assertGreater(min(serials), 1 << 96)


class ConfigurationTests(RepositoryCase):
    """What the operator's openssl.cnf decides, and what it does not."""

    def configured(self, text: str) -> None:
        """The repository, with that openssl.cnf."""
        file = Path(self.mktemp())
        file.write_text(text)
        self.repository = Repository(self.folder, file)

    def test_old_file(self) -> None:
        """An old server's file works: its subject, its days and digest for operators, and HOME left alone."""
        home = Path(self.mktemp()).absolute()
        home.mkdir()
        self.patch(os, "environ", {**os.environ, "HOME": str(home)})
        self.configured(OLD_SERVER)
        self.make(root(), server("127.0.0.1"), operator(), device("dev1"))
        subjects = {id: describe(self.der(id)).subject for id in ("ca", "127.0.0.1", "admin", "dev1")}
        others = "O=Second,O=Some Co-op,C=IN"
        self.assertEqual(
            subjects,
            {
                "ca": f"CN=csipd lab root CA,{others}",
                "127.0.0.1": f"CN=127.0.0.1,{others}",
                "admin": f"CN=admin,{others}",
                "dev1": "",
            },
        )
        (admin,) = self.certificates("admin")
        self.assertEqual(admin.signature_algorithm_oid, SignatureAlgorithmOID.ECDSA_WITH_SHA384)
        self.assertEqual(admin.not_valid_after_utc - admin.not_valid_before_utc, timedelta(days=400))
        for id in ("ca", "127.0.0.1", "dev1"):
            algorithm = self.certificates(id)[0].signature_algorithm_oid
            self.assertEqual(algorithm, SignatureAlgorithmOID.ECDSA_WITH_SHA256)
            self.assertEqual(self.der(id).count(FOREVER), 1)
        self.assertEqual(list(home.iterdir()), [])

    def test_odd_values(self) -> None:
        """Values that mean something to openssl's command line are taken as they stand."""
        self.configured("[req]\ndistinguished_name = dn\n[dn]\nO_default = 'a/b+c\\\\d, é = $x'\n")
        self.make(operator())
        subject = self.certificates("admin")[0].subject
        self.assertEqual([each.value for each in subject], ["a/b+c\\d, é = $x", "admin"])

    def test_unknown_attribute(self) -> None:
        """An attribute that openssl does not know is an error, not a subject without it."""
        self.configured("[req]\ndistinguished_name = dn\n[dn]\nshoeSize_default = 43\n")
        self.refused(self.repository.ensure([root()], make=True), "attribute of the subject")

    def test_broken_file(self) -> None:
        """A broken or missing file is one line with its name, and only matters when something is made."""
        self.configured("nonsense")
        self.refused(self.repository.ensure([root()], make=True), "line 1")
        self.repository = Repository(self.folder, Path("/there/is/no.cnf"))
        self.refused(self.repository.ensure([root()], make=True), "/there/is/no.cnf", "No such file")
        pki.write(self.folder, pki.Authority.make())
        self.assertEqual(self.make(root()), [])


class EnsureTests(RepositoryCase):
    """What is made, and what is left as it is."""

    def test_layout(self) -> None:
        """Certificate, key and both in one text are made for each, and the root first."""
        self.assertEqual(
            self.make(operator(), device("dev1")),
            [
                "private/ca.pem",
                "certs/ca.crt",
                "private/admin.pem",
                "certs/admin.crt",
                "combined/admin-combined.pem",
                "private/dev1.pem",
                "certs/dev1.crt",
                "combined/dev1-combined.pem",
            ],
        )
        content = self.content()
        both = content["certs/dev1.crt"] + content["private/dev1.pem"]
        self.assertEqual(content["combined/dev1-combined.pem"], both)

    def test_nothing_twice(self) -> None:
        """Made once, everything stays byte for byte as it is."""
        self.make(operator(), device("dev1"))
        before = self.content()
        self.assertEqual(self.make(operator(), device("dev1"), root()), [])
        self.assertEqual(self.content(), before)
        self.make(device("dev2"))
        self.assertEqual({name: self.content()[name] for name in before}, before)

    def test_not_to_be_made(self) -> None:
        """Without leave to make anything, what is missing is named and nothing is made."""
        wanted = [root(), device("dev1")]
        self.refused(
            self.repository.ensure(wanted, make=False), str(self.repository.certificate("ca")), "2 more"
        )
        self.assertFalse(self.folder.exists())
        self.assertEqual(
            self.repository.missing(wanted),
            [
                self.repository.certificate("ca"),
                self.repository.certificate("dev1"),
                self.repository.key("dev1"),
            ],
        )

    def test_all_there(self) -> None:
        """Without leave to make anything, what somebody else put there is enough; so are old certificates."""
        lab = pki.Authority.make()
        pki.write(self.folder, lab, admin=lab.admin(), dev1=pki.legacy(lab, "dev1"))
        self.repository.key("ca").unlink()
        self.repository.combined("admin").unlink()
        before = self.content()
        wanted = [root(), operator(), device("dev1")]
        self.assertEqual(run_now(self.repository.ensure(wanted, make=False)), [])
        self.assertEqual(self.content(), before)
        self.assertFalse((self.folder / "openssl").exists())

    def test_key_without_certificate(self) -> None:
        """A key that is there gets a certificate, in the old form of keys too."""
        self.make(root())
        key = pki.ec_key("older").private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.NoEncryption(),
        )
        self.repository.key("dev1").write_bytes(key)
        self.assertEqual(self.make(device("dev1")), ["certs/dev1.crt", "combined/dev1-combined.pem"])
        self.assertEqual(self.repository.key("dev1").read_bytes(), key)
        self.assertEqual(self.certificates("dev1")[0].public_key(), pki.ec_key("older").public_key())

    def test_certificate_without_key(self) -> None:
        """A certificate without its key is an error, unless the key is known to be elsewhere."""
        lab = pki.Authority.make()
        pki.write(self.folder, lab, dev1=lab.device("dev1"))
        self.repository.key("dev1").unlink()
        self.repository.combined("dev1").unlink()
        key = str(self.repository.key("dev1"))
        self.refused(self.repository.ensure([device("dev1")], make=True), key)
        self.refused(self.repository.ensure([device("dev1")], make=False), key)
        self.assertEqual(self.make(device("dev1", key_elsewhere=True)), [])

    def test_anything_removed(self) -> None:
        """Whatever one file of a device or the server is removed, it comes back as it was (case B5)."""
        wanted = (server("localhost"), device("dev1"))
        self.make(*wanted)
        before = self.content()
        for one in wanted:
            for path in (
                self.repository.certificate(one.id),
                self.repository.key(one.id),
                self.repository.combined(one.id),
            ):
                with self.subTest(path.name):
                    path.unlink()
                    self.assertEqual(self.make(*wanted), [str(path.relative_to(self.folder))])
                    self.assertEqual(self.content(), before)
                    self.assertEqual(path.stat().st_mode & 0o777, 0o644 if path.suffix == ".crt" else 0o600)

    def test_two_removed(self) -> None:
        """From the combined file alone certificate and key come back: the device keeps its LFDI (case B5)."""
        self.make(device("dev1"))
        before = self.content()
        self.repository.certificate("dev1").unlink()
        self.repository.key("dev1").unlink()
        self.make(device("dev1"))
        self.assertEqual(self.content(), before)

    def test_strange_rest(self) -> None:
        """Where what is left does not go together, it is said what to do about it (case B5)."""
        self.make(device("dev1"), device("dev2"))
        self.repository.combined("dev1").write_bytes(self.repository.combined("dev2").read_bytes())
        self.refused(self.repository.ensure([device("dev1")], make=True), "move it away")
        for path in (self.repository.certificate("dev1"), self.repository.key("dev1")):
            content = path.read_bytes()
            path.unlink()
            self.refused(self.repository.ensure([device("dev1")], make=True), path.name, "is missing", "away")
            path.write_bytes(content)

    def test_garbage(self) -> None:
        """A file that holds nothing of use is named; moved away, it comes back as it was (case B5)."""
        self.make(device("dev1"))
        before = self.content()
        for path in (
            self.repository.certificate("dev1"),
            self.repository.key("dev1"),
            self.repository.combined("dev1"),
        ):
            path.write_bytes(b"garbage\n")
            self.refused(self.repository.ensure([device("dev1")], make=True), path.name, "move it away")
            path.unlink()
            self.make(device("dev1"))
            self.assertEqual(self.content(), before)

    def test_checked_before(self) -> None:
        """What could not be made is seen by `check` already, which makes nothing (case C4)."""
        wanted = [root(), device("dev1"), device("dev2")]
        self.make(device("dev1"))
        self.repository.key("ca").unlink()
        self.assert_checked(wanted, "private/ca.pem is missing: dev2")
        self.make(device("dev1"))
        self.repository.key("dev1").unlink()
        self.repository.combined("dev1").unlink()
        self.assert_checked(wanted[:2], "dev1.crt has no key")
        self.repository.certificate("dev1").unlink()
        self.repository.key("dev1").write_bytes(pki.p384_leaf(pki.Authority.make()).key_pem)
        self.assert_checked(wanted[:2], "P-256")

    def assert_checked(self, wanted: list[CertificateSpec], words: str) -> None:
        before = self.content()
        error = self.assertRaises(PKIError, self.repository.check, wanted, make=True)
        self.assertIn(words, str(error))
        self.assertEqual(self.content(), before)

    def test_another_authority(self) -> None:
        """A CA that was made anew is told apart from the one that issued what is there (case B5)."""
        self.make(device("dev1"), device("dev2"))
        self.assertEqual(self.repository.warnings([root(), device("dev1"), device("dev2")]), [])
        self.repository.certificate("ca").unlink()
        self.repository.key("ca").unlink()
        self.make(root())
        (line,) = self.repository.warnings([root(), device("dev1"), device("dev2")])
        self.assertIn("dev1.crt (and 1 more) was issued by an earlier CA", line)
        self.assertIn("trust_roots", line)

    def test_made_elsewhere(self) -> None:
        """For a device whose certificate was made elsewhere nothing is made and nothing is missing."""
        self.assertEqual(self.make(device("dev1", key_elsewhere=True)), [])
        self.assertEqual(self.repository.missing([aggregator("fleet", key_elsewhere=True)]), [])
        self.assertFalse(self.folder.exists())

    def test_strangers(self) -> None:
        """Certificates and keys that do not belong together are an error and left alone."""
        lab = pki.Authority.make()
        pki.write(self.folder, lab, dev1=lab.device("dev1"), dev2=lab.device("dev2"))
        self.repository.key("dev1").write_bytes(lab.device("dev2").key_pem)
        self.repository.combined("dev2").write_bytes(lab.device("dev1").combined_pem)
        before = self.content()
        for make in (True, False):
            self.refused(self.repository.ensure([device("dev1")], make=make), "do not belong together")
            self.refused(self.repository.ensure([device("dev2")], make=make), "holds something else")
        self.assertEqual(self.content(), before)

    def test_unusable_keys(self) -> None:
        """A key with a passphrase, on another curve, or no key at all is an error that says so."""
        self.make(root())
        locked = pki.ec_key("locked").private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"passphrase"),
        )
        other = pki.p384_leaf(pki.Authority.make()).key_pem
        for key, word in ((locked, "passphrase"), (other, "P-256"), (b"key", "no private key in PEM")):
            self.repository.key("dev1").write_bytes(key)
            self.refused(self.repository.ensure([device("dev1")], make=True), "private/dev1.pem", word)

    def test_authority_without_key(self) -> None:
        """Without the CA's key nothing is issued, and no key is made in vain."""
        pki.write(self.folder, pki.Authority.make())
        self.repository.key("ca").unlink()
        self.refused(self.repository.ensure([device("dev1")], make=True), "private/ca.pem is missing")

    def test_other_authority(self) -> None:
        """A CA below a foreign root issues certificates that come with it and verify up to that root."""
        lab = pki.Authority.make("foreign")
        pki.write(self.folder, lab.mica("utility"))
        self.make(device("dev1"))
        presented = [each.public_bytes(serialization.Encoding.DER) for each in self.certificates("dev1")]
        check_chain((*presented, lab.der))
        self.assertEqual(len(presented), 2)

    def test_one_id_for_two(self) -> None:
        """One id cannot have two kinds of certificate; the same one may be wanted twice."""
        steps = self.repository.ensure([aggregator("dev1"), device("dev1")], make=True)
        self.refused(steps, "dev1", "two kinds")
        self.make(server("localhost"), server("localhost"))

    def test_links(self) -> None:
        """A symbolic link that leads nowhere is not taken for a missing file."""
        self.make(root())
        self.repository.key("dev1").symlink_to("/there/is/nothing")
        self.refused(self.repository.ensure([device("dev1")], make=True), "exists, and is not overwritten")

    def test_no_rights(self) -> None:
        """A place where nothing can be made is an error with its name."""
        self.folder.write_bytes(b"a file")
        self.refused(self.repository.ensure([root()], make=True), str(self.folder))


class CutOff(Exception):
    """A run that ends before its time."""


class InterruptedTests(RepositoryCase):
    """Whatever a run that was cut off leaves behind, the next one works."""

    def test_any_step(self) -> None:
        """Cut off before any of its programs, a run is completed by the next, with the keys it made."""
        for number in range(6):
            self.setUp()
            left = iter(range(number))

            def look(step: Step, left: Iterator[int] = left) -> None:
                if next(left, None) is None:
                    raise CutOff

            steps = watched(self.repository.ensure([device("dev1")], make=True), look)
            self.assertRaises(CutOff, run_now, steps)
            before = self.content()
            self.make(device("dev1"))
            after = self.content()
            self.assertEqual({name: after[name] for name in before}, before)
            self.certificates("dev1")[0].verify_directly_issued_by(self.certificates("ca")[0])

    def test_empty_files(self) -> None:
        """Files that a lost machine left empty, or full of zeros, are made as if they were not there."""
        self.make(root())
        self.repository.certificate("ca").write_bytes(bytes(500))
        self.repository.key("dev1").write_bytes(b"")
        self.assertEqual(
            self.make(device("dev1")),
            ["certs/ca.crt", "private/dev1.pem", "certs/dev1.crt", "combined/dev1-combined.pem"],
        )
        self.assertEqual(self.repository.key("dev1").stat().st_mode & 0o777, 0o600)

    def test_leftovers(self) -> None:
        """What the program was at work with is no hindrance."""
        self.make(root())
        for name in ("index.txt", "index.txt.attr", "index.txt.new", "openssl.cnf"):
            (self.folder / "openssl" / name).write_bytes(b"half a li")
        self.make(device("dev1"))
        self.certificates("dev1")[0].verify_directly_issued_by(self.certificates("ca")[0])


class SecrecyTests(RepositoryCase):
    """Where keys are, and where they are not."""

    def test_modes(self) -> None:
        """Under any umask, keys and the folders they lie in are their owner's only."""
        with umask(0):
            self.make(operator(), device("dev1"))
        modes = {
            str(path.relative_to(self.folder)): path.stat().st_mode & 0o777
            for path in self.folder.rglob("*")
            if path.parent.name != "openssl" and path.parent.name != "issued"
        }
        secret = {name: mode for name, mode in modes.items() if name.startswith(("private", "combined"))}
        self.assertEqual({mode for name, mode in secret.items() if name.endswith(".pem")}, {0o600})
        self.assertEqual(len(secret), 2 + 3 + 2)
        folders = {name: modes[name] for name in ("private", "combined", "openssl", "issued", "certs")}
        self.assertEqual(set(folders.values()) - {0o755}, {0o700})
        self.assertEqual((modes["certs"], modes["certs/dev1.crt"]), (0o755, 0o644))

    def test_nowhere_else(self) -> None:
        """Before each program and at the end, no key is in a file that is not its own, nor in an argument."""
        temporary = Path(self.mktemp()).absolute()
        temporary.mkdir()
        self.patch(os, "environ", {**os.environ, "TMPDIR": str(temporary)})
        runs: list[Run] = []

        def look(step: Step) -> None:
            assert isinstance(step, Run)
            runs.append(step)
            for name, content in self.content_of_all().items():
                if b"PRIVATE KEY" in content:
                    self.assertIn(name.split("/")[0], ("private", "combined"))

        wanted = [operator(), device("dev1", issuer=mica())]
        run_now(watched(self.repository.ensure(wanted, make=True), look))
        look(runs[0])
        self.assertEqual(list(temporary.iterdir()), [])
        arguments = " ".join(argument for run in runs for argument in run.argv)
        keys = [
            line for path in self.folder.glob("private/*") for line in path.read_text().splitlines()[1:-1]
        ]
        self.assertEqual(len(keys), 4 * 3)
        self.assertEqual([line for line in keys if line in arguments], [])

    def content_of_all(self) -> dict[str, bytes]:
        """Every file there is, the program's own included."""
        files = [path for path in self.folder.rglob("*") if path.is_file()]
        return {str(path.relative_to(self.folder)): path.read_bytes() for path in files}

    def test_handed_out(self) -> None:
        """A key made for somebody is written nowhere, and does not show when it is printed."""
        self.make(root())
        handed = run_now(self.repository.issue_key(device("dev9")))
        key = serialization.load_pem_private_key(handed.key_pem, None)
        certificate = x509.load_pem_x509_certificate(handed.cert_pem)
        self.assertEqual(certificate.public_key(), key.public_key())
        secret = handed.key_pem.splitlines()[1]
        self.assertEqual([name for name, text in self.content_of_all().items() if secret in text], [])
        self.assertNotIn(secret.decode(), repr(handed))

    def test_failing_program(self) -> None:
        """A program that fails is one line with its last words; without one, that is said."""
        programs = Path(self.mktemp()).absolute()
        programs.mkdir()
        program = programs / "openssl"
        program.write_text("#!/bin/sh\nprintf 'first\\nit is\\nbroken\\033[1m\\n' >&2; exit 3\n")
        program.chmod(0o755)
        self.patch(os, "environ", {**os.environ, "PATH": str(programs)})
        self.refused(self.repository.ensure([root()], make=True), "openssl genpkey failed: it is; broken?[1m")
        program.unlink()
        self.refused(self.repository.ensure([root()], make=True), "no openssl program")


class SigningTests(RepositoryCase):
    """Certificates for keys of others."""

    def request(self, key: pki.Key, *extensions: pki.Extension) -> bytes:
        """A signing request (PEM) that asks for more than it should."""
        builder = x509.CertificateSigningRequestBuilder().subject_name(pki.named("admin"))
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical)
        return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    def test_only_the_key_counts(self) -> None:
        """Subject and extensions of a request are ignored; the certificate is the one that was meant."""
        self.make(root())
        before = self.content()
        greedy = (x509.BasicConstraints(ca=True, path_length=None), True)
        signed = run_now(self.repository.sign(self.request(pki.ec_key("csr"), greedy), device("dev9")))
        certificate = x509.load_pem_x509_certificate(signed)
        facts = describe(certificate.public_bytes(serialization.Encoding.DER))
        self.assertEqual((facts.subject, facts.is_ca, facts.policies), ("", False, (GENERIC_DEVICE,)))
        self.assertEqual(facts.hardware_module, HardwareModule("1.3.6.1.4.1.32473.1.1", b"dev9"))
        self.assertEqual(certificate.public_key(), pki.ec_key("csr").public_key())
        certificate.verify_directly_issued_by(self.certificates("ca")[0])
        after = self.content()
        (copy,) = set(after) - set(before)
        self.assertEqual((copy.split("/")[0], after[copy]), ("issued", signed))

    def test_refused_requests(self) -> None:
        """Requests with other keys, without proof of the key, too long, or that are none, are refused."""
        self.make(root())
        good = self.request(pki.ec_key("csr"))
        request = x509.load_pem_x509_csr(good).public_bytes(serialization.Encoding.DER)
        damaged = x509.load_der_x509_csr(request.replace(b"admin", b"nimda"))
        for pem, word in (
            (self.request(pki.rsa_key("csr")), "P-256"),
            (self.request(pki.ec_key("p384", ec.SECP384R1)), "P-256"),
            (damaged.public_bytes(serialization.Encoding.PEM), "not signed"),
            (b"", "no certificate signing request"),
            (good + b"\n" * (1 << 14), "at most"),
        ):
            self.refused(self.repository.sign(pem, device("dev9")), word)

    def test_no_authority(self) -> None:
        """Where there is no CA, nothing is signed."""
        self.refused(
            self.repository.sign(self.request(pki.ec_key("csr")), device("dev9")), "ca.crt is missing"
        )


class RenewalTests(RepositoryCase):
    """Certificates that end, and those put in their place."""

    def test_server(self) -> None:
        """A renewed certificate has the same key and the names wanted now; the old one is kept."""
        self.make(server("localhost"))
        before = self.content()
        old = self.der("localhost")
        run_now(self.repository.renew(server("localhost", ["gateway.example"])))
        after = self.content()
        self.assertEqual(describe(self.der("localhost")).names, ("localhost", "gateway.example"))
        self.assertEqual(after["private/localhost.pem"], before["private/localhost.pem"])
        self.assertEqual(after[f"issued/localhost-{lfdi(old)}.crt"], before["certs/localhost.crt"])
        both = after["certs/localhost.crt"] + after["private/localhost.pem"]
        self.assertEqual(after["combined/localhost-combined.pem"], both)

    def test_not_renewed(self) -> None:
        """Devices and CAs keep their certificates, and with nothing there, there is nothing to renew."""
        self.refused(self.repository.renew(device("dev1")), "dev1", "only certificates of servers")
        self.refused(self.repository.renew(root()), "only certificates of servers")
        self.refused(self.repository.renew(operator()), "nothing to renew")

    def test_ending(self) -> None:
        """Certificates that end before a moment are named with their end; those without end never are."""
        self.make(operator(), device("dev1"))
        (admin,) = self.certificates("admin")
        end = admin.not_valid_after_utc
        wanted = [operator(), device("dev1"), device("dev2")]
        self.assertEqual(self.repository.ending(wanted, end), [])
        late = [(self.repository.certificate("admin"), end)]
        self.assertEqual(self.repository.ending(wanted, end + timedelta(seconds=1)), late)
        self.assertEqual(self.repository.ending(wanted, datetime(9999, 12, 31, tzinfo=UTC)), late)


class KeepingTests(RepositoryCase):
    """The folder as others find it. No program runs here."""

    def setUp(self) -> None:
        super().setUp()
        self.lab = pki.Authority.make()
        self.device = self.lab.device("dev1")
        pki.write(self.folder, self.lab, dev1=self.device, localhost=self.lab.server("localhost"))

    def test_open_keys(self) -> None:
        """Keys that others may read or write are warned of by name."""
        self.assertEqual(self.repository.warnings([device("dev1")]), [])
        self.repository.key("dev1").chmod(0o640)
        self.repository.combined("dev1").chmod(0o604)
        combined, key = self.repository.warnings([])
        self.assertIn("private/dev1.pem holds a private key", key)
        self.assertIn("0640", key)
        self.assertIn("combined/dev1-combined.pem", combined)

    def test_names_of_server(self) -> None:
        """A server's certificate that lacks a name by which it is reached is warned of."""
        wanted = [server("localhost", ["gateway.example", "::1"])]
        first, second = self.repository.warnings(wanted)
        self.assertIn("localhost.crt does not hold ::1", first)
        self.assertIn("localhost.crt does not hold gateway.example", second)
        self.assertEqual(self.repository.warnings([server("localhost")]), [])

    def test_certificates_of_older_servers(self) -> None:
        """Where they would be refused, who comes from the older server is told before any device is."""
        pki.write(self.folder, **{name: pki.legacy(self.lab, name) for name in ("dev1", "old2")})
        wanted = [device("dev1"), device("old2"), device("new")]
        (line,) = self.repository.warnings(wanted)
        self.assertIn("dev1.crt (and 1 more) is X.509v1", line)
        self.assertIn("expected accept_legacy_certs: true", line)
        self.assertEqual(self.repository.warnings(wanted, accept_legacy=True), [])

    def test_file_by_certificate(self) -> None:
        """The file of certificate and key is found by the certificate, whatever it is called."""
        self.repository.combined("dev1").rename(self.repository.combined("renamed"))
        found = self.repository.combined_index()
        self.assertEqual(found[sha256(self.device.der).digest()], self.repository.combined("renamed"))
        self.assertEqual(len(found), 2)

    def test_strange_files(self) -> None:
        """A link that leads nowhere is no error; garbage among the combined files is named (case B5)."""
        (self.folder / "private" / "lost.pem").symlink_to(self.folder / "nowhere")
        self.assertEqual(self.repository.warnings([device("dev1")]), [])
        self.repository.combined("somebody").write_bytes(b"garbage\n")
        error = self.assertRaises(PKIError, self.repository.combined_index)
        self.assertIn("somebody-combined.pem", str(error))
        self.assertIn("move it away", str(error))

    def test_identity_from_file(self) -> None:
        """The LFDI from a file is the left of the SHA-256 of its text, with any line ends."""
        combined = self.repository.combined("dev1")
        expected = sha256(combined.read_text().encode()).hexdigest()[:40].upper()
        self.assertEqual(lfdi_from_file(combined), expected)
        combined.write_bytes(combined.read_bytes().replace(b"\n", b"\r\n"))
        self.assertEqual(lfdi_from_file(combined), expected)
        self.assertRaises(PKIError, lfdi_from_file, self.folder / "none.pem")

    def test_files_without_end(self) -> None:
        """A file too long to be a certificate is not read."""
        self.repository.combined("dev1").write_bytes(b"x" * ((1 << 18) + 1))
        self.assertRaises(PKIError, self.repository.combined_index)

    def given(self, *wanted: CertificateSpec) -> dict[str, tuple[int, int]]:
        """To whom what is given, below the folder."""
        given: dict[str, tuple[int, int]] = {}

        def record(file: int, uid: int, gid: int) -> None:
            given[os.path.relpath(os.readlink(f"/proc/self/fd/{file}"), self.folder)] = (uid, gid)

        self.patch(os, "fchown", record)
        self.repository.set_owner(wanted, 70, 71)
        return given

    def test_given_to_the_service(self) -> None:
        """The service user is given the folders and the files of what is wanted and of its issuers."""
        self.make(device("dev1"))
        (self.folder / "openssl").mkdir(mode=0o700)
        given = self.given(device("dev1"))
        self.assertEqual(set(given.values()), {(70, 71)})
        names = {".", "certs", "private", "combined", "openssl"}
        names |= {"certs/ca.crt", "private/ca.pem", "certs/dev1.crt", "private/dev1.pem"}
        self.assertEqual(set(given), {*names, "combined/dev1-combined.pem"})

    def test_links_are_not_given(self) -> None:
        """Neither what a symbolic link points to nor a file that has another name is given away."""
        precious = Path(self.mktemp()).absolute()
        precious.write_bytes(b"precious")
        key = self.repository.key("dev1")
        key.unlink()
        key.symlink_to(precious)
        self.repository.combined("dev1").unlink()
        (self.folder / "elsewhere").mkdir()
        shutil.move(self.folder / "combined", self.folder / "elsewhere")
        (self.folder / "combined").symlink_to(self.folder / "elsewhere")
        given = self.given(device("dev1"))
        self.assertEqual([name for name in given if "precious" in name or "elsewhere" in name], [])
        self.assertNotIn("private/dev1.pem", given)
        key.unlink()
        key.hardlink_to(precious)
        error = self.assertRaises(PKIError, self.repository.set_owner, [device("dev1")], 70, 71)
        self.assertIn("private/dev1.pem", str(error))


class AtOnceTests(TestCase):
    """Several at once, through the real reactor."""

    async def test_two_make_the_same(self) -> None:
        """Two that make the same certificates at once wait for each other, and the second finds them made."""
        folder = Path(self.mktemp())
        both = [Repository(folder, None), Repository(folder, None)]
        wanted = [operator(), device("dev1")]
        first, second = await gatherResults(
            [run_later(reactor, repository.ensure(wanted, make=True)) for repository in both]
        )
        self.assertEqual(len([*first, *second]), 8)
        self.assertEqual(run_now(both[0].ensure(wanted, make=False)), [])

    async def test_while_another_waits(self) -> None:
        """One that gives up waiting for its turn leaves the other to its work, and its turn to the next."""
        repository = Repository(Path(self.mktemp()), None)
        working = run_later(reactor, repository.ensure([device("dev1")], make=True))
        waiting = run_later(reactor, repository.issue_key(device("dev9")))
        waiting.addErrback(lambda failure: None)
        waiting.cancel()
        self.assertEqual(len(await working), 5)
        handed: IssuedKey = await run_later(reactor, repository.issue_key(device("dev9")))
        certificate = x509.load_pem_x509_certificate(handed.cert_pem)
        facts = describe(certificate.public_bytes(serialization.Encoding.DER))
        self.assertEqual(facts.hardware_module, HardwareModule("1.3.6.1.4.1.32473.1.1", b"dev9"))
